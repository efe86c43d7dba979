# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What to write where code loads and does not have the WSGI application under the name that it is asked for."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import os
import re

from ansible_collections.graceful.wsgi.plugins.module_utils import causes
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

# uWSGI says the same of both; an import that failed has told why before.
_SAID = "(callable not found or import error)"
# Of a long traceback the head may be cut off.
_OTHERWISE = re.compile(r"^(failed to open python file |\s*File \")", re.MULTILINE)
# What makes a WSGI application, by the names that frameworks and projects give it, at the left margin of a module.
_MADE = re.compile(
    r"^([A-Za-z_]\w*)[ \t]*(?::[^=\n]+)?=[ \t]*(?:[A-Za-z_][\w.]*\.)?"
    r"(?:\w*Flask|get_wsgi_application|Bottle|default_app|API|App|WSGIApplication|make_wsgi_app|create_app|make_app)\(",
    re.MULTILINE,
)
# No module that is read here is longer.
_LONGEST = 1 << 18


def missing(text, name):
    """``name`` (module:callable), where that is why uWSGI said this; else None."""
    told = name and ":" in name and _SAID in text
    return name if told and not _OTHERWISE.search(text) and not causes.exception(text) else None


def look(code, name):
    """The names that the module has for what is a WSGI application; called with the rights of who may read the code."""
    module = name.rpartition(":")[0]
    stem = module.replace(".", "/")
    for path in (module, stem + ".py", stem + "/__init__.py"):
        path = os.path.join(code, path)
        if os.path.isfile(path):
            with io.open(path, "rb") as source:
                return sorted(set(_MADE.findall(native(source.read(_LONGEST)))))
    return []


def hint(name, about, found):
    """What to write, as a sentence. ``about``: as missing_modules.hint() has it; ``found``: as look() tells."""
    module, _colon, own = name.rpartition(":")
    whole = ":" in (about.get("module") or "")
    word = "module" if whole else "callable"
    has = "%s loads and has no %s" % (module, own)
    names = [native(one) for one in found if native(one) != own]
    if len(names) == 1:
        return "%s: %s, but %s; write `%s: %s`" % (
            word, has, names[0], word, "%s:%s" % (module, names[0]) if whole else names[0]
        )
    return "%s: %s; write the name that it gives its WSGI application (%s)" % (
        word,
        has,
        "it has " + ", ".join(names) if names else "app for `app = Flask(__name__)`, application for Django's wsgi.py",
    )
