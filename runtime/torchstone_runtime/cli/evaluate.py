"""`torchstone evaluate`: test-set metrics of the very file that ships."""

from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.find_split import find_split, warn_of_data
from torchstone_runtime.cli.gate_options import Bounds, gate_options, judge_document, require_passed
from torchstone_runtime.cli.options import (
    BUNDLE_PATH,
    CSV_OPTION,
    FILE,
    REPORT_OPTION,
    data_option,
    json_option,
    load_options,
    measured_data_options,
    predictions_option,
)
from torchstone_runtime.cli.output import print_result, require_writable, tell
from torchstone_runtime.cli.validation_options import BY_CLASS_OPTION, coverage_option, require_coverage
from torchstone_runtime.components import require_component
from torchstone_runtime.data.split_choice import SplitChoice
from torchstone_runtime.errors import UsageError
from torchstone_runtime.inference.load_options import LoadOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchstone_runtime.audit.label_errors import LabelError
    from torchstone_runtime.data.split import Split
    from torchstone_runtime.evaluation.evaluate import BatchSink, Evaluation
    from torchstone_runtime.evaluation.explanations import ExplainedMistake
    from torchstone_runtime.evaluation.validation_watch import ValidationWatch
    from torchstone_runtime.inference.classifier import Classifier
    from torchstone_runtime.report.document import EvaluationDocument

_MOST_EXPLAINED: Final = 50
"""Each is three pictures of the page."""


@command(
    examples=(
        "torchstone evaluate fashion --data fashion-mnist",
        "torchstone evaluate bundles/cnn3-1 --data folder:photos --report report.html --min-accuracy 0.9",
    )
)
@click.argument("bundle", type=BUNDLE_PATH)
@data_option()
@option("--scored", group="Data", help="Output of score on labelled pictures (folder or address), in place of --data.")
@measured_data_options
@load_options
@json_option
@CSV_OPTION
@option("--confusion-csv", group="Output", type=FILE, help="Write the confusion matrix as CSV.")
@predictions_option(group="Output")
@REPORT_OPTION
@option(
    "--explain",
    group="Output",
    type=click.IntRange(0, _MOST_EXPLAINED),
    help="Show in the report where the model looked in its N most confident mistakes; 0 = none  [default: 6]",
)
@option(
    *("--slice", "slices"),
    group="Data",
    type=FILE,
    help="CSV file with a column id and others: report metrics by their values.",
)
@coverage_option("0.95, in one line")
@BY_CLASS_OPTION
@gate_options
def evaluate(bundle: Path, dataset: str | None, scored: str | None, **options: Any) -> None:  # noqa: ANN401
    """Measure BUNDLE on labelled data: accuracy, precision, recall, F1, confusion matrix, calibration.

    With --min-... and --max-..., the command is a gate: the exit code is 1 if the model is not good enough.
    """
    require_component("cpu", "onnxruntime")
    bounds = Bounds(**{field.name: options.pop(field.name) for field in fields(Bounds)})
    if scored is not None and dataset is None:
        from torchstone_runtime.cli.evaluate_scored import evaluate_scored

        evaluate_scored(bundle, scored, bounds, options)
        return
    if dataset is None or scored is not None:
        raise UsageError("Missing option '--data' (or --scored).", "Give one of the two, such as --data folder:photos.")
    document = _evaluate_to_files(bundle, dataset, bounds, _Wanted(**options))
    require_passed(document.judgements, document.evaluation.unanswered_ids, len(document.evaluation))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """Everything but the gates, as it was given."""

    data_dir: Path | None
    split: SplitChoice
    class_map: Path | None
    bits: int | None
    loading: LoadOptions
    json_file: Path | None
    csv_file: Path | None
    confusion_csv: Path | None
    predictions: Path | None
    report: Path | None
    explain: int | None
    slices: Path | None
    coverage: float | None
    by_class: bool

    def __post_init__(self) -> None:
        """Refuse pictures for a report that is not written."""
        if self.explain is not None and self.report is None:
            raise UsageError("--explain draws into the report, and none is written.", "Add --report FILE.")

    def reports(self) -> dict[str, Path | None]:
        """Return the files that are written when everything is measured, by kind."""
        return {
            "csv": self.csv_file,
            "confusion": self.confusion_csv,
            "report": self.report,
        }


def _evaluate_to_files(bundle: Path, dataset: str, bounds: Bounds, wanted: _Wanted) -> "EvaluationDocument":
    from torchstone_runtime.evaluation.slices import Grouping
    from torchstone_runtime.evaluation.validation_watch import ValidationWatch
    from torchstone_runtime.inference.classifier import Classifier

    with Classifier.load_with(bundle, wanted.loading) as classifier:
        gates = bounds.gates(classifier.class_names)
        split, reason = find_split(classifier, dataset, wanted.data_dir, wanted.split, wanted.class_map, wanted.bits)
        warn_of_data(split, bits_stated=wanted.bits is not None)
        grouping = Grouping.read(wanted.slices, split) if wanted.slices else None
        require_writable((*wanted.reports().values(), wanted.predictions, wanted.json_file))
        require_coverage(classifier, wanted.coverage, by_class=wanted.by_class)
        watch = ValidationWatch.of(classifier, wanted.coverage, by_class=wanted.by_class)
        evaluation, label_errors = _run(classifier, split, wanted, watch)
        explanations = _explain(classifier, evaluation, wanted) if wanted.report else ()
    document = _document(classifier, str(bundle), dataset, reason, evaluation)
    document = replace(
        document,
        explanations=explanations,
        label_errors=label_errors,
        sets_by_class=wanted.coverage is not None,
    )
    if grouping:
        document = replace(document, slices=grouping.measure(split, evaluation.predicted))
    document = replace(document, judgements=judge_document(document, gates, on_interval=bounds.on_interval))
    _write_reports(document, wanted)
    return document


def _document(
    classifier: "Classifier", bundle: str, dataset: str, reason: str, evaluation: "Evaluation"
) -> "EvaluationDocument":
    from torchstone_runtime.report.document import EvaluationDocument
    from torchstone_runtime.report.measured_file import MeasuredFile

    file = MeasuredFile.of(classifier, evaluation.split, reason, bundle=bundle, dataset=dataset)
    return EvaluationDocument(file, evaluation)


def _run(
    classifier: "Classifier", split: "Split", wanted: _Wanted, watch: "ValidationWatch | None"
) -> "tuple[Evaluation, Sequence[LabelError] | None]":
    from torchstone_runtime.audit.label_error_tally import LabelErrorTally
    from torchstone_runtime.evaluation.evaluate import evaluate as measure
    from torchstone_runtime.evaluation.evaluate import to_each
    from torchstone_runtime.files import atomic_writer
    from torchstone_runtime.report.csv_files import PredictionsCsv

    tally = LabelErrorTally() if wanted.report or wanted.json_file else None
    sinks: list[BatchSink] = [tally.add] if tally else []
    with ExitStack() as stack:
        if wanted.predictions:
            file = stack.enter_context(atomic_writer(wanted.predictions))
            sinks.append(PredictionsCsv(file, classifier.class_names).add)
        evaluation = measure(classifier, split, to_each(sinks), watch=watch)
    return evaluation, tally.errors() if tally else None


def _explain(classifier: "Classifier", evaluation: "Evaluation", wanted: _Wanted) -> "Sequence[ExplainedMistake]":
    from torchstone_runtime.evaluation import explanations

    count = explanations.DEFAULT_EXPLAINED if wanted.explain is None else wanted.explain
    chosen = explanations.explained_mistakes(evaluation, count)
    if len(chosen):
        tell(explanations.describe_cost(evaluation, chosen))
    return explanations.explain(classifier, evaluation, chosen)


def _write_reports(document: "EvaluationDocument", wanted: _Wanted) -> None:
    from torchstone_runtime.files import write_atomic
    from torchstone_runtime.report import csv_files, html, terminal

    metrics = document.evaluation.metrics
    contents = {
        "csv": lambda: csv_files.metrics_csv(metrics),
        "confusion": lambda: csv_files.confusion_csv(metrics),
        "report": lambda: html.render_html(document),
    }
    for kind, path in wanted.reports().items():
        if path is not None:
            write_atomic(path, contents[kind]())
            tell(f"wrote {path}")
    print_result(wanted.json_file, document.to_json, lambda: terminal.render_text(document))
