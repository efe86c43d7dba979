"""nginx's files as they are, as trees that know their lines and comments; includes are followed among given texts only.

The words of a file are told apart by the parser that PyPI has as ngxparse, which takes crossplane's name.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from . import import_speakers
from .nginx_tree import quoted

INSTALL = "the nginx parser is missing on the controller; pip install ngxparse==0.5.16"
# What no configuration of an honest host has.
MAX_NODES = 10000
MAX_DEPTH = 40
MAX_INCLUDES = 2000
# What is said once in a block by these, all in one file that comes with nginx.
KNOWN_FILES = ("uwsgi_params", "fastcgi_params", "scgi_params", "mime.types", "fastcgi.conf")
# Folders that nginx.conf of this collection includes.
OWN_FOLDERS = {"conf.d", "default.d"}
_PATTERN = re.compile(r"[*?\[]")
# What Debian has in a file of its own, for where that is not at hand.
PROXY_PARAMS = (
    ["Host", "$http_host"],
    ["X-Real-IP", "$remote_addr"],
    ["X-Forwarded-For", "$proxy_add_x_forwarded_for"],
    ["X-Forwarded-Proto", "$scheme"],
)
# By these one can tell nginx's files from others.
_OURS = {"server", "http", "upstream", "map", "events", "location", "log_format", "user", "worker_processes", "include"}
# What is nothing without a word behind it.
_WITH_WORDS = {"return", "rewrite", "add_header", "listen", "server_name", "proxy_pass", "uwsgi_pass", "alias", "root"}
_WITH_WORDS |= {"uwsgi_param", "location", "map", "if", "server", "include", "upstream", "proxy_set_header", "user"}
# Some write comments as they know them from elsewhere.
_SLASHES = re.compile(r"(?m)(^|[;{}])([ \t]*)//")


class ParserMissing(Exception):
    """The parser is not installed where Ansible runs."""


@dataclass
class Node:
    """A directive with its words, without quotes; ``children`` are those of a block."""

    name: str
    args: list[str]
    file: str = ""
    line: int = 0
    children: list[Node] | None = None
    comments: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The words behind the name, as nginx reads them."""
        return " ".join(written(self.args, self.name))

    def shown(self) -> str:
        """The directive as a reader finds it."""
        return f"{self.name} {self.text()}".strip() + (" {…}" if self.children is not None else "")

    def first(self) -> str:
        return self.args[0] if self.args else ""

    def all(self, name: str) -> list[Node]:
        """The directives of that name in the block."""
        return [node for node in self.children or [] if node.name == name]

    def one(self, name: str) -> Node | None:
        """The directive of that name in the block, the last where there are several."""
        return next(iter(reversed(self.all(name))), None)

    def walk(self) -> Iterator[Node]:
        """The node and all below it."""
        todo = [self]
        while todo:
            node = todo.pop()
            yield node
            todo += reversed(node.children or [])

    def key(self) -> tuple[str, tuple[str, ...]]:
        """By what two directives are the same."""
        words = [self.text()] if self.name == "if" else self.args
        if self.name == "location" and len(words) == 1:
            found = re.match(r"(\^~|=|~\*|~)(.+)", words[0])
            words = [found[1], found[2]] if found else words
        return self.name, tuple(words)


def written(args: Iterable[str], name: str = "") -> list[str]:
    """Words in the quotes that they need."""
    words = [_word(word) for word in args]
    if name == "if" and words:
        # The parentheses are no part of what is compared, and stand outside of quotes.
        bare = " ".join(args)
        if bare.startswith("(") and bare.endswith(")"):
            inner = [*args]
            inner[0], inner[-1] = inner[0][1:], inner[-1] if len(inner) > 1 else inner[-1][1:]
            inner[-1] = inner[-1][:-1]
            inner = [word for word in inner if word]
            return [f"({' '.join(_word(word) for word in inner)})"]
    return words


def _word(word: str) -> str:
    if not word:
        return '""'
    bare = re.sub(r"\$\{\w+\}", "", word)
    # A backslash in a word without quotes is the word's own.
    if re.fullmatch(r"[^\s;{}\"'#]+", bare) and not word.endswith("\\"):
        return word
    return quoted(word, always=True)


def _tokens(text: str) -> Iterator[tuple[str, int, bool]]:
    try:
        from crossplane.lexer import lex_string
    except ImportError as error:
        raise ParserMissing(INSTALL) from error
    yield from lex_string(text)


class _Builder:
    """A tree out of tokens, without recursion."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.top = Node("", [], file, 0, [])
        self.open: list[Node] = [self.top]
        self.words: list[tuple[str, int]] = []
        self.comments: list[str] = []
        self.last: Node | None = None

    def _end(self, block: bool) -> None:
        if not self.words:
            return
        name, line = self.words[0]
        node = Node(name, [word for word, _line in self.words[1:]], self.file, line, [] if block else None)
        node.comments, self.comments = self.comments, []
        into = self.open[-1].children
        if into is not None:
            into.append(node)
        self.last = node
        self.words = []
        if block:
            self.open.append(node)

    def take(self, token: str, line: int, in_quotes: bool) -> None:
        if in_quotes or token not in ("{", "}", ";"):
            if token.startswith("#") and not in_quotes:
                if self.last is not None and self.last.line == line and not self.words and not self.comments:
                    self.last.comments.append(token)
                else:
                    self.comments.append(token)
                return
            self.words.append((token, line))
        elif token == ";":
            self._end(False)
        elif token == "{":
            self._end(True)
            if len(self.open) > MAX_DEPTH:
                raise ValueError(f"blocks lie more than {MAX_DEPTH} deep in one another")
        else:
            self._end(False)
            closed = self.open.pop() if len(self.open) > 1 else self.open[-1]
            closed.comments += self.comments
            self.comments = []


def parse(text: str, file: str, messages: list[str]) -> list[Node]:
    """The directives of one file; what is wrong with it goes to ``messages``, and what could be read is returned."""
    if "\0" in text:
        messages.append(f"{file}: holds zero bytes, and is left out")
        return []
    fixed = _SLASHES.sub(r"\1\2#", text)
    slashes = _SLASHES.search(text)
    if slashes:
        line = text.count("\n", 0, slashes.end()) + 1
        messages.append(f"{file}:{line}: // begins no comment in nginx; it is taken for one here")
    builder, count = _Builder(file), 0
    try:
        for token, line, in_quotes in _tokens(fixed):
            count += 1
            if count > MAX_NODES * 20:
                raise ValueError("is longer than any configuration")
            builder.take(token, line, in_quotes)
    except ParserMissing:
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error)
        messages.append(f"{file}:{getattr(error, 'lineno', None) or 1}: {reason}")
    return builder.top.children or []


def looks_like_nginx(text: str) -> bool:
    """Whether a file may be nginx's; an ini file is not."""
    for line in text.splitlines()[:400]:
        words = line.strip().split()
        if words and words[0].startswith("["):
            return False
        if words and words[0].rstrip("{") in _OURS and (line.rstrip().endswith((";", "{")) or "{" in line):
            return True
    return False


class Reader:
    """Reads a set of texts as nginx would: from nginx.conf on, or all of them where there is none."""

    def __init__(self, files: Mapping[str, str], main: str = "") -> None:
        self.files, self.main = files, main
        self.messages: list[str] = []
        self.count = self.includes = 0
        self.used: set[str] = set()
        self.base = ""

    def start(self) -> str | None:
        """The main file: nginx.conf with a block http, the shortest path of several."""
        if self.main in self.files:
            return self.main
        found = [path for path in self.files if posixpath.basename(path) == "nginx.conf"]
        found = [path for path in found if re.search(r"(?m)^\s*http\s*\{", self.files[path])]
        return min(found, key=len) if found else None

    def _matching(self, pattern: str, chain: tuple[str, ...] = ()) -> list[str]:
        """The files that an include means; to what another account has written only those that it may read."""
        by = import_speakers.first(*(import_speakers.speaker(self.files[path]) for path in chain))
        tries = [pattern] if pattern.startswith("/") else [posixpath.join(self.base, pattern)]
        if pattern.startswith("/etc/nginx/"):
            tries.append(posixpath.join(self.base, pattern[len("/etc/nginx/") :]))
        for one in tries:
            one = posixpath.normpath(one)
            # nginx's * does not go over a slash.
            level = [path for path in self.files if path.count("/") == one.count("/")]
            found = [path for path in level if fnmatch.fnmatchcase(path, one)]
            kept = [path for path in found if import_speakers.may_read(self.files[path], by)]
            if by is not None and len(kept) < len(found):
                self._once(f"{chain[-1]}: {pattern} is nothing that {by.shown} may read, and is left out")
            found = kept
            if found:
                return sorted(found)
        return []

    def _expand(self, nodes: list[Node], chain: tuple[str, ...]) -> list[Node]:
        found: list[Node] = []
        for node in nodes:
            self.count += 1
            if self.count > MAX_NODES:
                if self.count == MAX_NODES + 1:
                    where = f"{node.file}:{node.line}"
                    self.messages.append(f"{where}: more than {MAX_NODES} directives; the rest is left out")
                return found
            if node.name in _WITH_WORDS and not node.args and (node.name != "server" or node.children is None):
                self.messages.append(f"{node.file}:{node.line}: {node.name} says nothing, which nginx refuses")
                continue
            if node.children is not None:
                node.children = self._expand(node.children, chain)
            if node.name != "include" or node.children is not None:
                found.append(node)
                continue
            found += self._included(node, chain)
        return found

    def _once(self, message: str) -> None:
        if message not in self.messages[-MAX_DEPTH:]:
            self.messages.append(message)

    def _included(self, node: Node, chain: tuple[str, ...]) -> list[Node]:
        if posixpath.basename(node.first()) in KNOWN_FILES:
            self.used.update(self._matching(node.first()))
            return [node]
        paths, found = self._matching(node.first(), chain), []
        if not paths and posixpath.basename(node.first()) == "proxy_params":
            return [Node("proxy_set_header", [*words], node.file, node.line) for words in PROXY_PARAMS]
        if not paths and _PATTERN.search(node.first()) and not OWN_FOLDERS & set(node.first().split("/")):
            # nginx takes that for nothing, and it is no question.
            self._once(f"{node.file}:{node.line}: no file that was read is one of {node.first()}")
            return []
        if not paths:
            return [node]
        for path in paths:
            self.includes += 1
            if path in chain or len(chain) > MAX_DEPTH:
                self._once(f"{node.file}:{node.line}: {path} includes itself; it is read once")
                continue
            if self.includes > MAX_INCLUDES:
                self._once(f"{node.file}:{node.line}: more than {MAX_INCLUDES} includes; the rest is left out")
                break
            self.used.add(path)
            found += self._expand(parse(self.files[path], path, self.messages), (*chain, path))
        # The comments before the include belong to what it brings.
        if found:
            found[0].comments = [*node.comments, *found[0].comments]
        return found

    def read(self) -> list[Node]:
        """All directives from the top of the main file; includes stand for what they bring."""
        start = self.start()
        if start:
            self.base = posixpath.dirname(start)
            self.used.add(start)
            nodes = self._expand(parse(self.files[start], start, self.messages), (start,))
            for path in sorted(set(self.files) - self.used):
                if path.endswith(".conf") and looks_like_nginx(self.files[path]):
                    self.messages.append(f"{path}: nginx.conf includes it nowhere, and it is left out")
            return nodes
        found: list[Node] = []
        for path in sorted(self.files):
            if posixpath.basename(path) in KNOWN_FILES or not looks_like_nginx(self.files[path]):
                continue
            if path not in self.used:
                self.base = posixpath.dirname(path)
                self.used.add(path)
                found += self._expand(parse(self.files[path], path, self.messages), (path,))
        return found


def http_level(nodes: Iterable[Node]) -> tuple[list[Node], list[Node], list[Node]]:
    """(main, events, http) directives; what stands in a fragment without its http block is http's."""
    main: list[Node] = []
    events: list[Node] = []
    http: list[Node] = []
    own = {"user", "worker_processes", "pid", "daemon", "master_process", "load_module", "env", "pcre_jit", "stream"}
    nodes = list(nodes)
    whole = any(node.name == "http" for node in nodes)
    for node in nodes:
        if node.name == "http":
            http += node.children or []
        elif node.name == "events":
            events += node.children or []
        elif whole or node.name in own or node.name.startswith("worker_"):
            main.append(node)
        else:
            http.append(node)
    return main, events, http


def options(nodes: Iterable[Node]) -> dict[str, object]:
    """Directives as the mapping that ``options`` takes; what must keep its place has its first word in its key."""
    found: dict[str, object] = {}
    last = ""
    for node in nodes:
        key, value = _word(node.name), option_value(node)
        if node.children is not None:
            key = f"{key} {node.text()}".strip()
        if key in found and node.name in ("set", "rewrite") and last != key and len(node.args) > 1:
            key = f"{node.name} {_word(node.first())}"
            value = " ".join(written(node.args[1:]))
        if key in found:
            before = found[key]
            found[key] = [*before, value] if isinstance(before, list) else [before, value]
        else:
            found[key] = value
        last = key
    return found


def option_value(node: Node) -> object:
    if node.children is not None:
        return options(node.children)
    # A directive without a word: the plan knows which of them take none.
    return node.text() if node.args else ""
