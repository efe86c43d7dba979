"""What nginx reads counts as a whole: renewed files, nginx.conf and its sites, folders that it is to serve."""

import re

from one_host import get, play, put, sh, site

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
    assert "X-Snippet: two" in sh("curl -ski --resolve tree.test:443:127.0.0.1 https://tree.test/")
    assert sh("curl -sk --resolve tree.test:443:127.0.0.1 https://tree.test/red") == "crimson"
    for path in (f"{LIVE}/cert.pem", f"{LIVE}/key.pem", "/etc/trial/snippet.conf", "/etc/trial/colours.map"):
        assert path in said
    assert "PRIVATE" not in said and sh(f"sed -n 2p {LIVE}/key.pem").strip() not in said

    # A key of another certificate: nginx serves on, and the play says so each time.
    sh(f"cd {LIVE} && ln -sfn ../archive/key1.pem key.pem")
    status, said = play(sites=sites, **options)
    assert status != 0 and "serves on with what it has read before" in said and f"{LIVE}/key.pem" in said
    assert served() == "second"
    sh(f"cd {LIVE} && ln -sfn ../archive/key2.pem key.pem && systemctl reload nginx")
    status, said = play(sites=sites, **options)
    assert status == 0 and changed(said) == 0, said


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
    one, two = zones("one"), zones("two")
    status, said = play(**one)
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
    sh("systemd-run --unit trial-port python3 -m http.server 8099 && sleep 1")
    try:
        status, said = play(sites=[returning("tree.test", "mine", listen=["80", "8099"], ipv6=False)])
    finally:
        sh("systemctl stop trial-port")
    assert status != 0 and "Address already in use" in said and "everything was put back" in said, said
    status, said = play(sites=[returning("tree.test", "mine", listen=["80", "8099"], ipv6=False)])
    assert status == 0 and get("tree.test") == (200, "mine"), said
