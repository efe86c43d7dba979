"""What is imported of configurations in the shape of public ones, letter by letter, and how much of them is lost."""

import collections
import re
import subprocess

import contract
import golden_import
import importing
import pytest
import second_nginx
import yaml

from ansible_collections.graceful.wsgi.plugins.module_utils import stack_files
from ansible_collections.graceful.wsgi.plugins.plugin_utils import import_inventory, import_nginx, import_uwsgi
from ansible_collections.graceful.wsgi.plugins.plugin_utils.import_report import CARRIED, DECIDE, KEPT, STATES


@pytest.fixture(autouse=True, scope="module")
def templating():
    with contract.templating():
        yield


@pytest.mark.parametrize("name", golden_import.NAMES)
def test_what_is_written_is_what_is_kept(name):
    kept = {file: (golden_import.FOLDER / file).read_text() for file in (f"{name}.yml", f"{name}.md")}
    assert golden_import.outputs(name) == kept, "run `make golden`, and look at the diff before you commit it"


def test_there_are_twenty_and_no_output_without_an_input():
    assert len(golden_import.NAMES) >= 20
    assert {path.stem for path in golden_import.FOLDER.iterdir() if path.is_file()} == set(golden_import.NAMES)


@pytest.mark.parametrize("name", golden_import.NAMES)
def test_the_inventory_is_one_that_the_plan_takes(name):
    found = yaml.safe_load((golden_import.FOLDER / f"{name}.yml").read_text())
    variables = found["all"]["vars"]
    assert variables == golden_import.imported(name).variables
    _plans, problems = importing.planner(variables)
    assert [str(problem) for problem in problems] == []


@pytest.mark.parametrize("name", golden_import.NAMES)
def test_what_is_generated_lacks_nothing(name):
    assert golden_import.imported(name).missing == []


@pytest.mark.parametrize("name", golden_import.NAMES)
def test_nothing_is_lost_in_silence(name):
    """Each directive and each option of the input has a row."""
    result, files = golden_import.imported(name), stack_files.folder(str(golden_import.FOLDER / name))["files"]
    told = {(row.file, row.line) for row in result.rows}
    assert {row.state for row in result.rows} <= set(STATES)
    for top in import_nginx.Reader(files).read():
        lost = [f"{node.file}:{node.line} {node.shown()}" for node in top.walk() if (node.file, node.line) not in told]
        assert [one for one in lost if not one.endswith(("http {…}", "events {…}"))] == []
    for source in import_uwsgi.applications(files)[0]:
        assert [option for option in source.options if (option.file, option.line) not in told] == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=a.test"]
    files = ["-keyout", str(folder / "k.pem"), "-out", str(folder / "c.pem")]
    subprocess.run(["openssl", "req", "-x509", *kind, *files], check=True, capture_output=True)
    return folder


def here(text, folder, certificate):
    """A configuration as this machine can test it: without accounts, in other folders, at other ports."""
    text = re.sub(r"^ *(user|gzip_static|ssl_dhparam|use|listen \[) .*$|^ *listen \[.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"ssl_certificate \S+;", f"ssl_certificate {certificate}/c.pem;", text)
    text = re.sub(r"ssl_certificate_key \S+;", f"ssl_certificate_key {certificate}/k.pem;", text)
    text = re.sub(r"(access_log|error_log) /[^ ;]+", rf"\1 {folder}/log", text)
    text = re.sub(r"(proxy_cache_path|proxy_temp_path) \S+", rf"\1 {folder}/\1", text)
    return re.sub(r"(listen (?:\S+:)?)(\d+)\b", lambda found: f"{found[1]}{20000 + int(found[2]) % 20000}", text)


@pytest.mark.parametrize("name", golden_import.NAMES)
def test_nginx_itself_takes_what_is_generated(name, tmp_path, certificate):
    plans, _problems = importing.planner(golden_import.imported(name).variables)
    for folder in ("conf.d", "default.d"):
        (tmp_path / folder).mkdir()
    for file in ("mime.types", "uwsgi_params"):
        (tmp_path / file).write_text((contract.ROOT / "roles/nginx/templates" / file).read_text())
    trees = {"nginx.conf": plans["nginx"].conf}
    for file in plans["publish"].site_bundle.files:
        if file.dest.startswith("/etc/nginx/"):
            site = (file.vars or {}).get("site")
            trees[file.dest.removeprefix("/etc/nginx/")] = [*site.http, site.server] if site else file.vars["http"]
    for path, tree in trees.items():
        (tmp_path / path).write_text(here(import_inventory.emitted(tree), tmp_path, certificate))
    words = ["-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-g", f"pid {tmp_path}/pid;"]
    tested = subprocess.run([second_nginx.binary(), *words], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stderr


def test_nineteen_of_twenty_directives_are_carried_or_kept():
    count = collections.Counter(row.state for name in golden_import.NAMES for row in golden_import.imported(name).rows)
    assert sum(count.values()) > 700
    assert (count[CARRIED] + count[KEPT]) / sum(count.values()) >= 0.95


@pytest.mark.parametrize("name", [name for name in golden_import.NAMES if name.startswith("article-")])
def test_the_article_leaves_nothing_to_be_asked(name):
    assert [row.plain() for row in golden_import.imported(name).rows if row.state == DECIDE] == []


def test_comments_of_the_original_stay():
    text = (golden_import.FOLDER / "article-websocket.yml").read_text()
    assert "# threads = 2" in text and "# charset koi8-r;" in text
    assert "# the default is too short for big components" in (golden_import.FOLDER / "weblate.yml").read_text()


ADDED = ("X-Content-Type-Options", "Strict-Transport-Security", "gzip on", "client_max_body_size 16m")


def test_what_we_would_add_unasked_is_off():
    text = "server { listen 80; listen 443 ssl; server_name a.test; ssl_certificate /c.pem;"
    text += " ssl_certificate_key /k.pem; location / { return 204; } }"
    result = import_inventory.run({"/etc/nginx/conf.d/a.conf": text}, importing.planner)
    plans, problems = importing.planner(result.variables)
    assert not problems
    generated = "".join(
        import_inventory.emitted([*file.vars["site"].http, file.vars["site"].server])
        for file in plans["publish"].site_bundle.files
        if "site" in (file.vars or {})
    )
    assert [text for text in ADDED if text in generated] == []
