# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names of hosts that everybody may read: what nginx answers to here, and what a probe asks for."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import re

from ansible_collections.graceful.wsgi.plugins.module_utils import layout, procfs
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

_SERVER_NAME = re.compile(r"(?m)^\s*server_name\s+([^;]+);")
# As settings name one: alone, with all below it (.example.com, *.example.com), or as an address without a path.
_HOST = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?(?:\*?\.)?([a-z0-9][a-z0-9.-]*)(?::\d+)?/?\Z")
# The files change in no module's lifetime in which this is asked.
_read = {}


def _host(text):
    """The host that a text names, None for any other text."""
    found = _HOST.match(native(text).strip("\"'").lower())
    return found.group(1) if found else None


def published(pattern=None):
    """The names of all sites of this host."""
    pattern = pattern or layout.site("*")
    if pattern not in _read:
        texts = [native(procfs.read(path)) for path in sorted(glob.glob(pattern))]
        words = [word for text in texts for names in _SERVER_NAME.findall(text) for word in names.split()]
        _read[pattern] = frozenset(host for host in map(_host, words) if host)
    return _read[pattern]


def tells(value, hosts=(), above=True):
    """Whether a value is no more than the name of such a host, or the address of one.

    ``hosts``: more such names, None among them counting for nothing; ``above``: whether the domains that such a host is
    in count as well, as for a cookie.
    """
    host = _host(value)
    if not host:
        return False
    names = published() | frozenset(name for name in map(_host, [name for name in hosts if name]) if name)
    return host in names or above and "." in host and any(name.endswith("." + host) for name in names)
