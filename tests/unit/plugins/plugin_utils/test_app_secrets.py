"""An application's secrets: a file of root's beside its environment; refusals repeat no value."""

import json

import pytest
from plans import SPECS, plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import publish_plan, spec

APP = {"name": "shop", "source": "apps/shop", "module": "manage", "secrets": {"TOKEN": "s3cr3t"}}


def planned(**more):
    problems = []
    values = spec.check({"publish_apps": [{**APP, **more}]}, SPECS["publish"], problems)
    roles = {role: spec.check({}, SPECS[role], []) for role in ("nginx", "uwsgi")}
    plan, said = plain(publish_plan.plan(values, {}, roles))
    return plan, [str(problem) for problem in problems + said]


def test_all_instances_share_a_file_that_only_root_reads_and_their_units_name():
    plan, said = planned(instances=2, env={"A": "1"}, secrets_file="/etc/shop/secrets")
    assert said == []
    [file] = [file for file in plan["app_bundle"]["files"] if file["dest"] == "/etc/uwsgi/shop.secrets"]
    assert (file["mode"], file["secret"]) == ("0600", True)
    assert file["content"].endswith('\nTOKEN="s3cr3t"\n')
    files = ["/etc/uwsgi/shop.env", "/etc/shop/secrets", "/etc/uwsgi/shop.secrets"]
    for app in plan["instances"]:
        assert [value for name, value in app["service"] if name == "EnvironmentFile"] == files
    # A change of any of them is taken up by a new master.
    assert all(item["unit_files"][-3:] == files for item in plan["uwsgi_instances"])
    assert plan["preflights"][0]["secret_files"] == files[1:]
    assert set(plan["preflights"][0]["files"]) == {"/etc/uwsgi/shop.env", "/etc/uwsgi/shop.secrets"}
    assert plan["hook_releases"][0]["secret_files"] == files[1:]
    assert all(set(files[1:]) <= set(question["unit_files"]) for question in plan["questions"])


def test_without_secrets_there_is_no_file():
    plan, said = planned(secrets={})
    assert said == [] and ".secrets" not in json.dumps(plan)


def test_a_value_stands_in_the_file_and_the_preflight_only():
    plan, _said = planned(instances=2)
    assert plan["preflights"][0].pop("environment") == {"TOKEN": "s3cr3t"}
    assert "s3cr3t" in plan["preflights"][0].pop("files")["/etc/uwsgi/shop.secrets"]
    plan["app_bundle"]["files"] = [file for file in plan["app_bundle"]["files"] if not file.get("secret")]
    assert "s3cr3t" not in json.dumps(plan)


@pytest.mark.parametrize(
    "more, place, hint",
    [
        ({"env": {"TOKEN": "s3cr3t"}}, "publish_apps[0].secrets.TOKEN: is in env as well", "leave it out of env"),
        ({"secrets": {"A": "s3cr3t\n2"}}, "publish_apps[0].secrets.A: holds a line break", "b64encode"),
        ({"secrets": {"A": "s3cr3t\a"}}, "publish_apps[0].secrets.A: holds a character", "b64encode"),
        ({"secrets": {"UWSGI_HTTP": "s3cr3t"}}, "publish_apps[0].secrets.UWSGI_HTTP", "options"),
        ({"secrets": {"A=s3cr3t": None}}, "publish_apps[0].secrets: 'A' is no name", "NAME: value"),
        ({"secrets": {"A": ["s3cr3t"]}}, "publish_apps[0].secrets.A: is not one text", "to_json"),
        ({"secrets_file": "etc/x"}, "publish_apps[0].secrets_file: 'etc/x' is no absolute path", "/etc/shop/secrets"),
        ({"secrets_file": ""}, "publish_apps[0].secrets_file: is empty", "/etc/shop/secrets"),
        ({"secrets_file": "/etc/a/../b"}, "publish_apps[0].secrets_file: '/etc/a/../b' is no", "/etc/shop/secrets"),
        ({"secrets_file": "/etc/%i"}, "publish_apps[0].secrets_file: '/etc/%i' is no", "/etc/shop/secrets"),
        ({"secrets_file": "/etc/uwsgi/shop.secrets"}, "is the file that the role writes", "name another"),
    ],
)
def test_what_would_not_arrive_is_refused_without_its_value(more, place, hint):
    plan, said = planned(**more)
    assert not plan
    assert len(said) == 1 and place in said[0], said
    assert hint in said[0] and "s3cr3t" not in said[0]


@pytest.mark.parametrize("secrets", ["A=s3cr3t", ["A=s3cr3t"]])
def test_what_has_no_right_shape_is_not_repeated(secrets):
    problems = []
    spec.check({"publish_apps": [{**APP, "secrets": secrets}]}, SPECS["publish"], problems)
    [problem] = [str(problem) for problem in problems]
    assert problem.startswith("publish_apps[0].secrets: what is given is not") and "s3cr3t" not in problem


def test_the_host_is_asked_about_a_file_that_is_there():
    plan, _said = planned(secrets_file="/etc/shop/secrets", env={"A": "1"})
    [check] = [check for check in plan["checks"] if check["kind"] == "secrets_file"]
    wanted = {"variable": "publish_apps[0].secrets_file", "path": "/etc/shop/secrets", "names": ["A", "TOKEN"]}
    assert check == {"kind": "secrets_file", **wanted}
