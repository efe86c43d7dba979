"""uWSGI applications as they were found, as items of publish_apps."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from . import layout, uwsgi_meanings, uwsgi_options
from .import_report import CARRIED, CHANGED, DECIDE, DROPPED, KEPT, Row
from .import_uwsgi import ACCOUNTS, FILES, Option, Source, Starter
from .problem import close_match

ALIASES = {
    "s": "socket",
    "uwsgi-socket": "socket",
    "workers": "processes",
    "w": "module",
    "wsgi": "module",
    "file": "wsgi-file",
    "home": "virtualenv",
    "venv": "virtualenv",
    "pyhome": "virtualenv",
    "python-path": "pythonpath",
    "pp": "pythonpath",
    "logger": "logger",
    "daemonize2": "daemonize",
    "logto2": "logto",
    "pidfile2": "pidfile",
}
# What the role says itself, and why the original's line has nothing left to do.
OURS = {
    "master": "every application has a master",
    "vacuum": "the role says it",
    "need-app": "the role says it",
    "strict": "the role says it: unknown options are refused",
    "lazy-apps": "the role says it, so that each reload loads the code anew",
    "lazy": "the role loads the code in each worker",
    "enable-threads": "the role says it",
    "pidfile": "the role keeps a pid file below /run/uwsgi-NAME that nobody else can write",
    "safe-pidfile": "the role keeps a pid file below /run/uwsgi-NAME that nobody else can write",
    "master-fifo": "the role has one below /run/uwsgi-NAME",
    "stats": "the role has a socket for statistics below /run/uwsgi-NAME, which root and the application read",
    "stats-http": "the role's socket for statistics speaks plainly",
    "die-on-term": "systemd stops uWSGI by its own unit",
    "log-master": "the role says it, so that logs can be rotated",
    "log-reopen": "the role says it, so that logs can be rotated",
    "chmod-socket": "the socket lies in a folder that only nginx and the application reach",
    "chown-socket": "the socket lies in a folder that only nginx and the application reach",
    "socket-protocol": "protocol of the application says it",
    "emperor": "systemd starts each application by a unit of its own",
    "emperor-tyrant": "each application has an account of its own",
    "vassal-set": "systemd starts each application by a unit of its own",
    "autoload": "Python is built into uWSGI",
    "no-site": "uWSGI lies in a virtualenv of its own",
    "auto-procname": "systemd tells processes apart",
    "callable": "",
}
_PLACES = {"current", "src", "www", "html", "htdocs", "code", "app", "deployments", "srv", "opt", "home", "var", "usr"}
# Where releases lie by default.
ROOT = "/srv/wsgi"
_GENERIC = {"uwsgi", "app", "config", "wsgi", "uwsgiconfig", "uwsgi_config", "default", "main", "conf", "web", "server"}
# What a unit may say that is no matter of how it is started and stopped.
_UNIT_KEPT = ("EnvironmentFile", "LimitNOFILE", "LimitCORE", "MemoryMax", "MemoryHigh", "CPUQuota", "Nice", "UMask")
# In a file of ours these are ours, or an option of the user's: the plan tells which.
_OWN_KEPT = ("http-websockets", "set-placeholder", "chmod-socket", "lazy-apps", "manage-script-name")
_NUMBERS = {"processes": "processes", "threads": "threads", "gevent": "gevent"}


@dataclass
class FoundApp:
    """An application on its way into the inventory; ``addresses``: where it listened, [protocol, address]."""

    app: dict[str, Any]
    source: Source
    rows: list[Row] = field(default_factory=list)
    addresses: list[tuple[str, str]] = field(default_factory=list)
    comments: dict[tuple[Any, ...], list[str]] = field(default_factory=dict)
    mounts: dict[str, Option] = field(default_factory=dict)
    kept: list[Option] = field(default_factory=list)
    root: bool = False


def canonical(name: str) -> str:
    """The name by which an option is known here."""
    return ALIASES.get(name, name)


def _row(option: Option, state: str, how: str, choices: Iterable[str] = ()) -> Row:
    secret = option.name in ("env", "subscribe2") or re.search("pass|secret|token|key", option.name)
    shown = option.value.partition("=")[0] + "=…" if secret else option.value
    return Row(option.file, option.line, f"{option.name} = {shown}", state, how, list(choices))


def name_of(source: Source, taken: Collection[str]) -> str:
    """A name by the file, else by the code's folder or the module."""
    stem = posixpath.splitext(posixpath.basename(source.file.partition(" ")[0]))[0]
    tries = [] if stem.lower() in _GENERIC or source.file.startswith("process ") else [stem]
    folder = source.last("chdir", "pythonpath", "pp") or posixpath.dirname(source.last("wsgi-file", "file"))
    tries += [part for part in reversed(folder.split("/")) if part and part.lower() not in _PLACES][:1]
    tries.append(source.last("module", "wsgi", "w").partition(":")[0].partition(".")[0])
    tries += [stem, "app"]
    for text in tries:
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-._")[:32]
        if name and name.lower() not in taken:
            return name
    count = 2
    while f"app{count}" in taken:
        count += 1
    return f"app{count}"


def _plain(value: str) -> str:
    """A value without uWSGI's language: a doubled % is one."""
    return value.replace("%%", "%")


def _folder(source: Source) -> str:
    for starter in source.starters:
        if starter.folder.startswith("/"):
            return starter.folder
    return posixpath.dirname(source.file) if source.file.startswith("/") else ""


class _App:
    """One application, option by option."""

    def __init__(self, source: Source, name: str, files: Collection[str]) -> None:
        self.found = FoundApp({"name": name}, source)
        self.app, self.source, self.files = self.found.app, source, files
        self.log: Option | None = None
        self.silent = False

    def say(self, option: Option, state: str, how: str, choices: Iterable[str] = (), place: str = "") -> None:
        """Note what became of an option; ``place``: the variable that its comments go to."""
        self.found.rows.append(_row(option, state, how, choices))
        if option.comments:
            key: tuple[Any, ...] = (place,) if place else ("name",)
            self.found.comments.setdefault(key, []).extend(option.comments)

    def carry(self, option: Option, key: str, value: Any) -> None:
        """Put a value into a variable."""
        if key in self.app and self.app[key] != value:
            self.say(option, CHANGED, f"{key} is {value}, the last one that is given", place=key)
        else:
            self.say(option, CARRIED, key, place=key)
        self.app[key] = value

    def keep(self, option: Option) -> None:
        """Keep an option as it is."""
        options = self.app.setdefault("options", {})
        value = _value(option.value)
        before = options.get(option.name)
        if before is None:
            options[option.name] = value
        else:
            options[option.name] = [*before, value] if isinstance(before, list) else [before, value]
        self.found.kept.append(option)
        self.say(option, KEPT, f"options: {option.name}", place="options")

    # -- one method a kind of option ---------------------------------------------------------------------------------

    def socket(self, option: Option, name: str) -> None:
        """A socket that nginx speaks to."""
        protocol = "http" if name == "http-socket" or self.source.last("protocol") == "http" else "uwsgi"
        for address in option.value.split(","):
            self.found.addresses.append((protocol, located(self.source, address.strip())))
        first = len(self.found.addresses) == 1
        if protocol == "http" and first:
            self.app["protocol"] = "http"
        address = option.value.split(",")[0].strip()
        if not first:
            self.say(option, DROPPED, "an application has one socket, and nginx is led to it")
        elif address.startswith(("/", "unix:", "@")) or ":" not in address:
            how = "each end is led to a socket below /run/wsgi, which the site names by app"
            self.say(option, CARRIED, f"app of the location: {how}")
        else:
            self._tcp(option, address)

    def _tcp(self, option: Option, address: str) -> None:
        host, _colon, port = address.rpartition(":")
        if host in ("127.0.0.1", "localhost", "[::1]"):
            self.carry(option, "socket", address)
            return
        self.app["socket"] = f"127.0.0.1:{port}"
        how = f"socket: 127.0.0.1:{port}. Whoever may connect to it may run code as the application, so it listens to"
        how += " this machine only; where nginx runs elsewhere, state the address and socket_clients"
        self.say(option, CHANGED, how, place="socket")

    def number(self, option: Option, name: str) -> None:
        """A number of processes, threads or greenlets."""
        key = _NUMBERS[name]
        if not option.value.isdigit():
            choices = [f"{key}: a number", "leave it out"]
            how = f"{option.value!r} is worked out by uWSGI where it runs; {key} is a number"
            self.say(option, DECIDE, how, choices)
        elif key == "threads" and (self.source.has("gevent") or int(option.value) < 1):
            self.say(option, DROPPED, "threads mean nothing under gevent, which serves requests in greenlets")
        elif int(option.value) < 1:
            self.say(option, DROPPED, "0 switches it off")
        else:
            self.carry(option, key, int(option.value))

    def where(self, option: Option, name: str) -> None:
        """What says which file the output goes to."""
        self.log = option
        value = option.value.removeprefix("file:") if name == "logger" else option.value
        if value.startswith("/dev/"):
            self.app["log"] = "journal"
            self.say(option, CARRIED, "log: journal, where a unit's output goes", place="log")
        elif value.startswith("/"):
            self.app["log"] = _plain(value)
            more = "; systemd keeps it in the background" if name == "daemonize" else ""
            self.say(option, CARRIED, f"log{more}", place="log")
        elif name == "logger" and ":" in option.value:
            self.log = None
            self.keep(option)
        else:
            whole = posixpath.normpath(posixpath.join(_folder(self.source) or "/var/log", value))
            self.app["log"] = whole
            self.say(option, CARRIED, f"log: {whole}, the path that was meant", place="log")

    def environment(self, option: Option) -> None:
        """A variable of the application's environment."""
        name, _equals, value = option.value.partition("=")
        env = self.app.setdefault("env", {})
        env[name.strip()] = _plain(value)
        self.say(option, CARRIED, f"env: {name.strip()}", place="env")

    def account(self, option: Option, name: str) -> None:
        """Who it runs as."""
        key = "user" if name == "uid" else "group"
        if option.value in ("root", "0"):
            self.found.root = self.found.root or key == "user"
            self.say(option, CHANGED, f"{key} is left out: an account of its own, not root", place=key)
        elif option.value.isdigit():
            self.say(option, DECIDE, f"{option.value} is a number, and {key} a name", [f"{key}: the account's name"])
        else:
            self.carry(option, key, option.value)

    def mount(self, option: Option) -> None:
        """An application below a prefix."""
        prefix, _equals, loaded = option.value.partition("=")
        self.found.mounts[prefix.strip().rstrip("/")] = option
        module, _colon, name = loaded.strip().partition(":")
        if not self.source.last("module", "wsgi", "w", "wsgi-file", "file") and len(self.found.mounts) == 1:
            self.app["wsgi_file" if module.endswith((".py", ".wsgi")) or "/" in module else "module"] = module
            if name:
                self.app["callable"] = name
        self.say(option, CARRIED, "mount of the location", place="module")

    def unknown(self, option: Option) -> None:
        """What uWSGI does not know: a variable of the user's, or a misspelling."""
        if self.source.used & {option.name, option.name.replace("-", "_")}:
            self.say(option, CARRIED, "its value stands where it was used")
            return
        meant = close_match(option.name, uwsgi_options.OPTIONS)
        how = "uWSGI has no such option, and did nothing with it"
        self.say(option, DROPPED, f"{how}; {meant} may have been meant" if meant else how)

    # -- all of them ---------------------------------------------------------------------------------------------------

    def take(self, option: Option) -> None:
        """One option."""
        name = canonical(option.name)
        simple = {"module": "module", "wsgi-file": "wsgi_file", "callable": "callable"}
        if option.refused and name in ACCOUNTS:
            self.say(option, DECIDE, option.refused, [f"{ACCOUNTS[name]}: the account's name"])
        elif option.refused:
            self.say(option, CHANGED, option.refused)
        elif option.condition:
            choices = ["state it as a variable", "leave it out"]
            self.say(option, DECIDE, f"hangs on `{option.condition}`, which only the host can tell", choices)
        elif "$(" in option.value or "@(" in option.value:
            choices = [f"state {name} with the value that it has"]
            self.say(option, DECIDE, "uWSGI takes the value from its environment or a file when it starts", choices)
        elif name == "http" and not self.source.last("socket", "uwsgi-socket", "s", "http-socket"):
            self.socket(option, "http-socket")
            self.found.rows[-1].state = CHANGED
            self.found.rows[-1].how += "; the workers speak HTTP themselves, without a router of uWSGI's before them"
        elif name in ("socket", "http-socket"):
            self.socket(option, name)
        elif name in FILES:
            self.say(option, DECIDE, "the file was not among those that were read", ["add the file and import again"])
        elif name in _NUMBERS:
            self.number(option, name)
        elif name in ("daemonize", "logto", "logger"):
            self.where(option, name)
        elif name == "env":
            self.environment(option)
        elif name in ("uid", "gid"):
            self.account(option, name)
        elif name == "mount":
            self.mount(option)
        elif name in simple:
            self.carry(option, simple[name], _plain(option.value))
        else:
            self.more(option, name)

    def more(self, option: Option, name: str) -> None:
        """The rest."""
        if name == "chdir" and self.released() and option.value == "/":
            self.say(option, CARRIED, "the role says it")
        elif name == "chdir":
            self.carry(option, "chdir", _plain(option.value).rstrip("/") or "/")
        elif name == "virtualenv" and self.own_virtualenv(option.value):
            self.app["requirements"] = "requirements.txt"
            self.say(option, CARRIED, "requirements, which this collection has installed", place="requirements")
        elif name == "virtualenv":
            self.carry(option, "virtualenv", posixpath.join(self.base(), _plain(option.value)).rstrip("/"))
        elif name == "pythonpath" and re.fullmatch(r"/opt/uwsgi/[^/]+/modules", option.value):
            self.say(option, CARRIED, "the role says it")
        elif name == "pythonpath":
            self.app.setdefault("pythonpath", []).append(_plain(option.value).rstrip("/"))
            self.say(option, CARRIED, "pythonpath", place="pythonpath")
        elif name == "protocol":
            self.say(option, CARRIED, "protocol")
        elif name == "disable-logging":
            self.silent = self.source.has("disable-logging")
            self.say(option, CARRIED, f"log_requests: {str(not self.silent).lower()}")
        elif name == "http-websockets" and not self.own():
            self.sockets(option)
        elif name == "async" and self.source.has("gevent"):
            self.async_cap(option)
        elif name in ("worker-reload-mercy", "gevent-early-monkey-patch") and self.own_sockets():
            self.app["websocket"] = True
            if name == "worker-reload-mercy":
                self.app["websocket_mercy"] = int(option.value)
            self.say(option, CARRIED, "websocket, websocket_mercy", place="websocket")
        elif name == "manage-script-name" and self.source.has("mount") and not self.own():
            self.say(option, CARRIED, "mount of the location")
        elif name in uwsgi_meanings.LOADS:
            self.plugins(option)
        elif self.own() and name in _OWN_KEPT:
            self.keep(option)
        elif name in ("set-placeholder", "set-ph", "set"):
            self.say(option, CARRIED, "its value stands where it was used")
        elif name in OURS:
            self.say(option, CARRIED, OURS[name])
        elif name in uwsgi_options.OPTIONS:
            self.keep(option)
        else:
            self.unknown(option)

    def base(self) -> str:
        """Where relative paths begin."""
        return self.source.last("chdir") or _folder(self.source) or "/"

    def own(self) -> bool:
        """Whether this collection has written the configuration."""
        return self.source.last("safe-pidfile").startswith("/run/uwsgi-") and self.source.has("master-fifo")

    def released(self) -> str:
        """The release of this collection's that the application runs; empty where it is none."""
        current = layout.current(ROOT, self.app["name"])
        found = [one for one in self.source.options if f"{one.value}/".startswith(f"{current}/")]
        return current if found else ""

    def own_virtualenv(self, value: str) -> bool:
        """Whether a virtualenv is one that this collection has made."""
        own = (posixpath.join(layout.current(ROOT, self.app["name"]), ".venv"), layout.venv(ROOT, self.app["name"]))
        return value in own

    def sockets(self, option: Option) -> None:
        """WebSockets: the variable that says them at both ends."""
        if not self.source.has("gevent"):
            self.say(option, DROPPED, "it is a switch of uWSGI's own HTTP router; behind nginx WebSockets need gevent")
            return
        if int(self.app.get("processes") or self.source.last("processes", "workers") or 1) > 1:
            self.keep(option)
            return
        self.app["websocket"] = True
        self.say(option, CARRIED, "websocket", place="websocket")

    def own_sockets(self) -> bool:
        """Whether this collection has written what WebSockets need."""
        return self.source.has("gevent") and self.source.has("gevent-early-monkey-patch") and bool(self.released())

    def async_cap(self, option: Option) -> None:
        """What caps gevent in silence."""
        how = "beside gevent the later of the two counts, as the number of requests and sockets at once; gevent stays"
        self.say(option, DROPPED, how)

    def plugins(self, option: Option) -> None:
        """Plugins of a distribution's uWSGI."""
        names = [name for _option, name in uwsgi_options.plugins({option.name: option.value})]
        if all(uwsgi_options.is_built_in(name) for name in names):
            self.say(option, CARRIED, "built into uWSGI; which Python it is, uwsgi_python says")
        else:
            self.keep(option)

    def _code(self) -> None:
        """Where the code is, and what is relative to it."""
        app = self.app
        released = self.released()
        if released:
            self._release(released)
            return
        script = app.get("wsgi_file", "")
        guesses = [app.get("chdir", ""), *app.get("pythonpath", [])[:1], posixpath.dirname(script)]
        guesses.append(_folder(self.source))
        path = next((guess for guess in guesses if guess.startswith("/") and guess != "/"), "")
        first = self.source.options[0] if self.source.options else Option("", "", self.source.file)
        if not path:
            path = f"/srv/{app['name']}"
            choices = ["path: the folder on the host", "source: a folder on the controller", "repo: a git repository"]
            self.say(Option("path", path, first.file), DECIDE, "nothing says where the code is", choices)
        app["path"] = path
        if app.get("chdir") == path:
            app.pop("chdir")
            for row in self.found.rows:
                if row.how == "chdir":
                    row.how = "path"
        if app.get("pythonpath") == [path]:
            app.pop("pythonpath")
            for row in self.found.rows:
                if row.how == "pythonpath":
                    row.how = "path, which is searched for modules"
        if not (app.get("module") or script):
            choices = ["module: manage for manage.py", "wsgi_file: the file"]
            self.say(Option("module", "", first.file), DECIDE, "nothing says what is to be run", choices)
            app["module"] = "wsgi"
        if "callable" not in app and ":" not in str(app.get("module", "")):
            app["callable"] = "application"

    def _release(self, current: str) -> None:
        """Code that this collection has put on the host: where it came from stands nowhere there."""
        app = self.app
        choices = ["source: a folder on the controller", "repo: a git repository", "archive: a tarball"]
        how = "nothing here says where releases come from"
        self.say(Option("source", current, self.source.file), DECIDE, how, choices)
        app["source"] = f"./{app['name']}"
        if app.get("wsgi_file"):
            app["wsgi_file"] = posixpath.relpath(app["wsgi_file"], current)
        folders = [posixpath.relpath(one, current) for one in app.pop("pythonpath", [])]
        if folders not in ([], ["."]):
            app["pythonpath"] = [one if one != "." else "" for one in folders]
        where = app.pop("chdir", "") or self.source.last("chdir2")
        if where.startswith(f"{current}/"):
            app["chdir"] = posixpath.relpath(where, current)
        app.setdefault("callable", "application")

    def _requirements(self) -> None:
        """Packages: a virtualenv that is named, or a file in the code, else somebody has to say."""
        app, path = self.app, self.app.get("path", "")
        if app.get("virtualenv") or app.get("requirements") or app.get("source"):
            return
        if posixpath.join(path, "requirements.txt") in self.files:
            app["requirements"] = "requirements.txt"
            how = "requirements: the original took its packages from the host's Python"
            self.found.rows.append(Row(f"{path}/requirements.txt", 0, "", CARRIED, how))
            return
        how = "nothing says where the application's packages are; the host's own Python is not searched"
        choices = ["requirements: requirements.txt, a file in the code", "virtualenv: one that is there"]
        self.say(Option("requirements", "", self.source.file), DECIDE, how, choices)

    def run(self) -> FoundApp:
        """The application."""
        for option in self.source.options:
            self.take(option)
        self._starters()
        self._claims()
        self._code()
        self._requirements()
        self.app["log_requests"] = not self.silent
        kind = posixpath.splitext(self.source.file)[1][1:]
        if posixpath.dirname(self.source.file) == "/etc/uwsgi" and kind in ("json", "yaml", "xml"):
            self.app["config_format"] = kind
        if self.log is None and "log" not in self.app and self.source.starters:
            self.app["log"] = "journal"
        return self.found

    def _starters(self) -> None:
        """What its unit or supervisor says besides."""
        # The account that it would have by itself is not said.
        itself: set[str] = set()
        # What a drop-in says comes before its unit's.
        for starter in sorted(self.source.starters, key=lambda one: ".service.d/" not in one.file):
            what = {"systemd": "a unit of ours takes its place", "supervisor": "systemd takes its place"}
            what |= {"emperor": "a unit of its own takes its place", "process": "it was found running"}
            text = f"started by {starter.kind}"
            self.found.rows.append(Row(starter.file, starter.line, text, CARRIED, what[starter.kind]))
            for key, value in (("user", starter.user), ("group", starter.group)):
                if value == f"wsgi-{self.app['name']}" or key in itself:
                    itself.add(key)
                    continue
                if value in ("root", "0") and key == "user":
                    self.found.root = not self.app.get("user")
                elif value and key not in self.app and not value.isdigit() and value not in ("root", "0"):
                    self.app[key] = value
                    self.found.rows.append(Row(starter.file, starter.line, f"{key} {value}", CARRIED, key))
            self._unit(starter)
            if "chdir" not in self.app and starter.folder.startswith("/") and starter.kind != "process":
                self.app["chdir"] = starter.folder.rstrip("/") or "/"
                self.found.rows.append(Row(starter.file, starter.line, f"folder {starter.folder}", CARRIED, "chdir"))

    def _claims(self) -> None:
        """Where nobody that counts says the account, those of processes that name its file are asked about."""
        if self.app.get("user") or not self.source.claims:
            return
        text = f"processes of {', '.join(dict.fromkeys(self.source.claims))} name it"
        how = "any account can run a process of that name, and nothing of root's says the account"
        choices = [f"user: {name}" for name in dict.fromkeys(self.source.claims)]
        self.found.rows.append(Row(self.source.file, 0, text, DECIDE, how, choices))

    def _unit(self, starter: Starter) -> None:
        """What a unit, or supervisor, gives the application besides its account."""
        for key, value in starter.options.items():
            said = Row(starter.file, starter.line, f"{key}={value}", CARRIED, "")
            if key in ("Environment", "environment"):
                said.text = f"{key}=…"
                pairs = re.findall(r"""["']?(\w+)=("[^"]*"|'[^']*'|[^\s,"']*)""", value)
                env = self.app.setdefault("env", {})
                env.update((name, text.strip("\"'")) for name, text in pairs)
                said.how = f"env: {', '.join(name for name, _text in pairs)}"
            elif key in _UNIT_KEPT:
                self.app.setdefault("service_options", {})[key] = value
                said.state, said.how = KEPT, f"service_options: {key}"
            elif key in ("User", "Group", "user", "WorkingDirectory", "directory", "ExecStart", "command"):
                continue
            elif starter.kind != "process":
                said.state, said.how = DROPPED, "the role's own unit says how it is started, stopped and restarted"
            else:
                continue
            self.found.rows.append(said)


def located(source: Source, text: str) -> str:
    """A socket's address; a path alone begins where uWSGI was started."""
    if ":" in text or text.startswith(("/", "@", "=")):
        return text
    folder = source.last("chdir") if source.has("chdir") else _folder(source)
    return posixpath.normpath(posixpath.join(folder or "/", text))


def keep_unmounted(found: FoundApp, mounted: Collection[str]) -> None:
    """Keep as options what is mounted where no location leads."""
    for prefix, option in found.mounts.items():
        if prefix in mounted:
            continue
        options = found.app.setdefault("options", {})
        before = options.get("mount", [])
        all_of_them = [*([before] if isinstance(before, str) else before), option.value]
        options["mount"] = all_of_them if len(all_of_them) > 1 else option.value
        found.kept.append(option)
        for row in found.rows:
            if row.line == option.line and row.file == option.file and row.how == "mount of the location":
                row.state, row.how = KEPT, "options: mount"


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return int(text) if re.fullmatch(r"0|[1-9]\d{0,8}", text) else text


def imported(sources: Iterable[Source], files: Collection[str]) -> list[FoundApp]:
    """All applications. ``files``: the paths that are known to be there."""
    found: list[FoundApp] = []
    taken: set[str] = set()
    for source in sources:
        name = name_of(source, taken)
        taken.add(name.lower())
        found.append(_App(source, name, files).run())
    return found
