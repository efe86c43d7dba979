"""A vassal is ended by its emperor, whose file is taken away, and comes again by the same file."""

import os
import shutil
import tempfile

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import emperors, old_masters, procfs, safe_path


@pytest.fixture
def vassals():
    """A folder that root alone writes."""
    where = tempfile.mkdtemp(dir=os.getcwd())
    os.chmod(where, 0o755)
    with open(os.path.join(where, "site.ini"), "w") as file:
        file.write("[uwsgi]\n")
    yield where
    shutil.rmtree(where)


@pytest.fixture
def trusted(monkeypatch):
    """As if every folder were root's, whoever runs the tests."""
    real = safe_path.Folder._judge

    def judge(self):
        real(self)
        self.why = None

    monkeypatch.setattr(safe_path.Folder, "_judge", judge)


def test_a_file_goes_where_no_emperor_takes_it_and_comes_back(vassals, trusted):
    path = os.path.join(vassals, "site.ini")
    assert emperors.cannot_move(path) is None
    assert emperors.take_away(path) and not emperors.take_away(path)
    [left] = os.listdir(vassals)
    assert left.startswith("site.ini.") and not left.endswith((".ini", ".xml", ".yml", ".yaml", ".json", ".js"))
    assert emperors.put_back(path) and not emperors.put_back(path)
    assert os.listdir(vassals) == ["site.ini"]


def test_a_link_is_moved_itself_and_what_came_meanwhile_is_kept(vassals, trusted):
    path, link = os.path.join(vassals, "site.ini"), os.path.join(vassals, "on.ini")
    os.symlink("site.ini", link)
    assert emperors.take_away(link) and os.path.exists(path)
    assert os.path.islink(link + emperors.ASIDE)
    with open(link, "w") as file:
        file.write("new")
    assert not emperors.put_back(link)
    with open(link) as file:
        assert file.read() == "new"


def test_where_another_account_writes_nothing_is_moved(vassals):
    path = os.path.join(vassals, "site.ini")
    os.chmod(vassals, 0o777)
    assert "root moves nothing there" in emperors.cannot_move(path)
    for move in (emperors.take_away, emperors.put_back):
        with pytest.raises(safe_path.UnsafePath, match="root moves nothing there"):
            move(path)
    assert os.listdir(vassals) == ["site.ini"]
    told = old_masters.cannot_return({"app": "site", "kind": emperors.KIND, "file": path})
    assert "root moves nothing there" in told and "adopt_stop: false" in told


@pytest.mark.parametrize(
    ("words", "sign", "found"),
    [
        (["/opt/uwsgi", "--ini", "site.ini"], True, "/etc/v/site.ini"),
        (["/opt/uwsgi", "--ini", "/etc/v/site.ini"], True, "/etc/v/site.ini"),
        (["/opt/uwsgi", "--ini", "other.ini"], True, None),
        (["/opt/uwsgi", "--ini", "site.ini"], False, None),
    ],
    ids=["relative", "whole", "another", "no-emperor"],
)
def test_the_file_of_a_vassal_is_the_one_that_its_emperor_named(words, sign, found, monkeypatch):
    monkeypatch.setattr(procfs, "words", lambda pid: words)
    monkeypatch.setattr(procfs, "environment", lambda pid: {emperors.SIGN: "7"} if sign else {})
    assert emperors.file_of(7, ["/etc/v/site.ini"]) == found


def vassal(path):
    return {"app": "site", "kind": emperors.KIND, "file": path, "pid": 7, "start": 1, "address": "x", "who": {"uid": 1}}


def test_a_vassal_ends_and_comes_again_by_its_file(vassals, trusted, monkeypatch):
    about = vassal(os.path.join(vassals, "site.ini"))
    monkeypatch.setattr(procfs, "process_start", lambda pid: 1 if os.path.exists(about["file"]) else None)
    monkeypatch.setattr(old_masters, "holders", lambda address, owners: [])
    told, left = old_masters.stop(about, None, 1)
    assert left == [] and "its emperor has ended it" in told[0]
    assert old_masters.start(about, None) == ["site: its emperor has %s again" % about["file"]]
    assert os.listdir(vassals) == ["site.ini"]


def test_a_vassal_that_does_not_end_is_told(vassals, trusted, monkeypatch):
    about = vassal(os.path.join(vassals, "site.ini"))
    monkeypatch.setattr(emperors, "PATIENCE", 0)
    monkeypatch.setattr(procfs, "process_start", lambda pid: 1)
    told, left = old_masters.stop(about, None, 0)
    assert told == [] and "has not ended it" in left[0]
