# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of a host is somebody else's and would be lost to the play: kinds of module_utils/host_checks.py.

Each function takes the checks of its kind and returns (variable, what is wrong, mend) for each problem.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re

from ansible_collections.graceful.wsgi.plugins.module_utils import layout, nginx_package, ownership
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import digest_through_links, lstat, read_bytes

UNIT_DIRS = layout.UNIT_DIRS
# The stated way to have all of a set gone.
REMOVE = "ansible-playbook graceful.wsgi.remove -e remove_set=%s"
MARK = re.compile(r"ansible[ _]managed|Written by Ansible \(graceful", re.IGNORECASE)
SOCKET = re.compile(r"(?<![-\w])(?:http-|uwsgi-)?socket\b[\"']?\s*[=:>]\s*[\"']?([^\s\"'<>,]+)")
ANY_HOST = ("", "*", "0.0.0.0", "[::]")
UPSTREAM = re.compile(r"(?ms)^upstream (\S+) \{\n(.*?)^\}")
SERVER = re.compile(r"(?ms)^server \{\n(.*?)^\}")


def _text(path):
    found = lstat(path)
    if found is None:
        return ""
    try:
        return native(read_bytes(path))
    except (IOError, OSError):
        return ""


# -- files -------------------------------------------------------------------------------------------------------


class _Known:
    """What the manifests of a host tell, each read once however many applications ask."""

    def __init__(self):
        self.bundles = {}

    def of(self, bundle):
        """(what this bundle wrote or None, what a killed run of it was about to write, what all others wrote)."""
        if bundle not in self.bundles:
            self.bundles[bundle] = (
                ownership.recorded(bundle),
                ownership.interrupted(bundle),
                ownership.others(bundle),
            )
        return self.bundles[bundle]


def _foreign(check, own, left):
    """The files of a check that stand there, and that neither this bundle nor another one wrote.

    What is to be written is not known yet. A bundle whose manifest was lost may have written what bears the mark of
    Ansible, or what cannot bear any (``unmarked``): the bundle itself judges these once it knows.
    """
    found = []
    for path in check["files"]:
        if lstat(path) is None or path in left or path in (own or {}):
            continue
        if own is None and (path in check.get("unmarked", ()) or MARK.search(_text(path)[:1000])):
            continue
        found.append(path)
    return found


def owned(checks, tools):
    """Files that another bundle of the host wrote, or a person or a package."""
    problems, known = [], _Known()
    for check in checks:
        own, left, others = known.of(check["bundle"])
        taken = {}
        for path in check["files"]:
            content = None
            if own and path in own and any(path in files for files in others.values()):
                content = digest_through_links(path)
            other = ownership.claimant(path, content, own, others)
            # That another set has an application is told by its name.
            if other and not (layout.parse_bundle(other) and check["variable"].startswith("publish_apps")):
                taken.setdefault(other, []).append(path)
        foreign = [path for path in _foreign(check, own, left) if not any(path in files for files in others.values())]
        if check["allowed"]:
            continue
        for other in sorted(taken):
            message = "%s of this host has %s" % (ownership.called(other), ", ".join(taken[other]))
            hint = "choose another name, publish it in that set, or remove it there first (%s: true takes it from it)"
            problems.append((check["variable"], message, hint % check["take_over"]))
        if foreign:
            message = "%s would be overwritten, and nothing of this collection wrote %s" % (
                ", ".join(foreign),
                "them" if len(foreign) > 1 else "it",
            )
            hint = "move %s away or choose another name; %s: true overwrites, and keeps a copy in %s"
            what = "them" if len(foreign) > 1 else "it"
            problems.append((check["variable"], message, hint % (what, check["take_over"], ownership.kept_at(""))))
    return problems


# -- applications and sites of other sets ------------------------------------------------------------------------


def _elsewhere(bundle, kind):
    """The bundles of other sets, {bundle: files}; ``kind``: apps or sites."""
    found = ownership.others(bundle)
    return dict((name, found[name]) for name in found if name.endswith("-" + kind) and layout.parse_bundle(name))


def _of_others(checks, kind):
    """What the bundles of other sets have and the one of these checks has not, {bundle: files}."""
    own = ownership.recorded(checks[0]["bundle"]) or {}
    found = _elsewhere(checks[0]["bundle"], kind)
    for files in found.values():
        for path in set(files).intersection(own):
            del files[path]
    return found


def application(checks, tools):
    """Applications and instances that another set has, by whatever files, and TCP ports that it listens on."""
    problems = []
    theirs, others = {}, _of_others(checks, "apps")
    for bundle in sorted(others):
        apps, _sites = ownership.published(others[bundle], others[bundle].belongs_to)
        for name in apps:
            theirs.setdefault(name, bundle)
            for instance in apps[name]:
                theirs.setdefault(instance, bundle)
    sockets = _sockets(others) if any(check["sockets"] for check in checks) else {}
    for check in checks:
        if check["allowed"]:
            continue
        taken = [name for name in [check["name"]] + check["instances"] if name in theirs]
        if taken:
            message = "%s of this host publishes an application %s" % (ownership.called(theirs[taken[0]]), taken[0])
            hint = "choose another name, publish it in that set, or remove it there first (%s: true takes it from it)"
            problems.append((check["variable"] + ".name", message, hint % check["take_over"]))
            continue
        for socket in check["sockets"]:
            if socket in sockets:
                bundle, path = sockets[socket]
                message = "%s is the socket of %s (%s)" % (socket, path, ownership.called(bundle))
                problems.append((check["variable"] + ".socket", message, "give each application its own"))
    return problems


def _sockets(others):
    """What the applications of other sets listen on, {address: (bundle, configuration)}."""
    found = {}
    for bundle in sorted(others):
        for path in sorted(others[bundle]):
            if not path.endswith((".ini", ".json", ".xml", ".yaml", ".yml")):
                continue
            for socket in SOCKET.findall(_text(path)):
                found.setdefault(socket, (bundle, path))
    return found


def server(checks, tools):
    """Names that a server block of another set answers to at the same port: nginx would ignore one of the two."""
    problems = []
    theirs, others = {}, _of_others(checks, "sites")
    for bundle in sorted(others):
        for path in sorted(others[bundle]):
            if not layout.parse_site(path):
                continue
            for block in SERVER.findall(_text(path)):
                ports = [words.split()[0] for words in re.findall(r"(?m)^\s+listen\s+([^;]+);", block)]
                names = re.findall(r"(?m)^\s+server_name\s+([^;]+);", block)
                for port in ports:
                    for name in " ".join(names).split():
                        theirs.setdefault((port.rpartition(":")[2], name.strip("\"'")), (bundle, path))
    for check in checks:
        if check["allowed"]:
            continue
        for port, name in check["names"]:
            bundle, path = theirs.get((port, name), (None, check["file"]))
            # That of the very file is told by its name.
            if path != check["file"]:
                message = "%r at port %s is answered by %s of this host (%s)" % (
                    str(name),
                    port,
                    ownership.called(bundle),
                    path,
                )
                hint = "choose another name, publish it in that set, or remove it there first"
                problems.append((check["variable"], message, hint))
                break
    return problems


def addresses(instances, shared, configs=()):
    """What leads to an application: the links and the addresses of its instances, and upstreams of them.

    ``shared``: the file of what all sites of the set share, such as the servers of several instances. ``configs``:
    files of which the instances' configurations are some, where they may lie elsewhere than usual.
    """
    found = set()
    for instance in instances:
        found.add("unix:" + layout.link(instance))
        names = ["%s.%s" % (instance, kind) for kind in ("ini", "json", "xml", "yaml")]
        paths = [path for path in configs if os.path.basename(path) in names]
        for path in paths or [os.path.join("/etc/uwsgi", name) for name in names]:
            for host, colon, port in [address.rpartition(":") for address in SOCKET.findall(_text(path))]:
                # nginx asks here what listens at any address.
                found.update([(host if host not in ANY_HOST else "127.0.0.1") + colon + port] if colon else [])
    for name, servers in UPSTREAM.findall(_text(shared)):
        if found and re.search(words(found), servers):
            found.add(name)
    return found


def led_to(instances, files, shared, configs=()):
    """Of these server blocks those that lead to an application; see addresses()."""
    found = addresses(instances, shared, configs)
    return [path for path in files if found and re.search(words(found), _text(path))]


def words(addresses):
    """A pattern of these, each as a word of its own."""
    return r"(?<![\w.:-])(?:%s)(?![\w.-])" % "|".join(re.escape(address) for address in sorted(addresses))


def _orphaned(check, going, instances, written):
    """The sites that stay since the play names none, and lead to an application that goes.

    ``instances``: those of each application; ``written``: the files of the set.
    """
    if check["sites"] or not going:
        return None
    blocks = [path for path in sorted(written["sites"]) if layout.parse_site(path)]
    shared = layout.of_all_sites(check["set"])[0]
    blocks = [path for path in blocks if path != shared]
    for name in going:
        led = led_to(instances[name], blocks, shared, written["apps"])
        if led:
            sites = ", ".join(layout.parse_site(path) for path in led)
            message = "is empty, which leaves the sites of the set %r as they are, and %s leads to the application %s,"
            message += " which this play does not name"
            hint = "name the sites that are to stay, name %s in publish_apps, or set publish_prune: false"
            return "publish_sites", message % (str(check["set"]), sites, name), hint % name
    return None


def _tell_of_empty(check, apps, sites, tools):
    """An empty list takes nothing off, which somebody may have meant it to."""
    there = ["application %s" % name for name in apps] + ["site %s" % name for name in sites]
    if there and not check["apps"] and not check["sites"]:
        tools.warn(
            "publish_apps and publish_sites are empty, and publish_set %s of this host (%s) has %s: an empty list takes"
            " nothing off. To have it gone: %s"
            % (check["set"], os.uname()[1], ", ".join(there), REMOVE % check["set"])
        )


def _unconfirmed(check, going):
    """What would go and was not named by publish_prune_confirmed."""
    lacking = [pair for pair in going if pair[1] not in check["confirmed"]]
    if not lacking:
        return []
    message = "is confirm, and %s of publish_set %s, which this play does not name, would be taken off this host (%s)"
    message = message % (
        ", ".join("%s %s" % pair for pair in lacking),
        check["set"],
        os.uname()[1],
    )
    names = sorted(set(str(name) for _kind, name in going))
    hint = "name what is to stay; what is to go is said by -e publish_prune_confirmed=%s" % ",".join(names)
    return [("publish_prune", message, hint)]


def replaced(checks, tools):
    """What a set has on the host and names no more: told before it goes; refused where nothing of it is named."""
    problems = []
    for check in checks:
        found, written_by = [], {}
        for kind in ("apps", "sites"):
            bundle = layout.bundle(check["set"], kind)
            elsewhere = [files for name, files in _elsewhere(bundle, kind).items()]
            recorded = ownership.recorded(bundle) or ownership.Recorded({})
            written = [
                path
                for path in recorded
                if lstat(path) is not None and not any(path in files for files in elsewhere)
            ]
            written_by[kind] = written
            found.append(ownership.published(written, recorded.belongs_to)[0 if kind == "apps" else 1])
        apps, sites = sorted(found[0]), [name for name in found[1] if name != layout.shared_site(check["set"])]
        _tell_of_empty(check, apps, sites, tools)
        going = [("application", name) for name in apps if check["apps"] and name not in check["apps"]]
        going += [("site", name) for name in sites if check["sites"] and name not in check["sites"]]
        if not going:
            continue
        orphaned = _orphaned(check, [name for kind, name in going if kind == "application"], found[0], written_by)
        if orphaned and not check["allowed"]:
            problems.append(orphaned)
            continue
        listed = ", ".join("%s %s" % pair for pair in going)
        if check.get("confirmed") is not None:
            problem = _unconfirmed(check, going)
            problems += problem
            if problem:
                continue
            # Who names all that goes means it, be it all that the set has.
            check = dict(check, allowed=True)
        named = set(apps).intersection(check["apps"]) or set(sites).intersection(check["sites"])
        if named or check["allowed"]:
            # The same words from several hosts would be shown once, as if they came from one.
            tools.warn(
                "publish_set %s of this host (%s) has %s, which this play does not name: taken off now%s. To keep it,"
                " name it, give this play a publish_set of its own, or set publish_prune: false."
                % (check["set"], os.uname()[1], listed, ", with code and logs" if check.get("prune_data") else "")
            )
            if orphaned:
                tools.warn("%s: %s." % orphaned[:2])
            continue
        message = "the set %r of this host has %s, all of which would go, for this play names nothing of it" % (
            str(check["set"]),
            listed,
        )
        hint = "give this play a publish_set of its own, set publish_prune: false, or say publish_replace: true"
        hint += " (to have it gone and nothing in its place: %s)" % REMOVE % check["set"]
        problems.append(("publish_set", message, hint))
    return problems


# -- units -------------------------------------------------------------------------------------------------------


def unit(checks, tools):
    """Units that systemd would not start, or not as they are written here."""
    problems = []
    for check in checks:
        name = check["unit"]
        path = next((path for path in (os.path.join(at, name) for at in UNIT_DIRS) if os.path.lexists(path)), None)
        if path is None:
            continue
        leads = os.path.realpath(path)
        if leads == "/dev/null" or (os.path.isfile(path) and not os.path.getsize(path)):
            runtime = "--runtime " if path.startswith("/run/") else ""
            hint = "run `systemctl unmask %s%s`" % (runtime, name)
            out = ", or take the application out" if check["instance"] else ""
            problems.append((check["variable"], "%s is masked (%s)" % (name, path), hint + out))
        elif path != check["path"] and leads != os.path.realpath(check["path"]) and (
            check["instance"] or UNIT_DIRS.index(os.path.dirname(path)) < UNIT_DIRS.index("/etc/systemd/system")
        ):
            message = "%s stands in the place of %s, which would never be read" % (path, check["path"])
            hint = "remove it; what it adds can stand in a drop-in (systemctl edit)"
            problems.append((check["variable"], message, hint))
    return problems


# -- nginx -------------------------------------------------------------------------------------------------------


def nginx(checks, tools):
    """The nginx of the distribution or of a person, in the place of which ours would be put."""
    problems = []
    for check in checks:
        binary, conf = check["binary"], check["conf"]
        ours = nginx_package.is_ours(binary, tools.run_command)
        runs = nginx_package.running()
        elsewhere = runs and os.path.realpath(os.path.dirname(runs[1])) != os.path.realpath(os.path.dirname(binary))
        if elsewhere:
            message = "the nginx that runs here (process %d) is %s, and cannot be moved over to %s" % (runs + (binary,))
            problems.append((check["variable"], message, "stop it, and keep it from starting with the host"))
            continue
        own, left, _others = _Known().of(check["bundle"])
        foreign = _foreign(check, own, left)
        if ours and not foreign:
            continue
        package = None if ours else nginx_package.owner(binary, tools.run_command)
        whose = "of the package %(name)s %(version)s" % package if package else "of no package, and not built here"
        message = [] if ours else ["%s is %s%s" % (binary, whose, " and runs (process %d)" % runs[0] if runs else "")]
        if foreign:
            message.append("%s would be overwritten" % ", ".join(foreign))
        lost = nginx_package.sites(conf) if conf in foreign else []
        if lost:
            message.append("not served any more would be: %s" % "; ".join(lost))
        kept = "what goes is kept in %s" % ownership.kept_at("")
        if check["allowed"]:
            tools.warn("nginx is taken over: %s; %s." % ("; ".join(message), kept))
            continue
        remove = "remove what is there"
        if package:
            how = {"dpkg": "apt-get purge --autoremove", "rpm": "yum remove"}[package["manager"]]
            remove = "remove the package with its configuration (%s %s)" % (how, package["name"])
        hint = "%s, or say nginx_take_over: true (%s)" % (remove, kept)
        problems.append((check["variable"], ", ".join(message), hint))
    return problems


KINDS = {
    "owned": owned,
    "application": application,
    "server": server,
    "replaced": replaced,
    "unit": unit,
    "nginx": nginx,
}
