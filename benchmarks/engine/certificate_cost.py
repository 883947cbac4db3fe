"""What the certificate of a large network costs, beside the two passes that it can't do without.

Run: python -m benchmarks.engine.certificate_cost FOLDER [--network resnet50] [--pictures 200] [--out FILE.json]

FOLDER has class folders of pictures in `train` and `test`; half of the pictures come from each. The network is
torchvision's with random weights, which don't change the speed. One pass of PyTorch in float32 and one in float64, over
all pictures, are the least that a proof takes; the whole is everything that `torchstone export` does after it has
decoded the pictures: both passes, ONNX and TorchScript files, their passes, and the checks of other batch sizes.
"""

import argparse
import time
from collections import defaultdict
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torchvision

from benchmarks.places import RESULTS
from torchstone_export.certificate.reference import make_reference
from torchstone_export.certificate.runners import certify_files
from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.formats.torchscript_file import export_torchscript
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.data.folder import load_folder
from torchstone_runtime.data.split import Split
from torchstone_runtime.files import write_atomic
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.progress import WorkProgress, watched
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.system.cpu import processor_name, usable_cpus
from torchstone_train.networks.image_classifier import ImageClassifier

SIDE: Final = 224
SPEC: Final = InputSpec(
    color="RGB", height=SIDE, width=SIDE, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), fit="crop", resize=256
)


class StageTimes:
    """Adds up the seconds of each stage that is told; those of stages within others count for both."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._begun: dict[str, float] = {}

    def __call__(self, news: WorkProgress) -> None:
        """See `torchstone_runtime.progress.ProgressWatcher`."""
        if news.done == 0 and not news.ended:
            self._begun[news.task] = time.perf_counter()
        if news.ended and news.task in self._begun:
            self.seconds[news.task] += time.perf_counter() - self._begun.pop(news.task)

    def of(self, beginning: str) -> float:
        """Return the seconds of all stages whose names begin so."""
        return sum(seconds for name, seconds in self.seconds.items() if name.startswith(beginning))


def pictures(folder: Path, count: int) -> dict[str, Split]:
    """Return evenly spread pictures of both parts, decoded."""
    found = {}
    for name, part in (("validation", "train"), ("test", "test")):
        split = load_folder(folder / part, name, SPEC)
        chosen = np.unique(np.linspace(0, len(split) - 1, count // 2).astype(np.int64))
        found[name] = split.select(chosen, name).in_memory()
    return found


def measure(network: str, splits: dict[str, Split]) -> dict[str, Any]:
    """Export a network and certify both files over the pictures."""
    names = splits["test"].class_names
    module = torchvision.models.get_model(network, weights=None, num_classes=len(names)).eval()
    model = ExportableClassifier(ImageClassifier(module, SPEC)).eval()
    times, started = StageTimes(), time.perf_counter()
    with watched(times):
        reference = make_reference(model, splits)
        exported = time.perf_counter()
        contents = {
            "fp32": export_onnx(model, network, names, SPEC),
            "torchscript": export_torchscript(model, SPEC),
        }
        times.seconds["exporting"] = time.perf_counter() - exported
        certificates = certify_files(contents, reference)
    whole = time.perf_counter() - started
    least = times.of("PyTorch in float32") + times.of("PyTorch in float64")
    return {
        "pictures": sum(map(len, splits.values())),
        "seconds": {name: round(value, 2) for name, value in times.seconds.items()},
        "both passes": round(least, 2),
        "whole": round(whole, 2),
        "whole / both passes": round(whole / least, 2),
        "failures": [failure for item in certificates.values() for failure in item.failures],
    }


def main() -> None:
    """Measure, print, and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--out", type=Path, default=RESULTS / "engine-certificate-cost.json")
    arguments = parser.parse_args()
    torch.set_num_threads(usable_cpus())
    found = measure(arguments.network, pictures(arguments.folder, arguments.pictures))
    packages = ("onnxruntime", "torch", "torchvision")
    machine = {"processor": processor_name(), "processors": usable_cpus()}
    versions = {name: metadata.version(name) for name in packages}
    results = {"network": arguments.network, "machine": machine, "versions": versions, **found}
    print(strict_json(results, indent=1))
    write_atomic(arguments.out, strict_json(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
