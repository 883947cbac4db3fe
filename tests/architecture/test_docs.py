"""The documentation hangs together: links and anchors lead somewhere, the site has every page and builds strictly."""

import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted({*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")})
SITE = tomllib.loads((DOCS / "tools" / "zensical.toml").read_text(encoding="utf-8"))["project"]


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as forges make them: lower case, hyphens, other signs left out."""
    found = list[str]()
    for title in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        plain = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", title)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")
        found.append(slug if slug not in found else f"{slug}-{sum(one.startswith(slug) for one in found)}")
    return set(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_anchors(page: Path) -> None:
    """All but those to other hosts."""
    dead = []
    for path, anchor in re.findall(r"\]\((?!https?:|mailto:)([^)\s#]*)#?([^)\s]*)\)", prose(page)):
        target = (page.parent / path).resolve() if path else page
        if not target.is_file() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            dead.append(f"{path}#{anchor}")
    assert dead == []


def named(part: object) -> set[str]:
    """Return the pages that a part of the navigation names."""
    if isinstance(part, str):
        return {part}
    return {page for item in (part.values() if isinstance(part, dict) else part) for page in named(item)}  # type: ignore[attr-defined]


def test_the_navigation_has_every_page() -> None:
    """Of docs/, and those of the project that it names; else docs/tools/zensical.toml lacks a line."""
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}

    made = {"tutorial/notebook.md", "reference/help.md", "project/CHANGELOG.md", "project/CONTRIBUTING.md"}
    assert named(SITE["nav"]) == pages | made


@pytest.mark.skipif(find_spec("zensical") is None, reason="zensical is not installed")
def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    """Strictly: a dead link or anchor ends the build; links to other hosts are links, and no scripts or styles."""
    command = [sys.executable, str(DOCS / "tools" / "site.py"), "--out", str(tmp_path / "site")]
    built = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert built.returncode == 0, built.stdout + built.stderr

    pages = [page.read_text(encoding="utf-8") for page in (tmp_path / "site").rglob("*.html")]
    assert len(pages) > len(list(DOCS.rglob("*.md")))
    loaded = [
        re.findall(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"?(?:https?:)?//[^>]*>", page) for page in pages
    ]
    assert [found for found in loaded if found] == []


def test_the_decisions_are_newest_first_and_each_in_the_index_once() -> None:
    """The table by folder above them."""
    page = (DOCS / "explanation" / "design.md").read_text(encoding="utf-8").partition("## Decisions")[2]
    numbers = [int(number) for number in re.findall(r"^### (\d+)\. ", page, re.MULTILINE)]
    indexed = [int(number) for number in re.findall(r"\[(\d+)\]\(#\1-", page.partition("\n### ")[0])]

    assert numbers == list(range(len(numbers), 0, -1))
    assert sorted(indexed) == sorted(numbers)
