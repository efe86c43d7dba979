"""Values of an application's environment and its secrets reach the application, and are seen nowhere else."""

import json
import shlex
import subprocess

import pytest
from canary import Canary, look_for
from one_host import HOST, app, get, play, put, sh, site

WORDS = ("-vvv", "--diff")
# What a configuration language, a shell or systemd might take for something of its own.
NASTY = {
    "PERCENT": "100% sure %n %%",
    "MARKUP": "<co> & &amp; ]]>",
    "HASH": "#1; #2",
    "UWSGI": "$(HOME) @(/etc/hostname)",
    "SHELL": "`id` $HOME ${HOME} $$ !",
    "QUOTES": '"double" \'single\' "',
    "BACKSLASH": 'C:\\new\\ \\\\ \\"x\\',
    "BLANKS": "  both ends\t ",
    "TAB": "a\tb",
    "UNICODE": "żółć ☃ 🐦",
    "EQUALS": "a=b==",
    "JINJA": "{% raw %}{{ 1 + 1 }}{% endraw %}",
    "COMMENT": "; no comment",
    "EMPTY": "",
    "TRUE": "true",
    "YES": True,
    "ONE": "1",
    "NUMBER": 1,
    "OCTAL": "0644",
    "DATA": '{"a": [1, 2]}',
}
ARRIVES = {**NASTY, "YES": "true", "NUMBER": "1", "JINJA": "{{ 1 + 1 }}"}
# What is not there while the code is loaded is missed by the preflight too.
CODE = """
import json, os
MISSED = os.environ["TOKEN"]
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(dict(os.environ)).encode()]
"""
# Only root reads what is below them.
KEPT = r"/srv/wsgi/[^/]+/releases/\.records/[^/]+\.settings"
ROOTS_OWN = rf"^(/etc/uwsgi/[^/]+\.(env|secrets)|/var/lib/graceful-wsgi/bundles/[^/]+/.*|{KEPT}):?$"
WATCH = """
import glob, os, time
seen = set()
while not os.path.exists("/root/watched"):
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            seen.add(open(path, "rb").read())
        except OSError:
            pass
    time.sleep(0.01)
open("/root/watched", "wb").write(b"\\n".join(seen))
"""


class Trial:
    """Plays one after the other, with a new canary each, and all that they said."""

    def __init__(self, folder):
        self.folder = folder
        self.said = {}
        self.canaries = [Canary()]
        self.watched = ""

    def code(self, name, text=CODE):
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "manage.py").write_text(text)
        return str(folder)

    def app(self, name, canary, **more):
        env = {"TOKEN": canary.text, **more.pop("env", {})}
        more["secrets"] = {f"SECRET_{name}": value for name, value in env.items()}
        return app(name, requirements=None, source=more.pop("source", self.code("good")), env=env, processes=1, **more)

    def play(self, name, canary, apps, **more):
        self.canaries.append(canary)
        sites = [site(f"{item['name']}.test", item["name"]) for item in apps]
        self.said[name] = play(apps, sites, words=WORDS, publish_set="secrets", **more)
        return self.said[name]

    def env(self, name):
        status, text = get(f"{name}.test")
        assert status == 200, text
        return json.loads(text)


KINDS = ("ini", "json", "yaml", "xml")


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    """All plays; the tests look at what came of them."""
    made = Trial(tmp_path_factory.mktemp("secrets"))
    sh("rm -f /root/watched")
    watch = subprocess.Popen(["docker", "exec", HOST, "python3", "-c", WATCH])
    try:
        _plays(made)
    finally:
        sh("touch /root/watched")
        watch.wait(30)
    made.watched = sh("cat /root/watched")
    return made


def _plays(made):
    new, changed, broken, failing = (Canary() for _ in range(4))
    status, said = made.play(
        "new", new, [made.app(f"sec-{kind}", new, config_format=kind, env=NASTY) for kind in KINDS]
    )
    assert status == 0, said
    look = "grep -aFl -f - /etc/uwsgi/*.env /etc/uwsgi/*.secrets"
    made.held = look_for([new], f"{look}; find /etc/uwsgi \\( -name '*.env' -o -name '*.secrets' \\) -perm /077")
    made.arrived = {kind: made.env(f"sec-{kind}") for kind in KINDS}
    # As the version before left them, the values in uWSGI's configuration.
    for kind, line in (
        ("ini", "env = OLD={}"),
        ("json", '"env": ["OLD={}", "A=1"],'),
        ("yaml", "  env: OLD={}"),
        ("xml", "<env>OLD={}</env>"),
    ):
        after = {"ini": "[uwsgi]", "json": '"uwsgi": {', "yaml": "uwsgi:", "xml": "<uwsgi>"}[kind]
        path = f"/etc/uwsgi/sec-{kind}.{kind}"
        text = sh(f"cat {path}").replace(after, f"{after}\n{line.format(made.canaries[0].text)}", 1)
        put(path, text, mode="0644")
    env = {**{key: value for key, value in NASTY.items() if key != "EMPTY"}, "NEW": "1"}
    apps = [made.app(f"sec-{kind}", changed, config_format=kind, env=env) for kind in KINDS]
    status, said = made.play("changed", changed, apps)
    assert status == 0, said
    made.after_change = made.env("sec-ini")
    bad = made.code("bad", "raise RuntimeError('does not load')\n")
    made.play("broken", broken, [made.app("sec-ini", broken, source=bad)], publish_prune=False)
    # The unit in which the code is loaded first has another name.
    options = {"ExecStartPre": "/bin/sh -c 'case %i in *@next) exit 1;; esac'"}
    made.play("failing", failing, [made.app("sec-ini", failing, service_options=options)], publish_prune=False)
    made.after_failure = made.env("sec-ini")
    # The others go, and one has no variables any more.
    bare = made.code("bare", CODE.replace('["TOKEN"]', ""))
    status, said = made.play("pruned", failing, [dict(made.app("sec-ini", failing, source=bare), env={}, secrets={})])
    assert status == 0, said
    made.after_prune = made.env("sec-ini")
    made.left = sh("ls /etc/uwsgi")


def test_every_byte_arrives_whatever_the_language(trial):
    for kind in KINDS:
        env = trial.arrived[kind]
        for prefix in ("", "SECRET_"):
            assert {name: env.get(prefix + name) for name in ARRIVES} == ARRIVES
            assert env[f"{prefix}TOKEN"] == trial.canaries[1].text


def test_a_new_value_arrives_and_a_name_that_went_is_gone(trial):
    for prefix in ("", "SECRET_"):
        assert trial.after_change[f"{prefix}TOKEN"] == trial.canaries[2].text
        assert trial.after_change[f"{prefix}NEW"] == "1"
        assert f"{prefix}EMPTY" not in trial.after_change


def test_after_a_deploy_that_failed_the_value_before_is_back(trial):
    for name in ("broken", "failing"):
        status, said = trial.said[name]
        assert status == 2, said
    assert "does not load" in trial.said["broken"][1]
    assert "Live again as it was" in trial.said["failing"][1]
    assert trial.after_failure["TOKEN"] == trial.after_failure["SECRET_TOKEN"] == trial.canaries[2].text


def test_what_is_pruned_takes_its_file_along(trial):
    assert not {"TOKEN", "SECRET_TOKEN"} & set(trial.after_prune)
    assert [name for name in trial.left.split() if "sec-" in name] == ["sec-ini.command", "sec-ini.ini"]


def test_nothing_that_was_printed_holds_a_value(trial):
    for name, (_status, said) in trial.said.items():
        assert [canary.text for canary in trial.canaries if canary.seen_in(said)] == [], name


def test_a_diff_says_that_a_value_changed(trial):
    said = trial.said["changed"][1]
    for prefix in ("", "SECRET_"):
        assert f"-{prefix}TOKEN=(hidden)\n" in said
        assert f"+{prefix}TOKEN=(hidden, changed)\n" in said
        assert f"+{prefix}NEW=(hidden)\n" in said
        assert f"-{prefix}EMPTY=(hidden)\n" in said
    # What stayed is no news.
    assert "QUOTES=(hidden, changed)" not in said
    assert "OLD=(hidden)" in said


def test_the_journal_holds_no_value(trial):
    assert look_for(trial.canaries, "journalctl --all --output=export | grep -aF -f -") == []
    assert sh("journalctl --output=cat | grep -c sec-ini").strip() != "0"


def test_no_command_line_held_a_value(trial):
    assert "uwsgi" in trial.watched
    assert [canary.text for canary in trial.canaries if canary.seen_in(trial.watched)] == []


def test_no_file_but_roots_own_holds_a_value(trial):
    folders = "/etc /var /run /tmp /srv /home /dev/shm /opt /root"
    # That it would be found is shown by root's own files.
    assert trial.held == [f"/etc/uwsgi/sec-{kind}.{of}" for of in ("env", "secrets") for kind in sorted(KINDS)]
    command = f"grep -raFl -D skip -f - {folders} 2>/dev/null | grep -Ev {shlex.quote(ROOTS_OWN)}"
    assert look_for(trial.canaries, command) == []
    bundles = "/var/lib/graceful-wsgi/bundles"
    assert sh(f"find {bundles} -mindepth 1 -maxdepth 1 -perm /077") == ""
    assert "denied" in sh(f"ls {bundles}/publish-secrets-apps", user="mallory", check=False)
    # What a way back needs: env, and of secrets the names alone.
    records = "/srv/wsgi/sec-*/releases/.records"
    assert "SECRET_TOKEN" in sh(f"cat {records}/*.settings")
    assert "SECRET_TOKEN\":" not in sh(f"cat {records}/*.settings")
    assert sh(f"find {records} -perm /077") == ""
    assert "denied" in sh("ls /srv/wsgi/sec-ini/releases/.records", user="mallory", check=False)


def test_what_systemd_tells_holds_no_value(trial):
    assert look_for(trial.canaries, "systemctl show 'uwsgi@*' '*' | grep -aF -f -") == []


def test_notes_with_digests_are_roots_own(trial):
    assert sh(r"find /run/graceful-wsgi -maxdepth 1 \( -name '*.json' -o -name 'loads-*' \) -perm /044") == ""


def test_refusals_name_the_variable_and_no_value():
    canary = Canary()
    wrong = {
        "2FA": canary.text,
        f"TOKEN={canary.text}": None,
        "UWSGI_MODULE": canary.text,
        "LISTEN_FDS": canary.text,
        "LINES": f"{canary.text}\n2",
        "BELL": f"{canary.text}\a",
        "MANY": [canary.text],
        "LONG": canary.text * 5000,
    }
    apps = [app("sec-bad", env=wrong), app("sec-bad2", secrets=wrong)]
    status, said = play(apps, words=WORDS, publish_set="secrets")
    assert status == 2
    for where in ("publish_apps[0].env", "publish_apps[1].secrets"):
        for name in ("UWSGI_MODULE", "LISTEN_FDS", "LINES", "BELL", "MANY", "LONG"):
            assert f"- {where}.{name}: " in said, said
        for name in ("2FA", "TOKEN"):
            assert f"- {where}: '{name}' is no name" in said, said
    assert canary.seen_in(said) == []


@pytest.mark.parametrize("key", ["env", "secrets"])
@pytest.mark.parametrize("shape", ["text", "list", "item", "mapping"])
def test_what_has_no_right_shape_is_not_repeated(shape, key):
    canary = Canary()
    apps = {
        "text": [app("sec-bad", **{key: f"TOKEN={canary.text}"})],
        "list": [app("sec-bad", **{key: [f"TOKEN={canary.text}"]})],
        "item": [app("sec-bad"), f"name=sec-bad {key}={canary.text}"],
        "mapping": {"sec-bad": f"{key}={canary.text}"},
    }[shape]
    status, said = play([], words=(*WORDS, f"--extra-vars={json.dumps({'publish_apps': apps})}"), publish_set="secrets")
    assert status == 2
    assert "- publish_apps" in said, said
    assert canary.seen_in(said) == []
