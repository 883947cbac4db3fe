"""Faults put into the study's exports: what each does in exact arithmetic, and what the certificate makes of it.

A fault in the model is not exported again. Its effect is the difference of two float64 evaluations, and the faulty
file's logits are those of the honest file plus that difference: the honest file's own noise stays in. So it is known
of every fault whether there is anything to be found.
"""

import json
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmarks.certificate_study.exports import CLASSES, Case, load_splits, spec_of
from benchmarks.certificate_study.handmade_faults import HANDMADE_FAULTS
from benchmarks.certificate_study.networks import FAMILIES
from benchmarks.places import ROOT

sys.path.insert(0, str(ROOT / "tests"))
from helpers.faults import MODEL_FAULTS, NotApplicable, one_weight
from torchstone_export.certificate.reference import run_module
from torchstone_export.model import ExportableClassifier
from torchstone_train.networks.architectures import ModelShape
from torchstone_train.networks.image_classifier import ImageClassifier

AMOUNTS: Final = tuple(4.0**power for power in range(-12, 1))
"""Changes of one weight, as shares of the largest weight of its layer: from below a rounding to the whole."""
SAMPLES: Final = 96
_WEIGHTS_PER_MODEL: Final = 1


@dataclass(frozen=True, slots=True)
class Effect:
    """What a fault does in exact arithmetic: changes of logits, and of probabilities beyond those."""

    name: str
    logits: Any
    probabilities: Any


def rebuild(case: Case, folder: Path) -> ExportableClassifier:
    """Return the model of a collected case."""
    family = FAMILIES[case.family]
    shape = ModelShape(3 if family.color == "RGB" else 1, family.side, family.side, len(CLASSES))
    model = ExportableClassifier(ImageClassifier(family.build(shape), spec_of(family))).eval()
    model.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    return model


def effects(case: Case, model: ExportableClassifier) -> Iterator[Effect]:
    """Yield every fault that the model has a place for, over the first `SAMPLES` samples of validation and test."""
    splits = load_splits(case)
    images = np.concatenate([next(splits[name].batches(SAMPLES)) for name in ("validation", "test")])[:SAMPLES]
    right = run_module(deepcopy(model).double(), images)
    for name, fault in (MODEL_FAULTS | HANDMADE_FAULTS).items():
        try:
            wrong = run_module(fault(model).double(), images)
        except (NotApplicable, RuntimeError):
            continue  # no place for it, or it cannot run at all, which no check is needed to see
        yield _effect(name, right, wrong)
    for seed in range(_WEIGHTS_PER_MODEL):
        for amount in AMOUNTS:
            wrong = run_module(one_weight(model, amount, seed).double(), images)
            yield _effect(f"one weight #{seed} changed by {amount:.1e}", right, wrong)


def _effect(name: str, right: Any, wrong: Any) -> Effect:  # noqa: ANN401 - pairs of float64 arrays
    return Effect(name, wrong[0] - right[0], wrong[1] - _softmax(wrong[0]))


def _softmax(logits: Any) -> Any:  # noqa: ANN401 - float64 [N, K]
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def collect_faults(case: Case, folder: Path) -> None:
    """Leave the effects of all faults on a case in its folder."""
    target = folder / "faults.npz"
    if target.exists():
        return
    model = rebuild(case, folder)
    names, logits, probabilities = [], [], []
    for effect in effects(case, model):
        names.append(effect.name)
        logits.append(effect.logits)
        probabilities.append(np.abs(effect.probabilities).max())
    np.savez(target, names=json.dumps(names), logits=np.array(logits), probabilities=np.array(probabilities))
