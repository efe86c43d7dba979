# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bounds for what an old Python can run, as pip's constraints, of which an application's own requirements come first.

pip's legacy resolver, the one of Python 2.7, lets a constraint take the place of what a requirement says of its
version, hashes included: a bound beside `Flask==1.0` would install 1.1.4 without a word. So what the requirements pin
has no bound, and to what they only bound from below the bound is added.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

_NAMED = re.compile(r"\s*([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*(.*)\Z", re.DOTALL)
_FILE = re.compile(r"(?:\S*/)?([A-Za-z0-9][\w.]*(?:-[A-Za-z_][\w.]*)*)-\d\S*\.(?:whl|zip|tar\.\w+|tgz)\b")
_EGG = re.compile(r"#(?:\S*&)?egg=([\w.-]+)")
_ELSEWHERE = re.compile(r"(?:-[rc]|--(?:requirement|constraint))[ =]*\w+://")
_LOWER = re.compile(r"(>=|>|!=)\s*(\d+(?:\.\d+)*)(?:\.\*)?\Z")
_BOUND = re.compile(r"\s*([\w.-]+)\s*<\s*(\d+(?:\.\d+)*)\s*(?:#.*)?\Z")


def key(name):
    """A project's name as pip compares them."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _lines(text):
    """Lines of a requirements file as pip joins and cuts them."""
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        line = re.sub(r"(?:^|\s)#.*", "", line).strip()
        if line:
            yield line


def own(text):
    """What requirements say of versions: {key: [specifiers]}, None in the place of the list where there is no adding.

    Markers are not looked at: what holds for one Python is what the user has thought of.
    """
    found = {}
    for line in _lines(text):
        file, egg = _FILE.search(line), _EGG.search(line)
        named = _NAMED.match(line)
        if egg or (file and "=" not in line[: file.start(1)]):
            found[key((egg or file).group(1))] = None
        elif named and not line.startswith("-"):
            name, rest = key(named.group(1)), named.group(2)
            words = re.split(r"\s--|;", rest)[0].strip().strip("()")
            words = [word.strip() for word in words.split(",") if word.strip()]
            if "--hash" in rest or not all(_LOWER.match(word) for word in words):
                found[name] = None
            elif words and found.get(name, []) is not None:
                found[name] = found.get(name, []) + words
    return found


def _numbers(version):
    return tuple(int(part) for part in version.split("."))


def effective(bounds, text):
    """The bounds, lines of `NAME<VERSION`, that go with these requirements, as lines of constraints.

    None where requirements lie at an address: only pip sees what they pin.
    """
    if any(_ELSEWHERE.match(line) for line in _lines(text)):
        return []
    said, found = own(text), []
    for line in bounds:
        bound = _BOUND.match(line)
        if not bound:
            continue
        name, top = bound.groups()
        specifiers = said.get(key(name), [])
        if specifiers is None:
            continue
        lower = [_LOWER.match(word).groups() for word in specifiers]
        if any(sign != "!=" and _numbers(version) >= _numbers(top) for sign, version in lower):
            # Who asks for what cannot run is told so by pip.
            continue
        found.append("%s<%s%s" % (name, top, "".join("," + word for word in specifiers)))
    return found


def wanted(bounds, constraints, text):
    """The lines that pip is handed: the user's own constraints as they are, or what of the bounds holds."""
    return list(constraints) if constraints else effective(bounds, text)
