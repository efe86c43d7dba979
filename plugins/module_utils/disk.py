# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Python 2.7 and 3 do differently with paths and folders, said once."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os


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
    os.mkdir(path, 0o755)
    os.chmod(path, 0o755)
