#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: nginx_reload
short_description: Has a running nginx read anew what changed since it read it, and sees that it did
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Compares all that nginx reads at its start with what the running one has read - its configuration with every
    include, certificates, keys, lists of revoked ones, session ticket keys, DH parameters, modules of njs, databases
    of addresses - and reloads it where something is another by now. A certificate that was renewed under the same
    path, behind links too, is such a file.
  - A reload that fails goes unnoticed elsewhere, since the master serves on with what it had. Here the module fails
    and tells what the error log says.
options:
  always:
    description: Reload nginx whatever has changed.
    type: bool
    default: false
  fresh:
    description: Whether nginx was just started or moved over, and so has read everything; this is noted then.
    type: bool
    default: false
  later:
    description: Leave a configuration that C(nginx -t) refuses to a later task, which may bring what mends it. Internal
      to the roles of this collection.
    type: bool
    default: false
  binary:
    description: The binary that tests the configuration first.
    type: path
    default: /usr/sbin/nginx
  conf:
    description: The configuration that nginx was started with.
    type: path
    default: /etc/nginx/nginx.conf
  pid_file:
    description: Where the master writes its pid.
    type: path
    default: /run/nginx.pid
  timeout:
    description: Seconds within which new workers must be there.
    type: int
    default: 60
extends_documentation_fragment:
  - graceful.wsgi.attributes
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Returns a diff that names each file, with its size and time, and nothing of its content.
    support: full
"""

EXAMPLES = r"""
- name: Have nginx take up certificates that were renewed
  graceful.wsgi.nginx_reload:

- name: Write a server block
  ansible.builtin.copy:
    src: shop.conf
    dest: /usr/local/nginx/conf/conf.d/shop.conf
    mode: '0644'

- name: Have an nginx that was built by hand take it up, and fail where it does not
  graceful.wsgi.nginx_reload:
    binary: /usr/local/nginx/sbin/nginx
    conf: /usr/local/nginx/conf/nginx.conf
    pid_file: /usr/local/nginx/logs/nginx.pid
"""

RETURN = r"""
files:
  description: The files that were not as nginx had read them.
  returned: success
  type: list
  elements: str
refused:
  description: What C(nginx -t) has against the configuration, with O(later); else empty.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.graceful.wsgi.plugins.module_utils import layout
from ansible_collections.graceful.wsgi.plugins.module_utils.nginx_loading import LoadError, Nginx


def main():
    module = AnsibleModule(
        argument_spec={
            "always": {"type": "bool", "default": False},
            "fresh": {"type": "bool", "default": False},
            "later": {"type": "bool", "default": False},
            "binary": {"type": "path", "default": layout.NGINX_BINARY},
            "conf": {"type": "path", "default": layout.NGINX_CONF},
            "pid_file": {"type": "path", "default": layout.NGINX_PIDFILE},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    given = module.params

    def run(words):
        return module.run_command(words, environ_update={"LC_ALL": "C"}, handle_exceptions=False)

    nginx = Nginx(run, given["pid_file"], given["conf"], given["binary"], timeout=given["timeout"])
    result = {"changed": False, "files": [], "refused": ""}
    try:
        files = [] if given["fresh"] else nginx.unread()
        result.update(changed=bool(files or given["always"]) and nginx.running(), files=files)
        if module._diff:
            result["diff"] = nginx.diff(files)
        if result["changed"]:
            refused = nginx.test()
            if refused and given["later"]:
                result.update(changed=False, refused=refused)
                module.exit_json(**result)
            if refused:
                told = "\n".join("- %s" % line for line in nginx.told(files))
                module.fail_json(
                    msg="nginx does not take its files as they stand, so it was not reloaded: it serves on with what it"
                    " has read before, and could not be started anew. nginx -t says:\n%s\nChanged since it read"
                    " them:\n%s\nMend these on the host (a certificate and its key belong together), and run again."
                    % (refused, told or "- none of them"),
                    **result
                )
        if not module.check_mode:
            if result["changed"]:
                nginx.reload()
            elif given["fresh"] or not nginx.noted():
                nginx.note()
    except (LoadError, IOError, OSError) as error:
        module.fail_json(msg=str(error), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
