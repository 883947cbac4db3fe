"""The recipes by name. A new one is an entry here."""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final

from torchstone_runtime.errors import UsageError, suggestion
from torchstone_train.recipes.backbone_name import architecture_of
from torchstone_train.recipes.own_code import is_reference, load_object
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.recipes.transforms import settle_augment

SGD_CNN: Final = Recipe(
    name="sgd-cnn",
    summary="convolutions 20 (5x5), 46 (4x4), 70 (3x3), dense 512; SGD with momentum and weight decay, batch 36",
    architecture="sgd-cnn",
    optimizer="sgd",
    lr=0.01,
    momentum=0.9,
    weight_decay=1e-4,
    batch_size=36,
    patience=0,
    val_fraction=0.25,
    mean=0.0,
    std=1.0,
)
MLP: Final = Recipe(
    name="mlp",
    summary="flattened pixels, dense 512 and 256 with ReLU; Adam 0.001, batch 64",
    architecture="mlp",
)
CNN3: Final = Recipe(
    name="cnn3",
    summary="three 3x3 convolutions (32, 64, 128) with pooling, dense 256, dropout 0.5; Adam 0.001, batch 64",
    architecture="cnn3",
)
MNIST_CNN: Final = Recipe(
    name="mnist-cnn",
    summary="3x3 convolutions 32 and 64 with pooling, dense 128; Adam 0.001, batch 64; made for MNIST",
    architecture="mnist-cnn",
)
BN_CNN: Final = Recipe(
    name="bn-cnn",
    summary="3x3 convolutions 32 and 64 with batch norm, dense 256 and 128, dropout 0.5; Adam, weight decay 1e-4",
    architecture="bn-cnn",
    weight_decay=1e-4,
    epochs=30,
    patience=3,
)
SPRINT: Final = Recipe(
    name="sprint",
    summary="91.6% on Fashion-MNIST in the shortest time: strided convolutions 16, 64, 128 with batch norm, one cycle",
    architecture="sprint",
    optimizer="sgd",
    lr=0.1,
    momentum=0.9,
    nesterov=True,
    schedule="one-cycle",
    weight_decay=1e-3,
    decay_biases=False,
    ema=0.99,
    fused=True,
    amp="auto",
    batch_size=64,
    epochs=5,
    patience=0,
    val_fraction=0.1,
)
SPRINT_MNIST: Final = replace(
    SPRINT,
    name="sprint-mnist",
    summary="99% on MNIST in the shortest time: a narrower network than sprint's, two epochs",
    architecture="sprint-mnist",
    lr=0.2,
    ema=0.98,
    batch_size=128,
    epochs=2,
)
SPRINT_COLOR: Final = replace(
    SPRINT,
    name="sprint-color",
    summary="small colour pictures (32 x 32) in minutes on a CPU: six convolutions, flips, shifts, one cycle",
    architecture="sprint-color",
    lr=0.2,
    weight_decay=5e-4,
    label_smoothing=0.1,
    augment="flip-shift",
    flips="alternating",
    batch_size=128,
    epochs=10,
)
STONE_S: Final = Recipe(
    name="stone-s",
    summary="residual network 32, 64, 64 with two blocks, made for ONNX Runtime in 8 bits; the smallest of three",
    architecture="stone-s",
    optimizer="sgd",
    lr=0.2,
    momentum=0.9,
    nesterov=True,
    schedule="one-cycle",
    weight_decay=5e-4,
    decay_biases=False,
    ema=0.999,
    fused=True,
    label_smoothing=0.05,
    augment="flip-shift",
    amp="auto",
    batch_size=128,
    epochs=80,
    patience=0,
    val_fraction=0.1,
)
STONE_M: Final = replace(
    STONE_S,
    name="stone-m",
    summary="convolutions 32, 64, 96, pooled at full and half size, made for ONNX Runtime int8; distilled from stone-l",
    architecture="stone-m",
    teacher="stone-l",
    epochs=80,
)
STONE_M_MNIST: Final = replace(
    STONE_M,
    name="stone-m-mnist",
    summary="stone-m on MNIST: digits are shifted, not mirrored; fewer epochs",
    teacher="",
    augment="shift",
    epochs=30,
)
STONE_L: Final = replace(
    STONE_S,
    name="stone-l",
    summary="residual network 16, 32, 64 of 20 layers that begins at full size; the largest of three",
    architecture="stone-l",
    augment="flip-shift-erase",
    epochs=120,
)
FINETUNE: Final = Recipe(
    name="finetune",
    summary="a pretrained network (--backbone) for your photos: its head as a probe, then all layers, low ones slower",
    architecture="",
    method="finetune",
    optimizer="adamw",
    lr=3e-4,
    schedule="cosine",
    weight_decay=0.02,
    decay_biases=False,
    head_start="probe",
    layer_decay=0.9,
    freeze_norm="auto",
    warmup_epochs=1.0,
    clip_norm=1.0,
    ema=0.99,
    label_smoothing=0.1,
    augment="flip",
    amp="auto",
    batch_size=32,
    epochs=10,
    patience=0,
    val_fraction=0.2,
)

PROBE: Final = Recipe(
    name="probe",
    summary="a pretrained network (--backbone), frozen: logistic regression on its features as the last layer; minutes",
    architecture="",
    method="probe",
    class_weights="auto",
    epochs=1,
    patience=0,
    val_fraction=0.2,
)

_DOCUMENTED: Final = (SGD_CNN, MLP, CNN3, MNIST_CNN, BN_CNN)
RECIPES: Final[dict[str, Recipe]] = {
    recipe.name: recipe
    for recipe in (
        *(*_DOCUMENTED, SPRINT, SPRINT_MNIST, SPRINT_COLOR),
        *(STONE_S, STONE_M, STONE_M_MNIST, STONE_L, FINETUNE, PROBE),
    )
}

OVERRIDABLE: Final = frozenset(field.name for field in fields(Recipe)) - {
    *("name", "summary", "architecture", "teacher", "method", "head"),
}


RECIPE_GROUP: Final = "torchstone.recipes"
"""Entry points of other packages: a name, and the `Recipe` or the function of a `ModelShape` that it stands for."""


def get_recipe(name: str) -> Recipe:
    """Return a recipe: one of `RECIPES`, of an installed package, or of the owner's own code.

    Args:
        name: name of the recipe; or `package.module:NAME`, a `Recipe`, or a function that builds a network of a
            `ModelShape` and is trained with the defaults of `Recipe`.

    Raises:
        UsageError: there is none; the message suggests the nearest.
        DataError: importing the owner's code failed.
    """
    if name in RECIPES:
        return RECIPES[name]
    if is_reference(name):
        return _own_recipe(name)
    installed = {entry.name: entry for entry in importlib.metadata.entry_points(group=RECIPE_GROUP)}
    if name in installed:
        return replace(_own_recipe(installed[name].value), name=name)
    raise UsageError(f"There is no recipe '{name}'.", suggestion(name, (*RECIPES, *installed)))


def resolve_recipe(recipe: str | Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """Return a recipe, by name or as it is, with some of its fields replaced.

    With fewer epochs than its first ones need, a recipe gets as much of those as fits, unless they are given too.

    Raises:
        UsageError: no such recipe or field, with the nearest one, or a value that a field can't have.
        DataError: importing the owner's code failed.
    """
    found = get_recipe(recipe) if isinstance(recipe, str) else recipe
    for name in overrides:
        if name not in OVERRIDABLE:
            raise UsageError(f"A recipe has no field '{name}'.", suggestion(name, OVERRIDABLE))
    return found.with_overrides(_fitting_stages(found, settle_augment(overrides)))


_WARMUP_SHARE: Final = 0.3
"""Largest share of a short training that a recipe's warm-up takes."""


def _fitting_stages(recipe: Recipe, overrides: Mapping[str, Any]) -> dict[str, Any]:
    epochs = overrides.get("epochs")
    if not isinstance(epochs, int) or epochs < 1:
        return dict(overrides)
    head = overrides.get("head_epochs") or min(recipe.head_epochs, epochs - 1)
    warmup = min(recipe.warmup_epochs, max(0.0, _WARMUP_SHARE * (epochs - head)))
    fitting = {"head_epochs": head, "warmup_epochs": warmup}
    return fitting | {name: value for name, value in overrides.items() if value is not None}


def with_backbone(recipe: Recipe, backbone: str | None, head: str | None = None) -> Recipe:
    """Return a recipe for a backbone.

    Args:
        recipe: recipe, such as `finetune`.
        backbone: name, see `architecture_of`; the recipe's own if None.
        head: dotted name of the backbone's last layer; found where it is not given.

    Raises:
        UsageError: the text is no name, or the recipe has a network of its own.
    """
    if backbone is None and head is None:
        return recipe
    if recipe.method == "scratch":
        able = " or ".join(name for name, item in RECIPES.items() if item.method != "scratch")
        raise UsageError(
            f"--backbone is for the recipe {able}; {recipe.name} has a network of its own.",
            "Such as: torchstone train finetune --backbone resnet18",
        )
    architecture = recipe.architecture if backbone is None else architecture_of(backbone)
    kept = recipe.head if backbone is None else ""
    return replace(recipe, architecture=architecture, head=kept if head is None else head)


def _own_recipe(reference: str) -> Recipe:
    found = load_object(reference, "the recipe")
    if isinstance(found, Recipe):
        return found
    if not callable(found):
        raise UsageError(
            f"{reference} is neither a Recipe nor a function that builds a network.",
            "Give a torchstone_train.recipes.recipe.Recipe, or a function of a ModelShape.",
        )
    name = reference.partition(":")[2].replace(".", "-").replace("_", "-").lower()
    return Recipe(name=name, summary=f"the network of {reference}", architecture=reference)
