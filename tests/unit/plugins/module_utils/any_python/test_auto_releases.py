"""A virtualenv that a lock pins: its name, and what pip and uv are told (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import sys

import pytest

# What is tested of releases besides needs the same folders and accounts.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_releases import GROUP, Builders, get, made, mode, owners, put, root  # noqa: F401

from ansible_collections.graceful.wsgi.plugins.module_utils.releases import Home, ReleaseError
from ansible_collections.graceful.wsgi.plugins.module_utils.uv_tool import Uv

PINNED = {"lines": ["flask==3.1 ; python_version >= '3.9' --hash=sha256:aa"], "hashed": True}
OWN = {"lines": ["git+https://git.test/x@abcdef0", "./libs/own", "."], "hashed": False}


def auto(*steps, **more):
    return dict({"file": "uv.lock", "digest": "d", "local": OWN in steps, "steps": list(steps)}, **more)


@pytest.fixture(autouse=True)
def no_pip_files(monkeypatch):
    from ansible_collections.graceful.wsgi.plugins.module_utils import uv_tool

    monkeypatch.setattr(uv_tool, "pip_files", lambda environment: [])


def test_steps_of_a_lock_are_calls_of_their_own(root):  # noqa: F811
    run, one = Builders(), made(root, "r1", auto=auto(PINNED, OWN), bounds=["Flask<2"], constraints=[])
    assert one.fill(run, ["mkvenv"], "", []) is True
    path = one.venv()["path"]
    install = [path + "/bin/python", "-m", "pip", "install"]
    first, second = ["HOME/requirements/step-%d.txt" % number for number in (0, 1)]
    assert run.calls == [
        ["mkvenv", path],
        install + ["--require-hashes", "--no-deps", "-r", first],
        install + ["--no-deps", "-r", second],
    ]
    assert run.seen["requirements/step-0.txt"] == PINNED["lines"][0] + "\n"
    lines = run.seen["requirements/step-1.txt"].splitlines()
    assert lines[0] == OWN["lines"][0]
    assert [line.replace(run.home, "HOME") for line in lines[1:]] == ["HOME/code/libs/own", "HOME/code"]
    assert run.seen["code/manage.py"] == "r1"
    # It holds the code, and is nobody else's.
    assert one.venv()["complete"] and mode(path) == 0o750 and os.path.dirname(path) == one.venvs


def test_a_virtualenv_of_a_lock_is_named_by_what_it_pins(root):  # noqa: F811
    def path(name, one, **more):
        return Home(
            {
                "name": name,
                "home": os.path.join(root, name),
                "group": GROUP,
                "path": None,
                "exclude": [],
                "requirements": None,
                "id": more.pop("id", "r1"),
                "auto": one,
            },
            more.pop("python", "3.11"),
        ).venv()["path"]

    one = path("a", auto(PINNED))
    # Which file said it, and whether the lines are there, makes no difference.
    assert path("b", {"file": "poetry.lock", "digest": "d", "local": False}) == one
    assert path("a", auto(PINNED), id="r2") == one
    assert path("a", auto(PINNED, digest="e")) != one
    assert path("a", auto(PINNED), python="3.12") != one
    assert path("a", auto(PINNED, OWN), id="r2") != path("a", auto(PINNED, OWN), id="r1")


def test_nothing_found_on_a_host_gives_a_virtualenv_that_hides_nothing(root):  # noqa: F811
    run, one = Builders(), made(root, "r1", auto=auto())
    one.fill(run, ["mkvenv"], "pip", [])
    assert run.calls[0] == ["mkvenv", "--system-site-packages", one.venv()["path"]]
    # Nothing is asked of an index for it.
    assert len(run.calls) == 1


def test_code_that_nobody_could_read_is_named(root):  # noqa: F811
    wanted = {"name": "a", "home": os.path.join(root, "home"), "group": GROUP, "exclude": [], "id": None}
    wanted.update({"path": "/none", "requirements": None, "auto": {"file": "", "digest": "unknown", "local": False}})
    assert Home(wanted, "3.11").incomplete
    with pytest.raises(ReleaseError, match="a: there is no folder /none on the host"):
        Home(wanted, "3.11").fill(Builders(), ["mkvenv"], "", [])


def test_uv_is_told_the_same_and_pip_is_not_needed(root):  # noqa: F811
    run, one = Builders(), made(root, "r1", auto=auto(PINNED, OWN))
    one.fill(run, ["mkvenv"], "pip", [], {"PIP_INDEX_URL": "i"}, uv=Uv("/uv", "3.11"))
    path = one.venv()["path"]
    install = ["/uv", "pip", "install", "--quiet", "--python", path + "/bin/python", "--require-hashes"]
    assert run.calls[0] == ["mkvenv", "--without-pip", path]
    assert [words[: len(install)] for words in run.calls[1:]] == [install, install[:-1] + ["--no-deps"]]
    assert (run.environment["UV_DEFAULT_INDEX"], run.environment["UV_CACHE_DIR"]) == ("i", run.home + "/uv")


def test_pip_fills_what_uv_cannot_be_told(root):  # noqa: F811
    wanted = {"name": "a", "home": os.path.join(root, "home"), "group": GROUP, "exclude": [], "id": None}
    wanted.update({"path": os.path.join(root, "own"), "requirements": "requirements.txt"})
    for text, words in (("--prefer-binary\nflask\n", ["-m", "pip"]), ("flask\n", ["pip", "install"])):
        put(os.path.join(root, "own", "requirements.txt"), text)
        run = Builders()
        Home(wanted, "3.11").fill(run, ["mkvenv"], "", [], uv=Uv("/uv", "3.11"))
        assert run.calls[-1][1:3] == words


@pytest.mark.parametrize(("python", "seeded"), [("3.11", True), ("3.12", False)])
def test_uv_gives_what_a_virtualenv_of_this_python_has(root, python, seeded):  # noqa: F811
    run = Builders(fail=2 if seeded else None)
    one = made(root, "r1", requirements=["flask"], python=python)
    assert one.fill(run, ["mkvenv"], "pip", [], uv=Uv("/uv", python)) is True
    assert [words[-1] for words in run.calls[1:]] == (["setuptools"] if seeded else []) + ["flask"]
