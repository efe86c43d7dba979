"""What one host's share of a kit is, what is fetched for it, and what is refused or left to a builder."""

import os
import types
from pathlib import Path

import pytest
from ansible.errors import AnsibleError

from ansible_collections.graceful.wsgi.plugins.action import kit as action
from ansible_collections.graceful.wsgi.plugins.action import kit_host
from ansible_collections.graceful.wsgi.plugins.plugin_utils.kit import EMPTY, Kit, Missed

KIND = {
    "distribution": "Debian",
    "major": "12",
    "architecture": "x86_64",
    "python": "3.11",
    "abi": "cp311",
    "interpreter": "/usr/bin/python3.11",
}
HOST = {"kind": KIND, "glibc": "2.36", "python": {"version": "3.11", "executable": "/usr/bin/python3.11"}}
UWSGI = {
    "settings": {"version": "2.0.31", "wheel_dir": "", "features": ["ssl"]},
    "build": {"extra_args": [], "env": {}},
    "pip": {"2.7": "pip<=20.3.4", "*": "pip"},
    "builder": {"host": ""},
}


class Index:
    """In the place of pip: each requirement is a wheel, but for what is missing."""

    def __init__(self, folder, missing=()):
        self.folder, self.missing, self.asked = folder, missing, []

    def download(self, words, host, links=(), cwd=None):
        self.asked.append((list(words), list(links)))
        if words[0] in self.missing:
            raise Missed("docopt==0.6.2", "no")
        lines = [word for word in words if not word.startswith("-") and "/" not in word]
        for line in lines:
            if line in self.missing:
                raise Missed(line, "no")
        found = []
        for line in lines:
            file = self.folder / f"{line.partition('=')[0].partition('<')[0]}-1-py3-none-any.whl"
            file.write_text(line)
            found.append(file)
        return found


@pytest.fixture
def collect(tmp_path):
    """collect(apps, ...) fills the kit for one host; its collector."""
    (tmp_path / "index").mkdir()
    kit = Kit(str(tmp_path / "kit"))

    def run(apps=(), check=False, missing=(), find=lambda path: path, **uwsgi):
        index = Index(tmp_path / "index", missing)
        args = {"host": HOST, "uwsgi": {**UWSGI, **uwsgi}}
        args["app_variables"] = ["publish_apps[0]", "publish_apps_shop.chat"]

        def fill(manifest):
            found = action.Collector(kit, manifest, args, index, check)
            found.tools()
            for number, app in enumerate(apps):
                scratch = tmp_path / f"scratch-{number}"
                scratch.mkdir(exist_ok=True)
                found.app(number, app, find, scratch)
            return found

        if check:
            return fill(kit.read() or {**EMPTY, "hosts": []})
        with kit.filling() as manifest:
            return fill(manifest)

    run.kit = kit
    return run


def app(name="shop", **more):
    return {"name": name, "requirements": ["Flask==3.1.2"], **more}


def test_tools_and_wheels_are_collected_once_and_again_where_they_are_damaged(collect):
    assert collect([app()]).needs == ["pip for Python 3.11", "the wheels of shop"]
    (entry,) = collect.kit.read()["hosts"]
    assert entry["tools"] == ["tools/3.11/pip-1-py3-none-any.whl", "tools/3.11/setuptools-1-py3-none-any.whl"]
    assert [(one["apps"], one["files"]) for one in entry["requirements"].values()] == [
        (["shop"], ["wheels/Flask-1-py3-none-any.whl"])
    ]
    before = (collect.kit.folder / "manifest.json").stat()
    assert collect([app()]).needs == []
    assert (collect.kit.folder / "manifest.json").stat().st_mtime_ns == before.st_mtime_ns
    (collect.kit.folder / "wheels/Flask-1-py3-none-any.whl").write_text("x")
    assert collect([app()]).needs == ["the wheels of shop"]


def test_two_applications_with_the_same_requirements_share_the_wheels(collect):
    assert len(collect([app(), app("chat")]).needs) == 2
    ((held,),) = [entry["requirements"].values() for entry in collect.kit.read()["hosts"]]
    assert held["apps"] == ["chat", "shop"]


def test_check_mode_says_what_it_would_collect_and_writes_nothing(collect):
    assert collect([app()], check=True).needs == ["pip for Python 3.11", "the wheels of shop"]
    assert not collect.kit.folder.exists()


def test_what_has_no_wheel_is_refused_by_its_name_or_left_to_the_builder(collect):
    (problem,) = collect([app(requirements=["docopt==0.6.2"])], missing=["docopt==0.6.2"]).problems
    assert str(problem) == (
        "publish_apps[0].requirements: docopt==0.6.2 has no wheel for Debian 12 on x86_64 with Python 3.11 (cp311) at"
        " /usr/bin/python3.11; name a host of that kind in uwsgi_build_host, which builds it, or put a wheel into"
        " uwsgi_wheel_dir"
    )
    words = {"missing": ["docopt==0.6.2"], "builder": {"host": "builder"}}
    found = collect([app(requirements=["docopt==0.6.2"])], **words)
    assert found.problems == []
    (lacking,) = found.lacking
    assert (lacking["what"], lacking["files"]) == ("docopt==0.6.2", {"wanted.txt": "docopt==0.6.2\n"})


@pytest.mark.parametrize(("here", "builds"), [(("Debian", "12.5"), True), (("Debian", "13.1"), False)])
def test_a_controller_of_another_kind_builds_uwsgi_and_nothing_else(collect, monkeypatch, here, builds):
    monkeypatch.setattr(action.kit_checks, "system", lambda: here)
    monkeypatch.setattr(os, "uname", lambda: ("", "", "", "", "x86_64"))
    words = {"missing": ["docopt==0.6.2"], "builder": {"host": "localhost", "brought": True}}
    found = collect([app(requirements=["docopt==0.6.2"])], **words)
    assert bool(found.lacking) is builds
    message = "the controller, which uwsgi_build_host names, builds nothing but uWSGI for another kind; name a host"
    assert [message in str(problem) for problem in found.problems] == ([] if builds else [True])


def test_a_line_that_no_wheel_stands_for_is_refused(collect):
    (problem,) = collect([app(requirements=["Flask", "-e ."])]).problems
    assert "no folder of wheels can stand for '-e .'" in str(problem)


def test_what_would_be_built_beside_hashes_is_refused(collect):
    """Its own hash is none that the host's pip would take."""
    (collect.kit.folder.parent / "r.txt").write_text("docopt==0.6.2 --hash=sha256:ab\n")
    asked = app(source=str(collect.kit.folder.parent), requirements="r.txt")
    found = collect([asked], missing=["-r"], builder={"host": "builder"})
    assert found.lacking == []
    (problem,) = found.problems
    assert "(cp311) at /usr/bin/python3.11 with one of its hashes; pin a version that has such a wheel" in str(problem)


def test_code_that_is_not_there_is_told_with_the_variable(collect):
    def find(path):
        raise AnsibleError("Could not find or access 'shop'")

    found = collect([app(source="shop")], find=find)
    assert str(found.problems[0]).startswith("publish_apps[0].requirements: Could not find or access 'shop'; name a")
    found = collect([app(requirements=["Flask", "-r base.txt"])])
    assert str(found.problems[0]).startswith("publish_apps[0].requirements: there is no base.txt in ")


@pytest.mark.parametrize("wanted", [["-r base.txt"], ["-r", "base.txt"], ["-r  base.txt"]])
def test_an_option_and_its_value_are_one_item_or_two(collect, wanted):
    (collect.kit.folder.parent / "base.txt").write_text("six\n")
    found = collect([app(source=str(collect.kit.folder.parent), requirements=wanted)])
    assert found.pip.asked[-1][0] == ["-r", "base.txt"]


def test_bounds_of_an_old_python_hold_here_too(collect, tmp_path):
    found = collect([app(requirements=["Flask"], bounds=["Flask<2", "six<2"], constraints=[])])
    words = found.pip.asked[-1][0]
    assert words[:2] == ["Flask", "-c"] and Path(words[2]).read_text() == "Flask<2\nsix<2\n"


def test_what_was_made_by_hand_is_looked_at_first(collect):
    found = collect([app()], settings={**UWSGI["settings"], "wheel_dir": "/made"})
    assert all(links == ["/made"] for _words, links in found.pip.asked)


def test_the_folder_of_what_was_made_by_hand_is_the_same_wherever_pip_runs(collect, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    for folder, links in (("made", [f"{tmp_path}/made"]), ("~/made", ["/home/me/made"])):
        found = collect([app(folder)], settings={**UWSGI["settings"], "wheel_dir": folder})
        assert found.links == links


def test_without_a_builder_and_without_a_wheel_of_uwsgi_the_cure_is_told(collect, tmp_path):
    index = Index(tmp_path / "index", ["uWSGI==2.0.31"])
    found = action.Collector(collect.kit, {**EMPTY, "hosts": []}, {"host": HOST, "uwsgi": UWSGI}, index, False)
    found.uwsgi()
    (problem,) = found.problems
    assert str(problem).startswith(
        "uwsgi_build_host: is empty, and no wheel of uWSGI 2.0.31 is to be had for Debian 12"
    )


def test_what_was_compiled_lies_apart_by_the_distribution(collect, tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    for name in ("six-1-py3-none-any.whl", "x-1-cp311-cp311-linux_x86_64.whl"):
        (made / name).write_text(name)
    args = {"folder": str(collect.kit.folder), "host": HOST, "source": str(made), "name": "shop", "digest": "d"}
    action.ActionModule._built(types.SimpleNamespace(), args)
    (entry,) = collect.kit.read()["hosts"]
    files = ["wheels/debian-12-x86_64/x-1-cp311-cp311-linux_x86_64.whl", "wheels/six-1-py3-none-any.whl"]
    assert entry["requirements"] == {"d": {"apps": ["shop"], "files": files}}


# -- what hosts are -------------------------------------------------------------------------------------------------


def test_what_hosts_are_is_written_down_and_read_again(tmp_path):
    file = tmp_path / "sub/hosts.json"
    assert kit_host.write(file, "one", {"glibc": "2.17"}) is True
    assert kit_host.write(file, "two", {"glibc": "2.36"}) is True
    assert kit_host.write(file, "two", {"glibc": "2.36"}) is False
    assert kit_host.read(file) == {"one": {"glibc": "2.17"}, "two": {"glibc": "2.36"}}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 0, "hosts": {}}', '{"format": 1, "hosts": []}'])
def test_a_file_that_tells_of_no_hosts_is_refused(tmp_path, text):
    (tmp_path / "hosts.json").write_text(text)
    with pytest.raises(kit_host.AnsibleActionFail, match="kit_facts: .*; write it anew: ansible-playbook graceful"):
        kit_host.read(tmp_path / "hosts.json")


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ([], []),
        (["glibc"], "2"),
        (["glibc"], 2.17),
        (["kind"], None),
        (["kind", "interpreter"], None),
        (["facts", "architecture"], None),
        (["python", "full_version"], 3.11),
    ],
)
def test_what_was_written_by_hand_of_a_host_is_whole(where, value):
    python = {**HOST["python"], "full_version": "3.11.2", "abi": "cp311"}
    told = {"facts": dict.fromkeys(kit_host.FACTS, "x"), "kind": dict(KIND), "python": python, "glibc": "2.36"}
    assert kit_host.sound(told) and kit_host.sound({**told, "glibc": ""})
    place = told
    for step in where[:-1]:
        place = place[step]
    if where:
        place[where[-1]] = value
    assert not kit_host.sound(told if where else value)
