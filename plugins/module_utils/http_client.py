# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Asks an http or https address through Ansible's own client."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible.module_utils.urls import open_url

from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_client import ClientError


def fetch(url, host, timeout):
    """GET an address; any status is an answer."""
    headers = {"Host": host} if host else {}
    try:
        answer = open_url(url, headers=headers, timeout=timeout, follow_redirects="none", use_proxy=False)
        return answer.getcode(), answer.read(1 << 20).decode("utf-8", "replace")
    except Exception as error:
        # urllib of Python 2 and 3 has different errors; one with a status is an answer all the same.
        code = getattr(error, "code", None)
        if isinstance(code, int):
            return code, error.read(1 << 20).decode("utf-8", "replace")
        raise ClientError("%s: %s" % (url, error))
