"""The pages that users read, and what they lead to."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs/guide"
FOLDERS = ("docs", "docs/guide", "docs/roles")
DOCUMENTS = [ROOT / "README.md", *(page for folder in FOLDERS for page in sorted((ROOT / folder).glob("*.md")))]
# Galaxy shows README.md alone, so its links name the repository that galaxy.yml does.
REPOSITORY = re.search(r"^repository: (.+)$", (ROOT / "galaxy.yml").read_text(), re.MULTILINE)[1]
FENCE = re.compile(r"^( *)(```+)[^\n]*\n.*?^\1\2 *$\n?", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?:<([^>]+)>|([^)\s]+))(?: \"[^\"]*\")?\)|\b(?:href|src(?:set)?)=\"([^\"]+)\"")


def prose(text):
    """A page without its blocks of code."""
    return FENCE.sub("", text)


def links(text):
    """Where the links and pictures of a page lead to."""
    return [next(filter(None, found.groups())) for found in LINK.finditer(re.sub(r"`[^`\n]*`", "``", prose(text)))]


def anchors(text):
    """The anchors of a page's headings, as GitHub makes them."""
    found = []
    for heading in re.findall(r"^#+ (.*?) *#*$", prose(text), re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        same = sum(one == slug or re.fullmatch(re.escape(slug) + r"-\d+", one) is not None for one in found)
        found.append(f"{slug}-{same}" if same else slug)
    return found
