# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads what there is of nginx and uWSGI on a host, or in a folder; starts, writes and signals nothing.

Whatever is read may have been placed by anyone: regular files only, none through another account's link, and no more
of them, nor longer ones, than a configuration has.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import collections
import fnmatch
import os
import pwd
import re
import stat

from ansible_collections.graceful.wsgi.plugins.module_utils import procfs, safe_path, stack_programs, uwsgi_programs
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

MAX_FILE = 1024 * 1024
MAX_FILES = 1500
# Of them, what one account may have root read for it.
MAX_NAMED = 300
# How long an account may keep root waiting for a file.
SECONDS = 30
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
NOBODY = safe_path.NOBODY["uid"]
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
        self.total = self.tried = 0
        self.full = False
        # Who can change what was read with root's rights: an account (uid), or None where that is root alone.
        self.owners = {}
        # The accounts that have named a file and may read it, by its path, and those that alone speak for it.
        self.readers, self.namers = {}, {}
        # What has been asked for by accounts: how often, and which of them had root wait in vain.
        self.asked, self.stuck, self.accounts = {}, set(), {}

    def add(self, path, shown=None, quiet=False, by=None):
        """Read one file; its text, or None where there is none that may be read.

        ``by``: the account (uid) that has named it, with whose rights it is read; None where that was root.
        """
        shown = shown or path
        if shown in self.texts and (shown in self.owners if by is None else by in self.readers.get(shown, ())):
            return self.texts[shown]
        if not self._may(shown, by):
            return None
        try:
            raw, whose = _read(path, self.root) if by is None else self._read_as(by, path)
        except safe_path.UnsafePath as error:
            self.messages.append("%s: left out: %s" % (shown, error))
            return None
        except RuntimeError as error:
            # A file system of its own may answer never, and the account may end what reads for it.
            self.stuck.add(by)
            self.messages.append("%s: left out, as all that this account names besides: %s" % (shown, error))
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
        self._spoken(shown, by, whose)
        if shown not in self.texts or by is None:
            self.files[shown] = raw.decode("utf-8", "replace")
            self.texts[shown] = native(raw)
        return self.texts[shown]

    def _may(self, shown, by):
        """Whether one more file may be tried; what fails counts too, for each try may cost a process."""
        if self.tried >= MAX_FILES or self.total >= MAX_TOTAL:
            if not self.full:
                self.messages.append("%s: more files than a configuration has; the rest is left out" % shown)
            self.full = True
            return False
        if by is not None:
            asked = self.asked[by] = self.asked.get(by, 0) + 1
            if asked == MAX_NAMED + 1:
                what = "%s: %s names more files than a configuration has; the rest of them is left out"
                self.messages.append(what % (shown, safe_path.account_name(by)))
            if asked > MAX_NAMED or by in self.stuck:
                return False
        self.tried += 1
        return True

    def _read_as(self, uid, path):
        """The same as _read() with the rights of an account."""
        who = self.account(uid)
        found = safe_path.as_account(who, lambda: _for_root(path), (safe_path.UnsafePath,), SECONDS)
        return base64.b64decode(found[0]), found[1]

    def matching(self, pattern, by=None):
        """The paths that a pattern means, as whoever has named it sees them."""
        if by is None:
            return matching(pattern)
        if not self._may(pattern, by):
            return []
        try:
            found = safe_path.as_account(self.account(by), lambda: matching(pattern), seconds=SECONDS)
            return [native(path) for path in found]
        except RuntimeError as error:
            self.stuck.add(by)
            self.messages.append("%s: left out, as all that this account names besides: %s" % (pattern, error))
            return []

    def account(self, uid):
        """``{uid, gid, groups}`` of an account, looked up once."""
        if uid not in self.accounts:
            try:
                self.accounts[uid] = safe_path.account(pwd.getpwuid(uid).pw_name)
            except KeyError:
                self.accounts[uid] = {"uid": uid, "gid": NOBODY, "groups": []}
        return self.accounts[uid]

    def _spoken(self, shown, by, whose):
        """Note who speaks for a file: who can change it, or who has named it where root did not."""
        if by is None:
            self.owners[shown] = whose
            return
        self.readers.setdefault(shown, set()).add(by)
        # Of what belongs to another one nobody knows whether that one wants it used so.
        speaker = by if whose in (None, by) else NOBODY
        self.namers[shown] = speaker if self.namers.get(shown, speaker) == speaker else NOBODY

    def speaker(self, path, by=None):
        """The account (uid) that says what stands in a file, and so which others it names; None for root alone.

        ``by``: of the file that has named this one.
        """
        if by is not None:
            return by
        return self.owners[path] if path in self.owners else self.namers.get(path)

    def speakers(self, running):
        """{speakers, readers, accounts}: what the controller has to know to take from each file what is its to say."""
        spoken = dict((path, self.speaker(path)) for path in self.files)
        spoken = dict((path, uid) for path, uid in spoken.items() if uid is not None)
        accounts = {}
        for uid in set(spoken.values()).union(one["by"] for one in running if one["by"] is not None):
            about = self.account(uid)
            gids = [gid for gid in [about["gid"]] + list(about["groups"]) if gid != NOBODY]
            groups = [safe_path.group_name(gid) for gid in gids]
            # For what may be anybody's nobody speaks.
            known = {"name": safe_path.account_name(uid), "groups": groups}
            accounts[str(uid)] = {"name": "", "groups": []} if uid == NOBODY else known
        readers = dict((path, sorted(uids)) for path, uids in self.readers.items())
        return {"speakers": spoken, "readers": readers, "accounts": accounts}


def _read(path, root, links=0):
    """The bytes of a file, and who besides root can change it; None where nobody can.

    A link is followed where root alone can have put it, or within ``root``. Both are told of what is held open: by its
    path another file could be judged than was read.
    """
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
            return source.read(MAX_FILE + 1), _whose(where, name, os.fstat(source.fileno()))


def _whose(where, name, found):
    """Who besides root, and who runs this, can change a file that is held open in a folder that is."""
    if found.st_uid not in (0, os.geteuid()):
        # Whoever can change the folder as well speaks for the file too.
        return found.st_uid if where.whose in (None, found.st_uid) else NOBODY
    if where.whose is not None:
        return where.whose
    return NOBODY if safe_path.others_write(found, where.at(name)) else None


def _for_root(path):
    """_read() in a form that JSON can hold."""
    raw, whose = _read(path, None)
    return [native(base64.b64encode(raw)), whose]


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
    base, todo, seen = os.path.dirname(start), collections.deque([(start, None)]), set()
    while todo and not collection.full:
        path, by = one = todo.popleft()
        if one in seen:
            continue
        seen.add(one)
        text = collection.add(path, by=by)
        by = collection.speaker(path, by)
        for line in _INCLUDE.findall(re.sub(r"(?m)^[ \t]*#.*$", "", text or "")):
            target = line.strip().strip("\"'")
            if len(todo) < MAX_NAMES:
                found = collection.matching(target if target.startswith("/") else os.path.join(base, target), by)
                todo.extend((one, by) for one in found)


def follow_uwsgi(collection, path, by=None):
    """Read a configuration of uWSGI's, what it includes, and the vassals of an emperor. ``by``: as of add()."""
    todo, seen = collections.deque([(path, by)]), set()
    while todo and not collection.full:
        path, by = one = todo.popleft()
        if one in seen:
            continue
        seen.add(one)
        text = collection.add(path, quiet=True, by=by)
        by = collection.speaker(path, by)
        for target in _UWSGI_FILE.findall(text or "")[:MAX_NAMES]:
            todo.append((os.path.normpath(os.path.join(os.path.dirname(path), target)), by))
        for target in _EMPEROR.findall(text or ""):
            if len(todo) < MAX_NAMES:
                todo.extend((one, by) for one in _vassals(collection, target, os.path.dirname(path), by))


def _vassals(collection, target, folder, by):
    """The files that an emperor means by what it is told to watch. ``folder``: where that is looked for."""
    kind, _colons, rest = target.rpartition("://")
    if kind not in ("", "dir", "glob"):
        # A queue or a database, of which nothing is a file.
        return []
    whole = os.path.normpath(os.path.join(folder or "/", rest))
    return collection.matching(whole if re.search(r"[*?\[]", whole) else os.path.join(whole, "*.*"), by)


def follow_emperor(collection, words, folders, by=None):
    """Read the vassals of an emperor that is told by a command what to watch; the folder that it was started in."""
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name != "--emperor" or not (equals or words[place + 1:]):
            continue
        target = value if equals else words[place + 1]
        # It goes into the folder that it watches.
        above = [one[: -len(target) - 1] for one in folders if one.endswith("/" + target)]
        for folder in above + folders:
            found = _vassals(collection, target, folder, by)
            for path in found:
                follow_uwsgi(collection, path, by)
            if found:
                return folder
    return None


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
    found = []
    for name in sorted((one for one in os.listdir("/proc") if one.isdigit()), key=int):
        pid = int(name)
        if _has_other_files(pid):
            # A container's, whose files are not those of the host.
            continue
        try:
            words = [native(word) for word in procfs.read("/proc/%d/cmdline" % pid).split(b"\0") if word]
        except (IOError, OSError):
            continue
        title = " ".join(words)
        kind = "nginx" if title.startswith("nginx: master") else "uwsgi" if uwsgi_programs.runs(pid, words) else None
        parent = procfs.parent(pid)
        if kind is None or (kind == "uwsgi" and parent and uwsgi_programs.runs(parent, _words(parent))):
            continue
        if kind == "nginx" and not _is_ours(pid):
            # Whoever likes may call a process so, a program with a setuid bit too; nginx's master is root's.
            continue
        found.append(_process(pid, kind, words, parent))
    return found


def _has_other_files(pid):
    """Whether a process has another root than the host; a unit with mounts of its own (PrivateTmp) has the same."""
    try:
        return not os.path.samestat(os.stat("/proc/%d/root/" % pid), os.stat("/"))
    except OSError:
        return False


def _words(pid):
    try:
        return [native(word) for word in procfs.read("/proc/%d/cmdline" % pid).split(b"\0") if word]
    except (IOError, OSError):
        return []


def _uids(pid):
    """The uids of a process: real, effective, saved and that of files; none where it is gone."""
    found = re.search(br"(?m)^Uid:((?:\s+\d+){4})", procfs.read("/proc/%d/status" % pid))
    return [int(number) for number in found.group(1).split()] if found else []


def _is_ours(pid):
    """Whether a process is root's, or that of who runs this, with every uid that it has."""
    uids = _uids(pid)
    return bool(uids) and (set(uids) == set([0]) or set(uids) == set([os.geteuid()]))


def system_unit(cgroup, first=""):
    """The unit that systemd itself has put a process into, by /proc/PID/cgroup; empty where it is none.

    Only the first on the way is that: below it whoever was let to makes groups of any name. ``first``: the same file of
    the process 1, for a container's begin below a group of their host's.
    """
    way, top = (re.search(r"(?m)^\d+:(?:name=systemd)?:(/.*)$", text) for text in (cgroup, first))
    way, top = way.group(1) if way else "", re.sub(r"/init\.scope\Z", "", top.group(1)) if top else ""
    way = way[len(top):] if way.startswith(top + "/") else way
    return ([part for part in way.split("/") if part.endswith(".service")] or [""])[0]


def _process(pid, kind, words, parent):
    about = {"pid": pid, "kind": kind, "command": words, "parent": parent or 0, "folder": "", "user": "", "uid": NOBODY}
    # Who speaks by its command, which a process may change.
    about["by"] = None if _is_ours(pid) else NOBODY
    try:
        about["folder"] = os.readlink("/proc/%d/cwd" % pid)
    except OSError:
        pass
    uids = _uids(pid)
    if uids:
        # Root speaks only by what is root's in every way.
        about["uid"] = ([uid for uid in uids if uid] or [0])[0]
        about["by"] = about["uid"] if about["by"] is not None else None
        about["user"] = safe_path.account_name(about["uid"])
    about["unit"] = system_unit(*[native(procfs.read("/proc/%d/cgroup" % one)) for one in (pid, 1)])
    about["folders"] = [about["folder"]]
    about.update(stack_programs.running(pid))
    if kind == "nginx":
        # Its workers began when it last read its files.
        about["read"] = int(max([procfs.started_at(child) for child in procfs.children(pid)] or [0]))
    if kind == "uwsgi":
        about["read"] = stack_programs.last_read(pid)
        # Another program may go by that name.
        binary = about["program"] if uwsgi_programs.is_named([about["program"]]) else ""
        about["program"] = uwsgi_programs.library(pid) or binary
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
    started = follow_emperor(collection, process["command"], process["folders"], process["by"])
    process["folder"] = started or process["folder"]
    for word in process["command"][1:]:
        word = word.split("=", 1)[-1] if word.startswith("--") else word
        path = word.partition(":")[0]
        if not path.endswith(CONFIGS[:5]):
            continue
        for folder in process["folders"]:
            whole = os.path.normpath(os.path.join(folder or "/", path))
            # Asked with the account's rights: a file system of its own may keep root waiting.
            if collection.add(whole, quiet=True, by=process["by"]) is not None:
                process["folder"] = folder
                follow_uwsgi(collection, whole, process["by"])
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


def _folder_of(text):
    """The folder that a unit, or a program of supervisor's, is started in."""
    found = re.findall(r"(?m)^[ \t]*(?:WorkingDirectory|directory)[ \t]*=[ \t]*(/\S*)", text)
    return found[-1] if found else "/"


def commands_of(collection):
    """Read what the commands of units and of supervisor name."""
    for path, text in list(collection.texts.items()):
        by = collection.speaker(path)
        for line in re.findall(r"(?m)^[ \t]*(?:ExecStart|command)[ \t]*=(.*)$", text):
            follow_emperor(collection, re.split(r"[\s\"']+", line), [_folder_of(text)], by)
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
            if uwsgi_programs.has_title(process["command"]):
                message = "process %d: uWSGI, which calls itself %s: what it was started with is not told by that"
                collection.messages.append(message % (process["pid"], " ".join(process["command"])[:80]))
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
    found = {
        "files": collection.files,
        "messages": collection.messages,
        "main": starts[0] if starts else "",
        "processes": running,
        "limits": limits(),
        "enabled": enabled_units(),
    }
    found.update(collection.speakers(running))
    return found


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
        if kind == "folder":
            about["pythons"] = _pythons(path)
        found[path] = about
    return found


def _pythons(path):
    """The versions of Python whose virtualenv a folder is; none where it is none."""
    found = [re.match(r"python(\d+\.\d+)\Z", name) for name in names(os.path.join(path, "lib"))[:20]]
    return [one.group(1) for one in found if one]


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
