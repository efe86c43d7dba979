"""The plan of the nginx role: which artifact, from what, with which flags, and the nginx.conf to run it with."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from . import nginx_tree
from .problem import Problem, close_match

HOME = "/var/lib/graceful-wsgi/nginx"

# From Debian's signed source index (its zlib is repacked, so none is known for zlib).
CHECKSUMS = {
    "nginx-1.30.6": "3cf46f5ed7504d460125866b7bea99fb357f31d887e2e63b35503310e9b8b6c8",
    "nginx-1.26.3": "69ee2b237744036e61d24b836668aad3040dda461fe6f570f1787eab570c75aa",
    "pcre2-10.49": "929f0b20e62879252a15886b06c89f1edef61a363cbd5826fb041080a5e557ae",
    "pcre2-10.46": "8d28d7f2c3b970c3a4bf3776bcbb5adfc923183ce74bc8df1ebaad8c1985bd07",
    "openssl-3.6.5": "a2157c2830efdec3788939b00c9b0638306d3f0bbb76dc4832ee503bb397df98",
    "openssl-3.5.7": "a8c0d28a529ca480f9f36cf5792e2cd21984552a3c8e4aa11a24aa31aeac98e8",
    "openssl-3.5.6": "deae7c80cba99c4b4f940ecadb3c3338b13cb77418409238e57d7f31f2a3b736",
}

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
        "base": ["gcc", "libc6-dev", "make", "tar", "gzip", "logrotate"],
        "zlib": ["zlib1g-dev"],
        "openssl": ["libssl-dev"],
        "openssl_build": ["perl"],
        "signature": ["gpg"],
    },
    "RedHat": {
        "base": ["gcc", "glibc-devel", "make", "tar", "gzip", "logrotate"],
        "zlib": ["zlib-devel"],
        "openssl": ["openssl-devel"],
        "openssl_build": ["perl-core"],
        "signature": ["gnupg2"],
    },
}

# Prints "installed NAME" for each package that is.
PACKAGE_QUERY = {
    "Debian": ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\\n"],
    "RedHat": ["rpm", "-q", "--qf", "installed %{NAME}\\n"],
}

_VERSION = re.compile(r"\d+(\.\d+)+[a-z]?(-[a-z0-9]+)?")
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_URL = re.compile(r"(https?|ftp)://\S+")
_RELEASE = re.compile(rf"({'|'.join(UPSTREAM)})-{_VERSION.pattern}")
_PCRE2_SINCE = (1, 21, 5)
# Older ones close an idle kept-alive connection at a reload even if its next request is under way.
_KEEPALIVE_MIN_SINCE = (1, 27, 4)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _components(values: dict[str, Any]) -> dict[str, str]:
    """What is built from source: name -> version."""
    components = {"nginx": values["nginx_version"], "pcre2": values["nginx_pcre2_version"]}
    for name in ("zlib", "openssl"):
        if values[f"nginx_{name}"] == "source":
            components[name] = values[f"nginx_{name}_version"]
    return components


def _check_names(values: dict[str, Any], problems: list[Problem]) -> None:
    for variable in ("nginx_user", "nginx_group", "nginx_build_user"):
        if not _NAME.fullmatch(values[variable]):
            mend = "write small letters, digits, _ and - (at most 31)"
            problems.append(Problem(variable, f"{values[variable]!r} is no name of an account", mend))
    if values["nginx_build_user"] in ("root", values["nginx_user"]):
        says = f"{values['nginx_build_user']} must not build what root will run"
        problems.append(Problem("nginx_build_user", says, "name an account that does nothing else"))


def _check_numbers(values: dict[str, Any], problems: list[Problem]) -> None:
    processes = values["nginx_worker_processes"]
    if processes != "auto" and not re.fullmatch(r"[1-9]\d*", processes):
        problems.append(Problem("nginx_worker_processes", f"{processes!r} is no number", "write auto or 1 and up"))
    for variable, least in (
        ("nginx_worker_connections", 2),
        ("nginx_build_jobs", 0),
        ("nginx_build_timeout", 1),
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
            mend = "build it in: leave off =dynamic, or write --add-module"
            problems.append(Problem(path, "the role installs one file and no dynamic modules", mend))
    for variable in ("nginx_build_cc_opt", "nginx_build_ld_opt"):
        if "\n" in values[variable]:
            problems.append(Problem(variable, "holds a line break", "write it on one line"))


def _sources(values: dict[str, Any], problems: list[Problem]) -> list[dict[str, Any]]:
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
        if name not in UPSTREAM:
            meant = close_match(name, UPSTREAM)
            mend = f"did you mean {meant}?" if meant else f"known here: {', '.join(UPSTREAM)}"
            problems.append(Problem(f"nginx_urls.{name}", "there is no such source", mend))
        elif not isinstance(url, str) or not _URL.fullmatch(url):
            problems.append(Problem(f"nginx_urls.{name}", f"{url!r} is no URL", "write http://, https:// or ftp://…"))
    mirror = values["nginx_mirror"]
    if mirror and not _URL.fullmatch(mirror):
        problems.append(Problem("nginx_mirror", f"{mirror!r} is no URL", "write http://, https:// or ftp://…"))

    sources = []
    for name, version in _components(values).items():
        variable = "nginx_version" if name == "nginx" else f"nginx_{name}_version"
        if not _VERSION.fullmatch(version):
            problems.append(Problem(variable, f"{version!r} is no version", 'write it in quotes, e.g. "1.30.6"'))
            continue
        release = f"{name}-{version}"
        checksum = given.get(release) or CHECKSUMS.get(release)
        if checksum is None and f"nginx_checksums.{release}" not in {problem.path for problem in problems}:
            known = ", ".join(key for key in CHECKSUMS if key.startswith(f"{name}-"))
            mend = f"set nginx_checksums['{release}']"
            mend += f", or take a version whose checksum is known: {known}" if known else " (none is known here)"
            problems.append(Problem(variable, f"no sha256 is known for {release}", mend))
        file = f"{release}.tar.gz"
        folder = values["nginx_source_dir"] if name not in urls else ""
        url = UPSTREAM[name].format(file=file, version=version)
        if mirror:
            url = f"{mirror.rstrip('/')}/{file}"
        sources.append(
            {
                "name": name,
                "release": release,
                "file": file,
                "sha256": checksum,
                "path": f"{folder.rstrip('/')}/{file}" if folder else None,
                "url": None if folder else urls.get(name, url),
            }
        )
    return sources


def _check_version(values: dict[str, Any], problems: list[Problem]) -> None:
    version = values["nginx_version"]
    if _VERSION.fullmatch(version) and _numbers(version) < _PCRE2_SINCE:
        since = ".".join(map(str, _PCRE2_SINCE))
        problems.append(Problem("nginx_version", f"{version} does not know PCRE2", f"take {since} or newer"))
    if values["nginx_verify_signature"] and not values["nginx_signing_keys"]:
        mend = "name the files of nginx's signing keys on the controller"
        problems.append(Problem("nginx_signing_keys", "is empty and nginx_verify_signature is on", mend))


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
        if values["nginx_zlib"] == "source":
            flags.append(f"--with-zlib-opt={cc_opt}")
    if values["nginx_openssl"] == "source":
        flags.append("--with-openssl-opt=no-shared no-module no-tests no-docs no-apps")
    if values["nginx_build_ld_opt"]:
        flags.append(f"--with-ld-opt={values['nginx_build_ld_opt']}")
    return flags + values["nginx_build_options"]


def digest(inputs: dict[str, Any]) -> str:
    """Twelve digits that name the inputs of a build."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _packages(values: dict[str, Any], family: str | None) -> list[str]:
    known = PACKAGES.get(family or "")
    if known is None:
        return []
    wanted = [*known["base"]]
    wanted += known["zlib"] if values["nginx_zlib"] == "host" else []
    wanted += known["openssl"] if values["nginx_openssl"] == "host" else known["openssl_build"]
    wanted += known["signature"] if values["nginx_verify_signature"] else []
    return sorted(wanted)


def _conf(values: dict[str, Any], problems: list[Problem]) -> list[nginx_tree.Directive]:
    for variable, owned in OWNED_DIRECTIVES.items():
        for name in values[variable]:
            if name in owned:
                problems.append(Problem(f"{variable}.{name}", "is the role's own", owned[name]))

    def block(variable: str, base: dict[str, Any]) -> list[nginx_tree.Directive]:
        options = {name: value for name, value in values[variable].items() if name not in OWNED_DIRECTIVES[variable]}
        return nginx_tree.directives(nginx_tree.merged(base, options), variable, problems)

    connections = values["nginx_worker_connections"]
    main = block(
        "nginx_main_options",
        {
            # A proxied request takes two descriptors; logs and the like need some more.
            "worker_rlimit_nofile": 2 * connections + 512,
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
            **({"keepalive_min_timeout": "2s"} if _numbers(values["nginx_version"]) >= _KEEPALIVE_MIN_SINCE else {}),
            "server_tokens": False,
            "types_hash_max_size": 2048,
            "server_names_hash_bucket_size": 128,
            "ssl_protocols": "TLSv1.2 TLSv1.3",
        },
    )
    return [
        ["user", f"{values['nginx_user']} {values['nginx_group']}", None],
        ["worker_processes", values["nginx_worker_processes"], None],
        *main,
        ["events", "", [["worker_connections", str(connections), None], *events]],
        ["http", "", [*HTTP_FIRST, *http, ["include", "conf.d/*.conf", None]]],
    ]


def plan(values: dict[str, Any], host: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """The nginx role's plan; pure."""
    problems: list[Problem] = []
    _check_version(values, problems)
    _check_names(values, problems)
    _check_numbers(values, problems)
    _check_flags(values, problems)
    sources = _sources(values, problems)
    conf = _conf(values, problems)
    family = host.get("os_family")
    if family is not None and family not in PACKAGES:
        mend = f"use a host of one of these families: {', '.join(PACKAGES)}"
        problems.append(Problem("ansible_facts.os_family", f"no packages are known for {family}", mend))
    if problems:
        return {}, problems

    flags = _flags(values)
    build_id = digest(
        {
            "sources": {source["release"]: source["sha256"] for source in sources},
            "flags": flags,
            "toolchain": {
                "kind": values["nginx_build_toolchain"],
                **{name: host.get(name) for name in ("distribution", "version", "arch")},
            },
        }
    )
    name = f"{values['nginx_version']}-{build_id}"
    packages = _packages(values, family)
    proxy = values["nginx_http_proxy"]
    environment = {"http_proxy": proxy, "https_proxy": proxy, "ftp_proxy": proxy} if proxy else {}
    if values["nginx_ca_bundle"]:
        environment["SSL_CERT_FILE"] = values["nginx_ca_bundle"]
    return {
        "id": name,
        "version": values["nginx_version"],
        "home": HOME,
        "artifact": f"{HOME}/artifacts/{name}",
        "binary": f"{HOME}/artifacts/{name}/nginx",
        "log": f"{HOME}/logs/{name}.log",
        "sources": sources,
        "signature": values["nginx_verify_signature"],
        "signing_keys": values["nginx_signing_keys"],
        "flags": flags,
        "jobs": values["nginx_build_jobs"],
        "timeout": values["nginx_build_timeout"],
        "build_user": values["nginx_build_user"],
        "packages": packages,
        "package_query": [*PACKAGE_QUERY[family], *packages] if packages else [],
        "environment": environment,
        "user": values["nginx_user"],
        "group": values["nginx_group"],
        "conf": conf,
        "enabled": values["nginx_service_enabled"],
        "log_keep": values["nginx_log_keep"],
    }, []
