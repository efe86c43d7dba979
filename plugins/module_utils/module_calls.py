# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What modules hand to the logic below them: ways to run commands and to label files."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type


def relabeller(module):
    """``relabel(path, like)`` gives a path the SELinux context that another one should have, where there is SELinux."""

    def relabel(path, like):
        if module.selinux_enabled():
            module.set_context_if_different(path, module.selinux_default_context(like), False)

    return relabel


def runner(module):
    """``run(command)``: (status, stdout, stderr), in plain words.

    A command that is not there raises, and does not end the module in the middle of what it does.
    """
    return lambda command: module.run_command(command, environ_update={"LC_ALL": "C"}, handle_exceptions=False)


def systemctl_of(module):
    """``systemctl(*words)``: (status, stdout, stderr) of it; it asks nobody for a password."""
    return lambda *words: module.run_command(["systemctl", "--no-ask-password"] + list(words))
