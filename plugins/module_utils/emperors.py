# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Vassals of an emperor: one ends when its file goes from the emperor's folder, and comes again when that is back.

The file stays beside under a name that no emperor takes for a configuration, and is moved where root alone writes.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

from ansible_collections.graceful.wsgi.plugins.module_utils import procfs, safe_path

KIND = "emperor"
# An emperor takes .ini, .xml, .yml, .yaml, .json and .js, and what emperor-extra-extension says.
ASIDE = ".adopted-by-graceful-wsgi"
# It looks at its folder each three seconds (emperor-freq), and gives a vassal time to end.
PATIENCE = 20
# Handed by an emperor to each vassal.
SIGN = "UWSGI_EMPEROR_FD"


def file_of(pid, files):
    """The file among those of an application that an emperor has started this process with, or None."""
    words = [os.path.basename(word) for word in procfs.words(pid)[1:]]
    named = [path for path in files if os.path.basename(path) in words]
    return named[0] if len(named) == 1 and SIGN in procfs.environment(pid) else None


def cannot_move(path):
    """Why a file is not moved, or None."""
    folder = os.path.dirname(path)
    why = safe_path.untrusted(folder)
    return "%s: %s; root moves nothing there" % (folder, why) if why else None


def _move(path, source, target):
    """Give a name in the folder of a path another one, if it is there; whether it was."""
    with safe_path.Folder(os.path.dirname(path)) as folder:
        if folder.why:
            raise safe_path.UnsafePath("%s: %s; root moves nothing there" % (folder.path, folder.why))
        if folder.lstat(source) is None or folder.lstat(target) is not None:
            return False
        # A link is moved itself, and never what it leads to.
        os.rename(folder.at(source), folder.at(target))
        return True


def take_away(path):
    """Have the emperor end the vassal of a file; whether the file was there."""
    name = os.path.basename(path)
    return _move(path, name, name + ASIDE)


def put_back(path):
    """Have the emperor start it again; whether the file had been taken away."""
    name = os.path.basename(path)
    return _move(path, name + ASIDE, name)
