"""Loading of photographs: this training's batches beside `ImageFolder` with `DataLoader`, and beside decoding alone.

Run: python -m benchmarks.photos.loading FOLDER [--rounds 5] [--side 224] [--out benchmarks/results/photos-loading.json]

FOLDER holds class folders of photographs. They are measured as they are, with two augmentations (random crops and
flips, and these with TrivialAugment), and enlarged to about 1600 x 1200, in a temporary folder. In every round each
side gives the same pictures once, one side after the other, so that other work on the machine meets them all; the
ratios are taken within a round. No network is trained meanwhile: it is the loading alone.

Sides: `DataLoader` with 0, 1, 2 and 4 worker processes, which stay alive between rounds, uint8 batches (the fastest in
the median is compared with); ours without a cache, in the first epoch with the cache in memory, in later ones, and from
the cache on disk; decoding alone by Pillow, on as many threads as there are processors. Of the sides that stay in this
process, processor time is taken as well, which other work disturbs less.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import PIL
import torch
import torchvision
from PIL import Image
from torchvision.transforms import v2

from benchmarks.places import RESULTS
from torchstone_runtime.data.folder import FileStore, load_folder
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.system.cpu import processor_name, usable_cpus
from torchstone_train.data.augmented_batches import AugmentedBatches
from torchstone_train.data.cached_pictures import CachedPictures, MemoryCache
from torchstone_train.data.disk_cache import DiskCache
from torchstone_train.data.pictures import FilePictures, PictureSource, shorter_side_of_crops
from torchstone_train.data.transforms import PictureTransforms
from torchstone_train.recipes.transforms import parse_transforms

BATCH: Final = 32
WORKERS: Final = (0, 1, 2, 4)
LARGE: Final = (1600, 1200)
AUGMENTATIONS: Final[dict[str, list[Callable[[], Any]]]] = {
    "random-resized-crop,flip": [v2.RandomHorizontalFlip],
    "random-resized-crop,flip,trivial-augment": [v2.RandomHorizontalFlip, v2.TrivialAugmentWide],
}
SMALL: Final = "as they are"
ENLARGED: Final = "enlarged to 1600 x 1200"
CASES: Final = (
    (SMALL, "random-resized-crop,flip"),
    (ENLARGED, "random-resized-crop,flip"),
    (SMALL, "random-resized-crop,flip,trivial-augment"),
)
Side = Callable[[], int]
"""Loads all pictures once, and returns how many."""


def enlarged(folder: Path, place: Path, count: int) -> Path:
    """Save `count` of a folder's pictures, enlarged, as JPEG files of quality 90 in the same class folders."""
    files = sorted(folder.glob("*/*.jpg"))
    for file in files[:: max(1, len(files) // count)][:count]:
        with Image.open(file) as image:
            factor = min(LARGE[0] / max(image.size), LARGE[1] / min(image.size))
            size = (round(image.width * factor), round(image.height * factor))
            (place / file.parent.name).mkdir(parents=True, exist_ok=True)
            image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(
                place / file.parent.name / file.name, quality=90
            )
    return place


def chosen(folder: Path, place: Path, count: int) -> Path:
    """Copy `count` of a folder's pictures, evenly spread."""
    files = sorted(folder.glob("*/*.jpg"))
    for file in files[:: max(1, len(files) // count)][:count]:
        (place / file.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place / file.parent.name)
    return place


def peers(folder: Path, side: int, augmentation: str) -> dict[str, Side]:
    """Return `ImageFolder` with `DataLoader`, by number of worker processes."""
    steps = [v2.RandomResizedCrop(side), *(make() for make in AUGMENTATIONS[augmentation]), v2.PILToTensor()]
    dataset = torchvision.datasets.ImageFolder(folder, v2.Compose(steps))

    def walk(workers: int) -> Side:
        loader = torch.utils.data.DataLoader(
            dataset, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0
        )
        return lambda: _count(loader)

    return {f"DataLoader, {workers} workers": walk(workers) for workers in WORKERS}


def ours(folder: Path, cache: Path, side: int, augmentation: str) -> dict[str, Side]:
    """Return this training's batches, by cache."""
    spec = InputSpec(color="RGB", height=side, width=side, mean=(0.5,) * 3, std=(0.5,) * 3)
    split = load_folder(folder, "train", spec)
    assert isinstance(split.store, FileStore)
    files = FilePictures(split.store, shorter_side_of_crops(side, side))
    transforms = PictureTransforms(parse_transforms(augmentation), spec)
    epochs = iter(range(1, 1_000_000))

    def walk(pictures: PictureSource) -> int:
        batches = AugmentedBatches(
            pictures,
            split.labels,
            transforms,
            spec,
            seed=0,
            device=torch.device("cpu"),
            workers=usable_cpus(),
        )
        return _count(batches.walk(torch.randperm(len(split)), BATCH, next(epochs)))

    kept = CachedPictures(files, MemoryCache(8 << 30))
    on_disk = CachedPictures(files, DiskCache(cache, 32 << 30, print), files.key)
    walk(kept), walk(on_disk)
    return {
        "ours, no cache": lambda: walk(files),
        "ours, first epoch": lambda: walk(CachedPictures(files, MemoryCache(8 << 30))),
        "ours, in memory": lambda: walk(kept),
        "ours, on disk": lambda: walk(on_disk),
    }


def decoding(folder: Path) -> Side:
    """Return Pillow's decoding of the files to RGB."""
    files = sorted(folder.glob("*/*.jpg"))

    def decode(file: Path) -> None:
        with Image.open(file) as image:
            image.convert("RGB")

    def walk() -> int:
        with ThreadPoolExecutor(usable_cpus()) as pool:
            return len(list(pool.map(decode, files)))

    return walk


def _count(batches: Iterable[Any]) -> int:
    return sum(len(images) for images, _ in batches)


def measure(sides: dict[str, Side], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return by side images/s of each round, and milliseconds of this process's processor time an image."""
    found: dict[str, dict[str, list[float]]] = {name: {"images_per_second": [], "cpu_ms": []} for name in sides}
    for name in [one for one in sides if one.startswith("DataLoader")]:
        sides[name]()  # starts the workers
    for number in range(rounds):
        # Begins with another side in each round.
        names = [*sides][number % len(sides) :] + [*sides][: number % len(sides)]
        for name in names:
            started, used = time.perf_counter(), time.process_time()
            count = sides[name]()
            found[name]["images_per_second"].append(count / (time.perf_counter() - started))
            found[name]["cpu_ms"].append(1000 * (time.process_time() - used) / count)
    return found


def summary(found: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """Return medians, and by side the ratio to the best `DataLoader` in each round: median, smallest, largest."""
    speeds = {name: values["images_per_second"] for name, values in found.items()}
    best = max(
        (name for name in speeds if name.startswith("DataLoader")), key=lambda name: statistics.median(speeds[name])
    )
    ratios = {}
    for name, own_speeds in speeds.items():
        if name.startswith("DataLoader"):
            continue
        each = [own / peer for own, peer in zip(own_speeds, speeds[best], strict=True)]
        ratios[name] = {"median": statistics.median(each), "smallest": min(each), "largest": max(each)}
    in_process = [name for name in found if not name.startswith("DataLoader") or name.endswith(" 0 workers")]
    return {
        "best_data_loader": best,
        "images_per_second": {name: statistics.median(values) for name, values in speeds.items()},
        "cpu_ms_per_image": {name: statistics.median(found[name]["cpu_ms"]) for name in in_process},
        "ratio_to_best_data_loader": ratios,
        "rounds": found,
    }


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "processor": processor_name(),
        "processors": usable_cpus(),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "pillow": PIL.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--pictures", type=int, default=512, help="photographs as they are; a third as many enlarged")
    parser.add_argument("--out", type=Path, default=RESULTS / "photos-loading.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    before = machine()
    results: dict[str, Any] = {}
    warnings.filterwarnings("ignore", message=".*worker processes in total")
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        folders = {
            SMALL: chosen(options.folder, place / "small", options.pictures),
            ENLARGED: enlarged(options.folder, place / "large", options.pictures // 3),
        }
        for pictures, augmentation in CASES:
            name = f"{pictures}; {augmentation}"
            sides = peers(folders[pictures], options.side, augmentation)
            sides |= ours(folders[pictures], place / "cache", options.side, augmentation)
            sides["decoding alone"] = decoding(folders[pictures])
            results[name] = summary(measure(sides, options.rounds))
            _print(name, results[name])
            document = {
                "command": " ".join(["python -m benchmarks.photos.loading FOLDER", *sys.argv[2:]]),
                "side": options.side,
                "batch": BATCH,
                "machine": before,
                "load_average_afterwards": os.getloadavg(),
                "results": results,
            }
            options.out.write_text(json.dumps(document, indent=1) + "\n")


def _print(name: str, found: dict[str, Any]) -> None:
    print(f"\n{name} (against {found['best_data_loader']})")
    for side, speed in found["images_per_second"].items():
        ratio = found["ratio_to_best_data_loader"].get(side)
        beside = f"{ratio['median']:.2f} x ({ratio['smallest']:.2f} to {ratio['largest']:.2f})" if ratio else ""
        used = found["cpu_ms_per_image"].get(side)
        print(f"  {side:24} {speed:8.0f} images/s  {'' if used is None else f'{used:.2f} ms of CPU':16} {beside}")


if __name__ == "__main__":
    main()
