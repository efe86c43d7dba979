"""What pip, git and archives bring is built, fetched and unpacked without any right of root's."""

import json
import re
import zipfile

import pytest
from one_host import WHOAMI, app, get, play, put, sh, site

# A build backend of alice's, run by pip: it tries what it can and puts what came of it into the package.
BACKEND = r"""
import glob, json, os, subprocess, sys, time, zipfile

def attempt(call):
    try:
        return "done: %r" % (call(),)
    except Exception as error:
        return type(error).__name__

def read(path):
    with open(path) as source:
        return source.read()

def write(path):
    with open(path, "a") as target:
        target.write("evil")

def suid():
    path = "/home/alice/open/suid"
    with open(path, "w") as target:
        target.write("#!/bin/sh")
    os.chmod(path, 0o6777)

def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            # Open streams would have pip itself wait for it.
            os.closerange(0, 1000)
            time.sleep(3000)
        os._exit(0)

def get_requires_for_build_wheel(config_settings=None):
    return []

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    # pip builds with the Python of the virtualenv that it fills, uv names it and builds with another one.
    words = read("/proc/%d/cmdline" % os.getppid()).split("\0")
    venv = os.path.dirname(words[words.index("--python") + 1] if "--python" in words else sys.executable)
    done = {
        "uid": os.getuid(), "groups": os.getgroups(), "gid": os.getgid(), "environ": dict(os.environ),
        "home": os.stat(os.environ["HOME"]).st_mode & 0o777,
        "evil": attempt(lambda: write("/etc/evil")),
        "root": attempt(lambda: read("/root/secret.txt")),
        "shadow": attempt(lambda: read("/etc/shadow")),
        "secrets": attempt(lambda: read("/etc/uwsgi/hidden.secrets")),
        "others": attempt(lambda: write(glob.glob("/srv/wsgi/*/current/.venv/pyvenv.cfg")[0])),
        "listed": attempt(lambda: os.listdir("/srv/wsgi/.venvs")),
        "release": attempt(lambda: write(glob.glob("/srv/wsgi/base/releases/*/manage.py")[0])),
        "init": attempt(lambda: read("/proc/1/environ")),
        "suid": attempt(suid),
        "crontab": attempt(lambda: subprocess.check_call("echo '* * * * * id' | crontab -", shell=True)),
        "daemon": attempt(daemon),
    }
    mode = read(os.path.join(os.path.dirname(os.path.abspath(__file__)), "mode")).strip()
    with open(venv + "/planted", "w") as target:
        target.write("#!/bin/sh\n")
    os.chmod(venv + "/planted", 0o6777)
    os.link(venv + "/planted", venv + "/hard")
    if mode == "link":
        os.symlink("/home/alice/open", venv + "/leads-to-alice")
    name = "evil-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        wheel.writestr("evil_report.json", json.dumps(done))
        wheel.writestr("evil-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
        wheel.writestr("evil-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: e\nRoot-Is-Purelib: true\n"
                       "Tag: py3-none-any\n")
        wheel.writestr("evil-1.0.dist-info/RECORD", "evil_report.json,,\nevil-1.0.dist-info/METADATA,,\n"
                       "evil-1.0.dist-info/WHEEL,,\nevil-1.0.dist-info/RECORD,,\n")
    return name
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
# Says who it is without any package.
BARE = """
import os
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("%s uid %d" % (environ["HTTP_HOST"], os.getuid())).encode()]
"""
# A package that is nothing but its release, and needs no other to be built.
OWN = r"""
import os, zipfile
def get_requires_for_build_wheel(config_settings=None):
    return []
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    open("written-by-the-build", "w").close()
    with zipfile.ZipFile(os.path.join(wheel_directory, "own-1-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("own.py", "WHO = 'own'\n")
        wheel.writestr("own-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: own\nVersion: 1\n")
        wheel.writestr("own-1.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: e\nRoot-Is-Purelib: true\n"
                       "Tag: py3-none-any\n")
        wheel.writestr("own-1.dist-info/RECORD", "own.py,,\nown-1.dist-info/METADATA,,\nown-1.dist-info/WHEEL,,\n"
                       "own-1.dist-info/RECORD,,\n")
    return "own-1-py3-none-any.whl"
"""


def last(text):
    return text[-3000:]


def bare(name, **more):
    return app(name, requirements=None, **more)


def alice():
    return app("alice", path="/home/alice/proj", user="alice", group="alice")


@pytest.fixture(scope="module", autouse=True)
def prepared():
    sh("command -v git || { apt-get -q update && apt-get -qy install --no-install-recommends git; }", timeout=300)
    # As on a new host, where an earlier run stopped half-way.
    sh("rm -rf /srv/git/mallory /home/mallory/proj /home/mallory/open /home/alice/open /srv/wsgi/alice")
    put("/root/secret.txt", "of root's", mode="0600")
    put("/etc/uwsgi/hidden.secrets", "of another application's", mode="0600")
    for path, text in (
        ("proj/manage.py", BARE),
        ("proj/requirements.txt", "evil @ file:///home/alice/evil\n"),
        ("evil/backend.py", BACKEND),
        ("evil/pyproject.toml", PYPROJECT),
        ("evil/mode", "link"),
    ):
        put(f"/home/alice/{path}", text, "alice:alice")
    sh("chmod 755 /home/alice /home/mallory; install -d -o alice -m 1777 /home/alice/open")
    sh("install -d -o mallory -m 777 /home/mallory/open")
    put("/home/mallory/proj/manage.py", BARE, "mallory:mallory")
    sh("chown mallory /home/mallory/proj")
    hook = "#!/bin/sh\nid > /home/mallory/open/$(id -un)\nexec cat\n"
    put("/home/mallory/hook", hook, "mallory:mallory", "0755")
    put("/srv/git/mallory/manage.py", BARE)
    put("/srv/git/mallory/.gitattributes", "*.py filter=evil\n")
    sh("chown -R mallory /srv/git/mallory")
    sh(
        "cd /srv/git/mallory && git init -q . && git symbolic-ref HEAD refs/heads/main && git add -A && "
        "git -c user.name=m -c user.email=m@h.test commit -q -m m && "
        "for hook in post-checkout post-merge pre-receive update; do cp /home/mallory/hook .git/hooks/$hook; done && "
        "git config core.fsmonitor /home/mallory/hook && git config filter.evil.smudge /home/mallory/hook && "
        "git config uploadpack.packObjectsHook /home/mallory/hook",
        user="mallory",
    )


def test_a_virtualenv_with_a_link_to_its_users_folder_is_not_taken_over():
    status, said = play([alice()], [site("alice.test", "alice")])
    assert status != 0 and "leads-to-alice" in said and "/home/alice/open" in said and "alice:" in said, last(said)
    assert sh("ls -A /srv/wsgi/alice/venvs 2>/dev/null", check=False).strip() == ""


def test_requirements_that_lead_to_a_file_of_roots_show_nothing_of_it():
    sh("ln -sfn /etc/shadow /home/mallory/proj/requirements.txt", user="mallory")
    status, said = play([app("mallory", path="/home/mallory/proj", user="mallory", group="mallory")])
    assert status != 0 and "requirements" in said and "mallory" in said, last(said)
    assert not re.search(r"root:[*!$]", said) and "daemon:*" not in said
    # An include does it as well as a link.
    sh("rm /home/mallory/proj/requirements.txt")
    put("/home/mallory/proj/requirements.txt", "-r /root/secret.txt\n", "mallory:mallory")
    status, said = play([app("mallory", path="/home/mallory/proj", user="mallory", group="mallory")])
    assert status != 0 and "of root's" not in said, last(said)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A green play with alice's backend, mallory's repository, a link to shared and a release that is a package."""
    put("/home/alice/evil/mode", "quiet", "alice:alice")
    own = tmp_path_factory.mktemp("own")
    (own / "manage.py").write_text(BARE + "\nimport own\n")
    (own / "backend.py").write_text(OWN)
    (own / "pyproject.toml").write_text(PYPROJECT)
    (own / "requirements.txt").write_text("-e .\n")
    (own / "media").symlink_to("/srv/wsgi/own/shared/media")
    apps = [
        alice(),
        bare("gitty", repo="/srv/git/mallory", user="mallory", group="mallory"),
        bare("filed", repo="file:///srv/git/mallory", version="main", user="bob", group="bob"),
        app("own", source=str(own), user="bob", group="bob"),
    ]
    sites = [site(f"{one['name']}.test", one["name"]) for one in apps]
    status, said = play(apps, sites)
    assert status == 0, last(said)
    return apps, sites


@pytest.mark.usefixtures("published")
def test_a_hostile_build_backend_gains_nothing_and_leaves_nothing():
    report = json.loads(sh("cat /srv/wsgi/alice/venv/lib/python3*/site-packages/evil_report.json"))
    assert report["uid"] not in (0, int(sh("id -u alice"))) and set(report["groups"]) <= {report["gid"]}
    assert report["home"] == 0o700 and report["environ"]["HOME"].startswith("/var/lib/graceful-wsgi/build/")
    assert not [name for name in report["environ"] if name.startswith(("SSH_", "ANSIBLE_", "SUDO_"))]
    refused = {"PermissionError", "OSError", "CalledProcessError", "IndexError"}
    names = ("evil", "root", "shadow", "secrets", "others", "listed", "release", "init", "suid", "crontab")
    assert {name: report[name] for name in names if report[name] not in refused} == {}
    # Its daemon was there, and is no more.
    assert report["daemon"].startswith("done")
    assert sh(f"grep -l '^Uid:.*[[:space:]]{report['uid']}[[:space:]]' /proc/[0-9]*/status", check=False).strip() == ""
    assert sh("find /var/lib/graceful-wsgi/build -mindepth 2; ls /etc/evil 2>/dev/null", check=False).strip() == ""
    assert sh("find /srv/wsgi/alice -not -user root; find /srv/wsgi/alice -not -type l -perm /7022").strip() == ""
    assert sh("stat -c '%U %h %a' /srv/wsgi/alice/venv/bin/planted").strip() == "root 1 755"
    assert get("alice.test")[0] == 200


@pytest.mark.usefixtures("published")
def test_git_runs_as_an_account_of_its_own_and_nothing_of_mallorys():
    assert get("gitty.test")[0] == get("filed.test")[0] == 200
    assert sh("ls -A /home/mallory/open").strip() in ("", "mallory")
    assert sh("find /var/lib/graceful-wsgi/git -mindepth 1 -not -user wsgi-git").strip() == ""
    assert sh("ls -d /srv/wsgi/gitty/repo", check=False).endswith("No such file or directory\n")
    assert sh("find /srv/wsgi/gitty -not -user root -o -name .git").strip() == ""


@pytest.mark.usefixtures("published")
def test_a_release_that_is_a_package_is_built_from_a_copy_and_links_to_shared_stay():
    assert get("own.test")[0] == 200
    assert sh("find /srv/wsgi/own/releases -name 'written-by-*'").strip() == ""
    assert sh("stat -c '%U %N' /srv/wsgi/own/current/media").strip() == (
        "bob '/srv/wsgi/own/current/media' -> '/srv/wsgi/own/shared/media'"
    )


def test_a_second_run_changes_nothing(published):
    status, said = play(*published)
    assert status == 0 and re.search(r"changed=0 ", said), last(said)


def test_links_and_members_that_lead_out_are_refused_by_name(tmp_path):
    code = tmp_path / "code"
    (code / "static").mkdir(parents=True)
    (code / "manage.py").write_text((WHOAMI / "manage.py").read_text())
    (code / "static" / "rootfs").symlink_to("/")
    status, said = play([bare("rooty", source=str(code))], [site("rooty.test", "rooty")])
    assert status != 0 and "rooty" in said and "static/rootfs" in said, last(said)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("manage.py", BARE)
        packed.writestr("../evil", "x")
    status, said = play([bare("zippy", archive=str(tmp_path / "a.zip"))], [site("zippy.test", "zippy")])
    assert status != 0 and "zippy" in said and "../evil" in said, last(said)
    assert "No such file" in sh("ls -d /srv/wsgi/rooty /srv/wsgi/zippy", check=False)
