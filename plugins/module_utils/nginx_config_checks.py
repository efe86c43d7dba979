# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What files of nginx's that the plan does not write do to what it writes: kinds of module_utils/host_checks.py."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import os
import re

from ansible_collections.graceful.wsgi.plugins.module_utils import safe_path
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

# No file that is included by people is longer.
LIMIT = 1 << 18
TOKEN = re.compile(r"#[^\n]*|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|[;{}]|(?:\\.|\$\{\w+\}|[^\s;{}\\])+", re.DOTALL)


def _text(path):
    """A file of root's; empty where it is another account's, or none."""
    try:
        if safe_path.untrusted_target(path) is not None:
            return ""
        return native(safe_path.read_file(path, LIMIT))
    except (IOError, OSError, safe_path.UnsafePath):
        return ""


def parsed(text):
    """A configuration as nested lists of (words, block or None)."""
    stack, words = [[]], []
    for token in TOKEN.findall(text):
        if token.startswith("#"):
            continue
        if token == ";":
            stack[-1].append((words, None))
            words = []
        elif token == "{":
            block = []
            stack[-1].append((words, block))
            stack.append(block)
            words = []
        elif token == "}":
            if len(stack) > 1:
                stack.pop()
            words = []
        else:
            words.append(token.strip("\"'"))
    return stack[0]


def _lines(include, home, depth=0):
    """The directives of what an include names, and of what that includes, each with its file."""
    found = []
    for path in sorted(glob.glob(os.path.join(home, include))):
        for words, block in parsed(_text(path)):
            if block is None and len(words) > 1 and words[0] == "include" and depth < 5:
                found += _lines(words[1], home, depth + 1)
            elif block is None and len(words) > 1:
                found.append((path, words[0], words[1] if words[0].endswith("_param") else words[1].lower()))
    return found


def included(checks, tools):
    """Lines of files that a site or a location includes, which are sent twice, or lost, or have others be lost.

    ``include``, and by directive ``own``: what stands beside the include in the block; ``outer``: what the block has
    from around it unless it says some itself; ``lost``: directives that the blocks within the block say for themselves.
    """
    found = []
    for check in checks:
        lines = _lines(check["include"], check["home"])
        for name in sorted(set(line[1] for line in lines)):
            said = [(path, key) for path, directive, key in lines if directive == name]
            keys, path = [key for _path, key in said], said[0][0]
            twice = sorted(set(keys).intersection(check["own"].get(name, ())))
            outer = sorted(set(check["outer"].get(name, ())).difference(keys))
            write = "write what you need of it as options.%s, and leave the include out" % name
            if name in check["lost"]:
                message = "%s says %s of %s, and the locations say their own, so that it would not be sent"
                found.append((check["variable"], message % (path, name, ", ".join(sorted(set(keys)))), write))
            elif twice:
                message = "%s says %s of %s, which the location says too, and both would be sent"
                found.append((check["variable"], message % (path, name, ", ".join(twice)), write))
            elif outer and not check["own"].get(name):
                message = "%s says %s, by which nginx leaves out those of the site: %s"
                found.append((check["variable"], message % (path, name, ", ".join(outer)), write))
    return found


def first_server(checks, tools):
    """What a site says and nginx takes from whichever server stands first at a port, where that is another set's.

    ``folder``: where these servers are; ``own``: the file of this set; ``listen``: address and port; ``name`` and
    ``value``: what the site says.
    """
    found = []
    for check in checks:
        for path in sorted(glob.glob(os.path.join(check["folder"], "*.conf"))):
            if path == check["own"]:
                continue
            for words, block in parsed(_text(path)):
                if words != ["server"] or block is None:
                    continue
                lines = [line for line, inner in block if inner is None and line]
                if not any(line[0] == "listen" and line[1:2] == [check["listen"]] for line in lines):
                    continue
                said = [" ".join(line[1:]) for line in lines if line[0] == check["name"]]
                if said != [check["value"]]:
                    message = "is read before nginx knows which site is asked for, "
                    message += "and %s of another set stands at %s too"
                    hint = "say it in nginx_conf_options.%s for all of nginx, or give the site a port of its own"
                    found.append((check["variable"], message % (path, check["listen"]), hint % check["name"]))
    return found


KINDS = {"included": included, "first_server": first_server}
