"""A folder of wheels on the controller: which of uWSGI lie in it, and what a host is asked before it takes one."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

from ansible_collections.graceful.wsgi.plugins.module_utils import elf, uwsgi_home, uwsgi_wheel

from . import kit_plan
from .model import Check, Virtualenv, Wheel, WheelFolder, plain
from .packages import INSTALL, LIBRARIES

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
