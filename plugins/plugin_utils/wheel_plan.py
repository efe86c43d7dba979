"""A folder of wheels on the controller: which of uWSGI lie in it, and what a host is asked before it takes one."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

from ansible_collections.graceful.wsgi.plugins.module_utils import elf, uwsgi_home, uwsgi_wheel

from . import kit_plan
from .model import Check, Virtualenv, Wheel, WheelFolder, plain

DEBIAN_PYTHONS = ("2.7", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
# The package of a library that uWSGI may be linked with, by the name in the binary.
LIBRARIES: dict[str, dict[str, str]] = {
    "Debian": {
        "libcap.so.2": "libcap2",
        "libcrypto.so.1.1": "libssl1.1",
        "libcrypto.so.3": "libssl3",
        "libexpat.so.1": "libexpat1",
        "libjansson.so.4": "libjansson4",
        "libpcre.so.3": "libpcre3",
        "libpcre2-8.so.0": "libpcre2-8-0",
        "libssl.so.1.1": "libssl1.1",
        "libssl.so.3": "libssl3",
        "libxml2.so.2": "libxml2",
        "libyaml-0.so.2": "libyaml-0-2",
        "libz.so.1": "zlib1g",
        **{f"libpython{version}.so.1.0": f"libpython{version}" for version in DEBIAN_PYTHONS},
    },
    "RedHat": {
        "libcap.so.2": "libcap",
        "libcrypto.so.10": "openssl-libs",
        "libcrypto.so.1.1": "openssl-libs",
        "libcrypto.so.3": "openssl-libs",
        "libexpat.so.1": "expat",
        "libjansson.so.4": "jansson",
        "libpcre.so.1": "pcre",
        "libpcre2-8.so.0": "pcre2",
        "libpython2.7.so.1.0": "python-libs",
        "libpython3.6m.so.1.0": "python3-libs",
        "libssl.so.10": "openssl-libs",
        "libssl.so.1.1": "openssl-libs",
        "libssl.so.3": "openssl-libs",
        "libxml2.so.2": "libxml2",
        "libyaml-0.so.2": "libyaml",
        "libz.so.1": "zlib",
    },
}
# Names of libraries, then -- and a query of the packages that hold them, which is not asked where the loader finds all.
FOUND = "all libraries are there"
FIND = f"""\
known=$(PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2>/dev/null)
all=yes
while [ "$1" != -- ]; do
    case $known in *"	$1 ("*) ;; *) all=no ;; esac
    shift
done
shift
[ "$all" = no ] && exec "$@"
echo {FOUND}
"""
INSTALL = {"Debian": "apt install", "RedHat": "yum install"}


@functools.lru_cache(maxsize=64)
def _described(path: Path, _changed: int, _size: int) -> dict[str, Any]:
    """What a wheel's binary asks of a host; a play asks for it once a role and host."""
    found: dict[str, Any] = {"file": path.name, "glibc": None, "libraries": [], "paths": [], "features": None}
    found["broken"] = ""
    try:
        data = path.read_bytes()
        told, program = uwsgi_wheel.describe(data), uwsgi_wheel.program(data)
        found.update({key: told[key] for key in ("glibc", "libraries")}, paths=elf.library_paths(program))
        found["features"] = uwsgi_home.compiled_with(program)
    except elf.ElfError as error:
        found["broken"] = str(error)
    return found


def read(folder: Any) -> dict[str, Any] | None:
    """Files of the folder, and its wheels of uWSGI as they are; None where there is no such folder."""
    path = Path(folder).expanduser() if isinstance(folder, str) and folder else None
    if path is None or not path.is_dir():
        return None
    files = sorted(file for file in path.iterdir() if file.is_file())
    found = [file for file in files if re.match(r"uwsgi-\d[^-]*-.+-.+-.+\.whl$", file.name, re.I)]
    described = [_described(file, file.stat().st_mtime_ns, file.stat().st_size) for file in found]
    return {"files": [file.name for file in files], "wheels": described}


def _versions(files: list[str], version: str, ends: str) -> list[str]:
    return [file for file in files if re.match(rf"uwsgi-{re.escape(version)}{ends}$", file, re.I)]


def plan(
    values: dict[str, Any],
    host: dict[str, Any],
    build: dict[str, Any],
    virtualenv: Virtualenv,
    venv_packages: dict[str, str],
) -> WheelFolder | None:
    """What Look of module_utils/uwsgi_wheels.py and the check of that name take; None where no wheel is looked for.

    ``host["wheels"]``: what read() told of uwsgi_wheel_dir.
    """
    known = host.get("wheels")
    # Who has pip build it from source means it.
    from_source = any("--no-binary" in str(word) for word in values["uwsgi_pip_extra_args"])
    if not known or values["uwsgi_build_host"] or from_source:
        return None
    family, version = host.get("os_family") or "", values["uwsgi_version"]
    mine = _versions(known["files"], version, r"-.*\.whl")
    return WheelFolder(
        folder=values["uwsgi_wheel_dir"],
        version=version,
        python=values["uwsgi_python"],
        root=values["uwsgi_home"],
        features=values["uwsgi_features"],
        build=build,
        build_user=values["uwsgi_build_user"],
        wheels=[Wheel(**wheel) for wheel in known["wheels"] if wheel["file"] in mine],
        sdist=bool(_versions(known["files"], version, r"\.(?:tar\.\w+|tgz|zip)")),
        no_index=values["uwsgi_pip_no_index"],
        managed=values["uwsgi_manage_packages"] and family in LIBRARIES,
        virtualenv=virtualenv.home,
        virtualenv_file=virtualenv.wheel,
        virtualenv_version=virtualenv.requirement.partition("==")[2],
        virtualenv_wheel=virtualenv.wheel in known["files"],
        venv_packages=venv_packages,
        pip_wheels=sorted(kit_plan.pip_wheels(host.get("kit"))),
        library_packages=LIBRARIES.get(family, {}),
        install=INSTALL.get(family, "install"),
    )


def checks(planned: WheelFolder | None) -> list[Check]:
    """What is asked of the host before anything on it changes."""
    return [{"kind": "uwsgi_wheels", "variable": "uwsgi_wheel_dir", **plain(planned)}] if planned else []
