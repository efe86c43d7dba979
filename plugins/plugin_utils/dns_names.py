"""Names as they are sent: browsers ask for ``xn--mller-kva.test`` where a user writes ``müller.test``.

By the rules that browsers follow (UTS 46, nontransitional), under which ``straße`` is not ``strasse``. Python's own
codec ``idna`` is of 2003 and takes it for that; the package ``idna`` is not on every controller, and names must not
depend on it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from .problem import Problems

# In an address: what comes before the name, and the name (without user, port and path).
_ADDRESS = re.compile(r"(?P<start>\bhttps?://)(?P<name>[^\s/:?#\"';{}$\[\]]+)")
# What Unicode classes letters, marks, digits and symbols, of which browsers let some pass.
_CLASSES = ("L", "M", "N", "S")
_HINT = "write the name as browsers send it, beginning with xn--"


class NoName(ValueError):
    """Text that no request can have as its host."""


def _label(text: str) -> str:
    if text.isascii():
        return text
    for char in text:
        if char != "-" and not char.isascii() and unicodedata.category(char)[0] not in _CLASSES:
            raise NoName(f"{char!r} can be in no name")
    if unicodedata.category(text[0]).startswith("M"):
        raise NoName(f"{text!r} begins with a mark that belongs to the letter before it")
    if re.search(r"[^\w*-]", "".join(char for char in text if char.isascii())):
        raise NoName(f"{text!r} holds more than letters, digits and -")
    if "*" in text:
        raise NoName(f"{text!r} has a * beside letters")
    found = f"xn--{text.encode('punycode').decode()}"
    if len(found) > 63:
        raise NoName(f"{text!r} is too long: {len(found)} letters as it is sent, and 63 at most")
    return found


def encoded(name: str) -> str:
    """The name as it is sent, in small letters; wildcards stay. Raises NoName."""
    if name.isascii():
        found = name.lower()
    else:
        # Letter by letter: Python knows of a final sigma.
        text = "".join(char.lower() for char in name.replace("\u00ad", ""))
        text = unicodedata.normalize("NFKC", text).lower().replace("\u3002", ".")
        labels = text.rstrip(".").split(".")
        if "" in labels[1:]:
            raise NoName("it has nothing between two dots")
        found = ".".join(map(_label, labels))
        if len(found) > 253:
            raise NoName(f"it is too long: {len(found)} letters as it is sent, and 253 at most")
    # nginx leaves a last dot out of what it is asked for.
    return found[:-1] if len(found) > 1 and found.endswith(".") else found


def _regex(name: str) -> str:
    if name.isascii():
        return name
    # Labels as they stand in an expression, with the backslashes of its dots between them.
    words = [word for word in re.findall(r"[^\W_][\w-]*", name) if not word.isascii()]
    try:
        shown = ", ".join(f"{word} is sent as {encoded(word)}" for word in words)
    except NoName:
        shown = ""
    raise NoName(f"a regular expression is held against the name as it is sent{': ' if shown else ''}{shown}")


def server_name(name: str) -> str:
    """A name of a server block's, which may be a regular expression."""
    if name.lstrip("\"'").startswith("~"):
        return _regex(name)
    return name if "$" in name else encoded(name)


def address(text: str) -> str:
    """Text with addresses in it, such as the target of a redirect; what else it holds is sent as UTF-8, escaped."""
    found = _ADDRESS.sub(lambda match: match["start"] + encoded(match["name"]), text)
    return "".join(char if char.isascii() else quote(char) for char in found)


def host_port(text: str) -> str:
    """host:port; anything that is not, as it is."""
    host, colon, port = text.rpartition(":")
    if text.startswith(("unix:", "[", "/")) or text.isascii():
        return text
    return f"{encoded(host)}:{port}" if colon else encoded(text)


def sent(values: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """The variables of the publish role with all names as they are sent."""

    def told(change: Callable[[str], str], text: Any, path: str) -> Any:
        try:
            return change(text) if isinstance(text, str) else text
        except NoName as error:
            problems.add(path, f"{text!r} is no name that can be asked for: {error}", _HINT)
            return text

    def every(change: Callable[[str], str], texts: list[str], path: str) -> list[str]:
        return [told(change, text, f"{path}[{index}]") for index, text in enumerate(texts)]

    def keys(block: Mapping[str, Any], names: tuple[str, ...], path: str) -> dict[str, Any]:
        return {**block, **{name: told(address, block[name], f"{path}.{name}") for name in names}}

    def site(block: dict[str, Any], path: str) -> dict[str, Any]:
        named = {key: every(server_name, block[key], f"{path}.{key}") for key in ("server_name", "aliases")}
        locations = [
            keys(location, ("redirect", "proxy_pass", "return"), f"{path}.locations[{index}]")
            for index, location in enumerate(block["locations"])
        ]
        return {**keys(block, ("redirect",), path), **named, "locations": locations}

    def app(block: dict[str, Any], path: str) -> dict[str, Any]:
        probe = block["probe"]
        if not isinstance(probe, Mapping) or not probe.get("host"):
            return block
        return {**block, "probe": {**probe, "host": told(host_port, probe["host"], f"{path}.probe.host")}}

    def upstream(block: dict[str, Any], path: str) -> dict[str, Any]:
        servers = [
            {**server, "address": told(host_port, server["address"], f"{path}.servers[{index}].address")}
            for index, server in enumerate(block["servers"])
        ]
        return {**block, "servers": servers}

    found = dict(values)
    for key, change in (("publish_sites", site), ("publish_apps", app), ("publish_upstreams", upstream)):
        found[key] = [change(block, f"{key}[{index}]") for index, block in enumerate(values[key])]
    return found
