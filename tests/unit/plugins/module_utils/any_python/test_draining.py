# -*- coding: utf-8 -*-
"""A host that is out of a balancer's upstreams: who writes them, who keeps it out, and who puts it back."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import drained, draining
from ansible_collections.graceful.wsgi.plugins.module_utils.bundle import Bundle
from ansible_collections.graceful.wsgi.plugins.module_utils.bundle_entries import File
from ansible_collections.graceful.wsgi.plugins.module_utils.draining import Balancer, DrainError

BLOCK = u"""# Ansible managed
upstream publish-main-nodes {
    zone publish-main-nodes 64k;
    server 192.0.2.1:80 weight=2;
    server 192.0.2.2:80;
    server 192.0.2.10:80 down;
}
upstream publish-main-more {
    server [2001:db8::1]:8000;
    server 192.0.2.1:8000 backup;
    server 192.0.2.2:8000;
}
upstream mine {
    server 192.0.2.1:80;
}
"""


class Nginx(object):
    """An nginx that takes anything, or nothing."""

    def __init__(self):
        self.reloads, self.wrong = 0, ""

    def test(self):
        return self.wrong

    def running(self):
        return True

    def reload(self):
        self.reloads += 1


class Visit(object):
    """A visit of a host that answers, or does not."""

    asked, wrong = [], None

    def __init__(self, question):
        self.question = question

    def make(self, _patience):
        Visit.asked.append(self.question["nginx"])
        return not self.wrong


class Host(object):
    def __init__(self, folder):
        self.folder, self.nginx = folder, Nginx()
        self.conf, self.state = folder / "conf.d", folder / "bundles"
        self.conf.mkdir()
        self.state.mkdir()
        self.file = self.conf / "publish-main.conf"
        self.publish()

    def publish(self, text=BLOCK):
        """What a run on the balancer itself writes; whether it changed something."""
        bundle = Bundle(
            "publish-main-sites", [], [File(str(self.file), text.encode("utf-8"), mode=0o644)], [],
            lambda _command: (0, "", ""), lambda _path, _like: None, state_dir=str(self.state), digest="d",
        )
        bundle.run()
        return bundle.report()["changed"]

    def balancer(self, address="192.0.2.1", timeout=0, questions=(), maintained=()):
        wanted = {"host": "web1", "address": address, "timeout": timeout, "questions": list(questions)}
        wanted["maintained"] = list(maintained)
        about = {"folder": str(self.folder / "drained"), "conf_dir": str(self.conf), "state_dir": str(self.state)}
        return Balancer(wanted, self.nginx, visit=Visit, **about)

    def recorded(self):
        return json.loads((self.state / "publish-main-sites/manifest.json").read_text())["files"][str(self.file)]


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setattr(drained, "FOLDER", str(tmp_path / "drained"))
    monkeypatch.setattr(drained.settle, "__defaults__", (str(tmp_path / "drained"),))
    monkeypatch.setattr(draining, "open_connections", lambda _endpoints: 0)
    monkeypatch.setattr(draining, "_unreached", lambda _host, _port: [])
    monkeypatch.setattr(Visit, "asked", [])
    monkeypatch.setattr(Visit, "wrong", None)
    return Host(tmp_path)


def test_the_servers_of_a_host_are_down_in_our_upstreams_and_in_no_other():
    text = drained.applied(BLOCK, {"192.0.2.1"})
    assert "server 192.0.2.1:80 weight=2 down; # drained" in text
    assert "server 192.0.2.1:8000 backup down; # drained" in text
    assert "    server 192.0.2.1:80;\n}" in text and text.count("down") == 3
    assert drained.applied(text, {"192.0.2.1"}) == text
    assert drained.applied(text, set()) == BLOCK


def test_a_down_of_the_users_own_is_none_of_ours_and_stays():
    assert drained.applied(BLOCK, {"192.0.2.10"}) == BLOCK


def test_an_address_of_six_is_known_by_its_brackets():
    assert "server [2001:db8::1]:8000 down; # drained" in drained.applied(BLOCK, {"[2001:db8::1]"})


def test_a_host_goes_out_and_comes_back_by_one_reload_each(host):
    assert host.balancer().drain() is True and host.nginx.reloads == 1
    assert "weight=2 down; # drained" in host.file.read_text()
    assert host.balancer().drain() is False and host.nginx.reloads == 1
    assert host.balancer().serve() is True and host.nginx.reloads == 2
    assert host.file.read_text() == BLOCK and drained.notes(drained.FOLDER) == {}
    assert host.balancer().serve() is False and host.nginx.reloads == 2


def test_a_run_on_the_balancer_meanwhile_leads_nobody_there(host):
    host.balancer().drain()
    out = host.file.read_text()
    assert host.publish() is False and host.file.read_text() == out
    assert host.publish(BLOCK + u"# new\n") is True and host.file.read_text() == out + "# new\n"
    host.balancer().serve()
    assert host.file.read_text() == BLOCK + "# new\n" and host.publish(BLOCK + u"# new\n") is False


def test_the_manifest_tells_the_file_as_it_stands(host):
    for step in (host.balancer().drain, host.balancer().serve):
        step()
        assert host.recorded() == draining.sha256(host.file.read_text().encode("utf-8"))


def test_what_a_killed_run_left_down_without_a_note_is_led_to_by_the_next_run(host):
    host.file.write_text(drained.applied(BLOCK, {"192.0.2.1"}))
    assert host.publish() is True and host.file.read_text() == BLOCK


def test_the_last_host_of_an_upstream_is_not_taken_out_and_the_message_says_what_to_do(host):
    host.balancer().drain()
    with pytest.raises(DrainError) as error:
        host.balancer("192.0.2.2").drain()
    assert "nobody would serve the upstream publish-main-nodes; out already: 192.0.2.1. Let publish_serial" in str(
        error.value
    )
    assert "server 192.0.2.2:80;" in host.file.read_text() and list(drained.notes(drained.FOLDER)) == ["192.0.2.1"]


def test_the_only_server_of_an_upstream_stays_in_it_whoever_writes_it_and_that_is_told(host):
    alone = BLOCK.replace(u"    server 192.0.2.2:80;\n    server 192.0.2.10:80 down;\n", u"")
    host.publish(alone)
    balancer = host.balancer()
    assert balancer.drain() is True and host.publish(alone) is False
    assert "server 192.0.2.1:80 weight=2;\n" in host.file.read_text()
    assert "server 192.0.2.1:8000 backup down; # drained" in host.file.read_text()
    assert balancer.told == ["web1 is the only server of the upstream publish-main-nodes and stays in it"]
    assert host.balancer().serve() is True and host.file.read_text() == alone


def test_a_host_stays_where_no_other_of_its_upstream_answers(host, monkeypatch):
    monkeypatch.setattr(draining, "_unreached", lambda name, _port: ["nobody answers at %s" % name])
    with pytest.raises(DrainError) as error:
        host.balancer().drain()
    assert "the upstream publish-main-more: nobody answers at 2001:db8::1; nobody answers at 192.0.2.2. Let" in str(
        error.value
    )
    assert host.file.read_text() == BLOCK and drained.notes(drained.FOLDER) == {}


def test_where_nginx_takes_it_not_all_is_as_it_was(host):
    before = host.recorded()
    host.nginx.wrong = "nginx: [emerg] no"
    with pytest.raises(DrainError):
        host.balancer().drain()
    assert host.file.read_text() == BLOCK and drained.notes(drained.FOLDER) == {} and host.recorded() == before


def test_a_host_to_which_no_upstream_leads_is_told(host):
    balancer = host.balancer("192.0.2.77")
    assert balancer.drain() is False and drained.notes(drained.FOLDER) == {}
    assert "no upstream leads to 192.0.2.77 (but to 192.0.2.1, 192.0.2.10" in balancer.told[0]


QUESTION = {"app": "shop", "nginx": "127.0.0.1:80", "tls": False, "host": "a.test", "path": "/"}


def test_the_host_is_asked_where_the_upstream_leads_and_one_that_fails_stays_out(host, monkeypatch):
    host.balancer().drain()
    monkeypatch.setattr(Visit, "wrong", "answered 502")
    with pytest.raises(DrainError) as error:
        host.balancer(questions=[QUESTION]).serve()
    assert "web1 is left out: " in str(error.value) and "answered 502" in str(error.value)
    assert Visit.asked == ["192.0.2.1:80"] and "down; # drained" in host.file.read_text()
    # Of maintenance the balancer knows nothing, and the host has answered for it.
    assert host.balancer(questions=[QUESTION], maintained=["shop"]).serve() is True


def test_check_mode_changes_nothing(host):
    assert host.balancer().drain(check_mode=True) is True
    assert host.file.read_text() == BLOCK and not os.path.exists(drained.FOLDER)


def test_connections_that_stay_open_are_told_and_the_play_goes_on(host, monkeypatch):
    monkeypatch.setattr(draining, "open_connections", lambda _endpoints: 2)
    balancer = host.balancer()
    assert balancer.drain() is True
    assert balancer.told == ["2 connections to web1 are open after 0 s; they go on, and so does the play"]


def test_connections_are_counted_by_where_they_lead(tmp_path):
    table = tmp_path / "tcp"
    table.write_text(
        u"  sl  local_address rem_address   st\n"
        u"   0: 0100007F:1F90 010200C0:0050 01 0 0\n"
        u"   1: 0100007F:1F91 010200C0:0050 06 0 0\n"
        u"   2: 0100007F:1F92 010200C0:1F40 01 0 0\n"
    )
    assert draining._address("010200C0") == "192.0.2.1"
    assert draining.endpoint("[2001:db8::1]:8000") == ("2001:db8::1", 8000)
    assert draining.endpoint("a.test") == ("a.test", 80)
    assert draining.open_connections({("192.0.2.1", 80)}, (str(table),)) == 1
