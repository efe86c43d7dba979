# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What code answers before it goes live: to a probe as it is judged live, else as the live one does."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import time

from ansible_collections.graceful.wsgi.plugins.module_utils import request_log, visitor
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_client import ClientError, ask

# A page that nobody has stated may take long, or for ever.
TIMEOUT = 5


def judge(trial, asked):
    """What is wrong with the answer of a throw-away instance, None where nothing is.

    ``asked``: a probe (path, host, status, text, tls), or with ``default`` what a visitor of a site asks (path, host,
    tls), ``judged`` or not, and the ``live`` socket and its ``protocol``; ``callable``: its name for a message.
    """
    name = asked.get("callable") or "the callable"
    return _default(trial, asked, name) if asked.get("default") else _probe(trial, asked, name)


class _Answer:
    """One answer: its status and text, or why there is none; and what was logged meanwhile."""

    def __init__(self, trial, asked, timeout, method="GET"):
        before = len(trial.said())
        self.status, self.text, self.why, self.late = None, "", None, False
        words = {"timeout": timeout, "tls": bool(asked.get("tls")), "method": method}
        try:
            # The code may have put a link to another application's socket in the place of its own.
            self.status, self.text = ask(
                trial.socket, asked["path"], host=asked.get("host") or "localhost", owner=trial.uid, **words
            )
        except ClientError as error:
            self.why, self.late = str(error), "timed out" in str(error)
        self.path = asked["path"]
        self.log = trial.said()[before:]

    def failed(self):
        """What is wrong with it by itself; uWSGI has nobody else to tell of an exception that the code let out."""
        if self.why:
            return "gave no answer"
        if visitor.is_empty(self.text) and self.status == 200 and request_log.traceback(self.log):
            return "answered 200 with no page, since the code failed"
        return None

    def logged(self):
        """What the log says of it, on lines of its own."""
        said = request_log.traceback(self.log, self.path) or "\n".join(request_log.lines_of(self.log)[-5:])
        return ":\n" + said if said else ""


def _where(asked):
    return "%s (%s)" % (asked["path"], asked["host"]) if asked.get("host") else asked["path"]


def _probe(trial, asked, name):
    status, text = asked.get("status") or [200], asked.get("text")
    limit = time.time() + visitor.PATIENCE
    while True:
        answer = _Answer(trial, asked, visitor.TIMEOUT)
        why = answer.failed()
        if not why:
            why = visitor.fault(visitor.Answer(answer.status, text=answer.text), status, text)
            # By its words two statuses are told apart where applications that fail alike are named together.
            reason = visitor.http_client.responses.get(answer.status)
            why = "%s (%s)" % (why, reason) if why and reason else why
        if not why:
            return None
        fault = request_log.callable_fault(answer.log, name)
        if fault:
            return fault
        if answer.late or time.time() > limit:
            message = "the new code %s to the probe %s; %s%s"
            return message % (why, _where(asked), visitor.wanted(status, text), answer.logged())
        time.sleep(visitor.PAUSE)


def _default(trial, asked, name):
    # Where nothing is to be judged, what no page does anything for: uWSGI calls the callable all the same.
    answer = _Answer(trial, asked, TIMEOUT, "GET" if asked.get("judged") else "OPTIONS")
    fault = request_log.callable_fault(answer.log, name)
    if fault:
        return fault
    if not asked.get("judged") or answer.late:
        return None
    failed = answer.failed()
    if not failed and answer.status < 500:
        return None
    lives = _live(asked)
    if lives is None and not failed:
        # An error page of its own, and nothing that it could be held against: it is judged through nginx.
        return None
    if lives is not None and lives >= 500:
        return None
    held = "" if lives is None else ", where the live one answers %d" % lives
    why = failed or "answered %d" % answer.status
    cure = "" if lives is None else "; if that is as it should be, say with probe what is to be asked, or probe: false"
    return "the new code %s to %s%s%s%s" % (why, _where(asked), held, cure, answer.logged())


def _live(asked):
    """The status that the live one answers, None where there is none that answers."""
    words = {"timeout": TIMEOUT, "tls": bool(asked.get("tls"))}
    try:
        return ask(asked["live"], asked["path"], asked["protocol"], asked["host"], **words)[0]
    except ClientError:
        return None
