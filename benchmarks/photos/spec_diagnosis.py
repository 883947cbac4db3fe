"""Inject mistakes into the specs of several networks, and count which ones the export's warning names.

python -m benchmarks.photos.spec_diagnosis [--photos DIR] [--networks NAME,...] [--results FILE]
python -m benchmarks.photos.spec_diagnosis --merge FILE FILE ... [--results FILE]

The second line makes one of several results: a process a network is quicker on several cores.

The networks: small ones that are trained here, on reduced photographs of the twelve most frequent classes of
caltech40, each with a preprocessing of its own; and EfficientNet-lite0 with its published ImageNet weights, whose last
layer is scikit-learn's logistic regression, fitted on its features of caltech40's training photographs. Of each, the
right spec is changed in one way after the other. A mistake counts as measurable where it costs at least one point of
accuracy on all validation and test images, and McNemar's exact test tells it from chance (1 %). It counts as named
where the warning names every factor that was changed. False alarms: right specs, on halves of the images drawn anew.
"""

import argparse
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from benchmarks.photos.spec_networks import RIGHT, StudyNetwork, lite0_network, small_network
from benchmarks.places import RESULTS
from torchstone_export.certificate.reference import SplitReference
from torchstone_export.foreign.class_order import LEVEL, at_least
from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_export.foreign.spec_diagnosis import BetterSpec, find_better_spec
from torchstone_export.foreign.spec_screening import Sample
from torchstone_runtime.arrays import Float64Array, Uint8Array
from torchstone_runtime.data.split import Split
from torchstone_runtime.files import write_atomic
from torchstone_runtime.system.cpu import processor_name

CLASSES = 12
SIDE = 112
REPEATS = 6
LITE0_MISTAKES = frozenset(
    {
        "fit: stretch",
        "fit: pad black",
        "color: other order",
        "normalisation: 0.5",
        "fit and color",
    }
)
"""Those that are tried on the network that takes a minute a mistake."""
Flags = npt.NDArray[np.bool_]
IMAGENET: dict[str, Any] = {"pixel_range": "0-1", "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
HALF: dict[str, Any] = {"pixel_range": "0-1", "mean": (0.5,) * 3, "std": (0.5,) * 3}
NONE: dict[str, Any] = {"pixel_range": "0-1", "mean": (0.0,) * 3, "std": (1.0,) * 3}
RAW: dict[str, Any] = {"pixel_range": "0-255", "mean": (0.0,) * 3, "std": (1.0,) * 3}


@dataclass(frozen=True)
class Mistake:
    """A change of a right spec."""

    name: str
    factors: tuple[str, ...]
    spec: ModelSpec


class CachedAnswer:
    """A network's answers, each computed once."""

    def __init__(self, network: StudyNetwork) -> None:
        self._network = network
        self._known: dict[bytes, Float64Array] = {}

    def __call__(self, spec: ModelSpec, images: Uint8Array) -> Float64Array:
        """Return logits as `spec_screening.Answer` does."""
        key = repr((spec.color, spec.pixel_range, spec.mean, spec.std)).encode()
        names = [hashlib.blake2b(key + image.tobytes(), digest_size=16).digest() for image in images]
        missing = [index for index, name in enumerate(names) if name not in self._known]
        if missing:
            for index, row in zip(missing, self._network.answer(spec, images[missing]), strict=True):
                self._known[names[index]] = row
        return np.stack([self._known[name] for name in names])


def mistakes(right: ModelSpec) -> Iterator[Mistake]:
    longer = max(right.input[1:])
    fits: dict[str, dict[str, Any]] = {
        "stretch": {"fit": "stretch", "resize": None, "fill": 0},
        "crop of all": {"fit": "crop", "resize": longer, "fill": 0},
        "crop of 0.875": {"fit": "crop", "resize": int(longer / 0.875), "fill": 0},
        "crop of 0.7": {"fit": "crop", "resize": int(longer / 0.7), "fill": 0},
        "pad black": {"fit": "pad", "resize": None, "fill": 0},
        "pad white": {"fit": "pad", "resize": None, "fill": 255},
    }
    other_color: dict[str, Any] = {"color": "BGR" if right.color == "RGB" else "RGB"}
    scales: dict[str, dict[str, Any]] = {"ImageNet": IMAGENET, "0.5": HALF, "none": NONE, "0 to 255": RAW}
    filters: dict[str, dict[str, Any]] = {
        **{name: {"resize_filter": name, "antialias": True} for name in ("nearest", "bilinear", "bicubic")},
        "no antialias": {"antialias": False},
    }
    singles = [("fit", name, change) for name, change in fits.items()]
    singles += [("normalisation", name, change) for name, change in scales.items()]
    singles += [("filter", name, change) for name, change in filters.items()]
    singles.append(("color", "other order", other_color))
    found = [Mistake(f"{factor}: {name}", (factor,), replace(right, **change)) for factor, name, change in singles]
    stretch = fits["crop of all"] if right.fit == "stretch" else fits["stretch"]
    scale = NONE if right.mean[0] == HALF["mean"][0] else HALF
    found += [
        Mistake("fit and color", ("fit", "color"), replace(right, **stretch, **other_color)),
        Mistake("fit and normalisation", ("fit", "normalisation"), replace(right, **stretch, **scale)),
        Mistake("color and normalisation", ("color", "normalisation"), replace(right, **other_color, **scale)),
        Mistake("three", ("fit", "color", "normalisation"), replace(right, **stretch, **other_color, **scale)),
    ]
    return (item for item in found if item.spec != right)


def references(spec: ModelSpec, splits: dict[str, Split], answer: CachedAnswer) -> dict[str, SplitReference]:
    found = {}
    for name, split in splits.items():
        rows = []
        for chunk in Sample(split, np.arange(len(split))).chunks():
            read = spec.input_spec()
            rows.append(answer(spec, chunk.read([read])[read]))
        logits = np.concatenate(rows)
        found[name] = SplitReference(split, logits.astype(np.float32), logits)
    return found


def right_answers(parts: dict[str, SplitReference]) -> Flags:
    return np.concatenate([part.decisions == part.split.labels for part in parts.values()])


def judge(network: StudyNetwork, mistake: Mistake, answer: CachedAnswer, right: Flags) -> dict[str, Any]:
    started = time.process_time()
    parts = references(mistake.spec, network.splits, answer)
    wrong = right_answers(parts)
    wins, losses = int((right & ~wrong).sum()), int((wrong & ~right).sum())
    cost = float(right.mean() - wrong.mean())
    measurable = cost >= 0.01 and at_least(wins, wins + losses, 0.5) <= LEVEL
    better = find_better_spec(mistake.spec, parts, answer)
    named = better is not None and set(mistake.factors) <= set(better.factors)
    return {
        "network": network.name,
        "mistake": mistake.name,
        "accuracy": round(float(wrong.mean()), 4),
        "cost": round(cost, 4),
        "measurable": measurable,
        "warned": better is not None,
        "named": named,
        "found": described(better),
        "cpu_seconds": round(time.process_time() - started, 1),
    }


def described(better: BetterSpec | None) -> dict[str, Any] | None:
    if better is None:
        return None
    return {
        "factors": list(better.factors),
        "options": better.options,
        "accuracy": round(better.accuracy, 4),
        "stated_accuracy": round(better.stated_accuracy, 4),
        "probability": better.probability,
    }


def halves(network: StudyNetwork, seed: int) -> dict[str, Split]:
    rng = np.random.default_rng(seed)
    chosen = {name: np.sort(rng.permutation(len(split))[: len(split) // 2]) for name, split in network.splits.items()}
    return {name: network.splits[name].select(indices, name) for name, indices in chosen.items()}


def false_alarms(network: StudyNetwork, answer: CachedAnswer, repeats: int) -> list[dict[str, Any]]:
    alarms = []
    for seed in range(repeats + 1):
        splits = network.splits if seed == 0 else halves(network, seed)
        better = find_better_spec(network.spec, references(network.spec, splits, answer), answer)
        alarms.append({"network": network.name, "draw": seed, "found": described(better)})
    return alarms


def study(network: StudyNetwork, repeats: int, names: str) -> Iterator[dict[str, Any]]:
    """Yield the result after each mistake: all so far."""
    answer = CachedAnswer(network)
    right = right_answers(references(network.spec, network.splits, answer))
    print(f"{network.name}: {right.mean():.3f} of {len(right)} images with the right spec", flush=True)
    alarms = false_alarms(network, answer, repeats if network.name != "lite0" else repeats // 2)
    print(f"  alarms on right specs: {sum(item['found'] is not None for item in alarms)} of {len(alarms)}", flush=True)
    cases = []
    chosen = [item for item in mistakes(network.spec) if network.name != "lite0" or item.name in LITE0_MISTAKES]
    for mistake in (item for item in chosen if item.name.startswith(names)):
        case = judge(network, mistake, answer, right)
        cases.append(case)
        options = case["found"]["options"] if case["found"] else "nothing"
        state = "named" if case["named"] else "measurable, not named" if case["measurable"] else "not measurable"
        print(f"  {mistake.name:30} cost {case['cost']:+.3f}: {state}; {options}", flush=True)
        yield {"accuracy": round(float(right.mean()), 4), "images": len(right), "alarms": alarms, "cases": cases}


def reduced_photos(photos: Path, folder: Path) -> Path:
    """Write the most frequent classes' photographs, reduced, as PNG."""
    counts = {path.name: len(list(path.iterdir())) for path in (photos / "train").iterdir()}
    for name in sorted(counts, key=lambda name: (-counts[name], name))[:CLASSES]:
        for part in ("train", "test"):
            (folder / part / name).mkdir(parents=True)
            for path in sorted((photos / part / name).iterdir()):
                with Image.open(path) as image:
                    small = image.convert("RGB")
                    small.thumbnail((SIDE, SIDE))
                    small.save(folder / part / name / f"{path.stem}.png", compress_level=1)
    return folder


def networks(names: list[str], photos: Path, work: Path) -> Iterator[StudyNetwork]:
    small = [name for name in names if name != "lite0"]
    if small:
        reduced = reduced_photos(photos, work)
        yield from (small_network(name, reduced) for name in small)
    if "lite0" in names:
        yield lite0_network(photos)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--photos", type=Path, default=Path(os.environ.get("TORCHSTONE_DATA", "data")) / "caltech40")
    parser.add_argument("--networks", default=",".join([*RIGHT, "lite0"]))
    parser.add_argument("--mistakes", default="", help="try only those whose name begins so")
    parser.add_argument("--note", default="", help="what should be known of the measurement")
    parser.add_argument("--merge", nargs="+", type=Path, default=[])
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--results", type=Path, default=RESULTS / "spec-diagnosis.json")
    options = parser.parse_args()
    torch.manual_seed(0)
    found: dict[str, Any] = {}
    for path in options.merge:
        found |= json.loads(path.read_text())["networks"]
    if options.merge:
        write(options.results, found, options.note)
        print(json.dumps(totals(found), indent=2))
        return
    with tempfile.TemporaryDirectory() as work:
        for network in networks(options.networks.split(","), options.photos, Path(work)):
            for result in study(network, options.repeats, options.mistakes):
                found[network.name] = result
                write(options.results, found, options.note)
    print(json.dumps(totals(found), indent=2))


def totals(found: dict[str, Any]) -> dict[str, Any]:
    cases = [case for network in found.values() for case in network["cases"]]
    measurable = [case for case in cases if case["measurable"]]
    alarms = [item for network in found.values() for item in network["alarms"]]
    return {
        "mistakes": len(cases),
        "measurable": len(measurable),
        "warned": sum(case["warned"] for case in measurable),
        "named": sum(case["named"] for case in measurable),
        "right_specs": len(alarms),
        "false_alarms": sum(item["found"] is not None for item in alarms),
    }


def write(path: Path, found: dict[str, Any], note: str) -> None:
    packages = ("torch", "torchvision", "numpy", "pillow", "scikit-learn")
    versions = {name: metadata.version(name) for name in packages}
    document = {
        "machine": processor_name(),
        "versions": versions,
        "seed": 0,
        "note": note,
        "totals": totals(found),
        "networks": found,
    }
    write_atomic(path, json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
