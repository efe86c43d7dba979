"""The map of docs/development/README.md, by the imports of plugins/; and the files and names that its pages name."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
PAGE = ROOT / "docs/development/README.md"
PACKAGE = "ansible_collections.graceful.wsgi.plugins."
FOLDERS = {"controller": "plugin_utils", "host": "module_utils"}
FILES = sorted(str(path.relative_to(PLUGINS)) for path in PLUGINS.rglob("*.py") if path.parent.name != "doc_fragments")


@cache
def rows():
    """{row: files or patterns of files}, from the top of the drawing to its bottom."""
    found, folder, row = {}, "", ""
    for line in PAGE.read_text().splitlines():
        if half := re.match(r"[┌├]─ (\w+):", line):
            folder = FOLDERS[half[1]]
        elif inner := re.fullmatch(r"│ (\w*) +(.*?) *│", line):
            row = inner[1] or row
            files = [word if "/" in word else f"{folder}/{word}.py" for word in inner[2].split()]
            found.setdefault(row, []).extend(files)
    return found


def rows_of(file):
    return [row for row, files in rows().items() if any(Path(file).match(one) for one in files)]


def imports(file):
    """The files of plugins/ that a file imports."""
    package = list(Path(file).parent.parts)
    for node in ast.walk(ast.parse((PLUGINS / file).read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            words = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
        elif (node.module or "").startswith(PACKAGE):
            words = node.module.removeprefix(PACKAGE).split(".")
        else:
            continue
        base = "/".join(word for word in words if word)
        for name in node.names:
            yield next(one for one in (f"{base}/{name.name}.py", f"{base}.py") if one in FILES)


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_in_one_row_and_imports_what_is_in_it_or_below(file):
    order = list(rows())
    assert len(rows_of(file)) == 1, f"{file} belongs into one row of {PAGE.relative_to(ROOT)}"
    [row] = rows_of(file)
    above = [(one, rows_of(one)) for one in imports(file) if order.index(rows_of(one)[0]) < order.index(row)]
    assert not above, f"{file} ({row}) imports {above}, which the drawing has above it"
    assert row == "actions" or not [one for one in imports(file) if one.startswith(("action/", "modules/"))]


def test_the_map_has_no_file_that_is_not_there():
    told = [one for files in rows().values() for one in files]
    assert [one for one in told if not any(Path(file).match(one) for file in FILES)] == []
    assert len(told) == len(set(told)) and len(rows()) > 10


def test_each_row_is_explained():
    table = re.findall(r"^\| ([\w, ]+) \|", PAGE.read_text(), re.MULTILINE)
    told = [word for line in table if line != "row" for word in line.split(", ")]
    assert told == list(rows())


PAGES = sorted(PAGE.parent.glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_files_that_there_are(page):
    text = page.read_text()
    linked = [page.parent / link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text)]
    top = "|".join(sorted(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")))
    named = [ROOT / path for path in re.findall(rf"`((?:{top})/[\w./-]+)`", text)]
    assert [str(path) for path in [*linked, *named] if not path.exists()] == []


def test_a_list_of_files_names_what_there_is_in_them():
    """A name in backticks behind a file is one of that file, in the same item."""
    text, wrong = (PAGE.parent / "changes.md").read_text(), []
    for item in re.findall(r"^\d+\. ((?:.*\n)(?:   .*\n)*)", text, re.MULTILINE):
        source = "".join((ROOT / path).read_text() for path in re.findall(r"`([\w/]+\.py)`", item) if "/" in path)
        names = re.findall(r"`((?:Site\.)?_?[A-Za-z]\w+)`", item)
        wrong += [name for name in names if source and name.removeprefix("Site.") not in source]
    assert wrong == []
