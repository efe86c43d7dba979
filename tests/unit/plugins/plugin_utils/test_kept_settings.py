"""What is kept of an application with its releases, and what a way back makes of it."""

import json

import pytest
from plans import SPECS, UWSGI

from ansible_collections.graceful.wsgi.plugins.plugin_utils import kept_settings, model, publish_plan, spec

CANARY = "canary-2d81"
THEN = {
    "name": "shop",
    "source": "shop",
    "module": "manage",
    "user": "shop",
    "socket": "127.0.0.1:5001",
    "processes": 4,
    "env": {"MODE": "old", "DEBUG": False, "TOKEN": "was-in-env"},
    "secrets": {"DB": CANARY, "GONE": CANARY, "MOVED": CANARY},
    "workers": [{"name": "jobs", "command": "python old.py", "count": 2}],
    "options": {"harakiri": 60},
}
NOW = {
    "name": "shop",
    "repo": "https://git.example.com/shop.git",
    "module": "new",
    "chdir": "src",
    "protocol": "http",
    "socket": "127.0.0.1:5002",
    "env": {"MODE": "new", "MOVED": "in-env"},
    "secrets": {"DB": "rotated", "TOKEN": "rotated"},
    "timers": [{"name": "tick", "command": "true", "schedule": "daily"}],
}
SITES = [{"server_name": ["a.test"], "locations": [{"path": "/", "app": "shop"}]}]


def planned(*apps):
    problems = []
    given = {"publish_apps": list(apps), "publish_sites": SITES}
    values = {role: spec.check(given if role == "publish" else {}, SPECS[role], problems) for role in SPECS}
    plan, wrong = publish_plan.plan(values["publish"], {"uwsgi": UWSGI}, values)
    assert not problems + wrong
    return plan


def kept_of(app):
    [one] = planned(app).kept_settings
    return one.settings


def test_each_setting_of_an_application_comes_back_or_stays():
    known = set(SPECS["publish"]["publish_apps"]["options"])
    both = kept_settings.COMES_BACK + kept_settings.STAYS
    assert len(set(both)) == len(both) and set(both) == known


def test_how_the_code_runs_is_kept_and_of_secrets_the_names_only():
    text = kept_of(THEN)
    assert CANARY not in text
    kept = json.loads(text)
    assert kept["secrets"] == ["DB", "GONE", "MOVED"]
    assert kept["settings"]["processes"] == 4 and kept["settings"]["workers"][0]["command"] == "python old.py"
    assert set(kept["settings"]) <= set(kept_settings.COMES_BACK)
    assert kept_of(THEN) == text


def test_a_way_back_has_the_settings_of_then_and_what_belongs_to_host_and_visitors_of_now():
    kept = {"shop": {"release": "aaa111", "kept": kept_of(THEN)}}
    other = {"name": "blog", "source": "blog", "module": "blog"}
    apps, notes = kept_settings.restored([NOW, other], kept)
    back = apps[0]
    assert apps[1] is other
    assert (back["module"], back["processes"], back["options"]) == ("manage", 4, {"harakiri": 60})
    assert "chdir" not in back and back["timers"] == [] and back["workers"][0]["count"] == 2
    assert (back["socket"], back["protocol"], back["repo"]) == (NOW["socket"], "http", NOW["repo"])
    assert "user" not in back and "source" not in back
    # What is a secret now is the one of now, and what was one is where it is said now.
    assert back["secrets"] == NOW["secrets"]
    assert back["env"] == {"MODE": "old", "DEBUG": False, "MOVED": "in-env"}
    [note] = notes
    assert note.startswith("shop: its release was live with the secret GONE, of which the inventory says nothing")


def test_what_is_made_of_it_again_are_the_files_that_it_was_live_with():
    kept = {"shop": {"release": "aaa111", "kept": kept_of(THEN)}}
    later = {**THEN, "module": "new", "processes": 9, "env": {"A": "b"}, "workers": [], "log_requests": True}
    then, now, back = (planned(one) for one in (THEN, later, *kept_settings.restored([later], kept)[0]))
    files, anew = (model.plain(plan.app_bundle)["files"] for plan in (then, back))
    assert files == anew and files != model.plain(now.app_bundle)["files"]
    # So that a second way back, to the release that this one led away from, has its own.
    assert back.kept_settings == then.kept_settings


def test_a_virtualenv_of_then_takes_the_place_of_requirements():
    kept = {"shop": {"release": "a", "kept": kept_of({**THEN, "virtualenv": "/opt/shop"})}}
    [back], _notes = kept_settings.restored([{**NOW, "requirements": "r.txt"}], kept)
    assert back["virtualenv"] == "/opt/shop" and "requirements" not in back


def test_what_a_newer_version_has_kept_is_left_out_and_said_and_nothing_else_comes_in():
    kept = {"settings": {"module": "m", "template": "/etc/passwd", "colour": "red"}, "secrets": []}
    back, notes = kept_settings.back({"name": "shop", "source": "."}, kept)
    assert back == {"name": "shop", "source": ".", "module": "m", "env": {}}
    assert notes == [
        "shop: its release was live with colour, template, which this version of the collection does not know: it goes"
        " without"
    ]


@pytest.mark.parametrize("apps", [None, "text", ["shop", None, 3]])
def test_what_nobody_has_checked_yet_goes_through(apps):
    assert kept_settings.restored(apps, {"shop": {"release": "a", "kept": "{}"}}) == (apps, [])


def test_a_refusal_says_that_it_is_not_the_inventory_that_counts():
    kept = {"shop": {"release": "aaa111", "kept": "{}"}}
    assert "the code of shop (release aaa111) runs" in kept_settings.refused(kept, ["shop", "blog"])
    assert kept_settings.refused({}, ["shop"]) == "" == kept_settings.refused(kept, ["blog"])
