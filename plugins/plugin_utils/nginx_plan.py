"""The plan of the nginx role: which artifact, from what, with which flags, and the nginx.conf to run it with."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

from . import nginx_versions, spec, takeover_plan, unit_plan
from .downloads import CHECKSUMS, ZIG_WHEELS
from .model import Download, NginxPlan, NginxSettings, Source, ZigWheel
from .nginx_build import HOME, TAR, build_of, digest, flags_of, zig_script, zig_tools
from .nginx_check import check_flags, check_names, check_numbers, check_toolchain, check_version, unknown_families
from .nginx_conf import conf_of
from .nginx_sources import is_zig, sources_of
from .nginx_unit import unit_of
from .problem import Problem

# What the role's tasks read of its variables.
READ = tuple(field.name for field in dataclasses.fields(NginxSettings))
# The newest release whose checksum is known here.
NEWEST = max((key[len("nginx-") :] for key in CHECKSUMS if key.startswith("nginx-")), key=nginx_versions.numbers)


def _check(values: dict[str, Any], host: dict[str, Any], problems: list[Problem]) -> None:
    unit_plan.check_capabilities("nginx_capabilities", values["nginx_capabilities"], problems)
    unit_plan.check_system_calls("nginx_system_calls", values["nginx_system_calls"], problems)
    unit_plan.check_options("nginx_unit_options", values["nginx_unit_options"], problems)
    check_version(values, problems)
    nginx_versions.check(values, problems)
    check_names(values, problems)
    check_numbers(values, problems)
    check_flags(values, problems)
    check_toolchain(values, host, problems)


def _about(values: dict[str, Any], host: dict[str, Any], sources: list[Source]) -> dict[str, Any]:
    """What an artifact is made of, by which it is named."""
    toolchain: dict[str, Any] = {"kind": values["nginx_build_toolchain"]}
    if is_zig(values):
        # Where it is built and where it runs makes no difference to what is built.
        toolchain.update(zig_tools(str(host.get("arch"))))
    else:
        place = (host.get("builder") or {}) if values["nginx_build_host"] else host
        toolchain.update({name: place.get(name) for name in ("distribution", "version", "arch")})
    return {
        "flags": flags_of(values),
        "sources": {source.release: source.sha256 for source in sources},
        "toolchain": toolchain,
    }


def _environment(values: dict[str, Any]) -> dict[str, str]:
    """What whatever fetches is told by its environment."""
    proxy = values["nginx_http_proxy"]
    environment = {"http_proxy": proxy, "https_proxy": proxy, "ftp_proxy": proxy} if proxy else {}
    if values["nginx_ca_bundle"]:
        environment["SSL_CERT_FILE"] = environment["PIP_CERT"] = values["nginx_ca_bundle"]
    return environment


def _zig(sources: list[Source], host: dict[str, Any]) -> ZigWheel | None:
    wheel = next((source for source in sources if source.name == "zig"), None)
    if wheel is None:
        return None
    told = {key: getattr(wheel, key) for key in ("version", "release", "file", "sha256")}
    return ZigWheel(**told, platform=ZIG_WHEELS[host["arch"]][1])


def plan(values: dict[str, Any], host: dict[str, Any]) -> tuple[NginxPlan | None, list[Problem]]:
    """The nginx role's plan; pure."""
    problems: list[Problem] = []
    _check(values, host, problems)
    sources = sources_of(values, host, problems)
    conf = conf_of(values, problems)
    problems += unknown_families(values, host)
    if problems:
        return None, problems

    about, zig, builder = _about(values, host, sources), _zig(sources, host), host.get("builder") or {}
    name = f"{values['nginx_version']}-{digest(about)}"
    python = "python3"
    if values["nginx_build_host"] == "localhost":
        python = str(builder.get("controller_python") or python)
    archives = [source.file for source in sources if source.name != "zig"]
    return NginxPlan(
        checks=takeover_plan.nginx(values) + unit_plan.checks("nginx_unit_options", values["nginx_unit_options"]),
        warnings=nginx_versions.warnings(values, NEWEST),
        settings=NginxSettings(**spec.told(values, "nginx", READ)),
        take_over=values["nginx_take_over"],
        id=name,
        version=values["nginx_version"],
        artifact=f"{HOME}/artifacts/{name}",
        binary=f"{HOME}/artifacts/{name}/nginx",
        static=is_zig(values),
        about=about,
        build=build_of(values, host, name, sources),
        cache=builder.get("cache") or values["nginx_artifact_dir"],
        cache_keep=values["nginx_cache_keep"],
        cache_days=values["nginx_cache_days"] if builder.get("old") is not None else 0,
        cache_old=builder.get("old") or [],
        arch=host.get("arch"),
        sources=sources,
        zig=zig,
        unpack=[f"tar -xzf ../sources/{shlex.quote(file)} {TAR}" for file in archives],
        toolchain=zig_script(python, zig.file, host["arch"]) if zig else [],
        signature=values["nginx_verify_signature"],
        signing_keys=values["nginx_signing_keys"],
        flags=about["flags"],
        jobs=str(values["nginx_build_jobs"] or '"$(getconf _NPROCESSORS_ONLN)"'),
        python=python,
        timeout=values["nginx_build_timeout"],
        environment=_environment(values),
        download=Download(timeout=values["nginx_download_timeout"], retries=values["nginx_download_retries"]),
        user=values["nginx_user"],
        group=values["nginx_group"],
        conf=conf,
        unit=unit_of(values, host),
        enabled=values["nginx_service_enabled"],
        log_keep=values["nginx_log_keep"],
    ), []
