# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What applications have written: their folders and logs, kept and told of, or removed."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import os
import re
import stat

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    layout,
    left_data,
    left_notes,
    removal_survey,
    safe_path,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.removal_steps import NGINX_CONF, Steps

NGINX_LOGS = layout.NGINX_LOG_DIR
# What the role publish makes in an application's folder.
_OF_AN_APP = re.compile(r"(current|logs|releases|repo|shared|venvs?|\.(new|old)-.*)\Z")
# What a rotation appends to the name of a log: a number or a date, and how it is packed.
_ROTATED = r"([.-]\d[\w.-]*)?\Z"


class Data(Steps):
    """The steps of a removal for all that an application has written; see Removal."""

    def _folders(self, app, going):
        """The folders that were made for an application; one with code of its own in it is somebody's."""
        return left_data.made_for(app, self.roots, getattr(going, "own", {}).get(app, ()))

    def _note(self, going):
        """Note what goes before it does: a run that is killed on the way must not forget what is left."""
        left_data.note(going.set.name, dict((app, self._folders(app, going)) for app in going.apps), self.check_mode)

    def _data(self, going):
        """What is in the folders of what goes, or went before: kept and told, or removed."""
        live = set(app for name in self.sets for app in self.sets[name].apps)
        live -= set(app for other in self.going for app in other.apps)
        found = dict((app, self._folders(app, going)) for app in going.apps)
        found.update((app, paths) for app, paths in going.set.dropped.items() if app in going.dropped)
        for app, paths in sorted(found.items()):
            if app not in live:
                for path in paths:
                    self._datum(path, "code, virtualenvs and what the application %s has written" % app)
        for log in getattr(going, "logs", []):
            self._log(log, going)
        if not self.check_mode:
            left_data.left(going.set.name, {})
        elif all(path in self.removed or not os.path.lexists(path) for paths in found.values() for path in paths):
            if set(left_notes.noted(going.set.name)) <= set(found):
                self.removed.append(left_notes.note_of(going.set.name))

    def _datum(self, path, what):
        if not os.path.lexists(path):
            return
        self.users.update(_owners(path))
        if not self.wanted["data"]:
            self._keep(path, what)
        elif self.places["root"] or os.path.dirname(path) != self.roots[0]:
            self._remove(path)
        else:
            self._datum_beside_others(path)

    def _datum_beside_others(self, path):
        """An application's folder in one of everybody's, as /srv is, which may have been there before it."""
        names = self._names_in(path, "cannot be removed: %s")
        if names is None:
            return
        for name in names:
            if _OF_AN_APP.match(name):
                self._remove(os.path.join(path, name))
            else:
                self._keep(os.path.join(path, name), "was not made here")
        self._rmdir_made(path)

    def _names_in(self, path, why):
        """The names in a folder; where it cannot be looked at it stays, and is told with ``why``, for None."""
        try:
            with safe_path.Folder(path) as folder:
                return folder.names()
        except (safe_path.UnsafePath, IOError, OSError) as error:
            self._keep(path, why % error)
            return None

    def _log(self, log, going):
        """A log outside of the application's folders, with what rotation has made of it."""
        folder, name = os.path.split(log)
        if any((log + "/").startswith(path + "/") for app in going.apps for path in self._folders(app, going)):
            return
        if log.startswith("/dev/"):
            return
        try:
            with safe_path.Folder(folder) as found:
                names = [other for other in found.names() if re.match(re.escape(name) + _ROTATED, other)]
                names = [other for other in names if not _is_folder(found.lstat(other))]
        except (safe_path.UnsafePath, IOError, OSError):
            return
        ours = folder in going.made or folder in [NGINX_LOGS] + self.roots
        rotated = [layout.logrotate(going.set.bundle(kind)) for kind in removal_survey.KINDS]
        others = set(other for path in rotated for other in removal_survey.logs_of(path)).difference(going.logs)
        others.update(self._logs_of_others(going))
        for path in [os.path.join(folder, other) for other in names]:
            if path in others:
                continue
            if self.wanted["data"] and ours:
                self._remove(path)
            else:
                self._keep(path, "is a log" if ours else "is a log, in a folder that was not made here")
        if folder in going.made and self.wanted["data"]:
            self._rmdir_made(folder)

    def _logs_left(self, going):
        """The folders that a set which goes had made for logs elsewhere: their logs too stay, or go with the data.

        As long as there are any the set's manifests stay, which tell that the folders were made for it.
        """
        homes = tuple(path + "/" for path in self.roots)
        used = set(os.path.dirname(log) for log in self._logs_of_others(going))
        left = []
        for path in sorted(going.made, reverse=True):
            ours = not path.startswith(homes + ("/etc/", "/run/")) and path not in self.roots + ["/etc", "/run"]
            if not ours or path in used or path in self.removed or not os.path.isdir(path) or os.path.islink(path):
                continue
            names = self._names_in(path, "was made for logs: %s")
            if names is None:
                continue
            for name in names:
                log = os.path.join(path, name)
                if self.wanted["data"] and ".log" in name:
                    if log not in self.removed:
                        self._remove(log)
                else:
                    self._keep(log, "is a log" if ".log" in name else "is in a folder that was made for logs")
            self._rmdir_made(path)
            if path not in self.removed:
                left.append(path)
        return left

    def _logs_of_others(self, going):
        """The logs that nginx and the applications of what stays write."""
        names = glob.glob("/etc/nginx/*.d/*.conf") + glob.glob("/etc/logrotate.d/publish-*")
        mine = set(path for kind in removal_survey.KINDS for path in going.set.files[kind])
        return [log for path in names if path not in mine for log in removal_survey.logs_of(path)]

    def _is_logged_by_others(self, log, going):
        """Whether a server block that stays, or nginx.conf, writes this log too."""
        names = glob.glob("/etc/nginx/*.d/*.conf") + [NGINX_CONF]
        return any(log in removal_survey.logs_of(path) for path in names if path not in going.blocks)


def _is_folder(found):
    return found is not None and stat.S_ISDIR(found.st_mode)


def _owners(path):
    """The accounts that a folder and what is right in it belong to."""
    try:
        with safe_path.Folder(path) as folder:
            numbers = [folder.stat().st_uid]
            numbers += [found.st_uid for found in [folder.lstat(name) for name in folder.names()] if found]
    except (safe_path.UnsafePath, IOError, OSError):
        return set()
    return set(safe_path.account_name(number) for number in numbers if number)
