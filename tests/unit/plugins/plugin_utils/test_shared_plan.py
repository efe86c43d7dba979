"""What outlives a release: which names are refused, and what the plan, the unit and the release's name make of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import SPECS, plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import publish_plan, shared_plan, spec

APP = {"name": "shop", "source": "apps/shop", "module": "manage"}


def planned(uwsgi=None, **more):
    problems = []
    app = {key: value for key, value in {**APP, **more}.items() if value is not None}
    values = spec.check({"publish_apps": [app]}, SPECS["publish"], problems)
    roles = {"nginx": spec.check({}, SPECS["nginx"], []), "uwsgi": spec.check(uwsgi or {}, SPECS["uwsgi"], [])}
    plan, said = plain(publish_plan.plan(values, {}, roles))
    return plan, [str(problem) for problem in problems + said]


@pytest.mark.parametrize(
    "names, message",
    [
        (["/etc"], "shared[0]: '/etc' is absolute; write a path in the code"),
        (["a/../b"], "shared[0]: 'a/../b' leads out of the code"),
        ([".."], "shared[0]: '..' leads out"),
        ([""], "shared[0]: '' is the whole code"),
        (["."], "shared[0]: '.' is the whole code"),
        (["./"], "shared[0]: './' is the whole code"),
        (["/"], "shared[0]: '/' is the whole code"),
        (["./media"], "write media"),
        (["a//b"], "write a/b"),
        (["media//"], "write media"),
        (["media/*"], "shared[0]: 'media/*' is a pattern"),
        (["a\nb"], "shared[0]: holds a line break"),
        ([".venv"], "shared[0]: '.venv' is a name of the role's own"),
        ([".venv/x"], "shared[0]: '.venv' is a name of the role's own"),
        ([".new-x"], "shared[0]: '.new-x' is a name of the role's own"),
        (["media", "media/"], "shared[1]: media is shared[0] too"),
        (["media", "media/x"], "shared[1]: one of media/x and media (shared[0]) lies in the other"),
        (["a/b/c", "a"], "shared[1]: one of a and a/b/c (shared[0]) lies in the other"),
        (["manage.py"], "manage.py (module)"),
        (["deps/"], "deps is or holds deps/requirements.txt (requirements)"),
    ],
)
def test_names_that_cannot_be_shared_are_refused_with_the_cure(names, message):
    plan, said = planned(shared=names, requirements="deps/requirements.txt")
    assert not plan
    assert len([line for line in said if "shared" in line]) == 1, said
    assert f"publish_apps[0].{message}" in said[0] or message in said[0]


@pytest.mark.parametrize("names", [["media", "media2"], ["a/b", "a/c"], ["data/shop.sqlite3"], ["schön ☃/"]])
def test_names_that_do_not_hold_one_another_are_taken(names):
    plan, said = planned(shared=names)
    assert said == []
    assert plan["releases"][0]["shared"] == names


def test_code_that_is_run_where_it_lies_has_nothing_to_share():
    _plan, said = planned(source=None, path="/srv/there", shared=["media"])
    assert any(line.startswith("publish_apps[0].shared: the code at path is run where it lies") for line in said)


def test_without_it_a_release_is_as_it_was():
    plan, said = planned()
    assert said == [] and "shared" not in plan["releases"][0]


def test_another_account_is_refused_while_what_is_shared_is_the_former_ones():
    plan, _said = planned(shared=["media"])
    [check] = [check for check in plan["checks"] if check["kind"] == "old_account"]
    assert check["paths"] == ["/srv/wsgi/shop/shared"]


def test_a_unit_to_which_all_is_closed_has_it_open():
    line = ["ReadWritePaths", "-/srv/wsgi/shop/shared"]
    closed = {"ProtectSystem": "strict"}
    for more in ({"service_options": closed}, {"uwsgi": {"uwsgi_unit_options": closed}}):
        plan, said = planned(shared=["media"], **more)
        assert said == []
        assert line in plan["instances"][0]["service"]
        assert line not in planned(**more)[0]["instances"][0]["service"]
    assert line not in planned(shared=["media"])[0]["instances"][0]["service"]


NAMES = st.lists(st.sampled_from(["media", "media/", "instance/", "data/x.db"]), max_size=3, unique=True)


@given(first=NAMES, second=NAMES, users=st.tuples(st.sampled_from("ab"), st.sampled_from("ab")))
def test_a_release_has_another_name_where_its_links_are_others(first, second, users):
    one, two = (
        shared_plan.release_id("abc", {"shared": names, "user": user}, "3.11")
        for names, user in zip((first, second), users, strict=True)
    )
    same = set(first) == set(second) and (users[0] == users[1] or not first)
    assert (one == two) is same
    assert one.startswith("abc") and (one == "abc") is (not first)


@pytest.mark.parametrize("other", [{"requirements": ["a==2"]}, {"writable": ["built"]}, {"constraints": ["b<2"]}])
def test_what_commands_fill_is_filled_anew_for_another_virtualenv(other):
    item = {"writable": ["static"], "requirements": ["a==1"], "constraints": None}
    wanted = [(one, python) for one in (item, {**item, **other}) for python in ("3.9", "3.11")]
    names = {shared_plan.release_id("abc", one, python) for one, python in wanted}
    assert len(names) == 4
    # Where nothing is written into a release, it is the same one with another virtualenv.
    assert shared_plan.release_id("abc", {"requirements": ["a==2"]}, "3.9") == "abc"
