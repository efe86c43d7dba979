#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: site_answers
short_description: (internal) Asks sites and applications as a visitor would, and says what is wrong with their answers
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Puts each question once, through nginx (with the name as Host and in the TLS handshake, on the port and path of
    the site) or over the application's own socket. An answer that is wrong is asked for again for a second and a half.
  - Wrong are a status of 500 or more, no answer at all, an empty page whose code failed as it was sent, and whatever
    the question does not take. Other statuses than 200, such as redirects, are told.
  - The task does not fail over a wrong answer, since who asked knows what to go back to.
options:
  asked:
    description: Questions that were put already in this run, as RV(asked).
    type: list
    elements: str
    default: []
  touched:
    description: Instances and files of sites that this run has changed. A wrong answer about others is returned as
      RV(already_broken).
    type: list
    elements: str
    default: []
  created:
    description: Those files of sites among them that were not there before, so that no visitor came earlier.
    type: list
    elements: str
    default: []
  since:
    description: Since when instances serve as they are now, by name, in seconds since 1970.
    type: dict
    default: {}
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.questions
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
    details: Nothing is asked, since nothing has changed.
  diff_mode:
    description: Returns a diff.
    support: none
"""

EXAMPLES = r"""
- name: See whether the site answers
  graceful.wsgi.site_answers:
    questions:
      - app: shop
        nginx: 127.0.0.1:443
        tls: true
        host: shop.example.com
        path: /
  register: found
  failed_when: found.already_broken | length > 0
"""

RETURN = r"""
refused:
  description: Answers that were wrong about what the run has changed, each with C(app), what was C(asked), a C(msg),
    its C(cause) as the application's log or nginx's tells it, since when it may have come (C(since)), and when that was
    C(decided), in seconds since 1970.
  returned: always
  type: list
  elements: dict
already_broken:
  description: Answers that were wrong about what the run has not changed, likewise.
  returned: always
  type: list
  elements: dict
told:
  description: A line for each other answer that is neither a page nor wrong.
  returned: always
  type: list
  elements: str
asked:
  description: Which questions were put.
  returned: always
  type: list
  elements: str
"""

import os

from ansible_collections.graceful.wsgi.plugins.module_utils import asking, layout, nginx_master, procfs, visitor
from ansible_collections.graceful.wsgi.plugins.module_utils.unlogged import AnsibleModule

NGINX_PIDFILE = layout.NGINX_PIDFILE
# How long nginx may take to read what it was told to reload.
RELOAD = 20


def await_nginx(files):
    """Until nginx's workers have read these files: a reload is under way when whoever asked for it goes on."""
    written = [os.stat(path).st_mtime for path in files if os.path.exists(path)]
    if not written:
        return

    def are_new():
        try:
            master = nginx_master.read_master(NGINX_PIDFILE)
        except nginx_master.MasterError:
            return True
        workers = nginx_master.workers(master) if master else []
        return not master or (workers and all(procfs.started_at(pid) >= max(written) for pid in workers))

    nginx_master.wait(are_new, RELOAD)


def main():
    module = AnsibleModule(
        argument_spec={
            "questions": visitor.SPEC,
            "asked": {"type": "list", "elements": "str", "default": []},
            "touched": {"type": "list", "elements": "str", "default": []},
            "created": {"type": "list", "elements": "str", "default": []},
            "since": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    if not module.check_mode:
        await_nginx([name for name in wanted["touched"] if name.startswith("/")])
    questions = [] if module.check_mode else wanted["questions"]
    about = [wanted[name] for name in ("asked", "touched", "created", "since")]
    module.exit_json(changed=False, **asking.answers(questions, *about))


if __name__ == "__main__":
    main()
