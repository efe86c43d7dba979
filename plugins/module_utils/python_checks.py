# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What only the host can tell of the Pythons that applications name."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import sys

from ansible_collections.graceful.wsgi.plugins.module_utils import uwsgi_home
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_wheels import which


def pythons(checks, tools):
    """Refuse a Python that is not there, or that uWSGI is not installed for."""
    found = []
    for check in checks:
        try:
            uwsgi_home.find_python(
                native(check["python"]), sys.executable, which, tools.run_command, check["variable"]
            )
        except uwsgi_home.HomeError as error:
            variable, _colon, text = str(error).partition(": ")
            message, _semicolon, hint = text.partition("; ")
            found.append((variable, message, hint))
    return found


KINDS = {"python": pythons}
