# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Leads the nginx of an existing stack to our sockets, ends what it was led to before, and goes back the same way.

nginx stays the one that it is: its files are changed where they name a socket, tested by its own binary, and read by a
reload, in which its listening sockets never close. All that was there is kept first.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import re
import signal
import socket

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    emperors,
    layout,
    nginx_master,
    old_masters,
    procfs,
    safe_path,
    stack_files,
    uwsgi_client,
    whole_files,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import encoded, make_folders, native

HOME = layout.STATE_DIR + "/adopt"
TRIAL_CONF = "graceful-wsgi-adopt-trial.conf"
# How long nginx may take to come up with what it was told to read.
RELOAD = 20
MOVING, MOVED = "moving", "moved"


class AdoptError(Exception):
    """Nothing was moved, or what was has been put back; the message says which."""


class State:
    """What was moved, in a file of root's; ``about`` is empty where nothing was."""

    def __init__(self, home=None):
        self.home = home or HOME
        self.path = os.path.join(self.home, "state.json")
        text = whole_files.content_of(self.path)
        self.about = json.loads(native(text)) if text else {}

    def write(self, **more):
        self.about.update(more)
        make_folders(self.home)
        # Environments of processes stand in it.
        os.chmod(self.home, 0o700)
        whole_files.replace_bytes(self.path, json.dumps(self.about).encode("utf-8"), 0o600)

    def forget(self):
        """Go on without; the last one is kept for people."""
        os.rename(self.path, os.path.join(self.home, "last.json"))
        self.about = {}


class Nginx:
    """The nginx that answers."""

    def __init__(self, run):
        self.run = run
        masters = [one for one in stack_files.processes() if one["kind"] == "nginx"]
        masters = [one for one in masters if TRIAL_CONF not in " ".join(one["command"])]
        # One of an upgrade has the other as its parent.
        pids = [one["pid"] for one in masters]
        masters = [one for one in masters if one["parent"] not in pids]
        if len(masters) != 1:
            raise AdoptError("%d nginx run here, and one is moved: end the others first" % len(masters))
        self.pid, title = masters[0]["pid"], " ".join(masters[0]["command"])
        self.binary = procfs.executable(self.pid)
        if not self.binary or not os.access(self.binary, os.X_OK):
            raise AdoptError("the nginx that runs (process %d) has no binary any more: restart it first" % self.pid)
        why = safe_path.untrusted_target(self.binary)
        if why:
            raise AdoptError("%s: %s; root runs nothing that another account can change" % (self.binary, why))
        named = dict((key, re.search(r"\s-%s\s+(\S+)" % key, title)) for key in "cp")
        self.prefix = ["-p", named["p"].group(1)] if named["p"] else []
        self.conf = named["c"].group(1) if named["c"] else self._compiled()

    def reads(self, main):
        """Refuse where the file that was read, and that a plan was made of, is not the one that this nginx reads."""
        if os.path.realpath(self.conf) != os.path.realpath(main or "/"):
            message = "nginx (process %d) reads %s, and %s was read here; start it with that, or end what else is "
            message += "called nginx"
            raise AdoptError(message % (self.pid, self.conf, main or "nothing"))

    def _compiled(self):
        _status, out, err = self.run([self.binary, "-V"])
        found = re.search(r"--conf-path=(\S+)", out + err)
        return found.group(1) if found else layout.NGINX_CONF

    def accounts(self):
        """Whose its workers are, which are those that come to a socket, as the nginx role names them."""
        who = procfs.ids((nginx_master.workers(self.pid) or [self.pid])[0])
        return {"nginx_user": safe_path.account_name(who["uid"]), "nginx_group": safe_path.group_name(who["gid"])}

    def test(self, conf):
        """Why its binary does not take a configuration, or None."""
        status, out, err = self.run([self.binary, "-t", "-q", "-c", conf] + self.prefix)
        return None if status == 0 else (out + err).strip()

    def reload(self):
        """Have it read its files; the pids of the workers that leave. Raises where it goes on with the old ones."""
        before = set(pid for pid, text in nginx_master.children(self.pid) if text.startswith(nginx_master.WORKER))
        nginx_master.send(self.pid, signal.SIGHUP)

        def arrived():
            now = set(nginx_master.workers(self.pid))
            return bool(now) and not now.intersection(before)

        if not nginx_master.wait(arrived, RELOAD):
            raise AdoptError("nginx (process %d) has not read its files within %d s; see its error log" % (
                self.pid,
                RELOAD,
            ))
        return sorted(before)


def drained(pids, timeout):
    """Those of some workers that still serve after a while."""
    nginx_master.wait(lambda: not any(procfs.alive(pid) for pid in pids), timeout, 0.2)
    return [pid for pid in pids if procfs.alive(pid)]


# -- a trial beside --------------------------------------------------------------------------------------------------


def _free_ports(count):
    taken = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _number in range(count)]
    try:
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]
    finally:
        for one in taken:
            one.close()


def _trial_files(nginx):
    folder = os.path.dirname(nginx.conf)
    return os.path.join(folder, TRIAL_CONF), os.path.join(HOME, "trial")


def start_trial(nginx, text, count):
    """Start the old nginx once more, with what it is to read, on ports of its own; which ports those are."""
    end_trial(nginx)
    conf, folder = _trial_files(nginx)
    why = safe_path.untrusted(os.path.dirname(conf))
    if why:
        raise AdoptError("%s: %s" % (conf, why))
    make_folders(folder)
    os.chmod(HOME, 0o700)
    ports = _free_ports(count)
    for index, port in enumerate(ports):
        text = text.replace("@PORT%d@" % index, str(port))
    text = text.replace("@TRIAL@", folder)
    whole_files.replace_bytes(conf, encoded(text), 0o600)
    status, out, err = nginx.run([nginx.binary, "-c", conf] + nginx.prefix)
    pid = None
    if status == 0:
        pid = nginx_master.wait(lambda: nginx_master.read_master(os.path.join(folder, "nginx.pid")), RELOAD)
    if not pid:
        end_trial(nginx)
        said = (out + err).strip() or "it ended at once"
        raise AdoptError("nginx does not take what it would be led by:\n%s\nNothing was moved" % said)
    nginx_master.wait(lambda: nginx_master.workers(pid), RELOAD)
    return ports


def end_trial(nginx):
    """End the trial and leave nothing of it."""
    conf, folder = _trial_files(nginx)
    pid_file = os.path.join(folder, "nginx.pid")
    pid = nginx_master.read_master(pid_file)
    if pid and pid != nginx.pid:
        nginx_master.send(pid, signal.SIGQUIT)
        if not nginx_master.wait(lambda: not procfs.alive(pid), RELOAD):
            nginx_master.send(pid, signal.SIGTERM)
            nginx_master.wait(lambda: not procfs.alive(pid), RELOAD)
    whole_files.unlink(conf)
    safe_path.remove_tree(folder)


# -- the move ----------------------------------------------------------------------------------------------------------


def _checked(edits):
    """The edits with what is at their places, links followed; each file is root's alone and as it was read."""
    found = []
    for edit in edits:
        path = os.path.realpath(edit["path"])
        why = safe_path.untrusted_target(path)
        if why:
            raise AdoptError("%s: %s; have it belong to root before it is changed" % (path, why))
        content = whole_files.read_bytes(path)
        if whole_files.sha256(content) != edit["sha256"]:
            raise AdoptError("%s has changed since it was read; run it again" % path)
        about = os.stat(path)
        found.append({
            "path": path,
            "before": native(content),
            "after": edit["content"],
            "mode": about.st_mode & 0o7777,
            "owner": [about.st_uid, about.st_gid],
        })
    return found


def _put(edits, key):
    for edit in edits:
        whole_files.replace_bytes(edit["path"], encoded(edit[key]), edit["mode"], tuple(edit["owner"]))


def _swapped(nginx, edits, key, other, timeout):
    """Put one side of the edits in place and have nginx read it; whatever fails puts the other back."""
    _put(edits, key)
    why = nginx.test(nginx.conf)
    if why:
        _put(edits, other)
        raise AdoptError("nginx does not take its changed files, which were put back:\n%s" % why)
    try:
        leaving = nginx.reload()
    except (AdoptError, nginx_master.MasterError):
        _put(edits, other)
        nginx_master.send(nginx.pid, signal.SIGHUP)
        raise
    return drained(leaving, timeout)


class Adopting:
    """One adoption. ``given``: edits, apps and time-outs as the module takes them; ``run``: run_command."""

    def __init__(self, run, home=None):
        self.run = run
        self.state = State(home)

    @property
    def phase(self):
        return self.state.about.get("phase", "")

    def check(self, given):
        """What only the host can tell: who listens, what starts it, whose the files are."""
        _checked(given["edits"])
        found = old_masters.find(given["apps"], self.run)
        for one in found:
            why = old_masters.cannot_return(one)
            if why and given["stop"]:
                raise AdoptError(why)
        return found

    def move(self, given):
        """Lead nginx to our sockets; the workers that still serve."""
        nginx, masters = Nginx(self.run), self.check(given)
        nginx.reads(given["main"])
        for one in masters:
            one["status"] = _status(one)
        for app in given["apps"]:
            _answering(app)
        edits = _checked(given["edits"])
        self.state.write(phase=MOVING, edits=edits, masters=masters, stopped=False, apps=given["apps"])
        try:
            left = _swapped(nginx, edits, "after", "before", given["timeout"])
        except (AdoptError, nginx_master.MasterError):
            self.state.forget()
            raise
        self.state.write(phase=MOVED)
        return left

    def stop(self, timeout):
        """End the old applications, whose starters are disabled first; (what was done, what is left to do by hand)."""
        if self.state.about.get("stopped"):
            return [], []
        told, warned = [], []
        for one in self.state.about["masters"]:
            # Each by itself and before anything is done: a run that is cut off knows what to start again.
            old_masters.prepare(one)
            self.state.write()
            done, left = old_masters.stop(one, self.run, timeout)
            told, warned = told + done, warned + left
        self.state.write(stopped=not warned)
        if all(one["kind"] == emperors.KIND for one in self.state.about["masters"]):
            # What starts the emperor starts its other vassals too.
            return told, warned
        return told, warned + old_masters.mentions()

    def back(self, timeout):
        """Start the old applications, and lead nginx to them once they answer; (what was done, workers that serve)."""
        about, nginx = self.state.about, Nginx(self.run)
        edits = about["edits"]
        for edit in edits:
            there = native(whole_files.read_bytes(edit["path"]))
            if there not in (edit["before"], edit["after"]):
                message = "%s was changed since it was moved; lead it to the old sockets by hand, as %s has it"
                raise AdoptError(message % (edit["path"], self.state.path))
        told = []
        for one in about["masters"]:
            told += old_masters.start(one, self.run)
        for one in about["masters"]:
            if not nginx_master.wait(lambda one=one: _is_up(one, self.run), timeout, 0.2):
                message = "%s: the old application does not answer at %s within %d s; nginx was not led back"
                raise AdoptError(message % (one["app"], one["address"], timeout))
        left = _swapped(nginx, edits, "before", "after", timeout)
        self.state.forget()
        return told, left


def _status(about):
    """What an application answers to / over its own socket, or None where no answer comes."""
    try:
        where = about["address"][len("unix:"):] if about["address"].startswith("unix:") else about["address"]
        # A socket for TCP does not tell whose it is; the kernel's table did.
        owner = old_masters.owners(about) if "who" in about and where.startswith("/") else None
        return uwsgi_client.ask(where, "/", about["protocol"], about["host"], timeout=5, owner=owner)[0]
    except uwsgi_client.ClientError:
        return None


def _is_up(about, run):
    """Whether an application answers again; it listens before it has loaded its code, and may have failed to."""
    if not old_masters.serving(about, run):
        # Whoever answers there meanwhile gets no visitors.
        return False
    status = _status(about)
    return status is not None and (status < 500 or status == about["status"])


def _answering(app):
    if _status({"address": app["lead"], "protocol": app["protocol"], "host": app["host"]}) is None:
        message = "%s: nobody answers at %s, where nginx would be led; nothing was moved"
        raise AdoptError(message % (app["name"], app["lead"]))
