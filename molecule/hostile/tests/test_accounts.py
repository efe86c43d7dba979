"""Applications against each other: accounts, sockets and packets, tried from the shells of alice, bob and mallory."""

import json
import shlex
import subprocess

import pytest
from one_host import HOST, app, get, play, put, sh, site

PACKET = """
import socket, struct, sys
address, modifier, more = sys.argv[1], int(sys.argv[2]), [word.split("=", 1) for word in sys.argv[3:]]
said = [("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/"), ("PATH_INFO", "/"), ("QUERY_STRING", ""),
        ("SERVER_PROTOCOL", "HTTP/1.1"), ("SERVER_NAME", "x"), ("SERVER_PORT", "80"), ("HTTP_HOST", "x")] + more
body = b"".join(struct.pack("<H", len(part)) + part.encode() for pair in said for part in pair)
if address.startswith("/"):
    link = socket.socket(socket.AF_UNIX)
else:
    link = socket.socket()
    address = (address.split(":")[0], int(address.split(":")[1]))
link.settimeout(10)
try:
    link.connect(address)
except OSError as error:
    sys.exit("refused: %s" % error)
link.sendall(struct.pack("<BHB", modifier, len(body), 0) + body)
answer = b""
while True:
    try:
        part = link.recv(65536)
    except OSError:
        break
    if not part:
        break
    answer += part
print(answer.decode("latin-1"))
"""
PROBES = {
    "file": ["UWSGI_FILE=/home/mallory/evil.py"],
    "file-by-scheme": ["UWSGI_FILE=exec://id"],
    # The last one counts, whichever is looked at.
    "twice": ["UWSGI_FILE=", "UWSGI_FILE=/home/mallory/evil.py"],
    "script": ["UWSGI_SCRIPT=/home/mallory/evil.py"],
    "module": ["UWSGI_MODULE=os", "UWSGI_CALLABLE=getcwd"],
    "callable": ["UWSGI_CALLABLE=other"],
    "home": ["UWSGI_HOME=/home/mallory", "UWSGI_SCRIPT=manage:app"],
    "virtualenv": ["UWSGI_PYHOME=/home/mallory"],
    "chdir": ["UWSGI_CHDIR=/home/mallory"],
    "appid": ["UWSGI_APPID=/other"],
    "setenv": ["UWSGI_SETENV=LD_PRELOAD=/home/mallory/evil.so"],
    "postfile": ["UWSGI_POSTFILE=/etc/passwd"],
}


def packet(user, address, *more, modifier=0):
    """What a packet of uWSGI's protocol is answered, sent by an account of the host."""
    words = " ".join(shlex.quote(word) for word in (address, str(modifier), *more))
    return sh(f"python3 /opt/packet.py {words}", user=user, check=False)


def master(unit):
    return sh(f"systemctl show -p MainPID --value uwsgi@{unit}").strip()


@pytest.fixture(scope="module", autouse=True)
def published():
    put("/opt/packet.py", PACKET)
    put("/home/mallory/evil.py", "open('/tmp/x', 'w')\ndef application(e, s):\n    s('200 OK', []); return [b'evil']\n")
    said = app("said", config_format="yaml", options={"route": "^/hidden break:410"})
    apps = [
        app("first", env={"CANARY": "of-first"}),
        app("second"),
        app("alices", user="alice"),
        app("Bobs.App", user="bob"),
        app("loop", socket="127.0.0.1:5061", threads=2),
        app("green", socket="127.0.0.1:5062", requirements=["flask", "gevent"], gevent=10),
        said,
    ]
    sites = [site(f"{item['name'].lower()}.test", item["name"]) for item in apps]
    sites[-1]["locations"][0].update(uwsgi_script=True, uwsgi_chdir=True)
    sites[0]["locations"].append({"path": "/code/", "app": "first", "static": "."})
    status, text = play(apps, sites)
    assert status == 0, text
    yield
    status, text = play([app("first")], [site("first.test", "first")])
    assert status == 0, text


@pytest.mark.parametrize("user", ["alice", "bob", "mallory", "wsgi-first"])
@pytest.mark.parametrize("unit", ["alices", "Bobs.App", "second"])
def test_an_application_is_reached_by_its_own_account_and_nginx_only(user, unit):
    own = {"alices": "alice", "Bobs.App": "bob"}.get(unit) == user
    for address in (f"/run/wsgi/{unit}.sock", f"/run/wsgi/{unit}.d/sock"):
        told = packet(user, address)
        assert ("200 OK" in told) == own and ("Permission denied" in told) != own, told
    tries = {
        "code": f"cat /srv/wsgi/{unit}/current/manage.py",
        "packages": f"cat /srv/wsgi/{unit}/current/.venv/pyvenv.cfg",
        "configuration": f"cat /etc/uwsgi/{unit}.{'ini'}",
        "log": f"cat /var/log/uwsgi/{unit}/server.log",
        "fifo": f"echo r > /run/uwsgi-{unit}/fifo",
        "statistics": f"cat /run/uwsgi-{unit}/pid",
        "signal": f"kill -0 {master(unit)}",
        "memory": f"head -c 1 /proc/{master(unit)}/environ",
    }
    for what, command in tries.items():
        told = sh(f"{command} >/dev/null && echo got it", user=user, check=False)
        assert ("got it" in told) == own, f"{what}: {told}"


def test_nginx_reaches_all_of_them_and_reads_what_it_serves():
    for name in ("first", "second", "alices", "bobs.app", "loop", "green", "said"):
        assert get(f"{name}.test")[0] == 200, name
    assert get("first.test", "/code/manage.py")[0] == 200
    # Only where it serves files of the code.
    groups = sh("id -Gn nginx").split()
    assert "wsgi-first" in groups and not {"wsgi-second", "wsgi-loop", "alice", "bob"} & set(groups)


def test_each_application_has_an_account_that_can_do_nothing_else():
    for unit, user in {"first": "wsgi-first", "loop": "wsgi-loop", "alices": "alice"}.items():
        assert sh(f"stat -c %U:%G /proc/{master(unit)}").strip() == f"{user}:{user}"
        # systemd gives it no group of nginx's.
        assert len(sh(f"grep ^Groups: /proc/{master(unit)}/status").split()) <= 2
    assert sh("getent passwd wsgi-first").strip().endswith("nologin")


@pytest.mark.parametrize("address", ["127.0.0.1:5061", "127.0.0.1:5062"])
@pytest.mark.parametrize("more", PROBES.values(), ids=PROBES)
def test_a_packet_that_has_code_loaded_is_refused(address, more):
    told = packet("mallory", address, "SCRIPT_NAME=/loaded", *more)
    assert "403 Forbidden" in told, told
    assert "200 OK" in packet("mallory", address)


@pytest.mark.parametrize("modifier", [17, 18, 22, 30, 98, 100, 110, 111, 173, 255])
def test_a_packet_reaches_no_other_plugin(modifier):
    # What is no request to any of them is one to Python.
    assert "200 OK" in packet("mallory", "127.0.0.1:5061", modifier=modifier)


def test_what_a_location_sends_is_taken_and_nothing_else():
    own = "/run/wsgi/said.d/sock"
    status, text = get("said.test")
    assert status == 200 and json.loads(text)["seen"]["UWSGI_SCRIPT"] == "manage:app"
    assert get("said.test", "/hidden")[0] == 410
    assert "200 OK" in packet("root", own, "UWSGI_SCRIPT=manage:app", "UWSGI_CHDIR=/srv/wsgi/said/current")
    for more in ("UWSGI_SCRIPT=manage:other", "UWSGI_SCRIPT=manage:app2", "UWSGI_SCRIPT=anage:app", "UWSGI_CHDIR=/tmp"):
        assert "403 Forbidden" in packet("root", own, more), more
    assert "403 Forbidden" in packet("root", own, "UWSGI_SCRIPT=manage:app", "UWSGI_FILE=/home/mallory/evil.py")


def test_what_would_open_an_application_is_refused_before_anything_changes():
    before = sh("ls -lA /etc/uwsgi /etc/nginx/conf.d")
    apps = [
        app("a", socket="0.0.0.0:6001"),
        app("b", socket="[::]:6002"),
        app("c", socket=":6003"),
        app("d", socket="192.0.2.1:6004"),
        app("e", user="nginx"),
        app("f", user="alice", group="nginx"),
        app("g", service_options={"SupplementaryGroups": "audio nginx"}),
        app("h", user="root"),
        app("i", socket="0.0.0.0:6009", socket_clients=["all"]),
        app("j", socket_clients=["192.0.2.1"]),
        app("k", service_options={"User": "root"}),
    ]
    status, said = play(apps, [])
    assert status != 0
    for wanted in (
        *(f"publish_apps[{number}].socket: " for number in range(4)),
        "socket_clients",
        "publish_apps[4].user: 'nginx' is nginx's account",
        "publish_apps[5].group: 'nginx' is nginx's group",
        "publish_apps[6].service_options.SupplementaryGroups",
        "publish_apps[7].user: root would run",
        "publish_apps[8].socket_clients[0]",
        "publish_apps[9].socket_clients",
        "publish_apps[10].service_options.User",
    ):
        assert wanted in said, f"{wanted}\n{said}"
    assert sh("ls -lA /etc/uwsgi /etc/nginx/conf.d") == before


def test_what_only_the_host_knows_is_refused_before_anything_changes():
    before = sh("ls -lA /etc/uwsgi /etc/nginx/conf.d")
    sh("gpasswd -a bob nginx")
    # Files that the application wrote as another account, which root does not give away.
    put("/home/mallory/proj/db.sqlite", "x", owner="wsgi-second")
    apps = [
        app("alices", user="bob"),
        app("second", path="/home/mallory/proj", user="alice"),
        app("remote", socket="0.0.0.0:6001", socket_clients=["192.0.2.0/24"]),
    ]
    apps[1].pop("source", None)
    try:
        status, said = play(apps, [])
    finally:
        sh("gpasswd -d bob nginx; rm -rf /home/mallory/proj")
    assert status != 0
    assert "gpasswd -d bob nginx" in said, said
    assert "publish_apps[1].user: it has run as 'wsgi-second', which owns /home/mallory/proj/db.sqlite" in said, said
    assert "user: wsgi-second" in said and "chown -hR --from=wsgi-second" in said
    kept = keeps_hosts_out()
    assert ("publish_apps[2].socket_clients: this host does not keep other hosts out" in said) != kept, said
    assert sh("ls -lA /etc/uwsgi /etc/nginx/conf.d") == before


def keeps_hosts_out():
    """Whether the host keeps IPAddressDeny, for which its kernel needs BPF."""
    listen = "import socket as s, time; l = s.create_server(('127.0.0.1', 5999)); time.sleep(8)"
    reach = "import socket; socket.create_connection(('127.0.0.1', 5999), 3)"
    asked = "systemd-run -q --wait --service-type=oneshot -p IPAddressDeny=any /usr/bin/python3 -c"
    return "kept" in sh(f'python3 -c "{listen}" & sleep 1; {asked} "{reach}" || echo kept')


def neighbour(name, image):
    """Another machine of the host's network: its address."""
    run = ["docker", "run", "--detach", "--rm", "--name", name, image, "sleep", "300"]
    subprocess.run(run, check=True, capture_output=True)
    return address_of(name)


def address_of(name):
    return next(iter(inspected(name)["NetworkSettings"]["Networks"].values()))["IPAddress"]


def inspected(name):
    return json.loads(subprocess.run(["docker", "inspect", name], check=True, capture_output=True).stdout)[0]


def test_a_machine_that_socket_clients_names_is_answered_and_another_one_is_not():
    """S4, from two other machines; where the kernel cannot keep it, the play before has been refused."""
    friend, stranger = HOST + "-friend", HOST + "-stranger"
    image = inspected(HOST)["Config"]["Image"]
    try:
        named, _other = neighbour(friend, image), neighbour(stranger, image)
        apps = [
            app("remote", socket="0.0.0.0:6001", socket_clients=[named]),
            app("local", socket="127.0.0.1:6002"),
        ]
        status, said = play(apps, [site("remote.test", "remote")])
        if not keeps_hosts_out():
            assert status != 0 and "socket_clients: this host does not keep other hosts out" in said, said
            return
        assert status == 0, said
        here = address_of(HOST)
        ask = f"timeout 5 python3 -c {shlex.quote(PACKET)} {here}:6001 0"
        assert '"pid":' in sh(ask, host=friend)
        assert '"pid":' not in sh(ask, host=stranger, check=False)
        # Where dynamic loading is refused, it is for those who may connect too.
        loading = sh(ask + " UWSGI_FILE=exec://id", host=friend, check=False)
        assert "403" in loading and "uid=" not in loading, loading
        for machine in (friend, stranger):
            assert "refused" in sh(ask.replace(":6001", ":6002"), host=machine, check=False)
        assert get("remote.test")[0] == 200, "nginx of this host is let in"
    finally:
        subprocess.run(["docker", "rm", "--force", friend, stranger], capture_output=True, check=False)
