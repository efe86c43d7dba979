"""uWSGI's configurations as they are: ini, yaml, json, xml and command lines, and what starts them.

Nothing of a file is run: what uWSGI would take from its environment, a file or a command stays as it is written.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from . import import_speakers
from .import_speakers import Speaker

MAX_OPTIONS = 5000
MAX_DEPTH = 20
# Of all files together: an include of an include of an include grows as fast as its author likes.
MAX_READS = 2000
MAX_ALL_OPTIONS = 50000
# What would have root do something for the application, and is no other account's to say.
ACCOUNTS = {"uid": "user", "gid": "group"}
LOGS = ("daemonize", "daemonize2", "logto", "logto2", "logger")
SOCKETS = ("socket", "uwsgi-socket", "s", "http-socket", "http", "fastcgi-socket", "scgi-socket")
# What takes no value on a command line.
_FLAGS = """
master vacuum lazy-apps lazy enable-threads die-on-term need-app single-interpreter disable-logging
manage-script-name no-orphans thunder-lock strict memory-report log-master auto-procname no-site
http-websockets ignore-sigpipe ignore-write-errors disable-write-exception emperor-tyrant die-on-idle
catch-exceptions
"""
FLAGS = frozenset(_FLAGS.split())
SHORT = {
    "s": "socket",
    "w": "module",
    "p": "processes",
    "M": "master",
    "d": "daemonize",
    "H": "home",
    "C": "chmod-socket",
    "l": "listen",
    "z": "socket-timeout",
    "b": "buffer-size",
    "L": "disable-logging",
    "i": "single-interpreter",
    "m": "memory-report",
    "R": "max-requests",
    "t": "harakiri",
    "x": "xml",
    "y": "yaml",
    "j": "json",
}
# Options that name another file of options.
FILES = {"ini": "ini", "include": "", "inherit": "", "yaml": "yaml", "yml": "yaml", "json": "json", "js": "json"}
FILES |= {"xml": "xml", "xmlconfig": "xml", "config": ""}
_ENDS = ("endif", "end-if", "endfor", "end-for")


@dataclass
class Option:
    """An option as uWSGI reads it; ``condition``: what it hangs on, where it stands between an if and its end.

    ``by``: who says it, None where that is root alone; ``refused``: why that account's word does not count for it.
    """

    name: str
    value: str
    file: str = ""
    line: int = 0
    comments: list[str] = field(default_factory=list)
    condition: str = ""
    by: Speaker | None = None
    refused: str = ""


@dataclass
class Starter:
    """What starts a uWSGI: a systemd unit, a program of supervisor's, an emperor, or a process that runs.

    ``by``: who says it, None where that is root alone; ``unit``: that of systemd's which starts it; ``program``: the
    binary, as far as it is told, and ``called`` the word by which it is started.
    """

    kind: str
    file: str
    line: int = 0
    command: list[str] = field(default_factory=list)
    user: str = ""
    group: str = ""
    folder: str = ""
    options: dict[str, str] = field(default_factory=dict)
    by: Speaker | None = None
    unit: str = ""
    program: str = ""
    called: str = ""


@dataclass
class Source:
    """One uWSGI application as it was found."""

    file: str
    options: list[Option] = field(default_factory=list)
    starters: list[Starter] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    # Names whose values stand in others by %(name).
    used: set[str] = field(default_factory=set)
    # The accounts of processes that name it, and may have been begun by anyone.
    claims: list[str] = field(default_factory=list)

    def last(self, *names: str) -> str:
        """The value that counts of options that mean the same; empty where none is given."""
        found = [
            option.value
            for option in self.options
            if option.name in names and not option.condition and not option.refused
        ]
        return found[-1] if found else ""

    def has(self, *names: str) -> bool:
        """Whether one of these options is there and not switched off."""
        return any(
            option.name in names and option.value.lower() not in ("false", "0", "no", "off") for option in self.options
        )


def normal(name: str) -> str:
    """An option's name as uWSGI lists it."""
    return name.strip().replace("_", "-")


def kind_of(path: str, text: str) -> str:
    """The language of a configuration of uWSGI's; empty where it is none."""
    extension = posixpath.splitext(path)[1].lower()
    if extension == ".json" and re.search(r'"uwsgi"\s*:', text):
        return "json"
    if extension == ".xml" and re.search(r"<uwsgi[\s>]", text):
        return "xml"
    if extension in (".yaml", ".yml") and re.search(r"(?m)^uwsgi\s*:", text):
        return "yaml"
    if re.search(r"(?m)^\s*\[uwsgi\]", text) and extension not in (".json", ".xml", ".md"):
        return "ini"
    return ""


def _ini(text: str, file: str, section: str) -> list[Option]:
    found: list[Option] = []
    comments: list[str] = []
    current, condition = "", ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith(("#", ";", "//")):
            comments += ["#" + line.lstrip("#;/")] if line.strip("#;/ ") else []
            continue
        if line.startswith("[") and line.endswith("]"):
            current = line[1:-1].strip()
            continue
        if current != section:
            continue
        name, _equals, value = line.partition("=")
        name, value = normal(name), value.strip()
        if name in _ENDS:
            condition = ""
            continue
        if name.startswith("if-") or name == "for":
            condition = line
            continue
        found.append(Option(name, value or "true", file, number, comments, condition))
        comments = []
        if len(found) > MAX_OPTIONS:
            break
    if found and comments:
        found[-1].comments = [*found[-1].comments, *comments]
    return found


def _yaml(text: str, file: str, section: str) -> list[Option]:
    found: list[Option] = []
    comments: list[str] = []
    current, key = "", ""
    for number, raw in enumerate(text.splitlines(), 1):
        # uWSGI's own YAML begins a comment with # wherever it stands.
        body, hash_mark, rest = raw.partition("#")
        if hash_mark and rest.strip():
            comments.append("#" + rest)
        if not body.strip() or body.strip() in ("---", "..."):
            continue
        if not body[0].isspace() and body.rstrip().endswith(":"):
            current = body.rstrip()[:-1]
            continue
        if current != section:
            continue
        line = body.strip()
        item = line.startswith("- ")
        name, colon, value = (key, ":", line[2:]) if item else line.partition(":")
        if not colon:
            continue
        value = value.strip().strip("'\"")
        key = name.strip()
        if value or item:
            found.append(Option(normal(key), value, file, number, comments))
            comments = []
    return found[:MAX_OPTIONS]


def _line_of(text: str, what: str) -> int:
    place = text.find(what)
    return text.count("\n", 0, place) + 1 if place >= 0 else 1


def _json(text: str, file: str, section: str) -> list[Option]:
    found: list[Option] = []
    # Keys may stand twice, which a mapping would lose.
    document = json.loads(text, object_pairs_hook=lambda pairs: pairs)
    for name, items in document if isinstance(document, list) else []:
        for key, value in items if name == section and isinstance(items, list) else []:
            for item in value if isinstance(value, list) else [value]:
                shown = ("false", "true")[item] if isinstance(item, bool) else str(item)
                found.append(Option(normal(key), shown, file, _line_of(text, f'"{key}"')))
    return found[:MAX_OPTIONS]


def _xml(text: str, file: str, section: str) -> list[Option]:
    if re.search(r"<!\s*(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise ValueError("declares entities, and is not read")
    root = ElementTree.fromstring(text)
    blocks = [root] if root.tag == section else list(root.iter(section))
    found = []
    for element in blocks[0] if blocks else []:
        if isinstance(element.tag, str):
            value = (element.text or "").strip() or "true"
            found.append(Option(normal(element.tag), value, file, _line_of(text, f"<{element.tag}")))
    return found[:MAX_OPTIONS]


_READERS = {"ini": _ini, "yaml": _yaml, "json": _json, "xml": _xml}


def command_options(words: Iterable[str], file: str, line: int = 0) -> list[Option]:
    """The options of a command line, without the program; a file alone is one that is read."""
    found: list[Option] = []
    words = list(words)
    while words:
        word = words.pop(0)
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
        elif word.startswith("-") and len(word) > 1 and word[1] in SHORT:
            name, value = SHORT[word[1]], word[2:]
            equals = value
        else:
            extension = posixpath.splitext(word.partition(":")[0])[1]
            kinds = {".ini": "ini", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".xml": "xml"}
            kinds.update({".py": "wsgi-file", ".wsgi": "wsgi-file"})
            if extension in kinds:
                found.append(Option(kinds[extension], word, file, line))
            elif re.match(r"[\w.*-]*:\d+\Z|/\S+\.sock", word):
                found.append(Option("socket", word, file, line))
            continue
        name = normal(name)
        if not equals:
            takes = name not in FLAGS and words and not words[0].startswith("-")
            value = words.pop(0) if takes else "true"
        found.append(Option(name, value, file, line))
    return found


class Reader:
    """Reads uWSGI's configurations among given texts."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = files
        self.messages: list[str] = []
        self.included: set[str] = set()
        self.reads = self.options = 0
        self.claims: dict[str, list[str]] = {}

    def find(self, path: str, folder: str = "", by: Speaker | None = None) -> str | None:
        """The file that a path means. ``by``: who names it, to whom a file is nothing that it could not read."""
        whole = posixpath.normpath(posixpath.join(folder or "/", path))
        if whole in self.files:
            return whole if import_speakers.may_read(self.files[whole], by) else None
        # Copies of files may lie elsewhere than on their host, and are all of one giver.
        same = [one for one in self.files if posixpath.basename(one) == posixpath.basename(path)]
        return same[0] if len(same) == 1 and import_speakers.is_given(self.files[same[0]]) else None

    def _is_too_much(self, path: str) -> bool:
        """Whether more was read than a configuration has, told once."""
        self.reads += 1
        if self.reads <= MAX_READS and self.options <= MAX_ALL_OPTIONS:
            return False
        told = f"more than {MAX_READS} files or {MAX_ALL_OPTIONS} options are included; the rest is left out"
        if not any(message.endswith(told) for message in self.messages):
            self.messages.append(f"{path}: {told}")
        return True

    def read(
        self,
        path: str,
        section: str = "uwsgi",
        depth: int = 0,
        chain: tuple[str, ...] = (),
        by: Speaker | None = None,
    ) -> list[Option]:
        """The options of a file with those that it includes, variables put in where they can be.

        ``by``: who has named the file, where that was not root.
        """
        if self._is_too_much(path):
            return []
        by = import_speakers.first(by, import_speakers.speaker(self.files[path]))
        text, kind = self.files[path], kind_of(path, self.files[path]) or "ini"
        try:
            found = _READERS[kind](text, path, section)
        except RecursionError:
            self.messages.append(f"{path}: lies too deep in itself, and is left out")
            return []
        except (ValueError, ElementTree.ParseError) as error:
            self.messages.append(f"{path}: {error}")
            return []
        result: list[Option] = []
        self.options += len(found)
        for option in found:
            option.by = by
            option.value = self.magic(option.value, path, section)
            if option.name not in FILES:
                result.append(option)
                continue
            result += self._included(option, path, section, depth, (*chain, path))
        return result

    def _included(
        self, option: Option, path: str, section: str, depth: int, chain: tuple[str, ...]
    ) -> list[Option]:
        name, _colon, other = option.value.partition(":")
        target = self.find(name, posixpath.dirname(path), option.by) if name else path
        if target is None:
            why = "is not there" if option.by is None else f"is nothing that {option.by.shown} may read"
            self.messages.append(f"{option.file}:{option.line}: {option.value} {why}, and is left out")
            return [option]
        if (target in chain and not other) or depth > MAX_DEPTH:
            self.messages.append(f"{option.file}:{option.line}: {option.value} includes itself; it is read once")
            return []
        if target != chain[0]:
            self.included.add(target)
        return self.read(target, other or section, depth + 1, chain, option.by)

    @staticmethod
    def magic(value: str, path: str, section: str) -> str:
        """A value with the variables put in that the file's own path gives."""
        name = posixpath.basename(path)
        stem, extension = posixpath.splitext(name)
        folder = posixpath.dirname(path).rstrip("/") + "/"
        known = {"p": path, "s": name, "d": folder, "e": extension[1:], "n": stem, "x": section}
        known["c"] = posixpath.basename(folder.rstrip("/"))

        def put(found: re.Match[str]) -> str:
            return known.get(found[1], found[0])

        return re.sub(r"(?<!%)%([psdenxc])(?!\w*\))", put, value) if "%" in value else value


def expanded(options: list[Option]) -> tuple[list[Option], set[str]]:
    """Options with %(name) put in, and the names that were used for it."""
    values: dict[str, str] = {}
    used: set[str] = set()
    # Who says the values that another has not said, and of the text at hand.
    speakers: dict[str, Speaker | None] = {}
    said: list[Speaker | None] = []
    for option in options:
        if option.name in ("set-placeholder", "set-ph", "set"):
            name, _equals, value = option.value.partition("=")
            values[name.strip()], speakers[name.strip()] = value.strip(), option.by
        else:
            for name in (option.name, option.name.replace("-", "_")):
                if name not in values:
                    values[name], speakers[name] = option.value, option.by

    def put(found: re.Match[str]) -> str:
        if found[1] in values and len(values[found[1]]) < 4096:
            used.add(found[1])
            said.append(speakers[found[1]])
            return values[found[1]]
        return found[0]

    for _round in range(8):
        before = [option.value for option in options]
        for option in options:
            if "%(" in option.value and len(option.value) < 4096:
                said[:] = [option.by]
                option.value = re.sub(r"%\(([\w.-]+)\)", put, option.value)
                option.by = import_speakers.first(*said)
        for name in values:
            if "%(" in values[name] and len(values[name]) < 4096:
                said[:] = [speakers[name]]
                values[name] = re.sub(r"%\(([\w.-]+)\)", put, values[name])
                speakers[name] = import_speakers.first(*said)
        if before == [option.value for option in options]:
            break
    return options, used


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def _program(words: list[str]) -> int | None:
    """Where among words of a command the name of uWSGI stands."""
    for index, word in enumerate(words):
        if re.fullmatch(r"[-@+!:]*(\S*/)?(py)?uwsgi([-_]\S*)?", word) and not word.endswith((".ini", ".sock", ".log")):
            return index
    return None


def starters(files: Mapping[str, str], messages: list[str]) -> list[Starter]:
    """The systemd units and the programs of supervisor's that start a uWSGI; what is not root's starts nothing."""
    found = []
    for path, text in sorted(files.items()):
        supervisor = re.search(r"(?m)^\[program:", text)
        if not (path.endswith(".service") or ".service.d/" in path or supervisor):
            continue
        joined = re.sub(r"\\\n\s*", " ", text)
        for block in re.split(r"(?m)^(?=\[)", joined):
            head = block.partition("\n")[0].strip()
            if head != "[Service]" and not head.startswith("[program:"):
                continue
            lines = [line.partition("=") for line in block.splitlines() if "=" in line and line[:1] not in "#;"]
            given = {name.strip(): value.strip() for name, _equals, value in lines}
            words = _words(given.get("ExecStart") or given.get("command") or "")
            place = _program(words)
            if place is None:
                continue
            if (by := import_speakers.speaker(text)) is not None:
                messages.append(f"{path}: {by.shown} can change it, so that it starts nothing here; it is left out")
                break
            kind = "systemd" if head == "[Service]" else "supervisor"
            user, group = given.get("User") or given.get("user", ""), given.get("Group", "")
            folder = given.get("WorkingDirectory") or given.get("directory", "")
            line = _line_of(text, "ExecStart" if kind == "systemd" else "command")
            for name, command in _instances(words[place + 1 :], files):
                unit = re.sub(r"@(?=\.service\Z)", f"@{name}", posixpath.basename(path)) if kind == "systemd" else ""
                binary = words[place].lstrip("-@+!:")
                one = Starter(kind, path, line, command, user, group, folder, given, unit=unit)
                one.program = one.called = binary
                found.append(one)
    return found


def _instances(command: list[str], files: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """The commands of a template of units with their names: one for each file that it means."""
    patterns = [re.sub(r"%[iIjJ]", "*", word) for word in command if re.search(r"%[iIjJ]", word)]
    if not patterns:
        return [("", command)]
    names = {
        found[1]
        for word in patterns
        for path in files
        if (found := re.fullmatch(re.escape(word).replace(r"\*", r"([^/]+)", 1).replace(r"\*", r"[^/]+"), path))
    }
    return [(name, [re.sub(r"%[iIjJ]", name, word) for word in command]) for name in sorted(names)]


def applications(
    files: Mapping[str, str], processes: Iterable[Mapping[str, Any]] = ()
) -> tuple[list[Source], list[str]]:
    """All applications that files and running processes tell of, and what could not be read."""
    reader = Reader(files)
    begun = starters(files, reader.messages)
    for process in processes:
        words = [str(word) for word in process.get("command") or []]
        place = _program(words)
        if place is not None:
            user = str(process.get("user") or "")
            about = {"pid": str(process.get("pid", ""))}
            name = f"process {process.get('pid')}"
            folder = str(process.get("folder") or "")
            by, unit = process.get("speaker"), str(process.get("unit") or "")
            one = Starter("process", name, 0, words[place + 1 :], user, "", folder, about, by, unit)
            one.program, one.called = str(process.get("program") or ""), words[place]
            begun.append(one)
    found: dict[str, Source] = {}
    for starter in begun:
        _started(starter, reader, found)
    for path in sorted(files):
        if kind_of(path, files[path]) and path not in found and path not in reader.included:
            options = reader.read(path)
            if path not in reader.included:
                found[path] = Source(path, options)
    for path in reader.included & set(found):
        if not found[path].starters:
            found.pop(path)
    _judge(found.values())
    sources = _vassals(found)
    for source in sources:
        source.options, source.used = expanded(source.options)
    # Now that values have come from elsewhere.
    _judge(sources)
    for source in sources:
        source.claims = reader.claims.get(source.file, [])
    return _without_copies(sources, reader), reader.messages


def _judge(sources: Iterable[Source]) -> None:
    """Refuses what would have root do something on another account's word."""
    for option in (one for source in sources for one in source.options if one.by is not None):
        name = normal(option.name)
        who = option.by.shown if option.by else ""
        if name in ACCOUNTS and option.by and not option.by.may_be(ACCOUNTS[name], option.value):
            option.refused = f"{who} says it, and speaks for no other account"
        elif name in LOGS and not re.match(r"/dev/|(?!file:)[\w ]+:", option.value):
            option.refused = f"{who} says it, and root writes no log where another account says"


def _places(source: Source) -> set[str]:
    """Where an application listens, by what two of them cannot share: a port, or a path."""
    folder = source.last("chdir") or ([one.folder for one in source.starters if one.folder] or [""])[0]
    parts = [part.strip() for one in source.options if one.name in SOCKETS for part in one.value.split(",")]
    ends = {part.rpartition(":")[2] for part in parts} - {""}
    return {
        end if end.isdigit() or end.startswith("@") else posixpath.normpath(
            posixpath.join("/", folder or posixpath.dirname(source.file), end)
        )
        for end in ends
    }


def _without_copies(sources: list[Source], reader: Reader) -> list[Source]:
    """Leaves out what plain accounts alone run where it claims another application's place."""
    speakers = {id(one): _speaker_of(one, reader.files) for one in sources}
    places = {id(one): _places(one) for one in sources if not one.last("emperor") or _serves(one)}
    kept = []
    for one in sources:
        own = speakers[id(one)]
        others = [it for it in sources if speakers[id(it)] != own and places.get(id(it), set()) & places[id(one)]]
        if own is None or not others or id(one) not in places:
            kept.append(one)
            continue
        told = f"{one.file}: {own.shown} alone says it, and it listens where {others[0].file} does; it is left out"
        reader.messages.append(told)
    return kept


def _speaker_of(source: Source, files: Mapping[str, str]) -> Speaker | None:
    """Who says that there is an application: root, as soon as its file or one of its starters is root's."""
    found = [one.by for one in source.starters]
    if source.file in files:
        found.append(import_speakers.speaker(files[source.file]))
    return None if None in found or not found else found[0]


def _started(starter: Starter, reader: Reader, found: dict[str, Source]) -> None:
    """Adds what one starter starts."""
    given = command_options(starter.command, starter.file, starter.line)
    for option in given:
        option.by = starter.by
    named = [(one, reader.find(one.value.partition(":")[0], starter.folder, starter.by)) for one in given]
    configs = [(option, path) for option, path in named if option.name in FILES and path]
    others = [option for option in given if option.name not in FILES]
    for option in given:
        if option.name in FILES and not any(option is one for one, _path in configs):
            reader.messages.append(f"{starter.file}: {option.value} is not among the files that were read")
    if not configs:
        if others:
            same = [one for one in found.values() if _alike(one.options, others) and _is_its(starter, one)]
            target = same[0] if same else found.setdefault(starter.file, Source(starter.file, others))
            target.starters.append(starter)
        return
    for option, path in configs:
        if not path:
            continue
        if path not in found and _speaks(starter, reader.files[path]):
            found[path] = Source(path, reader.read(path, option.value.partition(":")[2] or "uwsgi"))
        source = found.get(path)
        if source is None or not _is_its(starter, source, reader.files[path]):
            _leave_out(starter, path, source, reader)
            continue
        source.starters.append(starter)
        known = {(one.name, one.value) for one in source.options}
        source.options += [one for one in others if (one.name, one.value) not in known]


def _leave_out(starter: Starter, path: str, source: Source | None, reader: Reader) -> None:
    """Tells that a process is none of an application's, unless root's own starter says the same account."""
    if source is None or not any(one.user == starter.user for one in source.starters):
        who = starter.user or "another account"
        told = f"{starter.file}: runs as {who}, who does not speak for {path}; what its command says is left out"
        reader.messages.append(told)
        reader.claims.setdefault(path, []).append(who)


def _speaks(starter: Starter, text: str) -> bool:
    """Whether a starter is root's, or that of the account whose the file is that it names."""
    return starter.by is None or starter.by == import_speakers.speaker(text)


def _is_its(starter: Starter, source: Source, text: str | None = None) -> bool:
    """Whether a starter may be one of an application's: any account can run a process of any name and words.

    In a unit of systemd's runs only what that unit has started.
    """
    if starter.by is None or (text is not None and _speaks(starter, text)):
        return True
    return starter.unit in {one.unit for one in source.starters if one.kind == "systemd"} - {""}


def _alike(one: list[Option], other: list[Option]) -> bool:
    return [(a.name, a.value) for a in one] == [(b.name, b.value) for b in other]


def _vassals(found: dict[str, Source]) -> list[Source]:
    """The applications, without emperors, whose vassals know who starts them."""
    emperors = [source for source in found.values() if source.last("emperor")]
    for emperor in emperors:
        # Whoever writes or runs an emperor of his own starts no other account's applications.
        by = import_speakers.first(*(one.by for one in emperor.options if one.name == "emperor"))
        told = re.sub(r"\A(dir|glob)://", "", emperor.last("emperor"))
        begun = next((one.folder for one in emperor.starters if one.folder), "/")
        folder = posixpath.normpath(posixpath.join(begun, re.sub(r"/[^/]*\*.*\Z", "", told)))
        binary = next(((one.program, one.called) for one in emperor.starters if one.program), ("", ""))
        user, group = emperor.last("uid"), emperor.last("gid")
        if by is not None:
            user = user or by.name
        for path, source in found.items():
            theirs = by is None or {option.by for option in source.options} == {by}
            if posixpath.dirname(path) == folder and source is not emperor and theirs:
                starter = Starter("emperor", emperor.file, 0, [], user, group, by=by)
                starter.program, starter.called = binary
                source.starters.append(starter)
    return [source for source in found.values() if source not in emperors] + [one for one in emperors if _serves(one)]


def _serves(source: Source) -> bool:
    return bool(source.last("module", "wsgi", "wsgi-file", "file", "mount"))
