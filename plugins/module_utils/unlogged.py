# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A module whose arguments stay out of the host's journal."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible.module_utils import basic


class AnsibleModule(basic.AnsibleModule):
    """For modules that are given secrets among their arguments.

    ``no_log=True`` does not do it: what the controller says of the task (``_ansible_no_log``) takes its place.
    """

    def _log_invocation(self):
        """Ansible's own writes all arguments to the journal."""
