"""A Flask-SocketIO application in four instances: affinity, broadcasts across, reloads that lose nothing."""

import collections
import http.client
import json
import shutil
import subprocess
import time

import pytest
from browser import Browser
from chatting import LONGEST_DELAY, Crowd
from publishing import CHECKOUT, WHOAMI, deploy, environment, inventory

CHAT = CHECKOUT / "tests/apps/chat"
ARTIFACTS = CHECKOUT / ".cache/artifacts"
CLIENTS = 200
MERCY = 10
LOG = "/var/log/nginx/chat.test.access.log"


@pytest.fixture
def tell(capsys):
    """Says what was measured, on the screen and in a file that is kept."""

    def tell(text):
        with capsys.disabled():
            print(f"\n{text}")
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        with (ARTIFACTS / "websocket.txt").open("a") as kept:
            kept.write(f"{text}\n")

    return tell


@pytest.fixture(scope="module")
def address(host):
    return next(found for found in host.interface("eth0").addresses if ":" not in found)


@pytest.fixture(scope="class")
def crowd(address):
    with Crowd(f"http://{address}", CLIENTS) as running:
        assert running.refused == 0
        assert running.all_there()
        yield running


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Code of the chat that a test may change; what it deploys stays live."""
    folder = tmp_path_factory.mktemp("code") / "chat"
    shutil.copytree(CHAT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def reload(name):
    ran = subprocess.run(
        ["ansible-playbook", f"--inventory={inventory()}", "graceful.wsgi.reload"]
        + ["--extra-vars", json.dumps({"publish_reload": [name]})],
        cwd=CHECKOUT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def publish(source, **settings):
    status, said = deploy(WHOAMI, chat_source=str(source), **settings)
    assert status == 0, said
    return said


def statuses(host, log=LOG):
    """How often nginx answered with each status."""
    counted = collections.Counter()
    for line in host.check_output(f"awk '{{print $9}}' {log} | sort | uniq -c").splitlines():
        count, status = line.split()
        counted[int(status)] += int(count)
    return counted


def bad(counted):
    """Answers that nobody should have got; 410 tells of a message whose session had ended with its process."""
    return {status: count for status, count in counted.items() if status >= 400 and status not in (410, 499)}


def pids(host, name, count):
    return [host.check_output(f"cat /run/uwsgi-{name}-{number}/pid") for number in range(1, count + 1)]


class TestTwoHundredClients:
    def test_every_client_stays_on_one_instance_and_hears_all_others(self, host, crowd, tell):
        # Until somebody at each instance has said something.
        assert crowd.wait(lambda: len(set(filter(None, crowd.clients[0].got.values()))) == 4)
        assert crowd.missing() == {}
        # Nobody was disconnected, and each was answered by one instance, which its cookie leads to as well.
        assert crowd.away == []
        assert {len(client.instances) for client in crowd.clients} == {1}
        assert crowd.ask() == [next(iter(client.instances)) for client in crowd.clients]
        shares = collections.Counter(next(iter(client.instances)) for client in crowd.clients)
        tell(f"{CLIENTS} clients over four instances: {sorted(shares.values())}; {crowd.story()}")
        assert set(shares) == {f"chat-{number}" for number in range(1, 5)}
        assert min(shares.values()) >= CLIENTS // 12
        # What one instance was told came out of all of them.
        heard = {(by, next(iter(client.instances))) for client in crowd.clients for by in client.got.values() if by}
        assert len(heard) == 16
        assert set(crowd.statuses) == {200, 101}
        assert bad(statuses(host)) == {}

    @pytest.mark.parametrize("how", ["deploy", "reload"])
    def test_nobody_is_away_for_long_and_nothing_acknowledged_is_lost(self, host, crowd, source, how, tell):
        at, before = crowd.ask(), pids(host, "chat", 4)
        for client in crowd.clients:
            client.away.clear()
            client.who.clear()
        began = time.monotonic()
        if how == "deploy":
            with (source / "chat.py").open("a") as code:
                code.write("\n# another release\n")
            publish(source)
        else:
            reload("chat")
        took = time.monotonic() - began
        assert crowd.wait(lambda: all(client.who and client.io.connected for client in crowd.clients))
        time.sleep(2)
        tell(f"{how} took {took:.0f} s; {crowd.story()}")
        assert not set(before) & set(pids(host, "chat", 4))
        assert crowd.missing() == {}
        # Everybody had to connect again, to its own instance, and no more than twice.
        assert {len(client.away) for client in crowd.clients} <= {1, 2}
        assert crowd.away[-1] <= MERCY + LONGEST_DELAY
        assert {len(client.instances) for client in crowd.clients} == {1}
        assert crowd.ask() == at
        release = host.check_output("readlink /srv/wsgi/chat/current").rpartition("/")[2]
        assert {client.who[-1]["release"] for client in crowd.clients} == {release}
        assert {client.who[-1]["generation"] for client in crowd.clients} == {"first"}
        assert host.check_output("systemctl list-units --all --no-legend 'uwsgi@*@next*'") == ""
        assert bad(crowd.statuses) == {}
        assert bad(statuses(host)) == {}

    def test_another_number_of_instances_moves_only_those_it_must(self, host, crowd, source, tell):
        before = crowd.ask()
        untouched = pids(host, "chat", 4)
        publish(source, chat_instances=5)
        after = crowd.ask()
        moved = [there for here, there in zip(before, after, strict=True) if here != there]
        tell(f"4 to 5 instances moved {len(moved)} of {CLIENTS} clients")
        assert set(moved) == {"chat-5"}
        assert CLIENTS * 0.08 <= len(moved) <= CLIENTS * 0.35
        assert pids(host, "chat", 5)[:4] == untouched
        publish(source)
        assert crowd.ask() == before
        assert pids(host, "chat", 4) == untouched
        assert crowd.all_there()
        assert crowd.missing() == {}
        assert bad(crowd.statuses) == {}
        assert bad(statuses(host)) == {}
        # The fifth has left nothing but its log.
        assert host.run("systemctl is-enabled uwsgi@chat-5").rc != 0
        assert host.run("systemctl is-active uwsgi@chat-5").stdout.strip() == "inactive"
        left = host.run("ls -d /etc/uwsgi/chat-5* /run/uwsgi-chat-5* /run/wsgi/chat-5*").stdout
        assert left == ""
        assert host.file("/etc/uwsgi/chat-4.ini").exists and host.file("/srv/wsgi/chat/current").exists


def get(address, port=80, cookie=None):
    """Status and the cookie that was set, of one request."""
    link = http.client.HTTPConnection(address, port, timeout=10)
    link.request("GET", "/who", headers={} if cookie is None else {"Cookie": f"publish_main_chat={cookie}"})
    answer = link.getresponse()
    answer.read()
    return answer.status, answer.getheader("Set-Cookie")


@pytest.mark.parametrize(
    "sent",
    ["", "x", "0" * 33, "0" * 5000, "ABCDEF" * 5 + "12", "../../etc", "%0d%0aX-Bad:1", "$request_id", '"'],
)
def test_a_cookie_that_is_not_ours_is_replaced_and_does_no_harm(address, sent):
    status, told = get(address, cookie=sent)
    assert status == 200
    value, _semicolon, attributes = told.removeprefix("publish_main_chat=").partition("; ")
    assert attributes == "Path=/; HttpOnly; SameSite=Lax"
    assert len(value) == 32
    assert get(address, cookie=value) == (200, None)


BY_ADDRESS = """
import http.client, json
for turn in range(3):
    for last in range(1, 25):
        link = http.client.HTTPConnection("127.0.0.1", 8081, source_address=("127.0.0.%d" % last, 0))
        link.request("GET", "/who")
        print(last, json.load(link.getresponse())["instance"])
"""


def test_an_address_stays_on_one_instance(host):
    found = {}
    for line in host.check_output("python3 -c %s", BY_ADDRESS).splitlines():
        last, instance = line.split()
        found.setdefault(last, set()).add(instance)
    assert len(found) == 24
    assert {len(instances) for instances in found.values()} == {1}
    assert set.union(*found.values()) == {"lobby-1", "lobby-2", "lobby-3"}


def test_sockets_that_are_not_told_to_go_are_cut_off_when_the_mercy_is_over(address, tell):
    """Over proxy_pass, to an application that knows nothing of reloads."""
    with Crowd(f"http://{address}:8081", 10, transports=[["websocket"]]) as crowd:
        assert crowd.all_there()
        assert set(crowd.statuses) == {101}
        began = time.monotonic()
        reload("lobby")
        tell(f"untold sockets, mercy 3 s: reload took {time.monotonic() - began:.0f} s; {crowd.story()}")
        assert crowd.all_there()
        assert crowd.missing() == {}
        assert {len(client.away) for client in crowd.clients} <= {1, 2}
        assert crowd.away[-1] <= 3 + LONGEST_DELAY


def test_the_articles_way_as_a_yardstick(host, address, tell):
    """Four processes behind one socket: a poll reaches a process that does not know its session."""
    with Crowd(f"http://{address}:8082", 40, patience=5) as crowd:
        time.sleep(5)
    counted = statuses(host, "/var/log/nginx/article.test.access.log")
    wrong = sum(count for status, count in counted.items() if status >= 400)
    total = sum(counted.values())
    text = (
        f"the article's way, four processes behind one socket, 40 clients: {wrong} of {total} answers were errors"
        f" ({100 * wrong / total:.0f} %): {dict(sorted(counted.items()))}; {crowd.refused} clients never connected"
    )
    tell(text)
    (ARTIFACTS / "websocket-yardstick.txt").write_text(f"{text}\n")
    assert counted[400] > 0


def test_a_page_in_a_browser_survives_a_reload(address, tell):
    with Browser() as browser:
        browser.open(f"http://{address}/")
        browser.wait("page.connected && page.about")
        browser.run("say('before the reload')")
        browser.wait("page.acknowledged == 1 && page.said.includes('before the reload')")
        at = browser.run("page.about.instance")
        reload("chat")
        browser.wait("page.connected && page.connections > 1")
        browser.run("say('after the reload')")
        browser.wait("page.acknowledged == 2 && page.said.includes('after the reload')")
        assert browser.run("page.about.instance") == at
        tell(f"the page connected {browser.run('page.connections')} times, always to {at}")
        browser.screenshot(ARTIFACTS / "websocket.png")
