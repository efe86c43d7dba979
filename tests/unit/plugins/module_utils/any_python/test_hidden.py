"""What a diff shows of files with secrets in them: names, and that a value changed."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import hidden

INI = "[uwsgi]\nmaster = true\nenv = A=%s\nenv = B=same\n"
LANGUAGES = [
    INI,
    "# comment\nuwsgi:\n  master: true\n  env: A=%s\n  env: B=same\n",
    "# comment\nuwsgi:\n  env:\n    - A=%s\n    - B=same\n  master: true\n",
    '{\n "uwsgi": {\n  "env": [\n   "A=%s",\n   "B=same"\n  ],\n  "master": "true"\n }\n}\n',
    '{"uwsgi": {"env": "A=%s", "master": "true", "env": "B=same"}}',
    "<!-- comment -->\n<uwsgi>\n  <env>A=%s</env>\n  <env>B=same</env>\n  <master>true</master>\n</uwsgi>\n",
]


@pytest.mark.parametrize("text", LANGUAGES)
def test_env_is_hidden_in_every_language_of_uwsgi(text):
    before, after = hidden.environment(text % "0ld]<b>", text % "n3w")
    assert "0ld" not in before and "n3w" not in after
    assert "same" not in before + after
    assert "A=(hidden)" in before and "A=(hidden, changed)" in after
    assert "B=(hidden)" in after
    assert "master" in before


@pytest.mark.parametrize(
    "text",
    ["env NAME=value;\nenv NAME;\n", "[Service]\nEnvironmentFile=/etc/a.env\n", "", "environment = a\n", "uwsgi:\n"],
)
def test_what_is_not_the_option_stays(text):
    assert hidden.environment(text, text) == (text, text)


def test_a_file_of_secrets_shows_names_and_comments():
    before, after = hidden.secrets('# c\nA="1"\nB="2"\nC="3"\n', '# c\nA="1"\nB="x"\nD="4"\n')
    assert before == "# c\nA=(hidden)\nB=(hidden)\nC=(hidden)\n"
    assert after == "# c\nA=(hidden)\nB=(hidden, changed)\nD=(hidden)\n"


@pytest.mark.parametrize("line", ["secret", '"secret', "se cret=1", "-----BEGIN secret"])
def test_a_line_that_names_nothing_is_hidden_whole(line):
    assert hidden.secrets("", line + "\n")[1] == "(hidden)\n"
