"""An application's environment: a file that each systemd reads back letter by letter; refusals repeat no value."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from plans import plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import app_environment, publish_plan, spec
from ansible_collections.graceful.wsgi.plugins.plugin_utils.problem import Problems

# What systemd hands over: no control character but the tab, none that Unicode keeps free.
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn"), include_characters="\t"), max_size=30)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: not app_environment.RESERVED.match(name)
)


def read_back(text, keeps):
    """What systemd makes of lines NAME="value"; ``keeps``: whether it keeps a backslash that escapes nothing.

    219 takes every character behind a backslash in double quotes for itself; later ones only those that a shell does.
    """
    found = {}
    # Not by splitlines(), which knows more ends of a line than systemd.
    for line in text.split("\n")[:-1]:
        if line.startswith("#"):
            continue
        name, _equals, value = line.partition("=")
        assert value[0] == value[-1] == '"'
        characters, got = iter(value[1:-1]), ""
        for character in characters:
            assert character != '"'
            if character == "\\":
                escaped = next(characters)
                character = "\\" + escaped if keeps and escaped not in '"\\`$' else escaped
            got += character
        found[name] = got
    return found


@pytest.mark.parametrize("keeps", [False, True], ids=["219", "257"])
@given(env=st.dictionaries(NAMES, TEXT, max_size=4))
def test_each_systemd_reads_back_what_is_written(keeps, env):
    problems = Problems()
    app_environment.check(env, "env", problems)
    assert problems == []
    assert read_back(app_environment.content(env), keeps) == env


def refused(env):
    problems = Problems()
    app_environment.check(env, "env", problems)
    return [str(problem) for problem in problems]


@pytest.mark.parametrize(
    "name",
    ["", "1A", "A-B", "A B", "ä", "A.B", "UWSGI_MODULE", "UWSGI_", "LISTEN_PID", "NOTIFY_SOCKET", "WATCHDOG_USEC"]
    + ["MAINPID", "INVOCATION_ID", "JOURNAL_STREAM", "CREDENTIALS_DIRECTORY", "SYSTEMD_EXEC_PID", "A=secret", "A\n"],
)
def test_names_that_do_not_arrive_are_refused(name):
    (said,) = refused({name: "secret"})
    assert "secret" not in said


@pytest.mark.parametrize("name", ["A", "_", "uwsgi_x", "MY_UWSGI_X", "NOTIFY_SOCKETS", "PATH", "PYTHONPATH"])
def test_any_other_name_is_fine(name):
    assert refused({name: "x"}) == []


@pytest.mark.parametrize(
    "value",
    ["secret\n", "secret\r", "secret\0", "secret\x1b", "secret\x7f", "secret\ufffe", "secret\ufdd0", "secret\ud800"]
    + ["secret" * 30000, ["secret"], {"secret": 1}],
)
def test_values_that_do_not_arrive_are_refused_and_not_repeated(value):
    (said,) = refused({"A": value})
    assert said.startswith("env.A: ")
    assert "secret" not in said


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (False, "false"), (None, ""), (1, "1"), (1.5, "1.5")])
def test_what_is_no_text_arrives_as_one(value, text):
    assert app_environment.words({"A": value}) == {"A": text}


ROLES = Path(spec.__file__).resolve().parents[2] / "roles"
SPECS = {
    role: yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]["variables"][
        "options"
    ]
    for role in ("nginx", "uwsgi", "publish")
}
APP = {"name": "shop", "source": "apps/shop", "module": "manage", "env": {"TOKEN": "s3cr3t"}}


def planned(**more):
    problems = []
    values = spec.check({"publish_apps": [{**APP, **more}]}, SPECS["publish"], problems)
    roles = {role: spec.check({}, SPECS[role], []) for role in ("nginx", "uwsgi")}
    plan, said = plain(publish_plan.plan(values, {}, roles))
    assert problems + said == []
    return plan


def test_all_instances_share_a_file_that_only_root_reads_and_their_units_name():
    plan = planned(instances=2)
    files = [file for file in plan["app_bundle"]["files"] if file["dest"].endswith(".env")]
    assert [file["dest"] for file in files] == ["/etc/uwsgi/shop.env"]
    assert (files[0]["mode"], files[0]["secret"]) == ("0600", True)
    for app in plan["instances"]:
        assert ["EnvironmentFile", "/etc/uwsgi/shop.env"] in app["service"]
    assert all("/etc/uwsgi/shop.env" in item["unit_files"] for item in plan["uwsgi_instances"])


def test_without_variables_there_is_no_file():
    plan = planned(env={})
    assert ".env" not in json.dumps(plan)


@pytest.mark.parametrize("kind", ["ini", "json", "yaml", "xml"])
def test_a_value_stands_in_the_file_the_preflight_and_what_is_kept_only(kind):
    plan = planned(config_format=kind, instances=2)
    assert plan["preflights"][0].pop("environment") == {"TOKEN": "s3cr3t"}
    assert "s3cr3t" in plan["preflights"][0].pop("files")["/etc/uwsgi/shop.env"]
    plan["app_bundle"]["files"] = [file for file in plan["app_bundle"]["files"] if not file.get("secret")]
    assert "s3cr3t" in plan.pop("kept_settings")[0]["settings"]
    assert "s3cr3t" not in json.dumps(plan)


@pytest.mark.parametrize(
    "given",
    [
        [{**APP, "env": "TOKEN=s3cr3t"}],
        [{**APP, "env": ["TOKEN=s3cr3t"]}],
        ["s3cr3t"],
        [[APP]],
        {"shop": APP},
        True,
    ],
)
def test_what_has_the_wrong_shape_is_not_repeated(given):
    problems = []
    spec.check({"publish_apps": given}, SPECS["publish"], problems)
    assert problems
    assert "s3cr3t" not in "".join(map(str, problems))
    assert all("is not" in str(problem) for problem in problems)
