#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: uwsgi_instances
short_description: (internal) Sees to it that uWSGI instances run what is on the disk
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Enables and starts units that do not run, restarts those whose unit changed and reloads those whose configuration
    or code changed since their master took it up, all instances in one task; then waits until all workers are up.
  - A reload is that of M(graceful.wsgi.uwsgi_reload), worker by worker where only the code changed.
  - Where nginx reaches an instance by O(instances[].link), a changed unit or configuration has a second generation of
    it serve while the first is drained and restarted; elsewhere that is a plain restart, or SIGHUP.
  - What a master has taken up is noted under C(/run/graceful-wsgi), so that a reload that an interrupted run still
    owed is made up for.
  - A second run on the same host waits for the first as long as O(timeout) says.
options:
  changed_files:
    description: Files that an earlier task changed or, in check mode, would have changed.
    type: list
    elements: path
    default: []
  renew:
    description:
      - Whether instances that are up to date are reloaded too. Check mode and RV(instances) then tell of a V(reload),
        or of a V(restart) where a second generation serves meanwhile.
    type: bool
    default: false
  absent:
    description:
      - Names of instances that are to be no more. C(uwsgi@NAME.service) is stopped, after the requests that it is busy
        with, and disabled, and the link C(/run/wsgi/NAME.sock) is removed. Other files are left alone.
    type: list
    elements: str
    default: []
  best_effort:
    description: Whether one that fails holds up no other. The module then fails at the end, with RV(failed_instances).
    type: bool
    default: false
  timeout:
    description: Seconds within which all instances must be up; in a reload each worker has as long.
    type: int
    default: 60
  unchanged:
    description: Files of sites that nginx has as they are wanted. A question of O(questions) about another site is left
      to M(graceful.wsgi.site_answers), once nginx has that site.
    type: list
    elements: path
    default: []
notes:
  - What of O(questions) asks an instance that has become another is put as soon as it has. An answer that is wrong for
    a second and a half ends the work and is returned as RV(refused); the task does not fail, since who asked knows what
    to go back to.
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.applications.instances
  - graceful.wsgi.questions
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Says what each instance needs.
    support: full
"""

EXAMPLES = r"""
- name: Bring one instance up to date
  graceful.wsgi.uwsgi_instances:
    instances:
      - name: icmanage
        unit: uwsgi@icmanage.service
        config: /etc/uwsgi/icmanage.ini
        pidfile: /run/uwsgi-icmanage/pid
        socket: /run/uwsgi-icmanage/sock
        processes: 4

- name: End another one
  graceful.wsgi.uwsgi_instances:
    absent: [zabbix]
"""

RETURN = r"""
instances:
  description: What was done to each, a mapping of its name to V(start), V(restart), V(reload), V(link) (nginx was
    not led to it), V(stop) or V(nothing).
  returned: success
  type: dict
refused:
  description: Answers that were wrong, as RV(graceful.wsgi.site_answers#module:refused).
  returned: success
  type: list
  elements: dict
told:
  description: As RV(graceful.wsgi.site_answers#module:told).
  returned: success
  type: list
  elements: str
asked:
  description: Which questions were put, as O(graceful.wsgi.site_answers#module:asked) takes it.
  returned: success
  type: list
  elements: str
since:
  description: Since when instances that have become others serve as they are now, by name, in seconds since 1970.
  returned: success
  type: dict
now:
  description: When the task ended.
  returned: always
  type: float
failed_instances:
  description: The names of those for which something could not be done; the message says why.
  returned: with O(best_effort), where some failed
  type: list
  elements: str
"""

import os
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    causes,
    journal,
    secret_values,
    visitor,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import STATE_DIR
from ansible_collections.graceful.wsgi.plugins.module_utils.http_client import fetch
from ansible_collections.graceful.wsgi.plugins.module_utils.instances import (
    SPEC,
    Instance,
    InstanceError,
    Instances,
    former,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.module_calls import systemctl_of
from ansible_collections.graceful.wsgi.plugins.module_utils.unlogged import AnsibleModule
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_reloading import (
    DEFAULTS,
    Lock,
    ReloadError,
    reload_all,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.visits import Unanswered, Visits

BUSY = "another run is bringing applications on this host up to date; wait for it, run again"


def reloader(instances, timeout, visits=None):
    """Reload gracefully; the code was preflighted before it went live."""

    def after(item):
        def see(since):
            try:
                visits.see(item.name, since)
            except Unanswered as error:
                raise ReloadError(str(error))

        return see if visits else None

    wanted = [
        dict(
            DEFAULTS,
            name=item.name,
            pid=item.pid,
            pidfile=item.wanted["pidfile"],
            config=item.wanted["config"],
            strategy=item.strategy,
            preflight=False,
            probe=item.wanted["probe"],
            timeout=timeout,
            after=after(item),
            stop=visits.stops if visits else None,
        )
        for item in instances
    ]
    began = time.time()
    failed, told = [], []
    results = reload_all(wanted, fetch, 4)
    if visits and visits.refused:
        raise Unanswered(visits.refused[0]["msg"])
    for number, result in enumerate(results):
        item = instances[number]
        told += ["%s: %s was not done in time and was ended" % (item.name, what) for what in result.get("cut_off", [])]
        if result["failed"]:
            # An instance without a log of its own writes to the journal.
            log = result.get("log") or ("" if item.wanted["log_file"] else journal.said(item.unit, began))
            values = secret_values.of_units(item.wanted["unit_files"], [item.wanted["probe"].get("host")])
            said = secret_values.mask("%s\n%s" % (result["msg"], log), values)
            # It names the instance already.
            failed.append((item.name, said[len(item.name) + 2:] if said.startswith(item.name + ": ") else said))
    if failed:
        raise InstanceError(causes.message(failed))
    return told


def would_do(work, gone):
    """What there is to do for each instance, in check mode."""
    gone.look()
    done = dict((item.name, item.needs()) for item in work.instances)
    done.update((item.name, "stop" if item.is_there else "nothing") for item in gone.instances)
    return done


def do(work, gone, timeout, best_effort):
    """What was done for each instance, and with ``best_effort`` why it was not for some."""
    with Lock(os.path.join(STATE_DIR, "instances"), time.time() + timeout, BUSY):
        if not best_effort:
            done = work.apply(timeout)
            done.update(gone.end())
            return done, {}
        done, failed = work.each(lambda some: some.apply(timeout), [ReloadError])
        ended, not_ended = gone.each(lambda some: some.end(), [ReloadError])
        done.update(ended)
        failed.update(not_ended)
        return done, failed


def main():
    module = AnsibleModule(
        argument_spec={
            "instances": SPEC,
            "absent": {"type": "list", "elements": "str", "default": []},
            "renew": {"type": "bool", "default": False},
            "best_effort": {"type": "bool", "default": False},
            "changed_files": {"type": "list", "elements": "path", "default": []},
            "unchanged": {"type": "list", "elements": "path", "default": []},
            "questions": visitor.SPEC,
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    given = module.params
    systemctl = systemctl_of(module)
    pending = given["changed_files"] if module.check_mode else []
    chosen = [Instance(wanted, pending, given["renew"]) for wanted in given["instances"]]
    visits = Visits(given["questions"], given["unchanged"])
    work = Instances(chosen, systemctl, lambda some, limit: reloader(some, limit, visits), visits=visits)
    gone = Instances([Instance(former(name)) for name in given["absent"]], systemctl, reloader)
    done, failed = {}, {}
    try:
        work.look()
        not_enabled = set(item.name for item in work.instances if not item.enabled)
        if module.check_mode:
            done = would_do(work, gone)
        else:
            done, failed = do(work, gone, given["timeout"], given["best_effort"])
    except Unanswered:
        module.exit_json(changed=True, instances={}, **visits.result())
    except (InstanceError, ReloadError) as error:
        module.fail_json(msg=str(error), now=time.time())
    for text in work.told + gone.told:
        module.warn(text)
    changed = dict((name, what) for name, what in done.items() if what != "nothing" or name in not_enabled)
    after = [
        "%s: %s%s\n" % (name, "enable, " if name in not_enabled else "", changed[name]) for name in sorted(changed)
    ]
    if failed:
        module.fail_json(
            msg=causes.message(sorted(failed.items())),
            changed=bool(changed),
            instances=done,
            failed_instances=sorted(failed),
            now=time.time(),
        )
    module.exit_json(
        changed=bool(changed),
        instances=done,
        diff={"before": "", "after": "".join(after), "after_header": "uWSGI instances"},
        **visits.result()
    )


if __name__ == "__main__":
    main()
