# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What only the host can tell of a file with secrets that was there before: whose it is, and what systemd makes of it.

No message repeats a value.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import re
import stat

from ansible_collections.graceful.wsgi.plugins.module_utils import environment_file, safe_path
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import has_acl

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# What uWSGI and systemd tell each other this way; the plan refuses the same in env and secrets.
RESERVED = re.compile(
    r"(UWSGI_|LISTEN_|WATCHDOG_|SYSTEMD_)"
    r"|(NOTIFY_SOCKET|MAINPID|MANAGERPID|INVOCATION_ID|JOURNAL_STREAM|CREDENTIALS_DIRECTORY)\Z"
)
# systemd drops a variable with one of them, and writes it, value and all, to the journal; a line break not every one
# takes, and a code point that Unicode keeps free fails the unit.
REFUSED = re.compile(u"[\x00-\x08\x0a-\x1f\x7f\ufdd0-\ufdef\ufffd-\uffff]")
# More than any environment takes (MAX_ARG_STRLEN for each variable).
LONGEST = 1 << 20


def _of_the_file(path):
    """Why a path is no file that root alone reads and changes, and the cure; None where it is."""
    try:
        why = safe_path.untrusted_target(path)
        if why:
            return "another account can change what it leads to (%s)" % why, "keep it in a folder of root's, below /etc"
        folder, name = safe_path.split(path)
        with folder:
            found = folder.lstat(name)
    except (safe_path.UnsafePath, EnvironmentError) as error:
        if getattr(error, "errno", None) not in (errno.ENOENT, errno.ENOTDIR):
            return "%s cannot be looked at: %s" % (path, error), "keep it in a folder of root's, below /etc"
        # Its folder is not there either.
        found = None
    if found is None:
        return "there is no file %s on the host" % path, "put it there, or write secrets"
    if not stat.S_ISREG(found.st_mode):
        return "%s is no regular file" % path, "name the file itself"
    readers = found.st_mode & 0o007 or (found.st_mode & 0o070 and found.st_gid != 0)
    if found.st_uid != 0 or readers:
        owner = "%s:%s" % (safe_path.account_name(found.st_uid), safe_path.group_name(found.st_gid))
        message = "%s is for others than root (%s, mode %04o)" % (path, owner, stat.S_IMODE(found.st_mode))
        return message, "run `chown root:root %s; chmod 0600 %s`" % (path, path)
    if found.st_mode & 0o070 and has_acl(path):
        message = "%s has an access list (getfacl) that lets others than root read it" % path
        return message, "run `setfacl -b %s; chmod 0600 %s`" % (path, path)
    return None


def _of_its_words(path, known):
    """Why not all that it says arrives; ``known``: names that the variables give already."""
    text = safe_path.read_file(path, LONGEST).decode("utf-8", "replace")
    pairs = environment_file.parse(text)
    for name, value in pairs:
        said = native(name)
        if not NAME.match(said):
            # Of a line without a name, what stands there may be a part of a secret.
            return "a name in %s is none of a variable, and systemd would drop it" % path, "write NAME=value lines"
        if RESERVED.match(said):
            return "%s is a name by which uWSGI and systemd talk to each other" % said, "take it out of %s" % path
        if REFUSED.search(value):
            message = "%s in %s holds a character that systemd does not hand over" % (said, path)
            return message, "put it through base64 and decode it in the application"
        if said in known:
            message = "%s in %s is in env or secrets as well, and the application would see only one" % (said, path)
            return message, "leave one of the two out"
    if not pairs:
        return "%s sets no variable" % path, "write NAME=value lines, or leave secrets_file out"
    return None


def secrets_file(checks, _tools):
    """Refuse a file that others than root can read or change, or that systemd would not take as it stands."""
    found = []
    for check in checks:
        path, known = native(check["path"]), [native(name) for name in check["names"]]
        told = _of_the_file(path) or _of_its_words(path, known)
        if told:
            found.append((check["variable"],) + told)
    return found


KINDS = {"secrets_file": secrets_file}
