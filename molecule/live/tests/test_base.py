"""The base application answers: what every other test here builds on."""

from one_host import get


def test_the_base_application_answers():
    assert get("base.test")[0] == 200
