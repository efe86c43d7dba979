"""A value reaches uWSGI whole in each of its configuration languages, or is refused."""

import json
from pathlib import Path

import jinja2
import pytest
import yaml
from plans import plain

from ansible_collections.graceful.wsgi.plugins.module_utils import uwsgi_config
from ansible_collections.graceful.wsgi.plugins.plugin_utils import publish_plan, spec

ROLES = Path(__file__).resolve().parents[4] / "roles"
ENTRIES = {
    role: yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    for role in ("nginx", "uwsgi", "publish")
}
SPECS = {role: entries["variables"]["options"] for role, entries in ENTRIES.items()}
KINDS = ("ini", "json", "yaml", "xml")
# Found out with uWSGI 2.0.31: molecule/live/tests/test_lifecycle.py asks it again.
WHOLE = {
    "a & b < c > d": KINDS,
    "http://h/x?a=1&b=2;c": KINDS,
    "a=b; c: d": KINDS,
    "a]b": KINDS,
    "]]>": ("ini", "json", "yaml"),
    "a]b & c": ("ini", "json", "yaml"),
    "a # b": ("ini", "json", "xml"),
    "#": ("ini", "json", "xml"),
    ";x": KINDS,
    "'q": ("ini", "json", "xml"),
    'q"': ("ini", "json", "xml"),
    "\u00e9 \u4e2d \u2028 \u0085 x": KINDS,
    "a\x01b": ("ini", "json", "yaml"),
    "a\x0cb": ("ini", "json", "yaml"),
    "a\tb": KINDS,
    "": ("ini", "json", "yaml"),
    " a": (),
    "a ": (),
    "a\nb": (),
    "a\rb": (),
}


def planned(kind, value):
    app = {"name": "shop", "source": "apps/shop", "module": "manage", "config_format": kind}
    values = spec.check({"publish_apps": [{**app, "options": {"procname-prefix": value}}]}, SPECS["publish"], [])
    roles = {role: spec.check({}, SPECS[role], []) for role in ("nginx", "uwsgi")}
    return plain(publish_plan.plan(values, {}, roles))


def written(plan, kind):
    file = next(file for file in plan["app_bundle"]["files"] if file["dest"] == f"/etc/uwsgi/shop.{kind}")
    environment = jinja2.Environment(keep_trailing_newline=True, trim_blocks=True)
    environment.filters["ansible.builtin.to_nice_json"] = lambda found, sort_keys: json.dumps(found, indent=4)
    text = (ROLES / "publish/templates" / file["template"]).read_text()
    return environment.from_string(text).render(file["vars"], ansible_managed="ours")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", WHOLE, ids=repr)
def test_a_value_is_whole_or_refused(tmp_path, kind, value):
    plan, problems = planned(kind, value)
    if kind not in WHOLE[value]:
        # A line break is nobody's, whatever the language.
        assert {problem.path for problem in problems} == {"publish_apps[0].options.procname-prefix"}
        assert all(problem.hint for problem in problems)
        return
    assert problems == []
    file = tmp_path / f"shop.{kind}"
    file.write_bytes(written(plan, kind).encode())
    options = dict(uwsgi_config.load(str(file)))
    # uWSGI's own languages have no word for nothing but these.
    assert options.get("procname-prefix", "") == value


@pytest.mark.parametrize("key", ["chdir", "callable", "log", "pythonpath"])
@pytest.mark.parametrize("kind, value", [("xml", "/a]&b"), ("yaml", "/a#b"), ("json", "/a "), ("xml", "/a\x02")])
def test_so_does_what_the_plan_writes_of_a_setting(key, kind, value):
    app = {"name": "shop", "source": "apps/shop", "module": "manage", "config_format": kind, key: value}
    values = spec.check({"publish_apps": [app]}, SPECS["publish"], [])
    roles = {role: spec.check({}, SPECS[role], []) for role in ("nginx", "uwsgi")}
    _plan, problems = plain(publish_plan.plan(values, {}, roles))
    assert any(problem.path.startswith(f"publish_apps[0].{key}") for problem in problems)
