# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One graceful reload: preflight, the signal, the wait for every worker, the probe."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fcntl
import functools
import hashlib
import os
import re
import signal
import stat
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    background,
    procfs,
    quiet,
    request_log,
    trial_unit,
    visitor,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import STATE_DIR, lock_file, make_folders
from ansible_collections.graceful.wsgi.plugins.module_utils.log_files import said_since, size
from ansible_collections.graceful.wsgi.plugins.module_utils.parallel import run_all
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import as_account, open_regular
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_client import ClientError, ask, connect, statistics
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_config import ConfigError, load_as
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_master import Master, MasterError
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_preflight import PreflightError, preflight

# What an item of reload_all() may say; pid is the master that systemd knows, if any.
DEFAULTS = {
    "pid": None,
    "strategy": "auto",
    "config": None,
    "preflight": True,
    "preflight_timeout": 60,
    "preflight_config": None,
    "preflight_replace": {},
    "probe": {},
    "timeout": 120,
    # after(since) is called once all workers are new, which the first of them has been since then, and raises
    # ReloadError; stop() says whether a reload that waits for its turn is not wanted any more.
    "after": None,
    "stop": None,
}
PAUSE = 0.05
# A worker that still stands this long after it was first seen did not die of its own start.
SETTLED = 0.5
# One that died within so many seconds died of its start.
START = 5
# So many workers that died at their start are a crash loop, which no waiting mends.
CRASHES = 4


class ReloadError(Exception):
    """The reload did not end well; the text says how far it came."""


class ProbeError(ReloadError):
    """The instance is new, and does not answer as it should; the text holds what its log says of that."""


def send_to_fifo(path, command):
    """Write to a fifo that somebody reads, and to nothing else."""
    handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        if not stat.S_ISFIFO(os.fstat(handle).st_mode):
            raise OSError(errno.ENXIO, "is no fifo", path)
        os.write(handle, command)
    finally:
        os.close(handle)


class Lock:
    """One reload of an instance at a time; a second one waits for the first as long as it may."""

    def __init__(self, pidfile, limit, message="another reload of this instance is under way; no signal was sent"):
        self.pidfile = os.path.realpath(pidfile)
        self.limit = limit
        self.message = message
        self.handle = None

    def _open(self):
        if os.geteuid() != 0:
            # A plain user has no folder of our own; the pidfile can be locked by whoever may read it.
            return os.fdopen(open_regular(self.pidfile), "r")
        make_folders(STATE_DIR)
        name = hashlib.sha256(self.pidfile.encode("utf-8")).hexdigest()[:16]
        return lock_file(os.path.join(STATE_DIR, "reload-%s.lock" % name))

    def __enter__(self):
        self.handle = self._open()
        while True:
            try:
                fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return self
            except (IOError, OSError) as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                if time.time() > self.limit:
                    self.handle.close()
                    raise ReloadError(self.message)
            time.sleep(PAUSE)

    def __exit__(self, *_exc):
        self.handle.close()


class Reload:
    """One instance's reload. ``wanted``: an item of graceful.wsgi.uwsgi_reload, all its keys set.

    ``fetch(url, host, timeout)`` returns (status, text) for a probe by URL.
    """

    def __init__(self, wanted, fetch, check_mode=False):
        self.wanted = wanted
        self.fetch = fetch
        self.check_mode = check_mode
        self.master = None
        self.limit = 0
        self.log_from = 0
        self.tells = False
        # Attached daemons that there were, and their starts.
        self.left = []
        # The unit that its code is loaded in; None where no unit of the system has started the live one.
        self.trial = None
        self.result = {
            "pidfile": wanted["pidfile"],
            "changed": False,
            "failed": False,
            "strategy": wanted["strategy"],
            "preflight": "not asked for",
            "probe": "not asked for",
        }

    def prove(self):
        """Find the master and prove it; not to be called by two threads at once, since it looks as other users."""
        try:
            if os.geteuid() == 0 and not self.check_mode:
                # In the middle of another reload a master has no workers to be told by.
                with Lock(self.wanted["pidfile"], time.time() + self.wanted["timeout"]):
                    pass
            self.master = Master(self.wanted["pidfile"], self.wanted["config"])
            if self.wanted["pid"] not in (None, self.master.pid):
                raise MasterError(
                    "%s: names %d, but systemd's master is %d; no signal was sent"
                    % (self.wanted["pidfile"], self.master.pid, self.wanted["pid"])
                )
            workers = sorted(self.master.workers())
            self.worker_ids = procfs.ids(workers[0]) if workers else self.master.who
            self.result.update(master_pid=self.master.pid, workers_before=workers)
        except (MasterError, ReloadError) as error:
            self._fail(error)
        except Exception as error:
            # A process may end in the middle of any look at it; one instance's trouble is not its neighbours'.
            self._fail("%s: could not be looked at, no signal was sent: %r" % (self.wanted["pidfile"], error))

    def take_unit(self, trials):
        """Have a unit for the preflight, with the settings of the one that the live master runs in."""
        if self.result["failed"] or not self.wanted["preflight"] or self.wanted["strategy"] == "stop":
            return
        try:
            unit = trial_unit.unit_of(self.master.pid, trials.run)
            if unit is None:
                return
            name = re.sub(r"[^A-Za-z0-9_.-]", "-", unit[: -len(".service")].rpartition("@")[2])[:60]
            self.trial = trials.add(
                # Two units may differ by what stands before their @ only.
                "%s-%d" % (name, self.master.pid),
                unit,
                replace=self.wanted["preflight_replace"],
                who=self.worker_ids,
                folder=self.master.folder,
                timeout=self.wanted["preflight_timeout"],
            )
        except (trial_unit.TrialError, IOError, OSError) as error:
            self._fail("%s: no unit could be made for its preflight: %s" % (self.wanted["pidfile"], error))

    def run(self):
        """The reload of a proven master; the result says what happened, failed or not."""
        if self.result["failed"]:
            return self.result
        if self.wanted["stop"] and self.wanted["stop"]():
            self._fail("%s: was not reloaded, since another one failed" % self.wanted["pidfile"])
            return self.result
        started = time.time()
        self.limit = started + self.wanted["timeout"]
        self.log_from = size(self.master.config.log)
        try:
            self.result["strategy"] = self._strategy()
            if self.check_mode:
                self._preflight()
                self.result["changed"] = True
            else:
                with Lock(self.wanted["pidfile"], self.limit):
                    self._work()
        except (ReloadError, MasterError, PreflightError, ConfigError) as error:
            self._fail(error)
        except Exception as error:
            # What escapes a thread is lost, and the result would say that all went well.
            self._fail("%s: %r" % (self.wanted["pidfile"], error))
        self.result["elapsed"] = round(time.time() - started, 3)
        return self.result

    def _fail(self, error):
        self.result["failed"] = True
        self.result["msg"] = str(error)
        log = self.master.config.log if self.master else None
        # What the log says of a probe is in the message already.
        if log and self.log_from is not None and not isinstance(error, ProbeError):
            self.result["log"] = said_since(log, self.log_from)

    # -- what to do ---------------------------------------------------------------------------------------------

    @property
    def _stats(self):
        """The address of its stats server."""
        return self.master.address(self.master.config.stats) if self.master.config.stats else None

    def _can_chain(self):
        """Whether the instance can reload one worker after another: by our hand or, asked to, by its own."""
        return self.master.config.lazy and (self._statistics() is not None or self._fifo() is not None)

    def _statistics(self):
        """What its stats server says now, or None."""
        address = self.master.config.stats
        return statistics(self.master.address(address)) if address else None

    def workers(self):
        """The master's workers; what else it has forked is none, where the stats server tells."""
        found, said = self.master.workers(), self._statistics()
        return found if said is None else found & set(item.get("pid") for item in said.get("workers", []))

    def _fifo(self):
        path = self.master.config.fifo
        if not path:
            return None
        path = os.path.join(self.master.folder, path)
        try:
            found = os.lstat(path)
        except OSError:
            return None
        ours = found.st_uid in (0, self.master.who["uid"])
        return path if stat.S_ISFIFO(found.st_mode) and ours else None

    def _strategy(self):
        wanted = self.wanted["strategy"]
        whole = background.needs_new_master(self.master.config.options)
        if wanted in ("auto", "chain") and not whole and background.signals(self._stats, self.master.config.log):
            whole = ["timers or crons of the code (uwsgidecorators)"]
        if wanted == "chain" and whole:
            raise ReloadError(
                "strategy chain replaces workers only, and %s would go on with the old code; take auto or hup"
                % ", ".join(sorted(set(whole)))
            )
        if wanted == "auto" and whole:
            return "hup"
        if wanted == "chain" and not self._can_chain():
            raise ReloadError(
                "strategy chain needs lazy-apps, and stats or master-fifo, in the instance's configuration;"
                " take auto or hup"
            )
        if wanted == "auto":
            return "chain" if self._can_chain() and self.master.config_changed() is False else "hup"
        return wanted

    def _preflight(self):
        if not self.wanted["preflight"] or self.result["strategy"] == "stop":
            return
        options, path = self.master.config.options, self.wanted["preflight_config"]
        if path:
            options = self.master.given + load_as(
                self.master.who, path, folder=self.master.started_in, named=True
            )
        binary = self.master.executable
        if not binary or not os.path.exists(binary):
            binary = procfs.words(self.master.pid)[0]
        took = preflight(
            binary,
            options,
            self.worker_ids,
            self.master.environment,
            self.master.folder,
            self.wanted["preflight_timeout"],
            self.wanted["preflight_replace"],
            dict(self.wanted["probe"]) if self.wanted["probe"].get("path") else None,
            self.trial,
        )
        self.result["preflight"] = "loaded in %.2f s" % took

    # -- doing it -----------------------------------------------------------------------------------------------

    def _work(self):
        if self.result["strategy"] == "stop":
            self._stop()
            return
        self._preflight()
        # The preflight has a limit of its own.
        self.limit = time.time() + self.wanted["timeout"]
        before = self.workers()
        self.tells = self._statistics() is not None
        self.result["workers_before"] = sorted(before)
        # A reload that another one made while we waited or preflighted is no harm: these workers are replaced too.
        renewal = Renewal(self, before)
        if self.result["strategy"] == "chain":
            self._chain(before, renewal)
        elif background.needs_new_master(self.master.config.options):
            self._renew_whole(sorted(before))
        else:
            self._safe_sighup(self.master.pid, sorted(before))
        while not renewal.is_whole():
            time.sleep(PAUSE)
        self._probe()
        if self.wanted["after"]:
            self.wanted["after"](renewal.since)
        self._stand()

    def _renew_whole(self, workers):
        """SIGHUP for the master once neither a worker nor what runs beside them loses what it is at."""
        daemons = background.Seen(self.master.pid, self._stats).daemons
        left = [(pid, procfs.process_start(pid)) for _label, pid in daemons if pid and procfs.alive(pid)]
        # It stops one daemon after the other, each within 3 s or as long as reload-mercy says, before its workers.
        mercy = (["3"] + self.master.config.all("reload-mercy"))[-1]
        grace = 1 + len(left) * (1 + int(mercy if mercy.isdigit() else 3))
        # Commands of crons go on over a SIGHUP.
        with background.Rest(self.master.pid, self._stats, self.master.who, self.wanted["timeout"], False) as rest:
            self.result["cut_off"] = rest.wait()
            # That had a limit of its own.
            self.limit = time.time() + self.wanted["timeout"]
            self._safe_sighup(self.master.pid, workers, grace=grace)
        self.left = left

    def _is_older(self, pid):
        starts = [procfs.process_start(worker) for worker in self.result.get("workers_after", [])]
        start = procfs.process_start(pid) if pid else None
        return bool(start and any(starts) and start < min(filter(None, starts)))

    def _stand(self):
        """Until daemons of before are gone, and what runs beside the workers has stood for a while."""
        options = self.master.config.options
        if self.result["strategy"] != "hup" or not background.needs_new_master(options) or self._stats is None:
            return
        # uWSGI leaves one with a pidfile as it is. Which process that is the account has said: it signals it itself.
        who = dict(self.master.who, groups=[])
        while True:
            left = [pid for pid, start in self.left if start and procfs.process_start(pid) == start]
            # One that the former master started in its last moments: the new one starts its own after its workers.
            daemons = background.Seen(self.master.pid, self._stats).daemons
            left += [pid for _label, pid in daemons if self._is_older(pid)]
            left = [pid for pid in left if procfs.alive(pid)]
            if not left:
                break
            if time.time() > self.limit:
                raise ReloadError("an attached daemon (pid %d) is still the one from before" % left[0])
            as_account(who, functools.partial(background.end, left))
            time.sleep(0.5)
        name = self.wanted.get("name") or self.wanted["pidfile"]
        watched = background.Watched(name, self.master.pid, self._stats, options)
        failed = background.stand([watched])
        if failed:
            log = self.master.config.log
            said = ["%s says:\n%s" % (log, background.own_words(log, self.log_from))] if log else []
            # What stands there already is not said twice.
            self.log_from = None
            raise ReloadError("\n".join(list(failed.values()) + said))

    def _safe_sighup(self, target, workers, **more):
        """SIGHUP for the master or a worker, at a moment when none of these workers loses a request."""
        config, master = self.master.config, self.master
        if not master.still():
            raise ReloadError("the master has ended; no signal was sent")
        # /proc shows a relative path as it was bound.
        addresses = [address for _protocol, address in config.sockets]
        addresses += [master.address(address) for address in addresses]
        stats = master.address(config.stats) if config.stats else None
        try:
            patience = min(3.0, self.wanted["timeout"] / 2.0)
            good = quiet.safe_sighup(target, workers, addresses, stats, self.worker_ids, patience, **more)
            self.result["quiet"] = self.result.get("quiet", True) and good
        except OSError as error:
            if error.errno != errno.ESRCH:
                raise ReloadError("process %d: %s; it was not signalled" % (target, error.strerror))
        self.result["changed"] = True

    def _chain(self, before, renewal):
        """Replace one worker after another as uWSGI's own chain reload does, but each at a good moment."""
        said = self._statistics()
        if said is None:
            # Nothing tells which of the master's forks are workers and when a new one accepts; the master knows.
            self._write_fifo(b"c")
            self.result.update(changed=True, quiet=False)
            return
        listed = [item for item in said.get("workers", []) if item.get("pid") in before]
        # Those that still load, for a reload that was given up or killed, serve nobody: they go first, all at once.
        # After that one at a time is away.
        loading = [item["pid"] for item in listed if not item.get("accepting")]
        rest = [[item["pid"]] for item in listed if item.get("accepting")]
        starts = dict((item["pid"], procfs.process_start(item["pid"])) for item in listed)
        mercy = (["60"] + self.master.config.all("worker-reload-mercy"))[-1]
        gone = []
        # What took the place of one that has just ended by itself may load as well.
        while not loading and not renewal.has_replaced(gone):
            time.sleep(PAUSE)
        for chosen in ([loading] if loading else []) + rest:
            for pid in chosen:
                # One that has ended by itself is replaced already, and its number may be another's by now.
                if procfs.process_start(pid) == starts[pid]:
                    self._safe_sighup(pid, [pid])
            gone += chosen
            until = time.time() + int(mercy if mercy.isdigit() else 60)
            while not renewal.has_replaced(gone):
                # uWSGI's master does so with a worker that it has signalled itself.
                for pid in chosen if time.time() > until else ():
                    if starts[pid] is not None and procfs.process_start(pid) == starts[pid]:
                        os.kill(pid, signal.SIGKILL)
                time.sleep(PAUSE)

    def _write_fifo(self, command):
        path = self._fifo()
        if path is None or not self.master.still():
            raise ReloadError("the master has ended, or its fifo is gone; nothing was sent")
        try:
            # It lies in a folder of the master's account, which may have put anything else there.
            as_account(dict(self.master.who, groups=[]), lambda: send_to_fifo(path, command))
        except (IOError, OSError) as error:
            raise ReloadError("%s: %s; nobody reads the fifo, nothing was sent" % (path, error.strerror))

    def _stop(self):
        """End the instance, after the requests that it is busy with where it has a way to be told so."""
        workers = self.master.workers()
        if self._fifo():
            self._write_fifo(b"q")
        elif self.master.config.ends_gracefully:
            self.master.signal(signal.SIGTERM)
        else:
            self.master.signal(signal.SIGINT)
        self.result["changed"] = True
        while self.master.still() or any(procfs.alive(pid) for pid in workers):
            if time.time() > self.limit:
                raise ReloadError("process %d or a worker of it has not ended within the time limit" % self.master.pid)
            time.sleep(PAUSE)
        self.result["workers_after"] = []

    def accepting(self, workers):
        """Those of these workers that accept requests, as the stats server says; without one a standing worker does."""
        said = self._statistics()
        if said is None:
            # One that told of the workers before is not yet back.
            return set() if self.tells else set(workers)
        return set(item.get("pid") for item in said.get("workers", []) if item.get("accepting")) & set(workers)

    def least(self, before):
        """How many workers there must be: all that there were, unless their number goes up and down by itself."""
        return 1 if self.master.config.all("cheaper", "cheap", "idle") else len(before)

    def spare(self, before):
        """How many of the master's forks are no workers: a chain reload leaves http routers and mules alone."""
        config = self.master.config
        if self.result["strategy"] != "chain" or self.tells:
            return 0
        others = len(config.all("http", "https", "httprouter", "fastrouter", "mule", "farm"))
        others += sum(int(text) for text in config.all("mules") if text.isdigit())
        others += len(config.all("spooler")) + len(config.all("spooler-external"))
        if not others:
            return 0
        wanted = (["1"] + config.all("processes", "workers"))[-1]
        return max(0, len(before) - int(wanted)) if wanted.isdigit() else 0

    # -- asking it ----------------------------------------------------------------------------------------------

    def _ask(self, timeout):
        probe = self.wanted["probe"]
        if probe.get("url"):
            return self.fetch(probe["url"], probe.get("host"), timeout)
        sockets = self.master.config.sockets
        if not sockets:
            raise ReloadError("probe: the instance has no uwsgi or http socket to ask for a path; give url")
        protocol, address = sockets[0]
        words = {"host": probe.get("host") or "localhost", "timeout": timeout, "tls": bool(probe.get("tls"))}
        return ask(self.master.address(address), probe["path"], protocol, **words)

    def _probe(self):
        probe = self.wanted["probe"]
        if not probe.get("url") and not probe.get("path"):
            sockets = self.master.config.sockets
            if sockets:
                try:
                    connect(self.master.address(sockets[0][1]), 2).close()
                except ClientError as error:
                    raise ReloadError("nobody accepts connections: %s" % error)
            return
        status, text = probe.get("status") or [200], probe.get("text")
        # What only warms up may answer rightly within that; what is wrong for longer stays so.
        limit = min(self.limit, time.time() + visitor.PATIENCE)
        while True:
            logs = request_log.Logs([self.master.config.log] if self.master.config.log else [])
            try:
                got, answer = self._ask(max(0.5, min(10, self.limit - time.time())))
                why = visitor.fault(visitor.Answer(got, text=answer), status, text)
                if not why:
                    self.result["probe"] = "answered %d" % got
                    return
            except ClientError as error:
                why = str(error)
            if time.time() > limit:
                self.result["probe"] = why
                where = probe.get("url") or probe["path"]
                where += " for %s" % probe["host"] if probe.get("host") else ""
                cause = logs.cause(probe.get("path"))
                message = "the probe does not hold: %s to %s; %s" % (why, where, visitor.wanted(status, text))
                raise ProbeError(message + ("\n" + cause if cause else ""))
            time.sleep(0.2)


class Renewal:
    """Watches the workers of a reloading instance become others; a look that cannot end well raises ReloadError.

    ``before``: the pids that there were.
    """

    def __init__(self, reload, before):
        self.reload = reload
        self.before = before
        self.spare = reload.spare(before)
        self.least = reload.least(before) - self.spare
        self.seen, self.ended, self.crashed = {}, set(), set()
        # The most of the new ones that accepted at a time.
        self.ready = 0
        self.loading = set()

    @property
    def since(self):
        """When the first new worker was seen."""
        return min(self.seen.values()) if self.seen else time.time()

    def _look(self):
        """(moment, pids that are new, pids of before)."""
        master = self.reload.master
        if not master.still():
            raise ReloadError("the master ended during the reload; whoever supervises it is to start it again")
        now, workers = time.time(), self.reload.workers()
        fresh, old = workers - self.before, workers & self.before
        for pid in fresh:
            self.seen.setdefault(pid, now)
        # One that served for a while was ended by something else than its start.
        gone = [pid for pid in self.seen if pid not in workers and pid not in self.ended]
        self.ended.update(gone)
        self.crashed.update(pid for pid in gone if now - self.seen[pid] < START)
        self.reload.result["workers_after"] = sorted(workers)
        if len(self.crashed) >= CRASHES:
            raise ReloadError("the new workers die at their start (%d of them so far)" % len(self.crashed))
        if now > self.reload.limit:
            raise ReloadError(self._late(old))
        return now, fresh, old

    def _accept(self, fresh):
        """Whether these accept requests. With each more that does the time limit begins anew: it is each worker's."""
        accepting = self.reload.accepting(fresh)
        self.loading = fresh - accepting
        if len(accepting) > self.ready:
            self.ready = len(accepting)
            self.reload.limit = max(self.reload.limit, time.time() + self.reload.wanted["timeout"])
        return not self.loading

    def _late(self, old):
        """What to say where the time limit has passed."""
        message = "not all workers were new and accepting within %d s" % self.reload.wanted["timeout"]
        if self.ready:
            message += " after the last one that was (%d of %d)" % (self.ready, self.least)
        left, loading = [", ".join(str(pid) for pid in sorted(pids)) or "none" for pids in (old, self.loading)]
        message += "; still from before: " + left
        if self.loading:
            message += "; still loading the code: " + loading
            message += " (each worker may take so long: timeout of uwsgi_reload, publish_timeout of the role)"
        else:
            message += " (a request that does not end keeps its worker until worker-reload-mercy)"
        return message

    def has_replaced(self, gone):
        """Whether these are gone and as many new ones accept requests."""
        _now, fresh, old = self._look()
        accept = self._accept(fresh)
        return not old.intersection(gone) and len(fresh) >= min(len(gone), self.least) and accept

    def is_whole(self):
        """Whether all are new, accept requests and have done so for a while."""
        now, fresh, old = self._look()
        standing = fresh and all(now - self.seen[pid] >= SETTLED for pid in fresh)
        accept = self._accept(fresh)
        return bool(len(old) <= self.spare and len(fresh) >= self.least and standing and accept)


def reload_all(wanted, fetch, parallel, check_mode=False):
    """Reload many instances; returns their results in order. ``wanted``: pidfile and the keys of DEFAULTS each."""
    reloads = [Reload(item, fetch, check_mode) for item in wanted]
    # One after the other, since a process is looked at with the eyes of its own user.
    for item in reloads:
        item.prove()
    with trial_unit.Trials() as trials:
        if trial_unit.available():
            for item in reloads:
                item.take_unit(trials)
            trials.ready()
        run_all([item.run for item in reloads], parallel)
    return [item.result for item in reloads]
