"""nginx configuration as a tree of ``[directive, value, children or None]``, which a template prints as it stands.

What a user writes as a mapping becomes such a tree here, checked with nginx's own rules of words and quotes, so that
no value can end its directive early or swallow the next one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from .problem import Problem

Directive = list[Any]
# In quotes; nginx keeps a backslash that stands before anything else.
_SPECIAL = re.compile(r"""\\(?=[\\"'trn]|\Z)|["]""")


def _flaw(text: str) -> str | None:
    """What would make nginx read ``text`` as something else than the words of one directive."""
    quote = ""
    index, fresh = 0, True
    while index < len(text):
        char = text[index]
        if char == "\\":
            if index + 1 == len(text):
                return "ends in a backslash"
            index += 2
            fresh = False
            continue
        if quote:
            if char == quote:
                quote = ""
                after = text[index + 1 : index + 2]
                if after and not after.isspace():
                    return f"has {after!r} right after a closing quote"
        elif char in "\"'" and fresh:
            quote = char
        elif char == "$" and text[index + 1 : index + 2] == "{":
            end = text.find("}", index)
            if end < 0:
                return "opens ${ and does not close it"
            # nginx spares only the { itself: what else is special ends the word in there too.
            if not re.fullmatch(r"\w+", text[index + 2 : end]):
                return f"has {text[index : end + 1]!r}, which is no variable"
            index = end
        elif char == "#" and fresh:
            return "has a # that starts a comment"
        elif char in ";{}":
            return f"has a bare {char}"
        fresh = not quote and char in " \t\r\n"
        index += 1
    return f"opens a {quote} and does not close it" if quote else None


def _value(value: Any) -> str | None:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (str, int, float)):
        return str(value).strip()
    return None


def directives(options: Mapping[str, Any], path: str, problems: list[Problem]) -> list[Directive]:
    """The tree of a mapping: text or number, true/false (on/off), a list (repeated), a mapping (a block), null (none).

    A key may carry the arguments of its block, as in ``map $http_upgrade $connection_upgrade``.
    """
    tree: list[Directive] = []
    for name, value in options.items():
        here = f"{path}.{name}"
        flaw = "is empty" if not str(name).strip() else _flaw(str(name))
        if flaw:
            problems.append(Problem(here, f"the name {flaw}", "write the directive's name; quote what is special"))
            continue
        for index, item in enumerate(value if isinstance(value, list) else [value]):
            at = f"{here}[{index}]" if isinstance(value, list) else here
            if item is None:
                continue
            if isinstance(item, Mapping):
                tree.append([name, "", directives(item, at, problems)])
                continue
            text = _value(item)
            if text is None:
                says = f"a {type(item).__name__} is no value of a directive"
                problems.append(Problem(at, says, "write text, a number, true or false, a list of these or a mapping"))
                continue
            flaw = _flaw(text)
            if flaw:
                mend = "leave off the final ;" if text.endswith(";") else "put quotes around the word"
                problems.append(Problem(at, f"{text!r} {flaw}", mend))
                continue
            tree.append([name, text, None])
    return tree


def quoted(text: str, always: bool = False) -> str:
    """``text`` as one word of nginx's, in quotes where it needs them; variables in it stay variables."""
    if not always and re.fullmatch(r"[^\s;{}\"'#\\]+", text):
        return text
    return '"' + _SPECIAL.sub(lambda found: "\\" + found[0], text) + '"'


def slug(name: str) -> str:
    """``name`` as a part of a variable's, no two names alike; short, since nginx's hash takes names of 46 letters."""
    # Neither variables nor the names of upstreams know case.
    plain = re.sub(r"[^a-z0-9_]", "_", name.lower())
    return (
        plain if plain == name and len(name) <= 12 else f"{plain[:7]}_{hashlib.sha256(name.encode()).hexdigest()[:4]}"
    )


def first_words(options: Mapping[str, Any], name: str) -> set[str]:
    """What the lines of a directive that repeats, such as add_header, begin with; in small letters."""
    given = options.get(name, [])
    lines = given if isinstance(given, list) else [given]
    return {str(line).split()[0].lower() for line in lines if str(line).split()}


def merged(base: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the user's directives in their place: same name replaces, null takes away, new ones follow."""
    return {**base, **options}
