"""A report that is clicked through in a real browser, from disk."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from helpers.browser import NEEDS_BROWSER
from helpers.live_browser import Tab, running_browser
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.report.page import render_page, table
from torchstone_runtime.report.sections import decision_sections

pytestmark = NEEDS_BROWSER
NAMES = ("<script>document.title='owned'</script>", "b\"'", "x" * 10_000, "\u05e9\u05dc\u05d5\u05dd", *"efghij")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A report of ten classes with hostile names, open in a browser."""
    folder = tmp_path_factory.mktemp("clicked")
    labels = np.arange(200, dtype=np.int64) % 10
    predicted = np.where(np.arange(200) < 50, (labels + 1 + np.arange(200) // 10) % 10, labels)
    pixels = np.random.default_rng(0).integers(0, 256, (200, 1, 8, 8), dtype=np.uint8)
    split = Split("test", ArrayStore(pixels), labels, NAMES, [f"photos/{i}.png" for i in range(200)])
    sure = np.linspace(0.5, 0.99, 200, dtype=np.float32)
    page = folder / "report.html"
    page.write_text(render_page("clicked", decision_sections(LabelledPredictions.of(split, predicted, sure))))
    with running_browser(folder) as browser:
        tab = browser.new_tab()
        tab.show_as(width=1200)
        tab.open(page.as_uri())
        tab.wait_for("document.querySelector('.filter') && true")
        yield tab


def test_a_cell_of_the_matrix_leads_to_its_pictures(tab: Tab) -> None:
    """Those beyond the first pairs are folded up; the click unfolds them."""
    last = (
        "[...document.querySelectorAll('.matrix a')].filter(a => document.querySelector(a.hash).closest('details'))[0]"
    )
    tab.run(f"{last}.id = 'folded'")
    tab.click("#folded")
    box = "document.querySelector(document.querySelector('#folded').hash)"
    tab.wait_for(f"{box}.matches(':target') && {box}.closest('details').open")
    assert tab.run(f"{box}.querySelectorAll('img').length") >= 1
    assert tab.run("[...document.querySelectorAll('.matrix a')].every(a => document.querySelector(a.hash))")


def test_a_table_is_sorted_by_a_click_and_by_the_keyboard(tab: Tab) -> None:
    """The worst class comes first, and last after a click, as numbers; the averages stay below."""
    table = "[...document.querySelectorAll('table:not(.matrix)')][0]"
    tab.run(f"{table}.tHead.rows[0].cells[3].querySelector('button').id = 'f1'")
    values = f"[...{table}.tBodies[0].rows].map(row => parseFloat(row.cells[3].textContent))"
    direction = f"{table}.tHead.rows[0].cells[3].ariaSort"
    assert (tab.run(values), tab.run(direction)) == (sorted(tab.run(values)), "ascending")
    tab.click("#f1")
    assert (tab.run(values), tab.run(direction)) == (sorted(tab.run(values), reverse=True), "descending")
    tab.run("document.querySelector('#f1').focus()")
    tab.press("Enter", 13, "\r")
    assert (tab.run(values), tab.run(direction)) == (sorted(tab.run(values)), "ascending")


def test_mistakes_are_picked_by_class_and_confidence(tab: Tab) -> None:
    """What is hidden is said, and names with markup stay text."""
    tab.run(
        "(() => { const s = document.querySelector('.filter select'); s.selectedIndex = 1;"
        "s.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    shown = "[...document.querySelectorAll('.mistakes figure')].filter(f => !f.hidden)"
    assert 0 < tab.run(f"{shown}.length") < 50
    assert tab.run(f"new Set({shown}.map(f => f.dataset.true)).size") == 1
    tab.run(
        "(() => { const s = document.querySelector('.filter input'); s.value = 99;"
        "s.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    assert tab.run(f"{shown}.length") == 0
    assert tab.text(".filter output") == "99%: 0 of 50 shown"


def test_hostile_names_run_nothing_and_widen_nothing(tab: Tab) -> None:
    """The policy is not breached, the title is the page's, and no page is wider than a phone."""
    tab.show_as(width=390)
    assert tab.run("document.title") == "clicked"
    assert tab.run("document.documentElement.scrollWidth") <= 390
    assert (tab.console, [address for address in tab.requested if not address.startswith("file:")]) == ([], [])


def test_numbers_with_exponents_are_sorted_as_numbers(tab: Tab, tmp_path: Path) -> None:
    """As p values are, the least of which is given as a bound."""
    values = ["0.5", "below 1e-9", "3.4e-06", "1"]
    page = tmp_path / "sorted.html"
    page.write_text(render_page("sorted", table(("class", "p"), [("a", value) for value in values])))
    tab.open(page.as_uri())
    tab.wait_for("document.querySelectorAll('button.sort').length === 2")
    tab.run("document.querySelectorAll('button.sort')[1].id = 'p'")
    tab.click("#p")
    shown = tab.run("[...document.querySelector('tbody').rows].map(row => row.cells[1].textContent)")
    assert shown == ["below 1e-9", "3.4e-06", "0.5", "1"]
