"""What systemd 219 and 252 said of directives that they drop, as `systemd-analyze verify` of the real ones said it."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import host_checks, unit_checks

LINES = [
    ["LimitNOFile", "5"],
    ["LimitNOFILE", "abc"],
    ["ProtectClock", "yes"],
    ["Nice", "99"],
    ["Environment", "S3CRET"],
    ["UMask", "0027"],
]
SAID = {
    219: (
        "[%s:4] Unknown lvalue 'LimitNOFile' in section 'Service'\n"
        "[%s:5] Failed to parse resource value, ignoring: abc\n"
        "[%s:6] Unknown lvalue 'ProtectClock' in section 'Service'\n"
        "[%s:7] Nice priority out of range, ignoring: 99\n"
        "[%s:8] Invalid environment assignment, ignoring: S3CRET\n"
    ),
    252: (
        "%s:4: Unknown key 'LimitNOFile' in section [Service], ignoring.\n"
        "%s:5: Failed to parse resource value, ignoring: abc\n"
        "%s:7: Nice priority out of range, ignoring: 99\n"
        "%s:8: Invalid environment assignment, ignoring: S3CRET\n"
        "graceful-check.service: Command /srv/not-yet-there is not executable: No such file or directory\n"
    ),
}
# In the order of the real lists, which name LimitNOFILE in other sections, too.
KNOWN = "[Unit]\nDescription=STRING\n\n[Service]\nLimitNOFILE=LIMIT\nNice=NICE\nUMask=MODE\n\n[Slice]\nLimitNOFilf=X\n"


class Systemd:
    def __init__(self, version):
        self.version, self.units, self.asked = version, [], 0

    def __call__(self, words):
        self.asked += 1
        if words[1] == "--dump-configuration-items":
            return 0, KNOWN, ""
        with open(words[2]) as unit:
            self.units.append(unit.read())
        return 0, "", SAID[self.version].replace("%s", words[2])


def judged(monkeypatch, systemd, checks):
    monkeypatch.setattr(unit_checks, "_program", lambda paths: paths[0])
    warned = []
    found = host_checks.problems(checks, host_checks.Tools(systemd, warned.append))
    return [str(problem) for problem in found], warned


def check(variable="publish_apps[1].service_options", lines=LINES):
    return {"kind": "unit_directives", "variable": variable, "lines": lines}


@pytest.mark.parametrize("version", sorted(SAID))
def test_directives_that_systemd_would_drop_are_refused(monkeypatch, version):
    systemd = Systemd(version)
    problems, warned = judged(monkeypatch, systemd, [check()])
    told = [problem.partition(": ")[0] for problem in problems]
    at = "publish_apps[1].service_options."
    assert told == [at + name for name in ("LimitNOFile", "LimitNOFILE", "Nice", "Environment")]
    text = "\n".join(problems)
    assert "did you mean LimitNOFILE?" in text
    assert "would drop it: Failed to parse resource value; write it as" in text
    assert "S3CRET" not in text
    # A directive that this systemd is too old for is no mistake of the variables: other hosts may have a newer one.
    assert [line.partition(": ")[0] for line in warned] == ([at + "ProtectClock"] if version == 219 else [])
    assert systemd.units[0].splitlines()[3:] == ["%s=%s" % (name, value) for name, value in LINES]


def test_two_variables_are_asked_about_at_once(monkeypatch):
    systemd = Systemd(252)
    checks = [check("nginx_unit_options", LINES[:1]), check("uwsgi_unit_options", LINES[1:])]
    problems, _warned = judged(monkeypatch, systemd, checks)
    assert [problem.partition(": ")[0] for problem in problems] == [
        "nginx_unit_options.LimitNOFile",
        "uwsgi_unit_options.LimitNOFILE",
        "uwsgi_unit_options.Nice",
        "uwsgi_unit_options.Environment",
    ]
    assert systemd.asked == 2


def test_a_host_without_systemd_analyze_is_not_asked(monkeypatch):
    monkeypatch.setattr(unit_checks, "_ANALYZE", ("/nowhere",))
    assert host_checks.problems([check()], host_checks.Tools(None)) == []
