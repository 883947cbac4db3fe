"""What a diagnosis says."""

from dataclasses import dataclass
from typing import Any, Literal

Stage = Literal["raw pixels", "scaled", "normalised", "unknown"]


@dataclass(frozen=True, slots=True)
class Mistake:
    """A known mistake.

    Attributes:
        code: a short name that programs may rely on (docs/reference/cli.md lists them all).
        text: a sentence for people.
    """

    code: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """What a tensor is, compared with what the model expects for the same image.

    Attributes:
        explained: whether a combination of known mistakes gives this tensor.
        mistakes: the simplest combination that gives it; empty where it is right.
        stage: stage to which the values are prepared. The graph takes raw pixels.
        alternatives: other combinations, as simple and fitting as well.
        invisible: codes of mistakes that would leave this very tensor unchanged, so that they can't be told here.
        residual: difference left unexplained, root mean square in gray levels (of 255).
        estimated_mean, estimated_std: per channel, those that the values were normalised with; empty where they were
            not normalised or are the right ones.
        note: evidence for those values, or the advice what to do; may be empty.
    """

    explained: bool
    mistakes: tuple[Mistake, ...]
    stage: Stage
    residual: float
    alternatives: tuple[tuple[Mistake, ...], ...] = ()
    invisible: tuple[str, ...] = ()
    estimated_mean: tuple[float, ...] = ()
    estimated_std: tuple[float, ...] = ()
    note: str = ""

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the mistakes, sorted."""
        return tuple(sorted(mistake.code for mistake in self.mistakes))

    @property
    def right(self) -> bool:
        """Whether the tensor was made without a mistake, be it raw or normalised."""
        return self.explained and not self.mistakes

    @property
    def right_for_graph(self) -> bool:
        """Whether the tensor may be fed to the bundle's graph as it is."""
        return self.right and self.stage == "raw pixels"

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "explained": self.explained,
            "mistakes": [{"code": mistake.code, "text": mistake.text} for mistake in self.mistakes],
            "stage": self.stage,
            "right": self.right,
            "right_for_graph": self.right_for_graph,
            "alternatives": [[mistake.code for mistake in one] for one in self.alternatives],
            "invisible": list(self.invisible),
            "residual_gray_levels": self.residual,
            "estimated_mean": list(self.estimated_mean),
            "estimated_std": list(self.estimated_std),
            "note": self.note,
        }
