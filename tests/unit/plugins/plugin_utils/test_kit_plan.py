"""Where variables lead with a kit, which files concern a host, and what is refused before the host is asked."""

from pathlib import Path

import pytest
import yaml
from plans import plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import kit_plan, model
from ansible_collections.graceful.wsgi.plugins.plugin_utils import plan as planning

ROLES = Path(__file__).resolve().parents[4] / "roles"
SPECS = {
    role: yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]["variables"][
        "options"
    ]
    for role in planning.PLANNERS
}
HOST = {
    "distribution": "Debian",
    "version": "12",
    "os_family": "Debian",
    "arch": "x86_64",
    "systemd": 252,
    "python": "3.11",
    "groups": {"": []},
}
KIND = {
    "distribution": "Debian",
    "major": "12",
    "architecture": "x86_64",
    "python": "3.11",
    "abi": "cp311",
    "interpreter": "/usr/bin/python3.11",
}
APPS = [
    {"name": "shop", "source": "/shop", "module": "manage", "requirements": "requirements.txt"},
    {"name": "plain", "source": "/plain", "module": "manage"},
]
SITES = [{"server_name": ["shop.test"], "locations": [{"path": "/", "app": "shop"}]}]
PUBLISH = {"publish_apps": APPS, "publish_sites": SITES}


DIGEST = kit_plan.digest("Flask", [])


def manifest(nginx="1.30.6-0123456789ab", digest=DIGEST, **kind):
    entry = {
        "kind": {**KIND, **kind},
        "glibc": "2.36",
        "tools": ["tools/3.11/pip-25.3-py3-none-any.whl"],
        "uwsgi": {"u": {"libraries": ["libz.so.1"], "packages": ["zlib1g"], "files": ["uwsgi/u/uwsgi.whl"]}},
        "requirements": {digest: {"apps": ["shop"], "files": ["wheels/flask.whl"]}},
    }
    other = {
        **entry,
        "kind": {**KIND, "distribution": "Centos", "major": "7", "python": "2.7"},
        "uwsgi": {},
        "requirements": {},
    }
    other["tools"] = ["tools/2.7/pip-20.3.4-py2.py3-none-any.whl"]
    files = [*entry["tools"], "uwsgi/u/uwsgi.whl", "wheels/flask.whl", f"nginx/{nginx}/nginx", *other["tools"]]
    return {
        "format": 1,
        "files": {path: f"sum of {path}" for path in files},
        "builders": {"builder": {"distribution": "Debian", "version": "12", "arch": "x86_64", "os_family": "Debian"}},
        "nginx": {nginx: {"architecture": "x86_64", "files": [f"nginx/{nginx}/nginx"]}},
        "hosts": [entry, other],
    }


def kit(**more):
    known = {"folder": "/kit", "collecting": False, "manifest": manifest(), "wrong": [], "texts": {"shop": "Flask"}}
    return {**known, **more}


def planned(kit, role="nginx", host=HOST, **variables):
    roles = {"el": None, "nginx": {}, "uwsgi": {}, "publish": PUBLISH, **variables}
    return plain(planning.plan(SPECS, roles, {**host, "role": role, "kit": kit}))


def wanted_nginx():
    """The name of the nginx that the defaults ask for, where a kit is published from."""
    return planned(kit(manifest=None, wrong=["-"]))[0]["nginx"]["id"]


def whole(**more):
    return kit(manifest=manifest(nginx=wanted_nginx()), **more)


@pytest.mark.parametrize(
    ("architecture", "glibc", "first", "holds", "lacks"),
    [
        ("x86_64", "2.17", "manylinux_2_17_x86_64", "manylinux1_x86_64", "manylinux_2_18_x86_64"),
        ("x86_64", "2.36", "manylinux_2_36_x86_64", "manylinux2014_x86_64", "manylinux_2_4_x86_64"),
        ("aarch64", "2.28", "manylinux_2_28_aarch64", "manylinux2014_aarch64", "manylinux1_aarch64"),
    ],
)
def test_platforms_are_those_that_the_glibc_runs_the_newest_first(architecture, glibc, first, holds, lacks):
    found = kit_plan.platforms(architecture, glibc)
    assert found[0] == first and found[-1] == f"linux_{architecture}"
    assert holds in found and lacks not in found


def test_markers_are_judged_as_the_host_would():
    found = kit_plan.markers("2.7", "2.7.5", "x86_64")
    assert (found["python_version"], found["python_full_version"], found["sys_platform"]) == ("2.7", "2.7.5", "linux2")
    assert kit_plan.markers("3.11", "3.11.2", "aarch64")["sys_platform"] == "linux"


def test_a_kit_leads_the_variables_into_its_folder_and_asks_no_network():
    plans, problems = planned(whole())
    assert problems == []
    assert plans["nginx"]["cache"] == "/kit/nginx"
    assert plans["nginx"]["static"] and plans["nginx"]["build"]["host"] == "localhost"
    assert plans["uwsgi"]["settings"]["wheel_dir"] == "/kit/tools"
    assert plans["uwsgi"]["builder"]["cache"] == "/kit/uwsgi"
    assert plans["uwsgi"]["pip_env"]["PIP_NO_INDEX"] == "1" and "PIP_INDEX_URL" not in plans["uwsgi"]["pip_env"]
    assert plans["uwsgi"]["needs"] == [] and plans["uwsgi"]["python_packages"] == {}
    assert plans["uwsgi"]["pip_wheels"]["3.11"] == "3.11/pip-25.3-py3-none-any.whl"
    assert plans["publish"]["pip"]["env"] == {"PIP_NO_INDEX": True}


def test_a_kit_takes_the_place_of_an_index_and_of_what_asks_yum():
    el7 = {**HOST, "distribution": "CentOS", "version": "7", "os_family": "RedHat", "ansible": "2.16.1"}
    roles = {"el": {}, "uwsgi": {"uwsgi_pip_index_url": "http://index"}}
    plans, _problems = planned(kit(manifest=None, wrong=["-"]), "el", el7, **roles)
    assert plans["el"]["repositories"] == [] and plans["el"]["packages"] == []
    assert "PIP_INDEX_URL" not in plans["uwsgi"]["pip_env"]


def test_a_builder_of_the_inventory_is_known_from_the_kit():
    told = {"known": True, **manifest()["builders"]["builder"]}
    assert kit_plan.builder(kit(), "builder") == told
    assert kit_plan.builder(kit(manifest=None), "builder") == {"known": True} == kit_plan.builder(kit(), None)


def test_while_it_is_filled_only_what_is_built_leads_into_it():
    plans, problems = planned(kit(collecting=True, manifest=None, texts={}))
    assert problems == []
    assert plans["nginx"]["cache"] == "/kit/nginx" and plans["nginx"]["build"]["local"]
    assert plans["uwsgi"]["settings"]["wheel_dir"] == "" and "PIP_NO_INDEX" not in plans["uwsgi"]["pip_env"]
    assert plans["publish"]["kit"] == {} and not [one for one in plans["nginx"]["checks"] if one["kind"] == "kit"]


def test_a_named_builder_keeps_its_toolchain():
    variables = {"nginx": {"nginx_build_host": "builder"}, "uwsgi": {}}
    host = {**HOST, "builder": {"known": True, "distribution": "Debian", "version": "12", "os_family": "Debian"}}
    plans, _problems = planned(kit(collecting=True, manifest=None), host=host, **variables)
    assert not plans["nginx"]["static"]


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (
            lambda: kit(manifest=None, wrong=["there is no /kit/manifest.json"]),
            ["publish_kit: there is no /kit/manifest.json"],
        ),
        (
            lambda: kit(wrong=["/kit/a is missing", "/kit/b has the sha256 1 and should have 2"]),
            [
                "publish_kit: /kit/a is missing",
                "publish_kit: /kit/b has the sha256 1 and should have 2",
                "publish_kit: /kit lacks nginx {nginx}, which these variables ask for; it holds 1.30.6-0123456789ab",
            ],
        ),
        (kit, ["publish_kit: /kit lacks nginx {nginx}, which these variables ask for; it holds 1.30.6-0123456789ab"]),
        (
            lambda: whole(texts={"shop": "Flask<3"}),
            [
                "publish_apps[0].requirements: /kit lacks the wheels of shop, whose requirements it does not know as"
                " they are"
            ],
        ),
    ],
    ids=["no manifest", "wrong files", "another nginx", "other requirements"],
)
def test_what_the_kit_lacks_is_refused_with_the_command_that_mends_it(known, told):
    _plans, problems = planned(known())
    again = "; make it where there is a network: ansible-playbook graceful.wsgi.kit -i INVENTORY -e kit_dir=/kit"
    assert [str(problem) for problem in problems] == [text.format(nginx=wanted_nginx()) + again for text in told]


@pytest.mark.parametrize("collecting", [True, False])
@pytest.mark.parametrize(
    ("app", "where"),
    [({"repo": "https://git.test/shop.git"}, "in a repository"), ({"path": "/srv/shop"}, "on the host")],
)
def test_requirements_that_no_controller_reads_are_refused_and_a_list_is_taken(collecting, app, where):
    apps = [{"name": "shop", "module": "manage", "requirements": "r.txt", **app}]
    known = whole(collecting=collecting)
    _plans, problems = planned(known, publish={"publish_apps": apps, "publish_sites": SITES})
    (problem,) = problems
    assert str(problem).startswith(f"publish_apps[0].requirements: r.txt lies {where}, where no machine")
    # So does what a list includes.
    apps[0]["requirements"] = ["Flask", "-r base.txt"]
    (problem,) = planned(known, publish={"publish_apps": apps, "publish_sites": SITES})[1]
    assert str(problem).startswith(f"publish_apps[0].requirements: base.txt lies {where}, where no machine")
    apps[0]["requirements"] = ["Flask"]
    assert planned(known, publish={"publish_apps": apps, "publish_sites": SITES})[1] == []


@pytest.mark.parametrize(
    ("collecting", "builder", "refused"),
    [(True, "", False), (True, "localhost", False), (True, "builder7", True), (False, "", True)],
)
def test_a_kit_for_centos_7_takes_no_old_ansible_where_nothing_is_asked_of_such_a_host(collecting, builder, refused):
    el7 = {**HOST, "distribution": "CentOS", "version": "7", "os_family": "RedHat", "ansible": "2.19.4"}
    el7["uwsgi_builder"] = {"known": True}
    uwsgi = {"uwsgi_build_host": builder}
    problems = planned(kit(collecting=collecting, manifest=None), role="publish", host=el7, uwsgi=uwsgi)[1]
    assert ("ansible_version" in [problem.path for problem in problems]) is refused


def test_the_host_is_asked_what_only_it_knows():
    plans, _problems = planned(whole())
    (check,) = [one for one in plans["nginx"]["checks"] if one["kind"] == "kit"]
    assert not [one for one in plans["publish"]["checks"] if one["kind"] == "kit"]
    assert check["entries"] == [
        {"kind": KIND, "uwsgi": {"u": {"libraries": ["libz.so.1"], "packages": ["zlib1g"]}}, "requirements": [DIGEST]}
    ]
    assert check["apps"] == [
        {"variable": "publish_apps[0].requirements", "name": "shop", "digests": {"2.7": DIGEST, "3.11": DIGEST}}
    ]
    assert [text.split()[0] for text in check["others"]] == ["Centos", "Debian"]


def test_only_what_concerns_the_host_is_looked_at():
    told = manifest()
    assert kit_plan.relevant(told, HOST) == sorted(set(told["files"]) - {"tools/2.7/pip-20.3.4-py2.py3-none-any.whl"})
    assert kit_plan.relevant(told, {}) == sorted(told["files"])
    # Facts and modules spell it in two ways.
    el7 = {"distribution": "CentOS", "version": "7", "arch": "x86_64"}
    assert "tools/2.7/pip-20.3.4-py2.py3-none-any.whl" in kit_plan.relevant(told, el7)
    told["hosts"][1]["kind"]["distribution"] = "Oracle"
    oracle = {**el7, "distribution": "OracleLinux"}
    assert "tools/2.7/pip-20.3.4-py2.py3-none-any.whl" in kit_plan.relevant(told, oracle)
    assert "tools/2.7/pip-20.3.4-py2.py3-none-any.whl" not in kit_plan.relevant(told, el7)


def test_virtualenvs_are_filled_from_the_wheels_for_the_hosts_python():
    uwsgi = {"python": "3.11", "abi": "cp311", "interpreter": "/usr/bin/python3.11"}
    values = {"publish_apps": [{"name": "shop", "requirements": "r.txt"}, {"name": "plain", "requirements": None}]}
    found = kit_plan.wheels(values, {**HOST, "kit": kit(), "uwsgi": uwsgi}, no_limits)
    paths = ["tools/3.11/pip-25.3-py3-none-any.whl", "wheels/flask.whl"]
    sums = {path: f"sum of {path}" for path in paths}
    assert found == model.KitWheels(folder="/kit", apps={"shop": paths}, files=sums)
    other = {**uwsgi, "abi": "cp311d"}
    assert kit_plan.wheels(values, {**HOST, "kit": kit(), "uwsgi": other}, no_limits).apps == {}
    for host in (HOST, {**HOST, "kit": kit(collecting=True)}):
        assert kit_plan.wheels(values, host, no_limits) is None


def no_limits(_python):
    return {"bounds": [], "constraints": []}


def test_requirements_are_named_with_the_constraints_of_each_python():
    """What pip keeps to is a part of what was collected: wheels for other bounds are not the ones that it wants."""

    def limits(python):
        return {"bounds": ["Flask<2"] if python == "2.7" else [], "constraints": []}

    found = kit_plan.digests(kit(), "shop", limits)
    assert found == {"3.11": DIGEST, "2.7": kit_plan.digest("Flask", ["Flask<2"])}
    assert kit_plan.digests(kit(texts={"shop": None}), "shop", limits) == {}
    pinned = kit_plan.digests(kit(texts={"shop": "Flask==1.1.4"}), "shop", limits)
    assert pinned["2.7"] == pinned["3.11"]
