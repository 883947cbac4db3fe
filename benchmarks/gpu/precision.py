"""Number formats and `torch.compile` in training: what they do to accuracy, and to the images per second."""

import time
from functools import partial
from typing import Any, Final

import torch
from torch import nn

from benchmarks.gpu.machine import synchronize
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import Steps
from benchmarks.gpu.trainings import require_device, test_accuracy, train_once
from torchstone_train.compute.precision import choose_precision
from torchstone_train.networks.architectures import build_network
from torchstone_train.networks.shape import ModelShape
from torchstone_train.recipes.resolve import get_recipe
from torchstone_train.training.optimization import Optimization

FORMATS: Final = ("off", "bf16", "fp16")
MEASURED: Final = (("no", "bf16"), ("no", "off"), ("no", "fp16"), ("default", "bf16"), ("reduce-overhead", "bf16"))
"""Modes of `torch.compile` with formats, in the order of their worth: a compilation takes as long as all other steps
of a network."""
NETWORKS: Final = (("sprint", 64), ("sprint", 512), ("stone-l", 128), ("stone-l", 512), ("resnet18", 128))
_SECONDS: Final = 1.5


def steps(setting: Setting) -> Steps:
    """Return the steps of this piece."""
    require_device(setting)
    found: dict[str, Any] = {
        f"sprint in {name}": partial(_trained, setting, name) for name in setting.size(FORMATS, ("bf16",))
    }
    for compiled, name in setting.size(MEASURED, MEASURED[:3]):
        for network, batch in setting.size(NETWORKS, (("sprint", 8),)):
            label = f"{network}, batch {batch}, {name}, compiled {compiled}"
            found[label] = partial(_speed, setting, network, batch, name, compiled)
    return found


def _trained(setting: Setting, amp: str) -> dict[str, Any]:
    name = f"sprint-{amp}"
    result = train_once(setting, "sprint", "fashion-mnist", name, amp=amp, epochs=setting.size(5, 1))
    return result | {"test": test_accuracy(setting, name, "fashion-mnist")}


def _speed(setting: Setting, network: str, batch: int, amp: Any, compiled: str) -> dict[str, Any]:  # noqa: ANN401 - a literal
    model, images = _model(setting, network, batch)
    labels = torch.randint(0, 10, (batch,), device=setting.device)
    recipe = get_recipe(network if network != "resnet18" else "stone-l")
    precision = choose_precision(amp, torch.device(setting.device))
    called: nn.Module = model
    if compiled != "no":
        called = torch.compile(model, mode=None if compiled == "default" else compiled, dynamic=False)  # type: ignore[assignment]  # torch's stub says a function
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


def _model(setting: Setting, network: str, batch: int) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    if network == "resnet18":
        from torchvision.models import resnet18  # noqa: PLC0415 - takes a second

        model, shape = _FromBytes(resnet18(num_classes=10)), (3, 224, 224)
    else:
        model, shape = _FromBytes(build_network(network, ModelShape(1, 28, 28, 10))), (1, 28, 28)
    placed = model.to(setting.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    images = torch.randint(0, 256, (batch, *shape), dtype=torch.uint8, device=setting.device)
    return placed.train(), images


class _FromBytes(nn.Module):
    """A network behind the normalisation of pixels."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits of uint8 images."""
        logits: torch.Tensor = self.network(images.float() / 127.5 - 1)
        return logits
