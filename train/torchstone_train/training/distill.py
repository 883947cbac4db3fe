"""Distillation: a training that learns from better models' answers beside the labels."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.manifest import Manifest
from torchstone_runtime.data.known_fingerprints import known_fingerprint
from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.data.training_data import TrainingData

if TYPE_CHECKING:
    from torchstone_runtime.inference.classifier import Classifier


@dataclass(frozen=True, slots=True)
class Member:
    """One opened bundle; its logits are divided by its temperature, as its probabilities are."""

    classifier: "Classifier"
    manifest: Manifest


class Teacher:
    """Exported bundles whose answers to the very images that a training sees, with their changes, are learnt.

    Bundles rather than runs: ONNX Runtime answers faster on a CPU than PyTorch, and a teacher may come from anywhere.
    Of several the mean of the logits is taken.

    Args:
        members: teachers whose logits are averaged, at least one.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members

    @classmethod
    def open(cls, paths: Sequence[Path], data: TrainingData, device: torch.device, threads: int) -> Self:
        """Load bundles; on a GPU where ONNX Runtime has one and the training does, else on the CPU.

        Args:
            paths: paths of the bundles.
            data: data of the training, whose images and classes must be the bundles'.
            device: device of the training.
            threads: calls that run at once.

        Raises:
            UsageError: a bundle takes other images, or pictures fitted or decoded otherwise, or has other classes, or
                has learnt from images that this training is validated on.
            BundleError, CheckFailedError, ProviderError: as for `Classifier.load`.
        """
        from torchstone_runtime.inference.classifier import Classifier  # noqa: PLC0415 - loads ONNX Runtime: [train] lacks it

        # Not by name: torchstone[all] brings PyTorch with CUDA and ONNX Runtime without.
        provider = "auto" if device.type == "cuda" else "cpu"
        with ExitStack() as opened:
            members = []
            for path in paths:
                bundle = Bundle.open(path)
                check_teacher(str(path), bundle.manifest, data)
                classifier = Classifier.load(path, provider=provider, threads=threads)
                members.append(Member(opened.enter_context(classifier), bundle.manifest))
            opened.pop_all()
        return cls(members)

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits, float32 (N, K) on the images' device, of uint8 images (N, C, H, W)."""
        pixels = np.ascontiguousarray(images.cpu().numpy())
        answers = [member.classifier.predict(pixels).logits / member.manifest.temperature for member in self._members]
        return torch.from_numpy(np.mean(answers, axis=0, dtype=np.float32)).to(images.device)

    def to_json(self) -> list[dict[str, Any]]:
        """Return what identifies each bundle: its name, seed, variant, and the SHA-256 of the file that answers."""
        return [_identify(member) for member in self._members]

    def close(self) -> None:
        """Give the sessions back."""
        for member in self._members:
            member.classifier.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def distillation_loss(
    logits: Tensor, teacher_logits: Tensor, temperature: float, weights: Tensor | None = None
) -> Tensor:
    """Return how far answers are from a teacher's: the mean over a batch of the Kullback-Leibler divergence.

    Both sides are softened by the temperature, and the divergence is multiplied by its square, so that the gradients
    stay as large as those of the labels' loss (G. Hinton, O. Vinyals and J. Dean, arXiv 1503.02531, section 2).

    Args:
        logits: float32 (N, K), of the model in training.
        teacher_logits: logits of the teacher, float32 (N, K).
        temperature: greater than 0.
        weights: weight of each image, float32 (N), whose mean over the training images is 1; all 1 if None.
    """
    own, theirs = (values.div(temperature).log_softmax(dim=1) for values in (logits, teacher_logits))
    if weights is None:
        return nn.functional.kl_div(own, theirs, log_target=True, reduction="batchmean") * temperature**2
    divergences = nn.functional.kl_div(own, theirs, log_target=True, reduction="none").sum(dim=1)
    return (divergences * weights).mean() * temperature**2


def check_teacher(name: str, manifest: Manifest, data: TrainingData) -> None:
    """Refuse a teacher that doesn't fit, or whose knowledge would make the validation figures worthless.

    Raises:
        UsageError: see `Teacher.open`.
    """
    if manifest.class_names != data.train.class_names:
        raise UsageError(
            f"The teacher {name} tells other classes apart: {', '.join(manifest.class_names[:5])}...",
            f"Give one for the classes of {data.ref}: {', '.join(data.train.class_names[:5])}...",
        )
    if manifest.input_spec.shape != data.spec.shape:
        raise UsageError(
            f"The teacher {name} takes images of {manifest.input_spec.shape}, those of {data.ref} are "
            f"{data.spec.shape}.",
            "Give a teacher that takes the same images.",
        )
    if data.ref.has_pictures and (options := _options_of_pictures(manifest.input_spec, data.spec)):
        # The fingerprints below are of pixels: read otherwise, the images that it has learnt from would not be known.
        raise UsageError(
            f"The teacher {name} takes pictures that are fitted or decoded otherwise than in this training.",
            f"Read them as the teacher does: {' '.join(options)}",
        )
    learnt_from: Mapping[str, Any] = manifest.provenance.get("dataset", {})
    if "fold" in learnt_from:
        raise UsageError(
            f"The teacher {name} was trained on a fold of a cross-validation, which may hold images that this training "
            "is validated on.",
            "Give a teacher that was trained without --folds.",
        )
    same_data = learnt_from.get("test", {}).get("fingerprint") == known_fingerprint(data.test)
    same_split = learnt_from.get("validation", {}).get("fingerprint") == known_fingerprint(data.validation)
    if "train" in learnt_from and same_data and not same_split:
        raise UsageError(
            f"The teacher {name} was trained on images that this training is validated on.",
            "Train both with the same --seed and --val-fraction, so that they hold out the same images.",
        )


def _options_of_pictures(wanted: InputSpec, own: InputSpec) -> list[str]:
    """Return the options with which pictures of the same size are read as another input has them; none if they are."""
    spelled = {
        "fit": f"--fit {wanted.fit}",
        "resize": f"--resize {wanted.resize}",
        "fill": f"--fill {wanted.fill}",
        "resample": f"--resize-filter {wanted.resample}",
        "antialias": "--antialias" if wanted.antialias else "--no-antialias",
        "decode": f"--decode {wanted.decode}",
        "bits": f"--bits {wanted.bits}",
    }
    of_other_fits = {"resize": "crop", "fill": "pad"}
    return [
        text
        for field, text in spelled.items()
        if getattr(wanted, field) != getattr(own, field) and of_other_fits.get(field, wanted.fit) == wanted.fit
    ]


def _identify(member: Member) -> dict[str, Any]:
    variant, manifest = member.classifier.plan.variant, member.manifest
    return {
        "name": manifest.name,
        "seed": manifest.provenance.get("seed"),
        "variant": variant,
        "sha256": manifest.variants[variant].sha256,
    }
