"""The plan of the uwsgi role: packages, pip's surroundings, what names a build, and the template unit."""

from __future__ import annotations

import dataclasses
from typing import Any

from . import kit_plan, layout, packages, spec, takeover_plan, unit_plan, uwsgi_toolchain, wheel_plan
from .model import Need, Pip, ServiceAccount, UwsgiBuilder, UwsgiPlan, UwsgiSettings, Virtualenv
from .packages import HEADERS, PACKAGE_QUERY, python_packages_of
from .problem import Problem
from .uwsgi_check import problems_of
from .uwsgi_unit import service_of

# Where a pip stops for the Python that it runs under; every other Python gets the newest that pip finds for it.
PIP = {"2.7": "pip<=20.3.4", "3.6": "pip<=21.3.1", "*": "pip"}
# The value of uwsgi_pip_constraints for the role's own, of Pythons that new releases have left behind.
OWN_CONSTRAINTS = "auto"
# The last virtualenv that makes environments of Python 2.7 from one pure script, with a pip inside that still runs.
VIRTUALENV = "16.7.12"
# Where a wheel is built for others.
BUILDER_HOME = f"{layout.STATE_DIR}/uwsgi"
# What the role's tasks read of its variables.
READ = tuple(field.name for field in dataclasses.fields(UwsgiSettings))


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _header_needs(values: dict[str, Any], host: dict[str, Any], features: list[str]) -> list[Need]:
    """Packages with the headers of these features, each with the files that prove it is there."""
    known = HEADERS.get(host.get("os_family") or "", {})
    wanted = []
    for feature in features:
        if feature in ("routing", "pcre"):
            # Releases before 2.0.22 know the first PCRE only.
            feature = "pcre" if _release(values["uwsgi_version"]) >= (2, 0, 22) else "pcre1"
        if feature in known and feature not in wanted:
            wanted.append(feature)
    return [Need(package=known[name][0], files=known[name][1]) for name in wanted]


def _needs(values: dict[str, Any], host: dict[str, Any]) -> list[Need]:
    """Packages that a build takes, each with the files that prove it is there."""
    known = HEADERS.get(host.get("os_family") or "")
    if not known or values["uwsgi_headers_dir"]:
        return []
    base = ["crypt"] if uwsgi_toolchain.is_zig(values) else ["compiler", "libc"]
    needs = [Need(package=known[name][0], files=known[name][1]) for name in base]
    return needs + _header_needs(values, host, values["uwsgi_features"])


def _pip_env(values: dict[str, Any]) -> dict[str, str]:
    """pip's settings as its environment: the pips that pip starts (build isolation) read them too."""
    env = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    for variable, name in (
        ("PIP_INDEX_URL", "uwsgi_pip_index_url"),
        ("PIP_CERT", "uwsgi_pip_ca_bundle"),
        ("PIP_PROXY", "uwsgi_pip_proxy"),
    ):
        if values[name]:
            env[variable] = values[name]
    if values["uwsgi_pip_no_index"]:
        env["PIP_NO_INDEX"] = "1"
    return env


def pip_settings(values: dict[str, Any]) -> Pip:
    """The same for other roles' builds: ``env``, which may hold a password, and ``cert``, a file on the host."""
    env = {}
    for variable, name in (("PIP_INDEX_URL", "uwsgi_pip_index_url"), ("PIP_PROXY", "uwsgi_pip_proxy")):
        if values[name]:
            env[variable] = values[name]
    if values["uwsgi_pip_no_index"]:
        # No text: what is kept from logs is kept from them wherever it occurs.
        env["PIP_NO_INDEX"] = True
    return Pip(env=env, cert=values["uwsgi_pip_ca_bundle"])


def limits(values: dict[str, Any], host: dict[str, Any]) -> dict[str, list[str]]:
    """What pip is to keep to in applications' virtualenvs: the role's own ``bounds``, or the user's ``constraints``."""
    texts = host.get("constraints") or {}
    text = texts.get((host.get("uwsgi") or {}).get("python") or "") or texts.get("*") or ""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    own = values["uwsgi_pip_constraints"] == OWN_CONSTRAINTS
    return {"bounds": lines if own else [], "constraints": [] if own else lines}


def _virtualenv(home: str) -> Virtualenv:
    return Virtualenv(
        requirement=f"virtualenv=={VIRTUALENV}",
        wheel=f"virtualenv-{VIRTUALENV}-py2.py3-none-any.whl",
        home=f"{home}/tools/virtualenv-{VIRTUALENV}",
    )


def _builder(
    values: dict[str, Any], host: dict[str, Any], needs: list[Need], python_packages: dict[str, dict[str, str]]
) -> UwsgiBuilder:
    """Who builds the wheel, where, and where the controller keeps it; the name is empty where each builds its own."""
    known = host.get("uwsgi_builder") or {}
    name = values["uwsgi_build_host"]
    local = name == "localhost"
    home = (known.get("home") or BUILDER_HOME) if local else BUILDER_HOME
    return UwsgiBuilder(
        host=name,
        local=local,
        # The controller is whoever runs Ansible there.
        user="" if local else values["uwsgi_build_user"],
        brought=uwsgi_toolchain.may_cross(values),
        library_packages=packages.LIBRARIES.get(host.get("os_family") or "", {}),
        home=home,
        cache=known.get("cache") or values["uwsgi_artifact_dir"],
        cache_keep=values["uwsgi_cache_keep"],
        cache_days=values["uwsgi_cache_days"] if known.get("old") is not None else 0,
        cache_old=known.get("old") or [],
        virtualenv=_virtualenv(home),
        # The builder is of the host's kind, so its packages have the same names.
        needs=needs,
        python_packages=python_packages,
    )


def plan(values: dict[str, Any], host: dict[str, Any]) -> tuple[UwsgiPlan | None, list[Problem]]:
    """Plan the role; see plan.py for ``values`` and ``host``."""
    problems = problems_of(values, host)
    if problems:
        return None, problems
    family = host.get("os_family") or ""
    managed = values["uwsgi_manage_packages"] and family in HEADERS
    build_env = {name: str(value) for name, value in sorted(values["uwsgi_build_env"].items())}
    nologin = "/sbin/nologin" if family == "RedHat" else "/usr/sbin/nologin"
    needs = _needs(values, host) if managed else []
    python_packages = python_packages_of(family, host.get("version")) if managed else {}
    if values["uwsgi_headers_dir"]:
        python_packages = {kind: names for kind, names in python_packages.items() if kind != "headers"}
    elsewhere = bool(values["uwsgi_build_host"])
    # What makes one binary differ from another; where it was downloaded from does not.
    build = {"extra_args": values["uwsgi_pip_extra_args"], "env": build_env, **uwsgi_toolchain.identity(values)}
    virtualenv = _virtualenv(values["uwsgi_home"])
    venv_names = python_packages_of(family, host.get("version"))["venv"] if family in HEADERS else {}
    wheels = wheel_plan.plan(values, host, build, virtualenv, venv_names)
    return UwsgiPlan(
        checks=[
            *takeover_plan.uwsgi(values),
            *unit_plan.checks("uwsgi_unit_options", values["uwsgi_unit_options"]),
            *wheel_plan.checks(wheels),
        ],
        wheels=wheels,
        settings=UwsgiSettings(**spec.told(values, "uwsgi", READ)),
        take_over=values["uwsgi_take_over"],
        build=build,
        toolchain=uwsgi_toolchain.plan(values, host),
        needs=[] if elsewhere else needs,
        # A wheel takes no headers.
        python_packages={
            kind: names for kind, names in python_packages.items() if not (elsewhere and kind == "headers")
        },
        builder=_builder(values, host, needs, python_packages),
        family=family if managed else "",
        package_manager=packages.manager(host),
        package_query=PACKAGE_QUERY[family] if managed else [],
        library_query=["sh", "-c", wheel_plan.FIND, "sh"],
        libraries_found=wheel_plan.FOUND,
        header_packages={
            feature: need.package
            for feature in values["uwsgi_features"]
            for need in _header_needs(values, host, [feature])
        },
        build_user=values["uwsgi_build_user"],
        pip=PIP,
        pip_wheels=kit_plan.pip_wheels(host.get("kit")),
        pip_env=_pip_env(values) | build_env,
        constraints={"*": "", **(host.get("constraints") or {})},
        virtualenv=virtualenv,
        account=ServiceAccount(shell=nologin),
        unit={
            "Unit": [["Description", "uWSGI application %i"], ["After", "network.target"]],
            "Service": service_of(values, host),
            "Install": [["WantedBy", "multi-user.target"]],
        },
    ), []
