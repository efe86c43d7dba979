"""Every value that the plan hands to a module passes that module's argument spec, and every key of the plan is read.

The plans are those of all variables that the tests and the documentation hold: the scenarios' inventories, the recipes
of README.md and docs, the rows of test_generated_nginx.py, and here an application and a site that state all there is
to state.
"""

import copy
import importlib.util
import re
from pathlib import Path
from unittest import mock

import contract
import pytest
from ansible.template import Templar
from documents import DOCUMENTS
from plans import BUILDER, CENTOS7, DEBIAN, SPECS, UWSGI, plain

from ansible_collections.graceful.wsgi.plugins.module_utils import host_checks, uwsgi_home
from ansible_collections.graceful.wsgi.plugins.plugin_utils import kit_plan, model
from ansible_collections.graceful.wsgi.plugins.plugin_utils import plan as planning

ROOT = Path(__file__).resolve().parents[2]
WHEEL = {
    "file": "uwsgi-2.0.31-cp311-cp311-linux_x86_64.whl",
    "glibc": "2.36",
    "libraries": ["libssl.so.3"],
    "paths": [],
    "features": ["ssl"],
    "broken": "",
}
WHEELS = {"files": [WHEEL["file"], "pip-25.whl"], "wheels": [WHEEL]}
HOSTS = {"Debian": DEBIAN, "CentOS 7": CENTOS7}
# What the tests of the plan know no case of: all that an application, a site and an upstream can state. An option that
# is true or false, a number or one of a few words need not be added here, see with_the_rest().
EVERYTHING = {
    "publish_apps": [
        {
            "name": "all",
            "source": "apps/all",
            "template": "mine.ini.j2",
            "exclude": ["*.pyc"],
            "module": "manage",
            "wsgi_file": "manage.py",
            "callable": "application",
            "pythonpath": ["lib"],
            "chdir": "lib",
            "protocol": "http",
            "socket": "127.0.0.1:9001",
            "socket_clients": ["127.0.0.1"],
            "processes": 2,
            "threads": 2,
            "user": "someone",
            "group": "some",
            "python": "python2.7",
            "requirements": ["flask"],
            "env": {"TOKEN": "100% secret"},
            "secrets": {"KEY": "50% secret"},
            "secrets_file": "/etc/all/secrets",
            "shared": ["media/"],
            "workers": [{"name": "jobs", "command": "python -m jobs {number}"}],
            "timers": [{"name": "tick", "command": "true", "schedule": "Mon..Fri 03:30"}],
            "log": "project",
            "log_requests": True,
            "config_format": "ini",
            "probe": {"path": "/up?x=1", "host": "a.test", "status": [200, 204], "text": "up"},
            "maintenance": {"retry_after": 60, "allow": ["127.0.0.1"]},
            "options": {"harakiri": 30, "route": ["^/a break:404"]},
            "service_options": {"LimitNOFILE": 4321, "ExecStartPre": ["/bin/true", "/bin/true"]},
        },
        {
            "name": "sockets",
            "repo": "https://user:secret@git.test/sockets.git",
            "version": "main",
            "module": "chat",
            "websocket": True,
            "websocket_mercy": 5,
            "instances": 2,
            "affinity": "cookie",
            "gevent": 10,
            "requirements": ["gevent"],
            "config_format": "json",
        },
        {"name": "there", "path": "/srv/there", "virtualenv": "/srv/venv", "wsgi_file": "x.py", "config_format": "xml"},
        {"name": "packed", "archive": "packed.tar.gz", "module": "a:b", "config_format": "yaml", "probe": False},
    ],
    "publish_sites": [
        {
            "name": "all",
            "template": "mine.conf.j2",
            "server_name": ["a.test"],
            "aliases": ["b.test"],
            "listen": ["80", "127.0.0.1:8080"],
            "default_server": True,
            "ipv6": True,
            "http2": True,
            "tls": {
                "certificate": "/etc/ssl/c.pem",
                "key": "/etc/ssl/k.pem",
                "listen": ["443"],
                "redirect": True,
                "hsts": 60,
                "protocols": ["TLSv1.3"],
                "ciphers": "HIGH",
            },
            "headers": {"X-One": "1"},
            "security_headers": True,
            "client_max_body_size": "1m",
            "gzip": True,
            "real_ip": {"from": ["10.0.0.0/8"], "header": "X-Real-IP"},
            "allow": ["10.0.0.0/8"],
            "deny": ["10.1.0.0/16"],
            "deny_uri": [r"\.php$"],
            "limit_requests": {
                "rate": "5r/s",
                "burst": 5,
                "nodelay": False,
                "key": "address",
                "zone_size": "1m",
                "status": 503,
            },
            "limit_connections": 9,
            "access_log": "/var/log/all/access.log",
            "error_log": "/var/log/all/error.log",
            "options": {"large_client_header_buffers": "4 32k"},
            "locations": [
                {
                    "path": "/",
                    "app": "all",
                    "expires": "1h",
                    "timeout": "9s",
                    "client_max_body_size": "2m",
                    "headers": {"X-Two": "2"},
                    "allow": ["all"],
                    "deny": ["10.2.0.0/16"],
                    "deny_uri": ["x"],
                    "limit_requests": {
                        "rate": "9r/s",
                        "burst": 1,
                        "nodelay": True,
                        "key": "header X-Key",
                        "zone_size": "2m",
                        "status": 429,
                    },
                    "limit_connections": 2,
                    "options": {"proxy_buffering": False, "include": ["/etc/nginx/snippets/*.conf"]},
                },
                {"path": "/chat/", "app": "sockets", "mount": True, "slash": "serve"},
                {"path": "/there/", "app": "there", "uwsgi_chdir": True, "uwsgi_script": True},
                {"path": "/ws/", "proxy_pass": "http://127.0.0.1:8881", "websocket": True, "strip_prefix": True},
                {"path": "/up/", "upstream": "pool"},
                {"path": "/static/", "static": "static", "app": "there"},
                {"path": "/files/", "static": "/srv/files", "internal": True},
                {"path": "/old/", "redirect": "/new/", "redirect_status": 302},
                {"path": "= /ok", "return": "204"},
            ],
        },
        {"server_name": ["moved.test"], "redirect": "https://a.test/", "redirect_status": 308},
        {"server_name": ["packed.test"], "locations": [{"path": "/", "app": "packed"}]},
    ],
    "publish_upstreams": [
        {
            "name": "pool",
            "servers": [
                {"address": "127.0.0.1:1", "weight": 2, "max_fails": 2, "fail_timeout": "5s"},
                {"address": "127.0.0.1:2", "backup": True},
                {"address": "127.0.0.1:3", "down": True},
            ],
            "balance": "least_conn",
            "keepalive": 2,
            "protocol": "http",
        },
        {"name": "group", "group": "backends", "port": 7000},
    ],
    "publish_instance_template": "mine.service.j2",
    "publish_prune_data": True,
    "publish_maintenance_app": "all",
    "publish_maintenance_state": "on",
}


def sample(option):
    """A value of an option that is another than its default, where the argument spec itself says one; else None."""
    default = option.get("default")
    if option.get("type") == "bool":
        return not default
    if option.get("type") == "int":
        return (default or 0) + 1
    return next((choice for choice in option.get("choices") or [] if choice != default), None)


def with_the_rest(items, options):
    """The items, the first of which states in addition what none of them does, as far as sample() knows a value."""
    items, rest = copy.deepcopy(items), {}
    for name, option in options.items():
        told = [item[name] for item in items if name in item]
        if option.get("options") and told:
            first = next(item for item in items if name in item)
            inner = [one for value in told for one in (value if isinstance(value, list) else [value])]
            if all(isinstance(one, dict) for one in inner):
                inner = with_the_rest(inner, option["options"])
                first[name] = inner[: len(first[name])] if isinstance(first[name], list) else inner[0]
        elif not told and sample(option) is not None:
            rest[name] = sample(option)
    return [{**items[0], **rest}, *items[1:]]


EVERYTHING.update(
    (name, with_the_rest(EVERYTHING[name], option["options"]))
    for name, option in SPECS["publish"].items()
    if option.get("options")
)
CUSTOM = {"uwsgi_build_env": {"UWSGI_PROFILE": "mine"}, "uwsgi_features": ["routing", "json", "xml", "yaml"]}
KNOWN_TO_219 = {
    "publish_apps": [
        {key: value for key, value in app.items() if key != "socket_clients"} for app in EVERYTHING["publish_apps"]
    ],
    "el_firewalld_zone": "public",
    "el_firewalld_ports": ["8080/tcp"],
    "el_python": "rh-python38",
}
PLAIN = {
    "publish_apps": [{"name": "shop", "source": "apps/shop", "module": "manage"}],
    "publish_sites": [{"server_name": ["a.test"], "locations": [{"path": "/", "app": "shop"}]}],
}
OWN_TEMPLATES = {
    # Those that the roles' READMEs show.
    "mine.ini.j2": model.TEMPLATE_EXAMPLES["publish"],
    "mine.nginx.j2": model.TEMPLATE_EXAMPLES["nginx"],
    "mine.unit.j2": model.TEMPLATE_EXAMPLES["uwsgi"],
    "mine.conf.j2": "{% extends 'site.conf.j2' %}",
    "mine.service.j2": "{% extends 'instance.conf.j2' %}",
}
# What the other roles' plans have beside their plainest.
ROLES = {
    "nginx built by zig on the controller": {
        "nginx_version": "1.26.3",
        "nginx_build_toolchain": "zig",
        "nginx_build_host": "localhost",
        "nginx_http_proxy": "http://proxy.test:3128",
        "nginx_ca_bundle": "/etc/ssl/ca.pem",
        "nginx_verify_signature": True,
        "nginx_signing_keys": ["keys/one.asc"],
    },
    "nginx by a template of a user's own": {"nginx_conf_template": "mine.nginx.j2"},
    "uwsgi by a template of a user's own": {"uwsgi_unit_template": "mine.unit.j2"},
    "nginx built on a host of which nothing is known yet": {"nginx_build_host": "builder.test"},
    "uwsgi built by zig elsewhere": {
        "uwsgi_build_toolchain": "zig",
        "uwsgi_headers_dir": "headers",
        "uwsgi_build_host": "builder.test",
        "uwsgi_build_env": {"A": "1"},
        "uwsgi_pip_extra_args": ["--verbose"],
        "uwsgi_pip_index_url": "https://index.test/simple",
        "uwsgi_pip_ca_bundle": "/etc/ssl/ca.pem",
    },
    "uwsgi built by zig on the controller": {
        "uwsgi_build_toolchain": "zig",
        "uwsgi_headers_dir": "headers",
        "uwsgi_build_host": "localhost",
    },
    "uwsgi built by zig without its headers": {"uwsgi_build_toolchain": "zig", "uwsgi_headers_dir": "nowhere"},
    "uwsgi out of a folder of wheels": {"uwsgi_wheel_dir": "wheels", "uwsgi_pip_no_index": True},
}
KIND = {
    "distribution": "Debian",
    "major": "12",
    "architecture": "x86_64",
    **{name: UWSGI[name] for name in ("python", "abi", "interpreter")},
}
KIT_HOST = {
    "kind": KIND,
    "glibc": "2.36",
    "python": {"version": "3.11", "full_version": "3.11.2", "executable": "/usr/bin/python3.11"},
}
KITTED = {"publish_apps": [{"name": "shop", "source": "apps/shop", "module": "manage", "requirements": ["flask"]}]}
REMOVALS = {
    "an application": {"remove_apps": ["shop"], "remove_data": True},
    "a set": {"remove_set": "main"},
    "all": {"remove_all": True},
    "nothing": {},
}


def templated(variables):
    """An inventory's variables as far as they are known without its hosts."""
    known = {"inventory_dir": "/inventory", "playbook_dir": "/play"}
    known |= {"vault_shop_database_url": "secret", "vault_shop_key": "secret"}
    templar = Templar(loader=contract.LOADER, variables={**known, **variables})
    return {
        name: templar.template(value)
        for name, value in variables.items()
        if name.partition("_")[0] in SPECS and name in SPECS[name.partition("_")[0]]
    }


def inventories():
    for folder in sorted((ROOT / "molecule").glob("*/inventory")):
        variables = {}
        for file in sorted(folder.rglob("*.yml")):
            if file.parent.name in ("group_vars", "host_vars"):
                variables.update(contract.LOADER.load_from_file(str(file), trusted_as_template=True))
        yield f"molecule/{folder.parent.name}", variables
    demo = contract.LOADER.load_from_file(str(ROOT / "playbooks/demo/inventory.yml"), trusted_as_template=True)
    yield "playbooks/demo", demo["all"]["children"]["demo"]["vars"]


def recipes():
    """The variables in the documentation, each with what it leaves to the reader."""
    for file in DOCUMENTS:
        text = file.read_text()
        for block in re.finditer(r"^( *)```yaml\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE):
            lines = re.sub(f"^{block[1]}", "", block[2], flags=re.MULTILINE)
            found = contract.LOADER.load(trusted(lines))
            if isinstance(found, dict):
                variables = found["all"]["vars"] if "all" in found else found
                if any(name.partition("_")[0] in SPECS for name in variables):
                    line = text[: block.start()].count("\n") + 1
                    yield f"{file.relative_to(ROOT)}:{line}", completed(variables)


def trusted(text):
    return contract.trust_as_template(text)


def completed(variables):
    """A recipe with an application's code and what its sites lead to, where it says nothing of them."""
    variables = copy.deepcopy(variables)
    apps = variables.get("publish_apps") or []
    for app in apps:
        if not any(key in app for key in ("source", "archive", "repo", "path")):
            app["source"] = "x"
        if "module" not in app and "wsgi_file" not in app:
            app["module"] = "manage"
    for site in variables.get("publish_sites") or []:
        for location in site.get("locations") or []:
            if location.get("app") and location["app"] not in [app["name"] for app in apps]:
                apps.append({"name": location["app"], "source": "x", "module": "manage"})
    return {**variables, **({"publish_apps": apps} if apps else {})}


def rows():
    """The cases of the test of generated configurations."""
    spec = importlib.util.spec_from_file_location("rows", Path(__file__).with_name("test_generated_nginx.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {f"test_generated_nginx: {name}": values for name, values in module.GIVEN.items()}


def kit():
    """What is known of a kit that holds all that KITTED needs on DEBIAN."""
    wheel = {"libraries": ["libz.so.1"], "packages": ["zlib1g"], "files": ["uwsgi/u/uwsgi.whl"]}
    held = {"apps": ["shop"], "files": ["wheels/flask.whl"]}
    entry = {
        "kind": KIND,
        "glibc": "2.36",
        "tools": ["tools/3.11/pip-25-py3-none-any.whl"],
        "uwsgi": {"u": wheel},
        "requirements": {kit_plan.digest("flask", []): held},
    }
    files = ["nginx/n/nginx", *entry["tools"], *wheel["files"], *held["files"]]
    manifest = {
        "format": 1,
        "files": dict.fromkeys(files, "0" * 64),
        "builders": {},
        "nginx": {},
        "hosts": [entry],
    }
    known = {"folder": "/kit", "collecting": False, "manifest": manifest, "wrong": [], "texts": {"shop": "flask"}}
    roles = {**dict.fromkeys(planning.PLANNERS), "nginx": {}}
    wanted = plain(planning.plan(SPECS, roles, {**DEBIAN, "role": "nginx", "kit": known}))[0]["nginx"]["id"]
    manifest["nginx"] = {wanted: {"architecture": "x86_64", "files": ["nginx/n/nginx"]}}
    return known


# A host behind balancers, and the group that those lead to.
FLEET = {
    "fleet": {"name": "web1", "address": "192.0.2.1", "balancers": ["lb1"], "groups": ["balancers", "web"]},
    "groups": {"": ["balancers", "web"], "web": DEBIAN["groups"]["backends"]},
}


def inputs():
    """(name, variables, host) of all that is planned."""
    for name, variables in [*inventories(), *recipes()]:
        el = "centos7" in name or any(known.startswith("el_") for known in variables)
        host = CENTOS7 if el else DEBIAN
        yield name, templated(variables), {**host, **FLEET} if "balanced" in name else host
    for name, values in rows().items():
        yield name, values, DEBIAN
    for name, variables in ROLES.items():
        host = {**DEBIAN, "wheels": WHEELS} if variables.get("uwsgi_wheel_dir") else DEBIAN
        if variables.get("uwsgi_headers_dir") == "nowhere":
            host = {**DEBIAN, "uwsgi_builder": {**BUILDER, "kept": [], "headers": []}}
        if variables.get("nginx_build_host") == "builder.test":
            host = {**DEBIAN, "builder": {**BUILDER, "known": True}}
        yield name, {**PLAIN, **variables}, host
    yield "everything", EVERYTHING, DEBIAN
    yield "everything that systemd 219 knows", {**EVERYTHING, **KNOWN_TO_219}, CENTOS7
    # Then the host is asked what its uWSGI can.
    yield "everything on a host whose uWSGI nobody knows", {**EVERYTHING, **CUSTOM}, {**DEBIAN, "uwsgi": None}
    for name, host in HOSTS.items():
        yield f"nothing but defaults on {name}", {}, host
    yield "published from a kit", KITTED, {**DEBIAN, "kit": kit()}
    yield "published from a kit by a play without uWSGI", {"publish_apps": []}, {**DEBIAN, "kit": kit()}


def planned(variables, host, role):
    """A role's plan as a task gets it; see ActionModule.run of plugins/action/plan.py."""
    roles = {
        name: {variable: value for variable, value in variables.items() if variable.startswith(f"{name}_")}
        for name in planning.PLANNERS
    }
    plans, problems = plain(planning.plan(SPECS, roles, {**host, "role": role}))
    assert not problems, [str(problem) for problem in problems]
    checks = [check for plan in plans.values() for check in plan.get("checks") or []]
    return contract.as_told({**plans[role], "checks": checks})


FACTS = {
    "ansible_check_mode": False,
    "ansible_facts": {"os_family": "Debian", "selinux": {"status": "disabled"}},
    "ansible_playbook_python": "/usr/bin/python3",
    "inventory_hostname": "web1",
    "groups": {"all": ["web1"]},
    "hostvars": {"web1": {"ansible_facts": {}}},
    # What the role kit hands on.
    "__kit_host": KIT_HOST,
    "__kit_app": {"name": "shop", "digest": "0123456789abcdef", "what": "x", "files": {"wanted.txt": "x"}},
    "__kit_scratch": "/tmp/wheels.graceful-wsgi",
}
# What modules would have told of files and units, with something in each list that tasks look for.
WRITTEN = {
    "files": [
        {"dest": "/etc/systemd/system/nginx.service", "state": "created"},
        {"dest": "/etc/systemd/system/uwsgi@.service", "state": "changed"},
    ],
    "stale": ["/etc/systemd/system/uwsgi@gone.service.d/10-publish.conf"],
    "others": [], "belongs_to": {},
    "left": {},
    "run": "1",
    "activated": False,
    "carried": False,
}
# What a balancer would have told.
BALANCED = {"results": [{"item": "lb1", "changed": True, "told": ["worth a line"]}]}


def planned_places():
    """The plan of the role remove, as the status asks for it."""
    return {"plan": planned({}, DEBIAN, "remove")}


def published(plan):
    """What the publish role's tasks would have registered."""
    names = [item["name"] for item in plan["releases"]]
    found = {
        "releases": [{"name": name, "id": "1", "current": "0", "missing": True, "replace": {}} for name in names],
        "wanted": [{**item, "id": "1"} for item in plan["releases"]],
        "before": [{**item, "id": "0"} for item in plan["releases"]],
    }
    more = dict.fromkeys(("deploy", "switch"), True)
    more |= dict.fromkeys(("preflight", "open_code", "pending", "unrecorded", "background"), names)
    return {
        "uwsgi_installed": UWSGI,
        "__publish_checked_out": {"checkouts": {name: {"after": "1"} for name in names}},
        "__publish_found": {
            **found,
            **more,
            "accounts": plan["users"],
            "members": plan["members"],
            "owner_changes": [{**item, "before": "former"} for item in plan["owner_changes"]],
            "first_runs": plan["first_runs"],
            "bundles": {plan[key]["name"]: "0" for key in ("app_bundle", "site_bundle")},
            "nginx_unread": ["/etc/nginx/nginx.conf"],
            "idle": False,
            "background_before": plan["background"],
        },
        "__publish_put": found,
        # The role remove's plan, asked for where things are.
        "__publish_places": planned_places(),
        "__publish_switched": {"releases": [{"link": "/srv/wsgi/shop/current", "changed": True}]},
        **{f"__publish_{task}": WRITTEN for task in ("tried", "written", "served", "sites_written")},
        "__publish_live": {"asked": ["x"], "since": {"shop": 1.0}, "instances": {"shop": "reloaded"}, "refused": []},
        "__publish_answered": {"refused": []},
        **{f"__publish_{task}": BALANCED for task in ("drained", "led", "led_again")},
        "__publish_app": "shop",
        "__publish_command": "true",
        "inventory_hostname": "web1",
        "ansible_play_hosts_all": ["web1"],
        "ansible_play_batch": ["web1"],
        "hostvars": {"web1": {"__publish_here": {"here": True, "names": names}}},
        "__publish_reload_answered": {"refused": []},
        "__publish_here": {"here": True, "names": names},
        "__publish_set_here": plan["set"],
        "__publish_earlier": {
            "pins": dict.fromkeys(names, "0"),
            "kept": {one["name"]: {"release": "0", "kept": one["settings"]} for one in plan["kept_settings"]},
            "along": "its virtualenv",
            "concerned": True,
        },
    }


def built(plan):
    """What the nginx role's tasks would have registered."""
    found = {
        "built": False,
        "accounts": False,
        "installed": False,
        "held": True,
        "glibc": "2.36",
        "bundles": {"nginx": "0"},
        "old_artifacts": ["1.28.3-0123456789ab"],
    }
    noted = {"stale": True, "active": False, "enabled": False, "unread": ["/etc/nginx/nginx.conf"], "noted": True}
    return {
        "__nginx_verified": {"rc": 1, "stdout": ""},
        "__nginx_found": {**found, **noted},
        "__nginx_builder_found": found,
        "__nginx_build_planned": {"plan": plan},
        "__nginx_claim": {"claimed": True},
        "__nginx_build": {"path": "/var/lib/graceful-wsgi/nginx/builds/1"},
        "__nginx_files": WRITTEN,
        "__nginx_upgraded": {"upgraded": True},
    }


# What a controller of another kind than the host's builds.
CROSS = uwsgi_home.cross_of(
    {"architecture": "x86_64", "python": "2.7", "abi": "cp27mu", "interpreter": "/usr/bin/python2.7"}
)


def installed(plan):
    """What the uwsgi role's tasks would have registered: of a host that has none yet."""
    version = "2.7" if plan["family"] == "RedHat" else "3.11"
    python = {
        "executable": f"/usr/bin/python{version}",
        "version": version,
        "full_version": f"{version}.2",
        "glibc": "2.17",
    }
    found = {
        "state": "missing",
        "home": UWSGI["home"],
        "python": python,
        "venv_command": UWSGI["venv_command"],
        "kind": {"distribution": "Debian", "version": "12", "architecture": "x86_64", "python": "3.11"},
        "wheel": {"name": "2.0.31-0123456789ab", "about": {"kind": {}}},
        "wheel_file": "",
        "glibc": "2.36",
        "packages": [],
        "pip_python": "",
        "bundles": {"uwsgi": "0"},
        "account": {"user": True, "group": True},
        "current": "",
        "homes": {},
        "old_homes": ["2.0.30-python3.11"],
        "wanted_homes": [UWSGI["home"]],
    }
    other = dict(found)
    found["further"] = [other]
    return {
        "__uwsgi_found": found,
        # What a loop over the former hands on.
        "__uwsgi_other": other,
        "__uwsgi_builder": {**found, "cross": CROSS if plan["builder"]["brought"] else {}},
        "__uwsgi_brought": {"path": "/opt/uwsgi/.brought-1"},
        "__uwsgi_build": {"path": "/var/lib/graceful-wsgi/uwsgi/builds/1"},
        "__uwsgi_claim": {"claimed": True},
        "__uwsgi_kept": {"manifest": {"libraries": [], "found": {"packages": []}}},
        "__uwsgi_taken": {"file": "/opt/uwsgi/.brought-1/uwsgi.whl"},
        "__uwsgi_wanted": {"wheel": found["wheel"]},
        "__uwsgi_built": {"faults": ["lacks ssl"], "missing": ["ssl"], "stamp": {"features": ["ssl"]}},
    }


def removed(_plan):
    return {"__remove_found": {"gone": ["/etc/uwsgi/shop.ini"], "kept": [], "listing": []}}


REGISTERED = {
    "el": lambda _plan: {"__el_query": {"stdout_lines": []}},
    "nginx": built,
    "uwsgi": installed,
    "publish": published,
    "remove": removed,
}


@pytest.fixture(autouse=True, scope="module")
def templating():
    with contract.templating():
        yield


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    """A folder with templates of a user's own, beside the play."""
    folder = tmp_path_factory.mktemp("play")
    (folder / "templates").mkdir()
    for name, text in OWN_TEMPLATES.items():
        (folder / "templates" / name).write_text(text)
    return folder


def rendered(role, plan, templates, before=None, about=None):
    """The role's tasks with this plan; ``before``: the plan by which other tasks registered what they did."""
    again = {**plan, "uwsgi": UWSGI} if role == "publish" and "uwsgi" in plan else None
    return contract.Rendered(role, plan, {**FACTS, **REGISTERED[role](before or plan)}, [templates], about, again)


def cases():
    """(name, role, its plan): of each input the roles of whose variables it says something."""
    for name, variables, host in inputs():
        said = {variable.partition("_")[0] for variable in variables} or set(REGISTERED)
        for role in ("el", "nginx", "uwsgi", "publish"):
            if role in said and (role != "el" or host is CENTOS7):
                yield pytest.param(role, planned(variables, host, role), id=f"{role}: {name}")
    for name, variables in REMOVALS.items():
        yield pytest.param("remove", planned(variables, DEBIAN, "remove"), id=f"remove: {name}")


with contract.templating():
    CASES = list(cases())


@pytest.fixture(scope="module")
def results(templates):
    """What each case gives the modules."""
    return {case.id: rendered(*case.values, templates) for case in CASES}


@pytest.mark.parametrize("name", [case.id for case in CASES])
def test_what_a_module_is_given_of_a_plan_passes_its_argument_spec(results, name):
    assert results[name].faults == []


def ours(tasks):
    """The names of the tasks among these that call a module of the collection."""
    for task in tasks:
        if any(key.startswith(contract.COLLECTION) for key in task):
            yield task.get("name")
        for part in ("block", "rescue", "always"):
            yield from ours(task.get(part, []))


@pytest.mark.parametrize("role", sorted(REGISTERED))
def test_every_task_that_calls_a_module_runs_in_some_case(results, role):
    tasks = ROOT / "roles" / role / "tasks"
    there = {
        (str(file.relative_to(tasks)), name) for file in tasks.rglob("*.yml") for name in ours(contract.read_yaml(file))
    }
    assert there == {task for result in results.values() if result.role == role for task in result.ran}


# Mappings that modules are given whose keys are no names that anybody declares.
DATA = {
    "about": "the manifest keeps what it is given",
    "accounts": "an account by its application",
    "apps[].environment": "the application's own variables",
    "apps[].files": "a file's content by its path",
    "apps[].service_vars": "a template's variables",
    "apps[].vars": "a template's variables",
    "build": "it is digested whole",
    "carried": "what file_bundle told of another bundle",
    "checkouts": "what git_checkout told, by application",
    "configuration": "paths of files by application",
    "digests": "a set's digest by its name",
    "holder": "who runs the play, as the action plugin says it",
    "host": "what kit_host told",
    "like": "what uwsgi_build_info told of another host",
    "kept": "what release_records told, by application",
    "library_packages": "a package by its library",
    "lock.holder": "who runs the play, as the action plugin says it",
    "made": "a home by its account",
    "pins": "a release by its application",
    "pip_env": "an environment",
    "releases[]": "what releases or publish_info told",
    "settings": "yum's own settings, and what is kept of each application as JSON",
    "since": "what uwsgi_instances told, by application",
    "uwsgi": "the fact uwsgi_installed",
    "wheels.apps": "files by application",
    "wheels.files": "a digest by its file",
}


def test_a_mapping_has_an_argument_spec_or_a_shape_or_is_data(results):
    found = {
        path.partition(".")[2]
        for result in results.values()
        for module, args in result.sent
        for path, _value in contract.mappings(module, args)
    }
    # Those within another are looked at with it.
    assert found == {*DATA, *contract.SHAPES, "checks[]"} - {"wheels.wheels[]"}


def stated(value, options, path):
    """The paths of all options of a spec that this value states."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            for key, inner in item.items():
                if key in options:
                    yield f"{path}.{key}"
                    yield from stated(inner, options[key].get("options") or {}, f"{path}.{key}")


def declared(options, path):
    for name, option in options.items():
        yield f"{path}.{name}"
        yield from declared(option.get("options") or {}, f"{path}.{name}")


def test_what_nobody_states_is_stated_with_another_value_than_its_default():
    options = {"a": {"type": "bool", "default": True}, "b": {"options": {"c": {"type": "int"}, "d": {"type": "str"}}}}
    options["e"] = {"choices": ["x", "y"], "default": "x"}
    given = [{"b": [{"d": "1"}, {"d": "2"}]}, {"e": "x", "b": [{"d": "3"}]}]
    first = {"a": False, "b": [{"d": "1", "c": 1}, {"d": "2"}]}
    assert with_the_rest(given, options) == [first, given[1]]


def test_all_that_an_application_a_site_and_an_upstream_can_state_is_stated_in_some_case():
    options = {name: option for name, option in SPECS["publish"].items() if option.get("options")}
    assert sorted(options) == ["publish_apps", "publish_sites", "publish_upstreams"]
    with contract.templating():
        found = {path for _name, variables, _host in inputs() for path in stated(variables, options, "")}
    assert set(declared(options, "")) - found == set()


# Paths of the plans below which keys are data, no names.
OPAQUE = {
    "el": {("settings",)},
    "nginx": {("about",), ("environment",), ("unit",), ("zig", "tools"), ("conf",)},
    "uwsgi": {
        ("build",),
        ("builder", "python_packages", "headers"),
        ("builder", "python_packages", "pip"),
        ("builder", "python_packages", "venv"),
        ("constraints",),
        ("header_packages",),
        ("pip",),
        ("pip_env",),
        ("python_packages", "headers"),
        ("python_packages", "pip"),
        ("python_packages", "venv"),
        ("builder", "library_packages"),
        ("toolchain", "commands"),
        ("toolchain", "cross", "commands"),
        ("toolchain", "cross", "environment"),
        ("toolchain", "environment"),
        ("unit",),
        ("wheels", "build"),
        ("wheels", "library_packages"),
        ("wheels", "venv_packages"),
    },
    "publish": {
        # What a user's template may rely on as well; ours are rendered, and read nothing that is not there.
        ("app_bundle", "files", "[]", "vars"),
        ("site_bundle", "files", "[]", "vars"),
        ("preflights", "[]", "environment"),
        ("preflights", "[]", "files"),
        ("preflights", "[]", "service_vars"),
        ("preflights", "[]", "vars"),
        ("instances",),
        # What a user's own tasks may rely on, and their files by the point at which they run.
        ("hook_releases",),
        ("hooks",),
        ("kit", "apps"),
        ("kit", "files"),
        ("pip", "env"),
        ("published",),
        ("instances_by_app",),
    },
    "remove": {("accounts",), ("made",)},
}
# What a check holds depends on its kind, and is tested with the modules that take it.
for opaque in OPAQUE.values():
    opaque.add(("checks", "[]"))
# The action plugin `plan` warns, remembers what is published, and gathers the checks of all roles for the first one.
READ_ELSEWHERE = {
    "el": {("checks",), ("warnings",)},
    # Of one source, zig, the version is read: the plan tells it once more.
    "nginx": {("warnings",), ("sources", "[]", "version")},
    "uwsgi": {("checks",), ("warnings",)},
    # The role kit names what it cannot bring by it.
    "publish": {("app_variables",), ("warnings",), ("published",)},
    # The role publish asks it where things are, for the status.
    "remove": {("checks",), ("warnings",), ("caches",), ("caches", "nginx"), ("caches", "uwsgi")},
}


@pytest.fixture(scope="module")
def reads():
    return {role: contract.Reads(role) for role in REGISTERED}


def keys_of(role):
    return {
        path
        for case in CASES
        for name, plan in [case.values]
        if name == role
        for path in contract.keys(plan, OPAQUE[role])
    }


@pytest.mark.parametrize("role", sorted(REGISTERED))
def test_every_key_of_a_plan_is_read(reads, role):
    dead = {path for path in keys_of(role) if not reads[role].alive(role, path)}
    assert dead == READ_ELSEWHERE[role]


@pytest.mark.parametrize("role", sorted(REGISTERED))
def test_all_that_is_read_of_a_plan_is_there(reads, role):
    there = {(role, *path) for case in CASES if case.values[0] == role for path in contract.keys(case.values[1], set())}
    assert {
        path for read in reads.values() for path in read.paths if path[0] == role and len(path) > 1
    } - there == set()


def faults_of(role, plan, templates, reads, before, about):
    """What the tests above would say of this plan, as far as a key of it is concerned."""
    there = {(role, *path) for path in contract.keys(plan, set())}
    missing = {path for path in reads[role].paths if path[0] == role and len(path) > 1 and path not in there}
    return missing | set(rendered(role, plan, templates, before, about).faults)


# Keys that only what does not run here reads.
UNNOTICED = {
    **READ_ELSEWHERE,
    # A message reads it of what a loop over the sources registered.
    "nginx": {*READ_ELSEWHERE["nginx"], ("sources", "[]", "release")},
}


@pytest.mark.parametrize("role", sorted(REGISTERED))
def test_a_key_that_is_renamed_in_a_plan_fails(templates, reads, role):
    # The publish role's plainest plans hold most keys; of the others' those that say most.
    plans = [case.values[1] for case in CASES if case.values[0] == role]
    plans.sort(key=lambda plan: len(str(plan)), reverse=role != "publish")
    usual, unnoticed = {}, set()
    for path in sorted(keys_of(role)):
        for number, plan in enumerate(plans):
            other = contract.renamed(plan, path)
            if other == plan:
                continue
            known = (number, path[0])
            if known not in usual:
                usual[known] = faults_of(role, plan, templates, reads, plan, path[0])
            if faults_of(role, other, templates, reads, plan, path[0]) - usual[known]:
                break
        else:
            unnoticed.add(path)
    assert unnoticed == UNNOTICED[role]


INSTANCE = {"name": "a", "unit": "uwsgi@a.service", "config": "/a.ini", "pidfile": "/a.pid", "socket": "/a.sock"}


@pytest.mark.parametrize(
    "module, args, fault",
    [
        ("uwsgi_instances", {"instances": [INSTANCE]}, None),
        ("uwsgi_instances", {"instances": [{**INSTANCE, "soket": "/a.sock"}]}, "instances.soket"),
        (
            "uwsgi_instances",
            {"instances": [{"name": "a"}]},
            "missing required arguments: config, pidfile, socket, unit",
        ),
        (
            "uwsgi_instances",
            {"instances": [{**INSTANCE, "link": "/a"}]},
            "missing parameter(s) required by 'link': run_dir",
        ),
        (
            "uwsgi_instances",
            {"instances": [{**INSTANCE, "needs_new_master": "yes"}]},
            "instances[0].needs_new_master is 'yes'",
        ),
        ("uwsgi_instances", {"instances": [{**INSTANCE, "processes": "2"}]}, "instances[0].processes is '2'"),
        ("uwsgi_instances", {"instance": []}, "uwsgi_instances: instance. Supported parameters"),
        ("nginx_cache", {"state": "claimed", "folder": "/x", "name": "a"}, "version, about"),
        ("plan", {"role": "attic"}, "must be one of"),
    ],
)
def test_what_an_argument_spec_refuses(module, args, fault):
    faults = contract.faults_of(module, args)
    assert any(fault in one for one in faults) if fault else faults == []


@pytest.mark.parametrize(
    "check, fault",
    [
        ({"kind": "log", "path": "/a", "user": "b", "group": "c", "by_root": True, "dropin": "/d"}, None),
        ({"kind": "logs"}, "there is no kind 'logs'"),
        ({"kind": "static_link"}, "path is read and not given"),
        ({"kind": "static_link", "path": "/a", "paths": []}, "paths is given and not read"),
        ({"kind": "nginx_member", "user": "a", "nginx_groups": "b"}, "nginx_group is read and not given"),
    ],
)
def test_what_a_kind_of_check_refuses(check, fault):
    faults = contract.check_faults({"variable": "x", **check})
    assert any(fault in one for one in faults) if fault else faults == []


@pytest.mark.parametrize("name", ["nginx_cache", "uwsgi_cache"])
def test_what_a_cache_gives_the_module_that_installs_passes_its_argument_spec(name):
    """That one is named by the action itself and called by no task."""
    action, sent = contract.action_of(name), {}
    plugin = action.__new__(action)
    connection = mock.MagicMock()
    connection._shell.join_path = lambda *parts: "/".join(map(str, parts))

    def execute(module_name, module_args, task_vars):
        sent[module_name.removeprefix(contract.COLLECTION)] = module_args

    plugin._connection, plugin._execute_module = connection, execute
    plugin._make_tmp_path = plugin._transfer_file = lambda *_words: None
    args = {"path": "/x", "version": "2.0.31", "about": {"a": 1}}
    told = {"files": {action.kind.file: "0" * 64}}
    plugin._install(mock.MagicMock(binary="/y"), args, told, {})
    assert [fault for module, given in sent.items() for fault in contract.faults_of(module, given)] == []
    assert len(sent) == 1


@pytest.fixture(scope="module")
def checks():
    """A check of each kind for each set of keys that the cases give it."""
    every = [check for case in CASES for check in case.values[1].get("checks", [])]
    return list({(check["kind"], *sorted(check)): check for check in every}.values())


def test_a_check_of_every_kind_is_asked_for_in_some_case(checks):
    assert {check["kind"] for check in checks} == set(host_checks.KINDS)


def test_a_key_that_is_renamed_in_a_check_fails(checks):
    unnoticed = {
        (check["kind"], key)
        for check in checks
        for key in check
        if key not in contract.UNREAD.get(check["kind"], ())
        and not contract.check_faults({f"{name}_" if name == key else name: value for name, value in check.items()})
    }
    assert unnoticed == set()
