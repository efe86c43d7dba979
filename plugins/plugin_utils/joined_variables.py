"""Variables that add up: what groups of an inventory publish becomes one list, with what they all have in common.

The plan knows publish_apps, publish_sites and publish_upstreams as lists. Here, and nowhere else, they are joined from
publish_apps_NAME and the like, from dictionaries by name, and from defaults for all; and here what the plan says of
``publish_apps[3]`` is told by the variable and the place in it that the user wrote.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from . import spec
from .problem import Problem, close_match


class Kind(NamedTuple):
    """One of the variables that add up."""

    # What its items are, in messages. Example: application.
    called: str
    # The setting that a key of a dictionary stands for. Example: name.
    key: str
    # The variable with what all items have in common, if there is one. Example: publish_app_defaults.
    defaults: str | None
    # Settings that can be no two items' own. Example: name.
    own: tuple[str, ...]


KINDS = {
    "publish_apps": Kind("application", "name", "publish_app_defaults", ("name",)),
    "publish_sites": Kind("site", "server_name", "publish_site_defaults", ("name", "server_name")),
    "publish_upstreams": Kind("upstream", "name", None, ("name",)),
}
# A place in a joined list, as the plan names it, with the setting behind it.
_PLACE = re.compile(rf"\b({'|'.join(KINDS)})\[(\d+)\](?:\.(\w+))?")
_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
# The fields of a plan that name variables.
NAMING = {"app_variables", "checks", "served", "served_filled"}
# Of a host, for the upstreams of others.
_OTHERS = {"publish_upstream_weight", "publish_upstream_backup"}


def more(names: Iterable[str]) -> dict[str, str]:
    """{variable: the one that it adds to}, in the order in which they are joined: by name."""
    found = {}
    for name in sorted(str(name) for name in names):
        for kind in KINDS:
            if name.startswith(f"{kind}_") and name != f"{kind}_":
                found[name] = kind
    return found


def options(given: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The options of the role publish with those of the variables that add up to one of them."""
    return {**given, **{name: given[kind] for name, kind in more(names).items() if kind in given}}


def merged(default: Any, own: Any) -> Any:
    """What an item says itself wins; of two dictionaries setting by setting, and a list is taken whole."""
    if not isinstance(default, Mapping) or not isinstance(own, Mapping):
        return own
    return {**default, **{key: merged(default.get(key), value) for key, value in own.items()}}


@dataclasses.dataclass
class Joined:
    """The variables of the role publish as the plan takes them, and the way back to what the user wrote."""

    # The variables, joined.
    values: dict[str, Any]
    # What is wrong with what was to be joined.
    problems: list[Problem] = dataclasses.field(default_factory=list)
    # Where each item of a joined list was written. Example: {publish_apps: [publish_apps_shop[0], publish_apps.chat]}.
    places: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    # The settings that each item has from the defaults only, by the variable of these.
    inherited: dict[str, list[set[str]]] = dataclasses.field(default_factory=dict)

    def told(self, value: Any) -> Any:
        """The same with each place of a joined list as the user wrote it, in all texts within."""
        if isinstance(value, str):
            return _PLACE.sub(self._written, value) if "publish_" in value else value
        if isinstance(value, Mapping):
            return {key: self.told(item) for key, item in value.items()}
        return [self.told(item) for item in value] if isinstance(value, list) else value

    def plan(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        """A plan as tasks get it, in which what names variables does so as the user wrote them."""
        return {key: self.told(value) if key in NAMING else value for key, value in plain.items()}

    def refused(self, problems: Iterable[Problem]) -> list[Problem]:
        """All that is wrong, as the user wrote it; what items have of the defaults is told once, with these."""
        found = list(self.problems)
        known = set()
        for problem in problems:
            path, message, hint = (self.told(text) for text in problem)
            place = _PLACE.match(problem.path)
            if place and self._is_inherited(place):
                setting = f"{KINDS[place[1]].defaults}.{problem.path[place.start(3) :]}"
                if (setting, message, hint) in known:
                    continue
                known.add((setting, message, hint))
                path = f"{setting} (for {self.places[place[1]][int(place[2])]})"
            found.append(Problem(path, message, hint))
        return found

    def without(self, apps: Iterable[str]) -> Joined:
        """The same without these applications, the locations that lead to them, and sites that lead nowhere else."""
        gone, found = set(apps), dataclasses.replace(self)
        if not gone:
            return found
        found.values, found.places, found.inherited = dict(self.values), dict(self.places), dict(self.inherited)
        for name, left in (("publish_apps", _other_app), ("publish_sites", _other_site)):
            items = self.values.get(name)
            if isinstance(items, list):
                kept = [(index, item) for index, one in enumerate(items) if (item := left(one, gone)) is not None]
                found.values[name] = [item for _index, item in kept]
                found.places[name] = [self.places[name][index] for index, _item in kept]
                found.inherited[name] = [self.inherited[name][index] for index, _item in kept]
        return found

    def _is_inherited(self, place: re.Match[str]) -> bool:
        items = self.inherited.get(place[1], [])
        return int(place[2]) < len(items) and place[3] in items[int(place[2])]

    def _written(self, place: re.Match[str]) -> str:
        places, behind = self.places.get(place[1], []), f".{place[3]}" if place[3] else ""
        return f"{places[int(place[2])]}{behind}" if int(place[2]) < len(places) else place[0]


def _other_app(app: Any, gone: set[str]) -> Any:
    """The application, unless it is one of these."""
    return None if isinstance(app, Mapping) and app.get("name") in gone else app


def _other_site(site: Any, gone: set[str]) -> Any:
    """The site without the locations of these applications; None where it has no other."""
    locations = site.get("locations") if isinstance(site, Mapping) else None
    if not isinstance(locations, list):
        return site
    kept = [one for one in locations if not isinstance(one, Mapping) or one.get("app") not in gone]
    return {**site, "locations": kept} if kept or not locations else None


def _entry(variable: str, key: str) -> str:
    """An item of a dictionary, as one writes it."""
    return f"{variable}.{key}" if _BARE.match(key) else f"{variable}[{key!r}]"


def _item(kind: Kind, place: str, key: str, given: Any, problems: list[Problem]) -> Any:
    """An item of a dictionary as one of a list, which holds its own name."""
    settings = {} if given is None else given
    if not isinstance(settings, Mapping):
        return settings
    said = settings.get(kind.key)
    names = said if isinstance(said, list) else [said]
    if said is not None and key not in names:
        message = f"is another one than the key, {key!r}, which is the {kind.key} of the {kind.called}"
        problems.append(Problem(f"{place}.{kind.key}", message, "leave it out, or write the key alike"))
    named = [key] if kind.key == "server_name" else key
    return {**settings, kind.key: named if said is None else said}


def _items(
    variable: str, kind: Kind, value: Any, option: Mapping[str, Any], problems: list[Problem]
) -> list[tuple[str, Any]]:
    """(place, item) of all that one variable holds."""
    for read in ("list", "dict"):
        value = spec.from_text(value, {**option, "type": read}) if isinstance(value, str) else value
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return [(f"{variable}[{index}]", item) for index, item in enumerate(value)]
    if not isinstance(value, Mapping):
        spec.check({variable: value}, {variable: option}, problems)
        return []
    if any(name in value and not isinstance(value[name], Mapping) for name in kind.own):
        message = f"is a dictionary of settings, and not one of {kind.called}s by {kind.key}"
        hint = f"write a list, with '- ' in front of the {kind.called}, or its {kind.key} over the settings"
        problems.append(Problem(variable, message, hint))
        return []
    entries = [(_entry(variable, str(key)), str(key), item) for key, item in value.items()]
    return [(place, _item(kind, place, key, item, problems)) for place, key, item in entries]


def _optional(given: Mapping[str, Any], own: tuple[str, ...] = ()) -> dict[str, Any]:
    """These options, none of which has to be there: another half of a dictionary may hold it."""
    found = {}
    for name, option in given.items():
        inner = option.get("options") if option.get("type") == "dict" else None
        loose = {key: value for key, value in option.items() if key not in ("required", "default")}
        found[name] = {**loose, "options": _optional(inner)} if inner else loose
    return {name: option for name, option in found.items() if name not in own}


def _defaults(name: str, kind: Kind, value: Any, option: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """What all items have in common, without what of it is wrong."""
    value, wrong = spec.from_text(value, {"type": "dict"}), list[Problem]()
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        problems.append(Problem(name, "what is given is not a mapping (name: value)", "write a mapping (name: value)"))
        return {}
    given = {str(key): item for key, item in value.items()}
    for key in kind.own:
        if key in given:
            message = f"is what makes one {kind.called} another one than the next"
            wrong.append(Problem(f"{name}.{key}", message, f"leave it out here, and write it in each {kind.called}"))
    checked = {key: item for key, item in given.items() if key not in kind.own}
    spec.check(checked, _optional(option["options"], kind.own), wrong, name)
    problems += wrong
    bad = {problem.path[len(name) + 1 :].partition(".")[0].partition("[")[0] for problem in wrong}
    return {key: item for key, item in given.items() if key not in bad}


def join(given: Mapping[str, Any], options: Mapping[str, Any]) -> Joined:
    """The role's variables, joined: the plain one first, then the others by their names, each as it is written.

    ``given``: the variables of the role publish and those that add up to them; ``options``: the role's argument spec.
    """
    adding = more(given)
    found = Joined({name: value for name, value in given.items() if name not in adding})
    for name, kind in KINDS.items():
        variables = [one for one in (name, *adding) if one in given and adding.get(one, name) == name]
        common: dict[str, Any] = {}
        if kind.defaults and kind.defaults in given:
            common = _defaults(kind.defaults, kind, given[kind.defaults], options[name], found.problems)
            found.values[kind.defaults] = common
        if not variables:
            continue
        items = [
            one
            for variable in variables
            for one in _items(variable, kind, given[variable], options[name], found.problems)
        ]
        found.places[name] = [place for place, _item in items]
        found.values[name] = [merged(common, item) if isinstance(item, Mapping) else item for _place, item in items]
        found.inherited[name] = [
            set(common).difference(item) if isinstance(item, Mapping) else set() for _place, item in items
        ]
    return found


def misspelt(options: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    """{variable: what was meant} of those that look like one that adds up and are none, such as publish_app_shop."""
    words = {kind.partition("_")[2]: kind for kind in KINDS}
    found = {}
    for name in sorted(str(name) for name in names):
        prefix, word, rest = [*name.split("_", 2), "", ""][:3]
        if prefix != "publish" or word in words or name in options or name in _OTHERS:
            continue
        near = difflib.get_close_matches(word, list(words), n=1, cutoff=0.8)
        if near:
            meant = words[near[0]] + (f"_{rest}" if rest else "")
            found[name] = close_match(name, [one for one in options if one.startswith(f"publish_{word}_")]) or meant
    return found
