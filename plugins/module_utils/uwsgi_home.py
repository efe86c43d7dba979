# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which Python an uWSGI is wanted for, which folder holds it, and what its binary says of itself."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import binascii
import hashlib
import json
import os
import re

from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import digest_through_links as sha256

# What `uwsgi --cflags` holds for each feature: the flags that this very binary was compiled with.
FEATURES = {
    "capabilities": r"-DUWSGI_CAP\b",
    "json": r"-DUWSGI_JSON\b",
    "pcre": r"-DUWSGI_PCRE2?\b",
    "routing": r"-DUWSGI_ROUTING\b",
    "ssl": r"-DUWSGI_SSL\b",
    "xml": r"-DUWSGI_XML\b",
    "yaml": r"-DUWSGI_YAML\b",
    "zlib": r"-DUWSGI_ZLIB\b",
}

# The same in the file itself, as uWSGI's build puts it there.
_CFLAGS = re.compile(b"(?:[0-9a-f]{2}){40,}")

STAMP = "graceful-wsgi.json"

# The oldest Python under which there is the tool that names a wheel after another Python.
OLDEST_CROSSING = (3, 8)

# Runs under every Python from 2.6 on; says in one line what the role has to know of an interpreter.
ABOUT_PYTHON = """
import json, os, sys
try:
    import sysconfig
    # Debian's 2.7 says /usr/local/include by its scheme; where its headers are is only in its build's settings.
    include = sysconfig.get_config_var("INCLUDEPY") or sysconfig.get_paths()["include"]
except Exception:
    include = ""
try:
    import ensurepip, venv
    able = True
except Exception:
    able = False
try:
    # As wheels name it: cp311, cp37m, cp27mu.
    if sys.version_info < (3,):
        abi = "cp27" + (sysconfig.get_config_var("WITH_PYMALLOC") and "m" or "")
        abi += sys.maxunicode > 0xffff and "u" or ""
    else:
        abi = "cp" + sysconfig.get_config_var("SOABI").split("-")[1]
except Exception:
    abi = ""
print(json.dumps({
    "executable": os.path.realpath(sys.executable),
    "full_version": "%d.%d.%d" % sys.version_info[:3],
    "version": "%d.%d" % sys.version_info[:2],
    "headers": os.path.exists(os.path.join(include, "Python.h")),
    "venv": able,
    "abi": abi,
    "virtual": hasattr(sys, "real_prefix") or getattr(sys, "base_prefix", sys.prefix) != sys.prefix,
}))
"""


class HomeError(Exception):
    """Something that the user has to mend; the text names the variable."""


def find_python(wanted, fallback, which, run, variable="uwsgi_python"):
    """What `wanted` (a name, a path, or "" for the host's own python3) is, as ABOUT_PYTHON tells it.

    `variable`: what named it, for messages.
    """
    if wanted:
        found = wanted if os.path.isabs(wanted) else which(wanted)
        if not found or not os.access(found, os.X_OK):
            raise HomeError(
                "%s: there is no %s on this host; install it, or name another one (python3, python2.7, "
                "or an absolute path)" % (variable, wanted)
            )
    else:
        found = which("python3") or fallback
    status, out, err = run([found, "-c", ABOUT_PYTHON])
    try:
        about = json.loads(out.strip().splitlines()[-1]) if status == 0 else None
    except (IndexError, ValueError):
        about = None
    if not about:
        raise HomeError(
            "%s: %s does not run as a Python interpreter (status %s: %s); name another one"
            % (variable, found, status, (err or out).strip()[-300:])
        )
    if about["virtual"]:
        raise HomeError(
            "%s: %s is the Python of a virtualenv, which goes when its folder goes; name the one it was "
            "made with" % (variable, found)
        )
    release = tuple(int(part) for part in about["version"].split("."))
    if release != (2, 7) and release < (3, 6):
        raise HomeError(
            "%s: %s is Python %s; uWSGI is installed here for 2.7 and for 3.6 or newer, name one of these"
            % (variable, found, about["full_version"])
        )
    return about


def read_stamp(home):
    """What was written into `home` after its binary had been verified; None where that never happened."""
    try:
        with open(os.path.join(home, STAMP)) as stream:
            stamp = json.load(stream)
    except (IOError, OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) else None


def compiled_with(program):
    """The features of a binary that need not run here, read from its bytes; None where they do not tell."""
    for found in _CFLAGS.finditer(program):
        flags = binascii.unhexlify(found.group(0))
        if b"-DUWSGI_VERSION=" in flags:
            text = flags.decode("utf-8", "replace")
            return sorted(name for name in FEATURES if re.search(FEATURES[name], text))
    return None


def recall(home, stamp, run):
    """What examine() finds, from the stamp if the binary is the very one that was verified, and still runs."""
    said = stamp.get("said")
    binary = os.path.join(home, "bin", "uwsgi")
    if said and sha256(binary) == said["sha256"] == stamp.get("sha256") and run([binary, "--version"])[0] == 0:
        return said
    return examine(home, run)


def examine(home, run):
    """What the binary in `home` says of itself: runs, version, python, features, sha256, the options that it knows."""
    binary = os.path.join(home, "bin", "uwsgi")
    found = {"runs": False, "version": None, "python": None, "features": [], "sha256": None, "options": []}
    found["message"] = "it is not there"
    if not os.path.exists(binary):
        return found
    found["sha256"] = sha256(binary)
    answers = []
    # Not `--strict --no-server`: that opens the log, runs the hooks and, with vacuum, removes the live pidfile.
    for option in ("--version", "--python-version", "--cflags", "--dump-options"):
        status, out, err = run([binary, option])
        if status != 0:
            found["message"] = "uwsgi %s ended with status %s: %s" % (option, status, (err or out).strip()[-300:])
            return found
        answers.append(out)
    # Each option prints its answer and leaves; plugins may print above it.
    found["version"] = (answers[0].strip().splitlines() or [""])[-1]
    match = re.search(r"^(\d+\.\d+)[.\d\w+]*$", answers[1].strip(), re.M)
    found["python"] = match.group(1) if match else None
    found["features"] = sorted(name for name in FEATURES if re.search(FEATURES[name], answers[2]))
    found["options"] = answers[3].split()
    found["runs"] = True
    found["message"] = ""
    return found


def faults(found, version, python, features):
    """What is wrong with an examined binary: texts, none if it is as wanted; and the wanted features it lacks."""
    if not found["runs"]:
        return ["the binary does not run: %s" % found["message"]], []
    wrong = []
    if found["version"] != version:
        wrong.append("it is version %s, not %s" % (found["version"], version))
    if found["python"] != python:
        wrong.append("it is built for Python %s, not %s" % (found["python"], python))
    missing = sorted(set(features) - set(found["features"]))
    if missing:
        wrong.append("it was built without %s" % ", ".join(missing))
    return wrong, missing


def digest_of(desired):
    return hashlib.sha256(json.dumps(desired, sort_keys=True).encode("utf-8")).hexdigest()[:12]


def full_build(build, version, about):
    """What makes one build differ from another, as a stamp tells it."""
    # As from json: what is compared with it was read from a file.
    found = dict(build, version=version, python=about["version"], interpreter=about["executable"])
    return json.loads(json.dumps(found))


def choose(root, version, about, build, features, run):
    """The folder for the build that is desired, and its state.

    The first build of a version for a Python gets <version>-python<X.Y>; another one (other build arguments, or a
    feature that the binary there lacks) gets a folder of its own beside it, named by its digest, because masters that
    run from a verified binary execute that very file again when they reload.
    """
    python = about["version"]
    build = full_build(build, version, about)
    digest = digest_of({"build": build, "features": sorted(features)})
    plain = os.path.join(root, "%s-python%s" % (version, python))
    free = []
    for home in (plain, "%s-%s" % (plain, digest)):
        stamp = read_stamp(home)
        found = recall(home, stamp, run) if stamp else None
        if stamp and found["runs"] and found["sha256"] == stamp.get("sha256"):
            if stamp.get("build") == build and not faults(found, version, python, features)[0]:
                return {"home": home, "state": "verified", "build": build, "digest": digest, "found": found}
        elif stamp:
            free.append((home, "broken", found))
        else:
            free.append((home, "unfinished" if os.path.isdir(home) else "absent", None))
    home, state, found = free[0]
    return {"home": home, "state": state, "build": build, "digest": digest, "found": found}


def kind_of(about, distribution, release):
    """What a host and the builder of its wheel must have alike; of the Python empty where `about` tells of none."""
    return {
        "distribution": distribution or "",
        "major": (release or "").split(".")[0],
        "architecture": os.uname()[4],
        "python": about.get("version", ""),
        "abi": about.get("abi", ""),
        "interpreter": about.get("executable", ""),
    }


def wheel_of(version, build, features, kind):
    """The name of the wheel in the controller's cache, and what it is made of, of which the name is a digest."""
    about = {"build": build, "features": sorted(features), "kind": kind}
    return {"name": "%s-%s-%s" % (version, kind["abi"] or kind["python"], digest_of(about)), "about": about}


def cross_of(kind):
    """What a build on a machine of another kind takes of the headers and libraries that are brought, and makes."""
    flags = re.sub(r"^cp\d+", "", kind["abi"])
    # The 2.7 of a distribution names its library without them.
    named = kind["python"] + ("" if kind["python"] == "2.7" else flags)
    return {
        "python": kind["python"],
        "prefix": os.path.dirname(os.path.dirname(kind["interpreter"])),
        "library": "libpython%s.so.1.0" % named,
        "python_tag": "cp" + kind["python"].replace(".", ""),
        "abi_tag": kind["abi"],
        "platform_tag": "linux_" + kind["architecture"],
    }


def find_like(kind, builder, find, distribution, release, own=""):
    """The Python of this host, the `builder`, for wheels of a host of that kind; refused where it is of another.

    `find(path)` is find_python(). `own`: another Python of the builder, which runs the build where the headers and the
    libraries of the host are brought; empty where they are not.
    """
    try:
        about = find(kind["interpreter"])
    except HomeError:
        about = {}
    mine = kind_of(about, distribution, release)
    if mine == kind:
        return about
    if own and mine["architecture"] == kind["architecture"] and kind["abi"]:
        about = find(own)
        if about["venv"] and tuple(int(part) for part in about["version"].split(".")) >= OLDEST_CROSSING:
            return about
        raise HomeError(
            "uwsgi_build_host: %s builds for another kind of host by its Python %s, %s, which is to be %s or newer and "
            "to make virtualenvs; install python3-venv there. No uWSGI was built"
            % (builder, about["full_version"], about["executable"], ".".join(map(str, OLDEST_CROSSING)))
        )

    def named(one):
        host = "%(distribution)s %(major)s on %(architecture)s" % one
        if not one["interpreter"]:
            return "%s without %s" % (host, kind["interpreter"])
        return host + " with Python %(python)s (%(abi)s) at %(interpreter)s" % one

    raise HomeError(
        "uwsgi_build_host: %s is %s, and this host is %s; a wheel runs only where everything is as on its builder. "
        "No uWSGI was built. Name a builder of this host's kind (by group, where hosts differ), or set it to '' to "
        "have each host build its own; localhost, of the same architecture, builds it by uwsgi_build_toolchain: zig "
        "out of the headers and libraries of such a host in uwsgi_headers_dir" % (builder, named(mine), named(kind))
    )


def venv_command(about, script, pip_wheel):
    """Words of the command that makes a virtualenv of this Python once a path is appended.

    ``script`` is what makes those of Python 2.7; ``pip_wheel``: whether there is a wheel of pip for one without pip.
    """
    if about["version"] == "2.7":
        # The wheels that lie in virtualenv itself are the ones that still know Python 2.7.
        return [about["executable"], script, "--no-download"]
    return [about["executable"], "-m", "venv"] + (["--without-pip"] if pip_wheel and not about["venv"] else [])


def missing_packages(needs):
    """Packages whose file is nowhere on the host; `needs` is a list of {package, files}."""
    missing = []
    for need in needs:
        if need["package"] not in missing and not any(os.path.exists(path) for path in need["files"]):
            missing.append(need["package"])
    return missing


def python_packages(about, names, wheel_for_27, has_pip, virtualenv="virtualenv-VERSION", variable="uwsgi_python"):
    """Packages without which this Python cannot have uWSGI compiled for it or a virtualenv made.

    ``virtualenv``: the release that makes those of Python 2.7, as its wheel's name begins; ``variable``: what named
    this Python, for messages.
    """
    version = about["version"]

    def named(kind):
        kinds = names.get(kind) or {}
        return (kinds.get(version) or kinds.get("*") or "").replace("{version}", version)

    wanted = []
    # Who is to install a wheel is told of no headers.
    if not about["headers"] and "headers" in names:
        if not about["executable"].startswith("/usr/bin/"):
            raise HomeError(
                "%s: %s has no Python.h beside it and is not the distribution's, so no package brings it; "
                "install this Python with its headers" % (variable, about["executable"])
            )
        wanted.append(named("headers"))
    if version == "2.7":
        if not wheel_for_27 and not has_pip:
            if not named("pip"):
                raise HomeError(
                    "uwsgi_wheel_dir: pip would fetch virtualenv, which makes the virtualenvs of Python 2.7, and this "
                    "host has no pip, nor may the role install one (uwsgi_manage_packages: false); put "
                    "%s-py2.py3-none-any.whl there (pip download --no-deps %s), or install a pip"
                    % (virtualenv, virtualenv.replace("-", "=="))
                )
            wanted.append(named("pip"))
    elif not about["venv"]:
        wanted.append(named("venv"))
    return [name for name in wanted if name]
