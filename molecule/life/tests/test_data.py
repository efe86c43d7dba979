"""What outlives a release is there after each deploy, byte for byte; secrets reach the application and nobody else."""

import json
import shlex
import time

import pytest
from canary import Canary, look_for
from one_host import HOST, get, play, put, sh, site

CODE = """
import hashlib, json, os, sqlite3
RELEASE = {release!r}
# What is not there while the code is loaded is missed by the preflight too.
os.environ["TOKEN"], os.listdir("media"), os.listdir("instance")
def base():
    made = sqlite3.connect("data/shop.sqlite3", timeout=20)
    made.execute("create table if not exists uploads (name text, release text)")
    return made
base().close()
def app(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    path = environ["PATH_INFO"]
    if path == "/env":
        return [json.dumps(dict(os.environ)).encode()]
    if path == "/rows":
        return [json.dumps(base().execute("select name from uploads").fetchall()).encode()]
    if environ["REQUEST_METHOD"] == "PUT":
        name = os.path.basename(path)
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        with open("media/" + name, "wb") as out:
            out.write(body)
        with base() as made:
            made.execute("insert into uploads values (?, ?)", (name, RELEASE))
        return [hashlib.sha256(body).hexdigest().encode()]
    return [RELEASE.encode()]
"""
# Uploads, asks nginx for what was uploaded, and counts what was no answer of theirs, until it is told to stop.
LOAD = """
import hashlib, http.client, json, os, sys, threading, time
host, wrong, kept, asked = sys.argv[1], [], {}, [0]
def ask(method, path, body=None):
    asked[0] += 1
    try:
        link = http.client.HTTPConnection("127.0.0.1", 80, timeout=30)
        link.request(method, path, body, {"Host": host})
        answer = link.getresponse()
        text = answer.read()
        if answer.status != 200:
            wrong.append([method, path, answer.status])
        return text if answer.status == 200 else None
    except OSError as error:
        wrong.append([method, path, repr(error)])
def client(number):
    count = 0
    while not os.path.exists("/tmp/stop"):
        count += 1
        if host == "data.test" and count % 5 == 0:
            name, body = "up-%d-%d" % (number, count), os.urandom(20000)
            told = ask("PUT", "/up/" + name, body)
            if told is not None:
                kept[name] = hashlib.sha256(body).hexdigest()
                seen = ask("GET", "/media/" + name)
                if seen is not None and seen != body:
                    wrong.append(["other bytes", name])
        else:
            ask("GET", "/")
        time.sleep(0.02)
threads = [threading.Thread(target=client, args=(number,)) for number in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
json.dump({"wrong": wrong, "kept": kept, "asked": asked[0]}, open("/tmp/load.json", "w"))
"""
HOME = "/srv/wsgi/data"
NASTY = {
    "QUOTES": '"double" \'single\' "',
    "BACKSLASH": 'C:\\new\\ \\\\ \\"x\\',
    "SHELL": "`id` $HOME ${HOME} $$ !",
    "HASH": "#1; #2",
    "BLANKS": "  both ends\t ",
    "EQUALS": "a=b==",
    "UNICODE": "żółć ☃ 🐦",
    "PERCENT": "100% %n %%",
}
WORDS = ("-vvv", "--diff")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    put("/tmp/load.py", LOAD)
    return tmp_path_factory.mktemp("data")


class Shop:
    """An application with uploads, a database and a secret, release after release."""

    def __init__(self, folder, name="data"):
        self.folder = folder
        self.name = name
        self.code = None
        self.canary = Canary()
        self.said = []

    def release(self, name, **files):
        self.code = self.folder / f"{self.name}-{name}"
        self.code.mkdir()
        (self.code / "manage.py").write_text(CODE.format(release=name))
        for path, text in {"media/logo.txt": f"logo of {name}", **files}.items():
            place = self.code / path
            place.parent.mkdir(exist_ok=True)
            place.write_text(text)
        return self

    def app(self, **more):
        secrets = {"TOKEN": self.canary.text, **more.pop("secrets", {})}
        about = {"name": self.name, "source": str(self.code), "module": "manage", "secrets": secrets}
        return {**about, "shared": ["media", "instance/", "data/shop.sqlite3"], **more}

    def site(self):
        static = {"path": "/media/", "app": self.name, "static": "media"}
        return site(f"{self.name}.test", self.name, locations=[static, {"path": "/", "app": self.name}])

    def play(self, fine=True, sites=None, words=WORDS, **more):
        status, said = play([self.app(**more)], sites or [self.site()], words=words, publish_set=self.name)
        self.said.append(said)
        assert (status == 0) is fine, said
        return said

    def env(self):
        status, text = get(f"{self.name}.test", "/env")
        assert status == 200, text
        return json.loads(text)


def under_load(host, call):
    """What a call returns, and what clients saw meanwhile."""
    sh(f"rm -f /tmp/stop /tmp/load.json; nohup python3 /tmp/load.py {host} >/tmp/load.out 2>&1 &")
    try:
        time.sleep(1)
        told = call()
        time.sleep(1)
    finally:
        sh("touch /tmp/stop; while [ ! -e /tmp/load.json ]; do sleep 0.2; done")
    return told, json.loads(sh("cat /tmp/load.json"))


@pytest.fixture(scope="module")
def shop(folder):
    """Three releases after the first, under load."""
    made = Shop(folder)
    made.release("one", **{"instance/first.cfg": "first"}).play()

    def deploys():
        for name in ("two", "three", "four"):
            made.release(name, **{"media/new.txt": "new", "instance/first.cfg": "other"}).play()

    _told, made.counted = under_load("data.test", deploys)
    return made


def test_three_deploys_lose_no_request_and_no_upload(shop):
    assert get("data.test")[1] == "four"
    assert shop.counted["wrong"] == []
    assert shop.counted["asked"] > 300 and len(shop.counted["kept"]) > 50
    digests = sh(f"cd {HOME}/shared/media && sha256sum up-*")
    assert {line.split()[1]: line.split()[0] for line in digests.splitlines()} == shop.counted["kept"]


def test_what_the_database_was_told_is_there_once_each(shop):
    status, text = get("data.test", "/rows")
    assert status == 200
    assert sorted(name for [name] in json.loads(text)) == sorted(shop.counted["kept"])
    assert sh(f"ls {HOME}/shared/data").split()[0] == "shop.sqlite3"


def test_what_the_first_release_brought_is_the_first_content(shop):
    assert get("data.test", "/media/logo.txt") == (200, "logo of one")
    assert get("data.test", "/media/new.txt")[0] == 404
    assert sh(f"cat {HOME}/shared/instance/first.cfg") == "first"


def test_it_is_the_applications_and_the_links_lie_in_what_is_roots(shop):
    assert sh(f"stat -c '%U:%G %a' {HOME}/shared").strip() == "wsgi-data:wsgi-data 750"
    owners = sh(f"find {HOME}/shared -printf '%u\\n' | sort -u").split()
    assert owners == ["wsgi-data"]
    assert sh(f"stat -c %U {HOME}/current/ {HOME}/current/data {HOME}/releases").split() == ["root"] * 3
    assert sh(f"readlink {HOME}/current/media").strip() == "../../shared/media"
    # Nobody else comes in.
    sh("id mallory >/dev/null 2>&1 || useradd -r mallory")
    assert "denied" in sh(f"ls {HOME}/shared", user="mallory", check=False)


def test_a_run_with_nothing_new_changes_nothing(shop):
    said = shop.play(words=())
    assert "changed=0" in said


def test_what_was_lost_is_made_again(shop):
    sh(f"mv {HOME}/shared/instance {HOME}/shared/aside")
    shop.play()
    assert sh(f"stat -c %U {HOME}/shared/instance").strip() == "wsgi-data"
    sh(f"rmdir {HOME}/shared/instance && mv {HOME}/shared/aside {HOME}/shared/instance")


def test_pruning_and_removal_keep_it_unless_data_is_to_go(folder):
    shop = Shop(folder, "gone")
    shop.release("one").play()
    sh("echo kept > /srv/wsgi/gone/shared/media/up")
    other = Shop(folder, "stays").release("one")
    status, said = play([other.app()], [other.site()], publish_set="gone")
    assert status == 0, said
    assert sh("cat /srv/wsgi/gone/shared/media/up") == "kept\n"
    assert sh("ls /etc/uwsgi/gone.secrets", check=False).endswith("No such file or directory\n")
    status, said = play([other.app(), shop.app()], [other.site(), shop.site()], publish_set="gone")
    assert status == 0, said
    assert get("gone.test", "/media/up") == (200, "kept\n")
    status, said = play([other.app()], [other.site()], publish_set="gone", publish_prune_data=True)
    assert status == 0, said
    assert "No such file" in sh("ls -d /srv/wsgi/gone", check=False)
    words = ("-e", "remove_set=gone")
    status, said = play(playbook="playbooks/remove.yml", words=words)
    assert status == 0, said
    assert "logo.txt" in sh("ls /srv/wsgi/stays/shared/media")
    assert "No such file" in sh("ls /etc/uwsgi/stays.secrets", check=False)
    status, said = play(playbook="playbooks/remove.yml", words=(*words, "-e", "remove_data=true"))
    assert status == 0, said
    assert "No such file" in sh("ls -d /srv/wsgi/stays", check=False)


def test_a_link_of_the_applications_leads_root_nowhere(folder):
    shop = Shop(folder, "evil")
    shop.release("one").play()
    before = sh("stat -c '%U:%G %a' /etc /etc/shadow; ls /etc")
    attack = (
        "cd /srv/wsgi/evil/shared && rm -rf media instance data"
        " && ln -s /etc media && ln -s /etc/shadow instance && ln -s /etc/nginx data"
    )
    sh(f"runuser -u wsgi-evil -- sh -c {shlex.quote(attack)}")
    shop.release("two", **{"media/x.conf": "x", "instance/y": "y"})
    (shop.code / "manage.py").write_text("def app(e, s):\n    s('200 OK', [])\n    return [b'two']\n")
    shop.play()
    assert get("evil.test") == (200, "two")
    assert sh("stat -c '%U:%G %a' /etc /etc/shadow; ls /etc") == before
    assert "x.conf" not in sh("ls /etc /etc/nginx").split()
    # nginx serves nothing by a link of one owner to a file of another's.
    assert get("evil.test", "/media/passwd")[0] in (403, 404)
    # What the application would have it make in somebody else's folder is made with its own rights, and fails.
    said = shop.play(fine=False, shared=["media", "instance/", "data/deep/"])
    assert "shared: /srv/wsgi/evil/shared/data/deep as wsgi-evil: Permission denied" in said
    assert "No such file" in sh("ls -d /etc/nginx/deep", check=False)


def test_names_that_lead_out_are_refused_before_anything_changes(shop):
    said = shop.play(fine=False, shared=["/etc", "../x", ".venv", "media", "media/a"])
    for index, words in enumerate(("is absolute", "leads out of the code", "is a name of the role's own")):
        assert f"publish_apps[0].shared[{index}]: " in said and words in said
    assert "publish_apps[0].shared[4]: one of media/a and media" in said


def test_each_byte_of_a_secret_arrives(shop):
    shop.play(secrets=NASTY)
    env = shop.env()
    assert {name: env.get(name) for name in NASTY} == NASTY
    assert env["TOKEN"] == shop.canary.text
    assert sh("stat -c '%U:%G %a' /etc/uwsgi/data.secrets").strip() == "root:root 600"


def test_a_changed_secret_loses_no_request_and_shows_in_nothing(shop):
    old, shop.canary = shop.canary, Canary()
    said, counted = under_load("data.test", shop.play)
    assert counted["wrong"] == [] and counted["asked"] > 50
    assert shop.env()["TOKEN"] == shop.canary.text
    assert "+TOKEN=(hidden, changed)\n" in said
    canaries = [old, shop.canary]
    for text in shop.said:
        assert [canary.text for canary in canaries if canary.seen_in(text)] == []
    assert look_for(canaries, "journalctl --all --output=export | grep -aF -f -") == []
    assert look_for(canaries, "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -aF -f -") == []
    roots = r"^(/etc/uwsgi/data\.secrets|/var/lib/graceful-wsgi/bundles/[^/]+/.*)$"
    folders = "/etc /var /run /tmp /srv /home /dev/shm /opt /root"
    command = f"grep -raFl -D skip -f - {folders} 2>/dev/null | grep -Ev {shlex.quote(roots)}"
    assert look_for(canaries, command) == []
    assert look_for([shop.canary], "grep -aFl -f - /etc/uwsgi/*") == ["/etc/uwsgi/data.secrets"]


def test_code_that_fails_with_the_new_secret_leaves_the_former_one_live(shop):
    before = shop.canary
    code = shop.code / "manage.py"
    text = code.read_text()
    code.write_text(text + "\nassert os.environ['TOKEN'] == 'no other', os.environ['TOKEN']\n")
    shop.canary = Canary()
    said = shop.play(fine=False)
    assert not shop.canary.seen_in(said) and "(hidden)" in said
    assert shop.env()["TOKEN"] == before.text
    code.write_text(text)
    shop.canary = before
    shop.play()


def test_a_file_with_secrets_that_is_there_already_is_handed_over(folder):
    shop = Shop(folder, "filed").release("one")
    canary, other = Canary(), Canary()
    path = "/etc/filed/secrets"
    given = {"secrets_file": path}
    said = shop.play(fine=False, **given)
    assert f"publish_apps[0].secrets_file: there is no file {path} on the host" in said
    put(path, f"FILED='{canary.text}'\n", mode="0644")
    said = shop.play(fine=False, **given)
    assert "is for others than root" in said and "chmod 0600" in said
    put(path, f"FILED='{canary.text}'\nTOKEN=x\n", mode="0600")
    said = shop.play(fine=False, **given)
    assert "TOKEN in /etc/filed/secrets is in env or secrets as well" in said
    put(path, f"FILED='{canary.text}'\n", mode="0600")
    shop.play(**given)
    assert shop.env()["FILED"] == canary.text
    assert "changed=0" in shop.play(words=(), **given)
    put(path, f'FILED="{other.text}"\n', mode="0600")
    _said, counted = under_load("filed.test", lambda: shop.play(**given))
    assert counted["wrong"] == [] and counted["asked"] > 50
    assert shop.env()["FILED"] == other.text
    for text in shop.said:
        assert not canary.seen_in(text) and not other.seen_in(text)
    assert look_for([canary, other], "journalctl --all --output=export | grep -aF -f -") == []
    # What fails with it tells nothing of it either.
    (shop.code / "manage.py").write_text("import os\nraise RuntimeError(os.environ['FILED'])\n")
    said = shop.play(fine=False, **given)
    assert "RuntimeError" in said and not other.seen_in(said)
    assert HOST and shop.env()["FILED"] == other.text
