"""What inventories say by the names that the variables of the role el had while it was called centos7."""

import json

import pytest
from playbook import play

from ansible_collections.graceful.wsgi.plugins.plugin_utils import el_names
from ansible_collections.graceful.wsgi.plugins.plugin_utils.problem import Problem

SPEC = {"el_timeout": {"type": "int", "default": 120}, "el_python": {"type": "str", "default": "python3"}}


def taken(**values):
    return el_names.taken(values, SPEC)


def test_a_variable_by_its_old_name_is_taken_for_the_default_of_the_new_one():
    old = taken(el_timeout=120, el_python="python3", centos7_timeout=9)
    assert old.values == {"el_timeout": 9, "el_python": "python3"}
    assert old.problems == ()


def test_without_old_names_nothing_changes():
    assert taken(el_timeout=5).values == {"el_timeout": 5}
    assert taken().values == {}


def test_both_names_may_say_the_same_and_are_refused_where_they_do_not():
    assert taken(el_timeout=9, centos7_timeout=9).problems == ()
    old = taken(el_timeout=8, centos7_timeout=9)
    assert [str(problem) for problem in old.problems] == [
        "centos7_timeout: says otherwise than el_timeout, whose old name it is; leave out centos7_timeout"
    ]
    assert old.refused([]) == list(old.problems)


def test_what_is_wrong_is_told_by_the_name_that_the_inventory_has():
    old = taken(centos7_timeout=0, el_python="x")
    problems = [Problem("el_timeout", "is too small", "write 1"), Problem("el_python[1]", "is none", "write python3")]
    assert [problem.path for problem in old.refused(problems)] == ["centos7_timeout", "el_python[1]"]
    listed = el_names.taken({"centos7_timeout": [1]}, SPEC)
    assert listed.refused([Problem("el_timeout[0]", "a", "b")])[0].path == "centos7_timeout[0]"


def test_every_variable_has_both_names_where_they_are_read_and_a_search_for_misspelt_ones_sees_the_new():
    assert set(el_names.options(SPEC)) == {"el_timeout", "el_python", "centos7_timeout", "centos7_python"}
    assert el_names.renamed(["centos7_timeuot", "nginx_x"]) == {"el_timeuot", "nginx_x"}


FACTS = {
    "distribution": "Rocky",
    "distribution_major_version": "9",
    "os_family": "RedHat",
    "architecture": "x86_64",
    "selinux": {"status": "disabled"},
}


@pytest.mark.parametrize("role", ["centos7", "el"])
def test_either_name_of_the_role_takes_either_name_of_a_variable(role, tmp_path):
    variables = {"ansible_facts": FACTS, "centos7_firewalld_zone": "a b", "el_firewalld_ports": ["80"]}
    steps = [{"hosts": "all", "gather_facts": False, "vars": variables, "roles": [f"graceful.wsgi.{role}"]}]
    (tmp_path / "play.yml").write_text(json.dumps(steps))
    status, said = play(tmp_path / "play.yml")
    assert status == 2, said
    assert "2 problems in the variables; nothing on the host was changed" in said
    assert "- centos7_firewalld_zone: 'a b' is no zone" in said and "- el_firewalld_ports[0]: '80' is no port" in said
    variables |= {"centos7_firewalld_zone": "", "el_firewalld_ports": [], "el_firewalld": False}
    (tmp_path / "play.yml").write_text(json.dumps(steps))
    status, said = play(tmp_path / "play.yml")
    assert status == 0 and "changed=0" in said, said
