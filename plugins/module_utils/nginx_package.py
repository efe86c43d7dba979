# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the nginx of a host is ours or its distribution's, what would go with it, and keeping it from coming back."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import glob
import json
import os
import re

from ansible_collections.graceful.wsgi.plugins.module_utils import layout, nginx_artifact, nginx_master, ownership
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import make_folders, native
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import lstat, read_bytes, replace_bytes, unlink

HOME, PID_FILE = layout.NGINX_STATE_DIR, layout.NGINX_PIDFILE
# The digests of all binaries that were put in place, in case their artifacts are gone.
INSTALLED = "installed.json"
BUNDLE = "nginx"
PROGRAMS = ("/usr/bin", "/bin", "/usr/sbin", "/sbin")
YUM = ("/etc/dnf/dnf.conf", "/etc/yum.conf")
EXCLUDE = re.compile(r"(?m)^(exclude|excludepkgs)[ \t]*=(.*(?:\n[ \t]+\S.*)*)$")


class PackageError(Exception):
    """A package cannot be kept from putting its nginx back."""


def program(name):
    """The path of a program of the package manager, or None; asking for one that is not there would end a module."""
    return next((os.path.join(at, name) for at in PROGRAMS if os.access(os.path.join(at, name), os.X_OK)), None)


def placed(home):
    """The digests of all binaries that were put in place, the last one last."""
    try:
        with open(os.path.join(home, INSTALLED), "rb") as source:
            return json.loads(source.read().decode("utf-8"))
    except (IOError, OSError) as error:
        if error.errno == errno.ENOENT:
            return []
        raise


def remember(digest, home=None):
    """Note that a binary was put in place."""
    home = home or HOME
    known = placed(home)
    if known[-1:] != [digest]:
        known = [other for other in known if other != digest] + [digest]
        make_folders(home)
        replace_bytes(os.path.join(home, INSTALLED), json.dumps(known).encode("utf-8"), 0o644)


def owner(path, run):
    """The package that a file is of: {manager, name, version}; None where none has it."""
    tools = {"dpkg": program("dpkg-query"), "rpm": program("rpm")}
    if tools["dpkg"]:
        # Where /sbin leads to /usr/sbin a package may know the file by either name.
        for name in [path] + ([path[len("/usr"):]] if path.startswith("/usr/") else []):
            status, out, _err = run([tools["dpkg"], "-S", name])
            lines = [line for line in out.splitlines() if line.endswith(": " + name) and not _diverts(line)]
            if status == 0 and lines:
                package = lines[0].split(":")[0].split(",")[0].strip()
                _status, version, _err = run([tools["dpkg"], "-W", "-f", "${Version}", package])
                return {"manager": "dpkg", "name": package, "version": version.strip()}
    if tools["rpm"]:
        status, out, _err = run([tools["rpm"], "-qf", "--qf", "%{NAME} %{VERSION}-%{RELEASE}\\n", path])
        words = out.split()
        if status == 0 and len(words) >= 2:
            return {"manager": "rpm", "name": words[0], "version": words[1]}
    return None


def _diverts(line):
    return line.startswith(("diversion by ", "local diversion "))


def is_ours(binary, run, home=None, state_dir=None):
    """Whether the binary is one that this collection put there."""
    home = home or HOME
    digest = nginx_artifact.sha256(binary)
    if digest is None:
        return not os.path.lexists(binary)
    if digest in placed(home):
        return True
    manifests = [os.path.dirname(path) for path in glob.glob(os.path.join(home, "artifacts", "*", "manifest.json"))]
    told = [manifest for manifest in (_manifest(folder) for folder in manifests) if manifest]
    if any(manifest.get("files", {}).get(nginx_artifact.BINARY) == digest for manifest in told):
        return True
    # Artifacts may be removed by hand, and a host of an earlier version has no note either.
    noted = told or placed(home) or ownership.recorded(BUNDLE, state_dir) is None
    return not noted and owner(binary, run) is None


def _manifest(folder):
    try:
        return json.loads(read_bytes(os.path.join(folder, "manifest.json")).decode("utf-8"))
    except (IOError, OSError, ValueError):
        return None


def running():
    """(pid, path of its program) of the nginx that runs, or None."""
    try:
        pid = nginx_master.read_master(PID_FILE)
        if pid is None:
            return None
        return pid, re.sub(r" \(deleted\)\Z", "", os.readlink("/proc/%d/exe" % pid))
    except (nginx_master.MasterError, OSError):
        return None


def _read(path):
    try:
        with open(path, "rb") as source:
            return native(source.read(1 << 20))
    except (IOError, OSError):
        return ""


def sites(conf, stays=r"/etc/nginx/conf\.d/[^/]+\.conf\Z"):
    """What a configuration serves out of files that ours does not include, as ``names (file)``."""
    base, seen, found, waiting = os.path.dirname(conf), set(), [], [conf]
    while waiting:
        path = waiting.pop(0)
        if path in seen or re.match(stays, path):
            continue
        seen.add(path)
        text = re.sub(r"(?m)#.*$", "", _read(path))
        names = []
        for words in re.findall(r"(?:^|[\s;{])server_name\s+([^;]+);", text):
            names += [name for name in words.split() if name not in names]
        if names or re.search(r"(?:^|[\s;{}])server\s*\{", text):
            found.append("%s (%s)" % (", ".join(names) or "without a name", path))
        for pattern in re.findall(r"(?:^|[\s;{}])include\s+[\"']?([^;\"']+)[\"']?\s*;", text):
            waiting += sorted(glob.glob(os.path.join(base, pattern)))
    return found


# -- a package manager that is to leave the binary alone --------------------------------------------------------


def truename(path, run):
    """Where dpkg puts the file of a package that is to be at ``path``."""
    status, out, err = run([program("dpkg-divert"), "--truename", path])
    if status != 0:
        raise PackageError("dpkg-divert --truename %s: %s" % (path, (out + err).strip()))
    return out.strip()


def yum_conf():
    return next((path for path in YUM if os.path.isfile(path)), None)


def _excluded(path, name):
    found = EXCLUDE.search(_read(path)) if path else None
    words = re.split(r"[\s,]+", found.group(2)) if found else []
    return "nginx*" in words or name in words


def is_held(binary, run):
    """Whether no package would put its own in the binary's place."""
    package = owner(binary, run)
    if package is None:
        return True
    if package["manager"] == "dpkg":
        return truename(binary, run) != binary
    return _excluded(yum_conf(), package["name"])


def take_over(binary, run):
    """Keep what is in the binary's place, and its package from putting it back; what that was, for the user, or None.

    dpkg has a diversion for it. yum and dnf are told to leave the package out, since rpm has none.
    """
    package, ours = owner(binary, run), is_ours(binary, run)
    if not ours and (package is None or package["manager"] != "dpkg"):
        keep(binary)
    if package is None or is_held(binary, run):
        return None
    if package["manager"] == "dpkg":
        aside = binary + ".distrib"
        # The package's own file keeps its place in the diversion; the binary's place is never empty meanwhile.
        if not ours and lstat(binary) is not None:
            unlink(aside + ".new")
            os.link(binary, aside + ".new")
            os.rename(aside + ".new", aside)
        words = ["--local", "--divert", aside, "--add", binary]
        status, out, err = run([program("dpkg-divert"), "--no-rename"] + words)
        if status != 0:
            # Before 1.19 it has no such word and does not rename anyway.
            status, out, err = run([program("dpkg-divert")] + words)
        if status != 0:
            raise PackageError("dpkg-divert %s: %s" % (" ".join(words), (out + err).strip()))
        return "dpkg puts the nginx of package %s at %s from now on (dpkg-divert --list %s)" % (
            package["name"],
            aside,
            binary,
        )
    path = os.path.realpath(yum_conf() or YUM[-1])
    text = _read(path)
    found = EXCLUDE.search(text)
    if found:
        text = text[:found.end()] + " nginx*" + text[found.end():]
    elif re.search(r"(?m)^\[main\][ \t]*$", text):
        text = re.sub(r"(?m)^\[main\][ \t]*$", "[main]\nexclude=nginx*", text, count=1)
    else:
        text = "[main]\nexclude=nginx*\n" + text
    status = lstat(path)
    replace_bytes(path, text.encode("utf-8"), 0o644, (status.st_uid, status.st_gid) if status else None)
    return "yum leaves the packages nginx* alone from now on (exclude in %s)" % path


def keep(binary):
    """Keep a copy of a binary that is to go where no package has it."""
    found = lstat(binary)
    if found is not None:
        ownership.keep(binary, read_bytes(binary), found)
