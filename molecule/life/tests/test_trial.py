"""An application's whole life under visitors: a Django project by the guide's recipe and a Flask one from PyPI.

Each test goes on where the one before it ended; the last ones judge what the visitors saw all the while. A release is
published after the runs before it were killed in one stage after the other, and some are broken.
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import publishing
import pytest
import yaml
from canary import Canary, look_for
from one_host import CHECKOUT_APPS, HOST, get, play, put, sh

# Where the guide has the code: beside the inventory's folder.
AROUND = publishing.inventory().parent
GUIDE = publishing.CHECKOUT / "docs/guide"
VISITORS = "/var/tmp/visitors"
SHOP, FLASK = "shop.example.com", "httpbin.example.com"
HOME = "/srv/wsgi/shop"
PAGE = "<h1>Back in a minute</h1>\n"
ADDS = """
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("store", "0001_initial")]
    operations = [migrations.AddField("Upload", "note", models.CharField(max_length=20, db_default=""))]
"""
FAILS = """
from django.db import migrations

class Migration(migrations.Migration):
    dependencies = [("store", "0002_note")]
    operations = [migrations.RunSQL("DROP TABLE store_sweep"), migrations.RunSQL("ALTER TABLE nowhere RENAME TO here")]
"""
# A worker that Celery begins, and that ends at once.
DEATH = 'if "worker" in sys.argv:\n    sys.exit("no worker today")\n'
DIES = {"shop/celery.py": lambda text: f"import sys\n{text}{DEATH}"}
# A process with its release's folder as its own, by its memory, its program or its environment.
PROCESSES = """
import os, re
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        read = lambda name: open("/proc/%s/%s" % (pid, name), "rb").read().decode("utf-8", "replace")
        words = [os.readlink("/proc/%s/cwd" % pid), read("cmdline"), read("maps"), read("environ")]
    except OSError:
        continue
    ids = set(re.findall("/srv/wsgi/(?:shop|httpbin)/releases/([0-9a-z][^/\\\\0\\\\s]*)", " ".join(words)))
    if ids:
        print(pid, words[1].replace("\\0", " ")[:80], *sorted(ids), sep="|")
"""
# What a run of Ansible's has begun on the host, with all that it has begun in turn.
MODULES = """
import os, signal
words, parents = {}, {}
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        words[int(pid)] = open("/proc/%s/cmdline" % pid).read()
        parents[int(pid)] = int(open("/proc/%s/stat" % pid).read().rpartition(")")[2].split()[1])
    except OSError:
        pass
doomed = {pid for pid, text in words.items() if parents.get(pid) == 0 and "python3 && " "sleep 0" in text}
while True:
    more = {pid for pid, parent in parents.items() if parent in doomed} - doomed
    if not more:
        break
    doomed |= more
for pid in doomed:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
print(len(doomed))
"""


def recipe(page, kind="yaml", first="publish_apps:"):
    """The variables that a page of the guide shows."""
    blocks = re.findall(rf"^```{kind}\n(.*?)^```", (GUIDE / page).read_text(), re.DOTALL | re.MULTILINE)
    [block] = [block for block in blocks if block.startswith(first)]
    return yaml.safe_load(block)


class Life:
    """The applications as they are published next, and what became of each run."""

    def __init__(self):
        self.code = AROUND / "shop"
        self.files = {}
        self.secret, self.greeting, self.flask = Canary(), "Welcome", "httpbin==0.10.2"
        self.ids, self.failed, self.said, self.window = {}, {}, [], []

    @property
    def variables(self):
        """The guide's recipe, with what this trial needs besides."""
        given = recipe("celery.md")
        [shop] = given["publish_apps"]
        shop["env"]["GREETING"] = self.greeting
        shop["timers"][0]["schedule"] = "minutely"
        shop["maintenance"] = {"page": str(AROUND / "files/minute.html"), "retry_after": 60}
        shop["after_live"] = ["python manage.py check"]
        flask = {"name": "httpbin", "module": "httpbin", "requirements": [self.flask]}
        return {
            **given,
            "vault_shop_key": self.secret.text,
            "publish_apps_flask": [flask],
            "publish_sites_flask": [{"server_name": [FLASK], "locations": [{"path": "/", "app": "httpbin"}]}],
        }

    def write(self, release, broken=None):
        """The project as this release has it: the files of all that were good so far, and those that break it."""
        if self.code.exists():
            shutil.rmtree(self.code)
        shutil.copytree(CHECKOUT_APPS / "shop", self.code, ignore=shutil.ignore_patterns("__pycache__"))
        for path, change in {**self.files, **(broken or {})}.items():
            place = self.code / path
            place.write_text(change(place.read_text()) if callable(change) else change)
        (self.code / "store/release.py").write_text(f'RELEASE = "{release}"\n')

    def given(self, more):
        return {"publish_set": "shop", **self.variables, **more}

    def publish(self, fine=True, words=(), playbook="playbooks/site.yml", **more):
        status, said = play(words=words, playbook=playbook, **self.given(more))
        self.said.append(said)
        assert (status == 0) is fine, said
        return said

    def good(self, release, **more):
        """Publish a release to the end."""
        said = self.publish(**more)
        self.ids[release] = current()
        assert front()[0] == release
        return said

    def broken(self, release, files, **more):
        """Publish a release that must not become live: what is live stays so."""
        before, page = current(), front()
        self.write(release, files)
        said = self.publish(fine=False, **more)
        assert (current(), front()) == (before, page), said
        self.failed[release] = said
        return said

    def killed(self, task, number=1, after=0.3, modules=False, book="site.yml", words=(), answer=200, **more):
        """Begin a run, and kill it once it has come to a task for this time; its modules on the host too, if told."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            # As play() says it.
            lists = {"publish_replace": True, "publish_apps": [], "publish_sites": []}
            json.dump({**lists, **self.given(more)}, file)
            file.flush()
            command = [f"--inventory={publishing.inventory()}", f"--extra-vars=@{file.name}", *words]
            run = subprocess.Popen(
                [str(Path(sys.executable).parent / "ansible-playbook"), *command, f"playbooks/{book}"],
                env=publishing.environment(PYTHONUNBUFFERED="1"),
                start_new_session=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            said = []
            for line in run.stdout:
                said.append(line)
                number -= line.startswith("TASK [") and line.partition("] *")[0].endswith(f" : {task}")
                if not number:
                    break
            assert not number, "".join(said)
            time.sleep(after)
            os.killpg(run.pid, signal.SIGKILL)
            said += run.stdout.readlines()
            run.wait()
        if modules:
            sh(f"python3 - <<'EOF'\n{MODULES}\nEOF")
        self.said.append("".join(said))
        # It was killed in the middle.
        assert "PLAY RECAP" not in said[-1], said
        assert (get(SHOP)[0], get(FLASK)[0]) == (answer, 200)


def current(name="shop"):
    return sh(f"readlink /srv/wsgi/{name}/current").strip().rpartition("/")[2]


def front():
    """Release, greeting and key of the page that visitors get."""
    status, text = get(SHOP)
    assert status == 200, text
    greeting, release, key = re.search(r"<h1>(.*)</h1>\n.*release (.*), key (.*)</p>", text).groups()
    return release, greeting, key


def query(statement):
    """What the database of the shop answers."""
    code = (
        f"import json, sqlite3; base = sqlite3.connect('{HOME}/shared/data/shop.sqlite3', timeout=30);"
        f" print(json.dumps(base.execute({statement!r}).fetchall()))"
    )
    return json.loads(sh(f"runuser -u wsgi-shop -- python3 -c {shlex.quote(code)}"))


def ill(statement):
    """The front page, with a statement before all that it does."""
    return {"store/views.py": lambda text: text.replace("    key = ", f"    {statement}\n    key = ", 1)}


def key(secret):
    return hashlib.sha256(secret.text.encode()).hexdigest()[:8]


@pytest.fixture(scope="module", autouse=True)
def redis():
    """Debian's Redis, in a host that has no namespaces of users."""
    put("/etc/systemd/system/redis-server.service.d/container.conf", "[Service]\nPrivateUsers=no\n")
    install = "DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends redis-server"
    sh(f"command -v redis-server || {{ apt-get -qq update && {install}; }}", timeout=300)
    sh("systemctl daemon-reload && systemctl reset-failed redis-server; systemctl start redis-server && redis-cli ping")


@pytest.fixture(scope="module")
def life():
    made = Life()
    (AROUND / "files").mkdir(exist_ok=True)
    (AROUND / "files/minute.html").write_text(PAGE)
    yield made
    sh(f"touch {VISITORS}/stop", check=False)
    words = ["-e", "remove_set=shop", "-e", "remove_data=true"]
    play(words=words, playbook="playbooks/remove.yml")
    assert "No such file" in sh(f"ls -d {HOME}", check=False)


@pytest.fixture(scope="module")
def seen(life):
    """What the visitors have seen, once they have gone."""
    sh(f"touch {VISITORS}/stop; for i in $(seq 300); do [ -s {VISITORS}/counted.json ] && break; sleep 0.2; done")
    told = json.loads(sh(f"cat {VISITORS}/counted.json"))
    told["failed"] = [json.loads(line) for line in sh(f"cat {VISITORS}/told.jsonl").splitlines()]
    return told


def test_the_recipe_of_a_django_project_is_published_as_it_stands(life):
    life.write("0")
    status, said = play(publish_set="shop", **recipe("django.md"), vault_shop_key=life.secret.text)
    assert status == 0, said
    assert "Applying store.0001_initial... OK" in said and "1 static file copied" in said
    assert front() == ("0", "Welcome", key(life.secret))
    assert "teal" in get(SHOP, "/static/store/shop.css")[1]
    life.ids["0"] = current()


def test_the_recipe_with_celery_is_published_as_it_stands_and_one_without_code_beside_it(life):
    life.write("1")
    life.good("1")
    assert '"a":"b"' in get(FLASK, "/get?a=b")[1]
    for unit in ("celery@1.service", "celery@2.service", "sweep.timer"):
        assert sh(f"systemctl is-active wsgi-shop-{unit}; systemctl is-enabled wsgi-shop-{unit}").split() == [
            "active",
            "enabled",
        ]


def test_visitors_come(life):
    sh(f"rm -rf {VISITORS}; mkdir -p {VISITORS}")
    put(f"{VISITORS}/visitors.py", (Path(__file__).parent.parent / "files/visitors.py").read_text())
    command = f"exec python3 {VISITORS}/visitors.py >{VISITORS}/out 2>&1"
    subprocess.run(["docker", "exec", "-d", HOST, "sh", "-c", command], check=True)
    time.sleep(1)


def test_a_release_with_a_migration_after_runs_that_were_killed_while_building_and_migrating(life):
    life.files |= {
        "store/migrations/0002_note.py": ADDS,
        "store/models.py": lambda text: text.replace(
            "\n\nclass Sweep", '    note = models.CharField(max_length=20, db_default="")\n\n\nclass Sweep', 1
        ),
    }
    life.write("2")
    life.killed("Deploy the code and install requirements", after=1, modules=True)
    life.killed("Run the commands of before_live", after=2)
    life.good("2")
    assert "0002_note" in sh("wsgi shop python manage.py showmigrations store")


def test_a_migration_that_fails_leaves_code_and_data_as_they_were(life):
    said = life.broken("3", {"store/migrations/0003_fails.py": FAILS})
    assert "shop: before_live: python manage.py migrate --noinput failed (status 1)" in said
    assert "no such table: nowhere" in said
    sh("wsgi shop python manage.py sweep")


def test_a_secret_after_a_run_that_was_killed_while_configuration_was_written(life):
    life.write("4")
    former, life.secret = life.secret, Canary()
    life.killed("Write the configuration of the applications and their units", modules=True)
    life.good("4")
    assert front() == ("4", "Welcome", key(life.secret))
    for canary in (former, life.secret):
        assert not [text for text in life.said if canary.seen_in(text)]
    assert look_for([former, life.secret], "journalctl --all --output=export | grep -aF -f -") == []


def test_requirements_that_do_not_resolve_change_nothing(life):
    said = life.broken("5", {"requirements.txt": lambda text: text + "Django==4.2\n"})
    assert "shop" in said and re.search("conflict|unsatisfiable", said), said


def test_both_applications_after_a_run_that_was_killed_at_the_switch(life):
    life.write("6")
    life.flask = "httpbin==0.10.4"
    life.killed("Switch to the new releases", number=2)
    life.good("6")


def test_a_worker_that_dies_takes_the_release_back(life):
    said = life.broken("13", DIES)
    assert "no worker today" in said, said
    assert sh("systemctl is-active wsgi-shop-celery@1 wsgi-shop-celery@2").split() == ["active"] * 2


def test_the_way_back_after_one_that_was_killed_on_it(life):
    words = ("-e", "app=shop")
    life.killed("Start, restart or reload the applications", after=2, modules=True, book="rollback.yml", words=words)
    # Without a name it would lead to the release that it leads away from.
    said = life.publish(fine=False, words=words, playbook="playbooks/rollback.yml")
    assert f"a run that took {life.ids['4']} live again did not come to its end" in said, said
    life.publish(words=(*words, "-e", f"to={life.ids['4']}"), playbook="playbooks/rollback.yml")
    assert front()[0] == "4" and current() == life.ids["4"]


def test_an_environment_after_a_run_that_was_killed_while_workers_were_replaced(life):
    life.write("7")
    life.greeting = "Hello"
    life.killed("Start, restart or reload the applications", after=2)
    life.good("7")
    assert front() == ("7", "Hello", key(life.secret))


def test_a_release_that_answers_500_is_seen_by_no_visitor(life):
    said = life.broken("8", ill("raise RuntimeError('front is ill')"))
    assert "front is ill" in said and "answered 500" in said, said


def test_a_release_in_a_maintenance_window_after_a_run_that_was_killed_in_the_preflight(life):
    words = ("-e", "app=shop", "-e", "state=on")
    life.window.append(time.time())
    life.publish(words=words, playbook="playbooks/maintenance.yml")
    assert get(SHOP) == (503, PAGE)
    life.write("9")
    life.killed("Preflight the new code in a separate process", after=1, modules=True, answer=503)
    life.publish()
    assert get(SHOP) == (503, PAGE)
    life.publish(words=(*words[:3], "state=off"), playbook="playbooks/maintenance.yml")
    life.window.append(time.time())
    assert front()[0] == "9"
    life.ids["9"] = current()


def test_a_release_that_hangs_is_seen_by_no_visitor(life):
    said = life.broken("10", ill("__import__('time').sleep(3600)"), publish_timeout=15)
    assert "gave no answer" in said, said


def test_a_release_after_a_run_that_was_killed_before_it_was_recorded(life):
    life.write("11")
    life.killed("Record the releases that are live", after=0, modules=True)
    life.good("11")


def test_the_way_back_to_a_release_that_is_named(life):
    life.publish(words=("-e", "app=shop", "-e", f"to={life.ids['9']}"), playbook="playbooks/rollback.yml")
    assert front()[0] == "9" and current() == life.ids["9"]


def test_a_release_after_runs_that_were_killed_when_it_was_live(life):
    life.write("14", DIES)
    life.killed("Restore the previous configuration and units", after=0)
    life.write("12")
    life.killed("Start or restart the workers and timers", after=1)
    life.killed("Run the commands of after_live", after=0.5, modules=True)
    life.good("12")


def test_a_run_with_nothing_new_changes_nothing(life):
    assert "changed=0" in life.publish()


def test_no_request_was_lost_outside_the_window(life, seen):
    begin, end = life.window
    lost = [
        one
        for one in seen["failed"]
        if one["why"] != "maintenance" or one["ended"] < begin or one["began"] > end or one["kind"] == "flask"
    ]
    assert lost == []
    for kind in ("front page", "static file", "flask", "upload", "uploaded file"):
        assert seen["counted"][kind] > 100, seen["counted"]
    # What answers well and has a worker that dies is live until that is seen.
    assert set(life.ids) - {"0"} <= set(seen["releases"]) <= set(life.ids) | {"13", "14"}


def test_each_upload_is_there_byte_for_byte(life, seen):
    digests = sh(f"cd {HOME}/shared/media && sha256sum up-*")
    assert {line.split()[1]: line.split()[0] for line in digests.splitlines()} == seen["kept"]


def test_each_task_was_done_whichever_release_had_its_worker(life, seen):
    undone = "SELECT count(*) FROM store_upload WHERE measured_by = ''"
    for _try in range(60):
        if query(undone) == [[0]]:
            break
        time.sleep(0.5)
    assert query(undone) == [[0]]
    assert query("SELECT count(*) FROM store_upload") == [[len(seen["kept"])]]
    for table, column in (("store_upload", "measured_by"), ("store_sweep", "release")):
        releases = {name for [name] in query(f"SELECT DISTINCT {column} FROM {table}")}
        assert len(releases) > 2 and releases <= set(life.ids) | {"14"}, (table, releases)


def test_no_process_of_an_older_release_is_left(life, seen):
    # As their own accounts: root of a container may not look into other accounts' processes.
    told = [sh(f"python3 - <<'EOF'\n{PROCESSES}\nEOF", user=f"wsgi-{name}") for name in ("shop", "httpbin")]
    running = [line.split("|") for line in "".join(told).splitlines()]
    live = {current(), current("httpbin")}
    assert {one for _pid, _words, *ids in running for one in ids} == live, running
    assert len(running) >= 6, running
    left = "/run/systemd/system/uwsgi-try-* /run/systemd/system/wsgi-run-* /run/graceful-wsgi/plays/set-*"
    assert sh(f"ls -d {left} 2>/dev/null", check=False) == ""


def test_the_history_is_true(life, seen):
    read = (
        "import glob, json; print(json.dumps({path.rpartition('/')[2][:-5]: json.load(open(path))"
        f" for path in glob.glob('{HOME}/releases/.records/*.json')}}))"
    )
    records = json.loads(sh(f"python3 -c {shlex.quote(read)}"))
    # Each that was good, in the order in which they were live last.
    when = {release: records[name]["live"]["at"] for release, name in life.ids.items()}
    assert sorted(when, key=when.get) == ["0", "1", "2", "6", "4", "7", "11", "9", "12"]
    assert not [release for release, name in life.ids.items() if "failed" in records[name]]
    # Each that was broken, with what its play said of it.
    failed = {name: record["failed"]["why"] for name, record in records.items() if "failed" in record}
    by_play = {
        release: [name for name, why in failed.items() if why.partition(" (")[0][:60] in " ".join(said.split())]
        for release, said in life.failed.items()
    }
    assert sorted(sum(by_play.values(), [])) == sorted(failed), (by_play, failed)
    assert [len(names) for names in by_play.values()] == [1] * 5, (by_play, failed)
    said = life.publish(words=("-e", "app=shop"), playbook="playbooks/history.yml")
    table = {words[0]: words[1] for words in map(str.split, said.splitlines()) if words and words[0] in records}
    assert [name for name, status in table.items() if status == "live"] == [life.ids["12"]]
    assert {table[name] for name in life.ids.values()} <= {"live", "earlier", "removed"}
    assert {table[name] for name in failed} <= {"failed", "removed"}
