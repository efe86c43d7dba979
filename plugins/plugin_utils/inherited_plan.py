"""Lists of nginx's that a block inherits only where it says none of its kind itself.

A user who gives a site, or all of nginx, a header means it for every location of it, whatever the plan or the location
says besides: a block that says some of a kind gets those of the blocks around it said again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .model import Site
from .nginx_tree import Directive, directives

# By what two lines of a kind are the same, the inner one standing for the outer.
_HEADERS = ("proxy_set_header", "grpc_set_header", "add_header", "add_trailer")
_PARAMS = ("uwsgi_param", "fastcgi_param", "scgi_param")
# Of these nginx takes the first that fits: the inner ones stand first.
_FIRST = ("proxy_redirect", "proxy_cookie_path", "proxy_cookie_domain", "proxy_cookie_flags")
_HIDDEN = tuple(f"{kind}_{verb}_header" for kind in ("proxy", "uwsgi") for verb in ("hide", "pass"))
KINDS = (*_HEADERS, *_PARAMS, *_FIRST, *_HIDDEN)
# Blocks whose lists are inherited from around them.
_BLOCKS = ("location", "if", "limit_except")


# Of these headers one answer may have several.
_SEVERAL = {"set-cookie", "link", "vary", "www-authenticate", "content-security-policy"}


def key(line: Directive) -> str:
    """What makes two lines of a kind the same."""
    word = (str(line[1]).split() or [""])[0].strip("\"'")
    if line[0] in _PARAMS:
        return word
    return str(line[1]) if word.lower() in _SEVERAL else word.lower()


def listed(block: Iterable[Directive], kind: str) -> list[Directive]:
    return [line for line in block if line[0] == kind and line[2] is None]


def given(options: Mapping[str, Any]) -> list[Directive]:
    """The lines of these kinds in a mapping of the user's."""
    return directives({name: value for name, value in options.items() if str(name).strip() in KINDS}, "", [])


def around(
    block: Collection[Directive], outer: Collection[Directive], without: Collection[str] = ()
) -> list[Directive]:
    """The lines of all kinds that a block has, its own and those of the blocks around it that it means as well.

    ``without``: names of headers, in small letters, that the block takes away.
    """
    found: list[Directive] = []
    for kind in KINDS:
        own = listed(block, kind)
        keys = {key(line) for line in own} | set(without)
        found += [*own, *(line for line in listed(outer, kind) if key(line) not in keys)]
    return found


def completed(block: list[Directive], outer: Collection[Directive], without: Collection[str] = ()) -> list[Directive]:
    """``block`` and the blocks in it, each with what its own lists would lose of those around it."""
    effective = around(block, outer, without)
    own = {line[0] for line in block if line[2] is None}
    found = [
        [name, value, completed(children, effective)]
        if children is not None and (str(name).split() or [""])[0] in _BLOCKS
        else [name, value, children]
        for name, value, children in block
    ]
    return found + [line for line in effective if line[0] in own and line not in block]


def _keys(lines: Iterable[Directive]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        if line[2] is None and line[0] in KINDS:
            # In a file a line is known by its first word.
            found.setdefault(line[0], []).append((str(key(line)).split() or [""])[0])
    return found


def _includes(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The files that a block of the user's includes, each with its place in the variable."""
    value = options.get("include") or []
    lines = value if isinstance(value, list) else [value]
    places = [f"[{index}]" if isinstance(value, list) else "" for index in range(len(lines))]
    files = [(place, str(line).strip().strip("\"'")) for place, line in zip(places, lines, strict=True)]
    # The plan says all of it itself, and leaves the file out.
    return [(place, file) for place, file in files if not file.endswith("uwsgi_params")]


def checks(
    sites: list[dict[str, Any]], planned: list[Site], conf: Mapping[str, Any], home: str
) -> list[dict[str, Any]]:
    """What only the host can tell: which lines of these kinds stand in files that sites and locations include."""
    found = []
    for index, (site, plan) in enumerate(zip(sites, planned, strict=True)):
        block, path = plan.server[2], f"publish_sites[{index}]"
        inner = [children for name, _value, children in block if name == "location"]
        outer = around(block, given(conf))
        lost = sorted({kind for children in inner for kind in _keys(children)})
        blocks = [(path, site["options"], block, given(conf), lost)]
        for at, location in enumerate(site["locations"]):
            inside = (line[2] for line in block if line[0] == "location" and line[1] == location["path"])
            children: list[Directive] = next(inside, [])
            blocks.append((f"{path}.locations[{at}]", location["options"], children, outer, []))
        for where, options, children, around_it, gone in blocks:
            found += [
                {
                    "kind": "included",
                    "variable": f"{where}.options.include{place}",
                    "home": home,
                    "include": file,
                    "own": _keys(children),
                    "outer": _keys(around_it),
                    "lost": gone,
                }
                for place, file in _includes(options)
            ]
    return found
