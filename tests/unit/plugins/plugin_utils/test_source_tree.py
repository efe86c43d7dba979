"""A folder's digest names its release: it changes exactly when what is sent changes."""

import hashlib
import io
import os
import shutil
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.graceful.wsgi.plugins.plugin_utils import source_tree
from ansible_collections.graceful.wsgi.plugins.plugin_utils.source_tree import SourceError, digest, pack, unpack


@pytest.fixture
def root(tmp_path):
    code = tmp_path / "code"
    (code / "templates").mkdir(parents=True)
    (code / "manage.py").write_text("app = 1\n")
    (code / "templates" / "a.html").write_text("<p>")
    (code / "link").symlink_to("manage.py")
    for path, mode in (("manage.py", 0o644), ("templates", 0o755), ("templates/a.html", 0o644)):
        (code / path).chmod(mode)
    return code


def contents(archive):
    with tarfile.open(archive) as packed:
        return {
            m.name: (m.type, m.mode, (packed.extractfile(m) if m.isreg() else io.BytesIO()).read()) for m in packed
        } | {m.name: m.linkname for m in packed if m.issym()}


CHANGES = {
    "content": lambda code: (code / "manage.py").write_text("app = 2\n"),
    "name": lambda code: (code / "manage.py").rename(code / "wsgi.py"),
    "folder": lambda code: (code / "static").mkdir(),
    "file": lambda code: (code / "empty").touch(),
    "mode": lambda code: (code / "manage.py").chmod(0o755),
    "folder mode": lambda code: (code / "templates").chmod(0o700),
    "link": lambda code: ((code / "link").unlink(), (code / "link").symlink_to("templates")),
    "link to file": lambda code: ((code / "link").unlink(), shutil.copy(code / "manage.py", code / "link")),
    "moved": lambda code: (code / "templates" / "a.html").rename(code / "a.html"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_the_archive_changes_the_digest(root, tmp_path, change):
    before = digest(root, [])
    pack(root, [], tmp_path / "before")
    CHANGES[change](root)
    pack(root, [], tmp_path / "after")
    assert contents(tmp_path / "before") != contents(tmp_path / "after")
    assert digest(root, []) != before


def test_what_does_not_reach_the_host_does_not_change_the_digest(root, tmp_path):
    before = digest(root, ["*.pyc", "__pycache__", "templates/skip"])
    pack(root, [], tmp_path / "before")
    (root / "x.pyc").touch()
    (root / "templates" / "__pycache__").mkdir()
    (root / "templates" / "__pycache__" / "a").touch()
    (root / "templates" / "skip").touch()
    os.mkfifo(root / "fifo")
    os.utime(root / "manage.py", (1, 1))
    (root / "manage.py").chmod(0o666)
    exclude = ["*.pyc", "__pycache__", "templates/skip"]
    assert digest(root, exclude) == before
    pack(root, exclude, tmp_path / "after")
    # To the byte, under another name and at another time.
    assert (tmp_path / "after").read_bytes() == (tmp_path / "before").read_bytes()


def test_the_archive_depends_on_no_clock(root, tmp_path, monkeypatch):
    pack(root, [], tmp_path / "one")
    monkeypatch.setattr("time.time", lambda: 1.0)
    pack(root, [], tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_digest_is_the_same_elsewhere(root, tmp_path):
    shutil.copytree(root, tmp_path / "copy", symlinks=True)
    assert digest(tmp_path / "copy", []) == digest(str(root), [])
    (tmp_path / "to").symlink_to(root)
    assert digest(tmp_path / "to", []) == digest(root, [])


def test_hard_links_are_files_of_their_own(root, tmp_path):
    os.link(root / "manage.py", root / "same.py")
    pack(root, [], tmp_path / "packed")
    found = contents(tmp_path / "packed")
    assert found["same.py"] == found["manage.py"] == (tarfile.REGTYPE, 0o644, b"app = 1\n")


def test_nobody_of_the_controller_is_in_the_archive(root, tmp_path):
    pack(root, [], tmp_path / "packed")
    with tarfile.open(tmp_path / "packed") as packed:
        assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in packed} == {(0, 0, "", "", 0)}


def test_names_that_are_no_utf8(root, tmp_path):
    (root / os.fsdecode(b"\xff.html")).touch()
    (root / "odd").symlink_to(os.fsdecode(b"\xff.html"))
    (root / "schön").touch()
    before = digest(root, [])
    pack(root, [], tmp_path / "packed")
    folder = tmp_path / "out"
    folder.mkdir()
    source_tree.unpack(tmp_path / "packed", folder)
    assert digest(folder, []) == before


def test_a_source_that_is_no_folder(root):
    with pytest.raises(SourceError, match="is not a folder"):
        digest(root / "manage.py", [])


def test_a_file_that_cannot_be_read_is_named(root, monkeypatch):
    def read_bytes(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(source_tree.Path, "read_bytes", read_bytes)
    with pytest.raises(SourceError, match="manage.py.*exclude"):
        digest(root, [])


@pytest.mark.parametrize("line", [b"f 644 0 y", b"f 644 0 0 y", b"f 644 0 1 y"])
def test_a_name_that_looks_like_another_file_is_a_name(tmp_path, line):
    one, two = tmp_path / "one", tmp_path / "two"
    nothing = hashlib.sha256(b"").digest()
    for folder, names in ((one, [b"x", b"y"]), (two, [b"x" + nothing + line])):
        folder.mkdir()
        for name in names:
            (folder / os.fsdecode(name)).touch()
            (folder / os.fsdecode(name)).chmod(0o644)
    assert digest(one, []) != digest(two, [])


NAMES = st.text("ab \n0", min_size=1, max_size=4).filter(lambda name: name.strip("."))
TREES = st.dictionaries(NAMES, st.binary(max_size=6), max_size=4)


@settings(max_examples=60, deadline=None)
@given(one=TREES, two=TREES)
def test_two_trees_have_the_same_digest_only_if_they_are_the_same(tmp_path_factory, one, two):
    found = []
    for files in (one, two):
        root = tmp_path_factory.mktemp("tree")
        for name, content in files.items():
            (root / name).write_bytes(content)
            (root / name).chmod(0o644)
        found.append(digest(root, []))
    assert (found[0] == found[1]) == (one == two)


# -- archives --------------------------------------------------------------------------------------------------------


def archived(path, root, kind, top):
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as packed:
            packed.write(root / "manage.py", f"{top}manage.py")
    else:
        with tarfile.open(path, f"w:{kind}") as packed:
            packed.add(root / "manage.py", f"{top}manage.py")
    return path


@pytest.mark.parametrize("name, kind", [("a.zip", "zip"), ("a.tar", ""), ("a.tar.gz", "gz"), ("a.tar.xz", "xz")])
@pytest.mark.parametrize("top", ["", "myapp-1.0/"])
def test_a_single_top_folder_is_left_out(root, tmp_path, name, kind, top):
    folder = tmp_path / "out"
    folder.mkdir()
    found = unpack(archived(tmp_path / name, root, kind, top), folder)
    assert [path.name for path in found.iterdir()] == ["manage.py"]
    assert found == (folder / top.rstrip("/") if top else folder)


@pytest.mark.parametrize(
    "name, content", [("a.tar.gz", b"\x1f\x8b broken"), ("a.zip", b"broken"), ("a.txt", b"text"), ("a.tar", b"")]
)
def test_what_is_no_archive_is_said(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match="cannot be unpacked"):
        unpack(tmp_path / name, tmp_path)


def test_a_missing_archive_is_said(tmp_path):
    with pytest.raises(SourceError, match="cannot be unpacked"):
        unpack(tmp_path / "none.tar", tmp_path)


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2"])
@pytest.mark.parametrize("how", [lambda data: data[:50000], lambda data: data[:50000] + b"xxxx" * 500 + data[52000:]])
def test_a_broken_archive_is_said(root, tmp_path, kind, how):
    (root / "big").write_bytes(os.urandom(100000))
    with tarfile.open(tmp_path / "a.tar.gz", f"w:{kind}") as packed:
        packed.add(root, "x")
    (tmp_path / "a.tar.gz").write_bytes(how((tmp_path / "a.tar.gz").read_bytes()))
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(SourceError, match="cannot be unpacked"):
        unpack(tmp_path / "a.tar.gz", folder)


@pytest.mark.parametrize("name", ["/evil", "../evil"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_nothing_lands_outside(tmp_path, name, kind):
    folder = tmp_path / "out"
    folder.mkdir()
    target = tmp_path / "evil"
    name = name if name.startswith("..") else str(target)
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
            packed.writestr("manage.py", "x")
            packed.writestr(name, "x")
    else:
        with tarfile.open(tmp_path / "a.tar", "w") as packed:
            packed.addfile(tarfile.TarInfo(name))
    with pytest.raises(SourceError, match="outside"):
        unpack(tmp_path / f"a.{kind}", folder)
    assert not target.exists()


def zipped(path, *members):
    """Members are (name, mode with its kind, content)."""
    with zipfile.ZipFile(path, "w") as packed:
        for name, mode, content in members:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, mode << 16
            packed.writestr(info, content)
    return path


def test_a_zip_keeps_modes_and_links_as_a_tar_does(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    unpack(
        zipped(
            tmp_path / "a.zip",
            ("link", 0o120777, "top/run"),
            ("top/run", 0o100755, "#!"),
            ("top/suid", 0o104755, ""),
            ("top/plain", 0, "x"),
            ("deep/er/", 0o040700, ""),
        ),
        folder,
    )
    modes = {name: (folder / name).stat().st_mode & 0o7777 for name in ("top/run", "top/suid", "top/plain", "deep/er")}
    assert modes == {"top/run": 0o755, "top/suid": 0o755, "top/plain": 0o600, "deep/er": 0o755}
    assert os.readlink(folder / "link") == "top/run"


@pytest.mark.parametrize(
    "members",
    [
        [("l", 0o120777, ".."), ("l/evil", 0o100644, "x")],
        [("l/evil", 0o120777, "/etc"), ("l", 0o120777, "..")],
        [("fifo", 0o010644, "")],
        [("device", 0o020644, "")],
        [("a/../../evil", 0o100644, "x")],
    ],
)
def test_a_hostile_zip_changes_nothing_outside(tmp_path, members):
    folder = tmp_path / "in" / "out"
    folder.mkdir(parents=True)
    with pytest.raises(SourceError, match="cannot be unpacked"):
        unpack(zipped(tmp_path / "a.zip", *members), folder)
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["out"]


@pytest.mark.parametrize("target", ["/", "/etc/passwd", "../x", "templates/../../x"])
def test_links_that_lead_out_are_refused_by_name_before_anything_is_sent(root, target):
    (root / "templates" / "out").symlink_to(target if target != "../x" else "../../x")
    with pytest.raises(SourceError, match="templates/out.*leads out"):
        digest(root, [])
    assert digest(root, ["out"])


def test_links_into_the_folder_that_outlives_releases_are_code(root):
    before = digest(root, [], "/srv/wsgi/shop/shared")
    (root / "media").symlink_to("/srv/wsgi/shop/shared/media")
    (root / "templates" / "up").symlink_to("../../../shared/up")
    assert digest(root, [], "/srv/wsgi/shop/shared") != before
    with pytest.raises(SourceError, match="media"):
        digest(root, [], "/srv/wsgi/other/shared")


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_whose_link_leaves_its_top_folder_is_refused(tmp_path, kind):
    folder = tmp_path / "out"
    folder.mkdir()
    if kind == "zip":
        path = zipped(tmp_path / "a.zip", ("top/l", 0o120777, "../b"), ("top/f", 0o100644, ""))
    else:
        path = tmp_path / "a.tar"
        with tarfile.open(path, "w") as packed:
            for name, link in (("top/l", "../b"), ("top/f", "")):
                info = tarfile.TarInfo(name)
                info.type, info.linkname = (tarfile.SYMTYPE if link else tarfile.REGTYPE), link
                packed.addfile(info)
    with pytest.raises(SourceError, match="'l' is a link"):
        digest(unpack(path, folder), [])
