"""Export and adopt four torchvision networks with random weights, and tabulate what their certificates say.

python -m benchmarks.probes.other_models [--networks resnet18,...] [--work DIR] [--results FILE]

The weights are random (seed 0), but batch norm has seen the images, and the last layer is drawn anew and centred: else
every image would get the same class, and the comparison of decisions would prove nothing. The images are drawn here.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from PIL import Image, ImageDraw
from torch import nn

from benchmarks.places import RESULTS
from benchmarks.template import render
from torchstone_runtime.files import write_atomic
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.metrics.confusion import ConfusionCells

NETWORKS = ("resnet18", "mobilenet_v3_small", "efficientnet_b0", "vit_b_16")
CLASSES = ("circle", "cross", "square", "stripes")
SPEC = """\
input = "3x224x224"
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
resize_filter = "bilinear"
fit = "stretch"
classes = ["circle", "cross", "square", "stripes"]
"""
COUNT = 30
TEMPLATE = Path(__file__).with_name("other_models.md.in")


def draw(kind: int, generator: np.random.Generator) -> Image.Image:
    width, height = (int(side) for side in generator.integers(90, 400, 2))
    image = Image.fromarray(generator.integers(0, 80, (height, width, 3), dtype=np.uint8))
    pen = ImageDraw.Draw(image)
    red, green, blue = (int(value) for value in generator.integers(100, 256, 3))
    side = int(min(width, height) * generator.uniform(0.3, 0.8))
    left, top = int((width - side) * generator.random()), int((height - side) * generator.random())
    box, color = (left, top, left + side, top + side), (red, green, blue)
    if kind == 0:
        pen.ellipse(box, fill=color)
    elif kind == 1:
        pen.line(box, fill=color, width=9)
        pen.line((left + side, top, left, top + side), fill=color, width=9)
    elif kind == 2:
        pen.rectangle(box, fill=color)
    else:
        for row in range(top, top + side, 16):
            pen.line((left, row, left + side, row), fill=color, width=6)
    return image


def write_images(root: Path) -> None:
    generator = np.random.default_rng(0)
    for kind, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for index in range(COUNT):
            draw(kind, generator).save(root / name / f"{index:03}.{'jpg' if index % 3 else 'png'}")


def write_model(name: str, images: torch.Tensor, weights: Path, onnx_file: Path) -> int:
    """Write a state dict and an ONNX file of a network; return its number of parameters."""
    torch.manual_seed(0)
    network = getattr(torchvision.models, name)(num_classes=len(CLASSES))
    head = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None
        network.train()(images)
        network.eval()
        head.weight.normal_(std=head.in_features**-0.5)
        head.bias.zero_()
        logits = network(images)
        head.weight /= logits.std()
        head.bias.sub_((logits / logits.std()).mean(dim=0))
    torch.save(network.state_dict(), weights)
    torch.onnx.export(
        network,
        (images[:2],),
        onnx_file,
        dynamo=True,
        dynamic_shapes=({0: "n"},),
        input_names=["input"],
        output_names=["output"],
        external_data=False,
        verbose=False,
    )
    return sum(parameter.numel() for parameter in network.parameters())


def command(*arguments: str | Path) -> float:
    started = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-m", "torchstone_runtime", *map(str, arguments)], check=False, capture_output=True, text=True
    )
    if result.returncode:
        raise SystemExit(f"torchstone {' '.join(map(str, arguments))}\n{result.stderr}")
    return time.perf_counter() - started


def row(label: str, bundle: Path, variant: str, seconds: float) -> str:
    certificate = json.loads((bundle / "certificate.json").read_text())
    manifest = json.loads((bundle / "manifest.json").read_text())
    part = certificate["variants"][variant]
    splits: dict[str, Any] = part["splits"]
    samples = sum(split["samples"] for split in splits.values())
    flips = sum(split["flips"] for split in splits.values())
    multiple = max(split["error_multiple"] for split in splits.values())
    batch = max(part["batch_sizes"].values()) / certificate["noise_floor"]
    margin = min(split["smallest_margin"] for split in splits.values())
    metrics = [split["metrics"] for split in splits.values()]
    chosen = sum(ConfusionCells.from_json(found, len(manifest["classes"])).chosen for found in metrics)
    return (
        f"| {label} | {variant} | {certificate['noise_floor']:.2g} | {multiple:.2f} | {batch:.2f} | "
        f"{samples - flips} of {samples} | {np.count_nonzero(chosen)} | {margin:.2g} | "
        f"{manifest['variants'][variant]['size'] / 1e6:.1f} | {seconds:.0f} |"
    )


def measure(name: str, work: Path, images: torch.Tensor) -> list[str]:
    weights, onnx_file = work / f"{name}.pt", work / f"{name}.onnx"
    parameters = write_model(name, images, weights, onnx_file)
    label, rows = f"{name} ({parameters / 1e6:.1f} M)", []
    data, spec = f"folder:{work / 'images'}", work / "spec.toml"
    origin = ("--module", f"torchvision.models:{name}", "--arg", "num_classes=4", "--weights", weights)
    bundle = work / f"{name}-exported"
    seconds = command("export", *origin, "--spec", spec, "--data", data, "--out", bundle)
    rows += [row(f"{label}, exported", bundle, variant, seconds) for variant in ("fp32", "torchscript")]
    adopted = work / f"{name}-adopted"
    seconds = command("adopt", onnx_file, "--spec", spec, "--data", data, "--out", adopted)
    rows.append(row(f"{label}, adopted", adopted, "fp32", seconds))
    for made in (bundle, adopted):
        command("verify", made, "--data", data)
    for line in rows:
        print(line, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--work", type=Path)
    parser.add_argument("--results", type=Path, default=RESULTS / "other-models.md")
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp())
    if not (work / "images").is_dir():
        write_images(work / "images")
    (work / "spec.toml").write_text(SPEC)
    spec = tomllib.loads(SPEC)
    decoding = InputSpec(color="RGB", height=224, width=224, mean=tuple(spec["mean"]), std=tuple(spec["std"]))
    files = sorted((work / "images").rglob("*.*"))[:: len(CLASSES)]
    pixels = torch.from_numpy(np.stack([decode_image(file, decoding) for file in files])).float() / 255
    images = (pixels - torch.tensor(spec["mean"]).reshape(3, 1, 1)) / torch.tensor(spec["std"]).reshape(3, 1, 1)
    rows = [line for name in options.networks.split(",") for line in measure(name, work, images)]
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "torchvision", "onnx", "onnxruntime"))
    write_atomic(options.results, render(TEMPLATE, {"versions": versions, "rows": "\n".join(rows)}))


if __name__ == "__main__":
    main()
