"""Runs a play on this machine's own account, for unit tests of what only a whole play shows."""

import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def play(file, *arguments, hosts="one", connection="local", **settings):
    """Status and words of a play; ``settings`` are of its environment."""
    ran = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", f"--inventory={hosts},", f"--connection={connection}"]
        + [f"--extra-vars=ansible_python_interpreter={sys.executable}", *arguments, str(file)],
        env=dict(
            os.environ,
            ANSIBLE_CONFIG=str(CHECKOUT / "ansible.cfg"),
            ANSIBLE_NOCOLOR="1",
            ANSIBLE_CALLBACK_RESULT_FORMAT="yaml",
            **settings,
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, " ".join((ran.stdout + ran.stderr).split())
