# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of a host is this collection's, and what of it goes where applications, a set or all are to be removed.

What the manifests of the bundles name counts. Where a manifest is lost, the names and marks that the role publish gives
its files tell.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import os
import re

from ansible_collections.graceful.wsgi.plugins.module_utils import layout, left_notes, ownership, takeover_checks
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.instances import linked
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import content_of, sha256

KINDS = ("sites", "apps")
LANGUAGES = ("ini", "json", "xml", "yaml", "env", "secrets", "command")
_BLOCK_OF_LOGS = re.compile(r"(?ms)^(/[^\n]*?) \{\n.*?^\}\n")
_PASS = re.compile(r"(?m)(?:^|[\s{;])(?:fastcgi|grpc|memcached|proxy|scgi|uwsgi)_pass\s+[\"']?([^\s;\"']+)")
_LOGS = re.compile(r"(?m)^\s*(?:access|error)_log\s+[\"']?(/[^\s;\"']+)")


class RemovalError(Exception):
    """Nothing, or not all, can be removed; the text says why and what to do."""


def text_of(path):
    """The text of a file of root's; empty where there is none."""
    return native(content_of(path) or b"")


def bundle_names():
    """The names of all bundles of this host."""
    folder = ownership.STATE_DIR
    return sorted(native(name) for name in (os.listdir(folder) if os.path.isdir(folder) else []))


def _digest(path):
    return sha256(content_of(path))


def _is_ours(path):
    text = text_of(path)[:1000]
    return bool(takeover_checks.MARK.search(text) or text.startswith("d /run/wsgi "))


def _own_name(publish_set):
    """How the names of nginx's variables begin that a set's files have."""
    return "$publish_%s_" % re.sub(r"\W", "_", publish_set)


def orphans(conf_dir, known):
    """What the role publish wrote and no manifest names any more, {bundle: {path: digest}}. ``known``: what they name.

    An application counts where a file of its whole set names it or its unit is enabled: what somebody has edited, which
    a removal leaves behind, is not taken for such.
    """
    found, sets = {}, {}

    def add(publish_set, kind, path):
        if path not in known and content_of(path) is not None:
            found.setdefault(layout.bundle(publish_set, kind), {})[path] = _digest(path)

    named = set()
    for path in [path for pattern in layout.OF_SETS for path in sorted(glob.glob(pattern))]:
        of_set = layout.parse_of_set(path)
        if not of_set or path in known or not _is_ours(path):
            continue
        text, (publish_set, kind) = text_of(path), of_set
        if path.startswith(layout.NGINX_DIR + "/") and not (publish_set in named or _own_name(publish_set) in text):
            # Somebody's own role may call its server block so.
            continue
        named.add(publish_set)
        add(publish_set, kind, path)
        for name in layout.SOCKET_LINE.findall(text) + layout.UNIT_NAME.findall(text):
            sets[name] = publish_set
    names = sorted(set(layout.parse_bundle(bundle)[0] for bundle in found))
    instances = {}
    for path in sorted(glob.glob(layout.DROPINS)):
        match = layout.parse_dropin(path)
        if not match or path in known:
            continue
        instance, app = match
        if instance not in sets and not linked(layout.unit(instance)):
            continue
        publish_set = sets.get(instance) or (names[0] if len(names) == 1 else "main")
        instances.setdefault(publish_set, []).append(instance)
        add(publish_set, "apps", path)
        for name in (instance, app):
            for language in LANGUAGES:
                add(publish_set, "apps", os.path.join(conf_dir, "%s.%s" % (name, language)))
        for path in sorted(glob.glob(layout.background_files(app))):
            # The names of two applications may begin alike: the unit says whose it is.
            if layout.background_mark(app) in text_of(path)[:200]:
                add(publish_set, "apps", path)
    configs = [path for files in found.values() for path in files]
    for path in sorted(glob.glob(layout.site("*"))):
        if path in known or not _is_ours(path):
            continue
        for publish_set in sorted(set(names) | set(instances)):
            shared = layout.of_all_sites(publish_set)[0]
            if path != shared and (
                _own_name(publish_set) in text_of(path)
                or takeover_checks.led_to(instances.get(publish_set, []), [path], shared, configs)
            ):
                add(publish_set, "sites", path)
    return found


class Set:
    """A set of applications and sites on this host: what its two bundles wrote and no other set has."""

    def __init__(self, name, bundles, roots=()):
        self.name = name
        self.roots = list(roots)
        self.files, self.belongs_to = {}, {}
        for kind in KINDS:
            elsewhere = [files for other, files in bundles.items() if other != self.bundle(kind)]
            written = bundles.get(self.bundle(kind), ownership.Recorded({}))
            self.belongs_to.update(written.belongs_to)
            self.files[kind] = [path for path in sorted(written) if not any(path in files for files in elsewhere)]
        self.apps = ownership.published(self.files["apps"], self.belongs_to)[0]
        self.shared = layout.of_all_sites(name)
        self.blocks = [path for path in self.files["sites"] if self.site_of(path) and path not in self.shared]

    def bundle(self, kind):
        """The name of one of its bundles."""
        return layout.bundle(self.name, kind)

    def site_of(self, path):
        """The site whose server block this is, or None."""
        return self.belongs_to.get(path) or layout.parse_site(path)

    def app_of(self, path):
        """The application that a file of the set's applications is of; None where it is of all of them.

        A manifest of a version that noted no such thing leaves it to the file's name.
        """
        if path in self.belongs_to:
            return self.belongs_to[path]
        dropin = layout.parse_dropin(path)
        if dropin:
            return dropin[1]
        if path in (layout.tmpfiles(self.bundle("apps")), layout.logrotate(self.bundle("apps"))):
            return None
        stem = os.path.basename(path).rpartition(".")[0]
        return next((app for app in sorted(self.apps) if stem == app or stem in self.apps[app]), None)

    @property
    def sites(self):
        """The names of its sites."""
        return [self.site_of(path) for path in self.blocks]

    @property
    def dropped(self):
        """{application: [folders]} of what it has dropped before."""
        return dict((app, paths) for app, paths in left_notes.noted(self.name).items() if app not in self.apps)

    def led_to(self, app):
        """Its server blocks that lead to an application, or serve files of it."""
        found = takeover_checks.led_to(self.apps[app], self.blocks, self.shared[0], self.files["apps"])
        home = os.path.join(self.roots[0], app) + "/" if self.roots else None
        return [path for path in self.blocks if path in found or (home and home in text_of(path))]

    def passed_on(self, path, apps):
        """Where a server block leads besides these applications; what a variable of nginx's stands for nobody knows."""
        known = set()
        for app in apps:
            known.update(takeover_checks.addresses(self.apps[app], self.shared[0], self.files["apps"]))
        text = re.sub(r"(?m)^\s*#.*", "", text_of(path))
        targets = sorted(set(target for target in _PASS.findall(text) if "$" not in target))
        return [target for target in targets if not re.search(takeover_checks.words(known), target)]


def all_sets(conf_dir, roots):
    """({name: Set} of this host, {bundle: {path: digest}} of what was adopted: no manifest names it)."""
    bundles = dict((name, ownership.recorded(name) or ownership.Recorded({})) for name in bundle_names())
    adopted = orphans(conf_dir, set(path for files in bundles.values() for path in files))
    for name, files in adopted.items():
        bundles.setdefault(name, ownership.Recorded({})).update(files)
    named = [layout.parse_bundle(name)[0] for name in bundles if layout.parse_bundle(name)]
    return dict((name, Set(name, bundles, roots)) for name in named + left_notes.sets()), adopted


class Going:
    """What of a set goes. ``apps``: names of applications, None for all of it."""

    def __init__(self, of, apps=None):
        self.set = of
        self.apps = sorted(of.apps if apps is None else set(apps).intersection(of.apps))
        self.blocks = list(of.blocks) if apps is None else self._blocks()
        # With its last application and its last site a set is no more.
        self.whole = apps is None or (self.apps == sorted(of.apps) and self.blocks == of.blocks)
        # What was dropped before, by name or with the whole set.
        self.dropped = sorted(app for app in of.dropped if apps is None or app in apps)
        self.instances = [name for app in self.apps for name in of.apps[app]]

    def _blocks(self):
        led = dict((app, self.set.led_to(app)) for app in self.set.apps)
        going = [path for path in self.set.blocks if any(path in led[app] for app in self.apps)]
        for path in going:
            staying = [app for app in sorted(led) if app not in self.apps and path in led[app]]
            staying = staying or self.set.passed_on(path, self.apps)
            if staying:
                raise RemovalError(
                    "remove_apps: the site %s of publish_set %s leads to %s, which goes, and to %s, which stays; take"
                    " its location out of publish_sites and run graceful.wsgi.site first, or name both"
                    % (
                        self.set.site_of(path),
                        self.set.name,
                        ", ".join(app for app in self.apps if path in led[app]),
                        ", ".join(staying),
                    )
                )
        return going

    @property
    def sites(self):
        """The names of the sites that go."""
        return [self.set.site_of(path) for path in self.blocks]

    @property
    def anything(self):
        """Whether there is something of it."""
        return bool(self.apps or self.blocks or self.whole)

    def files(self, kind):
        """(paths that go, {path: new text} of what the rest of the set shares with them)."""
        of = self.set
        if kind == "sites":
            stays = len(self.blocks) < len(of.blocks)
            gone = list(self.blocks) if stays else list(of.files["sites"])
            logs = [log for path in self.blocks for log in logs_of(path)]
        else:
            stays = len(self.apps) < len(of.apps)
            gone = [path for path in of.files["apps"] if not stays or of.app_of(path) in self.apps]
            logs = []
        changed = {}
        for path in (layout.tmpfiles(of.bundle("apps")), layout.logrotate(of.bundle(kind))) if stays else ():
            if path in of.files[kind]:
                text = text_of(path)
                left = self._without(text, logs)
                if left is None:
                    gone.append(path)
                elif left != text:
                    changed[path] = left
        return gone, changed

    def _without(self, text, logs):
        """A file of the set without what goes; None where nothing else is in it."""
        lines = []
        for line in text.splitlines(True):
            found = layout.SOCKET_LINE.match(line)
            if not found or found.group(1) not in self.instances:
                lines.append(line)
        text = "".join(lines)

        def kept(block):
            units = layout.UNIT_NAME.findall(block.group(0))
            gone = block.group(1) in logs or (units and all(unit in self.instances for unit in units))
            return "" if gone else block.group(0)

        left = _BLOCK_OF_LOGS.sub(kept, text)
        return left if _BLOCK_OF_LOGS.search(left) or layout.SOCKET_LINE.search(left) else None


def logs_of(path):
    """The logs that a server block, or a file of logrotate's, names."""
    text = text_of(path)
    return sorted(set(_LOGS.findall(text) + [found.group(1) for found in _BLOCK_OF_LOGS.finditer(text)]))


def app_logs(going):
    """The logs of the instances that go, as the set's rotation names them."""
    path = layout.logrotate(going.set.bundle("apps"))
    found = []
    for block in _BLOCK_OF_LOGS.finditer(text_of(path)) if path in going.set.files["apps"] else ():
        if set(layout.UNIT_NAME.findall(block.group(0))).intersection(going.instances):
            found.append(block.group(1))
    return found
