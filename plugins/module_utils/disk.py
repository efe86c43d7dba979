# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Paths, folders and links, for Python 2.7 and 3 alike."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os

# What is true only of what runs now; gone after a reboot, as that is.
STATE_DIR = "/run/graceful-wsgi"


def encoded(text):
    """Text as bytes; bytes stay bytes."""
    return text if isinstance(text, bytes) else text.encode("utf-8")


def native(text):
    """Text as the ``str`` of this Python, in which Ansible hands paths to modules; None stays None."""
    if text is None or isinstance(text, str):
        return text
    return text.encode("utf-8") if str is bytes else text.decode("utf-8", "replace")


def make_folders(path):
    """Make a folder and what is missing above it, 0755 whatever the umask is."""
    if os.path.isdir(path):
        return
    make_folders(os.path.dirname(path))
    try:
        os.mkdir(path, 0o755)
    except OSError as error:
        # Another thread or process was first.
        if error.errno != errno.EEXIST or not os.path.isdir(path):
            raise
        return
    os.chmod(path, 0o755)


def switch_link(link, target):
    """Point a symlink at a target in one step; returns whether it pointed elsewhere."""
    try:
        if os.readlink(link) == target:
            return False
    except OSError:
        if os.path.lexists(link):
            raise IOError("%s: is not a symlink; move it away, one is to stand there" % link)
    # Its name is known, so that one that a killed run left goes.
    temporary = os.path.join(os.path.dirname(link), ".%s.new" % os.path.basename(link))
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(target, temporary)
    os.rename(temporary, link)
    return True
