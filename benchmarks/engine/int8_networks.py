"""int8 and bf16 of networks for photographs: what the gate makes of them, on pictures that the model has not learnt.

Run: TORCHSTONE_DATA=... python -m benchmarks.engine.int8_networks --run RUN [--variants int8 bf16] [--out FILE.json]
     python -m benchmarks.engine.int8_networks --mechanics resnet18 mobilenet_v3_small [--out FILE.json]

RUN is a training on photographs, such as `torchstone train probe` with the backbone
`benchmarks.photos.lite0_backbone:lite0` on caltech40. The search chooses by the first half of its validation part and
the gate decides on the second; the test part is not looked at. int8 is calibrated on the training part. What is kept is
the gate's own report: accuracy against fp32 with its interval, speed with its interval, the layers that stay in float,
and the time of the search.

`--mechanics` quantises torchvision's networks with random weights, which say nothing of accuracy: how long it takes,
how far the logits move, and what one picture costs in float and in int8, one thread.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engine.one_picture import write_model
from benchmarks.places import RESULTS
from torchstone_export.certificate.reference import make_reference
from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.lossy.decide import LossyLimits, make_lossy
from torchstone_export.lossy.int8_file import Int8Config, layer_names, quantize
from torchstone_export.model import load_trained
from torchstone_export.run_data import load_run_data
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.benchmark.timing import interleave, paired_ratio, quantile
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.files import write_atomic
from torchstone_runtime.inference.load_options import ON_CPU
from torchstone_runtime.inference.providers import open_session
from torchstone_runtime.inference.session_io import OrtSession
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.system.cpu import processor_name, usable_cpus
from torchstone_train.run.run_dir import RunDirectory

_LEFT_OUT = ("changes",)


def judge(run: Path, names: list[str], limits: LossyLimits) -> dict[str, Any]:
    """Return the gate's report on each variant of a run, decided on half of the validation part."""
    directory = RunDirectory.open(run)
    info = directory.read_info()
    model = load_trained(directory)
    data = load_run_data(info, None, default_data_dir())
    order = np.random.RandomState(0).permutation(len(data.validation))
    half = len(order) // 2
    chosen, deciding = (data.validation.select(np.sort(part), "validation") for part in (order[:half], order[half:]))
    data = replace(data, validation=chosen, test=deciding)
    content = export_onnx(model.module, model.name, model.class_names, model.spec)
    reference = make_reference(model.module, {"validation": chosen, "test": deciding})
    report: dict[str, Any] = {"images": {"chosen on": len(chosen), "decided on": len(deciding)}, "bytes": len(content)}
    for variant in make_lossy(names, content, data, reference, limits):
        found = {key: value for key, value in variant.to_json().items() if key not in _LEFT_OUT}
        report[variant.name] = {"line": variant.line, "bytes": len(variant.content), **found}
        print(variant.line, flush=True)
    return report


def mechanics(name: str, images: Uint8Array) -> dict[str, Any]:
    """Quantise a network with random weights and time both files, one picture a call."""
    with tempfile.TemporaryDirectory() as folder:
        content = write_model(name, Path(folder)).read_bytes()
    started = time.monotonic()
    quantized = quantize(content, images, Int8Config())
    seconds = time.monotonic() - started
    exact, rounded = (open_session(file, ON_CPU).session for file in (content, quantized))
    first, second = (_logits(session, images[:8]) for session in (exact, rounded))
    times = interleave([lambda: _logits(exact, images[:1]), lambda: _logits(rounded, images[:1])], rounds=11)
    ratio = paired_ratio(times[0], times[1])
    return {
        "layers": len(layer_names(content)),
        "bytes": [len(content), len(quantized)],
        "seconds to quantise": seconds,
        "rms error by the logits' deviation": float(np.sqrt(np.square(second - first).mean()) / first.std()),
        "milliseconds": [quantile(1e3 * item, 0.5).value for item in times],
        "speed ratio": [ratio.value, ratio.low, ratio.high],
    }


def _logits(session: OrtSession, images: Uint8Array) -> Any:  # noqa: ANN401
    return session.run(["logits"], {"images": images})[0]


def main() -> None:
    """Measure a run, or the mechanics of networks, and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--variants", nargs="+", default=["int8"])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--max-accuracy-drop", type=float, default=0.02)
    parser.add_argument("--mechanics", nargs="+", default=[])
    parser.add_argument("--out", type=Path, default=RESULTS / "engine-int8-networks.json")
    arguments = parser.parse_args()
    packages = {item.name: item.version for item in metadata.distributions() if item.name.startswith("onnxruntime")}
    results: dict[str, Any] = {
        "machine": {"processor": processor_name(), "processors": usable_cpus()},
        "versions": {"torch": metadata.version("torch"), **packages},
    }
    if arguments.run is not None:
        limits = LossyLimits(max_accuracy_drop=arguments.max_accuracy_drop, int8_minutes=arguments.minutes)
        results["run"] = judge(arguments.run, arguments.variants, limits)
    images = np.random.default_rng(0).integers(0, 256, (32, 3, 224, 224), dtype=np.uint8)
    for name in arguments.mechanics:
        results.setdefault("random weights", {})[name] = found = mechanics(name, images)
        print(name, found, flush=True)
    write_atomic(arguments.out, strict_json(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
