# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What to write where an application does not load because a Python module is missing."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import os
import re

from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

_MISSING = re.compile(r"^(?:ModuleNotFoundError|ImportError): No module named '?([A-Za-z_][\w.]*)'?", re.M)
# Modules whose package bears another name; all others are looked for by their own.
PACKAGES = {
    "MySQLdb": ("mysqlclient",),
    "OpenSSL": ("pyOpenSSL",),
    "PIL": ("Pillow",),
    "Crypto": ("pycryptodome", "pycrypto"),
    "attr": ("attrs",),
    "bs4": ("beautifulsoup4",),
    "corsheaders": ("django-cors-headers",),
    "cv2": ("opencv-python", "opencv-python-headless"),
    "dateutil": ("python-dateutil",),
    "debug_toolbar": ("django-debug-toolbar",),
    "decouple": ("python-decouple",),
    "docx": ("python-docx",),
    "dotenv": ("python-dotenv",),
    "engineio": ("python-engineio",),
    "environ": ("django-environ",),
    "git": ("GitPython",),
    "jose": ("python-jose",),
    "jwt": ("PyJWT",),
    "ldap": ("python-ldap",),
    "magic": ("python-magic",),
    "multipart": ("python-multipart",),
    "mysql": ("mysql-connector-python",),
    "nacl": ("PyNaCl",),
    "pkg_resources": ("setuptools",),
    "psycopg2": ("psycopg2-binary", "psycopg2"),
    "rest_framework": ("djangorestframework",),
    "serial": ("pyserial",),
    "skimage": ("scikit-image",),
    "sklearn": ("scikit-learn",),
    "slugify": ("python-slugify",),
    "socketio": ("python-socketio",),
    "telegram": ("python-telegram-bot",),
    "yaml": ("PyYAML",),
    "zmq": ("pyzmq",),
}
# What uWSGI brings, in and beside its virtualenv.
UWSGI = ("uwsgi", "uwsgidecorators", "uwsgidsl")
# What Python itself begins with; no package brings it.
_OWN = ("encodings", "site")
_LINE = re.compile(r"\s*([A-Za-z0-9][\w.-]*)")
_LIST = re.compile(r"requirements[\w.-]*\.(?:txt|in|pip)\Z|require[\w.-]*\.txt\Z")
_PROJECT = ("pyproject.toml", "setup.py", "setup.cfg")
# Nothing that is read here is longer.
_LONGEST = 1 << 18


def module(text):
    """The module that is missing, by the last traceback's words; None where that was not the reason."""
    found = _MISSING.findall(text)
    return found[-1] if found else None


def normalised(name):
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _wanted(top):
    return PACKAGES.get(top) or (top.replace("_", "-"),)


def named(lines, top):
    """The package of these requirements that brings a module, None where none does by its name."""
    wanted = set(normalised(name) for name in _wanted(top) + (top, "python-" + top, "py" + top))
    for line in lines:
        found = _LINE.match(line)
        if found and normalised(found.group(1)) in wanted:
            return found.group(1)
    return None


def look(code, top):
    """What the code says of a module, for hint(); called with the rights of whoever may read the code."""
    lists, projects = [], []
    names = sorted(os.listdir(code))
    folder = os.path.join(code, "requirements")
    more = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for name in names + ["requirements/" + other for other in more]:
        path = os.path.join(code, name)
        if name in _PROJECT and os.path.isfile(path):
            projects.append(name)
        elif (_LIST.match(name) or name.startswith("requirements/") and name.endswith(".txt")) and os.path.isfile(path):
            with io.open(path, "rb") as source:
                lines = source.read(_LONGEST).decode("utf-8", "replace").splitlines()
            lists.append([name, named([native(line) for line in lines], top)])
    return {"own": top in names or top + ".py" in names, "lists": lists, "projects": projects}


def hint(name, about, found):
    """What to write, as a sentence. ``name``: the module that is missing; ``about``: the application's ``module``,
    ``requirements`` and ``virtualenv`` as they stand in the variables; ``found``: as look() tells."""
    top = name.partition(".")[0]
    if top in UWSGI:
        return ""
    if top in _OWN:
        return (
            "virtualenv: Python does not find its own library in %s; name a virtualenv that is there, for uWSGI's "
            "Python, whose folders the application's account may enter" % (about.get("virtualenv") or "its virtualenv")
        )
    if top == (about.get("module") or "").partition(":")[0].partition(".")[0] and not found["own"]:
        return (
            "module: the code has no %s.py and no package %s at its top; write the module's whole name as the code's "
            "folder has it, or say with pythonpath in which folder it lies" % (top, top)
        )
    if found["own"]:
        return "" if "." in name else "pythonpath: %s lies in the code, where Python does not look for it" % top
    package = _wanted(top)[0]
    if about.get("requirements"):
        where = about["requirements"] if not isinstance(about["requirements"], list) else "the list"
        if where == "auto":
            where = "what its lock is made from, and lock anew"
        return (
            "requirements: they name no package that brings the module %s; add it to %s (it is probably called %s)"
            % (top, where, package)
        )
    if about.get("virtualenv"):
        return "virtualenv: %s has no module %s; install it there (the package is probably called %s)" % (
            about["virtualenv"],
            top,
            package,
        )
    for file, brings in found["lists"]:
        if brings:
            return "requirements: %s of the code names %s, and nothing installs it; write `requirements: %s`" % (
                file,
                brings,
                file,
            )
    if found["lists"]:
        file = found["lists"][0][0]
        return "requirements: the code has a %s, which nothing installs; write `requirements: %s`" % (file, file)
    if found["projects"]:
        return (
            "requirements: the code is a package of its own (%s), whose dependencies nothing installs; write "
            "`requirements: [\".\"]`" % found["projects"][0]
        )
    return (
        "requirements: nothing installs a package that brings the module %s; name it, for instance `requirements: [%s]`"
        % (top, package)
    )
