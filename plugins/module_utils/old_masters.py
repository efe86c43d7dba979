# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The uWSGI of an existing stack: found by the socket that it listens on, ended with what starts it, started again."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import binascii
import grp
import os
import pwd
import re
import signal
import socket
import subprocess
import sys

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    emperors,
    nginx_master,
    procfs,
    safe_path,
    stack_files,
    uwsgi_client,
    whole_files,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import encoded, native
from ansible_collections.graceful.wsgi.plugins.module_utils.nginx_package import program

LISTENS = "0A"
# Any address, this host by IPv6, and how IPv6 writes an address of IPv4.
ANY, ANY6, LOOP6, MAPPED = b"\0" * 4, b"\0" * 16, b"\0" * 15 + b"\1", b"\0" * 10 + b"\xff\xff"
BOOT = ("/etc/rc.local", "/etc/rc.d/rc.local", "/etc/crontab")
BOOT_FOLDERS = ("/etc/cron.d", "/var/spool/cron", "/var/spool/cron/crontabs", "/etc/init.d")
BY_HAND, SYSTEMD, SUPERVISOR = "hand", "systemd", "supervisor"


class StackError(Exception):
    """An old application that cannot be ended, or not be had back."""


def is_uwsgi(pid):
    """Whether a process runs uWSGI, by its program, or by its words where the program may not be seen."""
    path = procfs.executable(pid) or (procfs.words(pid) or [""])[0]
    return os.path.basename(path).startswith(("uwsgi", "pyuwsgi"))


def _local(text):
    """The address of a line of /proc/net/tcp or tcp6, as the network writes it."""
    words = binascii.unhexlify(text)
    if sys.byteorder == "little":
        words = b"".join(words[at:at + 4][::-1] for at in range(0, len(words), 4))
    return words[12:] if words.startswith(MAPPED) else words


def _wanted(host):
    """Where a connection to a host ends, each a set of addresses: the first of these that has a listener has it."""
    host = host.strip("[]")
    host = uwsgi_client.LOCAL.get(host, host)
    try:
        found = socket.getaddrinfo(host, None, 0, socket.SOCK_STREAM)
    except (IOError, OSError, UnicodeError):
        return []
    named = set(socket.inet_pton(family, where[0].partition("%")[0]) for family, _a, _b, _c, where in found)
    # The import writes all that leads to the host itself as 127.0.0.1.
    return [named, {ANY}, {ANY6}] + ([{LOOP6}] if host == "127.0.0.1" else [])


def _tcp(address):
    """{inode: uid} of the TCP sockets to which a connection to host:port leads."""
    host, _colon, port = address.rpartition(":")
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in native(procfs.read(table)).splitlines()[1:]:
            words = line.split()
            if len(words) > 9 and words[3] == LISTENS:
                where, _colon, number = words[1].rpartition(":")
                if int(number, 16) == int(port):
                    found.setdefault(_local(where), {})[words[9]] = int(words[7])
    for ends in _wanted(host):
        there = [found[one] for one in ends if one in found]
        if there:
            return dict((inode, uid) for one in there for inode, uid in one.items())
    return {}


def listening(address, owners=None):
    """The inodes of the sockets that listen at unix:/path or host:port.

    ``owners``: the uids of which one must have made a socket for TCP; of others the kernel's table does not tell.
    """
    if address.startswith("unix:"):
        path, found = address[len("unix:"):], set()
        for line in native(procfs.read("/proc/net/unix")).splitlines()[1:]:
            words = line.split()
            # 00010000: it accepts connections.
            if len(words) > 7 and words[7] == path and words[3] == "00010000":
                found.add(words[6])
        return found
    return set(inode for inode, uid in _tcp(address).items() if owners is None or uid in owners)


def holders(address, owners=None):
    """The pids of the uWSGI processes that hold a socket that listens there. ``owners``: the uids that count."""
    inodes, found = listening(address, owners), []
    for name in os.listdir("/proc") if inodes else []:
        if not name.isdigit() or not is_uwsgi(int(name)):
            continue
        who = procfs.ids(int(name))
        if owners is not None and (who is None or who["uid"] not in owners):
            continue
        # One that gave up root's rights by itself shows nothing to its own account either.
        held = procfs.sockets(int(name))
        if held is None:
            with procfs.seen_as(int(name)):
                held = procfs.sockets(int(name))
        if held and held.intersection(inodes):
            found.append(int(name))
    return sorted(found)


def owners(about):
    """Whose an old application's sockets are: its own, or root's, who bound them before it gave up its rights."""
    return (about["who"]["uid"], 0)


def serving(about, run):
    """The pids that listen where an old application did, and are its own: nobody else's, and of its unit."""
    pids = holders(about["address"], owners(about))
    return [pid for pid in pids if about["kind"] != SYSTEMD or _unit_of(pid, run) == about["unit"]]


def _cgroup(pid):
    """The group of a process, as systemd names it."""
    found = {}
    for line in native(procfs.read("/proc/%d/cgroup" % pid)).splitlines():
        words = line.split(":", 2)
        if len(words) == 3:
            found[words[1]] = words[2]
    return found.get("name=systemd") or found.get("") or ""


def _unit_of(pid, run):
    """The unit of root's systemd that a process belongs to; whoever likes may call a group of his own after one."""
    path, at = _cgroup(pid), 0
    while True:
        at = path.find(".service", at)
        if at < 0:
            return ""
        at += len(".service")
        name = os.path.basename(path[:at])
        if path[at:at + 1] in ("", "/") and re.match(r"[\w@.\\:-]+\Z", name):
            _status, out, _err = run([program("systemctl"), "show", "-p", "ControlGroup", "--", name])
            if out.strip() == "ControlGroup=" + path[:at]:
                return name


def find(apps, run):
    """The old master of each application, with what starts it."""
    found = []
    for app in apps:
        for address in app["addresses"]:
            pids = holders(address)
            tops = [pid for pid in pids if procfs.parent(pid) not in pids]
            if len(tops) > 1 and address.startswith("unix:"):
                tops = _of_path(tops, address[len("unix:"):])
            if len(tops) != 1:
                raise StackError("%s: %s uWSGI listen at %s; one is to be moved" % (
                    app["name"],
                    len(tops) or "no",
                    address,
                ))
            found.append(_about(app, address, tops[0], run))
    return found


def _of_path(pids, path):
    """Those to whom a path leads: in a view of his own of the files, whoever likes may listen at one of this name."""
    try:
        pid, uid = uwsgi_client.listener(path)
    except uwsgi_client.ClientError:
        return pids
    return [one for one in pids if one == pid] or [one for one in pids if (procfs.ids(one) or {}).get("uid") == uid]


def _uid(user):
    """The uid of an account, or None where there is none yet."""
    try:
        return pwd.getpwnam(user).pw_uid if user else None
    except KeyError:
        return None


def _gid(group):
    try:
        return grp.getgrnam(group).gr_gid if group else None
    except KeyError:
        return None


def other_rights(app, who):
    """Why an application would get rights that its old one has not, or None: its own files may have named the account.

    An account or group that is made for it has none, and what runs as root may name any.
    """
    uid, gid = _uid(app.get("user")), _gid(app.get("group"))
    message = "%s: it would run %s %s, and the old one runs as %s; %s: leave it out for one of its own, or restart the "
    message += "old application as it is to be, and run this again"
    if who["uid"] and uid is not None and uid != who["uid"]:
        return message % (app["name"], "as", app["user"], safe_path.account_name(who["uid"]), "user")
    if who["uid"] and gid is not None and gid not in [who["gid"]] + who["groups"]:
        return message % (app["name"], "in the group", app["group"], safe_path.account_name(who["uid"]), "group")
    return None


def _about(app, address, pid, run):
    above = procfs.parent(pid) or 0
    vassal = emperors.file_of(pid, app.get("vassals") or []) if is_uwsgi(above) else None
    if is_uwsgi(above) and vassal is None:
        message = "%s was started by another uWSGI (process %d), and it is not clear by which file; give it a unit"
        raise StackError(message % (app["name"], above))
    environment = procfs.environment(pid)
    begun = environment.get("PWD", "")
    about = {
        "app": app["name"],
        "address": address,
        "protocol": app["protocol"],
        "host": app["host"],
        "pid": pid,
        "start": procfs.process_start(pid),
        "binary": procfs.executable(pid),
        "words": procfs.words(pid),
        "folder": begun if begun.startswith("/") and os.path.isdir(begun) else procfs.folder(pid) or "/",
        "environment": environment,
        "who": procfs.ids(pid),
        "kind": BY_HAND,
    }
    why = other_rights(app, about["who"])
    if why:
        raise StackError(why)
    if vassal:
        return dict(about, kind=emperors.KIND, file=vassal)
    unit = _unit_of(pid, run)
    by_supervisor = any("supervisord" in word for word in procfs.words(above))
    if by_supervisor and len(app["programs"]) == 1:
        about.update(kind=SUPERVISOR, program=app["programs"][0]["name"], file=app["programs"][0]["file"])
    elif by_supervisor:
        raise StackError("%s: it is not clear which program of supervisor's starts it" % app["name"])
    elif unit in app["units"] or any(_is_template(name, unit) for name in app["units"]):
        status, out, _err = run([program("systemctl"), "is-enabled", unit])
        about.update(kind=SYSTEMD, unit=unit, enabled=status == 0 and out.strip().startswith("enabled"))
    return about


def _is_template(name, unit):
    return "@." in name and unit.startswith(name.partition("@")[0] + "@")


def cannot_return(about):
    """Why an old application could not be started again as it was, or None."""
    if about["kind"] == emperors.KIND:
        why = emperors.cannot_move(about["file"])
        return "%s: %s. %s" % (about["app"], why, _cure(about)) if why else None
    if about["kind"] == SUPERVISOR:
        why = safe_path.untrusted_target(about["file"])
        return "%s: %s; root changes no such file. %s" % (about["file"], why, _cure(about)) if why else None
    if about["kind"] == BY_HAND and about["who"]["uid"] == 0:
        message = "%s runs as root and was started by hand (process %d); root starts nothing again by what it finds. %s"
        return message % (about["app"], about["pid"], _cure(about))
    if about["kind"] == BY_HAND and not os.path.basename(about["words"][0]).startswith(("uwsgi", "pyuwsgi")):
        message = "%s: process %d has put a title in the place of its command, so it could not be started again. %s"
        return message % (about["app"], about["pid"], _cure(about))
    return None


def _cure(about):
    return "Give it a unit of systemd's first, or say adopt_stop: false and end it yourself afterwards"


# -- the end -----------------------------------------------------------------------------------------------------------


def without_autostart(text, name):
    """A file of supervisor's whose program is not started by itself."""
    # Python 2.7 splits at nothing that is empty.
    starts = [0] + [found.start() for found in re.finditer(r"(?m)^\[", text)]
    ends = starts[1:] + [len(text)]
    blocks = [text[start:ends[index]] for index, start in enumerate(starts)]
    for index, block in enumerate(blocks):
        if block.partition("\n")[0].strip() == "[program:%s]" % name:
            kept = re.sub(r"(?m)^autostart[ \t]*[=:].*\n?", "", block)
            head, _newline, rest = kept.partition("\n")
            blocks[index] = "%s\nautostart=false\n%s" % (head, rest)
    return "".join(blocks)


def _run(run, words, what):
    status, out, err = run(words)
    if status != 0:
        raise StackError("%s: %s: %s" % (what, " ".join(words), (out + err).strip()))


def prepare(about):
    """Note what is needed to have one back, before it is ended; a second run notes nothing else."""
    if about["kind"] == SUPERVISOR and "file_before" not in about:
        text = native(whole_files.read_bytes(os.path.realpath(about["file"])))
        about["file_before"], about["file_after"] = text, without_autostart(text, about["program"])


def _replace(about, key):
    path = os.path.realpath(about["file"])
    found = os.stat(path)
    whole_files.replace_bytes(path, encoded(about[key]), found.st_mode & 0o7777, (found.st_uid, found.st_gid))


def stop(about, run, timeout):
    """End one that is prepared; (what was done, what is left)."""
    if about["kind"] == SYSTEMD:
        if about["enabled"]:
            _run(run, [program("systemctl"), "disable", about["unit"]], about["app"])
        _run(run, [program("systemctl"), "stop", about["unit"]], about["app"])
        return ["%s: %s is stopped and disabled" % (about["app"], about["unit"])], []
    if about["kind"] == SUPERVISOR:
        _replace(about, "file_after")
        _supervisorctl(run, "stop", about)
        return ["%s: program %s of supervisor's is stopped, and not started by itself" % (
            about["app"],
            about["program"],
        )], []
    if about["kind"] == emperors.KIND:
        return _dismiss(about, timeout)
    return _end(about, timeout)


def _dismiss(about, timeout):
    """Have its emperor end a vassal, and start it no more."""
    emperors.take_away(about["file"])

    def gone():
        return procfs.process_start(about["pid"]) != about["start"] and not holders(about["address"], owners(about))

    if not nginx_master.wait(gone, max(timeout, emperors.PATIENCE), 0.2):
        text = "%s: its emperor has not ended it (process %d), though %s is taken away; end it by hand"
        return [], [text % (about["app"], about["pid"], about["file"])]
    return ["%s: its emperor has ended it, and %s is kept as %s" % (
        about["app"],
        about["file"],
        os.path.basename(about["file"]) + emperors.ASIDE,
    )], []


def _supervisorctl(run, word, about):
    command = next(
        (path for path in ("/usr/bin/supervisorctl", "/usr/local/bin/supervisorctl") if os.access(path, os.X_OK)), None
    )
    if command is None or safe_path.untrusted_target(command):
        raise StackError("%s: there is no supervisorctl that is root's alone" % about["app"])
    _run(run, [command, word, about["program"] + ":*"], about["app"])


def _end(about, timeout):
    """End one that was started by hand: the very processes that hold its socket."""
    if procfs.process_start(about["pid"]) != about["start"]:
        return ["%s: process %d has ended by itself" % (about["app"], about["pid"])], []
    others = holders(about["address"], owners(about))
    pids = [about["pid"]] + [pid for pid in others if pid != about["pid"]]
    begun = dict((pid, procfs.process_start(pid)) for pid in pids)
    for pid in pids:
        # Its master ends the workers; without one each is told by itself.
        if procfs.alive(pid) and procfs.process_start(pid) == begun[pid]:
            _signal(pid, signal.SIGINT)
            nginx_master.wait(lambda pid=pid: not procfs.alive(pid), timeout if pid == about["pid"] else 5, 0.1)
    left = [pid for pid in holders(about["address"], owners(about)) if begun.get(pid) == procfs.process_start(pid)]
    if left:
        text = "%s: processes %s still listen at %s; end them by hand"
        return [], [text % (about["app"], ", ".join(map(str, left)), about["address"])]
    return ["%s: process %d has ended" % (about["app"], about["pid"])], []


def _signal(pid, number):
    try:
        os.kill(pid, number)
    except OSError:
        # It has ended meanwhile.
        pass


def mentions():
    """What would start a uWSGI again at the next boot and is nobody's here to change, a line each."""
    found = []
    paths = list(BOOT)
    for folder in BOOT_FOLDERS:
        paths += [os.path.join(folder, name) for name in stack_files.names(folder)]
    for path in paths:
        try:
            text = native(safe_path.read_file(path, 65536))
        except (IOError, OSError, safe_path.UnsafePath):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(r"\buwsgi\b", line) and not line.lstrip().startswith("#"):
                found.append("%s:%d may start the old uWSGI again: take the line out" % (path, number))
                break
    return found


# -- the way back ------------------------------------------------------------------------------------------------------


def start(about, run):
    """Start one again as it was; what was done."""
    if about["kind"] == emperors.KIND:
        # Before anything else: what its emperor has not ended yet is not to be ended any more.
        back = emperors.put_back(about["file"])
        return ["%s: its emperor has %s again" % (about["app"], about["file"])] if back else []
    if serving(about, run):
        return []
    if about["kind"] == SYSTEMD:
        if about["enabled"]:
            _run(run, [program("systemctl"), "enable", about["unit"]], about["app"])
        _run(run, [program("systemctl"), "start", about["unit"]], about["app"])
        return ["%s: %s is started%s" % (about["app"], about["unit"], " and enabled" if about["enabled"] else "")]
    if about["kind"] == SUPERVISOR:
        path = os.path.realpath(about["file"])
        if native(whole_files.read_bytes(path)) == about.get("file_after"):
            _replace(about, "file_before")
        _supervisorctl(run, "start", about)
        return ["%s: program %s of supervisor's is started" % (about["app"], about["program"])]
    _spawn(about)
    return ["%s: %s is started again as %s" % (
        about["app"],
        os.path.basename(about["words"][0]),
        safe_path.account_name(about["who"]["uid"]),
    )]


def _spawn(about):
    """Start a command as the account that it ran as, in a session of its own."""
    if about["who"]["uid"] == 0:
        raise StackError("%s ran as root; start it by hand: cd %s && %s" % (
            about["app"],
            about["folder"],
            " ".join(about["words"]),
        ))
    who = about["who"]

    def settle():
        os.setsid()
        safe_path.drop_to(who)
        os.chdir(about["folder"])

    nothing = open(os.devnull, "r+b")
    try:
        words = [about["binary"] or about["words"][0]] + about["words"][1:]
        subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn
            words,
            env=dict((str(name), str(value)) for name, value in about["environment"].items()),
            preexec_fn=settle,
            stdin=nothing,
            stdout=nothing,
            stderr=nothing,
            close_fds=True,
        )
    finally:
        nothing.close()
