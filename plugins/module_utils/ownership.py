# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whose a file of the host is: what the manifests of all bundles tell, and what is kept of what was taken over."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import json
import os
import stat

from ansible_collections.graceful.wsgi.plugins.module_utils import layout
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import make_folders, native

STATE_DIR = os.path.join(layout.STATE_DIR, "bundles")


def _json(path):
    try:
        with open(path, "rb") as source:
            return json.loads(source.read().decode("utf-8"))
    except (IOError, OSError) as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return {}
        raise


class Recorded(dict):
    """{path: digest} of the files that a bundle wrote; ``belongs_to``: {path: application or site}, as far as noted."""

    def __init__(self, manifest):
        files = manifest.get("files", {}).items()
        dict.__init__(self, ((native(path), digest) for path, digest in files))
        noted = manifest.get("belongs_to", {}).items()
        self.belongs_to = dict((native(path), native(name)) for path, name in noted)


def recorded(name, state_dir=None):
    """The files that a bundle wrote, with the digest of each; None where it has no manifest."""
    found = _json(os.path.join(state_dir or STATE_DIR, name, "manifest.json"))
    return Recorded(found) if found else None


def interrupted(name, state_dir=None):
    """The files that a killed run of a bundle was about to write: they are its own, whatever it came to."""
    steps = _json(os.path.join(state_dir or STATE_DIR, name, "journal.json")).get("steps", [])
    return set(native(step["path"]) for step in steps)


def others(name, state_dir=None):
    """What all bundles but this one wrote, {bundle: {path: digest}}."""
    state_dir = state_dir or STATE_DIR
    names = sorted(os.listdir(state_dir)) if os.path.isdir(state_dir) else []
    found = dict((other, recorded(native(other), state_dir)) for other in names if native(other) != name)
    return dict((native(other), files) for other, files in found.items() if files)


def claimant(path, digest, own, others_files):
    """The other bundle whose file this is, or None.

    Where an earlier version of this collection let two bundles write the same file, it belongs to the one whose text
    stands there. ``digest``: of what stands there; ``own``: what this bundle wrote.
    """
    claims = [name for name in sorted(others_files) if path in others_files[name]]
    if own is not None and path in own and digest is not None and own[path] == digest:
        claims = [name for name in claims if others_files[name][path] == digest]
    return claims[0] if claims else None


def called(bundle):
    """A bundle as its user knows it."""
    found = layout.parse_bundle(bundle)
    return "publish_set %s" % found[0] if found else "the bundle %s" % bundle


def published(files, belongs_to):
    """What the files of a bundle of the publish role publish: {application: instances}, and the names of the sites.

    ``belongs_to``: what the manifest notes of them; where a version wrote it that noted none, the names of files tell.
    """
    apps, sites = {}, []
    for path in sorted(files):
        dropin, site = layout.parse_dropin(path), layout.parse_site(path)
        if dropin:
            apps.setdefault(belongs_to.get(path, dropin[1]), []).append(dropin[0])
        elif site:
            sites.append(belongs_to.get(path, site))
    return apps, sites


def kept_at(path):
    """Where the copy of a file that was taken over is."""
    return os.path.join(os.path.dirname(STATE_DIR), "taken-over", path.lstrip("/"))


def farewell(path, bundle=None, check_mode=False):
    """What is said of a file that is taken over."""
    whose = "it was of %s" % called(bundle) if bundle else "nothing of this collection had written it"
    verb = "would be" if check_mode else "was"
    copy = kept_at(path)
    return "%s %s taken over (%s); what stood there is kept: cp -p %s %s puts it back" % (path, verb, whose, copy, path)


def _copies(path):
    yield path
    for number in range(1, 1000):
        yield "%s.%d" % (path, number)


def keep(path, content, found, state_dir=None):
    """Keep a copy of what is taken over, with mode and owner, where only root looks; the path of the copy.

    An earlier copy stays. ``found``: what lstat told of the file.
    """
    root = os.path.join(os.path.dirname(state_dir or STATE_DIR), "taken-over")
    if not os.path.isdir(root):
        make_folders(os.path.dirname(root))
        os.mkdir(root, 0o700)
    folder = os.path.join(root, os.path.dirname(path).lstrip("/"))
    if not os.path.isdir(folder):
        os.makedirs(folder)
    for copy in _copies(os.path.join(folder, os.path.basename(path))):
        if os.path.lexists(copy):
            with open(copy, "rb") as source:
                if source.read() == content:
                    return copy
            continue
        handle = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as target:
            target.write(content)
            target.flush()
            os.fchown(target.fileno(), found.st_uid, found.st_gid)
            os.fchmod(target.fileno(), stat.S_IMODE(found.st_mode))
            os.fsync(target.fileno())
        return copy
    raise IOError(errno.EEXIST, "too many copies are kept already", path)
