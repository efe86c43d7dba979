"""Values that are looked for on a host, where they must not be."""

import base64
import subprocess
import uuid

from one_host import HOST


class Canary:
    """A value that is looked for, and what base64 makes of it wherever it stands in a longer text."""

    def __init__(self):
        self.text = f"canary-{uuid.uuid4().hex}"
        raw = self.text.encode()
        shifted = [base64.b64encode(b"x" * shift + raw).decode()[4:-4] for shift in range(3)]
        self.patterns = [self.text, *shifted]

    def seen_in(self, text):
        return [pattern for pattern in self.patterns if pattern in text]


def look_for(canaries, command):
    """What a grep on the host, told what to look for by its input, prints."""
    patterns = "\n".join(pattern for canary in canaries for pattern in canary.patterns)
    words = ["docker", "exec", "-i", HOST, "sh", "-c", command]
    ran = subprocess.run(words, input=patterns, capture_output=True, text=True, timeout=120, check=False)
    return ran.stdout.splitlines()
