"""graceful.wsgi.status: a page and JSON that are true, of a host with what is well and what is not; nothing changes."""

import json
import re

import pytest
from one_host import HOST, app, get, play, sh, site

NAMES = ["well", "ill"]


def certificate(name, days):
    words = f"-subj /CN={name}.test -addext subjectAltName=DNS:{name}.test"
    sh(f"openssl req -x509 -newkey rsa:2048 -nodes -days {days} {words}"
       f" -keyout /etc/ssl/{name}.key -out /etc/ssl/{name}.pem 2>&1")
    return {"certificate": f"/etc/ssl/{name}.pem", "key": f"/etc/ssl/{name}.key", "redirect": False}


@pytest.fixture(scope="module", autouse=True)
def published():
    apps = [app("well", processes=3, log="journal"), app("ill")]
    folder = {"path": "/files/", "static": "/srv/files"}
    sites = [
        site("well.test", "well", tls=certificate("well", 90)),
        {**site("ill.test", "ill", tls=certificate("ill", 5)), "locations": [{"path": "/", "app": "ill"}, folder]},
    ]
    sh("mkdir -p /srv/files")
    status, said = play(apps, sites)
    assert status == 0, said
    yield {"apps": apps, "sites": sites}
    play(words=["-e", "remove_apps=well,ill", "-e", "remove_data=true"], playbook="playbooks/remove.yml")


def look(tmp_path, *words):
    """(what the play said, what it wrote)."""
    file = tmp_path / "status.json"
    status, said = play(words=["-e", f"status_file={file}", *words], playbook="playbooks/status.yml")
    assert status == 0 and re.search(r"changed=0 ", said), said
    return said, json.loads(file.read_text())[HOST]


def named(items, name):
    return next(item for item in items if item["name"] == name)


def taken(path):
    """Bytes, as du counts them."""
    return int(sh(f"du -skx {path}").split()[0]) * 1024


def stats(name):
    ask = "import socket as s, sys; c = s.socket(s.AF_UNIX); c.connect(sys.argv[1]); print(c.makefile().read())"
    return json.loads(sh(f"python3 -c '{ask}' /run/uwsgi-{name}/stats"))


def test_what_is_well_is_told_as_systemd_uwsgi_and_du_tell_it(tmp_path):
    for _number in range(7):
        assert get("well.test")[0] == 200
    said, found = look(tmp_path)
    well = named(found["applications"], "well")
    assert well["release"]["id"] == sh("basename $(readlink /srv/wsgi/well/current)").strip()
    [one] = well["instances"]
    shown = dict(line.split("=", 1) for line in sh("systemctl show uwsgi@well.service").splitlines() if "=" in line)
    assert [one["unit"], one["state"], str(one["restarts"])] == ["uwsgi@well.service", "active", shown["NRestarts"]]
    said_since = int(sh("date -d \"$(systemctl show -p ActiveEnterTimestamp --value uwsgi@well)\" +%s"))
    assert abs(one["since"] - said_since) < 2
    told = stats("well")
    assert one["workers"] == len(told["workers"]) == 3 and one["busy"] == 0
    assert one["requests"] == sum(worker["requests"] for worker in told["workers"]) >= 7
    assert well["disk"]["releases"] == taken("/srv/wsgi/well/releases")
    assert found["disk"]["uwsgi_homes"] == taken("/opt/uwsgi")
    assert found["disk"]["nginx_artifacts"] == taken("/var/lib/graceful-wsgi/nginx/artifacts")
    of = named(found["sites"], "well.test")
    assert of["leads"] == [{"path": "/", "to": "application well"}] and of["last_hour"]["errors"] == 0
    assert of["last_hour"]["requests"] == int(sh("wc -l < /var/log/nginx/well.test.access.log")) >= 7
    assert of["certificates"][0]["days_left"] == 89 and of["certificates"][0]["names"] == ["well.test"]
    assert "folder /srv/files/" in [lead["to"] for lead in named(found["sites"], "ill.test")["leads"]]
    # Of all that, nothing is anything to look at but the one certificate.
    assert found["touched"] == [] and found["nginx"]["unread"] == []
    assert [line for line in found["attention"] if "well" in line] == []
    assert '"    / -> application well",' in said and "3 workers, 0 busy" in said


def test_what_is_ill_stands_first(tmp_path):
    sh("systemctl stop uwsgi@ill.service")
    sh("echo '# mine' >> /etc/uwsgi/ill.ini")
    sh("mkdir -p /etc/nginx/maintenance && touch /etc/nginx/maintenance/well")
    try:
        assert get("ill.test")[0] == 502
        said, found = look(tmp_path)
    finally:
        sh("rm /etc/nginx/maintenance/well; sed -i '$d' /etc/uwsgi/ill.ini; systemctl start uwsgi@ill.service")
    ill = named(found["applications"], "ill")["instances"][0]
    assert ill["state"] == "inactive" and ill["requests"] is None and ill["workers"] == 0
    assert "application ill: uwsgi@ill.service is inactive" in found["attention"]
    assert "site ill.test: certificate /etc/ssl/ill.pem ends in 4 days" in found["attention"]
    assert "/etc/uwsgi/ill.ini was edited by hand" in found["attention"]
    assert "application well is in maintenance" in found["attention"]
    assert {"path": "/etc/uwsgi/ill.ini", "bundle": "publish-trial-apps", "state": "edited"} in found["touched"]
    assert named(found["sites"], "ill.test")["last_hour"]["errors"] >= 1
    assert named(found["sites"], "well.test")["maintenance"] == ["well"]
    for line in ("LOOK: application ill: uwsgi@ill.service is inactive", "(MAINTENANCE, answers 503)"):
        assert line in said, said


def test_the_format_is_json_where_it_is_asked_for_and_no_other_word(tmp_path):
    said, found = look(tmp_path, "-e", "status_format=json")
    assert '"attention": [' in said and f'"host": "{found["host"]}"' in said
    status, said = play(words=["-e", "status_format=xml"], playbook="playbooks/status.yml")
    assert status != 0 and "status_format: 'xml' is not known; write text or json" in said


def test_no_link_of_an_application_is_followed(tmp_path):
    """What an account puts into its own folders is counted as what it is, and shows nothing of others'."""
    sh("mkdir -p /srv/wsgi/well/shared && chown wsgi-well: /srv/wsgi/well/shared 2>/dev/null || true")
    sh("cd /srv/wsgi/well/shared && ln -sfn /usr usr && mkdir -p a/b/c && echo x > a/f && ln -f a/f a/again")
    _said, found = look(tmp_path)
    assert named(found["applications"], "well")["disk"]["shared"] == taken("/srv/wsgi/well/shared")
