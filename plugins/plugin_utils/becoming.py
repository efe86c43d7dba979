"""What to do where Ansible cannot become root on a host."""

from __future__ import annotations

import re

_ABSENT = re.compile(r"sudo: (command )?not found|sudo: No such file")
_PASSWORD = re.compile(r"sudo: a password is required|sudo: a terminal is required|Missing sudo password")
_FORBIDDEN = re.compile(r"is not in the sudoers file|is not allowed to (execute|run sudo)")


def refusal(complaint: str) -> str | None:
    """Why sudo did not make the login root, and the mend, from what came of it; None where something else failed."""
    root = "log in as root (ansible_user: root)"
    if _ABSENT.search(complaint):
        return f"The play works as root, and the host has no sudo: {root}, or install its package sudo for your login."
    if _PASSWORD.search(complaint):
        return f"The play works as root, and sudo asks for a password: give --ask-become-pass (-K), or {root}."
    if _FORBIDDEN.search(complaint):
        return f"The play works as root, and sudo does not let this login become it: add it to sudoers, or {root}."
    return None
