"""The network of a training: a fresh one by its architecture, or a backbone with its weights."""

from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.networks.image_classifier import BACKBONE_CHANNELS, ImageClassifier, build_classifier
from torchstone_train.networks.shape import ModelShape
from torchstone_train.request import TrainingRequest
from torchstone_train.run.run_dir import RunDirectory

_SHOWN: Final = 16
"""Digits of a SHA-256 that a person reads."""


@dataclass(frozen=True, eq=False, slots=True)
class ChosenNetwork:
    """A network before its training.

    Attributes:
        model: the network behind its normalisation, on the CPU.
        request: the request, whose recipe names the last layer of a backbone.
        record: entry of `run.json` on a backbone; None where there is none.
        notes: lines for a person.
    """

    model: ImageClassifier
    request: TrainingRequest
    record: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()

    @property
    def pretrained(self) -> bool:
        """Whether it begins with pretrained weights."""
        return self.record is not None and self.record["weights"]["name"] != "none"


def resolve_backbone(request: TrainingRequest) -> TrainingRequest:
    """Return a request whose recipe has the full name of its backbone, and the last layer that a run records.

    Raises:
        UsageError: no backbone was named or there is none of that name, or weights for a recipe without one.
        DataError: the run that is to go on is damaged.
    """
    recipe = request.recipe
    if recipe.method == "scratch":
        if request.weights is not None:
            raise UsageError(
                f"--weights is for a backbone; {recipe.name} begins with fresh weights.",
                "Such as: torchstone train finetune --backbone resnet18 --weights FILE",
            )
        return request
    if not recipe.architecture:
        raise UsageError(
            f"The recipe {recipe.name} needs a backbone.",
            "Such as --backbone resnet18; torchstone recipes --backbones lists them.",
        )
    from torchstone_train.networks.backbones.opening import resolve_architecture  # noqa: PLC0415 - loads torchvision

    head = recipe.head
    if request.resume and not head:
        run = RunDirectory.open(request.out)
        with run.told_if_damaged():
            head = str(run.read_info()["recipe"].get("head", ""))
    return replace(request, recipe=replace(recipe, architecture=resolve_architecture(recipe.architecture), head=head))


def input_of_weights(request: TrainingRequest) -> InputSpec | None:
    """Return the input that a backbone's weights were made for; None where nothing states it, or there is no backbone.

    Raises:
        UsageError: nothing states it, and it was not said.
    """
    recipe = request.recipe
    if recipe.method == "scratch":
        return None
    from torchstone_train.networks.backbones.opening import stated_input  # noqa: PLC0415 - loads torchvision

    stated = stated_input(recipe.architecture, request.weights or "default")
    if stated is None:
        _require_said(request)
        return None
    return InputSpec(
        color="RGB",
        height=stated.height,
        width=stated.width,
        resample=stated.resample,
        fit=stated.fit,
        resize=stated.resize,
        fill=stated.fill,
        mean=stated.mean,
        std=stated.std,
    )


def _require_said(request: TrainingRequest) -> None:
    said: dict[str, object] = {"--mean": request.mean, "--std": request.std}
    if request.dataset.has_pictures:
        said |= {"--image-size": request.image_size, "--fit": request.geometry.fit}
    missing = [name for name, value in said.items() if value is None]
    if missing and not request.resume:
        raise UsageError(
            f"Nothing states which pictures the weights of {request.recipe.architecture} were made for.",
            f"Say it: {', '.join(missing)}. Such as --image-size 224 --fit crop --mean 0.485,0.456,0.406 --std "
            "0.229,0.224,0.225.",
        )


def open_network(request: TrainingRequest, spec: InputSpec, num_classes: int) -> ChosenNetwork:
    """Build the network of a training, with the seed's weights, and the pretrained ones of a backbone.

    A run that goes on after an epoch has all weights in its checkpoint: nothing else is read or downloaded.

    Raises:
        UsageError, DataError: as for `build_classifier` and `open_backbone`.
    """
    torch.manual_seed(request.seed)
    recipe = request.recipe
    if recipe.method == "scratch":
        return ChosenNetwork(build_classifier(recipe.architecture, spec, num_classes), request)
    run = RunDirectory(request.out)
    if request.resume and run.has_checkpoint:
        with run.told_if_damaged():
            record = dict(run.read_info()["backbone"])
        resumed = build_classifier(recipe.architecture, spec, num_classes, recipe.head)
        return ChosenNetwork(_channels_last(resumed), request, record)
    from torchstone_train.networks.backbones.opening import open_backbone  # noqa: PLC0415 - loads torchvision

    shape = ModelShape(spec.channels, spec.height, spec.width, num_classes)
    opened = open_backbone(recipe.architecture, shape, request.weights or "default", recipe.head)
    _require_same(request, opened.origin)
    record = {"architecture": recipe.architecture, "head": opened.head, "weights": opened.origin}
    model = _channels_last(ImageClassifier(opened.network, spec, BACKBONE_CHANNELS))
    named = replace(request, recipe=replace(recipe, head=opened.head))
    return ChosenNetwork(model, named, record, tuple(f"weights  {note}" for note in opened.notes))


def _channels_last(model: ImageClassifier) -> ImageClassifier:
    # What convolutions of many channels are fastest on, on CPUs and GPUs; other layers don't mind.
    return model.to(memory_format=torch.channels_last)


def describe_network(chosen: ChosenNetwork, spec: InputSpec) -> list[str]:
    """Return lines for a person on a backbone and its input; none where there is none."""
    if chosen.record is None:
        return []
    weights = chosen.record["weights"]
    digits = f" (SHA-256 {weights['sha256'][:_SHOWN]}…)" if "sha256" in weights else ""
    fit = {"crop": f"the shorter side {spec.resize}, then the centre", "pad": "padded", "stretch": "stretched"}[
        spec.fit
    ]
    mean, std = (", ".join(f"{value:.3g}" for value in values) for values in (spec.mean, spec.std))
    return [
        f"backbone {chosen.record['architecture']} with {chosen.record['head']} as last layer",
        f"weights  {weights['name']}{digits}",
        f"input    {spec.height} x {spec.width} {spec.color}, {fit}, {spec.resample}; mean {mean}; std {std}",
        *chosen.notes,
    ]


def _require_same(request: TrainingRequest, origin: dict[str, str]) -> None:
    wanted, found = request.weights_sha256, origin.get("sha256", "")
    if wanted is not None and found != wanted:
        raise UsageError(
            f"These are not the weights that the run began with: their SHA-256 is {found[:_SHOWN] or 'unknown'}…, that "
            f"of the run's {wanted[:_SHOWN]}….",
            "Name the file with --weights.",
        )
