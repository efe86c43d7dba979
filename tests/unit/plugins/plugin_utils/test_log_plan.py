"""Where logs may lie, what the host is asked of them, and who rotates them."""

from pathlib import Path

import pytest
import yaml
from plans import plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import publish_plan, spec, uwsgi_plan

ROLES = Path(__file__).resolve().parents[4] / "roles"
SPECS = {
    role: yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]["variables"][
        "options"
    ]
    for role in ("nginx", "uwsgi", "publish")
}


def attempt(log="system", sites=(), **more):
    given = {"name": "shop", "source": "apps/shop", "module": "manage", "log": log, **more}
    apps = [{key: value for key, value in given.items() if value is not None}]
    values = spec.check({"publish_apps": apps, "publish_sites": list(sites)}, SPECS["publish"], [])
    roles = {role: spec.check({}, SPECS[role], []) for role in ("nginx", "uwsgi")}
    return plain(publish_plan.plan(values, {"uwsgi": {"options": []}}, roles))


def planned(log="system", sites=(), **more):
    plan, problems = attempt(log, sites, **more)
    assert not problems, [str(problem) for problem in problems]
    return plan


def rotated(plan):
    return plan["app_bundle"]["files"][-1]["vars"]["logs"]


@pytest.mark.parametrize(
    ("log", "why"),
    [
        ("/tmp/x.log", "PrivateTmp"),
        ("/var/tmp/a/b/x.log", "PrivateTmp"),
        ("/var/log/../tmp/x.log", "PrivateTmp"),
        ("/dev/null", "write journal"),
        ("/proc/self/fd/1", "write journal"),
        ("/etc/x.log", "/etc itself"),
        ("/run/x.log", "/run itself"),
        ("/usr/local/x.log", "/usr/local itself"),
        ("/root/x.log", "/root itself"),
        ("/var/log/nginx/x.log", "nginx's own rotation"),
        ("/srv/wsgi/shop/current/x.log", "the next deploy leaves"),
        ("/srv/wsgi/shop/releases/a/x.log", "the next deploy leaves"),
        ("/opt/shop/", "names a folder"),
        ("/", "names a folder"),
    ],
)
def test_log_that_no_host_can_have_is_refused_with_the_cure(log, why):
    _plan, problems = attempt(log)
    assert [problem.path for problem in problems] == ["publish_apps[0].log"]
    assert why in str(problems[0])


@pytest.mark.parametrize(
    "log", ["/var/log/shop.log", "/srv/shop.log", "/var/log/uwsgi/shop.log", "/srv/wsgi/shop/a.log"]
)
def test_log_in_a_shared_folder_is_one_file_that_root_makes_and_rotates(log):
    plan = planned(log)
    folder = log.rpartition("/")[0]
    assert [
        item for item in plan["app_bundle"]["directories"] if item["path"] == folder and item["owner"] != "root"
    ] == []
    assert [check["by_root"] for check in plan["checks"] if check["kind"] == "log"] == [True]
    assert [line.split()[:2] for line in rotated(plan)[0]["directives"]] == [["create", "0640"]]


def test_log_in_a_folder_of_its_own_is_asked_about_and_rotated_as_its_account():
    plan = planned("/home/ann/logs/x.log", user="ann", instances=2)
    asked = [check for check in plan["checks"] if check["kind"] == "log"]
    assert [check["path"] for check in asked] == ["/home/ann/logs/x-1.log", "/home/ann/logs/x-2.log"]
    assert {(check["variable"], check["user"], check["by_root"]) for check in asked} == {
        ("publish_apps[0].log", "ann", False)
    }
    made = [item for item in plan["app_bundle"]["directories"] if item["path"] == "/home/ann/logs"]
    assert made == [{"path": "/home/ann/logs", "owner": "ann", "group": "ann", "mode": "0755", "force": False}]
    assert [log["directives"] for log in rotated(plan)] == [["su ann ann"]] * 2


@pytest.mark.parametrize("log", ["system", "project", "journal"])
def test_log_in_a_folder_of_the_application_may_be_there_as_anothers(log):
    asked = planned(log)["checks"]
    assert [check["kind"] for check in asked].count("root_only") == 3
    logs = [(check["variable"], check["by_root"]) for check in asked if check["kind"] == "log"]
    assert logs == ([] if log == "journal" else [("publish_apps[0].log", False)])


def test_rotation_opens_nothing_and_the_master_has_bound_its_signal():
    plan = planned()
    assert "systemctl kill --kill-who=main --signal=URG uwsgi@shop.service" in rotated(plan)[0]["postrotate"]
    assert "fifo" not in rotated(plan)[0]["postrotate"]
    assert ["hook-master-start", "unix_signal:23 uwsgi_log_reopen"] in plan["instances"][0]["options"]
    assert "hook-master-start" not in dict(planned("journal")["instances"][0]["options"])


def test_every_log_of_a_site_that_nginx_opens_is_asked_about():
    site = {
        "server_name": ["a.test"],
        "access_log": "/a/access.log main",
        "error_log": "/b/error.log warn",
        "options": {"access_log": ["/c/1.log", "/c/2.log main"], "location /x": {"error_log": "/d/x.log"}},
        "locations": [{"path": "/", "app": "shop", "options": {"access_log": "/e/e.log", "expires": "/f"}}],
    }
    asked = [
        (check["variable"], check["path"]) for check in planned(sites=[site])["checks"] if check["kind"] == "site_log"
    ]
    assert asked == [
        ("publish_sites[0].access_log", "/a/access.log"),
        ("publish_sites[0].error_log", "/b/error.log"),
        ("publish_sites[0].options.access_log", "/c/1.log"),
        ("publish_sites[0].options.access_log", "/c/2.log"),
        ("publish_sites[0].options.location /x.error_log", "/d/x.log"),
        ("publish_sites[0].locations[0].options.access_log", "/e/e.log"),
    ]


def test_folder_of_site_logs_is_only_made_and_a_device_is_not_rotated():
    site = {"server_name": ["a.test"], "access_log": "/a/access.log", "error_log": "/dev/stderr"}
    bundle = planned(sites=[site])["site_bundle"]
    made = [(item["path"], item["owner"], item["force"]) for item in bundle["directories"]]
    assert ("/a", "root", False) in made and not any(path.startswith("/dev") for path, _owner, _force in made)
    assert [log["path"] for log in bundle["files"][-1]["vars"]["logs"]] == ["/a/access.log"]


@pytest.mark.parametrize("folder", ["/var/log", "/tmp", "/srv", "/etc"])
def test_shared_folder_is_not_made_uwsgis_log_folder(folder):
    values = spec.check({"uwsgi_log_dir": folder}, SPECS["uwsgi"], [])
    _plan, problems = plain(uwsgi_plan.plan(values, {}))
    assert [problem.path for problem in problems] == ["uwsgi_log_dir"]
