# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which files nginx reads when it starts or reloads: its configuration with all includes, and what directives name."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import glob
import hashlib
import os
import re
import stat

from ansible_collections.graceful.wsgi.plugins.module_utils import layout
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import UnsafePath, open_regular

# Nobody's certificate or list of addresses is longer; a longer file counts by its size and its times.
MOST = 32 << 20
# As many links as the kernel follows in one path.
LINKS = 40
# The names of the ngx_http_ssl_module also stand behind proxy_, uwsgi_, grpc_ and in the blocks stream and mail.
TLS = re.compile(
    r"([a-z]+_)?ssl_(certificate|certificate_key|client_certificate|trusted_certificate|crl|dhparam|password_file"
    r"|session_ticket_key|stapling_file|ech_file)\Z"
)
# Which word of a directive is the file. What is read for each request, as by auth_basic_user_file, is not here.
NAMED = {
    "geoip_country": 1,
    "geoip_city": 1,
    "geoip_org": 1,
    "geoip2": 1,
    "js_import": -1,
    "js_include": 1,
    "perl_require": 1,
    "xslt_stylesheet": 1,
    "xml_entities": 1,
    "auth_jwt_key_file": 1,
    "modsecurity_rules_file": 1,
    "init_by_lua_file": 1,
}
# What stands in a file's place: another way to a key, or the text itself.
NO_FILE = ("data:", "engine:", "store:")
_LEXER = re.compile(
    r"""\s+|\#[^\n]*|(?P<end>[;{}])"""
    r"""|"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'"""
    r"""|(?P<word>(?:\$\{|[^\s;{}\\]|\\.)(?:\$\{\w*\}|[^\s;{\\]|\\.)*)|.""",
    re.DOTALL,
)


def statements(text):
    """The words of each directive, of those that open a block too. Never fails: nginx itself judges what is wrong."""
    words = []
    for token in _LEXER.finditer(text):
        if token.group("end"):
            if words:
                yield words
            words = []
            continue
        for kind in ("double", "single", "word"):
            if token.group(kind) is not None:
                # nginx takes a backslash away before what it would spare, a quote or a blank.
                words.append(re.sub(r"\\([\\\"' ])", r"\1", token.group(kind)))


class Found:
    """One file as it is now. ``digest`` is None where there is nothing to read, ``why`` says so then."""

    def __init__(self, digest, when, size=0, why=None):
        self.digest, self.when, self.size, self.why = digest, when, size, why


def look(path):
    """A file as nginx would read it, with the time of the latest change on the way: of its content, or of a link.

    It may lie where another account can write, so that it is opened without waiting for a fifo's other end, and nothing
    of it but a digest is kept.
    """
    when, here, left = 0.0, path, LINKS
    try:
        # Each link on the way may have been made anew, as certbot does, and what it leads to may be old.
        parts = [part for part in here.split("/") if part]
        walked = "/"
        while parts and left:
            walked = os.path.join(walked, parts.pop(0))
            found = os.lstat(walked)
            if stat.S_ISLNK(found.st_mode):
                when = max(when, found.st_ctime)
                target = os.readlink(walked)
                left -= 1
                base = "/" if target.startswith("/") else os.path.dirname(walked)
                whole = os.path.normpath(os.path.join(base, target))
                parts = [part for part in whole.split("/") if part] + parts
                walked = "/"
        with os.fdopen(open_regular(path, links=True), "rb") as source:
            found = os.fstat(source.fileno())
            when = max(when, found.st_ctime, found.st_mtime)
            digest = hashlib.sha256()
            if found.st_size > MOST:
                digest.update(("%d %r" % (found.st_size, found.st_mtime)).encode("ascii"))
            else:
                for piece in iter(lambda: source.read(1 << 20), b""):
                    digest.update(piece)
            return Found(digest.hexdigest(), when, found.st_size)
    except UnsafePath:
        return Found(None, when, why="is no regular file")
    except (IOError, OSError) as error:
        return Found(None, when, why="is missing" if error.errno == errno.ENOENT else error.strerror)


def _read(path):
    """The text of a configuration file; empty where it cannot be read."""
    try:
        with os.fdopen(open_regular(path, links=True), "rb") as source:
            return source.read(MOST).decode("utf-8", "replace")
    except (UnsafePath, IOError, OSError):
        return ""


def named(words):
    """The file that a directive names, as it is written, or None."""
    if len(words) < 2:
        return None
    name = words[0]
    at = 1 if TLS.match(name) else NAMED.get(name)
    if at is None or abs(at) >= len(words):
        return None
    value = words[at]
    # With a variable it is read for each handshake.
    return None if "$" in value or not value or value.startswith(NO_FILE) else value


def read_by(conf=layout.NGINX_CONF):
    """Paths of all files that nginx reads for this configuration, as it finds them: relative to nginx.conf's folder."""
    home = os.path.dirname(conf)
    found, waiting = [], [conf]
    while waiting:
        path = waiting.pop(0)
        if path in found:
            continue
        found.append(path)
        for words in statements(_read(path)):
            if words[0] == "include" and len(words) == 2:
                pattern = os.path.join(home, words[1])
                # Without a wildcard a missing file counts too: it may come.
                waiting += sorted(glob.glob(pattern)) if re.search(r"[*?\[]", pattern) else [pattern]
            else:
                value = named(words)
                file = os.path.join(home, value) if value else None
                if file and file not in found:
                    found.append(file)
    return found


def served(conf=layout.NGINX_CONF):
    """The folders and files that a configuration serves, as its directives name them."""
    found = set()
    for path in read_by(conf):
        for words in statements(_read(path)):
            if words[0] in ("root", "alias") and len(words) == 2:
                found.add(os.path.normpath(words[1]))
    return found


def state(conf=layout.NGINX_CONF):
    """What is there of each file that nginx reads: {path: Found}."""
    return dict((path, look(path)) for path in read_by(conf))
