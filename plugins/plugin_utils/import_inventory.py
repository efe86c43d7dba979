"""An existing stack as an inventory of this collection: joins what was found of nginx and uWSGI, and proves it.

What a directive becomes is not guessed: the plan is asked. What it writes anyhow is carried, what it takes as an option
is kept, what it refuses is told with its own reason, and at last both configurations are compared as trees.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from . import client_plan, import_apps, import_nginx, import_sites, import_uwsgi, site_listen, site_location
from .import_apps import FoundApp
from .import_nginx import Node, written
from .import_report import CARRIED, CHANGED, DECIDE, DROPPED, KEPT, Imported, Row
from .import_sites import Draft, Location, Sites, Table
from .model import Plan, PublishPlan
from .nginx_tree import Directive
from .problem import Problem

Planner = Callable[[Mapping[str, Any]], tuple[dict[str, Plan], list[Problem]]]
# The host that an inventory is tried on where nothing is known of it.
HOST = {
    "os_family": "Debian",
    "distribution": "Debian",
    "version": "12",
    "arch": "x86_64",
    "systemd": 252,
    "selinux": False,
    "python": "3.11",
    "groups": {"": []},
    "role": "publish",
}
_ROUNDS = 60
# After that what the plan refuses is told, and no more is tried.
MAX_SECONDS = 60
# What the roles say in nginx.conf themselves.
_MAIN = {
    "pid": "the unit and the upgrade count on /run/nginx.pid",
    "daemon": "the unit counts on the default",
    "master_process": "an upgrade without a lost request needs a master",
    "load_module": "nginx is built as one file; nginx_build_options adds modules",
    "include": "",
}
# The variables that several sites share.
# What maintenance looks for and answers, by names that a site of ours gives it.
_MAINTAINED = re.compile(r"\$publish_(\w+_down(_page)?|page_[0-9a-f]{8}_\d+)\b")
_SHARED = ("port", "connection", "x_content_type_options", "x_frame_options", "referrer_policy")
_PLACE = re.compile(r"(publish_apps|publish_sites|publish_upstreams)\[(\d+)\](?:\.(.*))?\Z")


def emitted(tree: Iterable[Directive], depth: int = 0) -> str:
    """A tree of the plan's as nginx reads it."""
    lines = []
    for name, value, children in tree:
        head = "    " * depth + f"{name} {value}".strip()
        inner = "" if children is None else emitted(children, depth + 1)
        lines.append(f"{head};\n" if children is None else f"{head} {{\n{inner}{'    ' * depth}}}\n")
    return "".join(lines)


def _formats_first(options: dict[str, Any]) -> dict[str, Any]:
    """Options of http in which a log stands behind the formats, which nginx has to know before it.

    A directive of the role's own keeps its place when it is replaced, which is before those of the user's.
    """
    logs = options.get("access_log")
    lines = [line for line in (logs if isinstance(logs, list) else [logs]) if isinstance(line, str)]
    if "log_format" not in options or not all(" " in line for line in lines) or not lines:
        return options
    moved = {f"access_log {line.partition(' ')[0]}": line.partition(" ")[2] for line in lines}
    return {**options, "access_log": None, **moved} if len(moved) == len(lines) else options


def nodes_of(tree: Iterable[Directive]) -> list[Node]:
    """A tree of the plan's as the nodes that its text is read as."""
    return import_nginx.parse(emitted(tree), "generated", [])


def deep(node: Node) -> Any:
    """By what two directives are the same with all in them."""
    inner = None if node.children is None else tuple(deep(one) for one in node.children)
    return (*node.key(), inner)


class Generated:
    """What the plan makes of an inventory."""

    def __init__(self, plans: Mapping[str, Plan]) -> None:
        publish = plans["publish"]
        if not isinstance(publish, PublishPlan):
            raise TypeError("this is no plan of the role publish")
        self.http: list[Node] = []
        self.servers: dict[str, Node] = {}
        self.apps = {unit.app: {(pair[0], pair[1]) for pair in unit.options} for unit in publish.instances}
        for file in publish.site_bundle.files:
            site = (file.vars or {}).get("site")
            if site is not None:
                self.http += nodes_of(site.http)
                self.servers[site.name] = nodes_of([site.server])[0]
            else:
                self.http += nodes_of((file.vars or {}).get("http") or [])
        nginx = plans.get("nginx")
        self.conf: list[Node] = nodes_of(getattr(nginx, "conf", None) or [])


class Import:
    """One import."""

    def __init__(
        self,
        files: Mapping[str, str],
        planner: Planner,
        processes: Iterable[Mapping[str, Any]] = (),
        main: str = "",
        there: Iterable[str] = (),
    ) -> None:
        self.planner = planner
        self.until = time.monotonic() + MAX_SECONDS
        self.result = Imported()
        reader = import_nginx.Reader(files, main)
        self.main, self.events, self.http = import_nginx.http_level(reader.read())
        sources, messages = import_uwsgi.applications(files, processes)
        self.result.messages = [*reader.messages, *messages]
        self.apps = import_apps.imported(sources, {*files, *there})
        self.table = Table()
        self.sites = Sites(self.http, self.apps, self.table, self.main)
        self.drafts = self.sites.all()
        for found in self.apps:
            name = found.app["name"]
            led = [one for draft in self.drafts for one in draft.locations if one.values.get("app") == name]
            mounted = {site_location.Path(one.values["path"]).bare for one in led if one.values.get("mount")}
            import_apps.keep_unmounted(found, mounted)
        self.more: list[Row] = []
        # Options of the roles' own files, [variable, node].
        self.conf: list[tuple[str, Node]] = []
        self.conf_values: dict[str, Any] = {}

    # -- what is no site -----------------------------------------------------------------------------------------------

    def _main(self) -> None:
        table, values = self.table, self.conf_values
        for node in self.main:
            if node.name == "user":
                values["nginx_user"] = node.first()
                values["nginx_group"] = node.args[1] if len(node.args) > 1 else node.first()
                table.say(node, CARRIED, "nginx_user, nginx_group")
            elif node.name == "worker_processes":
                values["nginx_worker_processes"] = node.first()
                table.say(node, CARRIED, "nginx_worker_processes")
            elif node.name in _MAIN:
                how = _MAIN[node.name] or "the file was not among those that were read"
                table.say(node, DROPPED if _MAIN[node.name] else DECIDE, how)
            elif node.name in ("http", "events"):
                table.say(node, CARRIED, "nginx.conf", deep=False)
            else:
                self.conf.append(("nginx_main_options", node))
        for node in self.events:
            if node.name == "worker_connections" and node.first().isdigit():
                values["nginx_worker_connections"] = int(node.first())
                table.say(node, CARRIED, "nginx_worker_connections")
            else:
                self.conf.append(("nginx_events_options", node))

    def _http(self) -> None:
        for node in self.http:
            if node.name == "server":
                continue
            if node.name == "upstream":
                self._upstream(node)
            elif node.name == "include" and node.children is None:
                parts = node.first().split("/")
                known = parts[-1] == "mime.types" or import_nginx.OWN_FOLDERS & set(parts)
                choices = ["add the file and import again", "state what it says as options"]
                how = "nginx.conf includes it" if known else "the file was not among those that were read"
                self.table.say(node, CARRIED if known else DECIDE, how, [] if known else choices)
            else:
                self.conf.append(("nginx_conf_options", node))

    def _upstream(self, node: Node) -> None:
        targets = self.sites.targets
        if node.first() in targets.upstreams:
            return
        if node.first() in targets.joined:
            self.table.say(node, CARRIED, "app of the location leads to the socket itself")
        elif node.first().startswith("instances-"):
            self.table.say(node, CHANGED, "several instances of an application; state instances of one")
        else:
            targets.upstream(node.first(), "http")

    # -- variables -----------------------------------------------------------------------------------------------------

    def variables(self, options: bool) -> dict[str, Any]:
        """The inventory as it stands; without ``options`` what is a variable of its own only."""
        apps = [{key: value for key, value in one.app.items() if options or key != "options"} for one in self.apps]
        sites = []
        for draft in self.drafts:
            site = dict(draft.values)
            site["locations"] = [self._location(one, options) for one in draft.locations if not one.verbatim]
            if options:
                found = import_nginx.options(draft.rest)
                for one in draft.locations:
                    if one.verbatim:
                        path = " ".join(written(one.node.args))
                        found[f"location {path}"] = import_nginx.options(one.node.children or [])
                site.update({"options": found} if found else {})
            if not site["locations"]:
                site.pop("locations")
            sites.append(site)
        result: dict[str, Any] = {"publish_apps": apps} if apps else {}
        upstreams = list(self.sites.targets.upstreams.values())
        result.update({"publish_upstreams": upstreams} if upstreams else {})
        result.update({"publish_sites": sites} if sites else {})
        result.update(self.conf_values)
        for variable in ("nginx_main_options", "nginx_events_options", "nginx_conf_options"):
            nodes = [node for name, node in self.conf if name == variable]
            if nodes and options:
                result[variable] = _formats_first(import_nginx.options(nodes))
        return result

    @staticmethod
    def _location(one: Location, options: bool) -> dict[str, Any]:
        found = import_nginx.options(one.rest) if options else {}
        return {**one.values, **({"options": found} if found else {})}

    # -- what the plan refuses -----------------------------------------------------------------------------------------

    def _plan(self, options: bool) -> Generated | None:
        """The plan of the inventory, whatever it refuses taken out or kept in another way first."""
        problems: list[Problem] = []
        for _round in range(_ROUNDS):
            plans, problems = self.planner(self.variables(options))
            if not problems:
                return Generated(plans)
            if time.monotonic() > self.until:
                break
            mended = [self._mend(problem) for problem in self._first_of_each(problems)]
            if not any(mended):
                break
        for problem in problems:
            self.more.append(Row("", 0, problem.path, DECIDE, problem.message, [problem.hint]))
        return None

    @staticmethod
    def _first_of_each(problems: Iterable[Problem]) -> list[Problem]:
        """One problem an item, the last item first, so that places stay right while they are mended."""
        found: dict[str, Problem] = {}
        for problem in problems:
            found.setdefault(re.sub(r"\A(\w+(?:\[\d+\])?(?:\.locations\[\d+\])?).*", r"\1", problem.path), problem)
        return list(found.values())

    def _mend(self, problem: Problem) -> bool:
        """Take out, or keep in another way, what a problem is about; whether that was possible."""
        found = _PLACE.match(problem.path)
        why = f"{problem.message}; {problem.hint}"
        if not found:
            return self._mend_conf(problem.path, why)
        index, rest = int(found[2]), found[3] or ""
        if found[1] == "publish_apps" and index < len(self.apps):
            return self._mend_app(self.apps[index], rest, why, problem)
        if found[1] == "publish_sites" and index < len(self.drafts):
            return self._mend_site(self.drafts[index], rest, why)
        if found[1] == "publish_upstreams":
            return self._mend_upstream(index, rest, problem)
        return False

    def _mend_upstream(self, index: int, rest: str, problem: Problem) -> bool:
        upstreams = list(self.sites.targets.upstreams.values())
        inner = re.match(r"servers\[(\d+)\]\.(\w+)", rest)
        item = upstreams[index]["servers"][int(inner[1])] if inner else upstreams[index]
        key = inner[2] if inner else rest
        if key not in item or key in ("name", "servers", "address"):
            return False
        value = item.pop(key)
        text = f"{upstreams[index]['name']}: {key} {value}"
        self.more.append(Row("", 0, text, CHANGED, f"our default: {problem.message}"))
        return True

    def _mend_conf(self, path: str, why: str) -> bool:
        variable, _dot, name = path.partition(".")
        name = re.sub(r"\[\d+\]\Z", "", name)
        for one in self.conf:
            text = f"{one[1].name} {one[1].text()}".strip()
            if one[0] == variable and (one[1].name == name or name.startswith(text) or not name):
                self.conf.remove(one)
                self.table.say(one[1], DROPPED, f"refused: {why}")
                return True
        if variable in self.conf_values:
            self.conf_values.pop(variable)
            self.more.append(Row("", 0, variable, CHANGED, f"left at its default: {why}"))
            return True
        return False

    def _mend_app(self, found: FoundApp, rest: str, why: str, problem: Problem) -> bool:
        key, _dot, name = rest.partition(".")
        key = re.sub(r"\[\d+\]\Z", "", key)
        name = re.sub(r"\[\d+\]\Z", "", name)
        app, file = found.app, found.source.file
        options = app.get("options", {})
        if key == "options" and name in options:
            options.pop(name)
            for row in found.rows:
                if row.how == f"options: {name}":
                    row.state, row.how = DROPPED, f"refused: {why}"
            return True
        if key in ("env", "headers") and name in app.get(key, {}):
            app[key].pop(name)
            self.more.append(Row(file, 0, f"{key} {name}", DECIDE, problem.message, [problem.hint]))
            return True
        if key in app and key not in ("name", "path", "module"):
            value = app.pop(key)
            shown = "" if key == "env" else f" = {value}"
            self.more.append(Row(file, 0, f"{key}{shown}", DECIDE, problem.message, [problem.hint]))
            return True
        return False

    def _mend_site(self, draft: Draft, rest: str, why: str) -> bool:
        place = re.match(r"locations\[(\d+)\]", rest)
        if place:
            plain = [one for one in draft.locations if not one.verbatim]
            if int(place[1]) >= len(plain):
                return False
            plain[int(place[1])].verbatim = why
            return True
        key, _dot, name = rest.partition(".")
        key = re.sub(r"\[\d+\]\Z", "", key)
        if key == "options":
            return self._mend_options(draft, re.sub(r"\[\d+\]\Z", "", name), why)
        if key == "tls" and name and draft.values.get("tls"):
            name = re.sub(r"\[\d+\]\Z", "", name)
            if name in draft.values["tls"] and name not in ("certificate", "key"):
                draft.values["tls"].pop(name)
                self.more.append(Row(draft.node.file, draft.node.line, f"tls.{name}", CHANGED, f"our default: {why}"))
                return True
        if key in draft.values and key not in ("server_name", "tls", "listen"):
            value = draft.values.pop(key)
            self.more.append(Row(draft.node.file, draft.node.line, f"{key} = {value}", CHANGED, f"our default: {why}"))
            return True
        if key in ("server_name", "listen", ""):
            # Nobody can ask for it, or another one answers: such a site is dead in the original too.
            self.drafts.remove(draft)
            choices = ["leave it out", "give it a name or a port of its own"]
            self.table.say(draft.node, DECIDE, why, choices, deep=False)
            for node in draft.node.walk():
                if node is not draft.node:
                    self.table.say(node, DECIDE, "the server block was left out", deep=False)
            return True
        return False

    def _mend_options(self, draft: Draft, name: str, why: str) -> bool:
        for node in draft.rest:
            if node.name == name or (name and f"{node.name} {node.text()}".startswith(name)):
                draft.rest.remove(node)
                self.table.say(node, DROPPED, f"refused: {why}")
                return True
        return False

    # -- what the plan writes anyhow -----------------------------------------------------------------------------------

    def _settle(self, made: Generated) -> None:
        """What the plan says by itself is no option; the rest is."""
        for draft in self.drafts:
            server = made.servers.get(self._name(draft))
            has = Counter(deep(node) for node in (server.children or [])) if server else Counter()
            draft.rest = self._left(draft.rest, has)
            for one in draft.locations:
                block = self._block(server, one)
                inner = Counter(deep(node) for node in (block.children or [])) if block else Counter()
                if not one.verbatim:
                    one.rest = self._left(one.rest, inner)
        shared = {deep(node) for node in made.http}
        own = {f"$publish_main_{name}" for name in _SHARED}
        own |= {line[1].split()[-1] for line in client_plan.maps("publish_main")}
        conf = {deep(node) for top in made.conf for node in [top, *(top.children or [])]}
        for variable, node in list(self.conf):
            if deep(node) in shared | conf:
                self.table.say(node, CARRIED, "the role writes the same")
                self.conf.remove((variable, node))
            elif (node.name == "map" and node.args[-1] in own) or _MAINTAINED.match(node.args[-1] if node.args else ""):
                self.table.say(node, CARRIED, "written anyhow where it is used")
                self.conf.remove((variable, node))
        for found in self.apps:
            self._settle_app(found, made.apps.get(found.app["name"], set()))

    def _left(self, nodes: list[Node], has: Counter[Any]) -> list[Node]:
        left = []
        maintained = any(_MAINTAINED.search(str(key)) for key in has)
        for node in nodes:
            if has[deep(node)] > 0 or (maintained and node.name == "if" and _MAINTAINED.search(node.text())):
                has[deep(node)] -= 1
                self.table.say(node, CARRIED, "the role writes the same")
            else:
                left.append(node)
        return left

    @staticmethod
    def _settle_app(found: FoundApp, planned: set[tuple[str, str]]) -> None:
        same = {option.name for option in found.kept if (option.name, option.value) in planned}
        same -= {option.name for option in found.kept if (option.name, option.value) not in planned}
        for row in found.rows:
            if row.how.removeprefix("options: ") in same and row.state == KEPT:
                row.state, row.how = CARRIED, "the role writes the same"
        for name in same:
            found.app["options"].pop(name, None)
        if not found.app.get("options"):
            found.app.pop("options", None)

    @staticmethod
    def _name(draft: Draft) -> str:
        return site_listen.name_of({"name": draft.values.get("name"), "server_name": draft.names()})

    @staticmethod
    def _block(server: Node | None, one: Location) -> Node | None:
        if server is None:
            return None
        path = " ".join(one.values["path"].split())
        original = " ".join(written(one.node.args))
        wanted = (original,) if one.verbatim else (path, original)
        return next((node for node in server.all("location") if " ".join(written(node.args)) in wanted), None)

    def _inherit(self) -> None:
        """A location with headers of its own had none of its server's; here it has them, unless they are taken away."""
        for draft in self.drafts:
            outer = [*draft.values.get("headers", {}), *(one.first() for one in draft.rest if one.name == "add_header")]
            for one in draft.locations:
                lines = [node.first() for node in one.rest if node.name == "add_header"]
                own = {*one.values.get("headers", {}), *lines}
                if one.verbatim or not own:
                    continue
                lower = {name.lower() for name in own}
                for name in outer:
                    if name.lower() not in lower:
                        one.values.setdefault("headers", {})[name] = None

    def _slashes(self) -> None:
        """What the plan itself says of a path without its slash."""
        for draft in self.drafts:
            paths = {one.values["path"]: one for one in draft.locations}
            for one in list(draft.locations):
                bare = one.values["path"].removeprefix("= ")
                other = paths.get(f"{bare}/") or paths.get(f"^~ {bare}/")
                body = [node.key() for node in one.node.children or []]
                if not one.values["path"].startswith("= ") or other is None:
                    continue
                if body == [("return", ("301", f"{bare}/$is_args$args"))] or body == [("return", ("404",))]:
                    if body[0][1][0] == "404":
                        other.values["slash"] = "404"
                    draft.locations.remove(one)
                    self.table.say(one.node, CARRIED, "slash")

    # -- the outcome ---------------------------------------------------------------------------------------------------

    def _rows(self) -> None:
        """What became of the nodes that are options now."""
        for draft in self.drafts:
            for node in draft.rest:
                import_sites.options_row(self.table, node, f"options: {node.name}")
            for one in draft.locations:
                if one.verbatim:
                    path = " ".join(written(one.node.args))
                    for node in one.node.walk():
                        self.table.say(node, KEPT, f"options: location {path}", deep=False)
                    self.table.say(one.node, KEPT, f"options: location {path}; as {one.verbatim}", deep=False)
                    continue
                for node in one.rest:
                    import_sites.options_row(self.table, node, f"options of the location: {node.name}")
        for variable, node in self.conf:
            import_sites.options_row(self.table, node, f"{variable}: {node.name}")

    def _prove(self, made: Generated) -> None:
        """Compare what is generated with the original, block by block."""
        for draft in self.drafts:
            server = made.servers.get(self._name(draft))
            if server is None:
                continue
            self._compare(self._name(draft), draft.rest, draft.node, server)
            for one in draft.locations:
                block = self._block(server, one)
                path = " ".join(written(one.node.args))
                if block is None:
                    self.result.missing.append(f"{self._name(draft)}: location {path}")
                    continue
                rest = one.rest if not one.verbatim else one.node.children or []
                self._compare(f"{self._name(draft)}: location {path}", rest, one.node, block)

    def _compare(self, where: str, rest: Iterable[Node], original: Node, block: Node) -> None:
        has = {deep(node) for node in block.children or []}
        theirs = {node.key() for node in original.children or []}
        names = {node.name for node in original.children or []}
        loose = {(one.key()[0], " ".join(one.key()[1])) for one in block.children or []}
        for node in rest:
            if deep(node) not in has and (node.key()[0], " ".join(node.key()[1])) not in loose:
                self.result.missing.append(f"{where}: {node.shown()}")
        own = {"listen", "server_name", "location", "uwsgi_pass", "proxy_pass", "alias", "root"}
        own |= {"access_log", "error_log", *(name for name in names if name.startswith("ssl_"))}
        added = [
            node.shown()
            for node in block.children or []
            if node.key() not in theirs and node.name not in own
        ]
        client = [text for text in added if re.match(r"(uwsgi_param HTTP_|proxy_set_header )", text)]
        self.result.added += [f"{where}: {text}" for text in added if text not in client]
        if client:
            told = "lines that tell the application who the client is, and nobody else may"
            self.result.added.append(f"{where}: {len(client)} {told}")

    def _count(self) -> tuple[int, int, int]:
        every = [one for draft in self.drafts for one in draft.locations]
        named = [node for node in self.table.nodes if node.name == "location"]
        slashes = [node for node in named if self.table.rows[id(node)].how == "slash"]
        servers = [node for node in self.http if node.name == "server"]
        total = sum(node.name == "location" for server in servers for node in server.walk())
        whole = sum(not one.verbatim for one in every) + len(slashes)
        inside = sum(node.name == "location" and node is not one.node for one in every for node in one.node.walk())
        joined = sum(
            node.name == "location" for draft in self.drafts for other in draft.others for node in other.walk()
        )
        return whole + joined, sum(bool(one.verbatim) for one in every) + inside, total

    def _comments(self) -> None:
        comments = self.result.comments
        for index, found in enumerate(self.apps):
            for place, lines in found.comments.items():
                key = place if place and place[0] in found.app else ("name",)
                comments.setdefault(("publish_apps", index, *key), []).extend(lines)
        for index, draft in enumerate(self.drafts):
            where: tuple[Any, ...] = ("publish_sites", index)
            inner = {id(node) for one in draft.locations for node in one.node.walk()}
            own = [node for other in (draft.node, *draft.others) for node in other.walk() if id(node) not in inner]
            comments.setdefault(where, []).extend(line for node in own for line in node.comments)
            plain = [one for one in draft.locations if not one.verbatim]
            for at, one in enumerate(plain):
                lines = [line for node in one.node.walk() for line in node.comments]
                comments.setdefault((*where, "locations", at), []).extend(lines)
            left = [one for one in draft.locations if one.verbatim]
            comments[where] += [line for one in left for node in one.node.walk() for line in node.comments]
        rest = [node for node in (*self.main, *self.events, *self.http) if node.name != "server"]
        first = next(iter(self.result.variables), None)
        if first:
            lines = [line for node in rest for one in node.walk() for line in one.comments]
            comments.setdefault((first,), [])[:0] = lines

    def run(self) -> Imported:
        """The inventory, the table and the proof."""
        self._main()
        self._http()
        self._slashes()
        made = self._plan(False)
        if made is not None:
            self._settle(made)
        self._inherit()
        made = self._plan(True)
        self._rows()
        self.result.variables = self.variables(True)
        if made is not None:
            self._prove(made)
        for node in (*self.main, *self.events, *self.http):
            for one in node.walk():
                if not self.table.state(one):
                    choices = ["state it as an option"]
                    self.table.say(one, DECIDE, "nothing here knows what it means", choices, deep=False)
        self.result.rows = [row for found in self.apps for row in found.rows] + self.table.sorted() + self.more
        self.result.locations = self._count()
        self._comments()
        return self.result


def run(
    files: Mapping[str, str],
    planner: Planner,
    processes: Iterable[Mapping[str, Any]] = (),
    main: str = "",
    there: Iterable[str] = (),
) -> Imported:
    """Import what a set of files says.

    ``planner``: plans variables; ``processes``: uWSGI masters that run; ``main``: nginx's main file where it is known;
    ``there``: other paths that the host is known to have.
    """
    return Import(files, planner, processes, main, there).run()


def asked(imported: Imported) -> list[str]:
    """The paths that would answer questions if they were there."""
    apps = imported.variables.get("publish_apps") or []
    open_ones = [app for app in apps if app.get("path") and not (app.get("virtualenv") or app.get("requirements"))]
    return [f"{app['path'].rstrip('/')}/requirements.txt" for app in open_ones]
