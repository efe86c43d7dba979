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

from ansible_collections.graceful.wsgi.plugins.module_utils import layout, left_data, ownership, takeover_checks
from ansible_collections.graceful.wsgi.plugins.module_utils.bundle import content_of, sha256
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.instances import linked

KINDS = ("sites", "apps")
TMPFILES = "/etc/tmpfiles.d/publish-%s-apps.conf"
ROTATED = "/etc/logrotate.d/publish-%s-%s"
SHARED = ("/etc/nginx/conf.d/publish-%s.conf", "/etc/nginx/default.d/publish-%s.conf")
# Files of a whole set, by which its name is known where its manifest is lost.
OF_SET = (
    (re.compile(r"/etc/tmpfiles\.d/publish-(.+)-apps\.conf\Z"), "apps"),
    (re.compile(r"/etc/logrotate\.d/publish-(.+)-apps\Z"), "apps"),
    (re.compile(r"/etc/logrotate\.d/publish-(.+)-sites\Z"), "sites"),
    (re.compile(r"/etc/nginx/(?:conf|default)\.d/publish-(.+)\.conf\Z"), "sites"),
)
LANGUAGES = ("ini", "json", "xml", "yaml", "env", "command")
_LINE = re.compile(r"(?m)^[dL] /run/wsgi/(.+)\.(?:d|sock) ")
_UNIT = re.compile(r"uwsgi@(.+?)\.service")
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

    patterns = ("/etc/tmpfiles.d/publish-*", "/etc/logrotate.d/publish-*", "/etc/nginx/*.d/publish-*.conf")
    named = set()
    for path in [path for pattern in patterns for path in sorted(glob.glob(pattern))]:
        for pattern, kind in OF_SET:
            match = pattern.match(path)
            if not match or path in known or not _is_ours(path):
                continue
            text, publish_set = text_of(path), match.group(1)
            if path.startswith("/etc/nginx/") and not (publish_set in named or _own_name(publish_set) in text):
                # Somebody's own role may call its server block so.
                continue
            named.add(publish_set)
            add(publish_set, kind, path)
            for name in _LINE.findall(text) + _UNIT.findall(text):
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
    configs = [path for files in found.values() for path in files]
    for path in sorted(glob.glob("/etc/nginx/conf.d/*.conf")):
        if path in known or not _is_ours(path):
            continue
        for publish_set in sorted(set(names) | set(instances)):
            shared = SHARED[0] % publish_set
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
        self.files = {}
        for kind in KINDS:
            elsewhere = [files for other, files in bundles.items() if other != self.bundle(kind)]
            written = bundles.get(self.bundle(kind), {})
            self.files[kind] = [path for path in sorted(written) if not any(path in files for files in elsewhere)]
        self.apps = ownership.published(self.files["apps"])[0]
        self.shared = [path % name for path in SHARED]
        self.blocks = [
            path for path in self.files["sites"] if layout.parse_site(path) and path not in self.shared
        ]

    def bundle(self, kind):
        """The name of one of its bundles."""
        return "publish-%s-%s" % (self.name, kind)

    @property
    def sites(self):
        """The names of its sites."""
        return [layout.parse_site(path) for path in self.blocks]

    @property
    def dropped(self):
        """{application: [folders]} of what it has dropped before."""
        return dict((app, paths) for app, paths in left_data.noted(self.name).items() if app not in self.apps)

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
    bundles = dict((name, ownership.recorded(name) or {}) for name in bundle_names())
    adopted = orphans(conf_dir, set(path for files in bundles.values() for path in files))
    for name, files in adopted.items():
        bundles[name] = dict(bundles.get(name, {}), **files)
    named = [layout.parse_bundle(name)[0] for name in bundles if layout.parse_bundle(name)]
    return dict((name, Set(name, bundles, roots)) for name in named + left_data.sets()), adopted


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
                        layout.parse_site(path),
                        self.set.name,
                        ", ".join(app for app in self.apps if path in led[app]),
                        ", ".join(staying),
                    )
                )
        return going

    @property
    def sites(self):
        """The names of the sites that go."""
        return [layout.parse_site(path) for path in self.blocks]

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
            gone = [path for path in of.files["apps"] if self._is_of_an_app(path)] if stays else list(of.files["apps"])
            logs = []
        changed = {}
        for path in (TMPFILES % of.name, ROTATED % (of.name, kind)) if stays else ():
            if path in of.files[kind]:
                text = text_of(path)
                left = self._without(text, logs)
                if left is None:
                    gone.append(path)
                elif left != text:
                    changed[path] = left
        return gone, changed

    def _is_of_an_app(self, path):
        match = layout.parse_dropin(path)
        if match:
            return match[0] in self.instances
        folder, name = os.path.split(path)
        known = folder not in ("/etc/tmpfiles.d", "/etc/logrotate.d")
        return known and name.rpartition(".")[0] in self.apps + self.instances

    def _without(self, text, logs):
        """A file of the set without what goes; None where nothing else is in it."""
        lines = []
        for line in text.splitlines(True):
            found = _LINE.match(line)
            if not found or found.group(1) not in self.instances:
                lines.append(line)
        text = "".join(lines)

        def kept(block):
            units = _UNIT.findall(block.group(0))
            gone = block.group(1) in logs or (units and all(unit in self.instances for unit in units))
            return "" if gone else block.group(0)

        left = _BLOCK_OF_LOGS.sub(kept, text)
        return left if _BLOCK_OF_LOGS.search(left) or _LINE.search(left) else None


def logs_of(path):
    """The logs that a server block, or a file of logrotate's, names."""
    text = text_of(path)
    return sorted(set(_LOGS.findall(text) + [found.group(1) for found in _BLOCK_OF_LOGS.finditer(text)]))


def app_logs(going):
    """The logs of the instances that go, as the set's rotation names them."""
    path = ROTATED % (going.set.name, "apps")
    found = []
    for block in _BLOCK_OF_LOGS.finditer(text_of(path)) if path in going.set.files["apps"] else ():
        if set(_UNIT.findall(block.group(0))).intersection(going.instances):
            found.append(block.group(1))
    return found
