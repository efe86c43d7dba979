"""What one host of a play does for all of them: the first that comes to it, whatever strategy and batches there are.

Hosts are worked on by processes of one run of Ansible on one controller, and meet in its own temporary folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any


class Turn:
    """A host's turn at something; a context manager that lets others wait until it is over.

    ``earlier``: how it went where another host had it before, ``{host, failed}``; else None, and it is this host's.
    A host whose process was killed leaves it to the next.
    """

    def __init__(self, folder: str, about: Any, host: str):
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:24]
        self._path = os.path.join(folder, f"graceful-wsgi-once-{digest}")
        self._host = host
        self._handle = -1
        self.earlier: Mapping[str, Any] | None = None

    def __enter__(self) -> Turn:
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        told = os.read(self._handle, 1 << 16)
        if told:
            self.earlier = json.loads(told)
            # The others that wait see it as soon.
            self._release()
        return self

    def end(self, failed: bool) -> None:
        """Say how it went; nothing where another host had it."""
        if self.earlier is None and self._handle >= 0:
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, json.dumps({"host": self._host, "failed": failed}).encode(), 0)
            self._release()

    def __exit__(self, kind: Any, *_more: Any) -> None:
        if kind is not None:
            self.end(failed=True)
        self._release()

    def _release(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
