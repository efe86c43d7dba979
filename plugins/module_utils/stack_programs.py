# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What binaries of nginx and uWSGI can do, read from their bytes, and what has become of those that run.

Nothing of them is executed: whoever can change a binary would have root run what he likes.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import pwd
import re
import stat
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import elf, procfs, safe_path
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

MAX_BINARY = 64 * 1024 * 1024
MAX_PROGRAMS, MAX_NAMES, MAX_PLUGINS = 20, 500, 50
# How long an account may keep root waiting for its binary.
SECONDS = 30
LOADER_CACHE = "/etc/ld.so.cache"
LOADER_FOLDERS = ("/lib64", "/usr/lib64", "/lib", "/usr/lib")
_SYSTEM = re.compile(r"/(?:usr/(?:local/)?)?lib(?:32|64)?/(?!.*/(?:site|dist)-packages/)")
_LIBRARY = re.compile(r"\.so(?:\.[\d.]+)?\Z")
# Where a uWSGI looks for plugins unless it is told, as it was compiled in.
_PLUGINS = re.compile(br"\0(/[\w./+-]*/uwsgi(?:/plugins)?)\0")
_PYTHON = re.compile(br"(?:lib|/)python(\d\.\d+)")
_DELETED = " (deleted)"


# -- what runs -------------------------------------------------------------------------------------------------------


def running(pid):
    """{program, gone, old, loaded}: the binary of a process, what its path leads to now, and its libraries.

    ``gone``: whether the binary was removed or another one put into its place; ``old``: libraries of which the same is
    true; ``loaded``: the names of those that are as they were.
    """
    about = {"program": procfs.executable(pid) or "", "gone": False, "old": [], "loaded": []}
    try:
        with procfs.seen_as(pid):
            about["gone"] = os.readlink("/proc/%d/exe" % pid).endswith(_DELETED)
            maps = native(procfs.read("/proc/%d/maps" % pid))
    except (IOError, OSError):
        return about
    paths = sorted(set(line.split(None, 5)[5] for line in maps.splitlines() if line.count("/")))
    for path in paths[:MAX_NAMES]:
        deleted = path.endswith(_DELETED)
        path = path[: -len(_DELETED)] if deleted else path
        if not _LIBRARY.search(path):
            continue
        if not deleted:
            about["loaded"].append(os.path.basename(path))
        elif _SYSTEM.match(path):
            about["old"].append(path)
    return about


def last_read(pid):
    """When a master or the newest of its children began: not before it has last read its configuration."""
    return int(max([procfs.started_at(pid)] + [procfs.started_at(child) for child in procfs.children(pid)]))


# -- what a binary can do --------------------------------------------------------------------------------------------


def about(wanted):
    """{path: what a binary can do}; none of what cannot be read. ``wanted``: {path: what of it is asked for}."""
    stuck = set()
    found = [(path, _told(path, wanted[path], stuck)) for path in sorted(wanted)[:MAX_PROGRAMS]]
    return dict((path, told) for path, told in found if told is not None)


def _told(path, asked, stuck):
    """``stuck``: the accounts that have had root wait in vain, and are asked nothing more."""
    uid, begun = None, time.time()
    try:
        who = _reader(path)
        uid = who["uid"]
        return safe_path.as_account(who, lambda: _about(path, asked), (), SECONDS) if uid not in stuck else None
    except (IOError, OSError, RuntimeError, safe_path.UnsafePath, elf.ElfError):
        if time.time() - begun >= SECONDS:
            stuck.add(uid)
        return None


def _owners(path):
    """The accounts besides root that can change a file, by its path or itself; nobody's where that may be several."""
    folder, name = safe_path.split(path)
    with folder:
        found = folder.lstat(name)
        if found is None:
            return set()
        if stat.S_ISLNK(found.st_mode):
            # Whoever may have put it there may have it lead anywhere.
            return set([safe_path.NOBODY["uid"]]) if safe_path.untrusted_target(path) else set()
        owners = set([folder.whose, found.st_uid]) - set([None, 0])
        if not owners and safe_path.others_write(found, folder.at(name)):
            owners.add(safe_path.NOBODY["uid"])
    return owners


def _reader(path):
    """The account with whose rights a binary is read: root where root alone can change it."""
    owners = _owners(path)
    if os.geteuid() != 0 or not owners:
        return {"uid": 0, "gid": 0, "groups": []}
    uid = owners.pop() if len(owners) == 1 else safe_path.NOBODY["uid"]
    try:
        return safe_path.account(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return dict(safe_path.NOBODY, uid=uid)


def _bytes(path):
    with os.fdopen(safe_path.open_regular(path, links=True), "rb") as source:
        data = source.read(MAX_BINARY + 1)
    if len(data) > MAX_BINARY or not data.startswith(b"\x7fELF"):
        raise elf.ElfError("is no program that is read")
    return data


def _about(path, asked):
    """What one binary can do. ``asked``: {names, texts, plugins, folders}.

    ``lacks``: the names that are in no table of it nor of its plugins; ``texts``: those that it holds; ``missing``: the
    plugins that it finds nowhere; ``python``: the version that it has; ``libraries``: those that it needs and that are
    not there.
    """
    data = _bytes(path)
    parts, missing, closed = [data], [], False
    own = [native(folder) for folder in _PLUGINS.findall(data)]
    for plugin in asked["plugins"][:MAX_PLUGINS]:
        if _has_built_in(data, plugin):
            continue
        there = [one for one in _plugin_files(plugin, asked["folders"] + own) if os.path.isfile(one)]
        if not there:
            missing.append(plugin)
        elif os.geteuid() != 0 or not _owners(there[0]):
            parts.append(_bytes(there[0]))
        else:
            # Root opens nothing that another account can change, and does not know what it brings.
            closed = True
    names = [] if closed else asked["names"][:MAX_NAMES]
    return {
        "lacks": [name for name in names if not any(elf.has_pointer(part, name) for part in parts)],
        "texts": [text for text in asked["texts"][:MAX_NAMES] if text.encode("utf-8") in data],
        "missing": missing,
        "plugin_folders": own,
        "python": ([version for version in map(_python, parts) if version] or [""])[0],
        "libraries": _missing_libraries(path, data),
    }


def _has_built_in(data, plugin):
    """Whether a plugin is a part of a uWSGI: it exports a table of that name."""
    name = re.sub(r"\Apython\d*\Z", "python", plugin)
    return b"\0" + name.encode("utf-8") + b"_plugin\0" in data


def _plugin_files(plugin, folders):
    if plugin.startswith("/"):
        return [plugin]
    name = plugin if plugin.endswith(".so") else plugin + "_plugin.so"
    return [os.path.join(folder, name) for folder in folders]


def _python(data):
    """The version of the Python that a binary has in it, or is linked against; empty where there is none or several."""
    linked = [re.match(r"libpython(\d\.\d+)", name) for name in elf.describe(data)["libraries"]]
    linked = [found.group(1) for found in linked if found]
    if linked:
        return linked[0]
    found = set(_PYTHON.findall(data)) if b"\0Py_Initialize" in data else set()
    return native(found.pop()) if len(found) == 1 else ""


def _missing_libraries(path, data):
    """The libraries that a binary is linked against and the loader finds nowhere; none where that is not known."""
    try:
        cache = safe_path.read_file(LOADER_CACHE, MAX_BINARY)
    except (IOError, OSError, safe_path.UnsafePath):
        return []
    own = re.compile(r"\$(ORIGIN|\{ORIGIN\})")
    folders = [own.sub(lambda _found: os.path.dirname(path), one) for one in elf.library_paths(data)]
    missing = []
    for name in elf.describe(data)["libraries"]:
        if not re.match(r"[\w.+-]+\Z", name):
            continue
        known = [native(one) for one in re.findall(br"(/[^\0]*/" + re.escape(name.encode("utf-8")) + br")\0", cache)]
        places = known + [os.path.join(folder, name) for folder in folders + list(LOADER_FOLDERS)]
        if not any(os.path.exists(place) for place in places):
            missing.append(name)
    return missing
