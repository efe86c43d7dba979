"""`requirements: auto` where nobody has said it: for whom it is the default, and what then cannot be is told."""

import pytest
from plans import SPECS, plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import auto_default, auto_plan, publish_plan, spec
from ansible_collections.graceful.wsgi.plugins.plugin_utils.auto_default import Sources
from ansible_collections.graceful.wsgi.plugins.plugin_utils.lock_files import LockError
from ansible_collections.graceful.wsgi.plugins.plugin_utils.pep508_markers import of_python
from ansible_collections.graceful.wsgi.plugins.plugin_utils.problem import Problems
from ansible_collections.graceful.wsgi.plugins.plugin_utils.requirements_auto import Found, Step, choose

LOCK = Found("uv.lock", steps=[Step(["flask==3 --hash=sha256:aa"], True)], python=of_python(">=3.10"))
FILE = Found("requirements.txt", "requirements.txt")
NOTHING = choose(["app.py"], {})


def settle(app, told, python="3.11", sources=auto_default.ANYWHERE, unsaid=()):
    problems = Problems()
    app = {"name": "shop", "requirements": None, "virtualenv": None, "repo": None, **app}
    known = {} if told is None else {"shop": told}
    apps, notes = auto_plan.settle([app], known, python, problems, sources, unsaid)
    assert not problems
    return apps[0], notes


@pytest.mark.parametrize("code", [{"source": "a"}, {"archive": "a.zip"}, {"repo": "r"}])
def test_default_of_code_that_a_release_is_made_of_is_auto(code):
    assert settle(code, FILE) == ({**settle(code, FILE)[0], "requirements": "requirements.txt"}, [])
    app, notes = settle(code, LOCK)
    assert (app["requirements"], app["auto"], notes) == ("auto", auto_default.MARK, [])


def test_what_only_the_host_can_tell_is_asked_there_and_what_nobody_found_is_left():
    app = settle({"repo": "r"}, None)[0]
    assert app["requirements"] == "auto" and auto_plan.is_default(app)
    assert settle({"source": "gone"}, None)[0]["requirements"] is None


@pytest.mark.parametrize(
    "app",
    [
        {"path": "/home/shop"},
        {"source": "a", "virtualenv": "/v"},
        {"source": "a", "requirements": []},
        {"source": "a", "requirements": ["six"]},
    ],
)
def test_code_on_the_host_and_what_is_said_stay_as_they_are(app):
    assert not auto_plan.is_wanted(app) or app["requirements"] == "auto"
    settled, notes = settle(app, None)
    assert (settled["requirements"], notes) == (app.get("requirements"), [])
    assert "auto" not in settled


def test_nothing_found_is_one_note_for_all_and_no_error():
    apps = [{"name": name, "source": name, "requirements": None, "virtualenv": None} for name in ("one", "two")]
    settled, notes = auto_plan.settle(apps, dict.fromkeys(("one", "two"), NOTHING), "3.11", Problems())
    assert [app["requirements"] for app in settled] == [None, None]
    assert len(notes) == 1 and notes[0].startswith("publish_apps: one, two: none of uv.lock, ")
    assert notes[0].endswith("write requirements: [] where nothing is to be installed")


@pytest.mark.parametrize(
    ("code", "told", "sources", "message"),
    [
        ({"source": "a"}, LOCK, Sources(kit=True), "a kit has no wheels for uv.lock"),
        ({"source": "a"}, FILE, Sources(kit=True, carried=lambda _name: False), "a kit has no wheels for requirements"),
        ({"repo": "r"}, None, Sources(kit=True), "a kit has no wheels for what its repository says"),
        ({"source": "a"}, FILE, Sources(no_index=True), "no index may be asked (uwsgi_pip_no_index) for requirements"),
        ({"repo": "r"}, None, Sources(no_index=True), "no index may be asked (uwsgi_pip_no_index) for what its rep"),
        ({"source": "a"}, LockError("it is broken", "mend it"), Sources(), "it is broken; nothing is installed: mend"),
    ],
)
def test_what_nobody_asked_for_and_cannot_be_is_told_and_not_refused(code, told, sources, message):
    app, notes = settle(code, told, sources=sources)
    assert app["requirements"] is None
    assert [note.startswith(f"publish_apps[0].requirements: shop: {message}") for note in notes] == [True]


def test_lock_for_another_python_is_told_and_what_the_kit_has_is_taken():
    app, notes = settle({"source": "a"}, LOCK, "3.9")
    assert app["requirements"] is None and "is for another Python" in notes[0] and "requirements: []" in notes[0]
    assert settle({"source": "a"}, FILE, sources=Sources(kit=True))[0]["requirements"] == "requirements.txt"
    assert settle({"source": "a"}, NOTHING, sources=Sources(kit=True))[1][0].startswith("publish_apps: shop: none of")


def test_what_was_stated_in_its_place_is_still_nobodys_word():
    """The variables hold the file by then, so that others know it."""
    app = {"source": "a", "requirements": "requirements.txt"}
    lacking = Sources(kit=True, carried=lambda _name: False)
    assert settle(app, FILE, sources=lacking, unsaid={"shop"})[0]["requirements"] is None
    given = [{"name": "shop", "source": "a"}, {"name": "own", "source": "a", "requirements": []}, "no app", {}]
    assert auto_default.names(given) == {"shop"}
    assert auto_plan.stated(given, {"shop": FILE})[0]["requirements"] == "requirements.txt"
    assert auto_plan.stated(given, {"own": FILE})[1]["requirements"] == []


def planned(host, **app):
    problems = []
    given = {"name": "shop", "module": "manage", **app}
    values = spec.check({"publish_apps": [given]}, SPECS["publish"], problems)
    roles = {"nginx": spec.check({}, SPECS["nginx"], []), "uwsgi": spec.check({}, SPECS["uwsgi"], [])}
    plan, said = plain(publish_plan.plan(values, host, roles))
    assert problems + said == []
    return plan


def test_plan_of_an_application_without_requirements_is_what_it_was():
    said = planned({}, source="a", requirements=[])
    unsaid = planned({"auto": {"shop": NOTHING}, "unsaid": {"shop"}}, source="a")
    assert len(unsaid.pop("warnings")) == len(said.pop("warnings")) + 1
    # An empty list and nothing are told alike.
    for one in (said["releases"][0], said["preflights"][0]["code"]):
        assert one.pop("requirements") == []
    for one in (unsaid["releases"][0], unsaid["preflights"][0]["code"]):
        assert one.pop("requirements") is None
    assert unsaid == said


def test_plan_of_a_repository_tells_the_host_that_nobody_asked():
    plan = planned({}, repo="https://git.test/shop.git")
    release = plan["releases"][0]
    assert (release["requirements"], release["auto"]) == ("auto", {"default": True})
    assert plan["instances"][0]["virtualenv"] == "/srv/wsgi/shop/current/.venv"
    assert "auto" not in planned({}, repo="https://git.test/shop.git", requirements="auto")["releases"][0]


def test_name_of_a_release_says_what_is_installed_and_not_who_asked():
    item = {"requirements": None, "bounds": ["flask<2"], "writable": ["a"]}
    nothing = auto_plan.in_name(auto_plan.resolved({**item, "auto": auto_default.MARK}, NOTHING))
    assert (nothing["requirements"], nothing["bounds"]) == (None, None)
    lock = auto_plan.in_name(auto_plan.resolved(item, LOCK, "3.11"))
    assert (lock["requirements"], lock["bounds"]) == ("auto", ["flask<2"])
    assert auto_plan.in_name(auto_plan.resolved(item, FILE))["requirements"] == "requirements.txt"


def test_way_back_has_a_virtualenv_where_the_release_has_one():
    apps = [
        {"name": "old", "source": "a"},
        {"name": "new", "source": "a"},
        {"name": "said", "source": "a", "requirements": "r.txt"},
        {"name": "alone", "requirements": ["httpbin"]},
        {"name": "there", "path": "/p"},
        "no app",
    ]
    found = auto_default.going_back(apps, ["old", "alone"])
    assert [app["requirements"] for app in found[:4]] == [[], "auto", "r.txt", []]
    # What was code then needs a source to be a plan at all.
    assert found[3]["source"] and found[4:] == apps[4:]
