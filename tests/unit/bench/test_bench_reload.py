"""The pure parts of `make bench-reload`, and its clients against a server that fails on purpose."""

import importlib.machinery
import importlib.util
import itertools
import sys
import threading
import xml.etree.ElementTree as ET
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import picture
import pytest
import report
from hypothesis import given
from hypothesis import strategies as st
from load import Load, Request


def requests(latencies, problems=()):
    """One request each tenth of a second."""
    answered = [Request(number / 10, latency, None, "7") for number, latency in enumerate(latencies)]
    return answered + [Request(number / 10, 0.001, problem) for number, problem in enumerate(problems)]


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (1, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)])
def test_percentile_is_one_of_the_values(percent, expected):
    assert report.percentile(range(100, 0, -1), percent) == expected


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 100))
def test_so_many_percent_do_not_exceed_it(values, percent):
    found = report.percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= len(values) * percent / 100 - 1e-6


def test_a_quick_refusal_is_no_quick_answer():
    found = report.figures(requests([0.02, 0.02, 0.5], ["status 502", "status 502", "TimeoutError"]))
    assert (found["requests"], found["failed"]) == (6, 3)
    assert [round(found[name]) for name in ("p50", "p99", "max")] == [20, 500, 500]
    assert report.problems({"kill": found}) == ["- kill: 2 × status 502, 1 × TimeoutError"]


def test_no_answer_at_all_gives_no_figures():
    with pytest.raises(ValueError, match="no request was answered"):
        report.figures(requests([], ["status 502"]))


def test_rows_are_held_against_the_first():
    results = {"none": report.figures(requests([0.01])), "kill": report.figures(requests([0.02, 1.5], ["status 502"]))}
    assert list(report.rows(results)) == [
        ["none", "0 of 1", "10.0", "10.0", "10.0"],
        ["kill", "1 of 3", "20.0 (2.00×)", "1500 (150×)", "1500 (150×)"],
    ]


def test_what_was_measured_is_written(tmp_path, monkeypatch):
    """The document and its picture, out of what measuring returns."""
    script = Path(__file__).resolve().parents[2] / "bench/reload"
    loader = importlib.machinery.SourceFileLoader("bench_reload", str(script))
    bench = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_reload", loader))
    # Its dataclass looks its own module up.
    monkeypatch.setitem(sys.modules, "bench_reload", bench)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(bench)
    monkeypatch.setattr(bench, "DOCUMENT", tmp_path / "benchmarks.md")
    monkeypatch.setattr(bench, "PICTURE", tmp_path / "bench-reload.svg")
    monkeypatch.setattr(bench, "CHECKOUT", tmp_path)
    monkeypatch.setattr(bench, "versions", lambda: {"nginx": "1.2.3", "uwsgi": "2.0.0", "python": "3.11.2"})
    bench.DOCUMENT.write_text("# Benchmarks\n")
    bench.write({way: (requests([0.01, 0.02], ["status 502"]), [(0.1, 0.2)], 0.04) for way in bench.WAYS})
    text = bench.DOCUMENT.read_text()
    assert "| no reload " in text
    assert "(bench-reload.svg)" in text
    assert "took at most 4% in any of the ways" in text
    assert ET.fromstring(bench.PICTURE.read_text()).tag.endswith("svg")


def test_a_table_is_aligned():
    assert report.table(["way", "p50"], [["a long one", "1"]]) == (
        "| way        | p50 |\n| ---------- | --- |\n| a long one | 1   |\n"
    )


DOCUMENT = "# B\n\n<!-- a -->\n\nold\n\n<!-- /a -->\n\nbetween\n\n<!-- b -->\nother\n<!-- /b -->\n"


def test_a_section_is_replaced_and_nothing_else():
    written = report.replace_section(DOCUMENT, "a", "\nnew\n")
    assert written == DOCUMENT.replace("old", "new")
    assert report.replace_section(written, "a", "new") == written


def test_a_section_that_is_not_there_comes_last():
    assert report.replace_section("# B\n", "c", "text") == "# B\n\n<!-- c -->\n\ntext\n\n<!-- /c -->\n"


@pytest.mark.parametrize("document", ["<!-- a -->\nold\n", "old\n<!-- /a -->\n", "<!-- /a --> <!-- a -->"])
def test_half_a_section_is_refused(document):
    with pytest.raises(ValueError, match="without the other"):
        report.replace_section(document, "a", "new")


def test_the_document_has_its_section():
    text = (Path(__file__).resolve().parents[3] / "docs/benchmarks.md").read_text()
    assert text.count("<!-- bench-reload -->") == text.count("<!-- /bench-reload -->") == 1


SVG = "{http://www.w3.org/2000/svg}"


def paths(panel, name):
    return [path.get("d") for path in panel.iter(f"{SVG}path") if path.get("class") == name]


def test_a_picture_has_a_panel_for_each_case_with_its_marks():
    cases = [
        ("none", "0 failed", requests([0.01] * 100), []),
        ("a & b", "2 failed", requests([0.01, 2.0], ["status 502"] * 20), [(0.0, 0.5), (1.0, 1.5)]),
    ]
    root = ET.fromstring(picture.svg(cases, 10))
    quiet, loud = root.findall(f"{SVG}g")
    assert (paths(quiet, "failed"), paths(quiet, "reload")) == ([], [])
    assert len(paths(loud, "reload")) == 2
    assert paths(loud, "failed")[0].count("M") == 20
    assert [text.text for text in loud.findall(f"{SVG}text")][:2] == ["a & b", "2 failed"]


def test_requests_on_one_pixel_are_drawn_once():
    root = ET.fromstring(picture.svg([("none", "", [Request(1.0, 0.01, None)] * 5000, [])], 10))
    assert paths(root.find(f"{SVG}g"), "answered")[0].count("M") == 1


@given(st.lists(st.floats(0.0001, 20), min_size=1))
def test_every_answer_lies_within_its_panel(latencies):
    axes = picture.Axes(10, [latency * 1000 for latency in latencies])
    for latency in latencies:
        assert picture.HEAD <= axes.y(latency * 1000) <= picture.PANEL + 1e-6


class Failing(BaseHTTPRequestHandler):
    """Every tenth answer is a 502, every other tenth no answer at all."""

    protocol_version = "HTTP/1.1"
    turns = itertools.count()

    def do_GET(self):
        turn = next(self.turns) % 10
        if turn == 5:
            self.close_connection = True
            return
        self.send_response(502 if turn == 0 else 200)
        self.send_header("Content-Length", "1")
        self.end_headers()
        self.wfile.write(b"7")

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def failing():
    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address
        server.shutdown()
        thread.join()


def test_clients_note_every_failure_and_go_on(failing):
    found = Load(*failing, host="bench.test", clients=4, rate=200, seconds=1).start().finish()
    assert [one.planned for one in found] == [number / 200 for number in range(200)]
    assert sorted({one.problem for one in found if one.problem}) == ["RemoteDisconnected", "status 502"]
    assert sum(bool(one.problem) for one in found) == 40
    assert {one.body for one in found if not one.problem} == {"7"}


def test_a_refused_connection_is_a_failure():
    # Nobody listens on port 1.
    found = Load("127.0.0.1", 1, host="bench.test", clients=2, rate=20, seconds=0.5).start().finish()
    assert {one.problem for one in found} == {"ConnectionRefusedError"}
    assert len(found) == 10


class Slow(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    slow = threading.Event()

    def do_GET(self):
        if not self.slow.is_set():
            self.slow.set()
            threading.Event().wait(0.5)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments):
        pass


def test_one_late_answer_makes_the_planned_ones_behind_it_late():
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        found = Load(*server.server_address, host="bench.test", clients=1, rate=20, seconds=1).start().finish()
        server.shutdown()
        thread.join()
    late = [one.latency for one in found if one.planned < 0.4]
    assert late == sorted(late, reverse=True)
    assert min(late) > 0.1
