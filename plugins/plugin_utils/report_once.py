"""What failed is told once, as text that can be read; Ansible's own line for it then holds no second copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Callbacks that print a failed result as it is. Whatever else listens (JSON, a web interface) gets all of it.
PLAIN = {"default", "ansible.builtin.default"}
TOLD = " (told above)"


def report_once(result: dict[str, Any], task: Any, host: str, callback: str, display: Callable[[str], None]) -> None:
    """Print the message of a failed task, and leave its first line in the result.

    Ansible prints results as JSON in one line. Nothing is printed of a task that is to hide what it says, nor where
    somebody has a failure looked at by later tasks.
    """
    lines = str(result.get("msg") or "").strip().splitlines()
    quiet = task.no_log or task.ignore_errors or task.failed_when or task.until or result.get("_ansible_no_log")
    if not result.get("failed") or quiet or callback not in PLAIN or len(lines) < 2:
        return
    # Of a failed module ansible-core has the text itself from 2.19 on, and prints it before the result.
    if isinstance(result.get("exception"), (str, type(None))):
        display(f"[{host}] " + "\n".join(lines))
    result["msg"] = lines[0].rstrip().rstrip(":") + TOLD
