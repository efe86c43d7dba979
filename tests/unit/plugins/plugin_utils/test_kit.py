"""The folder of a kit: what its manifest vouches for, which requirements it can stand for, and how pip is asked."""

import json
import os
import subprocess
import sys
import types
import zipfile

import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import kit as kits
from ansible_collections.graceful.wsgi.plugins.plugin_utils.kit import Kit, KitError, Missed, Pip

KIND = {"architecture": "x86_64", "python": "3.6", "abi": "cp36m"}
HOST = {"kind": KIND, "glibc": "2.17", "python": {"full_version": "3.6.8"}}


@pytest.fixture
def kit(tmp_path):
    return Kit(str(tmp_path / "kit"))


def wheel(folder, name, content="x"):
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(content)
    return file


# -- the folder -----------------------------------------------------------------------------------------------------


def test_what_is_taken_is_noted_and_a_changed_byte_or_a_missing_file_is_seen(kit, tmp_path):
    with kit.filling() as manifest:
        files = kit.note(manifest, kit.take([wheel(tmp_path / "w", "a.whl"), wheel(tmp_path / "w", "b.whl")], "wheels"))
    assert files == ["wheels/a.whl", "wheels/b.whl"]
    told = kit.read()
    assert kit.wrong(told, files) == []
    (kit.folder / "wheels/a.whl").write_text("y")
    (kit.folder / "wheels/b.whl").unlink()
    one, two = kit.wrong(told, files)
    assert one.startswith(f"{kit.folder}/wheels/a.whl has the sha256 a1fce43") and two.endswith("b.whl is missing")


def test_a_link_is_no_file_of_a_kit(kit, tmp_path):
    with kit.filling() as manifest:
        kit.note(manifest, kit.take([wheel(tmp_path / "w", "a.whl")], "wheels"))
    place = kit.folder / "wheels/a.whl"
    place.unlink()
    place.symlink_to(tmp_path / "w/a.whl")
    assert kit.wrong(kit.read(), ["wheels/a.whl"]) == [f"{place} is missing"]


def test_the_manifest_is_written_where_something_was_added_and_all_went_well(kit):
    with kit.filling():
        pass
    assert kit.read() is None
    with pytest.raises(KitError), kit.filling() as manifest:
        manifest["files"]["a"] = "1"
        raise KitError("no")
    assert kit.read() is None
    with kit.filling() as manifest:
        manifest["files"]["a"] = "1"
    assert kit.read()["files"] == {"a": "1"}


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": 2}'])
def test_another_manifest_is_told(kit, text):
    kit.folder.mkdir()
    (kit.folder / "manifest.json").write_text(text)
    known = kit.known({}, {}, collecting=False)
    assert known["manifest"] is None and "manifest.json" in known["wrong"][0]


WHOLE = {"distribution": "Debian", "major": "12", **KIND, "interpreter": "/usr/bin/python3"}
SOUND = {
    **kits.EMPTY,
    "files": {"tools/pip.whl": "1", "nginx/n/nginx": "2", "wheels/a.whl": "3"},
    "nginx": {"n": {"architecture": "x86_64", "files": ["nginx/n/nginx"]}},
    "hosts": [
        {
            "kind": WHOLE,
            "glibc": "2.17",
            "tools": ["tools/pip.whl"],
            "uwsgi": {"u": {"features": [], "libraries": [], "packages": [], "files": ["tools/pip.whl"]}},
            "requirements": {"d": {"apps": ["shop"], "files": ["wheels/a.whl"]}},
        }
    ],
}


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (["files"], []),
        (["files", "/etc/shadow"], "1"),
        (["files", "wheels/../../id_rsa"], "1"),
        (["files", "wheels/a.whl"], None),
        (["builders"], {"b": []}),
        (["nginx", "n"], {}),
        (["nginx", "n", "files"], ["nginx/other"]),
        (["hosts"], {}),
        (["hosts"], [{}]),
        (["hosts", 0, "kind"], {"python": "3.6"}),
        (["hosts", 0, "kind", "major"], 12),
        (["hosts", 0, "tools"], "tools/pip.whl"),
        (["hosts", 0, "uwsgi", "u", "libraries"], None),
        (["hosts", 0, "requirements", "d"], []),
        (["hosts", 0, "requirements", "d", "files"], ["wheels/other.whl"]),
    ],
)
def test_a_manifest_of_another_shape_within_is_told_and_no_traceback(kit, where, value):
    """Whichever host it is read for: what it tells of other kinds is looked at as well."""
    kit.folder.mkdir()
    told = json.loads(json.dumps(SOUND))
    (kit.folder / "manifest.json").write_text(json.dumps(told))
    assert kit.read() == told
    place = told
    for step in where[:-1]:
        place = place[step]
    place[where[-1]] = value
    (kit.folder / "manifest.json").write_text(json.dumps(told))
    (wrong,) = kit.known({"distribution": "CentOS"}, {}, collecting=False)["wrong"]
    assert wrong.endswith("manifest.json is no manifest of a kit that this release of the collection reads")


def test_what_cannot_be_read_or_would_never_end_is_told(kit, monkeypatch):
    (kit.folder / "wheels").mkdir(parents=True)
    os.mkfifo(kit.folder / "wheels/a.whl")
    assert kit.wrong(SOUND, ["wheels/a.whl"]) == [f"{kit.folder}/wheels/a.whl is missing"]

    def refused(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(kits.nginx_artifact, "sha256", refused)
    says = f"{kit.folder}/wheels/a.whl is not for this account to read: Permission denied"
    assert kit.wrong(SOUND, ["wheels/a.whl"]) == [says]


def test_hosts_of_one_kind_share_an_entry(kit):
    manifest = json.loads(json.dumps(kits.EMPTY))
    assert kits.entry(manifest, KIND, "2.17") is kits.entry(manifest, dict(KIND), "2.17")
    kits.entry(manifest, {**KIND, "python": "3.11"}, "2.36")
    assert [one["kind"]["python"] for one in manifest["hosts"]] == ["3.11", "3.6"]


# -- requirements ---------------------------------------------------------------------------------------------------


def test_requirements_are_read_with_what_they_include_whatever_holds_the_code(tmp_path):
    source = tmp_path / "code"
    source.mkdir()
    (source / "base.txt").write_text("six\n")
    (source / "r.txt").write_text("-r base.txt\nFlask\n")
    subprocess.run(["tar", "-czf", tmp_path / "code.tar.gz", "code"], cwd=tmp_path, check=True)

    def read(app, name):
        (tmp_path / name).mkdir()
        return kits.requirements(app, lambda path: path, tmp_path / name)

    text = read({"source": str(source), "requirements": "r.txt"}, "one")[1]
    assert "Flask" in text and "six" in text
    assert read({"archive": str(tmp_path / "code.tar.gz"), "requirements": "r.txt"}, "two")[1] == text
    assert "six" in read({"source": str(source), "requirements": ["-r", "base.txt"]}, "three")[1]
    assert read({"repo": "x", "requirements": ["Flask"]}, "four")[1] == "Flask"
    assert read({"repo": "x", "requirements": "r.txt"}, "five") is None
    with pytest.raises(KitError, match="there is no other.txt in "):
        read({"source": str(source), "requirements": "other.txt"}, "six")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Flask==3.1.2\n# ./x\nsix>=1; python_version<'3'\n", None),
        ("--index-url https://index.test/simple\nFlask\n", None),
        ("-r base.txt\n-c limits.txt\n", None),
        ("Flask @ https://files.test/flask.whl\n", "Flask @ https://files.test/flask.whl"),
        ("git+https://git.test/x.git\n", "git+https://git.test/x.git"),
        ("Flask\n-e .\n", "-e ."),
        (".\n", "."),
        ("./lib/x.whl\n", "./lib/x.whl"),
        ("--find-links wheels\n", "--find-links wheels"),
        ("Flask==3.1.2  # as https://flask.test/changes says\n", None),
        ("\ufeffFlask==3.1.2\r\nsix\r\n", None),
        ("Flask==3.1.2 \\\n    ; python_version >= '3' \\\n    --hash=sha256:ab\n", None),
        ("six\n--no-binary psycopg2\n", "--no-binary psycopg2"),
        # With no password.
        ("-e git+https://me:T0KEN@git.test/x.git\n", "-e git+https://***@git.test/x.git"),
        ("x @ https://T0KEN@files.test/x.whl  # ours\n", "x @ https://***@files.test/x.whl"),
    ],
)
def test_what_no_folder_of_wheels_can_stand_for(text, line):
    assert kits.unbringable(text) == line


def test_requirements_travel_as_files_that_name_each_other(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "r.txt").write_text("-r sub/base.txt\nFlask\n")
    (tmp_path / "sub/base.txt").write_text("-c ../limits.txt\nsix\n")
    (tmp_path / "limits.txt").write_text("six<2\n")
    assert kits.portable(tmp_path, "r.txt", ["Flask<2"]) == {
        "wanted.txt": "-r 0.txt\n-c limits.txt\n",
        "limits.txt": "Flask<2\n",
        "0.txt": "-r 1.txt\nFlask\n",
        "1.txt": "-c 2.txt\nsix\n",
        "2.txt": "six<2\n",
    }
    assert kits.portable(tmp_path, ["Flask==1", "-r", "limits.txt"]) == {
        "wanted.txt": "Flask==1\n-r 0.txt\n",
        "0.txt": "six<2\n",
    }


# -- pip ------------------------------------------------------------------------------------------------------------


class Fake:
    """In the place of subprocess.run: what was asked, and an answer."""

    def __init__(self, status=0, stderr="", pip=True):
        self.asked, self.status, self.stderr, self.pip = [], status, stderr, pip

    def __call__(self, words, env, **more):
        self.asked.append((words, env))
        status = self.status if "download" in words else 0 if self.pip or "venv" in words else 1
        return types.SimpleNamespace(returncode=status, stdout="", stderr=self.stderr)


def test_pip_is_asked_for_wheels_of_the_hosts_kind_only(tmp_path):
    fake = Fake()
    Pip(tmp_path, {"PIP_INDEX_URL": "http://index"}, fake).download(["Flask"], HOST, ["/wheels"])
    words, env = fake.asked[-1]
    assert words[-1] == "Flask" and env["PIP_INDEX_URL"] == "http://index"
    wanted = {"--only-binary=:all:", "--implementation=cp", "--python-version=3.6.8", "--abi=cp36m"}
    assert wanted | {"--platform=manylinux_2_17_x86_64", "--platform=linux_x86_64", "--find-links=/wheels"} <= set(
        words
    )
    assert "--platform=manylinux_2_18_x86_64" not in words
    assert json.loads(env["GRACEFUL_WSGI_MARKERS"])["python_version"] == "3.6"


def test_what_has_no_wheel_is_named(tmp_path):
    said = "ERROR: Could not find a version that satisfies the requirement docopt==0.6.2 (from versions: none)\n"
    said += "ERROR: No matching distribution found for docopt==0.6.2\n"
    with pytest.raises(Missed) as missed:
        Pip(tmp_path, {}, Fake(1, said)).download(["docopt==0.6.2"], HOST)
    assert missed.value.what == "docopt==0.6.2"
    with pytest.raises(KitError, match="pip ended with status 2: no route"):
        Pip(tmp_path, {}, Fake(2, "no route")).download(["x"], HOST)


@pytest.mark.parametrize("change", [{"glibc": ""}, {"kind": {**KIND, "abi": ""}}])
def test_a_python_or_a_libc_without_such_wheels_is_told(tmp_path, change):
    with pytest.raises(KitError, match="another Python or libc"):
        Pip(tmp_path, {}, Fake()).download(["x"], {**HOST, **change})


def test_a_python_without_pip_gets_a_virtualenv(tmp_path):
    pip = Pip(tmp_path, {}, Fake(pip=False))
    assert pip.python == f"{tmp_path}/pip/bin/python"
    assert Pip(tmp_path, {}, Fake()).python == sys.executable


def test_this_machines_pip_judges_markers_as_the_host_would(tmp_path):
    """The line that replaces pip's own environment does so in the pip that is installed here."""
    source = tmp_path / "links"
    source.mkdir()

    def pure(name, requires=""):
        with zipfile.ZipFile(source / f"{name}-1-py3-none-any.whl", "w") as archive:
            about = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{requires}"
            archive.writestr(f"{name}-1.dist-info/METADATA", about)
            archive.writestr(
                f"{name}-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{name}-1.dist-info/RECORD", "")

    pure("one", 'Requires-Dist: old ; python_version < "3.8"\nRequires-Dist: new ; python_version >= "3.8"\n')
    pure("old")
    environment = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONSTRAINT": ""}
    found = Pip(tmp_path, environment).download(["one"], HOST, [str(source)])
    assert [file.name for file in found] == ["old-1-py3-none-any.whl", "one-1-py3-none-any.whl"]
