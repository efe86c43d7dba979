# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What systemd reads in an EnvironmentFile: parse_env_file() of its own source, state by state."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

_BLANK = " \t\r"
# Behind a backslash in double quotes these alone are taken; an older systemd takes whatever stands there.
_TAKEN = "\"\\`$"


class _Reader:
    """The states of systemd's parser. ``old``: as systemd 219 has them."""

    def __init__(self, old):
        self.old = old
        self.found = []
        self.key, self.value, self.ends = "", [], 0
        self.state = self.before_key

    def before_key(self, sign):
        if sign in "#;":
            self.state = self.comment
        elif sign not in _BLANK + "\n":
            self.key, self.value, self.ends = sign, [], 0
            self.state = self.in_key

    def in_key(self, sign):
        if sign == "\n":
            # A line that assigns nothing.
            self.state = self.before_key
        elif sign == "=":
            self.state = self.before_value
        else:
            self.key += sign

    def _end(self):
        # Blanks at the end count where they were quoted.
        text = "".join(self.value)
        text = text[: self.ends] + text[self.ends:].rstrip(_BLANK)
        self.found.append((self.key.rstrip(_BLANK), text))
        self.state = self.before_key

    def before_value(self, sign):
        if sign == "\n":
            self._end()
        elif sign == "'":
            self.state = self.single
        elif sign == '"':
            self.state = self.double
        elif sign == "\\":
            self.state = self.escaped
        elif sign not in _BLANK:
            self.value.append(sign)
            self.state = self.in_value

    def in_value(self, sign):
        if sign == "\n":
            self._end()
        elif sign == "\\":
            self.state = self.escaped
        else:
            self.value.append(sign)

    def escaped(self, sign):
        self.state = self.in_value
        if sign != "\n":
            self._quoted(sign)

    def _quoted(self, text):
        self.value.extend(text)
        self.ends = len(self.value)

    def single(self, sign):
        if sign == "'":
            self.state = self.before_value
        elif sign == "\\" and self.old:
            self.state = self.single_escaped
        else:
            self._quoted(sign)

    def single_escaped(self, sign):
        self.state = self.single
        if sign != "\n":
            self._quoted(sign)

    def double(self, sign):
        if sign == '"':
            self.state = self.before_value
        elif sign == "\\":
            self.state = self.double_escaped
        else:
            self._quoted(sign)

    def double_escaped(self, sign):
        self.state = self.double
        if sign in _TAKEN or (self.old and sign != "\n"):
            self._quoted(sign)
        elif sign != "\n":
            self._quoted("\\" + sign)

    def comment(self, sign):
        if sign == "\\":
            self.state = self.comment_escaped
        elif sign == "\n":
            self.state = self.before_key

    def comment_escaped(self, _sign):
        self.state = self.comment


def parse(text, old=False):
    """[(name, value), ...] as systemd reads them; ``old``: as systemd 219 does."""
    reader = _Reader(old)
    for sign in text:
        reader.state(sign)
    if reader.state in (reader.before_value, reader.in_value, reader.escaped, reader.single, reader.double):
        reader._end()
    return reader.found
