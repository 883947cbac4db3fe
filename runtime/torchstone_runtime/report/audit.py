"""An audit of a dataset, as JSON and as plain text."""

from collections import Counter
from typing import Any, Final

import numpy as np

from torchstone_runtime.audit.conclusions import DataFinding, find_all
from torchstone_runtime.audit.data_audit import DataAudit
from torchstone_runtime.audit.duplicates import DuplicateGroup
from torchstone_runtime.text import counted, showable_lines
from torchstone_runtime.version import __version__

FORMAT: Final = "torchstone-data-audit"
FORMAT_VERSION: Final = 1
_EXAMPLES: Final = 3


def audit_json(audit: DataAudit) -> dict[str, Any]:
    """Return the document that `torchstone data --json` writes: every picture that something is wrong with."""
    source = audit.source
    parts = {
        part.name: {"pictures": len(part), "classes": dict(zip(source.class_names, counts.tolist(), strict=True))}
        for part, counts in zip(source.parts, audit.counts, strict=True)
    }
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "torchstone": __version__,
        "dataset": str(source.ref),
        "pictures": len(audit),
        "parts": parts,
        "sizes": size_figures(audit),
        "formats": dict(_counter(audit, 0)),
        "modes": dict(_counter(audit, 1)),
        "findings": [finding.to_json() for finding in find_all(audit)],
        "unreadable": [{"picture": audit.names[i], "problem": why} for i, why in audit.unreadable.items()],
        "duplicates": [_group_json(audit, group) for group in audit.groups],
        "label_errors": [
            {
                "picture": audit.names[error.index],
                "part": audit.part_name(error.index),
                "label": audit.class_of(error.index),
                "probability": error.probability,
                "likely": audit.likely_names[error.index],
                "likely_probability": error.likely_probability,
                "margin": error.margin,
            }
            for error in audit.label_errors
        ],
    }


def _group_json(audit: DataAudit, group: DuplicateGroup) -> dict[str, Any]:
    return {
        "exact": group.exact,
        "several_parts": len({audit.part_name(index) for index in group.members}) > 1,
        "several_labels": len({audit.class_of(index) for index in group.members}) > 1,
        "pictures": [
            {
                "picture": audit.names[index],
                "part": audit.part_name(index),
                "label": audit.class_of(index),
                "alike": alike,
                "mirrored": turned,
            }
            for index, alike, turned in zip(group.members, group.alike, group.mirrored, strict=True)
        ],
    }


def size_figures(audit: DataAudit) -> dict[str, Any] | None:
    """Return the least, the middle and the largest width, height, and aspect ratio; None where nothing is readable."""
    if not len(audit.sizes):
        return None
    height, width = audit.sizes.T
    figures = {"width": width, "height": height, "aspect_ratio": width / height}
    return {
        name: {"least": values.min().item(), "median": float(np.median(values)), "largest": values.max().item()}
        for name, values in figures.items()
    }


def audit_text(audit: DataAudit) -> str:
    """Return what an audit has to say as lines for a terminal, the worst first."""
    findings = find_all(audit)
    lines = [*overview_lines(audit), ""]
    for finding in findings:
        lines += _finding_lines(finding)
    if not findings:
        lines.append("No problems found.")
    return showable_lines(lines)


def overview_lines(audit: DataAudit) -> list[str]:
    """Return lines on the numbers of pictures and classes, on sizes and on forms."""
    source, sizes = audit.source, size_figures(audit)
    pictures = ", ".join(f"{len(part):,}{'' if part.name == 'whole' else ' ' + part.name}" for part in source.parts)
    found = f"{pictures} {'picture' if len(audit) == 1 else 'pictures'}, {counted(len(source.class_names), 'class')}"
    lines = [f"data      {source.ref}: {found}", *_balance(audit)]
    if sizes:
        wide, high, aspect = (sizes[name] for name in ("width", "height", "aspect_ratio"))
        lines.append(
            f"sizes     width {wide['least']} to {wide['largest']}, height {high['least']} to {high['largest']}, "
            f"median {wide['median']:g} x {high['median']:g}; width / height {aspect['least']:.2f} to "
            f"{aspect['largest']:.2f}"
        )
    if source.from_files:
        shown = [", ".join(f"{name} {count:,}" for name, count in _counter(audit, place)) for place in (0, 1)]
        lines.append(f"formats   {'; '.join(shown)}")
    return lines


def _balance(audit: DataAudit) -> list[str]:
    counts, names = audit.counts[0], audit.source.class_names
    present = np.flatnonzero(counts)
    if len(present) < 2:  # noqa: PLR2004 - nothing to compare
        return []
    least, most = present[counts[present].argmin()], present[counts[present].argmax()]
    where = "" if audit.source.parts[0].name == "whole" else f" in the {audit.source.parts[0].name} part"
    if counts[least] == counts[most]:
        return [f"balance   {counted(int(counts[least]), 'picture')} in each class{where}"]
    line = (
        f"balance   {counts[least]:,} ({names[least]}) to {counts[most]:,} ({names[most]}) pictures per class{where}, "
        f"{counts[most] / counts[least]:.1f} : 1"
    )
    return [line]


def _counter(audit: DataAudit, place: int) -> list[tuple[str, int]]:
    found: Counter[str] = Counter()
    for form, count in audit.forms.items():
        found[str(form[place])] += count
    return found.most_common()


def _finding_lines(finding: DataFinding) -> list[str]:
    word = finding.severity if finding.severity == "note" else finding.severity.upper()
    shown = finding.examples[:_EXAMPLES] if finding.severity != "note" else ()
    return [f"{word:<8}  {finding.text}", *(f"{'':<10}{line}" for line in shown)]
