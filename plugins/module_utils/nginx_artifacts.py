# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which artifacts of nginx nothing needs any more, and their removal."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import re
import stat
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    layout,
    nginx_artifact,
    nginx_package,
    safe_path,
    uwsgi_homes,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

ROOT = layout.NGINX_STATE_DIR + "/artifacts"
# As the role names them: the version, and the digest of what one is made of.
NAME = re.compile(r"\d[\w.]*-[0-9a-f]{12}\Z")
# What a removal that was broken off has left, and what a build has that was killed while it was stored.
GONE = uwsgi_homes.GONE
_STAGE = re.compile(r"\.\d[\w.]*-[0-9a-f]{12}\.")
# Seconds: an artifact that was built for other hosts is about to be fetched, and no stage is at work for longer.
FETCHED, STAGED = 3600, 24 * 3600
# Of programs that may not be looked into, those that could run an artifact.
PROGRAMS = b"nginx"
CONF_DIR = layout.NGINX_DIR


def _manifest(folder, name):
    """(the checksum of the binary, when it was made); None for what is no artifact that the role made."""
    if not NAME.match(name):
        return None
    try:
        with folder.open_folder(name) as opened:
            if not opened.trusted:
                return None
            with os.fdopen(opened.open_file(nginx_artifact.MANIFEST), "rb") as source:
                told, when = json.loads(source.read().decode("utf-8")), os.fstat(source.fileno()).st_mtime
        if told["version"] != name.rpartition("-")[0]:
            return None
        return told["files"][nginx_artifact.BINARY], when
    except (safe_path.UnsafePath, IOError, OSError, ValueError, KeyError, TypeError):
        return None


def made(root):
    """{name: (checksum, when)} of the artifacts that the role made; none where another account could have put them."""
    try:
        with safe_path.Folder(root) as folder:
            if not folder.trusted:
                return {}
            found = dict((name, _manifest(folder, name)) for name in map(native, folder.names()))
    except (safe_path.UnsafePath, IOError, OSError):
        return {}
    return dict((name, told) for name, told in found.items() if told)


def left(root):
    """Names of what removals and builds have left that were broken off."""
    found = []
    try:
        with safe_path.Folder(root) as folder:
            for name in map(native, folder.names()) if folder.trusted else []:
                if name.startswith(GONE) and NAME.match(name[len(GONE) :]):
                    found.append(name)
                elif _STAGE.match(name) and stat.S_ISDIR(folder.lstat(name).st_mode):
                    if time.time() - folder.lstat(name).st_mtime > STAGED:
                        found.append(name)
    except (safe_path.UnsafePath, IOError, OSError, AttributeError):
        return found
    return found


def _used(root, names):
    return uwsgi_homes.Users(root, names, CONF_DIR, PROGRAMS, planned=None).used


def beyond(path, keep, dest=layout.NGINX_BINARY):
    """Names of artifacts that are to go beside that of ``path``, and of what was left broken off.

    ``keep``: how many stay, that of ``path`` among them, be it there already or not; 0 for all. Before others stays
    what something runs or names, then what is in place at ``dest``, then what was put there last.
    """
    root, wanted = os.path.split(path)
    rest = left(root)
    others = dict((name, told) for name, told in made(root).items() if name != wanted)
    if not keep or len(others) < keep:
        return rest
    placed = nginx_package.placed(os.path.dirname(root))
    in_place, used = nginx_artifact.sha256(dest), _used(root, others)

    def rank(name):
        checksum, when = others[name]
        turn = placed.index(checksum) if checksum in placed else -1
        return name in used, checksum == in_place, turn, when, name

    def awaited(name):
        checksum, when = others[name]
        return checksum not in placed and time.time() - when < FETCHED

    order = sorted(others, key=rank, reverse=True)[keep - 1 :]
    return sorted(name for name in order if name not in used and not awaited(name)) + rest


def remove(path, names, dest=layout.NGINX_BINARY, check_mode=False):
    """Remove those of ``names`` beside ``path`` that nothing uses by now; returns the paths that went."""
    root, wanted = os.path.split(path)
    there = made(root)
    # In check mode the one that is wanted is not in place yet.
    in_place = None if check_mode else nginx_artifact.sha256(dest)
    doomed = [name for name in sorted(set(names) & set(there)) if name != wanted and there[name][0] != in_place]
    used = _used(root, doomed)
    doomed = [name for name in doomed if name not in used]
    rest = [name for name in left(root) if name in names]
    if (doomed or rest) and not check_mode:
        doomed, rest = uwsgi_homes.take_away(root, doomed, rest)
        for name in doomed:
            safe_path.remove_tree(os.path.join(os.path.dirname(root), "logs", name + ".log"))
    return [os.path.join(root, name) for name in doomed + rest]
