# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host has of this collection and how it is, as data; status_page.py makes a page of it.

It looks and changes nothing. The manifests of the bundles say what there is, whatever the inventory says by now.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import os
import re
import ssl
import stat
import tempfile
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    drained,
    journal,
    layout,
    maintenance,
    nginx_files,
    nginx_loading,
    nginx_master,
    ownership,
    procfs,
    removal_survey,
    request_log,
    safe_path,
    status_disk,
    status_logs,
    uwsgi_state,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import digest_of

HOUR = 3600
# What is asked of systemd for each unit; one that a version does not know is left out of its answer.
PROPERTIES = ("Id", "LoadState", "ActiveState", "SubState", "NRestarts", "ActiveEnterTimestampMonotonic", "Result")
# Of a certificate that ends so soon it is said that somebody has to look.
SOON = 14
_PASSES = ("uwsgi_pass", "proxy_pass", "grpc_pass", "fastcgi_pass", "scgi_pass")
_LEADS = _PASSES + ("return", "root", "alias")


def _clock(monotonic):
    """A time of systemd's, in microseconds since the boot, as one since 1970; None where it never was."""
    if not str(monotonic or "").isdigit() or int(monotonic) == 0:
        return None
    with open("/proc/uptime") as source:
        return round(time.time() - float(source.read().split()[0]) + int(monotonic) / 1e6, 1)


class Units:
    """Units as systemd knows them. ``run``: AnsibleModule's run_command."""

    def __init__(self, run):
        self.run = run

    def show(self, names):
        """{unit: {state, sub, since, restarts}} of those that are loaded."""
        found = {}
        if not names:
            return found
        _status, out, _err = self.run(["systemctl", "show", "--property=" + ",".join(PROPERTIES)] + list(names))
        for block in out.split("\n\n"):
            told = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            if not told.get("Id"):
                continue
            restarts = told.get("NRestarts", "")
            found[told["Id"]] = {
                "unit": told["Id"],
                "state": told.get("ActiveState"),
                "sub": told.get("SubState"),
                "since": _clock(told.get("ActiveEnterTimestampMonotonic")),
                # systemd 219 counts none.
                "restarts": int(restarts) if restarts.isdigit() else None,
                "loaded": told.get("LoadState") == "loaded",
            }
        return found

    def matching(self, pattern):
        """Names of the units that systemd knows by a pattern."""
        words = ["systemctl", "list-units", "--all", "--no-legend", "--no-pager", "--plain", pattern]
        _status, out, _err = self.run(words)
        return [line.split()[0] for line in out.splitlines() if line.split()]


# -- applications ---------------------------------------------------------------------------------------------------


def release(home):
    """{id, since} of the code that is live; None where an application has no release."""
    try:
        with safe_path.Folder(home) as folder:
            found = folder.lstat(layout.CURRENT)
            if found is None or not stat.S_ISLNK(found.st_mode):
                return None
            target = native(os.readlink(folder.at(layout.CURRENT)))
    except (safe_path.UnsafePath, IOError, OSError):
        return None
    return {"id": os.path.basename(target), "since": round(found.st_mtime, 1)}


def _log_of(config):
    """The log that a configuration of root's names; None for the journal."""
    found = re.search(r"(?m)^\W*(?:logto2?|logger)\W+(?:file:)?(/[^\s\"'<]+)", removal_survey.text_of(config))
    return found.group(1) if found else None


def instance(name, units, now):
    """One instance: its unit, what uWSGI counts and what it wrote of errors in the last hour."""
    unit = layout.unit(name)
    shown = units.show([unit, layout.standby_unit(unit)])
    live = unit
    if shown.get(unit, {}).get("state") != "active" and (
        shown.get(layout.standby_unit(unit), {}).get("state") == "active"
    ):
        # A second generation serves until the first one is up again.
        live = layout.standby_unit(unit)
    serving = layout.instance_of(live)
    pidfile = os.path.join(layout.run_dir(serving), "pid")
    found = uwsgi_state.look({"name": name, "pidfile": pidfile, "config": None})
    workers = [worker for worker in found["workers"] if worker["pid"]]
    spawned = [worker["respawn_count"] for worker in found["workers"] if worker["respawn_count"]]
    rss = [worker["rss"] for worker in workers if worker["rss"]]
    told = dict(shown.get(live) or {"unit": live, "state": None, "sub": None, "since": None, "restarts": None})
    told.pop("loaded", None)
    told.update(
        name=name,
        uwsgi=found["version"],
        workers=len(workers),
        busy=found["busy"],
        requests=found["requests"],
        exceptions=found["exceptions"],
        respawns=sum(count - 1 for count in spawned) if found["stats_answered"] else None,
        memory=sum(rss) if rss else None,
        why=None if found["running"] else found["why"],
    )
    # As root's drop-in has it: a process could name any other.
    config = _config_of(name)
    told["log"] = _log_of(config) if config else None
    if told["log"]:
        told["tracebacks"] = status_logs.tracebacks(told["log"], now - HOUR)
    else:
        lines = journal.lines_since(now - HOUR, "--unit=" + unit, "--unit=" + layout.standby_unit(unit))
        told["tracebacks"] = sum(1 for line in lines if request_log.TRACEBACK.match(line))
    return told


def _config_of(name):
    """The configuration that the unit of an instance is started with, out of its drop-in; None for none."""
    for path in glob.glob(layout.unit_folder(name) + "/10-publish*.conf"):
        found = re.search(r"(?m)^ExecStart=\S+ .*--\w+ (/\S+)", removal_survey.text_of(path))
        if found:
            return found.group(1)
    return None


def _background(app, others, names, units):
    """Units of an application's other processes, which bear its name."""
    mine = []
    for name in names:
        owner = [one for one in others if name.startswith("wsgi-%s-" % one)]
        # The application shop-x has its own beside those of shop.
        if owner and max(owner, key=len) == app:
            mine.append(name)
    shown = units.show(mine)
    return [dict((key, value) for key, value in shown[name].items() if key != "loaded") for name in sorted(shown)]


def applications(sets, root, units, now):
    """All applications, by set and name."""
    found = []
    every = [app for name in sets for app in sets[name].apps]
    others = units.matching("wsgi-*")
    until = time.time() + status_disk.LIMIT
    for name in sorted(sets):
        for app in sorted(sets[name].apps):
            home = os.path.join(root, app)
            found.append(
                {
                    "name": app,
                    "set": name,
                    "release": release(home),
                    "maintenance": maintenance.since(app),
                    "instances": [instance(one, units, now) for one in sets[name].apps[app]],
                    "background": _background(app, every, others, units),
                    "disk": status_disk.application(home, units.run, until),
                }
            )
    return found


# -- sites ----------------------------------------------------------------------------------------------------------


def certificate(path, now=None):
    """{path, until, days_left, names, wrong} of a certificate as it lies on the disk."""
    told = {"path": path, "until": None, "days_left": None, "names": [], "wrong": None}
    try:
        # What certbot keeps in live/ are links of root's.
        real = path if safe_path.untrusted_target(path) else os.path.realpath(path)
        text = safe_path.read_file(real, 1 << 20)
        handle, copy = tempfile.mkstemp(prefix="graceful-wsgi-")
        try:
            with os.fdopen(handle, "wb") as target:
                target.write(text)
            # The only reader of certificates that every Python brings; it takes a path and no text.
            found = ssl._ssl._test_decode_cert(copy)
        finally:
            os.unlink(copy)
        until = ssl.cert_time_to_seconds(found["notAfter"])
    except (safe_path.UnsafePath, IOError, OSError, ValueError, KeyError, AttributeError) as error:
        # Of Python's ssl, an error is an OSError as well.
        told["wrong"] = "cannot be read: %s" % error
        return told
    names = [native(value) for kind, value in found.get("subjectAltName", ()) if kind == "DNS"]
    subject = [native(value) for part in found.get("subject", ()) for key, value in part if key == "commonName"]
    left = int((until - (time.time() if now is None else now)) // 86400)
    return dict(told, until=until, days_left=left, names=names or subject)


def _target(words, links):
    """Where a directive leads, in a word or two; ``links``: {link of nginx's or upstream: application}."""
    name, value = words[0], words[-1] if len(words) > 1 else ""
    if name in _PASSES:
        bare = re.sub(r"\Ahttps?://", "", value)
        app = links.get(bare) or links.get(bare.rstrip("/:"))
        return "application %s" % app if app else value
    if name in ("root", "alias"):
        return "folder %s" % value
    return "answer %s" % " ".join(words[1:])[:60]


class _Block:
    """What is gathered of one server block, which is text: a user's own template may have written it."""

    def __init__(self, text):
        self.names, self.listen, self.certificates, self.logs, self.leads = [], [], [], [], []
        self._read(text)

    def _read(self, text):
        path = None
        for words in nginx_files.statements(text):
            name = words[0]
            if name == "server_name":
                self.names += [word for word in words[1:] if word not in self.names]
            elif name == "listen" and " ".join(words[1:]) not in self.listen:
                self.listen.append(" ".join(words[1:]))
            elif name == "ssl_certificate" and len(words) == 2 and words[1] not in self.certificates:
                self.certificates.append(words[1])
            elif name == "access_log" and len(words) > 1 and words[1].startswith("/") and words[1] not in self.logs:
                self.logs.append(words[1])
            elif name == "location":
                path = " ".join(words[1:])
            elif path and name in _LEADS and not path.startswith("= /.graceful-maintenance/"):
                # A location's guards come before what it leads to.
                self.leads = [lead for lead in self.leads if lead[0] != path] + [(path, words)]
            elif name == "server":
                path = None


def _links(sets):
    """{what stands behind a pass directive: application} of all that nginx is led to."""
    found = {}
    for name in sets:
        for app, instances in sets[name].apps.items():
            for address in removal_survey.takeover_checks.addresses(
                instances, sets[name].shared[0], sets[name].files["apps"]
            ):
                found[address] = app
                found["unix:" + address] = app
    return found


def sites(sets, now):
    """All sites with what they lead to."""
    found, links = [], _links(sets)
    for name in sorted(sets):
        for path in sets[name].blocks:
            block = _Block(removal_survey.text_of(path))
            leads = [{"path": where, "to": _target(words, links)} for where, words in block.leads]
            apps = [lead["to"].partition(" ")[2] for lead in leads if lead["to"].startswith("application ")]
            found.append(
                {
                    "name": layout.parse_site(path),
                    "set": name,
                    "file": path,
                    "server_names": block.names,
                    "listen": block.listen,
                    "leads": leads,
                    "maintenance": maintenance.on(sorted(set(apps))),
                    "certificates": [certificate(one, now) for one in block.certificates if "$" not in one],
                    "last_hour": status_logs.answers(block.logs, now - HOUR),
                }
            )
    return found


# -- the rest -------------------------------------------------------------------------------------------------------


def nginx(units, now):
    """The nginx of this collection: whether it runs, since when, and what it has not read."""
    told = {"running": False, "since": None, "workers": 0, "unread": [], "version": None, "wrong": None}
    shown = units.show(["nginx.service"]).get("nginx.service") or {}
    told["state"] = shown.get("state")
    told["drained"] = [
        {"address": address, "host": note.get("host") or address, "since": note.get("since")}
        for address, note in sorted(drained.notes().items())
    ]
    try:
        master = nginx_master.read_master(layout.NGINX_PIDFILE)
        if master:
            told.update(
                running=True,
                since=round(procfs.started_at(master), 1),
                workers=len(nginx_master.workers(master)),
                unread=nginx_loading.Nginx(units.run).unread(),
            )
    except (nginx_master.MasterError, nginx_loading.LoadError, IOError, OSError) as error:
        told["wrong"] = str(error)
    if os.path.exists(nginx_loading.BINARY):
        _status, out, err = units.run([nginx_loading.BINARY, "-v"])
        version = re.search(r"nginx/(\S+)", out + err)
        told["version"] = version.group(1) if version else None
    return told


def touched():
    """Files of the bundles that are not as the last run left them."""
    found = []
    for bundle in removal_survey.bundle_names():
        for path, digest in sorted((ownership.recorded(bundle) or {}).items()):
            now = digest_of(path)
            if now != digest:
                found.append({"path": path, "bundle": bundle, "state": "missing" if now is None else "edited"})
    return found


def attention(found):
    """What somebody has to look at, as sentences."""
    lines = []
    if not found["nginx"]["running"] and found["sites"]:
        lines.append("nginx does not run%s" % (": %s" % found["nginx"]["wrong"] if found["nginx"]["wrong"] else ""))
    for path in found["nginx"]["unread"]:
        lines.append("%s is not as the running nginx has read it" % path)
    for one in found["nginx"]["drained"]:
        lines.append("%s (%s) is taken out of the upstreams while it is worked on" % (one["host"], one["address"]))
    for app in found["applications"]:
        for one in app["instances"]:
            if one["state"] != "active":
                lines.append("application %s: %s is %s" % (app["name"], one["unit"], one["state"] or "unknown"))
            elif one["why"]:
                lines.append("application %s: %s" % (app["name"], one["why"]))
        lines += [
            "application %s: %s is %s" % (app["name"], one["unit"], one["state"])
            for one in app["background"]
            # One that ends again and again is about to be started most of the time.
            if one["state"] == "failed" or one["sub"] == "auto-restart"
        ]
        if app["maintenance"]:
            lines.append("application %s is in maintenance" % app["name"])
    for site in found["sites"]:
        for one in site["certificates"]:
            if one["wrong"]:
                lines.append("site %s: certificate %s %s" % (site["name"], one["path"], one["wrong"]))
            elif one["days_left"] < SOON:
                lines.append("site %s: certificate %s %s" % (site["name"], one["path"], left(one["days_left"])))
    for one in found["touched"]:
        lines.append("%s %s" % (one["path"], "is missing" if one["state"] == "missing" else "was edited by hand"))
    for one in found["disk"]["file_systems"]:
        if one["free"] * 10 < one["size"]:
            lines.append("the file system %s has %d %% left" % (one["mount"], one["free"] * 100 // max(1, one["size"])))
    return lines


def left(days):
    """How long a certificate still holds, in words."""
    if days < 0:
        return "ended %d day%s ago" % (-days, "" if days == -1 else "s")
    return "ends in %d day%s" % (days, "" if days == 1 else "s")


def survey(roots, places, run):
    """All that is told of this host. ``roots`` and ``places``: as graceful.wsgi.removal takes them."""
    now = time.time()
    units = Units(run)
    sets, _adopted = removal_survey.all_sets(places["conf_dir"], roots)
    found = {
        "host": native(os.uname()[1]),
        "time": round(now, 1),
        "nginx": nginx(units, now),
        "sites": sites(sets, now),
        "applications": applications(sets, roots[0], units, now),
        "disk": status_disk.host(roots[0], places["uwsgi_home"], run),
        "touched": touched(),
    }
    found["attention"] = attention(found)
    return found
