"""A Flask application from PyPI without code of its own, and what code needs where nobody says it; under requests."""

import json
import re
import subprocess

import publishing
import pytest
import yaml
from one_host import HOST, get, play, put, sh, site

GUIDE = publishing.CHECKOUT / "docs/guide"
CODE = """\
try:
    import bottle
    FOUND = "bottle " + bottle.__version__
except ImportError:
    FOUND = "no bottle"
def app(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [FOUND.encode()]
"""
# Asks again and again until its own file is gone, and tells how many answers were none.
LOAD = """\
import http.client, json, os, sys, threading, time
good, bad, lock = {}, [], threading.Lock()
def ask(name, path):
    while os.path.exists("/var/tmp/ask.py"):
        try:
            c = http.client.HTTPConnection("127.0.0.1", 80, timeout=20)
            c.request("GET", path, headers={"Host": name})
            a = c.getresponse()
            a.read()
            with lock:
                good[name] = good.get(name, 0) + (a.status == 200)
                bad.extend([[name, a.status]] if a.status != 200 else [])
        except Exception as error:
            with lock:
                bad.append([name, repr(error)])
        time.sleep(0.02)
asked = [word.split("=") for word in sys.argv[1:]] * 2
threads = [threading.Thread(target=ask, args=one) for one in asked]
[t.start() for t in threads]
[t.join() for t in threads]
open("/var/tmp/ask.json", "w").write(json.dumps([good, bad]))
"""


class Load:
    """Requests for pages (name=path) while it is open; none of them fails."""

    def __init__(self, *pages):
        self.pages = pages

    def __enter__(self):
        put("/var/tmp/ask.py", LOAD)
        sh(f"nohup python3 /var/tmp/ask.py {' '.join(self.pages)} > /var/tmp/ask.log 2>&1 &")

    def __exit__(self, kind, *_more):
        sh("rm -f /var/tmp/ask.py /var/tmp/ask.json; while ! test -s /var/tmp/ask.json; do sleep 0.2; done")
        if kind is None:
            good, bad = json.loads(sh("cat /var/tmp/ask.json"))
            assert bad == [] and all(good[page.partition("=")[0]] > 20 for page in self.pages), (good, bad)


def recipe(page):
    """The variables of the inventory that a page of the guide shows, as they stand there."""
    text = (GUIDE / page).read_text()
    return yaml.safe_load(re.search(r"^```yaml\n(all:\n.*?)^```", text, re.DOTALL | re.MULTILINE)[1])["all"]["vars"]


def live(name):
    """(the live release, its virtualenv)."""
    told = sh(f"cd /srv/wsgi/{name} && readlink current; readlink current/.venv || true")
    release, _line, venv = told.partition("\n")
    return release.rpartition("/")[2], venv.strip()


@pytest.fixture(scope="module", autouse=True)
def _gone():
    yield
    names = ["echo", "shop", "bare", "fetched"]
    play(playbook="playbooks/remove.yml", remove_apps=names, remove_data=True)


def publish(given, words=(), **more):
    return play(given["publish_apps"], given["publish_sites"], words, publish_prune=False, **more)


def test_package_of_the_guide_is_published_renewed_and_taken_back_without_a_lost_request():
    given = recipe("pypi-package.md")
    status, said = publish(given)
    assert status == 0, said
    code, text = get("echo.example.com", "/get?x=1")
    assert code == 200 and json.loads(text)["args"] == {"x": "1"}
    first = live("echo")
    assert sh("ls -A /srv/wsgi/echo/current/").split() == [".venv"] and first[1]
    again = publish(given)[1]
    assert "changed=0" in again, again
    app = given["publish_apps"][0]
    newer = {**given, "publish_apps": [{**app, "requirements": ["httpbin==0.10.2", "six==1.17.0"]}]}
    broken = {**given, "publish_apps": [{**app, "requirements": ["httpbin==0.0.0.1"]}]}
    with Load("echo.example.com=/status/200"):
        status, said = publish(newer)
        assert status == 0, said
        second = live("echo")
        assert second[0] != first[0] and second[1] != first[1]
        assert publish(broken)[0] == 2 and live("echo") == second
        status, said = publish(newer, ["-e", "app=echo"], playbook="playbooks/rollback.yml")
        assert status == 0 and live("echo") == first, said
    said = publish(given, ["-e", "app=echo"], playbook="playbooks/history.yml")[1]
    rows = {line.split()[0]: line for line in said.splitlines() if "httpbin==" in line and line.startswith("  ")}
    assert "live" in rows[first[0]] and "earlier" in rows[second[0]]
    assert any("failed" in row and "httpbin==0.0.0.1" in row for row in rows.values()), said


def test_nothing_at_all_is_refused_before_anything_changes():
    status, said = play([{"name": "none", "module": "x"}], [site("none.test", "none")], publish_prune=False)
    assert status == 2 and "nothing says where its code is" in said and "as a list of requirements" in said
    assert "changed=0" in said


def test_code_says_what_it_needs_where_nobody_does(tmp_path):
    given = recipe("requirements.md")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/manage.py").write_text(CODE)
    app = {**given["publish_apps"][0], "source": str(tmp_path / "shop")}
    # As it was published before this was the default.
    status, said = publish({**given, "publish_apps": [{**app, "requirements": []}]})
    assert status == 0 and get("shop.example.com") == (200, "no bottle"), said
    before = live("shop")
    assert before[1] == ""
    given = {**given, "publish_apps": [app]}
    with Load("shop.example.com=/"):
        status, said = publish(given)
        assert status == 0 and live("shop") == before and "shop: none of uv.lock" in said, said
        (tmp_path / "shop/requirements.txt").write_text("bottle==0.13.4\n")
        status, said = publish(given)
        assert status == 0 and get("shop.example.com") == (200, "bottle 0.13.4"), said
        # Back to the release that has no virtualenv, while the code says that it wants one.
        status, said = publish(given, ["-e", "app=shop"], playbook="playbooks/rollback.yml")
        assert status == 0 and live("shop") == before and get("shop.example.com") == (200, "no bottle"), said
        (tmp_path / "shop/uv.lock").write_text("no lock")
        status, said = publish(given)
        assert status == 0 and "shop: uv.lock cannot be read" in said and "requirements: []" in said, said
        assert publish({**given, "publish_apps": [{**app, "requirements": "auto"}]})[0] == 2


def test_repository_without_requirements_keeps_its_release(tmp_path):
    # The host may have no git yet.
    (tmp_path / "manage.py").write_text(CODE)
    by = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q", "."], ["add", "."], [*by, "commit", "-qm", "one"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    sh("rm -rf /srv/git/fetched && mkdir -p /srv/git/fetched")
    subprocess.run(["docker", "cp", "-q", f"{tmp_path}/.", f"{HOST}:/srv/git/fetched"], check=True)
    sh("chown -R root:root /srv/git/fetched && chmod -R a+rX /srv/git/fetched")
    app = {"name": "fetched", "repo": "/srv/git/fetched", "module": "manage"}
    app.update(writable=["made"], before_live=["touch made/it"])
    sites = [site("fetched.test", "fetched")]
    status, said = play([{**app, "requirements": []}], sites, publish_prune=False)
    assert status == 0, said
    before = live("fetched")
    with Load("fetched.test=/"):
        status, said = play([app], sites, publish_prune=False)
    assert status == 0 and live("fetched")[0] == before[0], said
    assert "fetched: requirements: none of uv.lock" in said and get("fetched.test") == (200, "no bottle")
    assert "changed=0" in play([app], sites, publish_prune=False)[1]
