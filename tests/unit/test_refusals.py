"""The main job refuses bad input as a whole: every role's problems in one message, before the host is touched."""

import json
import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
APPS = [
    {"name": "shop", "source": "{{ playbook_dir }}", "module": "manage", "options": {"daemonize": "/x.log"}},
    {"name": "../shop", "path": "/srv/shop", "module": "manage"},
]
SITES = [{"locations": [{"path": "/", "app": "shp"}]}]


def refused(folder, variables):
    """What the main job says to these variables on this machine, having failed without a change."""
    file = folder / "variables.json"
    file.write_text(json.dumps(variables))
    # Check mode, so that a plan that let this pass would not build nginx on the machine that runs the tests.
    command = [sys.executable, "-m", "ansible", "playbook", "--check", "--inventory=localhost,", "--connection=local"]
    for more in (f"@{file}", "ansible_become=false", f"ansible_python_interpreter={sys.executable}"):
        command.append(f"--extra-vars={more}")
    environment = dict(os.environ, ANSIBLE_CALLBACK_RESULT_FORMAT="yaml", ANSIBLE_NOCOLOR="1")
    ran = subprocess.run(
        [*command, "playbooks/site.yml"], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )
    said = ran.stdout + ran.stderr
    assert ran.returncode == 2, said
    assert "changed=0" in ran.stdout, said
    assert "nothing on the host was changed" in said, said
    return said


def test_problems_of_all_roles_come_in_one_message(tmp_path):
    apps = [dict(APPS[0], processes="many"), APPS[1]]
    said = refused(tmp_path, {"nginx_version": "1.2.3", "uwsgi_version": "2.0.27", "publish_apps": apps})
    for path in ("nginx_version", "uwsgi_version", "publish_apps[0].processes"):
        assert f"- {path}" in said, said


def test_every_problem_of_a_role_is_named(tmp_path):
    said = refused(tmp_path, {"publish_apps": APPS, "publish_sites": SITES})
    for path in ("publish_apps[0].options.daemonize", "publish_apps[1].name", "publish_sites[0].locations[0].app"):
        assert f"- {path}" in said, said


def test_a_requirements_file_on_the_controller_is_looked_into(tmp_path):
    whoami = {"name": "whoami", "source": str(CHECKOUT / "tests/apps/whoami"), "module": "manage"}
    said = refused(tmp_path, {"publish_apps": [dict(whoami, requirements="requirements.txt", websocket=True)]})
    assert "- publish_apps[0].requirements" in said and "add gevent" in said, said


def test_a_wrong_type_of_the_first_role_is_refused_by_the_plan_and_not_by_ansible(tmp_path):
    said = refused(tmp_path, {"nginx_worker_connections": "many", "publish_apps": [{"name": "../shop"}]})
    assert "- nginx_worker_connections: 'many' is not a whole number; write a whole number" in said
    assert "- publish_apps[0].name" in said and "argument_spec_data" not in said
