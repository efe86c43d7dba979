"""The template unit of uWSGI's instances: what it runs, and what it may do."""

from __future__ import annotations

from typing import Any

from . import unit_plan

# Directives by the systemd that first knew them (its NEWS). Left out on purpose, since applications break by them:
# ProtectSystem=strict (they write their own folder), RemoveIPC (a second generation shares its account), ProtectProc
# (psutil), PrivateUsers (files of others), UMask (nginx serves what they write). _hardening adds what variables name.
HARDENING: list[tuple[str, str, int]] = [
    ("NoNewPrivileges", "yes", 187),
    ("CapabilityBoundingSet", "", 183),
    ("PrivateTmp", "yes", 183),
    ("SystemCallArchitectures", "native", 209),
    *unit_plan.CONFINED,
]

# With these, by seccomp some of them, the kernel lets a process gain no privileges: without nnp_transition, which came
# with EL 8, SELinux then leaves an instance in systemd's own domain, where nginx does not reach it.
NO_NEW_PRIVILEGES = {
    "NoNewPrivileges",
    "RestrictAddressFamilies",
    "SystemCallArchitectures",
    "RestrictRealtime",
    "ProtectKernelTunables",
    "ProtectKernelModules",
    "RestrictNamespaces",
    "MemoryDenyWriteExecute",
}

OLDEST = unit_plan.OLDEST
# Since this release of systemd a command learns how its unit ended.
RESULT_SINCE = 232
# How often in so many seconds: by the names that each systemd knows, which newer ones look for in [Unit] as well.
LIMIT = [("StartLimitInterval", "30"), ("StartLimitBurst", "30")]
# Options for every instance, whatever its configuration and a drop-in's ExecStart say: uWSGI reads them from here.
# Its own SIGTERM is a brutal reload and its SIGINT and SIGQUIT cut requests off; with the hook, SIGTERM lets every
# worker finish what it is at. Large bodies are kept in TMPDIR: /tmp is memory on many hosts, and under PrivateTmp both
# are the unit's own.
ENVIRONMENT = 'UWSGI_MASTER=true "UWSGI_HOOK_MASTER_START=unix_signal:15 gracefully_kill_them_all" TMPDIR=/var/tmp'


def _hardening(values: dict[str, Any]) -> list[tuple[str, str, int]]:
    """All that confines an instance, with what the variables loosen or tighten."""
    found = list(HARDENING)
    if values["uwsgi_private_devices"]:
        found.append(("PrivateDevices", "yes", 209))
    if values["uwsgi_read_only_system"]:
        found.append(("ProtectSystem", "full", 214))
    if values["uwsgi_read_only_home"]:
        found.append(("ProtectHome", "read-only", 214))
    if not values["uwsgi_write_execute"]:
        found.append(("MemoryDenyWriteExecute", "yes", 231))
    if values["uwsgi_address_families"]:
        found.append(("RestrictAddressFamilies", " ".join(values["uwsgi_address_families"]), 211))
    return found + unit_plan.system_calls(values["uwsgi_system_calls"])


def _again(systemd: int) -> list[tuple[str, str]]:
    """When systemd starts a master again that has ended by itself.

    One that was killed is back at once; one whose code does not load takes its time, or it would keep a processor busy.
    What is killed on and on is left alone at last.
    """
    if systemd < RESULT_SINCE:
        return [("RestartSec", "1"), *LIMIT]
    pause = '/bin/sh -c "case $SERVICE_RESULT in exit-code|protocol|timeout|start-limit-hit) sleep 1;; esac"'
    return [("RestartSec", "100ms"), ("ExecStopPost", f"-{pause}"), *LIMIT]


def service_of(values: dict[str, Any], host: dict[str, Any]) -> list[list[str]]:
    """The [Service] section, as far as the host's systemd knows it."""
    systemd = host.get("systemd") or OLDEST
    lines = [
        ("Type", "notify"),
        ("User", values["uwsgi_user"]),
        ("Group", values["uwsgi_group"]),
        ("RuntimeDirectory", "uwsgi-%i"),
        ("RuntimeDirectoryMode", "0755"),
        ("Environment", ENVIRONMENT),
        ("ExecStart", f"{values['uwsgi_home']}/current/bin/uwsgi --ini {values['uwsgi_conf_dir']}/%i.ini"),
        # The shell's own kill: /bin/kill is procps, which a minimal host does not have.
        ("ExecReload", '/bin/sh -c "kill -HUP ${MAINPID}"'),
        ("KillMode", "mixed"),
        ("KillSignal", "SIGTERM"),
        ("TimeoutStopSec", str(values["uwsgi_stop_timeout"])),
        ("Restart", "on-failure"),
        *_again(systemd),
        ("SyslogIdentifier", "uwsgi-%i"),
        ("LimitNOFILE", str(values["uwsgi_limit_nofile"])),
    ]
    if values["uwsgi_memory_limit"]:
        lines.append(("MemoryMax" if systemd >= 231 else "MemoryLimit", values["uwsgi_memory_limit"]))
    if values["uwsgi_hardening"]:
        left_out = NO_NEW_PRIVILEGES if host.get("selinux") and systemd < 235 else ()
        lines += unit_plan.known(_hardening(values), systemd, left_out)
    return unit_plan.with_options(lines, values["uwsgi_unit_options"], added=("Environment",))
