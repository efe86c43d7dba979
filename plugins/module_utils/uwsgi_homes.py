# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which of uWSGI's homes nothing uses any more, and their removal."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fcntl
import os
import re
import stat

from ansible_collections.graceful.wsgi.plugins.module_utils import layout, procfs, safe_path, uwsgi_home
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import encoded, native

# As the role names them; what is called otherwise is not its own.
NAME = re.compile(r"\d[\w.]*-python\d[\w.]*(-[0-9a-f]+)?\Z")
# What a removal that was broken off has left.
GONE = ".gone-"
CURRENT = "current"
# Where files and links name programs, beside the folder of configurations.
PLACES = ("/etc", "/var/spool/cron", "/usr/local/bin", "/usr/local/sbin") + tuple(
    path for path in layout.UNIT_DIRS if not path.startswith("/etc/")
)
# Of these, full of programs, only the links are looked at.
LINKS = ("/usr/bin", "/usr/sbin")
DEEPEST = 4
# No unit, configuration or script is larger; of a program only the beginning is read.
LARGEST = 1 << 20
# The folder of an application, as its configuration names it.
_HOME = re.compile(br"(/[\w.+@/-]+)/current\b")


def _stamped(folder, name):
    """When a home was verified, in seconds since 1970; None for what is not a home that the role made."""
    if not NAME.match(name):
        return None
    try:
        with folder.open_folder(name) as home:
            found = home.lstat(uwsgi_home.STAMP)
            if not home.trusted or found is None or not stat.S_ISREG(found.st_mode):
                return None
    except (safe_path.UnsafePath, IOError, OSError):
        return None
    stamp = uwsgi_home.read_stamp(os.path.join(folder.path, name))
    return found.st_mtime if stamp and stamp.get("sha256") else None


def stamped(root):
    """{name: when it was verified} of the homes that the role made; none where another account could have put them."""
    try:
        with safe_path.Folder(root) as folder:
            if not folder.trusted:
                return {}
            found = dict((name, _stamped(folder, name)) for name in map(native, folder.names()))
    except (safe_path.UnsafePath, IOError, OSError):
        return {}
    return dict((name, when) for name, when in found.items() if when is not None)


def broken_off(root):
    """Names of what an earlier removal has left."""
    try:
        with safe_path.Folder(root) as folder:
            names = [native(name) for name in folder.names()] if folder.trusted else []
    except (safe_path.UnsafePath, IOError, OSError):
        return []
    return sorted(name for name in names if name.startswith(GONE) and NAME.match(name[len(GONE) :]))


def processes():
    """The pids of all processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


class Users:
    """Who uses homes: processes, units, configurations, links and virtualenvs that name them.

    ``names``: the homes that are asked for. ``used``: those of them that something uses. ``programs``: what stands in
    the command line of programs that may run one of them; nginx_artifacts.py asks the same of nginx's artifacts, among
    which no link is ``planned``: one that the plan answers for, and in check mode is ahead of.
    """

    def __init__(self, root, names, conf_dir, programs=b"uwsgi|python", planned=CURRENT):
        self.root, self.names, self.planned = root, set(names), planned
        self.used, self.apps = set(), set()
        if not names:
            return
        roots = set(encoded(one) for one in (root, os.path.realpath(root)))
        any_of = b"|".join(re.escape(encoded(name)) for name in names)
        self.path = re.compile(b"(?:" + b"|".join(map(re.escape, roots)) + b")/+(" + any_of + br")(?![\w.-])")
        self.about = re.compile(programs + b"|" + b"|".join(map(re.escape, roots)))
        for pid in processes():
            self._process(pid)
        for place in (conf_dir,) + PLACES:
            self._place(place, DEEPEST)
        for place in (root,) + LINKS:
            self._place(place, 0)
        for home in sorted(self.apps):
            self._application(home)

    def _text(self, text):
        self.used.update(native(name) for name in self.path.findall(text))

    def _process(self, pid):
        # None where it is one of the kernel's own, and while it begins another program.
        words = b"\0".join(map(encoded, procfs.words(pid)))
        self._text(words)
        place = "/proc/%d" % pid
        try:
            with procfs.seen_as(pid):
                for name in ("exe", "cwd", "root"):
                    self._text(encoded(os.readlink(os.path.join(place, name))) + b"/")
                self._text(procfs.read(os.path.join(place, "maps")))
        except (IOError, OSError) as error:
            if error.errno in procfs.GONE:
                return
            if self.about.search(words):
                # Root in a container may not look into each: it may run any of them.
                self.used.update(self.names)

    def _place(self, path, depth):
        """Look through a folder; links only where ``depth`` is 0."""
        try:
            with safe_path.Folder(path) as folder:
                self._folder(folder, depth)
        except (safe_path.UnsafePath, IOError, OSError):
            return

    def _folder(self, folder, depth):
        for name in map(native, folder.names()):
            found = folder.lstat(name)
            if found is None or (folder.path == os.path.normpath(self.root) and name == self.planned):
                continue
            try:
                if stat.S_ISLNK(found.st_mode):
                    target = native(os.readlink(folder.at(name)))
                    self._text(encoded(os.path.normpath(os.path.join(folder.path, target))))
                elif depth and stat.S_ISDIR(found.st_mode):
                    with folder.open_folder(name) as inner:
                        self._folder(inner, depth - 1)
                elif depth and stat.S_ISREG(found.st_mode):
                    self._file(folder, name)
            except (safe_path.UnsafePath, IOError, OSError) as error:
                if getattr(error, "errno", None) not in procfs.GONE and depth and folder.trusted:
                    # What root cannot read of its own may name any.
                    self.used.update(self.names)

    def _file(self, folder, name):
        with os.fdopen(folder.open_file(name), "rb") as source:
            text = source.read(LARGEST)
        self._text(text)
        self.apps.update(native(home) for home in _HOME.findall(text))

    def _application(self, home):
        """Each kept release of an application has a virtualenv, which may be of one of these Pythons."""
        venvs = [os.path.join(home, "venv")]
        releases = os.path.join(home, layout.RELEASES)
        try:
            with safe_path.Folder(releases) as folder:
                venvs += [os.path.join(releases, native(name), ".venv") for name in folder.names()]
        except (safe_path.UnsafePath, IOError, OSError):
            pass
        for venv in venvs:
            try:
                with safe_path.Folder(venv) as folder:
                    if folder.lstat("pyvenv.cfg") is not None:
                        self._file(folder, "pyvenv.cfg")
            except (safe_path.UnsafePath, IOError, OSError):
                pass
            self._place(os.path.join(venv, "bin"), 0)


def take_away(root, names, left):
    """Remove those of ``names`` and of ``left`` that another play has not removed meanwhile; returns the names."""
    with safe_path.Folder(root) as folder:
        fcntl.flock(folder.handle, fcntl.LOCK_EX)
        names, left = [[name for name in some if folder.lstat(name) is not None] for some in (names, left)]
        for name in names:
            # In one step: what is removed by halves is never taken for something whole.
            folder.remove(GONE + name)
            os.rename(folder.at(name), folder.at(GONE + name))
        for name in left + [GONE + name for name in names]:
            folder.remove(name)
    return names, left


def beyond(root, keep, wanted, conf_dir):
    """Names of homes that are to go, and of what an earlier removal has left.

    ``keep``: how many stay for each that is ``wanted`` (paths), which counts itself, be it there already or not. Before
    others stays what runs, then what `current` led to so far, then what was verified last.
    """
    left = broken_off(root)
    kept = set(os.path.basename(path) for path in wanted)
    others = dict((name, when) for name, when in stamped(root).items() if name not in kept)
    slots = (keep - 1) * len(kept)
    if not keep or len(others) <= slots:
        return left
    used = Users(root, others, conf_dir).used
    link = os.path.join(root, CURRENT)
    current = os.path.basename(os.readlink(link)) if os.path.islink(link) else ""
    order = sorted(others, key=lambda name: (name in used, name == current, others[name], name), reverse=True)
    return sorted(name for name in order[slots:] if name not in used) + left


def remove(root, names, wanted, conf_dir, check_mode=False):
    """Remove those of ``names`` that nothing uses by now; returns the paths that went."""
    kept = set(os.path.basename(path) for path in wanted)
    link = os.path.join(root, CURRENT)
    if os.path.islink(link) and not check_mode:
        kept.add(os.path.basename(os.readlink(link)))
    doomed = [name for name in sorted(set(names) & set(stamped(root))) if name not in kept]
    used = Users(root, doomed, conf_dir).used
    doomed = [name for name in doomed if name not in used]
    left = [name for name in broken_off(root) if name in names]
    if not doomed and not left:
        return []
    if not check_mode:
        doomed, left = take_away(root, doomed, left)
        for name in doomed:
            try:
                safe_path.remove_tree(os.path.join(root, "log", name + ".log"))
            except OSError as error:
                if error.errno not in procfs.GONE + (errno.EROFS,):
                    raise
    return [os.path.join(root, name) for name in doomed + left]
