"""The arithmetic of `make bench-fleet`, and what it writes."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import pytest

FOUND = {
    1: {"seconds": 100.0, "bytes": [90e6]},
    2: {"seconds": 110.0, "bytes": [91e6, 20e6]},
    4: {"seconds": 190.0, "bytes": [91e6, 20e6, 22e6, 24e6]},
    8: {"seconds": 170.0, "bytes": [91e6, *[20e6] * 7]},
}
RATES = {"a file": {"host": [100.0, 200.0, 300.0], "static": [110.0, 180.0, 330.0]}}
WRK = """Running 5s test @ http://127.0.0.1/
  16 threads and connections
Requests/sec:  12345.67
Transfer/sec:      9.99MB
"""


@pytest.fixture
def bench(monkeypatch, tmp_path):
    script = Path(__file__).resolve().parents[2] / "bench/fleet"
    loader = importlib.machinery.SourceFileLoader("bench_fleet", str(script))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_fleet", loader))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(module)
    monkeypatch.setattr(module, "DOCUMENT", tmp_path / "benchmarks.md")
    monkeypatch.setattr(module, "CHECKOUT", tmp_path)
    module.DOCUMENT.write_text("# Benchmarks\n")
    return module


@pytest.mark.parametrize(
    ("count", "seconds", "share", "size"), [(2, 10, 0.1, 20e6), (4, 30, 0.3, 22e6), (8, 10, 0.1, 20e6)]
)
def test_an_added_host_is_what_the_run_took_longer(bench, count, seconds, share, size):
    assert bench.added(FOUND, count) == (pytest.approx(seconds), pytest.approx(share), pytest.approx(size))


def test_each_number_of_hosts_has_its_line(bench):
    lines = [[cell.strip() for cell in line.strip("|\n ").split("|")] for line in bench.fleet_table(FOUND).splitlines()]
    assert lines[2] == ["1", "100", "", "", "90"]
    assert lines[3] == ["2", "110", "10.0", "0.10×", "91", "20"]
    assert lines[4] == ["4", "190", "30.0", "0.30×", "91", "22"]


def test_the_verdict_names_what_is_above_a_fifth(bench):
    assert "Above 0.20×" in bench.verdict(FOUND)
    assert "with 4 hosts" in bench.verdict(FOUND)
    assert bench.verdict({count: FOUND[count] for count in (1, 2, 8)}).startswith("All below 0.20×")


def test_a_short_run_is_printed_and_not_written(bench, capsys):
    bench.write_fleet({count: FOUND[count] for count in (1, 2)})
    assert "0.10×" in capsys.readouterr().out
    assert bench.DOCUMENT.read_text() == "# Benchmarks\n"
    bench.write_fleet(FOUND)
    assert "<!-- bench-fleet -->" in bench.DOCUMENT.read_text()


def test_artifacts_are_weighed(bench, tmp_path):
    assert bench.weight(tmp_path / "none") == 0
    (tmp_path / "kept/one").mkdir(parents=True)
    (tmp_path / "kept/one/nginx").write_bytes(b"x" * 70)
    (tmp_path / "kept/manifest.json").write_bytes(b"x" * 7)
    assert bench.weight(tmp_path / "kept") == 77


def test_a_compiler_ends_the_benchmark(bench, monkeypatch):
    monkeypatch.setattr(bench, "on_host", lambda script, name: "/usr/bin/cc\n" if "command -v" in script else "")
    bench.prove(["one"])
    with pytest.raises(bench.BenchError, match="two was to need no compiler and has /usr/bin/cc"):
        bench.prove(["one", "two"])


def test_what_wrk_says_is_read_and_errors_are_none(bench):
    assert bench.requests_per_second(WRK) == 12345.67
    for bad in ("", WRK + "  Non-2xx or 3xx responses: 3\n", WRK + "  Socket errors: connect 0, read 1\n"):
        with pytest.raises(bench.BenchError, match="was not answered well"):
            bench.requests_per_second(bad)


def test_the_ratio_is_of_medians_and_the_spread_of_rounds(bench):
    line = bench.static_table(RATES).splitlines()[2]
    assert [cell.strip() for cell in line.strip("|").split("|")] == ["a file", "200", "180", "0.90×", "0.90× to 1.10×"]


def test_the_comparison_is_written(bench):
    facts = {"rounds": 7, "seconds": 5, "clients": 16}
    bench.write("bench-static", bench.STATIC, table=bench.static_table(RATES), versions="nginx 1.26.3", **facts)
    text = bench.DOCUMENT.read_text()
    assert "- Both are nginx 1.26.3, with PCRE2" in text
    assert text.count("<!-- bench-static -->") == 1
