"""The list of what to remove: a person reads it, and removes what is right. Nothing here deletes a file."""

from collections.abc import Iterator
from typing import Final

from torchstone_runtime.audit.data_audit import DataAudit
from torchstone_runtime.audit.duplicates import DuplicateGroup
from torchstone_runtime.csv_text import csv_text

COLUMNS: Final = ("path", "kind", "reason")
_KEEP_FIRST: Final = ("test", "validation", "train", "whole")
"""Of a picture in several parts the copy in the test part stays, so that later figures are of the same pictures."""


def fix_list_rows(audit: DataAudit) -> list[tuple[str, str, str]]:
    """Return path, kind and reason of each picture that should be removed or looked at; each has one row.

    The worst reason of a picture counts: unreadable, the same picture under another label, in another part, twice in
    one part and class, label likely wrong.
    """
    worst: dict[int, tuple[str, str]] = {}
    for index, kind, reason in _reasons(audit):
        worst.setdefault(index, (kind, reason))
    return [(_path(audit, index), *why) for index, why in worst.items()]


def fix_list_csv(audit: DataAudit) -> bytes:
    """Return `fix_list_rows` as CSV, with a header: UTF-8, but a path in the bytes that its file system has for it."""
    # An escape in the place of such a byte would name no file.
    return csv_text([COLUMNS, *fix_list_rows(audit)]).encode("utf-8", "surrogateescape")


def _reasons(audit: DataAudit) -> Iterator[tuple[int, str, str]]:
    for index, problem in audit.unreadable.items():
        yield index, "unreadable", problem
    for group in audit.label_conflicts:
        for index in group.members:
            others = [i for i in group.members if audit.labels[i] != audit.labels[index]]
            yield (
                index,
                "label_conflict",
                f"the same picture has another label: {_path(audit, others[0])}" if others else "",
            )
    for group in audit.groups:
        if group in audit.label_conflicts:
            continue
        kept = _kept(audit, group)
        kind = "leak" if group in audit.leaks else "exact_duplicate" if group.exact else "near_duplicate"
        for index in group.members:
            if index != kept:
                yield index, kind, f"the same picture as {_path(audit, kept)}"
    for error in audit.label_errors:
        likely = audit.likely_names[error.index]
        reason = (
            f"labelled {audit.class_of(error.index)} ({error.probability:.3f}), likely {likely} "
            f"({error.likely_probability:.3f})"
        )
        yield error.index, "label_error", reason


def _kept(audit: DataAudit, group: DuplicateGroup) -> int:
    return min(group.members, key=lambda index: (_KEEP_FIRST.index(audit.part_name(index)), index))


def _path(audit: DataAudit, index: int) -> str:
    return str(audit.paths[index]) if audit.paths else audit.names[index]
