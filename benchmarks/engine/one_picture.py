"""One picture through large networks: `Classifier` in each mode beside ONNX Runtime as it comes.

Run: python -m benchmarks.engine.one_picture [--networks NAME ...] [--rounds 15] [--out FILE.json]

Torchvision's networks with random weights, which don't change the speed, exported by Torchstone; uint8 pictures of
224 x 224, one a call. Sides, in turns in every round: `auto`, whose trial of a second session is over before, the modes
`latency` and `throughput`, and a session of the same file with ONNX Runtime's own defaults (as many threads as there
are processors, which spin). A ratio below 1 is in favour of the side that is named first.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
import torchvision

from benchmarks.engine.plain_session import plain_session
from benchmarks.places import RESULTS
from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.benchmark.timing import TimeEstimate, interleave, paired_ratio, quantile
from torchstone_runtime.files import write_atomic
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.system.cpu import processor_name, usable_cpus
from torchstone_train.networks.image_classifier import ImageClassifier

NETWORKS: Final = ("mobilenet_v3_small", "efficientnet_b0", "resnet50", "vit_b_16")
SIDE: Final = 224
CLASSES: Final = tuple(f"class {index}" for index in range(1000))
_TRIAL_CALLS: Final = 8


def write_model(name: str, folder: Path) -> Path:
    """Export a network of torchvision's with random weights as one ONNX file."""
    spec = InputSpec(
        color="RGB",
        height=SIDE,
        width=SIDE,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        fit="crop",
        resize=256,
    )
    network = torchvision.models.get_model(name, weights=None).eval()
    model = ExportableClassifier(ImageClassifier(network, spec)).eval()
    path = folder / f"{name}.onnx"
    path.write_bytes(export_onnx(model, name, CLASSES, spec))
    return path


def measure(path: Path, rounds: int) -> dict[str, Any]:
    """Time one picture a call on every side, in turns."""
    picture = np.random.default_rng(0).integers(0, 256, (1, 3, SIDE, SIDE), dtype=np.uint8)
    with ExitStack() as opened:
        sides: dict[str, Classifier] = {}
        for mode in ("auto", "latency", "throughput"):
            classifier = opened.enter_context(Classifier.load(path, provider="cpu", mode=mode))
            for _ in range(_TRIAL_CALLS):
                classifier.predict(picture)
            sides[mode] = classifier
        plain = plain_session(path)
        times = interleave(_calls(sides, plain, picture), rounds=rounds)
        plan = str(sides["auto"].plan)
    names = [*sides, "onnxruntime"]
    found: dict[str, Any] = {name: _shown(quantile(item * 1e3, 0.5)) for name, item in zip(names, times, strict=True)}
    found["auto / onnxruntime"] = _shown(paired_ratio(times[0], times[3]))
    found["throughput / onnxruntime"] = _shown(paired_ratio(times[2], times[3]))
    return {"milliseconds and ratios": found, "plan": plan}


def _calls(sides: Mapping[str, Classifier], plain: Any, picture: Uint8Array) -> list[Callable[[], object]]:  # noqa: ANN401
    return [*(partial(made.predict, picture) for made in sides.values()), partial(plain.run, None, {"images": picture})]


def _shown(estimate: TimeEstimate) -> dict[str, float | None]:
    return {"median": estimate.value, "low": estimate.low, "high": estimate.high}


def main() -> None:
    """Measure the networks one after another, and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=RESULTS / "engine-one-picture.json")
    arguments = parser.parse_args()
    packages = ("onnxruntime", "torch", "torchvision")
    results: dict[str, Any] = {
        "machine": {"processor": processor_name(), "processors": usable_cpus()},
        "versions": {name: metadata.version(name) for name in packages},
        "networks": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.networks:
            results["networks"][name] = measure(write_model(name, Path(folder)), arguments.rounds)
            print(name, results["networks"][name], flush=True)
    write_atomic(arguments.out, strict_json(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
