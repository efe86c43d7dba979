"""What packages are called, Debian's and Enterprise Linux's, and how a host is asked which of them it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Releases of the RedHat family that have no dnf: Enterprise Linux 6 and 7, Amazon Linux 2.
WITHOUT_DNF = {"6", "7", "2"}

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
    # Modules' packages are called without a dot here, later ones with it.
    "RedHat 8": {
        "headers": {
            "2.7": "python2-devel",
            "3.6": "python36-devel",
            "3.8": "python38-devel",
            "3.9": "python39-devel",
            "*": "python{version}-devel",
        },
        "venv": {"3.6": "python36", "3.8": "python38", "3.9": "python39", "*": "python{version}"},
        "pip": {"*": "python3-pip"},
    },
    # The release's own Python bears no version in its name: 3.9 on EL 9, 3.12 on EL 10.
    "RedHat 10": {
        "headers": {"3.12": "python3-devel", "*": "python{version}-devel"},
        "venv": {"3.12": "python3", "*": "python{version}"},
        "pip": {"*": "python3-pip"},
    },
    "RedHat": {
        "headers": {"3.9": "python3-devel", "*": "python{version}-devel"},
        "venv": {"3.9": "python3", "*": "python{version}"},
        "pip": {"*": "python3-pip"},
    },
}

DEBIAN_PYTHONS = ("2.7", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")

# The package of a library that uWSGI may be linked with, by the name in the binary.
LIBRARIES: dict[str, dict[str, str]] = {
    "Debian": {
        "libcap.so.2": "libcap2",
        "libcrypto.so.1.1": "libssl1.1",
        "libcrypto.so.3": "libssl3",
        "libexpat.so.1": "libexpat1",
        "libjansson.so.4": "libjansson4",
        "libpcre.so.3": "libpcre3",
        "libpcre2-8.so.0": "libpcre2-8-0",
        "libssl.so.1.1": "libssl1.1",
        "libssl.so.3": "libssl3",
        "libxml2.so.2": "libxml2",
        "libxml2.so.16": "libxml2-16",
        "libyaml-0.so.2": "libyaml-0-2",
        "libz.so.1": "zlib1g",
        **{f"libpython{version}.so.1.0": f"libpython{version}" for version in DEBIAN_PYTHONS},
    },
    "RedHat": {
        "libcap.so.2": "libcap",
        "libcrypto.so.10": "openssl-libs",
        "libcrypto.so.1.1": "openssl-libs",
        "libcrypto.so.3": "openssl-libs",
        "libexpat.so.1": "expat",
        "libjansson.so.4": "jansson",
        "libpcre.so.1": "pcre",
        "libpcre2-8.so.0": "pcre2",
        "libpython2.7.so.1.0": "python-libs",
        "libpython3.6m.so.1.0": "python3-libs",
        "libssl.so.10": "openssl-libs",
        "libssl.so.1.1": "openssl-libs",
        "libssl.so.3": "openssl-libs",
        "libxml2.so.2": "libxml2",
        "libyaml-0.so.2": "libyaml",
        "libz.so.1": "zlib",
    },
}

INSTALL = {"Debian": "apt install", "RedHat": "yum install"}


def manager(host: Mapping[str, Any]) -> str:
    """What ansible.builtin.package takes as ``use``; ``auto`` where neither a fact nor the family tells.

    ansible-core 2.16 cannot find it out by itself for a task whose delegate_to comes from what a task returned.
    """
    if host.get("package_manager"):
        return str(host["package_manager"])
    if host.get("os_family") == "Debian":
        return "apt"
    if host.get("os_family") == "RedHat" and host.get("version"):
        return "yum" if str(host["version"]) in WITHOUT_DNF else "dnf"
    return "auto"


def python_packages_of(family: str, major: str | None) -> dict[str, dict[str, str]]:
    return PYTHON_PACKAGES.get(f"{family} {major}") or PYTHON_PACKAGES[family]
