"""Three applications of other people's, as their users publish them: they serve, survive a deploy and refuse bad code.

Wagtail (Django, sqlite), isso (whose mail is sent by uWSGI's spooler) and pypiserver (uploads).
"""

import hashlib
import http.client
import itertools
import json
import shutil
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest
from load import Load
from one_host import CHECKOUT_APPS, get, play, put, sh

UPLOAD = 20 * 1024 * 1024
MAILS = """import email, json, socketserver

class Sink(socketserver.StreamRequestHandler):
    def handle(self):
        self.tell("220 sink")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"DATA":
                self.tell("354 go on")
                mail = email.message_from_bytes(b"".join(iter(self.rfile.readline, b".\\r\\n")))
                text = mail.get_payload(decode=True).decode()
                with open("/tmp/mails", "a") as out:
                    out.write(json.dumps([mail["From"], text]) + "\\n")
            elif word == b"QUIT":
                self.tell("221 bye")
                return
            self.tell("250 fine")

    def tell(self, text):
        self.wfile.write(text.encode() + b"\\r\\n")

socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("127.0.0.1", 2525), Sink).serve_forever()
"""
APPS = {
    "bakery": {
        "folder": "wagtail",
        "module": "bakery.wsgi",
        "env": {"SECRET_KEY": "not for anybody's eyes"},
        "service_options": {"StateDirectory": "bakery"},
    },
    "comments": {
        "folder": "isso",
        "module": "wsgi",
        "env": {"ISSO_SETTINGS": "isso.cfg"},
        "service_options": {"StateDirectory": "comments"},
        "options": {
            "cache2": "name=hash,items=1024,blocksize=32",
            "spooler": "/var/lib/comments/mail",
            "spooler-frequency": 2,
        },
    },
    "packages": {
        "folder": "pypiserver",
        "module": "wsgi",
        "threads": 2,
        "service_options": {"StateDirectory": "packages"},
    },
}
SITES = {
    "bakery": {},
    "comments": {},
    "packages": {"client_max_body_size": "100m"},
}
STATIC = {"path": "/static/", "static": "/var/lib/bakery/static", "expires": "max"}
PATHS = {"bakery": "/", "comments": "/?uri=%2Fpost%2F&limit=3", "packages": "/"}


class Releases:
    """The three applications' folders on the controller, and what was published last."""

    def __init__(self, folder):
        self.folder = folder
        self.apps = {name: dict(app) for name, app in APPS.items()}
        self.locations = {name: [{"path": "/", "app": name}] for name in APPS}
        for name, app in self.apps.items():
            source = folder / name
            shutil.copytree(CHECKOUT_APPS / app.pop("folder"), source, ignore=shutil.ignore_patterns("__pycache__"))
            app.update(name=name, source=str(source), callable="application", requirements="requirements.txt")

    def change(self, name, path, old, new):
        file = self.folder / name / path
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    def publish(self):
        sites = [
            {"server_name": [f"{name}.test"], "locations": self.locations[name], **SITES[name]} for name in self.apps
        ]
        self.last = {"apps": list(self.apps.values()), "sites": sites}
        return play(**self.last)


def current(name):
    return sh(f"readlink /srv/wsgi/{name}/current").strip()


def manage(*words):
    """A command of Django's with what the application itself is given."""
    sh(
        "systemd-run --quiet --pipe --wait -p User=wsgi-bakery -p EnvironmentFile=/etc/uwsgi/bakery.env"
        " -p WorkingDirectory=/srv/wsgi/bakery/current"
        f" /srv/wsgi/bakery/current/.venv/bin/python manage.py {' '.join(words)}"
    )


class Repeated:
    """What a client does again and again, each time over a connection of its own, until the end of a `with`."""

    def __init__(self, address, host, pause):
        self.address, self.host, self.pause = address, host, pause
        self.done, self.wrong, self.stop = [], [], threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_exc):
        self.stop.set()
        self.thread.join(60)
        print(f"{type(self).__name__}: {len(self.done)} done, wrong: {self.wrong}")

    def run(self):
        for number in itertools.count():
            if self.stop.wait(self.pause):
                return
            try:
                self.done.append(self.once(number))
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.wrong.append(repr(error))

    def ask(self, method, path, body=None, headers=None):
        link = http.client.HTTPConnection(self.address, 80, timeout=30)
        try:
            link.request(method, path, body, {"Host": self.host, **(headers or {})})
            answer = link.getresponse()
            text = answer.read()
        finally:
            link.close()
        assert answer.status < 300, (answer.status, text[:200])
        return text


class Comments(Repeated):
    """Each comment has isso spool a mail to the editor."""

    marks = itertools.count()

    def once(self, _number):
        text = f"comment number {next(self.marks)}."
        body = json.dumps({"text": text, "title": "A post", "author": "Reader"})
        self.ask("POST", "/new?uri=%2Fpost%2F", body, {"Content-Type": "application/json"})
        return text


class Uploads(Repeated):
    """As twine does it: a form with a file in it, of some 20 MB."""

    versions = itertools.count()

    def once(self, _number):
        name = f"cheese-1.{next(self.versions)}.tar.gz"
        # No two of them are alike, and none is short.
        file = hashlib.sha256(name.encode()).digest() * (UPLOAD // 32)
        body = (
            b'--edge\r\nContent-Disposition: form-data; name=":action"\r\n\r\nfile_upload\r\n'
            b'--edge\r\nContent-Disposition: form-data; name="content"; filename="' + name.encode() + b'"\r\n'
            b"Content-Type: application/octet-stream\r\n\r\n" + file + b"\r\n--edge--\r\n"
        )
        self.ask("POST", "/", body, {"Content-Type": "multipart/form-data; boundary=edge"})
        return name, hashlib.sha256(file).hexdigest()


@pytest.fixture(scope="module")
def address():
    return sh("hostname -I").split()[0]


@contextmanager
def visitors(address):
    """Readers of all three, who comment and upload; what went wrong for any of them fails."""
    with ExitStack() as stack:
        loads = {
            name: stack.enter_context(Load(address, host=f"{name}.test", path=path, clients=2, rate=8, reopen=True))
            for name, path in PATHS.items()
        }
        comments = stack.enter_context(Comments(address, "comments.test", 0.5))
        uploads = stack.enter_context(Uploads(address, "packages.test", 1))
        time.sleep(2)
        yield loads, comments, uploads
        time.sleep(1)
    assert {name: load.failures for name, load in loads.items()} == {name: [] for name in loads}
    assert comments.wrong == uploads.wrong == []
    assert all(len(load.requests) > 50 for load in loads.values())
    assert len(comments.done) > 5 and len(uploads.done) > 2


def check_mails(comments):
    """Each comment's mail was sent once; by whom."""
    deadline = time.monotonic() + 15
    while True:
        mails = [json.loads(line) for line in sh("cat /tmp/mails 2>/dev/null || true").splitlines()]
        if len(mails) >= len(comments.done) or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert sorted(text.split("\n")[2] for _sender, text in mails) == sorted(comments.done)
    return [sender.partition("<")[2].partition("@")[0] for sender, _text in mails]


def check_uploads(uploads):
    """Each file is there, as it was sent."""
    sums = sh("cd /var/lib/packages && sha256sum *.tar.gz").splitlines()
    there = {name: digest for digest, name in (line.split() for line in sums)}
    assert {name: there.get(name) for name, _digest in uploads.done} == dict(uploads.done)


@pytest.fixture(scope="module")
def releases(tmp_path_factory, address):
    put("/tmp/mails.py", MAILS)
    sh("rm -f /tmp/mails; systemctl reset-failed mails 2>/dev/null; systemctl stop mails 2>/dev/null; true")
    sh("systemd-run --quiet --unit=mails python3 /tmp/mails.py")
    releases = Releases(tmp_path_factory.mktemp("real"))
    # Its tables are made by its own code, which is not there yet.
    releases.apps["bakery"]["probe"] = False
    status, said = releases.publish()
    assert status == 0, said
    releases.apps["bakery"]["probe"] = {"path": "/"}
    manage("migrate", "--noinput", "-v0")
    manage("collectstatic", "--noinput", "-v0")
    # Django reads the names of static files when it is loaded.
    status, said = play(playbook="playbooks/reload.yml", publish_reload=["bakery"], **releases.last)
    assert status == 0, said
    releases.locations["bakery"].append(STATIC)
    return releases


def test_they_serve_with_their_own_start_up(releases, address):
    for name in APPS:
        sh(f"systemctl is-active --quiet uwsgi@{name}")
    status, page = get("bakery.test")
    assert status == 200 and "Welcome to your new Wagtail site!" in page and "first release" in page
    assert get("bakery.test", "/admin/login/")[0] == 200
    status, page = get("packages.test")
    assert status == 200 and "first release" in page
    sh("rm -f /tmp/mails")
    comments, uploads = Comments(address, "comments.test", 0), Uploads(address, "packages.test", 0)
    comments.done.append(comments.once(0))
    uploads.done.append(uploads.once(0))
    assert check_mails(comments) == ["first"]
    check_uploads(uploads)


def test_a_deploy_of_all_three_loses_nothing(releases, address):
    releases.change("bakery", "bakery/templates/wagtailcore/page.html", "first", "second")
    releases.change("comments", "isso.cfg", "first", "second")
    releases.change("packages", "wsgi.py", "first", "second")
    sh("rm -f /tmp/mails")
    with visitors(address) as (loads, comments, uploads):
        status, said = releases.publish()
        assert status == 0, said
    senders = check_mails(comments)
    assert set(senders) == {"first", "second"} and senders[-1] == "second"
    check_uploads(uploads)
    pages = [request.body for request in loads["bakery"].requests]
    assert "first release" in pages[0] and "second release" in pages[-1]
    # nginx serves what collectstatic has made.
    css = "/static/" + pages[-1].partition('href="/static/')[2].partition('"')[0]
    assert get("bakery.test", css) == (200, "body { color: #630 }\n")
    assert "second release" in loads["packages"].requests[-1].body


def test_what_does_not_load_and_what_answers_500_is_refused(releases, address):
    before = {name: current(name) for name in APPS}
    releases.change("packages", "requirements.txt", "pypiserver==2.4.2", "passlib==1.7.4")
    releases.change("bakery", "bakery/templates/wagtailcore/page.html", "{{ page.title }}", "{% url 'no-such-page' %}")
    sh("rm -f /tmp/mails")
    with visitors(address) as (loads, comments, uploads):
        status, said = releases.publish()
    assert status == 2, said
    assert "No module named 'pypiserver'" in said and "answered 500" in said, said
    assert {name: current(name) for name in APPS} == before
    assert set(check_mails(comments)) == {"second"}
    check_uploads(uploads)
    assert all("second release" in body for name in ("bakery", "packages") for body in loads[name].bodies)
    releases.change("packages", "requirements.txt", "passlib==1.7.4", "pypiserver==2.4.2")
    releases.change("bakery", "bakery/templates/wagtailcore/page.html", "{% url 'no-such-page' %}", "{{ page.title }}")


def test_a_release_whose_spooler_dies_goes_back(releases, address):
    before = {name: current(name) for name in APPS}
    releases.change("comments", "isso.cfg", "second", "third")
    # Beside the workers, which have no fault.
    with (releases.folder / "comments/wsgi.py").open("a") as code:
        code.write("\nimport uwsgidecorators\n\n\n@uwsgidecorators.postfork\ndef begin():\n")
        code.write("    if uwsgidecorators.uwsgi.i_am_the_spooler():\n")
        code.write("        raise SystemExit('no relay for mail')\n")
    sh("rm -f /tmp/mails")
    with visitors(address) as (_loads, comments, uploads):
        status, said = releases.publish()
    assert status == 2, said
    assert "comments: the spooler" in said and "no relay for mail" in said, said
    assert {name: current(name) for name in APPS} == before
    assert check_mails(comments)[-1] == "second"
    check_uploads(uploads)
