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
import shutil
import signal
import subprocess
import tempfile
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import procfs
from ansible_collections.graceful.wsgi.plugins.module_utils.bundle import replace_bytes
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import STATE_DIR, encoded, make_folders, native
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_client import ClientError, ask
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_config import Config

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
# Keys of a cache or shared area that lead to a file or to other hosts; without them it is memory, as code may expect.
OUTSIDE = re.compile(r"^(store|store_sync|bitmap_file|udp.*|nodes?|sync|file|fd|mmap)=", re.IGNORECASE)
# What brings in options that the binary does not list.
MORE = ("plugin", "plugins", "need-plugin", "need-plugins", "dlopen", "autoload", "declare-option", "declare-option2")
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
}


def new_environment(wanted):
    """The variables that the application will have; ``wanted``: as SPEC says. Bytes, whatever the locale is."""
    return dict((native(name), encoded(value)) for name, value in wanted["environment"].items())


class Note:
    """That an application has loaded as it is wanted now; gone after a reboot, when libraries may be others.

    ``wanted``: as SPEC says; ``replace``: {live path: path that will be live}.
    """

    def __init__(self, wanted, replace, binary):
        # What a template made is text by now, and before that nobody knows what it makes.
        self.unknown = wanted["template"] is not None
        about = [dict(wanted, template=None, vars={}), replace, binary]
        self.digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode("utf-8")).hexdigest()
        self.path = os.path.join(STATE_DIR, "loads-%s" % wanted["name"])

    @property
    def holds(self):
        return not self.unknown and procfs.read(self.path).decode("utf-8") == self.digest

    def write(self):
        make_folders(STATE_DIR)
        # A digest of what holds secrets: whoever reads it could try what they are.
        replace_bytes(self.path, encoded(self.digest))


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
        if name.startswith("hook-post-fork") and value.startswith("chdir:"):
            folders.append(("chdir", value[len("chdir:"):]))
        if name in ("cache2", "sharedarea"):
            value = in_memory(value)
        if not DROPPED.match(name):
            kept.append((name, value))
    # A hook's folder holds whatever chdir says, and so comes last.
    return kept + folders


def unknown(options, known):
    """The options at which a live instance would end under strict; ``known``: what `uwsgi --dump-options` prints."""
    if not Config(options).on("strict") or set(name for name, _value in options).intersection(MORE):
        return []
    # A single letter is a command line's, and not among what is printed.
    return [name for name, _value in options if len(name) > 1 and name not in known]


def render(options, socket, token):
    """The configuration of the throw-away instance."""
    # One worker, forked as the live ones are, since code may fail only then; the last line is said when it accepts.
    own = [
        ("master", "true"),
        ("lazy-apps", "true"),
        ("need-app", "true"),
        ("processes", "1"),
        ("socket", socket),
        ("hook-accepting1", "print:" + token),
    ]
    return "[uwsgi]\n" + "".join("%s = %s\n" % pair for pair in options + own)


def _become(uid, gid, groups):
    def change():
        os.setsid()
        if os.getuid() == 0:
            os.setgroups(groups)
            os.setgid(gid)
            os.setuid(uid)
        os.umask(0o022)

    return change


def _refuse_unknown(binary, options, environment, become):
    """Hold all options against the binary's own list: the throw-away instance leaves out many, and strict itself."""
    asked = subprocess.Popen(
        [binary, "--dump-options"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd="/",
        close_fds=True,
        preexec_fn=become,
    )
    wrong = unknown(options, set(native(asked.communicate()[0]).split()))
    if asked.returncode == 0 and wrong:
        raise PreflightError("this uWSGI has no option %s, and under strict it would not start" % ", ".join(wrong))


def _last(path, lines=40):
    """What uWSGI said of the code: from where its worker started, if it came so far."""
    said = native(procfs.read(path)).splitlines()
    spawned = [number for number, line in enumerate(said) if line.startswith("spawned uWSGI worker 1 ")]
    return "\n".join(said[spawned[0] + 1 if spawned else 0:][-lines:])


def _end(process):
    """End the throw-away instance and everything that it started."""
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except OSError:
            break
        limit = time.time() + 2
        while process.poll() is None and time.time() < limit:
            time.sleep(0.02)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except OSError:
        pass
    process.wait()


def preflight(binary, options, who, environment, folder, timeout, replace=None, path=None):
    """Load the code; returns the seconds that it took, or raises PreflightError with what uWSGI said.

    ``binary``: uWSGI; ``options``: [(name, value), ...] as load() gives them; ``who``: uid, gid and groups of the
    workers; ``environment`` and ``folder``: the master's; ``timeout``: seconds; ``replace``: {path: path} for code that
    is not live yet; ``path``: if given it is asked for, and an answer of 500 or more is a failure.
    """
    token = "graceful-wsgi-accepts-" + os.urandom(8).hex() if hasattr(b"", "hex") else "graceful-wsgi-accepts"
    name = "@graceful-wsgi-%d-%d" % (os.getpid(), time.time() * 1000000)
    place = tempfile.mkdtemp(prefix="graceful-wsgi-")
    started = time.time()
    process = None
    become = _become(who["uid"], who["gid"], who["groups"])
    try:
        clean = dict((key, value) for key, value in environment.items() if not FOREIGN.match(key))
        clean.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")
        clean.setdefault("HOME", _home(who["uid"]))
        _refuse_unknown(binary, options, clean, become)
        os.chmod(place, 0o711)
        config, log = os.path.join(place, "preflight.ini"), os.path.join(place, "log")
        with open(config, "w") as target:
            target.write(render(neutral(options, replace or {}), name, token))
        os.chmod(config, 0o400)
        if os.getuid() == 0:
            os.chown(config, who["uid"], who["gid"])
        with open(log, "wb") as output, open(os.devnull, "rb") as nothing:
            process = subprocess.Popen(
                [binary, "--ini", config],
                stdin=nothing,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=clean,
                cwd=folder if os.path.isdir(folder) else "/",
                close_fds=True,
                preexec_fn=become,
            )
        _await(process, log, token, started + timeout)
        if path is not None:
            _ask(name, path, max(1.0, started + timeout - time.time()), log)
        return time.time() - started
    finally:
        if process is not None:
            _end(process)
        shutil.rmtree(place, ignore_errors=True)


def _await(process, log, token, limit):
    """Until the worker accepts; a worker that ended or was put in another's place will never."""
    first = None
    while True:
        said = native(procfs.read(log))
        if token in said:
            return
        workers = procfs.children(process.pid)
        if first is None and workers:
            first = min(workers)
        if process.poll() is not None:
            raise PreflightError("uWSGI ended with status %s:\n%s" % (process.returncode, _last(log)))
        if first is not None and first not in workers and token not in native(procfs.read(log)):
            raise PreflightError("the worker ended before it accepted a request:\n%s" % _last(log))
        if time.time() > limit:
            raise PreflightError("the code was not loaded within the time limit:\n%s" % _last(log))
        time.sleep(0.05)


def _ask(name, path, timeout, log):
    try:
        status, _text = ask(name, path, timeout=timeout)
    except ClientError as error:
        raise PreflightError("the new code did not answer %s: %s\n%s" % (path, error, _last(log)))
    if status >= 500:
        raise PreflightError("the new code answered %s with %d:\n%s" % (path, status, _last(log)))


def _home(uid):
    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return "/"
