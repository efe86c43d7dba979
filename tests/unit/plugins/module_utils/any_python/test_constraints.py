"""Bounds for an old Python, of which an application's own requirements come first (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import constraints

BOUNDS = ["# why", "Flask<2", "gevent<23", "Flask-SocketIO<5", "zope.interface<5.5"]
ALL = ["Flask<2", "gevent<23", "Flask-SocketIO<5", "zope.interface<5.5"]


def without(*names):
    return [line for line in ALL if line.partition("<")[0] not in names]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ALL),
        ("flask\nflask_socketio\nzope-interface\n", ALL),
        ("Flask[async]  # any\n# Flask==1\n", ALL),
        ('gevent; python_version < "3"', ALL),
        # What is pinned, in any way, is the user's.
        ("Flask==1.0", without("Flask")),
        ("flask == 1.0", without("Flask")),
        ("FLASK===1.0", without("Flask")),
        ("flask~=1.0", without("Flask")),
        ("flask<1.1", without("Flask")),
        ("flask>=0.9,<1.1", without("Flask")),
        ("flask (>=0.9,<1.1)", without("Flask")),
        ("Flask.SocketIO==4.3.2", without("Flask-SocketIO")),
        ("Zope_Interface[test]==5.4.0", without("zope.interface")),
        ('flask==2.0; python_version >= "3"\nflask', without("Flask")),
        ("flask==1.1.4 --hash=sha256:00", without("Flask")),
        ("flask==1.1.4 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\ngevent", without("Flask")),
        ("flask --hash=sha256:00", without("Flask")),
        ("flask @ https://example.com/x.zip", without("Flask")),
        ("git+https://example.com/x@main#egg=Flask", without("Flask")),
        ("-e git+https://example.com/x#subdirectory=y&egg=flask", without("Flask")),
        ("./wheels/Flask-1.0-py2.py3-none-any.whl", without("Flask")),
        ("https://example.com/Flask-SocketIO-4.3.2.tar.gz", without("Flask-SocketIO")),
        ("--find-links=wheels/\n--no-index\n-c other.txt\n-e .", ALL),
        # What has only a lower bound gets ours beside it.
        ("flask>=1.0", ["Flask<2,>=1.0"] + without("Flask")),
        ("flask>=1.0, !=1.0.3", ["Flask<2,>=1.0,!=1.0.3"] + without("Flask")),
        ('flask>1 ; python_version<"3"', ["Flask<2,>1"] + without("Flask")),
        ("flask\nflask>=1.0", ["Flask<2,>=1.0"] + without("Flask")),
        ("flask>=1.0\nflask==1.0", without("Flask")),
        ("flask>=1.0b1", without("Flask")),
        # Who asks for more than this Python can run is told so by pip.
        ("flask>=2.0", without("Flask")),
        ("flask>2", without("Flask")),
        ("flask>=1.0,!=2.0", ["Flask<2,>=1.0,!=2.0"] + without("Flask")),
        # Nobody here sees what it pins.
        ("flask\n-r https://example.com/r.txt", []),
        ("--constraint=https://example.com/r.txt", []),
    ],
)
def test_bounds_that_go_with_requirements(text, expected):
    found = constraints.effective(BOUNDS, text)
    assert sorted(found) == sorted(expected)


def test_constraints_of_the_users_are_handed_over_as_they_are():
    assert constraints.wanted(BOUNDS, ["flask==2.0"], "flask==1.0") == ["flask==2.0"]
    assert constraints.wanted(BOUNDS, [], "flask==1.0") == without("Flask")
