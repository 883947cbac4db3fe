"""`torchstone data`: what is wrong with labelled pictures, before a model is trained on them."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.completion import DatasetName
from torchstone_runtime.cli.options import (
    BUNDLE_PATH,
    DATA_DIR_OPTION,
    FILE,
    REPORT_OPTION,
    json_option,
    load_options,
    predictions_option,
)
from torchstone_runtime.cli.output import print_result, require_writable, tell
from torchstone_runtime.components import require_component
from torchstone_runtime.errors import CheckFailedError, UsageError
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.progress import stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torchstone_runtime.audit.audited_pictures import AuditSource
    from torchstone_runtime.audit.data_audit import DataAudit
    from torchstone_runtime.audit.predicted import Predicted

_STAGE: Final = partial(stage, unit="pictures")


@command(
    examples=(
        "torchstone data folder:photos",
        "torchstone data folder:photos --report data.html --fix-list remove.csv",
        "torchstone data folder:photos --predictions runs/folds/predictions.csv --strict",
    )
)
@click.argument("dataset", type=DatasetName(), metavar="DATASET")
@DATA_DIR_OPTION
@option(
    "--bundle",
    group="Model",
    type=BUNDLE_PATH,
    help="Look for label errors with the predictions of this bundle, which should not have been trained on the data.",
)
@predictions_option(group="Model")
@load_options
@option("--no-near", group="Data", is_flag=True, help="Look for exact duplicates only.")
@json_option
@REPORT_OPTION
@option("--fix-list", group="Output", type=FILE, help="Write what to remove, and why, as CSV. Nothing is ever deleted.")
@option("--strict", group="Gates", is_flag=True, help="Exit with 1 if there is an error or a warning.")
def data(dataset: str, **options: Any) -> None:  # noqa: ANN401
    """Check the labelled pictures of DATASET: unreadable, duplicated, in both train and test, mislabelled.

    DATASET is digits, fashion-mnist, mnist, folder:PATH, shards:PATTERN or npz:FILE. Findings are printed worst
    first.
    """
    wanted = _Wanted(**options)
    if wanted.bundle is not None and wanted.predictions is not None:
        raise UsageError("--bundle and --predictions both provide predictions.", "Give one of them.")
    if wanted.bundle is not None:
        require_component("cpu", "onnxruntime")
    audit = _audit(dataset, wanted)
    _write(audit, wanted)
    if wanted.strict:
        _require_sound(audit)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """The options, as they were given."""

    data_dir: Path | None
    bundle: Path | None
    predictions: Path | None
    loading: LoadOptions
    no_near: bool
    json_file: Path | None
    report: Path | None
    fix_list: Path | None
    strict: bool


def _audit(dataset: str, wanted: _Wanted) -> "DataAudit":
    from torchstone_runtime.audit.audited_pictures import open_source
    from torchstone_runtime.audit.data_audit import audit_source
    from torchstone_runtime.audit.predicted import read_predicted
    from torchstone_runtime.data.catalog import DatasetRef

    source = open_source(DatasetRef.parse(dataset), wanted.data_dir)
    require_writable([wanted.json_file, wanted.report, wanted.fix_list])
    read = [read_predicted(wanted.predictions, source)] if wanted.predictions is not None else []
    audit = audit_source(source, _STAGE, near=not wanted.no_near)
    return replace(audit, predicted=read or _predict(audit, source, wanted))


def _predict(audit: "DataAudit", source: "AuditSource", wanted: _Wanted) -> "Sequence[Predicted]":
    if wanted.bundle is None:
        return ()
    from torchstone_runtime.audit.predicted import predict_with
    from torchstone_runtime.inference.classifier import Classifier

    load = Classifier.load_with(wanted.bundle, wanted.loading)
    with load as classifier, _STAGE("predicting", len(source)) as done:
        return predict_with(classifier, source, audit.facts.readable, str(wanted.bundle), done)


def _write(audit: "DataAudit", wanted: _Wanted) -> None:
    from torchstone_runtime.audit.fix_list import fix_list_csv
    from torchstone_runtime.files import write_atomic
    from torchstone_runtime.report.audit import audit_json, audit_text
    from torchstone_runtime.report.audit_page import audit_page

    contents: tuple[tuple[Path | None, Callable[[DataAudit], str | bytes]], ...] = (
        (wanted.report, audit_page),
        (wanted.fix_list, fix_list_csv),
    )
    for path, content in contents:
        if path is not None:
            write_atomic(path, content(audit))
            tell(f"wrote {path}")
    print_result(wanted.json_file, lambda: audit_json(audit), lambda: audit_text(audit))


def _require_sound(audit: "DataAudit") -> None:
    from torchstone_runtime.audit.conclusions import find_all

    bad = [finding.kind for finding in find_all(audit) if finding.severity != "note"]
    if bad:
        raise CheckFailedError(f"The data is not sound: {', '.join(bad)}.")
