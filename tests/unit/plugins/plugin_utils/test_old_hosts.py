"""What is said of a host that the running Ansible is too new for."""

import subprocess

import pytest
from plans import plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import old_hosts
from ansible_collections.graceful.wsgi.plugins.plugin_utils import plan as planning

CENTOS = "os\tcentos\t7\tCentOS Linux 7 (Core)\n"
DEBIAN = "os\tdebian\t11\tDebian GNU/Linux 11 (bullseye)\n"
OLD = "python\t2.7.5\t/usr/bin/python2.7\n"
SIX = "python\t3.6.8\t/usr/bin/python3\n"
NEW = "python\t3.9.2\t/usr/bin/python3\n"
TAKE_216 = "pip install 'ansible>=9,<10'"


@pytest.mark.parametrize(
    ("told", "complaint", "message"),
    [
        (CENTOS + OLD, "", ["CentOS Linux 7 (Core) has Python 2.7.5 (/usr/bin/python2.7)", TAKE_216, "/bin/python."]),
        (CENTOS + SIX + OLD, "", ["has Python 3.6.8 (/usr/bin/python3) and 2.7.5", TAKE_216]),
        # Even with a Python that Ansible speaks to, nothing speaks to yum.
        (CENTOS + NEW, "", ["CentOS Linux 7", TAKE_216]),
        (CENTOS, "", ["has no Python", "its package python "]),
        (DEBIAN, "", ["has no Python", "its package python3 "]),
        (DEBIAN + OLD, "", ["needs Python 3.8 or newer", "has 2.7.5", "Install a newer one", TAKE_216]),
        (DEBIAN + NEW + OLD, "SyntaxError: invalid syntax", ["set ansible_python_interpreter: /usr/bin/python3"]),
        (DEBIAN + NEW + OLD, "requires a minimum of Python version 3.8", ["set ansible_python_interpreter"]),
        (OLD, "", ["this host has 2.7.5", TAKE_216]),
    ],
)
def test_the_message_says_what_the_host_has_and_what_to_do(told, complaint, message):
    said = old_hosts.refusal("2.19.14", (3, 8), told, complaint)
    for words in message:
        assert words in said


@pytest.mark.parametrize(
    ("core", "oldest", "told", "complaint"),
    [
        ("2.19.14", (3, 8), DEBIAN + NEW, "Timer expired"),
        ("2.19.14", (3, 8), "", "SyntaxError"),
        ("2.19.14", (3, 8), "nonsense\n", "SyntaxError"),
        ("2.16.19", (2, 7), CENTOS + OLD, "No space left on device"),
    ],
)
def test_another_failure_is_left_to_speak_for_itself(core, oldest, told, complaint):
    assert old_hosts.refusal(core, oldest, told, complaint) is None


def test_the_question_is_answered_by_a_shell():
    said = subprocess.run(["sh", "-c", old_hosts.ASK], capture_output=True, text=True, check=True).stdout
    kinds = [line.split("\t")[0] for line in said.splitlines()]
    assert kinds.count("os") == 1
    assert "python" in kinds
    assert old_hosts.refusal("9.0", (99,), said).startswith("ansible-core 9.0 needs Python 99")


@pytest.mark.parametrize(
    ("host", "refused"),
    [
        ({"os_family": "RedHat", "version": "7", "distribution": "CentOS", "ansible": "2.19.14"}, True),
        ({"os_family": "RedHat", "version": "7", "distribution": "CentOS", "ansible": "2.17.0"}, True),
        ({"os_family": "RedHat", "version": "7", "distribution": "CentOS", "ansible": "2.16.19"}, False),
        ({"os_family": "RedHat", "version": "9", "distribution": "CentOS", "ansible": "2.19.14"}, False),
        ({"os_family": "Debian", "version": "7", "distribution": "Debian", "ansible": "2.19.14"}, False),
    ],
)
def test_the_plan_refuses_el7_under_an_ansible_without_yum(host, refused):
    # A play that shows no role's variables.
    _plans, problems = plain(planning.plan(dict.fromkeys(planning.PLANNERS, {}), {}, host))
    assert [problem.path for problem in problems] == (["ansible_version"] if refused else [])
    for problem in problems:
        assert "CentOS 7" in problem.message
        assert TAKE_216 in problem.hint
