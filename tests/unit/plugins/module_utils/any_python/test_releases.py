# -*- coding: utf-8 -*-
"""Releases appear whole, switch in one step and go when none needs them (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import grp
import io
import os
import pwd
import re
import stat
import subprocess
import tarfile
import tempfile

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import release_records, shared_venvs
from ansible_collections.graceful.wsgi.plugins.module_utils import releases as code
from ansible_collections.graceful.wsgi.plugins.module_utils.releases import (
    COMPLETE,
    Home,
    ReleaseError,
    discard,
    give,
    is_local,
    leads_out,
    read_requirements,
    requirements_digest,
    unpack,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import remove_tree
from ansible_collections.graceful.wsgi.plugins.module_utils.tree import packed

GROUP = grp.getgrgid(os.getgid()).gr_name


def put(path, text=""):
    if not os.path.isdir(os.path.dirname(path)):
        os.makedirs(os.path.dirname(path))
    with io.open(path, "w", encoding="utf-8") as target:
        target.write(u"" + text)


def get(path):
    with io.open(path, encoding="utf-8") as source:
        return source.read()


def member(name, kind=tarfile.REGTYPE, text=b"", link="", mode=0o644):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.size = kind, link, mode, len(text)
    return info, text


def archive(path, *members):
    packed = tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT)
    for info, text in members:
        packed.addfile(info, io.BytesIO(text))
    packed.close()
    return path


def names(root):
    found = []
    for base, folders, files in os.walk(root):
        found += [os.path.relpath(os.path.join(base, name), root) for name in folders + files]
    return sorted(found)


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


@pytest.fixture
def owners(monkeypatch):
    """Nobody but root may give files away."""
    given = {}
    monkeypatch.setattr(code.os, "lchown", lambda path, uid, gid: given.update({path: (uid, gid)}))
    return given


@pytest.fixture
def root(tmp_path, owners, monkeypatch):
    """Where applications are; virtualenvs that nobody uses go at once."""
    monkeypatch.setattr(shared_venvs, "KEPT", -10)
    shared_venvs.prepare(str(tmp_path / ".venvs"))
    return str(tmp_path)


def common(root):
    """The names of the virtualenvs that any application may use."""
    return sorted(name for name in os.listdir(os.path.join(root, ".venvs")) if not name.startswith("."))


def home(root, **wanted):
    item = {"name": "a", "home": os.path.join(root, "home"), "group": GROUP, "path": None, "exclude": []}
    item.update({"requirements": None, "id": "r1"})
    item.update(wanted)
    return Home(item, item.pop("python", "3.11"))


def made(root, name, **wanted):
    one = home(root, id=name, **wanted)
    text = name.encode("ascii")
    one.make(archive(os.path.join(root, name + ".tar.gz"), member("manage.py", text=text)))
    return one


# -- unpack ----------------------------------------------------------------------------------------------------------


def test_unpack(root):
    folder = os.path.join(root, "out")
    os.mkdir(folder)
    name = u"sch\u00f6n \u4e2d.txt"
    name = name.encode("utf-8") if str is bytes else name
    path = archive(
        os.path.join(root, "a"),
        member("link", tarfile.SYMTYPE, link="sub/f"),
        member("closed", tarfile.DIRTYPE, mode=0o555),
        member("closed/f", text=b"closed"),
        member("sub/f", text=b"1", mode=0o4777),
        member("sub/hard", tarfile.LNKTYPE, link="sub/f"),
        member("deep/er/link", tarfile.SYMTYPE, link="../../sub"),
        member("dangling", tarfile.SYMTYPE, link="nowhere"),
        member(name, text=b"2"),
        member("./dot/", tarfile.DIRTYPE, mode=0o700),
    )
    before = os.umask(0o077)
    try:
        unpack(path, folder)
    finally:
        os.umask(before)
    expected = ["closed", "closed/f", "dangling", "deep", "deep/er", "deep/er/link", "dot", "link", name, "sub"]
    assert names(folder) == sorted(expected + ["sub/f", "sub/hard"])
    assert os.readlink(os.path.join(folder, "link")) == "sub/f"
    assert get(os.path.join(folder, "sub/hard")) == "1"
    # No setuid bit, nothing that others may write, and folders nobody spoke of are not closed by the umask.
    assert mode(os.path.join(folder, "sub/f")) == 0o755
    assert [mode(os.path.join(folder, name)) for name in ("closed", "sub", "dot")] == [0o555, 0o755, 0o700]
    os.chmod(os.path.join(folder, "closed"), 0o755)


HOSTILE = {
    "absolute": [member("/OUTSIDE/evil", text=b"x")],
    "dots": [member("../evil", text=b"x")],
    "dots in the middle": [member("a/../../evil", text=b"x")],
    "beside": [member("../out-evil", text=b"x")],
    "folder": [member("../evil", tarfile.DIRTYPE)],
    "link outside": [member("../evil", tarfile.SYMTYPE, link="x")],
    "through a symlink": [member("l", tarfile.SYMTYPE, link=".."), member("l/evil", text=b"x")],
    "link through a symlink": [
        member("l", tarfile.SYMTYPE, link=".."), member("l/evil", tarfile.SYMTYPE, link="/etc"),
    ],
    "link through two symlinks": [
        member("l", tarfile.SYMTYPE, link="m"),
        member("m", tarfile.SYMTYPE, link=".."),
        member("l/evil", tarfile.SYMTYPE, link="/etc"),
    ],
    "mode through a symlink": [member("l", tarfile.SYMTYPE, link=".."), member("l/../evil", tarfile.DIRTYPE)],
    "hard link to the host": [member("h", tarfile.LNKTYPE, link="/etc/hostname")],
    "hard link to itself": [member("h", tarfile.LNKTYPE, link="h")],
    "hard link to a symlink": [member("l", tarfile.SYMTYPE, link="l"), member("h", tarfile.LNKTYPE, link="l")],
    "device": [member("d", tarfile.CHRTYPE)],
    "block device": [member("d", tarfile.BLKTYPE)],
    "fifo": [member("d", tarfile.FIFOTYPE)],
    "file where a folder is": [member("d", tarfile.DIRTYPE), member("d", text=b"x")],
    "link where a folder is": [member("d", tarfile.DIRTYPE), member("d", tarfile.SYMTYPE, link="..")],
    "the root as a file": [member(".", text=b"x")],
    "the root as a link": [member(".", tarfile.SYMTYPE, link="..")],
}


@pytest.mark.parametrize("case", sorted(HOSTILE))
def test_a_hostile_member_changes_nothing_outside(root, case):
    inner = os.path.join(root, "inner")
    folder = os.path.join(inner, "out")
    os.makedirs(folder)
    members = HOSTILE[case]
    for info, _text in members:
        info.name = info.name.replace("/OUTSIDE", inner)
    path = archive(os.path.join(root, "a"), *members)
    before = mode(inner)
    with pytest.raises((ReleaseError, IOError, OSError)):
        unpack(path, folder)
    assert os.listdir(inner) == ["out"] and mode(inner) == before


@pytest.mark.parametrize("cut", [0, 10, 60, -1])
def test_a_broken_archive_is_no_release(root, cut):
    path = archive(os.path.join(root, "a"), member("f", text=os.urandom(5000)))
    with open(path, "rb") as source:
        whole = source.read()
    with open(path, "wb") as target:
        target.write(whole[:cut])
    with pytest.raises((ReleaseError, IOError, OSError)):
        home(root).make(path)
    assert os.listdir(os.path.join(root, "home", "releases")) == []


# -- requirements ----------------------------------------------------------------------------------------------------


def test_a_digest_names_python_and_requirements():
    found = [requirements_digest(*pair) for pair in (("3.11", u"a"), ("3.9", u"a"), ("3.11", u"b"), ("3.11", u"a\n"))]
    assert len(set(found)) == 4 and all(len(one) == 12 for one in found)
    assert requirements_digest("3.11", u"a") == requirements_digest(u"3.11", "a") == found[0]
    text = u"# sch\u00f6n"
    assert requirements_digest("2.7", text) == requirements_digest("2.7", text.encode("utf-8"))


@pytest.mark.parametrize(
    "line",
    ["-r more.txt", "-rmore.txt", "-c more.txt", "  -r  more.txt", "--requirement more.txt", "--constraint=more.txt"],
)
def test_included_requirements_count(root, line):
    put(os.path.join(root, "requirements.txt"), u"flask\n%s\n" % line)
    put(os.path.join(root, "more.txt"), u"one")
    before = read_requirements(os.path.join(root, "requirements.txt"))
    put(os.path.join(root, "more.txt"), u"two")
    assert "one" in before and "two" in read_requirements(os.path.join(root, "requirements.txt"))


def test_includes_are_relative_to_the_including_file_and_may_go_in_circles(root):
    put(os.path.join(root, "requirements.txt"), u"-r sub/a.txt\n-r https://example.com/x.txt\n-r missing.txt\n")
    put(os.path.join(root, "sub", "a.txt"), u"-r b.txt\n-r ../requirements.txt\n")
    put(os.path.join(root, "sub", "b.txt"), u"# sch\u00f6n\n")
    assert u"# sch\u00f6n" in read_requirements(os.path.join(root, "requirements.txt"))


def test_a_virtualenv_is_named_by_the_requirements_in_the_release(root):
    one = made(root, "r1", requirements="requirements.txt")
    with pytest.raises(ReleaseError) as caught:
        one.venv()
    assert "requirements.txt" in str(caught.value)
    put(os.path.join(one.release, "requirements.txt"), u"flask")
    venv = one.venv()
    name = os.path.basename(venv["path"])
    assert venv["path"] == os.path.join(root, ".venvs", name) and re.match("[0-9a-f]{32}$", name)
    assert venv["requirements"] == os.path.join(one.release, "requirements.txt") and venv["complete"] is False
    other = home(root, requirements="requirements.txt", python="3.9")
    assert other.venv()["path"] != venv["path"]
    listed = home(root, requirements=["flask", "x"]).venv()
    assert (listed["requirements"], listed["lines"]) == (None, ["flask", "x"])
    assert home(root, requirements=[]).venv() is None
    assert home(root, id="not-here", requirements="requirements.txt").venv()["path"] is None


# -- filling a virtualenv --------------------------------------------------------------------------------------------


class Builders:
    """Accounts that build, all of them this one; makes the virtualenv's folder, fails at the command that is told."""

    uid, gid, who = os.getuid(), os.getgid(), {"uid": os.getuid(), "gid": os.getgid(), "groups": []}

    def __init__(self, fail=None, fill=None):
        self.calls = []
        self.fail = fail
        self.fill = fill
        self.seen = {}

    @contextlib.contextmanager
    def lease(self):
        self.home = tempfile.mkdtemp()
        try:
            yield self
        finally:
            remove_tree(self.home)

    def own(self, path):
        if not os.path.isdir(path):
            os.mkdir(path, 0o700)

    def clear(self, path):
        pass

    def run(self, words, cwd, environment=None, writable=(), visible=()):
        self.calls.append([word.replace(self.home, "HOME") for word in words])
        self.environment = environment
        if words[0] == "mkvenv":
            os.makedirs(os.path.join(words[-1], "bin"))
            (self.fill or (lambda path: None))(words[-1])
        for base, _folders, files in os.walk(self.home):
            self.seen.update((os.path.relpath(os.path.join(base, name), self.home), 1) for name in files)
            for name in files:
                self.seen[os.path.relpath(os.path.join(base, name), self.home)] = get(os.path.join(base, name))
        if self.fail is not None and len(self.calls) == self.fail:
            return 1, "no such thing in %s/requirements/0.txt\n" % self.home
        return 0, ""


def test_fill(root):
    run = Builders()
    one = home(root, requirements=["flask"])
    before = os.umask(0o077)
    try:
        assert one.fill(run, ["mkvenv", "-x"], "pip<21", ["-q"], {"PIP_INDEX_URL": "i", "PIP_NO_INDEX": True}) is True
    finally:
        os.umask(before)
    path = one.venv()["path"]
    install = [path + "/bin/python", "-m", "pip", "install", "-q"]
    assert run.calls == [["mkvenv", "-x", path], install + ["--upgrade", "pip<21"], install + ["flask"]]
    assert (run.environment["PIP_INDEX_URL"], run.environment["PIP_NO_INDEX"]) == ("i", "yes")
    assert one.venv()["complete"] is True and mode(one.common) == 0o711
    assert mode(path) == 0o755 and common(root) == [os.path.basename(path)]
    assert one.fill(run, ["mkvenv", "-x"], "pip<21", []) is False and len(run.calls) == 3
    assert home(root, requirements=None).fill(run, ["mkvenv"], "", []) is False


class Wheels:
    """In the place of brought_wheels.Brought."""

    def unpack(self, builder, name):
        return os.path.join(builder.home, "wheels-of-" + name)

    def first_pip(self, python, folder, pip):
        return [python, folder, pip]


def test_fill_from_brought_wheels_with_a_python_that_makes_no_pip(root):
    run, one = Builders(), home(root, requirements=["flask"])
    assert one.fill(run, ["mkvenv", "--without-pip"], "pip", [], {"PIP_NO_INDEX": True}, brought=Wheels()) is True
    python, folder = one.venv()["path"] + "/bin/python", os.path.join("HOME", "wheels-of-" + one.name)
    assert run.calls[1:] == [[python, folder, "pip"], [python, "-m", "pip", "install", "flask"]]
    assert run.environment["PIP_FIND_LINKS"].endswith("/wheels-of-" + one.name)
    other = home(root, requirements=["flask", "six"])
    other.fill(run, ["mkvenv"], "pip", [], brought=Wheels())
    assert run.calls[-2][1:] == ["-m", "pip", "install", "pip"]


@pytest.mark.parametrize("no_index", [True, False])
def test_requirements_name_no_index_where_none_is_asked(root, no_index):
    """The last pip of Python 2.7 asks what a file names with --index-url in spite of PIP_NO_INDEX, and waits long."""
    env = {"PIP_NO_INDEX": True} if no_index else {}
    index = u"--index-url https://i.test/simple\n--extra-index-url=https://me:pw@i.test\n-i http://i\n"
    one = made(root, "r1", requirements="r.txt")
    put(os.path.join(one.release, "r.txt"), index + u"flask\n--trusted-host i\n")
    run = Builders()
    one.fill(run, ["mkvenv"], "", [], env)
    told = run.seen["requirements/0.txt"]
    assert told.strip() == (u"flask\n--trusted-host i" if no_index else index + u"flask\n--trusted-host i")
    other = home(root, requirements=["--index-url", "http://i", "flask", "--extra-index-url=http://i"])
    other.fill(run, ["mkvenv"], "", [], env)
    assert ("flask" in run.calls[-1], "http://i" in run.calls[-1]) == (True, not no_index)


def test_fill_hands_pip_the_bounds_that_the_requirements_leave(root):
    run, bounds = Builders(), ["Flask<2", "gevent<23", "greenlet<3"]
    one = made(root, "r1", requirements="r.txt", bounds=bounds)
    put(os.path.join(one.release, "r.txt"), u"flask\n-r more.txt\n")
    put(os.path.join(one.release, "more.txt"), u"gevent==20.9.0 --hash=sha256:00\ngreenlet>=1\n")
    one.fill(run, ["mkvenv"], "pip", [])
    assert [words[-4:-2] for words in run.calls[2:]] == [["--constraint", "HOME/limits/constraints.txt"]]
    assert "--upgrade" not in run.calls[1] and "--constraint" in run.calls[1]
    assert run.seen["limits/constraints.txt"] == "Flask<2\ngreenlet<3,>=1\n"


@pytest.mark.parametrize("python", ["2.7", "3.6"])
def test_what_packages_ask_for_comes_before_the_bounds_of_the_legacy_resolver(root, python):
    """pip 19 and 20 under Python 2.7 put Werkzeug 1.0.1 beside a package that asks for Werkzeug<1, for the bound <2."""

    class Clashing(Builders):
        def run(self, words, *args, **kwargs):
            status, said = Builders.run(self, words, *args, **kwargs)
            clash = "shop 1 has requirement Werkzeug<1,>=0.7, but you have werkzeug 1.0.1.\n"
            return (1, clash) if words[-1] == "check" else (status, said)

    run = Clashing()
    one = home(root, requirements=["shop"], bounds=["Werkzeug<2", "six<2"])
    one.python = python
    one.fill(run, ["mkvenv"], "", [])
    ends = [words[-1] for words in run.calls[1:]]
    assert ends == (["shop", "check", "shop"] if python == "2.7" else ["shop"])
    if python == "2.7":
        assert run.seen["limits/constraints.txt"] == "six<2\n"


def test_a_virtualenv_is_another_one_where_other_constraints_hold(root):
    plain = home(root, requirements=["flask"]).venv()
    bound = home(root, requirements=["flask"], bounds=["Flask<2"]).venv()
    assert plain["path"] != bound["path"]
    assert home(root, requirements=["flask"], bounds=[]).venv() == plain
    # What the requirements pin has no bound, so that it is the same one.
    pinned = home(root, requirements=["flask==1.0"]).venv()
    assert home(root, requirements=["flask==1.0"], bounds=["Flask<2"]).venv()["path"] == pinned["path"]
    own = home(root, requirements=["flask==1.0"], constraints=["flask==1.0 --hash=sha256:00"]).venv()
    assert own["constraints"] == ["flask==1.0 --hash=sha256:00"] and own["path"] != pinned["path"]


def test_a_failure_over_a_constraint_names_the_variable(root):
    class Refusing(Builders):
        def run(self, words, *args, **kwargs):
            status, _said = Builders.run(self, words, *args, **kwargs)
            said = "ERROR: No matching distribution for flask<2 (from -c %s/limits/constraints.txt (line 1))"
            return (1 if words[-1] == "flask>=1" else status), said % self.home

    one = home(root, requirements=["flask>=1"], bounds=["Flask<2"])
    with pytest.raises(ReleaseError) as caught:
        one.fill(Refusing(), ["mkvenv"], "", [])
    assert "from -c uwsgi_pip_constraints (line 1)" in str(caught.value)
    assert "hold for Python 3.11; write a version in the requirements" in str(caught.value)
    with pytest.raises(ReleaseError) as caught:
        home(root, requirements=["flask"], bounds=["Flask<2"]).fill(Builders(fail=2), ["mkvenv"], "", [])
    assert "uwsgi_pip_constraints:" not in str(caught.value) and "hold for" not in str(caught.value)


def test_incomplete_is_what_has_yet_to_be_made(root):
    assert home(root).incomplete is True
    assert made(root, "r1").incomplete is False
    one = home(root, requirements=["flask"])
    assert one.incomplete is True
    one.fill(Builders(), ["mkvenv"], "", [])
    assert one.incomplete is False


def test_fill_from_a_file_with_the_pip_that_is_there(root):
    run = Builders()
    one = made(root, "r1", requirements="r.txt")
    put(os.path.join(one.release, "r.txt"), u"flask\n-c sub/c.txt # why\n-r https://example.com/x.txt\n")
    put(os.path.join(one.release, "sub", "c.txt"), u"flask<4\n")
    one.fill(run, ["mkvenv"], "", [])
    assert [words[-2:] for words in run.calls[1:]] == [["-r", "HOME/requirements/0.txt"]]
    assert run.seen["requirements/1.txt"] == "flask<4\n" and "code/manage.py" not in run.seen
    lines = run.seen["requirements/0.txt"].splitlines()
    assert lines[0] == "flask" and re.match(r"-c /.*/requirements/1.txt # why\Z", lines[1])
    assert lines[2] == "-r https://example.com/x.txt"


@pytest.mark.parametrize("wanted", [["."], ["-e", "."], ["-e."], "r.txt"])
def test_requirements_of_the_code_itself_are_built_from_a_copy(root, wanted):
    run = Builders()
    one = made(root, "r1", requirements=wanted)
    put(os.path.join(one.release, "r.txt"), u"-e .\nflask\n")
    one.fill(run, ["mkvenv"], "", [])
    assert run.seen["code/manage.py"] == "r1"
    if wanted == "r.txt":
        assert run.calls[-1][-2:] == ["-r", "HOME/code/r.txt"] and run.seen["code/r.txt"] == ".\nflask\n"
        assert get(os.path.join(one.release, "r.txt")) == "-e .\nflask\n"
    else:
        assert run.calls[-1][-1] == "."
    # Another release holds other code.
    other = made(root, "r2", requirements=wanted)
    put(os.path.join(other.release, "r.txt"), u"-e .\nflask\n")
    assert other.venv()["path"] != one.venv()["path"]


@pytest.mark.parametrize(
    "wanted, words, local",
    [
        (["-r sub/r.txt", "gunicorn"], ["-r", "HOME/requirements/0.txt", "gunicorn"], False),
        (["-r", "sub/r.txt"], ["-r", "HOME/requirements/0.txt"], False),
        (["--constraint=sub/c.txt", "flask"], ["--constraint", "HOME/requirements/0.txt", "flask"], False),
        (["--find-links ./wheels", "flask"], ["--find-links", "./wheels", "flask"], True),
        (["-r own.txt"], ["-r", "HOME/code/own.txt"], True),
        (["-c https://example.com/c.txt", "flask"], ["-c", "https://example.com/c.txt", "flask"], False),
    ],
)
def test_a_list_may_name_files_and_folders_of_the_code(root, wanted, words, local):
    run = Builders()
    one = made(root, "r1", requirements=wanted)
    put(os.path.join(one.release, "sub", "r.txt"), u"flask\n-c c.txt\n")
    put(os.path.join(one.release, "sub", "c.txt"), u"flask<4\n")
    put(os.path.join(one.release, "own.txt"), u"-e .\n")
    one.fill(run, ["mkvenv"], "", [])
    assert run.calls[-1][4:] == words and ("code/manage.py" in run.seen) == local
    # What the files hold is part of which virtualenv it is.
    before = one.venv()["path"]
    put(os.path.join(one.release, "sub", "c.txt"), u"flask<5\n")
    changed = home(root, id="r1", requirements=wanted).venv()["path"] != before
    assert changed == any("sub/" in line for line in wanted)


def test_a_file_that_a_list_names_and_the_code_has_not_is_told(root):
    with pytest.raises(ReleaseError) as caught:
        made(root, "r1", requirements=["-r none.txt"]).venv()
    assert "there is no none.txt in" in str(caught.value)


def test_an_editable_install_of_code_that_is_not_ours_is_refused(root):
    put(os.path.join(root, "theirs", "r.txt"), u"--editable=./lib\n")
    one = home(root, id=None, path=os.path.join(root, "theirs"), requirements="r.txt")
    with pytest.raises(ReleaseError) as caught:
        one.fill(Builders(), ["mkvenv"], "", [])
    assert "-e" in str(caught.value)


@pytest.mark.parametrize("fail", [1, 2, 3])
def test_a_virtualenv_that_failed_is_not_complete_and_is_made_anew(root, fail):
    one = made(root, "r1", requirements="r.txt")
    put(os.path.join(one.release, "r.txt"), u"flask")
    with pytest.raises(ReleaseError) as caught:
        one.fill(Builders(fail), ["mkvenv"], "pip", [])
    # The user's own file is named, not its copy.
    assert "no such thing in %s/r.txt" % one.release in str(caught.value)
    assert one.venv()["complete"] is False
    with pytest.raises(ReleaseError) as caught:
        one.switch()
    assert "not complete" in str(caught.value)
    put(os.path.join(one.venv()["path"], "half"))
    assert one.fill(Builders(), ["mkvenv"], "pip", []) is True
    assert not os.path.exists(os.path.join(one.venv()["path"], "half"))


REFUSED = {
    "link to a folder of everybody": lambda path: os.symlink("/tmp", os.path.join(path, "x")),
    "link to a file there": lambda path: os.symlink("/tmp/evil.py", os.path.join(path, "x.py")),
    "climbing link": lambda path: os.symlink("../" * 20 + "tmp/evil", os.path.join(path, "bin", "x")),
    "link through a link": lambda path: (
        os.symlink("/var", os.path.join(path, "v")), os.symlink("v/tmp", os.path.join(path, "w")),
    ),
    "fifo": lambda path: os.mkfifo(os.path.join(path, "fifo")),
    "as deep as Python's stack": lambda path: deep(path, 150),
}


def deep(path, levels):
    for _level in range(levels):
        path = os.path.join(path, "d")
        os.mkdir(path)


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_a_virtualenv_that_leads_elsewhere_is_not_taken_over(root, case):
    one = home(root, requirements=["flask"])
    with pytest.raises(ReleaseError) as caught:
        one.fill(Builders(fill=REFUSED[case]), ["mkvenv"], "", [])
    assert "not taken over" in str(caught.value)
    assert one.venv()["complete"] is False and common(root) == []


def test_what_is_taken_over_is_a_copy_that_root_alone_can_change(root):
    held = {}
    odd = b"\xff\n'"
    odd = odd if str is bytes else odd.decode("utf-8", "surrogateescape")

    def fill(path):
        put(os.path.join(path, "a.py"), "1")
        os.utime(os.path.join(path, "a.py"), (1000000000, 1000000000.75))
        os.link(os.path.join(path, "a.py"), os.path.join(path, "hard.py"))
        os.chmod(os.path.join(path, "a.py"), 0o6777)
        os.symlink("a.py", os.path.join(path, odd))
        os.symlink(os.path.join(path, "bin"), os.path.join(path, "lib64"))
        os.symlink("/usr/bin/env", os.path.join(path, "bin", "env"))
        os.symlink("mkvenv", os.path.join(path, "bin", "python"))
        held["file"] = os.open(os.path.join(path, "a.py"), os.O_RDWR)

    one = home(root, requirements=["flask"])
    assert one.fill(Builders(fill=fill), ["mkvenv"], "", []) is True
    path = one.venv()["path"]
    os.write(held["file"], b"evil")
    os.close(held["file"])
    assert sorted(os.listdir(path)) == sorted([COMPLETE, "a.py", "bin", "hard.py", "lib64", odd])
    found = os.stat(os.path.join(path, "a.py"))
    assert get(os.path.join(path, "a.py")) == get(os.path.join(path, "hard.py")) == "1"
    assert stat.S_IMODE(found.st_mode) == 0o755 and found.st_nlink == 1 and found.st_mtime == 1000000000


def test_code_that_is_not_on_the_host_is_named(root):
    one = home(root, id=None, path=os.path.join(root, "none"), requirements="r.txt")
    with pytest.raises(ReleaseError) as caught:
        one.fill(Builders(), ["mkvenv"], "pip", [])
    assert os.path.join(root, "none") in str(caught.value)


# -- making ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_make(root, owners, umask):
    before = os.umask(umask)
    try:
        one = made(root, "r1")
    finally:
        os.umask(before)
    assert get(os.path.join(one.release, "manage.py")) == "r1"
    assert [mode(path) for path in (one.home, one.releases, one.release)] == [0o755, 0o750, 0o755]
    assert mode(os.path.join(one.release, "manage.py")) == 0o644
    assert one.missing is False and os.listdir(one.releases) == ["r1"]
    # By its last name or the one that it was made under.
    assert set(owners.values()) == set([(0, os.getgid())]) and len(owners) == 3


def test_the_group_may_read_what_the_owner_may_and_nobody_more(root):
    folder = os.path.join(root, "x")
    for name, bits in (("secret", 0o600), ("script", 0o700), ("open", 0o666), ("plain", 0o644), ("suid", 0o4711)):
        put(os.path.join(folder, name))
        os.chmod(os.path.join(folder, name), bits)
    os.mkdir(os.path.join(folder, "sub"), 0o700)
    put(os.path.join(root, "outside"))
    os.chmod(os.path.join(root, "outside"), 0o600)
    os.symlink("../outside", os.path.join(folder, "link"))
    give(folder, GROUP)
    found = dict((name, mode(os.path.join(folder, name))) for name in os.listdir(folder) if name != "link")
    assert found == {
        "secret": 0o640, "script": 0o750, "open": 0o644, "plain": 0o644, "suid": 0o751, "sub": 0o750,
    }
    assert mode(os.path.join(root, "outside")) == 0o600


def test_an_unknown_group_is_said_and_leaves_nothing(root):
    with pytest.raises(ReleaseError) as caught:
        made(root, "r1", group="no-such-group-here")
    assert "no-such-group-here" in str(caught.value)
    assert os.listdir(os.path.join(root, "home", "releases")) == []


def test_an_interrupted_release_is_no_release_and_goes_with_the_next(root):
    one = home(root)
    put(os.path.join(one.releases, ".new-abc", "manage.py"))
    put(os.path.join(one.releases, ".old-r0", "manage.py"))
    assert one.missing is True
    made(root, "r1")
    assert os.listdir(one.releases) == ["r1"]


def test_make_from_a_checkout(root):
    checkout = os.path.join(root, "repo")
    for name in (".git/config", "manage.py", "static/skip/f", "static/keep", "a.pyc", "skip"):
        put(os.path.join(checkout, name))
    os.symlink("manage.py", os.path.join(checkout, "link"))
    os.mkfifo(os.path.join(checkout, "fifo"))
    before = names(checkout)
    one = home(root, exclude=[".git", "*.pyc", "static/skip"])
    one.make(checkout=lambda exclude: packed(None, checkout, exclude, root))
    assert names(one.release) == ["link", "manage.py", "skip", "static", "static/keep"]
    assert os.path.islink(os.path.join(one.release, "link")) and names(checkout) == before


LINKS = {
    # (name of the link, target): whether it leads out of a release of /home.
    ("a", "b"): False,
    ("a", "./b/c"): False,
    ("s/a", "../b"): False,
    ("s/t/a", "../../b"): False,
    ("a", "/srv/h/shared"): False,
    ("a", "/srv/h/shared/media"): False,
    ("a", "../../shared/media"): False,
    ("s/a", "../../../shared"): False,
    ("a", "/"): True,
    ("a", ".."): True,
    ("a", "../b"): True,
    ("s/a", "../../b"): True,
    ("a", "b/../../c"): True,
    ("a", "b/.."): True,
    ("a", "/srv/h/sharedx"): True,
    ("a", "/srv/h/shared/../releases"): True,
    ("a", "../../shared/../venvs"): True,
    ("a", "../shared"): True,
    ("a", "../../../shared"): True,
    ("a", "../../venvs"): True,
    ("a", "/srv/h/releases/r1/x"): True,
}


@pytest.mark.parametrize("link", sorted(LINKS))
def test_links_that_lead_out_of_a_release(link):
    assert leads_out(link[0], link[1], "/srv/h/shared") is LINKS[link]
    if "shared" in link[1]:
        assert leads_out(link[0], link[1], None) is True


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../etc", "/"])
def test_a_release_with_a_link_that_leads_out_is_refused_by_name(root, target):
    path = archive(os.path.join(root, "a"), member("static/rootfs", tarfile.SYMTYPE, link=target))
    with pytest.raises(ReleaseError) as caught:
        home(root).make(path)
    assert "static/rootfs" in str(caught.value) and target in str(caught.value) and str(caught.value).startswith("a: ")
    assert os.listdir(os.path.join(root, "home", "releases")) == []


def test_links_into_shared_are_the_applications_own(root, owners, monkeypatch):
    monkeypatch.setattr(code.pwd, "getpwnam", lambda name: pwd.struct_passwd((name, "", 1234, 1, "", "/", "")))
    one = home(root, user="shop")
    members = [
        member("media", tarfile.SYMTYPE, link=os.path.join(one.home, "shared", "media")),
        member("up", tarfile.SYMTYPE, link="../../shared"),
        member("in", tarfile.SYMTYPE, link="manage.py"),
    ]
    one.make(archive(os.path.join(root, "a"), *members))
    found = dict((os.path.basename(path), uid) for path, (uid, _gid) in owners.items())
    assert (found["media"], found["up"], found["in"]) == (1234, 1234, 0)


@pytest.mark.parametrize(
    "line, local",
    [
        ("flask", False), ("flask==3.1", False), ("flask [async] >=1 ; python_version > '3'", False), ("# x", False),
        ("flask @ https://h/x.whl", False), ("git+https://h/x.git", False), ("-e git+ssh://h/x#egg=x", False),
        ("-r more.txt", False), ("--index-url https://h", False), ("  --hash=sha256:00", False), ("", False),
        ("flask==1 \\", False), ("flask==1 --hash=sha256:00", False), ("-f https://h/wheels", False),
        (".", True), ("./lib", True), ("..", True), ("-e .", True), ("--editable=lib", True), ("lib/sub", True),
        ("/srv/x", True), ("file:///srv/x", True), ("x @ file:///srv/x", True), ("x.whl", True), ("-f wheels", True),
        ("x-1.0.tar.gz", True), (".[extra]", True),
    ],
)
def test_requirements_that_mean_something_in_the_code(line, local):
    assert is_local(line) is local


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".hidden", "a\n", "x" * 81])
def test_a_bad_id_is_refused(root, name):
    with pytest.raises(ReleaseError):
        home(root, id=name)


# -- switching -------------------------------------------------------------------------------------------------------


def test_switch(root):
    one = made(root, "r1")
    assert one.would_switch() is True
    assert one.switch() is True and one.current == "r1"
    assert os.readlink(os.path.join(one.home, "current")) == "releases/r1"
    assert one.would_switch() is False and one.switch() is False
    two = made(root, "r2")
    assert two.current == "r1" and two.would_switch() is True
    assert two.switch() is True and two.current == "r2"
    assert one.would_switch() is True and one.switch() is True and one.current == "r1"


def test_a_release_that_is_not_there_is_not_made_live(root):
    made(root, "r1").switch()
    with pytest.raises(ReleaseError):
        home(root, id="r2").switch()
    assert home(root).current == "r1"
    assert home(root, id="r2").would_switch() is True


def test_the_virtualenv_comes_with_the_release_before_it_is_live(root, monkeypatch):
    one = made(root, "r1", requirements=["flask"])
    one.fill(Builders(), ["mkvenv"], "", [])
    order = []
    real = code.switch_link
    monkeypatch.setattr(code, "switch_link", lambda link, to: order.append(os.path.basename(link)) or real(link, to))
    assert one.would_switch() is True and one.switch() is True
    assert order == [".venv", "current"]
    assert os.readlink(os.path.join(one.release, ".venv")) == one.venv()["path"]
    assert one.would_switch() is False and one.switch() is False
    other = home(root, requirements=["flask"], python="3.12")
    other.fill(Builders(), ["mkvenv"], "", [])
    assert other.would_switch() is True and other.switch() is True


def test_code_of_somebody_else_gets_a_virtualenv_only(root):
    path = os.path.join(root, "theirs")
    put(os.path.join(path, "r.txt"), u"flask")
    one = home(root, id=None, path=path, requirements="r.txt")
    assert one.missing is False and one.would_switch() is True
    one.fill(Builders(), ["mkvenv"], "", [])
    assert one.switch() is True and one.link == os.path.join(one.home, "venv")
    assert os.readlink(one.link) == one.venv()["path"]
    assert one.would_switch() is False and one.switch() is False
    assert os.listdir(path) == ["r.txt"]
    bare = home(root, id=None, path=path, requirements=None)
    assert bare.would_switch() is False and bare.switch() is False


# -- pruning ---------------------------------------------------------------------------------------------------------


def deployed(root, count, **wanted):
    """Releases r1, r2, ... made live one after another, each older by its mtime than the next."""
    for number in range(1, count + 1):
        one = made(root, "r%d" % number, **wanted)
        one.switch()
        os.utime(one.release, (1000 * number, 1000 * number))
    return one


@pytest.mark.parametrize(
    "keep, left",
    [
        (5, ["r1", "r2", "r3", "r4"]),
        (3, ["r2", "r3", "r4"]),
        # The one before the live one stays: processes may still run on it.
        (2, ["r3", "r4"]),
        (1, ["r3", "r4"]),
    ],
)
def test_the_newest_stay(root, keep, left):
    one = deployed(root, 4)
    told = one.surplus(keep)
    assert sorted(one.prune(keep)) == sorted(told) == sorted(set(["r1", "r2", "r3", "r4"]) - set(left))
    assert sorted(os.listdir(one.releases)) == left
    assert one.prune(keep) == []


def test_one_that_a_process_is_in_stays_until_that_has_ended(root):
    one = with_venv(root, "r1", ["a"])
    put(os.path.join(one.release, "web", "f"))
    job = subprocess.Popen(["sleep", "60"], cwd=os.path.join(one.release, "web"))
    try:
        for number in (2, 3, 4, 5):
            last = with_venv(root, "r%d" % number, ["b"])
            os.utime(last.release, (1000 * number, 1000 * number))
        told = last.surplus(2)
        assert sorted(last.prune(2)) == sorted(told) == ["r2", "r3"]
        assert sorted(os.listdir(last.releases)) == ["r1", "r4", "r5"]
        assert os.path.basename(one.had) in shared_venvs.used(root)
    finally:
        job.kill()
        job.wait()
    assert last.surplus(2) == last.prune(2) == ["r1"]


def test_the_live_one_and_the_one_before_stay_however_old(root):
    deployed(root, 4)
    back = home(root, id="r1")
    back.switch()
    os.utime(back.release, (1, 1))
    os.utime(os.path.join(back.releases, "r4"), (2, 2))
    assert sorted(back.prune(2)) == ["r2", "r3"]
    assert sorted(os.listdir(back.releases)) == ["r1", "r4"]


def test_check_mode_counts_the_release_that_is_not_here_yet(root):
    deployed(root, 3)
    coming = home(root, id="r4")
    told = coming.surplus(3)
    assert told == ["r1"]
    made(root, "r4")
    coming.switch()
    assert coming.prune(3) == told


def test_what_a_person_put_beside_releases_and_virtualenvs_stays(root):
    one = deployed(root, 4)
    put(os.path.join(one.releases, "README"))
    put(os.path.join(one.releases, ".hidden", "f"))
    os.symlink("r4", os.path.join(one.releases, "stable"))
    os.symlink("nowhere", os.path.join(one.releases, "dangling"))
    put(os.path.join(one.venvs, "mine", "f"))
    put(os.path.join(one.venvs, "0123456789ab-mine"))
    put(os.path.join(one.home, "shared", "uploads"))
    one.prune(2)
    assert sorted(os.listdir(one.releases)) == [".hidden", "README", "dangling", "r3", "r4", "stable"]
    assert sorted(os.listdir(one.venvs)) == ["0123456789ab-mine", "mine"]
    assert os.listdir(os.path.join(one.home, "shared")) == ["uploads"]


def with_venv(root, name, lines, **wanted):
    one = made(root, name, requirements=lines, **wanted)
    one.fill(Builders(), ["mkvenv"], "", [])
    one.switch()
    return one


def test_virtualenvs_go_with_the_last_release_that_uses_them(root):
    venvs = []
    for number, lines in enumerate((["a"], ["b"], ["b"], ["c"])):
        one = with_venv(root, "r%d" % number, lines)
        os.utime(one.release, (1000 * number, 1000 * number))
        venvs.append(os.path.basename(one.venv()["path"]))
    for keep in (3, 2):
        one.prune(keep)
        shared_venvs.prune(root)
        assert common(root) == sorted(set(venvs[4 - keep :]))


def test_a_pinned_release_goes_live_with_the_virtualenv_that_it_had(root):
    paths = [with_venv(root, name, lines).venv()["path"] for name, lines in (("r1", ["a"]), ("r2", ["b"]))]
    back = home(root, id="r1", requirements=["c"], pinned=True)
    assert not back.incomplete and back.venv()["path"] == paths[0] and not back.fill(Builders(), ["mkvenv"], "", [])
    assert back.would_switch() and back.switch() and back.current == "r1"
    assert os.readlink(os.path.join(root, "home", "current", ".venv")) == paths[0]
    # Without one that had none.
    made(root, "r3")
    none = home(root, id="r3", requirements=["c"], pinned=True)
    assert none.venv() is None and none.switch()
    # A virtualenv that is gone is not made anew out of nothing.
    os.unlink(os.path.join(paths[1], COMPLETE))
    with pytest.raises(ReleaseError, match="the virtualenv of the release r2 is gone"):
        home(root, id="r2", pinned=True).fill(Builders(), ["mkvenv"], "", [])


def test_releases_that_never_were_live_are_not_among_those_that_stay(root):
    one = deployed(root, 3)
    for name in ("r4", "r5", "r6"):
        made(root, name)
        release_records.Records(one.releases).failed(name, "verify", "no")
    assert home(root, id="r3").surplus(3) == ["r4"]
    assert sorted(home(root, id="r3").surplus(2)) == ["r1", "r4"]
    # What is to be tried again stays, whatever became of it.
    assert home(root, id="r4").surplus(4) == []


@pytest.mark.parametrize("theirs", [True, False])
def test_the_virtualenv_that_processes_still_run_on_stays_for_this_once(root, theirs):
    """A new Python for the same release, or new requirements for code that is not ours."""
    path = os.path.join(root, "theirs")
    os.mkdir(path)
    wanted = {"id": None, "path": path} if theirs else {"id": "r1"}
    if not theirs:
        made(root, "r1")
    found = []
    for python in ("3.9", "3.11", "3.12"):
        one = home(root, requirements=["a"], python=python, **wanted)
        one.fill(Builders(), ["mkvenv"], "", [])
        one.switch()
        one.prune(5)
        shared_venvs.prune(root, [one.venv_before])
        found.append(os.path.basename(one.venv()["path"]))
        assert common(root) == sorted(found[-2:])
    again = home(root, requirements=["a"], python="3.12", **wanted)
    again.switch()
    again.prune(5)
    shared_venvs.prune(root, [again.venv_before])
    assert common(root) == found[-1:]


def test_a_release_that_is_half_removed_is_not_there(root, monkeypatch):
    """As after a kill while its files go one by one."""
    one = deployed(root, 4)

    def remove(path):
        if os.path.lexists(path):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(code, "remove_tree", remove)
        with pytest.raises(KeyboardInterrupt):
            one.prune(2)
    assert len([name for name in ("r1", "r2") if home(root, id=name).missing]) == 1
    one.prune(2)
    assert sorted(os.listdir(one.releases)) == ["r3", "r4"]


def test_discard_over_what_a_killed_discard_left(root):
    put(os.path.join(root, ".old-x", "f"))
    put(os.path.join(root, "x", "g"))
    discard(os.path.join(root, "x"))
    assert os.listdir(root) == [".venvs"]


def test_nothing_to_prune(root):
    assert home(root).prune(5) == [] and os.listdir(root) == [".venvs"]


def test_complete_is_what_says_so(root):
    one = home(root, requirements=["a"])
    os.makedirs(one.venv()["path"])
    assert one.venv()["complete"] is False
    put(os.path.join(one.venv()["path"], COMPLETE))
    assert one.venv()["complete"] is True


def test_an_account_is_admitted_beside_the_former_one_until_the_code_is_closed(root, monkeypatch):
    one = made(root, "r1")
    assert one.admit() is False and mode(one.releases) == 0o750
    # Another group has it: another account ran the application, or one of this name.
    real = os.lstat

    class Found(object):
        def __init__(self, found):
            self.st_mode, self.st_uid, self.st_gid = found.st_mode, 0, 4242

    with monkeypatch.context() as patch:
        patch.setattr(os, "lstat", lambda path: Found(real(path)) if path == one.releases else real(path))
        assert one.admit() is True and mode(one.releases) == 0o751
        assert one.admit() is False
    assert one.close() is True and mode(one.releases) == 0o750


def test_folders_of_code_are_closed_last(root, owners):
    """Processes of a former account may use them until they are told to end."""
    one = made(root, "r1")
    assert one.open_gates == []
    os.chmod(one.releases, 0o755)
    # What stands open stays so as long as releases are made.
    again = made(root, "r2")
    assert mode(again.releases) == 0o755
    assert [path for path, _mode in again.open_gates] == [one.releases]
    assert again.close() is True and mode(one.releases) == 0o750
    assert again.close() is False


def test_a_failed_deploy_goes_back_to_no_virtualenv_where_there_was_none(root):
    made(root, "r1").switch()
    new = home(root, id="r1", requirements=["flask"])
    assert new.fill(Builders(), ["mkvenv"], "", []) and new.switch()
    assert new.had == new.venv()["path"]
    back = home(root, id="r1", requirements=["flask"], pinned=True, bare=True)
    assert back.venv() is None and back.would_switch() and back.switch()
    # Processes of the failed run are still on it.
    assert back.venv_before == os.path.basename(new.venv()["path"])
    assert back.current == "r1" and back.had is None and not back.would_switch() and not back.switch()


def test_a_failed_deploy_goes_back_with_the_virtualenv_that_was_live(root):
    old = with_venv(root, "r1", ["flask==1"])
    assert old.had == old.venv()["path"]
    new = with_venv(root, "r2", ["flask==2"])
    # As the action plugin tells what was live: by the new item, pinned to what it had.
    back = home(root, id="r1", requirements=["flask==2"], pinned=True, had=old.venv()["path"])
    assert back.switch() and back.current == "r1"
    assert os.readlink(os.path.join(root, "home", "current", ".venv")) == old.venv()["path"] != new.venv()["path"]
