"""The engine of this machine: every shard that has no part yet, in this process or in several."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

from torchstone_runtime.errors import CheckFailedError
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.progress import Advance, stage
from torchstone_runtime.scoring.job import ScoringJob
from torchstone_runtime.scoring.parts import PartsFolder
from torchstone_runtime.scoring.shard_pipeline import score_shards
from torchstone_runtime.scoring.tally import Tally
from torchstone_runtime.shards.shard import Shard
from torchstone_runtime.shards.shard_list import ShardList


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the shards, for several processes that know nothing of each other.

    Attributes:
        index: index of the share, from 0.
        count: number of shares.
    """

    index: int = 0
    count: int = 1

    def holds(self, shard: Shard) -> bool:
        """Tell whether a shard belongs to the share."""
        return shard.number % self.count == self.index


WHOLE: Final = Share()


@dataclass(slots=True)
class ErrorBudget:
    """Stops a job with too many errors.

    Attributes:
        most: number of rows with an error that are allowed; None for any.
        failed: number of pictures with an error.
    """

    most: int | None = None
    failed: int = 0

    def spend(self, tally: Tally) -> None:
        """Count a part that was written.

        Raises:
            CheckFailedError: more errors than are allowed.
        """
        self.failed += tally.failed
        if self.most is not None and self.failed > self.most:
            kinds = [f"{count:,} x {kind}" for kind, count in tally.errors.most_common(5)]
            raise CheckFailedError(
                f"Pictures that could not be scored: {self.failed:,}; --max-errors allows {self.most:,}.",
                "The parts that were written stay; the column 'error' says why.",
                kinds,
            )


@dataclass(slots=True)
class ScoringResult:
    """What a run did.

    Attributes:
        tally: counts of the rows that this run wrote.
        shards: number of shards that it wrote.
        there_before: number of shards whose parts were there.
        seconds: time that it took.
    """

    tally: Tally = field(default_factory=Tally)
    shards: int = 0
    there_before: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON data."""
        return {
            "parts": self.shards,
            "parts_there_before": self.there_before,
            "rows": self.tally.rows,
            "rows_with_error": self.tally.failed,
            "errors": dict(self.tally.errors),
            "seconds": self.seconds,
        }


def score_locally(
    classifier: Classifier,
    shards: ShardList,
    job: ScoringJob,
    *,
    threads: int,
    share: Share = WHOLE,
    budget: ErrorBudget | None = None,
) -> ScoringResult:
    """Score every shard that has no part yet, and tell of the progress.

    Args:
        classifier: the model, loaded with `threads=1`.
        shards: the input; `record.claim_output` was called for it.
        job: job that is run.
        threads: number of batches that are decoded and classified at once.
        share: shards that this process scores.
        budget: limit of errors; those of parts that are there count.

    Raises:
        CheckFailedError: too many errors.
        DataError, OutputError: as for `score_shard`. All parts that were written stay, and a further run goes on.
    """
    budget = budget or ErrorBudget()
    folder, result, started = PartsFolder(job), ScoringResult(), time.perf_counter()
    with stage("scoring", shards.images or 0, speed=True) as advance:
        missing = missing_shards(shards, folder, share, (result, budget, advance))
        with closing(score_shards(classifier, missing, job, threads=threads, on_rows=advance)) as written:
            for _, tally in written:
                result.tally.add(tally)
                result.shards += 1
                budget.spend(tally)
    if share == WHOLE:
        folder.remove_leftovers()
    result.seconds = time.perf_counter() - started
    return result


def missing_shards(
    shards: ShardList,
    folder: PartsFolder,
    share: Share,
    counts: tuple[ScoringResult, ErrorBudget, Advance],
) -> Iterator[Shard]:
    """Yield the shards of a share that have no part yet; those that have one are counted.

    Args:
        shards: the input.
        folder: folder of the parts.
        share: shards that are scored.
        counts: result and budget that parts which are there count in, and the function told of their rows.

    Raises:
        CheckFailedError: too many errors in the parts that are there.
    """
    result, budget, advance = counts
    done = folder.done()
    for shard in shards:
        if shard.name in done or (share.holds(shard) and folder.is_done(shard)):
            result.there_before += 1
            advance.skip(shard.rows or 0)
            if budget.most is not None:
                budget.spend(folder.tally(shard.name))
        elif share.holds(shard):
            yield shard
        else:
            advance.skip(shard.rows or 0)
