"""A location as nginx reads it: its path, and where it leads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Which links nginx follows to a file.
LINKS = "disable_symlinks"
_PATH = re.compile(r"(=|~\*|~|\^~|)\s*(\S.*)\Z")
_ADDRESS = re.compile(r"(?P<base>https?://(?:unix:[^:]+:?|[^/?#]+))(?P<path>/.*)?\Z")


class Path:
    """A location's path as nginx reads it."""

    def __init__(self, text: str):
        found = _PATH.match(text.strip())
        self.modifier, self.text = (found[1], found[2]) if found else ("", text)
        if len(self.text) > 1 and self.text[0] in "\"'" and self.text[0] == self.text[-1]:
            self.text = self.text[1:-1]
        self.regex = self.modifier in ("~", "~*")
        self.named = self.text.startswith("@") and not self.modifier
        self.exact = self.modifier == "="
        self.prefix = not (self.regex or self.named or self.exact)
        # nginx takes /a and ^~ /a for the same.
        self.key = ("" if self.prefix else self.modifier, self.text)

    @property
    def bare(self) -> str:
        """A prefix that ends in a slash, without it; empty where there is none."""
        return self.text[:-1] if self.prefix and self.text.endswith("/") else ""


def address_of(location: dict[str, Any]) -> tuple[str, str]:
    """An address of proxy_pass in two: what is asked, and the path there (empty where there is none)."""
    found = _ADDRESS.match(location["proxy_pass"] or "")
    if not found:
        return location["proxy_pass"] or "", ""
    base, path = found["base"], found["path"] or ""
    if "://unix:" in base and base.endswith(":"):
        base = base[:-1]
    return base, path


def upstream_of(location: dict[str, Any], upstreams: Mapping[str, Any]) -> dict[str, Any] | None:
    """The one of publish_upstreams that the location leads to."""
    name = location["upstream"] or address_of(location)[0].partition("://")[2]
    return upstreams.get(name)


def asks_program(location: dict[str, Any]) -> bool:
    """Whether the location leads to a program, whose answer may send nginx elsewhere."""
    return bool(not location["static"] and (location["app"] or location["proxy_pass"] or location["upstream"]))


def is_internal(location: dict[str, Any]) -> bool:
    """Whether only an application's own answers lead to this folder of it."""
    return bool(location["internal"] and location["static"] and location["app"])
