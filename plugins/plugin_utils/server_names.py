"""Names of sites that no request can have, which nginx takes and never answers to."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

from .problem import Problems

_PLAIN = re.compile(r"([*]?[.])?[\w-]+([.][\w-]+)*([.][*])?\Z", re.ASCII)
_BRACKETS = re.compile(r"\[[0-9a-fA-F:.]+\]\Z")
_PORT = re.compile(r"(?P<name>[^:/\s]+|\[[^\]]*\]):\d*\Z")
_ALONE = re.compile(r"(?:\w+://)?(?P<name>[^/:\s]+)")


def unquoted(name: str) -> str:
    return name[1:-1] if len(name) > 1 and name[0] in "\"'" and name[0] == name[-1] else name


def written(names: Iterable[str]) -> str:
    """Names as server_name has them; an empty one is that of requests without a name."""
    return " ".join(name or '""' for name in names) or "_"


def _wrong(name: str) -> tuple[str, str] | None:
    """What is wrong with a name, and the mend; None where nginx answers to it, or says itself that it is none."""
    both = name.startswith((".", "*.")) and name.endswith(".*")
    if name in ("", "_") or name.startswith("~") or "$" in name or _BRACKETS.match(name):
        return None
    if _PLAIN.match(name) and not both:
        return None
    if re.search(r"[\s,]", name):
        found = ", ".join(word for word in re.split(r"[\s,]+", name) if word)
        return "is several names in one text", f"write a list: [{found}]"
    try:
        return "is an address without brackets, which no browser sends", f"write [{ipaddress.IPv6Address(name)}]"
    except ValueError:
        pass
    port, alone = _PORT.match(name), _ALONE.match(name)
    if port:
        return "holds a port, which nginx leaves out of what it compares", f"write {port['name']}, the port into listen"
    if "/" in name and alone:
        return "is an address, and a name is what stands in it", f"write {alone['name']}"
    if name == "*":
        return "is no name", "write _, which stands for each that no other site has"
    if both:
        return "has a * at both ends, of which nginx takes one", "write *.example.com or www.example.*, or both of them"
    if "*" in name:
        hint = "write *.example.com, www.example.*, or a regular expression that begins with ~"
        return "has a * that is no whole part of it at an end", hint
    return "is no name that can be asked for", "write e.g. example.com"


def check(site: Mapping[str, Any], path: str, problems: Problems) -> bool:
    """Refuse them; whether the first name is fine."""
    fine = True
    for key in ("server_name", "aliases"):
        for index, text in enumerate(site[key]):
            # Of quotes, braces and semicolons another one speaks.
            wrong = None if re.search(r"[\"'{};#\\]", unquoted(text)) else _wrong(unquoted(text))
            if key == "aliases" and text == "_":
                hint = "publish a site for it: server_name: ['_'], redirect: https://example.com"
                wrong = ("is no name, and only the default server answers for names that no site has", hint)
            if wrong:
                problems.add(f"{path}.{key}[{index}]", f"{text!r} {wrong[0]}", wrong[1])
                fine = fine and (key, index) != ("server_name", 0)
    return fine
