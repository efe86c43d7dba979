"""What is another set's, a person's or the distribution's is refused, or taken over with a way back (S15 to S17)."""

import json
import os
import subprocess

import publishing
import pytest
from one_host import HOST, get, play, put, sh, site

DISTRO = os.environ.get("DISTRO_HOST", "graceful-distro")
PAGE = "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'{text}']\n"
KEPT = "/var/lib/graceful-wsgi/taken-over"
BUNDLES = "/var/lib/graceful-wsgi/bundles"
HERE = ["--limit", HOST]
NO_CHANGE = "changed=0 "


def here(*apps, sites=(), **more):
    return play(apps, sites, HERE, **more)


def app(name, text=None, **more):
    """An application of one file, in a folder of the host, which takes no time to install."""
    put(f"/srv/code/{name}/page.py", PAGE.format(text=text or name))
    return {"name": name, "path": f"/srv/code/{name}", "wsgi_file": "page.py", "callable": "application", **more}


def recap(said):
    return next(line for line in said.splitlines() if " ok=" in line)


def manifest(bundle):
    return json.loads(sh(f"cat {BUNDLES}/{bundle}/manifest.json"))


@pytest.fixture(scope="module")
def shop():
    """Two applications and their sites, of the set trial."""
    status, said = here(app("shop"), app("old"), sites=[site("shop.test", "shop"), site("old.test", "old")])
    assert status == 0, said
    yield
    sh("systemctl unmask uwsgi@masked; rm -f /etc/systemd/system/uwsgi@shadow.service", check=False)
    sh("rm -f /etc/nginx/conf.d/mine.test.conf /etc/logrotate.d/publish-others-apps")


def test_what_somebody_else_has_is_refused_before_anything_changes(shop):
    put("/etc/nginx/conf.d/mine.test.conf", "server { listen 80; server_name mine.test; return 200 mine; }\n")
    put("/etc/uwsgi/hand.ini", "[uwsgi]\n")
    put("/etc/logrotate.d/publish-others-apps", "# by hand\n")
    put("/etc/systemd/system/uwsgi@shadow.service", "[Service]\nExecStart=/bin/sleep 1\n")
    sh("systemctl mask uwsgi@masked")
    before = sh(f"find /etc {BUNDLES} -type f -exec sha256sum {{}} + | sort; ls /srv/wsgi")
    apps = [
        app("base"),
        app("shop", config_format="yaml"),
        app("hand"),
        app("masked"),
        app("shadow"),
    ]
    sites = [
        site("base.test", "shop"),
        {**site("shop.test", "shop"), "name": "other"},
        site("mine.test", "hand"),
    ]
    for words in ((), ("--check",)):
        status, said = play(apps, sites, [*HERE, *words], publish_set="others")
        assert status == 2, said
        assert "9 problems on this host; nothing on it was changed" in said
        for text in (
            "publish_apps[0].name: publish_set base of this host publishes an application base",
            "publish_apps[1].name: publish_set trial of this host publishes an application shop",
            "publish_apps[2].name: /etc/uwsgi/hand.ini would be overwritten",
            "publish_apps[3].name: uwsgi@masked.service is masked",
            "systemctl unmask uwsgi@masked.service",
            "publish_apps[4].name: /etc/systemd/system/uwsgi@shadow.service stands in the place of",
            "publish_sites[0].name: publish_set base of this host has /etc/nginx/conf.d/base.test.conf",
            "publish_sites[1].server_name: 'shop.test' at port 80 is answered by publish_set trial",
            "publish_sites[2].name: /etc/nginx/conf.d/mine.test.conf would be overwritten",
            "publish_set: /etc/logrotate.d/publish-others-apps would be overwritten",
        ):
            assert text in said, said
    sh("systemctl unmask uwsgi@masked; rm /etc/systemd/system/uwsgi@shadow.service")
    after = sh(f"find /etc {BUNDLES} -type f -exec sha256sum {{}} + | sort; ls /srv/wsgi")
    assert after == "".join(line for line in before.splitlines(True) if "uwsgi@shadow" not in line)
    assert get("base.test")[0] == 200
    assert get("shop.test") == (200, "shop")


def test_a_set_that_names_nothing_of_what_it_had_is_refused(shop):
    status, said = here(app("blog"), sites=[site("blog.test", "blog")], publish_replace=False)
    assert status == 2
    for text in ("publish_set: the set 'trial'", "application shop", "site shop.test", "publish_replace: true"):
        assert text in said, said
    assert get("shop.test") == (200, "shop")
    # With a name in common it goes, and is told before it does.
    for words in (("--check",), ()):
        wanted = {"sites": [site("shop.test", "shop")], "publish_replace": False}
        status, said = play([app("shop")], words=[*HERE, *words], **wanted)
        assert status == 0, said
        told = f"publish_set trial of this host ({HOST}) has application old, site old.test, which this play does not"
        assert told in said
    assert sh("systemctl is-active uwsgi@old", check=False) == "inactive\n"


def test_what_a_person_wrote_is_kept_where_it_is_taken_over(shop):
    put("/etc/uwsgi/hand.ini", "[uwsgi]\n# mine\n", "alice:alice", "0600")
    status, said = here(app("shop"), app("hand"), sites=[site("shop.test", "shop")], publish_take_over=True)
    assert status == 0, said
    assert "/etc/uwsgi/hand.ini was taken over" in said
    assert sh(f"stat -c '%U %a' {KEPT}/etc/uwsgi/hand.ini") == "alice 600\n"
    assert "# mine" in sh(f"cat {KEPT}/etc/uwsgi/hand.ini")
    assert sh(f"ls {KEPT}", user="mallory", check=False).endswith("Permission denied\n")
    # It is this set's by now, and a manifest that is lost does not make it anybody else's.
    sh(f"rm {BUNDLES}/publish-trial-*/manifest.json")
    status, said = here(app("shop"), app("hand"), sites=[site("shop.test", "shop")])
    assert status == 0, said
    assert NO_CHANGE in recap(said)


def test_a_set_takes_off_nothing_that_another_set_has(shop):
    # As two sets with one application were left by earlier versions.
    old = manifest("publish-base-apps")
    ours = manifest("publish-trial-apps")["files"]
    named = {path: digest for path, digest in ours.items() if "shop" in path}
    text = json.dumps({**old, "set": None, "files": {**old["files"], **named}})
    put(f"{BUNDLES}/publish-base-apps/manifest.json", text, mode="0600")
    status, said = publishing.ansible("ansible-playbook", *HERE, "playbooks/site.yml")
    assert status == 0, said
    assert get("shop.test") == (200, "shop")
    assert not set(named) & set(manifest("publish-base-apps")["files"])


def test_a_unit_that_cannot_be_brought_back_holds_up_no_other(shop):
    names = ["shop", "one", "two"]
    sites = [site(f"{name}.test", name) for name in names]
    status, said = here(*[app(name) for name in names], sites=sites)
    assert status == 0, said
    # Somebody stops and masks one of them in the middle of a run.
    # A play that ends before it writes that must not leave the test waiting.
    seen = "for _ in $(seq 3000); do grep -q NEWER /etc/uwsgi/one.env && break; sleep 0.02; done"
    watch = f"{seen}; systemctl mask --runtime --now uwsgi@one"
    with subprocess.Popen(["docker", "exec", HOST, "sh", "-c", watch]) as watcher:
        status, said = here(*[app(name, env={"NEWER": "1"}) for name in names], sites=sites)
        assert watcher.wait(20) == 0
    try:
        assert status == 2
        assert "Live again as it was: shop, two" in said, said
        assert "NOT as it was: one: systemctl" in said
        assert "NEWER" not in sh("cat /etc/uwsgi/shop.env /etc/uwsgi/one.env /etc/uwsgi/two.env", check=False)
        for name in ("shop", "two"):
            assert get(f"{name}.test") == (200, name)
            assert "NEWER" not in sh(f"tr '\\0' '\\n' < /proc/$(cat /run/uwsgi-{name}/pid)/environ")
    finally:
        sh("systemctl unmask --runtime uwsgi@one")


# -- the distribution's nginx ------------------------------------------------------------------------------------


def there(*words, **variables):
    """Run the main job on the host that has the distribution's nginx."""
    more = ["--inventory", f"{DISTRO},", "--limit", DISTRO, "-e", "ansible_connection=community.docker.docker", *words]
    return play([], [], more, **variables)


def distro(command, **more):
    return sh(command, host=DISTRO, **more)


@pytest.fixture(scope="module")
def debian():
    """A host with Debian's nginx, which serves two pages; ours is built there, but was never put in place."""
    script = publishing.CHECKOUT / "tests/images/host"
    subprocess.run([script, DISTRO, "built"], check=True, capture_output=True)
    distro(
        "rm -rf /usr/sbin/nginx /etc/nginx /etc/logrotate.d/nginx /etc/systemd/system/nginx.service"
        f" /etc/systemd/system/*.wants/nginx.service {BUNDLES}/nginx; systemctl daemon-reload; apt-get -q update &&"
        " DEBIAN_FRONTEND=noninteractive apt-get -qy install nginx && systemctl start nginx",
        timeout=300,
    )
    distro("echo 'server { listen 80; server_name page.test; return 200 page; }' > /etc/nginx/conf.d/page.conf")
    distro("nginx -s reload")
    yield
    if "DISTRO_HOST" not in os.environ:
        subprocess.run(["docker", "rm", "-f", DISTRO], check=True, capture_output=True)


def test_the_nginx_of_a_distribution_is_refused_and_taken_over_when_told(debian):
    before = distro("sha256sum /usr/sbin/nginx /etc/nginx/nginx.conf; cat /run/nginx.pid")
    status, said = there()
    assert status == 2, said
    for text in (
        "nginx_take_over: /usr/sbin/nginx is of the package nginx 1.22",
        "and runs (process ",
        "/etc/nginx/nginx.conf",
        "not served any more would be: _ (/etc/nginx/sites-enabled/default)",
        "apt-get purge --autoremove nginx",
        "nginx_take_over: true",
    ):
        assert text in said, said
    assert distro("sha256sum /usr/sbin/nginx /etc/nginx/nginx.conf; cat /run/nginx.pid") == before

    load = "import http.client, json, os, time\nasked = failed = 0\nwhile not os.path.exists('/run/enough'):\n"
    load += " c = http.client.HTTPConnection('127.0.0.1', 80, timeout=5); asked += 1\n try:\n"
    load += "  c.request('GET', '/', headers={'Host': 'page.test'}); failed += c.getresponse().read() != b'page'\n"
    load += " except Exception: failed += 1\n c.close(); time.sleep(0.005)\nprint(json.dumps([asked, failed]))"
    words = ["docker", "exec", DISTRO, "python3", "-c", load]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as client:
        status, said = there(nginx_take_over=True)
        distro("touch /run/enough")
        asked, failed = json.loads(client.communicate(timeout=30)[0])
    assert status == 0, said
    assert failed == 0
    assert asked > 200
    assert "nginx/1.26" in distro("/usr/sbin/nginx -v; readlink /proc/$(cat /run/nginx.pid)/exe")
    assert "sites-enabled" in distro(f"cat {KEPT}/etc/nginx/nginx.conf")
    ours = distro("sha256sum /usr/sbin/nginx")

    # The package may come again, and does not get its place back.
    command = "DEBIAN_FRONTEND=noninteractive apt-get -qy -o Dpkg::Options::=--force-confold install --reinstall nginx"
    distro(command, timeout=300)
    assert distro("sha256sum /usr/sbin/nginx") == ours
    assert "nginx/1.22" in distro("/usr/sbin/nginx.distrib -v")
    assert distro("systemctl is-active nginx") == "active\n"
    for more in ({"nginx_take_over": True}, {}):
        status, said = there(**more)
        assert status == 0, said
        assert NO_CHANGE in recap(said)

    # Put there by force, it is noticed.
    distro("cp /usr/sbin/nginx.distrib /usr/sbin/nginx.new && mv /usr/sbin/nginx.new /usr/sbin/nginx")
    status, said = there("--check")
    assert status == 2
    assert "nginx_take_over: /usr/sbin/nginx is" in said
