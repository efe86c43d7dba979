#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: file_bundle
short_description: Writes a set of files that is valid as a whole, or none of them
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Renders all files on the controller, sends them in one round trip, tries them on a staged copy and only then
    renames each into place. Where a validation or a write fails, what was live stays or is put back.
  - Symlinks are not followed; a run of the same bundle on the same host at the same time is refused.
  - A file that another bundle of the host wrote is refused, and so is one that is there, differs from what is wanted
    and was written by no bundle (see O(take_over)).
options:
  name:
    description: Names the bundle; its manifest is kept under C(/var/lib/graceful-wsgi/bundles/) on the host.
    type: str
    required: true
  directories:
    description: Folders that must be there; made before the validation, since programs test their log folders.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      mode:
        description: Octal mode, quoted.
        type: str
        default: '0755'
      owner:
        description: User name or number.
        type: str
        default: root
      group:
        description: Group name or number.
        type: str
        default: root
      force:
        description: Whether mode and owner of a folder that is there already are set. Without it only those of one that
          this run makes are; where the folder above is the owner's, it is made with the owner's rights.
        type: bool
        default: true
  files:
    description: Files that must be there.
    type: list
    elements: dict
    default: []
    suboptions:
      dest:
        description: Absolute path on the host.
        type: path
        required: true
      template:
        description: A template, searched as M(ansible.builtin.template) does; or give O(files[].content).
        type: str
      content:
        description: The text itself.
        type: str
      vars:
        description: Extra variables for the template.
        type: dict
        default: {}
      mode:
        description: Octal mode, quoted.
        type: str
        default: '0644'
      owner:
        description: User name or number.
        type: str
        default: root
      group:
        description: Group name or number.
        type: str
        default: root
      force:
        description: Whether a file that is there already is replaced. Without it the file is never pruned nor put back
          either, and it may lie in a folder of its owner's, with whose rights it is made then. All other files must
          lie where only root can change something.
        type: bool
        default: true
      secret:
        description: Whether it holds lines of C(NAME=value) whose values are nobody's to read. A diff then tells names,
          and which of them have another value by now.
        type: bool
        default: false
      belongs_to:
        description: What the file is a part of, by which RV(belongs_to) of a later run tells whose a stale file was.
        type: str
      validate:
        description: A command that judges a changed file before it goes live; C(%s) stands for the staged copy.
        type: str
      reader:
        description: The program that reads the file, such as C(logrotate). On a host that has neither the program nor
          the file it is left out, with a warning; the run after the program is installed writes it.
        type: str
  validate:
    description: Commands that judge a whole tree with all changes applied to a copy of it.
    type: list
    elements: dict
    default: []
    suboptions:
      tree:
        description: The live folder that is copied.
        type: path
        required: true
      command:
        description: The command; C({tree}) stands for the copy. It runs only if something below the tree changes.
        type: str
        required: true
  activate:
    description:
      - A command that makes running programs take up the files, run after the last file is in place. If it fails, all
        files are put back and it is run again. If the run is killed before all that, the next run makes up for it.
    type: str
  nginx_pid_file:
    description:
      - The pid file of the nginx that O(activate) reloads. O(activate) then counts as failed where its master goes on
        with the workers that it had, as it does without a word when an address is in use or a zone in shared memory
        has another key.
    type: path
  leave_to_others:
    description:
      - Folders of a tree. Where the tree is refused for what other bundles wrote there and for nothing else, this
        bundle's files of the tree are not written but returned as RV(left), for the task of a bundle that brings
        both; see O(carried). Internal to the roles of this collection.
    type: list
    elements: path
    default: []
  carried:
    description:
      - RV(left) of a task of another bundle; its files are tested and put in place together with this one's, in one
        step, and go back together. If the tree is only valid without them, they stay where they are. Internal to the
        roles of this collection.
    type: dict
    default: {}
  prune:
    description: Remove files that an earlier run of this bundle wrote and this one does not have. A file that has been
      edited or replaced since stays, with a warning.
    type: bool
    default: false
  remove:
    description: Paths that are to go, out of RV(stale) of an earlier task; the others that are stale stay. A file that
      has been edited or replaced since stays, with a warning.
    type: list
    elements: path
    default: []
  take_over:
    description:
      - Replace files that are not of this bundle too. What stood there is kept with mode and owner below
        C(/var/lib/graceful-wsgi/taken-over/), for root only, and another bundle that had it has it no more.
    type: bool
    default: false
  undo:
    description:
      - The RV(run) of an earlier run of this bundle, in place of O(files); puts back what was there before it, with
        mode and owner. Only the last run that changed something can be put back, and what has been edited since stays.
    type: str
  verified_digest:
    description: What an info module of this collection said of this bundle. Where it names the very set that is wanted,
      all of that stands on the host as it was written, and the host is not asked again. Internal to the roles of this
      collection.
    type: str
  digest:
    description: Names the wanted set; the action plugin fills it in. Internal to the module.
    type: str
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
    details: Validations whose program is not there yet, or that need folders not made yet, are left out and
      RV(validated) is false.
  diff_mode:
    description: Returns a diff of every change.
    support: full
    details: Values of a O(files[].secret) file are left out, and so is in any file what uWSGI's option C(env) says.
"""

EXAMPLES = r"""
- name: Write two server blocks that nginx accepts, or none
  graceful.wsgi.file_bundle:
    name: my-sites
    files:
      - dest: /etc/nginx/conf.d/a.conf
        template: a.conf.j2
      - dest: /etc/nginx/conf.d/b.conf
        content: "server { listen 81; return 204; }\n"
    validate:
      - tree: /etc/nginx
        command: /usr/sbin/nginx -t -q -c {tree}/nginx.conf
    # Files of an earlier run that are named no more go, in the same step.
    prune: true
    activate: systemctl reload nginx

- name: Write a service that systemd takes, and its timer
  graceful.wsgi.file_bundle:
    name: backup
    files:
      - dest: /etc/systemd/system/backup.service
        content: |
          [Service]
          Type=oneshot
          ExecStart=/usr/local/bin/backup
        validate: systemd-analyze verify %s
      - dest: /etc/systemd/system/backup.timer
        content: |
          [Timer]
          OnCalendar=daily
          [Install]
          WantedBy=timers.target
    activate: systemctl daemon-reload

- name: Change what two programs must agree on, and put it back where they do not
  block:
    - name: Write both ends
      graceful.wsgi.file_bundle:
        name: queue
        files:
          - dest: /etc/broker/queue.conf
            template: broker.conf.j2
          - dest: /etc/worker/queue.conf
            template: worker.conf.j2
            mode: '0640'
            group: worker
      register: written

    - name: Restart the worker
      ansible.builtin.systemd_service:
        name: worker
        state: restarted
      when: written.run is not none
  rescue:
    - name: Put back what was there before
      graceful.wsgi.file_bundle:
        name: queue
        undo: "{{ written.run }}"
"""

RETURN = r"""
files:
  description: What became of each file, a mapping of C(dest) and C(state) (created, changed, removed or unchanged).
  returned: success
  type: list
  elements: dict
directories:
  description: What became of each folder, a mapping of C(path) and C(state).
  returned: success
  type: list
  elements: dict
stale:
  description: Files that earlier runs of this bundle wrote, that are still there, and that this one did not want.
  returned: success
  type: list
  elements: str
taken:
  description: Files that O(take_over) replaced though they were not of this bundle.
  returned: success
  type: list
  elements: str
others:
  description: The files of all other bundles of this host, where there is something RV(stale).
  returned: success
  type: list
  elements: str
belongs_to:
  description: O(files[].belongs_to) of stale files and those of other bundles, where there is something RV(stale) and a
    run of this version wrote it.
  returned: success
  type: dict
left:
  description: What O(leave_to_others) has left, empty where nothing is; C(message) tells why.
  returned: success
  type: dict
carried:
  description: Whether O(carried) was put in place, or was so before.
  returned: success
  type: bool
run:
  description: Names this run for O(undo); null where it changed no file.
  returned: success
  type: str
kept:
  description: Files that O(prune) or O(undo) left alone because they are not as this bundle wrote them.
  returned: success
  type: list
  elements: str
validated:
  description: Whether every validation that was due has run.
  returned: success
  type: bool
"""

from ansible_collections.graceful.wsgi.plugins.module_utils import ownership
from ansible_collections.graceful.wsgi.plugins.module_utils.bundle_entries import BundleError
from ansible_collections.graceful.wsgi.plugins.module_utils.bundle_task import SPEC, Task
from ansible_collections.graceful.wsgi.plugins.module_utils.unlogged import AnsibleModule

UNREAD = (
    "this host has no %(reader)s, and %(dest)s, which nothing else reads, is not written: what it would rotate grows"
    " without end. Install %(reader)s; the next run writes the file"
)


def main():
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    given = module.params
    if given["undo"] is not None and (given["files"] or given["prune"] or given["remove"]):
        module.fail_json(msg="undo: puts back what was there before a run; leave files, prune and remove out")
    task = Task(module)
    for item in task.unread:
        module.warn(UNREAD % item)
    try:
        bundle = task.bundle()
        bundle.run()
    except BundleError as error:
        module.fail_json(msg=str(error))
    result = bundle.report()
    for path in bundle.kept:
        module.warn("%s is not as this bundle wrote it: it stays, and is yours now" % path)
    for path in sorted(bundle.taken):
        module.warn(ownership.farewell(path, bundle.taken[path], module.check_mode))
    if module._diff:
        result["diff"] = bundle.diff()
    module.exit_json(**result)


if __name__ == "__main__":
    main()
