"""What a host gets of each documented recipe and of each example of the article, letter by letter.

After a change that is meant to change them `make golden` writes them anew, and the diff is what a reviewer reads.
"""

import re

import contract
import golden
import pytest
from golden import NAMES

ROOT = contract.ROOT
SITES = "docs/guide/sites.md"
MANY = "Many applications behind one server"
ARTICLE = "molecule/default/inventory/group_vars/all.yml"


@pytest.fixture(autouse=True, scope="module")
def templating():
    with contract.templating():
        yield


@pytest.mark.parametrize("name", NAMES)
def test_what_a_host_gets_is_what_is_kept(name):
    kept = {file: text for file, text in golden.there().items() if file.rpartition(".")[0] == name}
    assert golden.outputs(name) == kept, "run `make golden`, and look at the diff before you commit it"


def test_no_output_is_kept_without_an_input():
    assert {file.rpartition(".")[0] for file in golden.there()} == set(NAMES)


def documented():
    """(file, heading, what it says) of each recipe of applications or sites in the documentation."""
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        heading = ""
        for found in re.finditer(r"^#+ (.*)$|^( *)```yaml\n((?:.*\n)*?)\2```$", path.read_text(), re.MULTILINE):
            if found[1]:
                heading = found[1]
                continue
            text = re.sub(f"^{found[2]}", "", found[3], flags=re.MULTILINE)
            loaded = contract.LOADER.load(contract.trust_as_template(text))
            if isinstance(loaded, dict):
                stated = golden.variables_of(loaded)
                if {"publish_apps", "publish_sites"} & set(stated):
                    yield str(path.relative_to(ROOT)), heading, stated


with contract.templating():
    DOCUMENTED = list(documented())


def within(part, whole):
    """Whether all that a recipe says stands in an input, which may say more of the same."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and within(value, whole[key]) for key, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) <= len(whole) and all(map(within, part, whole))
    return part == whole


@pytest.mark.parametrize(
    "file, heading, stated", DOCUMENTED, ids=[f"{file}: {heading}" for file, heading, _stated in DOCUMENTED]
)
def test_a_documented_recipe_is_the_input_of_a_pair(file, heading, stated):
    named = [name for name in NAMES if golden.place(name) == (file, heading)]
    assert named, f"no input of tests/unit/golden begins with `# {file}: {heading}`"
    recipe = {key: golden.templated(value, stated) for key, value in stated.items()}
    assert [name for name in named if within(recipe, golden.variables(name))], f"none of {named} says what it says"


@pytest.mark.parametrize("name", NAMES)
def test_an_input_is_of_a_place_that_there_is(name):
    file, heading = golden.place(name)
    assert heading, f"{name}.yml does not begin with `# FILE: HEADING`"
    lines = (ROOT / file).read_text().splitlines()
    assert file == ARTICLE or heading in [line.lstrip("# ") for line in lines if line.startswith("#")]


@pytest.mark.parametrize("kind", ["publish_apps", "publish_sites"])
def test_every_example_of_the_article_is_in_an_input(kind, monkeypatch):
    for variable in ("MOLECULE_PROJECT_DIRECTORY", "MOLECULE_EPHEMERAL_DIRECTORY"):
        monkeypatch.setenv(variable, "")
    given = contract.LOADER.load_from_file(str(ROOT / ARTICLE), trusted_as_template=True)
    examples = golden.templated(given[kind], given)
    named = [name for name in NAMES if golden.place(name)[0] == ARTICLE]
    inputs = [item for name in named for item in golden.variables(name)[kind]]
    assert [item for item in examples if item not in inputs] == []
    assert [item for item in inputs if item not in examples] == []


def keys(value):
    if isinstance(value, dict):
        return {*value, *(key for item in value.values() for key in keys(item))}
    return {key for item in value for key in keys(item)} if isinstance(value, list) else set()


def test_every_row_of_the_table_of_sites_is_in_an_input():
    section = (ROOT / SITES).read_text()
    rows = re.findall(r"^\| (?!what you say|---)(.*?) \|", section, re.MULTILINE)
    words = {word for row in rows if not row.startswith("no ") for word in re.findall(r"`(\w+)", row)}
    stated = {key for name in NAMES if golden.place(name) == (SITES, MANY) for key in keys(golden.variables(name))}
    # Those are values of `slash`.
    assert words - stated == {"serve", "404"} and len(rows) > 15
