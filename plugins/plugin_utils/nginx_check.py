"""What is refused of nginx's variables: accounts, numbers, flags and the toolchain."""

from __future__ import annotations

import re
from typing import Any

from . import nginx_versions
from .downloads import ZIG_WHEELS
from .nginx_build import FLAGS
from .nginx_sources import VERSION, is_zig
from .packages import PACKAGE_FAMILIES
from .problem import Problem, unknown_host

STATIC = "a static nginx cannot load modules"
# What takes a library of the host's along, which is not there to be linked into a static binary.
HOST_MODULES = {
    "--with-http_xslt_module": "libxslt",
    "--with-http_image_filter_module": "libgd",
    "--with-http_geoip_module": "libGeoIP",
    "--with-stream_geoip_module": "libGeoIP",
    "--with-http_perl_module": "libperl",
    "--with-google_perftools_module": "libprofiler",
}

# What the role itself decides: flag (up to "=") -> the variable to use instead, or why there is none.
OWNED_FLAGS = {
    "--user": "set nginx_user",
    "--group": "set nginx_group",
    "--with-cc-opt": "set nginx_build_cc_opt",
    "--with-ld-opt": "set nginx_build_ld_opt",
    "--with-zlib": "set nginx_zlib: source and nginx_zlib_version",
    "--with-openssl": "set nginx_openssl: source and nginx_openssl_version",
    "--with-pcre": "set nginx_pcre2_version; PCRE2 is always built in",
    "--with-pcre-opt": "PCRE2 is built with nginx_build_cc_opt",
    "--without-pcre": "remove it; PCRE2 is always built in",
    "--without-pcre2": "remove it; PCRE2 is always built in",
    **{flag.split("=")[0]: "remove it; the unit and the other roles count on the role's path" for flag in FLAGS[:12]},
}

_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_PCRE2_SINCE = (1, 21, 5)


def check_names(values: dict[str, Any], problems: list[Problem]) -> None:
    for variable in ("nginx_user", "nginx_group", "nginx_build_user"):
        if not _NAME.fullmatch(values[variable]):
            hint = "write small letters, digits, _ and - (at most 31)"
            problems.append(Problem(variable, f"{values[variable]!r} is no name of an account", hint))
    if values["nginx_build_user"] in ("root", values["nginx_user"]):
        message = f"{values['nginx_build_user']} must not build what root will run"
        problems.append(Problem("nginx_build_user", message, "name an account that does nothing else"))


def check_numbers(values: dict[str, Any], problems: list[Problem]) -> None:
    processes = values["nginx_worker_processes"]
    if processes != "auto" and not re.fullmatch(r"[1-9]\d*", processes):
        problems.append(Problem("nginx_worker_processes", f"{processes!r} is no number", "write auto or 1 and up"))
    for variable, least in (
        ("nginx_worker_connections", 2),
        ("nginx_build_jobs", 0),
        ("nginx_build_timeout", 1),
        ("nginx_download_timeout", 1),
        ("nginx_download_retries", 0),
        ("nginx_log_keep", 1),
        ("nginx_keep_artifacts", 1),
        ("nginx_cache_keep", 0),
        ("nginx_cache_days", 0),
    ):
        if values[variable] < least:
            problems.append(Problem(variable, f"{values[variable]} is too small", f"write {least} or more"))


def check_flags(values: dict[str, Any], problems: list[Problem]) -> None:
    for index, flag in enumerate(values["nginx_build_options"]):
        path = f"nginx_build_options[{index}]"
        name = flag.split("=")[0]
        if not re.fullmatch(r"--[a-zA-Z0-9]\S*(=.*)?", flag) or "\n" in flag:
            problems.append(Problem(path, f"{flag!r} is no option of ./configure", "write --with-… or --without-…"))
        elif name in OWNED_FLAGS:
            problems.append(Problem(path, f"{name} is the role's own", OWNED_FLAGS[name]))
        elif flag.endswith("=dynamic") or name == "--add-dynamic-module":
            message = STATIC if is_zig(values) else "the role installs one file and no dynamic modules"
            problems.append(Problem(path, message, "build it in: leave off =dynamic, or write --add-module"))
        elif is_zig(values) and name in HOST_MODULES:
            message = f"needs the host's {HOST_MODULES[name]}, which a static nginx cannot load"
            problems.append(Problem(path, message, "leave it out, or set nginx_build_toolchain: host"))
    for variable in ("nginx_build_cc_opt", "nginx_build_ld_opt"):
        if "\n" in values[variable]:
            problems.append(Problem(variable, "holds a line break", "write it on one line"))


def check_toolchain(values: dict[str, Any], host: dict[str, Any], problems: list[Problem]) -> None:
    name, builder = values["nginx_build_host"], host.get("builder") or {}
    problems += unknown_host("nginx_build_host", name, builder)
    arch, built_on = host.get("arch"), builder.get("arch")
    if name and arch and built_on and arch != built_on:
        message = f"{name} is {built_on}, and this host is {arch}"
        problems.append(Problem("nginx_build_host", message, "name a builder of the same architecture for it"))
    if name and builder.get("system") not in (None, "Linux"):
        message = f"{name} runs {builder['system']}"
        problems.append(Problem("nginx_build_host", message, "name a builder that runs Linux"))
    if not is_zig(values):
        return
    if arch and arch not in ZIG_WHEELS:
        hint = f"set nginx_build_toolchain: host; zig builds for {' and '.join(ZIG_WHEELS)}"
        problems.append(Problem("nginx_build_toolchain", f"is zig, and this host is {arch}", hint))
    for library in ("zlib", "openssl"):
        if values[f"nginx_{library}"] == "host":
            message = "is host, and a static nginx cannot use the host's"
            hint = "write source (or auto), or set nginx_build_toolchain: host"
            problems.append(Problem(f"nginx_{library}", message, hint))
    if "load_module" in values["nginx_main_options"]:
        hint = "leave it out, or set nginx_build_toolchain: host"
        problems.append(Problem("nginx_main_options.load_module", STATIC, hint))


def check_version(values: dict[str, Any], problems: list[Problem]) -> None:
    version = values["nginx_version"]
    if VERSION.fullmatch(version) and nginx_versions.numbers(version) < _PCRE2_SINCE:
        since = ".".join(map(str, _PCRE2_SINCE))
        problems.append(Problem("nginx_version", f"{version} does not know PCRE2", f"take {since} or newer"))
    if values["nginx_verify_signature"] and not values["nginx_signing_keys"]:
        hint = "name the files of nginx's signing keys on the controller"
        problems.append(Problem("nginx_signing_keys", "is empty and nginx_verify_signature is on", hint))


def unknown_families(values: dict[str, Any], host: dict[str, Any]) -> list[Problem]:
    """The problems of hosts whose packages have names that are not known here."""
    if not values["nginx_manage_packages"]:
        return []
    families = [host.get("os_family")]
    if values["nginx_build_host"] not in ("", "localhost"):
        families.append((host.get("builder") or {}).get("os_family"))
    hint = f"use a host of one of these families: {', '.join(PACKAGE_FAMILIES)}"
    hint += ", or set nginx_manage_packages: false and install what a build takes yourself"
    return [
        Problem("ansible_facts.os_family", f"no packages are known for {family}", hint)
        for family in families
        if family is not None and family not in PACKAGE_FAMILIES
    ]
