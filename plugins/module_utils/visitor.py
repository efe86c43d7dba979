# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Asks a site through nginx as a visitor would, or an application over its own socket, and judges the answer."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import importlib
import os
import re
import socket
import ssl
import sys
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import deadline, request_log, secret_values
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_client import ClientError, ask

http_client = importlib.import_module("http.client" if sys.version_info[0] > 2 else "httplib")

# A question as the modules take it: the plan writes it, doc_fragments/questions.py says what its keys mean.
SPEC = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "app": {"type": "str", "required": True},
        "instances": {"type": "list", "elements": "str", "default": []},
        "file": {"type": "path"},
        "nginx": {"type": "str"},
        "maintenance": {"type": "path"},
        "socket": {"type": "str"},
        "protocol": {"type": "str", "choices": ["uwsgi", "http"], "default": "uwsgi"},
        "tls": {"type": "bool", "default": False},
        "proxy_protocol": {"type": "bool", "default": False},
        "sure": {"type": "bool", "default": True},
        "host": {"type": "str", "required": True},
        "path": {"type": "str", "required": True},
        "status": {"type": "list", "elements": "int"},
        "text": {"type": "str"},
        "logs": {"type": "list", "elements": "path", "default": []},
        "units": {"type": "list", "elements": "str", "default": []},
        "error_log": {"type": "path"},
        "unit_files": {"type": "list", "elements": "path", "default": []},
    },
}
# An answer that is wrong for so long is wrong: what only warms up may answer rightly within that.
PATIENCE = 1.5
PAUSE = 0.25
# How long one answer may take. nginx itself waits for a minute, and visitors do not.
TIMEOUT = 10
USUAL = {True: 443, False: 80}
FOUND = re.compile(r"HTTP/[0-9.]+ [0-9]{3}[^\n]*\n(?:[^\r\n]+\r?\n)*\r?\n(.*)\Z", re.DOTALL)


class Unasked(Exception):
    """The question cannot be put from here; that says nothing of the site."""


class NoAnswer(Exception):
    """No answer came; the text says what came in its place. ``late``: it may have been on its way."""

    def __init__(self, text, late=False):
        Exception.__init__(self, text)
        self.late = late


class Answer:
    """What came. ``empty``: no byte of a page came with it."""

    def __init__(self, status, leads=None, challenge=None, text="", empty=False):
        self.status, self.leads, self.challenge, self.text, self.empty = status, leads, challenge, text, empty


def url(question):
    """What a visitor would write."""
    port = question["nginx"].rpartition(":")[2] if question.get("nginx") and "/" not in question["nginx"] else ""
    shown = "" if not port or int(port) == USUAL[question["tls"]] else ":" + port
    return "%s://%s%s%s" % ("https" if question["tls"] else "http", question["host"], shown, question["path"])


def shown(question):
    """The question, for a message."""
    if question.get("nginx"):
        return "%s (application %s)" % (url(question), question["app"])
    where = "%s, asked for as %s over the socket of the application %s"
    return where % (question["path"], question["host"], question["app"])


def _secured(link, name):
    """TLS as deadline.secured() has it, where this host's Python can and the name can be said."""
    if not (hasattr(ssl, "SSLContext") and getattr(ssl, "HAS_SNI", False)):
        raise Unasked("this host's Python cannot name a host in a TLS handshake")
    try:
        return deadline.secured(link, name)
    except ValueError as error:
        # Such as a name that no certificate could have.
        raise Unasked("no TLS handshake can name %s (%s)" % (name, error))


def _through_nginx(question):
    try:
        link = deadline.connected(question["nginx"], TIMEOUT)
    except (IOError, OSError) as error:
        why = "nobody answers at %s (%s)" % (question["nginx"], error)
        raise NoAnswer(why) if question["sure"] else Unasked(why)
    try:
        with deadline.ended_after(link, TIMEOUT) as cut:
            return _asked(question, link, cut)
    finally:
        link.close()


def _asked(question, link, cut):
    """An answer over a connection. ``cut``: as deadline has it."""
    connection = http_client.HTTPConnection("localhost", timeout=TIMEOUT)
    try:
        if question["proxy_protocol"]:
            link.sendall(b"PROXY TCP4 127.0.0.1 127.0.0.1 65000 80\r\n")
        connection.sock = _secured(link, question["host"]) if question["tls"] else link
        connection.putrequest("GET", question["path"], skip_host=True, skip_accept_encoding=True)
        name = url(dict(question, path="")).partition("://")[2]
        for header in (("Host", name), ("User-Agent", "graceful.wsgi"), ("Accept", "*/*"), ("Connection", "close")):
            connection.putheader(*header)
        connection.endheaders()
        got = connection.getresponse()
        if cut.done:
            # What was cut off in its headers would pass for a whole one.
            raise NoAnswer("gave no answer within %d s" % TIMEOUT, late=True)
        return _answer(question, got)
    except socket.timeout:
        raise NoAnswer("gave no answer within %d s" % TIMEOUT, late=True)
    except (http_client.HTTPException, IOError, OSError) as error:
        if cut.done:
            raise NoAnswer("gave no answer within %d s" % TIMEOUT, late=True)
        shows = type(error).__name__ if isinstance(error, http_client.HTTPException) else error
        raise NoAnswer("hung up without an answer (%s)" % shows)
    finally:
        connection.close()


def _answer(question, got):
    text, empty = "", False
    try:
        # An endless answer is one all the same.
        text = got.read(1 << 20 if question.get("text") else 1)
        empty = not text
    except (IOError, OSError, http_client.HTTPException):
        pass
    text = text.decode("utf-8", "replace") if text else ""
    return Answer(got.status, got.getheader("Location"), got.getheader("WWW-Authenticate"), text, empty)


def _over_socket(question):
    words = {"timeout": TIMEOUT, "tls": question["tls"]}
    try:
        status, text = ask(question["socket"], question["path"], question["protocol"], question["host"], **words)
    except ClientError as error:
        raise NoAnswer("gave no answer (%s)" % error, late="timed out" in str(error))
    leads = re.search(r"^location: *([^\r\n]*)", text.partition("\r\n\r\n")[0], re.IGNORECASE | re.MULTILINE)
    return Answer(status, leads and leads.group(1), None, text, is_empty(text))


def is_empty(text):
    """Whether a whole answer ends with its headers."""
    found = FOUND.match(text)
    return bool(found) and not found.group(1)


def fault(answer, status=None, text=None):
    """What is wrong with an answer, None where nothing is. Without ``status`` all but server errors is fine."""
    if status is None:
        return "answered %d" % answer.status if answer.status >= 500 else None
    if answer.status not in status:
        return "answered %d" % answer.status
    return "answered %d without %r" % (answer.status, str(text)) if text and text not in answer.text else None


def wanted(status=None, text=None):
    """What fault() takes for right, in words."""
    if status is None:
        return "a status below 500 was asked for"
    listed = " or ".join(str(one) for one in status)
    return "%s was asked for" % listed + (" with %r" % str(text) if text else "")


def is_maintained(question, answer):
    """Whether nginx has answered for an application that is in maintenance."""
    flag = question.get("maintenance")
    return bool(flag and question["nginx"] and answer.status == 503 and os.path.isfile(flag))


class Visit:
    """A question, put until it is answered as it should be or PATIENCE is over."""

    def __init__(self, question, clock=time):
        self.question = question
        self.clock = clock
        self.answer = None
        # Whether the application itself was asked, since nginx lets nobody through.
        self.maintained = False
        # Why the answer is not what it should be, what the logs say of that, and why it could not be asked.
        self.wrong = self.unasked = None
        self.cause = ""

    def make(self, patience=PATIENCE):
        """Ask and judge; whether the answer is no reason to go back."""
        limit = self.clock.time() + patience
        while True:
            logs = request_log.Logs(self.question["logs"], self.question["units"])
            nginx = request_log.Logs([self.question["error_log"]] if self.question["error_log"] else [])
            late = self._once(logs)
            if not self.wrong:
                return True
            if late or self.clock.time() > limit:
                break
            self.clock.sleep(PAUSE)
        values = secret_values.of_units(self.question["unit_files"])
        self.cause = secret_values.mask(logs.cause(self.question["path"]), values)
        if not self.cause:
            # Nothing of the application's own: nginx may say whom it did not reach.
            said = [line for line in nginx.read().splitlines() if "[error]" in line or "[crit]" in line]
            self.cause = said[-1] if said else ""
        return False

    def _once(self, logs):
        self.wrong = None
        try:
            call = _through_nginx if self.question["nginx"] else _over_socket
            self.answer = call(self.question)
            self.maintained = is_maintained(self.question, self.answer)
            if self.maintained:
                self.answer = _over_socket(self.question)
        except Unasked as error:
            self.unasked = str(error)
            return False
        except NoAnswer as error:
            self.wrong = str(error)
            return error.late
        except Exception as error:
            # What escapes a thread is lost, and the result would say that all is well.
            self.unasked = repr(error)
            return False
        self.wrong = fault(self.answer, self.question["status"], self.question["text"])
        if not self.wrong and self.answer.empty and self.answer.status == 200:
            # uWSGI has sent the status before the page's first byte failed.
            said = logs.cause(self.question["path"], 0.3)
            if request_log.traceback(said) or request_log.callable_fault(said, self.question["app"]):
                self.wrong = "answered %d with no page, since the code failed" % self.answer.status
        return False

    @property
    def told(self):
        """What of an answer that is no reason to go back is worth a line; None where nothing is."""
        where = shown(self.question)
        if self.unasked:
            return "%s was not asked: %s" % (where, self.unasked)
        if self.maintained and self.answer and not self.wrong:
            return "%s answers 503, since maintenance is on; over its own socket the application answers %d" % (
                where,
                self.answer.status,
            )
        if self.answer is None or self.wrong or self.answer.status < 300:
            return None
        if self.answer.leads:
            return "%s answers %d and leads to %s" % (where, self.answer.status, self.answer.leads)
        more = {401: " (it asks for a password)", 403: " (nginx or the application lets this host not in)"}
        more = more.get(self.answer.status, "") if self.question["nginx"] else ""
        return "%s answers %d%s" % (where, self.answer.status, more)

    def refusal(self):
        """The answer that is wrong, in the shape that the modules return."""
        asked = wanted(self.question["status"], self.question["text"])
        return {
            "app": self.question["app"],
            "asked": shown(self.question),
            "msg": "%s%s %s; %s" % (
                shown(self.question),
                ", asked over its own socket, since maintenance is on," if self.maintained else "",
                self.wrong,
                asked,
            ),
            "cause": self.cause,
        }


def name_of(question):
    """Two questions of one name are the same."""
    return "%s %s" % (question["nginx"] or question["socket"], url(question))
