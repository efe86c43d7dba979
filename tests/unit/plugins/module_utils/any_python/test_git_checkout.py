"""git runs as its own account: what it fetches, what it tells, and what it keeps to itself (Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import subprocess
import tarfile

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import auto_files, git_checkout
from ansible_collections.graceful.wsgi.plugins.module_utils.build_account import Account
from ansible_collections.graceful.wsgi.plugins.module_utils.git_checkout import (
    Clone,
    Git,
    GitError,
    current,
    on_this_host,
    without_credentials,
)


@pytest.mark.parametrize(
    "url, expected",
    [
        ("https://h.test/x.git", ("https://h.test/x.git", None)),
        ("https://u:p@h.test/x.git", ("https://h.test/x.git", "https://u:p@h.test")),
        ("https://token@h.test:8443/x", ("https://h.test:8443/x", "https://token:@h.test:8443")),
        ("http://u:p@ss@h.test/a@b", ("http://h.test/a@b", "http://u:p@ss@h.test")),
        ("git@h.test:x.git", ("git@h.test:x.git", None)),
        ("ssh://git@h.test/x", ("ssh://git@h.test/x", None)),
        ("/srv/git/x", ("/srv/git/x", None)),
    ],
)
def test_user_and_password_leave_the_address(url, expected):
    assert without_credentials(url) == expected


def test_a_repository_on_this_host_is_known():
    assert [on_this_host(url) for url in ("/srv/x", "file:///srv/x", "https://h/x")] == ["/srv/x", "/srv/x", None]


@pytest.fixture
def git(tmp_path, monkeypatch):
    """git as whoever runs the tests, in a home of its own; and a repository."""
    monkeypatch.setattr(git_checkout, "STATE_DIR", str(tmp_path / "run"))
    (tmp_path / "home" / "tmp").mkdir(parents=True)
    return Git(Account("git", os.getuid(), os.getgid(), str(tmp_path / "home")))


@pytest.fixture
def repo(tmp_path):
    folder = tmp_path / "repo"
    folder.mkdir()

    def run(*words):
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@h.test"] + list(words)
        return subprocess.check_output(command, cwd=str(folder)).decode("ascii").strip()

    def commit(text):
        (folder / "f").write_text(text)
        run("add", "-A")
        run("commit", "-q", "-m", "x")
        return run("rev-parse", "HEAD")

    run("init", "-q", ".")
    run("symbolic-ref", "HEAD", "refs/heads/main")
    run.commit, run.path = commit, str(folder)
    return run


def wanted(repo, version="HEAD"):
    return {"name": "a", "repo": repo.path, "version": version}


def test_each_kind_of_version_is_found(git, repo):
    first = repo.commit(u"1")
    repo("tag", "v1")
    repo("tag", "-a", "annotated", "-m", "x")
    repo("branch", "stable")
    second = repo.commit(u"2")
    assert current(git, wanted(repo), True) == {"after": second, "changed": True}
    assert not os.path.exists(os.path.join(git.account.home, "repos"))
    assert current(git, wanted(repo), False) == {"after": second, "changed": True}
    for version in ("v1", "annotated", "stable", first, first[:9], "refs/tags/v1", "refs/heads/stable"):
        assert current(git, wanted(repo, version), False) == {"after": first, "changed": False}
    for version in ("HEAD", "main", second):
        assert current(git, wanted(repo, version), False)["after"] == second
    third = repo.commit(u"3")
    assert current(git, wanted(repo), True) == {"after": third, "changed": True}
    assert current(git, wanted(repo), False) == {"after": third, "changed": True}
    assert current(git, wanted(repo), False) == {"after": third, "changed": False}


@pytest.mark.parametrize("version", ["nowhere", "-x", "0123456", "0" * 40, "../x"])
def test_a_version_that_is_not_there_is_said(git, repo, version):
    repo.commit(u"1")
    with pytest.raises(GitError) as caught:
        current(git, wanted(repo, version), False)
    assert version in str(caught.value)


def test_a_repository_that_is_not_there_is_said(git, tmp_path):
    with pytest.raises(GitError) as caught:
        current(git, {"name": "a", "repo": str(tmp_path / "none"), "version": "HEAD"}, False)
    assert str(tmp_path / "none") in str(caught.value) and git.account.home in str(caught.value)


def test_a_commit_comes_as_an_archive_without_what_is_excluded(git, repo, tmp_path):
    (tmp_path / "repo" / "skip").mkdir()
    (tmp_path / "repo" / "skip" / "x").write_text(u"")
    commit = repo.commit(u"1")
    repo.commit(u"2")
    current(git, wanted(repo), False)
    found = Clone(git, "a").export(commit, [".git", "skip"], str(tmp_path))
    packed = tarfile.open(fileobj=found)
    assert packed.getnames() == ["f"] and packed.extractfile("f").read() == b"1"


def test_a_password_is_in_a_file_of_gits_account_only(git, repo):
    repo.commit(u"1")
    clone = Clone(git, "a")
    clone.configure("https://h.test/x", "https://u:p@h.test")
    path = os.path.join(clone.settings, "git", "credentials")
    with open(path) as source:
        assert source.read() == "https://u:p@h.test\n"
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_requirement_files_of_a_commit_are_read_without_a_release(git, repo):
    repo.commit(u"1")
    with open(os.path.join(repo.path, "uv.lock"), "w") as target:
        target.write("2")
    second = repo.commit(u"2")
    clone = Clone(git, "a")
    assert auto_files.of_clone(clone, second) is None
    current(git, wanted(repo), False)
    assert auto_files.of_clone(clone, second, [".git"]) == {"names": ["f", "uv.lock"], "texts": {"uv.lock": "2"}}
    assert auto_files.of_clone(clone, second, [".git", "*.lock"]) == {"names": ["f"], "texts": {}}
    assert auto_files.of_clone(clone, None) is None
