"""A throw-away unit has what the live one's says of how code loads, and nothing of how it is started and watched."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import pwd

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import trial_unit as code
from ansible_collections.graceful.wsgi.plugins.module_utils.trial_unit import TrialError, Trials, parse

TEMPLATE = """# ours
[Unit]
Description=uWSGI application %i
After=network.target
OnFailure=mail@%n.service
[Service]
Type=notify
User=nobody
RuntimeDirectory=uwsgi-%i shared
Environment=UWSGI_MASTER=true "UWSGI_HOME=/srv/shop/current/.venv" \\
  PLAIN=1
EnvironmentFile=-/etc/uwsgi/%i.env
ExecStart=/opt/uwsgi --ini /etc/uwsgi/%i.ini
ExecStartPre=+/bin/chgrp nginx /run/uwsgi-%i
ExecStartPost=/bin/mail root
ExecReload=/bin/kill -HUP
WatchdogSec=5
ProtectSystem=full
[Install]
WantedBy=multi-user.target
"""
DROPIN = "[Service]\nStateDirectory=%i\nWorkingDirectory=/srv/shop/current\nRestart=always\nMemoryMax=1G\n"


class Systemd:
    """A systemctl that notes what it is told."""

    def __init__(self, version=252):
        self.version = version
        self.told = []

    def __call__(self, *words):
        if words == ("--version",):
            return 0, "systemd %d (%d-1)\n+PAM" % (self.version, self.version)
        self.told.append(words)
        return 0, ""


@pytest.fixture
def host(tmpdir, monkeypatch):
    """Folders of systemd's, of ours, and one of the units in them."""
    for name in ("etc", "run", "lib"):
        tmpdir.mkdir(name)
    folders = [str(tmpdir / "etc"), str(tmpdir / "units"), str(tmpdir / "lib")]
    tmpdir.mkdir("units")
    monkeypatch.setattr(code, "FOLDERS", folders)
    monkeypatch.setattr(code, "UNIT_DIR", str(tmpdir / "units"))
    monkeypatch.setattr(code, "RUN_DIR", str(tmpdir / "run"))
    monkeypatch.setattr(code, "PLACE", str(tmpdir / "state" / "try"))
    monkeypatch.setattr(code, "make_folders", lambda path: os.path.isdir(path) or os.makedirs(path))
    (tmpdir / "etc" / "uwsgi@.service").write(TEMPLATE.replace("/run/", str(tmpdir / "run") + "/"))
    return tmpdir


def unit(host, name, systemd=None, **more):
    """What a throw-away unit of uwsgi@shop.service says: {(section, setting): [values]}."""
    systemd = systemd or Systemd()
    with Trials(systemd) as trials:
        trial = trials.add(name, "uwsgi@shop.service", **more)
        trials.ready()
        with open(trial.path) as source:
            found = {}
            for section, key, value in parse(source.read()):
                found.setdefault((section, key), []).append(value)
    return trial, found


def test_what_decides_how_code_loads_is_there_and_nothing_else(host):
    path = str(host / "etc" / "uwsgi@shop.service.d" / "10-publish.conf")
    trial, found = unit(host, "shop", wanted={path: DROPIN}, replace={"/srv/shop/current": "/srv/shop/releases/2"})
    said = dict((key, values) for (_section, key), values in found.items())
    assert said["User"] == ["nobody"]
    assert said["ProtectSystem"] == ["full"]
    assert said["MemoryMax"] == ["1G"]
    assert said["EnvironmentFile"] == ["-/etc/uwsgi/shop.env"]
    assert said["StateDirectory"] == ["shop"]
    assert said["WorkingDirectory"] == ["/srv/shop/releases/2"]
    assert said["ExecStartPre"] == ["+/bin/chgrp nginx " + trial.run_dir]
    assert said["RuntimeDirectory"] == ["shared", os.path.basename(trial.run_dir)]
    assert said["ExecStart"] == ["/bin/sh " + trial.script]
    assert (said["Restart"], said["Type"], said["KillMode"]) == (["no"], ["simple"], ["mixed"])
    assert said["After"] == ["network.target"]
    assert not set(said).intersection(("OnFailure", "ExecReload", "ExecStartPost", "WatchdogSec", "WantedBy"))
    # What uWSGI would take for options is loaded as options, with the new release's paths.
    assert ("home", "/srv/shop/releases/2/.venv") in trial.given
    assert trial.uid == pwd.getpwnam("nobody").pw_uid


class Systemd219(Systemd):
    """As 219-67 answers of several units: with the first error for all behind it, and none of these is reset."""

    def __init__(self, failed, forgotten):
        Systemd.__init__(self, 219)
        self.failed, self.forgotten = set(failed), forgotten

    def __call__(self, *words):
        if words[0] != "reset-failed":
            return Systemd.__call__(self, *words)
        said = ""
        for unit in words[1:]:
            if said or unit.startswith(self.forgotten):
                said = said or "Unit %s is not loaded.\n" % unit
            else:
                self.failed.discard(unit)
        return (1 if said else 0), said


def test_one_that_had_to_be_killed_is_forgotten_though_systemd_219_has_forgotten_another(host):
    systemd = Systemd219((), "uwsgi-try-a-")
    with Trials(systemd) as trials:
        made = [trials.add(name, "uwsgi@%s.service" % name) for name in ("a", "b", "c")]
        systemd.failed = set(trial.unit for trial in made[1:])
    assert systemd.failed == set()


def test_nothing_is_left_and_systemd_reads_twice_for_any_number(host):
    systemd = Systemd()
    with Trials(systemd) as trials:
        made = [trials.add(name, "uwsgi@%s.service" % name, files={"/etc/x": "secret"}) for name in ("a", "b")]
        trials.ready()
        assert all(os.path.exists(trial.path) for trial in made)
        assert [words[0] for words in systemd.told] == ["daemon-reload"]
        for trial in made:
            (copy,) = [name for name in os.listdir(trial.place) if name.startswith("file-")]
            assert os.stat(os.path.join(trial.place, copy)).st_mode & 0o777 == 0o600
    told = ["daemon-reload", "stop", "reset-failed", "reset-failed", "daemon-reload"]
    assert [words[0] for words in systemd.told] == told
    assert sorted(systemd.told[1][1:]) == sorted(trial.unit for trial in made)
    assert os.listdir(code.UNIT_DIR) == []
    assert os.listdir(code.PLACE) == ["lock"]


def test_nothing_to_try_costs_nothing(host):
    systemd = Systemd()
    with Trials(systemd) as trials:
        trials.ready()
    assert systemd.told == []


def test_what_a_killed_run_left_goes_and_what_another_is_at_stays(host):
    killed, other = Trials(Systemd()), Trials(Systemd())
    left, kept = killed.add("a", "uwsgi@a.service"), other.add("b", "uwsgi@b.service")
    killed._lock.close()
    systemd = Systemd()
    with Trials(systemd) as trials:
        trials.add("c", "uwsgi@c.service")
        assert ("stop", left.unit) in systemd.told
        assert not os.path.exists(left.path)
        assert not os.path.exists(left.place)
        assert os.path.exists(kept.path)
    assert os.path.exists(kept.path)
    other.close()


def test_files_that_are_not_live_yet_are_read_in_their_place(host):
    trial, found = unit(host, "shop", files={"/etc/uwsgi/shop.env": "TOKEN=new"})
    assert found["Service", "EnvironmentFile"] == ["-" + os.path.join(trial.place, "file-0")]


def test_an_old_systemd_is_told_only_what_it_does_not_take_too_far(host):
    trial, found = unit(host, "shop", Systemd(219))
    assert found["Service", "RuntimeDirectory"] == [os.path.basename(trial.run_dir)]
    assert found["Service", "StandardOutput"] == ["journal"]
    assert ("Service", "RuntimeDirectoryPreserve") not in found


def test_an_account_in_the_place_of_the_units(host):
    who = {"uid": 1234, "gid": 1235, "groups": [7, 8]}
    trial, found = unit(host, "shop", who=who, folder=str(host))
    assert found["Service", "User"][-1] == "1234"
    assert found["Service", "SupplementaryGroups"][-2:] == ["", "7 8"]
    assert found["Service", "WorkingDirectory"][-1] == str(host)
    assert trial.uid == 1234


@pytest.mark.parametrize("name", ["x\nExecStartPre=+/bin/sh", "x\\", "%n", "50%", "-x\r", u"\u2028", "none"])
def test_the_folder_of_a_process_says_nothing_else_to_systemd(host, name):
    folder = os.path.join(str(host), name)
    if name != "none":
        os.makedirs(folder.encode("utf-8"))
    _trial, found = unit(host, "shop", folder=folder)
    assert ("Service", "WorkingDirectory") not in found
    assert len(found["Service", "ExecStartPre"]) == 1


def test_drop_ins_by_name_wherever_they_stand_the_first_folder_counting(host):
    for folder, name, text in (
        ("lib", "uwsgi@.service.d/20-b.conf", "[Service]\nNice=1\n"),
        ("etc", "uwsgi@shop.service.d/10-a.conf", "[Service]\nNice=2\n"),
        ("lib", "uwsgi@shop.service.d/10-a.conf", "[Service]\nNice=3\n"),
    ):
        path = host / folder / name
        path.write(text, ensure=True)
    wanted = {str(host / "etc" / "uwsgi@shop.service.d" / "15-c.conf"): "[Service]\nNice=4\n"}
    settings = [item for text in code.texts("uwsgi@shop.service", wanted) for item in parse(text)]
    values = [value for _section, name, value in settings if name == "Nice"]
    assert values == ["2", "4", "1"]


def test_a_unit_that_is_not_there_or_has_no_account(host):
    with Trials(Systemd()) as trials:
        with pytest.raises(TrialError, match="no unit"):
            trials.add("a", "other@a.service")
        (host / "lib" / "x.service").write("[Service]\nUser=no-such-account\n")
        with pytest.raises(TrialError, match="no account"):
            trials.add("x", "x.service")
    assert os.listdir(code.UNIT_DIR) == []


@pytest.mark.parametrize(
    ("text", "main", "found"),
    [
        ("0::/system.slice/system-uwsgi.slice/uwsgi@shop.service\n", "7", "uwsgi@shop.service"),
        ("4:cpu:/x.service\n1:name=systemd:/system.slice/shop.service\n", "7", "shop.service"),
        ("0::/system.slice/emperor.service/sub\n", "6", "emperor.service"),
        # A daemon of cron's is none of its unit's.
        ("0::/system.slice/cron.service\n", "3", None),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service\n", "7", None),
        ("0::/user.slice/user-1000.slice/session-1.scope\n", "7", None),
        ("", "7", None),
    ],
)
def test_the_unit_of_a_master(monkeypatch, text, main, found):
    monkeypatch.setattr(code.procfs, "read", lambda _path: text.encode("ascii"))
    monkeypatch.setattr(code.procfs, "parent", lambda _pid: 6)
    assert code.unit_of(7, lambda *_words: (0, "MainPID=%s\n" % main)) == found


def test_nobody_else_reads_what_code_says_nor_lists_what_runs(host):
    with Trials(Systemd()) as trials:
        trial = trials.add("shop.0", "uwsgi@shop.service")
        assert os.stat(trial.log).st_mode & 0o777 == 0o600
        assert os.stat(code.PLACE).st_mode & 0o777 == 0o711
        assert os.stat(os.path.join(code.PLACE, "lock")).st_mode & 0o777 == 0o600
