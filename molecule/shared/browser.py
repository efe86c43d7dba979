"""A headless Chromium, driven over WebDriver with nothing but the standard library."""

import base64
import json
import re
import subprocess
import time
import urllib.request
from pathlib import Path

ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=800,500"]


class Browser:
    def __enter__(self):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        said = (re.search(r"started successfully on port (\d+)", line) for line in self.driver.stdout)
        port = next(found[1] for found in said if found)
        self.base = f"http://127.0.0.1:{port}/session"
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": ARGUMENTS}}}}
        self.base += "/" + self._call("", wanted)["sessionId"]
        return self

    def __exit__(self, *_exc):
        try:
            urllib.request.urlopen(urllib.request.Request(self.base, method="DELETE"), timeout=20).close()
        finally:
            self.driver.kill()
            self.driver.wait()

    def _call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.base + path, data), timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, url):
        self._call("/url", {"url": url})

    def run(self, script):
        """What a JavaScript expression is."""
        return self._call("/execute/sync", {"script": f"return {script}", "args": []})

    def wait(self, script, timeout=30):
        """The expression once it is true."""
        until = time.monotonic() + timeout
        while not (found := self.run(script)):
            assert time.monotonic() < until, f"{script} did not become true"
            time.sleep(0.1)
        return found

    def screenshot(self, path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(base64.b64decode(self._call("/screenshot")))
