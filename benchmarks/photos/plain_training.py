"""The plain script that photographs are usually fine-tuned with: torchvision, `ImageFolder`, `DataLoader`, one loop.

Run: python -m benchmarks.photos.plain_training TRAIN TEST --epochs N [--network lite0|resnet18] [--seed S]

EfficientNet-lite0 begins with its ImageNet weights and a fresh last layer, resnet18 from scratch. Random crops and
flips, AdamW, a rate of 0.001 that falls along a cosine, batches of 32, two worker processes, all layers trained from
the first step: the recipe of torchvision's tutorial on transfer learning with today's optimiser. The last line is the
accuracy on TEST.
"""

import argparse
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import models
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.photos.lite0_backbone import lite0, weights_file

BATCH = 32
LEVELS = {"lite0": ([127 / 255] * 3, [128 / 255] * 3), "resnet18": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])}


def _network(name: str, classes: int) -> nn.Module:
    if name == "resnet18":
        made: nn.Module = models.resnet18(num_classes=classes)
        return made
    network = lite0()
    network.load_state_dict(torch.load(weights_file(), weights_only=True))
    head = network.get_submodule("_fc")
    network.register_module("_fc", nn.Linear(int(head.weight.shape[1]), classes))  # type: ignore[index]  # a shape
    return network


def _loaders(train: Path, test: Path, name: str) -> tuple[DataLoader[object], DataLoader[object], int]:
    mean, std = LEVELS[name]
    last = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
    changed = v2.Compose([v2.RandomResizedCrop(224), v2.RandomHorizontalFlip(), *last])
    fixed = v2.Compose([v2.Resize(256, v2.InterpolationMode.BICUBIC), v2.CenterCrop(224), *last])
    learnt, held = ImageFolder(train, changed), ImageFolder(test, fixed)
    options = {"num_workers": 2, "batch_size": BATCH}
    return (
        DataLoader(learnt, shuffle=True, drop_last=True, persistent_workers=True, **options),  # type: ignore[arg-type]
        DataLoader(held, **options),  # type: ignore[arg-type]
        len(learnt.classes),
    )


def main() -> None:
    """Train, and print the accuracy on the test pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--network", choices=tuple(LEVELS), default="lite0")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    learnt, held, classes = _loaders(arguments.train, arguments.test, arguments.network)
    network = _network(arguments.network, classes)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, arguments.epochs * len(learnt))
    for epoch in range(arguments.epochs):
        network.train()
        for images, labels in learnt:
            loss = nn.functional.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}", flush=True)
    network.eval()
    with torch.inference_mode():
        right = [network(images).argmax(1) == labels for images, labels in held]
    print(f"accuracy {torch.cat(right).float().mean().item():.4f}")


if __name__ == "__main__":
    main()
