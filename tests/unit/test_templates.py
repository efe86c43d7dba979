"""A user's template in the place of a role's, rendered by Ansible itself; tests/unit/golden has the roles' own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
ANSIBLE = [sys.executable, "-m", "ansible", "playbook", "--inventory=localhost,", "--connection=local"]
TREE = [["listen", "80", None], ["location", "/", [["return", "204", None]]]]
VARIABLES = {
    "site": {"http": [["map", "$a $b", [["default", "1", None]]]], "server": ["server", "", TREE]},
    "http": [["upstream", "shop", [["server", "unix:/run/shop", None]]]],
    "app": {"options": [["master", "true"], ["env", "A=<1>"]], "service": [["User", "wsgi"]]},
    "document": {"uwsgi": {"master": "true", "env": "A=<1>"}},
    "elements": [["master", "true"], ["env", "<![CDATA[A=<1>]]>"]],
    "tree": [["user", "nginx", None], ["http", "", TREE]],
}
SITE = "map $a $b {\n    default 1;\n}\nserver {\n    listen 80;\n    location / {\n        return 204;\n    }\n%s}\n"


@pytest.fixture
def render(tmp_path):
    """A function that gives what a template of a role makes; ``own`` is what the user's template holds."""

    def rendered(role, template, own=None):
        if own is not None:
            (tmp_path / "templates").mkdir()
            (tmp_path / "templates/mine.j2").write_text(own)
        # A role's templates are found from within the role, the user's beside the play.
        inside = tmp_path / "roles/one"
        (inside / "tasks").mkdir(parents=True)
        (inside / "templates").symlink_to(CHECKOUT / "roles" / role / "templates")
        wanted = "mine.j2" if own is not None else template
        task = {"ansible.builtin.template": {"src": wanted, "dest": str(tmp_path / "out")}, "vars": VARIABLES}
        (inside / "tasks/main.yml").write_text(json.dumps([task]))
        play = tmp_path / "play.yml"
        play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "roles": ["one"]}]))
        ran = subprocess.run(
            [*ANSIBLE, f"--extra-vars=ansible_python_interpreter={sys.executable}", str(play)],
            env=dict(os.environ, ANSIBLE_CONFIG=str(CHECKOUT / "ansible.cfg"), ANSIBLE_NOCOLOR="1"),
            check=False,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        lines = (tmp_path / "out").read_text().splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith(("#", "<!--")) and line.strip())

    return rendered


@pytest.mark.parametrize(
    ("role", "template", "own", "expected"),
    [
        (
            "publish",
            "site.conf.j2",
            "{% extends 'site.conf.j2' %}{% block more %}    deny all;\n{% endblock %}",
            SITE % "    deny all;\n",
        ),
        (
            "publish",
            "site.conf.j2",
            "{% extends 'site.conf.j2' %}{% block before %}limit_req_zone x;\n{% endblock %}",
            "limit_req_zone x;\n" + SITE % "",
        ),
        ("publish", "site.conf.j2", "whole {{ site.server.2 | length }};\n", "whole 2;\n"),
        (
            "publish",
            "app.ini.j2",
            "{% extends 'app.ini.j2' %}{% block more %}\nhttp = :{{ 8000 + 80 }}\n{% endblock %}",
            "[uwsgi]\nmaster = true\nenv = A=<1>\nhttp = :8080\n",
        ),
        (
            "publish",
            "instance.conf.j2",
            "{% extends 'instance.conf.j2' %}{% block more %}Nice=5\n{% endblock %}",
            "[Service]\nUser=wsgi\nNice=5\n",
        ),
        (
            "nginx",
            "nginx.conf.j2",
            "{% extends 'nginx.conf.j2' %}{% block directives %}load_module a.so;\n{{ super() }}{% endblock %}",
            "load_module a.so;\nuser nginx;\nhttp {\n    listen 80;\n    location / {\n        return 204;\n    }\n}\n",
        ),
    ],
)
def test_with_a_users_own_in_its_place(render, role, template, own, expected):
    assert render(role, template, own) == expected
