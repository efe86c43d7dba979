"""Two applications of one host on two Pythons, each with a uWSGI of its own; one is reloaded while the other stays."""

import pytest
from one_host import get, play, sh, site
from visiting import visitors

CODE = """\
import os, sys
import bottle
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    said = "%s %d.%d %s %d %d" % (bottle.__version__, sys.version_info[0], sys.version_info[1], sys.prefix,
                                  os.getppid(), os.getpid())
    return [said.encode()]
"""
SITES = [site("old.test", "old"), site("new.test", "new")]


@pytest.fixture(scope="module")
def apps(tmp_path_factory):
    code = tmp_path_factory.mktemp("code")
    (code / "manage.py").write_text(CODE)
    app = {"module": "manage", "source": str(code), "requirements": ["bottle==0.12.25"], "processes": 1}
    yield [{"name": "old", **app}, {"name": "new", "python": "python3", **app}]
    play(playbook="playbooks/remove.yml", remove_apps=["old", "new"], remove_data=True)


def answer(name):
    """What an application says: the version of its Python, where that lies, its master and its worker."""
    status, text = get(f"{name}.test")
    assert status == 200 and text.startswith("0.12.25 "), text
    return text.split()[1:]


def published(apps, **more):
    status, said = play(apps, SITES, publish_prune=False, **more)
    assert status == 0, said
    return said


def test_each_application_runs_on_its_python_and_one_is_reloaded_without_loss(apps):
    third = sh("python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'").strip()
    published(apps)
    old, new = answer("old"), answer("new")
    assert old[:2] == ["2.7", "/srv/wsgi/old/current/.venv"]
    assert new[:2] == [third, "/srv/wsgi/new/current/.venv"]
    # Neither the unit of all others nor the link has anything to do with it.
    assert sh("readlink /opt/uwsgi/current").strip().endswith("-python2.7")
    assert f"-python{third}/bin/uwsgi" in sh("systemctl show -p ExecStart uwsgi@new")
    assert "changed=0" in published(apps)
    with visitors("new.test"), visitors("old.test"):
        status, said = play(
            apps, SITES, ["-e", "publish_reload=new"], playbook="playbooks/reload.yml", publish_prune=False
        )
        assert status == 0, said
        assert answer("old") == old and answer("new")[3] != new[3]


def test_an_application_moves_to_another_python_and_back_without_loss(apps):
    old = answer("old")
    moved = [apps[0], {key: value for key, value in apps[1].items() if key != "python"}]
    with visitors("new.test"):
        published(moved)
        assert answer("new")[0] == "2.7"
        published(apps)
    assert answer("new")[0].startswith("3.") and answer("old") == old


def test_a_python_that_is_not_there_is_refused_before_anything_changes(apps):
    status, said = play([apps[0], {**apps[1], "python": "python3.99"}], SITES, publish_prune=False)
    assert status == 2 and "changed=0" in said
    assert "publish_apps[1].python: there is no python3.99 on this host; install it" in said
