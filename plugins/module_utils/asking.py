# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Puts the questions of a run to sites and applications, once for all of them, and tells wrong answers apart."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import time

from ansible_collections.graceful.wsgi.plugins.module_utils import visitor
from ansible_collections.graceful.wsgi.plugins.module_utils.parallel import run_all

# Asked at a time: a site that hangs holds up no other.
PARALLEL = 8


def answers(questions, asked=(), touched=(), created=(), since=None):
    """What the module site_answers returns, whose options these are."""
    began, since, touched = time.time(), since or {}, set(touched)
    visits = [visitor.Visit(item) for item in questions if visitor.name_of(item) not in asked]
    run_all([visit.make for visit in visits], PARALLEL)
    refused, already_broken = [], []
    for visit in visits:
        if visit.wrong:
            names = visit.question["instances"]
            known = [] if visit.question["file"] in created else names
            first = min([began] + [float(since[name]) for name in known if name in since])
            ours = touched.intersection(names + [visit.question["file"]])
            (refused if ours else already_broken).append(dict(visit.refusal(), since=first, decided=time.time()))
    return {
        "refused": refused,
        "already_broken": already_broken,
        "told": [visit.told for visit in visits if visit.told],
        "asked": [visitor.name_of(visit.question) for visit in visits],
        "now": time.time(),
    }
