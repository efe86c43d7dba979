"""The golden pairs of tests/unit/golden: variables in NAME.yml, what a host gets of them in NAME.conf and NAME.ini.

NAME.conf holds the server blocks and upstreams, and nginx.conf where the variables say something of it; NAME.ini holds
the configurations of uWSGI and the drop-ins of its units, the units of workers and timers, and a whole unit where the
variables say something of it. All is rendered as the roles have it rendered. Where NAME begins with ``centos7``, the
host is a CentOS 7.
"""

import base64

import contract
import plans
from ansible.template import Templar

from ansible_collections.graceful.wsgi.plugins.plugin_utils import plan as planning

FOLDER = contract.ROOT / "tests/unit/golden"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yml"))
# What a play's variables refer to besides one another.
KNOWN = {"inventory_dir": "/inventory", "vault_shop_database_url": "postgresql://shop:100%@db/shop"}
KNOWN["vault_shop_key"] = "50%-$ecret"
KIT = {"folder": "/inventory/kit", "collecting": True, "manifest": None, "wrong": [], "texts": {}}


def templated(value, variables):
    """A value with all variables in it put in."""
    return Templar(loader=contract.LOADER, variables={**KNOWN, **variables}).template(value)


def place(name):
    """(file, heading) of what an input was taken from, by its first line; two empty texts where it does not say."""
    first = (FOLDER / f"{name}.yml").read_text().partition("\n")[0]
    file, _colon, heading = first.removeprefix("# ").partition(": ")
    return (file, heading) if heading and first.startswith("# ") else ("", "")


def variables_of(loaded):
    """The variables of an inventory, or what it is where it is variables alone."""
    return loaded["all"]["vars"] if "all" in loaded else loaded


def variables(name):
    """The variables of an input."""
    given = contract.LOADER.load_from_file(str(FOLDER / f"{name}.yml"), trusted_as_template=True)
    given = variables_of(given)
    return {key: templated(value, given) for key, value in given.items()}


def host_of(name, given):
    """What is known of the host; its uWSGI is installed."""
    host, python = (plans.CENTOS7, "3.6") if name.startswith("centos7") else (plans.DEBIAN, plans.UWSGI["python"])
    python = given.get("uwsgi_python", python).removeprefix("python")
    home = f"/opt/uwsgi/{plans.UWSGI['version']}-python{python}"
    uwsgi = {**plans.UWSGI, "python": python, "home": home, "binary": f"{home}/bin/uwsgi"}
    kit = KIT if "publish_kit" in given else None
    return {**host, "uwsgi": uwsgi, "role": "publish", "kit": kit}


def plan(name):
    """The plans of all roles for an input."""
    given = variables(name)
    roles = {
        role: {key: value for key, value in given.items() if key.startswith(f"{role}_")} for role in planning.PLANNERS
    }
    found, problems = plans.plain(planning.plan(plans.SPECS, roles, host_of(name, given)))
    assert not problems, [str(problem) for problem in problems]
    return found


def rendered(role, files):
    """The texts of these files of a bundle, each below a line with its path."""
    found = []
    for _module, args in contract.sent(role, "file_bundle", {"name": "golden", "files": files}):
        for file in args["files"]:
            found.append(f"#: {file['dest']}\n{base64.b64decode(file['content']).decode().rstrip()}\n")
    return found


def _is_unit(path):
    """Whether a file is the unit of a worker or a timer."""
    return path.startswith("/etc/systemd/system/wsgi-")


def outputs(name):
    """{name of the file: its text} of what a host gets of an input."""
    found, stated = plan(name), {key.partition("_")[0] for key in variables(name)}
    publish = found["publish"]
    sites = [one for one in publish["site_bundle"]["files"] if one["dest"].startswith("/etc/nginx/")]
    apps = [one for one in publish["app_bundle"]["files"] if "app" in (one.get("vars") or {}) or _is_unit(one["dest"])]
    units = rendered("publish", apps)
    whole = []
    if "nginx" in stated:
        own = {"dest": "/etc/nginx/nginx.conf", "template": "nginx.conf.j2", "vars": {"tree": found["nginx"]["conf"]}}
        whole = rendered("nginx", [own])
    for role, unit in (("nginx", "nginx.service"), ("uwsgi", "uwsgi@.service")):
        if role in stated:
            dest = f"/etc/systemd/system/{unit}"
            own = {"dest": dest, "template": f"{unit}.j2", "vars": {"unit": found[role]["unit"]}}
            units += rendered(role, [own])
    texts = {"conf": whole + rendered("publish", sites), "ini": units}
    return {f"{name}.{kind}": "\n".join(text) for kind, text in texts.items() if text}


def write():
    """Write all outputs anew; what no input has any more goes."""
    for path in FOLDER.iterdir():
        if path.suffix in (".conf", ".ini"):
            path.unlink()
    for name in NAMES:
        for file, text in outputs(name).items():
            (FOLDER / file).write_text(text)


def there():
    """{name of the file: its text} of the outputs that are kept."""
    return {path.name: path.read_text() for path in FOLDER.iterdir() if path.suffix in (".conf", ".ini")}


if __name__ == "__main__":
    with contract.templating():
        write()
