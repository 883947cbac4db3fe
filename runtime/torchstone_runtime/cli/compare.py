"""`torchstone compare`: is B as good as A, and where do they differ?"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.completion import ProviderName, VariantName
from torchstone_runtime.cli.find_split import find_split, warn_of_data, warn_of_missing_classes
from torchstone_runtime.cli.options import (
    BUNDLE_PATH,
    CSV_OPTION,
    PROVIDER_HELP,
    REPORT_OPTION,
    data_option,
    json_option,
    measured_data_options,
)
from torchstone_runtime.cli.output import print_result, require_writable, tell
from torchstone_runtime.components import require_component
from torchstone_runtime.data.split_choice import SplitChoice
from torchstone_runtime.errors import CheckFailedError, UsageError
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.text import told_apart

if TYPE_CHECKING:
    from collections.abc import Callable

    from torchstone_runtime.benchmark.timing import TimeEstimate
    from torchstone_runtime.data.split import Split
    from torchstone_runtime.evaluation.comparison import Comparison
    from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
    from torchstone_runtime.inference.classifier import Classifier

_SPEED_IMAGES = 1024


def _side_options(side: str) -> "Callable[[Any], Any]":
    name = side.upper()

    def add(decorated: Any) -> Any:  # noqa: ANN401 - what click decorates
        for decorate in (
            option(f"--tf32-{side}", group="Model", is_flag=True, help=f"Allow a GPU to compute {name} in TF32."),
            option(
                f"--provider-{side}",
                group="Model",
                type=ProviderName(),
                default="auto",
                show_default=True,
                help=f"Provider that runs {name}: {PROVIDER_HELP}.",
            ),
            option(
                f"--variant-{side}",
                group="Model",
                type=VariantName(),
                help=f"Model of bundle {name}  [default: the bundle's]",
            ),
        ):
            decorated = decorate(decorated)
        return decorated

    return add


@command(
    examples=(
        "torchstone compare bundles/cnn3-1 bundles/mlp-1 --data fashion-mnist",
        "torchstone compare fp32.csv int8.csv --max-drop 0.005",
    )
)
@click.argument("a", type=BUNDLE_PATH)
@click.argument("b", type=BUNDLE_PATH)
@data_option()
@measured_data_options
@_side_options("a")
@_side_options("b")
@option(
    "--speed/--no-speed",
    group="Output",
    default=True,
    show_default=True,
    help="Also measure the ratio of speeds, in turns.",
)
@json_option
@CSV_OPTION
@REPORT_OPTION
@option(
    "--max-drop",
    group="Gates",
    type=click.FloatRange(0, 1),
    help="Exit with 1 unless B's accuracy is shown to be at most this much below A's (lower end of the interval).",
)
def compare(a: Path, b: Path, max_drop: float | None, **options: Any) -> None:  # noqa: ANN401
    """Compare A with B on the same labelled data: bundles, ONNX files, or files of 'evaluate --predictions'.

    Reports the difference in accuracy with its 95% interval, the exact McNemar test, the samples that A and B classify
    differently, and the ratio of speeds.
    """
    require_component("cpu", "onnxruntime")
    from torchstone_runtime.evaluation.evaluate import require_answers

    wanted = _Wanted(**options)
    require_writable((wanted.csv_file, wanted.report, wanted.json_file))
    found, split = _compare(a, b, wanted)
    if split is not None:
        warn_of_data(split, bits_stated=wanted.bits is not None)
    else:
        warn_of_missing_classes(found.a.predictions.labels, found.a.predictions.class_names)
    _write(found, split, wanted)
    low = found.paired.interval_95[0]
    if max_drop is not None and low < -max_drop:
        allowed, drop = told_apart(max_drop, -low)
        raise CheckFailedError(
            f"B is not shown to be at most {allowed} less accurate than A: the 95% interval of the difference "
            f"begins at -{drop}.",
            "Give more data, or a better B.",
        )
    for side in (found.a, found.b):
        require_answers(side.predictions.unanswered_ids, len(side.predictions), f"{side.name}: ")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """Everything but the threshold, as it was given."""

    dataset: str | None
    data_dir: Path | None
    split: SplitChoice
    class_map: Path | None
    bits: int | None
    variant_a: str | None
    variant_b: str | None
    provider_a: str
    provider_b: str
    tf32_a: bool
    tf32_b: bool
    speed: bool
    json_file: Path | None
    csv_file: Path | None
    report: Path | None


def _compare(a: Path, b: Path, wanted: _Wanted) -> "tuple[Comparison, Split | None]":
    from torchstone_runtime.evaluation.comparison import Comparison, Side
    from torchstone_runtime.evaluation.labelled_predictions import with_shared_classes

    with ExitStack() as stack:
        classifiers = [
            _load(stack, path, options)
            for path, options in (
                (a, LoadOptions(variant=wanted.variant_a, provider=wanted.provider_a, tf32=wanted.tf32_a)),
                (b, LoadOptions(variant=wanted.variant_b, provider=wanted.provider_b, tf32=wanted.tf32_b)),
            )
        ]
        splits = _splits(classifiers, wanted)
        first, second = (
            _predictions(path, classifier, split)
            for path, classifier, split in zip((a, b), classifiers, splits, strict=True)
        )
        first, second = with_shared_classes(first, second)
        # In the order of the split where there is one, so that pictures can be found.
        if classifiers[0] is None and classifiers[1] is not None:
            first = first.in_order_of(second, "A", "B")
        else:
            second = second.in_order_of(first, "B", "A")
        speed = _speed(classifiers, splits) if wanted.speed else None
        sides = [
            Side(name, _what(path, classifier), predictions)
            for name, path, classifier, predictions in zip("AB", (a, b), classifiers, (first, second), strict=True)
        ]
    return Comparison(sides[0], sides[1], speed), splits[0] or splits[1]


def _load(stack: ExitStack, path: Path, options: LoadOptions) -> "Classifier | None":
    from torchstone_runtime.inference.classifier import Classifier

    if path.suffix.lower() == ".csv":
        if options.variant is not None:
            raise UsageError(f"{path} is a predictions file: it has no variants.", "Leave the variant out.")
        return None
    return stack.enter_context(Classifier.load_with(path, options))


def _splits(classifiers: "list[Classifier | None]", wanted: _Wanted) -> "list[Split | None]":
    """Return for each model the same samples, prepared as it takes them; None for a predictions file."""
    if classifiers == [None, None]:
        if wanted.dataset is not None:
            raise UsageError("Two predictions files need no --data.", "Leave it out.")
        if wanted.class_map is not None:
            raise UsageError("--class-map renames the classes of --data; there is none.", "Leave it out.")
        return [None, None]
    if wanted.dataset is None:
        raise UsageError(
            "--data is required unless A and B are both CSV files.", "Add it, such as --data fashion-mnist."
        )
    choice = (wanted.dataset, wanted.data_dir, wanted.split, wanted.class_map, wanted.bits)
    splits = [None if item is None else find_split(item, *choice)[0] for item in classifiers]
    first, second = splits
    # Which part is chosen depends on what a model was trained on.
    if first is not None and second is not None and list(first.ids) != list(second.ids):
        raise UsageError(
            "A and B would be measured on different parts of the data.", "Name the part: --split test or --split all."
        )
    if first is not None and second is not None and _are_read_alike(*(item for item in classifiers if item)):
        return [first, first]  # held, and decoded for its fingerprint, once
    return splits


def _are_read_alike(first: "Classifier", second: "Classifier") -> bool:
    return (first.input_spec, first.class_names) == (second.input_spec, second.class_names)


def _predictions(path: Path, classifier: "Classifier | None", split: "Split | None") -> "LabelledPredictions":
    from torchstone_runtime.evaluation.evaluate import evaluate
    from torchstone_runtime.evaluation.predictions_file import read_predictions

    return read_predictions(path) if classifier is None or split is None else evaluate(classifier, split)


def _speed(classifiers: "list[Classifier | None]", splits: "list[Split | None]") -> "TimeEstimate | None":
    from torchstone_runtime.benchmark.timing import compare as measure

    sides = [(item, split) for item, split in zip(classifiers, splits, strict=True) if item and split]
    return measure(*(_call(*side) for side in sides)).ratio if len(sides) == len(splits) else None


def _call(classifier: "Classifier", split: "Split") -> "Callable[[], object]":
    images = next(iter(split.batches(min(_SPEED_IMAGES, len(split)))))
    return lambda: classifier.predict(images)


def _what(path: Path, classifier: "Classifier | None") -> str:
    return str(path) if classifier is None else f"{path}: {classifier.plan}"


def _write(found: "Comparison", split: "Split | None", wanted: _Wanted) -> None:
    from torchstone_runtime.files import write_atomic
    from torchstone_runtime.report import comparison

    document = found.to_json() | {"class_map": split.mapped.to_json() if split and split.mapped else None}
    contents: list[tuple[Path | None, Callable[[], str]]] = [
        (wanted.csv_file, lambda: comparison.differing_csv(found)),
        (wanted.report, lambda: comparison.render_html(found, split)),
    ]
    for path, content in contents:
        if path is not None:
            write_atomic(path, content())
            tell(f"wrote {path}")
    print_result(wanted.json_file, lambda: document, lambda: comparison.render_text(found))
