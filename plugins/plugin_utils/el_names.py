"""The names that the variables of the role el had while it was for CentOS 7 alone: centos7_X is taken for el_X."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .problem import Problem

NEW, OLD = "el_", "centos7_"


def _old(name: str) -> str:
    return OLD + name.removeprefix(NEW)


@dataclasses.dataclass(frozen=True)
class OldNames:
    """What was said by old names, as the plan takes it."""

    # The role's variables, each by the name that it has now.
    values: dict[str, Any]
    # Those of them that bear the old name in the inventory.
    said: frozenset[str]
    problems: tuple[Problem, ...]

    def refused(self, problems: Sequence[Problem]) -> list[Problem]:
        """The problems by the names that the inventory has, and with them what both names were said of."""
        found = list(self.problems)
        for problem in problems:
            name = next((name for name in self.said if problem.path.partition("[")[0].partition(".")[0] == name), None)
            path = _old(name) + problem.path[len(name) :] if name else problem.path
            found.append(problem._replace(path=path))
        return found


def options(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the role, each by its old name too."""
    return {**spec, **{_old(name): option for name, option in spec.items()}}


def taken(values: Mapping[str, Any], spec: Mapping[str, Any]) -> OldNames:
    """The variables by the names of today; the old one is taken where the new one says nothing but the default."""
    found = {name: value for name, value in values.items() if name in spec}
    said, problems = set(), []
    for name, option in spec.items():
        old = _old(name)
        if old not in values:
            continue
        if name in found and found[name] not in (option.get("default"), values[old]):
            problems.append(Problem(old, f"says otherwise than {name}, whose old name it is", f"leave out {old}"))
            continue
        found[name] = values[old]
        said.add(name)
    return OldNames(found, frozenset(said), tuple(problems))


def renamed(names: Iterable[str]) -> set[str]:
    """The names of variables, for a search of misspelt ones, with what is called by an old name in the new way."""
    return {NEW + name.removeprefix(OLD) if name.startswith(OLD) else name for name in names}
