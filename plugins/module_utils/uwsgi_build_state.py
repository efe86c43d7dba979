# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which uWSGI is installed, whether its binary is the wanted one, and what a build lacks."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible.module_utils.common.sys_info import get_distribution, get_distribution_version

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    accounts,
    host_checks,
    uwsgi_build,
    uwsgi_home,
    uwsgi_homes,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.build_account import run_built
from ansible_collections.graceful.wsgi.plugins.module_utils.elf import glibc
from ansible_collections.graceful.wsgi.plugins.module_utils.manifests import verified_digest
from ansible_collections.graceful.wsgi.plugins.module_utils.nginx_artifact import ArtifactError

SPEC = {
    "version": {"type": "str", "required": True},
    "python": {"type": "str", "default": ""},
    "pythons": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "python": {"type": "str", "required": True},
            "variable": {"type": "str", "required": True},
        },
    },
    "root": {"type": "path", "required": True},
    "keep_homes": {"type": "int", "default": 0},
    "conf_dir": {"type": "path", "default": "/etc/uwsgi"},
    "home": {"type": "path"},
    "features": {
        "type": "list",
        "elements": "str",
        "default": [],
        "choices": sorted(uwsgi_home.FEATURES),
    },
    "build": {"type": "dict", "default": {}},
    "needs": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "package": {"type": "str", "required": True},
            "files": {"type": "list", "elements": "path", "required": True},
        },
    },
    "python_packages": {"type": "dict", "default": {}},
    "virtualenv": {"type": "path"},
    "virtualenv_wheel": {"type": "bool", "default": False},
    "pip_wheels": {"type": "list", "elements": "str", "default": []},
    "wheels": {"type": "dict", "default": {}},
    "like": {"type": "dict", "default": {}},
    "builder": {"type": "str", "default": ""},
    "brought": {"type": "bool", "default": False},
    "wheel_folder": {"type": "path"},
    "glibc": {"type": "str", "default": ""},
    "user": {"type": "str"},
    "group": {"type": "str"},
    "build_user": {"type": "str", "default": ""},
    "bundles": {"type": "list", "elements": "str", "default": []},
}


def system():
    """The distribution and its release, as Ansible's facts have them."""
    return get_distribution(), get_distribution_version()


def look(module, wanted):
    """What uwsgi_build_info returns; ``wanted``: its options. Ends the module where the host cannot take them."""

    def run(command):
        return module.run_command(command, environ_update={"LC_ALL": "C"}, cwd="/")

    def run_binary(command):
        return run_built(command, wanted["build_user"], module.run_command)

    def look_at(wanted):
        return uwsgi_build.Look(wanted, system(), run, run_binary, module.get_bin_path)

    try:
        if wanted["wheel_folder"]:
            return uwsgi_build.of_wheel(wanted)
        found = look_at(wanted)
        homes, further = uwsgi_build.look_further(found, wanted, wanted["pythons"], look_at)
    except (uwsgi_home.HomeError, ArtifactError) as error:
        module.fail_json(msg=str(error))
    problems = [host_checks.Problem(*told) for one in [found] + further for told in one.problems]
    host_checks.refuse_these(module, problems, "the role uwsgi has changed nothing on it")
    stay = [one.chosen["home"] for one in [found] + further]
    return dict(
        found.told(),
        wanted_homes=stay,
        old_homes=uwsgi_homes.beyond(wanted["root"], wanted["keep_homes"], stay, wanted["conf_dir"]),
        glibc=glibc(),
        account=accounts.there(wanted["user"], wanted["group"]),
        bundles=dict((name, verified_digest(name)) for name in wanted["bundles"]),
        homes=homes,
        further=[dict(other.told(), glibc=glibc()) for other in further]
    )
