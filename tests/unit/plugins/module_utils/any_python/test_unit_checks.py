# -*- coding: utf-8 -*-
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


TAKEN = [
    ("StandardOutput", "syslog", "Standard output type syslog is obsolete, automatically updating to journal. Please"),
    ("MemoryLimit", "1G", "Unit uses MemoryLimit=; please use MemoryMax= instead. Support for MemoryLimit= will be"),
    ("KillMode", "none", "Unit uses KillMode=none. This is unsafe, as it disables systemd's"),
    ("PIDFile", "/var/run/x", "PIDFile= references a path below legacy directory /var/run/, updating"),
]


def saying(*texts):
    """A systemd that says one of these of each line, or several (a list)."""
    listed = [text if isinstance(text, list) else [text] for text in texts]
    said = [(number, text) for number, line in enumerate(listed) for text in line]

    def run(words):
        if words[1] == "--dump-configuration-items":
            return 0, KNOWN + "[Service]\nMemorySwapMax=LIMIT\n", ""
        return 0, "", "".join("%s:%d: %s\n" % (words[2], number + 4, text) for number, text in said)

    return run


def test_what_systemd_takes_and_only_advises_against_is_not_refused(monkeypatch):
    lines = [[name, value] for name, value, _text in TAKEN]
    problems, warned = judged(monkeypatch, saying(*[text for _name, _value, text in TAKEN]), [check(lines=lines)])
    assert problems == []
    assert len(warned) == len(TAKEN)
    assert "MemoryLimit: this host's systemd takes it, and says: Unit uses MemoryLimit=" in warned[1]
    # What is wrong with the line itself is told all the same.
    systemd = saying([TAKEN[1][2], "Invalid memory limit '12XB', ignoring: Invalid argument"])
    problems, _warned = judged(monkeypatch, systemd, [check(lines=[["MemoryLimit", "12XB"]])])
    assert "would drop it: Invalid memory limit '12XB';" in problems[0]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SystemCallFilter", "has been disabled at compile time and is ignored"),
        ("Capabilities", "has been removed and it is ignored"),
    ],
)
def test_what_a_systemd_was_built_without_is_warned_of(monkeypatch, name, said):
    """As one that it is too old for: other hosts of the same inventory have it."""
    systemd = saying("Support for option %s= %s" % (name, said))
    problems, warned = judged(monkeypatch, systemd, [check(lines=[[name, "x"]])])
    assert problems == []
    assert "%s: this host's systemd drops it: Support for option" % name in warned[0]


@pytest.mark.parametrize("form", ["[%s:%d] %s", "%s:%d: %s"])
def test_what_is_wrong_with_other_units_of_the_host_is_not_told(monkeypatch, form):
    """systemd-analyze verify loads what a unit depends on, sysinit.target and all, and tells of that too."""

    def run(words):
        theirs = [
            form % ("/etc/systemd/system/theirs.service", line, "Unknown lvalue 'X' in section 'Service'")
            for line in (4, 12)
        ]
        return 0, "", "\n".join(theirs + [form % (words[2], 5, "Nice priority out of range, ignoring: 99")])

    lines = [["LimitCORE", "0"], ["Nice", "99"]]
    problems, warned = judged(monkeypatch, run, [check(lines=lines)])
    assert [problem.partition(": ")[0] for problem in problems] == ["publish_apps[1].service_options.Nice"]
    assert warned == []


def test_the_unit_that_is_shown_is_an_instance(monkeypatch):
    """systemd 252 says of RuntimeDirectory=%i in a unit that is none: path has invalid length (0 bytes), ignoring."""
    shown = []

    def run(words):
        shown.append(words[2])
        return 0, "", ""

    judged(monkeypatch, run, [check(lines=[["RuntimeDirectory", "%i"]])])
    assert shown[0].endswith("/graceful-check@check.service")


@pytest.mark.parametrize("value", ["GREETING=Grüße", b"GREETING=Gr\xc3\xbc\xc3\x9fe".decode("utf-8")])
def test_a_value_may_have_letters_of_any_language(monkeypatch, value):
    shown = []

    def run(words):
        with open(words[2], "rb") as unit:
            shown.append(unit.read())
        return 0, "", ""

    assert judged(monkeypatch, run, [check(lines=[["Environment", value]])])[0] == []
    assert shown[0].splitlines()[3] == b"Environment=GREETING=Gr\xc3\xbc\xc3\x9fe"


def test_a_directive_of_a_newer_systemd_that_is_like_an_older_one_is_no_slip(monkeypatch):
    systemd = saying("Unknown key name 'MemoryZSwapMax' in section 'Service', ignoring.")
    problems, warned = judged(monkeypatch, systemd, [check(lines=[["MemoryZSwapMax", "1G"]])])
    assert problems == []
    assert "MemoryZSwapMax: this host's systemd knows no such directive" in warned[0]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("RootDirectory", "RootDirectory= path is not absolute: S3CRET"),
        ("ExecStartPre", "Neither a valid executable name nor an absolute path: S3CRET"),
        ("Environment", "Failed to resolve unit specifiers in 'KEY=S3CRET', ignoring: Invalid argument"),
    ],
)
def test_no_value_is_repeated(monkeypatch, name, said):
    problems, _warned = judged(monkeypatch, saying(said), [check(lines=[[name, "S3CRET"]])])
    assert len(problems) == 1
    assert "S3CRET" not in problems[0]


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
