"""What the old stack answered, kept beside the imported inventory, and compared later with what ours answers.

The requests are those that adopt asks: each location with and without slash, files of statics, unknown paths and names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.graceful.wsgi.plugins.module_utils import answers as host_answers

from . import adopt_plan

# What a file of answers is known by.
KIND = "graceful.wsgi answers"
_ASKED = ("host", "path", "method", "tls", "proxy_protocol", "port", "old")


class AnswersProblem(Exception):
    """Why nothing is asked; the message names the variable."""


def requests(found: Mapping[str, Any], more: list[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """What the old stack of a host is asked, and what it is not. ``more``: paths to ask for besides."""
    for path in more:
        if not path.startswith("/"):
            raise AnswersProblem(f"import_ask_paths: {path!r} is no path; write it from the first slash on")
    asked = adopt_plan.requests_of(found, more)
    if not asked.found:
        raise AnswersProblem("import_ask: nginx has no server block that listens where it can be asked; leave it out")
    return [{key: value for key, value in one.items() if key != "new"} for one in asked.found], asked.unasked


def document(host: str, summary: str, unasked: list[str], answers: list[dict[str, Any]]) -> str:
    """The file of answers. Raises where the old stack gave none."""
    if answers and all("failed" in one["first"] for one in answers):
        why = answers[0]["first"]["failed"]
        told = f"import_ask: the old stack answered none of {len(answers)} requests ({why}); start it first"
        raise AnswersProblem(told)
    about = {"kind": KIND, "host": host, "summary": summary, "unasked": unasked, "answers": answers}
    return json.dumps(about, indent=1, sort_keys=True) + "\n"


def read(text: str, path: str) -> dict[str, Any]:
    """A file of answers, looked through: it may have been edited."""
    try:
        about = json.loads(text)
        known = about["kind"] == KIND
        for one in about["answers"]:
            known = known and {*_ASKED} <= {*one["question"]} and bool({"failed", "status"} & {*one["first"]})
            known = known and isinstance(one["varies"], list)
        _texts = (str(about["summary"]), list(about["unasked"]))
    except (ValueError, KeyError, TypeError) as error:
        told = f"import_compare: {path} is no file of answers ({error}); import_ask=true writes one"
        raise AnswersProblem(told) from error
    if not known:
        raise AnswersProblem(f"import_compare: {path} is no file of answers; import_ask=true writes one")
    return dict(about)


def _port(text: Any) -> int:
    number = int(str(text)) if str(text).isdigit() else 0
    if not 0 < number < 65536:
        raise AnswersProblem(f"import_ports: {text!r} is no port; write a mapping such as {{'80': 8080}}")
    return number


def again(about: Mapping[str, Any], at: str, ports: Mapping[str, Any]) -> dict[str, Any]:
    """The same requests, of ours: where it listens, by the port that a visitor of the old one uses.

    ``requests`` and ``known`` as the module compare_answers takes them.
    """
    led = {_port(old): _port(new) for old, new in ports.items()}
    asked: list[dict[str, Any]] = []
    known: dict[str, Any] = {}
    there = {one["question"]["port"] or 80 for one in about["answers"]}
    strange = sorted(set(led) - there)
    if strange:
        have = ", ".join(map(str, sorted(there)))
        raise AnswersProblem(f"import_ports: {strange[0]} is no port of the old stack, which was asked at {have}")
    where = f"[{at}]" if ":" in at and not at.startswith("[") else at
    for one in about["answers"]:
        question = {key: one["question"][key] for key in _ASKED}
        port = question["port"] or 80
        question["old"] = f"{where}:{led.get(port, port)}"
        name = called(question)
        if name not in known:
            asked.append(question)
            known[name] = {"first": one["first"], "varies": one["varies"]}
    return {"requests": asked, "known": known}


def called(question: Mapping[str, Any]) -> str:
    """As module_utils/answers.py calls it."""
    return str(host_answers.called(question))


def nobody(compared: Mapping[str, Any], at: str) -> str:
    """Why nothing could be compared, where ours answers nothing; else empty."""
    rows = compared["differences"]
    silent = [row for row in rows if row["part"] == "answer" and row["new"].startswith("gave no answer")]
    if compared["count"] and len({row["request"] for row in silent}) == compared["count"]:
        hint = "publish it first, or say where it listens by import_at and import_ports"
        return f"import_compare: nobody answered at {at} ({silent[0]['new']}); {hint}"
    return ""
