# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads what there is of nginx and uWSGI on a host, or in a folder; starts, writes and signals nothing.

Whatever is read may have been placed by anyone: regular files only, none through another account's link, and no more
of them, nor longer ones, than a configuration has.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import fnmatch
import os
import pwd
import re
import stat

from ansible_collections.graceful.wsgi.plugins.module_utils import procfs, safe_path
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

MAX_FILE = 1024 * 1024
MAX_FILES = 1500
MAX_TOTAL = 16 * 1024 * 1024
MAX_NAMES = 5000
NGINX = ("/etc/nginx/nginx.conf", "/usr/local/nginx/conf/nginx.conf", "/usr/local/etc/nginx/nginx.conf")
NGINX += ("/opt/nginx/conf/nginx.conf",)
UWSGI = ("/etc/uwsgi", "/etc/uwsgi.d", "/usr/local/etc/uwsgi")
SUPERVISOR = ("/etc/supervisor", "/etc/supervisord.d", "/etc/supervisord.conf", "/etc/supervisor.d")
UNITS = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
CONFIGS = (".ini", ".yaml", ".yml", ".json", ".xml", ".conf")
# Each blank belongs to one part of a pattern only: whoever wrote the file could have a search take hours.
_INCLUDE = re.compile(r"(?:^|[\s;{}])include\s+([^\s;{}][^;{}]*);")
_UWSGI_FILE = re.compile(r"(?m)^[ \t]*(?:ini|include|inherit|yaml|json|xml)[ \t]*[:=][ \t]*([^\s:]+)")
_EMPEROR = re.compile(r"(?m)^[ \t]*emperor[ \t]*[:=][ \t]*(\S+)")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
# An account that owns nothing.
NOBODY = 65534
# Words of an environment that say which folder a master was started in, and nothing else of it.
_FOLDERS = ("PWD", "OLDPWD")


class Collection:
    """Texts by their paths, within the limits; ``messages`` tell what was left out, and why."""

    def __init__(self, root=None):
        """``root``: a folder that stands for /, out of which no link leads."""
        self.root = root
        self.files, self.messages = {}, []
        # The same as Python's own kind of text, for paths are that too.
        self.texts = {}
        self.total = 0
        self.full = False

    def add(self, path, shown=None, quiet=False, by=None):
        """Read one file; its text, or None where there is none that may be read.

        ``by``: the account (uid) that has named it, with whose rights it is read; None where that was root.
        """
        shown = shown or path
        if shown in self.texts:
            return self.texts[shown]
        if len(self.files) >= MAX_FILES or self.total >= MAX_TOTAL:
            if not self.full:
                self.messages.append("%s: more files than a configuration has; the rest is left out" % shown)
            self.full = True
            return None
        try:
            raw = _read(path, self.root) if by is None else _read_as(by, path)
        except safe_path.UnsafePath as error:
            self.messages.append("%s: left out: %s" % (shown, error))
            return None
        except (IOError, OSError) as error:
            if not quiet:
                self.messages.append("%s: left out: %s" % (shown, error.strerror))
            return None
        if len(raw) > MAX_FILE:
            self.messages.append("%s: left out: it is longer than %d bytes" % (shown, MAX_FILE))
            return None
        if b"\0" in raw:
            self.messages.append("%s: left out: it is no text" % shown)
            return None
        self.total += len(raw)
        self.files[shown] = raw.decode("utf-8", "replace")
        self.texts[shown] = native(raw)
        return self.texts[shown]


def _read(path, root, links=0):
    """The bytes of a file; a link is followed where root alone can have put it, or within ``root``."""
    where, name = safe_path.split(path)
    with where:
        found = where.lstat(name)
        if found is not None and stat.S_ISLNK(found.st_mode):
            target = os.readlink(where.at(name))
            if root:
                target = os.path.join(root, target[1:]) if target.startswith("/") else target
            elif not where.trusted or found.st_uid not in (0, os.geteuid()):
                raise safe_path.UnsafePath("it is a link that another account can have put there")
            target = os.path.normpath(os.path.join(os.path.dirname(path), target))
            if links > 20 or (root and not target.startswith(root + "/")):
                raise safe_path.UnsafePath("it is a link that leads out")
            return _read(target, root, links + 1)
        with os.fdopen(where.open_file(name), "rb") as source:
            return source.read(MAX_FILE + 1)


def named_by(path, by=None):
    """The account (uid) that says what stands in a file, and so which others it names; None where root alone does.

    ``by``: of the file that has named this one.
    """
    if by is not None:
        return by
    try:
        path = os.path.realpath(path)
        while True:
            found = os.stat(path)
            if found.st_uid not in (0, os.geteuid()):
                return found.st_uid
            # In a folder such as /tmp nobody replaces what is another's.
            open_to_all = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
            if open_to_all or (found.st_mode & stat.S_IWGRP and found.st_gid != 0):
                return NOBODY
            if path == "/":
                return None
            path = os.path.dirname(path)
    except (IOError, OSError):
        return None


def _read_as(uid, path):
    """The bytes of a file, with the rights of an account."""
    try:
        who = safe_path.account(pwd.getpwuid(uid).pw_name)
    except KeyError:
        who = {"uid": uid, "gid": NOBODY, "groups": []}
    read = safe_path.as_account(who, lambda: native(base64.b64encode(_read(path, None))), (safe_path.UnsafePath,))
    return base64.b64decode(read)


def names(path):
    """The names in a folder, sorted; none where it cannot be opened."""
    try:
        with safe_path.Folder(path) as folder:
            return sorted(folder.names())[:MAX_NAMES]
    except (IOError, OSError, safe_path.UnsafePath):
        return []


def matching(pattern):
    """The paths that a pattern of nginx's or of an emperor's means, as many as a configuration has."""
    found = ["/"]
    for part in os.path.normpath(pattern).split("/"):
        if not part:
            continue
        if not re.search(r"[*?\[]", part):
            found = [os.path.join(path, part) for path in found]
            continue
        wider = []
        for path in found[:MAX_FILES]:
            wider += [os.path.join(path, name) for name in names(path) if fnmatch.fnmatchcase(name, part)]
            if len(wider) > MAX_FILES:
                break
        found = [path for path in wider if not os.path.basename(path).startswith(".")]
    return found[:MAX_FILES]


def follow_nginx(collection, start):
    """Read a main file of nginx's and all that it includes, each once."""
    base, todo, seen = os.path.dirname(start), [(start, None)], set()
    while todo:
        path, by = todo.pop(0)
        if path in seen or collection.full:
            continue
        seen.add(path)
        text = collection.add(path, by=by)
        by = named_by(path, by)
        for line in _INCLUDE.findall(re.sub(r"(?m)^[ \t]*#.*$", "", text or "")):
            target = line.strip().strip("\"'")
            found = matching(target if target.startswith("/") else os.path.join(base, target))
            todo += [(one, by) for one in found]


def follow_uwsgi(collection, path, by=None):
    """Read a configuration of uWSGI's, what it includes, and the vassals of an emperor. ``by``: as of add()."""
    todo, seen = [(path, by)], set()
    while todo and not collection.full:
        path, by = todo.pop(0)
        if path in seen:
            continue
        seen.add(path)
        text = collection.add(path, quiet=True, by=by)
        by = named_by(path, by)
        for target in _UWSGI_FILE.findall(text or ""):
            todo.append((os.path.normpath(os.path.join(os.path.dirname(path), target)), by))
        for target in _EMPEROR.findall(text or ""):
            target = target.split("://")[-1]
            found = matching(target if re.search(r"[*?\[]", target) else os.path.join(target, "*.*"))
            todo += [(one, by) for one in found]


def read_tree(collection, path, depth=3):
    """Read the configurations below a folder."""
    for name in names(path):
        here = os.path.join(path, name)
        try:
            kind = os.lstat(here).st_mode
        except OSError:
            continue
        if stat.S_ISDIR(kind) and depth > 1:
            read_tree(collection, here, depth - 1)
        elif name.endswith(CONFIGS):
            follow_uwsgi(collection, here)


def read_units(collection):
    """Read systemd's units that start a uWSGI or nginx, with their drop-ins."""
    for folder in UNITS:
        for name in names(folder):
            here = os.path.join(folder, name)
            wanted = name.endswith(".service") and not os.path.basename(here).startswith("systemd-")
            if wanted and re.search("uwsgi|nginx", name + _peek(here)):
                collection.add(here, quiet=True)
            elif name.endswith(".service.d") and re.search("uwsgi|nginx", name):
                for inner in names(here):
                    collection.add(os.path.join(here, inner), quiet=True)


def _peek(path):
    try:
        return native(safe_path.read_file(path, 65536))
    except (IOError, OSError, safe_path.UnsafePath):
        return ""


def processes():
    """The masters of uWSGI and nginx that run."""
    found, own = [], _namespace(os.getpid())
    for name in sorted((one for one in os.listdir("/proc") if one.isdigit()), key=int):
        pid = int(name)
        if _namespace(pid) not in ("", own):
            # A container's, whose files are not those of the host.
            continue
        try:
            words = [native(word) for word in procfs.read("/proc/%d/cmdline" % pid).split(b"\0") if word]
        except (IOError, OSError):
            continue
        title = " ".join(words)
        kind = "nginx" if title.startswith("nginx: master") else "uwsgi" if _is_uwsgi(words) else None
        parent = procfs.parent(pid)
        if kind is None or (kind == "uwsgi" and parent and _is_uwsgi(_words(parent))):
            continue
        if kind == "nginx" and not set(procfs.uids(pid)) <= {0, os.geteuid()}:
            # Whoever likes may call a process so, a setuid program's too; nginx's master is root's in every way.
            continue
        found.append(_process(pid, kind, words, parent))
    return found


def _namespace(pid):
    try:
        return os.readlink("/proc/%d/ns/mnt" % pid)
    except OSError:
        return ""


def _words(pid):
    try:
        return [native(word) for word in procfs.read("/proc/%d/cmdline" % pid).split(b"\0") if word]
    except (IOError, OSError):
        return []


def _is_uwsgi(words):
    return bool(words) and re.match(r"(py)?uwsgi([-_.\d]\S*)?\Z", os.path.basename(words[0])) is not None


def _process(pid, kind, words, parent):
    about = {"pid": pid, "kind": kind, "command": words, "parent": parent or 0, "folder": "", "user": "", "uid": NOBODY}
    try:
        about["folder"] = os.readlink("/proc/%d/cwd" % pid)
    except OSError:
        pass
    uids = re.search(br"(?m)^Uid:\s+(\d+)", procfs.read("/proc/%d/status" % pid))
    if uids:
        about["uid"] = int(uids.group(1))
        about["user"] = safe_path.account_name(about["uid"])
    cgroup = native(procfs.read("/proc/%d/cgroup" % pid))
    unit = re.search(r"([\w@.\\:-]+\.service)\s*$", cgroup, re.MULTILINE)
    about["unit"] = unit.group(1) if unit else ""
    about["folders"] = [about["folder"]]
    if kind == "nginx":
        # Its workers began when it last read its files.
        about["read"] = int(max([procfs.started_at(child) for child in procfs.children(pid)] or [0]))
    if kind == "uwsgi":
        try:
            environment = procfs.read("/proc/%d/environ" % pid).split(b"\0")
        except (IOError, OSError):
            environment = []
        for line in environment:
            name, _equals, value = native(line).partition("=")
            if name in _FOLDERS and value.startswith("/"):
                about["folders"].append(value)
    return about


def _configs(collection, process):
    """Read what the command of a running master names."""
    for word in process["command"][1:]:
        word = word.split("=", 1)[-1] if word.startswith("--") else word
        path = word.partition(":")[0]
        if not path.endswith(CONFIGS[:5]):
            continue
        for folder in process["folders"]:
            whole = os.path.normpath(os.path.join(folder or "/", path))
            if os.path.isfile(whole):
                process["folder"] = folder
                follow_uwsgi(collection, whole, process["uid"] or None)
                break


def limits():
    """What the kernel says of queues of connections."""
    found = {}
    somaxconn = procfs.read("/proc/sys/net/core/somaxconn").strip()
    if somaxconn.isdigit():
        found["somaxconn"] = int(somaxconn)
    lines = native(procfs.read("/proc/net/netstat")).splitlines()
    lines = [line.split() for line in lines if line.startswith("TcpExt:")]
    if len(lines) == 2 and "ListenOverflows" in lines[0]:
        found["overflows"] = int(lines[1][lines[0].index("ListenOverflows")])
    audit = _tail("/var/log/audit/audit.log")
    found["denials"] = len(re.findall(r"(?m)^type=AVC .*denied.*comm=\"(?:nginx|uwsgi)\"", audit))
    found["selinux"] = procfs.read("/sys/fs/selinux/enforce").strip() == b"1"
    return found


def _tail(path, length=262144):
    try:
        return native(safe_path.read_file(path, length, max(0, safe_path.size(path) - length)))
    except (IOError, OSError, safe_path.UnsafePath):
        return ""


def enabled_units():
    """The units that systemd starts at boot, by the links in its .wants folders."""
    found = set()
    for folder in names("/etc/systemd/system"):
        if folder.endswith((".wants", ".requires")):
            found.update(names(os.path.join("/etc/systemd/system", folder)))
    return sorted(found)


def commands_of(collection):
    """Read what the commands of units and of supervisor name."""
    for path, text in list(collection.texts.items()):
        by = None if collection.root else named_by(path)
        for line in re.findall(r"(?m)^[ \t]*(?:ExecStart|command)[ \t]*=(.*)$", text):
            for word in re.split(r"[\s=:\"']+", line):
                if word.startswith("/") and word.endswith(CONFIGS[:5]):
                    follow_uwsgi(collection, word, by)


def host(paths):
    """All of it. ``paths``: files and folders to read besides."""
    collection = Collection()
    running = processes()
    masters = [process for process in running if process["kind"] == "nginx"]
    named = [re.search(r"\s-c\s+(\S+)", " ".join(one["command"])) for one in masters]
    starts = [one.group(1) for one in named if one] or [path for path in NGINX if os.path.exists(path)][:1]
    for start in starts:
        follow_nginx(collection, start)
    for process in running:
        if process["kind"] == "uwsgi":
            _configs(collection, process)
    read_units(collection)
    for folder in UWSGI + SUPERVISOR:
        if os.path.isdir(folder):
            read_tree(collection, folder)
        elif os.path.isfile(folder):
            collection.add(folder)
    commands_of(collection)
    for path in paths:
        if os.path.isdir(path):
            read_tree(collection, path)
        else:
            follow_uwsgi(collection, path)
    return {
        "files": collection.files,
        "messages": collection.messages,
        "main": starts[0] if starts else "",
        "processes": running,
        "limits": limits(),
        "enabled": enabled_units(),
    }


def folder(root):
    """The files below a folder, by their paths as if it were /; links are left out."""
    root = os.path.realpath(root)
    collection = Collection(root)
    todo = [(root, 0)]
    while todo and not collection.full:
        here, depth = todo.pop(0)
        for name in names(here):
            path = os.path.join(here, name)
            shown = "/" + os.path.relpath(path, root)
            kind = os.lstat(path).st_mode
            if stat.S_ISDIR(kind):
                if depth < 20 and name != ".git":
                    todo.append((path, depth + 1))
            elif stat.S_ISREG(kind) or stat.S_ISLNK(kind):
                collection.add(path, shown)
            else:
                collection.messages.append("%s: left out: it is no regular file" % shown)
    return {"files": collection.files, "messages": collection.messages}


def look(paths):
    """What is there at paths: kind, owner, mode, when it changed; of certificates their text, and never of a key."""
    found = {}
    for path in list(paths)[:MAX_FILES]:
        try:
            state = os.stat(path)
        except (IOError, OSError, TypeError, ValueError):
            found[path] = {"kind": "missing"}
            continue
        kind = "folder" if stat.S_ISDIR(state.st_mode) else "file" if stat.S_ISREG(state.st_mode) else "other"
        owner, group = safe_path.account_name(state.st_uid), safe_path.group_name(state.st_gid)
        about = {"kind": kind, "owner": owner, "group": group, "mode": stat.S_IMODE(state.st_mode)}
        about["changed"] = int(state.st_mtime)
        about["closed"] = _closed(path)
        if kind == "file" and path.endswith((".pem", ".crt", ".cer")) and state.st_size < MAX_FILE:
            about["certificate"] = "\n".join(_CERTIFICATE.findall(_peek(path))[:1])
        if kind == "file" and path.endswith((".pid", "pid")) and state.st_size < 64:
            text = _peek(path).strip()
            about["alive"] = text.isdigit() and procfs.alive(int(text))
        found[path] = about
    return found


def _closed(path):
    """The first component on the way that accounts besides its owner and group do not pass; empty where all do."""
    parts = [part for part in path.split("/") if part]
    for number in range(1, len(parts) + 1):
        here = "/" + "/".join(parts[:number])
        try:
            mode = os.stat(here).st_mode
        except OSError:
            return ""
        if not mode & (stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH):
            return here
    return ""
