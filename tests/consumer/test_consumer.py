"""The collection as another infra repo gets it: built, installed from its tarball, used from there."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import documents
import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
INFRA = Path(__file__).parent / "infra"
SHIPPED = {
    "bindep.txt",
    "CHANGELOG.md",
    "FILES.json",
    "LICENSE",
    "MANIFEST.json",
    "README.md",
    "SECURITY.md",
    "changelogs",
    "docs",
    "meta",
    "playbooks",
    "plugins",
    "roles",
    "tests",
}
APPS = [{"name": "shop", "path": "/srv/shop", "module": "manage", "callable": "app"}]
# The controller is asked for no other account of its own.
BARE = "ansible_become=false"


def run(command, cwd, expect=0):
    env = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "MOLECULE_"))}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    env["ANSIBLE_NOCOLOR"] = "1"
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == expect, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def tarball(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    run(["ansible-galaxy", "collection", "build", "--output-path", str(folder)], CHECKOUT)
    (built,) = folder.glob("*.tar.gz")
    return built


@pytest.fixture(scope="module")
def infra(tarball, tmp_path_factory):
    """A copy of the infra repo, with the collection installed as its requirements.yml says."""
    repo = tmp_path_factory.mktemp("repo") / "infra"
    shutil.copytree(INFRA, repo)
    shutil.copy(tarball, repo / "graceful-wsgi.tar.gz")
    run(["ansible-galaxy", "collection", "install", "--offline", "-r", "requirements.yml", "-p", "collections"], repo)
    return repo


@pytest.fixture(scope="module")
def names(tarball):
    with tarfile.open(tarball) as archive:
        return sorted(archive.getnames())


def test_the_tarball_is_the_version_that_galaxy_yml_says(tarball):
    galaxy = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())
    assert tarball.name == f"graceful-wsgi-{galaxy['version']}.tar.gz"


def test_the_tarball_holds_nothing_but_the_product(names):
    assert {name.split("/")[0] for name in names} <= SHIPPED
    debris = {"__pycache__", "fragments", "demo", "demo.yml", "development", "role_readmes.py"}
    assert [name for name in names if name.endswith(".pyc") or debris & set(name.split("/"))] == []


def test_of_docs_and_tests_it_holds_what_users_and_galaxy_read(names):
    files = [name for name in names if name.startswith(("docs/", "tests/")) and "." in name.rpartition("/")[2]]
    allowed = r"docs/[\w-]+\.(md|svg|png)|docs/guide/[\w/-]+\.(md|svg|png)|tests/sanity/ignore-2\.\d+\.txt"
    assert [name for name in files if not re.fullmatch(allowed, name)] == []
    assert any(name.startswith("tests/sanity/ignore-") for name in files)
    assert {"bindep.txt", "meta/execution-environment.yml", "meta/ee-requirements.txt"} <= set(names)


def test_an_execution_environment_is_told_of_files_that_are_there(tarball):
    with tarfile.open(tarball) as archive:
        told = yaml.safe_load(archive.extractfile("meta/execution-environment.yml"))["dependencies"]
        python, system = (archive.extractfile(told[kind]).read().decode() for kind in ("python", "system"))
    lines = [line for line in python.splitlines() if not line.startswith("#")]
    # The release that messages name, or a newer one of it.
    pinned = re.search(r"^ngxparse==(.*)$", (CHECKOUT / "requirements.txt").read_text(), re.M)[1]
    assert lines == [f"ngxparse>={pinned}"]
    for line in system.splitlines():
        assert re.fullmatch(r"#.*|[a-z0-9-]+( \[[a-z: ]+\])?", line), line


def test_the_tarball_holds_all_of_the_product(names):
    tracked = run(["git", "ls-files", "meta", "plugins", "roles", "playbooks"], CHECKOUT).splitlines()
    wanted = [name for name in tracked if not name.startswith("playbooks/demo")]
    assert wanted
    assert [name for name in wanted if name not in names] == []


def test_a_page_of_the_tarball_leads_to_what_is_in_it(infra):
    installed = (infra / "collections/ansible_collections/graceful/wsgi").resolve()
    pages = [page for page in sorted(installed.rglob("*.md")) if page.name != "CHANGELOG.md"]
    # Those begin with the repository: README.md is shown alone.
    links = [(page, link) for page in pages for link in documents.links(page.read_text()) if "://" not in link]
    dead = [
        f"{page.relative_to(installed)}: {link}"
        for page, link in links
        if link[0] != "#" and not (page.parent / link.partition("#")[0]).exists()
    ]
    assert dead == [] and len(links) > 50


@pytest.mark.parametrize("playbook", ["roles.yml", "include.yml", "site.yml"])
def test_a_playbook_of_the_infra_repo_resolves(infra, playbook):
    run(["ansible-playbook", "--syntax-check", playbook], infra)


def test_the_installed_roles_are_the_ones_found(infra):
    found = json.loads(run(["ansible-doc", "-t", "role", "-l", "--json", "graceful.wsgi"], infra))
    assert set(found) >= {"graceful.wsgi.nginx", "graceful.wsgi.uwsgi", "graceful.wsgi.publish"}
    where = run(["ansible-galaxy", "collection", "list", "graceful.wsgi"], infra)
    assert str(infra / "collections") in where


def test_an_included_role_refuses_bad_input_from_the_installed_collection(infra):
    said = run(["ansible-playbook", "--check", "include.yml"], infra, expect=2)
    assert "publish_sites[0].locations[0].app" in said
    assert "shpo" in said
    assert "nothing on the host was changed" in said


def test_groups_of_the_inventory_add_up(infra):
    command = ["ansible-playbook", "-i", "groups/inventory.yml", "planned.yml"]
    assert "published: blog, shop" in run(command, infra)
    text = '[{"name": "shop", "path": "/srv/other"}]'
    said = run([*command, "-e", json.dumps({"publish_apps_blogs": text})], infra, expect=2)
    assert "publish_apps_shops.shop.name: 'shop' is the name of publish_apps_blogs[0] too; rename one of them" in said


# -- what a team's repository does with it --------------------------------------------------------------------------


def test_the_tag_of_a_part_runs_it_with_facts_and_plan_and_no_other(infra):
    broken = json.dumps({"publish_sites": [{"server_name": ["a.test"], "locations": [{"path": "/", "app": "shpo"}]}]})
    said = run(["ansible-playbook", "--check", "--tags=publish", "-e", broken, "-e", BARE, "site.yml"], infra, expect=2)
    assert "Gather facts" in said and "publish_sites[0].locations[0].app" in said
    assert "graceful.wsgi.nginx :" not in said and "graceful.wsgi.uwsgi :" not in said


def test_a_limited_run_plans_its_hosts_and_asks_nothing_of_the_others(infra):
    command = ["ansible-playbook", "-i", "limited/inventory.yml", "planned.yml"]
    said = run([*command, "--limit=web2"], infra)
    assert "published: blog" in said and "web1" not in said
    # Its variables are wrong.
    assert "publish_apps[0].nmae" in run(command, infra, expect=2)


def test_a_vaulted_secret_is_planned_and_shown_to_nobody(infra):
    (infra / "password").write_text("open sesame\n")
    vault = ["--vault-password-file=password"]
    apps = [{"name": "shop", "path": "/srv/shop", "module": "manage", "env": {"TOKEN": "{{ vault_token }}"}}]
    for name, variables in (("vault", {"vault_token": "canary-5d0"}), ("apps", {"publish_apps": apps})):
        (infra / f"{name}.yml").write_text(json.dumps(variables))
    run(["ansible-vault", "encrypt", *vault, "vault.yml"], infra)
    assert "canary" not in (infra / "vault.yml").read_text()
    command = ["ansible-playbook", "-vvv", "-e", "@vault.yml", "-e", "@apps.yml", "planned.yml"]
    said = run([*command, *vault], infra)
    assert "published: shop" in said and "canary-5d0" not in said
    # A play that cannot read it has done nothing.
    assert "published" not in run(command, infra, expect=1)


@pytest.mark.parametrize("keep, prune", [(3, True), ("3", "true"), ("3", "yes")])
def test_text_as_awx_hands_it_over_is_what_it_says(infra, keep, prune):
    given = {"publish_keep_releases": keep, "publish_prune": prune, "publish_apps": APPS}
    assert "keeps 3, prunes True" in run(["ansible-playbook", "-e", json.dumps(given), "settings.yml"], infra)
    # The list as text, too.
    given["publish_apps"] = json.dumps(APPS)
    assert "keeps 3, prunes True" in run(["ansible-playbook", "-e", json.dumps(given), "settings.yml"], infra)


def test_text_that_is_no_number_is_refused_by_the_name_of_its_variable(infra):
    said = run(["ansible-playbook", "-e", "publish_keep_releases=many", "settings.yml"], infra, expect=2)
    assert "publish_keep_releases" in said and "nothing on the host was changed" in said


def test_an_entry_point_of_a_role_is_included_by_its_name(infra):
    said = run(["ansible-playbook", "-e", BARE, "reload.yml"], infra, expect=2)
    assert "publish_reload: there is no application shpo" in said
    told = json.loads(run(["ansible-doc", "-t", "role", "-l", "--json", "graceful.wsgi"], infra))
    assert set(told["graceful.wsgi.publish"]["entry_points"]) >= {
        "variables",
        "reload",
        "maintenance",
        "history",
        "status",
    }
