# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Asks two stacks the same and says where their answers differ.

What differs between two answers of the old stack itself (a token, a time) is told as varying by itself.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import hashlib
import importlib
import os
import re
import stat
import sys

from ansible_collections.graceful.wsgi.plugins.module_utils import deadline, safe_path

http_client = importlib.import_module("http.client" if sys.version_info[0] > 2 else "httplib")

TIMEOUT = 20
# More of a page is not compared.
MAX_BODY = 8 * 1024 * 1024
# What differs between two answers of any server, or names the server.
SILENT = ("date", "etag", "last-modified", "expires", "server", "via", "x-powered-by", "x-served-by", "connection")
SILENT += ("keep-alive", "transfer-encoding", "x-request-id", "x-runtime", "age")
# A page of its own kind can differ in length only.
OF_BODY = ("content-length", "content-md5", "content-range")
# Headers whose values give a visitor's rights.
HIDDEN = ("set-cookie", "set-cookie2", "authorization", "x-csrf-token")
USUAL = {True: 443, False: 80}


def ask(question, address):
    """One answer as {status, location, headers, body}, or {failed: why}."""
    link = None
    try:
        link = deadline.connected(address, TIMEOUT)
        with deadline.ended_after(link, TIMEOUT) as cut:
            got = _asked(question, link)
        # What was cut off is no answer to compare with, however much of it had come.
        return {"failed": "gave no whole answer within %d s" % TIMEOUT} if cut.done else got
    except (IOError, OSError, ValueError) as error:
        return {"failed": "gave no answer (%s)" % error}
    finally:
        if link is not None:
            link.close()


def _asked(question, link):
    """One answer over a connection; see ask()."""
    try:
        if question.get("proxy_protocol"):
            link.sendall(b"PROXY TCP4 127.0.0.1 127.0.0.1 65000 80\r\n")
        connection = http_client.HTTPConnection("localhost", timeout=TIMEOUT)
        connection.sock = deadline.secured(link, question["host"]) if question["tls"] else link
        connection.putrequest(question["method"], question["path"], skip_host=True, skip_accept_encoding=True)
        port = question["port"]
        host = question["host"] + ("" if port in (None, USUAL[question["tls"]]) else ":%d" % port)
        for header in (("Host", host), ("User-Agent", "graceful.wsgi"), ("Accept", "*/*"), ("Connection", "close")):
            connection.putheader(*header)
        connection.endheaders()
        got = connection.getresponse()
        body = got.read(MAX_BODY)
        return seen(got.status, got.getheaders(), body)
    except http_client.HTTPException as error:
        return {"failed": "hung up without an answer (%s)" % type(error).__name__}
    except (IOError, OSError, ValueError) as error:
        return {"failed": "gave no answer (%s)" % error}


def seen(status, headers, body):
    """An answer by what is compared."""
    found, location = {}, ""
    for name, value in headers:
        name = name.lower()
        if name == "location":
            location = value
        elif name not in SILENT:
            found.setdefault(name, []).append(value)
    digest = hashlib.sha256(body).hexdigest()
    return {
        "status": status,
        "location": location,
        "headers": dict((name, sorted(found[name])) for name in found),
        "body": "%d bytes, sha256 %s" % (len(body), digest[:16]),
    }


def at_home(answer, address, question):
    """An answer of a stack on another port, as it would be on the port of the old one."""
    if "failed" in answer:
        return answer
    port = address.rpartition(":")[2]
    usual = question["port"] in (None, USUAL[question["tls"]])
    home = "" if usual else ":%d" % question["port"]
    return dict(answer, location=re.sub(r"(?<=[^/:]):%s(?=/|\Z)" % re.escape(port), home, answer["location"]))


def from_port(answer, address, question):
    """An answer of a stack that may listen at another port than a visitor of the old one uses."""
    usual = question["port"] or USUAL[question["tls"]]
    return answer if address.rpartition(":")[2] == str(usual) else at_home(answer, address, question)


def without_secrets(answer):
    """An answer that may leave the host: of what gives rights the names, and digests of the values."""
    if "failed" in answer:
        return answer
    headers = dict(answer["headers"])
    for name in headers:
        if name in HIDDEN:
            headers[name] = [_digested(text) for text in headers[name]]
    return dict(answer, headers=headers)


def _digested(text):
    name, equals, _value = text.partition("=")
    return (name if equals else "") + "=sha256:" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def parts(answer):
    """What is compared, {name: text}."""
    if "failed" in answer:
        return {"answer": answer["failed"]}
    found = {"status": str(answer["status"]), "body": answer["body"]}
    if answer["location"]:
        found["Location"] = answer["location"]
    for name in answer["headers"]:
        found["header " + name] = ", ".join(answer["headers"][name])
    return found


def differing(one, other):
    """The names of the parts in which two answers differ."""
    first, second = parts(one), parts(other)
    found = set(name for name in set(first).union(second) if first.get(name) != second.get(name))
    if "body" in found:
        # That the length differs too says nothing more.
        found -= set("header " + name for name in OF_BODY)
    return found


def shown(answer, part):
    """One part of an answer for people; what gives rights is told by its name only."""
    value = parts(answer).get(part)
    if value is None:
        return "none" if "failed" not in answer else answer["failed"]
    if part[len("header "):] in HIDDEN:
        names = sorted(set(one.partition("=")[0] for one in answer["headers"][part[len("header "):]]))
        return ", ".join(names) + "=..." if names else "..."
    return value[:200]


def called(question):
    """What a visitor would write."""
    usual = question["port"] in (None, USUAL[question["tls"]])
    port = "" if usual else ":%d" % question["port"]
    words = ("https" if question["tls"] else "http", question["host"], port, question["path"])
    return "%s %s://%s%s%s" % ((question["method"],) + words)


def compare(question, old, new, reask=None):
    """What differs of three answers: ``old`` twice, ``new`` once; (differences, parts that vary by themselves).

    ``reask``: asks the old stack once more where something differs: a clock may have moved on between two answers.
    """
    varies = differing(old[0], old[1])
    found = differing(old[0], new) - varies
    if "body" in varies:
        found -= set("header " + name for name in OF_BODY)
    if found and reask is not None:
        varies |= differing(old[0], reask())
        found -= varies
    rows = [
        {"request": called(question), "part": part, "old": shown(old[0], part), "new": shown(new, part)}
        for part in sorted(found)
    ]
    return rows, sorted(varies)


def files_in(folder, count=2):
    """The first files of a folder that anybody may read, by name."""
    found = []
    try:
        with safe_path.Folder(folder) as where:
            for name in sorted(where.names())[:200]:
                about = where.lstat(name)
                readable = about is not None and stat.S_ISREG(about.st_mode) and about.st_mode & stat.S_IROTH
                if readable and re.match(r"[\w-][\w.-]*\Z", name) and len(found) < count:
                    found.append(name)
    except (IOError, OSError, safe_path.UnsafePath):
        pass
    return found


def with_files(questions):
    """The questions, and one more for each file of a folder that a question names."""
    found = []
    for question in questions:
        found.append(question)
        for name in files_in(question["folder"]) if question.get("folder") else []:
            found.append(dict(question, path=os.path.join(question["path"], name), folder=None))
    return found
