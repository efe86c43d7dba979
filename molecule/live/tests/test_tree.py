"""What nginx reads counts as a whole: renewed files, nginx.conf and its sites, folders that it is to serve."""

import re
import shlex

from one_host import app, get, play, put, sh, site

LIVE = "/etc/trial/live"
TLS = {"certificate": f"{LIVE}/cert.pem", "key": f"{LIVE}/key.pem", "listen": ["443"]}
FOLDERS = "/srv/trial-files"


def certificate(name, number):
    """Make a certificate and its key as certbot keeps them: live/ leads to the newest in archive/."""
    sh(
        f"mkdir -p /etc/trial/archive {LIVE} && cd /etc/trial/archive && openssl req -x509 -newkey ec"
        f" -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN={name} -keyout key{number}.pem"
        f" -out cert{number}.pem 2>/dev/null"
        f" && ln -sfn ../archive/cert{number}.pem {LIVE}/cert.pem && ln -sfn ../archive/key{number}.pem {LIVE}/key.pem"
    )


def served(name="tree.test"):
    """Whose certificate a visitor gets."""
    ask = f"openssl s_client -connect 127.0.0.1:443 -servername {name} </dev/null 2>/dev/null"
    return sh(f"{ask} | openssl x509 -noout -subject").partition("CN")[2].strip(" =\n")


def answer(path):
    """What the snippet adds and the text of a page over TLS."""
    ask = (
        "import http.client, ssl\n"
        "c = http.client.HTTPSConnection('127.0.0.1', 443, context=ssl._create_unverified_context(), timeout=20)\n"
        f"c.request('GET', {path!r}, headers={{'Host': 'tree.test'}})\n"
        "a = c.getresponse(); print(a.getheader('X-Snippet'), a.read().decode())\n"
    )
    return sh(f"python3 -c {shlex.quote(ask)}").strip()


def returning(name, text="", **more):
    """A site without an application, so that nothing but nginx is looked at."""
    return site(name, None, locations=[{"path": "/", "return": f"200 '{text or name}'"}], **more)


def changed(said):
    return int(re.search(r"changed=(\d+)", said)[1])


def test_what_nginx_has_read_is_compared_with_what_is_there():
    certificate("first", 1)
    put("/etc/trial/snippet.conf", "add_header X-Snippet one;\n")
    put("/etc/trial/colours.map", "/red red;\n")
    sites = [
        {
            "server_name": ["tree.test"],
            "tls": TLS,
            "default_server": True,
            "options": {"include": "/etc/trial/snippet.conf"},
            "locations": [{"path": "/", "return": "200 $trial_colour"}],
        }
    ]
    options = {"nginx_conf_options": {"map $uri $trial_colour": {"include": "/etc/trial/colours.map", "default": '""'}}}
    status, said = play(sites=sites, **options)
    assert status == 0, said
    assert served() == "first"

    certificate("second", 2)
    put("/etc/trial/snippet.conf", "add_header X-Snippet two;\n")
    put("/etc/trial/colours.map", "/red crimson;\n")
    status, said = play(sites=sites, words=["--diff"], **options)
    assert status == 0, said
    assert served() == "second"
    assert answer("/red") == "two crimson"
    for path in (f"{LIVE}/cert.pem", f"{LIVE}/key.pem", "/etc/trial/snippet.conf", "/etc/trial/colours.map"):
        assert path in said
    assert "PRIVATE" not in said and sh(f"sed -n 2p {LIVE}/key.pem").strip() not in said

    # A key of another certificate: nginx serves on, and the play says so each time.
    sh(f"cd {LIVE} && ln -sfn ../archive/key1.pem key.pem")
    status, said = play(sites=sites, **options)
    assert status != 0 and "serves on with what it has read before" in said and f"{LIVE}/key.pem" in said
    assert served() == "second"
    # What takes its place mends it, though nginx.conf changes as well.
    status, said = play(**zones("one"))
    assert status == 0 and get("tree.test") == (200, "one"), said


def zones(name):
    """nginx.conf and a site that only go together: each kind of name that one has and the other uses."""
    options = {
        f"log_format {name}": "'$remote_addr'",
        f"upstream {name}": {"server": "127.0.0.1:81"},
        f"map $uri ${name}": {"default": name},
        "limit_req_zone": f"$binary_remote_addr zone={name}:1m rate=100r/s",
    }
    found = returning("tree.test", f"${name}", access_log=f"/var/log/nginx/tree.log {name}")
    found["options"] = {"limit_req": f"zone={name} burst=9"}
    found["locations"].append({"path": "/up/", "proxy_pass": f"http://{name}"})
    return {"nginx_conf_options": options, "sites": [found]}


def test_nginx_conf_and_its_sites_change_as_one():
    two = zones("two")
    if get("tree.test") != (200, "one"):
        # Else the test before has left it so.
        status, said = play(**zones("one"))
        assert status == 0 and get("tree.test") == (200, "one"), said
    # Told beforehand, done, and nothing to do after that.
    status, said = play(words=["--check"], **two)
    assert status == 0, said
    assert get("tree.test") == (200, "one")
    status, said = play(**two)
    assert status == 0 and get("tree.test") == (200, "two"), said
    status, said = play(**two)
    assert status == 0 and changed(said) == 0, said
    # What no publish role of the play brings is not left unsaid.
    status, said = play(publish_set="another", nginx_conf_options={})
    assert status != 0 and "it does not go together with the" in said and 'unknown' in said, said
    assert get("tree.test") == (200, "two")


def test_a_reload_that_nginx_does_not_carry_out_is_no_success():
    sh("systemd-run --unit trial-port python3 -m http.server 8099")
    sh("timeout 60 bash -c 'until : >/dev/tcp/127.0.0.1/8099; do sleep 0.2; done' 2>/dev/null")
    try:
        status, said = play(sites=[returning("tree.test", "mine", listen=["80", "8099"], ipv6=False)])
    finally:
        sh("systemctl stop trial-port")
    assert status != 0 and "Address already in use" in said and "everything was put back" in said, said
    status, said = play(sites=[returning("tree.test", "mine", listen=["80", "8099"], ipv6=False)])
    assert status == 0 and get("tree.test") == (200, "mine"), said


def test_what_nginx_could_not_serve_is_refused_before_it_goes_live():
    sh(
        "id trial-home >/dev/null 2>&1 || useradd -m trial-home; chmod 0700 /home/trial-home;"
        f" mkdir -p /home/trial-home/static {FOLDERS} && cd {FOLDERS} && mkdir -p masked some fine;"
        " (umask 077; for name in masked/a some/no robots; do echo x >$name.txt; done);"
        " echo x >some/yes.txt; echo fine >fine/a.txt"
    )
    locations = [
        {"path": "/home/", "static": "/home/trial-home/static"},
        {"path": "/gone/", "static": f"{FOLDERS}/gone/deep"},
        {"path": "/masked/", "static": f"{FOLDERS}/masked"},
        {"path": "= /robots.txt", "static": f"{FOLDERS}/robots.txt"},
        {"path": "/own/", "return": "404", "options": {"alias": f"{FOLDERS}/nothing/"}},
        {"path": "/some/", "static": f"{FOLDERS}/some"},
        {"path": "/fine/", "static": f"{FOLDERS}/fine"},
    ]
    # What systemd would drop is asked of the host's own; what it reads is no problem.
    unit = {"LimitNOFile": 1024, "LimitNOFILE": "many", "Environment": "S3CRET", "UMask": "0027", "CPUWeight": 50}
    status, said = play(
        [app("tree", service_options=unit)],
        [{"server_name": ["tree.test"], "locations": locations}],
        nginx_unit_options={"Nice": 99},
    )
    assert status != 0 and "9 problems on this host; nothing on it was changed" in said, said
    assert "S3CRET" not in said
    said = " ".join(said.split())
    for text in (
        "locations[0].static: /home/trial-home (trial-home:trial-home, mode 0700) lets nginx's workers (nginx)",
        "chmod o+x /home/trial-home",
        f"locations[1].static: there is no {FOLDERS}/gone/deep ({FOLDERS} is there, and holds no gone)",
        "locations[2].static: 1 of 1 files and folders",
        f"locations[3].static: {FOLDERS}/robots.txt (root:root, mode 0600) cannot be read",
        f"locations[4].options.alias: there is no {FOLDERS}/nothing",
        "publish_apps[0].service_options.LimitNOFile: this host's systemd knows no such directive",
        "did you mean LimitNOFILE?",
        "publish_apps[0].service_options.LimitNOFILE: this host's systemd would drop it: Failed to parse",
        "publish_apps[0].service_options.Environment: this host's systemd would drop it",
        "nginx_unit_options.Nice: this host's systemd would drop it: Nice priority out of range",
    ):
        assert text in said, text
    # Some of many may be meant so: told, and served.
    locations = [*locations[5:], {"path": "/c/", "app": "tree", "static": "css"}]
    fine = {"server_name": ["tree.test"], "locations": locations}
    status, said = play([app("tree")], [fine])
    assert status != 0 and "the release has no css" in said, said
    assert "locations[0].static" in said and "1 of 2 files and folders" in said
    assert get("tree.test", "/fine/a.txt")[1] != "fine\n"
