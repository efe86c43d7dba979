# -*- coding: utf-8 -*-
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Why a pip build failed: the line of the build that says so, which pip's own last lines do not repeat, and the cure.

pip puts what a build says into its own output, indented or behind a frame, in another way in each of its ages.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

# Blanks and the frames of pip 22 and newer; text of Python 2.7 may be bytes, which the pattern has to match as well.
_FRAME = re.compile("^[\\s|>]*(?:\xe2\x94\x82)?\\s*" if str is bytes else u"^[\\s|>\u2502]*")
# When a line was logged.
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT[\d:]+,\d{3} ")
# What pip says of any build that failed.
_PIP = re.compile(
    r"error: (?:subprocess-exited-with-error|legacy-install-failure|metadata-generation-failed|\S+-\S+-\S+$)"
    r"|(?:ERROR: )?Command (?:errored out|\S+ .*failed with error code|\S+ .*exited with|[\"'])"
    r"|(?:ERROR: )?Failed (?:building|to build)|(?:ERROR: )?Could not build wheels"
    r"|ERROR: Failed cleaning|ERROR: Exception:$"
)
# The compiler, or whoever started it, reports what is told above.
_SECOND_HAND = re.compile(
    r"(?:\w+\.)*\w*[Ee]rror: (?:[Cc]ommand .*(?:failed with|returned non-zero|exit status)|subprocess|ld returned)"
    r"|(?:collect2|clang|g?cc): error: (?:ld returned|linker command)|SystemExit: \d|Exception: unable to link binary"
)
_ERROR = re.compile(
    r"(?:[\w.]+\.)?\w*(?:Error|Exception|Exit|NotFound|Interrupt)(?::|$)|SystemExit: "
    r"|No CMAKE_C|(?:CMake |(?:\S+: )*)(?:fatal )?error:? |unable to execute |\S*ld: cannot find "
    r"|(?:/\S+/)?sh: .*not found$",
    re.IGNORECASE,
)
_NAME = r"['\"]?(?:/\S*/)?((?:[\w.]+-)*(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+)(?:-\d+)?)['\"]?"
_COMPILERS = [
    re.compile(pattern)
    for pattern in (
        r"unable to execute " + _NAME + r" ?: ?No such file",
        r"command " + _NAME + r" failed: No such file",
        r"No such file or directory: " + _NAME,
        r"\b" + _NAME + r": (?:command )?not found",
        r"cannot execute ['\"]?(cc1(?:plus)?)\b",
        r"trying to exec ['\"]?(cc1(?:plus)?)\b",
        r"(you need a C compiler)",
        r"(no acceptable C compiler)",
        r"(Unknown compiler\(s\))",
        r"(No CMAKE_C(?:XX)?_COMPILER could be found)",
    )
]
_HEADER = re.compile(r"fatal error:? ['\"]?([\w./+-]+\.h(?:pp)?)['\"]?:? (?:No such file|file not found)")
# As ld says it, and as zig does.
_LIBRARY = re.compile(r"(?:\bld: cannot find -l|unable to find \w+ system library ')([\w.+-]+)")
# What a header, a library or a program is in: for Debian and for RedHat.
_PYTHON = ("python3-dev (for Python 2.7 python-dev)", "python3-devel (for Python 2.7 python-devel)")
_PACKAGES = {
    "Python.h": _PYTHON,
    "pyconfig.h": _PYTHON,
    "ffi.h": ("libffi-dev", "libffi-devel"),
    "libpq-fe.h": ("libpq-dev", "postgresql-devel"),
    "mysql.h": ("default-libmysqlclient-dev", "mariadb-devel"),
    "ldap.h": ("libldap2-dev", "openldap-devel"),
    "lber.h": ("libldap2-dev", "openldap-devel"),
    "sasl.h": ("libsasl2-dev", "cyrus-sasl-devel"),
    "zlib.h": ("zlib1g-dev", "zlib-devel"),
    "jpeglib.h": ("libjpeg-dev", "libjpeg-turbo-devel"),
    "xmlversion.h": ("libxml2-dev", "libxml2-devel"),
    "xslt.h": ("libxslt1-dev", "libxslt-devel"),
    "crypt.h": ("libcrypt-dev", "glibc-devel"),
    "expat.h": ("libexpat1-dev", "expat-devel"),
    "jansson.h": ("libjansson-dev", "jansson-devel"),
    "pcre2.h": ("libpcre2-dev", "pcre2-devel"),
    "capability.h": ("libcap-dev", "libcap-devel"),
    "sqlite3.h": ("libsqlite3-dev", "sqlite-devel"),
    "yaml.h": ("libyaml-dev", "libyaml-devel"),
    "curl.h": ("libcurl4-openssl-dev", "libcurl-devel"),
    "sql.h": ("unixodbc-dev", "unixODBC-devel"),
    "gmp.h": ("libgmp-dev", "gmp-devel"),
}
_LIBC = ("stdio.h", "stdlib.h", "limits.h", "string.h", "sys/types.h", "features.h", "errno.h", "linux/types.h")
_PROGRAMS = (
    (re.compile(r"pg_config executable not found|pg_config: not found"), "pg_config", _PACKAGES["libpq-fe.h"]),
    (
        re.compile(r"mysql_config(?: |: )not found|Can not find valid pkg-config name|mysql_config['\"]?: not found"),
        "the client library of MySQL",
        _PACKAGES["mysql.h"],
    ),
    (re.compile(r"libxml2 and libxslt development packages"), "libxml2 and libxslt", ("libxslt1-dev", "libxslt-devel")),
    (re.compile(r"can't find Rust compiler|[Cc]argo, the Rust package manager"), "a Rust compiler", None),
)
_UNPACKED = re.compile(r"invalid command 'bdist_wheel'|No module named '?(?:setuptools|wheel)'?$")


def _told(text):
    """Of a command of pip's the last line each of what a build said, of what was said second-hand, and of pip's own."""
    found = ["", "", ""]
    for raw in text.splitlines():
        line = _FRAME.sub("", raw).rstrip()
        # What stands at the left is pip's; what a build says it indents.
        if _PIP.match(line) or raw.startswith("ERROR: "):
            found[2] = line if raw[:6].lower() == "error:" else found[2]
        elif _SECOND_HAND.search(line) and not _compiler(line):
            found[1] = line
        elif _ERROR.match(line):
            found[0] = line
    return found


def cause(text):
    """The line of a build that says why it failed: the last that is neither pip's own nor second-hand.

    Where there is none, the last second-hand one, and then pip's last; empty where nothing of the kind is said.
    """
    return next((line for line in _told(text) if line), "")


def whole(said, log):
    """What a command of pip's said, or where that does not tell why a build failed, what the build left to pip's log.

    The pips of Python 2.7 tell their log alone where they were told to write one.
    """
    # pip's own traceback, which tells no more, stands at the left.
    lines = [line for line in (_TIME.sub("", line) for line in log.splitlines()) if line[:1].isspace()]
    built = "\n".join(lines)
    return built if any(_told(built)[:2]) and not any(_told(said)[:2]) else said


def _compiler(line):
    for pattern in _COMPILERS:
        named = pattern.search(line)
        if named:
            return named.group(1)
    return None


def _package(names):
    return "the package %s on Debian, %s on CentOS" % names


def missing(text):
    """What the build lacked on the host, as a sentence with the cure; empty where that is not why it failed.

    Of compilers, headers and libraries a build may look for several and go on without: only the cause counts.
    """
    line = cause(text)
    compiler = _compiler(line)
    if compiler:
        if compiler.endswith(("++", "cc1plus")):
            return "the host has no C++ compiler (%s); install g++ on Debian, gcc-c++ on CentOS" % compiler
        named = " (%s)" % compiler if " " not in compiler else ""
        return "the host has no C compiler%s; install gcc, and libc6-dev on Debian, glibc-devel on CentOS" % named
    header = _HEADER.search(line)
    if header:
        return _of_header(header.group(1))
    library = _LIBRARY.search(line)
    if library:
        return "the host has no library %s to link with; install its package (-dev or -devel)" % library.group(1)
    for pattern, name, names in _PROGRAMS:
        if pattern.search(line):
            how = _package(names) if names else "it, or write a release of which there is a wheel"
            return "the host has not %s; install %s" % (name, how)
    if _UNPACKED.search(line):
        return "its Python lacks setuptools or wheel; add them to where pip looks"
    return ""


def _of_header(header):
    if header in _LIBC:
        how = _package(("libc6-dev", "glibc-devel"))
        return "the host has no header %s of its C library; install %s" % (header, how)
    if header.startswith("openssl/"):
        names = ("libssl-dev", "openssl-devel")
    else:
        names = _PACKAGES.get(header) or _PACKAGES.get(header.rpartition("/")[2])
    what = "headers of its Python (%s)" % header if names == _PYTHON else "header %s" % header
    how = _package(names) if names else "the package with it (-dev or -devel)"
    return "the host has no %s; install %s" % (what, how)


def message(words, status, said, variable="", lines=25):
    """A command that failed: the head says why, the last line what to do. ``variable``: by which it was asked for."""
    why = cause(said)
    text = "`%s` failed (status %d)%s:\n%s" % (
        " ".join(words),
        status,
        ": " + why if why else "",
        "\n".join(said.strip().splitlines()[-lines:]),
    )
    lacks = missing(said)
    if lacks:
        text += "\n%s%s" % (variable + ": " if variable else "", lacks)
        if variable:
            text += "; or have pip find a wheel of it, which takes no compiler"
    return text
