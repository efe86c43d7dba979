"""What the controller side of file_bundle makes of a set before the host is asked."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.graceful.wsgi.plugins.action.file_bundle import ActionModule, Variables

FILES = [{"dest": "/etc/a", "content": "MQ==", "mode": "0644"}, {"dest": "/etc/b", "content": "Mg=="}]
FOLDERS = [{"path": "/etc/d"}]


def answer(**more):
    """(result or None, digest) for these arguments."""
    args = copy.deepcopy({"name": "b", "files": FILES, "directories": FOLDERS, **more})
    plugin = ActionModule.__new__(ActionModule)
    return plugin._answer(args), args["digest"]


def test_a_set_that_stands_is_not_asked_for():
    _nothing, digest = answer()
    result, _digest = answer(verified_digest=digest)
    assert result["changed"] is False
    assert [item["state"] for item in result["files"] + result["directories"]] == ["unchanged"] * 3
    assert (result["stale"], result["run"], result["validated"]) == ([], None, True)


@pytest.mark.parametrize(
    "more",
    [
        {"files": [{**FILES[0], "content": "Mw=="}, FILES[1]]},
        {"files": [{**FILES[0], "mode": "0600"}, FILES[1]]},
        {"files": FILES[:1]},
        {"directories": []},
        {"directories": [{"path": "/etc/d", "owner": "www"}]},
        {"prune": True},
        {"undo": "run"},
        {"remove": ["/etc/c"]},
        {"verified_digest": ""},
        {"verified_digest": None},
    ],
)
def test_any_other_wish_is_the_hosts_to_answer(more):
    _nothing, digest = answer()
    assert answer(**{"verified_digest": digest, **more})[0] is None


def test_a_copy_of_the_variables_is_a_shallow_one():
    inner = {"a": [1]}
    given = Variables(apps=inner)
    copied = copy.deepcopy(given)
    copied["own"] = 1
    assert copied["apps"] is inner
    assert "own" not in given
