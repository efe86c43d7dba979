#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: uwsgi_reload
short_description: Reloads uWSGI gracefully by its pidfile, after the new code has proved that it loads
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Reads the pidfile strictly, proves by C(/proc) that the process is the uWSGI master which this pidfile belongs to,
    loads the new code in a throw-away process, and only then reloads; waits until every worker is new and accepting,
    then probes.
  - C(uwsgi --reload PIDFILE) signals whatever number it finds and returns 0; a graceful reload of code that does not
    import ends the site. This module does neither.
  - The configuration is read with the rights of the master's own account, so that nothing of the host is shown through
    it that the account cannot read itself. A configuration that only root can change may be readable for root alone
    where O(config) names it.
  - The throw-away process runs in a systemd unit of its own with the settings of the unit that the master runs in
    (sandbox, limits, environment, credentials, folders) and the account of its workers, and ends with its cgroup. For
    a master that no unit of the system has started (by hand, by cron, under another supervisor) it is a child of the
    module, with the master's environment and the account of its workers, without a sandbox or limits; whatever it has
    started ends with it there too. M(graceful.wsgi.uwsgi_preflight) says what systemd 219 cannot do.
  - A vassal of an emperor is reloaded by its own pidfile; its configuration is looked for where the emperor has found
    it. An emperor itself is left alone, since its reload would end all vassals at once.
  - uWSGI cuts off a request that a worker has accepted a moment before it gets its SIGHUP. Workers are therefore
    stopped for a moment first (SIGSTOP, some milliseconds) and signalled when none of them holds such a request.
  - A worker that still loads its code, for a reload that was given up or killed, takes SIGHUP for its master's and has
    all others end at once. It has accepted nothing and is killed (SIGKILL), before any that serves is replaced.
options:
  pidfile:
    description: The instance's pidfile, as its configuration names it. Or give O(instances).
    type: path
  instances:
    description: Several instances in one task. What one does not say for itself is said for all beside O(instances).
    type: list
    elements: dict
    suboptions:
      name:
        description: Names the instance for whoever reads the result.
        type: str
      pidfile:
        description: As O(pidfile).
        type: path
        required: true
      strategy:
        description: As O(strategy).
        type: str
        choices: [auto, chain, hup, stop]
      config:
        description: As O(config).
        type: path
      preflight:
        description: As O(preflight).
        type: bool
      preflight_timeout:
        description: As O(preflight_timeout).
        type: int
      preflight_config:
        description: As O(preflight_config).
        type: path
      preflight_replace:
        description: As O(preflight_replace).
        type: dict
      probe:
        description: As O(probe).
        type: dict
        suboptions:
          url:
            description: As O(probe.url).
            type: str
          path:
            description: As O(probe.path).
            type: str
          host:
            description: As O(probe.host).
            type: str
          tls:
            description: As O(probe.tls).
            type: bool
            default: false
          status:
            description: As O(probe.status).
            type: list
            elements: int
            default: [200]
          text:
            description: As O(probe.text).
            type: str
      timeout:
        description: As O(timeout).
        type: int
  strategy:
    description:
      - V(chain) replaces one worker after the other and needs C(lazy-apps), and C(stats) or C(master-fifo); without
        C(stats) it is uWSGI's own chain reload, which can cut off a request. V(hup) has the master
        re-execute itself and read its configuration anew, over the same sockets. V(auto) takes V(chain) where the
        instance can and its configuration did not change since it read it, else V(hup).
      - A chain reload leaves mules, spoolers, attached daemons and crons as they are, so that an instance with any of
        them is reloaded by V(hup), and V(chain) is refused. A spooler ends its task first, and no other one begins;
        mules are waited for until they have done what they were sent, as long as O(timeout) says. Attached daemons are
        ended before new ones begin, those with a pidfile too. What does not stay up afterwards fails the task.
      - V(stop) ends the instance and waits until it is gone. With C(master-fifo), or SIGTERM bound to
        C(gracefully_kill_them_all), it ends the requests that it is busy with first; else SIGINT cuts them.
    type: str
    choices: [auto, chain, hup, stop]
    default: auto
  config:
    description: The instance's configuration, where its command line does not name it.
    type: path
  preflight:
    description: Load the code in a throw-away process first; if it does not load, no live worker is touched.
    type: bool
    default: true
  preflight_timeout:
    description: Seconds within which the code must load.
    type: int
    default: 60
  preflight_config:
    description: Another configuration to preflight, one that is not in place yet.
    type: path
  preflight_replace:
    description: Paths to be looked at elsewhere during the preflight, such as a release that is not live yet.
    type: dict
    default: {}
  probe:
    description: A request that must hold after the reload; a C(path) is asked during the preflight too, and judged
      alike. What is answered wrongly for a second and a half is wrong.
    type: dict
    default: {}
    suboptions:
      url:
        description: An http or https address.
        type: str
      path:
        description: A path that is asked for over the instance's own uwsgi or http socket.
        type: str
      host:
        description: The host name to ask for.
        type: str
      tls:
        description: Whether the application is told that the visitor came by HTTPS, where a O(probe.path) is asked for.
        type: bool
        default: false
      status:
        description: The statuses that are fine.
        type: list
        elements: int
        default: [200]
      text:
        description: Text that must be in the answer.
        type: str
  timeout:
    description: Seconds that each worker has to end and its successor to accept requests; they begin anew with every
      one that does. The probe must hold within the last ones.
    type: int
    default: 120
  parallel:
    description: Number of instances that are reloaded at the same time.
    type: int
    default: 4
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
    details: Everything up to the signal is done, the preflight among it.
  diff_mode:
    description: Returns a diff.
    support: none
notes:
  - Python 2.7 or newer on the host, standard library only.
"""

EXAMPLES = r"""
- name: Reload an uWSGI that somebody else deployed, started with `uwsgi --ini /home/wyz/flask/uwsgiconfig.ini`
  graceful.wsgi.uwsgi_reload:
    pidfile: /home/wyz/flask/uwsgi.pid

- name: Reload it and see that the site still answers
  graceful.wsgi.uwsgi_reload:
    pidfile: /run/uwsgi/shop.pid
    probe:
      url: http://127.0.0.1/
      host: shop.example.com

- name: Reload several instances, two at a time, each asked for its own page
  graceful.wsgi.uwsgi_reload:
    instances:
      - pidfile: /run/uwsgi/shop.pid
        probe:
          path: /healthz
      - pidfile: /run/uwsgi/blog.pid
        # Its command line does not name it.
        config: /etc/uwsgi/blog.ini
        probe:
          path: /
          host: blog.example.com
          text: Latest posts
    parallel: 2

- name: End an instance by its pidfile
  graceful.wsgi.uwsgi_reload:
    pidfile: /home/wyz/flask/uwsgi.pid
    strategy: stop
"""

RETURN = r"""
results:
  description:
    - For each instance C(pidfile), C(master_pid), C(workers_before), C(workers_after), the C(strategy) that was taken,
      what C(preflight) and C(probe) gave, C(elapsed) seconds, C(changed), C(failed), and on failure C(msg) and the end
      of the instance's C(log).
    - C(quiet) says whether every signal came while no worker held a request that it would cut off, and C(cut_off)
      which spoolers and mules were not done with their work within the time limit.
  returned: always
  type: list
  elements: dict
master_pid:
  description: The master's pid; it stays over a good reload. With O(pidfile) only, as are the other keys of a result.
  returned: with O(pidfile)
  type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.graceful.wsgi.plugins.module_utils.http_client import fetch
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_reloading import DEFAULTS, reload_all

PROBE = {
    "url": {"type": "str"},
    "path": {"type": "str"},
    "host": {"type": "str"},
    "tls": {"type": "bool", "default": False},
    "status": {"type": "list", "elements": "int", "default": [200]},
    "text": {"type": "str"},
}
# What an instance of a list may say for itself; what it leaves out is said for all beside the list.
EACH = {
    "pidfile": {"type": "path"},
    "strategy": {"type": "str", "choices": ["auto", "chain", "hup", "stop"], "default": "auto"},
    "config": {"type": "path"},
    "preflight": {"type": "bool", "default": True},
    "preflight_timeout": {"type": "int", "default": 60},
    "preflight_config": {"type": "path"},
    "preflight_replace": {"type": "dict", "default": {}},
    "probe": {"type": "dict", "default": {}, "options": PROBE},
    "timeout": {"type": "int", "default": 120},
}


INSTANCE = dict(
    ((name, dict((key, value) for key, value in spec.items() if key != "default")) for name, spec in EACH.items()),
    pidfile={"type": "path", "required": True},
    name={"type": "str"},
)


def main():
    module = AnsibleModule(
        argument_spec=dict(
            EACH,
            instances={"type": "list", "elements": "dict", "options": INSTANCE},
            parallel={"type": "int", "default": 4},
        ),
        mutually_exclusive=[["pidfile", "instances"]],
        required_one_of=[["pidfile", "instances"]],
        supports_check_mode=True,
    )
    common = dict((name, module.params[name]) for name in EACH)
    wanted = [common]
    if module.params["instances"] is not None:
        wanted = [
            dict(common, **dict((name, value) for name, value in item.items() if value is not None))
            for item in module.params["instances"]
        ]
    wanted = [dict(DEFAULTS, **item) for item in wanted]
    results = reload_all(wanted, fetch, module.params["parallel"], module.check_mode)
    for result in results:
        for what in result.get("cut_off", []):
            module.warn("%s: %s was not done in time and was ended" % (result["pidfile"], what))
    failed = [result for result in results if result["failed"]]
    summary = {
        "changed": any(result["changed"] for result in results),
        "results": results,
    }
    if module.params["instances"] is None:
        summary.update((key, value) for key, value in results[0].items() if key not in ("changed", "failed", "msg"))
    if failed:
        module.fail_json(msg="\n".join(result["msg"] for result in failed), **summary)
    module.exit_json(**summary)


if __name__ == "__main__":
    main()
