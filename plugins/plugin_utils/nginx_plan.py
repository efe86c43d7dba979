"""The plan of the nginx role: which artifact, from what, with which flags, and the nginx.conf to run it with."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from . import kit_plan, layout, nginx_tree, nginx_versions, packages, spec, takeover_plan, unit_plan
from .model import Download, NginxBuild, NginxPlan, NginxSettings, Source, ZigWheel
from .problem import Problem, close_match, unknown_host

HOME = f"{layout.STATE_DIR}/nginx"
# What the role's tasks read of its variables.
READ = tuple(field.name for field in dataclasses.fields(NginxSettings))

# From Debian's signed source index; zlib's, which Debian repacks, as distributions pin it; zig's from PyPI's index.
CHECKSUMS = {
    "nginx-1.30.6": "3cf46f5ed7504d460125866b7bea99fb357f31d887e2e63b35503310e9b8b6c8",
    "nginx-1.26.3": "69ee2b237744036e61d24b836668aad3040dda461fe6f570f1787eab570c75aa",
    "pcre2-10.49": "929f0b20e62879252a15886b06c89f1edef61a363cbd5826fb041080a5e557ae",
    "pcre2-10.46": "8d28d7f2c3b970c3a4bf3776bcbb5adfc923183ce74bc8df1ebaad8c1985bd07",
    "openssl-3.6.5": "a2157c2830efdec3788939b00c9b0638306d3f0bbb76dc4832ee503bb397df98",
    "openssl-3.5.7": "a8c0d28a529ca480f9f36cf5792e2cd21984552a3c8e4aa11a24aa31aeac98e8",
    "openssl-3.5.6": "deae7c80cba99c4b4f940ecadb3c3338b13cb77418409238e57d7f31f2a3b736",
    "zlib-1.3.1": "9a93b2b7dfdac77ceba5a558a580e74667dd6fede4585b91eefb60f03b72df23",
    "zig-0.15.2-x86_64": "806316453d1ede7174ed3fefb8e5348154629089c3bb5fe812dfd0e172fac130",
    "zig-0.15.2-aarch64": "edc0aa60ec964a4cf462d40f68d7de242ddf37fd9a80f2afaee6397059463230",
}

# The newest release whose checksum is known here.
NEWEST = max((key[len("nginx-") :] for key in CHECKSUMS if key.startswith("nginx-")), key=nginx_versions.numbers)

UPSTREAM = {
    "nginx": "https://nginx.org/download/{file}",
    "pcre2": "https://github.com/PCRE2Project/pcre2/releases/download/pcre2-{version}/{file}",
    "zlib": "https://zlib.net/fossils/{file}",
    "openssl": "https://github.com/openssl/openssl/releases/download/openssl-{version}/{file}",
}

FLAGS = [
    "--prefix=/etc/nginx",
    "--sbin-path=/usr/sbin/nginx",
    "--conf-path=/etc/nginx/nginx.conf",
    "--error-log-path=/var/log/nginx/error.log",
    "--http-log-path=/var/log/nginx/access.log",
    "--pid-path=/run/nginx.pid",
    "--lock-path=/run/nginx.lock",
    "--http-client-body-temp-path=/var/cache/nginx/client_temp",
    "--http-proxy-temp-path=/var/cache/nginx/proxy_temp",
    "--http-fastcgi-temp-path=/var/cache/nginx/fastcgi_temp",
    "--http-uwsgi-temp-path=/var/cache/nginx/uwsgi_temp",
    "--http-scgi-temp-path=/var/cache/nginx/scgi_temp",
    "--with-threads",
    "--with-file-aio",
    "--with-http_auth_request_module",
    "--with-http_gzip_static_module",
    "--with-http_realip_module",
    "--with-http_ssl_module",
    "--with-http_stub_status_module",
    "--with-http_v2_module",
    "--with-stream",
    "--with-stream_ssl_module",
]

# The platforms in the names of zig's wheels; the middle one is what every pip knows.
ZIG_WHEELS = {
    "x86_64": ("manylinux_2_12_x86_64", "manylinux2010_x86_64", "musllinux_1_1_x86_64"),
    "aarch64": ("manylinux_2_17_aarch64", "manylinux2014_aarch64", "musllinux_1_1_aarch64"),
}
STATIC = "a static nginx cannot load modules"
# Debugging tables would be three quarters of what goes to every host.
ZIG_LD_OPT = "-static -s"
# Who unpacks owns it.
TAR = "--no-same-owner --no-same-permissions"
# What takes a library of the host's along, which is not there to be linked into a static binary.
HOST_MODULES = {
    "--with-http_xslt_module": "libxslt",
    "--with-http_image_filter_module": "libgd",
    "--with-http_geoip_module": "libGeoIP",
    "--with-stream_geoip_module": "libGeoIP",
    "--with-http_perl_module": "libperl",
    "--with-google_perftools_module": "libprofiler",
}

# What the role itself decides: flag (up to "=") -> the variable to use instead, or why there is none.
OWNED_FLAGS = {
    "--user": "set nginx_user",
    "--group": "set nginx_group",
    "--with-cc-opt": "set nginx_build_cc_opt",
    "--with-ld-opt": "set nginx_build_ld_opt",
    "--with-zlib": "set nginx_zlib: source and nginx_zlib_version",
    "--with-openssl": "set nginx_openssl: source and nginx_openssl_version",
    "--with-pcre": "set nginx_pcre2_version; PCRE2 is always built in",
    "--with-pcre-opt": "PCRE2 is built with nginx_build_cc_opt",
    "--without-pcre": "remove it; PCRE2 is always built in",
    "--without-pcre2": "remove it; PCRE2 is always built in",
    **{flag.split("=")[0]: "remove it; the unit and the other roles count on the role's path" for flag in FLAGS[:12]},
}

OWNED_DIRECTIVES = {
    "nginx_main_options": {
        "user": "set nginx_user and nginx_group",
        "worker_processes": "set nginx_worker_processes",
        "pid": "remove it; the unit and the upgrade count on /run/nginx.pid",
        "daemon": "remove it; the unit counts on the default",
        "master_process": "remove it; an upgrade without a lost request needs a master",
        "events": "write its directives into nginx_events_options",
        "http": "write its directives into nginx_conf_options",
    },
    "nginx_events_options": {"worker_connections": "set nginx_worker_connections"},
    "nginx_conf_options": {},
}

# What a user's own include or log_format adds to and does not replace.
HTTP_FIRST: list[nginx_tree.Directive] = [
    ["include", "mime.types", None],
    [
        "log_format",
        'timed \'$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
        '"$http_referer" "$http_user_agent" $request_time $upstream_response_time\'',
        None,
    ],
]

PACKAGES: dict[str, dict[str, list[str]]] = {
    "Debian": {
        "run": ["logrotate"],
        "base": ["make", "tar", "gzip"],
        "compiler": ["gcc", "libc6-dev"],
        "zig": ["python3"],
        "pip": ["python3-venv"],
        "zlib": ["zlib1g-dev"],
        "openssl": ["libssl-dev"],
        "openssl_build": ["perl"],
        "signature": ["gpg"],
    },
    "RedHat": {
        "run": ["logrotate"],
        "base": ["make", "tar", "gzip"],
        "compiler": ["gcc", "glibc-devel"],
        "zig": ["python3"],
        "pip": [],
        "zlib": ["zlib-devel"],
        "openssl": ["openssl-devel"],
        "openssl_build": ["perl-core"],
        "signature": ["gnupg2"],
    },
    # The controller: commands, which have to be there, since nothing is installed on it.
    "localhost": {
        "run": [],
        "base": ["make", "tar", "gzip"],
        "compiler": ["cc"],
        "zig": [],
        "pip": [],
        "zlib": [],
        "openssl": [],
        "openssl_build": ["perl"],
        "signature": ["gpg"],
    },
}

PACKAGE_FAMILIES = [family for family in PACKAGES if family != "localhost"]

# Prints "installed NAME" for each package that is.
PACKAGE_QUERY = {
    "Debian": ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\\n"],
    "RedHat": ["rpm", "-q", "--qf", "installed %{NAME}\\n"],
    "localhost": ["sh", "-c", 'for name; do command -v "$name" >/dev/null && echo "installed $name"; done; true', "sh"],
}

# A command, or a file, that proves that the host has what the package brings, wherever it has it from. Of perl the
# command proves little: Debian's perl-base has it on every host, and not the modules that OpenSSL's Configure takes.
PROOFS = {
    "gcc": "gcc",
    "glibc-devel": "/usr/include/stdio.h",
    "gnupg2": "gpg",
    "gpg": "gpg",
    "gzip": "gzip",
    "libc6-dev": "/usr/include/stdio.h",
    "libssl-dev": "/usr/include/openssl/ssl.h",
    "logrotate": "logrotate",
    "make": "make",
    "openssl-devel": "/usr/include/openssl/ssl.h",
    "python3": "python3",
    "tar": "tar",
    "zlib-devel": "/usr/include/zlib.h",
    "zlib1g-dev": "/usr/include/zlib.h",
}
# PACKAGE=PROOF for each that is known, then -- and the query of the packages; a host without the package may be proven.
PROVE = """\
PATH=$PATH:/usr/sbin:/sbin
while [ "$1" != -- ]; do
    proof=${1#*=}
    if command -v "$proof" >/dev/null 2>&1 || [ -e "$proof" ]; then echo "installed ${1%%=*}"; fi
    shift
done
shift
exec "$@"
"""

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
    "/var/lib/graceful-wsgi",
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

_VERSION = re.compile(r"\d+(\.\d+)+[a-z]?(-[a-z0-9]+)?")
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_URL = re.compile(r"(https?|ftp)://\S+")
_RELEASE = re.compile(rf"({'|'.join(UPSTREAM)})-{_VERSION.pattern}|zig-{_VERSION.pattern}-({'|'.join(ZIG_WHEELS)})")
_PCRE2_SINCE = (1, 21, 5)
# Older ones close an idle kept-alive connection at a reload even if its next request is under way.
_KEEPALIVE_MIN_SINCE = (1, 27, 4)
# From here on a reload keeps a certificate whose file has the number and the second of change that it had.
_OBJECT_CACHE_SINCE = (1, 27, 4)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _zig(values: dict[str, Any]) -> bool:
    return bool(values["nginx_build_toolchain"] == "zig")


def _from_source(values: dict[str, Any], name: str) -> bool:
    """Whether zlib or openssl is built in."""
    return values[f"nginx_{name}"] == "source" or (values[f"nginx_{name}"] == "auto" and _zig(values))


def _components(values: dict[str, Any]) -> dict[str, str]:
    """What is built from source: name -> version."""
    components = {"nginx": values["nginx_version"], "pcre2": values["nginx_pcre2_version"]}
    for name in ("zlib", "openssl"):
        if _from_source(values, name):
            components[name] = values[f"nginx_{name}_version"]
    return components


def _check_names(values: dict[str, Any], problems: list[Problem]) -> None:
    for variable in ("nginx_user", "nginx_group", "nginx_build_user"):
        if not _NAME.fullmatch(values[variable]):
            hint = "write small letters, digits, _ and - (at most 31)"
            problems.append(Problem(variable, f"{values[variable]!r} is no name of an account", hint))
    if values["nginx_build_user"] in ("root", values["nginx_user"]):
        message = f"{values['nginx_build_user']} must not build what root will run"
        problems.append(Problem("nginx_build_user", message, "name an account that does nothing else"))


def _check_numbers(values: dict[str, Any], problems: list[Problem]) -> None:
    processes = values["nginx_worker_processes"]
    if processes != "auto" and not re.fullmatch(r"[1-9]\d*", processes):
        problems.append(Problem("nginx_worker_processes", f"{processes!r} is no number", "write auto or 1 and up"))
    for variable, least in (
        ("nginx_worker_connections", 2),
        ("nginx_build_jobs", 0),
        ("nginx_build_timeout", 1),
        ("nginx_download_timeout", 1),
        ("nginx_download_retries", 0),
        ("nginx_log_keep", 1),
    ):
        if values[variable] < least:
            problems.append(Problem(variable, f"{values[variable]} is too small", f"write {least} or more"))


def _check_flags(values: dict[str, Any], problems: list[Problem]) -> None:
    for index, flag in enumerate(values["nginx_build_options"]):
        path = f"nginx_build_options[{index}]"
        name = flag.split("=")[0]
        if not re.fullmatch(r"--[a-zA-Z0-9]\S*(=.*)?", flag) or "\n" in flag:
            problems.append(Problem(path, f"{flag!r} is no option of ./configure", "write --with-… or --without-…"))
        elif name in OWNED_FLAGS:
            problems.append(Problem(path, f"{name} is the role's own", OWNED_FLAGS[name]))
        elif flag.endswith("=dynamic") or name == "--add-dynamic-module":
            message = STATIC if _zig(values) else "the role installs one file and no dynamic modules"
            problems.append(Problem(path, message, "build it in: leave off =dynamic, or write --add-module"))
        elif _zig(values) and name in HOST_MODULES:
            message = f"needs the host's {HOST_MODULES[name]}, which a static nginx cannot load"
            problems.append(Problem(path, message, "leave it out, or set nginx_build_toolchain: host"))
    for variable in ("nginx_build_cc_opt", "nginx_build_ld_opt"):
        if "\n" in values[variable]:
            problems.append(Problem(variable, "holds a line break", "write it on one line"))


def _check_toolchain(values: dict[str, Any], host: dict[str, Any], problems: list[Problem]) -> None:
    name, builder = values["nginx_build_host"], host.get("builder") or {}
    problems += unknown_host("nginx_build_host", name, builder)
    arch, built_on = host.get("arch"), builder.get("arch")
    if name and arch and built_on and arch != built_on:
        message = f"{name} is {built_on}, and this host is {arch}"
        problems.append(Problem("nginx_build_host", message, "name a builder of the same architecture for it"))
    if name and builder.get("system") not in (None, "Linux"):
        message = f"{name} runs {builder['system']}"
        problems.append(Problem("nginx_build_host", message, "name a builder that runs Linux"))
    if not _zig(values):
        return
    if arch and arch not in ZIG_WHEELS:
        hint = f"set nginx_build_toolchain: host; zig builds for {' and '.join(ZIG_WHEELS)}"
        problems.append(Problem("nginx_build_toolchain", f"is zig, and this host is {arch}", hint))
    for library in ("zlib", "openssl"):
        if values[f"nginx_{library}"] == "host":
            message = "is host, and a static nginx cannot use the host's"
            hint = "write source (or auto), or set nginx_build_toolchain: host"
            problems.append(Problem(f"nginx_{library}", message, hint))
    if "load_module" in values["nginx_main_options"]:
        hint = "leave it out, or set nginx_build_toolchain: host"
        problems.append(Problem("nginx_main_options.load_module", STATIC, hint))


def zig_wheel(version: str, arch: str) -> str:
    """The name that zig's wheel bears on PyPI."""
    return f"ziglang-{version}-py3-none-{'.'.join(ZIG_WHEELS[arch])}.whl"


def _sources(values: dict[str, Any], host: dict[str, Any], problems: list[Problem]) -> list[Source]:
    """The archives to fetch, each with where it comes from and the sha256 it must have."""
    given = {}
    for key, checksum in values["nginx_checksums"].items():
        path = f"nginx_checksums.{key}"
        if not _RELEASE.fullmatch(key):
            problems.append(Problem(path, "is no name of a release", "write <name>-<version>, e.g. nginx-1.30.6"))
        elif not isinstance(checksum, str) or not _SHA256.fullmatch(checksum.lower()):
            problems.append(Problem(path, f"{checksum!r} is no sha256", "write its 64 hexadecimal digits in quotes"))
        else:
            given[key] = checksum.lower()
    urls = values["nginx_urls"]
    for name, url in urls.items():
        known = [*UPSTREAM, "zig"]
        if name not in known:
            meant = close_match(name, known)
            hint = f"did you mean {meant}?" if meant else f"known here: {', '.join(known)}"
            problems.append(Problem(f"nginx_urls.{name}", "there is no such source", hint))
        elif not isinstance(url, str) or not _URL.fullmatch(url):
            problems.append(Problem(f"nginx_urls.{name}", f"{url!r} is no URL", "write http://, https:// or ftp://…"))
    mirror = values["nginx_mirror"]
    if mirror and not _URL.fullmatch(mirror):
        problems.append(Problem("nginx_mirror", f"{mirror!r} is no URL", "write http://, https:// or ftp://…"))

    sources = []
    arch = host.get("arch")
    wheels = (host.get("builder") or {}).get("wheels") or []
    wanted = list(_components(values).items())
    if _zig(values) and arch in ZIG_WHEELS:
        wanted.append(("zig", values["nginx_zig_version"]))
    for name, version in wanted:
        variable = "nginx_version" if name == "nginx" else f"nginx_{name}_version"
        if not _VERSION.fullmatch(version):
            problems.append(Problem(variable, f"{version!r} is no version", 'write it in quotes, e.g. "1.30.6"'))
            continue
        release = f"{name}-{version}-{arch}" if name == "zig" else f"{name}-{version}"
        checksum = given.get(release) or CHECKSUMS.get(release)
        if checksum is None and f"nginx_checksums.{release}" not in {problem.path for problem in problems}:
            others = ", ".join(key for key in CHECKSUMS if key.startswith(f"{name}-"))
            hint = f"set nginx_checksums['{release}']"
            hint += f", or take a version whose checksum is known: {others}" if others else " (none is known here)"
            problems.append(Problem(variable, f"no sha256 is known for {release}", hint))
        file = zig_wheel(version, str(arch)) if name == "zig" else f"{release}.tar.gz"
        folder = values["nginx_source_dir"] if name not in urls else ""
        if name == "zig" and file not in wheels:
            # Where no URL is named either, pip fetches it, by its own settings.
            folder = ""
        url = UPSTREAM[name].format(file=file, version=version) if name in UPSTREAM else None
        if mirror:
            url = f"{mirror.rstrip('/')}/{file}"
        sources.append(
            Source(
                name=name,
                version=version,
                release=release,
                file=file,
                # Without one the plan is refused.
                sha256=checksum or "",
                path=f"{folder.rstrip('/')}/{file}" if folder else None,
                url=None if folder else urls.get(name, url),
            )
        )
    return sources


def _check_version(values: dict[str, Any], problems: list[Problem]) -> None:
    version = values["nginx_version"]
    if _VERSION.fullmatch(version) and _numbers(version) < _PCRE2_SINCE:
        since = ".".join(map(str, _PCRE2_SINCE))
        problems.append(Problem("nginx_version", f"{version} does not know PCRE2", f"take {since} or newer"))
    if values["nginx_verify_signature"] and not values["nginx_signing_keys"]:
        hint = "name the files of nginx's signing keys on the controller"
        problems.append(Problem("nginx_signing_keys", "is empty and nginx_verify_signature is on", hint))


def _flags(values: dict[str, Any]) -> list[str]:
    """The arguments of ./configure. Sources stand beside nginx's folder, so that no build path gets into the binary."""
    cc_opt = values["nginx_build_cc_opt"]
    flags = [
        *FLAGS,
        f"--user={values['nginx_user']}",
        f"--group={values['nginx_group']}",
        "--with-pcre-jit",
    ]
    for name, version in _components(values).items():
        if name != "nginx":
            flags.append(f"--with-{name.rstrip('2')}=../{name}-{version}")
    if cc_opt:
        flags.append(f"--with-cc-opt={cc_opt}")
        flags.append(f"--with-pcre-opt={cc_opt}")
        if _from_source(values, "zlib"):
            flags.append(f"--with-zlib-opt={cc_opt}")
    if _from_source(values, "openssl"):
        # Without a place of its own it would look for its settings in the folder it was built in.
        flags.append("--with-openssl-opt=no-shared no-module no-tests no-docs no-apps --openssldir=/etc/ssl")
    ld_opt = f"{ZIG_LD_OPT} {values['nginx_build_ld_opt']}".strip() if _zig(values) else values["nginx_build_ld_opt"]
    if ld_opt:
        flags.append(f"--with-ld-opt={ld_opt}")
    return [*flags, *values["nginx_build_options"]]


def _zig_tools(arch: str) -> dict[str, str]:
    """What stands for the compiler and its tools. Any processor of the architecture is to run what they make."""
    # PCRE2's configure wants an ld in its hands, though it links with cc.
    return {"cc": f"cc -target {arch}-linux-musl -mcpu=baseline", "ar": "ar", "ranlib": "ranlib", "ld": "ld.lld"}


def _zig_script(python: str, wheel: str, arch: str) -> list[str]:
    """How zig comes to stand for the compiler and its tools in the folder of a build, as lines of its script."""
    lines = [
        "mkdir bin",
        f"{shlex.quote(python)} -m zipfile -e ../sources/{shlex.quote(wheel)} zig",
        "# A wheel's executables get their mode from whoever installs it.",
        "chmod +x zig/ziglang/zig",
    ]
    for tool, arguments in _zig_tools(arch).items():
        lines += [
            f"""printf '#!/bin/sh\\nexec "%s/zig/ziglang/zig" {arguments} "$@"\\n' "$PWD" > bin/zig-{tool}""",
            f"chmod +x bin/zig-{tool}",
            f"{tool.upper()}=zig-{tool}",
            f"export {tool.upper()}",
        ]
    return [*lines, "PATH=$PWD/bin:$PATH"]


def digest(inputs: dict[str, Any]) -> str:
    """Twelve digits that name the inputs of a build."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _packages(values: dict[str, Any], family: str | None, sources: list[Source]) -> list[str]:
    """What a builder needs."""
    known = PACKAGES.get(family or "")
    if known is None:
        return []
    wanted = list(known["base"])
    wanted += known["zig"] if _zig(values) else known["compiler"]
    wanted += known["pip"] if any(not source.path and not source.url for source in sources) else []
    wanted += [] if _from_source(values, "zlib") else known["zlib"]
    wanted += known["openssl_build"] if _from_source(values, "openssl") else known["openssl"]
    wanted += known["signature"] if values["nginx_verify_signature"] else []
    return wanted


def _package_query(family: str, packages: list[str]) -> list[str]:
    """The command that prints "installed NAME" for each of these that the host has, as a package or otherwise."""
    query = [*PACKAGE_QUERY[family], *packages]
    if family == "localhost":
        return query
    proofs = [f"{package}={PROOFS[package]}" for package in packages if package in PROOFS]
    return ["sh", "-c", PROVE, "sh", *proofs, "--", *query]


def _lacks_facts(values: dict[str, Any], host: dict[str, Any]) -> bool:
    """Whether the host that builds has to be asked of which kind it is, and the plan made anew.

    What a host's own compiler makes bears the builder's name; what zig makes is the same from every builder.
    """
    builder = host.get("builder") or {}
    if _zig(values) or not values["nginx_build_host"] or not builder.get("known") or kit_plan.publishing(host):
        # Where hosts are published from a kit, it tells what its builder was.
        return False
    return any(builder.get(fact) is None for fact in ("distribution", "version", "os_family", "arch"))


def _build(values: dict[str, Any], host: dict[str, Any], name: str, sources: list[Source]) -> NginxBuild:
    """Who builds, where and with what: the host itself, another one, or the controller, which needs no root for it."""
    builder = host.get("builder") or {}
    elsewhere = values["nginx_build_host"]
    local = elsewhere == "localhost"
    family = "localhost" if local else (builder if elsewhere else host).get("os_family")
    wanted = sorted(_packages(values, family, sources))
    # Wanted, but no reason to ask for packages where nothing else is missing.
    extra = PACKAGES.get(family or "", {}).get("run", []) if wanted else []
    home = (builder.get("home") or HOME) if local else HOME
    account = "" if local else values["nginx_build_user"]
    return NginxBuild(
        host=elsewhere,
        local=local,
        lacks_facts=_lacks_facts(values, host),
        family=family,
        package_manager=packages.manager(builder if elsewhere else host),
        home=home,
        artifact=f"{home}/artifacts/{name}",
        log=f"{home}/logs/{name}.log",
        user=account,
        run_as=["runuser", "-u", account, "--"] if account else [],
        owner="" if local else "root",
        packages=wanted,
        extra_packages=extra,
        package_query=_package_query(family, [*wanted, *extra]) if wanted and family else [],
    )


def _conf(values: dict[str, Any], problems: list[Problem]) -> list[nginx_tree.Directive]:
    for variable, owned in OWNED_DIRECTIVES.items():
        for name in values[variable]:
            if name in owned:
                problems.append(Problem(f"{variable}.{name}", "is the role's own", owned[name]))

    def block(variable: str, base: dict[str, Any]) -> list[nginx_tree.Directive]:
        options = {name: value for name, value in values[variable].items() if name not in OWNED_DIRECTIVES[variable]}
        return nginx_tree.directives(nginx_tree.merged(base, options), variable, problems)

    connections, version = values["nginx_worker_connections"], _numbers(values["nginx_version"])
    main = block(
        "nginx_main_options",
        {
            # A proxied request takes two descriptors; logs and the like need some more.
            "worker_rlimit_nofile": 2 * connections + 512,
            **({"ssl_object_cache_inheritable": False} if version >= _OBJECT_CACHE_SINCE else {}),
            "error_log": "/var/log/nginx/error.log",
        },
    )
    events = block("nginx_events_options", {})
    http = block(
        "nginx_conf_options",
        {
            "default_type": "application/octet-stream",
            "access_log": "/var/log/nginx/access.log timed",
            "sendfile": True,
            "tcp_nopush": True,
            "keepalive_timeout": "65s",
            **({"keepalive_min_timeout": "2s"} if version >= _KEEPALIVE_MIN_SINCE else {}),
            "server_tokens": False,
            "types_hash_max_size": 2048,
            "server_names_hash_bucket_size": 128,
            # Sites with lists and limits have variables of their own.
            "variables_hash_bucket_size": 128,
            "variables_hash_max_size": 16384,
            "ssl_protocols": "TLSv1.2 TLSv1.3",
        },
    )
    return [
        ["user", f"{values['nginx_user']} {values['nginx_group']}", None],
        ["worker_processes", values["nginx_worker_processes"], None],
        *main,
        ["events", "", [["worker_connections", str(connections), None], *events]],
        # Of servers at one address nginx takes the first for names that no other has, so these come before all others.
        [
            "http",
            "",
            [*HTTP_FIRST, ["include", "default.d/*.conf", None], *http, ["include", "conf.d/*.conf", None]],
        ],
    ]


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


def _unit(values: dict[str, Any], host: dict[str, Any]) -> dict[str, list[list[str]]]:
    lines = [
        ("Type", "forking"),
        ("PIDFile", "/run/nginx.pid"),
        ("ExecStartPre", "/usr/sbin/nginx -t -q"),
        ("ExecStart", "/usr/sbin/nginx"),
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


def plan(values: dict[str, Any], host: dict[str, Any]) -> tuple[NginxPlan | None, list[Problem]]:
    """The nginx role's plan; pure."""
    problems: list[Problem] = []
    unit_plan.check_capabilities("nginx_capabilities", values["nginx_capabilities"], problems)
    unit_plan.check_system_calls("nginx_system_calls", values["nginx_system_calls"], problems)
    unit_plan.check_options("nginx_unit_options", values["nginx_unit_options"], problems)
    _check_version(values, problems)
    nginx_versions.check(values, problems)
    _check_names(values, problems)
    _check_numbers(values, problems)
    _check_flags(values, problems)
    _check_toolchain(values, host, problems)
    sources = _sources(values, host, problems)
    conf = _conf(values, problems)
    elsewhere = values["nginx_build_host"]
    builder = host.get("builder") or {}
    families = [host.get("os_family")] + ([builder.get("os_family")] if elsewhere not in ("", "localhost") else [])
    for family in families:
        if family is not None and family not in PACKAGE_FAMILIES:
            hint = f"use a host of one of these families: {', '.join(PACKAGE_FAMILIES)}"
            problems.append(Problem("ansible_facts.os_family", f"no packages are known for {family}", hint))
    if problems:
        return None, problems

    flags = _flags(values)
    archives = [source.file for source in sources if source.name != "zig"]
    toolchain: dict[str, Any] = {"kind": values["nginx_build_toolchain"]}
    if _zig(values):
        # Where it is built and where it runs makes no difference to what is built.
        toolchain.update(_zig_tools(str(host.get("arch"))))
    else:
        place = builder if elsewhere else host
        toolchain.update({name: place.get(name) for name in ("distribution", "version", "arch")})
    build_id = digest(
        {
            "sources": {source.release: source.sha256 for source in sources},
            "flags": flags,
            "toolchain": toolchain,
        }
    )
    name = f"{values['nginx_version']}-{build_id}"
    proxy = values["nginx_http_proxy"]
    environment = {"http_proxy": proxy, "https_proxy": proxy, "ftp_proxy": proxy} if proxy else {}
    if values["nginx_ca_bundle"]:
        environment["SSL_CERT_FILE"] = environment["PIP_CERT"] = values["nginx_ca_bundle"]
    wheel = next((source for source in sources if source.name == "zig"), None)
    local = elsewhere == "localhost"
    python = str(builder.get("controller_python") or "python3") if local else "python3"
    zig = None
    if wheel:
        told = {key: getattr(wheel, key) for key in ("version", "release", "file", "sha256")}
        zig = ZigWheel(**told, platform=ZIG_WHEELS[host["arch"]][1])
    return NginxPlan(
        checks=takeover_plan.nginx(values) + unit_plan.checks("nginx_unit_options", values["nginx_unit_options"]),
        warnings=nginx_versions.warnings(values, NEWEST),
        settings=NginxSettings(**spec.told(values, "nginx", READ)),
        take_over=values["nginx_take_over"],
        id=name,
        version=values["nginx_version"],
        artifact=f"{HOME}/artifacts/{name}",
        binary=f"{HOME}/artifacts/{name}/nginx",
        static=_zig(values),
        about={
            "flags": flags,
            "sources": {source.release: source.sha256 for source in sources},
            "toolchain": toolchain,
        },
        build=_build(values, host, name, sources),
        cache=builder.get("cache") or values["nginx_artifact_dir"],
        arch=host.get("arch"),
        sources=sources,
        zig=zig,
        unpack=[f"tar -xzf ../sources/{shlex.quote(file)} {TAR}" for file in archives],
        toolchain=_zig_script(python, wheel.file, host["arch"]) if wheel else [],
        signature=values["nginx_verify_signature"],
        signing_keys=values["nginx_signing_keys"],
        flags=flags,
        jobs=str(values["nginx_build_jobs"] or '"$(getconf _NPROCESSORS_ONLN)"'),
        python=python,
        timeout=values["nginx_build_timeout"],
        environment=environment,
        download=Download(timeout=values["nginx_download_timeout"], retries=values["nginx_download_retries"]),
        user=values["nginx_user"],
        group=values["nginx_group"],
        conf=conf,
        unit=_unit(values, host),
        enabled=values["nginx_service_enabled"],
        log_keep=values["nginx_log_keep"],
    ), []
