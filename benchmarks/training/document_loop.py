"""The starting documents' own training loop, as documents 002, 003 and 004 describe it.

torchvision's dataset, ToTensor and Normalize(0.5, 0.5) image by image, a DataLoader with its defaults, batch 64, Adam
0.001, cross-entropy, float32; validated after each epoch on the fifth that is held out.
"""

import gzip
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn
from torch.utils.data import DataLoader, random_split
from torchvision import datasets, transforms

from torchstone_train.networks.architectures import ModelShape, build_network
from torchstone_train.recipes.resolve import get_recipe

DATASETS = {"fashion-mnist": datasets.FashionMNIST, "mnist": datasets.MNIST}


def epochs(recipe: str, dataset: str, data_dir: Path, seed: int, device: str = "cpu") -> Iterator[dict[str, float]]:
    """Train a document's network; yield after each epoch its seconds, validation and test accuracy.

    The seconds are those of training and validation; measuring on the test data is not counted.
    On another device each batch is moved there, as the documents that use one do.
    """
    torch.manual_seed(seed)
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    pool, test = (read(dataset, data_dir, train=part, transform=transform) for part in (True, False))
    train, validation = random_split(pool, [0.8, 0.2])
    shuffled = DataLoader(train, batch_size=64, shuffle=True)
    others = [DataLoader(part, batch_size=64) for part in (validation, test)]
    model = build_network(get_recipe(recipe).architecture, ModelShape(1, 28, 28, 10)).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, weight_decay=get_recipe(recipe).weight_decay)
    while True:
        started, spent = time.perf_counter(), time.process_time()
        model.train()
        for images, labels in shuffled:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images.to(device)), labels.to(device)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        held_out = accuracy(model, others[0], device)
        seconds, spent = time.perf_counter() - started, time.process_time() - spent
        yield {
            "seconds": seconds,
            "cpu_seconds": spent,
            "validation": held_out,
            "test": accuracy(model, others[1], device),
        }


def read(dataset: str, data_dir: Path, *, train: bool, transform: transforms.Compose) -> datasets.MNIST:
    """Read a part with torchvision, which wants the files unpacked."""
    kind = DATASETS[dataset]
    with TemporaryDirectory() as folder:
        unpacked = Path(folder, kind.__name__, "raw")
        unpacked.mkdir(parents=True)
        for file in (data_dir / kind.__name__ / "raw").glob("*-ubyte*"):
            content = file.read_bytes()
            (unpacked / file.name.removesuffix(".gz")).write_bytes(
                gzip.decompress(content) if file.suffix == ".gz" else content
            )
        return kind(folder, train=train, transform=transform)  # it reads everything at once


@torch.no_grad()
def accuracy(model: nn.Module, loader: "DataLoader[tuple[torch.Tensor, torch.Tensor]]", device: str) -> float:
    model.eval()
    counts = [
        (int((model(images.to(device)).argmax(1) == labels.to(device)).sum()), len(labels)) for images, labels in loader
    ]
    return sum(correct for correct, _ in counts) / sum(total for _, total in counts)
