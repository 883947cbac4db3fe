"""An audit of a dataset as one self-contained HTML page, with the pictures that something is wrong with."""

import base64
import math
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from torchstone_runtime.audit.conclusions import find_all
from torchstone_runtime.audit.data_audit import DataAudit
from torchstone_runtime.audit.duplicates import DuplicateGroup
from torchstone_runtime.audit.label_errors import LabelError
from torchstone_runtime.errors import ImageError
from torchstone_runtime.images.encode import encode_thumbnail
from torchstone_runtime.report.audit import audit_json, overview_lines
from torchstone_runtime.report.gallery import thumbnail
from torchstone_runtime.report.page import Markup, card, escape, facts, render_page, section, style_sheet, table, tag
from torchstone_runtime.text import counted
from torchstone_runtime.version import __version__

_GROUPS: Final = 24
_MEMBERS: Final = 6
_ERRORS: Final = 60
_UNREADABLE: Final = 200
_LARGE: Final = 1000
"""From here on a size is given in whole pixels."""
_CLASSES: Final = 100
_SIDE: Final = 144
_BAR_REM: Final = 16


def audit_page(audit: DataAudit) -> str:
    """Return the audit as an HTML document."""
    source = audit.source
    classes = counted(len(source.class_names), "class")
    body = [
        f"<header><h1>The data {escape(str(source.ref))}</h1>",
        f'<p class="soft">{counted(len(audit), "picture")} of {classes}</p></header>',
        _cards(audit),
        _findings(audit),
        *(section(title, content) for title, content in _sections(audit).items() if content),
        section("How this was found", facts(_how(audit))),
    ]
    return render_page(f"The data {source.ref}", "\n".join(body), style_sheet(__package__, "audit.css"))


def _sections(audit: DataAudit) -> dict[str, str]:
    return {
        "The same picture under two labels": _groups(audit, audit.label_conflicts),
        "The same picture in several parts": _groups(
            audit, [group for group in audit.leaks if group not in audit.label_conflicts]
        ),
        "Likely label errors": _label_errors(audit, audit.label_errors),
        "Files that can't be read": _unreadable(audit),
        "Equal pictures of a class": _groups(audit, [g for g in audit.harmless if g.exact]),
        "Nearly equal pictures of a class": _groups(audit, [g for g in audit.harmless if not g.exact]),
        "Pictures by class": _balance(audit),
        "Sizes and formats": _forms(audit),
    }


def _cards(audit: DataAudit) -> str:
    held_out = sum(1 for group in audit.leaks for i in group.members if audit.part_name(i) in ("test", "validation"))
    spare = sum(len(group.members) - 1 for group in audit.groups)
    cards = [
        card(f"{len(audit):,}", "Pictures", f"of {counted(len(audit.source.class_names), 'class')}"),
        card(f"{len(audit.unreadable):,}", "Unreadable"),
        card(f"{held_out:,}", "Leaked", "held out, yet in another part"),
        card(f"{len(audit.label_conflicts):,}", "Under two labels"),
        card(f"{spare:,}", "Duplicates", "exact, near or mirrored"),
    ]
    if audit.predicted:
        cards.append(card(f"{len(audit.label_errors):,}", "Likely label errors"))
    return f'<div class="cards">{"".join(cards)}</div>'


def _findings(audit: DataAudit) -> str:
    items = [
        tag("li", Markup(tag("b", found.severity) + escape(found.text)), class_=found.severity)
        for found in find_all(audit)
    ]
    if not items:
        return "<p>No problems found.</p>"
    return f'<ul class="findings">{"".join(items)}</ul>'


def _groups(audit: DataAudit, groups: Sequence[DuplicateGroup]) -> str:
    shown = [_group(audit, group) for group in groups[:_GROUPS]]
    return f'{_more(len(groups), _GROUPS, "groups")}<div class="groups">{"".join(shown)}</div>' if shown else ""


def _group(audit: DataAudit, group: DuplicateGroup) -> str:
    # Rounded down: only equal pixels are alike by 100%.
    kind = "equal pixels" if group.exact else f"{math.floor(min(group.alike) * 999.99) / 10:.1f}% alike"
    kind += ", mirrored" if any(group.mirrored) else ""
    left = len(group.members) - _MEMBERS
    more = f" (the first {_MEMBERS} of {len(group.members):,})" if left > 0 else ""
    tiles = [_figure(audit, index, _labelled(audit, index)) for index in group.members[:_MEMBERS]]
    return f'<div class="group"><p class="soft">{kind}{more}</p><div class="many">{"".join(tiles)}</div></div>'


def _label_errors(audit: DataAudit, errors: Sequence[LabelError]) -> str:
    if not errors:
        return ""
    tiles = []
    for error in errors[:_ERRORS]:
        caption = (
            f"labelled <b>{escape(audit.class_of(error.index))}</b> "
            f'<span class="soft">{error.probability:.1%}</span><br>'
            f"likely <b>{escape(audit.likely_names[error.index])}</b> "
            f'<span class="soft">{error.likely_probability:.1%}</span><br>'
        )
        tiles.append(f'<div class="suspect">{_figure(audit, error.index, caption)}</div>')
    note = '<p class="soft">Most confident first. A model says so; a person has to decide.</p>'
    return f'{note}{_more(len(errors), _ERRORS, "pictures")}<div class="suspects">{"".join(tiles)}</div>'


def _labelled(audit: DataAudit, index: int) -> str:
    part = audit.part_name(index)
    where = "" if part == "whole" else f' <span class="tag">{escape(part)}</span>'
    return f"<b>{escape(audit.class_of(index))}</b>{where}<br>"


def _figure(audit: DataAudit, index: int, caption: str) -> str:
    name = audit.names[index]
    return (
        f'<figure>{_picture(audit, index)}<figcaption>{caption}<span class="soft">{escape(name)}</span>'
        "</figcaption></figure>"
    )


def _picture(audit: DataAudit, index: int) -> str:
    part = audit.source.parts[audit.part_of[index]]
    place = index - sum(len(other) for other in audit.source.parts[: audit.part_of[index]])
    if part.store is not None:
        return thumbnail(part.store.read(np.array([place]))[0], audit.names[index])
    try:
        source = part.paths[place] if part.contents is None else part.contents.content(place)
        content = encode_thumbnail(source, _SIDE)
    except ImageError:  # gone since it was looked at
        return ""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    encoded = base64.b64encode(content).decode()
    return f'<img loading="lazy" src="data:image/{kind};base64,{encoded}" alt="{escape(audit.names[index])}">'


def _unreadable(audit: DataAudit) -> str:
    rows = [(audit.names[index], reason) for index, reason in list(audit.unreadable.items())[:_UNREADABLE]]
    if not rows:
        return ""
    items = "".join(tag("dt", name) + tag("dd", reason) for name, reason in rows)
    return f"{_more(len(audit.unreadable), _UNREADABLE, 'files')}<dl>{items}</dl>"


def _balance(audit: DataAudit) -> str:
    total, names = audit.counts.sum(axis=0), audit.source.class_names
    order = np.argsort(-total, kind="stable")
    shown = order if len(order) <= _CLASSES else np.concatenate([order[: _CLASSES // 2], order[-_CLASSES // 2 :]])
    parts = [part.name for part in audit.source.parts]
    rows = []
    for index in shown.tolist():
        width = f"width:{audit.counts[0, index] / max(1, audit.counts[0].max()) * 100:.1f}%"
        bar = tag("span", tag("span", class_="bar", style=width), class_="track")
        rows.append([tag("span", names[index], title=names[index]), *_numbers(audit.counts[:, index]), bar])
    head = ["class", *("pictures" if part == "whole" else part for part in parts), ""]
    note = (
        "" if len(order) <= _CLASSES else f'<p class="soft">The largest and the smallest of {len(order):,} classes.</p>'
    )
    foot = [["all", *_numbers(audit.counts.sum(axis=1)), ""]]
    return note + table(head, rows, foot=foot, text=[len(head) - 1], kind="balance")


def _numbers(counts: Iterable[int]) -> list[str]:
    return [f"{count:,}" for count in counts]


def _forms(audit: DataAudit) -> str:
    found = audit.forms.most_common()
    rows = [(kind, mode, "several" if several else "one", f"{count:,}") for (kind, mode, several), count in found]
    document = audit_json(audit)["sizes"]
    if not document:
        return ""
    sizes = [
        (name.replace("_", " "), *(_size(values[key]) for key in ("least", "median", "largest")))
        for name, values in document.items()
    ]
    return (
        table(("pixels", "least", "median", "largest"), sizes, name="Sizes")
        + "<br>"
        + table(("format", "mode", "frames", "pictures"), rows, text=(1, 2), kind="whole", name="Formats")
    )


def _size(value: float) -> str:
    return f"{value:.4g}" if value < _LARGE else f"{value:,.0f}"


def _how(audit: DataAudit) -> list[tuple[str, str]]:
    pairs = [
        ("Equal", "the same pixels, whatever the files are"),
        (
            "Nearly equal",
            "close perceptual hashes, and correlated once one is laid over the other; also mirrored"
            if len(audit.facts.gray)
            else "not looked for",
        ),
    ]
    pairs += [("Label errors", f"confident learning over {predicted.origin}") for predicted in audit.predicted]
    overview = [line.split(maxsplit=1) for line in overview_lines(audit)]
    return [*pairs, *((name.capitalize(), text) for name, text in overview), ("Torchstone", __version__)]


def _more(total: int, shown: int, what: str) -> str:
    return f'<p class="soft">The first {shown} of {total:,} {what}; --json has all.</p>' if total > shown else ""
