"""How nginx is built: by whom, with which flags, packages and tools."""

from __future__ import annotations

import hashlib
import json
import shlex
from typing import Any

from . import kit_plan, layout, packages
from .model import NginxBuild, Source
from .nginx_sources import components_of, is_from_source, is_zig
from .packages import PACKAGE_QUERY, PACKAGES, PROOFS, PROVE

HOME = f"{layout.STATE_DIR}/nginx"
FLAGS = [
    "--prefix=/etc/nginx",
    f"--sbin-path={layout.NGINX_BINARY}",
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

# Debugging tables would be three quarters of what goes to every host.
ZIG_LD_OPT = "-static -s"
# Who unpacks owns it.
TAR = "--no-same-owner --no-same-permissions"


def flags_of(values: dict[str, Any]) -> list[str]:
    """The arguments of ./configure. Sources stand beside nginx's folder, so that no build path gets into the binary."""
    cc_opt = values["nginx_build_cc_opt"]
    flags = [
        *FLAGS,
        f"--user={values['nginx_user']}",
        f"--group={values['nginx_group']}",
        "--with-pcre-jit",
    ]
    for name, version in components_of(values).items():
        if name != "nginx":
            flags.append(f"--with-{name.rstrip('2')}=../{name}-{version}")
    if cc_opt:
        flags.append(f"--with-cc-opt={cc_opt}")
        flags.append(f"--with-pcre-opt={cc_opt}")
        if is_from_source(values, "zlib"):
            flags.append(f"--with-zlib-opt={cc_opt}")
    if is_from_source(values, "openssl"):
        # Without a place of its own it would look for its settings in the folder it was built in.
        flags.append("--with-openssl-opt=no-shared no-module no-tests no-docs no-apps --openssldir=/etc/ssl")
    ld_opt = f"{ZIG_LD_OPT} {values['nginx_build_ld_opt']}".strip() if is_zig(values) else values["nginx_build_ld_opt"]
    if ld_opt:
        flags.append(f"--with-ld-opt={ld_opt}")
    return [*flags, *values["nginx_build_options"]]


def zig_tools(arch: str) -> dict[str, str]:
    """What stands for the compiler and its tools. Any processor of the architecture is to run what they make."""
    # PCRE2's configure wants an ld in its hands, though it links with cc.
    return {"cc": f"cc -target {arch}-linux-musl -mcpu=baseline", "ar": "ar", "ranlib": "ranlib", "ld": "ld.lld"}


def zig_script(python: str, wheel: str, arch: str) -> list[str]:
    """How zig comes to stand for the compiler and its tools in the folder of a build, as lines of its script."""
    lines = [
        "mkdir bin",
        f"{shlex.quote(python)} -m zipfile -e ../sources/{shlex.quote(wheel)} zig",
        "# A wheel's executables get their mode from whoever installs it.",
        "chmod +x zig/ziglang/zig",
    ]
    for tool, arguments in zig_tools(arch).items():
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
    wanted += known["zig"] if is_zig(values) else known["compiler"]
    wanted += known["pip"] if any(not source.path and not source.url for source in sources) else []
    wanted += [] if is_from_source(values, "zlib") else known["zlib"]
    wanted += known["openssl_build"] if is_from_source(values, "openssl") else known["openssl"]
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
    if is_zig(values) or not values["nginx_build_host"] or not builder.get("known") or kit_plan.publishing(host):
        # Where hosts are published from a kit, it tells what its builder was.
        return False
    return any(builder.get(fact) is None for fact in ("distribution", "version", "os_family", "arch"))


def build_of(values: dict[str, Any], host: dict[str, Any], name: str, sources: list[Source]) -> NginxBuild:
    """Who builds, where and with what: the host itself, another one, or the controller, which needs no root for it."""
    builder = host.get("builder") or {}
    elsewhere = values["nginx_build_host"]
    local = elsewhere == "localhost"
    family = "localhost" if local else (builder if elsewhere else host).get("os_family")
    managed = values["nginx_manage_packages"]
    if family and family not in PACKAGES and not managed:
        # What packages are called there is nobody's matter then, and commands are called alike everywhere.
        family = "localhost"
    wanted = sorted(_packages(values, family, sources))
    # Wanted, but no reason to ask for packages where nothing else is missing.
    extra = PACKAGES.get(family or "", {}).get("run", []) if wanted and managed else []
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
        installs_packages=managed and not local,
    )
