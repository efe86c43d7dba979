"""The throw-away hosts of a benchmark: booted, reached and removed in one way for all of them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
IMAGES = CHECKOUT / "tests/images"
DOCUMENT = CHECKOUT / "docs/benchmarks.md"
NAME = "graceful-bench"
INVENTORIES = ["--inventory=molecule/shared/inventory.yml", "--inventory=tests/bench/inventory.yml"]
booted = []


class BenchError(Exception):
    """The benchmark cannot go on; the text says why."""


def say(text):
    print(f"{Path(sys.argv[0]).name}: {text}", file=sys.stderr, flush=True)


def run(command, limit, **options):
    """What the command printed; BenchError with all it said if it fails or takes longer than so many seconds."""
    try:
        done = subprocess.run(
            command, cwd=CHECKOUT, timeout=limit, capture_output=True, text=True, check=False, **options
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{' '.join(map(str, command))}: not done within {limit} s") from error
    if done.returncode:
        raise BenchError(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def on_host(script, limit=60, name=NAME):
    return run(["docker", "exec", name, "sh", "-c", script], limit)


def ansible(program, *arguments, limit, inventories=INVENTORIES, **env):
    """What an Ansible program printed that knows the hosts."""
    settings = {"ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "1"}
    return run([program, *inventories, *arguments], limit, env=os.environ | settings | env)


def boot(*names, static=False, suite="bookworm"):
    """Boot the host, or fresh ones of these names, from this image (as tests/images/host takes it).

    Returns the role's variables that lead to nginx's sources.
    """
    # Engine, sources and image come from the network the first time.
    run([IMAGES / "docker-up"], 600)
    version = os.environ.get("MOLECULE_NGINX_VERSION") or "1.26.3"
    sources = run([IMAGES / "sources", *(["--static"] if static else []), version], 300)
    discard(*names)
    for name in names or [NAME]:
        say(f"booting {name}")
        booted.append(name)
        run([IMAGES / "host", name, suite], 900)
    return json.loads(sources)


REMOVE = ["docker", "rm", "--force", "--volumes"]


def discard(*names):
    if names:
        subprocess.run([*REMOVE, *names], capture_output=True, timeout=120, check=False)
    booted[:] = [name for name in booted if name not in names]


def remove():
    if os.environ.get("KEEP") and booted:
        say(f"{', '.join(booted)}: kept; remove with: {' '.join([*REMOVE, *booted])}")
    else:
        discard(*booted)


def bench(work):
    """Run a benchmark to its end, which is the host's end too."""
    # A kill must not leave the host behind.
    signal.signal(signal.SIGTERM, lambda *_arguments: sys.exit(143))
    began, name = time.monotonic(), Path(sys.argv[0]).name
    try:
        work()
    except (BenchError, TimeoutError, ValueError) as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{name}: interrupted")
    finally:
        remove()
        say(f"{time.monotonic() - began:.0f} s in all")
