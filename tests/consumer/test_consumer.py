"""The collection as another infra repo gets it: built, installed from its tarball, used from there."""

import json
import os
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
}


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
