# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tests what a bundle is to write on staged copies, before anything of it is live."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import shutil
import stat

from ansible_collections.graceful.wsgi.plugins.module_utils.bundle_entries import BundleError
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import unlink, write_bytes


def copy_tree(root, copy):
    """Copy a folder with its symlinks: what led into it leads into the copy, what led out leads where it did."""
    os.mkdir(copy)
    for base, folders, files in os.walk(root):
        for name in folders + files:
            source = os.path.join(base, name)
            target = os.path.join(copy, os.path.relpath(source, root))
            kind = os.lstat(source).st_mode
            if stat.S_ISLNK(kind):
                leads = os.path.normpath(os.path.join(base, os.readlink(source)))
                os.symlink(copy + leads[len(root):] if (leads + "/").startswith(root + "/") else leads, target)
            elif stat.S_ISDIR(kind):
                os.mkdir(target)
            elif stat.S_ISREG(kind):
                shutil.copy(source, target)


def own_folder(copy, relative):
    """Make a folder in a copied tree; one that a symlink puts outside is copied in, so that none writes through it."""
    path = copy
    for part in relative.split("/") if relative else []:
        path = os.path.join(path, part)
        if os.path.islink(path):
            leads = os.path.realpath(path)
            if (leads + "/").startswith(os.path.realpath(copy) + "/"):
                continue
            os.unlink(path)
            if os.path.isdir(leads):
                copy_tree(leads, path)
        if not os.path.isdir(path):
            os.mkdir(path)


class Trial:
    """One look at all changes. ``todo``: the entries that change; ``removed``: paths that go.

    ``trees``: {tree, command} each; ``call(command)`` returns (status, stdout, stderr); ``missing``: folders that a
    tree's test may ask for are not made yet. ``whole`` is false once a test that was due could not be run.
    """

    def __init__(self, trees, todo, removed, call, check_mode, missing):
        self.trees = trees
        self.todo = todo
        self.removed = removed
        self.call = call
        self.check_mode = check_mode
        self.missing = missing
        self.whole = True

    def judge(self, stage, without=()):
        """Test all changes; ``without``: as if these files were not there."""
        for number, entry in enumerate(self.todo):
            if entry.validate:
                folder = os.path.join(stage, "file%d" % number)
                os.mkdir(folder)
                # The name stays, since uWSGI tells the format by its ending.
                copy = os.path.join(folder, os.path.basename(entry.path))
                write_bytes(copy, entry.content)
                self._run(entry.validate.replace("%s", copy), entry.path, copy, entry.path)
        for number, tree in enumerate(self.trees):
            root = os.path.normpath(tree["tree"])
            touched = list(self.removed) + [entry.path for entry in self.todo]
            if not any(path.startswith(root + "/") for path in touched):
                continue
            if self.missing:
                self.whole = False
                continue
            folder = os.path.join(stage, "tree%d" % number)
            os.mkdir(folder)
            copy = self._stage_tree(root, folder)
            for path in without:
                if path.startswith(root + "/"):
                    unlink(os.path.join(copy, path[len(root) + 1:]))
            self._run(tree["command"].replace("{tree}", copy), root, copy, root)

    def _run(self, command, what, copy, live):
        program = command.split()[0]
        # On a new host check mode comes before the program that would judge the files.
        folders = os.environ.get("PATH", os.defpath).split(":")
        if self.check_mode and not any(os.path.exists(os.path.join(folder, program)) for folder in folders):
            self.whole = False
            return
        status, out, err = self.call(command)
        if status != 0:
            text = "%s is not valid, the live files are untouched: %s said (status %d):\n%s" % (
                what, command, status, (out + err).strip()
            )
            # The user is to read the live path, not that of a copy that is gone by then.
            raise BundleError(text.replace(copy, live))

    def _stage_tree(self, root, stage):
        copy = os.path.join(stage, os.path.basename(root))
        if os.path.isdir(root):
            copy_tree(root, copy)
        else:
            os.mkdir(copy)
        contents = dict((path, None) for path in self.removed)
        contents.update((entry.path, entry.content) for entry in self.todo)
        for path, content in contents.items():
            if path.startswith(root + "/"):
                relative = path[len(root) + 1:]
                own_folder(copy, os.path.dirname(relative))
                target = os.path.join(copy, relative)
                unlink(target)
                if content is not None:
                    write_bytes(target, content)
        return copy
