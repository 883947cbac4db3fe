"""`ScoringJob`: everything that a worker needs beside the model and the shard; small, and sent to any process."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from torchstone_runtime.shards.read_options import ReadOptions

OutputFormat = Literal["parquet", "csv", "jsonl"]
EngineName = Literal["local", "ray"]
"""What runs a job: this process, or the workers of a Ray cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """What is written of each picture. Equal options of an equal model and input give equal parts.

    Attributes:
        form: format of the parts.
        top: number of classes, with their probabilities, in the columns `top_…`; 0 for no such columns.
        probabilities: whether the probabilities of all classes are written.
        coverage: probability that the right class is in the set of classes; None for no sets.
        by_class: whether that holds for the images of each class alone.
        drift: whether the images are compared with the model's validation images, for the summary.
        invert: whether the model is given the pictures inverted.
        bits: number of bits that 16-bit pictures use; the model's if None.
    """

    form: OutputFormat = "parquet"
    top: int = 0
    probabilities: bool = False
    coverage: float | None = None
    by_class: bool = False
    drift: bool = False
    invert: bool = False
    bits: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the options as JSON data."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringJob:
    """A job: read shards, score them, write a part for each.

    Attributes:
        out: folder or address that the parts go to.
        reading: options of reading shards.
        output: options of the output.
    """

    out: str
    reading: ReadOptions
    output: OutputOptions
