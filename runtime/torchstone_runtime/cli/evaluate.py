"""`torchstone evaluate`: test-set metrics of the very file that ships."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from torchstone_runtime.cli.components import require_component
from torchstone_runtime.cli.options import (
    CHECK_OPTION,
    PROVIDER_OPTION,
    PUBLIC_KEY_OPTION,
    THREADS_OPTION,
    VARIANT_OPTION,
    load_arguments,
)
from torchstone_runtime.cli.output import echo_result
from torchstone_runtime.data_dir import default_data_dir
from torchstone_runtime.errors import CheckFailedError, UsageError

if TYPE_CHECKING:
    from torchstone_runtime.classifier import Classifier
    from torchstone_runtime.data.catalog import DatasetRef
    from torchstone_runtime.data.split import Split
    from torchstone_runtime.evaluation import Evaluation
    from torchstone_runtime.report.document import EvaluationDocument

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--data", "dataset", required=True, help="digits, fashion-mnist, mnist, folder:PATH or npz:FILE.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where datasets lie [TORCHSTONE_DATA, or ./data].")
@click.option(
    "--split",
    type=click.Choice(["auto", "test", "train", "all"]),
    default="auto",
    show_default=True,
    help="Which part. auto: the test part; of a source without one all images, or the fifth held out in training.",
)
@VARIANT_OPTION
@PROVIDER_OPTION
@THREADS_OPTION
@PUBLIC_KEY_OPTION
@CHECK_OPTION
@click.option("--json", "json_file", type=click.Path(path_type=Path, allow_dash=True), help="JSON; - for stdout only.")
@click.option("--csv", "csv_file", type=_FILE, help="Precision, recall, F1 and support by class, as CSV.")
@click.option("--confusion-csv", type=_FILE, help="The confusion matrix as CSV.")
@click.option("--predictions", type=_FILE, help="Each sample's id, classes, margin and probabilities, as CSV.")
@click.option("--report", type=_FILE, help="A self-contained HTML page.")
@click.option("--min-accuracy", type=click.FloatRange(0, 1), help="Exit with 1 where the accuracy is lower.")
def evaluate(bundle: Path, dataset: str, min_accuracy: float | None, **options: Any) -> None:  # noqa: ANN401
    """Measure BUNDLE on labelled data: accuracy, precision, recall, F1, confusion matrix.

    Results go to stdout, or as one JSON document with --json -.
    """
    require_component("cpu", "onnxruntime")
    document = _evaluate_to_files(bundle, dataset, **options)
    metrics = document.evaluation.metrics
    if min_accuracy is not None and metrics.accuracy < min_accuracy:
        raise CheckFailedError(f"The accuracy is {metrics.accuracy:.4f}, below the required {min_accuracy:.4f}.")


def _evaluate_to_files(
    bundle: Path,
    dataset: str,
    *,
    data_dir: Path | None,
    split: str,
    json_file: Path | None,
    csv_file: Path | None,
    confusion_csv: Path | None,
    predictions: Path | None,
    report: Path | None,
    **loading: Any,  # noqa: ANN401 - see load_arguments
) -> "EvaluationDocument":
    from torchstone_runtime.classifier import Classifier  # noqa: PLC0415 - --help must not load NumPy
    from torchstone_runtime.data.catalog import DatasetRef  # noqa: PLC0415
    from torchstone_runtime.files import require_writable_parent  # noqa: PLC0415

    to_stdout = json_file is not None and str(json_file) == "-"
    files = {
        "csv": csv_file,
        "confusion": confusion_csv,
        "report": report,
        "json": None if to_stdout else json_file,
    }
    targets = [path for path in (*files.values(), predictions) if path is not None]
    if len(set(targets)) != len(targets):
        raise UsageError("Two outputs have the same file name.", "Give each its own.")
    with Classifier.load(bundle, **load_arguments(**loading)) as classifier:
        chosen, reason = _find_split(classifier, DatasetRef.parse(dataset), data_dir, split)
        for path in targets:
            require_writable_parent(path)
        evaluation = _run(classifier, chosen, predictions)
    document = _document(classifier, str(bundle), dataset, chosen, reason, evaluation)
    _write_reports(document, files, to_stdout=to_stdout)
    return document


def _find_split(classifier: "Classifier", ref: "DatasetRef", data_dir: Path | None, wanted: str) -> tuple["Split", str]:
    from torchstone_runtime.data.catalog import Dataset  # noqa: PLC0415 - --help must not load NumPy
    from torchstone_runtime.evaluation import align_classes, choose_split  # noqa: PLC0415

    names = classifier.class_names if ref.kind == "folder" else None
    source = Dataset(ref, data_dir or default_data_dir(), classifier.input_spec, names)
    provenance = classifier.bundle.manifest.provenance if classifier.bundle else {}
    chosen, reason = choose_split(source, wanted, provenance)
    return align_classes(chosen, classifier.class_names), reason


def _document(
    classifier: "Classifier", bundle: str, dataset: str, split: "Split", reason: str, evaluation: "Evaluation"
) -> "EvaluationDocument":
    from torchstone_runtime.evaluation import certified_fingerprint  # noqa: PLC0415 - --help must not load NumPy
    from torchstone_runtime.report.document import EvaluationDocument  # noqa: PLC0415

    manifest = classifier.bundle.manifest if classifier.bundle else None
    return EvaluationDocument(
        model=classifier.name,
        bundle=bundle,
        sha256=manifest.variants[classifier.plan.variant].sha256 if manifest else None,
        plan=classifier.plan,
        dataset=dataset,
        split=split,
        split_reason=reason,
        certified=split.fingerprint == certified_fingerprint(manifest.provenance if manifest else {}),
        evaluation=evaluation,
    )


def _run(classifier: "Classifier", split: "Split", predictions: Path | None) -> "Evaluation":
    from torchstone_runtime.evaluation import evaluate as measure  # noqa: PLC0415 - --help must not load NumPy
    from torchstone_runtime.files import atomic_writer  # noqa: PLC0415
    from torchstone_runtime.report.csv_files import PredictionsCsv  # noqa: PLC0415

    if predictions is None:
        return measure(classifier, split)
    with atomic_writer(predictions) as file:
        return measure(classifier, split, PredictionsCsv(file, classifier.class_names).add)


def _write_reports(document: "EvaluationDocument", files: dict[str, Path | None], *, to_stdout: bool) -> None:
    import json  # noqa: PLC0415 - beside the others

    from torchstone_runtime.files import write_atomic  # noqa: PLC0415 - --help must not load NumPy
    from torchstone_runtime.report import csv_files, html, terminal  # noqa: PLC0415

    metrics = document.evaluation.metrics
    as_json = json.dumps(document.to_json(), indent=2, ensure_ascii=False)
    contents = {
        "json": lambda: as_json + "\n",
        "csv": lambda: csv_files.metrics_csv(metrics),
        "confusion": lambda: csv_files.confusion_csv(metrics),
        "report": lambda: html.render_html(document),
    }
    for kind, path in files.items():
        if path is not None:
            write_atomic(path, contents[kind]())
            click.echo(f"wrote {path}", err=True)
    echo_result(as_json if to_stdout else terminal.render_text(document))
