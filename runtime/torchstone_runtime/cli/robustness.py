"""`torchstone robustness`: how the file that ships does on corrupted pictures."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from torchstone_runtime.cli.find_split import find_split, warn_of_data
from torchstone_runtime.cli.gate_options import require_passed
from torchstone_runtime.cli.options import BITS_OPTION, BUNDLE_PATH, CLASS_MAP_OPTION, load_options
from torchstone_runtime.cli.output import is_stdout, require_writable, tell
from torchstone_runtime.components import require_component
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.strict_json import strict_json

if TYPE_CHECKING:
    from torchstone_runtime.data.split import Split
    from torchstone_runtime.evaluation.robustness import Robustness
    from torchstone_runtime.inference.classifier import Classifier
    from torchstone_runtime.report.robustness import RobustnessDocument


@click.command()
@click.argument("bundle", type=BUNDLE_PATH)
@click.option("--data", "dataset", required=True, help="digits, fashion-mnist, mnist, folder:PATH or npz:FILE.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where datasets lie [TORCHSTONE_DATA, or ./data].")
@click.option(
    "--split",
    type=click.Choice(["auto", "test", "train", "all"]),
    default="auto",
    show_default=True,
    help="Which part, as for evaluate.",
)
@CLASS_MAP_OPTION
@BITS_OPTION
@click.option("--corruption", "corruptions", multiple=True, metavar="NAME", help="Only this one; may be repeated.")
@click.option(
    "--severity",
    "severities",
    multiple=True,
    type=click.IntRange(1, 5),
    help="Only this one, 1 (mild) to 5 (strong); may be repeated.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of the corruptions.")
@load_options
@click.option("--json", "json_file", type=click.Path(path_type=Path, allow_dash=True), help="JSON; - for stdout only.")
@click.option(
    "--min-accuracy",
    type=click.FloatRange(0, 1),
    help="Exit with 1 where the mean accuracy on corrupted images is lower.",
)
def robustness(bundle: Path, dataset: str, **options: Any) -> None:  # noqa: ANN401
    """Measure BUNDLE on labelled data under corruptions: noise, blur, geometry, light, at severities 1 to 5.

    Accuracy by corruption and severity; calibration error; accuracy and coverage where the model may abstain; clean
    and corrupted. With --min-accuracy it is a gate: exit code 1 where the mean over all corruptions is lower.
    """
    require_component("cpu", "onnxruntime")
    wanted = _Wanted(**options)
    document = _measure(bundle, dataset, wanted)
    text = strict_json(document.to_json(), indent=2)
    if wanted.json_file and not is_stdout(wanted.json_file):
        from torchstone_runtime.files import write_atomic  # noqa: PLC0415 - --help must not load it

        write_atomic(wanted.json_file, text + "\n")
        tell(f"wrote {wanted.json_file}")
    click.echo(text if is_stdout(wanted.json_file) else document.to_text())
    require_passed(document.judgements, *document.unanswered)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """The options, as they were given."""

    data_dir: Path | None
    split: str
    class_map: Path | None
    bits: int | None
    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    seed: int
    loading: LoadOptions
    json_file: Path | None
    min_accuracy: float | None


def _measure(bundle: Path, dataset: str, wanted: _Wanted) -> "RobustnessDocument":
    import time  # noqa: PLC0415 - --help needs none

    from torchstone_runtime.evaluation.choose_split import certified_fingerprint  # noqa: PLC0415
    from torchstone_runtime.inference.classifier import Classifier  # noqa: PLC0415 - --help must not load NumPy
    from torchstone_runtime.report.robustness import RobustnessDocument  # noqa: PLC0415

    with Classifier.load_with(bundle, wanted.loading) as classifier:
        split, reason = find_split(classifier, dataset, wanted.data_dir, wanted.split, wanted.class_map, wanted.bits)
        warn_of_data(split, bits_stated=wanted.bits is not None)
        require_writable([None if is_stdout(wanted.json_file) else wanted.json_file])
        started = time.perf_counter()
        found = _run(classifier, split, wanted)
        seconds = time.perf_counter() - started
        return RobustnessDocument(
            model=classifier.name,
            bundle=str(bundle),
            sha256=classifier.sha256,
            plan=classifier.plan,
            dataset=dataset,
            split=split,
            split_reason=reason,
            certified=split.fingerprint == certified_fingerprint(classifier.provenance),
            robustness=found,
            seconds=seconds,
            min_accuracy=wanted.min_accuracy,
        )


def _run(classifier: "Classifier", split: "Split", wanted: _Wanted) -> "Robustness":
    from torchstone_runtime.corruption import CORRUPTIONS, SEVERITIES  # noqa: PLC0415 - --help must not load NumPy
    from torchstone_runtime.evaluation.robustness import measure_robustness  # noqa: PLC0415

    names, levels = wanted.corruptions or tuple(CORRUPTIONS), wanted.severities or SEVERITIES
    passes = 1 + len(set(names)) * len(set(levels))
    with _progress(len(split) * passes) as on_images:
        return measure_robustness(classifier, split, names, levels, seed=wanted.seed, on_images=on_images)


@contextmanager
def _progress(images: int) -> Iterator[Callable[[int], None]]:
    hidden = not sys.stderr.isatty()
    with click.progressbar(length=images, label="images", file=sys.stderr, hidden=hidden) as bar:
        yield bar.update
