# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""uv in the place of pip: where it lies on a host, and how it is told what pip is told.

pip remains the one whose settings count: its variables, its pip.conf, what requirements files say. Where any of them
says what uv has no like of, pip fills that virtualenv, so that a host is never filled by other rules than it was.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import hashlib
import io
import os
import re
import time
import zipfile

try:
    from configparser import Error as ConfigError
    from configparser import RawConfigParser
except ImportError:
    from ConfigParser import Error as ConfigError
    from ConfigParser import RawConfigParser

from ansible_collections.graceful.wsgi.plugins.module_utils import layout
from ansible_collections.graceful.wsgi.plugins.module_utils.build_account import readable, surroundings
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import make_folders, native
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import as_account, read_file, remove_tree

# Root's own; the accounts that build run what lies there.
PLACE = layout.STATE_DIR + "/uv"
# The oldest Python that uv serves.
OLDEST = (3, 8)
_PROGRAM = re.compile(r"uv-[^/]+\.data/scripts/uv\Z")
_HASHED = re.compile(r"\s--hash[= ]")
# What uv passes over in silence, or does not take, in a file of requirements.
_UNLIKE = re.compile(
    r"\s*(?P<option>--(?:pre|prefer-binary|trusted-host|use-feature|use-pep517|no-use-pep517))(?![\w-])"
    # uv takes a folder as seen from the file that names it, pip as seen from the code, and pip goes on without it.
    r"|\s*(?P<place>--find-links|--index-url|--extra-index-url|-[fi])(?![\s=]+\S*://)"
    r"|.*\s(?P<own>--(?:config-settings?|global-option|install-option|use-pep517|no-use-pep517))(?![\w-])"
)
# What pip's settings say that concerns neither what is installed nor from where.
_IDLE = set(
    "break-system-packages cache-dir compile debug default-timeout disable-pip-version-check exists-action log "
    "no-cache-dir no-color no-compile no-input no-python-version-warning no-warn-conflicts no-warn-script-location "
    "progress-bar quiet require-virtualenv retries root-user-action timeout use-deprecated user verbose".split()
)
# Seconds for which another release stays.
_KEPT = 24 * 3600
_SECTIONS = ("global", "install")


class UvError(Exception):
    """uv cannot be had."""


def program(sha256):
    """Where the uv lies that came in the wheel of this checksum."""
    return os.path.join(PLACE, sha256[:16], "uv")


def there(sha256):
    return os.path.isfile(program(sha256))


def install(wheel, sha256):
    """Put the program of a wheel, a path, where root has it; the wheel may lie where another account can write."""
    content = read_file(wheel)
    arrived = hashlib.sha256(content).hexdigest()
    if arrived != sha256:
        raise UvError("%s has the sha256 %s and should have %s" % (os.path.basename(wheel), arrived, sha256))
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            names = [name for name in packed.namelist() if _PROGRAM.match(name)]
            text = packed.read(names[0]) if names else b""
    except (zipfile.BadZipfile, RuntimeError, NotImplementedError) as error:
        raise UvError("%s cannot be unpacked: %s" % (os.path.basename(wheel), error))
    if not text:
        raise UvError("%s holds no uv" % os.path.basename(wheel))
    target = program(sha256)
    make_folders(os.path.dirname(target))
    partial = target + ".new-%d" % os.getpid()
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o755)
    with os.fdopen(handle, "wb") as out:
        out.write(text)
        os.fchmod(out.fileno(), 0o755)
    os.rename(partial, target)
    # Any other was for what is wanted no more, but for a run that began just now with another release.
    for name in os.listdir(PLACE):
        path = os.path.join(PLACE, name)
        if name != sha256[:16] and time.time() - os.lstat(path).st_mtime > _KEPT:
            remove_tree(path)
    return target


# -- what pip is told -----------------------------------------------------------------------------------------------


def pip_files(environment):
    """The files of pip's settings that hold for the whole host, the most general first."""
    named = environment.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    folders = [folder for folder in (environment.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":") if folder]
    files = [os.path.join(folder, "pip", "pip.conf") for folder in folders] + ["/etc/pip.conf"]
    return files + ([named] if named else [])


def pip_settings(environment, files):
    """What pip would be told by its files and by its environment: {option: text}."""
    found = {}
    for section in _SECTIONS:
        for path in files:
            parser = RawConfigParser()
            try:
                parser.read([path])
                items = parser.items(section) if parser.has_section(section) else []
            except (ConfigError, UnicodeDecodeError, EnvironmentError):
                # pip would end with an error, and says it better.
                return {"config": path}
            found.update((name.replace("_", "-"), native(value).strip()) for name, value in items)
    for name, value in environment.items():
        if name.startswith("PIP_") and name != "PIP_CONFIG_FILE":
            found[name[len("PIP_") :].lower().replace("_", "-")] = value
    return dict((name, value) for name, value in found.items() if value)


def _true(value):
    return value.lower() in ("1", "true", "yes", "on")


def _here(places):
    """Those that can be looked at: uv ends at a folder that is missing, and pip goes on."""
    return [place for place in places if "://" in place or os.path.exists(os.path.expanduser(place))]


class Uv(object):
    """uv for the virtualenvs of one Python, as ``3.11``; ``path``: the program."""

    def __init__(self, path, python):
        self.path, self.python = path, python

    def why_not(self, environment, texts, pip_args=(), limited=False, whole=False):
        """Why pip is to fill a virtualenv; None where uv can be told all that pip is told.

        ``texts``: what the files of requirements say, or the lines of a list; ``limited``: there are constraints beside
        them; ``whole``: they pin all that is needed, so that constraints have no say.
        """
        numbers = re.match(r"(\d+)\.(\d+)\Z", self.python or "")
        if not numbers or (int(numbers.group(1)), int(numbers.group(2))) < OLDEST:
            return "uv serves Python 3.8 and newer"
        if pip_args:
            return "pip has words of its own (%s)" % " ".join(pip_args)
        for text in texts:
            for line in re.sub(r"\\\r?\n", " ", text).splitlines():
                unlike = _UNLIKE.match(line)
                if unlike:
                    return "the requirements say %s" % unlike.group(unlike.lastgroup)
        try:
            limited = limited or "UV_CONSTRAINT" in self._told(environment)[0]
        except UvError as error:
            return str(error)
        if limited and not whole and self._hashed(texts):
            return "uv takes constraints beside checksums only where they have checksums, too"
        return None

    @staticmethod
    def _hashed(texts):
        return any(_HASHED.search(text) for text in texts)

    def make(self, venv_command):
        """The words that make a virtualenv, to which its path is appended: uv needs no pip in it."""
        return list(venv_command) + ([] if "--without-pip" in venv_command else ["--without-pip"])

    def seed(self, python, environment):
        """What a virtualenv of this Python has besides pip, so that code which counts on pkg_resources finds it.

        None from Python 3.12 on. Where no index has it, nobody else is told of it than who imports it.
        """
        if int(self.python.partition(".")[2]) >= 12:
            return None
        return self.words(python, (), environment) + ["setuptools"]

    def words(self, python, texts, environment):
        """The words to which requirements are appended; ``python``: that of the virtualenv."""
        found = [self.path, "pip", "install", "--quiet", "--python", python]
        if self._hashed(texts):
            # One checksum demands all others, as it does for pip.
            found.append("--require-hashes")
        return found + self._told(environment)[1]

    def environment(self, environment, home, whole=False):
        """The environment of uv, made from pip's; ``home``: the folder of the account that runs it."""
        told = dict(environment, **self._told(environment, home)[0])
        if whole:
            told.pop("UV_CONSTRAINT", None)
        return told

    def _told(self, environment, home=""):
        """({variable: text}, words) that tell uv what pip is told."""
        settings = pip_settings(environment, pip_files(environment))
        found = {
            # Nothing of what an application builds meets the next one: the folder goes with what the account leaves.
            "UV_CACHE_DIR": os.path.join(home, "uv"),
            # Of files that the account could change later none is to be an application's.
            "UV_LINK_MODE": "copy",
            # As pip does: nobody else may write beside them.
            "UV_COMPILE_BYTECODE": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1",
            # Settings for uv in the code, or of the host, are none of pip's.
            "UV_NO_CONFIG": "1",
            "UV_NO_SOURCES": "1",
            # Any index may have the best release, those that a file of requirements names as well.
            "UV_INDEX_STRATEGY": "unsafe-best-match",
        }
        words = []
        indexes = settings.pop("extra-index-url", "").split()
        links = _here(settings.pop("find-links", "").split())
        for name, variable in (("index-url", "UV_DEFAULT_INDEX"), ("constraint", "UV_CONSTRAINT")):
            if name in settings:
                found[variable] = settings.pop(name)
        if indexes:
            found["UV_INDEX"] = " ".join(indexes)
        if any("," in link for link in links):
            raise UvError("pip's find-links holds a comma, which divides places for uv")
        if links:
            found["UV_FIND_LINKS"] = ",".join(links)
        for name in ("default-timeout", "timeout"):
            if re.match(r"\d+\Z", settings.get(name, "")):
                found["UV_HTTP_TIMEOUT"] = settings[name]
        if "proxy" in settings:
            proxy = settings.pop("proxy")
            found.update((variable, proxy) for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"))
        for name in ("no-index", "require-hashes"):
            if _true(settings.pop(name, "")):
                words.append("--" + name)
        for name in ("only-binary", "no-binary"):
            for value in re.split(r"[\s,]+", settings.pop(name, "")):
                words += ["--" + name, value] if value else []
        cert = settings.pop("cert", "") or environment.get("REQUESTS_CA_BUNDLE") or environment.get("CURL_CA_BUNDLE")
        if cert:
            found["SSL_CERT_FILE"] = cert
        else:
            # The host's own, as its programs have it; by the name of releases before and after 0.9.
            found.update({"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"})
        others = sorted(set(settings) - _IDLE)
        if others:
            raise UvError("pip is told %s, of which uv has no like" % ", ".join(others))
        return found, words


# -- where it comes from ----------------------------------------------------------------------------------------------


def obtain(builders, wanted, venv_command, pip_env, pip_cert=None, brought=None):
    """The program, which an account that builds has pip fetch where it is missing.

    ``wanted``: {requirement, pip, sha256} of plugin_utils/uv_plan.py; ``brought``: a wheel that the controller has
    sent. Its checksum decides, so that it does not matter who fetched it.
    """
    if there(wanted["sha256"]):
        return program(wanted["sha256"])
    if brought:
        return install(brought, wanted["sha256"])
    if "--without-pip" in venv_command:
        raise UvError("there is no pip on the host that could fetch it")
    with builders.lease() as builder:
        environment = surroundings(builder.home, pip_env)
        if pip_cert:
            environment["PIP_CERT"] = readable(builder, pip_cert)
        folder, place = os.path.join(builder.home, "wheel"), os.path.join(builder.home, "pip")
        for path in (folder, place):
            builder.own(path)
        listed = os.path.join(folder, "uv.txt")
        as_account(builder.who, lambda: _write(listed, wanted["requirement"] + "\n"))
        fetch = [os.path.join(place, "bin", "python"), "-m", "pip", "download", "--quiet", "--dest", folder]
        for words in (list(venv_command) + [place], fetch + list(wanted["pip"]) + ["--requirement", listed]):
            status, said = builder.run(words, folder, environment, visible=venv_command[:1])
            if status:
                raise UvError("pip cannot fetch it: %s" % (said.strip().splitlines() or ["status %d" % status])[-1])
        found = [name for name in os.listdir(folder) if name.endswith(".whl")]
        if len(found) != 1:
            raise UvError("pip has fetched no wheel of it")
        return install(os.path.join(folder, found[0]), wanted["sha256"])


def check(path, run_command):
    """See that this host runs it: the folder's file system may be mounted noexec, or the kernel be too old."""
    try:
        status, out, err = run_command([path, "--version"], handle_exceptions=False)
    except EnvironmentError as error:
        status, out, err = 1, "", str(error)
    if status != 0:
        raise UvError("%s does not run here: %s" % (path, (err or out).strip() or "status %d" % status))


def _write(path, text):
    with open(path, "w") as target:
        target.write(text)
