"""What is taken off a host goes whole, and what stays is told: applications, a set, all of it (E9)."""

import json
import os
import subprocess
import threading

import publishing
import pytest
from one_host import HOST, get, play, put, sh, site

ALL = os.environ.get("BARE_HOST", "graceful-removed")
PAGE = "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'{text}']\n"
# Where the roles write; packages that were installed lie elsewhere.
OTHERS = (
    "/run/systemd",
    "/var/log/journal",
    "/run/log",
    "/var/cache/nginx/",
    "/graceful-wsgi/build/",
    "/bundles/main-",
)
PLACES = "/etc /srv /opt /var/lib /var/log /var/cache /run /usr/sbin"


def recap(said):
    return next(line for line in said.splitlines() if " ok=" in line)


def remove(*words, **variables):
    return publishing.ansible(
        "ansible-playbook", f"--extra-vars={json.dumps(variables)}", *words, "playbooks/remove.yml"
    )


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """Code of the controller's that takes no time to install, by the application's name."""

    def made(name, **more):
        folder = tmp_path_factory.mktemp(name)
        (folder / "page.py").write_text(PAGE.format(text=name))
        return {"name": name, "source": str(folder), "wsgi_file": "page.py", "callable": "application", **more}

    return made


class Visitors:
    """Ask the page of a set that stays, on and on; how many were asked, and what went wrong."""

    ASK = (
        "import http.client, json, os, time\nasked, failed = 0, []\nwhile not os.path.exists('/run/enough'):\n"
        " c = http.client.HTTPConnection('127.0.0.1', 80, timeout=10); asked += 1\n try:\n"
        "  c.request('GET', '/', headers={'Host': 'base.test'}); a = c.getresponse(); a.read()\n"
        "  failed += [a.status] if a.status != 200 else []\n"
        " except Exception as error: failed.append(repr(error))\n c.close(); time.sleep(0.005)\n"
        "print(json.dumps([asked, failed]))"
    )

    def __enter__(self):
        sh("rm -f /run/enough")
        words = ["docker", "exec", HOST, "python3", "-c", self.ASK]
        self.client = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        return self

    def _read(self):
        self.asked, self.failed = json.loads(self.client.communicate(timeout=300)[0])

    def __exit__(self, *_exc):
        sh("touch /run/enough")
        self.reader.join()
        sh("rm -f /run/enough")


def test_applications_and_a_set_go_while_another_set_serves(code):
    before = sh(f"find {PLACES} -xdev ! -path '*/graceful-wsgi/*lock*' | sort").splitlines()
    users = sh("getent passwd; getent group")
    both = {"server_name": ["both.test"], "locations": [{"path": "/", "app": "cart"}, {"path": "/n/", "app": "notes"}]}
    apps = [code("cart", env={"KEY": "hidden-value"}), code("notes", instances=2, log="project"), code("last")]
    both["access_log"] = "/var/log/both.test/access.log"
    sites = [site("cart.test", "cart"), site("last.test", "last"), both]
    status, said = play(apps, sites, publish_set="goes")
    assert status == 0, said

    # An account may put links where root is going to remove.
    put("/srv/precious/file", "precious\n")
    put("/srv/wsgi/notes/shared/upload", "kept\n")
    sh("chown -R wsgi-notes: /srv/wsgi/notes/shared")
    for link in ("/srv/wsgi/notes/shared/link", "/srv/wsgi/notes/logs/server-3.log"):
        sh(f"ln -s /srv/precious {link}", user="wsgi-notes")

    with Visitors() as visitors:
        status, said = remove(remove_apps="notes")
        assert status == 2, said
        assert "the site both.test of publish_set goes leads to notes, which goes, and to cart, which stays" in said

        # What is to go is told, in check mode too, and the rest of the set stays as it is.
        told = []
        for words in (("--check", "--diff"), ("--diff",), ()):
            status, said = remove(*words, remove_apps="notes,cart,of-no-host")
            assert status == 0, said
            assert "there is no application of-no-host" in said
            assert "hidden-value" not in said
            told.append((recap(said).split()[3], "uwsgi@notes-1.service, stopped and disabled" in said))
        assert told == [("changed=1", True), ("changed=1", True), ("changed=0", False)]
        assert "/srv/wsgi/notes: code, virtualenvs and what the application notes has written" in " ".join(said.split())
        assert get("last.test") == (200, "last")
        left = sh("ls /etc/nginx/conf.d /etc/uwsgi /run/wsgi; cat /etc/*.d/publish-goes*")
        assert "last.sock" in left
        assert not any(name in left for name in ("cart", "notes", "both.test")), left

        # Published again, it has what it had.
        status, said = play(apps, sites, publish_set="goes")
        assert status == 0, said
        assert sh("cat /srv/wsgi/notes/shared/upload", user="wsgi-notes") == "kept\n"
        assert get("both.test", "/n/") == (200, "notes")

        # A run that lost all that it knew of the set, and then all of it with its data.
        sh("rm -r /var/lib/graceful-wsgi/bundles/publish-goes-apps")
        told = []
        for words in (("--check",), (), ()):
            status, said = remove(*words, remove_set="goes", remove_data="true")
            assert status == 0, said
            told.append(recap(said).split()[3])
        assert told == ["changed=1", "changed=1", "changed=0"]
        assert "there is no publish_set goes" in said
    assert not visitors.failed
    assert visitors.asked > 500
    assert sh("cat /srv/precious/file; rm -r /srv/precious") == "precious\n"
    assert sh("getent passwd; getent group") == users
    after = sh(f"find {PLACES} -xdev ! -path '*/graceful-wsgi/*lock*' | sort").splitlines()
    assert [path for path in after if path not in before and not any(part in path for part in OTHERS)] == []


# -- all of it, on a host of its own -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole():
    """A host that has nginx and uWSGI, which no other test needs."""
    script = publishing.CHECKOUT / "tests/images/host"
    subprocess.run([script, ALL, "built"], check=True, capture_output=True)
    yield ["--inventory", f"{ALL},", "--limit", ALL, "-e", "ansible_connection=community.docker.docker"]
    if "BARE_HOST" not in os.environ:
        subprocess.run(["docker", "rm", "-f", ALL], check=True, capture_output=True)


def test_all_of_it_goes(whole, code):
    before = sh(f"find {PLACES} -xdev | sort", host=ALL).splitlines()
    status, said = play([code("shop", log="/var/log/shop/shop.log")], [site("shop.test", "shop")], whole)
    assert status == 0, said
    mine = "server { listen 81; server_name mine.test; return 200 mine; }"
    sh(f"echo '{mine}' > /etc/nginx/conf.d/mine.conf && systemctl reload nginx", host=ALL)
    sh("mkdir -m 700 /srv/wsgi/shop/shared && echo kept > /srv/wsgi/shop/shared/upload", host=ALL)

    # nginx serves what somebody else has in it.
    status, said = remove(*whole, remove_all="true")
    assert status == 0, said
    said = " ".join(said.split())
    assert "mine.test (/etc/nginx/conf.d/mine.conf); move that away and run again" in said
    for path in ("/srv/wsgi/shop", "/var/log/shop/shop.log"):
        assert f"{path}: " in said
    ask = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:81').read())"
    assert "mine" in sh(f'python3 -c "{ask}"', host=ALL)
    assert sh("cat /srv/wsgi/shop/shared/upload; ls -d /opt/uwsgi", host=ALL, check=False).startswith(
        "kept\nls: cannot"
    )

    sh("rm /etc/nginx/conf.d/mine.conf", host=ALL)
    told = []
    for words in (("--check",), (), ()):
        status, said = remove(*whole, *words, remove_all="true", remove_data="true")
        assert status == 0, said
        told.append(recap(said).split()[3])
    assert told == ["changed=1", "changed=1", "changed=0"]
    status, said = remove(*whole)
    assert status == 0, said
    assert "Nothing of graceful.wsgi is on this host." in said

    after = sh(f"find {PLACES} -xdev | sort", host=ALL).splitlines()
    assert [path for path in after if path not in before and not any(part in path for part in OTHERS)] == []
    names = "-iname '*nginx*' -o -iname '*uwsgi*' -o -name 'wsgi*' -o -name '*graceful*' -o -name 'publish-*'"
    found = sh(rf"find {PLACES} /var /home /tmp -xdev \( {names} \) ! -path '*/dpkg/*'", host=ALL).splitlines()
    assert [path for path in found if "/systemd-private" not in path] == []
    assert "nologin" not in sh("getent passwd | grep 'wsgi\\|nginx'", host=ALL, check=False)
    assert sh("getent group | grep 'wsgi\\|nginx'", host=ALL, check=False) == ""
    assert sh("systemctl list-units --all --no-legend 'uwsgi*' 'nginx*'", host=ALL) == ""
