"""The archives that nginx is built from: which, from where, and with which checksum."""

from __future__ import annotations

import re
from typing import Any

from .downloads import CHECKSUMS, UPSTREAM, ZIG_WHEELS, checksum_of, stated, zig_wheel
from .model import Source
from .problem import Problem, close_match

VERSION = re.compile(r"\d+(\.\d+)+[a-z]?(-[a-z0-9]+)?")
_URL = re.compile(r"(https?|ftp)://\S+")
_RELEASE = re.compile(rf"({'|'.join(UPSTREAM)})-{VERSION.pattern}|zig-{VERSION.pattern}-({'|'.join(ZIG_WHEELS)})")


def is_zig(values: dict[str, Any]) -> bool:
    return bool(values["nginx_build_toolchain"] == "zig")


def is_from_source(values: dict[str, Any], name: str) -> bool:
    """Whether zlib or openssl is built in."""
    return values[f"nginx_{name}"] == "source" or (values[f"nginx_{name}"] == "auto" and is_zig(values))


def components_of(values: dict[str, Any]) -> dict[str, str]:
    """What is built from source: name -> version."""
    components = {"nginx": values["nginx_version"], "pcre2": values["nginx_pcre2_version"]}
    for name in ("zlib", "openssl"):
        if is_from_source(values, name):
            components[name] = values[f"nginx_{name}_version"]
    return components


def _check_places(values: dict[str, Any], problems: list[Problem]) -> None:
    """Refuse places that nothing can be fetched from."""
    for name, url in values["nginx_urls"].items():
        known = [*UPSTREAM, "zig"]
        if name not in known:
            meant = close_match(name, known)
            hint = f"did you mean {meant}?" if meant else f"known here: {', '.join(known)}"
            problems.append(Problem(f"nginx_urls.{name}", "there is no such source", hint))
        elif not isinstance(url, str) or not _URL.fullmatch(url):
            problems.append(Problem(f"nginx_urls.{name}", f"{url!r} is no URL", "write http://, https:// or ftp://…"))
    mirror = values["nginx_mirror"]
    if mirror and not _URL.fullmatch(mirror):
        problems.append(Problem("nginx_mirror", f"{mirror!r} is no URL", "write http://, https:// or ftp://…"))


def sources_of(values: dict[str, Any], host: dict[str, Any], problems: list[Problem]) -> list[Source]:
    """The archives to fetch, each with where it comes from and the sha256 it must have."""
    hint = "write <name>-<version>, e.g. nginx-1.30.6"
    given = stated("nginx_checksums", values["nginx_checksums"], _RELEASE, hint, problems)
    _check_places(values, problems)
    sources = []
    arch = host.get("arch")
    wanted = list(components_of(values).items())
    if is_zig(values) and arch in ZIG_WHEELS:
        wanted.append(("zig", values["nginx_zig_version"]))
    for name, version in wanted:
        variable = "nginx_version" if name == "nginx" else f"nginx_{name}_version"
        if not VERSION.fullmatch(version):
            problems.append(Problem(variable, f"{version!r} is no version", 'write it in quotes, e.g. "1.30.6"'))
            continue
        release = f"{name}-{version}-{arch}" if name == "zig" else f"{name}-{version}"
        # Without one the plan is refused.
        checksum = checksum_of(release, given)
        if not checksum and f"nginx_checksums.{release}" not in {problem.path for problem in problems}:
            others = ", ".join(key for key in CHECKSUMS if key.startswith(f"{name}-"))
            hint = f"set nginx_checksums['{release}']"
            hint += f", or take a version whose checksum is known: {others}" if others else " (none is known here)"
            problems.append(Problem(variable, f"no sha256 is known for {release}", hint))
        file = zig_wheel(version, str(arch)) if name == "zig" else f"{release}.tar.gz"
        path, url = _place(values, host, name, version, file)
        sources.append(
            Source(name=name, version=version, release=release, file=file, sha256=checksum, path=path, url=url)
        )
    return sources


def _place(
    values: dict[str, Any], host: dict[str, Any], name: str, version: str, file: str
) -> tuple[str | None, str | None]:
    """The path on the controller that a source has, or the address that it is fetched from."""
    urls, mirror = values["nginx_urls"], values["nginx_mirror"]
    folder = values["nginx_source_dir"] if name not in urls else ""
    if name == "zig" and file not in ((host.get("builder") or {}).get("wheels") or []):
        # Where no URL is named either, pip fetches it, by its own settings.
        folder = ""
    if folder:
        return f"{folder.rstrip('/')}/{file}", None
    url = UPSTREAM[name].format(file=file, version=version) if name in UPSTREAM else None
    return None, urls.get(name, f"{mirror.rstrip('/')}/{file}" if mirror else url)
