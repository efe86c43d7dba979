"""What the templates make of a plan, read by others: crossplane finds the plan's directives, gixy nothing to say."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import contract
import crossplane
import golden
import jinja2
import pytest
import second_nginx
import yaml
from plans import SPECS, plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import plan as planning

CHECKOUT = Path(__file__).resolve().parents[2]
ROLES = CHECKOUT / "roles"
GROUPS = {"backends": [{"address": "127.0.0.2", "weight": 3}, {"address": "127.0.0.3"}, {"address": "fd00::2"}]}
NAMES = {None: "c.pem", "_key": "k.pem"}
APP = {"name": "shop", "source": "x", "module": "manage"}


def inventory(scenario):
    """The variables of a scenario as far as the plan looks at them."""
    text = (CHECKOUT / f"molecule/{scenario}/inventory/group_vars/all.yml").read_text()
    return yaml.safe_load(text.replace("{{ mirror_venv }}", "/opt/mirror"))


def one(*locations, **more):
    return {"publish_apps": [APP], "publish_sites": [{"server_name": ["a.test"], "locations": list(locations), **more}]}


with contract.templating():
    PAIRS = {name: golden.variables(name) for name in ("ten-minutes", "tls", "limits", "websocket", "moved")}
GIVEN = {
    "the scenario paths": inventory("paths"),
    **PAIRS,
    "hard words": one(
        {"path": r"~ ^/(a|b)\.css$", "static": "/srv/with a blank"},
        {"path": "/r/", "redirect": 'https://b.test/"x";{y}'},
        {"path": '"/q.(x) {y}/"', "proxy_pass": "http://127.0.0.1:1/a'b/"},
        headers={"X-One": 'a "b"; c', "Content-Security-Policy": "default-src 'self'; img-src *"},
        deny_uri=[r"\.(php|asp)\"?$", r"a\\b", "x{2}", "union select"],
        allow=["10.0.0.0/8", "fd00::/8"],
    ),
    "an internal folder": one(
        {"path": "/", "app": "shop", "options": {"set": "$mine 1"}},
        {"path": "/files/", "app": "shop", "static": "files", "internal": True},
    ),
    "large headers": one({"path": "/", "app": "shop"}, options={"large_client_header_buffers": "4 32k"}),
}


def rendered(folder, values):
    """Lay out /etc/nginx as the roles would; returns the plan's files, each with its tree."""
    host = {"os_family": "Debian", "distribution": "Debian", "version": "12", "arch": "x86_64", "groups": GROUPS}
    plans, problems = plain(planning.plan(SPECS, {"nginx": {}, "uwsgi": {}, "publish": values}, host))
    assert not problems, [str(problem) for problem in problems]
    folders = [ROLES / "publish/templates", ROLES / "nginx/templates"]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders), trim_blocks=True, keep_trailing_newline=True, autoescape=False
    )
    environment.filters["comment"] = lambda text: f"# {text}"
    for name in ("conf.d", "default.d"):
        (folder / name).mkdir()
    for name in ("mime.types", "uwsgi_params"):
        (folder / name).write_text((ROLES / "nginx/templates" / name).read_text())
    trees = {"nginx.conf": plans["nginx"]["conf"]}
    (folder / "nginx.conf").write_text(
        environment.get_template("nginx.conf.j2").render(ansible_managed="x", tree=plans["nginx"]["conf"])
    )
    for file in plans["publish"]["site_bundle"]["files"]:
        if file["dest"].startswith("/etc/nginx/"):
            name = file["dest"].removeprefix("/etc/nginx/")
            text = environment.get_template(file["template"]).render(ansible_managed="x", **file["vars"])
            (folder / name).write_text(text)
            site = file["vars"].get("site")
            trees[name] = [*site["http"], site["server"]] if site else file["vars"]["http"]
    return trees


def words(text):
    """The words of a directive as crossplane gives them: quotes off, a backslash as it stands but before a quote."""
    found, word, quote, index = [], "", "", 0
    while index < len(text):
        char = text[index]
        if char == "\\" and text[index + 1] == quote:
            word, index = word + quote, index + 1
        elif char == "\\":
            word, index = word + text[index : index + 2], index + 1
        elif quote and char == quote:
            found.append(word)
            word, quote = "", ""
        elif not quote and char in "\"'" and not word:
            quote = char
        elif not quote and char == " ":
            found += [word] if word else []
            word = ""
        else:
            word += char
        index += 1
    return found + ([word] if word else [])


def expected(tree):
    found = []
    for name, value, children in tree:
        directive, *arguments = words(f"{name} {value}")
        if directive == "if":
            arguments = [word.strip("()") for word in arguments]
        found.append((directive, arguments, None if children is None else expected(children)))
    return found


def parsed(block):
    return [
        (line["directive"], line["args"], parsed(line["block"]) if "block" in line else None)
        for line in block
        if line["directive"] != "#"
    ]


def read(file):
    payload = crossplane.parse(str(file), single=True, check_ctx=False, check_args=False, strict=False)
    assert payload["status"] == "ok", payload["errors"]
    return parsed(payload["config"][0]["parsed"])


@pytest.mark.parametrize("values", GIVEN.values(), ids=GIVEN)
def test_crossplane_reads_the_directives_of_the_plan(tmp_path, values):
    trees = rendered(tmp_path, values)
    assert len(trees) > len(values["publish_sites"])
    for name, tree in trees.items():
        assert read(tmp_path / name) == expected(tree), name


@pytest.mark.parametrize("values", GIVEN.values(), ids=GIVEN)
def test_no_block_says_a_thing_twice(tmp_path, values):
    repeated = {"listen", "location", "if", "add_header", "proxy_set_header", "proxy_redirect", "uwsgi_param", "server"}
    repeated |= {"set", "include", "set_real_ip_from", "map", "geo", "upstream", "limit_req_zone", "limit_conn_zone"}

    def walk(tree, where):
        names = [name for name, _value, _children in tree if name not in repeated]
        assert sorted(names) == sorted(set(names)), where
        for name, value, children in tree:
            if children is not None:
                walk(children, f"{where}: {name} {value}")

    for name, tree in rendered(tmp_path, values).items():
        walk(tree, name)


@pytest.mark.parametrize("values", GIVEN.values(), ids=GIVEN)
def test_gixy_finds_nothing(tmp_path, values):
    rendered(tmp_path, values)
    assert gixy(tmp_path / "nginx.conf") == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate and its key, for every path that a configuration names one by."""
    folder = tmp_path_factory.mktemp("tls")
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=a.test"]
    files = ["-keyout", str(folder / "k.pem"), "-out", str(folder / "c.pem")]
    subprocess.run(["openssl", "req", "-x509", *kind, *files], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("values", GIVEN.values(), ids=GIVEN)
def test_a_newer_nginx_takes_it_and_warns_of_nothing(tmp_path, certificate, values):
    rendered(tmp_path, values)
    (tmp_path / "logs").mkdir()
    ipv6 = Path("/proc/net/if_inet6").exists()
    for file in tmp_path.rglob("*"):
        if not file.is_file():
            continue
        text = re.sub(
            r"(ssl_certificate(_key)?) \S+;",
            lambda found: f"{found[1]} {certificate}/{NAMES[found[2]]};",
            file.read_text(),
        )
        # What only a host has: accounts, its folder of logs; and here any ports will do.
        text = re.sub(r"^user .*$", "", text, flags=re.MULTILINE).replace("/var/log/nginx/", f"{tmp_path}/logs/")
        text = re.sub(r"/var/log/(\S+/)*", f"{tmp_path}/logs/", text)
        if not ipv6:
            text = re.sub(r"^ *listen \[.*$", "", text, flags=re.MULTILINE)
        text = re.sub(r"(listen (?:\S+:)?)(\d+)\b", lambda found: f"{found[1]}{20000 + int(found[2]) % 20000}", text)
        file.write_text(text)
    words = ["-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-g", f"pid {tmp_path}/pid;"]
    tested = subprocess.run([second_nginx.binary(), *words], capture_output=True, text=True, check=False)
    assert tested.returncode == 0 and "[warn]" not in tested.stderr, tested.stderr


def test_gixy_would_find_something(tmp_path):
    """The tree is read through its includes: a proxy_pass with a path, deep down, is found."""
    values = one({"path": "/a/", "proxy_pass": "http://127.0.0.1:1/b/", "options": {"set": "$x y"}})
    rendered(tmp_path, values)
    assert [issue["plugin"] for issue in gixy(tmp_path / "nginx.conf")] == ["proxy_pass_normalized"]


def gixy(file):
    """What it says of a configuration, whatever the severity; notes of its parser too."""
    ran = subprocess.run(
        [sys.executable, "-c", "from gixy.cli.main import main; main()", "-f", "json", str(file)],
        env={**os.environ, "HOME": str(file.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    # A variable that one location sets and another, to which its answer leads, reads.
    notes = [line for line in ran.stderr.splitlines() if "_by' in script" not in line]
    assert not notes, notes
    # The server that refuses cannot say that it is the default: see refusal_plan.py.
    return [issue for issue in json.loads(ran.stdout) if issue["plugin"] != "default_server_flag"]
