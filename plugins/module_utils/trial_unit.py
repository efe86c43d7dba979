# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Throw-away uWSGIs as systemd units with the settings of the units whose code they try; each ends with its cgroup.

Such a unit is written below /run/systemd/system from the texts of the other one: its file and its drop-ins, as they
stand or as they are wanted. What the unit says of account, sandbox, limits, environment, credentials and folders holds
for it too; what it says of starting, stopping, watching and output does not.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import fcntl
import os
import pwd
import re
import shlex
import subprocess
import tempfile

from ansible_collections.graceful.wsgi.plugins.module_utils import layout, procfs, safe_path
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import (
    STATE_DIR,
    encoded,
    lock_file,
    make_folders,
    native,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_config import from_environment
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import replace_bytes, unlink

FOLDERS = layout.UNIT_DIRS
# There is a systemd to ask if this is there, as its own sd_booted() has it.
BOOTED = "/run/systemd/system"
UNIT_DIR = layout.RUN_UNIT_DIR
RUN_DIR = "/run"
PLACE = os.path.join(STATE_DIR, "try")
PREFIX = "uwsgi-try-"
# How long a throw-away instance may take to end before its cgroup is killed.
PATIENCE = 2
PLAIN = re.compile(r"/([A-Za-z0-9_./@:+, -]*[A-Za-z0-9_/])?\Z")
# Settings of [Unit] that stay: what must be there before it.
KEPT = re.compile(r"^(After|Before|Requires|Wants|Requisite|RequiresMountsFor|DefaultDependencies|JoinsNamespaceOf)$")
# Settings of [Service] that go: how the live instance is started, stopped, watched and where its output goes.
DROPPED = re.compile(
    r"""^(
        Exec(?!StartPre$|Paths$|SearchPath$).* | Type | ExitType | Restart.* | PIDFile | BusName | Sockets | Watchdog.*
        | NotifyAccess | GuessMainPID | RemainAfterExit | Kill.* | FinalKillSignal | SendSIG.* | Timeout.* | Standard.*
        | Syslog.* | Success.* | Failure.* | FileDescriptorStore.* | RuntimeMaxSec | RuntimeRandomizedExtraSec
        | OOMPolicy | TTY.* | Log(Namespace|Rate.*|FilterPatterns|ExtraFields) | StartLimit.* | Reboot.*
        | RuntimeDirectoryPreserve | NonBlocking | Reload.*
    )$""",
    re.VERBOSE,
)
# uWSGI would take its variables for options and bind or write what the live one has; what decides how code loads of
# them is in the configuration. Whether it knows an option it is asked here, where it runs as it will.
START = """\
for name in $(PATH=/usr/bin:/bin; env | sed -n 's/^\\(UWSGI_[A-Za-z0-9_]*\\)=.*/\\1/p'); do unset "$name"; done
%(binary)s%(loads)s --dump-options >%(options)s 2>/dev/null || echo >%(options)s
exec %(binary)s --ini %(config)s
"""


class TrialError(Exception):
    """A throw-away unit cannot be made; the text says why."""


def quoted(word):
    """A word as a shell takes it for one."""
    return "'%s'" % word.replace("'", "'\\''")


def script(binary, options, config, loads=()):
    """What a throw-away instance runs first. ``options``: where it writes the options that its uWSGI knows.

    ``loads``: words by which it loads plugins, whose options are among those that it knows.
    """
    words = {"binary": binary, "options": options, "config": config}
    given = dict((name, quoted(word)) for name, word in words.items())
    return START % dict(given, loads="".join(" " + quoted(word) for word in loads))


def known(path):
    """The options that it has written there; the folder is its account's."""
    try:
        return set(native(safe_path.read_file(path, 1 << 20)).split())
    except (IOError, OSError, safe_path.UnsafePath):
        return set()


def systemctl(*words):
    """Status and output of systemctl."""
    environment = dict(os.environ, LC_ALL="C")
    try:
        asked = subprocess.Popen(
            ["systemctl"] + list(words),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            close_fds=True,
        )
    except (IOError, OSError) as error:
        return 127, str(error)
    text = native(asked.communicate()[0])
    return asked.returncode, text


def show(run, unit, *names):
    """Properties of a unit; empty where systemd does not answer."""
    status, text = run("show", unit, *["--property=" + name for name in names])
    return dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line) if status == 0 else {}


def available():
    """Whether there is a systemd to ask, and we may."""
    return os.geteuid() == 0 and os.path.isdir(BOOTED)


def unit_of(pid, run=systemctl):
    """The system's unit that has started this master, or the emperor above it; None where it was something else."""
    for line in native(procfs.read("/proc/%d/cgroup" % pid)).splitlines():
        number, kinds, path = (line.split(":", 2) + ["", ""])[:3]
        if kinds not in ("", "name=systemd") or (kinds == "" and number != "0"):
            continue
        parts = path.split("/")
        units = [part for part in parts if part.endswith(".service")]
        # A service of somebody's own systemd, which root has not written.
        if not units or any(part.startswith("user@") for part in parts):
            continue
        if show(run, units[0], "MainPID").get("MainPID") in (str(pid), str(procfs.parent(pid))):
            return units[0]
    return None


# -- what makes up a unit ---------------------------------------------------------------------------------------------


def _names(unit):
    stem, at, _rest = unit.partition("@")
    return [unit] + ([stem + "@.service"] if at else [])


def paths(unit, wanted=()):
    """Where a unit's texts stand: its file, then its drop-ins in systemd's order; nothing where it has no file.

    ``wanted``: paths that will be there.
    """
    names = _names(unit)
    files = [os.path.join(folder, name) for name in names for folder in FOLDERS]
    fragment = next((path for path in files if path in wanted or os.path.exists(path)), None)
    if fragment is None:
        return []
    found = {}
    for name in names:
        for folder in FOLDERS:
            place = os.path.join(folder, name + ".d")
            listed = os.listdir(place) if os.path.isdir(place) else []
            listed += [os.path.basename(path) for path in wanted if os.path.dirname(path) == place]
            for entry in listed:
                if entry.endswith(".conf"):
                    found.setdefault(entry, os.path.join(place, entry))
    return [fragment] + [found[entry] for entry in sorted(found)]


def texts(unit, wanted):
    """The texts themselves. ``wanted``: {path: text} that will be there."""
    return [wanted[path] if path in wanted else native(procfs.read(path)) for path in paths(unit, wanted)]


def parse(text):
    """The settings of a unit's text: [(section, name, value), ...] in order."""
    found, section, held = [], "", ""
    for line in text.splitlines():
        line = line.strip()
        # A comment may stand within a value that goes on.
        if line[:1] in ("#", ";") or not (line or held):
            continue
        held += line
        if held.endswith("\\"):
            held = held[:-1] + " "
            continue
        if held.startswith("[") and held.endswith("]"):
            section = held[1:-1]
        elif "=" in held:
            name, _equals, value = held.partition("=")
            found.append((section, name.strip(), value.strip()))
        held = ""
    return found


def specifiers(value, unit):
    """A value with what systemd puts in for a unit's own name put in: the throw-away one has another."""
    whole = unit[: -len(".service")]
    prefix, _at, instance = whole.partition("@")
    known = {
        "n": unit,
        "N": whole,
        "p": prefix,
        "P": prefix.replace("-", "/"),
        "i": instance,
        "I": instance.replace("-", "/"),
        "j": prefix.rpartition("-")[2],
        "J": prefix.rpartition("-")[2],
    }
    return re.sub(r"%(.)", lambda found: known.get(found.group(1), found.group(0)), value)


def replaced(value, replace):
    """A value with whole paths replaced, be they marked by one of systemd's prefixes."""
    if not replace:
        return value
    paths = "|".join(re.escape(path) for path in sorted(replace, key=len, reverse=True))
    return re.sub(r"(?<![\w./])(%s)(?![\w.-])" % paths, lambda found: replace[found.group(1)], value)


def last(settings, name):
    """What holds of a setting of [Service] that is given several times."""
    return ([""] + [value for section, key, value in settings if (section, key) == ("Service", name)])[-1]


def uid_of(user):
    """The number of an account by its name or number; of root where there is none."""
    if not user:
        return 0
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        if user.isdigit():
            return int(user)
        raise TrialError("there is no account %s" % user)


class Trial:
    """One throw-away unit. See Trials.add()."""

    def __init__(self, trials, name, unit, wanted, files, replace, who, folder, timeout, remain=False):
        self.run = trials.run
        self.unit = "%s%s-%s.service" % (PREFIX, name, os.path.basename(trials.place))
        stem = self.unit[: -len(".service")]
        self.run_dir = os.path.join(RUN_DIR, stem)
        self.place = os.path.join(trials.place, name)
        self.socket = os.path.join(self.run_dir, "sock")
        self.mark = os.path.join(self.run_dir, "accepts")
        self.log = os.path.join(self.place, "log") if trials.version >= 236 else None
        self.path = os.path.join(UNIT_DIR, self.unit)
        self.pid = 0
        # What systemctl said if it could not start it.
        self.refused = ""
        self.replace = dict(replace)
        self.replace.update(
            {
                "/run/credentials/" + unit: "/run/credentials/" + self.unit,
                os.path.join(RUN_DIR, "uwsgi-" + specifiers("%i", unit)): self.run_dir,
            }
        )
        settings = [item for text in texts(unit, wanted) for item in parse(text)]
        if not settings:
            raise TrialError("there is no unit %s" % unit)
        self._folders(files)
        settings = [(section, key, self._valued(value, unit)) for section, key, value in settings]
        self.uid = who["uid"] if who else uid_of(last(settings, "User"))
        # Of the variables that uWSGI would take for options.
        self.given = from_environment(self._environment(settings))
        lines = list(self._kept(settings, trials.version)) + self._own(name, trials, who, folder, timeout)
        if remain:
            lines.append(("Service", "RemainAfterExit", "yes"))
        text = "".join("[%s]\n%s=%s\n" % line for line in lines)
        replace_bytes(self.path, encoded(text), 0o644)

    def _folders(self, files):
        os.mkdir(self.place, 0o711)
        os.chmod(self.place, 0o711)
        if self.log:
            # systemd keeps the mode of what is there, and what code says may hold secrets.
            replace_bytes(self.log, b"", 0o600)
        # systemd opens them as root: nobody else is to.
        for number, path in enumerate(sorted(files)):
            copy = os.path.join(self.place, "file-%d" % number)
            replace_bytes(copy, encoded(files[path]), 0o600)
            self.replace[path] = copy

    def _valued(self, value, unit):
        return replaced(specifiers(value, unit), self.replace)

    @staticmethod
    def _environment(settings):
        found = {}
        for section, name, value in settings:
            if (section, name) == ("Service", "Environment"):
                try:
                    words = shlex.split(value)
                except ValueError:
                    continue
                found.update(word.partition("=")[::2] for word in words if word.startswith("UWSGI_"))
        return found

    def _kept(self, settings, version):
        for section, name, value in settings:
            if section == "Unit" and KEPT.match(name):
                yield section, name, value
            elif section == "Service" and name == "RuntimeDirectory":
                # One that it had in common with the live instance, an old systemd would remove with it.
                others = [word for word in value.split() if not self._live(word)]
                if version >= 235 and (others or not value):
                    yield section, name, " ".join(others)
            elif section == "Service" and not DROPPED.match(name):
                yield section, name, value

    def _live(self, word):
        return os.path.join(RUN_DIR, word) in self.replace

    def _own(self, name, trials, who, folder, timeout):
        lines = [
            ("Unit", "Description", "uWSGI application %s, loaded before it goes live" % name),
            ("Service", "Type", "simple"),
            ("Service", "RuntimeDirectory", os.path.basename(self.run_dir)),
            # uWSGI is told, and whatever is left in the cgroup once it has ended is killed at once.
            ("Service", "KillMode", "mixed"),
            ("Service", "KillSignal", "SIGINT"),
            ("Service", "SendSIGKILL", "yes"),
            ("Service", "TimeoutStartSec", str(timeout)),
            ("Service", "TimeoutStopSec", str(PATIENCE)),
            ("Service", "Restart", "no"),
            ("Service", "StandardInput", "null"),
            ("Service", "StandardOutput", "file:" + self.log if self.log else "journal"),
            ("Service", "StandardError", "inherit"),
            ("Service", "SyslogIdentifier", self.unit[: -len(".service")]),
        ]
        if trials.version >= 235:
            lines.append(("Service", "RuntimeDirectoryPreserve", "yes"))
        if trials.version >= 229:
            # Should nobody be left to end it.
            lines.append(("Service", "RuntimeMaxSec", str(timeout * 2 + 60)))
        if who:
            groups = " ".join(str(group) for group in who["groups"])
            lines += [("Service", "User", str(who["uid"])), ("Service", "Group", str(who["gid"]))]
            lines += [("Service", "SupplementaryGroups", ""), ("Service", "SupplementaryGroups", groups)]
        # Its name is the account's choice, and must say nothing else to systemd.
        if folder and PLAIN.match(folder) and os.path.isdir(folder):
            lines.append(("Service", "WorkingDirectory", folder))
        return lines + [("Service", "ExecStart", "/bin/sh " + self.script)]

    @property
    def options(self):
        """Where the throw-away uWSGI writes which options it knows."""
        return os.path.join(self.run_dir, "options")

    @property
    def config(self):
        """Its configuration."""
        return os.path.join(self.place, "preflight.ini")

    @property
    def script(self):
        """What its unit runs; which uWSGI that is need not be known before it is started."""
        return os.path.join(self.place, "start")

    # -- as uwsgi_preflight runs it -------------------------------------------------------------------------------

    def start(self, binary, text, loads=()):
        """Start uWSGI with this configuration. ``loads``: words by which it loads plugins before it lists options."""
        replace_bytes(self.config, encoded(text), 0o400, (self.uid, 0))
        self.begin(script(binary, self.options, self.config, loads))

    def begin(self, text):
        """Start it with this text of a shell's."""
        replace_bytes(self.script, encoded(text), 0o644)
        status, text = self.run("start", self.unit)
        self.refused = text.strip() if status != 0 else ""
        self.pid = int(self._show("MainPID").get("MainPID") or 0)

    def finished(self):
        """None while it runs; then its status, or a text that names a signal or systemd's own reason.

        Of one that remains: without that systemd takes an end by SIGTERM for a good one, and forgets how it ended.
        """
        if self.pid and procfs.alive(self.pid):
            return None
        found = self._show("ActiveState", "SubState", "Result", "ExecMainStatus", "ExecMainCode")
        ended = found.get("ActiveState") in ("failed", "inactive") or found.get("SubState") == "exited"
        if found and not ended:
            return None
        if found.get("ExecMainCode") == "1":
            return int(found["ExecMainStatus"])
        if found.get("ExecMainStatus") not in ("0", None):
            return "signal %s" % found["ExecMainStatus"]
        return self.refused or "systemd says %s" % found.get("Result")

    def _show(self, *names):
        return show(self.run, self.unit, *names)

    def known(self):
        """The options that its uWSGI has, empty where it could not be asked."""
        return known(self.options)

    def accepts(self):
        """Whether its worker accepts requests."""
        return os.path.lexists(self.mark)

    def ended(self):
        """How it ended, None while it runs."""
        if self.pid and procfs.alive(self.pid):
            return None
        found = self._show("ActiveState", "Result", "ExecMainStatus", "ExecMainCode")
        if self.refused and not found:
            return "no process (%s)" % self.refused
        if found.get("ActiveState") not in ("failed", "inactive"):
            return None
        code, status = found.get("ExecMainCode"), found.get("ExecMainStatus")
        why = "status %s" % status if code == "1" else "signal %s" % status if status != "0" else "no process"
        return why if found.get("Result") in ("exit-code", "signal", None) else "%s (%s)" % (why, found["Result"])

    def said(self):
        """What it said so far."""
        text = ""
        if self.log and os.path.exists(self.log):
            with open(self.log, "rb") as source:
                source.seek(max(0, os.path.getsize(self.log) - (1 << 18)))
                # Whatever still runs may go on writing.
                text = native(source.read(1 << 18))
        return text if text.strip() else self._journal()

    def _journal(self):
        """What systemd has kept of it, such as why it could not be started at all."""
        try:
            asked = subprocess.Popen(
                ["journalctl", "--no-pager", "--lines=400", "--output=cat", "--unit=" + self.unit],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                close_fds=True,
            )
        except (IOError, OSError):
            return ""
        return native(asked.communicate()[0])

    def end(self):
        """End it and all that it has started."""
        if os.path.lexists(self.path):
            self.run("stop", self.unit)


class Trials:
    """The throw-away units of one run of a module; what an earlier one left goes first.

    A context manager: within, add() makes units, ready() has systemd read them all.
    """

    def __init__(self, run=systemctl):
        self.run = run
        self.trials = []
        self.place = None
        self._lock = None
        self._version = None

    @property
    def version(self):
        """systemd's."""
        if self._version is None:
            found = re.match(r"systemd (\d+)", self.run("--version")[1])
            self._version = int(found.group(1)) if found else 0
        return self._version

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.close()

    def _open(self):
        make_folders(PLACE)
        # Nobody else lists what runs at the moment.
        os.chmod(PLACE, 0o711)
        # Between making its folder and holding its lock a run would seem to have died.
        with lock_file(os.path.join(PLACE, "lock")) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._sweep()
            self.place = tempfile.mkdtemp(prefix="", dir=PLACE)
            os.chmod(self.place, 0o711)
            self._lock = lock_file(os.path.join(self.place, "lock"))
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def _sweep(self):
        """End and remove what runs left that were killed."""
        for name in os.listdir(PLACE):
            place = os.path.join(PLACE, name)
            if not os.path.isdir(place):
                continue
            with lock_file(os.path.join(place, "lock")) as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except (IOError, OSError):
                    # It is at work.
                    continue
                self._remove(place)

    def add(self, name, unit, wanted=None, files=None, replace=None, who=None, folder=None, timeout=60, **more):
        """A unit with the settings of another one.

        ``wanted``: {path: text} of the other's files that are not live yet; ``files``: {path: text} of further files
        that its settings name and that are not live yet, root's own; ``replace``: {path: path to look at instead};
        ``who``: uid, gid and groups in the place of the unit's; ``folder``: where it starts, if not as the unit says;
        ``remain`` (false where not given): whether systemd remembers how it ended, see Trial.finished().
        """
        if self.place is None:
            self._open()
        trial = Trial(self, name, unit, wanted or {}, files or {}, replace or {}, who, folder, timeout, **more)
        self.trials.append(trial)
        return trial

    def ready(self):
        """Have systemd read them."""
        if self.trials:
            self.run("daemon-reload")

    def close(self):
        """End all and leave nothing."""
        if self.place is None:
            return
        self._remove(self.place)
        self._lock.close()
        self.place = None

    def _remove(self, place):
        ending = "-%s.service" % os.path.basename(place)
        listed = os.listdir(UNIT_DIR) if os.path.isdir(UNIT_DIR) else []
        units = [name for name in listed if name.startswith(PREFIX) and name.endswith(ending)]
        if units:
            self.run("stop", *units)
            for unit in units:
                unlink(os.path.join(UNIT_DIR, unit))
                safe_path.remove_tree(os.path.join(RUN_DIR, unit[: -len(".service")]))
            for unit in units:
                # systemd 219 resets none that stands behind one which it has forgotten.
                self.run("reset-failed", unit)
            self.run("daemon-reload")
        safe_path.remove_tree(place)
