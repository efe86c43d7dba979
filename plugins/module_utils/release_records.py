# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is known of each release: HOME/releases/.records/<id>.json, root's own.

A record says what a release was made from, when it was last seen live to the end of a run and by whom, and why it
failed where it did. Beside it lies what the release was live with, for as long as the release is there. Which release
is live is told by the link ``current`` alone, so that no record can be wrong about it. A release that was never seen
live to the end of a run is none to go back to.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import json
import os
import re
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import causes, layout
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import encoded, make_folders, native
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import Folder, UnsafePath, read_file
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import (
    content_of,
    digest_of,
    replace_bytes,
    sha256,
)

FOLDER = ".records"
# Ends the name of a file beside a record: how the code was run, of which a way back makes the configuration again.
SETTINGS = ".settings"
RELEASE_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,79}\Z")
# How many releases that never were live are kept for a look, and for how many seconds.
FAILED_KEPT, FAILED_AGE = 2, 7 * 24 * 3600
# How many records stay, those of releases that are gone among them.
RECORDS_KEPT = 100
# How many of them are kept of an application whose first run failed, when its folder goes.
NEVER_LIVE_KEPT = 20
# What an address holds of a user's.
_CREDENTIALS = re.compile(r"(\w://)[^/@\s]+@")


class NoWayBack(Exception):
    """There is no such release to go back to; the text names those that there are."""


def first_line(text):
    """The first line of a message, without what an address may hold of a password."""
    lines = [line.strip() for line in native(text or "").splitlines()]
    found = next((line for line in lines if line), "")
    return _CREDENTIALS.sub(r"\1", found)[:300]


class Records:
    """The records of one application. ``releases``: its folder of releases; ``now``: a clock."""

    def __init__(self, releases, now=time.time):
        self.releases = releases
        self.folder = os.path.join(releases, FOLDER)
        self.now = now

    @classmethod
    def of(cls, home):
        """Those of the application that lies there."""
        return cls(os.path.join(home, "releases"))

    @property
    def current(self):
        """The id of the live release, or None."""
        try:
            return os.path.basename(os.readlink(os.path.join(os.path.dirname(self.releases), "current")))
        except OSError:
            return None

    @property
    def there(self):
        """{id: when it was last switched to} of the releases that the host has."""
        found = {}
        for name in os.listdir(self.releases) if os.path.isdir(self.releases) else []:
            path = os.path.join(self.releases, name)
            if RELEASE_ID.match(name) and os.path.isdir(path) and not os.path.islink(path):
                found[native(name)] = os.stat(path).st_mtime
        return found

    def _names(self, ending=".json"):
        """The names of the records; none in a folder that another account could have made."""
        try:
            with Folder(self.folder) as folder:
                return [name for name in folder.names() if name.endswith(ending)] if folder.trusted else []
        except UnsafePath:
            return []
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
            return []

    def read(self):
        """{id: record}; one that cannot be read is none."""
        # Of first runs that failed, and whose folders are gone.
        found = kept(os.path.basename(os.path.dirname(self.releases)))
        for name in self._names():
            try:
                record = json.loads(read_file(os.path.join(self.folder, name)).decode("utf-8"))
            except (OSError, UnsafePath, ValueError):
                continue
            if isinstance(record, dict) and RELEASE_ID.match(name[: -len(".json")]):
                found[native(name[: -len(".json")])] = record
        return found

    def settings(self, name):
        """What is kept of how a release was run, as it was given; None where nothing is."""
        try:
            if name + SETTINGS in self._names(SETTINGS):
                text = read_file(os.path.join(self.folder, name + SETTINGS)).decode("utf-8")
                return native(text) if isinstance(json.loads(text)["settings"], dict) else None
        except (OSError, UnsafePath, ValueError, KeyError, TypeError):
            pass
        return None

    def _write(self, name, record, settings=None):
        """Write a record whole, and let go the oldest ones that are too many."""
        with Folder(self.releases) as folder:
            # Whoever can write there can write anything about it.
            if not folder.trusted:
                return False
            if folder.lstat(FOLDER) is None:
                os.mkdir(folder.at(FOLDER), 0o700)
        content = encoded(json.dumps(record, sort_keys=True, indent=1))
        if settings is not None:
            replace_bytes(os.path.join(self.folder, name + SETTINGS), encoded(settings))
        replace_bytes(os.path.join(self.folder, name + ".json"), content)
        self.forget()
        return True

    def forget(self):
        """Let go the oldest records that are too many, and what is kept with releases that are gone."""
        for name in self._names(SETTINGS):
            if name[: -len(SETTINGS)] not in self.there:
                os.unlink(os.path.join(self.folder, name))
        there, names = self.there, [name[: -len(".json")] for name in self._names()]
        gone = [name for name in names if name not in there]
        gone.sort(key=lambda name: os.stat(os.path.join(self.folder, name + ".json")).st_mtime)
        for name in gone[: max(len(names) - RECORDS_KEPT, 0)]:
            os.unlink(os.path.join(self.folder, name + ".json"))

    def begun(self, name, made, by):
        """A release has been put on the host. ``made``: what it was made from."""
        made = dict((key, value) for key, value in made.items() if value)
        record = self.read().get(name) or {}
        record["made"] = dict(made, at=self.now(), by=by)
        return self._write(name, record)

    def failed(self, name, stage, why, by=None):
        """A release did not become live; nothing is noted against the one that is. ``why``: the first line counts."""
        if name is None or name == self.current or name not in self.there:
            return False
        record = self.read().get(name) or {}
        record["failed"] = {"at": self.now(), "stage": first_line(stage), "why": first_line(why)}
        if by:
            record["failed"]["by"] = by
        try:
            return self._write(name, record)
        except (IOError, OSError):
            # A full disk may be why it failed, and that is what is to be told.
            return False

    def adopt(self, name):
        """Note the release that an earlier version of this collection made live, as far as can be known of it."""
        if name is None or name in self.read() or name not in self.there:
            return False
        return self._write(name, {"adopted": True, "live": {"at": self.there[name]}})

    def latest(self, records=None):
        """The id of the release that was seen live last, or None."""
        records = self.read() if records is None else records
        live = [(record["live"]["at"], name) for name, record in records.items() if record.get("live")]
        return max(live)[1] if live else None

    @property
    def unrecorded(self):
        """Whether the live release is not noted as the one that was seen live last."""
        return self.current is not None and self.current in self.there and self.latest() != self.current

    @property
    def incomplete(self):
        """Whether that is not noted of the live release, or not what it is run with."""
        lacking = self.current in self.there and self.settings(self.current) is None
        return self.unrecorded or lacking

    def live(self, name, by, configuration=None, check=False, settings=None):
        """A run has seen a release live to its end; returns whether that is news.

        ``configuration``: {path: digest} of what it was live with; ``settings``: of what a way back makes that again.
        """
        if name is None or name != self.current or name not in self.there:
            return False
        records = self.read()
        record, latest = records.get(name) or {}, self.latest(records)
        news = latest != name or "failed" in record
        known = settings is None or settings == self.settings(name)
        if not news and known and record["live"].get("configuration") == configuration:
            return False
        if check:
            return True
        if news:
            record.pop("failed", None)
            record["live"] = {"at": self.now(), "by": by}
        record["live"]["configuration"] = configuration
        venv = os.path.join(self.releases, name, ".venv")
        record["live"]["virtualenv"] = native(os.readlink(venv)) if os.path.islink(venv) else None
        return self._write(name, record, settings)

    def told(self):
        """What is known of each release, the live one first and then the latest; a list of dicts."""
        records, current, there = self.read(), self.current, self.there
        found = []
        for name in set(records) | set(there):
            record = records.get(name) or {}
            live, failed, made = record.get("live") or {}, record.get("failed") or {}, record.get("made") or {}
            if name == current and name in there:
                status = "live"
            elif name not in there:
                status = "removed"
            elif live:
                status = "earlier"
            elif failed:
                status = "failed"
            else:
                status = "unfinished" if record else "unknown"
            found.append(
                {
                    "id": name,
                    "status": status,
                    "made": made,
                    "live": live,
                    "failed": failed,
                    "there": name in there,
                    "settings": called(self.settings(name)),
                    "at": live.get("at") or failed.get("at") or made.get("at") or there.get(name) or 0,
                    "by": live.get("by") or failed.get("by") or made.get("by") or "",
                }
            )
        return sorted(found, key=lambda one: (one["status"] != "live", -one["at"], one["id"]))

    def _cut_off_at(self, told):
        """Whether the live release is an earlier one to which a run has led that was killed before it was recorded."""
        return self.unrecorded and any(one["status"] == "live" and one["live"] for one in told)

    def target(self, wanted=None):
        """The id of the release to go back to: ``wanted`` (or the one whose beginning it is), or the one before.

        Raises NoWayBack.
        """
        told = self.told()
        # What an earlier version left may be one that failed: it is one to go back to for who names it.
        named = [one for one in told if one["status"] in ("earlier", "unknown")]
        listed = "; ".join(_line(one) for one in named)
        there = "there to go back to: %s" % listed if named else "there is no other release to go back to"
        if not wanted and self._cut_off_at(told):
            # Was it a way back, the release before is the one that it led away from.
            raise NoWayBack(
                "a run that took %s live again did not come to its end; name that one to finish it, or another, by "
                "-e to=ID; %s" % (self.current, there)
            )
        if not wanted:
            earlier = [one for one in named if one["status"] == "earlier"]
            if earlier:
                return earlier[0]["id"]
            raise NoWayBack("it is not known which release was live before; %s" % (
                "name one by -e to=ID; " + there if named else there
            ))
        found = [one for one in told if one["id"] == wanted]
        found = found or [one for one in told if len(wanted) > 5 and one["id"].startswith(wanted)]
        if len(found) > 1:
            raise NoWayBack("to=%s is the beginning of several releases; %s" % (wanted, there))
        if not found:
            raise NoWayBack("to=%s: there is no such release; %s" % (wanted, there))
        why = {
            "live": "is live already",
            "removed": "is not on the host any more",
            "failed": "has failed and was never live (%s)" % found[0]["failed"].get("why", ""),
            "unfinished": "was never seen live to the end of a run",
        }.get(found[0]["status"])
        if why and not (found[0]["id"] == self.current and self._cut_off_at(told)):
            raise NoWayBack("to=%s %s; %s" % (wanted, why, there))
        return found[0]["id"]


def is_named(found, wanted):
    """Whether a release is the one that is wanted: by its name, or by the beginning of it."""
    return found is not None and (found == wanted or (len(wanted) > 5 and found.startswith(wanted)))


def called(settings):
    """A name for what is kept of how a release was run, by which one tells it from another; empty for nothing."""
    return native(sha256(encoded(settings))[:8]) if settings else ""


def _line(one):
    """A release in a list of those to go back to."""
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(one["at"]))
    how = "live" if one["status"] == "earlier" else "not recorded, switched to"
    return "%s (%s %s UTC)" % (one["id"], how, when)


def aside(releases, protected, now=time.time):
    """(ids, ids of those that are too many) of the releases that never were live, but for the ``protected`` ones."""
    records = Records(releases)
    found = []
    for name, record in records.read().items():
        if not record.get("live") and name not in protected and name in records.there:
            when = (record.get("failed") or record.get("made") or {}).get("at", 0)
            found.append((-when, name))
    found.sort()
    names = [name for _when, name in found]
    gone = [name for number, (when, name) in enumerate(found) if number >= FAILED_KEPT or now() + when > FAILED_AGE]
    return names, gone


def note_failures(releases, failed, stage):
    """Note why applications' new releases do not load. ``releases``: as graceful.wsgi.releases tells them, with where
    each live path will lead; ``failed``: [(application, message)]."""
    for item in releases:
        for path in item.get("replace", {}).values():
            folder, name = os.path.split(path)
            why = dict(failed).get(item["name"])
            if why and os.path.basename(folder) == "releases" and name == item.get("id"):
                Records(folder).failed(name, stage, causes.message([(item["name"], why)]))


def kept_in(app):
    """The file with the records of an application whose first run failed."""
    return os.path.join(layout.NEVER_LIVE_DIR, app + ".json")


def kept(app):
    """{id: record} of its first runs that failed, whose folders are gone."""
    try:
        found = json.loads((content_of(kept_in(app)) or b"{}").decode("utf-8"))
    except (IOError, OSError, ValueError):
        return {}
    return dict((native(name), record) for name, record in found.items() if isinstance(record, dict))


def keep(app, home):
    """Keep the records of an application whose folder is about to go: why it failed is asked for afterwards."""
    found = Records(os.path.join(home, "releases")).read()
    if not found:
        return
    latest = sorted(found, key=lambda name: -(found[name].get("failed") or found[name].get("made") or {}).get("at", 0))
    make_folders(layout.NEVER_LIVE_DIR)
    content = dict((name, found[name]) for name in latest[:NEVER_LIVE_KEPT])
    replace_bytes(kept_in(app), encoded(json.dumps(content, sort_keys=True, indent=1)))


def digests(paths):
    """{path: sha256} of files of root's; what is not there is left out."""
    found = dict((path, digest_of(path)) for path in paths)
    return dict((path, digest) for path, digest in found.items() if digest)
