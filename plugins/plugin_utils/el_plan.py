"""The plan of the role el: what SELinux and firewalld are told and, on EL 7 alone, where yum finds packages now."""

from __future__ import annotations

import re
from typing import Any

from . import layout
from .model import ElPlan, Repository, SelinuxModule, SoftwareCollection
from .packages import HEADERS, PACKAGE_QUERY, PACKAGES
from .problem import Problem, close_match

VAULT = "https://vault.centos.org"
RELEASE = "7.9.2009"

# Paths below the vault's folder of a release; EPEL has an archive of its own.
PATHS = {
    "base": "os/$basearch/",
    "updates": "updates/$basearch/",
    "extras": "extras/$basearch/",
    "epel": "$basearch/",
    "centos-sclo-sclo": "sclo/$basearch/sclo/",
    "centos-sclo-rh": "sclo/$basearch/rh/",
}
KEYS = {
    "epel": "https://dl.fedoraproject.org/pub/epel/RPM-GPG-KEY-EPEL-7",
    "centos-sclo-sclo": "https://www.centos.org/keys/RPM-GPG-KEY-CentOS-SIG-SCLo",
    "centos-sclo-rh": "https://www.centos.org/keys/RPM-GPG-KEY-CentOS-SIG-SCLo",
}
KEY = "file:///etc/pki/rpm-gpg/RPM-GPG-KEY-CentOS-7"

STATE = f"{layout.STATE_DIR}/selinux"
MODULE = "graceful-wsgi"
# What this collection makes and nginx has to do with: the stock policy knows the rest of its paths. It calls /run
# /var/run. uWSGI itself runs as unconfined_service_t, as all that systemd starts from an ordinary bin folder.
LABELS = [
    ("{run}/uwsgi-[^/]+(/.*)?", "httpd_var_run_t"),
    ("{run}/wsgi(/.*)?", "httpd_var_run_t"),
    ("/srv/wsgi(/.*)?", "httpd_sys_content_t"),
]
ALLOWED = [
    ("httpd_t", "unconfined_service_t", "unix_stream_socket", "connectto"),
    # The links in /run/wsgi by which nginx finds the sockets.
    ("httpd_t", "httpd_var_run_t", "lnk_file", "getattr read"),
]

_URL = re.compile(r"(https?|ftp|file)://\S+")
_SCL = re.compile(r"(rh-)?python(\d)(\d+)")
_BOOLEAN = re.compile(r"[a-z][a-z0-9_]*")
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_PORT = re.compile(r"(\d+)(?:-(\d+))?/(tcp|udp|sctp|dccp)")


def is_el7(host: dict[str, Any]) -> bool:
    """Whether the host is an Enterprise Linux 7 of whatever kind, or nothing is known of it."""
    family, version = host.get("os_family"), host.get("version")
    return family in (None, "RedHat") and str(version or 7) == "7"


def _release(host: dict[str, Any]) -> int:
    """The number of the release, 0 for none that is a number."""
    version = str(host.get("version") or 7)
    return int(version) if version.isdigit() else 0


def _is_el(host: dict[str, Any]) -> bool:
    """Whether the host is one of the family with a systemd; Amazon counts its releases by itself."""
    return host.get("os_family") in (None, "RedHat") and (_release(host) > 6 or host.get("distribution") == "Amazon")


def _run(host: dict[str, Any]) -> str:
    """What the policy calls /run in its patterns: /run since EL 10 and Fedora 40, /var/run before.

    A pattern with the other name matches nothing there.
    """
    first = {"Amazon": 9999, "Fedora": 40}.get(str(host.get("distribution")), 10)
    return "/run" if _release(host) >= first else "/var/run"


def _check_names(values: dict[str, Any], problems: list[Problem]) -> None:
    for variable in ("el_repositories", "el_repositories_enabled"):
        for index, name in enumerate(values[variable]):
            if name not in PATHS:
                meant = close_match(name, PATHS)
                hint = f"did you mean {meant}?" if meant else f"known here: {', '.join(PATHS)}"
                problems.append(Problem(f"{variable}[{index}]", f"no archive of {name!r} is known", hint))
    for variable in ("el_repository_urls", "el_gpg_keys"):
        for name, url in values[variable].items():
            path = f"{variable}.{name}"
            if name not in PATHS:
                problems.append(Problem(path, "there is no such repository", f"known here: {', '.join(PATHS)}"))
            elif not isinstance(url, str) or not _URL.fullmatch(url):
                problems.append(Problem(path, f"{url!r} is no URL", "write http://, https:// or file:///…"))
    for variable in ("el_vault_url", "el_epel_url", "el_proxy"):
        if values[variable] and not _URL.fullmatch(values[variable]):
            problems.append(Problem(variable, f"{values[variable]!r} is no URL", "write http:// or https://…"))
    if values["el_ca_bundle"] and not re.fullmatch(r"/\S+", values["el_ca_bundle"]):
        message = f"{values['el_ca_bundle']!r} is no absolute path"
        problems.append(Problem("el_ca_bundle", message, "name a file on the host"))
    for variable in ("el_timeout", "el_retries"):
        if values[variable] < 1:
            problems.append(Problem(variable, f"{values[variable]} is too small", "write 1 or more"))


def _check_rest(values: dict[str, Any], problems: list[Problem]) -> None:
    python = values["el_python"]
    if python not in ("", "python3") and not _SCL.fullmatch(python):
        hint = "write python3, a software collection such as rh-python38, or nothing"
        problems.append(Problem("el_python", f"{python!r} is none that is known", hint))
    for variable, pattern, what, hint in (
        ("el_selinux_booleans", _BOOLEAN, "boolean of SELinux", "write e.g. httpd_can_network_connect"),
        ("el_firewalld_services", _SERVICE, "service of firewalld", "write e.g. https"),
        ("el_firewalld_ports", _PORT, "port of firewalld", "write e.g. 8080/tcp or 8000-8010/tcp"),
    ):
        for index, item in enumerate(values[variable]):
            found = pattern.fullmatch(item)
            ports = [int(port) for port in found.groups()[:2] if port] if found and pattern is _PORT else []
            if not found or ports != sorted(ports) or not all(0 < port < 65536 for port in ports):
                problems.append(Problem(f"{variable}[{index}]", f"{item!r} is no {what}", hint))
    zone = values["el_firewalld_zone"]
    if zone and not _SERVICE.fullmatch(zone):
        problems.append(Problem("el_firewalld_zone", f"{zone!r} is no zone", "write e.g. public, or nothing"))


def _repositories(values: dict[str, Any], host: dict[str, Any]) -> list[Repository]:
    arch = host.get("arch") or "x86_64"
    vault = values["el_vault_url"] or f"{VAULT}/{RELEASE if arch == 'x86_64' else f'altarch/{RELEASE}'}"
    key = KEY if arch == "x86_64" else f"{KEY} {KEY}-{arch}"
    enabled = set(values["el_repositories_enabled"])
    if _scl(values):
        enabled.add("centos-sclo-rh")
    found = []
    for name in values["el_repositories"]:
        # What others of the family call base or extras is not CentOS's.
        if name != "epel" and host.get("distribution") not in (None, "CentOS"):
            continue
        root = values["el_epel_url"] if name == "epel" else vault
        found.append(
            Repository(
                id=name,
                name=f"CentOS 7 - {name} (archive)",
                url=values["el_repository_urls"].get(name) or f"{root.rstrip('/')}/{PATHS[name]}",
                enabled=name in enabled,
                gpgkey=values["el_gpg_keys"].get(name, ""),
                default_gpgkey=KEYS.get(name, key),
            )
        )
    return found


def _scl(values: dict[str, Any]) -> SoftwareCollection | None:
    """Where the libraries of a software collection's Python are."""
    if not _SCL.fullmatch(values["el_python"]) or values["el_python"] == "python3":
        return None
    return SoftwareCollection(lib=f"/opt/rh/{values['el_python']}/root/usr/lib64")


def _packages(values: dict[str, Any], host: dict[str, Any]) -> list[str]:
    """What the roles to come would install one by one; here it is one transaction, tried again where it fails."""
    toolchain = values["el_toolchain"]
    # Whether nginx_build_host is said: then no compiler is put on a host that perhaps needs none.
    builds = "known" not in (host.get("builder") or {}) if toolchain == "auto" else toolchain == "always"
    scl, python = _scl(values), values["el_python"]
    wanted = set()
    if python:
        wanted.update([f"{python}-python", f"{python}-python-pip"] if scl else [python])
    if builds:
        nginx, uwsgi = PACKAGES["RedHat"], HEADERS["RedHat"]
        for group in ("run", "base", "compiler", "zlib", "openssl"):
            wanted.update(nginx[group])
        wanted.update(uwsgi[name][0] for name in uwsgi if name not in ("pcre1", "capabilities"))
        if python:
            wanted.add(f"{python}-python-devel" if scl else f"{python}-devel")
    return sorted(wanted)


def _cil(run: str) -> str:
    """The policy module, in the language that every policy store since EL 7.3 takes."""
    lines = [f"(allow {source} {target} ({kind} ({what})))" for source, target, kind, what in ALLOWED]
    for path, kind in LABELS:
        lines.append(f'(filecon "{path.format(run=run)}" any (system_u object_r {kind} ((s0) (s0))))')
    return "\n".join(lines) + "\n"


def plan(values: dict[str, Any], host: dict[str, Any]) -> tuple[ElPlan | None, list[Problem]]:
    """Plan the role; see plan.py for ``values`` and ``host``."""
    if not _is_el(host):
        if host.get("role") not in (None, "el"):
            # The variables of a whole inventory, seen on a host that this role has nothing to do with.
            return None, []
        message = f"is {host.get('distribution') or host.get('os_family')} {host.get('version')}"
        hint = "the role el is for Enterprise Linux 7 and newer: leave it out for this host"
        return None, [Problem("ansible_facts.distribution", message, hint)]
    problems: list[Problem] = []
    _check_names(values, problems)
    _check_rest(values, problems)
    if problems:
        return None, problems

    settings = {"timeout": str(values["el_timeout"]), "retries": str(values["el_retries"])}
    for key, variable in (("proxy", "el_proxy"), ("sslcacert", "el_ca_bundle")):
        if values[variable]:
            settings[key] = values[variable]
    # Newer ones have repositories of their own, from which the other roles take what they lack.
    archived = is_el7(host)
    packages = _packages(values, host) if archived else []
    selinux = values["el_selinux"] and host.get("selinux")
    booleans = values["el_selinux_booleans"] if selinux else []
    openings = [f"service={name}" for name in values["el_firewalld_services"]]
    openings += [f"port={port}" for port in values["el_firewalld_ports"]]
    zone = values["el_firewalld_zone"]
    return ElPlan(
        repositories=_repositories(values, host) if archived else [],
        settings=settings,
        packages=packages,
        package_query=[*PACKAGE_QUERY["RedHat"], *packages] if packages else [],
        scl=_scl(values) if archived else None,
        selinux=SelinuxModule(cil=_cil(_run(host)), file=f"{STATE}/{MODULE}.cil") if selinux else None,
        booleans=booleans,
        zone=[f"--zone={zone}"] if zone else [],
        openings=openings if values["el_firewalld"] else [],
    ), []
