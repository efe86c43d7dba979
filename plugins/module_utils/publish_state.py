# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of the applications is there already, and whether anything is to be done."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import pwd

from ansible_collections.graceful.wsgi.plugins.module_utils import accounts as account_utils
from ansible_collections.graceful.wsgi.plugins.module_utils import (
    app_background,
    asking,
    host_checks,
    instances,
    left_data,
    maintenance,
    release_records,
    releases,
    safe_path,
    served_checks,
    uwsgi_preflight,
    visitor,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.manifests import verified_digest
from ansible_collections.graceful.wsgi.plugins.module_utils.module_calls import systemctl_of
from ansible_collections.graceful.wsgi.plugins.module_utils.nginx_loading import CONF, LoadError, Nginx
from ansible_collections.graceful.wsgi.plugins.module_utils.play_lock import PlayLock

SPEC = {
    "accounts": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"name": {"type": "str", "required": True}, "group": {"type": "str", "required": True}},
    },
    "releases": {"type": "list", "elements": "dict", "required": True, "options": releases.SPEC},
    "checkouts": {"type": "dict", "default": {}},
    "git_user": {"type": "str", "default": "wsgi-git"},
    "python": {"type": "str", "default": ""},
    "keep": {"type": "int", "default": 5},
    "binary": {"type": "path", "required": True},
    "apps": {"type": "list", "elements": "dict", "required": True, "options": uwsgi_preflight.SPEC},
    "instances": instances.SPEC,
    "background": app_background.SPEC,
    "bundles": {"type": "list", "elements": "raw", "default": []},
    "digests": {"type": "dict", "default": {}},
    "carried": {"type": "dict", "default": {}},
    "questions": visitor.SPEC,
    "lock": {
        "type": "dict",
        "options": {
            "set": {"type": "str", "required": True},
            "scope": {"type": "str", "default": "main"},
            "timeout": {"type": "int", "default": 0},
            "holder": {"type": "dict", "default": {}},
            "dead": {"type": "list", "elements": "dict", "default": []},
        },
    },
    "checks": host_checks.SPEC,
    "served": served_checks.SPEC,
    "members": account_utils.MEMBERS,
    "owner_changes": account_utils.SPEC,
    "first_runs": left_data.SPEC,
}


def is_there(user):
    try:
        return bool(pwd.getpwnam(user))
    except KeyError:
        return False


def nginx_unread(module):
    """What nginx has not read as it stands; what is wrong with nginx itself is told by the task that reloads it."""
    try:
        return Nginx(module.run_command).unread()
    except LoadError:
        return [CONF]


def due(module, wanted):
    """Names of the instances that are not as wanted; all of them where systemd does not answer."""
    try:
        return instances.Instances([instances.Instance(item) for item in wanted], systemctl_of(module), None).due()
    except instances.InstanceError:
        return [item["name"] for item in wanted]


def background_due(module, wanted):
    """Names of the applications whose workers and timers are not as wanted; all where systemd does not answer."""
    noted = app_background.apps_noted()
    concerned = set(item["app"] for item in wanted["background"]).union(noted)
    apps = [item["name"] for item in wanted["apps"] if item["name"] in concerned]
    if not apps:
        return []
    try:
        return app_background.Background(apps, wanted["background"], systemctl_of(module)).due()
    except instances.InstanceError:
        return apps


def release_of(home):
    """What is there of an application's code."""
    return {
        "name": home.name,
        "id": home.id,
        "current": home.current,
        "missing": home.missing,
        "changed": home.incomplete,
        "replace": home.replace,
        "had": home.had if home.wanted["path"] or home.id == home.current else None,
    }


def not_loaded(apps, replace, binary):
    """Names of the applications of which nothing tells that they load as they are wanted."""
    notes = [(item["name"], uwsgi_preflight.Note(item, replace.get(item["name"], {}), binary)) for item in apps]
    return [name for name, note in notes if not note.holds]


# What is to be empty of what is found, where nothing is to be done.
DUE = (
    "accounts",
    "deploy",
    "switch",
    "preflight",
    "members",
    "owner_changes",
    "first_runs",
    "unrecorded",
    "open_code",
    "pending",
    "background",
    "nginx_unread",
)


def is_idle(found, digests):
    """Whether nothing that was asked about is to be done, and what the controller would write stands."""
    if any(found[name] for name in DUE):
        return False
    return set(found["bundles"]) == set(digests) and all(
        digest and digest == digests[name] for name, digest in found["bundles"].items()
    )


def state_of(module, wanted, homes):
    """What is there of all that is published."""
    found = [release_of(home) for home in homes]
    replace = dict((item["name"], item["replace"]) for item in found)
    leads = dict(pair for paths in replace.values() for pair in paths.items())
    host_checks.refuse_these(
        module, [host_checks.Problem(*told) for told in served_checks.in_releases(wanted["served"], leads, module.warn)]
    )
    return {
        "accounts": [item for item in wanted["accounts"] if not is_there(item["name"])],
        "releases": found,
        "deploy": any(item["changed"] for item in found),
        "switch": any(home.would_switch() or home.surplus(wanted["keep"]) for home in homes),
        "preflight": not_loaded(wanted["apps"], replace, wanted["binary"]),
        "members": account_utils.missing_members(wanted["members"]),
        "owner_changes": account_utils.owner_changes(wanted["owner_changes"]),
        "first_runs": left_data.fresh(wanted["first_runs"]),
        "unrecorded": [
            home.name
            for home in homes
            if not home.wanted["path"] and release_records.Records(home.releases).incomplete
        ],
        "open_code": [home.name for home in homes if home.open_gates],
        "pending": due(module, wanted["instances"]),
        "background": background_due(module, wanted),
        "background_before": app_background.live([item["name"] for item in wanted["apps"]]),
        "bundles": dict((name, verified_digest(name)) for name in wanted["bundles"]),
        "nginx_unread": nginx_unread(module),
        "maintenance": maintenance.on([item["name"] for item in wanted["apps"]]),
    }


def look_at_all(module, wanted):
    """What the module returns, less what it says of the lock."""
    # Other roles may have done their work before this one.
    host_checks.refuse(module, wanted["checks"], "of what it publishes nothing was changed")
    try:
        homes = [releases.Home(item, wanted["python"]) for item in wanted["releases"]]
        for home in homes:
            if home.wanted.get("pinned") and home.id != home.current and home.unshared:
                module.warn(
                    "%s: the release %s is of before %s was shared: it has its own, and what was written since stays "
                    "in %s" % (home.name, home.id, ", ".join(home.unshared), home.shared)
                )
        found = state_of(module, wanted, homes)
    except (releases.ReleaseError, safe_path.UnsafePath, IOError, OSError) as error:
        module.fail_json(msg=str(error))
    found["idle"] = is_idle(found, wanted["digests"])
    if found["idle"]:
        found["answers"] = asking.answers([] if module.check_mode else wanted["questions"])
    return found


def look(module, wanted):
    """What publish_info returns; ``wanted``: its options. Ends the module where the host cannot take them."""
    if module.check_mode or not wanted["lock"]:
        return dict(look_at_all(module, wanted), held=None)
    lock, keep = PlayLock(wanted["lock"]["set"], wanted["lock"]["holder"], wanted["lock"]["scope"]), False
    try:
        held = lock.take(wanted["lock"]["dead"])
    except (IOError, OSError) as error:
        module.fail_json(msg=str(error))
    if held:
        return {"held": held}
    try:
        found = look_at_all(module, wanted)
        keep = not found["idle"]
    finally:
        # Also where what was asked about is refused.
        if not keep:
            lock.release()
    return dict(found, held=None)
