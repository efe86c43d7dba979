# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the manifest of a bundle tells: the folders that it made, and whether all that it wrote still stands."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import stat

from ansible_collections.graceful.wsgi.plugins.module_utils.bundle_entries import still_owned
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.ownership import STATE_DIR
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import content_of, lstat, read_bytes, sha256


def made_folders(manifest):
    """The folders that runs made, as a manifest tells; before they were listed, all of a run counted as such."""
    listed = manifest.get("folders")
    if listed is None:
        listed = (manifest.get("set") or {}).get("folders", {})
    return set(native(path) for path in listed)


def verified_digest(name, state_dir=STATE_DIR):
    """The digest of the set that a bundle's last run left, if all of it still stands so; else an empty text."""
    home = os.path.join(state_dir, name)
    manifest = content_of(os.path.join(home, "manifest.json"))
    unfinished = [lstat(os.path.join(home, left)) for left in ("journal.json", "not-activated")]
    whole = json.loads(manifest.decode("utf-8")).get("set") if manifest else None
    if not whole or any(found is not None for found in unfinished):
        return ""
    for path, wanted in whole["folders"].items():
        path = native(path)
        if not os.path.isdir(path) or (wanted and (os.path.islink(path) or not still_owned(path, wanted))):
            return ""
    for path, wanted in whole["files"].items():
        path = native(path)
        if not stat.S_ISREG(getattr(lstat(path), "st_mode", 0)):
            return ""
        if wanted and (not still_owned(path, wanted[1]) or sha256(read_bytes(path)) != wanted[0]):
            return ""
    return whole["digest"]
