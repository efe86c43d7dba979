"""What accounts of a host write and run is taken for what is theirs to say, and for nothing else."""

import importing
import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import (
    import_inventory,
    import_nginx,
    import_speakers,
    import_uwsgi,
)

SHOP, EVIL = 1001, 1002
ACCOUNTS = {
    str(SHOP): {"name": "shop", "groups": ["shop", "www"]},
    str(EVIL): {"name": "evil", "groups": ["evil"]},
    "65534": {"name": "", "groups": []},
}
INI = "/etc/uwsgi/shop.ini"
UNIT = "/etc/systemd/system/shop.service"


def found(files, speakers=None, readers=None, processes=()):
    """What a host tells, as import gets it."""
    more = {"speakers": speakers or {}, "readers": readers or {}, "accounts": ACCOUNTS}
    return import_speakers.told({"files": files, "processes": list(processes), **more})


def process(by, *words, unit="", pid=7):
    user = ACCOUNTS[str(by)]["name"] if by is not None else "root"
    about = {"pid": pid, "kind": "uwsgi", "command": ["uwsgi", *words], "folder": "/", "user": user}
    return {**about, "unit": unit, "uid": by or 0, "by": by}


def applications(given):
    sources, messages = import_uwsgi.applications(given["files"], given["processes"])
    return {source.file: source for source in sources}, messages


def imported(given):
    result = import_inventory.run(given["files"], importing.planner, given["processes"])
    return {app["name"]: app for app in result.variables.get("publish_apps") or []}, result


def test_a_process_of_another_account_adds_nothing_to_an_application():
    words = ("--ini", INI, "--module", "e:app", "--pythonpath", "/home/evil")
    given = found({INI: "[uwsgi]\nmodule = shop\nuid = shop\n"}, None, {INI: [EVIL]}, [process(EVIL, *words)])
    sources, messages = applications(given)
    assert [option.value for option in sources[INI].options] == ["shop", "shop"] and not sources[INI].starters
    assert any("process 7: runs as evil" in text and INI in text for text in messages)
    apps, _result = imported(given)
    assert apps["shop"]["user"] == "shop" and apps["shop"]["module"] == "shop" and "pythonpath" not in apps["shop"]


@pytest.mark.parametrize("by", [None, SHOP])
def test_a_process_of_roots_or_of_the_files_own_account_counts(by):
    given = found({"/srv/s.ini": "[uwsgi]\nmodule = shop\n"}, {"/srv/s.ini": SHOP}, {"/srv/s.ini": [SHOP]})
    given = {**given, **{"processes": found({}, processes=[process(by, "/srv/s.ini", "--threads", "3")])["processes"]}}
    sources, messages = applications(given)
    assert messages == [] and sources["/srv/s.ini"].last("threads") == "3" and sources["/srv/s.ini"].starters


def test_a_process_in_the_unit_that_starts_the_application_is_its_own():
    files = {UNIT: f"[Service]\nUser=shop\nExecStart=/usr/bin/uwsgi --ini {INI}\n", INI: "[uwsgi]\nmodule = shop\n"}
    readers = {INI: [SHOP, EVIL]}
    given = found(files, None, readers, [process(SHOP, INI, unit="shop.service"), process(EVIL, INI, pid=8)])
    sources, messages = applications(given)
    assert [one.kind for one in sources[INI].starters] == ["systemd", "process"]
    assert len(messages) == 1 and "process 8" in messages[0]


def test_another_instance_of_a_template_is_another_unit():
    files = {f"/etc/apps/{name}.ini": f"[uwsgi]\nmodule = {name}\n" for name in ("shop", "evil")}
    files["/etc/systemd/system/app@.service"] = "[Service]\nExecStart=/usr/bin/uwsgi /etc/apps/%i.ini\n"
    readers = dict.fromkeys(files, [SHOP, EVIL])
    running = [
        process(SHOP, "/etc/apps/shop.ini", unit="app@shop.service"),
        process(EVIL, "/etc/apps/shop.ini", unit="app@evil.service", pid=8),
    ]
    sources, messages = applications(found(files, None, readers, running))
    assert [one.user for one in sources["/etc/apps/shop.ini"].starters] == ["", "shop"]
    assert len(messages) == 1 and "process 8" in messages[0]


def test_an_account_that_only_a_process_names_is_asked_about():
    given = found({INI: "[uwsgi]\nmodule = shop\n"}, None, {INI: [SHOP]}, [process(SHOP, INI)])
    apps, result = imported(given)
    assert "user" not in apps["shop"]
    assert [row.choices for row in result.questions() if "processes of shop" in row.text] == [["user: shop"]]


def test_a_process_that_claims_anothers_place_is_left_out():
    files = {INI: "[uwsgi]\nmodule = shop\nsocket = 127.0.0.1:8000\nuid = shop\n"}
    files["/home/evil/x.ini"] = "[uwsgi]\nmodule = e\nsocket = :8000\n"
    running = [process(EVIL, "-s", "127.0.0.1:8000", "-w", "e:app"), process(EVIL, "-s", ":8001", "-w", "e", pid=8)]
    sources, messages = applications(found(files, {"/home/evil/x.ini": EVIL}, processes=running))
    assert sorted(sources) == [INI, "process 8"]
    assert sum("evil alone says it, and it listens where /etc/uwsgi/shop.ini does" in text for text in messages) == 2


def test_a_copy_of_a_units_command_is_no_starter_of_its_application():
    files = {UNIT: "[Service]\nExecStart=/usr/bin/uwsgi -s :8000 -w shop\n"}
    sources, messages = applications(found(files, processes=[process(EVIL, "-s", ":8000", "-w", "shop")]))
    assert [one.kind for one in sources[UNIT].starters] == ["systemd"] and len(sources) == 1 and len(messages) == 1


def test_units_and_programs_of_others_start_nothing():
    unit = "[Service]\nUser=root\nEnvironmentFile=/etc/shadow\nExecStart=/usr/bin/uwsgi --ini /home/evil/a.ini\n"
    files = {"/home/evil/a.service": unit, "/home/evil/a.ini": "[program:x]\ncommand=uwsgi -w e --uid shop\n"}
    given = found(files, dict.fromkeys(files, EVIL))
    sources, messages = applications(given)
    assert not sources and sum("it starts nothing here" in text for text in messages) == 2
    # The same of root's own, and of files without a host, whose giver speaks for them.
    for one in (found(files), {"files": files, "processes": []}):
        assert [app["service_options"] for app in imported(one)[0].values() if "service_options" in app]


@pytest.mark.parametrize(
    ("line", "key"),
    [("uid = shop", "user"), ("gid = shop", "group"), ("logto = /etc/cron.d/x", "log"), ("daemonize = x.log", "log"),
     ("who = shop\nuid = %(who)", "user"), ("logger = file:/var/log/x.log", "log")],
)
def test_a_file_of_an_account_names_no_other_account_and_no_log(line, key):
    path = "/home/evil/a.ini"
    text = f"[uwsgi]\nmodule = e\nchdir = /home/evil\n{line}\n"
    [app] = imported(found({path: text}, {path: EVIL}))[0].values()
    assert key not in app
    _apps, result = imported(found({path: text}, {path: EVIL}))
    assert any("evil says it" in row.how for row in result.rows)
    # Root's may.
    [app] = imported(found({path: text}))[0].values()
    assert key in app


def test_an_account_may_say_itself_and_what_goes_nowhere_of_roots():
    path = "/srv/shop/a.ini"
    text = "[uwsgi]\nmodule = e\nchdir = /srv/shop\nuid = shop\ngid = www\nlogto = /dev/stdout\nenv = A=1\n"
    [app] = imported(found({path: text}, {path: SHOP}))[0].values()
    assert (app["user"], app["group"], app["log"], app["env"]) == ("shop", "www", "journal", {"A": "1"})
    # Of what several may have written nobody knows who says it.
    [app] = imported(found({path: text}, {path: 65534}))[0].values()
    assert "user" not in app and "group" not in app


def test_a_value_that_comes_out_of_an_accounts_file_is_that_accounts():
    files = {INI: "[uwsgi]\nini = /home/evil/more.ini\nmodule = shop\nuid = %(who)\n"}
    files["/home/evil/more.ini"] = "[uwsgi]\nset-placeholder = who=daemon\n"
    [app] = imported(found(files, {"/home/evil/more.ini": EVIL}))[0].values()
    assert "user" not in app


@pytest.mark.parametrize("named", ["/srv/shop/secret.ini", "../../srv/shop/secret.ini", "secret.ini", "/x/secret.ini"])
def test_a_file_includes_only_what_its_account_may_read(named):
    files = {"/home/evil/a.ini": f"[uwsgi]\nmodule = e\nini = {named}\n"}
    files["/srv/shop/secret.ini"] = "[uwsgi]\nmodule = s\nenv = TOKEN=canary\n"
    speakers = {"/home/evil/a.ini": EVIL, "/srv/shop/secret.ini": SHOP}
    sources, messages = applications(found(files, speakers))
    assert "canary" not in str(sources["/home/evil/a.ini"].options) and messages
    if "srv" in named:
        assert "is nothing that evil may read" in messages[0]
        sources, messages = applications(found(files, speakers, {"/srv/shop/secret.ini": [EVIL]}))
        assert "canary" in str(sources["/home/evil/a.ini"].options) and not messages


def test_what_an_account_includes_by_a_file_of_roots_is_read_with_its_rights_too():
    files = {"/home/evil/a.ini": "[uwsgi]\nmodule = e\nini = /etc/open.ini\n"}
    files["/etc/open.ini"] = "[uwsgi]\nini = s.ini\n"
    files["/etc/s.ini"] = "[uwsgi]\nenv = TOKEN=canary\n"
    sources, _messages = applications(found(files, {"/home/evil/a.ini": EVIL}, {"/etc/open.ini": [EVIL]}))
    assert "canary" not in str(sources["/home/evil/a.ini"].options)
    assert "canary" in str(import_uwsgi.Reader(found(files)["files"]).read("/etc/open.ini"))


def test_an_nginx_file_of_an_account_includes_only_what_it_may_read():
    conf = "/etc/nginx/nginx.conf"
    files = {conf: "http { include /home/evil/x.conf; }", "/home/evil/x.conf": "include /srv/s.conf;"}
    files["/srv/s.conf"] = "server { set $canary 1; }"
    for readers, seen in (({}, False), ({"/srv/s.conf": [EVIL]}, True)):
        reader = import_nginx.Reader(found(files, {"/home/evil/x.conf": EVIL}, readers)["files"], conf)
        assert ("canary" in str(reader.read())) is seen
        assert any("evil may read" in text for text in reader.messages) is not seen


def test_an_emperor_of_an_account_starts_no_other_accounts_applications():
    files = {"/home/evil/e.ini": "[uwsgi]\nemperor = /srv/shop\n", "/srv/shop/a.ini": "[uwsgi]\nmodule = s\n"}
    sources, _messages = applications(found(files, {"/home/evil/e.ini": EVIL, "/srv/shop/a.ini": SHOP}))
    assert not sources["/srv/shop/a.ini"].starters
    sources, _messages = applications(found(files, {"/srv/shop/a.ini": SHOP}))
    assert [one.kind for one in sources["/srv/shop/a.ini"].starters] == ["emperor"]


def test_an_emperor_that_an_account_runs_starts_its_own_vassals_as_that_account():
    files = {"/home/evil/v/a.ini": "[uwsgi]\nmodule = e\n", "/home/evil/v/shop.ini": "[uwsgi]\nmodule = s\n"}
    speakers = {"/home/evil/v/a.ini": EVIL, "/home/evil/v/shop.ini": SHOP}
    given = found(files, speakers, None, [process(EVIL, "--emperor", "/home/evil/v", "--uid", "root")])
    sources, _messages = applications(given)
    assert [(one.kind, one.user) for one in sources["/home/evil/v/a.ini"].starters] == [("emperor", "evil")]
    assert not sources["/home/evil/v/shop.ini"].starters


def test_includes_that_multiply_end(monkeypatch):
    monkeypatch.setattr(import_uwsgi, "MAX_READS", 100)
    files = {f"/a{number}.ini": "[uwsgi]\n" + f"ini = /a{number + 1}.ini\n" * 9 for number in range(15)}
    files["/a15.ini"] = "[uwsgi]\nmodule = x\n"
    _sources, messages = import_uwsgi.applications(files)
    assert sum("the rest is left out" in text for text in messages) == 1


def test_speakers_outlive_what_is_made_of_the_files():
    given = found({INI: "x"}, {INI: EVIL})
    copied = {path: text for path, text in given["files"].items() if path}
    assert import_speakers.speaker(copied[INI]).name == "evil"
    assert import_speakers.speaker("x") is None and import_speakers.may_read("x", import_speakers.Speaker(EVIL))
