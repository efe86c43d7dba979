# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Loads an instance's code in a throw-away uWSGI that leaves no trace, before a live worker is touched."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import hashlib
import json
import os
import pwd
import re
import select
import subprocess
import sys
import tempfile
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    preflight_answer,
    procfs,
    safe_path,
    trial_unit,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import STATE_DIR, encoded, make_folders, native
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_config import Config
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import replace_bytes

# Whatever binds, writes, starts further processes, ends some, or acts on the outside. The rest decides how code loads.
DROPPED = re.compile(
    r"""^(
        (uwsgi-|http-|https-|http2-|fastcgi-|fastcgi-nph-|scgi-|scgi-nph-|raw-|suwsgi-|ssl-|puwsgi-|zeromq-|zmq-)?socket
        | .*-socket | http.* | https.* | (fast|raw|ssl|forkpty|tuntap)-?router.* | shared-socket.* | socket-.*
        | map-socket | add-gateway | undeferred-shared-socket
        | stats.* | snmp.* | carbon.* | metrics?.* | push-.* | rrdtool.* | zabbix.* | statsd.* | alarm.*
        | (safe-)?pidfile2? | master.* | fifo | chmod-.* | chown-.* | umask-.* | vacuum | unlink.*
        | logto2? | log-.* | logger.* | req-logger.* | .*-logger | log.* | daemonize2? | daemon.*
        | touch-.* | fs-.* | py-auto-?reload.* | .*-reload-on.* | reload-on-.* | reload-mercy | worker-reload-mercy
        | auto-?reload.* | (lazy|lazy-apps|processes|workers|process|worker|p) | cheap.* | idle | die-on-.*
        | harakiri.* | max-requests.* | max-worker-lifetime.* | min-worker-lifetime | evil-reload.* | exit-on-.*
        | (smart-)?(attach|legion|emperor|vassal|zerg|zergling|subscri|fastroute|spool|mule|farm|cron|unique-cron).*
        | legion.* | early-emperor.* | daemons-.* | .*cron | spooler.* | mules? | cluster.* | multicast.* | dyn.*
        | exec-.* | hook-.* | call-.* | mount-.* | umount-.* | after-request-.* | on-.* | post-buffering
        | uid | gid | add-gid | additional-gid | chroot | pivot-root | unshare | cgroup.* | ns.* | cap | drop-.*
        | setns.* | refork.* | fork-socket | remap-modifier | flock.* | lock-.* | cpu-affinity | never-swap | mlock.*
        | procname.* | auto-procname | notify.* | cache-(store|udp|sync).* | ipcsem.* | ftok
        | strict | show-config | no-server | need-app | offload-.* | threads-?.*stack.* | thunder-lock | no-orphans
        | (socket-)?protocol | zmq | zeromq | immediate-[ug]id | py-traceback.* | tuntap.* | forkpty.* | pty.*
        | worker-exec.* | udp | upload-progress | python-auto-?reload.* | queue-store.*
        | forkbomb-.* | pause | reload | stop | symcall-post-fork | print.* | suspend
        | abstract-socket | so-.* | reuse-port | freebind | listen | emperor.* | force-get.* | kill-on-idle
    )$""",
    re.VERBOSE,
)
# A hook by which a worker goes into its folder.
FOLDER = re.compile(r"(?:chdir:|cd:|call:chdir )(.*)")
# Keys of a cache or shared area that lead to a file or to other hosts; without them it is memory, as code may expect.
OUTSIDE = re.compile(r"^(store|store_sync|bitmap_file|udp.*|nodes?|sync|file|fd|mmap)=", re.IGNORECASE)
# What brings in options that the binary does not list.
LOADS = ("plugins-dir", "plugin-dir", "plugin", "plugins", "need-plugin", "need-plugins")
DECLARES = ("declare-option", "declare-option2")
# What uWSGI says of a plugin's file that it cannot load; only need-plugin ends it.
NOT_LOADED = re.compile(
    r"UNABLE to load uWSGI plugin: (.*?)(?: !!!)?$|^(\S+_plugin\.so: .*)$|^(unable to load plugin .*)$"
    r"|^(invalid elf file: .*)$",
    re.MULTILINE,
)
FOREIGN = re.compile(r"^(UWSGI_|LISTEN_|NOTIFY_SOCKET$|WATCHDOG_|MAINPID$|INVOCATION_ID$|JOURNAL_STREAM$)")


# An application as the modules take it.
SPEC = {
    "name": {"type": "str", "required": True},
    "user": {"type": "str", "required": True},
    "group": {"type": "str", "required": True},
    "options": {"type": "list", "elements": "list", "default": []},
    "environment": {"type": "dict", "default": {}},
    "template": {"type": "str"},
    "vars": {"type": "dict", "default": {}},
    "text": {"type": "str"},
    "format": {"type": "str", "choices": ["ini", "json", "yaml", "xml"], "default": "ini"},
    "probe": {"type": "dict", "default": {}},
    "question": {"type": "dict", "default": {}},
    "unit": {"type": "str"},
    "dropin": {"type": "path"},
    "service": {"type": "list", "elements": "list", "default": []},
    "service_template": {"type": "str"},
    "service_vars": {"type": "dict", "default": {}},
    "service_text": {"type": "str"},
    # Contents of files that hold secrets: the modules are told to log no argument, and this none of its values.
    "files": {"type": "dict", "default": {}},
    # Paths of files with secrets, be they among those or on the host already.
    # Their paths, which are no secret.
    "secret_files": {"type": "list", "elements": "path", "default": [], "no_log": False},
    # Where its code is and what its variables say of packages, for the hint where a module is missing.
    "code": {"type": "dict", "default": {}},
    # The uWSGI of one that names a Python of its own.
    "binary": {"type": "path"},
}


def new_environment(wanted):
    """The variables that the application will have, where no unit hands them over; ``wanted``: as SPEC says."""
    return dict((native(name), native(value)) for name, value in wanted["environment"].items())


class Note:
    """That an application has loaded as it is wanted now; gone after a reboot, when libraries may be others.

    ``wanted``: as SPEC says; ``replace``: {live path: path that will be live}.
    """

    def __init__(self, wanted, replace, binary):
        # What a template made is text by now, and before that nobody knows what it makes.
        self.unknown = wanted["template"] is not None or wanted.get("service_template") is not None
        # In another sandbox code may load otherwise.
        drop_ins = unit_texts(wanted)
        around = trial_unit.texts(wanted["unit"], drop_ins) if wanted.get("unit") else []
        # Of what is text by now, and of what decides nothing but a message or comes from the sites that lead to it.
        left_out = {"template": None, "vars": {}, "service_template": None, "service_vars": {}}
        left_out.update({"code": {}, "question": {}})
        about = [dict(wanted, **left_out), around, replace, wanted.get("binary") or binary]
        # Told above; and what has loaded before there was this key has not loaded otherwise.
        about[0].pop("binary", None)
        # With another secret code may load otherwise.
        there = [path for path in wanted.get("secret_files") or [] if path not in wanted.get("files", {})]
        about += [hashlib.sha256(procfs.read(path)).hexdigest() for path in there]
        self.digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode("utf-8")).hexdigest()
        self.path = os.path.join(STATE_DIR, "loads-%s" % wanted["name"])

    @property
    def holds(self):
        return not self.unknown and procfs.read(self.path).decode("utf-8") == self.digest

    def write(self):
        make_folders(STATE_DIR)
        # A digest of what holds secrets: whoever reads it could try what they are.
        replace_bytes(self.path, encoded(self.digest))


def unit_texts(wanted):
    """The texts of an application's unit that are not live yet, {path: text}; ``wanted``: as SPEC says."""
    if not wanted.get("dropin"):
        return {}
    text = wanted.get("service_text")
    if text is None:
        text = "[Service]\n" + "".join("%s=%s\n" % tuple(pair) for pair in wanted.get("service") or [])
    return dict(wanted.get("files") or {}, **{wanted["dropin"]: text})


class PreflightError(Exception):
    """The code does not load; the text holds what uWSGI said."""


def in_memory(value):
    """A cache or shared area less what leads to a file or to other hosts."""
    return ",".join(part for part in value.split(",") if not OUTSIDE.match(part.strip()))


def neutral(options, replace):
    """The options that decide how code loads. ``replace``: {path: path to look at instead}."""
    kept, folders = [], []
    # The longest first: a virtualenv lies below the link to its release. All in one go: what was put in stays.
    paths = "|".join(re.escape(path) for path in sorted(replace, key=len, reverse=True))
    whole = re.compile(r"(?<![\w./-])(%s)(?![\w.-])" % paths)
    for name, value in options:
        if replace:
            value = whole.sub(lambda found: replace[found.group(1)], value)
        folder = FOLDER.match(value) if name.startswith("hook-post-fork") else None
        if folder:
            folders.append(("chdir", folder.group(1)))
        if name in ("cache2", "sharedarea"):
            value = in_memory(value)
        if not DROPPED.match(name):
            kept.append((name, value))
    # A hook's folder holds whatever chdir says, and so comes last.
    return kept + folders


def unknown(options, known):
    """The options at which a live instance would end under strict; ``known``: what `uwsgi --dump-options` prints."""
    if not Config(options).on("strict") or Config(options).on("autoload"):
        return []
    known = set(known).union(LOADS, DECLARES, ["dlopen"])
    known.update(value.partition("=")[0].strip() for name, value in options if name in DECLARES)
    # A single letter is a command line's, and not among what is printed.
    return [name for name, _value in options if len(name) > 1 and name not in known]


def render(options, socket, mark):
    """The configuration of the throw-away instance. ``mark``: the file that is there once it accepts."""
    # One worker, forked as the live ones are, since code may fail only then.
    own = [
        ("master", "true"),
        ("lazy-apps", "true"),
        ("need-app", "true"),
        ("processes", "1"),
        ("socket", socket),
        ("chmod-socket", "600"),
        ("hook-accepting1", "creat:" + mark),
    ]
    return "[uwsgi]\n" + "".join("%s = %s\n" % pair for pair in options + own)


# Runs a command with another account's rights and ends it with all that it has started, whatever has become a daemon
# meanwhile: what loses its parent becomes a child of this process. It lives as long as its standard input is open.
KEEPER = """
import json, os, select, signal, sys, time
told = json.loads(sys.stdin.readline())
try:
    import ctypes
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
except Exception:
    pass
def below():
    parents = {}
    for name in os.listdir("/proc"):
        try:
            with open("/proc/%d/stat" % int(name), "rb") as source:
                parents[int(name)] = source.read().rpartition(b")")[2].split()
        except (ValueError, IOError, OSError):
            pass
    found, more = set(), set([os.getpid()])
    while more:
        found |= more
        more = set(pid for pid in parents if parents[pid] and int(parents[pid][1]) in found) - found
    return set(pid for pid in found if pid != os.getpid() and parents[pid][0] != b"Z")
def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            pass
def reap():
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if pid == child:
                code = "signal %d" % (status & 127) if status & 127 else "status %d" % (status >> 8)
                os.write(1, (code + "\\n").encode("ascii"))
    except OSError:
        pass
child = os.fork()
if child == 0:
    try:
        log = os.open(told["log"], os.O_WRONLY | os.O_APPEND)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.setsid()
        if os.getuid() == 0:
            os.setgroups(told["who"]["groups"])
            os.setgid(told["who"]["gid"])
            os.setuid(told["who"]["uid"])
        os.umask(0o022)
        try:
            os.chdir(told["folder"].encode("utf-8"))
        except OSError:
            os.chdir("/")
        environment = dict((k.encode("utf-8"), v.encode("utf-8")) for k, v in told["environment"].items())
        os.execve("/bin/sh", ["sh", told["script"]], environment)
    finally:
        os._exit(127)
os.write(1, ("%d\\n" % child).encode("ascii"))
while not select.select([0], [], [], 0.05)[0] or os.read(0, 1):
    reap()
reap()
send([child] if child in below() else [], signal.SIGINT)
limit = time.time() + 2
while child in below() and time.time() < limit:
    reap()
    time.sleep(0.02)
limit = time.time() + 10
while below() and time.time() < limit:
    send(below(), signal.SIGKILL)
    time.sleep(0.01)
    reap()
"""


class Child:
    """A throw-away instance where there is no systemd to ask, or none that has started the live one.

    It has the live one's account and environment; not its sandbox, its limits and what else its unit would give it.
    """

    replace = {}
    given = []

    def __init__(self, who, environment, folder):
        self.who = who
        self.uid = who["uid"] if os.getuid() == 0 else os.getuid()
        clean = dict((key, native(value)) for key, value in environment.items() if not FOREIGN.match(key))
        clean.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")
        clean.setdefault("HOME", _home(who["uid"]))
        self.told = {"who": who, "environment": clean, "folder": folder}
        self.keeper = None
        self.heard = ""
        # A folder that its account can look into and nobody else can change, and in that one of the account's own.
        self.place = tempfile.mkdtemp(prefix="graceful-wsgi-")
        os.chmod(self.place, 0o711)
        run_dir = os.path.join(self.place, "run")
        os.mkdir(run_dir, 0o700)
        if os.getuid() == 0:
            os.chown(run_dir, who["uid"], who["gid"])
        self.socket, self.mark = os.path.join(run_dir, "sock"), os.path.join(run_dir, "accepts")
        self.options, self.log = os.path.join(run_dir, "options"), os.path.join(self.place, "log")

    def start(self, binary, text, loads=()):
        """Start uWSGI with this configuration. ``loads``: words by which it loads plugins before it lists options."""
        config, script = os.path.join(self.place, "preflight.ini"), os.path.join(self.place, "start")
        owner = (self.who["uid"], self.who["gid"]) if os.getuid() == 0 else None
        replace_bytes(config, encoded(text), 0o400, owner)
        replace_bytes(script, encoded(trial_unit.script(binary, self.options, config, loads)), 0o644)
        replace_bytes(self.log, b"", 0o600)
        self.keeper = subprocess.Popen(
            [sys.executable, "-E", "-s", "-c", KEEPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            close_fds=True,
        )
        self.keeper.stdin.write(encoded(json.dumps(dict(self.told, log=self.log, script=script)) + "\n"))
        self.keeper.stdin.flush()

    def _listen(self):
        while select.select([self.keeper.stdout], [], [], 0)[0]:
            text = os.read(self.keeper.stdout.fileno(), 4096)
            if not text:
                break
            self.heard += native(text)
        return self.heard.splitlines()

    @property
    def pid(self):
        """The master's, 0 before it is known."""
        return int((self._listen() or ["0"])[0])

    def known(self):
        """The options that its uWSGI has, empty where it could not be asked."""
        return trial_unit.known(self.options)

    def accepts(self):
        """Whether its worker accepts requests."""
        return os.path.lexists(self.mark)

    def ended(self):
        """How it ended, None while it runs."""
        heard = self._listen()
        if len(heard) > 1:
            return heard[1]
        return "no process" if self.keeper.poll() is not None else None

    def said(self):
        """What it said so far."""
        return native(procfs.read(self.log))

    def end(self):
        """End it and all that it has started."""
        if self.keeper is not None:
            self.keeper.stdin.close()
            self.keeper.wait()
            self.keeper.stdout.close()
        safe_path.remove_tree(self.place)


# What a master says of its first worker.
_SPAWNED = re.compile(r"^spawned uWSGI worker 1 \(.*\bpid: (\d+)", re.M)


def _settled(trial):
    """What it said, once no more comes: a journal has it a while after a worker has ended, on a busy host seconds."""
    said = trial.said()
    still = 0
    for _look in range(20):
        time.sleep(0.15)
        more = trial.said()
        still = still + 1 if more == said else 0
        said = more
        # A master whose code does not load ends by itself; systemd knows that of it that has ended.
        if still >= (2 if trial.ended() is not None else 6):
            break
    return said


def _last(trial, lines=40):
    """What uWSGI said of the code: from where its worker started, if it came so far."""
    said = _settled(trial).splitlines()
    spawned = [number for number, line in enumerate(said) if line.startswith("spawned uWSGI worker 1 ")]
    return "\n".join(said[spawned[0] + 1 if spawned else 0:][-lines:])


def preflight(binary, options, who, environment, folder, timeout, replace=None, asked=None, trial=None):
    """Load the code; returns the seconds that it took, or raises PreflightError with what uWSGI said.

    ``binary``: uWSGI; ``options``: [(name, value), ...] as load() gives them; ``who``: uid, gid and groups of the
    workers; ``environment`` and ``folder``: the master's; ``timeout``: seconds; ``replace``: {path: path} for code
    that is not live yet; ``asked``: what it must answer, see preflight_answer.judge(); ``trial``: a unit to run it in,
    as Trials.add() gives it, in the place of ``who``, ``environment`` and ``folder``.
    """
    started = time.time()
    trial = trial or Child(who, environment, folder)
    try:
        instead = dict(trial.replace, **(replace or {}))
        kept = neutral(trial.given + options, instead)
        loads = [word for name, value in kept if name in LOADS for word in ("--" + name, value)]
        trial.start(binary, render(kept, trial.socket, trial.mark), loads)
        try:
            _await(trial, started + timeout)
        finally:
            # Of a typing error in an option this says more than what came of it.
            if loads:
                _refuse_unloaded(trial)
            _refuse_unknown(trial, options)
        if asked:
            why = preflight_answer.judge(trial, asked)
            if why:
                raise PreflightError(why)
        return time.time() - started
    finally:
        trial.end()


def _refuse_unknown(trial, options):
    """Hold all options against the binary's own list: the throw-away instance leaves out many, and strict itself."""
    known = trial.known()
    wrong = unknown(options, known) if known else []
    if wrong:
        raise PreflightError("this uWSGI has no option %s, and under strict it would not start" % ", ".join(wrong))


def _refuse_unloaded(trial):
    """Say so where the file of a plugin is not loaded: uWSGI mentions it and goes on."""
    found = NOT_LOADED.search(trial.said())
    if found:
        why = next(group for group in found.groups() if group)
        raise PreflightError(
            "uWSGI does not load a plugin that its options name: %s; say with plugins-dir in which folder its file "
            "lies, or leave the plugin out" % why
        )


def _await(trial, limit):
    """Until the worker accepts; a worker that ended or was put in another's place will never.

    Only what the master says tells a worker from other programs that it starts: gevent, which it loads with
    gevent-early-monkey-patch, has Python 2.7 ask `uname`.
    """
    while True:
        if trial.accepts():
            return
        pid = trial.pid
        spawned = _SPAWNED.search(trial.said()) if pid else None
        # In this order: it was there when it was said.
        workers = procfs.children(pid) if spawned else set()
        ended = trial.ended()
        if ended is not None and not trial.accepts():
            raise PreflightError("uWSGI ended with %s:\n%s" % (ended, _last(trial)))
        if spawned and int(spawned.group(1)) not in workers and not trial.accepts():
            raise PreflightError("the worker ended before it accepted a request:\n%s" % _last(trial))
        if time.time() > limit:
            raise PreflightError("the code was not loaded within the time limit:\n%s" % _last(trial))
        time.sleep(0.05)


def _home(uid):
    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return "/"
