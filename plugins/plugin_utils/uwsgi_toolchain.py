"""zig in the place of the host's compiler: which one pip fetches, and how it finds the host's headers and libraries.

zig brings a linker, a C library of any age and its headers, so that a host or builder needs no compiler. It links the
libraries that are there, for the glibc that is there, so that what it compiles is of the builder's kind. The controller
compiles for another kind too, where both the headers and the libraries of such a host are brought.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .downloads import CHECKSUMS, ZIG_WHEELS, checksum_of, stated, zig_wheel
from .model import Cross, Toolchain
from .problem import Problem

# Where a toolchain lies is known when it is there only.
PLACE = "@place@"
ZIG = f"{PLACE}/zig"
SYSROOT = f"{PLACE}/sysroot"
HEADERS = f"{PLACE}/headers"
# What uWSGI's build takes for the compiler and for where headers are; any other value would lead it past zig.
OWN = ("CC", "CPP", "UWSGI_INCLUDES")
# With this set uWSGI's build does not link the Python that runs it.
NO_LIBRARY = "UWSGI_PYTHON_NOLIB"
# What holds headers: packages, and archives of folders as they are on a host.
PACKAGES = (".rpm", ".deb")
TARS = (".tar", ".tar.gz", ".tgz", ".tar.xz")
FAMILIES = {"RedHat": ".rpm", "Debian": ".deb"}
# The commands that a build takes by their names, each with the template it is made of.
COMMANDS = {"zig-cc": "zig-cc", "unpack-headers": "unpack-headers"}
# What would tell of the controller's own libraries gives way to what the host's packages have, if anything.
CROSS_COMMANDS = {
    "zig-cc": "cross-cc",
    "unpack-headers": "cross-headers",
    "pcre-config": "cross-config",
    "pcre2-config": "cross-config",
    "pkg-config": "cross-config",
}
# uWSGI links these in by `ld` and `objcopy`, and goes on without them where there are none.
EMBEDDED = ("UWSGI_EMBED_CONFIG", "UWSGI_EMBED_FILES")
# Any processor of the architecture is to run what is compiled, and no undefined behaviour is to end it.
OPTIONS = "-mcpu=baseline -fno-sanitize=undefined"
_VERSION = re.compile(r"\d+(\.\d+){1,3}")
_RELEASE = re.compile(rf"zig-{_VERSION.pattern}-({'|'.join(ZIG_WHEELS)})")


def is_zig(values: Mapping[str, Any]) -> bool:
    return bool(values["uwsgi_build_toolchain"] == "zig")


def may_cross(values: dict[str, Any]) -> bool:
    """Whether the controller may build for hosts of another kind than its own."""
    return is_zig(values) and values["uwsgi_build_host"] == "localhost" and bool(values["uwsgi_headers_dir"])


def check(values: dict[str, Any], host: dict[str, Any]) -> list[Problem]:
    """What is wrong with the variables of the toolchain."""
    problems: list[Problem] = []
    hint = "write zig-<version>-<architecture>"
    stated("uwsgi_checksums", values["uwsgi_checksums"], _RELEASE, hint, problems)
    if not is_zig(values):
        if values["uwsgi_headers_dir"]:
            message = "is for zig only; the host's own compiler takes the headers that are installed beside it"
            problems.append(Problem("uwsgi_headers_dir", message, "set uwsgi_build_toolchain: zig, or leave it out"))
        return problems
    arch, version = host.get("arch"), values["uwsgi_zig_version"]
    if arch and arch not in ZIG_WHEELS:
        hint = f"set uwsgi_build_toolchain: host; zig builds for {' and '.join(ZIG_WHEELS)}"
        problems.append(Problem("uwsgi_build_toolchain", f"is zig, and this host is {arch}", hint))
    if not _VERSION.fullmatch(version):
        hint = 'write it in quotes, e.g. "0.15.2"'
        problems.append(Problem("uwsgi_zig_version", f"{version!r} is no version", hint))
    elif arch in ZIG_WHEELS and not _checksum(values, arch):
        release = f"zig-{version}-{arch}"
        known = ", ".join(key for key in CHECKSUMS if key.startswith("zig-") and key.endswith(f"-{arch}"))
        hint = f"set uwsgi_checksums['{release}'], or take one whose checksum is known: {known}"
        problems.append(Problem("uwsgi_zig_version", f"no sha256 is known for {release}", hint))
    own = (*OWN, NO_LIBRARY) if may_cross(values) else OWN
    for name in sorted(set(values["uwsgi_build_env"]) & {*own, *EMBEDDED}):
        message = "is zig's own" if name in own else "takes ld and objcopy, which zig does not bring"
        hint = "leave it out, or set uwsgi_build_toolchain: host"
        problems.append(Problem(f"uwsgi_build_env.{name}", message, hint))
    return problems


def _checksum(values: dict[str, Any], arch: str) -> str:
    return checksum_of(f"zig-{values['uwsgi_zig_version']}-{arch}", values["uwsgi_checksums"])


def identity(values: Mapping[str, Any]) -> dict[str, Any]:
    """What of the toolchain makes one binary differ from another; nothing where it is the host's own."""
    return {"toolchain": {"zig": values["uwsgi_zig_version"], "options": OPTIONS}} if is_zig(values) else {}


def _lacks(values: dict[str, Any], host: dict[str, Any], arch: str) -> list[str]:
    """What a build would miss on the controller; asked where there is something to build only."""
    known = host.get("uwsgi_builder") or {}
    found = []
    wheel = zig_wheel(values["uwsgi_zig_version"], arch)
    files = (host["wheels"] or {}).get("files", []) if "wheels" in host else [wheel]
    if values["uwsgi_pip_no_index"] and wheel not in files:
        found.append(
            f"uwsgi_wheel_dir: {values['uwsgi_wheel_dir']} has no {wheel}, and no index is asked; put it there"
        )
    folder, headers = values["uwsgi_headers_dir"], known.get("headers", PACKAGES)
    # A host that builds unpacks them by the tools of its own packages.
    family = "" if may_cross(values) else host.get("os_family")
    kinds = [kind for kind in PACKAGES if family not in FAMILIES or kind == FAMILIES[family]]
    if folder and not any(name.endswith((*kinds, *TARS)) for name in headers):
        message = f"{folder} holds neither {' nor '.join(kind[1:] for kind in kinds)} nor tar"
        found.append(f"uwsgi_headers_dir: {message}; put the packages with the headers there")
    if may_cross(values):
        tools = set(known.get("tools", ("bsdtar", "dpkg-deb")))
        if any(name.endswith(".rpm") for name in headers) and not ("bsdtar" in tools or {"rpm2cpio", "cpio"} <= tools):
            message = f"{folder} holds rpm, and the controller has neither rpm2cpio with cpio nor bsdtar to unpack them"
            found.append(f"uwsgi_headers_dir: {message}; install rpm2cpio and cpio there")
        if any(name.endswith(".deb") for name in headers) and "dpkg-deb" not in tools:
            message = f"{folder} holds deb, and the controller has no dpkg-deb to unpack them"
            found.append(f"uwsgi_headers_dir: {message}; install dpkg there")
    return found


def _cross(values: dict[str, Any], arch: str, includes: list[str], environment: dict[str, str]) -> Cross | None:
    """What is otherwise where the controller builds for hosts of another kind: nothing of its own is found."""
    if not may_cross(values):
        return None
    roots = [folder for folder in includes if folder.startswith(SYSROOT)]
    multiarch = f"{arch}-linux-gnu"
    libraries = [f"{SYSROOT}{top}/lib{folder}" for top in ("/usr", "") for folder in (f"/{multiarch}", "64", "")]
    more = {
        **environment,
        "UWSGI_INCLUDES": ",".join([*roots, f"{ZIG}/ziglang/lib/libc/include/generic-glibc"]),
        NO_LIBRARY: "1",
        "PATH": f"{PLACE}/bin:{environment['PATH']}",
    }
    return Cross(includes=roots, libraries=libraries, environment=more, commands=CROSS_COMMANDS)


def plan(values: dict[str, Any], host: dict[str, Any]) -> Toolchain | None:
    """How zig comes to where uWSGI is built, and what its build is told of it; None where the host's own compiles."""
    if not is_zig(values):
        return None
    # A host of which nothing is known is never built on.
    arch = host.get("arch") or "x86_64"
    given = bool(values["uwsgi_headers_dir"])
    multiarch = f"{arch}-linux-gnu"
    roots = [SYSROOT, ""] if given else [""]
    includes = [f"{root}/usr/include{folder}" for root in roots for folder in ("", f"/{multiarch}")]
    libraries = [f"{root}/usr/lib{folder}" for root in roots for folder in (f"/{multiarch}", "64", "")]
    environment = {
        "CC": f"{PLACE}/bin/zig-cc",
        # uWSGI asks its preprocessor where headers are: one that says nothing has it look where it is told.
        "CPP": ":",
        "UWSGI_INCLUDES": ",".join([*includes, f"{ZIG}/ziglang/lib/libc/include/generic-glibc"]),
    }
    if given:
        # Where pcre-config and the like are.
        environment["PATH"] = f"{SYSROOT}/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return Toolchain(
        release=f"zig-{values['uwsgi_zig_version']}-{arch}",
        requirement=f"ziglang=={values['uwsgi_zig_version']} --hash=sha256:{_checksum(values, arch)}",
        # The Python that is told is one that the wheel is for; it runs under none.
        pip=[
            f"--platform={ZIG_WHEELS[arch][1]}",
            "--python-version=3.8",
            "--implementation=cp",
            # An old pip asks the Python that runs it all the same.
            "--ignore-requires-python",
            "--only-binary=:all:",
            "--no-deps",
            "--no-compile",
            "--require-hashes",
        ],
        arch=arch,
        options=OPTIONS,
        includes=includes,
        # The version of the Python goes on behind each.
        python_includes=[f"{SYSROOT}/usr/include/python"] if given else [],
        libraries=libraries,
        place=PLACE,
        environment=environment,
        headers_dir=values["uwsgi_headers_dir"],
        commands=COMMANDS,
        lacks=_lacks(values, host, arch),
        cross=_cross(values, arch, includes, environment),
    )
