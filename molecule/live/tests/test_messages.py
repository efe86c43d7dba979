"""What is said when something is wrong: once for each cause, in words that tell what to write, and true."""

import re
import textwrap
import zipfile

import pytest
from one_host import app, get, play, put, sh, site

WSGI = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [{said}]
"""


def code(folder, **files):
    """A folder of code on the controller; a key is a path with __ for a slash and DOT for a dot."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
    return str(folder)


def plain(**more):
    """An application that says hello, and what its environment has."""
    return {"manageDOTpy": WSGI.format(said="b'hello'"), **more}


# -- options and plugins --------------------------------------------------------------------------------------------

WRONG_OPTIONS = {
    "named": {"plugins": "python3", "harakri": 20},
    "needed": {"need-plugin": "0:python311", "max-reqests": 5},
    "several": {"plugin": ["http,logfile"], "prosesses": 2},
    "folder": {"plugins-dir": "/srv", "import": "os", "buffersize": 4096},
    "declared": {"declare-option": "shop=set-placeholder=x=$1", "shop": 1, "theads": 2},
    "misspelt": {"plugins": "pyton3"},
}


def test_options_are_judged_with_plugins_named_before_anything_changes(tmp_path):
    apps = [app(name, options=options) for name, options in WRONG_OPTIONS.items()]
    apps.append(app("sockets", websocket=True))
    before = sh("sha256sum /etc/nginx/nginx.conf; ls -R /etc/uwsgi /srv/wsgi")
    # What the first role would change.
    status, said = play(apps, nginx_worker_connections=777)
    assert status and sh("sha256sum /etc/nginx/nginx.conf; ls -R /etc/uwsgi /srv/wsgi") == before, said
    assert re.search(r"\d+ problems in the variables; nothing on the host was changed", said), said
    for index, option, message in (
        (0, "harakri", "did you mean harakiri?"),
        (0, "plugins", "'python3': Python is built into this uWSGI"),
        (1, "max-reqests", "did you mean max-requests?"),
        (1, "need-plugin", "'python311': Python is built into this uWSGI"),
        (2, "prosesses", "did you mean processes?"),
        (2, "plugin", "'http', 'logfile': built into this uWSGI"),
        (3, "buffersize", "did you mean buffer-size?"),
        (4, "theads", "did you mean threads?"),
        (5, "plugins", "if python is meant"),
    ):
        line = next(
            (line for line in said.splitlines() if line.startswith(f"- publish_apps[{index}].options.{option}:")), ""
        )
        assert message in line, (option, said)
    assert "publish_apps[4].options.shop" not in said
    assert "the requirements name no gevent" in said, said
    # No second copy of the list.
    assert said.count("did you mean harakiri?") == 1, said


# -- one cause, one message -----------------------------------------------------------------------------------------


def test_what_fails_for_one_reason_is_told_once_with_the_names(tmp_path):
    flask = code(
        tmp_path / "flask", manageDOTpy="from flask import Flask\napp = Flask('x')\n", requirementsDOTtxt="Flask\n"
    )
    # Of these nothing is installed, whatever the code says that it needs.
    bare = {"module": "manage", "requirements": []}
    apps = [{"name": f"shop-{number}", "source": flask, **bare} for number in range(5)]
    reads = "import yaml\n"
    more = {
        # A package of another name, in a file of another name.
        "menu": code(tmp_path / "menu", manageDOTpy=reads, requirements__prodDOTtxt="pyyaml>=5  # menus\n"),
        "bare": code(tmp_path / "bare", manageDOTpy="import markupsafe\n"),
        "built": code(tmp_path / "built", manageDOTpy="import jinja2\n", pyprojectDOTtoml="[project]\nname='x'\n"),
    }
    apps += [{"name": name, "source": source, **bare} for name, source in more.items()]
    works = {"source": code(tmp_path / "works", **plain()), "module": "manage"}
    apps.append({"name": "moved", **works, "module": "shop.wsgi"})
    # The binary is asked for its options together with the plugin; one that cannot be loaded brings none.
    put("/opt/plugins/empty_plugin.so", "no library\n")
    apps.append({"name": "nowhere", **works, "options": {"plugins": "geoip"}})
    apps.append({"name": "empty", **works, "options": {"plugins-dir": "/opt/plugins", "plugin": "empty"}})
    status, said = play(apps)
    assert status, said
    assert "shop-0, shop-1, shop-2, shop-3, shop-4: " in said, said
    # Neither five times, nor once more as JSON.
    assert said.count("from flask import Flask") == 1 and said.count("Traceback") == 4, said
    fatal = next(line for line in said.splitlines() if line.startswith("fatal: "))
    assert "Traceback" not in fatal and "No module named 'flask'" in fatal and '"apps"' not in fatal, fatal
    for words in (
        "requirements.txt of the code names Flask, and nothing installs it; write `requirements: requirements.txt`",
        "requirements/prod.txt of the code names pyyaml",
        "`requirements: [markupsafe]`",
        '`requirements: ["."]`',
        "the code has no shop.py and no package shop",
        "geoip_plugin.so: cannot open shared object file",
        "invalid elf file: /opt/plugins/empty_plugin.so",
    ):
        assert words in said, (words, said)
    assert "GAME OVER" not in said, said


def test_a_start_that_fails_before_its_log_is_open_is_told_from_the_journal(tmp_path):
    source = code(tmp_path / "code", **plain())
    fails = ["", "/bin/sh -c 'echo no licence for $${TOKEN} at $${PLACE}; exit 3'"]
    given = {"source": source, "module": "manage", "env": {"TOKEN": "s3cr3t-value", "PLACE": "/srv/licences"}}
    put("/etc/theirs.env", "OTHER=another-s3cr3t\n", mode="0600")
    apps = [
        {"name": "logs", **given, "service_options": {"ExecStart": fails}},
        {"name": "prints", **given, "log": "journal", "service_options": {"ExecStart": fails}},
        {
            "name": "theirs",
            "source": source,
            "module": "manage",
            "service_options": {
                "EnvironmentFile": "/etc/theirs.env",
                "ExecStart": ["", "/bin/sh -c 'echo other is $${OTHER}; exit 4'"],
            },
        },
    ]
    status, said = play(apps)
    assert status and "no licence for (hidden) at /srv/licences" in said and "other is (hidden)" in said, said
    assert "s3cr3t" not in said and "wrote no log" not in said, said
    # systemd says how it ended.
    assert re.search(r"status=3", said), said
    # By the task that failed, and not again at the end; systemd may have tried it more than once.
    assert said.count("the journal of uwsgi@theirs.service says") == 1, said


# -- requirements that lie in the code ------------------------------------------------------------------------------


def wheel(folder, name, text):
    """A wheel of one module."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-1.dist-info"
    files = {
        f"{name}.py": text,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-1-py3-none-any.whl", "w") as packed:
        for path, content in {**files, f"{info}/RECORD": record}.items():
            packed.writestr(path, content)


@pytest.fixture(name="local", scope="module")
def fixture_local(tmp_path_factory):
    """Applications whose requirements lie in their own code, published in one play."""
    folder = tmp_path_factory.mktemp("local")
    setup = "from setuptools import setup\nsetup(name='%s', version='1', package_dir={'': '%s'}, py_modules=['%s'])\n"
    whole = {
        "setup.py": setup % ("whole", "src", "whole_app"),
        "src/whole_app.py": WSGI.format(said="__file__.encode()"),
    }
    decorated = "from uwsgidecorators import postfork, timer\nimport importlib.util\nhooked = []\n"
    # It names what the module only says further down.
    decorated += "@postfork\ndef connect():\n    hooked.append(WHERE)\n\nWHERE = 'called'\n"
    decorated += "names = [n for n in ('pip', 'setuptools', 'uwsgidecorators') if importlib.util.find_spec(n)]\n"
    parts = {
        "requirements/prod.txt": "-r base.txt\n-c ../constraints.txt\n./vendor/greet\n",
        "requirements/base.txt": "--find-links ./wheels\nfound\n",
        "constraints.txt": "found==1\n",
        "vendor/greet/setup.py": setup % ("greet", ".", "greet"),
        "vendor/greet/greet.py": "WORD = 'greeted'\n",
        "manage.py": "import found, greet\n"
        + decorated
        + WSGI.format(said="(found.WORD + greet.WORD + repr(names + hooked)).encode()"),
    }
    code(folder / "parts", **parts)
    wheel(folder / "parts/wheels", "found", "WORD = 'found-and-'\n")
    code(folder / "whole", **whole)
    code(folder / "edits", **{**whole, "requirements.txt": "-e .\n"})
    apps = [
        {"name": "dot", "source": str(folder / "whole"), "module": "whole_app", "requirements": ["."]},
        {"name": "edits", "source": str(folder / "edits"), "module": "whole_app", "requirements": "requirements.txt"},
        {"name": "parts", "source": str(folder / "parts"), "module": "manage", "requirements": "requirements/prod.txt"},
    ]
    status, said = play(apps, [site(f"{one['name']}.test", one["name"]) for one in apps])
    assert status == 0, said
    return folder


@pytest.mark.parametrize("name", ["dot", "edits"])
def test_the_release_itself_as_a_requirement_is_installed(local, name):
    status, text = get(f"{name}.test")
    assert status == 200 and "/site-packages/whole_app.py" in text, text
    # Nothing of it leads to where it was built, nor can its account change it.
    assert not sh(f"grep -rlI /var/lib/graceful-wsgi/build /srv/wsgi/{name}/current/.venv/ || true").strip()
    sh(f"! su -s /bin/sh wsgi-{name} -c 'touch {text.strip()}'")


def test_paths_in_requirements_lead_into_the_release_and_uwsgidecorators_is_there(local):
    status, text = get("parts.test")
    assert status == 200 and text.startswith("found-and-greeted"), text
    # What is marked to run in each worker ran, once.
    assert "'uwsgidecorators'" in text and text.count("'called'") == 1, text
    # What else lies in uWSGI's own virtualenv does not show.
    seen = sh("cat /proc/$(systemctl show -p MainPID --value uwsgi@parts)/cmdline | tr '\\0' ' '")
    modules = sh("ls $(dirname $(dirname " + seen.split()[0] + "))/modules").split()
    assert [name for name in modules if not name.startswith("__pycache__")] == ["uwsgidecorators.py"]

# -- the login -------------------------------------------------------------------------------------------------------


def test_a_login_that_does_not_become_root_is_told_how():
    assert "/sudo" not in sh("command -v sudo", check=False)
    status, said = play(ansible_user="nobody")
    assert status
    assert "Nothing on the host was changed. The play works as root, and the host has no sudo: log in as root" in said
