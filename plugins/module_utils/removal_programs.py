# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nginx, uWSGI and all else that the roles put on a host, and what was there before they did."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import os
import re
import stat

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    adopting,
    git_checkout,
    layout,
    left_notes,
    nginx_package,
    ownership,
    removal_adopted,
    removal_survey,
    safe_path,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.build_account import HOMES
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import STATE_DIR, native
from ansible_collections.graceful.wsgi.plugins.module_utils.removal_data import NGINX_LOGS, Data
from ansible_collections.graceful.wsgi.plugins.module_utils.removal_steps import NGINX, NGINX_CONF
from ansible_collections.graceful.wsgi.plugins.module_utils.removal_survey import RemovalError, text_of
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import read_bytes, write_bytes

STATE = os.path.dirname(ownership.STATE_DIR)
NGINX_CACHE = "/var/cache/nginx"
# What the roles themselves write; a bundle of another name is somebody's who uses the module file_bundle.
# The role el was once called centos7, and what hosts have of it goes on under that name.
OF_ROLES = ("nginx", "uwsgi", "centos7-python", "centos7-selinux")
TAKEN = os.path.join(STATE, "taken-over")
SELINUX_MODULE = "graceful-wsgi"
# Folders of uWSGI's home that the role uwsgi makes: a version for a Python, what builds say, what a run brought.
_VERSION = r"\d[\w.]*-python\d[\w.]*(-[0-9a-f]+)?"
_OF_UWSGI = re.compile(r"(current|%s|\.gone-%s|\.brought-.*)\Z" % (_VERSION, _VERSION))
_IN_FOLDERS = {"log": re.compile(_VERSION + r"\.log\Z"), "tools": re.compile(r"virtualenv-\d[\w.]*\Z")}


class Programs(Data):
    """The steps of a removal for what the roles nginx, uwsgi and el have put on a host; see Removal."""

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

    def _centos7(self):
        """What the role el told the linker and SELinux."""
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
            self._keep(what, "are as the role el set them")

    def _state(self):
        """All else that this collection knows of the host, and what was taken over goes back to its place."""
        self._given_back()
        self._remove(os.path.join(STATE, "uwsgi"))
        self._remove(os.path.join(STATE, "selinux"))
        self._remove(os.path.join(STATE, "uv"))
        self._remove(layout.NEVER_LIVE_DIR)
        if removal_adopted.is_moved():
            self._keep(adopting.HOME, removal_adopted.KEPT)
        else:
            self._remove(adopting.HOME)
        self._rmdir(layout.OWED_DIR)
        self._git()
        self._remove(HOMES)
        for name in removal_survey.bundle_names():
            if name not in OF_ROLES and not layout.parse_bundle(name):
                path = os.path.join(ownership.STATE_DIR, name)
                self._keep(path, "is the bundle of somebody who uses the module file_bundle")
        for path in (ownership.STATE_DIR, left_notes.NOTES):
            self._rmdir(path)
        if os.path.isdir(left_notes.NOTES) and left_notes.NOTES not in self.removed:
            self._keep(left_notes.NOTES, "notes whose the folders are that stay, for remove_data")
        self._rmdir(STATE)
        if self.nginx_goes:
            self._remove(STATE_DIR)

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
        write_bytes(beside, read_bytes(copy), settle=settle)
        self.relabel(beside, path)
        os.rename(beside, path)
        os.unlink(copy)


def _program(name):
    return any(os.access(os.path.join(at, name), os.X_OK) for at in nginx_package.PROGRAMS)
