"""JPEG files on the disk to labels: `Classifier.predict_folder` beside the best pipelines that one writes by hand.

Run: python -m benchmarks.engine.pictures_from_disk FOLDER [--networks NAME ...] [--pictures 1000] [--out FILE.json]

FOLDER holds class folders of photographs (caltech40's), from which files of 500 x 375 and 1600 x 1200 are made
(bicubic, JPEG of quality 90; where there are fewer than asked for, they are used again). Networks are torchvision's
with random weights, which don't change the speed, exported by Torchstone, so that all sides run the same file on uint8
pixels.

The sides, in turns in every round, in an order that is drawn anew: Torchstone; Torchstone with a file whose
specification says `decode = "reduced"`; and by hand, decoding in as many threads as there are processors, two batches
ahead of ONNX Runtime with its own defaults: OpenCV (bilinear without antialiasing, its fastest), OpenCV with its own
reduced decoding (a half or a quarter, as far as the size that is resized to allows), and torchvision's decoder with its
antialiased resizing. Files are read once before, and so come from memory. A ratio above 1 is in favour of the side that
is named first. Needs opencv-python-headless.
"""

import argparse
import io
import tempfile
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
import torchvision
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.v2 import functional

from benchmarks.engine.certificate_cost import SIDE, SPEC
from benchmarks.engine.plain_session import plain_session
from benchmarks.places import RESULTS
from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.benchmark.timing import TimeEstimate, interleave, paired_ratio, quantile
from torchstone_runtime.files import write_atomic
from torchstone_runtime.images.geometry import Placement
from torchstone_runtime.images.input_spec import Decoding
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.system.cpu import processor_name, usable_cpus
from torchstone_train.networks.image_classifier import ImageClassifier

NETWORKS: Final = ("mobilenet_v3_small", "resnet50")
SIZES: Final = ((500, 375), (1600, 1200))
CLASSES: Final = tuple(f"class {index}" for index in range(1000))
_BATCH: Final = 32
_AHEAD: Final = 2
Decode = Callable[[Path], Uint8Array]


def write_pictures(source: Path, place: Path, size: tuple[int, int], count: int) -> Path:
    """Write `count` JPEG files of a size, made of the photographs of a folder; return their folder."""
    files = sorted(source.glob("*/*.jpg"))
    files = files[:: max(1, len(files) // count)][:count]
    folder = place / f"{size[0]}x{size[1]}"
    folder.mkdir()
    for index in range(count):
        buffer = io.BytesIO()
        with Image.open(files[index % len(files)]) as image:
            image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        (folder / f"{index:05}.jpg").write_bytes(buffer.getvalue())
    return folder


def write_network(name: str, place: Path, decode: Decoding) -> Path:
    """Export a network of torchvision's with random weights, with a rule for decoding, as one ONNX file."""
    torch.manual_seed(0)
    spec = replace(SPEC, decode=decode)
    network = torchvision.models.get_model(name, weights=None).eval()
    model = ExportableClassifier(ImageClassifier(network, spec)).eval()
    path = place / f"{name}-{decode}.onnx"
    path.write_bytes(export_onnx(model, name, CLASSES, spec))
    return path


def with_opencv(path: Path, *, reduced: bool) -> Uint8Array:
    """Decode, resize and cut out with OpenCV; RGB, uint8 (3, H, W)."""
    content = np.frombuffer(path.read_bytes(), np.uint8)
    flag = cv2.IMREAD_COLOR
    if reduced:
        with Image.open(path) as header:  # OpenCV tells no size without decoding
            scale = min(header.size) // (SPEC.resize or SIDE)
        flag = {0: flag, 1: flag, 2: cv2.IMREAD_REDUCED_COLOR_2, 3: cv2.IMREAD_REDUCED_COLOR_2}.get(
            scale, cv2.IMREAD_REDUCED_COLOR_4
        )
    image = cv2.imdecode(content, flag)
    height, width = image.shape[:2]
    place = Placement.of(height, width, SPEC)
    small = cv2.resize(image, (place.width, place.height), interpolation=cv2.INTER_LINEAR)
    part = small[-place.top : SIDE - place.top, -place.left : SIDE - place.left]
    return np.ascontiguousarray(part[:, :, ::-1].transpose(2, 0, 1))


def with_torchvision(path: Path) -> Uint8Array:
    """Decode with torchvision's libjpeg-turbo, and resize and cut out its tensor."""
    content = torch.from_numpy(np.fromfile(path, np.uint8))
    image = decode_jpeg(content, ImageReadMode.RGB)
    small = functional.center_crop(functional.resize(image, [SPEC.resize or SIDE], antialias=True), [SIDE, SIDE])
    return np.ascontiguousarray(small.numpy())


def by_hand(decode: Decode, session: Any, files: list[Path]) -> list[int]:  # noqa: ANN401 - an ONNX Runtime session
    """Return the class of each picture; batches are decoded ahead of the session."""
    labels: list[int] = []
    remaining = iter(files)
    with ThreadPoolExecutor(usable_cpus()) as pool:

        def begin() -> "list[Future[Uint8Array]]":
            return [pool.submit(decode, file) for file in islice(remaining, _BATCH)]

        waiting = deque(begin() for _ in range(1 + _AHEAD))
        while batch := waiting.popleft():
            pixels = np.stack([future.result() for future in batch])
            waiting.append(begin())
            labels += session.run(["logits"], {"images": pixels})[0].argmax(axis=1).tolist()
    return labels


def measure(network: str, folder: Path, place: Path, rounds: int) -> dict[str, Any]:
    """Time all sides on a folder, in turns."""
    files = sorted(folder.iterdir())
    session = plain_session(write_network(network, place, "full"))
    with ExitStack() as opened:
        ours = {
            f"torchstone, {decode}": opened.enter_context(
                Classifier.load(write_network(network, place, decode), provider="cpu")
            )
            for decode in _RULES
        }
        sides: dict[str, Callable[[], object]] = {
            name: partial(_labels, classifier, folder) for name, classifier in ours.items()
        }
        for name, decode in _PEERS.items():
            sides[name] = partial(by_hand, decode, session, files)
        times = dict(zip(sides, interleave(list(sides.values()), rounds=rounds, seconds=0.0), strict=True))
    fastest = min(("opencv", "torchvision"), key=lambda name: float(np.median(times[name])))
    ratios = {
        f"{fastest} / torchstone, full": paired_ratio(times[fastest], times["torchstone, full"]),
        "opencv, reduced / torchstone, reduced": paired_ratio(times["opencv, reduced"], times["torchstone, reduced"]),
        "torchstone, full / torchstone, reduced": paired_ratio(times["torchstone, full"], times["torchstone, reduced"]),
    }
    return {
        "images per second": {name: _shown(quantile(len(files) / found, 0.5), 1) for name, found in times.items()},
        "ratios of the times": {name: _shown(found, 3) for name, found in ratios.items()},
    }


def _labels(classifier: Classifier, folder: Path) -> list[str | None]:
    return [prediction.label for prediction in classifier.predict_folder(folder)]


_RULES: Final[tuple[Decoding, ...]] = ("full", "reduced")
_PEERS: Final[dict[str, Decode]] = {
    "opencv": partial(with_opencv, reduced=False),
    "opencv, reduced": partial(with_opencv, reduced=True),
    "torchvision": with_torchvision,
}


def _shown(estimate: TimeEstimate, digits: int) -> dict[str, float | None]:
    ends = {"median": estimate.value, "low": estimate.low, "high": estimate.high}
    return {name: None if value is None else round(value, digits) for name, value in ends.items()}


def main() -> None:
    """Measure networks and sizes one after another, and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULTS / "engine-pictures-from-disk.json")
    arguments = parser.parse_args()
    # Several pictures are decoded at once: threads within one would be too many.
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    packages = ("onnxruntime", "pillow", "opencv-python-headless", "torch", "torchvision")
    results: dict[str, Any] = {
        "machine": {"processor": processor_name(), "processors": usable_cpus()},
        "versions": {name: metadata.version(name) for name in packages},
        "pictures": arguments.pictures,
        "networks": {},
    }
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        folders = {size: write_pictures(arguments.folder, place, size, arguments.pictures) for size in SIZES}
        for name in arguments.networks:
            found = {f"{w} x {h}": measure(name, folders[w, h], place, arguments.rounds) for w, h in SIZES}
            results["networks"][name] = found
            print(name, strict_json(found, indent=1), flush=True)
    write_atomic(arguments.out, strict_json(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
