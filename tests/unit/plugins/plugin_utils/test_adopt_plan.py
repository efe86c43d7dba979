"""How nginx is led to our sockets, what it is tried with, and what both stacks are asked."""

import pytest

from ansible_collections.graceful.wsgi.plugins.action.import_stack import planner
from ansible_collections.graceful.wsgi.plugins.plugin_utils import adopt_plan, import_inventory

INI = """[uwsgi]
socket = 127.0.0.1:5051
chdir = /srv/shop
module = run
"""
CONF = """user www-data;
pid /run/nginx.pid;
events { worker_connections 64; }
http {
    access_log /var/log/nginx/a.log;
    proxy_cache_path /var/cache/x keys_zone=x:1m;
    upstream shop { server 127.0.0.1:5051; }
    map $uri $kind { default 0; "~^/a b" 1; }
    include /etc/nginx/sites-enabled/*;
}
"""
SITE = """server {
    listen 80 default_server;
    listen [::]:80;
    listen 443 ssl;
    server_name shop.test *.shop.test ~^x;
    ssl_certificate a.crt;
    location / { include uwsgi_params; uwsgi_pass 127.0.0.1:5051; }  # stays
    location /up { uwsgi_pass shop; }
    location = /exact { return 204; }
    location /static/ { alias /srv/shop/static/; }
    location /logout { uwsgi_pass 127.0.0.1:5051; }
    location ~ \\.php$ { return 404; }
    location /elsewhere { proxy_pass http://127.0.0.1:9000/; }
}
"""
FILES = {
    "/etc/nginx/nginx.conf": CONF,
    "/etc/nginx/sites-enabled/shop": SITE,
    "/etc/nginx/uwsgi_params": "uwsgi_param SERVER_PORT $server_port;\n",
    "/srv/shop/uwsgi.ini": INI,
}


def adoption(files=FILES, names=("shop",), more=(), **about):
    found = {"files": files, "main": "/etc/nginx/nginx.conf", "processes": []}
    imported = import_inventory.Import(files, planner, [], found["main"], [])
    imported.run()
    return adopt_plan.plan(found, imported, [{"name": name, **about} for name in names], more)


@pytest.fixture(scope="module")
def made():
    return adoption()


def test_what_names_the_old_socket_names_ours_and_nothing_else_changes(made):
    texts = {one["path"]: one["content"] for one in made.edits}
    assert texts == {
        "/etc/nginx/nginx.conf": CONF.replace("127.0.0.1:5051", "unix:/run/wsgi/shop.sock"),
        "/etc/nginx/sites-enabled/shop": SITE.replace("127.0.0.1:5051", "unix:/run/wsgi/shop.sock"),
    }
    [app] = made.apps
    assert (app["addresses"], app["lead"]) == (["127.0.0.1:5051"], "unix:/run/wsgi/shop.sock")


def test_an_application_over_http_is_led_with_the_path_behind_it():
    files = {**FILES, "/srv/shop/uwsgi.ini": INI.replace("socket =", "http-socket =")}
    files["/etc/nginx/sites-enabled/shop"] = "server { listen 80; location / { proxy_pass http://127.0.0.1:5051/a; } }"
    made = adoption(files)
    assert "proxy_pass http://unix:/run/wsgi/shop.sock:/a;" in made.edits[-1]["content"]


def test_the_trial_takes_no_port_log_or_cache_of_the_old_nginx(made):
    text = made.text
    assert made.ports == 3
    for gone in ("/run/nginx.pid", "/var/log/nginx", "/var/cache/x", "listen 80", "listen [::]:80", "127.0.0.1:5051"):
        assert gone not in text
    assert "listen 127.0.0.1:@PORT0@ default_server;" in text
    assert "listen 127.0.0.1:@PORT2@ ssl;" in text
    # Each block has the port that the old one tells its applications.
    assert [text.count(f"uwsgi_param SERVER_PORT {port};") for port in (80, 443)] == [2, 1]
    assert '"~^/a b" 1;' in text and "proxy_pass http://127.0.0.1:9000/;" in text


def test_each_location_is_asked_with_and_without_a_slash_and_nothing_that_does_something(made):
    asked = {(one["method"], one["path"]) for one in made.requests if one["host"] == "shop.test" and not one["tls"]}
    paths = {"/", "/up", "/up/", "/exact", "/static", "/static/", "/elsewhere", "/elsewhere/"}
    assert asked == {("GET", path) for path in paths} | {("HEAD", "/"), ("GET", f"/{adopt_plan.NOWHERE}?adopt=1")}
    assert {one["host"] for one in made.requests} == {"shop.test", "adopt.shop.test", adopt_plan.UNKNOWN}
    assert {one["method"] for one in made.requests} == {"GET", "HEAD"}
    assert [one["folder"] for one in made.requests if one["path"] == "/static/"][0] == "/srv/shop/static/"
    assert any("/logout" in line for line in made.unasked) and any(".php" in line for line in made.unasked)
    assert {one["old"] for one in made.requests} == {"127.0.0.1:80", "[::1]:80", "127.0.0.1:443"}


def test_more_paths_are_asked_for_at_each_name():
    asked = [one for one in adoption(more=["/item/1"]).requests if one["path"] == "/item/1"]
    assert len(asked) == 6


@pytest.mark.parametrize(
    ("files", "names", "message"),
    [
        (FILES, ["other"], "publish_apps has other, and not shop"),
        ({**FILES, "/srv/b/uwsgi.ini": INI.replace("051", "6").replace("shop", "b")}, ["shop", "b"], "nothing in"),
    ],
)
def test_what_cannot_be_moved_is_refused(files, names, message):
    with pytest.raises(adopt_plan.AdoptProblem, match=message):
        adoption(files, names)


def test_what_this_collection_has_published_beside_is_not_the_old_stack():
    files = {**FILES, "/etc/uwsgi/shop.ini": "[uwsgi]\nsafe-pidfile = /run/uwsgi-shop/pid\n"}
    files["/etc/systemd/system/uwsgi@.service"] = "[Service]\nExecStart=uwsgi --ini /etc/uwsgi/%i.ini\n"
    ours = {"kind": "uwsgi", "unit": "uwsgi@shop.service", "command": ["uwsgi", "--ini", "/etc/uwsgi/shop.ini"]}
    theirs = {"kind": "uwsgi", "unit": "site.service", "command": ["uwsgi", "a.ini"]}
    left = adopt_plan.theirs({"files": files, "processes": [ours, theirs]})
    assert left["files"] == FILES and left["processes"] == [theirs]


def test_what_would_run_twice_is_named():
    options = {"mule": "a.py", "attach-daemon": "celery", "unique-cron": "1", "buffer-size": 4}
    assert len(adopt_plan.doubled([{"name": "shop", "options": options}])) == 3
    # What its own units run is done by the old stack in another way.
    beside = {"workers": [{"name": "jobs", "command": "celery"}], "timers": [{"name": "nightly"}]}
    assert adopt_plan.doubled([{"name": "shop", **beside}]) == ["shop: worker jobs", "shop: timer nightly"]
    # The plan refuses what is no list of them.
    assert adopt_plan.doubled([{"name": "shop", "workers": None, "timers": "x"}]) == []


ROW = {"request": "GET http://a/", "part": "body", "old": "1", "new": "2"}


@pytest.mark.parametrize(
    ("accept", "count"), [([], 1), (["body"], 0), (["GET http://a/"], 0), (["GET http://a/ body"], 0), (["status"], 1)]
)
def test_a_difference_counts_unless_it_is_accepted(accept, count):
    compared = {"count": 5, "differences": [ROW], "varying": {"GET http://a/b": ["body"]}}
    text, left = adopt_plan.report("4 of 4 locations carried; 0 as options", compared, ["/x: no"], accept)
    assert left == count
    assert text.startswith(f"4 of 4 locations carried; 0 as options; {count} answer{'' if count == 1 else 's'} differ")
    assert "| GET http://a/ | body | 1 | 2 |" in text
    assert "GET http://a/b: body varies by itself" in text and "not asked: /x: no" in text


def test_what_a_terminal_would_obey_is_shown_and_not_obeyed():
    rows = [{**ROW, "new": "\x1b]0;owned\x07\x9b2J|\nx"}]
    compared = {"count": 5, "differences": rows, "varying": {"GET http://a/\x1b[2J": ["body"]}}
    text, _left = adopt_plan.report("", compared, ["/\x1b[2J: no"], [])
    assert not any(ord(letter) < 32 and letter != "\n" or 127 <= ord(letter) < 160 for letter in text)
    assert "| 1 | ?]0;owned??2J\\| x |" in text


def test_whose_rights_an_application_is_to_have_is_for_the_host_to_judge():
    [app] = adoption(user="postgres", group="shadow").apps
    assert (app["user"], app["group"]) == ("postgres", "shadow")
    assert "user" not in adoption(user="").apps[0]


@pytest.mark.parametrize(("folder", "units"), [("/etc/systemd/system", ["db.service"]), ("/home/evil", [])])
def test_only_systemds_folders_name_units(folder, units):
    text = "[Service]\nExecStart=/usr/bin/uwsgi --ini /srv/shop/uwsgi.ini\n"
    [app] = adoption({**FILES, f"{folder}/db.service": text}).apps
    assert app["units"] == units


def test_a_vassal_is_named_by_the_file_that_its_emperor_reads():
    files = {key: text for key, text in FILES.items() if key != "/srv/shop/uwsgi.ini"}
    files |= {"/etc/uwsgi/vassals/shop.ini": INI, "/etc/uwsgi/emperor.ini": "[uwsgi]\nemperor = /etc/uwsgi/vassals\n"}
    [app] = adoption(files).apps
    assert (app["vassals"], app["units"]) == (["/etc/uwsgi/vassals/shop.ini"], [])
    assert adoption().apps[0]["vassals"] == []


# As the package nginx of EPEL 7 has it: a server block of its own in the main file, modules, files of other packages.
EPEL = """user nginx;
worker_processes auto;
error_log /var/log/nginx/error.log;
pid /run/nginx.pid;
include /usr/share/nginx/modules/*.conf;
events { worker_connections 1024; }
http {
    access_log /var/log/nginx/access.log;
    sendfile on;
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    include /etc/nginx/conf.d/*.conf;
    server {
        listen 80;
        listen [::]:80;
        server_name _;
        root /usr/share/nginx/html;
        include /etc/nginx/default.d/*.conf;
        error_page 404 /404.html;
        location = /404.html { }
    }
}
"""


def test_epels_nginx_is_led_with_its_modules_and_its_own_server_block():
    module = 'load_module "/usr/lib64/nginx/modules/ngx_stream_module.so";\n'
    files = {"/etc/nginx/nginx.conf": EPEL, "/etc/nginx/mime.types": "types { text/html html; }\n"}
    files |= {"/usr/share/nginx/modules/mod-stream.conf": module, "/etc/nginx/uwsgi_params": ""}
    site = "server { server_name shop.test; location / { include uwsgi_params; uwsgi_pass 127.0.0.1:5051; } }\n"
    files |= {"/etc/nginx/conf.d/shop.conf": site, "/srv/shop/uwsgi.ini": INI}
    files["/etc/nginx/default.d/php.conf"] = "location /status { return 204; }\n"
    made = adoption(files)
    assert [one["path"] for one in made.edits] == ["/etc/nginx/conf.d/shop.conf"]
    assert "/usr/lib64/nginx/modules/ngx_stream_module.so" in made.text and "text/html html;" in made.text
    for gone in ("/run/nginx.pid", "/var/log/nginx", "listen 80", "listen [::]:80"):
        assert gone not in made.text
    # The block that says no port listens at 80 too, and is asked there; on the trial it has that one's port.
    assert made.ports == 2 and made.text.count("listen 127.0.0.1:@PORT0@;") == 2
    asked = {(one["host"], one["path"]) for one in made.requests}
    assert {("shop.test", "/"), (adopt_plan.UNKNOWN, "/status"), (adopt_plan.UNKNOWN, "/404.html")} <= asked
