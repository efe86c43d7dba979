# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The questions of a run: each is put once what it asks has become another, and what was answered wrongly is kept."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import threading
import time

from ansible_collections.graceful.wsgi.plugins.module_utils.instances import InstanceError
from ansible_collections.graceful.wsgi.plugins.module_utils.visitor import Visit, name_of


class Unanswered(InstanceError):
    """What is live now does not answer as it should."""


class Visits:
    """``questions``: as visitor.SPEC; ``unchanged``: files of sites that nginx has as they are wanted, without which a
    question through nginx would meet another site than the one that is meant."""

    def __init__(self, questions, unchanged=(), visit=Visit):
        self.questions = [item for item in questions if not item["file"] or item["file"] in unchanged]
        self.visit = visit
        self.lock = threading.Lock()
        self.refused, self.told, self.asked, self.since = [], {}, [], {}

    def see(self, instance, since):
        """Put all questions about this instance, which has served since then as it is now; raises Unanswered."""
        with self.lock:
            self.since[instance] = min(since, self.since.get(instance, since))
        for question in self.questions:
            if instance not in question["instances"]:
                continue
            visit = self.visit(question)
            fine = visit.make()
            with self.lock:
                name = name_of(question)
                self.told[name] = visit.told
                if name not in self.asked:
                    self.asked.append(name)
                if not fine:
                    self.refused.append(dict(visit.refusal(), since=since, decided=time.time()))
            if not fine:
                raise Unanswered(self.refused[-1]["msg"])

    def stops(self):
        """Whether a wrong answer has come, so that nothing more is to become another."""
        return bool(self.refused)

    def result(self):
        """What the modules return of it."""
        told = [self.told[name] for name in self.asked if self.told[name]]
        return {"refused": self.refused, "told": told, "asked": self.asked, "since": self.since, "now": time.time()}
