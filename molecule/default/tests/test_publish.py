"""The applications and sites of the scenario, asked through nginx."""

import json
import re
import time

import pytest

testinfra_hosts = ["ansible://published"]

APPS = ["flask", "icmanage", "zabbix", "from-folder", "from-archive", "from-git"]


def pids(host, app):
    """The master's pid and its workers'."""
    master = host.file(f"/run/uwsgi-{app}/pid").content_string.strip()
    return int(master), [int(pid) for pid in host.check_output(f"cat /proc/{master}/task/{master}/children").split()]


def stats(host, app):
    """What uWSGI's own stats server says."""
    script = (
        f"import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/uwsgi-{app}/stats')\n"
        "print(b''.join(iter(lambda: s.recv(65536), b'')).decode())"
    )
    return json.loads(host.check_output(f'python3 -c "{script}"'))


@pytest.mark.parametrize("app", APPS)
def test_each_unit_runs_and_is_enabled(host, app):
    service = host.service(f"uwsgi@{app}")
    assert service.is_running
    assert service.is_enabled


@pytest.mark.parametrize("app", APPS)
def test_no_application_runs_as_root(host, app):
    master, workers = pids(host, app)
    users = {host.check_output(f"stat -c %U /proc/{pid}") for pid in [master, *workers]}
    assert users == {{"flask": "wyz", "icmanage": "hips"}.get(app, f"wsgi-{app}")}


@pytest.mark.parametrize(
    ("app", "processes", "threads"),
    [("flask", 4, 2), ("icmanage", 1, None), ("zabbix", 2, 1), ("from-folder", 3, 2), ("from-git", 2, 1)],
)
def test_workers_and_threads_are_as_asked(host, app, processes, threads):
    seen = stats(host, app)
    assert len(seen["workers"]) == processes
    if threads:
        assert {len(worker["cores"]) for worker in seen["workers"]} == {threads}
    assert len([worker for worker in seen["workers"] if worker["status"] in ("idle", "busy")]) == processes


def test_the_articles_first_block_answers(site):
    answer = site.get("example.com", "/a/b?c=d").json()
    assert answer["seen"]["UWSGI_CHDIR"] == "/home/wyz/flask"
    assert answer["seen"]["UWSGI_SCRIPT"] == "manage:app"
    assert answer["seen"]["PATH_INFO"] == "/a/b"
    assert answer["file"] == "/home/wyz/flask/manage.py"
    assert answer["options"]["socket"] == "127.0.0.1:5051"


def test_logs_of_sites_and_applications_are_where_they_are_wanted(host, site):
    assert site.get("example.com", "/into-the-access-log").status_code == 200
    assert "/into-the-access-log" in host.file("/var/log/example.com/access.log").content_string
    assert host.file("/var/log/example.com/error.log").exists
    log = host.file("/home/wyz/flask/server.log")
    assert log.user == "wyz"
    assert "/into-the-access-log" in log.content_string


def test_the_articles_second_block_answers(site):
    answer = site.get("192.168.1.101").json()
    assert answer["options"]["gevent"] == "1000"
    assert answer["options"]["project"] == "/home/hips/ICManage"
    assert answer["cwd"] == "/home/hips/ICManage"


def test_the_articles_project_log_is_written(host):
    log = host.file("/home/hips/ICManage/uwsgi/logs/server.log")
    assert log.user == "hips"
    assert "spawned uWSGI worker 1" in log.content_string


def test_a_reload_goes_on_writing_to_the_log(host, site):
    host.run_expect([0], "systemctl reload uwsgi@zabbix")
    time.sleep(3)
    assert site.get("192.168.1.101", "/zabbix/after-the-reload").status_code == 200
    assert "/after-the-reload" in host.file("/var/log/uwsgi/zabbix/server.log").content_string


def test_the_articles_zabbix_is_proxied(site):
    answer = site.get("192.168.1.101", "/zabbix/a/b/").json()
    assert answer["seen"]["PATH_INFO"] == "/zabbix/a/b/"
    assert answer["seen"]["HTTP_HOST"] == "192.168.1.101"
    assert answer["options"]["http-socket"] == "127.0.0.1:8881"


def test_the_prefix_without_its_slash_is_redirected(site):
    """As nginx does by itself, but relative, so that it is right behind another proxy too."""
    answer = site.get("192.168.1.101", "/zabbix?a=1")
    assert answer.status_code == 301
    assert answer.headers["Location"] == "/zabbix/?a=1"


def test_both_forms_reach_the_same_code(site):
    through_uwsgi = site.get("folder.test", "/x?y=1").json()
    through_http = site.get("archive.test", "/x?y=1").json()
    assert "socket" in through_uwsgi["options"]
    assert "http-socket" in through_http["options"]
    assert through_uwsgi["uri"] == through_http["uri"] == "/x?y=1"
    assert through_http["seen"]["HTTP_X_REAL_IP"]
    assert through_http["seen"]["HTTP_X_FORWARDED_FOR"]


def test_a_release_is_what_runs(host, site):
    answer = site.get("folder.test").json()
    assert re.fullmatch(r"/srv/wsgi/from-folder/releases/[0-9a-f]{12}/manage\.py", answer["file"])
    assert answer["cwd"] == answer["file"].rpartition("/")[0]
    assert answer["cwd"] == host.check_output("readlink -f /srv/wsgi/from-folder/current")


def test_the_git_release_is_the_commit(host, site):
    commit = host.check_output("git -C /srv/git/whoami rev-parse main")
    assert commit in site.get("git.test").json()["file"]


def test_the_code_is_not_the_applications_to_change(host):
    code = host.file("/srv/wsgi/from-folder/current/manage.py")
    assert (code.user, code.group) == ("root", "wsgi-from-folder")
    # Nobody passes to it but the application's group.
    assert host.file("/srv/wsgi/from-folder/releases").mode == 0o750


def test_the_requirements_are_in_a_virtualenv_of_its_own(site):
    prefixes = {site.get(name).json()["prefix"] for name in ("folder.test", "archive.test", "git.test", "example.com")}
    assert len(prefixes) == 4


def test_the_environment_arrives_letter_by_letter(site):
    assert site.get("folder.test", "/?env=GREETING").json()["env"] == "100% sure & <co>; #1"
    assert site.get("archive.test", "/?env=TWO").json()["env"] == "100% <2> &"


def test_repeated_options_are_both_there(site):
    assert site.get("folder.test", "/internal").status_code == 404
    assert site.get("folder.test", "/hidden").status_code == 410


def test_limits_of_the_unit(host):
    assert host.check_output("systemctl show -p LimitNOFILE uwsgi@from-folder") == "LimitNOFILE=4321"
    master, _workers = pids(host, "from-folder")
    assert re.search(r"Max open files\s+4321\s", host.file(f"/proc/{master}/limits").content_string)


def test_the_options_of_a_site(site):
    answer = site.get("folder.test")
    assert (answer.headers["X-One"], answer.headers["X-Two"]) == ("1", "2 two")
    assert site.get("folder.test", "/blocked").status_code == 403
    assert site.get("any.folder.test", "/", port=8080).status_code == 200
    assert "/git/" not in site.get("folder.test", "/exact").json()["file"]
    assert "from-git" in site.get("folder.test", "/exact").json()["file"]


@pytest.mark.parametrize(
    ("app", "kind"), [("flask", "ini"), ("zabbix", "xml"), ("from-archive", "json"), ("from-git", "yaml")]
)
def test_the_configuration_is_in_the_language_asked_for(host, app, kind):
    config = host.file(f"/etc/uwsgi/{app}.{kind}")
    assert config.is_file
    assert config.mode == 0o640
    assert f"--{kind} /etc/uwsgi/{app}.{kind}" in host.check_output(f"systemctl show -p ExecStart uwsgi@{app}")


def test_uwsgi_params_is_spelt_right(host):
    included = host.check_output("grep -rh include /etc/nginx/conf.d")
    assert "include uwsgi_params;" in included
    assert "include uwsgi_param;" not in included


def test_the_journal_has_the_log_that_was_sent_there(host):
    assert "spawned uWSGI worker 1" in host.check_output("journalctl --unit uwsgi@from-git --output cat")
    assert not host.file("/var/log/uwsgi/from-git").exists


def test_logs_are_rotated_and_go_on(host, site):
    host.run_expect([0], "logrotate --force /etc/logrotate.d/publish-main-apps")
    host.run_expect([0], "logrotate --force /etc/logrotate.d/publish-main-sites")
    time.sleep(1)
    assert site.get("folder.test", "/after-the-rotation").status_code == 200
    assert site.get("example.com", "/after-the-rotation").status_code == 200
    assert "/after-the-rotation" in host.file("/var/log/uwsgi/from-folder/server.log").content_string
    assert "/after-the-rotation" in host.file("/var/log/example.com/access.log").content_string


def test_a_killed_master_comes_back(host, site):
    """What systemd is for: a master that dies is started again."""
    master, _workers = pids(host, "from-folder")
    host.run_expect([0], f"kill -9 {master}")
    for _try in range(100):
        time.sleep(0.1)
        if host.service("uwsgi@from-folder").is_running and pids(host, "from-folder")[0] != master:
            break
    time.sleep(1)
    assert pids(host, "from-folder")[0] != master
    assert site.get("folder.test").status_code == 200
