# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Puts applications into maintenance and takes them out of it: a flag that nginx looks for at each request."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import layout
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import encoded, make_folders, native
from ansible_collections.graceful.wsgi.plugins.module_utils.visitor import Visit, shown
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import content_of

# Each worker of nginx's looks anew at each request, so that this is for a request that is under way.
PATIENCE = 2


class MaintenanceError(Exception):
    """It was not switched; the text says why and what to do."""


def is_on(app):
    """Whether an application is in maintenance."""
    return os.path.isfile(layout.maintenance(app))


def since(app):
    """When that began, in seconds since 1970; None where it is off."""
    return os.stat(layout.maintenance(app)).st_mtime if is_on(app) else None


def on(names):
    """Those of some applications that are in maintenance."""
    return [name for name in names if is_on(name)]


def forget(app):
    """Take the flag of an application away that is no more; whether there was one."""
    try:
        os.unlink(layout.maintenance(app))
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        return False
    try:
        os.rmdir(layout.MAINTENANCE_DIR)
    except OSError:
        # Another application's is there.
        pass
    return True


def _put(app, relabel):
    flag = layout.maintenance(app)
    make_folders(layout.MAINTENANCE_DIR)
    # nginx -t of a staged tree copies it, and a half one would be as good.
    fresh = os.path.join(layout.MAINTENANCE_DIR, ".%s.new" % app)
    text = "%s is in maintenance since %s; graceful.wsgi.maintenance takes this file away.\n"
    with open(fresh, "wb") as target:
        target.write(encoded(text % (app, time.strftime("%Y-%m-%d %H:%M:%S"))))
        os.fchmod(target.fileno(), 0o644)
    relabel(fresh)
    os.rename(fresh, flag)


def check(app, files):
    """Refuse to put an application into maintenance of which no nginx would know."""
    if not files:
        text = "app: no site of publish_sites leads to %s, so that there is nobody to keep from it; name an application"
        raise MaintenanceError((text + " that a site leads to") % app)
    for path in files:
        if encoded("default %s;" % layout.maintenance(app)) not in (content_of(path) or b""):
            raise MaintenanceError(
                "%s knows no maintenance of %s as it stands on this host: run graceful.wsgi.site once, then this"
                " again (a template of your own has to print all of site.http and site.server)" % (path, app)
            )


class Switch:
    """One switch. ``wanted``: app, enabled, files, questions and passing, as the module takes them."""

    def __init__(self, wanted, reload=None, relabel=lambda path: None, visit=Visit, clock=time):
        self.wanted, self.reload, self.relabel = wanted, reload, relabel
        self.visit, self.clock = visit, clock
        self.told = []

    @property
    def needed(self):
        """Whether it is not as wanted."""
        return is_on(self.wanted["app"]) != self.wanted["enabled"]

    def _flip(self, on):
        if on:
            _put(self.wanted["app"], self.relabel)
        else:
            forget(self.wanted["app"])
        if self.reload:
            self.reload()

    def do(self):
        """Switch where it is needed, and see what nginx answers; whether it was needed."""
        wanted, needed = self.wanted, self.needed
        if wanted["enabled"]:
            check(wanted["app"], wanted["files"])
        if needed:
            self._flip(wanted["enabled"])
        wrong = self._see()
        if wrong and wanted["enabled"]:
            if needed:
                self._flip(False)
            text = "%s; %s" % ("; ".join(wrong), "it is off again" if needed else "it was on before this run")
            raise MaintenanceError("%s does not answer as in maintenance: %s" % (wanted["app"], text))
        self.told += wrong
        return needed

    def _see(self):
        """What is wrong with the answers of the sites, a line each."""
        wrong = []
        for question in self.wanted["questions"]:
            passes = question["nginx"] in self.wanted["passing"]
            visit = self.visit(dict(question, status=None, text=None))
            limit = self.clock.time() + PATIENCE
            while True:
                visit.make(0)
                if visit.maintained or not self.wanted["enabled"] or passes or self.clock.time() > limit:
                    break
                self.clock.sleep(0.2)
            if visit.unasked:
                self.told.append("%s was not asked: %s" % (shown(question), visit.unasked))
            elif self.wanted["enabled"] and passes:
                self.told.append("%s lets this host pass, as allow says" % shown(question))
            elif self.wanted["enabled"] and not visit.maintained:
                answered = "answered %d" % visit.answer.status if visit.answer else visit.wrong
                wrong.append("%s %s" % (shown(question), answered))
            elif not self.wanted["enabled"] and visit.wrong:
                wrong.append(native("%s %s, and is not in maintenance any more" % (shown(question), visit.wrong)))
        return wrong
