"""Commands of an application's own as they are written, what is refused of them, and whose turn it is."""

import threading

import pytest
from plans import DEBIAN, SPECS, plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import command_plan, publish_plan, spec
from ansible_collections.graceful.wsgi.plugins.plugin_utils.once_a_play import Turn


def attempt(**more):
    """(plan, problems as text) of an application that says this."""
    app = {"name": "shop", "source": "apps/shop", "module": "manage", "requirements": ["flask"], **more}
    problems = []
    values = spec.check({"publish_apps": [app]}, SPECS["publish"], problems)
    roles = {role: spec.check({}, SPECS[role], []) for role in ("nginx", "uwsgi")}
    if not problems:
        plan, problems = plain(publish_plan.plan(values, DEBIAN, roles))
        return plan, [str(problem) for problem in problems]
    return {}, [str(problem) for problem in problems]


def test_commands_are_words_with_a_time_limit_each():
    wanted = {"command": "python manage.py migrate", "once": True, "timeout": 60, "name": "migrate"}
    plan, problems = attempt(before_live=["sh -c 'a && b'", wanted], after_live=["true"], writable=["static/"])
    assert problems == []
    [one] = plan["commands"]
    assert one["before_live"] == [
        {"name": "sh -c 'a && b'", "words": ["sh", "-c", "a && b"], "once": False, "timeout": 600},
        {"name": "migrate", "words": ["python", "manage.py", "migrate"], "once": True, "timeout": 60},
    ]
    assert (one["folder"], one["writable"]) == ("/srv/wsgi/shop/current", ["static"])
    assert one["virtualenv"] == "/srv/wsgi/shop/current/.venv" and plan["before_live"] == ["shop"]


def test_what_commands_fill_is_looked_at_after_them():
    locations = [{"path": "/", "app": "shop"}]
    locations += [{"path": f"/{name}/", "app": "shop", "static": name} for name in ("built/css", "brought")]
    app = {"name": "shop", "source": "apps/shop", "module": "manage", "before_live": ["true"], "writable": ["built"]}
    site = {"server_name": ["a.test"], "locations": locations}
    values = spec.check({"publish_apps": [app], "publish_sites": [site]}, SPECS["publish"], [])
    roles = {role: spec.check({}, SPECS[role], []) for role in ("nginx", "uwsgi")}
    plan, problems = plain(publish_plan.plan(values, DEBIAN, roles))
    assert not problems
    assert [item["path"] for item in plan["served"]] == ["/srv/wsgi/shop/current/brought"]
    assert [item["path"] for item in plan["served_filled"]] == ["/srv/wsgi/shop/current/built/css"]


def test_an_application_without_commands_has_none():
    plan, _problems = attempt()
    assert plan["commands"] == [] and plan["before_live"] == []


def test_the_hosts_command_finds_each_application():
    plan, _problems = attempt(chdir="web", instances=2)
    [file] = [file for file in plan["app_bundle"]["files"] if file["dest"] == "/etc/uwsgi/shop.command"]
    assert file["mode"] == "0644"
    assert file["content"].splitlines()[1:4] == [
        "unit=uwsgi@shop-1.service",
        "user=wsgi-shop",
        "folder=/srv/wsgi/shop/current/web",
    ]


@pytest.mark.parametrize(
    "given, path, told",
    [
        (["  "], "before_live[0]", "is an empty command"),
        (["''"], "before_live[0]", "is an empty command"),
        (["echo 'x"], "before_live[0]", "No closing quotation; close the quote"),
        (["a\nb"], "before_live[0]", "holds a line break; write one line for each command"),
        (["a\0b"], "before_live[0]", "holds a line break"),
        (["a && b"], "before_live[0]", "'&&' is for a shell, and no shell reads the command; write sh -c 'a && b'"),
        (["cd x; a"], "before_live[0]", "'x;' is for a shell"),
        (["a >log 2>&1"], "before_live[0]", "'>log' is for a shell"),
        (["a 2>> log"], "before_live[0]", "'2>>' is for a shell"),
        (["a | b"], "before_live[0]", "'|' is for a shell"),
        (["a < in"], "before_live[0]", "'<' is for a shell"),
        (["a &"], "before_live[0]", "'&' is for a shell"),
        (["A=b a"], "before_live[0]", "A= is set by a shell, and no shell reads the command; state it with env"),
        ([3], "before_live[0]", "3 is no command"),
        ([{"comand": "x"}], "before_live[0].comand", "there is no such setting; did you mean command?"),
        ([{"once": True}], "before_live[0].command", "is missing"),
        ([{"command": "x", "once": "yes"}], "before_live[0].once", "'yes' is not true or false"),
        ([{"command": "x", "timeout": 0}], "before_live[0].timeout", "0 is no number of seconds from 1 to 86400"),
        ([{"command": "x", "timeout": 86401}], "before_live[0].timeout", "86401 is no number"),
        ([{"command": "x", "timeout": "9"}], "before_live[0].timeout", "'9' is no number"),
        ([{"command": "x", "name": ""}], "before_live[0].name", "'' is no name"),
    ],
)
def test_what_cannot_be_run_as_it_is_written_is_refused(given, path, told):
    _plan, problems = attempt(before_live=given)
    assert len([one for one in problems if one.startswith(f"publish_apps[0].{path}: {told}") or told in one]) == 1
    assert all(one.startswith(f"publish_apps[0].{path}: ") or "is missing" in one for one in problems), problems


@pytest.mark.parametrize(
    "command",
    [
        "sh -c 'a && b > c; d'",
        "find . -name '*.pyc' -exec rm {} \\;",
        "find . -exec rm {} ';'",
        "pip install 'a>=2' b>=3",
        "a --where=x>3 '>' \"&&\" x=y",
        "env A=b a",
        "a it\\'s",
    ],
)
def test_signs_that_the_program_is_to_have_are_words(command):
    _plan, problems = attempt(before_live=[command])
    assert problems == []


@pytest.mark.parametrize("name", ["/static", "../static", "a/../b", ".", "", ".venv", "a//b"])
def test_a_writable_folder_is_one_of_the_releases(name):
    _plan, problems = attempt(before_live=["true"], writable=[name])
    assert [one for one in problems if one.startswith("publish_apps[0].writable[0]: ") and "no folder of" in one]


@pytest.mark.parametrize("shared", ["media", "media/uploads", "media/"])
def test_a_writable_folder_and_a_shared_one_are_not_one_in_another(shared):
    _plan, problems = attempt(before_live=["true"], writable=["media"], shared=[shared])
    assert problems == [
        f"publish_apps[0].writable[0]: 'media' and {shared!r} of shared are one in another, and what is shared is "
        "writable anyway; leave one of them out"
    ]


def test_writable_folders_do_not_lie_in_each_other_and_somebody_writes_them():
    _plan, problems = attempt(before_live=["true"], writable=["a", "a/b"])
    assert problems == ["publish_apps[0].writable[1]: 'a/b' lies in 'a', or stands twice; leave one of them out"]
    _plan, problems = attempt(writable=["a"])
    assert len(problems) == 1 and "and there are none" in problems[0]


@pytest.mark.parametrize("point", command_plan.POINTS)
def test_code_that_is_on_the_host_has_no_release_to_run_them_in(point):
    _plan, problems = attempt(**{"source": None, "path": "/srv/shop", point: ["true"]})
    assert len(problems) == 1 and problems[0].startswith(f"publish_apps[0].{point}: runs where a new release goes live")


def test_the_words_of_a_command_by_hand():
    assert command_plan.words("python manage.py createsuperuser --noinput")[-1] == "--noinput"
    for text in ("", "'", "a\nb"):
        with pytest.raises(ValueError, match="^command: "):
            command_plan.words(text)


ABOUT = ["play", "before_live", "shop", "0123", [["migrate"]]]


def test_the_first_host_that_comes_has_its_turn_and_the_others_wait_for_its_end(tmp_path):
    order, began = [], threading.Event()

    def other():
        began.wait()
        with Turn(str(tmp_path), ABOUT, "two") as turn:
            order.append(turn.earlier)

    waiting = threading.Thread(target=other)
    waiting.start()
    with Turn(str(tmp_path), ABOUT, "one") as turn:
        assert turn.earlier is None
        began.set()
        waiting.join(0.3)
        assert waiting.is_alive() and order == []
        turn.end(failed=False)
    waiting.join(5)
    assert order == [{"host": "one", "failed": False}]


def test_a_turn_that_failed_is_told_to_all_later_ones(tmp_path):
    with pytest.raises(RuntimeError), Turn(str(tmp_path), ABOUT, "one"):
        raise RuntimeError("the connection is gone")
    for name in ("two", "three"):
        with Turn(str(tmp_path), ABOUT, name) as turn:
            assert turn.earlier == {"host": "one", "failed": True}


def test_a_turn_whose_process_was_killed_is_the_next_ones(tmp_path):
    turn = Turn(str(tmp_path), ABOUT, "one")
    turn.__enter__()
    turn._release()
    with Turn(str(tmp_path), ABOUT, "two") as other:
        assert other.earlier is None


def test_another_play_release_or_application_has_turns_of_its_own(tmp_path):
    for about in (ABOUT, ["other", *ABOUT[1:]], [*ABOUT[:3], "4567", ABOUT[4]]):
        with Turn(str(tmp_path), about, "one") as turn:
            assert turn.earlier is None
            turn.end(failed=False)
