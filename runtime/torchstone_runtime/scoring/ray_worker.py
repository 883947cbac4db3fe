"""What a worker of the engine `ray` does, in a process of its own on any machine of the cluster."""

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from torchstone_runtime.scoring.job import ScoringJob
from torchstone_runtime.scoring.packed_model import PackedModel
from torchstone_runtime.scoring.worker import score_shard
from torchstone_runtime.shards.shard import Shard

if TYPE_CHECKING:
    from torchstone_runtime.inference.classifier import Classifier


class RayWorker:
    """Loads the model once, and scores the shards whose names it is sent.

    Args:
        model: the model, as it was sent.
        job: job that is run.
        folder: working directory of the driver, which relative paths of the input begin at.
    """

    def __init__(self, model: PackedModel, job: ScoringJob, folder: str) -> None:
        self._model = model
        self._job = job
        self._folder = folder
        self._classifier: Classifier | None = None

    def load(self) -> int:
        """Load and check the model; return the process id.

        Raises:
            As for `PackedModel.load`.
        """
        with suppress(OSError):  # another machine need not have it: addresses and absolute paths do without
            os.chdir(self._folder)
        self._classifier = self._model.load()
        return os.getpid()

    def score(self, shard: Shard) -> dict[str, Any]:
        """Score a shard, write its part, and return its tally as JSON data.

        Raises:
            As for `score_shard`.
        """
        if self._classifier is None:
            self.load()
        if self._classifier is None:
            raise RuntimeError("a worker without a model")
        return score_shard(self._classifier, shard, self._job).to_json()
