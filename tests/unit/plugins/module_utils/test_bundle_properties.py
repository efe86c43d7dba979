"""Whatever sets follow one another, pruning leaves the last set and everything that is somebody else's."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.graceful.wsgi.plugins.module_utils import bundle as bundle_code
from ansible_collections.graceful.wsgi.plugins.module_utils.bundle import Bundle, BundleError, File

NAMES = st.sampled_from(["a", "b", "c", "d", "sub/a", "sub/b"])
TEXTS = st.sampled_from(["", "1", "2"])
SETS = st.dictionaries(NAMES, TEXTS, max_size=5)
# A run with a set, which may fail in its validation or its activation, or a person's edit or removal.
STEPS = st.lists(
    st.tuples(st.sampled_from(["run", "invalid", "not activated"]), SETS)
    | st.tuples(st.just("edit"), NAMES)
    | st.tuples(st.just("remove"), NAMES),
    max_size=8,
)


@pytest.fixture(autouse=True, scope="module")
def quick():
    """Nothing here cuts the power, so nothing has to reach the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle_code.os, "fsync", lambda handle: None)
        yield


def contents(root):
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


@settings(max_examples=80, deadline=None)
@given(steps=STEPS, last=SETS)
def test_any_history(tmp_path_factory, steps, last):
    root = tmp_path_factory.mktemp("world")
    live = root / "live"
    (live / "sub").mkdir(parents=True)
    (live / "theirs").write_text("theirs")
    answers = {}
    edited = set()

    def bundle(wanted, check_mode=False):
        return Bundle(
            name="b",
            folders=[],
            files=[File(str(live / name), text.encode(), mode=0o644) for name, text in wanted.items()],
            trees=[{"tree": str(live), "command": "/bin/sh {tree}"}],
            run_command=lambda command: (answers.get(command.split()[0], 0), "", ""),
            relabel=lambda path, like: None,
            prune=True,
            activate="/activate",
            # The files were there first.
            take_over=True,
            check_mode=check_mode,
            state_dir=str(root / "state"),
        )

    def run(wanted):
        told = bundle(wanted, check_mode=True)
        told.run()
        made = bundle(wanted)
        made.run()
        assert told.report()["files"] == made.report()["files"]
        assert told.report()["kept"] == made.report()["kept"]
        assert told.report()["changed"] == made.report()["changed"]
        assert told.diff() == made.diff()
        edited.difference_update(wanted)

    for kind, what in steps:
        before = contents(live)
        if kind == "edit":
            (live / what).write_text("edited")
            edited.add(what)
        elif kind == "remove":
            (live / what).unlink(missing_ok=True)
            edited.discard(what)
        elif kind == "run":
            run(what)
        else:
            answers["/bin/sh" if kind == "invalid" else "/activate"] = 1
            try:
                bundle(what).run()
            except BundleError:
                assert contents(live) == before
            else:
                # There was nothing to judge or to activate.
                edited.difference_update(what)
                assert contents(live) == before
            answers.clear()
    run(last)
    theirs = {"theirs": "theirs"} | dict.fromkeys(edited, "edited")
    assert contents(live) == theirs | last
    again = bundle(last)
    again.run()
    assert not again.changed
    assert set(os.listdir(root / "state" / "b")) - {"previous.json"} == {"lock", "manifest.json"}
