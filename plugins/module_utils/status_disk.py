# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What releases, virtualenvs, uWSGI's homes and nginx's artifacts take of the disks."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import stat
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    layout,
    nginx_artifact,
    nginx_artifacts,
    safe_path,
    shared_venvs,
    uwsgi_homes,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import mount_of, native

ARTIFACTS = nginx_artifacts.ROOT
# What an application may write can be made so large that counting it never ends: seconds for all of them together.
LIMIT = 20
DEEPEST = 60
# A folder's own size grows with its names: of one beyond this, a Python without scandir would hold millions at once.
LARGEST = 16 << 20
# So many files with more than one name are remembered, lest each be counted twice.
REMEMBERED = 500000


def taken(path, run):
    """Bytes that a folder of root's takes, as du counts them; None where there is none."""
    if not os.path.isdir(path) or os.path.islink(path):
        return None
    _status, out, _err = run(["du", "-s", "-k", "-x", "--", path])
    number = out.split(None, 1)[0] if out.strip() else ""
    return int(number) * 1024 if number.isdigit() else None


def _each_name(folder):
    """The names in a folder, one by one where Python can: its account may have made more than memory holds."""
    scan = getattr(os, "scandir", None)
    if scan is None:
        if folder.stat().st_size > LARGEST:
            raise safe_path.UnsafePath("%s: has too many names to count" % folder.path)
        return iter(folder.names())
    return (entry.name for entry in scan(folder.at(".")))


def _walk(folder, seen, device, depth, limit):
    size = 0
    for name in _each_name(folder):
        if depth > DEEPEST or time.time() > limit or len(seen) > REMEMBERED:
            raise safe_path.UnsafePath("%s: is too deep or too large to count" % folder.path)
        found = folder.lstat(name)
        if found is None or (found.st_dev, found.st_ino) in seen or found.st_dev != device:
            continue
        if found.st_nlink > 1:
            seen.add((found.st_dev, found.st_ino))
        size += found.st_blocks * 512
        if not stat.S_ISDIR(found.st_mode):
            continue
        try:
            with folder.open_folder(name) as inner:
                size += _walk(inner, seen, device, depth + 1, limit)
        except OSError:
            # It went meanwhile.
            continue
    return size


def counted(path, until=None):
    """Bytes that a folder takes in which another account writes; None where it is not there, or has no end.

    ``until``: when to give up, in seconds since 1970.
    """
    until = time.time() + LIMIT if until is None else until
    try:
        with safe_path.Folder(path) as folder:
            found = folder.stat()
            return found.st_blocks * 512 + _walk(folder, set(), found.st_dev, 0, until)
    except (safe_path.UnsafePath, IOError, OSError):
        return None


def _names(path):
    """The names in a folder but for hidden ones."""
    try:
        with safe_path.Folder(path) as folder:
            return [name for name in map(native, folder.names()) if not name.startswith(".")]
    except (safe_path.UnsafePath, IOError, OSError):
        return []


def application(home, run, until=None):
    """What an application takes, by its parts; ``until`` as of counted()."""
    releases, venvs = os.path.join(home, layout.RELEASES), os.path.join(home, layout.VENVS)
    return {
        "releases": taken(releases, run),
        "releases_kept": len(_names(releases)),
        "virtualenvs": taken(venvs, run),
        "shared": counted(os.path.join(home, layout.SHARED), until),
        "logs": counted(os.path.join(home, layout.LOGS), until),
    }


def _versions(uwsgi_home, run):
    """What each uWSGI takes that the role made, the newest first, and which one is current."""
    link = os.path.join(uwsgi_home, uwsgi_homes.CURRENT)
    current = os.path.basename(os.readlink(link)) if os.path.islink(link) else None
    there = uwsgi_homes.stamped(uwsgi_home)
    return [
        {"name": name, "bytes": taken(os.path.join(uwsgi_home, name), run), "current": name == current}
        for name in sorted(there, key=lambda name: (-there[name], name))
    ]


def _artifacts(run):
    """What each nginx takes that the role made, the newest first, and which one is in place."""
    in_place = nginx_artifact.sha256(layout.NGINX_BINARY)
    there = nginx_artifacts.made(ARTIFACTS)
    return [
        {"name": name, "bytes": taken(os.path.join(ARTIFACTS, name), run), "current": there[name][0] == in_place}
        for name in sorted(there, key=lambda name: (-there[name][1], name))
    ]


def host(root, uwsgi_home, run):
    """What the host has beside its applications, and how much room there is."""
    mounts = sorted(set(mount_of(path) for path in (root, uwsgi_home, layout.STATE_DIR, layout.NGINX_LOG_DIR)))
    systems = []
    for mount in mounts:
        found = os.statvfs(mount)
        size, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        systems.append({"mount": mount, "size": size, "free": free})
    return {
        "root": root,
        "uwsgi_home": uwsgi_home,
        "uwsgi_homes": taken(uwsgi_home, run),
        "uwsgi_versions": _versions(uwsgi_home, run),
        "nginx_artifacts": taken(ARTIFACTS, run),
        "nginx_versions": _artifacts(run),
        "shared_virtualenvs": taken(os.path.join(root, shared_venvs.FOLDER), run),
        "file_systems": systems,
    }
