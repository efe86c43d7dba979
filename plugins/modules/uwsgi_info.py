#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: uwsgi_info
short_description: Tells by its pidfile what of uWSGI runs, how busy it is, and since when it has its code
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Reads the pidfile strictly, proves by C(/proc) that the process is the uWSGI master which this pidfile belongs to,
    and tells what C(/proc), the configuration and the stats server say of it, whoever deployed it.
  - Changes nothing and signals nobody. An instance that does not run, or a pidfile that leads elsewhere, is an answer
    and no failure.
  - What nothing tells is null. Without a stats server (C(stats) in the instance's configuration) that is what uWSGI
    counts.
options:
  pidfile:
    description: The instance's pidfile, as its configuration names it. Or give O(instances).
    type: path
  instances:
    description: Several instances in one task.
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
      config:
        description: As O(config), which counts where an instance does not say it for itself.
        type: path
  config:
    description: The instance's configuration, where its command line does not name it.
    type: path
extends_documentation_fragment:
  - graceful.wsgi.attributes
notes:
  - Python 2.7 or newer on the host, standard library only.
  - Of another user's processes only root may see all; without that right the configuration may have to be given, and
    paths are null.
seealso:
  - module: graceful.wsgi.uwsgi_reload
"""

EXAMPLES = r"""
- name: Look at an uWSGI that somebody else deployed, started with `uwsgi --ini /home/wyz/flask/uwsgiconfig.ini`
  graceful.wsgi.uwsgi_info:
    pidfile: /home/wyz/flask/uwsgi.pid
  register: found

- name: Say how it is
  ansible.builtin.debug:
    msg: >-
      {{ 'uWSGI %s, %s of %s workers busy' | format(it.version, it.busy, it.workers | length)
      if it.running else it.why }}
  vars:
    it: "{{ found.instances[0] }}"

- name: Look at the code that was deployed
  ansible.builtin.stat:
    path: /srv/code/shop/manage.py
  register: code

- name: Look at the shop
  graceful.wsgi.uwsgi_info:
    pidfile: /run/uwsgi/shop.pid
  register: shop

- name: See that every worker has loaded that code, and the master its configuration
  ansible.builtin.assert:
    that:
      - shop.instances[0].running
      - shop.instances[0].config_changed is false
      # Null, where nothing tells, is no proof.
      - shop.instances[0].code_loaded | default(0, true) >= code.stat.mtime

- name: Look at several instances
  graceful.wsgi.uwsgi_info:
    instances:
      - name: shop
        pidfile: /run/uwsgi/shop.pid
      - name: blog
        pidfile: /run/uwsgi-blog/pid
  register: all_of_them

- name: See that each of them runs
  ansible.builtin.assert:
    that: all_of_them.instances | rejectattr('running') | length == 0
    fail_msg: "{{ all_of_them.instances | rejectattr('running') | map(attribute='why') | join('\n') }}"
"""

RETURN = r"""
instances:
  description: What is told of each instance, in the order in which they were given; every key is always there.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The name that was given, or null.
      type: str
    pidfile:
      description: The pidfile that was given.
      type: str
      sample: /run/uwsgi-shop/pid
    running:
      description: Whether the pidfile leads to a master that is its own. If not, all that follows is null or empty.
      type: bool
    why:
      description: Why not, or null.
      type: str
      sample: "/run/uwsgi-shop/pid: is stale, there is no process 4711"
    master_pid:
      description: The master's pid.
      type: int
    master_started:
      description:
        - When its process started, in seconds since the epoch; under Python 2.7 up to a second early. SIGHUP does not
          change it.
      type: float
      sample: 1795389259.67
    uptime:
      description: Seconds since then.
      type: float
    version:
      description: uWSGI's version, as the stats server says.
      type: str
      sample: 2.0.31
    executable:
      description: The program, as it was named when it started.
      type: str
      sample: /opt/uwsgi/2.0.31-3.11/bin/uwsgi
    user:
      description: The master's effective user, C(uid) and C(name), the latter null where the host has none for it.
      type: dict
      sample: {uid: 33, name: www-data}
    folder:
      description: Working folder of the master.
      type: str
    config:
      description: Configuration file of the master, or null where its command line is all of it.
      type: str
      sample: /etc/uwsgi/shop.ini
    config_changed:
      description:
        - Whether that file (not those that it includes) is newer than the master's last reading of it. Null where
          nothing tells, which can be after a SIGHUP where the stats server has no unix socket.
      type: bool
    sockets:
      description:
        - The C(protocol) and C(address) of each socket that serves requests, as the stats server says, else as the
          configuration does.
      type: list
      elements: dict
      sample: [{protocol: uwsgi, address: /run/uwsgi-shop/sock}]
    stats:
      description: The address of the stats server, or null.
      type: str
      sample: /run/uwsgi-shop/stats
    stats_answered:
      description: Whether the stats server answered, and for this master.
      type: bool
    listen_queue:
      description:
        - How many connections wait to be accepted, the longest queue of all TCP sockets. Null where there are only unix
          sockets, of which uWSGI does not know.
      type: int
    listen_queue_errors:
      description: As uWSGI says; 2.0.31 says 0 whatever happens.
      type: int
    requests:
      description: How many requests the workers have served since the master's start or its last SIGHUP.
      type: int
    exceptions:
      description: How many exceptions the workers' applications have raised in that time.
      type: int
    busy:
      description: Number of workers that serve a request.
      type: int
    idle:
      description: Number of workers that wait for a request.
      type: int
    cheap:
      description: Number of workers that do not run until they are needed (cheaper).
      type: int
    workers:
      description:
        - The workers in uWSGI's order. Without a stats server these are the master's forks, in the order of their pids,
          and routers, mules and spoolers cannot be told from workers.
      type: list
      elements: dict
      contains:
        id:
          description: Number of the worker, from 1.
          type: int
        pid:
          description: Pid of the worker; null where it does not run.
          type: int
        status:
          description: V(idle), V(busy), V(cheap), V(pause), or V(sig) with the number of the uWSGI signal it handles.
          type: str
        accepting:
          description: Whether the worker accepts requests.
          type: bool
        requests:
          description: How many requests the worker has served, those of the processes that had its number before
            among them.
          type: int
        exceptions:
          description: How many exceptions the worker's applications have raised.
          type: int
        harakiri_count:
          description: How often the worker was ended because a request took too long.
          type: int
        avg_rt:
          description: The worker's mean response time in milliseconds, recent requests counting most.
          type: float
        last_spawn:
          description: When uWSGI started it last, in seconds since the epoch.
          type: int
        respawn_count:
          description: How often uWSGI has started the worker, 1 being its first start.
          type: int
        rss:
          description: Memory that it holds, in bytes, by C(/proc).
          type: int
        vsz:
          description: The worker's address space in bytes, by C(/proc).
          type: int
        loaded:
          description:
            - When its code began to be loaded, in seconds since the epoch, good to a second. With C(lazy-apps) that is
              the worker's start; without, the master loads it once for all, at its start or its last SIGHUP, and a
              worker that is started anew has the same code as before.
            - Null where nothing tells, as when RV(instances[].config_changed) is not V(false), since the configuration
              says whether it is lazy; or without C(lazy-apps) after a SIGHUP, if there is no stats server.
          type: float
    code_loaded:
      description: The oldest C(loaded) of all workers that run; null if one of them is.
      type: float
      sample: 1795389260.12
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_state import look


def main():
    module = AnsibleModule(
        argument_spec={
            "pidfile": {"type": "path"},
            "instances": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "name": {"type": "str"},
                    "pidfile": {"type": "path", "required": True},
                    "config": {"type": "path"},
                },
            },
            "config": {"type": "path"},
        },
        mutually_exclusive=[["pidfile", "instances"]],
        required_one_of=[["pidfile", "instances"]],
        supports_check_mode=True,
    )
    wanted = module.params["instances"]
    if wanted is None:
        wanted = [{"name": None, "pidfile": module.params["pidfile"], "config": None}]
    # One after the other, since a process is looked at with the eyes of its own user.
    found = [look(dict(item, config=item["config"] or module.params["config"])) for item in wanted]
    module.exit_json(changed=False, instances=found)


if __name__ == "__main__":
    main()
