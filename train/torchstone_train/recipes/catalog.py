"""The recipes by name. A new one is an entry here."""

from dataclasses import replace
from typing import Final

from torchstone_train.recipes.recipe import Recipe

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
