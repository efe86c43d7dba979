"""A host that an earlier version published, its applications sharing an account, is taken over under load."""

import json
import os
import subprocess
import tarfile
from pathlib import Path

import publishing
import pytest
from load import Load
from one_host import sh

HOST = os.environ.get("UPGRADE_HOST", "graceful-upgrade")
PREVIOUS = Path(publishing.CHECKOUT) / "tests/previous/77ade39.tar.gz"
CODE = {"source": str(publishing.WHOAMI), "module": "manage", "requirements": "requirements.txt"}
APPS = [
    {"name": "shop", **CODE},
    {"name": "many", "instances": 2, "log": "project", **CODE},
    # Its own account stays as it is.
    {"name": "alices", "user": "alice", "config_format": "yaml", **CODE},
]
SITES = [
    {
        "server_name": ["shop.test"],
        "locations": [{"path": "/", "app": "shop"}, {"path": "/static/", "app": "shop", "static": "."}],
    },
    {"server_name": ["many.test"], "locations": [{"path": "/", "app": "many"}]},
    {"server_name": ["alices.test"], "locations": [{"path": "/", "app": "alices"}]},
]


def published(checkout, apps=APPS):
    """Publish with this checkout of the collection; status and what was said."""
    given = {
        "publish_set": "moved",
        "publish_apps": apps,
        "publish_sites": SITES,
        "ansible_user": "root",
        "ansible_python_interpreter": "/usr/bin/python3",
        "uwsgi_pip_ca_bundle": "/etc/ssl/certs/ca-certificates.crt",
        **json.loads(subprocess.check_output([f"{publishing.CHECKOUT}/tests/images/sources", "1.26.3"], text=True)),
    }
    words = ["ansible-playbook", "-i", f"{HOST},", "-c", "community.docker.docker", "-e", json.dumps(given)]
    settings = publishing.environment(ANSIBLE_CONFIG=f"{checkout}/ansible.cfg")
    # Nothing of the version that is tested is found before the one that is asked for.
    settings["ANSIBLE_COLLECTIONS_PATH"] = f"{checkout}/.collections"
    ran = subprocess.run(
        [*words, "playbooks/site.yml"], cwd=checkout, env=settings, capture_output=True, text=True, check=False
    )
    return ran.returncode, ran.stdout + ran.stderr


@pytest.fixture(scope="module", autouse=True)
def upgraded(tmp_path_factory):
    """The host, as the earlier version leaves it."""
    checkout = tmp_path_factory.mktemp("previous")
    with tarfile.open(PREVIOUS) as archive:
        archive.extractall(checkout, filter="data")
    link = checkout / ".collections/ansible_collections/graceful/wsgi"
    link.parent.mkdir(parents=True)
    link.symlink_to(checkout)
    (checkout / "ansible.cfg").write_text("[defaults]\n")
    subprocess.run([f"{publishing.CHECKOUT}/tests/images/host", HOST, "built"], check=True)
    try:
        sh("useradd -m alice", host=HOST)
        status, said = published(checkout)
        assert status == 0, said
        yield
    finally:
        if not os.environ.get("UPGRADE_KEEP"):
            subprocess.run(["docker", "rm", "-f", HOST], check=False, capture_output=True)


def owner(path):
    return sh(f"stat -c %U {path}", host=HOST).strip()


def status_of(path="/", name="shop.test"):
    ask = (
        "import http.client; c = http.client.HTTPConnection('127.0.0.1')\n"
        f"c.request('GET', '{path}', headers={{'Host': '{name}'}}); print(c.getresponse().status)"
    )
    return sh(f'python3 -c "{ask}"', host=HOST).strip()


def test_a_takeover_that_fails_leaves_all_as_it_was():
    # What loads the code before it goes live has another name.
    only_next = "/bin/sh -c 'case %i in *@next) exit 1;; esac'"
    broken = [{**item, "service_options": {"ExecStartPre": only_next}} for item in APPS]
    status, said = published(publishing.CHECKOUT, broken)
    assert status != 0 and "no start with the new settings of" in said, said
    for name in ("shop.test", "many.test", "alices.test"):
        assert status_of(name=name) == "200"
    assert owner("/var/log/uwsgi/shop/server.log") == owner("/srv/wsgi/many/logs") == "wsgi"
    assert owner("/proc/$(systemctl show -p MainPID --value uwsgi@shop)") == "wsgi"


def test_a_host_published_before_is_taken_over_and_loses_no_request():
    assert owner("/var/log/uwsgi/shop/server.log") == owner("/srv/wsgi/many/logs") == "wsgi"
    sh("echo former > /var/log/uwsgi/shop/server.log.1; chown wsgi: /var/log/uwsgi/shop/server.log.1", host=HOST)
    # Nothing of what the shared account could have put there is taken for a log.
    sh("ln -s /etc/passwd /var/log/uwsgi/shop/server.log.2", host=HOST)
    sh("su -s /bin/sh wsgi -c 'ln -s /etc/shadow /var/log/uwsgi/shop/server.log.3'", host=HOST)
    address = json.loads(subprocess.check_output(["docker", "inspect", HOST]))[0]["NetworkSettings"]["Networks"]
    address = next(iter(address.values()))["IPAddress"]
    loads = [
        Load(address, host=name, clients=2, rate=30, reopen=True) for name in ("shop.test", "many.test", "alices.test")
    ]
    for load in loads:
        load.start()
    try:
        status, said = published(publishing.CHECKOUT)
    finally:
        for load in loads:
            load.finish()
    assert status == 0, said
    assert [load.failures for load in loads] == [[], [], []]
    assert all(len(load.requests) > 100 for load in loads)
    # Each has an account, and its logs with it.
    for path, user in {
        "/var/log/uwsgi/shop": "wsgi-shop",
        "/var/log/uwsgi/shop/server.log": "wsgi-shop",
        "/var/log/uwsgi/shop/server.log.1": "wsgi-shop",
        "/srv/wsgi/many/logs": "wsgi-many",
        "/srv/wsgi/many/logs/server-2.log": "wsgi-many",
        "/etc/shadow": "root",
        "/etc/passwd": "root",
    }.items():
        assert owner(path) == user, path
    for unit, user in {"shop": "wsgi-shop", "many-1": "wsgi-many", "alices": "alice"}.items():
        assert owner(f"/proc/$(systemctl show -p MainPID --value uwsgi@{unit})") == user
    # Nobody else reads the code that was open until now; nginx does.
    told = sh("su -s /bin/sh alice -c 'cat /srv/wsgi/shop/current/manage.py'", host=HOST, check=False)
    assert "Permission denied" in told
    assert status_of("/static/manage.py") == "200"


def test_the_next_run_changes_nothing():
    status, said = published(publishing.CHECKOUT)
    assert status == 0 and "changed=0 " in said, said
