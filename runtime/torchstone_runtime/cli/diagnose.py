"""`torchstone diagnose`: what does a preprocessing written elsewhere do wrong?"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.options import BUNDLE_PATH, json_option
from torchstone_runtime.cli.output import print_result, require_writable
from torchstone_runtime.components import require_component
from torchstone_runtime.errors import UsageError
from torchstone_runtime.text import showable_lines

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from torchstone_runtime.arrays import Uint8Array
    from torchstone_runtime.bundle.bundle import Bundle
    from torchstone_runtime.diagnosis import Diagnosis
    from torchstone_runtime.images.input_spec import InputSpec
    from torchstone_runtime.inference.classifier import Classifier

_BY_CHANNEL = "  {:<8}{:>22}{:>22}"


@command(examples=("torchstone diagnose bundles/cnn3-1 --golden 2 --tensor mine.npy",))
@click.argument("bundle", type=BUNDLE_PATH)
@option(
    *("--golden", "index"),
    group="Data",
    required=True,
    type=click.IntRange(min=0),
    help="Number of the golden image, from 0.",
)
@option(
    "--tensor",
    group="Data",
    required=True,
    type=click.Path(path_type=Path),
    help="Tensor that your preprocessing makes of that image (.npy).",
)
@option(
    *("--image", "picture"),
    group="Data",
    type=click.Path(path_type=Path),
    help="Picture file that both started from, if it had to be resized.",
)
@json_option
@click.pass_context
def diagnose(
    context: click.Context, bundle: Path, index: int, tensor: Path, picture: Path | None, json_file: Path | None
) -> None:
    """Find the mistake in your own preprocessing, from its tensor of a golden image of BUNDLE.

    The golden images are the array `images` of the bundle's golden.npz (uint8, N x C x H x W). Raw pixels and
    normalised values are both accepted. The exit code is 1 if a mistake is found, or if no known mistake explains the
    tensor.
    """
    require_component("cpu", "onnxruntime")
    from torchstone_runtime.bundle.bundle import Bundle
    from torchstone_runtime.diagnosis import diagnose_preprocessing, read_tensor
    from torchstone_runtime.inference.classifier import Classifier

    require_writable([json_file])
    golden = _golden_image(Bundle.open(bundle), index)
    array = read_tensor(tensor)
    with Classifier.load(bundle) as classifier:
        spec = classifier.input_spec
        found = diagnose_preprocessing(array, golden, spec, picture)
        classes = _classes(classifier, golden, array, found)
    print_result(
        json_file,
        lambda: {"golden": index, **found.to_json(), **_right_constants(spec), **classes},
        lambda: showable_lines([*_describe(found, spec), *_describe_classes(classes)]),
    )
    context.exit(0 if found.right else 1)


def _golden_image(bundle: "Bundle", index: int) -> "Uint8Array":
    from torchstone_runtime.bundle.golden import golden_images

    images = golden_images(bundle)
    if index >= len(images):
        raise UsageError(f"There is no golden image {index}.", f"The bundle has {len(images)}: 0 to {len(images) - 1}.")
    image: Uint8Array = images[index]
    return image


def _classes(
    classifier: "Classifier", golden: "Uint8Array", tensor: "npt.NDArray[np.generic]", found: "Diagnosis"
) -> dict[str, Any]:
    from torchstone_runtime.diagnosis.model_input import as_pixels

    classes: dict[str, Any] = {"expected": _answer(classifier, golden), "for_this_tensor": None}
    if (given := as_pixels(tensor, found.stage, classifier.input_spec)) is not None:
        pixels, clipped = given
        classes["for_this_tensor"] = {**_answer(classifier, pixels), "share_clipped": clipped}
    return {"classes": classes}


def _answer(classifier: "Classifier", pixels: "Uint8Array") -> dict[str, Any]:
    answer = classifier.predict(pixels, unanswered="keep")
    (label,) = answer.labels_or_none
    return {"class": label, "probability": None if label is None else float(answer.confidences[0])}


def _right_constants(spec: "InputSpec") -> dict[str, list[float]]:
    return {"right_mean": list(spec.mean), "right_std": list(spec.std)}


def _describe(found: "Diagnosis", spec: "InputSpec") -> list[str]:
    if not found.explained:
        return ["None of the known mistakes explains this tensor.", found.note]
    lines = _verdict(found)
    if found.estimated_mean:
        lines.append(_BY_CHANNEL.format("", "used", "right"))
        for name, used, right in (
            ("mean", found.estimated_mean, spec.mean),
            ("std", found.estimated_std, spec.std),
        ):
            lines.append(_BY_CHANNEL.format(name, _numbers(used), _numbers(right)))
    lines += [f"or: {' '.join(mistake.text for mistake in one)}" for one in found.alternatives]
    if found.invisible:
        lines.append(f"Not visible on this image, so not ruled out: {', '.join(found.invisible)}. Try another one.")
    return lines + ([found.note] if found.note else [])


def _verdict(found: "Diagnosis") -> list[str]:
    if found.right_for_graph:
        return ["No mistake: the tensor is what the model expects (raw uint8 pixels)."]
    if found.right:
        return [
            "No mistake in the values: they are those that the model computes inside its graph.",
            "But the graph takes raw uint8 pixels and normalises them itself: this tensor would be normalised twice.",
        ]
    stage = [] if found.stage == "unknown" else [f"stage    {found.stage}; the graph takes raw uint8 pixels"]
    return [*(f"mistake  {mistake.code}: {mistake.text}" for mistake in found.mistakes), *stage]


def _describe_classes(classes: dict[str, Any]) -> list[str]:
    expected, given = classes["classes"]["expected"], classes["classes"]["for_this_tensor"]
    lines = [f"expected {_said(expected)}"]
    if given is None:
        return [*lines, "given    can't be run: the graph does not accept its shape or its values"]
    clipped = given["share_clipped"]
    limit = f" ({clipped:.0%} of the values are beyond what pixels can express, and were clipped)" if clipped else ""
    return [*lines, f"given    {_said(given)}{limit}"]


def _said(answer: dict[str, Any]) -> str:
    from torchstone_runtime.metrics.answered import NO_ANSWER_TEXT

    return NO_ANSWER_TEXT if answer["class"] is None else f"{answer['class']} {answer['probability']:.4f}"


def _numbers(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:.4g}" for value in values)
