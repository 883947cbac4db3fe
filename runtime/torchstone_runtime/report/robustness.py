"""A measurement of robustness, as JSON and as plain text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from torchstone_runtime.evaluation.robustness import Robustness
from torchstone_runtime.metrics.gates import Gate, Judgement, judge
from torchstone_runtime.metrics.probability_scores import Estimate
from torchstone_runtime.report.measured_file import MeasuredFile
from torchstone_runtime.text import showable_lines

FORMAT: Final = "torchstone-robustness"
FORMAT_VERSION: Final = 1
MEAN_ACCURACY: Final = "mean accuracy on corrupted images"


@dataclass(frozen=True, eq=False, kw_only=True)
class RobustnessDocument:
    """Everything that the reports show.

    Attributes:
        file: model file and data.
        robustness: figures that were measured.
        seconds: duration of the measurement in seconds, reading included.
        min_accuracy: smallest accepted mean accuracy on corrupted images, 0 to 1; None if none is required.
    """

    file: MeasuredFile
    robustness: Robustness
    seconds: float
    min_accuracy: float | None

    @property
    def judgements(self) -> list[Judgement]:
        """Of the gate, where one was set."""
        gates = [] if self.min_accuracy is None else [Gate(MEAN_ACCURACY, self.min_accuracy)]
        figures = {MEAN_ACCURACY: Estimate(self.robustness.corrupted.accuracy, None)}
        return judge(gates, figures, on_interval=False)

    @property
    def unanswered(self) -> tuple[list[str], int]:
        """The pictures for which the model gives no answer, by id and corruption, and the number of all pictures."""
        names = [
            sample if setting is None else f"{sample} ({setting[0]} {setting[1]})"
            for setting, ids in self.robustness.unanswered.items()
            for sample in ids
        ]
        return names, len(self.file.split) * (1 + len(self.robustness.settings))

    @property
    def images_per_second(self) -> float:
        """Reading, corrupting and inference together, every corrupted copy counted."""
        return len(self.file.split) * (1 + len(self.robustness.settings)) / self.seconds

    def to_json(self) -> dict[str, Any]:
        """Return the document that `--json` writes."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            **self.file.to_json(),
            "robustness": self.robustness.to_json(),
            "gates": [item.to_json() for item in self.judgements],
            "execution": self.file.execution(self.seconds, self.images_per_second),
        }

    def to_text(self) -> str:
        """Return the report for the terminal."""
        found = self.robustness
        levels = f"severity {found.severities[0]}" if len(found.severities) == 1 else "severities"
        if len(found.severities) > 1:
            levels += f" {', '.join(map(str, found.severities))}"
        kinds = "1 corruption" if len(found.corruptions) == 1 else f"{len(found.corruptions)} corruptions"
        return showable_lines(
            [
                *self.file.lines(11),
                f"corrupted  {kinds}, {levels}, seed {found.seed}; in {self.seconds:.1f} s",
                "",
                *accuracy_table(found),
                "",
                *behaviour_table(found),
                *_gate_lines(self.judgements),
            ]
        )


def accuracy_table(found: Robustness) -> list[str]:
    """Return the accuracy by corruption and severity with the means, one line per corruption."""
    width = max(len("all corruptions"), *map(len, found.corruptions))
    levels = "".join(f"{level:>8}" for level in found.severities)
    rows = [
        _row(name, width, [found.settings[name, level].accuracy for level in found.severities])
        for name in found.corruptions
    ]
    means = [found.by_severity(level).accuracy for level in found.severities]
    return [
        f"{'accuracy':<{width}}{levels}    mean",
        f"{'clean':<{width}}{'':>{8 * len(found.severities)}}{found.clean.accuracy:>8.4f}",
        *rows,
        _row("all corruptions", width, means),
    ]


def behaviour_table(found: Robustness) -> list[str]:
    """Return every figure on the clean pictures beside its mean over the corruptions, one line per figure."""
    clean, corrupted = found.clean.figures(), found.corrupted.figures()
    width = max(map(len, clean))
    rows = [f"{name:<{width}}{clean[name]:>8.4f}{corrupted[name]:>11.4f}" for name in clean]
    return [f"{'':<{width}}{'clean':>8}{'corrupted':>11}", *rows]


def _row(name: str, width: int, values: Sequence[float]) -> str:
    return f"{name:<{width}}{''.join(f'{value:>8.4f}' for value in [*values, sum(values) / len(values)])}"


def _gate_lines(judgements: Sequence[Judgement]) -> list[str]:
    lines = [f"gate {'passed' if item.passed else 'FAILED'}: {item}" for item in judgements]
    return ["", *lines] if lines else []
