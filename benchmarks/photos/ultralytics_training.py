"""A classifier of ultralytics from scratch, as its own command trains it: yolov8n-cls with the package's defaults.

Run: python -m benchmarks.photos.ultralytics_training FOLDER --work FOLDER --epochs N [--size 224] [--seed S]

FOLDER has `train/` and `test/` with class folders. A twentieth of the training pictures is held out, for the package
wants pictures to choose its best epoch by; the last line is the accuracy of that epoch's network on `test/`.
"""

import argparse
import os
from pathlib import Path
from typing import Any


def _divided(photos: Path, work: Path) -> Path:
    """Make the folder that the package reads: links to the pictures, every twentieth of `train/` in `val/`."""
    for number, picture in enumerate(sorted((photos / "train").glob("*/*"))):
        _link(picture, work / "data" / ("val" if number % 20 == 0 else "train"))
    for picture in sorted((photos / "test").glob("*/*")):
        _link(picture, work / "data" / "test")
    return work / "data"


def _link(picture: Path, part: Path) -> None:
    place = part / picture.parent.name / picture.name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(picture.resolve())


def main() -> None:
    """Train, and print the accuracy on the test pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    work = arguments.work.absolute()
    data = _divided(arguments.photos, work)
    os.environ["YOLO_CONFIG_DIR"], os.environ["YOLO_OFFLINE"] = str(work), "true"
    ultralytics: Any = __import__("ultralytics")
    options = {"imgsz": arguments.size, "seed": arguments.seed, "project": str(work), "plots": False, "workers": 2}
    network = ultralytics.YOLO("yolov8n-cls.yaml")
    network.train(data=str(data), epochs=arguments.epochs, name="run", amp=False, device="cpu", **options)
    best = ultralytics.YOLO(str(next(work.glob("**/weights/best.pt"))))
    found = best.val(data=str(data), split="test", imgsz=arguments.size, plots=False, workers=2, device="cpu")
    print(f"accuracy {found.top1:.4f}")


if __name__ == "__main__":
    main()
