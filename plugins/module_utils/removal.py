# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes applications, a set or all of this collection off a host; what applications have written stays unless asked.

Each step looks at the host for what there is to do, so that a run that was cut off is made up for by the next one. What
tells of the rest, the bundles' manifests and the notes of what was dropped, goes last.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import glob
import json
import os
import re
import stat
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    accounts,
    bundle,
    disk,
    git_checkout,
    layout,
    left_data,
    nginx_package,
    ownership,
    removal_accounts,
    removal_survey,
    safe_path,
    shared_venvs,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.build_account import HOMES
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.instances import Instance, Instances, former
from ansible_collections.graceful.wsgi.plugins.module_utils.removal_survey import Going, RemovalError, text_of
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_reloading import Lock

STATE = os.path.dirname(ownership.STATE_DIR)
RUN = disk.STATE_DIR
NGINX = "/usr/sbin/nginx"
NGINX_CONF = "/etc/nginx/nginx.conf"
NGINX_PID = "/run/nginx.pid"
NGINX_CACHE = "/var/cache/nginx"
NGINX_LOGS = "/var/log/nginx"
TEST = {"tree": "/etc/nginx", "command": NGINX + " -t -q -c {tree}/nginx.conf -g 'pid {tree}/test.pid;'"}
# What the roles themselves write; a bundle of another name is somebody's who uses the module file_bundle.
OF_ROLES = ("nginx", "uwsgi", "centos7-python", "centos7-selinux")
TAKEN = os.path.join(STATE, "taken-over")
SELINUX_MODULE = "graceful-wsgi"
# Folders of uWSGI's home that the role uwsgi makes: a version for a Python, what builds say, what a run brought.
_VERSION = r"\d[\w.]*-python\d[\w.]*(-[0-9a-f]+)?"
_OF_UWSGI = re.compile(r"(current|%s|\.brought-.*)\Z" % _VERSION)
_IN_FOLDERS = {"log": re.compile(_VERSION + r"\.log\Z"), "tools": re.compile(r"virtualenv-\d[\w.]*\Z")}
# What the role publish makes in an application's folder.
_OF_AN_APP = re.compile(r"(current|logs|releases|repo|shared|venvs?|\.(new|old)-.*)\Z")
# What a rotation appends to the name of a log: a number or a date, and how it is packed.
_ROTATED = r"([.-]\d[\w.-]*)?\Z"
TIMEOUT = 60
BUSY = "another run is bringing applications on this host up to date; wait for it, run again"


class _Known(bundle.Bundle):
    """A bundle of which nothing is wanted any more; where its manifest is lost, ``adopted`` names its files."""

    adopted = None

    def _load(self, name):
        found = bundle.Bundle._load(self, name)
        if name == "manifest.json" and self.adopted:
            dropins = [os.path.dirname(path) for path in self.adopted if layout.parse_dropin(path)]
            folders = sorted(bundle.made_folders(found).union(dropins))
            # Secrets lie in files of NAME=value lines, of which no diff tells the values.
            secret = sorted(set(found.get("secret", [])).union(path for path in self.adopted if path.endswith(".env")))
            files = dict(found.get("files", {}), **self.adopted)
            found = dict(found, files=files, folders=folders, secret=secret)
        return found


class Removal:
    """One removal. ``wanted``: apps, set, all and data; ``places``: root, homes, uwsgi_home, conf_dir.

    ``roots``: folders in which each application has a folder of its name, that of the code first, that of logs next.
    ``run``: AnsibleModule's run_command. What goes, or would, is in ``gone`` (sentences) and ``removed`` (paths), what
    stays in ``kept``, [(path, why)].
    """

    def __init__(self, wanted, roots, places, own_accounts, made, nginx_user, run, relabel, check_mode=False):
        self.wanted = wanted
        self.roots = roots
        self.places = places
        self.own_accounts = own_accounts
        self.made = made
        self.nginx_user = nginx_user
        self.run = run
        self.relabel = relabel
        self.check_mode = check_mode
        self.gone = []
        self.removed = []
        self.kept = []
        self.told = []
        self.diffs = []
        self.data = []
        self.users = set()
        self.reload_systemd = False
        self.sets, self.adopted = removal_survey.all_sets(places["conf_dir"], roots)
        self.going = self._going()

    # -- what is asked ------------------------------------------------------------------------------------------

    @property
    def asked(self):
        """Whether anything is to go at all."""
        return bool(self.wanted["all"] or self.wanted["set"] or self.wanted["apps"])

    def _going(self):
        """The parts of sets that go; a name that nothing has is told."""
        wanted, found = self.wanted, []
        names = sorted(self.sets)
        if wanted["set"]:
            if wanted["set"] not in self.sets:
                self.told.append(
                    "remove_set: there is no publish_set %s on %s, and nothing to do for it; there is %s"
                    % (wanted["set"], os.uname()[1], ", ".join(names) or "none at all")
                )
            names = [name for name in names if name == wanted["set"]]
        if wanted["all"] or (wanted["set"] and not wanted["apps"]):
            return [Going(self.sets[name]) for name in names]
        known = set()
        for name in names if wanted["apps"] else []:
            going = Going(self.sets[name], wanted["apps"])
            known.update(going.apps + going.dropped)
            if going.apps or going.dropped:
                found.append(going)
        unknown = [name for name in wanted["apps"] if name not in known]
        if unknown:
            there = sorted(app for name in names for app in self.sets[name].apps)
            self.told.append(
                "remove_apps: there is no application %s on %s%s, and nothing to do for it; there is %s"
                % (
                    ", ".join(unknown),
                    os.uname()[1],
                    " in publish_set " + wanted["set"] if wanted["set"] else "",
                    ", ".join(there) or "none at all",
                )
            )
        return found

    def listing(self):
        """What of ours is on this host, as sentences."""
        lines = []
        for name in sorted(self.sets):
            of = self.sets[name]
            said = ["application %s" % app for app in sorted(of.apps)] + ["site %s" % site for site in of.sites]
            if said:
                lines.append("publish_set %s: %s" % (name, ", ".join(said)))
            for app, paths in sorted(of.dropped.items()):
                there = [path for path in paths if os.path.lexists(path)]
                if there:
                    lines.append("publish_set %s had the application %s: %s" % (name, app, ", ".join(there)))
        for name in removal_survey.bundle_names():
            if name in OF_ROLES:
                lines.append("%s: %s" % (name, ", ".join(sorted(ownership.recorded(name) or {})) or "no file"))
        lines += [path for path in (self.places["uwsgi_home"], STATE) if path and os.path.isdir(path)]
        return lines

    # -- small steps --------------------------------------------------------------------------------------------

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
        found = bundle.lstat(path) if path else None
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

    def _bundle(self, name, gone=None, rewritten=None, activate=None, nginx=False):
        """Have files of a bundle go, all where none are named; those that somebody has edited stay."""
        adopted = self.adopted.get(name, {})
        if name not in removal_survey.bundle_names() and not adopted:
            return
        files = [
            bundle.File(path, disk.encoded(text), mode=0o644, owner="root", group="root")
            for path, text in sorted((rewritten or {}).items())
        ]
        work = _Known(
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
            bundle.unlink(os.path.join(work.home, "previous.json"))
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
            if folder in bundle.made_folders(work._load("manifest.json")) and not os.path.isdir(folder):
                self.removed.append(folder)

    def _run_command(self, command):
        return self.run(command, environ_update={"LC_ALL": "C"}, handle_exceptions=False)

    def _forget(self, name):
        """Remove what is known of a bundle that has no file any more."""
        left = [path for path in ownership.recorded(name) or {} if os.path.lexists(path)]
        if left and not self.check_mode:
            return
        self._remove(os.path.join(ownership.STATE_DIR, name))

    # -- applications and sites ---------------------------------------------------------------------------------

    def _activate(self):
        """How a running nginx takes up what changed; one that does not run is not started for it."""
        return "systemctl reload nginx.service" if nginx_package.running() else None

    def _apps(self):
        for going in self.going:
            if going.apps or going.sites:
                said = ["application %s" % app for app in going.apps] + ["site %s" % site for site in going.sites]
                self._say("publish_set %s: %s" % (going.set.name, ", ".join(said)))
        planned = [(going, self._files(going)) for going in self.going if going.anything]
        for going, files in planned:
            self._note(going)
            self._bundle(going.set.bundle("sites"), *files["sites"], activate=self._activate(), nginx=True)
        self._end([name for going, _files in planned for name in going.instances])
        for going, files in planned:
            self._bundle(going.set.bundle("apps"), *files["apps"])
            self.reload_systemd = self.reload_systemd or bool(going.instances)
            self._leftovers(going)
        for going in self.going:
            self._data(going)
        for going, _files in planned:
            if going.whole and not self._logs_left(going):
                for kind in removal_survey.KINDS:
                    self._forget(going.set.bundle(kind))
        if not any(os.path.lexists(path) for path in glob.glob(os.path.join(layout.LINK_DIR, "*"))) or (
            self.check_mode and self._all_go()
        ):
            self._rmdir(layout.LINK_DIR)
        self._common_venvs()
        self._rmdir(self.places["root"])
        self._rmdir(left_data.NOTES)

    def _common_venvs(self):
        """Virtualenvs that applications share go with the last one that has a link to any of them."""
        root = self.roots[0]
        if not shared_venvs.used(root, [path for path in self.removed if os.path.dirname(path) == root]):
            self._remove(os.path.join(root, shared_venvs.FOLDER))

    def _all_go(self):
        return not any(
            set(self.sets[name].apps).difference(*[going.apps for going in self.going if going.set.name == name])
            for name in self.sets
        )

    def _files(self, going):
        """{kind: (paths that go or None for all, {path: new text})}, and what is known of them before they go."""
        found = {}
        for kind in removal_survey.KINDS:
            gone, changed = going.files(kind)
            found[kind] = (gone, changed)
        for path in found["apps"][0]:
            user = accounts.user_of(path) if layout.parse_dropin(path) else None
            if user:
                self.users.add(user)
        logs = removal_survey.app_logs(going)
        logs += [log for path in going.blocks for log in removal_survey.logs_of(path)]
        going.logs = [log for log in sorted(set(logs)) if not self._is_logged_by_others(log, going)]
        made = [going.set.bundle(kind) for kind in removal_survey.KINDS]
        going.made = set(folder for name in made for folder in self._made_by(name))
        going.own = {}
        for app in going.apps:
            names = tuple("/%s." % name for name in going.set.apps[app])
            for path in found["apps"][0]:
                if any(name in path for name in names) and not path.endswith(".env"):
                    for place in left_data.own_places(text_of(path), os.path.join(self.roots[0], app)):
                        self._keep(place, "is the application's own folder, which was not made here")
                        going.own.setdefault(app, set()).add(place)
        return found

    def _made_by(self, name):
        """The folders that runs of a bundle made."""
        text = bundle.content_of(os.path.join(ownership.STATE_DIR, name, "manifest.json"))
        return bundle.made_folders(_json(text)) if text else set()

    def _is_logged_by_others(self, log, going):
        """Whether a server block that stays, or nginx.conf, writes this log too."""
        names = glob.glob("/etc/nginx/*.d/*.conf") + [NGINX_CONF]
        return any(log in removal_survey.logs_of(path) for path in names if path not in going.blocks)

    def _end(self, names):
        """Stop and disable instances, each after the requests that it is busy with."""
        if not names:
            return
        work = Instances([Instance(former(name)) for name in names], self._systemctl, None)
        if self.check_mode:
            work.look()
            done = dict((item.name, "stop" if item.is_there else "nothing") for item in work.instances)
        else:
            with Lock(os.path.join(RUN, "instances"), time.time() + TIMEOUT, BUSY):
                done = work.end()
        for item in work.instances:
            if done[item.name] != "nothing":
                self._say("%s, stopped and disabled" % item.unit)
                for path in (item.wanted["link"], os.path.dirname(item.wanted["standby"])):
                    self.removed.append(path)

    def _leftovers(self, going):
        """What runs of this host's systemd noted of the instances, and folders that edits by hand keep from going."""
        for name in going.instances:
            folder = layout.unit_folder(name)
            if not self.check_mode:
                self._rmdir(folder)
            elif folder not in self.removed:
                self._rmdir(folder)
            self._remove(os.path.join(RUN, name + ".json"))
        for app in going.apps:
            self._remove(os.path.join(RUN, "loads-" + app))
            self._remove(layout.maintenance(app))
        self._rmdir(layout.MAINTENANCE_DIR)

    # -- what applications have written -------------------------------------------------------------------------

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
            if set(left_data.noted(going.set.name)) <= set(found):
                self.removed.append(left_data.note_of(going.set.name))

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
        try:
            with safe_path.Folder(path) as folder:
                names = folder.names()
        except (safe_path.UnsafePath, IOError, OSError) as error:
            self._keep(path, "cannot be removed: %s" % error)
            return
        for name in names:
            if _OF_AN_APP.match(name):
                self._remove(os.path.join(path, name))
            else:
                self._keep(os.path.join(path, name), "was not made here")
        self._rmdir_made(path)

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
        rotated = [removal_survey.ROTATED % (going.set.name, kind) for kind in removal_survey.KINDS]
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
            try:
                with safe_path.Folder(path) as folder:
                    names = folder.names()
            except (safe_path.UnsafePath, IOError, OSError) as error:
                self._keep(path, "was made for logs: %s" % error)
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

    # -- accounts -----------------------------------------------------------------------------------------------

    def _accounts(self):
        """Accounts and memberships that were made here, where nothing of theirs is left."""
        homes = [self.places["homes"]]
        names = set(self.users) | set(self.own_accounts.values())
        if self.wanted["all"]:
            names |= set(removal_accounts.at_home(homes))
            # The account of an nginx that stays, or that somebody else has put there, is not ours.
            gone = self.nginx_goes and (NGINX in self.removed or not os.path.lexists(NGINX))
            names |= set(name for name in self.made if name != self.nginx_user or gone)
        places = dict(self.made)
        chosen = removal_accounts.made(names, places, homes)
        dropins = glob.glob("/etc/systemd/system/uwsgi@*.service.d/*.conf")
        used = set(accounts.user_of(path) for path in dropins if path not in self.removed)
        if chosen:
            kept = removal_accounts.why_kept(chosen, self.removed, used)
            self._leave([name for name in chosen if name not in used])
            for name in sorted(chosen):
                why = kept.get(name)
                if not why and not self.check_mode:
                    why = removal_accounts.remove(name, chosen[name][1], self.run)
                if why:
                    self._keep("the account %s" % name, why)
                else:
                    self._say("the account %s" % name)

    def _leave(self, groups):
        """nginx reads nothing of them any more."""
        for group in removal_accounts.memberships(self.nginx_user, groups):
            why = None if self.check_mode else removal_accounts.leave(self.nginx_user, group, self.run)
            if why:
                self._keep("the membership of %s in %s" % (self.nginx_user, group), why)
            else:
                self._say("the membership of %s in the group %s" % (self.nginx_user, group))

    # -- nginx, uWSGI and all else ------------------------------------------------------------------------------

    def _foreign_sites(self):
        """What nginx serves that is not of a set that goes, as ``names (file)``."""
        going = set(path for of in self.sets.values() for path in of.files["sites"])
        found = nginx_package.sites(NGINX_CONF, stays=r"(?!)") if os.path.exists(NGINX_CONF) else []
        return [text for text in found if not any(text.endswith("(%s)" % path) for path in going)]

    def _decide(self):
        """What of nginx and uWSGI stays since somebody else uses it."""
        # Without any note of it an nginx is somebody's, whoever built it.
        noted = bool(ownership.recorded("nginx")) or os.path.isdir(nginx_package.HOME)
        foreign = self._foreign_sites() if noted else []
        ours = noted and (not os.path.lexists(NGINX) or nginx_package.is_ours(NGINX, self.run))
        self.nginx_goes = not foreign
        self.nginx_noted = noted
        self.nginx_is_ours = ours
        if foreign:
            self._keep(
                "nginx (%s, %s, nginx.service)" % (NGINX, NGINX_CONF),
                "serves what is not of this collection: %s; move that away and run again to have nginx go as well"
                % "; ".join(foreign),
            )
        mine = set(name for of in self.sets.values() for names in of.apps.values() for name in names)
        units = self._systemctl("list-units", "--all", "--plain", "--no-legend", "uwsgi@*.service")[1]
        names = set(re.findall(r"uwsgi@(\S+)\.service", units))
        links = glob.glob("/etc/systemd/system/*.wants/uwsgi@*.service")
        names.update(layout.instance_of(os.path.basename(path)) for path in links)
        names = [name for name in names - mine if not name.endswith(layout.MARK)]
        others = sorted(name for name in names if self._is_used(name, links))
        self.uwsgi_goes = not others
        if others:
            self._keep(
                "uWSGI (%s, uwsgi@.service)" % self.places["uwsgi_home"],
                "runs what is not of this collection: %s" % ", ".join(layout.unit(name) for name in others),
            )

    def _is_used(self, name, links):
        enabled = any(path.endswith("/" + layout.unit(name)) for path in links)
        return enabled or self._systemctl("is-active", layout.unit(name))[1].strip() in ("active", "activating")

    def _nginx(self):
        """nginx, its configuration and what was built; what was there before it comes back."""
        unit = "/etc/systemd/system/nginx.service"
        if "nginx" in removal_survey.bundle_names() and unit in (ownership.recorded("nginx") or {}):
            shown = self._systemctl("show", "-p", "ActiveState", "-p", "UnitFileState", "nginx.service")[1]
            if "ActiveState=inactive" not in shown or "UnitFileState=enabled" in shown:
                if not self.check_mode:
                    for verb in ("stop", "disable"):
                        status, out, err = self._systemctl(verb, "nginx.service")
                        if status != 0:
                            raise RemovalError("systemctl %s nginx.service: %s" % (verb, (err or out).strip()))
                self._say("nginx.service, stopped and disabled")
            self.reload_systemd = True
        self._bundle("nginx")
        if self.nginx_is_ours:
            self._remove(NGINX)
        self._undivert()
        made = self._made_by("nginx")
        if NGINX_CACHE in made:
            self._remove(NGINX_CACHE)
        if os.path.isdir(NGINX_LOGS) and NGINX_LOGS not in made:
            self._keep(NGINX_LOGS, "was there before, and has nginx's logs")
        self._made_folders("nginx")
        self._remove(nginx_package.HOME)

    def _nginx_logs(self):
        """nginx's logs, now or later; as long as they stay, its manifest tells that their folder was made here."""
        if NGINX_LOGS in self._made_by("nginx"):
            if os.path.lexists(NGINX) and NGINX not in self.removed:
                self._keep(NGINX_LOGS, "has nginx's logs")
            else:
                self._datum(NGINX_LOGS, "nginx's logs")
        if not os.path.lexists(NGINX_LOGS) or NGINX_LOGS in self.removed or NGINX_LOGS not in self._made_by("nginx"):
            self._forget("nginx")

    def _undivert(self):
        """Have the package's own nginx back in its place, where dpkg was told to put it aside."""
        tool = nginx_package.program("dpkg-divert")
        if not tool:
            path = nginx_package.yum_conf()
            if path and "nginx*" in text_of(path):
                self._keep(path, "leaves packages nginx* out (exclude), which a take-over has written or you")
                # Upstream's package has an account that looks the same.
                self._keep("the account %s" % self.nginx_user, "may be of the package nginx")
                self.made.pop(self.nginx_user, None)
            return
        aside = self.run([tool, "--list", NGINX])[1]
        if not re.search(r"^local diversion of %s to " % re.escape(NGINX), aside, re.M):
            return
        if not self.check_mode:
            status, out, err = self.run([tool, "--local", "--rename", "--remove", NGINX])
            if status != 0:
                self._keep(NGINX + ".distrib", "dpkg-divert: %s" % (out + err).strip())
                return
        self._say("the diversion of %s: its package's own is back there, not started" % NGINX)

    def _uwsgi(self):
        """uWSGI with all its versions, and the template unit."""
        home = self.places["uwsgi_home"]
        self._bundle("uwsgi")
        self.reload_systemd = True
        if os.path.isdir(home) and not os.path.islink(home):
            self._versions(home)
            self._rmdir(home)
        if os.path.isdir(self.roots[1]):
            names = [os.path.join(self.roots[1], native(name)) for name in os.listdir(self.roots[1])]
            for path in names:
                if path not in self.removed and path not in [kept for kept, _why in self.kept]:
                    self._keep(path, "is in the folder of logs")
        self._made_folders("uwsgi")
        self._rmdir(self.places["conf_dir"])
        self._rmdir(self.roots[1])
        self._forget("uwsgi")

    def _versions(self, home):
        """What the role uwsgi made in its home, which may be a folder that others have things in."""
        for name in sorted(native(name) for name in os.listdir(home)):
            path = os.path.join(home, name)
            if name in _IN_FOLDERS and os.path.isdir(path) and not os.path.islink(path):
                for inner in sorted(native(inner) for inner in os.listdir(path)):
                    if _IN_FOLDERS[name].match(inner):
                        self._remove(os.path.join(path, inner))
                    else:
                        self._keep(os.path.join(path, inner), "was not made here")
                self._rmdir(path)
            elif _OF_UWSGI.match(name) and (name != "current" or os.path.islink(path)):
                self._remove(path)
            else:
                self._keep(path, "was not made here")

    def _made_folders(self, name):
        for path in sorted(self._made_by(name), reverse=True):
            self._rmdir(path)

    def _centos7(self):
        """What the role centos7 told the linker and SELinux."""
        names = removal_survey.bundle_names()
        if "centos7-selinux" in names:
            listed = self.run(["semodule", "-l"], handle_exceptions=False)[1] if _program("semodule") else ""
            if re.search(r"(?m)^%s\b" % SELINUX_MODULE, listed):
                status, out, err = (0, "", "") if self.check_mode else self.run(["semodule", "-r", SELINUX_MODULE])
                if status != 0:
                    raise RemovalError("semodule -r %s: %s" % (SELINUX_MODULE, (out + err).strip()))
                self._say("the SELinux module %s" % SELINUX_MODULE)
        for name, activate in (("centos7-selinux", None), ("centos7-python", "/sbin/ldconfig")):
            if name in names:
                self._bundle(name, activate=activate)
                self._made_folders(name)
                self._forget(name)
        if glob.glob("/etc/yum.repos.d/*") and os.path.exists("/etc/centos-release"):
            what = "packages, yum's repositories, SELinux booleans and firewalld"
            self._keep(what, "are as the role centos7 set them")

    def _state(self):
        """All else that this collection knows of the host, and what was taken over goes back to its place."""
        self._given_back()
        self._remove(os.path.join(STATE, "uwsgi"))
        self._remove(os.path.join(STATE, "selinux"))
        self._remove(os.path.join(STATE, "uv"))
        self._git()
        self._remove(HOMES)
        for name in removal_survey.bundle_names():
            if name not in OF_ROLES and not layout.parse_bundle(name):
                path = os.path.join(ownership.STATE_DIR, name)
                self._keep(path, "is the bundle of somebody who uses the module file_bundle")
        for path in (ownership.STATE_DIR, left_data.NOTES):
            self._rmdir(path)
        if os.path.isdir(left_data.NOTES) and left_data.NOTES not in self.removed:
            self._keep(left_data.NOTES, "notes whose the folders are that stay, for remove_data")
        self._rmdir(STATE)
        if self.nginx_goes:
            self._remove(RUN)

    def _git(self):
        """git's account may have keys that an administrator put there."""
        home = git_checkout.HOME
        keys = [".ssh", ".netrc", ".gitconfig"]
        found = [os.path.join(home, name) for name in keys if os.path.lexists(os.path.join(home, name))]
        kept = [path for path, _why in self.kept if (path + "/").startswith(home + "/")]
        if self.wanted["data"] or not (found or kept):
            self._remove(home)
            return
        for name in sorted(os.listdir(home)):
            path = os.path.join(home, native(name))
            if path in found:
                self._keep(path, "was put there for private repositories")
            elif not any((stays + "/").startswith(path + "/") for stays in kept):
                self._remove(path)

    def _given_back(self):
        """What was taken over goes back where nothing is in its place; else it stays, and is told."""
        for base, _folders, files in os.walk(TAKEN, topdown=False):
            for name in files:
                copy = os.path.join(base, native(name))
                path = copy[len(TAKEN) :]
                taken = os.path.lexists(path) and path not in self.removed
                if taken or not os.path.isdir(os.path.dirname(path)) or re.search(r"\.\d+\Z", path):
                    self._keep(copy, "is what was taken over at %s" % path)
                elif path.startswith("/etc/nginx/") and not self.nginx_goes:
                    # It was never tested with what nginx serves now: the next reload, or a boot, might fail of it.
                    self._keep(copy, "is what was taken over at %s; nginx stays, and has not been asked of it" % path)
                elif safe_path.untrusted(os.path.dirname(path)):
                    self._keep(copy, "is what was taken over at %s, where others can write" % path)
                else:
                    if not self.check_mode:
                        self._give_back(copy, path)
                    self._say("%s is given back to %s" % (copy, path), copy)
                    self.reload_systemd = True
            self._rmdir(base)

    def _give_back(self, copy, path):
        """Put a copy in its place, which may be on another file system and has a label of its own under SELinux."""
        found = os.lstat(copy)

        def settle(handle):
            os.fchown(handle, found.st_uid, found.st_gid)
            os.fchmod(handle, stat.S_IMODE(found.st_mode))

        beside = os.path.join(os.path.dirname(path), ".graceful-wsgi-%d" % os.getpid())
        bundle.write_bytes(beside, bundle.read_bytes(copy), settle=settle)
        self.relabel(beside, path)
        os.rename(beside, path)
        os.unlink(copy)

    # -- the whole ----------------------------------------------------------------------------------------------

    def do(self):
        """Do it all, or in check mode tell what it would be."""
        self.nginx_goes = False
        if self.wanted["all"]:
            self._decide()
        self._apps()
        if self.wanted["all"]:
            if self.nginx_goes and self.nginx_noted:
                self._nginx()
            if self.nginx_goes:
                self._nginx_logs()
            if self.uwsgi_goes:
                self._uwsgi()
            self._centos7()
            self._state()
        if self.reload_systemd and self.removed and not self.check_mode:
            self._systemctl("daemon-reload")
        self._accounts()

    @property
    def changed(self):
        return bool(self.gone)


def _is_folder(found):
    return found is not None and stat.S_ISDIR(found.st_mode)


def _program(name):
    return any(os.access(os.path.join(at, name), os.X_OK) for at in nginx_package.PROGRAMS)


def _json(text):
    return json.loads(text.decode("utf-8"))


def _owners(path):
    """The accounts that a folder and what is right in it belong to."""
    try:
        with safe_path.Folder(path) as folder:
            numbers = [folder.stat().st_uid]
            numbers += [found.st_uid for found in [folder.lstat(name) for name in folder.names()] if found]
    except (safe_path.UnsafePath, IOError, OSError):
        return set()
    return set(safe_path.account_name(number) for number in numbers if number)
