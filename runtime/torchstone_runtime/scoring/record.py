"""`_torchstone.json`: what a folder of parts belongs to, written before the first part, and compared by every run."""

from typing import Any, Final

from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.scoring.job import ScoringJob
from torchstone_runtime.shards.plan_inputs import ShardList

RECORD_FILE: Final = "_torchstone.json"
FORMAT: Final = 1


def claim_output(classifier: Classifier, shards: ShardList, job: ScoringJob) -> dict[str, Any]:
    """Write the record of a job into its folder, or check that the one there is of the same job.

    Returns:
        The record: `format`, `torchstone`, `model` (`name`, `sha256`, `variant`, `provider`, `precision`, `tf32`,
        `classes`), `input` (`shards`, `images`, `sha256`, `options`) and `output` (`OutputOptions`).

    Raises:
        UsageError: the folder holds parts of another model, input or output, or files of something else.
        OutputError: it cannot be written.
    """
    raise NotImplementedError
