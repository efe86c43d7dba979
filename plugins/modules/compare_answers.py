#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: compare_answers
short_description: (internal) Asks an old stack and ours the same, and says where their answers differ
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Asks the old stack twice and the new one once, with C(GET) and C(HEAD) only. What differs between the two answers of
    the old one is told as varying by itself. Changes nothing.
options:
  requests:
    description: What is asked.
    type: list
    elements: dict
    required: true
    suboptions:
      host:
        description: The name that is asked for.
        type: str
        required: true
      path:
        description: The path.
        type: str
        required: true
      method:
        description: The method.
        type: str
        choices: [GET, HEAD]
        default: GET
      tls:
        description: Whether TLS is spoken.
        type: bool
        default: false
      proxy_protocol:
        description: Whether the header of the PROXY protocol comes first.
        type: bool
        default: false
      port:
        description: The port that a visitor of the old stack uses.
        type: int
      old:
        description: Where the old stack listens.
        type: str
        required: true
      new:
        description: Where ours listens.
        type: str
      folder:
        description: A folder of static files behind the path, of which two are asked for too.
        type: path
  record:
    description: A file of root's that keeps the answers of the old stack.
    type: path
  against:
    description: Such a file, instead of asking the old stack; O(requests[].old) is asked then as the new one.
    type: path
  known:
    description: Answers by their requests, as RV(answers) has told them, instead of O(against).
    type: dict
  tell:
    description: Whether RV(answers) is returned.
    type: bool
    default: false
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
"""

EXAMPLES = r"""
- name: Compare both stacks
  graceful.wsgi.compare_answers:
    requests:
      - host: shop.example.com
        path: /
        port: 80
        old: 127.0.0.1:80
        new: 127.0.0.1:8080
"""

RETURN = r"""
count:
  description: How many requests were compared.
  returned: success
  type: int
differences:
  description: What differs, with C(request), C(part), C(old) and C(new).
  returned: success
  type: list
  elements: dict
varying:
  description: What differs between two answers of the old stack itself, by request.
  returned: success
  type: dict
answers:
  description: What the old stack answered, with the C(question), the C(first) answer and what C(varies) by itself.
    Values that give a visitor's rights are told by their digests.
  returned: with O(tell)
  type: list
  elements: dict
"""

import functools
import json

from ansible_collections.graceful.wsgi.plugins.module_utils import answers, whole_files
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.parallel import run_all
from ansible_collections.graceful.wsgi.plugins.module_utils.unlogged import AnsibleModule

PARALLEL = 4
REQUEST = {
    "host": {"type": "str", "required": True},
    "path": {"type": "str", "required": True},
    "method": {"type": "str", "choices": ["GET", "HEAD"], "default": "GET"},
    "tls": {"type": "bool", "default": False},
    "proxy_protocol": {"type": "bool", "default": False},
    "port": {"type": "int"},
    "old": {"type": "str", "required": True},
    "new": {"type": "str"},
    "folder": {"type": "path"},
}


class Comparison:
    """One question and what came of it."""

    def __init__(self, question, recorded, told=False):
        """``told``: the answer of before went to a controller, and has its secrets by their digests."""
        self.question, self.recorded, self.told = question, recorded, told
        self.old, self.rows, self.varies = None, [], []

    def make(self):
        question = self.question
        if self.recorded is not None:
            new = answers.ask(question, question["old"])
            if self.told:
                new = answers.without_secrets(answers.from_port(new, question["old"], question))
            self.rows, _more = answers.compare(question, [self.recorded["first"], self.recorded["first"]], new)
            self.varies = self.recorded["varies"]
            self.rows = [row for row in self.rows if row["part"] not in self.varies]
            if "body" in self.varies:
                lengths = ["header " + name for name in answers.OF_BODY]
                self.rows = [row for row in self.rows if row["part"] not in lengths]
            return
        self.old = [answers.ask(question, question["old"]) for _time in range(2)]
        if question["new"]:
            new = answers.at_home(answers.ask(question, question["new"]), question["new"], question)
            again = functools.partial(answers.ask, question, question["old"])
            self.rows, self.varies = answers.compare(question, self.old, new, again)
        else:
            self.varies = sorted(answers.differing(*self.old))


def main():
    module = AnsibleModule(
        argument_spec={
            "requests": {"type": "list", "elements": "dict", "required": True, "options": REQUEST},
            "record": {"type": "path"},
            "against": {"type": "path"},
            "known": {"type": "dict"},
            "tell": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    wanted, told = module.params, module.params["known"] is not None
    recorded = wanted["known"] or {}
    if wanted["against"]:
        recorded = json.loads(native(whole_files.read_bytes(wanted["against"])))
    asked = answers.with_files(wanted["requests"])
    made = [Comparison(one, recorded.get(answers.called(one)), told) for one in asked]
    if wanted["against"] or told:
        # What was not there to be asked before says nothing now.
        made = [one for one in made if one.recorded is not None]
    run_all([one.make for one in made], PARALLEL)
    if wanted["record"] and not module.check_mode:
        kept = dict((answers.called(one.question), {"first": one.old[0], "varies": one.varies}) for one in made)
        whole_files.replace_bytes(wanted["record"], json.dumps(kept).encode("utf-8"), 0o600)
    more = {}
    if wanted["tell"]:
        more["answers"] = [
            {"question": one.question, "first": answers.without_secrets(one.old[0]), "varies": one.varies}
            for one in made
        ]
    module.exit_json(
        changed=False,
        count=len(made),
        differences=[row for one in made for row in one.rows],
        varying=dict((answers.called(one.question), one.varies) for one in made if one.varies),
        **more
    )


if __name__ == "__main__":
    main()
