"""What planners are given in tests, and what they return, as tasks get it."""

from pathlib import Path

import yaml

from ansible_collections.graceful.wsgi.plugins.plugin_utils import maintenance_plan, model, uwsgi_options
from ansible_collections.graceful.wsgi.plugins.plugin_utils import plan as planning

ROLES = Path(__file__).resolve().parents[2] / "roles"
# The options of each role that plans.
SPECS = {
    role: yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]["variables"][
        "options"
    ]
    for role in planning.PLANNERS
}
UWSGI = {
    "home": "/opt/uwsgi/2.0.31-python3.11",
    "binary": "/opt/uwsgi/2.0.31-python3.11/bin/uwsgi",
    "version": "2.0.31",
    "python": "3.11",
    "abi": "cp311",
    "interpreter": "/usr/bin/python3.11",
    "venv_command": ["/usr/bin/python3.11", "-m", "venv"],
    "pip": "pip",
    "options": sorted(uwsgi_options.OPTIONS),
    # Of a Python that applications name.
    "homes": {
        "python2.7": {
            "home": "/opt/uwsgi/2.0.31-python2.7",
            "binary": "/opt/uwsgi/2.0.31-python2.7/bin/uwsgi",
            "python": "2.7",
            "abi": "cp27mu",
            "interpreter": "/usr/bin/python2.7",
            "venv_command": ["/usr/bin/python2.7", "/opt/virtualenv.py", "--no-download"],
            "options": [],
        },
    },
}
UPSTREAM = [{"address": "127.0.0.2", "weight": 3}, {"address": "127.0.0.3"}]
BUILDER = {
    "home": "/root/.cache/graceful-wsgi/x",
    "cache": "/root/.cache/graceful-wsgi/artifacts",
    "old": ["1.0.1-0123456789ab"],
}
DEBIAN = {
    "os_family": "Debian",
    "distribution": "Debian",
    "version": "12",
    "arch": "x86_64",
    "systemd": 252,
    "selinux": False,
    "python": "3.11",
    "uwsgi": UWSGI,
    "ansible": "2.19.11",
    "groups": {"": ["backends"], "backends": UPSTREAM},
    "constraints": {"2.7": "flask<2\n"},
    "builder": BUILDER,
    "uwsgi_builder": {**BUILDER, "kept": [], "headers": ["python3-dev.deb"]},
    # The page that a documented recipe names.
    "pages": {"shop": maintenance_plan.Page('<h1>Back at "five"</h1>\nIt costs $5.\n')},
}
CENTOS7 = {
    **DEBIAN,
    "os_family": "RedHat",
    "distribution": "CentOS",
    "version": "7",
    "systemd": 219,
    "selinux": True,
    "python": "2.7",
    "ansible": "2.16.14",
    "uwsgi": {**UWSGI, "python": "2.7"},
}


def plain(answer):
    """(plan or plans, problems) of a planner; an empty mapping where it has no plan."""
    planned, problems = answer
    return model.plain(planned) or {}, problems
