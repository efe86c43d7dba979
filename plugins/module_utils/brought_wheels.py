# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Wheels that the controller has brought out of a kit, where pip finds them while a virtualenv is filled."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import hashlib
import os
import tarfile

from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import as_account


class WheelError(Exception):
    """What arrived is not what the kit holds."""


def _write(path, content):
    with open(path, "wb") as target:
        target.write(content)


class Brought:
    """``wheels``: what the action plugin of graceful.wsgi.releases sent, archive, apps and files; or nothing."""

    def __init__(self, wheels):
        self.archive = wheels.get("archive")
        self.apps = wheels.get("apps") or {}
        self.files = wheels.get("files") or {}

    def unpack(self, builder, name):
        """Put the wheels of an application into the home of the account that fills its virtualenv; that folder.

        None where none were brought for it.
        """
        wanted = set(native(path) for path in self.apps.get(name) or [])
        if not wanted or not self.archive:
            return None
        folder = os.path.join(builder.home, "wheels")
        builder.own(folder)
        archive = tarfile.open(self.archive)
        try:
            for member in archive:
                path = native(member.name)
                if path not in wanted or not member.isfile():
                    continue
                content = archive.extractfile(member).read()
                arrived = hashlib.sha256(content).hexdigest()
                if arrived != self.files.get(path):
                    raise WheelError(
                        "%s arrived with the sha256 %s and should have %s; run the play again"
                        % (path, arrived, self.files.get(path))
                    )
                # Each by itself: all of them may be more than this host has memory for.
                place = os.path.join(folder, os.path.basename(path))
                as_account(builder.who, lambda place=place, content=content: _write(place, content))
                wanted.discard(path)
        finally:
            archive.close()
        if wanted:
            raise WheelError("%s did not arrive; run the play again" % ", ".join(sorted(wanted)))
        return folder

    def first_pip(self, python, folder, pip):
        """Words that give a virtualenv without pip the one that lies in the folder; a wheel of pip runs as it lies.

        What else a virtualenv of this Python would have, setuptools, comes with it where the kit has it.
        """
        names = sorted(os.listdir(folder))
        wheel = [name for name in names if name.startswith("pip-")]
        if not wheel:
            raise WheelError("this Python makes no pip, and none was brought; make the kit again")
        more = ["setuptools"] if any(name.startswith("setuptools-") for name in names) else []
        return [python, os.path.join(folder, wheel[0], "pip"), "install", pip or "pip"] + more
