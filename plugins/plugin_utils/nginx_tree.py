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
# The first nginx that keeps idle connections to an upstream untold.
_KEEPS_SINCE = (1, 29, 7)
# Blocks that are nothing without arguments, and directives that take none: true is the directive alone.
WITH_ARGUMENTS = {"if", "location", "limit_except", "map", "geo", "split_clients"}
WITHOUT_ARGUMENTS = {"break", "internal", "ip_hash", "least_conn", "random", "empty_gif", "flv", "mp4"}
# Lines that begin with the name of a header or a parameter.
WITH_NAME = {"add_header", "add_trailer", "proxy_set_header", "grpc_set_header"}
WITH_NAME |= {"uwsgi_param", "fastcgi_param", "scgi_param"}
# Lines that people write as a mapping of what they name, which would be a block to nginx.
WITHOUT_BLOCK = {"add_header", "add_trailer", "error_page", "fastcgi_param", "log_format", "proxy_set_header", "set"}
WITHOUT_BLOCK |= {"proxy_cookie_domain", "proxy_cookie_path", "proxy_redirect", "rewrite", "uwsgi_param"}
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
                if after == ")":
                    # As in if ($request_method = 'OPTIONS'): nginx begins another word with it.
                    index += 2
                    fresh = False
                    continue
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


def _hint(text: str, flaw: str) -> str:
    """What to write in the place of a value, or of a block's name and arguments, that has a flaw."""
    if text.rstrip().endswith(";"):
        return "leave off the final ;"
    if text.rstrip().endswith("{"):
        return "leave off the {, and write the block's directives as a mapping below it"
    words = text.split()
    if "comment" in flaw:
        return "put quotes around the word, or write the comment as one of YAML's"
    if not any(quote in text for quote in "\"'") and words:
        # In if ($uri ~ ^/a{2}$) the word is what stands before the last parenthesis.
        end = ")" if words[0] == "if" and words[-1].endswith(")") else ""
        words[-1] = words[-1][: len(words[-1]) - len(end)]
        shown = [quoted(word, always=bool(re.search(r"[;{}#]", _plain(word)))) for word in words]
        if _flaw(" ".join(shown) + end) is None:
            return f"put quotes around the word: {' '.join(shown)}{end}"
    return "put quotes around the whole word, and a backslash before quotes in it"


def _plain(word: str) -> str:
    return re.sub(r"\$\{\w+\}", "", word)


def _folded(name: str, value: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Blocks whose arguments stand as the keys of a mapping, as in ``if: {($a = b): {...}}``; else the one block."""
    if name.strip() in WITH_ARGUMENTS and value and all(isinstance(item, Mapping) for item in value.values()):
        return [(f"{name.strip()} {arguments}", item) for arguments, item in value.items()]
    return [(name, value)]


def directives(options: Mapping[str, Any], path: str, problems: list[Problem]) -> list[Directive]:
    """The tree of a mapping: text or number, true/false (on/off), a list (repeated), a mapping (a block), null (none).

    A key may carry the arguments of its block, as in ``map $http_upgrade $connection_upgrade``.
    """
    tree: list[Directive] = []
    for name, value in options.items():
        here = f"{path}.{name}"
        flaw = "is empty" if not str(name).strip() else _flaw(str(name))
        if flaw:
            hint = "write the directive's name, or '\"\"' for an empty word"
            hint = _hint(str(name), flaw) if str(name).strip() else hint
            problems.append(Problem(here, f"the name {flaw}", hint))
            continue
        for index, item in enumerate(value if isinstance(value, list) else [value]):
            at = f"{here}[{index}]" if isinstance(value, list) else here
            if item is None:
                continue
            if isinstance(item, Mapping) and str(name).strip() in WITHOUT_BLOCK:
                shown = ", ".join(f"'{key} …'" for key in item)
                message = f"is a mapping, which would be a block, and {str(name).strip()} has none"
                problems.append(Problem(at, message, f"write a list of lines: [{shown}]"))
                continue
            if isinstance(item, Mapping):
                for shown, inner in _folded(str(name), item):
                    flaw = _flaw(shown)
                    if flaw:
                        problems.append(Problem(at, f"the name {flaw}", _hint(shown, flaw)))
                    else:
                        tree.append([shown, "", directives(inner, at, problems)])
                continue
            if str(name).split()[0] in WITH_ARGUMENTS:
                kind = str(name).split()[0]
                message = f"is no block, and {kind} is nothing without one"
                hint = f"write its directives as a mapping below '{kind} …'"
                problems.append(Problem(at, message, hint))
                continue
            if isinstance(item, bool) and str(name).strip() in WITHOUT_ARGUMENTS:
                tree += [[name, "", None]] if item else []
                continue
            text = _value(item)
            if text is None:
                message = f"a {type(item).__name__} is no value of a directive"
                problems.append(
                    Problem(at, message, "write text, a number, true or false, a list of these or a mapping")
                )
                continue
            flaw = _flaw(text)
            if flaw:
                problems.append(Problem(at, f"{text!r} {flaw}", _hint(text, flaw)))
                continue
            if str(name).strip() in WITH_NAME and not (text.split() or [""])[0].strip("\"'"):
                hint = "write a name and its value, or leave it out"
                problems.append(Problem(at, f"{text!r} begins with no name", hint))
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


def idle(nginx_version: str, kept: int | None = None) -> list[Directive]:
    """How many idle connections nginx keeps, in an upstream block: none unless one is told.

    From 1.29.7 on it keeps 32 where nothing is said, and uWSGI closes each, which counts as a failure of its server;
    before that it does not know the number 0.
    """
    if kept or tuple(map(int, re.findall(r"\d+", nginx_version)[:3])) >= _KEEPS_SINCE:
        return [["keepalive", str(kept or 0), None]]
    return []
