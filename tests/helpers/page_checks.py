"""What is wrong with a page for its readers: on a phone, in the dark, on paper, by keyboard, for a screen reader."""

import json
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from helpers.live_browser import Tab

NARROW: Final = 360
SHEET: Final = 718
"""Pixels of CSS between the margins of A4 paper; `SHEET_TURNED` where it lies on its side."""
SHEET_TURNED: Final = 1046
_LEAST_CONTRAST: Final = 4.5
"""Of text, WCAG 2.2, 1.4.3."""
_LEAST_TARGET: Final = 20
_NAMED: Final = frozenset(
    {"button", "link", "combobox", "slider", "image", "table", "columnheader", "rowheader", "DisclosureTriangle"}
)
_WIDE: Final = """(limit => [...document.querySelectorAll("body *")].filter(e => !e.closest("svg, details:not([open])")
  && e.getClientRects().length && (!e.closest(".scroll") || matchMedia("print").matches)
  && e.getBoundingClientRect().right > (e.closest(".matrices[style]") ? Math.max(limit, TURNED) : limit) + 1)
  .map(e => `${e.tagName} ${e.textContent.slice(0, 40)}`).slice(0, 3))"""
_FAINT: Final = """(() => {
const parts = color => { const m = color.match(/[\\d.]+/g).map(Number); return m.length > 3 ? m : [...m, 1]; };
const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
const light = color => { const [r, g, b] = color.map(v => v / 255).map(v => v <= .04045 ? v / 12.92
  : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
const up = e => e ? [e, ...up(e.parentElement)] : [];
const paper = e => up(e).map(n => parts(getComputedStyle(n).backgroundColor)).reverse()
  .reduce((under, top) => over(top, under), [255, 255, 255, 1]);
const found = {}, seen = new Set(), walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const text = walk.currentNode.textContent.trim(), e = walk.currentNode.parentElement;
  if (!text || e.closest("script, style, title, details:not([open]), [hidden]")) continue;
  const kind = up(e).map(n => `${n.tagName}.${n.className}`).join(" ") + (e.closest("td")?.getAttribute("style") ?? "");
  if (seen.has(kind)) continue;
  seen.add(kind);
  const style = getComputedStyle(e), under = paper(e), ink = parts(e.closest("svg") ? style.fill : style.color);
  const opacity = up(e).reduce((share, n) => share * getComputedStyle(n).opacity, 1);
  const both = [over([...ink.slice(0, 3), ink[3] * opacity], under), under].map(light);
  const contrast = (Math.max(...both) + .05) / (Math.min(...both) + .05);
  if (contrast < LEAST) found[`${e.tagName}.${e.className}`] = `${contrast.toFixed(2)}: ${text.slice(0, 30)}`;
}
return found; })()"""
_CLIPPED: Final = """[...document.querySelectorAll("th, td, th > span, td > span")]
  .filter(e => e.getClientRects().length && getComputedStyle(e).overflow === "hidden" && e.textContent
  && (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1)).map(e => e.textContent).slice(0, 3)"""
_SMALL: Final = """[...document.querySelectorAll("button, a, select, input, summary, img")]
  .filter(e => e.getClientRects().length && e.getBoundingClientRect().height < (e.tagName === "IMG" ? 48 : LEAST))
  .map(e => e.outerHTML.slice(0, 80)).slice(0, 3)"""
_OUTLINE: Final = """({lang: document.documentElement.lang, mains: document.querySelectorAll("main").length,
  levels: [...document.querySelectorAll("h1, h2, h3, h4")].map(h => +h.tagName[1]),
  twice: [...document.querySelectorAll("[id]")].map(e => e.id).filter((id, i, all) => all.indexOf(id) !== i)})"""
_BOXES: Final = """[...document.querySelectorAll("button, .filter")].filter(e => e.getClientRects().length).length"""


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with a page; all of it is empty for a good one.

    Attributes:
        wide: elements that reach beyond a phone's window, where they don't scroll.
        clipped: names in tables of which a phone shows only the beginning.
        faint: text of too little contrast, in light and in dark.
        small: controls that are too low to be hit, and pictures that show nothing.
        cut: elements that reach beyond the sheet on paper.
        printed: number of controls that are printed.
        nameless: roles of what a screen reader can't name.
        alike: names that several tables have.
        outline: what is wrong with language, landmark, headings and ids.
        console: what the browser logged.
    """

    wide: list[str] = field(default_factory=list)
    clipped: list[str] = field(default_factory=list)
    faint: list[str] = field(default_factory=list)
    small: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    printed: int = 0
    nameless: list[str] = field(default_factory=list)
    alike: list[str] = field(default_factory=list)
    outline: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)


def faults_of(tab: Tab, page: Path) -> Faults:
    """Open a page from disk and look at it in every way."""
    tab.show_as(width=NARROW)
    tab.open(page.as_uri())
    tab.wait_for(f"location.href === {json.dumps(page.as_uri())} && document.readyState === 'complete'")
    wide, small = tab.run(_wide(NARROW)), tab.run(_SMALL.replace("LEAST", str(_LEAST_TARGET)))
    clipped, faint = tab.run(_CLIPPED), _faint(tab)
    tab.show_as(width=1200, dark=True)
    faint += _faint(tab)
    nodes = [node for node in tab.send("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
    outline = _outline_faults(tab.run(_OUTLINE))
    tab.show_as(width=SHEET)
    tab.send("Emulation.setEmulatedMedia", media="print")
    cut, printed = tab.run(_wide(SHEET)), tab.run(_BOXES)
    tab.send("Emulation.setEmulatedMedia", media="")
    return Faults(wide, clipped, faint, small, cut, printed, _nameless(nodes), _alike(nodes), outline, tab.console)


def _wide(limit: int) -> str:
    return f"{_WIDE.replace('TURNED', str(SHEET_TURNED if limit == SHEET else 0))}({limit})"


def _faint(tab: Tab) -> list[str]:
    found: dict[str, str] = tab.run(_FAINT.replace("LEAST", str(_LEAST_CONTRAST)))
    return [f"{what}: {contrast}" for what, contrast in found.items()]


def _role(node: dict[str, Any]) -> str:
    return str(node["role"]["value"])


def _name(node: dict[str, Any]) -> str:
    return str(node.get("name", {}).get("value", "")).strip()


def _nameless(nodes: list[dict[str, Any]]) -> list[str]:
    return [_role(node) for node in nodes if _role(node) in _NAMED and not _name(node)]


def _alike(nodes: list[dict[str, Any]]) -> list[str]:
    names = Counter(_name(node) for node in nodes if _role(node) == "table")
    return [name for name, count in names.items() if count > 1]


def _outline_faults(found: dict[str, Any]) -> list[str]:
    levels = found["levels"]
    faults = {
        "no language": found["lang"] != "en",
        "not one main landmark": found["mains"] != 1,
        "not one title": levels.count(1) != 1 or levels[0] != 1,
        "a level of headings is left out": any(after > before + 1 for before, after in pairwise(levels)),
        f"ids twice: {found['twice']}": bool(found["twice"]),
    }
    return [fault for fault, there in faults.items() if there]
