"""Number formats and `torch.compile` in training: what they do to accuracy, and to the images per second.

`--compile` pays for a training if what its epochs save is more than its `compile_seconds`.
"""

import time
from functools import partial
from typing import Any, Final

import torch
from torch import nn

from benchmarks.gpu.machine import synchronize
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import Steps
from benchmarks.gpu.trainings import require_device, test_accuracy, train_once
from torchstone_runtime.images.input_spec import ColorMode, InputSpec
from torchstone_train.compute.device import set_determinism
from torchstone_train.compute.precision import choose_precision
from torchstone_train.compute.torch_settings import usual_settings
from torchstone_train.networks.architectures import build_network
from torchstone_train.networks.image_classifier import ImageClassifier
from torchstone_train.networks.shape import ModelShape
from torchstone_train.recipes.resolve import get_recipe
from torchstone_train.training.compiled_steps import CompiledSteps
from torchstone_train.training.optimization import Optimization

FORMATS: Final = ("off", "bf16", "fp16")
MEASURED: Final = (("off", "bf16"), ("off", "off"), ("off", "fp16"), ("default", "bf16"), ("reduce-overhead", "bf16"))
"""Modes of `torch.compile` with formats, in the order of their worth: a compilation takes as long as all other steps
of a network."""
TRAINED: Final = (("stone-l", 3, "off"), ("stone-l", 3, "default"), ("stone-l", 3, "reduce-overhead"))
"""Recipes with epochs and modes of `--compile`, as a person trains them."""
NETWORKS: Final = (("sprint", 64), ("sprint", 512), ("stone-l", 128), ("stone-l", 512), ("resnet18", 128))
_SECONDS: Final = 1.5


def steps(setting: Setting) -> Steps:
    """Return the steps of this piece."""
    require_device(setting)
    found: dict[str, Any] = {
        f"sprint in {name}": partial(_trained, setting, name) for name in setting.size(FORMATS, ("bf16",))
    }
    for recipe, epochs, mode in setting.size(TRAINED, (("sprint", 1, "default"),)):
        found[f"{recipe} in bf16, --compile {mode}"] = partial(_compiled, setting, recipe, epochs, mode)
    for compiled, name in setting.size(MEASURED, (*MEASURED[:2], MEASURED[3])):
        for network, batch in setting.size(NETWORKS, (("sprint", 8),)):
            label = f"{network}, batch {batch}, {name}, compiled {compiled}"
            found[label] = partial(_speed, setting, network, batch, name, compiled)
    return found


def _trained(setting: Setting, amp: str) -> dict[str, Any]:
    name = f"sprint-{amp}"
    result = train_once(setting, "sprint", "fashion-mnist", name, amp=amp, epochs=setting.size(5, 1))
    return result | {"test": test_accuracy(setting, name, "fashion-mnist")}


def _compiled(setting: Setting, recipe: str, epochs: int, mode: str) -> dict[str, Any]:
    name = f"{recipe}-compile-{mode}"
    choices: dict[str, Any] = {"amp": "bf16", "compile": mode, "epochs": epochs, "patience": 0}
    result = train_once(setting, recipe, "fashion-mnist", name, deterministic=False, **choices)
    return result | {"test": test_accuracy(setting, name, "fashion-mnist")}


def _speed(setting: Setting, network: str, batch: int, amp: Any, compiled: Any) -> dict[str, Any]:  # noqa: ANN401 - literals
    with usual_settings():
        # As the trainings above do that are measured for their speed.
        set_determinism(wanted=False)
        return _rate(setting, network, batch, amp, compiled)


def _rate(setting: Setting, network: str, batch: int, amp: Any, compiled: Any) -> dict[str, Any]:  # noqa: ANN401 - literals
    model, images = _model(setting, network, batch)
    labels = torch.randint(0, 10, (batch,), device=setting.device)
    recipe = get_recipe(network if network != "resnet18" else "stone-l")
    precision = choose_precision(amp, torch.device(setting.device))
    called = model if compiled == "off" else CompiledSteps(model, compiled, batch)
    optimization = Optimization(recipe, called, precision, 10**6)
    started = time.perf_counter()
    for _ in range(setting.size(8, 1)):
        optimization.step(images, labels)
    synchronize(setting)
    first = time.perf_counter() - started
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < setting.size(_SECONDS, 0.01):
        for _ in range(setting.size(20, 1)):
            optimization.step(images, labels)
            count += 1
        synchronize(setting)
    rate = count * batch / (time.perf_counter() - started)
    return {"format": precision.name, "first_steps_seconds": first, "images_per_second": rate}


def _model(setting: Setting, network: str, batch: int) -> tuple[ImageClassifier, torch.Tensor]:
    torch.manual_seed(0)
    if network == "resnet18":
        from torchvision.models import resnet18  # noqa: PLC0415 - takes a second

        model, shape = _from_bytes(resnet18(num_classes=10), "RGB", 224), (3, 224, 224)
    else:
        model, shape = _from_bytes(build_network(network, ModelShape(1, 28, 28, 10)), "L", 28), (1, 28, 28)
    placed = model.to(setting.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    images = torch.randint(0, 256, (batch, *shape), dtype=torch.uint8, device=setting.device)
    return placed.train(), images


def _from_bytes(network: nn.Module, color: ColorMode, side: int) -> ImageClassifier:
    """Return a network behind the normalisation of pixels."""
    halves = (0.5,) * (1 if color == "L" else 3)
    return ImageClassifier(network, InputSpec(color=color, height=side, width=side, mean=halves, std=halves))
