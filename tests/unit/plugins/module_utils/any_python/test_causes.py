# -*- coding: utf-8 -*-
"""One message for each cause, with what to write, and without what is secret (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    causes,
    host_checks,
    journal,
    missing_callable,
    missing_modules,
    secret_values,
    uwsgi_preflight,
)

TRACE = """the worker ended before it accepted a request:
Traceback (most recent call last):
  File "/srv/wsgi/%(name)s/releases/%(id)s/manage.py", line %(line)d, in <module>
    import flask
%(error)s
unable to load app 0 (mountpoint='') (callable not found or import error)
*** no app loaded. GAME OVER ***"""


def trace(name, error="ModuleNotFoundError: No module named 'flask'", line=1):
    return name, TRACE % {"name": name, "id": "0123456789ab", "line": line, "error": error}


def test_one_cause_is_told_once_with_all_names():
    said = causes.message([trace("b", line=7), trace("a"), trace("c")])
    first = said.splitlines()[0]
    assert first == (
        "a, b, c: the worker ended before it accepted a request (ModuleNotFoundError: No module named 'flask')"
    )
    assert said.count("Traceback") == 1 and "a says:" in said and "GAME OVER" not in said


def test_each_cause_is_told_and_the_first_line_names_all():
    full = "no disk\nfree some"
    assert causes.message([trace("a", "KeyError: 'A1'"), trace("b", "KeyError: 'A2'")]).count("Traceback") == 2
    said = causes.message([trace("a"), trace("b", "KeyError: 'TOKEN'"), ("c", full), ("d", full)])
    first = said.splitlines()[0]
    for words in ("a: the worker", "'flask'", "b: the worker", "KeyError: 'TOKEN'", "c, d: no disk"):
        assert words in first, said
    assert said.count("Traceback") == 2 and said.count("free some") == 1


def test_what_differs_by_names_and_numbers_only_is_one_cause():
    said = causes.message([("shop", "shop is away, process 12"), ("menu", "menu is away, process 8812")])
    assert said == "menu, shop: menu is away, process 8812"


def test_what_pip_says_last_is_its_cause():
    pip = "`/srv/wsgi/%s/venvs/0123456789ab/bin/python -m pip install x` failed (status 1):\nERROR: no\nERROR: No x"
    said = causes.message([("one", pip % "one"), ("two", pip % "two")])
    assert said.splitlines()[0].startswith("one, two: ") and said.splitlines()[0].endswith("(ERROR: No x)")
    assert said.count("ERROR: no") == 1


@pytest.mark.parametrize(
    "reason",
    [
        "callable: shop loads and has no app, but application; write `callable: application`",
        "Error: Please configure a random SECRET_KEY",
    ],
)
def test_where_there_is_no_traceback_the_first_line_says_the_hint_or_what_the_code_said(reason):
    text = "the worker ended before it accepted a request:\nspawned uWSGI worker 1\n%s\nDAMN ! worker 1 died" % reason
    said = causes.message([("shop", text), ("menu", text.replace("shop", "menu"))])
    assert said.splitlines()[0] == "menu, shop: the worker ended before it accepted a request (%s)" % (
        reason.replace("shop", "menu")
    )
    # An exception tells more.
    assert "(KeyError: 'A')" in causes.message([trace("shop", "KeyError: 'A'\n%s" % reason)]).splitlines()[0]


def test_one_alone_is_told_as_it_is():
    assert causes.message([("shop", "no disk\nfree some")]) == "shop: no disk\nfree some"
    assert causes.message([(u"caf\xe9", u"no\n\xf6")]).startswith(u"caf\xe9: no")


@pytest.mark.parametrize(
    "text, found",
    [
        ("ModuleNotFoundError: No module named 'flask_login.utils'", "flask_login.utils"),
        ("ImportError: No module named yaml", "yaml"),
        ("ModuleNotFoundError: No module named 'a'\nModuleNotFoundError: No module named 'b'", "b"),
        ("KeyError: 'No module named x'", None),
    ],
)
def test_the_missing_module(text, found):
    assert missing_modules.module(text) == found


@pytest.mark.parametrize(
    "lines, top, found",
    [
        (["PyYAML>=5"], "yaml", "PyYAML"),
        (["# x", "Flask-Login==1 ; python_version > '3'"], "flask_login", "Flask-Login"),
        (["flask_login"], "flask_login", "flask_login"),
        (["python-dateutil"], "dateutil", "python-dateutil"),
        (["psycopg2"], "psycopg2", "psycopg2"),
        (["Flask"], "flask_login", None),
        (["-r base.txt"], "r", None),
    ],
)
def test_a_package_by_its_module(lines, top, found):
    assert missing_modules.named(lines, top) == found


def hinted(tmpdir, name, files, **about):
    for path, text in files.items():
        tmpdir.join(path).write(text, ensure=True)
    return missing_modules.hint(name, about, missing_modules.look(str(tmpdir), name.partition(".")[0]))


@pytest.mark.parametrize(
    "files, about, message",
    [
        ({"requirements.txt": "PyYAML"}, {}, "write `requirements: requirements.txt`"),
        ({"requirements/prod.txt": "x\npyyaml"}, {}, "write `requirements: requirements/prod.txt`"),
        ({"requirements-prod.txt": "z", "requirements.txt": "PyYAML"}, {}, "requirements.txt of the code names PyYAML"),
        ({"requirements.txt": "Flask"}, {}, "the code has a requirements.txt, which nothing installs"),
        ({"pyproject.toml": ""}, {}, '`requirements: ["."]`'),
        ({}, {}, "`requirements: [PyYAML]`"),
        ({"requirements.txt": "x"}, {"requirements": "requirements.txt"}, "add it to requirements.txt"),
        ({}, {"requirements": ["x"]}, "add it to the list"),
        ({}, {"virtualenv": "/srv/v"}, "/srv/v has no module yaml"),
        ({}, {"module": "yaml.wsgi:app"}, "the code has no yaml.py"),
        ({"yaml.py": ""}, {}, "pythonpath: yaml lies in the code"),
    ],
)
def test_what_to_write_where_a_module_is_missing(tmpdir, files, about, message):
    assert message in hinted(tmpdir, "yaml", files, **about)


@pytest.mark.parametrize("name", ["encodings", "site"])
def test_a_virtualenv_that_is_none_is_named_and_no_package_for_it(tmpdir, name):
    said = hinted(tmpdir, name, {}, virtualenv="/srv/v")
    assert said.startswith("virtualenv: Python does not find its own library in /srv/v;") and "package" not in said


@pytest.mark.parametrize("name, files", [("shop.models", {"shop/__init__.py": ""}), ("uwsgidecorators", {})])
def test_nothing_is_to_be_installed_for_what_is_there(tmpdir, name, files):
    assert hinted(tmpdir, name, files) == ""


def test_secret_values_are_masked_and_others_are_not():
    values = secret_values.of(
        {"TOKEN": "abcd", "MODE": "prod", "URL": "postgres://u:pw12@db/x", "HOME": "/srv/shop", "LONG": "x" * 8}
    )
    said = secret_values.mask("abcd prod pw12 /srv/shop " + "x" * 8, values)
    assert said == "(hidden) prod (hidden) /srv/shop (hidden)"
    said = secret_values.mask("Ignoring invalid environment assignment 'TOKEN=q\x01': /etc/x.env", [])
    assert "TOKEN" not in said and said.startswith("Ignoring invalid environment assignment")


def test_secret_values_of_a_unit_and_of_the_files_that_it_names(tmpdir):
    tmpdir.join("theirs.env").write("OTHER='sec ret value'\n# no=comment-value\n")
    tmpdir.join("a.env").write('TOKEN="q\\"uoted"\n')
    unit = tmpdir.join("a.service")
    unit.write('[Service]\nEnvironment="KEY=in unit" MODE=prod\nEnvironmentFile=-%s\n' % tmpdir.join("theirs.env"))
    found = secret_values.of_units([str(unit), str(tmpdir.join("a.env")), str(tmpdir.join("none.conf"))])
    assert set(["sec ret value", 'q"uoted', "in unit"]) <= set(found) and "prod" not in found


def test_the_journal_is_asked_for_this_unit_since_then(monkeypatch):
    asked = []

    def ask(words):
        asked.append(words)
        return ["Started a.", "a.service: Main process exited, code=exited, status=3/NOTIMPLEMENTED"]

    monkeypatch.setattr(journal, "_ask", ask)
    assert journal.said("a.service", 1000.5).startswith("Started a.\n")
    assert "--unit=a.service" in asked[0] and any(word.startswith("--since=1970-01-0") for word in asked[0])
    assert journal.said("a.service", 1000, by_systemd=True).startswith("a.service: Main process exited")
    assert asked[1][-2:] == ["_PID=1", "UNIT=a.service"]


def test_without_a_journal_nothing_is_said(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert journal.said("a.service", 0, wait=0) == ""


@pytest.mark.parametrize(
    "line, why",
    [
        ("!!! UNABLE to load uWSGI plugin: ./x_plugin.so: cannot open shared object file !!!", "./x_plugin.so: cannot"),
        ("/opt/x_plugin.so: file too short", "/opt/x_plugin.so: file too short"),
        ('unable to load plugin "x"', "unable to load plugin"),
        ("invalid elf file: /o/x_plugin.so\n!!! UNABLE to load uWSGI plugin: ./x: no !!!", "invalid elf file: /o"),
    ],
)
def test_what_uwsgi_says_of_a_plugin_that_it_does_not_load(line, why):
    found = uwsgi_preflight.NOT_LOADED.search("*** Starting\n%s\nmore" % line)
    assert [group for group in found.groups() if group][0].startswith(why)


def stamped(root, name, options, **build):
    home = root.join(name)
    about = {"build": dict({"env": {}, "extra_args": []}, **build), "said": {"options": options}}
    home.join("graceful-wsgi.json").write(json.dumps(about), ensure=True)


def test_a_uwsgi_that_is_here_is_asked_for_its_options(tmpdir):
    check = {
        "kind": "uwsgi_options",
        "variable": "publish_apps[1].options",
        "home": str(tmpdir),
        "version": "2.0.20",
        "build": {"env": {}, "extra_args": []},
        "options": ["harakiri", "harakri", "own"],
        "hint": "see there",
    }
    tools = host_checks.Tools(None)
    assert host_checks.problems([check], tools) == []
    stamped(tmpdir, "2.0.20-python3.9-abc", ["harakri", "own"], env={"UWSGI_PROFILE": "mine"})
    stamped(tmpdir, "2.0.31-python3.9", ["harakri", "own"])
    assert host_checks.problems([check], tools) == []
    stamped(tmpdir, "2.0.20-python3.9", ["harakiri", "module"])
    found = [str(problem) for problem in host_checks.problems([check], tools)]
    assert found == [
        "publish_apps[1].options.harakri: uWSGI has no such option; did you mean harakiri?",
        "publish_apps[1].options.own: uWSGI has no such option; see there",
    ]
    assert os.path.isdir(str(tmpdir.join("2.0.20-python3.9")))


def test_an_option_of_a_feature_that_lacks_names_the_feature(tmpdir):
    about = {"home": str(tmpdir), "version": "2.0.31", "build": {"env": {}, "extra_args": []}, "hint": "see there"}
    check = dict(about, kind="uwsgi_options", variable="a.options", options=["https"], features={"https": "ssl"})
    stamped(tmpdir, "2.0.31-python3.9", ["module"])
    [found] = [str(problem) for problem in host_checks.problems([check], host_checks.Tools(None))]
    assert found.startswith("a.options.https: the uWSGI of this host has no such option, since it was built without s")
    assert found.endswith("add ssl to uwsgi_features, or leave it out")


def test_a_feature_is_asked_of_the_uwsgi_that_is_here(tmpdir):
    check = {
        "kind": "uwsgi_features",
        "variable": "publish_apps[0].websocket",
        "home": str(tmpdir),
        "version": "2.0.31",
        "build": {"env": {}, "extra_args": []},
        "feature": "ssl",
        "option": u"legion",
        "why": "it takes it",
        "hint": "add ssl",
        "strict": True,
    }
    loose = dict(check, variable="publish_apps[0].config_format", feature="xml", option="xml")
    loose["strict"] = False

    def found():
        return [str(problem) for problem in host_checks.problems([check, loose], host_checks.Tools(None))]

    assert found() == [
        "publish_apps[0].websocket: takes ssl, which uwsgi_features does not ask for: it takes it; add ssl"
    ]
    loose["wheel"] = "2.0.31-cp39-1"
    assert "takes xml, which the wheel 2.0.31-cp39-1, which would be installed here, was built without" in found()[1]
    stamped(tmpdir, "2.0.31-python3.9", ["module"])
    assert [line.partition(":")[0] for line in found()] == [check["variable"], loose["variable"]]
    assert "the uWSGI of this host was built without" in found()[0]
    stamped(tmpdir, "2.0.31-python3.9-abc", ["module", "legion", "xml"])
    assert found() == []


@pytest.mark.parametrize("error", ["ImportError: No module named x", "SyntaxError: invalid syntax"])
def test_the_cause_is_found_where_a_journal_has_taken_the_blanks_away(error):
    # As journald of systemd 219 keeps what a service prints.
    flat = ["Traceback (most recent call last):", 'File "/srv/m.py", line 3, in <module>', "import x"]
    flat += ['File "/srv/x.py", line 1'] + (["y y", "^"] if "Syntax" in error else []) + [error]
    assert causes.exception("\n".join(flat + ["unable to load app 0 (mountpoint='')"])) == error


NO_NAME = "the worker ended before it accepted a request:\nunable to load app 0 (mountpoint='') %s" % (
    "(callable not found or import error)"
)


@pytest.mark.parametrize(
    "said, name, found",
    [
        (NO_NAME, "shop:application", "shop:application"),
        (NO_NAME, "", None),
        (TRACE % {"name": "shop", "id": "1", "line": 1, "error": "KeyError: 'X'"}, "shop:application", None),
        ('  File "/srv/shop.py", line 3\n    bad()\nshop.Bad: no\n' + NO_NAME, "shop:application", None),
        ("failed to open python file wsgi.py\n" + NO_NAME, "wsgi.py:application", None),
        ("the worker ended before it accepted a request:\nno", "shop:application", None),
    ],
)
def test_whether_a_name_is_missing(said, name, found):
    assert missing_callable.missing(said, name) == found


@pytest.mark.parametrize(
    "files, name, module, message",
    [
        (
            {"shop.py": "import flask\napp = flask.Flask(__name__)\n"},
            "shop:application",
            "shop",
            "callable: shop loads and has no application, but app; write `callable: app`",
        ),
        (
            {"shop/wsgi.py": "application: object = get_wsgi_application()\n"},
            "shop.wsgi:app",
            "shop.wsgi:app",
            "module: shop.wsgi loads and has no app, but application; write `module: shop.wsgi:application`",
        ),
        ({"shop/__init__.py": "web = create_app()\n"}, "shop:app", "shop", "but web; write `callable: web`"),
        ({"w/web.py": "web = Bottle()"}, "w/web.py:app", None, "callable: w/web.py loads and has no app, but web"),
        (
            {"shop.py": "api = falcon.App()\nweb = Flask('x')\n"},
            "shop:app",
            "shop",
            "write the name that it gives its WSGI application (it has api, web)",
        ),
        (
            {"shop.py": "def f():\n    app = Flask('x')\n"},
            "shop:application",
            "shop",
            "callable: shop loads and has no application; write the name that it gives its WSGI application (app for",
        ),
        ({}, "shop:app", "shop", "callable: shop loads and has no app; write the name"),
    ],
)
def test_what_to_write_where_a_name_is_missing(tmpdir, files, name, module, message):
    for path, text in files.items():
        tmpdir.join(path).write(text, ensure=True)
    found = missing_callable.look(str(tmpdir), name)
    assert message in missing_callable.hint(name, {"module": module}, found)


def test_two_applications_with_hints_of_their_own_are_told_apart():
    hints = ["callable: %s loads and has no app, but %s" % pair for pair in (("one", "web"), ("two", "api"))]
    said = causes.message([("one", NO_NAME + "\n" + hints[0]), ("two", NO_NAME + "\n" + hints[1])])
    assert hints[0] in said and hints[1] in said
