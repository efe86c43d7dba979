"""What is said where the login cannot become root."""

import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import becoming


@pytest.mark.parametrize(
    ("complaint", "cure"),
    [
        ("/bin/sh: 1: sudo: not found\n", "ansible_user: root"),
        ("bash: sudo: command not found", "its package sudo"),
        ("sudo: a password is required\n", "--ask-become-pass"),
        ("Task failed: Missing sudo password", "--ask-become-pass"),
        ("ada is not in the sudoers file.", "sudoers"),
    ],
)
def test_it_names_the_cure(complaint, cure):
    assert cure in becoming.refusal(complaint)


@pytest.mark.parametrize("complaint", ["", "SyntaxError: invalid syntax", "No space left on device"])
def test_another_failure_is_left_to_speak_for_itself(complaint):
    assert becoming.refusal(complaint) is None
