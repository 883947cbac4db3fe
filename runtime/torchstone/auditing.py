"""`torchstone.audit_data`, and its result."""

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchstone.loading import BundleLike, bundle_path, load
from torchstone_runtime.audit.audited_pictures import AuditSource, open_source
from torchstone_runtime.audit.conclusions import DataFinding, find_all
from torchstone_runtime.audit.data_audit import DataAudit, audit_source
from torchstone_runtime.audit.fix_list import COLUMNS, fix_list_csv, fix_list_rows
from torchstone_runtime.audit.predicted import Predicted, predict_with, read_predicted
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.errors import UsageError
from torchstone_runtime.files import write_atomic
from torchstone_runtime.frames import make_frame
from torchstone_runtime.html_table import html_sentence, html_table
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.report.audit import audit_json, audit_text
from torchstone_runtime.report.audit_page import audit_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchstone_runtime.audit.duplicates import DuplicateGroup


@dataclass(frozen=True)
class AuditResult:
    """Labelled pictures that were looked at.

    Attributes:
        audit: everything that was found, as reports show it.
    """

    audit: DataAudit

    @cached_property
    def findings(self) -> list[DataFinding]:
        """What a person should know, the worst first: errors, warnings, notes."""
        return find_all(self.audit)

    @property
    def is_sound(self) -> bool:
        """Whether there is neither an error nor a warning."""
        return all(finding.severity == "note" for finding in self.findings)

    @property
    def unreadable(self) -> dict[str, str]:
        """Why files can't be read, by their paths from the dataset's folder."""
        return {self.audit.names[index]: reason for index, reason in self.audit.unreadable.items()}

    @property
    def duplicates(self) -> list[list[str]]:
        """Groups of pictures that show the same, exactly, nearly or mirrored, by their names."""
        return self._named(self.audit.groups)

    @property
    def leaks(self) -> list[list[str]]:
        """Those groups of which pictures are in more than one part, by their names."""
        return self._named(self.audit.leaks)

    @property
    def label_errors(self) -> list[dict[str, Any]]:
        """Likely label errors, most confident first: picture, label, likely class, their probabilities."""
        errors: list[dict[str, Any]] = audit_json(self.audit)["label_errors"]
        return errors

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `torchstone data --json` prints."""
        return audit_json(self.audit)

    def to_pandas(self) -> Any:  # noqa: ANN401 - a pandas.DataFrame, where pandas is installed
        """Return the rows of `save_fix_list` as a pandas DataFrame: `path`, `kind` and `reason` of each picture.

        Raises:
            MissingComponentError: pandas is not installed.
        """
        rows = fix_list_rows(self.audit)
        return make_frame({name: [row[place] for row in rows] for place, name in enumerate(COLUMNS)})

    def to_html(self) -> str:
        """Return the report of `torchstone data --report`: a page that needs nothing around it."""
        return audit_page(self.audit)

    def save_report(self, path: str | os.PathLike[str]) -> None:
        """Write `to_html` to a file, whole or not at all.

        Raises:
            OutputError: it can't be written.
        """
        write_atomic(Path(path), self.to_html())

    def save_fix_list(self, path: str | os.PathLike[str]) -> None:
        """Write a CSV file of what to remove, and why: one row per picture. Nothing is deleted.

        Raises:
            OutputError: it can't be written.
        """
        write_atomic(Path(path), fix_list_csv(self.audit))

    def __str__(self) -> str:
        return audit_text(self.audit)

    def __repr__(self) -> str:
        counts = [
            f"{number} {severity}{'' if number == 1 else 's'}"
            for severity in ("error", "warning", "note")
            if (number := sum(finding.severity == severity for finding in self.findings))
        ]
        said = ", ".join(counts) or "nothing wrong"
        return f"AuditResult({str(self.audit.source.ref)!r}, {len(self.audit):,} pictures: {said})"

    def _repr_html_(self) -> str:
        rows = [(finding.severity, finding.text) for finding in self.findings]
        return html_sentence(repr(self)) + (html_table(("severity", "finding"), rows) if rows else "")

    def _named(self, groups: "Sequence[DuplicateGroup]") -> list[list[str]]:
        return [[self.audit.names[index] for index in group.members] for group in groups]


def audit_data(
    data: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    bundle: BundleLike | Classifier | None = None,
    predictions: str | os.PathLike[str] | None = None,
    near: bool = True,
) -> AuditResult:
    """Check labelled pictures: unreadable, duplicated, in both train and test, mislabelled.

    Args:
        data: `digits`, `fashion-mnist`, `mnist`, `folder:PATH`, `shards:PATTERN` or `npz:FILE`.
        data_dir: directory of the downloaded datasets; `TORCHSTONE_DATA`, or `./data`, if None.
        bundle: bundle, or loaded classifier, whose predictions reveal likely label errors; it should not have been
            trained on the data.
        predictions: file of such predictions, written by `train --folds` or `evaluate --predictions`.
        near: whether near-duplicates are looked for among the files of a folder.

    Raises:
        DataError: the data or the predictions are missing or unusable, or their classes differ.
        UsageError: no such dataset, or both a bundle and predictions.
    """
    if bundle is not None and predictions is not None:
        raise UsageError("bundle and predictions both provide predictions.", "Give one of them.")
    source = open_source(DatasetRef.parse(data), Path(data_dir) if data_dir is not None else None)
    read = [read_predicted(Path(predictions), source)] if predictions is not None else []
    audit = audit_source(source, near=near)
    return AuditResult(replace(audit, predicted=read or _predict(bundle, source, audit)))


def _predict(bundle: BundleLike | Classifier | None, source: AuditSource, audit: DataAudit) -> list[Predicted]:
    if bundle is None:
        return []
    if isinstance(bundle, Classifier):
        return predict_with(bundle, source, audit.facts.readable, bundle.name)
    with load(bundle) as classifier:
        return predict_with(classifier, source, audit.facts.readable, str(bundle_path(bundle)))
