"""What a run asks a host that has everything, who holds the lock of a set meanwhile, hosts without an application."""

import json
import re
import time

import pytest
from one_host import HOST, get, play, put, sh, site

CODE = """\
def app(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [{text!r}.encode()]
"""
LOCKS = "/run/graceful-wsgi/plays"
# The way of a deploy on which tasks of a user's own reload the application.
RELOAD = """\
- name: Reload as a part of the deploy
  ansible.builtin.include_role:
    name: graceful.wsgi.publish
    tasks_from: reload
- name: See who holds the lock
  ansible.builtin.command: cat /run/graceful-wsgi/plays/set-trial.json
  changed_when: false
"""
# One module answers for nginx, uWSGI and the applications.
ASKED = ["setup", "host_info", "host_info", "host_info"]


class Trial:
    def __init__(self, folder):
        self.folder = folder
        self.apps, self.sites = [self.app("quiet")], [site("quiet.test", "quiet")]

    def app(self, name):
        code = self.folder / name
        code.mkdir(exist_ok=True)
        (code / "manage.py").write_text(CODE.format(text="one"))
        return {"name": name, "source": str(code), "module": "manage", "requirements": []}

    def write(self, text):
        (self.folder / "quiet/manage.py").write_text(text if "\n" in text else CODE.format(text=text))

    def book(self, name, *words, more=(), **variables):
        extra = [word for one in words for word in ("-e", one)]
        given = {"apps": self.apps, "sites": self.sites, **variables}
        return play(given.pop("apps"), given.pop("sites"), [*extra, *more], f"playbooks/{name}.yml", **given)


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    made = Trial(tmp_path_factory.mktemp("quiet"))
    status, said = made.book("site")
    assert status == 0, said
    made.write("two")
    status, said = made.book("site")
    assert status == 0, said
    yield made
    play(playbook="playbooks/remove.yml", remove_apps=["quiet"], remove_data=True)


def called(said):
    """The modules that ran on the host, in their order."""
    return re.findall(r"Using module file \S+/(\w+)\.py", said)


def locks():
    return sh(f"ls {LOCKS} 2>/dev/null || true").replace("lock", "").split()


def test_a_run_that_changes_nothing_asks_each_role_once_and_holds_no_lock(trial):
    status, said = trial.book("site", more=["-vvv"])
    assert status == 0 and "changed=0" in said and called(said) == ASKED, (called(said), said)
    assert locks() == []
    # The files are compared all the same, and sites are asked.
    put("/etc/nginx/conf.d/quiet.test.conf", "# by hand\n")
    status, said = trial.book("site", publish_take_over=True)
    assert status == 0 and "changed=0" not in said and get("quiet.test") == (200, "two"), said
    assert locks() == []


def test_a_run_that_changes_nothing_says_what_is_broken(trial):
    path = sh("readlink -f /srv/wsgi/quiet/current").strip()
    sh(f"cp -p {path}/manage.py /var/tmp/manage.py; echo 'raise SystemExit(1)' > {path}/manage.py")
    sh("systemctl restart uwsgi@quiet.service || true")
    status, said = trial.book("site")
    sh(f"cp -p /var/tmp/manage.py {path}/manage.py; systemctl restart uwsgi@quiet.service")
    assert status == 2, said
    assert locks() == []


def test_what_runs_within_a_deploy_does_not_give_its_lock_away(trial):
    (trial.folder / "reload.yml").write_text(RELOAD)
    trial.write("three")
    hooks = {"publish_before_switch": [str(trial.folder / "reload.yml")]}
    status, said = trial.book("site", **hooks)
    assert status == 0 and get("quiet.test") == (200, "three"), said
    assert locks() == []


def test_sites_without_applications_heed_the_lock_of_their_set(trial):
    note = {"machine": "elsewhere", "pid": 1, "started": "1", "by": "eve@elsewhere", "set": "trial-sites"}
    path = f"{LOCKS}/set-trial-sites.json"
    put(path, json.dumps({**note, "since": time.time(), "renewed": time.time()}))
    static = {"server_name": ["static.test"], "locations": [{"path": "/", "return": "204"}]}
    given = {"apps": [], "sites": [static], "publish_set": "trial-sites"}
    status, said = trial.book("site", **given)
    sh(f"rm {path}")
    assert status == 2 and "another run works on the set trial-sites of this host: eve@elsewhere" in said, said
    assert "changed=0" in said and "static.test" not in sh("ls /etc/nginx/conf.d")
    status, said = trial.book("site", **given)
    assert status == 0 and get("static.test")[0] == 204, said
    status, said = trial.book("site", more=["-vvv"], **given)
    assert status == 0 and "changed=0" in said and called(said) == ASKED and locks() == [], said
    assert play(playbook="playbooks/remove.yml", remove_set="trial-sites")[0] == 0


@pytest.fixture
def bare(trial):
    """Words that add a host to the play which has none of the applications."""
    path = trial.folder / "bare.yml"
    path.write_text(json.dumps({"all": {"hosts": {"bare": {"ansible_host": HOST, "is_bare": True}}}}))
    return [f"--inventory={path}"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("history", ["app=quiet"]),
        ("maintenance", ["app=quiet", "state=off"]),
        ("rollback", ["app=quiet"]),
    ],
)
def test_a_host_without_the_application_is_left_out(trial, bare, name, words):
    given = {"all_apps": trial.apps, "all_sites": trial.sites, "ansible_connection": "community.docker.docker"}
    given |= {"publish_apps": "{{ [] if is_bare | default(false) else all_apps }}"}
    given |= {"publish_set": "{{ 'b' if is_bare | default(false) else 'trial' }}"}
    given |= {"publish_sites": "{{ [] if is_bare | default(false) else all_sites }}"}
    status, said = trial.book(name, *words, more=[*bare, f"--limit={HOST},bare"], **given)
    assert status == 0 and "bare has no application quiet; it is left out" in said, said
    status, said = trial.book(name, words[0].replace("quiet", "quite"), *words[1:])
    told = "app=quite: there is no such application on any host of this play; name one of quiet."
    assert status == 2 and told in " ".join(said.split()) and "changed=0" in said, said


def test_one_that_was_never_live_does_not_keep_another_from_going_back(trial):
    status, said = trial.book("site")
    assert status == 0, said
    other = {"apps": [*trial.apps, trial.app("never")], "sites": [*trial.sites, site("never.test", "never")]}
    status, said = trial.book("rollback", "app=quiet", more=["--check"], **other)
    assert status == 0 and "quiet would go back to the release" in " ".join(said.split()), said
    status, said = trial.book("rollback", "app=quiet", **other)
    assert status == 0 and "never: no release of it is live on this host" in said, said
    assert "quiet is back at the release" in " ".join(said.split()) and get("quiet.test") == (200, "two"), said
    assert "never" not in sh("ls /etc/nginx/conf.d /etc/uwsgi /srv/wsgi")


def test_why_a_first_run_failed_stands_in_the_history(trial):
    apps = [*trial.apps, trial.app("first")]
    (trial.folder / "first/manage.py").write_text("import nowhere_to_be_found\n")
    given = {"apps": apps, "sites": [*trial.sites, site("first.test", "first")]}
    status, said = trial.book("site", **given)
    assert status == 2 and "first was not published" in said, said
    assert "first" not in sh("ls /srv/wsgi")
    said = trial.book("history", "app=first", **given)[1]
    assert "failed (verify):" in said and "nowhere_to_be_found" in said, said
