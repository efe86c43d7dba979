# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The small steps of a removal: each looks at the host, in check mode too, and tells what goes and what stays."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import json
import os
import stat

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    bundle,
    disk,
    layout,
    manifests,
    ownership,
    removal_survey,
    safe_path,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.bundle_entries import File
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import content_of, lstat, unlink

# Files of an application's that hold NAME=value lines for systemd.
SECRET = (".env", ".secrets")
NGINX = layout.NGINX_BINARY
NGINX_CONF = layout.NGINX_CONF
NGINX_PID = layout.NGINX_PIDFILE
TEST = {"tree": layout.NGINX_DIR, "command": NGINX + " -t -q -c {tree}/nginx.conf -g 'pid {tree}/test.pid;'"}


class Known(bundle.Bundle):
    """A bundle of which nothing is wanted any more; where its manifest is lost, ``adopted`` names its files."""

    adopted = None

    def _load(self, name):
        found = bundle.Bundle._load(self, name)
        if name == "manifest.json" and self.adopted:
            dropins = [os.path.dirname(path) for path in self.adopted if layout.parse_dropin(path)]
            folders = sorted(manifests.made_folders(found).union(dropins))
            # Secrets lie in files of NAME=value lines, of which no diff tells the values.
            secret = set(path for path in self.adopted if path.endswith(SECRET))
            secret = sorted(secret.union(found.get("secret", [])))
            files = dict(found.get("files", {}), **self.adopted)
            found = dict(found, files=files, folders=folders, secret=secret)
        return found


class Steps:
    """What a removal is made of; Removal says what its attributes are."""

    def _say(self, text, path=None):
        if text not in self.gone:
            self.gone.append(text)
        if path:
            self.removed.append(path)

    def _keep(self, path, why):
        if (path, why) not in self.kept:
            self.kept.append((path, why))

    def _systemctl(self, *words):
        return self.run(["systemctl", "--no-ask-password"] + list(words))

    def _remove(self, path, text=None):
        """Remove a file or a folder with all in it, never through a link; what cannot be is kept and told."""
        if not os.path.lexists(path):
            return
        if not self.check_mode:
            try:
                safe_path.remove_tree(path)
            except (safe_path.UnsafePath, IOError, OSError) as error:
                self._keep(path, "cannot be removed: %s" % error)
                return
        self._say(text or path, path)

    def _rmdir(self, path):
        """Remove a folder of root's that is empty, or will be."""
        found = lstat(path) if path else None
        if found is None or not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return
        if self.check_mode:
            names = [os.path.join(path, native(name)) for name in os.listdir(path)]
            if all(name in self.removed for name in names):
                self._say(path, path)
            return
        try:
            os.rmdir(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                raise
            return
        self._say(path, path)

    def _rmdir_made(self, path):
        """Remove an empty folder that an earlier run made, be it an account's by now."""
        if not os.path.isdir(path) or os.path.islink(path):
            return
        try:
            folder, name = safe_path.split(path)
            with folder:
                with folder.open_folder(name) as inner:
                    names = [os.path.join(path, other) for other in inner.names()]
                if any(other not in self.removed for other in names):
                    return
                if not self.check_mode:
                    os.rmdir(folder.at(name))
        except (safe_path.UnsafePath, IOError, OSError) as error:
            self._keep(path, "cannot be removed: %s" % error)
            return
        self._say(path, path)

    def _bundle(self, name, gone=None, rewritten=None, activate=None, nginx=False):
        """Have files of a bundle go, all where none are named; those that somebody has edited stay."""
        adopted = self.adopted.get(name, {})
        if name not in removal_survey.bundle_names() and not adopted:
            return
        files = [
            File(path, disk.encoded(text), mode=0o644, owner="root", group="root")
            for path, text in sorted((rewritten or {}).items())
        ]
        work = Known(
            name,
            [],
            files,
            [TEST] if nginx and os.path.exists(NGINX) and os.path.exists(NGINX_CONF) else [],
            self._run_command,
            self.relabel,
            prune=gone is None,
            remove=gone or (),
            activate=activate,
            nginx=NGINX_PID if nginx and activate else None,
            check_mode=self.check_mode,
        )
        work.adopted = adopted
        work.run()
        if not self.check_mode:
            # Nobody takes back what was asked for; secrets of what went are not kept for that.
            unlink(os.path.join(work.home, "previous.json"))
        report = work.report()
        for item in report["files"]:
            if item["state"] == "removed":
                self._say(item["dest"], item["dest"])
            elif item["state"] != "unchanged":
                self._say("%s: what it says of them" % item["dest"])
        if work.overdue or work.interrupted:
            self._say("what a run that was cut off had begun (bundle %s)" % name)
        for path in work.kept:
            self._keep(path, "is not as it was written here: it is yours now")
        self.diffs += work.diff()
        for folder in sorted(set(os.path.dirname(path) for path in self.removed), reverse=True):
            if folder in manifests.made_folders(work._load("manifest.json")) and not os.path.isdir(folder):
                self.removed.append(folder)

    def _run_command(self, command):
        return self.run(command, environ_update={"LC_ALL": "C"}, handle_exceptions=False)

    def _forget(self, name):
        """Remove what is known of a bundle that has no file any more."""
        left = [path for path in ownership.recorded(name) or {} if os.path.lexists(path)]
        if left and not self.check_mode:
            return
        self._remove(os.path.join(ownership.STATE_DIR, name))

    def _made_by(self, name):
        """The folders that runs of a bundle made."""
        text = content_of(os.path.join(ownership.STATE_DIR, name, "manifest.json"))
        return manifests.made_folders(_json(text)) if text else set()

    def _made_folders(self, name):
        for path in sorted(self._made_by(name), reverse=True):
            self._rmdir(path)


def _json(text):
    return json.loads(text.decode("utf-8"))
