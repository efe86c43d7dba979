"""What is refused of uWSGI's variables."""

from __future__ import annotations

import re
from typing import Any

from . import log_plan, unit_plan, uwsgi_toolchain
from .packages import HEADERS
from .problem import Problem, close_match, unknown_host

# Releases that must not run: what is wrong with them, and what to take instead.
BAD = {"2.0.27": "it ignores SIGHUP, so nothing published with it could be reloaded"}
FEATURES = ("capabilities", "json", "pcre", "routing", "ssl", "xml", "yaml", "zlib")
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}\$?")


def problems_of(values: dict[str, Any], host: dict[str, Any]) -> list[Problem]:
    """All that is wrong with the role's variables; see plan.py for ``values`` and ``host``."""
    problems: list[Problem] = []
    _check_versions(values, problems)
    _check_places(values, problems)
    _check_pip(values, problems)
    _check_constraints(values, host, problems)
    problems += unknown_host("uwsgi_build_host", values["uwsgi_build_host"], host.get("uwsgi_builder") or {})
    problems += uwsgi_toolchain.check(values, host)
    _check_unit(values, problems)
    family = host.get("os_family")
    if family and family not in HEADERS and values["uwsgi_manage_packages"]:
        problems.append(
            Problem(
                "uwsgi_manage_packages",
                f"the names of {family}'s packages are not known here",
                "install a compiler and the headers another way and set it to false",
            )
        )
    return problems


def _check_versions(values: dict[str, Any], problems: list[Problem]) -> None:
    version = values["uwsgi_version"]
    if not re.fullmatch(r"\d+(\.\d+){1,3}", version):
        problems.append(Problem("uwsgi_version", f"{version!r} is no version", "write one such as 2.0.31"))
    elif version in BAD:
        problems.append(Problem("uwsgi_version", f"{version} is refused: {BAD[version]}", "write 2.0.28 or newer"))
    python = values["uwsgi_python"]
    if python and not re.fullmatch(r"(/[\w.+-]+)+|[\w.+-]+", python):
        problems.append(
            Problem(
                "uwsgi_python",
                f"{python!r} is neither a command's name nor an absolute path",
                "write e.g. python2.7, or an absolute path such as /opt/python3.12/bin/python3.12",
            )
        )
    for index, feature in enumerate(values["uwsgi_features"]):
        if feature not in FEATURES:
            meant = close_match(feature, FEATURES)
            hint = f"did you mean {meant}?" if meant else f"write one of: {', '.join(FEATURES)}"
            problems.append(Problem(f"uwsgi_features[{index}]", f"{feature!r} is not known", hint))


def _check_places(values: dict[str, Any], problems: list[Problem]) -> None:
    """Folders, and the accounts that own and build what lies in them."""
    for name in ("uwsgi_home", "uwsgi_conf_dir", "uwsgi_log_dir"):
        if not re.fullmatch(r"(/[\w.+@-]+)+", values[name]):
            problems.append(
                Problem(name, f"{values[name]!r} is no absolute path", "write one without blanks or a slash at its end")
            )
    if values["uwsgi_log_dir"] in log_plan.SHARED | log_plan.NOT_THEMSELVES | {*log_plan.NONE_AT_ALL}:
        # It is made root's and 0755, whatever it was.
        message = f"{values['uwsgi_log_dir']} is not uWSGI's alone"
        problems.append(Problem("uwsgi_log_dir", message, "name a folder of its own, such as /var/log/uwsgi"))
    for name in ("uwsgi_user", "uwsgi_group"):
        if not _NAME.fullmatch(values[name]):
            problems.append(Problem(name, f"{values[name]!r} is no account's name", "write one such as uwsgi"))
    if values["uwsgi_user"] == "root":
        problems.append(Problem("uwsgi_user", "root would run every application", "name an account without privileges"))
    if values["uwsgi_build_user"] in ("root", values["uwsgi_user"]) or not _NAME.fullmatch(values["uwsgi_build_user"]):
        message = f"{values['uwsgi_build_user']!r} must not build what applications run on"
        problems.append(
            Problem("uwsgi_build_user", message, "name an account that does nothing else, such as uwsgi-build")
        )


def _check_pip(values: dict[str, Any], problems: list[Problem]) -> None:
    if values["uwsgi_pip_no_index"]:
        if values["uwsgi_pip_index_url"]:
            problems.append(
                Problem("uwsgi_pip_no_index", "contradicts uwsgi_pip_index_url", "leave one of the two out")
            )
        if not values["uwsgi_wheel_dir"]:
            problems.append(
                Problem(
                    "uwsgi_pip_no_index",
                    "without an index pip finds nothing",
                    "set uwsgi_wheel_dir to a folder that holds what pip needs",
                )
            )


def _check_unit(values: dict[str, Any], problems: list[Problem]) -> None:
    for name in ("uwsgi_build_timeout", "uwsgi_keep_homes", "uwsgi_limit_nofile", "uwsgi_stop_timeout"):
        if values[name] < 1:
            problems.append(Problem(name, f"{values[name]} is too small", "write a number above 0"))
    for name in ("uwsgi_cache_keep", "uwsgi_cache_days"):
        if values[name] < 0:
            problems.append(Problem(name, f"{values[name]} is too small", "write 0 or more"))
    if values["uwsgi_memory_limit"] and not re.fullmatch(r"[1-9]\d*[KMGT]?|infinity", values["uwsgi_memory_limit"]):
        problems.append(
            Problem("uwsgi_memory_limit", f"{values['uwsgi_memory_limit']!r} is no size", "write e.g. 512M or 2G")
        )
    unit_plan.check_system_calls("uwsgi_system_calls", values["uwsgi_system_calls"], problems)
    unit_plan.check_families("uwsgi_address_families", values["uwsgi_address_families"], problems)
    unit_plan.check_options("uwsgi_unit_options", values["uwsgi_unit_options"], problems)


def _check_constraints(values: dict[str, Any], host: dict[str, Any], problems: list[Problem]) -> None:
    given = values["uwsgi_pip_constraints"]
    for text in (host.get("constraints") or {}).values():
        if text is None:
            message = f"there is no file {given} on the controller"
            problems.append(Problem("uwsgi_pip_constraints", message, "name one, or write auto for the role's own"))
            continue
        option = next((line.strip() for line in text.splitlines() if line.strip().startswith("-")), None)
        if option is not None:
            message = f"{given} holds {option!r}, which is no constraint"
            problems.append(Problem("uwsgi_pip_constraints", message, "write its lines into this one file"))
