"""What the controller side of the plan looks up before the pure plan is asked."""

from __future__ import annotations

import pytest

from ansible_collections.graceful.wsgi.plugins.action.plan import _requirements


def test_requirements_files_on_the_controller_are_read(tmp_path):
    (tmp_path / "r.txt").write_text("flask\ngevent\n")
    app = {"name": "a", "source": str(tmp_path), "requirements": "r.txt"}
    assert _requirements([app]) == {"a": ["flask", "gevent"]}


@pytest.mark.parametrize(
    "apps",
    [
        None,
        "x",
        ["x", None, {}],
        [{"name": "a", "source": "/nonexistent", "requirements": "r.txt"}],
        [{"name": "a", "source": "/", "requirements": ["gevent"]}],
        [{"name": "a", "path": "/", "requirements": "etc/hostname"}],
        [{"name": 1, "source": 2, "requirements": 3}],
    ],
)
def test_what_is_no_such_file_is_not_known(apps):
    assert _requirements(apps) == {}
