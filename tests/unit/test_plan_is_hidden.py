"""A plan that holds values of an environment is registered, and no verbosity shows it; refusals stay readable."""

import json

import playbook
import pytest

CANARY = "canary-5f3e"
APP = {"name": "shop", "source": "apps/shop", "module": "manage"}


def planned(folder, apps, *arguments, **words):
    """Status and words of a play that plans these applications and looks at what was registered."""
    tasks = [
        {"graceful.wsgi.plan": {"role": "publish", **words}, "register": "planned"},
        {
            "ansible.builtin.debug": {
                "msg": "registered {{ planned.plan.instances | length }}"
                " {{ planned.plan.preflights[0].environment.TOKEN | default('') | length }}"
            }
        },
    ]
    file = folder / "play.yml"
    # A name that only looks like one of the role's: the warning of it must not be hidden along.
    variables = {"publish_apps": apps, "publish_keep_release": 3}
    file.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "vars": variables, "tasks": tasks}]))
    return playbook.play(file, *arguments)


@pytest.mark.parametrize("verbosity", ["-v", "-vvvvv"])
def test_a_value_is_registered_and_not_shown(tmp_path, verbosity):
    status, said = planned(tmp_path, [{**APP, "env": {"TOKEN": CANARY}}], verbosity)
    assert status == 0, said
    assert f"registered 1 {len(CANARY)}" in said
    assert CANARY not in said
    assert "did you mean publish_keep_releases?" in said


def test_a_plan_without_values_is_shown(tmp_path):
    status, said = planned(tmp_path, [APP], "-v")
    assert status == 0, said
    assert "/etc/uwsgi/shop.ini" in said


def test_a_refusal_is_shown_without_the_value(tmp_path):
    status, said = planned(tmp_path, [{**APP, "env": {"TOKEN": CANARY, "A-B": CANARY}, "threads": 0}], "-vvv")
    assert status == 2, said
    assert "publish_apps[0].env: 'A-B' is no name of a variable" in said
    assert "publish_apps[0].threads" in said
    assert CANARY not in said


def kept(**settings):
    """What a release was live with, and that it is gone back to."""
    text = json.dumps({"settings": settings, "secrets": ["DB"]})
    return {"pins": {"shop": "aaa111"}, "kept": {"shop": {"release": "aaa111", "kept": text}}}


def test_what_is_kept_with_a_release_counts_on_a_way_back_and_is_not_shown(tmp_path):
    words = kept(module="then", env={"TOKEN": CANARY})
    status, said = planned(tmp_path, [{**APP, "env": {"TOKEN": "now"}}], "-vvvvv", **words)
    assert status == 0, said
    assert f"registered 1 {len(CANARY)}" in said and CANARY not in said
    assert "shop: its release was live with the secret DB" in " ".join(said.split())


def test_a_refusal_of_what_is_kept_says_that_it_is_not_the_inventorys(tmp_path):
    words = kept(module="then", threads=2, gevent=10, env={"TOKEN": CANARY})
    status, said = planned(tmp_path, [APP], "-vvv", **words)
    assert status == 2 and CANARY not in said, said
    said = " ".join(said.split())
    assert "publish_apps[0].threads: threads mean nothing under gevent" in said
    assert "how the code of shop (release aaa111) runs is what was kept with that release" in said
