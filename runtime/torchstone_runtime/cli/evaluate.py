"""`torchstone evaluate`: test-set metrics of the very file that ships."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from torchstone_runtime.cli.find_split import find_split, warn_of_data
from torchstone_runtime.cli.gate_options import Bounds, gate_options, judge_document, require_passed
from torchstone_runtime.cli.options import BITS_OPTION, BUNDLE_PATH, CLASS_MAP_OPTION, load_options
from torchstone_runtime.cli.output import is_stdout, require_writable, tell
from torchstone_runtime.components import require_component
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.strict_json import strict_json

if TYPE_CHECKING:
    from torchstone_runtime.data.split import Split
    from torchstone_runtime.evaluation.evaluate import Evaluation
    from torchstone_runtime.inference.classifier import Classifier
    from torchstone_runtime.report.document import EvaluationDocument

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("bundle", type=BUNDLE_PATH)
@click.option("--data", "dataset", required=True, help="digits, fashion-mnist, mnist, folder:PATH or npz:FILE.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where datasets lie [TORCHSTONE_DATA, or ./data].")
@click.option(
    "--split",
    type=click.Choice(["auto", "test", "train", "all"]),
    default="auto",
    show_default=True,
    help="Which part. auto: the test part; of a source without one all images, or the fifth held out in training.",
)
@CLASS_MAP_OPTION
@BITS_OPTION
@load_options
@click.option("--json", "json_file", type=click.Path(path_type=Path, allow_dash=True), help="JSON; - for stdout only.")
@click.option("--csv", "csv_file", type=_FILE, help="Precision, recall, F1 and support by class, as CSV.")
@click.option("--confusion-csv", type=_FILE, help="The confusion matrix as CSV.")
@click.option("--predictions", type=_FILE, help="Each sample's id, classes, margin and probabilities, as CSV.")
@click.option("--report", type=_FILE, help="A self-contained HTML page.")
@click.option("--slice", "slices", type=_FILE, help="CSV with a column id and others: metrics by their values.")
@gate_options
def evaluate(bundle: Path, dataset: str, **options: Any) -> None:  # noqa: ANN401
    """Measure BUNDLE on labelled data: accuracy, precision, recall, F1, confusion matrix, calibration.

    Results go to stdout, or as one JSON document with --json -. With --min-… and --max-… it is a gate: exit code 1
    where the model is not good enough.
    """
    require_component("cpu", "onnxruntime")
    bounds = Bounds(**{field.name: options.pop(field.name) for field in fields(Bounds)})
    document = _evaluate_to_files(bundle, dataset, bounds, _Wanted(**options))
    require_passed(document.judgements, document.unanswered_ids, len(document.split))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """Everything but the gates, as it was given."""

    data_dir: Path | None
    split: str
    class_map: Path | None
    bits: int | None
    loading: LoadOptions
    json_file: Path | None
    csv_file: Path | None
    confusion_csv: Path | None
    predictions: Path | None
    report: Path | None
    slices: Path | None

    @property
    def to_stdout(self) -> bool:
        return is_stdout(self.json_file)

    def reports(self) -> dict[str, Path | None]:
        """Return the files that are written when everything is measured, by kind."""
        return {
            "csv": self.csv_file,
            "confusion": self.confusion_csv,
            "report": self.report,
            "json": None if self.to_stdout else self.json_file,
        }


def _evaluate_to_files(bundle: Path, dataset: str, bounds: Bounds, wanted: _Wanted) -> "EvaluationDocument":
    from torchstone_runtime.evaluation.slices import Grouping  # noqa: PLC0415
    from torchstone_runtime.inference.classifier import Classifier  # noqa: PLC0415 - --help must not load NumPy

    with Classifier.load_with(bundle, wanted.loading) as classifier:
        gates = bounds.gates(classifier.class_names)
        split, reason = find_split(classifier, dataset, wanted.data_dir, wanted.split, wanted.class_map, wanted.bits)
        warn_of_data(split, bits_stated=wanted.bits is not None)
        grouping = Grouping.read(wanted.slices, split) if wanted.slices else None
        require_writable((*wanted.reports().values(), wanted.predictions))
        evaluation = _run(classifier, split, wanted.predictions)
    document = _document(classifier, str(bundle), dataset, reason, evaluation)
    if grouping:
        document = replace(document, slices=grouping.measure(split, evaluation.predicted))
    document = replace(document, judgements=judge_document(document, gates, on_interval=bounds.on_interval))
    _write_reports(document, wanted)
    return document


def _document(
    classifier: "Classifier", bundle: str, dataset: str, reason: str, evaluation: "Evaluation"
) -> "EvaluationDocument":
    from torchstone_runtime.evaluation.choose_split import certified_fingerprint  # noqa: PLC0415 - --help must not load NumPy
    from torchstone_runtime.report.document import EvaluationDocument  # noqa: PLC0415

    return EvaluationDocument(
        model=classifier.name,
        bundle=bundle,
        sha256=classifier.sha256,
        plan=classifier.plan,
        dataset=dataset,
        split_reason=reason,
        certified=evaluation.split.fingerprint == certified_fingerprint(classifier.provenance),
        evaluation=evaluation,
    )


def _run(classifier: "Classifier", split: "Split", predictions: Path | None) -> "Evaluation":
    from torchstone_runtime.evaluation.evaluate import evaluate as measure  # noqa: PLC0415 - --help must not load NumPy
    from torchstone_runtime.files import atomic_writer  # noqa: PLC0415
    from torchstone_runtime.report.csv_files import PredictionsCsv  # noqa: PLC0415

    if predictions is None:
        return measure(classifier, split)
    with atomic_writer(predictions) as file:
        return measure(classifier, split, PredictionsCsv(file, classifier.class_names).add)


def _write_reports(document: "EvaluationDocument", wanted: _Wanted) -> None:
    from torchstone_runtime.files import write_atomic  # noqa: PLC0415 - --help must not load NumPy
    from torchstone_runtime.report import csv_files, html, terminal  # noqa: PLC0415

    metrics = document.evaluation.metrics
    contents = {
        "json": lambda: _to_json(document) + "\n",
        "csv": lambda: csv_files.metrics_csv(metrics),
        "confusion": lambda: csv_files.confusion_csv(metrics),
        "report": lambda: html.render_html(document),
    }
    for kind, path in wanted.reports().items():
        if path is not None:
            write_atomic(path, contents[kind]())
            tell(f"wrote {path}")
    click.echo(_to_json(document) if wanted.to_stdout else terminal.render_text(document))


def _to_json(document: "EvaluationDocument") -> str:
    return strict_json(document.to_json(), indent=2)
