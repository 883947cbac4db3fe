"""How far an execution provider's float32 is from exact arithmetic, over honest exports: what its tolerance is from.

Run: python -m benchmarks.engine.provider_errors --work FOLDER [--provider openvino] [--out FILE.json]

FOLDER is what `benchmarks.engine.provider_exports` wrote. This needs no PyTorch, so that it runs where
`torchstone[openvino]` is installed. For each export: the largest logit error over all images as a multiple of PyTorch's
own (the noise floor, as in the certificate), the same for the root mean square, and how many decisions differ from
float64's. `bf16`, where OpenVINO computes it, is measured beside, to show how far apart the two are.
"""

import argparse
import json
from collections.abc import Mapping
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort

from benchmarks.places import RESULTS
from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.errors import TorchstoneError, first_line
from torchstone_runtime.files import write_atomic
from torchstone_runtime.inference.engine import make_engine
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.inference.providers import open_session
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.system.cpu import processor_name, usable_cpus

_QUANTILES: Final = (0.5, 0.9, 1.0)


def logits_on(content: bytes, images: Uint8Array, classes: int, options: LoadOptions) -> Float32Array:
    """Return the logits of a file as production computes them on a provider."""
    with closing(make_engine(open_session(content, options), classes)) as engine:
        return engine.run(images)[0]


Sides = Mapping[str, tuple[bytes, LoadOptions]]
"""Ways of computing by name: the file that is run, and how it is loaded."""


def measure(folder: Path, provider: str) -> dict[str, Any]:
    """Return what a provider makes of one export, and the CPU beside it."""
    content = (folder / "model.onnx").read_bytes()
    options = {"cpu": LoadOptions(provider="cpu"), provider: LoadOptions(provider=provider)}
    if provider == "openvino":
        options["openvino, bf16"] = LoadOptions(provider=provider, precision="bf16")
    return measure_sides(folder, {name: (content, chosen) for name, chosen in options.items()})


def measure_sides(folder: Path, sides: Sides) -> dict[str, Any]:
    """Return the case of one export, and of each side the errors in multiples of PyTorch's, or why it was refused."""
    record: dict[str, Any] = json.loads((folder / "case.json").read_text())
    with np.load(folder / "expected.npz") as arrays:
        images, exact = np.ascontiguousarray(arrays["images"]), arrays["exact"]
    record["samples"] = len(images)
    for name, (content, options) in sides.items():
        try:
            logits = logits_on(content, images, exact.shape[1], options)
        except TorchstoneError as error:
            record[name] = {"refused": first_line(error)}
            continue
        errors = np.abs(logits - exact)
        record[name] = {
            "max_multiple": float(errors.max()) / record["noise_floor"],
            "rms_multiple": float(np.sqrt(np.mean(errors**2))) / record["rms_floor"],
            "flips": int((logits.argmax(axis=1) != exact.argmax(axis=1)).sum()),
        }
    return record


def summarize(records: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return quantiles of the multiples over all exports that a provider ran, and what it refused."""
    ran = [record[name] for record in records if "max_multiple" in record.get(name, {})]
    return {
        "exports": len(ran),
        "images": sum(record["samples"] for record in records if "max_multiple" in record.get(name, {})),
        "refused": [record["family"] for record in records if "refused" in record.get(name, {})],
        "flips": sum(item["flips"] for item in ran),
    } | {
        key: {f"{100 * share:g}%": float(np.quantile([item[key] for item in ran], share)) for share in _QUANTILES}
        for key in ("max_multiple", "rms_multiple")
        if ran
    }


def main() -> None:
    """Measure every export of a folder, and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--provider", default="openvino")
    parser.add_argument("--out", type=Path, default=RESULTS / "engine-provider-errors.json")
    arguments = parser.parse_args()
    records = []
    for file in sorted(arguments.work.glob("*/case.json")):
        records.append(measure(file.parent, arguments.provider))
        print(file.parent.name, {key: item for key, item in records[-1].items() if isinstance(item, dict)}, flush=True)
    names = [name for name in ("cpu", arguments.provider, "openvino, bf16") if any(name in item for item in records)]
    packages = {item.name: item.version for item in metadata.distributions() if item.name.startswith("onnxruntime")}
    results = {
        "machine": {"processor": processor_name(), "processors": usable_cpus()},
        "versions": {"onnxruntime": ort.__version__, **packages},
        "summary": {name: summarize(records, name) for name in names},
        "exports": records,
    }
    write_atomic(arguments.out, strict_json(results, indent=1) + "\n")
    print(json.dumps(results["summary"], indent=1))


if __name__ == "__main__":
    main()
