"""What an audit has to say, worst first, a sentence each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from torchstone_runtime.audit.data_audit import DataAudit
from torchstone_runtime.audit.duplicates import DuplicateGroup
from torchstone_runtime.text import counted, shortlist

Severity = Literal["error", "warning", "note"]
SEVERITIES: Final = ("error", "warning", "note")
"""The worst first: error, what stops a training or makes its figures wrong; warning, what makes a model worse."""

_FEW: Final = 2
_UNEQUAL: Final = 10
_SMALL: Final = 32
_SHOWN: Final = 5
_EIGHT_BIT: Final = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB"})


@dataclass(frozen=True, slots=True)
class DataFinding:
    """Something that a person should know of a dataset.

    Attributes:
        severity: weight of the finding: error, warning or note.
        kind: name of what was found, for programs.
        count: number of pictures, groups or classes that it concerns.
        text: sentence that says it.
        examples: a line for each of the first pictures or groups, the worst first.
    """

    severity: Severity
    kind: str
    count: int
    text: str
    examples: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the finding, without its examples, as JSON data."""
        return {"severity": self.severity, "kind": self.kind, "count": self.count, "text": self.text}


def find_all(audit: DataAudit) -> list[DataFinding]:
    """Return everything that an audit has to say, the worst first."""
    found = [finding for look in _LOOKS for finding in look(audit)]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def _unreadable(audit: DataAudit) -> Iterator[DataFinding]:
    if bad := audit.unreadable:
        examples = tuple(f"{audit.names[index]}: {reason}" for index, reason in list(bad.items())[:_SHOWN])
        text = f"{counted(len(bad), 'file')} can't be read; a training would stop there."
        yield DataFinding("error", "unreadable", len(bad), text, examples)


def _leaks(audit: DataAudit) -> Iterator[DataFinding]:
    for held_out in ("test", "validation"):
        groups = [group for group in audit.leaks if held_out in {audit.part_name(i) for i in group.members}]
        pictures = [i for group in groups for i in group.members if audit.part_name(i) == held_out]
        if groups:
            size = sum(len(part) for part in audit.source.parts if part.name == held_out)
            exact = sum(group.exact for group in groups)
            text = (
                f"{counted(len(pictures), f'{held_out} picture')} of {size:,} {_are(len(pictures))} in another part "
                f"too ({len(pictures) / size:.1%}; {_kinds(groups, exact)}): figures measured on them are too good."
            )
            yield DataFinding("error", f"leak_{held_out}", len(pictures), text, _listed(audit, groups))


def _held_out_leaks(audit: DataAudit) -> Iterator[DataFinding]:
    if groups := audit.held_out_leaks:
        pictures = sum(int(audit.held_out[list(group.members)].sum()) for group in groups)
        size, exact = int(audit.held_out.sum()), sum(group.exact for group in groups)
        text = (
            f"{counted(pictures, 'picture')} of the {size:,} that a training holds out as its test part "
            f"{_are(pictures)} in the rest too ({pictures / size:.1%}; {_kinds(groups, exact)}): figures measured on "
            "them are too good."
        )
        yield DataFinding("error", "leak_held_out", pictures, text, _listed(audit, groups))


def _conflicts(audit: DataAudit) -> Iterator[DataFinding]:
    if groups := audit.label_conflicts:
        pairs = [" / ".join(sorted({audit.class_of(index) for index in group.members})) for group in groups]
        shown = shortlist(list(dict.fromkeys(pairs)), _SHOWN)
        text = f"{counted(len(groups), 'picture')} {_have(len(groups))} different labels in different copies: {shown}."
        yield DataFinding("error", "label_conflicts", len(groups), text, _listed(audit, groups))


def _missing_classes(audit: DataAudit) -> Iterator[DataFinding]:
    names = audit.source.class_names
    for part, counts in zip(audit.source.parts, audit.counts, strict=True):
        missing = [names[index] for index in np.flatnonzero(counts == 0).tolist()]
        if not missing:
            continue
        where = "no picture" if part.name == "whole" else f"no picture in the {part.name} part"
        severity: Severity = "error" if part.name in ("train", "whole") and audit.source.names_given else "warning"
        text = f"{len(missing):,} of {counted(len(names), 'class')} {_have(len(missing))} {where}: "
        yield DataFinding(
            severity, f"classes_missing_{part.name}", len(missing), f"{text}{shortlist(missing, _SHOWN)}."
        )
    if len(names) == 1:
        yield DataFinding("error", "one_class", 1, f"There is only one class, {names[0]}: nothing can be told apart.")


def _few_pictures(audit: DataAudit) -> Iterator[DataFinding]:
    part, counts = audit.source.parts[0], audit.counts[0]
    few = np.flatnonzero((counts > 0) & (counts <= _FEW)).tolist()
    if few:
        names = [f"{audit.source.class_names[index]} ({counts[index]})" for index in few]
        where = "" if part.name == "whole" else f" in the {part.name} part"
        text = f"{counted(len(few), 'class')} {_have(len(few))} one or two pictures{where}: {shortlist(names, _SHOWN)}."
        yield DataFinding("warning", "few_pictures", len(few), text)


def _label_errors(audit: DataAudit) -> Iterator[DataFinding]:
    if errors := audit.label_errors:
        total = sum(len(predicted.indices) for predicted in audit.predicted)
        text = (
            f"{counted(len(errors), 'label')} of {total:,} {_are(len(errors))} likely wrong, by confident learning: "
            f"look at them before you remove any."
        )
        examples = tuple(
            f"{audit.names[error.index]}: labelled {audit.class_of(error.index)} ({error.probability:.3f}), likely "
            f"{audit.likely_names[error.index]} ({error.likely_probability:.3f})"
            for error in errors[:_SHOWN]
        )
        yield DataFinding("warning", "label_errors", len(errors), text, examples)
    for seen in (predicted for predicted in audit.predicted if predicted.seen):
        text = (
            f"{seen.origin}: {_learnt(known=seen.known_as_seen)} Predictions by networks that did not see the picture "
            "find more: torchstone train --folds 5, then --predictions FILE."
        )
        yield DataFinding("note", "model_has_seen_pictures", len(seen.indices), text)


def _learnt(*, known: bool) -> str:
    if known:
        return "the model was trained on such pictures and has learnt their wrong labels, so that many are missed."
    return "the model may have been trained on these pictures; wrong labels that it has learnt are then missed."


def _duplicates(audit: DataAudit) -> Iterator[DataFinding]:
    for exact, kind, what in ((True, "exact_duplicates", "equal"), (False, "near_duplicates", "nearly equal")):
        groups = [group for group in audit.harmless if group.exact == exact]
        spare = sum(len(group.members) - 1 for group in groups)
        if groups:
            text = f"{counted(spare, 'picture')} {_are(spare)} {what} to another of the same part and class."
            yield DataFinding("warning" if exact else "note", kind, spare, text, _listed(audit, groups))


def _imbalance(audit: DataAudit) -> Iterator[DataFinding]:
    counts, names = audit.counts[0], audit.source.class_names
    present = counts[counts > 0]
    if len(present) > 1 and present.max() >= _UNEQUAL * present.min():
        least = names[int(np.where(counts > 0, counts, counts.max() + 1).argmin())]
        text = (
            f"The classes are unequal: {names[int(counts.argmax())]} has {present.max():,} pictures, {least} "
            f"{present.min():,}. Judge a model by macro figures."
        )
        yield DataFinding("note", "imbalance", int(present.max() // present.min()), text)


def _odd_forms(audit: DataAudit) -> Iterator[DataFinding]:
    if not audit.source.from_files:
        return
    moving = sum(count for (_, _, several), count in audit.forms.items() if several)
    if moving:
        text = f"{counted(moving, 'picture')} {_have(moving)} several frames, of which the first is read."
        yield DataFinding("note", "animated", moving, text)
    wide = sum(count for (_, mode, _), count in audit.forms.items() if mode not in _EIGHT_BIT)
    if wide:
        yield DataFinding("note", "sixteen_bit", wide, f"{counted(wide, 'picture')} {_have(wide)} 16 bits a pixel.")
    print_colours = sum(count for (_, mode, _), count in audit.forms.items() if mode == "CMYK")
    if print_colours:
        text = (
            f"{counted(print_colours, 'picture')} {_are(print_colours)} CMYK, whose colours are only roughly converted."
        )
        yield DataFinding("note", "cmyk", print_colours, text)
    small = int((audit.sizes.min(axis=1) < _SMALL).sum()) if len(audit.sizes) else 0
    large = len(audit.sizes) and float(np.median(audit.sizes.min(axis=1))) >= 2 * _SMALL
    if small and large:
        text = f"{counted(small, 'picture')} {_have(small)} a side below {_SMALL} pixels."
        yield DataFinding("note", "tiny", small, text)
    for line in (line for part in audit.source.parts for line in part.left_out):
        yield DataFinding("note", "left_out", 1, line[:1].upper() + line[1:] + ".")


_LOOKS: Final[Sequence[Callable[[DataAudit], Iterator[DataFinding]]]] = (
    _unreadable,
    _leaks,
    _held_out_leaks,
    _conflicts,
    _missing_classes,
    _label_errors,
    _few_pictures,
    _duplicates,
    _imbalance,
    _odd_forms,
)


def _listed(audit: DataAudit, groups: Sequence[DuplicateGroup]) -> tuple[str, ...]:
    return tuple(
        shortlist([audit.names[index] for index in group.members], _SHOWN)
        + (" (mirrored)" if any(group.mirrored) else "" if group.exact else f" ({min(group.alike):.3f} alike)")
        for group in groups[:_SHOWN]
    )


def _kinds(groups: Sequence[DuplicateGroup], exact: int) -> str:
    turned = sum(any(group.mirrored) for group in groups)
    near = len(groups) - exact - turned
    kinds = [
        f"{exact:,} exact" if exact else "",
        f"{near:,} near" if near else "",
        f"{turned:,} mirrored" if turned else "",
    ]
    return ", ".join(kind for kind in kinds if kind)


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _have(number: int) -> str:
    return "has" if number == 1 else "have"
