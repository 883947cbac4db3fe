"""A cascade from two training runs: found to belong together, routed by their validation images, exported as one."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from torchstone_export.cascade.cascade_file import join
from torchstone_export.cascade.confidence_cascade import CascadeClassifier, Routing, choose_threshold, look
from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.model import ExportableClassifier, TrainedModel, load_trained
from torchstone_export.run_over import run_over_split
from torchstone_runtime.arrays import Float32Array
from torchstone_runtime.bundle.manifest import essentials_json
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import UsageError
from torchstone_train.networks.image_classifier import ImageClassifier
from torchstone_train.run.run_dir import RunDirectory

_BATCH = 256


def load_first(run: RunDirectory, second: TrainedModel) -> TrainedModel:
    """Load the fast model of a cascade.

    Args:
        run: its run.
        second: the accurate model.

    Raises:
        DataError: the run is incomplete or contradicts itself.
        UsageError: the two take other pictures or know other classes, or one was trained on the validation or test
            images of the other, so that nothing could be chosen or proven with them.
    """
    first = load_trained(run)
    _require_alike("classes", first.class_names == second.class_names, run.path)
    alike = first.spec.color == second.spec.color and second.spec == replace(
        first.spec, mean=second.spec.mean, std=second.spec.std
    )
    _require_alike("pictures", alike, run.path)
    ours, theirs = (model.provenance["dataset"] for model in (second, first))
    for split in ("validation", "test"):
        _require_alike(f"{split} images", ours[split]["fingerprint"] == theirs[split]["fingerprint"], run.path)
    return first


def _require_alike(what: str, alike: bool, path: Path) -> None:
    if not alike:
        raise UsageError(
            f"The model of --fast {path} was made for other {what} than that of RUN.",
            "Train both on the same data with the same --seed, --val-fraction and image size.",
        )


def choose_routing(
    first: TrainedModel, second: TrainedModel, validation: Split, *, threshold: float | None, mirror: bool
) -> Routing:
    """Return the routing: with the threshold asked for, or with the one that `cascade.choose_threshold` finds.

    Args:
        first: the fast model.
        second: the accurate one.
        validation: split on which the threshold is chosen.
        threshold: threshold that is asked for, 0 to 1; None: chosen.
        mirror: whether the accurate model also looks at mirror images.
    """
    if threshold is not None:
        return Routing(threshold=threshold, mirror=mirror)
    fast = _logits(_plain(first), validation, mirror=False)
    accurate = _logits(_plain(second), validation, mirror=mirror)
    return choose_threshold(fast, accurate, validation.labels, mirror=mirror)


def cascade_of(
    first: TrainedModel, second: TrainedModel, routing: Routing, splits: Mapping[str, Split] | None = None
) -> TrainedModel:
    """Return two models as one, named after both; its provenance is that of `second`, with that of `first` inside.

    Args:
        first: the fast model.
        second: the accurate one.
        routing: rule that says which model answers which image.
        splits: splits of which the share that `second` is asked about is counted and recorded.
    """
    classifier = CascadeClassifier(_plain(first), _plain(second), second.spec, routing)
    origin: dict[str, Any] = {"fast": first.provenance, "routing": routing.to_json()}
    if splits is not None:
        origin["asked"] = {name: _share_asked(first, split, routing) for name, split in splits.items()}
    return replace(
        second,
        name=f"{first.name}+{second.name}",
        module=ExportableClassifier(classifier).eval(),
        provenance=second.provenance | {"cascade": origin},
    )


def export_cascade(model: TrainedModel, cascade: CascadeClassifier) -> bytes:
    """Return a cascade as one ONNX file.

    Args:
        model: model that the cascade is the classifier of.
        cascade: its two classifiers; the normalisation of pixels is each one's own.
    """
    fast, accurate = (
        export_onnx(ExportableClassifier(part).eval(), model.name, model.class_names, model.spec)
        for part in (cascade.fast, ImageClassifier(cascade.network, model.spec, cascade.channels))
    )
    temperature = model.module.temperature
    essentials = essentials_json(model.name, model.class_names, model.spec, temperature)
    return join(fast, accurate, cascade.routing, temperature, essentials)


def _plain(model: TrainedModel) -> ImageClassifier:
    if isinstance(model.module.classifier, CascadeClassifier):
        raise UsageError(f"{model.name} is a cascade already.", "Make a cascade of two plain models.")
    return model.module.classifier


def _share_asked(first: TrainedModel, split: Split, routing: Routing) -> float:
    confidence = torch.from_numpy(_logits(_plain(first), split, mirror=False)).softmax(1).amax(1)
    return float((confidence < routing.threshold).double().mean())


@torch.inference_mode()
def _logits(classifier: ImageClassifier, split: Split, *, mirror: bool) -> Float32Array:
    return run_over_split(
        split,
        _BATCH,
        lambda images: look(classifier, torch.from_numpy(images), mirror=mirror).numpy(),
        "choosing the threshold",
    )
