"""The plan of a way back: releases that are on the host, and all else as the inventory has it."""

import dataclasses

from plans import SPECS, UWSGI

from ansible_collections.graceful.wsgi.plugins.plugin_utils import (
    joined_variables,
    model,
    pinned_plan,
    publish_plan,
    spec,
)

APPS = [
    {"name": "shop", "repo": "https://git.example.com/shop.git", "module": "manage", "requirements": "r.txt"},
    {"name": "blog", "source": "blog", "module": "manage", "before_live": ["true"], "after_live": ["true"]},
    {"name": "theirs", "path": "/home/x", "module": "manage", "requirements": ["flask"]},
]
SITES = [{"server_name": ["a.test"], "locations": [{"path": "/", "app": "shop"}]}]


def planned(**more):
    problems = []
    given = {"publish_apps": APPS, "publish_sites": SITES, "publish_prune_data": True, **more}
    values = {role: spec.check(given if role == "publish" else {}, SPECS[role], problems) for role in SPECS}
    plan, wrong = publish_plan.plan(values["publish"], {"uwsgi": UWSGI}, values)
    return plan, [str(one) for one in problems + wrong]


def test_each_release_is_one_of_the_host_with_its_virtualenv_and_nothing_is_fetched_or_pruned():
    plan, problems = planned()
    assert not problems
    back = pinned_plan.pinned(plan, {"shop": "abc123", "blog": "def456"})
    shop, blog, theirs = model.plain(back)["releases"]
    assert shop["id"] == "abc123" and shop["pinned"] and shop["name"] == "shop"
    assert not [shop[key] for key in ("source", "archive", "repo", "requirements") if shop[key]]
    assert theirs["path"] == "/home/x" and theirs["pinned"] and "id" not in theirs
    assert blog["id"] == "def456" and plan.commands and plan.before_live == ["blog"]
    assert back.commands == [] and back.before_live == []
    assert not [one for one in back.hook_releases if one.from_git]
    assert not (back.settings.prune or back.settings.prune_data or back.site_bundle.prune)
    # All else is what the inventory says.
    kept = ("app_bundle", "instances", "questions", "preflights", "checks")
    assert all(getattr(back, name) == getattr(plan, name) for name in kept)
    assert dataclasses.replace(back.site_bundle, prune=True) == plan.site_bundle


def test_a_lock_is_waited_for_no_less_than_no_time():
    _plan, problems = planned(publish_lock_timeout=-1)
    assert any("publish_lock_timeout: -1 is less than none" in problem for problem in problems), problems


def test_what_was_never_live_stays_out_of_a_way_back_with_what_leads_to_it():
    sites = [
        {"server_name": ["a.test"], "locations": [{"path": "/", "app": "shop"}, {"path": "/blog/", "app": "blog"}]},
        {"server_name": ["b.test"], "locations": [{"path": "/", "app": "blog"}]},
        {"server_name": ["c.test"], "locations": [{"path": "/", "app": "theirs"}]},
    ]
    given = {"publish_apps": APPS, "publish_sites": sites}
    joined = joined_variables.join(given, SPECS["publish"])
    left = joined.without(["blog"])
    assert [app["name"] for app in left.values["publish_apps"]] == ["shop", "theirs"]
    assert [site["server_name"] for site in left.values["publish_sites"]] == [["a.test"], ["c.test"]]
    assert left.values["publish_sites"][0]["locations"] == [{"path": "/", "app": "shop"}]
    # A refusal names the place that the user wrote.
    assert left.told("publish_apps[1].path") == "publish_apps[2].path"
    assert joined.without([]).values == joined.values and len(joined.values["publish_apps"]) == 3
