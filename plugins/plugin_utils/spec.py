"""Checks a role's variables against its meta/argument_specs.yml, naming the path of every problem.

Ansible's own validator stops at a role's start and names no index ("missing required arguments: name found in
publish_apps"); a list of fifty applications needs `publish_apps[37].name`.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from .problem import Problem, close_match

# Settings whose values no message repeats, nor those of what holds such a setting.
SECRET = {"env", "secrets"}
# Settings whose text looks like a number and is none.
_VERSION = re.compile(r"\bversion\Z")
_TRUE = {"true", "yes", "on", "1", "y", "t"}
_FALSE = {"false", "no", "off", "0", "n", "f"}


class _Wrong(Exception):
    """A value that is not of the type asked for; its text says what it should be."""

    def __init__(self, kind: str, hint: str = ""):
        super().__init__(kind)
        self.hint = hint or f"write {kind}"


def _to_str(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        raise _Wrong("text", "put it in quotes: bare on, off, yes and no are YAML's true and false")
    if not isinstance(value, (int, float)):
        raise _Wrong("text")
    return str(value)


def _to_int(value: Any) -> int:
    if isinstance(value, bool):
        raise _Wrong("a whole number")
    if isinstance(value, int):
        return int(value)
    try:
        return int(str(value).strip(), 10)
    except ValueError:
        raise _Wrong("a whole number") from None


def _to_float(value: Any) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        return float(value)
    except (TypeError, ValueError):
        raise _Wrong("a number") from None


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise _Wrong("true or false")


def _to_dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _Wrong("a mapping (name: value)")
    return {str(key): item for key, item in value.items()}


def _to_list(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, _Text):
        raise _Wrong('a list that can be told from text; in YAML: [a, b], behind -e: \'{"NAME": ["a", "b"]}\'')
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return [value]
    raise _Wrong("a list")


def _parsed(text: str) -> Any:
    """What a text that is written as JSON, or as an INI inventory writes lists and mappings, says."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return None


def from_text(value: Any, spec: Mapping[str, Any]) -> Any:
    """A role's variable as ``-e NAME=TEXT`` and INI inventories give it: text where a list or a mapping is meant.

    A list is read as JSON, or split at its commas as Ansible does; what may be meant either way stays as it is, and
    no type takes it. Settings within a variable are written in YAML or JSON, which knows lists.
    """
    kind = spec.get("type", "str")
    if not isinstance(value, str) or kind not in ("list", "dict"):
        return value
    text = value.strip()
    if not text:
        return [] if kind == "list" else {}
    # nginx's and systemd's own words may begin with a bracket, too.
    found = _parsed(text) if text[0] in "[{" else None
    if isinstance(found, list if kind == "list" else dict):
        return found
    if kind == "dict" or text[0] in "[{" or spec.get("elements", "str") != "str":
        return _Text(value)
    words = [word.strip() for word in text.split(",") if word.strip()]
    # The words of a compiler or a linker have commas of their own.
    return _Text(value) if len(words) > 1 and any(word.startswith("-") for word in words) else words


class _Text(str):
    """A text that says nothing certain where a list or a mapping is meant."""

    __slots__ = ()


_TYPES: dict[str, Callable[[Any], Any]] = {
    "str": _to_str,
    "path": _to_str,
    "int": _to_int,
    "float": _to_float,
    "bool": _to_bool,
    "dict": _to_dict,
    "list": _to_list,
    "raw": lambda value: value,
}


def _secret(name: str, spec: Mapping[str, Any]) -> bool:
    """Whether a value of this setting may hold what is nobody's to read."""
    return name in SECRET or any(_secret(inner, more) for inner, more in (spec.get("options") or {}).items())


def _shown(value: Any, path: str, spec: Mapping[str, Any]) -> str:
    return "what is given" if _secret(path.rpartition(".")[2].partition("[")[0], spec) else repr(value)


def _check(value: Any, spec: Mapping[str, Any], path: str, problems: list[Problem]) -> Any:
    given = value
    try:
        value = _TYPES[spec.get("type", "str")](value)
    except _Wrong as wrong:
        problems.append(Problem(path, f"{_shown(value, path, spec)} is not {wrong}", wrong.hint))
        return None
    if isinstance(given, (int, float)) and isinstance(value, str) and _VERSION.search(path):
        other = "1.10 for 1.1" if isinstance(given, float) else "0123456 for 42798"
        message = f"{value} is a number, and may have been more: YAML takes {other}"
        problems.append(Problem(path, message, "put it in quotes"))
    choices = spec.get("choices")
    # As in Ansible's own specs, the choices of a list are those of its elements.
    if choices and not isinstance(value, list) and value not in choices:
        listed = ", ".join(str(choice) for choice in choices)
        problems.append(Problem(path, f"{_shown(value, path, spec)} is not known", f"write one of: {listed}"))
    if isinstance(value, list) and spec.get("elements"):
        element = {"type": spec["elements"], "options": spec.get("options"), "choices": choices}
        return [_check(item, element, f"{path}[{index}]", problems) for index, item in enumerate(value)]
    if isinstance(value, dict) and spec.get("options"):
        return check(value, spec["options"], problems, path)
    return value


def check(
    values: Mapping[str, Any], options: Mapping[str, Any], problems: list[Problem], path: str = ""
) -> dict[str, Any]:
    """Return ``values`` with types coerced and defaults filled in; append what is wrong to ``problems``.

    ``options``: the `options` mapping of an argument spec (type, elements, options, choices, required, default).
    Without ``path`` the top level is meant, where names that the spec does not have are somebody else's variables.
    An optional name without a default is None in the result, and so is a value of the wrong type.
    """
    prefix = f"{path}." if path else ""
    if path:
        for name in values:
            if name not in options:
                meant = close_match(name, options)
                hint = f"did you mean {meant}?" if meant else f"known here: {', '.join(sorted(options))}"
                problems.append(Problem(f"{prefix}{name}", "there is no such setting", hint))
    result: dict[str, Any] = {}
    for name, spec in options.items():
        value = values.get(name)
        if value is None:
            value = spec.get("default")
            if value is None:
                if spec.get("required"):
                    message = "is missing"
                    problems.append(Problem(f"{prefix}{name}", message, f"set it: {_summary(spec)}"))
                result[name] = None
                continue
        # What lies within a variable was never text that a command line or an INI file had to stand for.
        result[name] = _check(value if path else from_text(value, spec), spec, f"{prefix}{name}", problems)
    return result


def told(values: Mapping[str, Any], role: str, names: tuple[str, ...]) -> dict[str, Any]:
    """These variables as the role's tasks read them: checked, of their type, without the role's name."""
    return {name: values[f"{role}_{name}"] for name in names}


def _summary(spec: Mapping[str, Any]) -> str:
    description = spec.get("description", "")
    first = description if isinstance(description, str) else next(iter(description), "")
    return str(first).strip().rstrip(".") or f"a value of type {spec.get('type', 'str')}"
