"""The model as it is exported: raw pixels in, logits and probabilities out."""

from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from torchstone_runtime.errors import DataError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.networks.image_classifier import ImageClassifier, build_classifier
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.run.run_dir import RunDirectory


class ExportableClassifier(nn.Module):
    """A classifier with softmax and temperature, whose exported files need nothing around them.

    Args:
        classifier: uint8 images (N, C, H, W) to logits (N, K).
        temperature: temperature that divides the logits before the softmax; the logits are given out as they are.
    """

    def __init__(self, classifier: ImageClassifier, temperature: float = 1.0) -> None:
        super().__init__()
        self.classifier = classifier
        self.temperature = temperature

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and probabilities, each (N, K), of uint8 images (N, C, H, W)."""
        logits = self.classifier(images)
        scaled = logits if self.temperature == 1 else logits / self.temperature
        return logits, torch.softmax(scaled, dim=1)


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model with what is needed to export it.

    Attributes:
        name: name of the model.
        spec: input specification of the model.
        class_names: names of the classes in the order of the outputs.
        module: PyTorch module in evaluation mode, float32 on the CPU.
        dataset_kind: kind of its training data, in a word.
        provenance: origin of the model for the manifest: recipe, seed, dataset fingerprints, training; no paths.
    """

    name: str
    spec: InputSpec
    class_names: tuple[str, ...]
    module: ExportableClassifier
    dataset_kind: str
    provenance: dict[str, Any]

    def with_temperature(self, temperature: float) -> "TrainedModel":
        """Return the same model, whose probabilities are the softmax of the logits divided by `temperature`."""
        module = copy(self.module)  # the weights are shared
        module.temperature = temperature
        return replace(self, module=module)


def load_trained(run: RunDirectory) -> TrainedModel:
    """Rebuild the model of a run, with the weights of its best epoch.

    Raises:
        DataError: the run is incomplete, or its files contradict each other.
    """
    info = run.read_info()
    try:
        recipe = Recipe.from_json(info["recipe"])
        spec = InputSpec.from_json(info["input"])
        class_names = tuple(info["class_names"])
        dataset_kind, provenance = str(info["dataset"]["kind"]), _provenance(info, recipe)
    except (KeyError, TypeError) as error:
        raise DataError(f"{run.path}/run.json is not valid: {error!r}.", "Train again.") from error
    weights = run.read_weights()
    classifier = build_classifier(recipe.architecture, spec, len(class_names), recipe.head)
    try:
        classifier.network.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(f"The weights of {run.path} are not those of '{recipe.architecture}': {error}") from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
        raise DataError(f"The weights of {run.path} hold values that are not finite.", "Train again with a lower --lr.")
    module = ExportableClassifier(classifier).eval()
    return TrainedModel(recipe.name, spec, class_names, module, dataset_kind, provenance)


def _provenance(info: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    return {
        "recipe": recipe.to_json(),
        "seed": info["seed"],
        "dataset": {key: value for key, value in info["dataset"].items() if key != "source"},
        "training": {key: info[key] for key in ("stop_reason", "best_epoch", "epochs_run", "git_commit")}
        | {"device": info["device"]["type"], "versions": info["versions"]},
        **({"backbone": info["backbone"]} if info.get("backbone") else {}),
        **({"teachers": info["teachers"]} if info.get("teachers") else {}),
    }
