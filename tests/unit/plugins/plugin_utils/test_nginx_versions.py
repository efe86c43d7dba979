"""Which releases of nginx are warned of, by name."""

import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import nginx_versions
from ansible_collections.graceful.wsgi.plugins.plugin_utils.downloads import CHECKSUMS
from ansible_collections.graceful.wsgi.plugins.plugin_utils.nginx_plan import NEWEST


def told(version, *accepted):
    """The names that a run with this version warns of."""
    found = nginx_versions.warnings({"nginx_version": version, "nginx_accepted_faults": list(accepted)}, NEWEST)
    return {line[2:].partition(":")[0] for text in found for line in text.splitlines()[1:]}


@pytest.mark.parametrize(
    ("version", "has", "has_not"),
    [
        ("1.26.3", {"support", "CVE-2026-42945", "CVE-2026-42946", "CVE-2026-42533"}, {"CVE-2025-23419"}),
        ("1.26.2", {"CVE-2025-23419"}, set()),
        ("1.28.3", {"support", "CVE-2026-42945"}, {"CVE-2026-1642"}),
        ("1.28.1", {"CVE-2026-1642"}, set()),
        ("1.29.5", {"support", "CVE-2026-42945"}, {"CVE-2026-1642"}),
        ("1.30.0", {"CVE-2026-42945", "CVE-2026-9256", "CVE-2026-42533"}, {"support", "CVE-2026-1642"}),
        ("1.30.1", {"CVE-2026-9256", "CVE-2026-42533"}, {"CVE-2026-42945"}),
        ("1.31.0", {"CVE-2026-9256", "CVE-2026-42533"}, {"CVE-2026-42945", "support"}),
    ],
)
def test_faults_by_version(version, has, has_not):
    names = told(version)
    assert has <= names and not has_not & names


@pytest.mark.parametrize("version", [NEWEST, "1.30.4", "1.31.3", "1.32.0"])
def test_nothing_is_said_of_what_is_mended(version):
    assert told(version) == set()


def test_the_default_is_the_newest_that_is_known():
    assert f"nginx-{NEWEST}" in CHECKSUMS and NEWEST == "1.30.6"


def test_a_warning_names_version_fault_fix_and_what_to_do():
    [text] = nginx_versions.warnings({"nginx_version": "1.26.3", "nginx_accepted_faults": []}, NEWEST)
    assert text.startswith(f"nginx_version 1.26.3 has known faults; take {NEWEST}, or name in nginx_accepted_faults")
    assert "- support: nothing is mended in 1.26 since 2025-04-23" in text
    assert "fixed in 1.30.1 and 1.31.0" in text


def test_what_is_accepted_is_not_said():
    assert "CVE-2026-42945" not in told("1.26.3", "CVE-2026-42945")
    assert told("1.30.1", "CVE-2026-9256", "CVE-2026-42533") == set()


def test_a_name_that_is_no_fault_is_refused():
    problems = []
    nginx_versions.check({"nginx_accepted_faults": ["support", "CVE-2026-42954"]}, problems)
    [problem] = problems
    assert str(problem).startswith("nginx_accepted_faults[1]: 'CVE-2026-42954' is no fault known here; write names")
    assert "CVE-2026-42945" in problem.hint
