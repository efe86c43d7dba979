# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which processes run uWSGI, whatever they call themselves."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re

from ansible_collections.graceful.wsgi.plugins.module_utils import procfs

_PROGRAM = re.compile(r"(py)?uwsgi([-_.\d]\S*)?\Z")
# pyuwsgi is a module of Python's, and libuwsgi.so a library of whatever loads it.
_LIBRARY = re.compile(br"(?m)^\S+ r[-\w]+ [^\n]* (/\S*/(?:lib|py)uwsgi[^/\s]*\.so[.\d]*)$")


def is_named(words):
    """Whether a command is one of uWSGI by its first word."""
    return bool(words) and _PROGRAM.match(os.path.basename(words[0])) is not None


def library(pid):
    """The library by which a process that is another program runs uWSGI; empty where there is none."""
    if not os.path.basename(procfs.executable(pid) or "").startswith("python"):
        return ""
    try:
        found = _LIBRARY.search(procfs.read("/proc/%d/maps" % pid))
    except (IOError, OSError):
        return ""
    return found.group(1).decode("utf-8", "replace") if found else ""


def runs(pid, words):
    """Whether a process runs uWSGI: by its words, which procname replaces, or by its program."""
    return is_named(words) or is_named([procfs.executable(pid) or ""]) or bool(library(pid))


def has_title(words):
    """Whether a process of uWSGI's has put a title in the place of the command that it was started with."""
    return not any(is_named([word]) for word in words)
