"""A play takes what it was told at its word, says what goes before it goes, and leaves nothing half-made behind."""

import pathlib

import publishing
import pytest
import yaml
from one_host import get, play, put, sh, site

CODE = """def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%s"]
"""
SPECS = pathlib.Path(publishing.CHECKOUT) / "roles"


def plain(folder, name, text=None, **more):
    """An application without requirements, so that no virtualenv has to be filled."""
    code = folder / name
    code.mkdir(exist_ok=True)
    (code / "plain.py").write_text(text or CODE % name)
    return {"name": name, "source": str(code), "module": "plain", "callable": "application", **more}


def sites(*apps):
    return [site(f"{app['name']}.test", app["name"]) for app in apps]


def traces(name):
    """All that bears an application's name on the host."""
    places = "/srv /etc /run /var/log /var/lib /usr/local /opt"
    return sh(f"find {places} -xdev -path /run/docker -prune -o -name '*{name}*' -print 2>/dev/null; true").split()


def texts(folder):
    """An INI inventory with every boolean of the roles, which gives it as text, as its default."""
    lines = []
    for path in sorted(SPECS.glob("*/meta/argument_specs.yml")):
        options = yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
        for name, option in options.items():
            if option.get("type") == "bool" and name not in ("publish_prune", "publish_replace"):
                lines.append(f"{name}={'true' if option['default'] else 'no'}")
    file = folder / "texts.ini"
    file.write_text("\n".join(["[all:vars]", *lines, "publish_prune=false", "publish_timeout=60", ""]))
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("apps")


@pytest.fixture(scope="module")
def stays(folder):
    return plain(folder, "lcstays")


@pytest.fixture(scope="module")
def dropped(folder, stays):
    """An application that a set has, then is told to keep by a text, and then drops."""
    goes = plain(folder, "lcgoes")
    status, said = play([{**stays, "instances": 2}, goes], sites(stays, goes))
    assert status == 0, said
    return goes


def test_a_text_false_of_an_ini_inventory_keeps_what_the_set_names_no_more(folder, stays, dropped):
    status, said = play([{**stays, "instances": 2}], sites(stays), [f"--inventory={texts(folder)}"])
    assert status == 0, said
    assert [get(f"{name}.test")[0] for name in ("lcstays", "lcgoes")] == [200, 200]
    assert "taken off now" not in said


def test_what_goes_is_said_before_it_goes_and_leaves_no_empty_folder(stays, dropped):
    status, said = play([stays], sites(stays), ["--check"])
    assert status == 0, said
    told = "has application lcgoes, site lcgoes.test, which this play does not name"
    assert told in " ".join(said.split())
    assert get("lcgoes.test")[0] == 200
    put("/etc/systemd/system/uwsgi@lcgoes.service.d/override.conf", "[Service]\nNice=5\n")
    status, said = play([stays], sites(stays))
    assert status == 0, said
    assert told in " ".join(said.split())
    assert sh("systemctl list-units --all --plain --no-legend 'uwsgi@lcgoes*'") == ""
    # Code and logs are what the role's variable is for, and what somebody else has put there is his.
    assert [path for path in traces("lcgoes") if "/taken-over/" not in path] == [
        "/srv/wsgi/lcgoes",
        "/etc/systemd/system/uwsgi@lcgoes.service.d",
        "/var/log/uwsgi/lcgoes",
    ]
    assert sh("find /etc /run -name '*lcstays-[12]*'") == ""
    sh("rm -r /etc/systemd/system/uwsgi@lcgoes.service.d")


def test_a_first_run_that_fails_leaves_nothing_and_the_next_one_converges(folder, stays, dropped):
    broken = plain(folder, "lcbroken", "import nothing_of_this_name\n", log="/var/log/lcbroken.log")
    whole = plain(folder, "lcwhole")
    sh("mkdir -p /srv/wsgi/lcwhole/shared /srv/wsgi/nobodys/releases/1 && echo kept > /srv/wsgi/lcwhole/shared/data")
    status, said = play([stays, broken, whole], sites(stays, broken, whole))
    assert status == 2 and "nothing_of_this_name" in said, said
    assert traces("lcbroken") == []
    assert traces("lcwhole") == ["/srv/wsgi/lcwhole"]
    assert sh("find /srv/wsgi/lcwhole -type f -o -type l") == "/srv/wsgi/lcwhole/shared/data\n"
    assert get("lcstays.test")[0] == 200
    mended = plain(folder, "lcbroken", CODE % "mended", log="/var/log/lcbroken.log")
    # What an earlier run has dropped goes now, what nobody knows is told, and another set's stays.
    apps = [stays, mended, whole]
    status, said = play(apps, sites(*apps), publish_prune_data="yes")
    assert status == 0, said
    assert [get(f"{app['name']}.test") for app in apps] == [(200, "lcstays"), (200, "mended"), (200, "lcwhole")]
    assert traces("lcgoes") == []
    assert "publish_prune_data: /srv/wsgi/nobodys stays" in " ".join(said.split())
    assert get("base.test")[0] == 200
    sh("rm -r /srv/wsgi/nobodys")
