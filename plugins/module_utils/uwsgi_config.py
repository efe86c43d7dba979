# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads a uWSGI configuration without running uWSGI, whose own ways of showing it open logs and remove run files."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import collections
import json
import os
import re
import socket
from xml.etree import ElementTree

from ansible_collections.graceful.wsgi.plugins.module_utils import safe_path
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

# More than any configuration, less than what would fill the memory.
LARGEST = 1 << 22
FORMATS = {".ini": "ini", ".json": "json", ".js": "json", ".yaml": "yaml", ".yml": "yaml", ".xml": "xml"}
# Options that bring in another file.
INCLUDES = ("ini", "include", "inherit", "config", "json", "js", "yaml", "yml", "xml")
# Short options that matter here, and whether they take a word.
SHORT = {
    "s": "socket",
    "p": "processes",
    "w": "module",
    "H": "home",
    "M": "master",
    "d": "daemonize",
    "b": "buffer-size",
    "x": "xml",
    "y": "yaml",
    "j": "json",
    "T": "enable-threads",
    "R": "max-requests",
    "t": "harakiri",
    "C": "chmod-socket",
    "L": "disable-logging",
    "O": "optimize",
    "Q": "spooler",
    "i": "single-interpreter",
    "l": "listen",
    "m": "memory-report",
    "r": "reaper",
    "z": "socket-timeout",
}
ALONE = set(
    (
        "master enable-threads lazy lazy-apps vacuum need-app strict die-on-term single-interpreter no-orphans"
        " thunder-lock log-master log-reopen exit-on-reload auto-procname memory-report disable-logging no-site"
        " manage-script-name http-websockets show-config no-server http-keepalive ignore-sigpipe"
        " reaper ignore-write-errors disable-write-exception log-x-forwarded-for close-on-exec gevent-monkey-patch"
    ).split()
)
FALSE = ("false", "no", "0", "off")


class ConfigError(Exception):
    """The configuration cannot be read; the text names the file and says why."""


def _names(path):
    """The variables that a file's own path gives."""
    full = os.path.realpath(path)
    folder, base = os.path.split(full)
    name, ending = os.path.splitext(base)
    return {
        "o": path,
        "p": full,
        "s": base,
        "d": folder.rstrip("/") + "/",
        "n": name,
        "e": ending.lstrip("."),
        "c": os.path.basename(folder),
    }


def _magic(text, path, first):
    """uWSGI's one-letter variables; one that it does not know is empty. A capital asks for the file read first."""
    table = dict((letter.upper(), value) for letter, value in _names(first).items())
    table.update(_names(path))
    table.update((str(number), part) for number, part in enumerate(table["p"].split("/")[1:-1]))
    table.update({"%": "%%", "(": "%(", "h": socket.gethostname()})
    # What is left as %% or %( is for the placeholders, which come last.
    return re.sub(r"%(.)", lambda found: table.get(found.group(1), ""), text)


def _ini(text, section):
    found, inside = [], False
    # A line ends for uWSGI where it does in C; a form feed or a separator of Unicode's is part of a value.
    for line in text.split("\n"):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            inside = line[1:-1] == section
        elif inside:
            name, equals, value = line.partition("=")
            found.append((name.strip(), value.strip() if equals else "true"))
    return found


def _yaml(text, section):
    """uWSGI's built-in YAML, and of libyaml's the lists that it takes for a repeated option."""
    found, inside, name = [], False, None
    for line in text.split("\n"):
        line = line.partition("#")[0].rstrip()
        if not line.strip():
            continue
        if not line[0].isspace():
            inside = line.rstrip(":") == section
            continue
        if not inside:
            continue
        line = line.strip()
        if line.startswith("- "):
            if name is not None:
                found.append((name, line[2:].strip()))
            continue
        name, _colon, value = line.partition(":")
        name = name.strip()
        if value.strip():
            found.append((name, value.strip().strip("'\"")))
    return found


def _word(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return native(value) if not isinstance(value, (int, float)) else str(value)


def _json(text, section):
    data = json.loads(text, object_pairs_hook=collections.OrderedDict)[section]
    found = []
    for name, value in data.items():
        found += [(native(name), _word(item)) for item in (value if isinstance(value, list) else [value])]
    return found


def _xml(text, section):
    root = ElementTree.fromstring(text)
    tops = [root] if root.tag == section else root.findall(section)
    found = []
    for top in tops:
        for element in top:
            found.append((native(element.tag), native((element.text or "").strip()) or "true"))
    return found


PARSERS = {"ini": _ini, "yaml": _yaml, "json": _json, "xml": _xml}


def _read(path):
    """The text of a regular file; a fifo would hold us for ever, and its owner need not be ours."""
    try:
        handle = safe_path.open_regular(path, links=True)
    except safe_path.UnsafePath:
        raise ConfigError("%s: is not a regular file" % path)
    with os.fdopen(handle, "rb") as source:
        text = source.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise ConfigError("%s: is larger than any configuration" % path)
    return native(text)


def _roots_alone(path):
    """The text of a file that nobody but root could have put there."""
    why = safe_path.untrusted(path)
    if why:
        raise ConfigError("%s: cannot be read by its account, and is not root's alone (%s)" % (path, why))
    return _read(path)


def load_as(who, address, kind=None, folder=None, named=False):
    """The options of a configuration, read with the rights of the account whose it is; see load().

    ``who``: uid, gid and groups. What that account writes there, or gives its program as words, may name any file of
    the host: nothing is read that it could not read itself. ``named``: whether root's own play has named the file. One
    that only root can change, and that its account cannot read, may have been read by a master that was still root's;
    then root has named what is included in it, too.
    """
    try:
        found = safe_path.as_account(who, lambda: load(address, kind, folder), (ConfigError,))
    except ConfigError:
        path = address.partition(":")[0]
        if not named or os.geteuid() != 0 or who["uid"] == 0 or safe_path.untrusted(path) or _readable(who, path):
            raise
        return load(address, kind, folder, read=_roots_alone)
    return [(native(name), native(value)) for name, value in found]


def _readable(who, path):
    return safe_path.as_account(who, lambda: os.access(path, os.R_OK))


def load(address, kind=None, folder=None, seen=(), read=_read):
    """The options of a configuration file, [(name, value), ...] in order, those of files that it includes among them.

    ``address``: a path, with ``:section`` behind it if it is another than uwsgi; ``kind``: ini, json, yaml or xml, told
    by the ending where not given; ``folder``: where the master was started, which relative includes start from; the
    file's own where not given. Placeholders (``%(x)``) are left as they stand; see resolve().
    """
    path, _colon, section = address.partition(":")
    if kind not in PARSERS:
        kind = FORMATS.get(os.path.splitext(path)[1].lower(), "ini")
    real = os.path.realpath(path)
    if (real, section) in seen:
        raise ConfigError("%s: includes itself" % path)
    try:
        text = read(path)
        found = PARSERS[kind](_magic(text, path, seen[0][0] if seen else path), section or "uwsgi")
    except (IOError, OSError) as error:
        raise ConfigError("%s: %s" % (path, error.strerror))
    except (ValueError, KeyError, ElementTree.ParseError) as error:
        raise ConfigError("%s: is no %s that uWSGI would read: %s" % (path, kind, error))
    options = []
    for name, value in found:
        options.append((name, value))
        if name in INCLUDES:
            options.pop()
            other = resolve(options, value)
            # Without a path it is another section of the same file.
            other = path + other if other.startswith(":") else os.path.join(folder or os.path.dirname(path), other)
            options += load(other, name if name in PARSERS else None, folder, tuple(seen) + ((real, section),), read)
    return options


def resolve(options, value, environment=None):
    """A value with its placeholders filled in, as uWSGI does last; what is unknown stays as it is."""
    known = {}
    for name, text in options:
        if name in ("set", "set-ph", "set-placeholder"):
            name, _equals, text = text.partition("=")
        known.setdefault(name, text)

    def fill(found):
        return known.get(found.group(1), found.group(0))

    def env(found):
        return (environment or {}).get(found.group(1), found.group(0))

    # uWSGI turns %% into % before it looks for placeholders.
    value = re.sub(r"\$\(([^()]*)\)", env, value).replace("%%(", "%(")
    for _depth in range(5):
        filled = re.sub(r"%\(([^()]*)\)", fill, value)
        if filled == value:
            break
        value = filled
    return value.replace("%%", "%")


def command_line(words, folder="/"):
    """The options of a uWSGI command line (without the program), and the configuration files that it names.

    Returns (options, files): files is a list of addresses for load(), made absolute against ``folder``.
    """
    options, files = [], []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if not equals:
                takes = name not in ALONE and rest and not rest[0].startswith("-")
                value = rest.pop(0) if takes else "true"
        elif word.startswith("-") and len(word) > 1:
            name = SHORT.get(word[1], word[1])
            value = word[2:]
            if not value:
                takes = name not in ALONE and rest and not rest[0].startswith("-")
                value = rest.pop(0) if takes else "true"
        elif os.path.splitext(word.partition(":")[0])[1].lower() in FORMATS:
            name, value = "config", word
        else:
            continue
        if name in INCLUDES:
            files.append((os.path.join(folder, value), name if name in PARSERS else None))
        else:
            # In a file a % would begin a variable; on a command line only a placeholder does.
            options.append((name, value.replace("%", "%%").replace("%%(", "%(")))
    return options, files


def from_environment(environment):
    """The options that uWSGI takes from variables named UWSGI_X."""
    own = ("UWSGI_RELOADS", "UWSGI_ORIGINAL_PROC_NAME", "UWSGI_EMPEROR_FD", "UWSGI_APPNAME")
    return [
        (name[len("UWSGI_"):].lower().replace("_", "-"), value.replace("%", "%%").replace("%%(", "%("))
        for name, value in sorted(environment.items())
        if name.startswith("UWSGI_") and name not in own
    ]


class Config:
    """What an instance was told, as far as it matters for reloading it."""

    def __init__(self, options, environment=None):
        self.options = options
        self.environment = environment or {}

    def all(self, *names):
        """The values of these options, placeholders filled in."""
        return [resolve(self.options, value, self.environment) for name, value in self.options if name in names]

    def on(self, *names):
        """Whether a switch with these names is on; the last one says."""
        values = self.all(*names)
        return bool(values) and values[-1].lower() not in FALSE

    @property
    def pidfiles(self):
        return self.all("pidfile", "pidfile2", "safe-pidfile", "safe-pidfile2")

    @property
    def fifo(self):
        return next(iter(self.all("master-fifo")), None)

    @property
    def lazy(self):
        return self.on("lazy-apps", "lazy-app") or self.on("lazy")

    @property
    def ends_gracefully(self):
        """Whether SIGTERM, which has uWSGI reload brutally or end at once, is bound to a graceful end."""
        wanted = re.compile(r"unix_signal:15\s+gracefully_kill_them_all\Z")
        return any(wanted.match(value.strip()) for value in self.all("hook-master-start"))

    @property
    def stats(self):
        return next(iter(self.all("stats", "stats-server")), None)

    @property
    def log(self):
        return next(iter(self.all("logto2", "logto", "daemonize", "daemonize2")), None)

    @property
    def sockets(self):
        """[(protocol, address), ...] in order, protocol uwsgi or http."""
        found = []
        spoken = (["uwsgi"] + self.all("protocol", "socket-protocol"))[-1]
        kinds = {"socket": spoken, "uwsgi-socket": spoken, "http-socket": "http"}
        for name, value in self.options:
            if name in kinds:
                found.append((kinds[name], resolve(self.options, value, self.environment)))
        return found
