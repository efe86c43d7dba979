# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes applications, a set or all of this collection off a host; what applications have written stays unless asked.

Each step looks at the host for what there is to do, so that a run that was cut off is made up for by the next one. What
tells of the rest, the bundles' manifests and the notes of what was dropped, goes last.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import os
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    accounts,
    app_background,
    layout,
    left_data,
    left_notes,
    nginx_package,
    ownership,
    release_records,
    removal_accounts,
    removal_adopted,
    removal_survey,
    shared_venvs,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import STATE_DIR
from ansible_collections.graceful.wsgi.plugins.module_utils.instances import Instance, Instances, former
from ansible_collections.graceful.wsgi.plugins.module_utils.removal_programs import NGINX, OF_ROLES, STATE, Programs
from ansible_collections.graceful.wsgi.plugins.module_utils.removal_steps import SECRET
from ansible_collections.graceful.wsgi.plugins.module_utils.removal_survey import Going, text_of
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_reloading import Lock

TIMEOUT = 60
BUSY = "another run is bringing applications on this host up to date; wait for it, run again"


class Removal(Programs):
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
        # Of one that was never live there may be only why.
        known.update(name for name in wanted["apps"] if os.path.exists(release_records.kept_in(name)))
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
        self._end_background([app for going, _files in planned for app in going.apps])
        for going, files in planned:
            self._bundle(going.set.bundle("apps"), *files["apps"])
            self.reload_systemd = self.reload_systemd or bool(going.instances)
            self._leftovers(going)
        for going in self.going:
            self._data(going)
        self._failed_first_runs()
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
        self._rmdir(left_notes.NOTES)

    def _failed_first_runs(self):
        """What is known of first runs that failed, of applications that were never live too."""
        names = set(self.wanted["apps"]).union(*[going.apps + going.dropped for going in self.going])
        going = set((going.set.name, app) for going in self.going for app in going.apps)
        names -= set(app for name in self.sets for app in self.sets[name].apps if (name, app) not in going)
        for app in sorted(names):
            self._remove(release_records.kept_in(app))
        self._rmdir(layout.NEVER_LIVE_DIR)

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
        for path in found["apps"][0]:
            app = going.set.app_of(path)
            if app not in going.apps or layout.parse_dropin(path) or path.endswith(SECRET):
                continue
            for place in left_data.own_places(text_of(path), os.path.join(self.roots[0], app)):
                self._keep(place, "is the application's own folder, which was not made here")
                going.own.setdefault(app, set()).add(place)
        return found

    def _end(self, names):
        """Stop and disable instances, each after the requests that it is busy with."""
        if not names:
            return
        work = Instances([Instance(former(name)) for name in names], self._systemctl, None)
        if self.check_mode:
            work.look()
            done = dict((item.name, "stop" if item.is_there else "nothing") for item in work.instances)
        else:
            with Lock(os.path.join(STATE_DIR, "instances"), time.time() + TIMEOUT, BUSY):
                done = work.end()
        for item in work.instances:
            if done[item.name] != "nothing":
                self._say("%s, stopped and disabled" % item.unit)
                for path in (item.wanted["link"], os.path.dirname(item.wanted["standby"])):
                    self.removed.append(path)

    def _end_background(self, apps):
        """Stop and disable the workers and timers of these applications, each after what it is at."""
        work = app_background.Background(apps, [], self._systemctl)
        for item in work.gone:
            self._say("%s, stopped and disabled" % item["unit"])
        if work.gone:
            self.reload_systemd = True
        if not self.check_mode:
            work.end()
        else:
            self.removed += [layout.background_note(app) for app in apps if os.path.exists(layout.background_note(app))]
        self._rmdir(layout.BACKGROUND_DIR)

    def _leftovers(self, going):
        """What runs of this host's systemd noted of the instances, and folders that edits by hand keep from going."""
        for name in going.instances:
            folder = layout.unit_folder(name)
            if not self.check_mode:
                self._rmdir(folder)
            elif folder not in self.removed:
                self._rmdir(folder)
            self._remove(os.path.join(STATE_DIR, name + ".json"))
        for app in going.apps:
            self._remove(os.path.join(STATE_DIR, "loads-" + app))
            self._remove(layout.maintenance(app))
        self._rmdir(layout.MAINTENANCE_DIR)

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

    def do(self):
        """Do it all, or in check mode tell what it would be."""
        self.nginx_goes = False
        variable = next((name for name in ("all", "apps", "set") if self.wanted[name]), "apps")
        removal_adopted.refuse([app for going in self.going for app in going.apps], "remove_" + variable)
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
