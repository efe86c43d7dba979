#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: publish_info
short_description: (internal) Tells in one round trip what of the applications is there already
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Names what the publish role has yet to do before it writes configuration; a run with nothing to do asks only once.
options:
  first_runs:
    description: What a first run makes of each application.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The application.
        type: str
        required: true
      dropins:
        description: The units' drop-ins; where one is there, the application is published.
        type: list
        elements: path
        required: true
      folders:
        description: Folders, that of the code first.
        type: list
        elements: path
        required: true
      files:
        description: Files.
        type: list
        elements: path
        required: true
      clones:
        description: What git has made of it, which goes with the first of O(first_runs[].folders).
        type: list
        elements: path
        required: true
      home:
        description: The folder of the application, whose records of releases are kept; this module fills it in.
        type: path
  accounts:
    description: Users that are to be there.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The user.
        type: str
        required: true
      group:
        description: Primary group of the user.
        type: str
        required: true
  members:
    description: Accounts that are to be members of a group.
    type: list
    elements: dict
    default: []
    suboptions:
      user:
        description: The account.
        type: str
        required: true
      group:
        description: The group.
        type: str
        required: true
  checkouts:
    description: As O(graceful.wsgi.releases#module:checkouts); not used by the module itself.
    type: dict
    default: {}
  git_user:
    description: As O(graceful.wsgi.releases#module:git_user); not used by the module itself.
    type: str
    default: wsgi-git
  python:
    description: As O(graceful.wsgi.releases#module:python).
    type: str
    default: ''
  keep:
    description: As O(graceful.wsgi.releases#module:keep).
    type: int
    default: 5
  binary:
    description: As O(graceful.wsgi.uwsgi_preflight#module:binary).
    type: path
    required: true
  bundles:
    description: Sets of files, as M(graceful.wsgi.file_bundle) takes them; the action plugin sends their names and
      O(digests).
    type: list
    elements: raw
    default: []
  digests:
    description: What is to stand of each of O(bundles); the action plugin fills it in.
    type: dict
    default: {}
  carried:
    description: As O(graceful.wsgi.file_bundle#module:carried); not used by the module itself.
    type: dict
    default: {}
  lock:
    description: The lock of the set, as M(graceful.wsgi.play_lock) takes it, which is taken before anything is asked.
      It stays taken where there is something to do, for the task that gives it back; check mode takes none.
    type: dict
    suboptions:
      set:
        description: The set.
        type: str
        required: true
      scope:
        description: As O(graceful.wsgi.play_lock#module:scope).
        type: str
        default: main
      timeout:
        description: As O(graceful.wsgi.play_lock#module:timeout).
        type: int
        default: 0
      holder:
        description: The run of Ansible; the action plugin fills it in.
        type: dict
        default: {}
      dead:
        description: Holders that are known to be gone; the action plugin fills it in.
        type: list
        elements: dict
        default: []
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
  - graceful.wsgi.questions
  - graceful.wsgi.checks
  - graceful.wsgi.served
  - graceful.wsgi.applications.releases
  - graceful.wsgi.applications.apps
  - graceful.wsgi.applications.instances
  - graceful.wsgi.applications.background
  - graceful.wsgi.applications.owner_changes
"""

EXAMPLES = r"""
- name: Gather the state of the applications
  graceful.wsgi.publish_info:
    accounts: [{name: wsgi, group: wsgi}]
    releases:
      - name: icmanage
        home: /srv/wsgi/icmanage
        source: "{{ playbook_dir }}/apps/icmanage"
    apps:
      - name: icmanage
        user: wsgi
        group: wsgi
        options: [[pythonpath, /srv/wsgi/icmanage/current], [module, manage]]
    binary: /opt/uwsgi/current/bin/uwsgi
  register: found

- name: Create the users that are missing
  ansible.builtin.user:
    name: "{{ item.name }}"
    group: "{{ item.group }}"
  loop: "{{ found.accounts }}"
"""

RETURN = r"""
idle:
  description: Whether nothing is to be done and each of O(bundles) stands as it is wanted. The questions have been put
    then, and the lock is given back.
  returned: success
  type: bool
answers:
  description: What M(graceful.wsgi.site_answers) returns of O(questions).
  returned: RV(idle) is true
  type: dict
held:
  description: Who holds the lock, where another run does; nothing else was asked then.
  returned: success
  type: dict
first_runs:
  description: Of O(first_runs) what is not there yet, without the applications that are published already; what
    M(graceful.wsgi.left_data) takes where the run fails.
  returned: success
  type: list
  elements: dict
accounts:
  description: The items of O(accounts) whose user is not there.
  returned: success
  type: list
  elements: dict
releases:
  description: For each application C(name), C(id), the live C(current), C(missing), C(changed) (its release or its
    virtualenv is yet to be made) and C(replace), as M(graceful.wsgi.releases) tells them.
  returned: success
  type: list
  elements: dict
deploy:
  description: Whether M(graceful.wsgi.releases) has something to put on the host.
  returned: success
  type: bool
switch:
  description: Whether M(graceful.wsgi.releases) has something to make live or to remove.
  returned: success
  type: bool
preflight:
  description: Applications that have not loaded in a preflight as they are wanted now.
  returned: success
  type: list
  elements: str
pending:
  description: Instances for which M(graceful.wsgi.uwsgi_instances) has something to do as things are.
  returned: success
  type: list
  elements: str
background:
  description: Applications whose workers and timers are not as O(background) has them; one that has them no more is
    among them, and one that a run has left half done.
  returned: success
  type: list
  elements: str
background_before:
  description: What O(apps) have of workers and timers before this run, as O(background); what
    M(graceful.wsgi.app_background) takes where the run fails.
  returned: success
  type: list
  elements: dict
members:
  description: Those of O(members) that are no members yet.
  returned: success
  type: list
  elements: dict
owner_changes:
  description: Those of O(owner_changes) whose instance has run as another account, with it as C(before).
  returned: success
  type: list
  elements: dict
open_code:
  description: Applications through whose folders of code other accounts than their own pass.
  returned: success
  type: list
  elements: str
unrecorded:
  description: Applications whose live release is not recorded as such, or not with what it is run with.
  returned: success
  type: list
  elements: str
bundles:
  description: For each of O(bundles) what O(graceful.wsgi.file_bundle#module:verified_digest) takes; empty where
    anything of the last set is another by now.
  returned: success
  type: dict
nginx_unread:
  description: Files that nginx reads and that are not as the running one has read them.
  returned: success
  type: list
  elements: str
wanted:
  description: As RV(graceful.wsgi.releases#module:wanted).
  returned: success
  type: list
  elements: dict
maintenance:
  description: Those of O(apps) that are in maintenance, for which nginx answers 503.
  returned: success
  type: list
  elements: str
before:
  description: As RV(graceful.wsgi.releases#module:before).
  returned: success
  type: list
  elements: dict
"""
