"""Large networks on OpenVINO beside ONNX Runtime's CPU provider, as `Classifier` runs both: one picture, and many.

Run: python -m benchmarks.engine.one_picture_files --folder FILES            (where PyTorch is: writes the networks)
     python -m benchmarks.engine.provider_speed --folder FILES [--rounds 15] [--out FILE.json]

The second runs where `torchstone[openvino]` is installed, and needs no PyTorch. Sides, in turns in every round: `cpu`,
`openvino` in fp32, and in bf16 where the processor has it. A ratio above 1 is in favour of OpenVINO. Random weights
change no speed; bf16 is timed here, not certified.
"""

import argparse
from contextlib import ExitStack
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.places import RESULTS
from torchstone_runtime.benchmark.timing import TimeEstimate, interleave, paired_ratio, quantile
from torchstone_runtime.files import write_atomic
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.system.cpu import BF16_FEATURES, cpu_features, processor_name, usable_cpus

_MANY: Final = 32


def sides() -> dict[str, LoadOptions]:
    """Return the ways to run a file that this machine has."""
    found = {"cpu": LoadOptions(provider="cpu"), "openvino, fp32": LoadOptions(provider="openvino")}
    if not cpu_features().isdisjoint(BF16_FEATURES):
        found["openvino, bf16"] = LoadOptions(provider="openvino", precision="bf16")
    return found


def measure(path: Path, rounds: int) -> dict[str, Any]:
    """Time every side on one picture a call, after the trial of a second session, and on many."""
    random = np.random.default_rng(0)
    found: dict[str, Any] = {}
    with ExitStack() as opened:
        loaded = {name: opened.enter_context(Classifier.load_with(path, options)) for name, options in sides().items()}
        for count in (1, _MANY):
            pictures = random.integers(0, 256, (count, *loaded["cpu"].input_spec.shape), dtype=np.uint8)
            for classifier in loaded.values():
                for _ in range(8 if count == 1 else 1):
                    classifier.predict(pictures)
            times = interleave([partial(item.predict, pictures) for item in loaded.values()], rounds=rounds)
            found[f"{count} pictures"] = {
                name: {"milliseconds": _shown(quantile(1e3 * own, 0.5)), "speed": _shown(paired_ratio(times[0], own))}
                for name, own in zip(loaded, times, strict=True)
            }
        found["plans"] = {name: str(classifier.plan) for name, classifier in loaded.items()}
    return found


def _shown(estimate: TimeEstimate) -> list[float | None]:
    return [estimate.value, estimate.low, estimate.high]


def main() -> None:
    """Measure every file of a folder, and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=RESULTS / "engine-provider-speed.json")
    arguments = parser.parse_args()
    packages = {item.name: item.version for item in metadata.distributions() if item.name.startswith("onnxruntime")}
    results: dict[str, Any] = {
        "machine": {"processor": processor_name(), "processors": usable_cpus()},
        "versions": packages,
        "networks": {},
    }
    for path in sorted(arguments.folder.glob("*.onnx")):
        results["networks"][path.stem] = found = measure(path, arguments.rounds)
        print(path.stem, found, flush=True)
    write_atomic(arguments.out, strict_json(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
