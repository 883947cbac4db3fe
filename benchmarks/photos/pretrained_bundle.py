"""A pretrained network beside the bundle that is made of it: the same photographs, decision by decision.

Run: TORCHSTONE_DATA=... python -m benchmarks.photos.pretrained_bundle --work FOLDER [--out FILE.json]

EfficientNet-lite0 with its ImageNet weights tells caltech40's classes apart by a last layer that logistic regression
fits on its features of the training photographs. PyTorch answers with torchvision's own `Resize` and `CenterCrop`, and
with the mean and the deviation of the weights. `export --module` is told the same by options; the bundle's `fp32` file
answers for the same test photographs.
"""

import argparse
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import InterpolationMode, v2

import torchstone
from benchmarks.photos.lite0_backbone import lite0
from benchmarks.photos.lite0_features import open_network
from benchmarks.places import RESULTS
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.files import write_atomic
from torchstone_runtime.system.cpu import processor_name, usable_cpus

_CLASSES: Final = 40
_MEAN, _STD = 127 / 255, 128 / 255
_OWN: Final = v2.Compose(
    [
        v2.Resize(256, InterpolationMode.BICUBIC),
        v2.CenterCrop(224),
        v2.PILToTensor(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([_MEAN] * 3, [_STD] * 3),
    ]
)
_SAME: Final = (
    *("--input", "3x224x224", "--fit", "crop", "--resize", "256", "--resize-filter", "bicubic"),
    *("--mean", str(_MEAN), "--std", str(_STD)),
)


def build() -> nn.Module:
    """Return the network with a last layer for the classes of the photographs; `export --module` loads its weights."""
    network = lite0()
    network.register_module("_fc", nn.Linear(1280, _CLASSES))
    return network


def _batches(part: str) -> tuple[ImageFolder, DataLoader[Any]]:
    pictures = ImageFolder(default_data_dir() / "caltech40" / part, _OWN)
    return pictures, DataLoader(pictures, batch_size=32)


@torch.inference_mode()
def fitted() -> nn.Module:
    """Return the network with a last layer fitted on the training photographs."""
    pretrained = open_network()
    pictures, batches = _batches("train")
    features = np.concatenate([pretrained.extract_features(images).mean((2, 3)).numpy() for images, _ in batches])
    head = LogisticRegression(C=0.01, max_iter=1000).fit(features, pictures.targets)
    network = build()
    body = {name: value for name, value in pretrained.state_dict().items() if not name.startswith("_fc.")}
    last = {"_fc.weight": torch.from_numpy(head.coef_), "_fc.bias": torch.from_numpy(head.intercept_)}
    network.load_state_dict(body | {name: value.float() for name, value in last.items()})
    return network.eval()


@torch.inference_mode()
def own_answers(network: nn.Module) -> tuple[dict[str, str], dict[str, str]]:
    """Return the class of each test photograph by its path, as the network decides and as its folder says."""
    pictures, batches = _batches("test")
    decided = torch.cat([network(images).argmax(1) for images, _ in batches]).tolist()
    paths = [str(Path(path)) for path, _ in pictures.samples]
    names = [pictures.classes[index] for index in decided]
    return dict(zip(paths, names, strict=True)), {path: Path(path).parent.name for path in paths}


def bundle_answers(bundle: Path) -> dict[str, str]:
    """Return the class of each test photograph by its path, as the bundle decides."""
    with torchstone.load(bundle) as classifier:
        predictions = classifier.predict_folder(default_data_dir() / "caltech40" / "test")
        return {str(prediction.path): str(prediction.label) for prediction in predictions}


def export(network: nn.Module, work: Path) -> Path:
    """Make a bundle of the network through the command line, and return its directory."""
    weights, bundle = work / "fitted.safetensors", work / "bundle"
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, weights)
    command = [sys.executable, "-m", "torchstone_runtime", "export", "--module", f"{__spec__.name}:build"]
    data = ("--data", f"folder:{default_data_dir() / 'caltech40'}", "--certify-limit", "100")
    subprocess.run([*command, "--weights", weights, *data, *_SAME, "--out", bundle, "--no-torchscript"], check=True)
    return bundle


def main() -> None:
    """Compare, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=RESULTS / "photos-pretrained.json")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    network = fitted()
    own, truth = own_answers(network)
    theirs = bundle_answers(export(network, arguments.work))
    document = {
        "machine": {
            "processor": processor_name(),
            "processors": usable_cpus(),
            "versions": {name: metadata.version(name) for name in ("torch", "torchvision", "onnxruntime", "pillow")},
        },
        "photographs": len(truth),
        "right": {
            "pytorch": sum(own[path] == name for path, name in truth.items()),
            "bundle": sum(theirs[path] == name for path, name in truth.items()),
        },
        "differ": sum(own[path] != theirs[path] for path in truth),
    }
    write_atomic(arguments.out, json.dumps(document, indent=1) + "\n")
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
