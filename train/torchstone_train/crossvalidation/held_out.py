"""What the network of each fold says of the images that it has not seen."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from torchstone_runtime.arrays import Float32Array, Int64Array
from torchstone_runtime.data.catalog import Dataset
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import DataError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.compute.device import choose_device
from torchstone_train.compute.inference_batch import inference_batches
from torchstone_train.crossvalidation.directory import CrossValidationDirectory
from torchstone_train.data.folds import Fold, divide_fold
from torchstone_train.data.selection import Selection
from torchstone_train.networks.image_classifier import build_classifier
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.request import TrainingRequest
from torchstone_train.run.run_dir import RunDirectory


@dataclass(frozen=True, eq=False, slots=True)
class HeldOutPredictions:
    """The predictions for all training images, each by the network of the fold that held it out.

    Attributes:
        split: the training images, in the order of the data.
        logits: float32 [N, K].
        fold: number of the fold of each image, from 1, int64 [N].
    """

    split: Split
    logits: Float32Array
    fold: Int64Array

    @property
    def probabilities(self) -> Float32Array:
        """Softmax of the logits, float32 [N, K]."""
        return torch.softmax(torch.from_numpy(self.logits), dim=1).numpy()


def predict_held_out(directory: CrossValidationDirectory, request: TrainingRequest, count: int) -> HeldOutPredictions:
    """Let the network of each fold decide the images that it has not seen.

    Args:
        directory: directory with a complete run for each fold.
        request: request of the cross-validation.
        count: number of folds.

    Raises:
        DataError: a run is damaged, or the data is no longer what it was trained on.
    """
    pool = _training_images(directory.fold(1), request)
    device, _ = choose_device(request.device)
    logits = np.empty((len(pool), len(pool.class_names)), dtype=np.float32)
    fold = np.zeros(len(pool), dtype=np.int64)
    for number in range(1, count + 1):
        run = directory.fold(number)
        _, held_out = divide_fold(pool.labels, Fold(number, count), request.seed)
        split, info = pool.select(held_out, "test"), run.read_info()
        if split.fingerprint != info["dataset"]["test"]["fingerprint"]:
            raise DataError(
                f"The images of fold {number} are not those that its run held out.",
                "Restore the data, or train again with --overwrite.",
            )
        logits[held_out] = _logits(run, info, split, device)
        fold[held_out] = number
    return HeldOutPredictions(pool, logits, fold)


def _training_images(run: RunDirectory, request: TrainingRequest) -> Split:
    info = run.read_info()
    with run.told_if_damaged():
        spec, selection = InputSpec.from_json(info["input"]), Selection.recorded(info["dataset"])
    dataset = Dataset(request.dataset, request.data_dir, spec, left_out=tuple(selection.left_out))
    return dataset.training()


@torch.inference_mode()
def _logits(run: RunDirectory, info: dict[str, Any], split: Split, device: torch.device) -> Float32Array:
    with run.told_if_damaged():
        recipe, spec = Recipe.from_json(info["recipe"]), InputSpec.from_json(info["input"])
    model = build_classifier(recipe.architecture, spec, len(split.class_names), recipe.head)
    model.network.load_state_dict(run.read_weights())
    model = model.to(device).eval()
    read = (torch.from_numpy(np.ascontiguousarray(images)).to(device) for images in split.batches())
    parts = [model(part) for images in read for part in inference_batches(images)]
    found: Float32Array = torch.cat(parts).float().cpu().numpy()
    return found
