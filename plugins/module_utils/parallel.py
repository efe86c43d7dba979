# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Calls functions in threads, so many at a time."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import threading


def run_all(work, parallel):
    """Call these functions, so many at a time."""
    waiting = list(reversed(work))

    def drain():
        while True:
            try:
                call = waiting.pop()
            except IndexError:
                return
            call()

    threads = [threading.Thread(target=drain) for _number in range(max(1, min(parallel, len(waiting))))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
