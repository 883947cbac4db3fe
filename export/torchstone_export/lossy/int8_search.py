"""Choosing how to quantise, by measurement on the validation split. The test split is not looked at here."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from torchstone_export.lossy.int8_file import CALIBRATIONS, Int8Config, pixel_scale_of, quantize
from torchstone_export.lossy.layer_error import LayerError, layer_errors, worst_layers
from torchstone_export.lossy.production_run import run_split, serving
from torchstone_export.lossy.search_time import SearchTime
from torchstone_export.lossy.speed import compare_speed
from torchstone_runtime.arrays import Float32Array, Int64Array, Uint8Array
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import first_line
from torchstone_runtime.evaluation.examples import evenly_by_class
from torchstone_runtime.metrics.answered import decide
from torchstone_runtime.metrics.paired import PairedComparison, compare_decisions, mcnemar_exact, score_interval
from torchstone_runtime.progress import stage
from torchstone_runtime.system.cpu import INT8_FEATURES

CALIBRATION_IMAGES: Final = 512
_FEWEST_IMAGES: Final = 256
_CALIBRATION_PIXELS: Final = 4_000_000
"""Every activation of every calibration image is looked at: fewer images where they are large."""
_FLOAT_LAYERS: Final = 3
"""Layers that go back to float one by one; in a network of many layers, twice as many each time after that."""
_FLOAT_SHARE: Final = 4
"""At most one layer in so many goes back to float; with more of them, little would be left to gain."""
_NOT_WORSE: Final = 0.05
"""Candidates that McNemar's test does not tell from the best one at this p value count as equal."""
_CLEARLY_FASTER: Final = 1.03
_ERROR_IMAGES: Final = 128


@dataclass(frozen=True, slots=True)
class Int8Candidate:
    """A configuration with its file and what it did on the validation split."""

    config: Int8Config
    content: bytes
    decisions: Int64Array
    paired: PairedComparison
    rms: float

    def to_json(self) -> dict[str, Any]:
        """Return configuration and figures as JSON data."""
        return {
            "config": self.config.to_json(),
            "validation_accuracy_difference": self.paired.difference,
            "validation_agreement": self.paired.agreeing / self.paired.samples,
            "rms_logit_error": self.rms,
        }


@dataclass(slots=True)
class Int8Choice:
    """The chosen file and the way to it.

    Attributes:
        config: configuration of the file; content: the file.
        plain: the file's model in the form `qdq`, whose nodes can be compared with the float file's.
        layers: errors of its layers; tried: every candidate, in order; speeds: of the forms, ratio to fp32.
        time: time that the search took, and what it left out.
    """

    config: Int8Config
    content: bytes
    plain: bytes
    layers: list[LayerError]
    tried: list[dict[str, Any]] = field(default_factory=list)
    speeds: dict[str, Any] = field(default_factory=dict)
    time: SearchTime = field(default_factory=lambda: SearchTime(float("inf")))


def calibration_sample(train: Split, seed: int = 0) -> Uint8Array:
    """Return training images for calibration, as many of each class as there are, up to an equal share.

    Args:
        train: the training split; no other is used for this.
        seed: seed of the choice.

    Returns:
        uint8 (n, C, H, W), n at most `CALIBRATION_IMAGES`; classes alternate.
    """
    pixels = int(np.prod(train.image_shape))
    count = min(CALIBRATION_IMAGES, max(_FEWEST_IMAGES, _CALIBRATION_PIXELS // pixels))
    random = np.random.RandomState(seed)  # frozen for good, unlike Generator (docs/explanation/design.md, decision 6)
    order = random.permutation(len(train))
    chosen = order[evenly_by_class(train.labels[order], count)]
    return np.ascontiguousarray(train.store.read(chosen))


def choose_int8(
    content: bytes,
    images: Uint8Array,
    validation: Split,
    max_drop: float,
    features: frozenset[str],
    *,
    minutes: float = float("inf"),
) -> Int8Choice:
    """Quantise a file in the ways that come into question and return the best one.

    Calibration and treatment of the pixels by accuracy on the validation split, among equals by agreement with the
    float file, among equals by speed and error of the logits; then, while the accuracy can't be shown to be within
    `max_drop`, the layers that add most noise go back to float: one by one up to three, then in a network of many
    layers more at a time, up to a quarter of them; then the form by speed. What does not fit into the time is left
    out, the likeliest to be chosen first.

    Args:
        content: the float file.
        images: images for calibration, uint8 (N, C, H, W).
        validation: labelled validation split.
        max_drop: largest accepted drop of the accuracy, 0 to 1.
        features: features of the processor, by the Linux kernel's names.
        minutes: time of the whole search; its first candidate is made in any case.
    """
    search = SearchTime(minutes)
    num_classes = len(validation.class_names)
    logits, _ = run_split(content, validation, num_classes)
    bits = 8 if features.intersection(INT8_FEATURES) else 7

    def measure(config: Int8Config) -> Int8Candidate:
        return _measure(quantize(content, images, config), config, validation, logits)

    configs = list(_configs(foldable=pixel_scale_of(content) is not None, bits=bits))
    candidates = []
    for number, config in enumerate(configs, 1):
        if search.allows(str(config)):
            with stage(f"way {number} of {len(configs)} to calibrate"):
                candidates.append(measure(config))
    best, tried = _best(candidates, validation.labels, decide(logits)), list(candidates)
    errors = layer_errors(content, best.content, images[:_ERROR_IMAGES])
    for count in _steps_to_float(len(errors)):
        worst = [] if _within(best.paired, max_drop) else worst_layers(errors, count)
        if not worst or not search.allows(f"{len(best.config.float_layers) + len(worst)} layers in float"):
            break
        kept = (*best.config.float_layers, *(layer.node for layer in worst))
        with stage(f"with {len(kept)} layers in float"):
            best = measure(replace(best.config, float_layers=kept))
            errors = layer_errors(content, best.content, images[:_ERROR_IMAGES])
        tried.append(best)
    choice = Int8Choice(
        best.config, best.content, best.content, errors, [item.to_json() for item in tried], time=search
    )
    with stage("comparing the speed of forms"):
        _choose_form(choice, validation, num_classes, lambda config: quantize(content, images, config))
    return choice


def _steps_to_float(layers: int) -> Iterable[int]:
    """Return how many more layers go back to float at each step."""
    kept, count = 0, 1
    while kept + count <= max(_FLOAT_LAYERS, layers // _FLOAT_SHARE):
        yield count
        kept += count
        count = 1 if kept < _FLOAT_LAYERS else 2 * count


def _configs(*, foldable: bool, bits: int) -> Iterable[Int8Config]:
    for calibration in CALIBRATIONS:
        for folded in (True, False) if foldable else (False,):
            yield Int8Config(calibration=calibration, folded_input=folded, weight_bits=7 if bits < 8 else 8)  # noqa: PLR2004


def _measure(content: bytes, config: Int8Config, validation: Split, exact: Float32Array) -> Int8Candidate:
    logits, _ = run_split(content, validation, exact.shape[1])
    decisions = decide(logits)
    paired = compare_decisions(validation.labels, decide(exact), decisions)
    rms = float(np.sqrt(np.square(logits.astype(np.float64) - exact).mean()))
    return Int8Candidate(config, content, decisions, paired, rms)


def _best(candidates: list[Int8Candidate], labels: Int64Array, exact: Int64Array) -> Int8Candidate:
    # As often right, then as often like the float file, as far as can be told; then the faster; then the closer.
    equal = _not_worse(_not_worse(candidates, labels), exact)
    return max(equal, key=lambda item: (item.config.folded_input, -item.rms))


def _not_worse(candidates: list[Int8Candidate], target: Int64Array) -> list[Int8Candidate]:
    top = max(candidates, key=lambda item: int((item.decisions == target).sum()))
    pairs = [(item, compare_decisions(target, top.decisions, item.decisions)) for item in candidates]
    return [item for item, paired in pairs if mcnemar_exact(paired.gained, paired.lost) > _NOT_WORSE]


def _within(paired: PairedComparison, max_drop: float) -> bool:
    if score_interval(0, 0, paired.samples)[0] <= -max_drop:
        return paired.difference >= -max_drop  # too few samples to show more, whatever the file does
    return paired.interval_95[0] > -max_drop


def _choose_form(
    choice: Int8Choice,
    validation: Split,
    num_classes: int,
    build: Callable[[Int8Config], bytes],
) -> None:
    # The same arithmetic in other forms: only their speed differs.
    images = np.ascontiguousarray(next(validation.batches(1024)))
    others = [replace(choice.config, form="qoperator")]
    if not choice.config.folded_input:
        others.append(replace(choice.config, activations="int8"))
    plain = choice.content
    for config in others:
        if not choice.time.allows(str(config)):
            continue
        try:
            built = build(config)
            with (
                serving(plain, num_classes) as first,
                serving(plain, num_classes) as again,
                serving(built, num_classes) as other,
            ):
                speed = compare_speed(first, again, other, images)
        except Exception as error:  # noqa: BLE001 - a form that can't be built or run does not come into question
            choice.speeds[str(config)] = {"failed": first_line(error)}
            continue
        choice.speeds[str(config)] = {"ratio_to_qdq_uint8": speed.ratio, "interval_95": list(speed.interval_95)}
        faster_than_chosen = speed.ratio / choice.speeds.get(str(choice.config), {}).get("ratio_to_qdq_uint8", 1.0)
        if speed.interval_95[0] > _CLEARLY_FASTER and faster_than_chosen > 1:
            choice.config, choice.content = config, built
