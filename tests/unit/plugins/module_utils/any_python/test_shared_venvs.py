"""Virtualenvs of equal requirements are one, which nobody finds who has others (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import sys
import threading
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import shared_venvs
from ansible_collections.graceful.wsgi.plugins.module_utils.releases import COMPLETE, Home, requirements_digest

# What is tested of releases besides needs the same folders and accounts.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_releases import GROUP, Builders, common, mode, owners, put, root  # noqa: E402, F401


def app(root, name, lines, **more):  # noqa: F811
    path = os.path.join(root, "code")
    if not os.path.isdir(path):
        os.mkdir(path)
    wanted = {"name": name, "home": os.path.join(root, name), "group": GROUP, "exclude": [], "id": None}
    return Home(dict(wanted, path=path, requirements=lines, **more), "3.11")


def test_equal_requirements_are_filled_once(root):  # noqa: F811
    run = Builders()
    first, second, third = [app(root, *one) for one in (("a", ["flask"]), ("b", ["flask"]), ("c", ["django"]))]
    assert [one.fill(run, ["mkvenv"], "", []) for one in (first, second, third)] == [True, False, True]
    assert first.venv() == dict(second.venv(), name="a") and first.venv()["complete"]
    assert first.venv()["path"] != third.venv()["path"]
    assert len([words for words in run.calls if words[0] == "mkvenv"]) == 2
    for one in (first, second, third):
        one.switch()
    assert os.readlink(first.link) == os.readlink(second.link)


def test_nobody_can_list_them_or_tell_a_name(root):  # noqa: F811
    one = app(root, "a", ["flask"])
    one.fill(Builders(fill=lambda path: put(os.path.join(path, "lib", "x.py"))), ["mkvenv"], "", [])
    path = one.venv()["path"]
    assert mode(one.common) == 0o711 and mode(os.path.join(one.common, shared_venvs.KEY)) == 0o600
    assert [mode(os.path.join(path, name)) for name in ("", "lib", "lib/x.py")] == [0o755, 0o755, 0o644]
    assert requirements_digest("3.11", "flask") not in path
    before = shared_venvs.name(one.common, "3.11", "flask")
    shared_venvs.prepare(one.common)
    assert shared_venvs.name(one.common, "3.11", "flask") == before == os.path.basename(path)
    os.unlink(os.path.join(one.common, shared_venvs.KEY))
    assert shared_venvs.name(one.common, "3.11", "flask") is None and not one.venv()["complete"]
    shared_venvs.prepare(one.common)
    assert shared_venvs.name(one.common, "3.11", "flask") != before


def test_what_only_its_group_could_read_is_read_by_all_that_share_it(root):  # noqa: F811
    def fill(path):
        put(os.path.join(path, "x.py"))
        os.chmod(os.path.join(path, "x.py"), 0o600)

    one = app(root, "a", ["flask"])
    one.fill(Builders(fill=fill), ["mkvenv"], "", [])
    assert mode(os.path.join(one.venv()["path"], "x.py")) == 0o644


def test_nothing_of_it_is_the_group_s_that_had_it_filled(root, owners):  # noqa: F811
    def fill(path):
        put(os.path.join(path, "lib", "x.py"))
        os.symlink("lib", os.path.join(path, "lib64"))

    one = app(root, "a", ["flask"])
    one.fill(Builders(fill=fill), ["mkvenv"], "", [])
    path = one.venv()["path"]
    found = [owners[os.path.join(path, name)] for name in ("lib", "lib/x.py", "lib64")]
    assert found + [owners[path]] == [(0, 0)] * 4


def test_a_virtualenv_of_its_own_from_before_stays_in_use(root):  # noqa: F811
    one = app(root, "a", ["flask"])
    own = os.path.join(one.venvs, requirements_digest("3.11", "flask"))
    put(os.path.join(own, COMPLETE))
    assert (one.venv()["path"], one.venv()["complete"]) == (own, True)
    assert one.fill(Builders(), ["mkvenv"], "", []) is False
    assert os.path.dirname(app(root, "a", ["flask", "x"]).venv()["path"]) == one.common


@pytest.mark.parametrize("lines", [["."], ["./lib"], ["--find-links ./wheels", "flask"]])
def test_what_holds_code_is_the_applications_own(root, lines):  # noqa: F811
    assert os.path.dirname(app(root, "a", lines).venv()["path"]) == os.path.join(root, "a", "venvs")


def test_two_that_want_it_at_once_fill_it_once(root):  # noqa: F811
    class Slow(Builders):
        def run(self, words, *args, **kwargs):
            time.sleep(0.2)
            return super(Slow, self).run(words, *args, **kwargs)

    runs, done = [Slow(), Slow()], []
    homes = [app(root, name, ["flask"]) for name in "ab"]
    threads = [
        threading.Thread(target=lambda one=one, run=run: done.append(one.fill(run, ["mkvenv"], "", [])))
        for one, run in ((homes[0], runs[0]), (homes[1], runs[1]))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [True, True]
    assert len(runs[0].calls + runs[1].calls) == 2


def test_many_that_begin_at_once_have_one_key(root):  # noqa: F811
    folder, found = os.path.join(root, "new", ".venvs"), []

    def work():
        shared_venvs.prepare(folder)
        found.append(shared_venvs.name(folder, "3.11", "flask"))

    threads = [threading.Thread(target=work) for _number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20 and len(set(found)) == 1 and os.listdir(folder) == [shared_venvs.KEY]


def test_what_no_application_uses_goes_after_a_day(root, monkeypatch):  # noqa: F811
    monkeypatch.setattr(shared_venvs, "KEPT", 24 * 3600)
    homes = [app(root, name, [name]) for name in ("used", "kept", "old", "new")]
    for one in homes:
        one.fill(Builders(), ["mkvenv"], "", [])
    homes[0].switch()
    for one in homes[:3]:
        os.utime(one.venv()["path"], (1, 1))
    mine = os.path.join(homes[0].common, "mine")
    os.mkdir(mine)
    os.utime(mine, (1, 1))
    kept = os.path.basename(homes[1].venv()["path"])
    gone = os.path.basename(homes[2].venv()["path"])
    assert shared_venvs.prune(root, [kept]) == [gone]
    assert common(root) == sorted(
        ["mine"] + [os.path.basename(one.venv()["path"]) for one in homes if one.name != "old"]
    )


def test_a_run_that_finds_it_filled_says_that_it_is_wanted(root):  # noqa: F811
    one = app(root, "a", ["flask"])
    one.fill(Builders(), ["mkvenv"], "", [])
    os.utime(one.venv()["path"], (1, 1))
    one.fill(Builders(), ["mkvenv"], "", [])
    assert os.stat(one.venv()["path"]).st_mtime > 1
