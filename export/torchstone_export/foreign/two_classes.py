"""A model of one output, a probability or its logit, as one of two classes."""

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from torchstone_export.foreign.model_spec import ModelSpec, OutputKind
from torchstone_runtime.errors import DataError, UsageError
from torchstone_runtime.text import showable

SMALLEST: Final = float(np.finfo(np.float32).tiny)
LARGEST: Final = 1 - 2.0**-24
"""Of a probability of which a logit is made: float32's largest number below 1."""
STEP: Final = 2.0**-18
"""Smallest logit of a positive answer: so far from 0 that the two probabilities differ in float32, divided by a
temperature of up to 32 as well."""
_SIGMOIDS: Final = frozenset({torch.sigmoid, Tensor.sigmoid, torch.nn.functional.sigmoid, torch.special.expit})


@dataclass(frozen=True, slots=True)
class TwoClasses:
    """How one output becomes the logits of two classes, negative and positive.

    Attributes:
        output: kind of the model's output; `logits` where its final sigmoid was taken off.
        threshold: probability above which the answer is the positive class.
        sigmoid: whether a final sigmoid was taken off.
        logit_decides: whether what the sigmoid was taken off decides in its place: PyTorch's sigmoid and ONNX Runtime's
            differ in their last bits, which move the decision by more than a logit's rounding where p is small.
    """

    output: OutputKind
    threshold: float
    sigmoid: bool
    logit_decides: bool = False

    @property
    def shift(self) -> float:
        """What is taken from the logit, so that 0 is the threshold."""
        return math.log(self.threshold) - math.log1p(-self.threshold)

    @property
    def limit(self) -> float:
        """What the deciding number is compared with, a float32 number: the threshold, or the logit of it."""
        return float(np.float32(self.threshold if self.decided_by_probability else self.shift))

    @property
    def decided_by_probability(self) -> bool:
        """Whether the probability decides, as it is rounded, and not a logit."""
        return (self.sigmoid and not self.logit_decides) or self.output != "logits"

    def logits(self, output: Tensor, dtype: torch.dtype | None = None, chance: Tensor | None = None) -> Tensor:
        """Return logits (N, 2), `0` and `z - shift`, of a model's output (N) or (N, 1).

        The second is above 0 exactly where the deciding number is above the limit, whatever the logarithm rounds to.

        Args:
            output: output of the model, or the argument of its final sigmoid, where that was taken off.
            dtype: data type of the logits; None: the output's, at least float32.
            chance: output of the final sigmoid, which decides; None: computed.
        """
        own = output.reshape(-1, 1)
        # A half's sigmoid is that of float32: with its own rounding, logits up to 0.001 would be ties.
        own = own.float() if own.dtype in (torch.float16, torch.bfloat16) else own
        values = own.to(dtype or own.dtype)
        decides = values
        if self.sigmoid and not self.logit_decides:
            decides = (torch.sigmoid(own) if chance is None else chance.reshape(-1, 1)).to(values.dtype)
        elif self.output != "logits":
            decides = values.exp() if self.output == "log-probabilities" else values
            chance = decides.clamp(SMALLEST, LARGEST)
            values = torch.log(chance) - torch.log(1 - chance)
        shifted = values - self.shift if self.shift else values
        positive = torch.where(decides > self.limit, shifted.clamp_min(STEP), shifted.clamp_max(0))
        return torch.nn.functional.pad(positive, (1, 0))

    def to_json(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Return what the manifest's origin states of it."""
        negative, positive = names
        taken_off = {"sigmoid_taken_off": True} if self.sigmoid else {}
        return {"negative": negative, "positive": positive, "threshold": self.threshold, **taken_off}

    def describe(self, names: tuple[str, ...]) -> str:
        """Return a sentence for people."""
        negative, positive = map(showable, names)
        return (
            f"one output as two classes: '{positive}' where its probability is above {self.threshold:g}, else "
            f"'{negative}', also at {self.threshold:g} itself ({self._how()})"
        )

    def _how(self) -> str:
        logit = {"logits": "z", "probabilities": "z = log(p / (1 - p))"}.get(self.output, "z of log p")
        if self.threshold == 0.5:  # noqa: PLR2004 - where nothing is shifted
            return f"logits 0 and {logit}"
        return (
            f"logits 0 and {logit} less {self.shift:.6g}, so that the bundle's probability is 0.5 at the threshold: it "
            "is not the model's own"
        )


def is_one_output(shape: tuple[int, ...]) -> bool:
    """Tell whether outputs of a batch are one number per image."""
    return len(shape) <= 1 or (len(shape) == 2 and shape[1] == 1)  # noqa: PLR2004 - images and outputs


def told_by_sigmoid(spec: ModelSpec, shape: tuple[int, ...], *, sigmoid: bool) -> ModelSpec:
    """Return the spec with probabilities as output, where its owner says nothing and a sigmoid makes the one output.

    Args:
        spec: input and output of the model as its owner states them.
        shape: shape of the model's outputs for some images.
        sigmoid: whether a sigmoid is the model's last operation.
    """
    told = sigmoid and not spec.output_stated and is_one_output(shape)
    return replace(spec, output="probabilities") if told else spec


def make_two_classes(
    values: npt.NDArray[Any], spec: ModelSpec, names: tuple[str, ...], *, sigmoid: bool
) -> TwoClasses | None:
    """Return how a model's outputs become two classes; None where it has one output per class.

    Args:
        values: the model's own outputs for some images.
        spec: input and output of the model, with the kind that the outputs are said to be.
        names: names of the classes.
        sigmoid: whether the model's last operation is a sigmoid that can be taken off.

    Raises:
        DataError: the outputs are not what the spec says.
        UsageError: a threshold is stated where there is one output per class.
    """
    if len(names) != 2 or not is_one_output(values.shape):  # noqa: PLR2004 - what one output tells apart
        if spec.positive_threshold is not None:
            raise UsageError(
                f"positive_threshold is for one output that tells two classes apart; this model gives outputs of shape "
                f"{'x'.join(map(str, values.shape))} for {len(names)} classes.",
                "Leave it out.",
            )
        return None
    _require_kind(values.astype(np.float64), spec.output, sigmoid=sigmoid)
    taken_off = sigmoid and spec.output == "probabilities"
    threshold = 0.5 if spec.positive_threshold is None else spec.positive_threshold
    return TwoClasses("logits" if taken_off else spec.output, threshold, taken_off)


def _require_kind(values: npt.NDArray[np.float64], kind: OutputKind, *, sigmoid: bool) -> None:
    chances = bool(((values >= 0) & (values <= 1)).all())
    if kind == "logits" and (sigmoid or chances):
        reason = "a sigmoid comes last" if sigmoid else "they lie between 0 and 1"
        raise DataError(
            f"The model's one output looks like a probability ({reason}), but the spec says logits.",
            'State output = "probabilities", so that it is not taken for the logit of one.',
        )
    if (kind == "probabilities" and not chances) or (kind == "log-probabilities" and bool((values > 0).any())):
        raise DataError(
            f"The model's one output is not of {kind}: it lies between {values.min():.4g} and {values.max():.4g}.",
            'State output = "logits" where no sigmoid is applied.',
        )


class SigmoidTakenOff(TorchFunctionMode):
    """Gives out the argument of one call of sigmoid in the place of its result.

    Args:
        position: position of the call among all of them; None: no call, and `results` holds what each gave.
    """

    def __init__(self, position: int | None = None) -> None:
        super().__init__()
        self._position = position
        self.results: list[Tensor] = []
        self._count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        del types
        if func not in _SIGMOIDS:
            return func(*args, **(kwargs or {}))
        position, self._count = self._count, self._count + 1
        if position == self._position:
            return args[0] if args else (kwargs or {})["input"]
        result = func(*args, **(kwargs or {}))
        if self._position is None:
            self.results.append(result)
        return result
