"""The providers that compute on the processor, one against the other, on a bundle: which is faster, and by how much."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.benchmark.timing import TimeEstimate, interleave, paired_ratio
from torchstone_runtime.errors import TorchstoneError
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.inference.providers import is_built_in
from torchstone_runtime.system.openvino import ON_PROCESSOR

STATED_GAIN: Final = 1.1
"""Ratio of speeds, and of its whole interval, from which one provider is called the faster one."""


@dataclass(frozen=True, slots=True)
class ProviderChoice:
    """A provider beside the one that was measured.

    Attributes:
        other: name of the other provider.
        batch: number of images in a call.
        ratio: its speed by that of the measured one: above 1 the other is faster.
        problem: reason why there is no ratio; empty where there is one.
    """

    other: str
    batch: int
    ratio: TimeEstimate | None = None
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON data."""
        ratio = self.ratio.to_json() if self.ratio else None
        return {"provider": self.other, "batch": self.batch, "speed_ratio": ratio, "problem": self.problem}

    def describe(self, chosen: str) -> str:
        """Return a line for people.

        Args:
            chosen: name of the provider that was measured.
        """
        if self.ratio is None:
            return f"{self.other} beside {chosen}: {self.problem}"
        low, high = ("..." if end is None else f"{end:.2f}" for end in (self.ratio.low, self.ratio.high))
        line = (
            f"{self.other} is {self.ratio.value:.2f} times as fast as {chosen} ({low} to {high}; {self.batch} per call)"
        )
        faster = self.ratio.low is not None and self.ratio.low >= STATED_GAIN
        return f"{line}: --provider {self.other} is faster here" if faster else line


def other_providers(
    classifier: Classifier, options: LoadOptions, batches: Sequence[Uint8Array], rounds: int
) -> list[ProviderChoice]:
    """Measure a loaded bundle against the other providers on the processor that are installed.

    Args:
        classifier: the bundle as it was measured.
        options: options that it was loaded with.
        batches: images, uint8 (N, C, H, W), one array a batch size.
        rounds: interleaved rounds.

    Returns:
        A choice for each other provider and batch; none where the bundle runs on a GPU, or there is no other.
    """
    plan = classifier.plan
    others = [name for name in ON_PROCESSOR if name != plan.provider and is_built_in(name)]
    if plan.provider not in ON_PROCESSOR or plan.precision != "fp32" or classifier.bundle is None:
        return []
    found = []
    for name in others:
        wanted = replace(options, provider=name, variant=plan.variant, threads=plan.threads, cpu_fallback=False)
        try:
            with Classifier.load_with(classifier.bundle.path, wanted) as other:
                found += [_compare(classifier, other, batch, rounds) for batch in batches]
        except TorchstoneError as error:
            found.append(ProviderChoice(name, 0, problem=error.problem))
    return found


def _compare(classifier: Classifier, other: Classifier, images: Uint8Array, rounds: int) -> ProviderChoice:
    arms = [lambda side=side: side.predict(images) for side in (classifier, other)]
    own, theirs = (np.asarray(times) for times in interleave(arms, rounds=rounds))
    return ProviderChoice(other.plan.provider, len(images), paired_ratio(own, theirs))
