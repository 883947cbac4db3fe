"""Every report, of few and of many classes, as all its readers meet it: in a real browser."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from helpers.browser import NEEDS_BROWSER
from helpers.live_browser import Browser, running_browser
from helpers.page_checks import Faults, faults_of
from helpers.report_pages import CLASSES, FEW_AND_MANY, PAGES

pytestmark = NEEDS_BROWSER
ALL = [(kind, classes) for kind in PAGES for classes in CLASSES.get(kind, FEW_AND_MANY)]
EACH = pytest.mark.parametrize(("kind", "classes"), ALL)
Look = Callable[[str, int], Faults]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pages are."""
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def browser(folder: Path) -> Iterator[Browser]:
    """One for all pages."""
    with running_browser(folder / "browser") as browser:
        yield browser


@pytest.fixture(scope="module")
def page(folder: Path) -> Callable[[str, int], Path]:
    """Makes a page, once."""

    @cache
    def make(kind: str, classes: int) -> Path:
        file = folder / f"{kind}-{classes}.html"
        file.write_text(PAGES[kind](classes))
        return file

    return make


@pytest.fixture(scope="module")
def look(browser: Browser, page: Callable[[str, int], Path]) -> Look:
    """Looks at a page, once."""

    @cache
    def once(kind: str, classes: int) -> Faults:
        tab = browser.new_tab()
        found = faults_of(tab, page(kind, classes))
        browser.close(tab)
        return found

    return once


@EACH
def test_a_page_is_below_two_megabytes(kind: str, classes: int, page: Callable[[str, int], Path]) -> None:
    """Of any number of classes: it can be sent by mail."""
    assert page(kind, classes).stat().st_size < 2_000_000


@EACH
def test_a_page_fits_a_phone(kind: str, classes: int, look: Look) -> None:
    """Nothing but a table that scrolls by itself is wider, no name is cut, and a finger hits every control."""
    found = look(kind, classes)
    assert (found.wide, found.clipped, found.small, found.console) == ([], [], [], [])


@EACH
def test_text_can_be_told_from_its_paper(kind: str, classes: int, look: Look) -> None:
    """In light and in dark, the cells of the matrix among it."""
    assert look(kind, classes).faint == []


@EACH
def test_a_page_on_paper_is_whole_and_has_no_controls(kind: str, classes: int, look: Look) -> None:
    """No column is cut, and no button's box keeps a table's head from every sheet."""
    found = look(kind, classes)
    assert (found.cut, found.printed) == ([], 0)


@EACH
def test_a_screen_reader_has_a_name_for_everything(kind: str, classes: int, look: Look) -> None:
    """For controls, pictures, tables and their heads; tables can be told apart by theirs."""
    found = look(kind, classes)
    assert (found.nameless, found.alike, found.outline) == ([], [], [])


def test_who_reads_in_the_dark_prints_on_white_paper(browser: Browser, page: Callable[[str, int], Path]) -> None:
    """Ink is dear."""
    tab = browser.new_tab()
    tab.open(page("evaluate", 10).as_uri())
    tab.wait_for("document.querySelector('.filter') && true")
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    for media, paper in (("screen", "rgb(20, 24, 30)"), ("print", "rgb(255, 255, 255)")):
        tab.send("Emulation.setEmulatedMedia", media=media, features=dark)
        assert tab.run("getComputedStyle(document.body).backgroundColor") == paper


def test_a_page_without_script_lacks_nothing_but_the_controls(
    browser: Browser, page: Callable[[str, int], Path]
) -> None:
    """All text, tables and pictures are in the file: the script only adds buttons and filters."""
    found = []
    for off in (True, False):
        tab = browser.new_tab()
        tab.send("Emulation.setScriptExecutionDisabled", value=off)
        tab.open(page("evaluate", 10).as_uri())
        tab.wait_for("document.readyState === 'complete' && document.querySelector('table') && true")
        tab.run("document.querySelectorAll('.filter').forEach(bar => bar.remove())")
        shown = (
            "[...document.querySelectorAll('main *')].filter(e => e.getClientRects().length && !e.closest('button'))"
        )
        found.append(tab.run(f"[document.querySelector('main').textContent, {shown}.length]"))
        assert tab.run("document.querySelectorAll('button').length > 0") is not off
    assert found[0] == found[1]


def test_everything_is_reached_by_the_keyboard_and_seen_to_be(
    browser: Browser, page: Callable[[str, int], Path]
) -> None:
    """Tab goes through the page in its order, with an outline around each link, button, list, slider and fold."""
    tab = browser.new_tab()
    tab.show_as(width=1200)
    tab.open(page("evaluate", 2).as_uri())
    tab.wait_for("document.querySelector('.filter') && true")
    controls = "[...document.querySelectorAll('a[href], button, select, input, summary')]"
    stops = []
    for _ in range(tab.run(f"{controls}.length")):
        tab.press("Tab", 9)
        stops.append(
            tab.run(
                f"[{controls}.indexOf(document.activeElement), getComputedStyle(document.activeElement).outlineStyle]"
            )
        )
    assert [place for place, _ in stops] == list(range(len(stops)))
    assert "none" not in {outline for _, outline in stops}


def test_a_cell_and_a_head_obey_enter_and_space(browser: Browser, page: Callable[[str, int], Path]) -> None:
    """Enter on a cell of the matrix leads to its pictures; Space on a column's head sorts."""
    tab = browser.new_tab()
    tab.open(page("evaluate", 10).as_uri())
    tab.wait_for("document.querySelector('.filter') && true")
    tab.run("document.querySelector('.matrix a').focus()")
    tab.press("Enter", 13, "\r")
    tab.wait_for("document.querySelector(document.querySelector('.matrix a').hash).matches(':target')")
    tab.run("document.querySelector('table:not(.matrix, .whole) button').focus()")
    tab.press(" ", 32, " ")
    tab.wait_for("document.activeElement.closest('th').ariaSort === 'ascending'")
