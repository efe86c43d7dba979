# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where things are on a host: names of units, folders and files, composed and taken apart here only.

What variables of the roles move (publish_root, uwsgi_conf_dir and the like) is handed in.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re

UNIT_DIR = "/etc/systemd/system"
# Units that are gone with the next boot.
RUN_UNIT_DIR = "/run/systemd/system"
# Where systemd looks for units, the first that has one counts.
UNIT_DIRS = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
UWSGI_UNIT = UNIT_DIR + "/uwsgi@.service"
NGINX_UNIT = UNIT_DIR + "/nginx.service"
# What outlives a boot of what this collection notes, and what does not.
STATE_DIR = "/var/lib/graceful-wsgi"
RUN_STATE_DIR = "/run/graceful-wsgi"
# Links to the applications' sockets: nginx is led to another generation of one by a rename, without knowing it.
LINK_DIR = "/run/wsgi"
NGINX_DIR = "/etc/nginx"
NGINX_CONF = NGINX_DIR + "/nginx.conf"
NGINX_LOG_DIR = "/var/log/nginx"
# Files whose being there has nginx answer for an application: it outlives a boot, and nothing of nginx's reads it.
MAINTENANCE_DIR = NGINX_DIR + "/maintenance"
# Notes of hosts that this one leads nobody to while they are worked on; they outlive a boot.
DRAINED_DIR = NGINX_DIR + "/drained"
NGINX_PIDFILE = "/run/nginx.pid"
NGINX_BINARY = "/usr/sbin/nginx"
# What is noted of nginx, and its artifacts.
NGINX_STATE_DIR = STATE_DIR + "/nginx"
# By which people on the host run an application's commands.
HOST_COMMAND = "/usr/local/bin/wsgi"
# Notes of releases whose commands of after_live have yet to run.
OWED_DIR = STATE_DIR + "/after-live"
# Notes of the workers and timers that applications have, which outlive a boot as their units do.
BACKGROUND_DIR = STATE_DIR + "/background"
# Where systemd notes when a timer that catches up on what it has missed was last due.
TIMER_STAMPS = "/var/lib/systemd/timers"
# What is known of releases of applications that never became live, by application.
NEVER_LIVE_DIR = STATE_DIR + "/never-live"
GIT_HOME = STATE_DIR + "/git"
# Folders of git's account with one of each application's name: its clone, and what lets git in.
GIT_ROOTS = (GIT_HOME + "/repos", GIT_HOME + "/.graceful-wsgi")
# What a second generation is called behind its instance; no application's name may hold it.
MARK = "@next"
# Parts of an application's folder.
CURRENT, RELEASES, VENVS, LOGS, VENV = "current", "releases", "venvs", "logs", "venv"
# What outlives a release, the application's own.
SHARED = "shared"
# All drop-ins by which the role publish says what an instance is.
DROPINS = UNIT_DIR + "/uwsgi@*.service.d/10-publish*.conf"

_DROPIN = re.compile(re.escape(UNIT_DIR) + r"/uwsgi@(.+)\.service\.d/10-publish(?:-(.+))?\.conf\Z")
_BLOCK = re.compile(re.escape(NGINX_DIR) + r"/conf\.d/(.+)\.conf\Z")
_BUNDLE = re.compile(r"publish-(.+)-(apps|sites)\Z")
# Files of a whole set, by which its name is known where its manifest is lost.
OF_SETS = ("/etc/tmpfiles.d/publish-*", "/etc/logrotate.d/publish-*", NGINX_DIR + "/*.d/publish-*.conf")
_OF_SET = (
    (re.compile(r"/etc/tmpfiles\.d/publish-(.+)-apps\.conf\Z"), "apps"),
    (re.compile(r"/etc/logrotate\.d/publish-(.+)-apps\Z"), "apps"),
    (re.compile(r"/etc/logrotate\.d/publish-(.+)-sites\Z"), "sites"),
    (re.compile(re.escape(NGINX_DIR) + r"/(?:conf|default)\.d/publish-(.+)\.conf\Z"), "sites"),
)
# The instance of a line of a file for tmpfiles, and those whose units a text names.
SOCKET_LINE = re.compile(r"(?m)^[dL] " + re.escape(LINK_DIR) + r"/(.+)\.(?:d|sock) ")
UNIT_NAME = re.compile(r"uwsgi@(.+?)\.service")


def unit(instance):
    """The unit of an instance."""
    return "uwsgi@%s.service" % instance


def instance_of(name):
    """The instance of a unit."""
    return name[len("uwsgi@") : -len(".service")]


def standby_unit(name):
    """The unit of the second generation of one."""
    return name[: -len(".service")] + MARK + ".service"


def background_stem(app, name):
    """How the units of a worker or a timer of an application begin."""
    return "wsgi-%s-%s" % (app, name)


def worker_template(app, name):
    """The file of the unit of all processes of a worker."""
    return "%s/%s@.service" % (UNIT_DIR, background_stem(app, name))


def worker_unit(app, name, number):
    """The unit of one process of a worker."""
    return "%s@%d.service" % (background_stem(app, name), number)


def timer_unit(app, name):
    """The unit that starts an application's job when it is time."""
    return "%s.timer" % background_stem(app, name)


def job_unit(app, name):
    """The unit of such a job."""
    return "%s.service" % background_stem(app, name)


def unit_file(name):
    """The file of a unit of ours."""
    return "%s/%s" % (UNIT_DIR, name)


def background_files(app):
    """A pattern for the files of an application's units, and perhaps of those of another one."""
    return "%s/%s*" % (UNIT_DIR, background_stem(app, ""))


def background_mark(app):
    """What the first line of such a file ends in."""
    return "for the application %s.\n" % app


def background_note(app):
    """What is noted of an application's workers and timers; names of applications hold no slash."""
    return "%s/%s.json" % (BACKGROUND_DIR, app)


def unit_folder(instance):
    """The folder of the drop-ins of an instance."""
    return "%s/%s.d" % (UNIT_DIR, unit(instance))


def dropin(instance, app):
    """The drop-in of an instance. Of several it says whose they are: pruning finds the code and the logs by it."""
    return "%s/10-publish%s.conf" % (unit_folder(instance), "" if instance == app else "-" + app)


def parse_dropin(path):
    """(instance, application) of a drop-in, or None where it is none of the role publish."""
    found = _DROPIN.match(path)
    return (found.group(1), found.group(2) or found.group(1)) if found else None


def run_dir(instance):
    """The folder of an instance's pid file, fifo and stats socket."""
    return "/run/uwsgi-%s" % instance


def link(instance):
    """The link by which nginx reaches an instance."""
    return os.path.join(LINK_DIR, instance + ".sock")


def socket_dir(instance):
    """The folder of an instance's socket, through which nobody but nginx and its own account comes."""
    return os.path.join(LINK_DIR, instance + ".d")


def socket(instance):
    """The socket of an instance that states none."""
    return os.path.join(socket_dir(instance), "sock")


def standby_socket(folder):
    """The socket of a second generation, in the folder of the first one's."""
    return os.path.join(folder, "next")


def site(name):
    """The file of a site."""
    return "%s/conf.d/%s.conf" % (NGINX_DIR, name)


def parse_site(path):
    """The name of the site, or of what a set's sites share, that a file is of; None where it is none."""
    found = _BLOCK.match(path)
    return found.group(1) if found else None


def maintenance(app):
    """The flag of an application in maintenance."""
    return os.path.join(MAINTENANCE_DIR, app)


def bundle(publish_set, kind):
    """The bundle of a set's ``apps`` or ``sites``."""
    return "publish-%s-%s" % (publish_set, kind)


def parse_bundle(name):
    """(set, apps or sites) of a bundle, or None where it is none of the role publish."""
    found = _BUNDLE.match(name)
    return found.groups() if found else None


def shared_site(publish_set):
    """What the file of what all sites of a set share is called, as a site."""
    return "publish-%s" % publish_set


def refusing_site(publish_set):
    """The file of the servers that refuse names which no site of a set has."""
    return "%s/default.d/%s.conf" % (NGINX_DIR, shared_site(publish_set))


def of_all_sites(publish_set):
    """The files of nginx's that are of all sites of a set; what they share comes first."""
    return [site(shared_site(publish_set)), refusing_site(publish_set)]


def parse_of_set(path):
    """(set, apps or sites) of a file of a whole set, or None where it is none."""
    for pattern, kind in _OF_SET:
        found = pattern.match(path)
        if found:
            return found.group(1), kind
    return None


def logrotate(name):
    """The file that rotates the logs of a bundle, or of nginx."""
    return "/etc/logrotate.d/%s" % name


def tmpfiles(name):
    """The file by which systemd makes a bundle's links and folders anew at boot."""
    return "/etc/tmpfiles.d/%s.conf" % name


def unpublished(stale, others, instances_by_app, belongs_to=None):
    """{instances, apps} that a set has no more, of the drop-ins among the files that it wrote before and not now.

    ``others``: files that other bundles have by now; what another set has is not this one's to end.
    ``instances_by_app``: what the set has. ``belongs_to``: the application of a file, as far as manifests note it.
    """

    def pairs(paths):
        found = [(path, parse_dropin(path)) for path in paths]
        return [(pair[0], (belongs_to or {}).get(path, pair[1])) for path, pair in found if pair]

    gone, theirs = pairs(stale), pairs(others)
    wanted = set(name for names in instances_by_app.values() for name in names)
    kept = wanted | set(instance for instance, _app in theirs)
    # An instance is gone, and its application may have others.
    apps = set(instances_by_app) | set(name for pair in theirs for name in pair)
    return {
        "instances": sorted(set(instance for instance, _app in gone) - kept),
        "apps": sorted(set(app for _instance, app in gone) - apps),
    }
