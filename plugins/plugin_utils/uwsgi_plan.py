"""The plan of the uwsgi role: packages, pip's surroundings, the wish that names a build, and the template unit."""

from __future__ import annotations

import re
from typing import Any

from . import kit_plan, log_plan, spec, takeover_plan, unit_plan, uwsgi_toolchain, wheel_plan
from .nginx_plan import PACKAGE_QUERY
from .problem import Problem, close_match, unknown_host

# Releases that must not run: what is wrong with them, and what to take instead.
BAD = {"2.0.27": "it ignores SIGHUP, so nothing published with it could be reloaded"}

# Where a pip stops for the Python that it runs under; every other Python gets the newest that pip finds for it.
PIP = {"2.7": "pip<=20.3.4", "3.6": "pip<=21.3.1", "*": "pip"}
# The value of uwsgi_pip_constraints for the role's own, of Pythons that new releases have left behind.
OWN_CONSTRAINTS = "auto"
# The last virtualenv that makes environments of Python 2.7 from one pure script, with a pip inside that still runs.
VIRTUALENV = "16.7.12"

# Where a wheel is built for others.
BUILDER_HOME = "/var/lib/graceful-wsgi/uwsgi"

FEATURES = ("capabilities", "json", "pcre", "routing", "ssl", "xml", "yaml", "zlib")

# What a feature is compiled from: per family the package, and files of which one proves that it is there.
HEADERS: dict[str, dict[str, tuple[str, list[str]]]] = {
    "Debian": {
        "compiler": ("gcc", ["/usr/bin/gcc"]),
        "libc": ("libc6-dev", ["/usr/include/stdio.h"]),
        # Of the C library the one part that zig does not bring.
        "crypt": ("libcrypt-dev", ["/usr/include/crypt.h"]),
        "ssl": ("libssl-dev", ["/usr/include/openssl/ssl.h"]),
        "pcre": ("libpcre2-dev", ["/usr/bin/pcre2-config"]),
        "pcre1": ("libpcre3-dev", ["/usr/bin/pcre-config"]),
        "json": ("libjansson-dev", ["/usr/include/jansson.h"]),
        # uWSGI takes libxml2 where pkg-config knows it, else expat, which is a tenth of the weight.
        "xml": ("libexpat1-dev", ["/usr/include/expat.h"]),
        "zlib": ("zlib1g-dev", ["/usr/include/zlib.h"]),
        "capabilities": ("libcap-dev", ["/usr/include/sys/capability.h"]),
    },
    "RedHat": {
        "compiler": ("gcc", ["/usr/bin/gcc"]),
        "libc": ("glibc-devel", ["/usr/include/stdio.h"]),
        "crypt": ("glibc-devel", ["/usr/include/crypt.h"]),
        "ssl": ("openssl-devel", ["/usr/include/openssl/ssl.h"]),
        "pcre": ("pcre2-devel", ["/usr/bin/pcre2-config"]),
        "pcre1": ("pcre-devel", ["/usr/bin/pcre-config"]),
        "json": ("jansson-devel", ["/usr/include/jansson.h"]),
        "xml": ("expat-devel", ["/usr/include/expat.h"]),
        "zlib": ("zlib-devel", ["/usr/include/zlib.h"]),
        "capabilities": ("libcap-devel", ["/usr/include/sys/capability.h"]),
    },
}

# Names of the packages that go with a Python, by version; `{version}` stands for it.
PYTHON_PACKAGES: dict[str, dict[str, dict[str, str]]] = {
    "Debian": {
        "headers": {"*": "python{version}-dev"},
        "venv": {"*": "python{version}-venv"},
        "pip": {"*": "python3-pip"},
    },
    "RedHat 7": {
        "headers": {"2.7": "python-devel", "3.6": "python3-devel", "*": "python{version}-devel"},
        "venv": {"3.6": "python3-libs", "*": "python{version}"},
        "pip": {"*": "python3-pip"},
    },
    "RedHat 8": {
        "headers": {
            "2.7": "python2-devel",
            "3.6": "python36-devel",
            "3.8": "python38-devel",
            "3.9": "python39-devel",
            "*": "python{version}-devel",
        },
        "venv": {"*": "python{version}"},
        "pip": {"*": "python3-pip"},
    },
    "RedHat": {
        "headers": {"3.9": "python3-devel", "*": "python{version}-devel"},
        "venv": {"*": "python{version}"},
        "pip": {"*": "python3-pip"},
    },
}

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

# What the role's tasks read of its variables.
READ = (
    "version",
    "python",
    "features",
    "home",
    "conf_dir",
    "log_dir",
    "user",
    "group",
    "wheel_dir",
    "pip_extra_args",
    "build_timeout",
    "unit_template",
)
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}\$?")


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _python_packages(family: str, major: str | None) -> dict[str, dict[str, str]]:
    return PYTHON_PACKAGES.get(f"{family} {major}") or PYTHON_PACKAGES[family]


def _problems(values: dict[str, Any], host: dict[str, Any]) -> list[Problem]:
    problems = []
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
            mend = f"did you mean {meant}?" if meant else f"write one of: {', '.join(FEATURES)}"
            problems.append(Problem(f"uwsgi_features[{index}]", f"{feature!r} is not known", mend))
    for name in ("uwsgi_home", "uwsgi_conf_dir", "uwsgi_log_dir"):
        if not re.fullmatch(r"(/[\w.+@-]+)+", values[name]):
            problems.append(
                Problem(name, f"{values[name]!r} is no absolute path", "write one without blanks or a slash at its end")
            )
    if values["uwsgi_log_dir"] in log_plan.SHARED | log_plan.NOT_THEMSELVES | {*log_plan.NONE_AT_ALL}:
        # It is made root's and 0755, whatever it was.
        says = f"{values['uwsgi_log_dir']} is not uWSGI's alone"
        problems.append(Problem("uwsgi_log_dir", says, "name a folder of its own, such as /var/log/uwsgi"))
    for name in ("uwsgi_user", "uwsgi_group"):
        if not _NAME.fullmatch(values[name]):
            problems.append(Problem(name, f"{values[name]!r} is no account's name", "write one such as uwsgi"))
    if values["uwsgi_user"] == "root":
        problems.append(Problem("uwsgi_user", "root would run every application", "name an account without privileges"))
    if values["uwsgi_build_user"] in ("root", values["uwsgi_user"]) or not _NAME.fullmatch(values["uwsgi_build_user"]):
        says = f"{values['uwsgi_build_user']!r} must not build what applications run on"
        problems.append(
            Problem("uwsgi_build_user", says, "name an account that does nothing else, such as uwsgi-build")
        )
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
    _check_constraints(values, host, problems)
    problems += unknown_host("uwsgi_build_host", values["uwsgi_build_host"], host.get("uwsgi_builder") or {})
    problems += uwsgi_toolchain.check(values, host)
    for name in ("uwsgi_build_timeout", "uwsgi_limit_nofile", "uwsgi_stop_timeout"):
        if values[name] < 1:
            problems.append(Problem(name, f"{values[name]} is too small", "write a number above 0"))
    if values["uwsgi_memory_limit"] and not re.fullmatch(r"[1-9]\d*[KMGT]?|infinity", values["uwsgi_memory_limit"]):
        problems.append(
            Problem("uwsgi_memory_limit", f"{values['uwsgi_memory_limit']!r} is no size", "write e.g. 512M or 2G")
        )
    unit_plan.check_system_calls("uwsgi_system_calls", values["uwsgi_system_calls"], problems)
    unit_plan.check_families("uwsgi_address_families", values["uwsgi_address_families"], problems)
    unit_plan.check_options("uwsgi_unit_options", values["uwsgi_unit_options"], problems)
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


def _header_needs(values: dict[str, Any], host: dict[str, Any], features: list[str]) -> list[dict[str, Any]]:
    """Packages with the headers of these features, each with the files that prove it is there."""
    known = HEADERS.get(host.get("os_family") or "", {})
    wanted = []
    for feature in features:
        if feature in ("routing", "pcre"):
            # Releases before 2.0.22 know the first PCRE only.
            feature = "pcre" if _release(values["uwsgi_version"]) >= (2, 0, 22) else "pcre1"
        if feature in known and feature not in wanted:
            wanted.append(feature)
    return [{"package": known[name][0], "files": known[name][1]} for name in wanted]


def _needs(values: dict[str, Any], host: dict[str, Any]) -> list[dict[str, Any]]:
    """Packages that a build takes, each with the files that prove it is there."""
    known = HEADERS.get(host.get("os_family") or "")
    if not known or values["uwsgi_headers_dir"]:
        return []
    base = ["crypt"] if uwsgi_toolchain.is_zig(values) else ["compiler", "libc"]
    needs = [{"package": known[name][0], "files": known[name][1]} for name in base]
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


def pip_settings(values: dict[str, Any]) -> dict[str, Any]:
    """The same for other roles' builds: ``env``, which may hold a password, and ``cert``, a file on the host."""
    env = {}
    for variable, name in (("PIP_INDEX_URL", "uwsgi_pip_index_url"), ("PIP_PROXY", "uwsgi_pip_proxy")):
        if values[name]:
            env[variable] = values[name]
    if values["uwsgi_pip_no_index"]:
        # No text: what is kept from logs is kept from them wherever it occurs.
        env["PIP_NO_INDEX"] = True
    return {"env": env, "cert": values["uwsgi_pip_ca_bundle"]}


def _check_constraints(values: dict[str, Any], host: dict[str, Any], problems: list[Problem]) -> None:
    given = values["uwsgi_pip_constraints"]
    for text in (host.get("constraints") or {}).values():
        if text is None:
            says = f"there is no file {given} on the controller"
            problems.append(Problem("uwsgi_pip_constraints", says, "name one, or write auto for the role's own"))
            continue
        option = next((line.strip() for line in text.splitlines() if line.strip().startswith("-")), None)
        if option is not None:
            says = f"{given} holds {option!r}, which is no constraint"
            problems.append(Problem("uwsgi_pip_constraints", says, "write its lines into this one file"))


def limits(values: dict[str, Any], host: dict[str, Any]) -> dict[str, list[str]]:
    """What pip is to keep to in applications' virtualenvs: the role's own ``bounds``, or the user's ``constraints``."""
    texts = host.get("constraints") or {}
    text = texts.get((host.get("uwsgi") or {}).get("python") or "") or texts.get("*") or ""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    own = values["uwsgi_pip_constraints"] == OWN_CONSTRAINTS
    return {"bounds": lines if own else [], "constraints": [] if own else lines}


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


def _service(values: dict[str, Any], host: dict[str, Any]) -> list[list[str]]:
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


def _virtualenv(home: str) -> dict[str, str]:
    return {
        "requirement": f"virtualenv=={VIRTUALENV}",
        "wheel": f"virtualenv-{VIRTUALENV}-py2.py3-none-any.whl",
        "home": f"{home}/tools/virtualenv-{VIRTUALENV}",
    }


def _builder(values: dict[str, Any], host: dict[str, Any]) -> dict[str, Any]:
    """Who builds the wheel, where, and where the controller keeps it; ``host`` is empty where each builds its own."""
    known = host.get("uwsgi_builder") or {}
    name = values["uwsgi_build_host"]
    local = name == "localhost"
    home = (known.get("home") or BUILDER_HOME) if local else BUILDER_HOME
    return {
        "host": name,
        "local": local,
        # The controller is whoever runs Ansible there.
        "user": "" if local else values["uwsgi_build_user"],
        # Whether it builds for hosts of another kind, of which headers and libraries are brought.
        "brought": uwsgi_toolchain.may_cross(values),
        # What a binary that does not run there cannot be asked.
        "library_packages": wheel_plan.LIBRARIES.get(host.get("os_family") or "", {}),
        "home": home,
        "cache": known.get("cache") or values["uwsgi_artifact_dir"],
        "virtualenv": _virtualenv(home),
    }


def plan(values: dict[str, Any], host: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Plan the role; see plan.py for ``values`` and ``host``."""
    problems = _problems(values, host)
    if problems:
        return {}, problems
    family = host.get("os_family") or ""
    managed = values["uwsgi_manage_packages"] and family in HEADERS
    build_env = {name: str(value) for name, value in sorted(values["uwsgi_build_env"].items())}
    nologin = "/sbin/nologin" if family == "RedHat" else "/usr/sbin/nologin"
    needs = _needs(values, host) if managed else []
    python_packages = _python_packages(family, host.get("version")) if managed else {}
    if values["uwsgi_headers_dir"]:
        python_packages = {kind: names for kind, names in python_packages.items() if kind != "headers"}
    elsewhere = bool(values["uwsgi_build_host"])
    # What makes one binary differ from another; where it was downloaded from does not.
    build = {"extra_args": values["uwsgi_pip_extra_args"], "env": build_env, **uwsgi_toolchain.identity(values)}
    virtualenv = _virtualenv(values["uwsgi_home"])
    venv_names = _python_packages(family, host.get("version"))["venv"] if family in HEADERS else {}
    wheels = wheel_plan.plan(values, host, build, virtualenv, venv_names)
    return {
        # What only the host can judge, as module_utils/host_checks.py takes it.
        "checks": [
            *takeover_plan.uwsgi(values),
            *unit_plan.checks("uwsgi_unit_options", values["uwsgi_unit_options"]),
            *wheel_plan.checks(wheels),
        ],
        # The wheels of uWSGI that the controller has for hosts that build none.
        "wheels": wheels,
        "settings": spec.told(values, "uwsgi", READ),
        "take_over": values["uwsgi_take_over"],
        "build": build,
        # zig in the place of the host's compiler; empty where that is used.
        "toolchain": uwsgi_toolchain.plan(values, host),
        "needs": [] if elsewhere else needs,
        # A wheel takes no headers.
        "python_packages": {
            kind: names for kind, names in python_packages.items() if not (elsewhere and kind == "headers")
        },
        # The builder is of the host's kind, so its packages have the same names.
        "builder": {**_builder(values, host), "needs": needs, "python_packages": python_packages},
        "family": family if managed else "",
        "package_query": PACKAGE_QUERY[family] if managed else [],
        "library_query": ["sh", "-c", wheel_plan.FIND, "sh"],
        "libraries_found": wheel_plan.FOUND,
        "header_packages": {
            feature: need["package"]
            for feature in values["uwsgi_features"]
            for need in _header_needs(values, host, [feature])
        },
        "build_user": values["uwsgi_build_user"],
        "pip": PIP,
        # Python to a wheel of pip below wheel_dir, for a Python that brings none.
        "pip_wheels": kit_plan.pip_wheels(host.get("kit")),
        "pip_env": _pip_env(values) | build_env,
        # By Python, "*" for all others.
        "constraints": {"*": "", **(host.get("constraints") or {})},
        "virtualenv": virtualenv,
        "account": {"shell": nologin},
        "unit": {
            "Unit": [["Description", "uWSGI application %i"], ["After", "network.target"]],
            "Service": _service(values, host),
            "Install": [["WantedBy", "multi-user.target"]],
        },
    }, []
