"""One shard scored by a loaded model: what every engine's workers do."""

from contextlib import closing

from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.scoring.job import ScoringJob
from torchstone_runtime.scoring.parts import PartsFolder
from torchstone_runtime.scoring.shard_pipeline import score_shards
from torchstone_runtime.scoring.tally import Tally
from torchstone_runtime.shards.shard import Shard


def score_shard(classifier: Classifier, shard: Shard, job: ScoringJob) -> Tally:
    """Read a shard, score it, and write its tally and then its part, each in one step.

    A part that is there already is done: it is left as it is, and its tally is read. The pictures are put into the
    same batches wherever this runs, so that every engine writes the same numbers.

    Args:
        classifier: the model; loaded with `threads=1`, for a worker is one thread.
        shard: shard to score.
        job: job that is run.

    Raises:
        DataError: the shard cannot be read.
        OutputError: the part cannot be written.
    """
    folder = PartsFolder(job)
    if folder.is_done(shard):
        return folder.tally(shard.name)
    with closing(score_shards(classifier, [shard], job)) as written:
        return next(written)[1]


def is_done(shard: Shard, job: ScoringJob) -> bool:
    """Tell whether a shard's part is there."""
    return PartsFolder(job).is_done(shard)
