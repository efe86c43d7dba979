# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What root does in folders that another account can write: the one way of this collection.

Python 2.7 has no openat(), so that a name in an open folder is reached as /proc/self/fd/N/NAME: the kernel leads it to
the folder that was opened, whatever its path has become since, and the last component is never followed.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import ctypes
import errno
import grp
import json
import os
import pwd
import re
import select
import signal
import stat
import time

from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

# Linux's numbers, which Python 2.7 and 3 name alike, but for O_CLOEXEC.
O_CLOEXEC = getattr(os, "O_CLOEXEC", 0o2000000)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | O_CLOEXEC
# As many links as the kernel follows in one path.
_LINKS = 40
# Who looks for an account that is in no group besides its own, or yet to be made.
NOBODY = {"uid": 65534, "gid": 65534, "groups": []}


class UnsafePath(Exception):
    """A path that leads through something that another account placed; the text names the component."""


def open_regular(path, flags=os.O_RDONLY, mode=0o600, links=False, called=None):
    """A descriptor of a regular file, never waiting for a fifo's other end nor opening a device.

    Its last component is no link, but for who looks with the rights of the account whose it is, or at what is root's
    alone: ``links``. ``called``: the path as errors tell it. Raises UnsafePath for what is no regular file.
    """
    called = called or path
    try:
        # What is there is looked at before it is opened: to open a device may already do something.
        found = os.stat(path) if links else os.lstat(path)
    except OSError as error:
        if error.errno != errno.ENOENT or not flags & os.O_CREAT:
            raise OSError(error.errno, error.strerror, called)
        found = None
    if found is not None and not stat.S_ISREG(found.st_mode):
        raise UnsafePath("%s: is no regular file" % called)
    flags |= os.O_NONBLOCK | os.O_NOCTTY | O_CLOEXEC | (0 if links else os.O_NOFOLLOW)
    try:
        handle = os.open(path, flags, mode)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise UnsafePath("%s: is no regular file" % called)
        raise OSError(error.errno, error.strerror, called)
    # Another one may have come in its place.
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise UnsafePath("%s: is no regular file" % called)
    return handle


def _ours(uid):
    """Whether an account is root, or who runs this: what a plain user owns is nothing to defend it against."""
    return uid in (0, os.geteuid())


def has_acl(path):
    """Whether an access list lets named accounts or groups to a file, whose mode then tells the most that they may."""
    name = "system.posix_acl_access"
    if hasattr(os, "getxattr"):
        try:
            return bool(os.getxattr(path, name))
        except OSError:
            return False
    try:
        # Python 2 has no call for it.
        return ctypes.CDLL(None).lgetxattr(native(path), name, None, 0) > 0
    except (AttributeError, OSError):
        return False


def others_write(found, path):
    """Why somebody besides root may change what this lstat result describes; None where nobody may.

    ``path``: by which its access list is looked at, whose most the bits of the group tell.
    """
    if not _ours(found.st_uid):
        return "it belongs to %s" % account_name(found.st_uid)
    if stat.S_ISLNK(found.st_mode):
        return None
    if found.st_mode & stat.S_IWOTH:
        return "every account may write there"
    if found.st_mode & stat.S_IWGRP and found.st_gid != 0:
        return "the group %s may write there" % group_name(found.st_gid)
    if found.st_mode & stat.S_IWGRP and has_acl(path):
        return "an access list (getfacl) lets others write there"
    return None


def account_name(uid):
    """The name of an account, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid):
    """The name of a group, or its number where it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


class Folder:
    """A folder that is held open, so that what happens to its path does not matter; a context manager.

    ``trusted``: whether nobody but root could have changed any component on the way, nor can change the folder itself;
    ``why``: else a text that names the first component that another account can change, and ``whose`` that account is:
    its uid, nobody's where several may, and None in a folder such as /tmp, where nobody moves what is another's.
    """

    # What one trusts has none.
    whose = None

    def __init__(self, path, create=False):
        """Open ``path`` component by component. A link is followed only where root alone could have put it.

        ``create``: make what is missing, root's and 0755; never below a component that another account can write, where
        it raises UnsafePath. Raises UnsafePath for a link or another kind of file that another account can have put
        there, and OSError (ENOENT, ENOTDIR) for what is not there.
        """
        self.path = os.path.normpath(path)
        if not os.path.isabs(self.path):
            raise UnsafePath("%s: is not absolute" % path)
        self.handle = os.open("/", _FOLDER)
        self.trusted, self.why = True, None
        self._walked = "/"
        self._sticky = False
        try:
            self._walk([part for part in self.path.split("/") if part], create)
        except BaseException:
            self.close()
            raise

    def _walk(self, parts, create):
        parts, links = list(parts), 0
        while parts:
            name = parts.pop(0)
            if name == "..":
                # It comes out of a link of root's only; what is above an open folder is told by the kernel.
                self._step(os.open(self.at(".."), _FOLDER), os.path.dirname(self._walked))
                continue
            found = self.lstat(name)
            here = os.path.join(self._walked, name)
            if found is None and create:
                if not self.trusted:
                    raise UnsafePath("%s: is missing, and %s" % (here, self.why))
                os.mkdir(self.at(name), 0o755)
                os.chmod(self.at(name), 0o755)
                found = self.lstat(name)
            if found is None:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), here)
            if stat.S_ISLNK(found.st_mode):
                if not self.trusted or not _ours(found.st_uid):
                    why = self.why or "it belongs to %s" % account_name(found.st_uid)
                    raise UnsafePath("%s: is a link that another account can have put there (%s)" % (here, why))
                links += 1
                if links > _LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), here)
                target = os.readlink(self.at(name))
                if target.startswith("/"):
                    self._step(os.open("/", _FOLDER), "/")
                parts = [part for part in target.split("/") if part not in ("", ".")] + parts
                continue
            if not stat.S_ISDIR(found.st_mode):
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), here)
            try:
                handle = os.open(self.at(name), _FOLDER)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    raise UnsafePath("%s: became something else while it was looked at" % here)
                raise
            self._step(handle, here)

    def _step(self, handle, walked):
        os.close(self.handle)
        self.handle, self._walked = handle, walked
        self._judge()

    def _judge(self):
        """Whether the folder that is open now, and was the last step, can be trusted as those above it."""
        found = os.fstat(self.handle)
        if self._sticky and _ours(found.st_uid):
            # Whoever may write a sticky folder, as /tmp is, still cannot move what is root's there.
            self.trusted, self.why, self.whose = True, None, None
        elif self._sticky:
            self.whose = found.st_uid
        self._sticky = False
        why = others_write(found, self.at("."))
        if why and self.trusted:
            self.trusted, self.why = False, "%s: %s" % (self._walked, why)
            self._sticky = bool(_ours(found.st_uid) and found.st_mode & stat.S_ISVTX)
            self.whose = None if self._sticky else NOBODY["uid"] if _ours(found.st_uid) else found.st_uid

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.close()

    def close(self):
        """Close it; twice is no harm."""
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None

    def at(self, name):
        """A path that leads to a name in this very folder, for any call that does not follow its last component."""
        return "/proc/self/fd/%d/%s" % (self.handle, name)

    def stat(self):
        """What the folder itself is."""
        return os.fstat(self.handle)

    def lstat(self, name):
        """What a name in it is, or None where nothing is there."""
        try:
            return os.lstat(self.at(name))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise

    def names(self):
        """The names in it, sorted."""
        return sorted(os.listdir("/proc/self/fd/%d/." % self.handle))

    def open_folder(self, name):
        """A folder in it, held open; never through a link."""
        inner = Folder.__new__(Folder)
        inner.path = os.path.join(self.path, name)
        inner._walked = os.path.join(self._walked, name)
        try:
            inner.handle = os.open(self.at(name), _FOLDER)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise UnsafePath("%s: is no folder, or a link to one" % inner.path)
            raise
        inner.trusted, inner.why, inner._sticky = self.trusted, self.why, self._sticky
        inner.whose = self.whose
        inner._judge()
        return inner

    def open_file(self, name, flags=os.O_RDONLY, mode=0o600):
        """A descriptor of a regular file in it, never through a link, and never waiting for a fifo's other end."""
        return open_regular(self.at(name), flags, mode, called=os.path.join(self.path, name))

    def remove(self, name):
        """Remove a name and all below it, never through a link and never on another file system's mount.

        However deep it is, two folders are open at a time: what is below comes up to the folder that is to go.
        """
        found = self.lstat(name)
        if found is None:
            return
        if not stat.S_ISDIR(found.st_mode):
            os.unlink(self.at(name))
            return
        mounts = _mounts()
        with self.open_folder(name) as doomed:
            number = 0
            while True:
                names = doomed.names()
                if not names:
                    break
                for below in names:
                    number = doomed._flatten(below, number, mounts)
        os.rmdir(self.at(name))

    def _flatten(self, name, number, mounts):
        """Remove a name; folders in it come up here under new names. Returns the next number for such a name.

        ``mounts``: where something is mounted. A part of this very file system may be (--bind), whose files are not
        those of the folder.
        """
        found = self.lstat(name)
        if found is None:
            return number
        if not stat.S_ISDIR(found.st_mode):
            os.unlink(self.at(name))
            return number
        with self.open_folder(name) as inner:
            if inner.stat().st_dev != self.stat().st_dev or os.readlink("/proc/self/fd/%d" % inner.handle) in mounts:
                raise OSError(errno.EXDEV, "another file system is mounted there", inner.path)
            for below in inner.names():
                found = inner.lstat(below)
                if found is not None and stat.S_ISDIR(found.st_mode):
                    while self.lstat(".gone-%d" % number) is not None:
                        number += 1
                    try:
                        os.rename(inner.at(below), self.at(".gone-%d" % number))
                    except OSError as error:
                        if error.errno != errno.EXDEV or found.st_dev != self.stat().st_dev:
                            raise
                        # A folder of a lower layer of an overlay: no account has made it as deep as it likes.
                        inner.remove(below)
                elif found is not None:
                    os.unlink(inner.at(below))
        try:
            os.rmdir(self.at(name))
        except OSError as error:
            # Somebody made something new in it meanwhile: the next look takes it.
            if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):
                raise
        return number


def _mounts():
    """The paths at which something is mounted, as this process sees them."""
    try:
        with open("/proc/self/mountinfo", "rb") as source:
            found = [line.split()[4] for line in source.read().splitlines() if line.count(b" ") > 4]
    except (IOError, OSError):
        return set()
    # A blank and the like is written as a backslash and three octal digits.
    return set(native(re.sub(br"\\([0-7]{3})", lambda code: _byte(int(code.group(1), 8)), path)) for path in found)


def _byte(number):
    return bytes(bytearray([number]))


def split(path):
    """The folder of a path, held open, and the name in it: ``with split(path)[0] as folder`` closes it."""
    path = os.path.normpath(path)
    return Folder(os.path.dirname(path)), os.path.basename(path)


def remove_tree(path):
    """Remove a file or a folder with all below it, never through a link; nothing there is no error."""
    try:
        folder, name = split(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return
        raise
    with folder:
        folder.remove(name)


def read_file(path, limit=None, offset=0):
    """The bytes of a regular file, from an offset on, at most so many; never through another account's link."""
    folder, name = split(path)
    with folder:
        with os.fdopen(folder.open_file(name), "rb") as source:
            source.seek(offset)
            return source.read() if limit is None else source.read(limit)


def size(path):
    """How long a regular file is; 0 where there is none, or where another account's link leads to it."""
    try:
        folder, name = split(path)
    except (OSError, UnsafePath):
        return 0
    with folder:
        found = folder.lstat(name)
    return found.st_size if found is not None and stat.S_ISREG(found.st_mode) else 0


def untrusted(path):
    """Why another account could change what a path leads to, or None where only root can.

    Looks at every component that is there, links of root's followed; what is missing counts for nothing.
    """
    path = os.path.normpath(path)
    while True:
        try:
            with Folder(path) as folder:
                return folder.why
        except UnsafePath as error:
            return str(error)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR) or path == "/":
                raise
            path = os.path.dirname(path)


def nearest(path):
    """The innermost folder on the way to a path that is there, held open; raises UnsafePath as Folder does."""
    path = os.path.normpath(path)
    while True:
        try:
            return Folder(path)
        except OSError as error:
            if error.errno != errno.ENOENT or path == "/":
                raise
            path = os.path.dirname(path)


def untrusted_target(path, inside=None):
    """Why another account could change what an absolute path leads to, a file at its end as well; None for root alone.

    Every component and every link is judged before it is followed, so that nobody can change the answer meanwhile.
    What is missing in a folder of root's counts for nothing. ``inside``: a tree that is known to be root's.
    """

    def begin(target):
        if inside and (target + "/").startswith(inside + "/"):
            return inside, [part for part in target[len(inside):].split("/") if part]
        return "/", [part for part in target.split("/") if part]

    links = 0
    done, parts = begin(path)
    while True:
        known = inside and (done + "/").startswith(inside + "/")
        why = None if known else others_write(os.lstat(done), done)
        if why:
            return "%s: %s" % (done, why)
        if not parts:
            return None
        name = parts.pop(0)
        here = os.path.dirname(done) if name == ".." else os.path.join(done, name) if name != "." else done
        try:
            found = os.lstat(here)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return None
            raise
        if not stat.S_ISLNK(found.st_mode):
            done = here
            continue
        links += 1
        if links > _LINKS or (found.st_uid != 0 and not known):
            return "%s: is a link of %s" % (here, account_name(found.st_uid))
        target = os.readlink(here)
        if target.startswith("/"):
            done, more = begin(target)
        else:
            more = [part for part in target.split("/") if part]
        parts = more + parts


# -- with another account's rights ----------------------------------------------------------------------------------


def account(user, group=None):
    """``{uid, gid, groups}`` of an account by its name, as systemd gives them to a unit with User= and Group=."""
    found = pwd.getpwnam(user)
    groups = [item.gr_gid for item in grp.getgrall() if user in item.gr_mem]
    return {"uid": found.pw_uid, "gid": found.pw_gid if group is None else grp.getgrnam(group).gr_gid, "groups": groups}


def drop_to(who):
    """Give up root for good; in a child of a fork only. ``who``: uid, gid and groups."""
    if os.getuid() == 0 and who["uid"] != 0:
        os.setgroups(who["groups"])
        os.setgid(who["gid"])
        os.setuid(who["uid"])


def as_account(who, call, errors=(), seconds=None):
    """What ``call()`` returns, called in a child process with another account's rights; JSON must be able to hold it.

    ``who``: uid, gid and groups; ``errors``: kinds of exceptions that are raised again as such, with their text;
    ``seconds``: how long it may take, where the account can have it wait for ever, as a file system of its own does.
    Raises RuntimeError where no answer came. Whoever is not root, and for root itself, just calls.
    """
    if os.geteuid() != 0 or who["uid"] == 0:
        return call()
    known = dict((kind.__name__, kind) for kind in tuple(errors) + (OSError, IOError))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            if seconds is not None:
                _hold_nothing()
            drop_to(who)
            try:
                said = {"value": call()}
            except tuple(errors) as error:
                said = {"kind": type(error).__name__, "text": str(error)}
            except (IOError, OSError) as error:
                said = {"kind": "OSError", "errno": error.errno, "text": error.strerror, "path": error.filename}
            except Exception as error:
                said = {"kind": "", "text": repr(error)}
            with os.fdopen(writing, "wb") as target:
                target.write(json.dumps(said).encode("utf-8") + b"\n")
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    try:
        text = _line(reading, seconds)
    finally:
        os.close(reading)
    if text is None:
        _end(child)
        raise RuntimeError("a look with the rights of %s took over %d s" % (account_name(who["uid"]), seconds))
    os.waitpid(child, 0)
    if not text:
        raise RuntimeError("a look with the rights of %s ended without an answer" % account_name(who["uid"]))
    said = json.loads(text.decode("utf-8"))
    if "kind" not in said:
        return said["value"]
    if said["kind"] == "OSError":
        raise OSError(said["errno"], native(said["text"]), native(said["path"]))
    if said["kind"] in known:
        raise known[said["kind"]](native(said["text"]))
    raise RuntimeError(native(said["text"]))


def _hold_nothing():
    """In a child that may stay for ever: let go of what somebody waits for the end of."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    os.close(nothing)


def _line(handle, seconds):
    """A line out of a pipe, empty where the other end was closed; None where the time was up before.

    To its end and no further: another thread's child may hold the other end of the pipe as well.
    """
    waiting, parts = select.poll(), []
    waiting.register(handle, select.POLLIN)
    end = None if seconds is None else time.time() + seconds
    while not parts or not parts[-1].endswith(b"\n"):
        # The account may stop its process, so that no clock of the process's own would help.
        if end is not None and not waiting.poll(max(0, end - time.time()) * 1000):
            return None
        more = os.read(handle, 65536)
        if not more:
            return b""
        parts.append(more)
    return b"".join(parts)


def _end(child):
    """End a child; one that the kernel does not let go yet is not waited for."""
    os.kill(child, signal.SIGKILL)
    for _time in range(20):
        if os.waitpid(child, os.WNOHANG)[0]:
            return
        time.sleep(0.05)


def may_write(who, path, folder=False):
    """Whether an account may write a file, or make files in a folder, as the kernel itself judges that path for it."""
    wanted = os.W_OK | os.X_OK if folder else os.W_OK
    # A process for each question would be half of what a run that changes nothing takes.
    if _lets_its_owner(path, who["uid"], 0o300 if folder else 0o200):
        # As root: what remains are file systems that nobody writes.
        return os.access(path, wanted)
    return as_account(who, lambda: os.access(path, wanted))


def _lets_its_owner(path, uid, bits):
    """Whether modes alone tell that the owner of a path has these rights: no link, no access list on the way to it."""
    if not path.startswith("/") or path != os.path.normpath(path):
        return False
    try:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode) or found.st_uid != uid or found.st_mode & bits != bits:
            return False
        while path != "/":
            path = os.path.dirname(path)
            found = os.lstat(path)
            if not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o111 != 0o111 or has_acl(path):
                return False
    except OSError:
        return False
    return True
