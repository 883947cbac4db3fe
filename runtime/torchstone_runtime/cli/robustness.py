"""`torchstone robustness`: how the file that ships does on corrupted pictures."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.find_split import find_split, warn_of_data
from torchstone_runtime.cli.gate_options import MIN_ACCURACY_OPTION, require_passed
from torchstone_runtime.cli.options import (
    BUNDLE_PATH,
    REPORT_OPTION,
    SEED_HELP,
    data_option,
    json_option,
    load_options,
    measured_data_options,
)
from torchstone_runtime.cli.output import print_result, require_writable, tell
from torchstone_runtime.components import require_component
from torchstone_runtime.data.split_choice import SplitChoice
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.progress import stage

if TYPE_CHECKING:
    from torchstone_runtime.data.split import Split
    from torchstone_runtime.evaluation.robustness import Robustness
    from torchstone_runtime.inference.classifier import Classifier
    from torchstone_runtime.report.robustness import RobustnessDocument


@command(
    examples=(
        "torchstone robustness bundles/cnn3-1 --data fashion-mnist",
        "torchstone robustness fashion --data folder:photos --corruption gaussian-noise --severity 3",
    )
)
@click.argument("bundle", type=BUNDLE_PATH)
@data_option(required=True)
@measured_data_options
@option(
    *("--corruption", "corruptions"),
    group="Data",
    multiple=True,
    metavar="NAME",
    help="Apply only this corruption; may be repeated.",
)
@option(
    *("--severity", "severities"),
    group="Data",
    multiple=True,
    type=click.IntRange(1, 5),
    help="Apply only this severity, 1 (mild) to 5 (strong); may be repeated.",
)
@option("--seed", group="Data", default=0, show_default=True, type=click.IntRange(min=0), help=SEED_HELP)
@load_options
@json_option
@REPORT_OPTION
@MIN_ACCURACY_OPTION
def robustness(bundle: Path, dataset: str, **options: Any) -> None:  # noqa: ANN401
    """Measure BUNDLE on labelled data under corruptions: noise, blur, geometry, light, at severities 1 to 5.

    Reports accuracy by corruption and severity, and, clean and corrupted: accuracy, calibration error, and accuracy
    and coverage if the model may abstain. --min-accuracy applies to the mean accuracy on corrupted images.
    """
    require_component("cpu", "onnxruntime")
    wanted = _Wanted(**options)
    document = _measure(bundle, dataset, wanted)
    if wanted.report is not None:
        _write_page(wanted.report, document)
    print_result(wanted.json_file, document.to_json, document.to_text)
    require_passed(document.judgements, *document.unanswered)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """The options, as they were given."""

    data_dir: Path | None
    split: SplitChoice
    class_map: Path | None
    bits: int | None
    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    seed: int
    loading: LoadOptions
    json_file: Path | None
    report: Path | None
    min_accuracy: float | None


def _measure(bundle: Path, dataset: str, wanted: _Wanted) -> "RobustnessDocument":
    from torchstone_runtime.inference.classifier import Classifier
    from torchstone_runtime.report.measured_file import MeasuredFile
    from torchstone_runtime.report.robustness import RobustnessDocument

    with Classifier.load_with(bundle, wanted.loading) as classifier:
        split, reason = find_split(classifier, dataset, wanted.data_dir, wanted.split, wanted.class_map, wanted.bits)
        warn_of_data(split, bits_stated=wanted.bits is not None)
        require_writable([wanted.json_file, wanted.report])
        started = time.perf_counter()
        found = _run(classifier, split, wanted)
        seconds = time.perf_counter() - started
        return RobustnessDocument(
            file=MeasuredFile.of(classifier, split, reason, bundle=str(bundle), dataset=dataset),
            robustness=found,
            seconds=seconds,
            min_accuracy=wanted.min_accuracy,
        )


def _write_page(path: Path, document: "RobustnessDocument") -> None:
    from torchstone_runtime.files import write_atomic
    from torchstone_runtime.report.robustness_page import robustness_page

    write_atomic(path, robustness_page(document))
    tell(f"wrote {path}")


def _run(classifier: "Classifier", split: "Split", wanted: _Wanted) -> "Robustness":
    from torchstone_runtime.corruption import CORRUPTIONS, SEVERITIES
    from torchstone_runtime.evaluation.robustness import measure_robustness

    names, levels = wanted.corruptions or tuple(CORRUPTIONS), wanted.severities or SEVERITIES
    passes = 1 + len(set(names)) * len(set(levels))
    with stage("classifying corrupted images", len(split) * passes) as on_images:
        return measure_robustness(classifier, split, names, levels, seed=wanted.seed, on_images=on_images)
