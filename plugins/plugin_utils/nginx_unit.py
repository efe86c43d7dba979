"""nginx's unit: what it runs, what it may do, and where it may write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import layout, unit_plan

# Who must be able to what: bind port 80, become the workers' account and signal it, make, own and open logs, temporary
# folders and keys that belong to others, raise the workers' limit of files above systemd's.
CAPABILITIES = (
    "CAP_NET_BIND_SERVICE",
    "CAP_SETUID",
    "CAP_SETGID",
    "CAP_KILL",
    "CAP_CHOWN",
    "CAP_FOWNER",
    "CAP_DAC_OVERRIDE",
    "CAP_SYS_RESOURCE",
)

# Directives of the unit by the systemd that first knew them (its NEWS); _hardening adds what variables name. Left out
# on purpose: ProtectSystem=strict (logs and caches lie where users want them), UMask (who may read the logs).
HARDENING: list[tuple[str, str, int]] = [
    ("NoNewPrivileges", "yes", 187),
    ("PrivateTmp", "yes", 183),
    ("SystemCallArchitectures", "native", 209),
    ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK", 211),
    *unit_plan.CONFINED,
    ("ProtectProc", "invisible", 247),
]

# nginx opens logs as root: what a link in the folder of a log must not lead it to, by ProtectSystem and besides.
SYSTEM = ("/usr", "/boot", "/etc")
READ_ONLY = (
    "/root",
    "/var/spool",
    layout.STATE_DIR,
    "/var/lib/dpkg",
    "/var/lib/rpm",
    "/var/lib/systemd",
    "/opt/uwsgi",
)

HOMES = ("/home",)
# What directives ask for that not everybody uses.
ASKS = {
    "worker_priority": {"capabilities": ["CAP_SYS_NICE"]},
    "quic_bpf": {"capabilities": ["CAP_BPF", "CAP_NET_ADMIN"], "system_calls": ["bpf"]},
}


def transparent(options: Any) -> bool:
    """Whether somewhere in these options nginx is to take a client's address for its own."""
    if isinstance(options, Mapping):
        for name, value in options.items():
            lines = value if isinstance(value, list) else [value]
            if str(name).strip().endswith("_bind") and any("transparent" in str(line).split() for line in lines):
                return True
            if any(transparent(line) for line in lines):
                return True
    return False


def capabilities(values: Mapping[str, Any]) -> list[str]:
    """Those that the unit leaves nginx."""
    found = list(CAPABILITIES)
    for directive, asks in ASKS.items():
        found += asks["capabilities"] if values["nginx_main_options"].get(directive) else []
    if transparent(values["nginx_main_options"]) or transparent(values["nginx_conf_options"]):
        found.append("CAP_NET_RAW")
    return list(dict.fromkeys([*found, *values["nginx_capabilities"]]))


def closed_to(values: Mapping[str, Any], path: str) -> str | None:
    """The variable by which the unit keeps nginx from writing a file, if one does."""
    kept = {"nginx_read_only_system": (*SYSTEM, *READ_ONLY), "nginx_read_only_home": HOMES}
    for variable, folders in kept.items():
        if values["nginx_hardening"] and values[variable] and any(path.startswith(f"{folder}/") for folder in folders):
            return variable
    return None


def _hardening(values: dict[str, Any]) -> list[tuple[str, str, int]]:
    """All that confines nginx, with what the variables, and its own configuration, loosen or tighten."""
    main = values["nginx_main_options"]
    found = [("CapabilityBoundingSet", " ".join(capabilities(values)), 183), *HARDENING]
    if values["nginx_private_devices"]:
        found.append(("PrivateDevices", "yes", 209))
    if values["nginx_read_only_system"]:
        found.append(("ProtectSystem", "full", 214))
        found.append(("ReadOnlyPaths", " ".join(f"-{path}" for path in READ_ONLY), 231))
    if values["nginx_read_only_home"]:
        found.append(("ProtectHome", "read-only", 214))
    if not (values["nginx_write_execute"] or main.get("pcre_jit") in (True, "on")):
        found.append(("MemoryDenyWriteExecute", "yes", 231))
    calls = list(values["nginx_system_calls"])
    if calls and main.get("quic_bpf"):
        calls += ASKS["quic_bpf"]["system_calls"]
    return found + unit_plan.system_calls(calls)


def unit_of(values: dict[str, Any], host: dict[str, Any]) -> dict[str, list[list[str]]]:
    lines = [
        ("Type", "forking"),
        ("PIDFile", layout.NGINX_PIDFILE),
        ("ExecStartPre", "/usr/sbin/nginx -t -q"),
        ("ExecStart", layout.NGINX_BINARY),
        # Tested first; then through the pid file, which names the new master while the old one of an upgrade drains.
        ("ExecReload", "/usr/sbin/nginx -t -q"),
        ("ExecReload", "/usr/sbin/nginx -s reload"),
        ("KillMode", "mixed"),
        ("KillSignal", "SIGQUIT"),
        ("TimeoutStopSec", "30"),
        ("Restart", "on-failure"),
    ]
    if values["nginx_hardening"]:
        # SELinux leaves what may gain no privileges in systemd's own domain, unless its policy says otherwise.
        left_out = {"NoNewPrivileges"} if host.get("selinux") else ()
        lines += unit_plan.known(_hardening(values), host.get("systemd"), left_out)
    return {
        "Unit": [
            ["Description", "nginx"],
            ["Documentation", "https://nginx.org/en/docs/"],
            ["Wants", "network-online.target"],
            ["After", "network-online.target remote-fs.target nss-lookup.target"],
        ],
        "Service": unit_plan.with_options(lines, values["nginx_unit_options"], added=("ExecStartPre",)),
        "Install": [["WantedBy", "multi-user.target"]],
    }
