"""A play takes what it was told at its word, says what goes before it goes, and leaves nothing half-made behind."""

import json
import pathlib

import publishing
import pytest
import yaml
from one_host import HOST, get, play, put, sh, site

CODE = """def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%s"]
"""
# What each of uWSGI's languages can hold of a placeholder, asked of uWSGI itself; the rest is refused (unit tests).
VALUES = {
    "xml": ["a & b < c > d", "http://h/x?a=1&b=2", "x # y;z", "\u00e9 \u4e2d & x", "'q\"", "a]b", "a]]b"],
    "ini": ["a & b < c", "x # y;z", "a]]>b&", "\u00e9 \u2028 x", "a=b", "x'"],
    "json": ["a & b < c", "x # y;z", "a]]>b&", "\u00e9 \u2028 x", "a=b", "\\"],
    "yaml": ["a & b < c: d", "x;z", "a]]>b&", "\u00e9 x", "a=b", "- {y}"],
}
TELLS = """import json, uwsgi

def application(environ, start_response):
    start_response("200 OK", [])
    return [json.dumps(dict((name, uwsgi.opt[name].decode("utf-8")) for name in %r)).encode()]
"""
# Options of text that mean nothing to the application.
NAMES = [
    "procname-append",
    "set-ph",
    "set-placeholder",
    "static-index",
    "static-skip-ext",
    "snmp-community",
    "error-page-404",
]
EMPEROR = """set -e
cd /srv/lcreign
id lcvassal >/dev/null 2>&1 || useradd --system lcvassal
mkdir -p run code && mv plain.py code/
chown -R lcvassal:lcvassal run vassals
/opt/uwsgi/current/bin/uwsgi --ini emperor.ini >/dev/null 2>&1 </dev/null &
for i in $(seq 100); do [ -S run/one.stats ] && [ -S run/two.stats ] && break; sleep 0.1; done; sleep 0.5
"""
VASSAL = """[uwsgi]
master = true
lazy-apps = true
chdir = /srv/lcreign/code
module = plain
socket = /srv/lcreign/run/{0}.sock
safe-pidfile = /srv/lcreign/run/{0}.pid
stats = /srv/lcreign/run/{0}.stats
"""
SPECS = pathlib.Path(publishing.CHECKOUT) / "roles"


def plain(folder, name, text=None, **more):
    """An application without requirements, so that no virtualenv has to be filled."""
    code = folder / name
    code.mkdir(exist_ok=True)
    (code / "plain.py").write_text(text or CODE % name)
    return {"name": name, "source": str(code), "module": "plain", "callable": "application", **more}


def options(kind):
    return {name: f"k={value}" for name, value in zip(NAMES, VALUES[kind], strict=False)}


def sites(*apps):
    return [site(f"{app['name']}.test", app["name"]) for app in apps]


def traces(name):
    """All that bears an application's name on the host, but for the logs of its site, which are nginx's."""
    places = "/srv /etc /run /var/log /var/lib /usr/local /opt"
    return sh(f"find {places} -xdev -path /var/log/nginx -prune -o -name '*{name}*' -print 2>/dev/null; true").split()


def texts(folder):
    """An INI inventory with every boolean of the roles, which gives it as text, as its default."""
    lines = []
    for path in sorted(SPECS.glob("*/meta/argument_specs.yml")):
        options = yaml.safe_load(path.read_text())["argument_specs"]["variables"]["options"]
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
    told = [
        # Not all options are the preflight's too, which would ask for them.
        plain(folder, f"lc{kind}", TELLS % sorted(told), config_format=kind, options=told, probe=False)
        for kind, told in ((kind, options(kind)) for kind in VALUES)
    ]
    apps = [{**stays, "instances": 2}, goes, *told]
    status, said = play(apps, sites(*apps))
    assert status == 0, said
    return goes


@pytest.mark.parametrize("kind", sorted(VALUES))
def test_a_value_reaches_uwsgi_whole_in_each_of_its_languages(dropped, kind):
    assert json.loads(get(f"lc{kind}.test")[1]) == options(kind)


def test_a_text_false_of_an_ini_inventory_keeps_what_the_set_names_no_more(folder, stays, dropped):
    status, said = play([{**stays, "instances": 2}], sites(stays), [f"--inventory={texts(folder)}"])
    assert status == 0, said
    assert [get(f"{name}.test")[0] for name in ("lcstays", "lcgoes")] == [200, 200]
    assert "taken off now" not in said


def test_what_goes_is_said_before_it_goes_and_leaves_no_empty_folder(stays, dropped):
    status, said = play([stays], sites(stays), ["--check"])
    assert status == 0, said
    told = ("application lcgoes, ", "site lcgoes.test, ", "which this play does not name: taken off now.")
    assert all(words in " ".join(said.split()) for words in told)
    assert get("lcgoes.test")[0] == 200
    put("/etc/systemd/system/uwsgi@lcgoes.service.d/override.conf", "[Service]\nNice=5\n")
    status, said = play([stays], sites(stays))
    assert status == 0, said
    assert all(words in " ".join(said.split()) for words in told)
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
    # Why it failed is kept for the history.
    assert traces("lcbroken") == ["/var/lib/graceful-wsgi/never-live/lcbroken.json"]
    assert [path for path in traces("lcwhole") if "/never-live/" not in path] == ["/srv/wsgi/lcwhole"]
    assert sh("find /srv/wsgi/lcwhole -type f -o -type l") == "/srv/wsgi/lcwhole/shared/data\n"
    assert get("lcstays.test")[0] == 200
    mended = plain(folder, "lcbroken", CODE % "mended", log="/var/log/lcbroken.log")
    # What an earlier run has dropped goes now, what nobody knows is told, another set's stays, and what is published
    # again has another account, which gets the logs that the former one has left.
    again = {**plain(folder, "lcini"), "user": "wsgi-lcother"}
    apps = [stays, mended, whole, again]
    assert sh("stat -c %U /var/log/uwsgi/lcini /var/log/uwsgi/lcini/server.log") == "wsgi-lcini\n" * 2
    status, said = play(apps, sites(*apps), publish_prune_data="yes")
    assert status == 0, said
    shown = [get(f"{app['name']}.test") for app in apps]
    assert shown == [(200, "lcstays"), (200, "mended"), (200, "lcwhole"), (200, "lcini")]
    assert sh("stat -c %U /var/log/uwsgi/lcini /var/log/uwsgi/lcini/server.log") == "wsgi-lcother\n" * 2
    assert traces("lcgoes") == []
    assert "publish_prune_data: /srv/wsgi/nobodys stays" in " ".join(said.split())
    assert get("base.test")[0] == 200
    sh("rm -r /srv/wsgi/nobodys")


def reload(pidfile, *more):
    """What uwsgi_reload says, as the text that a task prints."""
    words = " ".join([f"pidfile=/srv/lcreign/run/{pidfile}.pid", *more])
    status, said = publishing.ansible("ansible", HOST, "-m", "graceful.wsgi.uwsgi_reload", "-a", words)
    return status, " ".join(said.split())


def test_an_emperor_is_left_alone_and_its_vassal_is_reloaded_by_its_own_pidfile():
    put("/srv/lcreign/emperor.ini", "[uwsgi]\nemperor = vassals\nemperor-tyrant = true\nmaster = true\n")
    sh("echo 'safe-pidfile = /srv/lcreign/run/emperor.pid' >> /srv/lcreign/emperor.ini")
    put("/srv/lcreign/plain.py", CODE % "vassal")
    for name in ("one", "two"):
        put(f"/srv/lcreign/vassals/{name}.ini", VASSAL.format(name))
    sh(EMPEROR)
    try:
        pids = sh("cat /srv/lcreign/run/one.pid /srv/lcreign/run/two.pid")
        for more in ([], ["preflight=false"], ["strategy=stop"]):
            status, said = reload("emperor", *more)
            assert status and "which is an emperor" in said and "two.ini" in said and '"changed": false' in said, said
        assert sh("cat /srv/lcreign/run/one.pid /srv/lcreign/run/two.pid") == pids
        status, said = reload("one", 'probe=\'{"path": "/"}\'')
        assert status == 0 and '"changed": true' in said and "answered 200" in said, said
        assert sh("cat /srv/lcreign/run/one.pid /srv/lcreign/run/two.pid") == pids
    finally:
        sh("kill -INT $(cat /srv/lcreign/run/emperor.pid); sleep 1; rm -rf /srv/lcreign")
