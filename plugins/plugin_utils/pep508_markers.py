"""Environment markers of dependencies (PEP 508) as alternatives of conditions, so that several ways to one are joined.

A lock tells on each edge of its graph when it holds. What an application needs is reached along edges, so that markers
are joined by `and` on a way and by `or` where ways meet. Conditions on extras and groups are settled while a marker is
read, since nobody installs more than one set of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Iterable
from typing import TypeVar

# Alternatives, each a set of conditions that all hold; the empty condition always holds, no alternative never.
Marker = frozenset[frozenset[str]]
ALWAYS: Marker = frozenset([frozenset()])
NEVER: Marker = frozenset()
# A lock that needs more than these was made for so many platforms that its lines would be of no use.
MOST = 400
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>'[^'\x00-\x1f\x7f-\x9f\u2028\u2029]*'|"[^"\x00-\x1f\x7f-\x9f\u2028\u2029]*")
        |(?P<paren>[()])
        |(?P<op>===|~=|==|!=|<=|>=|<|>|not\s+in\b|in\b)
        |(?P<join>and\b|or\b)
        |(?P<name>[A-Za-z_][\w.]*)
    )""",
    re.X,
)
_SETTLED = {"extra": "extras", "extras": "extras", "dependency_groups": "groups"}
_Node = TypeVar("_Node", bound=Hashable)


class MarkerError(ValueError):
    """A text is no marker, or too many of them meet."""


def key(name: str) -> str:
    """A project's or an extra's name as installers compare them."""
    return re.sub(r"[-_.]+", "-", name).lower()


def either(*markers: Marker) -> Marker:
    """Whether one of them holds; an alternative that another one covers is left out."""
    ways = {way for marker in markers for way in marker}
    found = frozenset(way for way in ways if not any(other < way for other in ways))
    if len(found) > MOST:
        raise MarkerError(f"a package is needed under more than {MOST} different conditions")
    return found


def both(one: Marker, other: Marker) -> Marker:
    """Whether both hold."""
    return either(frozenset(first | second for first in one for second in other))


def text(marker: Marker) -> str:
    """The marker as a requirement has it behind its semicolon; empty where it always holds."""
    if marker == ALWAYS:
        return ""
    ways = [" and ".join(sorted(way)) for way in sorted(marker, key=lambda way: (len(way), sorted(way)))]
    return ways[0] if len(ways) == 1 else " or ".join(f"({way})" if " and " in way else way for way in ways)


def parse(said: str | None, extras: Collection[str] = (), groups: Collection[str] = ()) -> Marker:
    """A marker as it is written; ``extras`` and ``groups`` are those that are installed."""
    if not said or not said.strip():
        return ALWAYS
    chosen = {"extras": {key(name) for name in extras}, "groups": {key(name) for name in groups}}
    return _Reader(said, chosen).whole()


class _Reader:
    """Reads one marker from its tokens."""

    def __init__(self, said: str, chosen: dict[str, set[str]]) -> None:
        self.said, self.chosen, self.at = said, chosen, 0
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while said[at:].strip():
            match = _TOKEN.match(said, at)
            if not match or not match.lastgroup:
                raise MarkerError(f"{said!r} is no environment marker")
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()

    def whole(self) -> Marker:
        found = self._any()
        if self.at < len(self.tokens):
            raise MarkerError(f"{self.said!r} is no environment marker")
        return found

    def _next(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("", "")

    def _take(self, *kinds: str) -> tuple[str, str]:
        kind, word = self._next()
        if kind not in kinds:
            raise MarkerError(f"{self.said!r} is no environment marker")
        self.at += 1
        return kind, word

    def _any(self) -> Marker:
        found = self._all()
        while self._next() == ("join", "or"):
            self.at += 1
            found = either(found, self._all())
        return found

    def _all(self) -> Marker:
        found = self._one()
        while self._next() == ("join", "and"):
            self.at += 1
            found = both(found, self._one())
        return found

    def _one(self) -> Marker:
        if self._next() == ("paren", "("):
            self.at += 1
            found = self._any()
            if self._take("paren")[1] != ")":
                raise MarkerError(f"{self.said!r} is no environment marker")
            return found
        left, sign, right = self._take("name", "text"), self._take("op")[1], self._take("name", "text")
        sign = " ".join(sign.split())
        names = [word for kind, word in (left, right) if kind == "name"]
        if len(names) != 1:
            raise MarkerError(f"{self.said!r} is no environment marker")
        if names[0] in _SETTLED:
            value = next(word[1:-1] for kind, word in (left, right) if kind == "text")
            there = key(value) in self.chosen[_SETTLED[names[0]]]
            return ALWAYS if there == (sign in ("==", "===", "in")) else NEVER
        words = [_quoted(word) if kind == "text" else word for kind, word in (left, right)]
        return frozenset([frozenset([f"{words[0]} {sign} {words[1]}"])])


def _quoted(word: str) -> str:
    if " -" in word:
        # pip would read an option there.
        raise MarkerError(f"{word} is no value of a marker")
    return word if '"' in word[1:-1] else f'"{word[1:-1]}"'


def reached(
    roots: Iterable[tuple[_Node, Marker]], edges: dict[_Node, list[tuple[_Node, Marker]]]
) -> dict[_Node, Marker]:
    """What can be reached from the roots, and under which marker."""
    found: dict[_Node, Marker] = {}
    waiting = list(roots)
    while waiting:
        node, marker = waiting.pop()
        before = found.get(node, NEVER)
        now = either(before, marker)
        if now != before:
            found[node] = now
            waiting += [(other, both(now, edge)) for other, edge in edges.get(node, ())]
    return found


# -- versions of Python as Poetry and PEP 440 write them --------------------------------------------------------------

_COMPARED = re.compile(r"(\^|~=|~|===?|!=|<=|>=|<|>)?\s*v?(\d+(?:\.\d+)*)(\.\*)?\Z")


def of_python(constraint: str | None) -> Marker:
    """The Pythons of a constraint such as ``>=3.8,<4``, ``^3.8`` or ``~2.7 || ^3.6`` as a marker."""
    found = NEVER
    for part in re.split(r"\s*\|\|?\s*", (constraint or "*").strip()):
        held = ALWAYS
        for word in re.split(r"\s*,\s*|(?<=[\d*])\s+(?=[\^~=!<>])", part):
            held = both(held, _python(word.strip()))
        found = either(found, held)
    return found


def _python(word: str) -> Marker:
    if word in ("", "*"):
        return ALWAYS
    match = _COMPARED.match(word)
    if not match:
        raise MarkerError(f"{word!r} is no version of Python")
    sign, version, star = match.groups()
    numbers = [int(number) for number in version.split(".")]
    if sign in ("^", "~", "~="):
        # What is raised: ^ the first number, ~ the second, ~= the last but one; Python 0 does not concern anybody.
        kept = {"^": 1, "~": min(2, len(numbers)), "~=": max(1, len(numbers) - 1)}[sign]
        top = [*numbers[: kept - 1], numbers[kept - 1] + 1]
        return both(_condition(">=", numbers), _condition("<", top))
    if star or not sign:
        sign = sign or "=="
        if len(numbers) == 1:
            low, high = _condition(">=", numbers), _condition("<", [numbers[0] + 1])
            return (
                both(low, high)
                if sign == "=="
                else either(_condition("<", numbers), _condition(">=", [numbers[0] + 1]))
            )
        return _condition(sign, numbers)
    return _condition(sign, numbers)


def _condition(sign: str, numbers: list[int]) -> Marker:
    numbers = [*numbers, 0] if len(numbers) == 1 else numbers
    name = "python_version" if len(numbers) == 2 else "python_full_version"
    return frozenset([frozenset([f'{name} {sign} "{".".join(str(number) for number in numbers)}"'])])
