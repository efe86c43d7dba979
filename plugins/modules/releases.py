#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: releases
short_description: (internal) Puts the code of applications on a host as releases and switches between them
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - O(state=present) puts each application's code at C(HOME/releases/ID), where the id is the digest of the content
    (or the commit), and makes the virtualenv for its requirements; what is there already is not sent or made again.
  - O(state=current) points C(HOME/current) at it in one step, after its virtualenv, and removes what is too old.
options:
  checkouts:
    description: For each application with O(releases[].repo) what M(graceful.wsgi.git_checkout) returned.
    type: dict
    default: {}
  git_user:
    description: The account that has fetched the repositories, as O(graceful.wsgi.git_checkout#module:user).
    type: str
    default: wsgi-git
  build_user:
    description:
      - The accounts that run pip and every build backend are named after this, V(wsgi-build-1) and so on, as many as
        the host has processors; made where missing. Each owns nothing but an empty home below
        C(/var/lib/graceful-wsgi/build) and builds for one application at a time.
    type: str
    default: wsgi-build
  state:
    description: V(present) puts the code on the host, V(current) makes it live, V(closed) lets nobody but the
      application's group pass through the folders of its code any more, as new ones are from the start, V(admitting)
      lets the application's account through where another one's group has them, until they are closed, V(absent)
      removes O(folders).
    type: str
    choices: [present, current, admitting, closed, absent]
    default: present
  folders:
    description: With O(state=absent), folders that are to go with all that is in them, in place of O(releases). No link
      in them is followed, whoever put it there.
    type: list
    elements: path
    default: []
  python:
    description: The Python of the virtualenvs, major and minor; part of their names.
    type: str
    default: ''
  venv_command:
    description: Words of the command that makes a virtualenv when its path is appended.
    type: list
    elements: str
    default: [python3, -m, venv]
  pip:
    description:
      - The pip that a virtualenv gets first, as a requirement; empty for the one that it comes with.
      - Where it has an upper bound, the newest below that is taken, if pip finds one.
    type: str
    default: pip
  pip_args:
    description: Further words for C(pip install), such as C(--prefer-binary).
    type: list
    elements: str
    default: []
  pip_env:
    description: Settings of pip's as environment variables, such as C(PIP_INDEX_URL), which no list of processes shows.
    type: dict
    default: {}
  pip_cert:
    description: The CA bundle that pip trusts; the account that builds gets a copy.
    type: path
  kit:
    description: A C(folder) of wheels on the controller, by C(apps) which of them each application is filled from, and
      their checksums, C(files), as the plan of the publish role tells them. Where it is given, nothing else is asked.
    type: dict
    default: {}
  wheels:
    description: Where the action plugin has put those wheels.
    type: dict
    suboptions:
      archive:
        description: A tar file that holds them; nothing was brought without it.
        type: path
      apps:
        description: The files that each application's virtualenv is filled from, by its name.
        type: dict
        default: {}
      files:
        description: The sha256 of each file, by its path in the tar file.
        type: dict
        default: {}
  uv:
    description:
      - The uv that fills virtualenvs of Python 3.8 and newer, as the plan of the publish role tells it. It is fetched
        by pip as an account that builds where the host has none of that checksum, or brought from the controller.
      - Where it cannot be had, or pip is told what uv has no like of, pip fills them, and so it does without this.
    type: dict
    suboptions:
      sha256:
        description: That of its wheel.
        type: str
      requirement:
        description: What pip fetches, with its checksum.
        type: str
      pip:
        description: Further words for C(pip download).
        type: list
        elements: str
        default: []
      wheel:
        description: The wheel on the controller, where it is brought from there.
        type: str
      sent:
        description: Where the action plugin has put it.
        type: path
  keep:
    description: How many releases stay when switching, the live one among them. The one that was live before stays
      in any case, since processes run on it until they are reloaded.
    type: int
    default: 5
  by:
    description: Who runs the play, for the records of releases; the action plugin fills it in.
    type: str
  survey:
    description: Only say what is missing; used by the action plugin.
    type: bool
    default: false
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.applications.releases
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Returns the id of the live release before and after.
    support: full
"""

EXAMPLES = r"""
- name: Put the code on the host
  graceful.wsgi.releases:
    releases:
      - name: icmanage
        home: /srv/wsgi/icmanage
        group: wsgi
        source: "{{ playbook_dir }}/apps/icmanage"
  register: sent

- name: Make it live
  graceful.wsgi.releases:
    releases: "{{ sent.wanted }}"
    state: current
"""

RETURN = r"""
releases:
  description: For each application C(name), C(id), the live C(current) before, C(missing), C(changed), the
    C(link) that leads to the code and what was C(removed); with O(state=present) C(replace), the live
    paths and where they will lead.
  returned: success
  type: list
  elements: dict
before:
  description: The items whose release is not the live one, with the id of the live one; to go back to.
  returned: success
  type: list
  elements: dict
removed:
  description: Which of O(folders) there were.
  returned: O(state=absent)
  type: list
  elements: str
wanted:
  description: The items with their ids; give them to the task with O(state=current).
  returned: success
  type: list
  elements: dict
"""

import functools
import multiprocessing
import os

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    causes,
    git_checkout,
    release_records,
    requirements_alone,
    shared_venvs,
    uv_tool,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.brought_wheels import Brought, WheelError
from ansible_collections.graceful.wsgi.plugins.module_utils.build_account import BuildError, Pool
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import no_room
from ansible_collections.graceful.wsgi.plugins.module_utils.parallel import run_all
from ansible_collections.graceful.wsgi.plugins.module_utils.releases import SPEC, Home, ReleaseError
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import UnsafePath, remove_tree
from ansible_collections.graceful.wsgi.plugins.module_utils.unlogged import AnsibleModule

ARGUMENTS = {
    "releases": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": SPEC,
    },
    "checkouts": {"type": "dict", "default": {}},
    "git_user": {"type": "str", "default": "wsgi-git"},
    "build_user": {"type": "str", "default": "wsgi-build"},
    "state": {
        "type": "str",
        "choices": ["present", "current", "admitting", "closed", "absent"],
        "default": "present",
    },
    "folders": {"type": "list", "elements": "path", "default": []},
    "python": {"type": "str", "default": ""},
    "venv_command": {"type": "list", "elements": "str", "default": ["python3", "-m", "venv"]},
    "pip": {"type": "str", "default": "pip"},
    "pip_args": {"type": "list", "elements": "str", "default": []},
    # An index's address may hold a password.
    "pip_env": {"type": "dict", "default": {}, "no_log": True},
    "pip_cert": {"type": "path"},
    "kit": {"type": "dict", "default": {}},
    "wheels": {
        "type": "dict",
        "options": {
            "archive": {"type": "path"},
            "apps": {"type": "dict", "default": {}},
            "files": {"type": "dict", "default": {}},
        },
    },
    "uv": {
        "type": "dict",
        "options": {
            "sha256": {"type": "str"},
            "requirement": {"type": "str"},
            "pip": {"type": "list", "elements": "str", "default": []},
            "wheel": {"type": "str"},
            "sent": {"type": "path"},
        },
    },
    "keep": {"type": "int", "default": 5},
    "by": {"type": "str"},
    "survey": {"type": "bool", "default": False},
}


def named(home, call):
    """What ``call()`` returns; what goes wrong in it names the application, the path and what to free."""
    try:
        return call()
    except ReleaseError as error:
        raise ReleaseError(str(error) + no_room(error, home.home, True))
    except WheelError as error:
        raise ReleaseError("%s: %s" % (home.name, error))
    except EnvironmentError as error:
        said = str(error)
        if not getattr(error, "filename", None):
            said = "%s: %s" % (home.release if home.id else home.home, said)
        raise ReleaseError("%s: %s%s" % (home.name, said, no_room(error, home.home, True)))


def uv_of(module, builders, homes):
    """The program uv that fills virtualenvs; None where it is pip for all of them."""
    wanted, names = module.params["uv"], ("venv_command", "pip_env", "pip_cert")
    served = [home for home in homes if not uv_tool.Uv(None, home.python).why_not({}, ())]
    if not wanted or not wanted["sha256"] or not served:
        return None
    # Any Python that uv serves has a pip that can fetch it.
    words = dict(module.params, **served[0].own_python)
    try:
        path = uv_tool.obtain(builders, wanted, *([words[name] for name in names] + [wanted["sent"]]))
        uv_tool.check(path, module.run_command)
    except (uv_tool.UvError, BuildError, UnsafePath, EnvironmentError) as error:
        module.warn("uv cannot be had, so that pip fills the virtualenvs: %s" % error)
        return None
    return path


def fill(module, homes):
    """Fill all virtualenvs, as many at a time as there are processors; {name: whether there was something to do}."""
    filled, failed = {}, []
    builders = Pool(module.params["build_user"], multiprocessing.cpu_count(), module.run_command)
    brought = Brought(module.params["wheels"] or {})
    lacking = [home for home in homes if home.incomplete]
    uv = uv_of(module, builders, lacking) if lacking else None

    def work(home):
        try:
            wanted = dict(module.params, **home.own_python)
            words = [wanted[name] for name in ("venv_command", "pip", "pip_args", "pip_env", "pip_cert")]
            own_uv = uv_tool.Uv(uv, home.python) if uv else None
            filled[home.name] = named(home, lambda: home.fill(builders, *(words + [brought, own_uv])))
        except ReleaseError as error:
            # It names the application already.
            said = str(error)
            failed.append((home.name, said[len(home.name) + 2:] if said.startswith(home.name + ": ") else said))
        except Exception as error:
            # What escapes a thread is lost.
            failed.append((home.name, str(error)))

    run_all([functools.partial(work, home) for home in homes], multiprocessing.cpu_count())
    if failed:
        for home in homes:
            if home.name in dict(failed) and not home.wanted["path"]:
                why = causes.message([(home.name, dict(failed)[home.name])])
                release_records.Records(home.releases).failed(home.id, "build", why)
        raise ReleaseError(causes.message(failed))
    return filled


def checked_out(module, home, checkouts, exclude):
    """The commit of an application's repository as an archive, which the account of git packs."""
    commit = (checkouts.get(home.name) or {}).get("after")
    try:
        git = git_checkout.Git.of(module.params["git_user"], module.run_command)
        return git_checkout.Clone(git, home.name).export(commit, exclude, home.releases)
    except git_checkout.GitError as error:
        raise ReleaseError("%s: %s" % (home.name, error))


def present(module, homes, checkouts):
    survey, filled, kept = module.params["survey"], {}, {}
    missing = dict((home.name, home.missing) for home in homes)
    if not survey and not module.check_mode:
        for home in homes:
            if missing[home.name]:
                source = functools.partial(checked_out, module, home, checkouts)
                named(home, functools.partial(home.make, home.wanted["sent"], source))
                made = dict((key, home.wanted[key]) for key in ("source", "archive", "repo", "version"))
                if not home.wanted["repo"]:
                    made["version"] = None
                if requirements_alone.is_alone(home.wanted):
                    made["requirements"] = requirements_alone.told(home.wanted["requirements"])
                begun = release_records.Records(home.releases).begun
                named(home, functools.partial(begun, home.id, made, module.params["by"]))
            if home.wanted["repo"]:
                # An earlier version of this collection checked it out there, as root.
                remove_tree(os.path.join(home.home, "repo"))
            kept[home.name] = named(home, home.keep_shared)
        filled = fill(module, homes)
    found = []
    for home in homes:
        changed = missing[home.name] or filled.get(home.name, False) or kept.get(home.name, False)
        if module.check_mode and not survey:
            changed = home.incomplete
        item = {"name": home.name, "id": home.id, "current": home.current, "missing": missing[home.name]}
        item["had"] = home.had if home.wanted["path"] or home.id == home.current else None
        item["changed"] = changed
        if survey:
            item["incomplete"] = home.incomplete
        found.append(item if survey else dict(item, replace=home.replace))
    return found


def closed(module, homes):
    """Shut the folders of code to all but their application's group."""
    found = []
    for home in homes:
        changed = bool(home.open_gates) if module.check_mode else home.close()
        found.append({"name": home.name, "id": home.id, "current": home.current, "changed": changed})
    return found


def admitting(module, homes):
    """Let the applications' accounts through to the code though another one's group has it."""
    found = []
    for home in homes:
        changed = not module.check_mode and home.admit()
        found.append({"name": home.name, "id": home.id, "current": home.current, "changed": changed})
    return found


def current(module, homes):
    found = []
    for home in homes:
        before = home.current
        if module.check_mode:
            changed = home.would_switch()
            removed = home.surplus(module.params["keep"])
        else:
            if not home.wanted["path"]:
                release_records.Records(home.releases).adopt(before)
            changed = named(home, home.switch)
            removed = named(home, functools.partial(home.prune, module.params["keep"]))
        found.append(
            {
                "name": home.name,
                "id": home.id,
                "current": before,
                "link": home.link,
                "changed": changed,
                "removed": removed,
            }
        )
    if not module.check_mode:
        # Processes run on what was live before until they are reloaded.
        for root in sorted(set(os.path.dirname(home.home) for home in homes)):
            shared_venvs.prune(root, [home.venv_before for home in homes])
    return found


def absent(module):
    """Remove folders with all that applications and others have put there."""
    there = [path for path in module.params["folders"] if os.path.lexists(path)]
    if not module.check_mode:
        for path in there:
            try:
                remove_tree(path)
            except (UnsafePath, EnvironmentError) as error:
                raise ReleaseError("%s cannot be removed: %s" % (path, error))
    return there


def main():
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        supports_check_mode=True,
    )

    # For all threads at once: the application's user reads what root installs.
    os.umask(0o022)

    if module.params["state"] == "absent":
        try:
            there = absent(module)
        except ReleaseError as error:
            module.fail_json(msg=str(error))
        gone = "".join("%s\n" % path for path in there)
        module.exit_json(changed=bool(there), releases=[], removed=there, diff={"before": gone, "after": ""})

    try:
        homes = [Home(wanted, module.params["python"]) for wanted in module.params["releases"]]
        if module.params["state"] == "present":
            found = present(module, homes, module.params["checkouts"])
        elif module.params["state"] == "admitting":
            found = admitting(module, homes)
        elif module.params["state"] == "closed":
            found = closed(module, homes)
        else:
            found = current(module, homes)
    except (ReleaseError, BuildError, UnsafePath, IOError, OSError) as error:
        module.fail_json(msg=str(error))
    lines = dict((key, []) for key in ("before", "after"))
    for item in found:
        if item["changed"]:
            lines["before"].append("%s: %s\n" % (item["name"], item["current"] or "no release"))
            lines["after"].append("%s: %s\n" % (item["name"], item["id"] or "new virtualenv"))
        for name in item.get("removed", []):
            lines["before"].append("%s: %s kept\n" % (item["name"], name))
    wanted = (module.params["uv"] or {}).get("sha256")
    module.exit_json(
        changed=any(item["changed"] or item.get("removed") for item in found),
        releases=found,
        uv_missing=bool(module.params["survey"] and wanted and not uv_tool.there(wanted)),
        diff={"before": "".join(lines["before"]), "after": "".join(lines["after"])},
    )


if __name__ == "__main__":
    main()
