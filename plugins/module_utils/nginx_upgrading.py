# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Puts an nginx in the place of another one, and moves a running one over to it."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import shutil
import tempfile

from ansible_collections.graceful.wsgi.plugins.module_utils import nginx_package
from ansible_collections.graceful.wsgi.plugins.module_utils.nginx_master import MasterError, Place, Upgrade
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import digest_of


class Upgrading:
    """One upgrade. ``given``: what the module nginx_upgrade takes; ``run``: AnsibleModule's run_command.

    ``result``: what is, or in check mode would be, done. ``warnings``: what is told besides.
    """

    def __init__(self, given, run, relabel):
        self.given = given
        self.run = run
        words = [given[name] for name in ("pid_file", "dest", "error_log", "timeout", "drain_timeout")]
        self.upgrade = Upgrade(*words)
        self.place = Place(given["dest"], relabel)
        self.warnings = []
        self.result = {}

    def look(self, check_mode):
        """What there is to do, into ``result``."""
        source, dest = self.given["source"], self.given["dest"]
        self.wanted = digest_of(source)
        if self.wanted is None and not check_mode:
            raise MasterError("there is no binary at %s" % source)
        install = self.wanted is None or digest_of(dest) != self.wanted
        running = self.upgrade.find()
        move = running is not None and (install or self.upgrade.needed())
        held = not self.given["take_over"] or nginx_package.is_held(dest, self.run)
        self.result = {
            "changed": install or move or not held,
            "held": None,
            "installed": install,
            "upgraded": move,
            "running": running is not None,
            "draining": False,
        }

    def _test(self):
        """Refuse a configuration that the new binary does not take."""
        source, conf = self.given["source"], self.given["conf"]
        # nginx -t creates the pid file where nginx does not run; a private one is taken away again.
        folder = tempfile.mkdtemp(prefix="graceful-wsgi-")
        try:
            argv = [source, "-t", "-q", "-c", conf, "-g", "pid %s/nginx.pid;" % folder]
            status, out, err = self.run(argv, environ_update={"LC_ALL": "C"})
        finally:
            shutil.rmtree(folder)
        if status != 0:
            raise MasterError(
                "the new binary does not take %s, so it was not put in place:\n%s" % (conf, (out + err).strip())
            )

    def do(self):
        """Do what look() has found."""
        result = self.result
        if os.path.exists(self.given["conf"]):
            self._test()
        if self.given["take_over"]:
            result["held"] = nginx_package.take_over(self.given["dest"], self.run)
            self.warnings += [result["held"]] if result["held"] else []
        if result["installed"]:
            self.place.put(self.given["source"])
            nginx_package.remember(self.wanted)
        if result["upgraded"]:
            try:
                result["draining"] = not self.upgrade.run()
            except Exception:
                self.place.back()
                raise
            result.update(old_pid=self.upgrade.old, new_pid=self.upgrade.new)
        self.place.forget()
