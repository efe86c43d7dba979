# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The page that graceful.wsgi.status shows of a host, as lines."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import time

from ansible_collections.graceful.wsgi.plugins.module_utils.host_status import left


def moment(seconds):
    """A time in words; a dash where there is none."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else "-"


def size(number):
    """A number of bytes in words; a dash where nobody knows."""
    if number is None:
        return "-"
    units = ["bytes", "kB", "MB", "GB", "TB"]
    value = float(number)
    while value >= 1000 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return "%d %s" % (value, units[0]) if units[0] == "bytes" or value >= 10 else "%.1f %s" % (value, units[0])


def counted(number, word):
    """1 worker, 2 workers; ? where nobody knows."""
    return "%s %s%s" % ("?" if number is None else number, word, "" if number == 1 else "s")


def _answers(told):
    if told is None:
        return "last hour: nothing is known of its answers"
    text = "last hour: %s, %d answered 500 or more" % (counted(told["requests"], "request"), told["errors"])
    return text if told["whole"] else text + " (at least: the log is longer than what was read)"


def _certificate(told):
    if told["wrong"]:
        return "certificate %s %s" % (told["path"], told["wrong"])
    return "certificate %s %s, on %s" % (told["path"], left(told["days_left"]), moment(told["until"]))


def _site(site):
    yield "  %s (set %s): %s" % (site["name"], site["set"], " ".join(site["server_names"]) or "_")
    yield "    listens on %s" % (", ".join(site["listen"]) or "nothing")
    for lead in site["leads"]:
        down = lead["to"].partition(" ")[2] in site["maintenance"] and lead["to"].startswith("application ")
        yield "    %s -> %s%s" % (lead["path"], lead["to"], " (MAINTENANCE, answers 503)" if down else "")
    for told in site["certificates"]:
        yield "    %s" % _certificate(told)
    yield "    %s" % _answers(site["last_hour"])


def _instance(one):
    yield "    %s: %s since %s" % (one["unit"], one["state"] or "unknown", moment(one["since"]))
    if one["why"]:
        yield "      %s" % one["why"]
    else:
        yield "      %s, %s busy; %s, %s; memory %s" % (
            counted(one["workers"], "worker"),
            "?" if one["busy"] is None else one["busy"],
            counted(one["requests"], "request"),
            counted(one["exceptions"], "exception"),
            size(one["memory"]),
        )
    restarts = "unknown restarts" if one["restarts"] is None else counted(one["restarts"], "restart")
    yield "      %s by systemd, %s of workers; last hour: %s" % (
        restarts,
        "?" if one["respawns"] is None else counted(one["respawns"], "respawn"),
        counted(one["tracebacks"], "traceback"),
    )


def _application(app):
    code = "code of its own, no release"
    if app["release"]:
        code = "release %s since %s" % (app["release"]["id"], moment(app["release"]["since"]))
    yield "  %s (set %s): %s" % (app["name"], app["set"], code)
    if app["maintenance"]:
        yield "    in MAINTENANCE since %s" % moment(app["maintenance"])
    for one in app["instances"]:
        for line in _instance(one):
            yield line
    for one in app["background"]:
        times = ", %s by systemd" % counted(one["restarts"], "restart") if one["restarts"] else ""
        yield "    %s: %s since %s%s" % (one["unit"], one["state"], moment(one["since"]), times)
    disk = app["disk"]
    parts = ["%s in %s" % (size(disk["releases"]), counted(disk["releases_kept"], "release"))]
    parts += ["%s %s" % (name, size(disk[name])) for name in ("virtualenvs", "shared", "logs") if disk[name]]
    yield "    disk: %s" % ", ".join(parts)


def _versions(told):
    """A line for each of several that are there side by side."""
    for one in told:
        yield "    %s: %s%s" % (one["name"], size(one["bytes"]), " (current)" if one["current"] else "")


def page(found):
    """The page, as lines."""
    nginx = found["nginx"]
    lines = ["%s, %s" % (found["host"], moment(found["time"]))]
    lines += ["  LOOK: %s" % line for line in found["attention"]] or ["  nothing needs a look"]
    runs = "runs since %s with %s" % (moment(nginx["since"]), counted(nginx["workers"], "worker"))
    lines.append("nginx %s: %s" % (nginx["version"] or "-", runs if nginx["running"] else "does not run"))
    for one in nginx["drained"]:
        lines.append("  DRAINED since %s: %s (%s)" % (moment(one["since"]), one["host"], one["address"]))
    lines.append("sites" if found["sites"] else "sites: none")
    lines += [line for site in found["sites"] for line in _site(site)]
    lines.append("applications" if found["applications"] else "applications: none")
    lines += [line for app in found["applications"] for line in _application(app)]
    disk = found["disk"]
    lines.append("disk")
    lines.append("  uWSGI in %s: %s" % (disk["uwsgi_home"], size(disk["uwsgi_homes"])))
    lines += _versions(disk["uwsgi_versions"])
    lines.append("  artifacts of nginx: %s" % size(disk["nginx_artifacts"]))
    lines += _versions(disk["nginx_versions"])
    if disk["shared_virtualenvs"]:
        lines.append("  virtualenvs that applications share: %s" % size(disk["shared_virtualenvs"]))
    for one in disk["file_systems"]:
        lines.append("  file system %s: %s free of %s" % (one["mount"], size(one["free"]), size(one["size"])))
    return lines
