"""Who runs a play: what records of releases and the lock over a play say of it."""

from __future__ import annotations

import getpass
import os
import socket
import uuid
from pathlib import Path
from typing import Any


def who() -> str:
    """The account that runs the play and its machine; of sudo the account that called it. Example: ada@laptop."""
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        # An account without a name, as in a container.
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def machine() -> str:
    """Names this machine as it has booted, and what of its processes is seen here: the same pid is the same process."""
    try:
        processes = os.readlink("/proc/self/ns/pid")
    except OSError:
        processes = ""
    return f"{uuid.getnode():x}-{_read('/proc/sys/kernel/random/boot_id')}-{processes}"


def _started(pid: int) -> str:
    """When a process began, where /proc tells it; its pid may be another one's by now."""
    # What stands in brackets may hold blanks.
    words = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return words[19] if len(words) > 19 else ""


def holder() -> dict[str, Any]:
    """The run of Ansible that this task belongs to: each task is a child of it."""
    pid = os.getppid()
    return {"by": who(), "machine": machine(), "pid": pid, "started": _started(pid)}


def is_gone(told: dict[str, Any]) -> bool:
    """Whether a holder was a process of this machine, and is there no more; what runs elsewhere nobody here can see."""
    if told.get("machine") != machine():
        return False
    try:
        os.kill(int(told["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return bool(told["started"]) and _started(int(told["pid"])) != told["started"]
