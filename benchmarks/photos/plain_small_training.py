"""The plain script for small colour pictures: torchvision's resnet18 with a 3 x 3 stem, one cycle, crops and flips.

Run: python -m benchmarks.photos.plain_small_training TRAIN.npz TEST.npz --epochs N [--seed S]

The stem has a stride of 1 and no pooling, as every published network for 32 x 32 pixels has it. SGD with Nesterov's
momentum of 0.9, weight decay 5e-4, one cycle to a rate of 0.1, batches of 128. The last line is the accuracy on TEST.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torchvision import models

_BATCH = 128
_PADDING = 4


def _network(classes: int) -> nn.Module:
    network: nn.Module = models.resnet18(num_classes=classes)
    network.register_module("conv1", nn.Conv2d(3, 64, 3, padding=1, bias=False))
    network.register_module("maxpool", nn.Identity())
    return network.to(memory_format=torch.channels_last)


def _read(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    with np.load(path) as held:
        return torch.from_numpy(held["images"]), torch.from_numpy(held["labels"]).long()


def _changed(images: torch.Tensor) -> torch.Tensor:
    """Crop each picture anew out of itself with a rim of mirrored pixels, and flip every second one."""
    side = images.shape[-1]
    padded = nn.functional.pad(images, [_PADDING] * 4, mode="reflect")
    rows, columns = torch.randint(0, 2 * _PADDING + 1, (2, len(images)))
    cut = [
        picture[:, row : row + side, column : column + side]
        for picture, row, column in zip(padded, rows.tolist(), columns.tolist(), strict=True)
    ]
    crops = torch.stack(cut)
    return torch.where((torch.rand(len(crops)) < 0.5)[:, None, None, None], crops.flip(3), crops)


def main() -> None:
    """Train, and print the accuracy on the test pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    (images, labels), (held, truth) = _read(arguments.train), _read(arguments.test)
    levels = images.float() / 255
    mean, std = levels.mean((0, 2, 3), keepdim=True), levels.std((0, 2, 3), keepdim=True)
    levels = (levels - mean) / std
    network = _network(int(labels.max()) + 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    steps = arguments.epochs * (len(levels) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)
    for epoch in range(arguments.epochs):
        for chosen in torch.randperm(len(levels))[: len(levels) // _BATCH * _BATCH].split(_BATCH):  # type: ignore[no-untyped-call]  # torch leaves it untyped
            batch = _changed(levels[chosen]).to(memory_format=torch.channels_last)
            loss = nn.functional.cross_entropy(network(batch), labels[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}", flush=True)
    network.eval()
    with torch.inference_mode():
        right = [
            network((part.float() / 255 - mean) / std).argmax(1) == answer
            for part, answer in zip(torch.split(held, 500), torch.split(truth, 500), strict=True)
        ]
    print(f"accuracy {torch.cat(right).float().mean().item():.4f}")


if __name__ == "__main__":
    main()
