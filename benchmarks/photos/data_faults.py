"""What `torchstone data` finds of faults that were put into photographs, and what it accuses falsely.

Run: TORCHSTONE_DATA=... python -m benchmarks.photos.data_faults train --thresholds
     TORCHSTONE_DATA=... python -m benchmarks.photos.data_faults test --seeds 1 2 3 --out FILE.json

The photographs are one part of caltech40; a copy of them is divided into a training and a test part, and gets faults of
each kind. `--thresholds` tries hashes' radius and correlation: they were chosen on the training part. What is joined
without having been put in is listed with its files, so that a person can say whether the data really holds the picture
twice (`--judged FILE` holds such judgements: a JSON object from "FILE FILE" to true or false).
"""

import argparse
import io
import itertools
import json
import platform
import random
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image, ImageEnhance, ImageOps

from torchstone_runtime.audit.audited_pictures import open_source
from torchstone_runtime.audit.data_audit import DataAudit, audit_source
from torchstone_runtime.audit.duplicates import ALIKE, RADIUS, DuplicateGroup, find_duplicates
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.system.cpu import processor_name

EACH = 30
"""Faults of each kind in a copy."""
Edit = Callable[[Image.Image, random.Random], Image.Image]


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def _resized(image: Image.Image, rng: random.Random) -> Image.Image:
    factor = rng.uniform(0.8, 1.2)
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


def _lit(image: Image.Image, rng: random.Random) -> Image.Image:
    brighter = ImageEnhance.Brightness(image).enhance(rng.uniform(0.85, 1.15))
    return ImageEnhance.Contrast(brighter).enhance(rng.uniform(0.85, 1.15))


def _cropped(image: Image.Image, rng: random.Random) -> Image.Image:
    share = rng.uniform(0.02, 0.04)
    left, top = rng.uniform(0, share) * image.width, rng.uniform(0, share) * image.height
    right, bottom = left + (1 - share) * image.width, top + (1 - share) * image.height
    return image.crop((round(left), round(top), round(right), round(bottom)))


NEAR: dict[str, Edit] = {
    "recompressed at quality 60": lambda image, _: _jpeg(image, 60),
    "resized to 80-120%": _resized,
    "brightness and contrast +-15%": _lit,
    "cropped by 2-4%": _cropped,
    "mirrored": lambda image, _: ImageOps.mirror(image),
    "cropped, lit, recompressed": lambda image, rng: _jpeg(_lit(_cropped(image, rng), rng), 60),
}


@dataclass
class Faults:
    """What was put in: pairs of file names by kind, and files that can't be read or are odd."""

    pairs: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    files: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def inject(photographs: Path, root: Path, seed: int) -> Faults:
    """Copy photographs to `root/train` and `root/test`, seven to three, and put faults of every kind in."""
    rng, faults = random.Random(seed), Faults()  # noqa: S311 - a seeded study
    originals = sorted(photographs.rglob("*.jpg"))
    rng.shuffle(originals)
    places: list[Path] = []
    for number, file in enumerate(originals):
        place = root / ("test" if number % 10 < 3 else "train") / file.parent.name / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
        places.append(place)
    free = iter(places)

    def pair(kind: str, one: Path, other: Path) -> None:
        faults.pairs[kind].append((str(one.relative_to(root)), str(other.relative_to(root))))

    def take(count: int) -> list[Path]:
        return list(itertools.islice(free, count))

    for number, file in enumerate(take(EACH)):
        other = file.with_name(f"copy{number}.jpg")
        shutil.copyfile(file, other)
        pair("exact copy", file, other)
    for kind, edit in NEAR.items():
        for number, file in enumerate(take(EACH)):
            other = file.with_name(f"{kind.split()[0]}{number}.jpg".replace(",", ""))
            _save(edit(Image.open(file).convert("RGB"), rng), other)
            pair(kind, file, other)
    for number, file in enumerate(take(EACH)):
        part = "test" if "train" in file.relative_to(root).parts else "train"
        other = root / part / file.parent.name / f"leak{number}.jpg"
        _save(rng.choice(list(NEAR.values()))(Image.open(file).convert("RGB"), rng), other)
        pair("leak between train and test, any of the above", file, other)
    classes = sorted({file.parent.name for file in places})
    for number, file in enumerate(take(EACH)):
        other = file.parents[1] / rng.choice([name for name in classes if name != file.parent.name])
        shutil.copyfile(file, other / f"conflict{number}.jpg")
        pair("copy under another label", file, other / f"conflict{number}.jpg")
    _inject_files(root, faults, take, rng)
    return faults


def _save(image: Image.Image, place: Path) -> None:
    image.convert("RGB").save(place, quality=90)


def _inject_files(root: Path, faults: Faults, take: Callable[[int], list[Path]], rng: random.Random) -> None:
    def write(kind: str, file: Path, content: bytes) -> None:
        file.write_bytes(content)
        faults.files[kind].append(str(file.relative_to(root)))

    for file in take(EACH):
        content = file.read_bytes()
        write("truncated", file, content[: rng.randrange(len(content) // 5, len(content) - 200)])
    for file in take(EACH // 3):
        write("of zero bytes", file, b"")
    for file in take(EACH // 3):
        write("text called .jpg", file, b"<html><body>404 Not Found</body></html>\n")
    for kind in ("CMYK", "16 bits", "animated"):
        for file in take(EACH // 3):
            _odd(kind, file)
            odd = file if kind == "CMYK" else file.with_suffix(".png" if kind == "16 bits" else ".gif")
            faults.files[kind].append(str(odd.relative_to(root)))


def _odd(kind: str, file: Path) -> None:
    image = Image.open(file).convert("RGB")
    if kind == "CMYK":
        image.convert("CMYK").save(file)
        return
    if kind == "16 bits":
        Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(file.with_suffix(".png"))
    else:
        image.save(file.with_suffix(".gif"), save_all=True, append_images=[ImageOps.mirror(image)])
    file.unlink()


def joined(groups: Iterable[DuplicateGroup]) -> dict[int, int]:
    """Return the number of each picture's group."""
    return {index: number for number, group in enumerate(groups) for index in group.members}


def judge(audit: DataAudit, groups: list[DuplicateGroup], faults: Faults, judged: dict[str, bool]) -> dict[str, Any]:
    """Return what was found and missed by kind, and what was joined without having been put in."""
    index = {name: place for place, name in enumerate(audit.names)}
    group_of = joined(groups)
    found = {
        kind: sum(group_of.get(index[a], -1) == group_of.get(index[b], -2) for a, b in pairs)
        for kind, pairs in faults.pairs.items()
    }
    origin = {b: a for pairs in faults.pairs.values() for a, b in pairs}
    accused = set()
    for group in groups:
        sources = sorted({_short(origin.get(audit.names[i], audit.names[i])) for i in group.members})
        if len(sources) > 1:
            accused |= set(itertools.pairwise(sources))
    verdicts = {f"{a} {b}": judged.get(f"{a} {b}") for a, b in sorted(accused)}
    return {
        "kinds": {kind: {"put in": len(pairs), "found": found[kind]} for kind, pairs in faults.pairs.items()},
        "joined besides": len(verdicts),
        "of these really the same": sum(verdict is True for verdict in verdicts.values()),
        "accused falsely": sum(verdict is False for verdict in verdicts.values()),
        "not judged": [pair for pair, verdict in verdicts.items() if verdict is None],
    }


def _short(name: str) -> str:
    return "/".join(Path(name).with_suffix("").parts[-2:])


def files_found(audit: DataAudit, faults: Faults) -> dict[str, dict[str, int]]:
    """Return what was found of files that can't be read or are odd; and how many sound ones were accused."""
    unreadable = {audit.names[index] for index in audit.unreadable}
    form = {
        name: audit.facts.form_names[number]
        for name, number in zip(audit.names, audit.facts.forms.tolist(), strict=True)
        if number >= 0
    }
    odd = {"CMYK": lambda f: f[1] == "CMYK", "16 bits": lambda f: f[1] == "I;16", "animated": lambda f: f[2]}
    result = {}
    for kind, files in faults.files.items():
        marked = {name for name, value in form.items() if odd[kind](value)} if kind in odd else unreadable
        result[kind] = {"put in": len(files), "found": len(marked & set(files))}
    broken = {file for kind, files in faults.files.items() if kind not in odd for file in files}
    result["sound files called unreadable"] = {"put in": 0, "found": len(unreadable - broken)}
    return result


def run(photographs: Path, seed: int, judged: dict[str, bool], *, thresholds: bool) -> dict[str, Any]:
    """Inject, look, judge."""
    with tempfile.TemporaryDirectory() as folder:
        faults = inject(photographs, Path(folder), seed)
        audit = audit_source(open_source(DatasetRef("folder", Path(folder))))
        if thresholds:
            for radius, alike in itertools.product((10, 12, 14), (0.975, 0.98, 0.985, 0.9875, 0.99)):
                outcome = judge(audit, find_duplicates(audit.facts, radius=radius, alike=alike), faults, judged)
                print(radius, alike, json.dumps(_brief(outcome)), flush=True)
        found = judge(audit, list(audit.groups), faults, judged)
        return {"seed": seed, "pictures": len(audit), **found, "files": files_found(audit, faults)}


def _brief(outcome: dict[str, Any]) -> dict[str, Any]:
    kinds = {kind[:16]: item["found"] for kind, item in outcome["kinds"].items()}
    besides = {key: outcome[key] for key in ("joined besides", "of these really the same", "accused falsely")}
    return kinds | besides | {"not judged": len(outcome["not judged"])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["train", "test"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--thresholds", action="store_true")
    parser.add_argument("--judged", type=Path, default=Path(__file__).with_name("caltech40_pairs.json"))
    parser.add_argument("--out", type=Path)
    wanted = parser.parse_args()
    judged = json.loads(wanted.judged.read_text()) if wanted.judged.exists() else {}
    photographs = default_data_dir() / "caltech40" / wanted.part
    runs = [run(photographs, seed, judged, thresholds=wanted.thresholds) for seed in wanted.seeds]
    machine = {"processor": processor_name(), "python": platform.python_version(), "numpy": np.__version__}
    document = {
        "command": f"python -m benchmarks.photos.data_faults {wanted.part} --seeds {' '.join(map(str, wanted.seeds))}",
        "machine": machine | {"pillow": PIL.__version__},
        "radius": RADIUS,
        "alike": ALIKE,
        "runs": runs,
    }
    text = json.dumps(document, indent=1) + "\n"
    print(text)
    if wanted.out:
        wanted.out.write_text(text)


if __name__ == "__main__":
    main()
