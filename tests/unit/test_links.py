"""The links of all pages lead to files and headings that there are, and the index of the guide has every page."""

import subprocess

import documents
import pytest
from documents import GUIDE, REPOSITORY, ROOT

# What of docs/roles stands in a role's README is read there.
PAGES = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    if name != "CHANGELOG.md" and not name.startswith("docs/roles/") and (ROOT / name).exists()
)


def target(page, link):
    """(file, anchor) that a link leads to, None where it leaves the repository."""
    place, _hash, anchor = link.partition("#")
    for kind in ("blob", "raw", "tree"):
        if place.startswith(own := f"{REPOSITORY}/{kind}/main/"):
            return ROOT / place.removeprefix(own), anchor
    if "://" in link or link.startswith("mailto:"):
        return None
    return (page.parent / place).resolve() if place else page, anchor


def wrong(page, text):
    """What is wrong with the links of a page."""
    for link in documents.links(text):
        found = target(page, link)
        if found is None:
            continue
        file, anchor = found
        own = file == page
        if not own and not (file.is_relative_to(ROOT) and file.exists()):
            yield f"{link}: no such file"
        elif anchor and anchor not in documents.anchors(text if own else file.read_text()):
            yield f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_to_a_file_and_a_heading_that_there_are(page):
    assert list(wrong(page, page.read_text())) == []


@pytest.mark.parametrize(
    "text, found",
    [
        ("[a](LICENSE) [b](#here)\n\n## Here\n", []),
        ("[a](LICENCE)", ["LICENCE: no such file"]),
        ("[a](../../../../../etc/hostname)", ["../../../../../etc/hostname: no such file"]),
        ("[a](README.md#nowhere)", ["README.md#nowhere: no such heading"]),
        (f"[a]({REPOSITORY}/blob/main/docs/nowhere.md)", [f"{REPOSITORY}/blob/main/docs/nowhere.md: no such file"]),
        ('<img src="docs/nowhere.png">', ["docs/nowhere.png: no such file"]),
        ("## A `b` c\n[a](#a-b-c)", []),
        ("## A\n## A\n[a](#a-1)", []),
        ("`[a](nowhere)`\n```yaml\n[b](nowhere)\n```\n", []),
        ("[a](https://example.com/nowhere)", []),
    ],
)
def test_what_is_wrong_is_found(text, found):
    assert list(wrong(ROOT / "A.md", text)) == found


def test_the_readme_is_short_and_its_links_work_where_it_is_shown_alone():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 120
    found = documents.links(text)
    assert len(found) > 10 and [link for link in found if not link.startswith((REPOSITORY, "#"))] == []


@pytest.mark.parametrize("page", sorted(GUIDE.glob("*.md")), ids=lambda page: page.name)
def test_a_page_of_the_guide_begins_with_its_title(page):
    assert page.read_text().startswith("# ")


def test_the_index_has_every_page_of_the_guide_once():
    rows = [line for line in (GUIDE / "README.md").read_text().splitlines() if line.startswith("| [")]
    told = [documents.links(line)[0] for line in rows]
    assert sorted(link for link in told if "/" not in link) == sorted(
        page.name for page in GUIDE.glob("*.md") if page.name != "README.md"
    )
    pages = {page.name for page in (ROOT / "docs").glob("*.md")}
    named = {target(GUIDE / "README.md", link)[0].name for link in documents.links((GUIDE / "README.md").read_text())}
    assert pages - named == set()
