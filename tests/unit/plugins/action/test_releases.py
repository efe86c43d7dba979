"""What is sent to a host, and what is said where it cannot be."""

import tarfile
import types
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail, AnsibleError

from ansible_collections.graceful.wsgi.plugins.action import releases as action


@pytest.fixture
def sending(tmp_path):
    """A kit with one wheel, and sending() of it."""
    (tmp_path / "kit/wheels").mkdir(parents=True)
    (tmp_path / "kit/wheels/a.whl").write_text("a")
    (tmp_path / "scratch").mkdir()
    kit = {"folder": str(tmp_path / "kit"), "apps": {"shop": ["wheels/a.whl"]}, "files": {"wheels/a.whl": "1"}}

    def send(full=False, names=("shop",)):
        def transfer(local, remote):
            if full:
                raise AnsibleError("no space left on device")
            with tarfile.open(local) as archive:
                sent.extend(archive.getnames())
            return remote

        plugin = action.ActionModule.__new__(action.ActionModule)
        shell = types.SimpleNamespace(join_path=lambda *parts: "/".join(parts), tmpdir="/remote")
        plugin._connection, plugin._transfer_file = types.SimpleNamespace(_shell=shell), transfer
        return plugin._send_wheels(kit, set(names), str(tmp_path / "scratch"))

    sent = send.sent = []
    send.folder = tmp_path / "kit"
    return send


def test_the_wheels_of_what_is_to_be_filled_are_sent(sending):
    told = sending()
    assert (told["archive"], sending.sent) == ("/remote/wheels.tar", ["wheels/a.whl"])
    assert sending(names=["plain"]) == {}


def test_wheels_that_cannot_be_sent_are_told_with_the_cure(sending):
    with pytest.raises(
        AnsibleActionFail, match="publish_kit: the wheels of shop cannot be sent to /remote/wheels.tar: n"
    ):
        sending(full=True)
    (sending.folder / "wheels/a.whl").unlink()
    with pytest.raises(AnsibleActionFail, match="publish_kit: the wheels of shop cannot be gathered .* still there"):
        sending()


VENV = {"/srv/wsgi/shop/current": "/srv/wsgi/shop/releases/r1", "/srv/wsgi/shop/current/.venv": "/srv/wsgi/.venvs/new"}
CODE = {"/srv/wsgi/shop/current": "/srv/wsgi/shop/releases/r1"}


@pytest.mark.parametrize(
    ("current", "had", "replace", "expected"),
    [
        # The live release is to get a virtualenv, which it never had.
        ("r1", None, VENV, {"id": "r1", "had": None, "bare": True}),
        ("r1", "/srv/wsgi/.venvs/old", VENV, {"id": "r1", "had": "/srv/wsgi/.venvs/old", "bare": False}),
        ("r0", None, VENV, {"id": "r0", "had": None, "bare": False}),
        ("r1", "/srv/wsgi/.venvs/new", VENV, None),
        ("r1", None, CODE, None),
        (None, None, VENV, None),
    ],
)
def test_what_was_live_is_told_with_the_virtualenv_that_it_had_or_that_it_had_none(current, had, replace, expected):
    was = {"name": "shop", "current": current, "had": had, "replace": replace}
    items = [{"name": "shop", "id": "r1", "requirements": ["six"]}]
    told = action.ActionModule.__new__(action.ActionModule)._tell({"releases": [was]}, items)["before"]
    assert told == ([{**items[0], "pinned": True, **expected}] if expected else [])


@pytest.mark.parametrize("wanted", [["six"], ["six", "-i https://me:pw@i.test/simple"], "r.txt", None])
def test_a_list_with_a_password_of_an_index_is_shown_to_nobody(wanted):
    told = action.ActionModule.__new__(action.ActionModule)._tell({}, [{"name": "shop", "requirements": wanted}])
    assert told["wanted"][0]["requirements"] == wanted
    assert told.get("_ansible_no_log", False) is ("pw@" in str(wanted))


@pytest.mark.parametrize("code", [{"source": "code"}, {"repo": "https://git.test/shop.git"}])
def test_the_same_code_with_other_links_is_another_release(tmp_path, code):
    (tmp_path / "code").mkdir()
    (tmp_path / "code/manage.py").write_text("")
    plugin = action.ActionModule.__new__(action.ActionModule)
    plugin._find_needle = lambda _folder, name: str(tmp_path / name)
    plugin._task = SimpleNamespace(args={"python": "3.11"})

    def name_of(**more):
        item = {"name": "shop", "home": "/srv/wsgi/shop", "user": "wsgi-shop", **code, **more}
        return plugin._identify(item, {"shop": {"after": "0123abcd"}}, str(tmp_path))[0]["id"]

    plain = name_of()
    assert "-" not in plain
    assert name_of(shared=["media"]).startswith(f"{plain}-")
    assert len({plain, name_of(shared=["media"]), name_of(shared=["data"]), name_of(shared=["media"], user="x")}) == 4
    # What was sent keeps its name.
    assert name_of(id="mine", shared=["media"]) == "mine"


@pytest.mark.parametrize(
    ("names", "texts", "installed"),
    [(["app.py"], {}, None), (["requirements.txt"], {}, "requirements.txt"), (["uv.lock"], {"uv.lock": "no"}, None)],
)
def test_release_of_a_repository_is_named_by_what_its_code_needs_once_that_is_known(names, texts, installed):
    """Nothing to install: the name that it has had since before auto was the default, and a warning that says so."""
    plugin = action.ActionModule.__new__(action.ActionModule)
    plugin._task = SimpleNamespace(args={"python": "3.11"})
    warned = []
    plugin._display = SimpleNamespace(warning=warned.append)
    plugin._execute_module = lambda **_more: {"found": {"shop": {"names": names, "texts": texts}}}
    item = {"name": "shop", "home": "/h", "repo": "https://git.test/x", "writable": ["static"], "user": "shop"}
    checkouts = {"shop": {"after": "0123abcd"}}

    def made(**more):
        wanted = {**item, **more}
        found = [plugin._identify(wanted, checkouts, "")]
        return plugin._found(found, {"releases": [wanted], "checkouts": checkouts, "python": "3.11"}, {})[0][0]

    unsaid = made(requirements="auto", auto={"default": True}, bounds=["flask<2"])
    assert unsaid["id"] == made(requirements=installed, **({"bounds": ["flask<2"]} if installed else {}))["id"]
    assert unsaid["requirements"] == installed
    # What says that nothing is meant leaves the name as well.
    assert made(requirements=[])["id"] == made(requirements=None)["id"]
    assert bool(warned) is (installed is None)
    assert made(requirements="auto", id="mine")["id"] == "mine" if not texts else True


def test_application_without_code_has_a_release_named_by_its_requirements(tmp_path):
    plugin = action.ActionModule.__new__(action.ActionModule)
    plugin._task = SimpleNamespace(args={"python": "3.11"})

    def made(**more):
        item, root = plugin._identify({"name": "echo", "requirements": ["httpbin==0.10.2"], **more}, {}, str(tmp_path))
        assert root is None
        return item["id"]

    assert len(made()) == 12 and made(shared=["data"]).startswith(f"{made()}-")
    assert len({made(), made(requirements=["httpbin"]), made(constraints=["flask<3"])}) == 3


def test_what_cannot_be_read_stops_those_alone_who_have_said_auto():
    plugin = action.ActionModule.__new__(action.ActionModule)
    plugin._task, warned = SimpleNamespace(args={"python": "3.11"}), []
    plugin._display = SimpleNamespace(warning=warned.append)
    plugin._execute_module = lambda **_more: {"found": {"shop": {"error": "uv.lock has more than 16 MB"}}}
    item = {"name": "shop", "home": "/h", "repo": "https://git.test/x", "user": "shop", "requirements": "auto"}

    def settled(**more):
        args = {"checkouts": {"shop": {"after": "0123abcd"}}, "python": "3.11"}
        found = [plugin._identify({**item, **more}, args["checkouts"], "")]
        return plugin._found(found, args, {})[0][0]

    assert settled(auto={"default": True})["requirements"] is None
    assert len(warned) == 1 and "uv.lock has more than 16 MB; nothing is installed" in warned[0]
    with pytest.raises(AnsibleActionFail, match="uv.lock has more than 16 MB; write the requirements as a list"):
        settled()
