"""How often `torchstone diagnose` names the mistake that was made, and how often it accuses a right tensor.

Run: TORCHSTONE_DATA=DIR python -m benchmarks.probes.diagnose_rate [--images 6] [--part measure|develop]

The mistakes are made by PyTorch, torchvision, Pillow and NumPy as somebody would make them by accident, not by the code
that looks for them. `develop` takes other images than `measure`; only the former were looked at while the search was
written. Writes benchmarks/results/diagnose-rate.md for `measure`.
"""

import argparse
import io
import os
import platform
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import cbook
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_images
from torchvision.transforms import v2

from benchmarks.places import RESULTS
from benchmarks.template import render, table_rows
from torchstone_runtime.data.digits import load_digits
from torchstone_runtime.data.mnist_family import FASHION_MNIST, load_mnist_part
from torchstone_runtime.diagnosis import diagnose_preprocessing
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.images.input_spec import InputSpec

Array = np.ndarray[Any, Any]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
GRAY_SPECS = [((0.5,), (0.5,)), ((0.2860406,), (0.3530242,)), ((0.0,), (1.0,))]
PAGE = RESULTS / "diagnose-rate.md"
TEMPLATE = Path(__file__).with_name("diagnose_rate.md.in")


@dataclass(frozen=True)
class Case:
    """A golden image, what somebody made of it, and the codes that name it."""

    dataset: str
    kind: str
    mistake: str
    tensor: Array
    golden: Array
    spec: InputSpec
    codes: tuple[str, ...]
    picture: Path | None = None


def normalised(
    x: Array, spec: InputSpec, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> Array:
    mean = spec.mean if mean is None else mean
    std = spec.std if std is None else std
    scaled = torch.from_numpy(np.ascontiguousarray(x)).float() / 255
    result: Array = v2.functional.normalize(scaled, list(mean), list(std)).numpy()
    return result


PIXEL_MISTAKES: dict[str, Callable[[Array], Array]] = {
    "bgr": lambda x: x[::-1],
    "inverted": lambda x: 255 - x,
    "flipped-horizontally": lambda x: x[:, :, ::-1],
    "flipped-vertically": lambda x: x[:, ::-1],
    "rotated-180": lambda x: x[:, ::-1, ::-1],
    "transposed": lambda x: x.swapaxes(1, 2),
    "rotated-90": lambda x: np.rot90(x, 1, (1, 2)),
    "shifted": lambda x: np.pad(x, ((0, 0), (2, 0), (1, 0)))[:, :-2, :-1],
    "grayscale": lambda x: np.repeat(np.asarray(Image.fromarray(np.moveaxis(x, 0, -1)).convert("L"))[None], 3, 0),
}
VALUE_MISTAKES: dict[str, Callable[[Array, InputSpec], Array]] = {
    "scaled-twice": lambda x, s: ((normalised(x, s, *identity(s)) / 255).T - s.mean).T / np.array(s.std)[:, None, None],
    "not-scaled": lambda x, s: v2.functional.normalize(torch.tensor(x.copy()).float(), s.mean, s.std).numpy(),
    "not-normalised": lambda x, s: normalised(x, s, *identity(s)),
    "normalised-twice": lambda x, s: v2.functional.normalize(torch.from_numpy(normalised(x, s)), s.mean, s.std).numpy(),
    "wrong-mean": lambda x, s: normalised(x, s, [m + 0.07 for m in s.mean]),
    "wrong-std": lambda x, s: normalised(x, s, None, [d * 1.3 for d in s.std]),
    "wrong-mean-std": lambda x, s: normalised(x, s, [m * 0.8 + 0.05 for m in s.mean], [d * 0.7 for d in s.std]),
    "rounded": lambda x, s: normalised(x, s).astype(np.int32),
}
LAYOUT_MISTAKES: dict[str, Callable[[Array], Array]] = {
    "nhwc": lambda t: np.moveaxis(t, 0, -1)[None],
    "reshaped": lambda t: np.moveaxis(t, 0, -1).reshape(t.shape),
}


def identity(spec: InputSpec) -> tuple[list[float], list[float]]:
    return [0.0] * spec.channels, [1.0] * spec.channels


def jpeg(x: Array, quality: int = 90) -> Array:
    """Return the pixels after a JPEG file in between: noise that a real pipeline may add."""
    buffer = io.BytesIO()
    Image.fromarray(x[0] if len(x) == 1 else np.moveaxis(x, 0, -1)).save(buffer, "JPEG", quality=quality)
    again = np.asarray(Image.open(buffer))
    return again[None] if again.ndim == 2 else np.moveaxis(again, -1, 0)


def noise(x: Array, index: int) -> tuple[Array, str]:
    return (jpeg(x), "JPEG 90") if index % 3 == 2 else (x, ["float32", "float16"][index % 2])


def cast(tensor: Array, how: str) -> Array:
    return tensor.astype(np.float16 if how == "float16" else np.float32)


def cases_of(dataset: str, images: list[Array], specs: list[InputSpec]) -> Iterator[Case]:
    """Yield right tensors, single mistakes and pairs for images that are already of the model's size."""
    generator = np.random.default_rng(0)
    for index, golden in enumerate(images):
        spec = specs[index % len(specs)]
        x, how = noise(golden, index)
        colour = spec.channels == 3

        def case(kind: str, mistake: str, tensor: Array, *codes: str) -> Case:
            return Case(dataset, kind, mistake, tensor, golden, spec, tuple(sorted(codes)))  # noqa: B023

        yield case("right", f"none, normalised, {how}", cast(normalised(x, spec), how))
        yield case("right", "none, raw uint8", x)
        yield case("single", "not-scaled (raw floats)", x.astype(np.float32), "not-scaled")
        pixel = {k: f for k, f in PIXEL_MISTAKES.items() if colour or k not in ("bgr", "grayscale")}
        value = {k: f for k, f in VALUE_MISTAKES.items() if len(set(spec.std)) > 1 or spec.std[0] != 1}
        if not value:
            value = {k: VALUE_MISTAKES[k] for k in ("scaled-twice", "wrong-mean", "wrong-std", "wrong-mean-std")}
        layouts = {k: f for k, f in LAYOUT_MISTAKES.items() if colour or k == "nhwc"}
        for name, change in pixel.items():
            yield case("single", name, cast(normalised(change(x), spec), how), name)
        for name, prepare in value.items():
            tensor = prepare(x, spec)
            yield case("single", name, tensor if name == "rounded" else cast(tensor, how), name)
        for name, arrange in layouts.items():
            yield case("single", name, cast(arrange(normalised(x, spec)), how), name)
        for _ in range(4):
            first = str(generator.choice(sorted(pixel)))
            second = str(generator.choice([k for k in value if k != "rounded"]))
            yield case("pair", f"{first} + {second}", cast(value[second](pixel[first](x), spec), how), first, second)
        third = str(generator.choice(sorted(pixel)))
        yield case(
            "pair", f"{third} + nhwc", cast(layouts["nhwc"](normalised(pixel[third](x), spec)), how), third, "nhwc"
        )


def to_tensor(image: Image.Image) -> Array:
    pixels: Array = v2.functional.pil_to_tensor(image).numpy()
    return pixels


def picture_mistakes(path: Path, spec: InputSpec) -> Iterator[tuple[str, Array, tuple[str, ...]]]:
    """Yield (name, pixels, codes) of pipelines that start from the picture file."""
    raw = Image.open(path)
    image = ImageOps.exif_transpose(raw).convert("RGB")
    size, full = (spec.width, spec.height), torch.from_numpy(to_tensor(image))[None].float()
    yield "none", decode_image(path, spec), ()
    for name in ("NEAREST", "BICUBIC", "LANCZOS", "BOX"):
        yield f"filter {name.lower()}", to_tensor(image.resize(size, Image.Resampling[name])), ("resize-filter",)
    plain = torch.nn.functional.interpolate(full, size[::-1], mode="bilinear")[0].round()
    yield "filter bilinear, torch", plain.numpy().astype(np.uint8), ("resize-filter",)
    cubic = torch.nn.functional.interpolate(full, size[::-1], mode="bicubic")[0].round().clamp(0, 255)
    yield "filter bicubic, torch", cubic.numpy().astype(np.uint8), ("resize-filter",)
    shorter = v2.Compose([v2.Resize(round(spec.height * 256 / 224)), v2.CenterCrop(spec.height)])
    yield "crop 256/224", to_tensor(shorter(image)), ("cropped",)
    yield "crop to square", to_tensor(ImageOps.fit(image, size, Image.Resampling.BILINEAR)), ("cropped",)
    boxed = ImageOps.pad(image, size, Image.Resampling.BILINEAR, color=(0, 0, 0))
    yield "letterbox", to_tensor(boxed), ("padded",)
    if raw.getexif().get(0x0112, 1) != 1:
        sideways = raw.convert("RGB").resize(size, Image.Resampling.BILINEAR)
        yield "EXIF ignored", to_tensor(sideways), ("exif-ignored",)


def picture_cases(folder: Path, crops: list[Array], side: int) -> Iterator[Case]:
    spec = InputSpec(color="RGB", height=side, width=side, mean=IMAGENET[0], std=IMAGENET[1])
    for index, crop in enumerate(crops):
        path = folder / f"{index}.png"
        exif = Image.Exif()
        exif[0x0112] = 6 if index % 2 else 1
        Image.fromarray(np.moveaxis(crop, 0, -1)).save(path, exif=exif)
        golden = decode_image(path, spec)
        for name, pixels, codes in picture_mistakes(path, spec):
            how = ["float32", "float16"][index % 2]
            kind = "right" if not codes else "picture, --image"
            yield Case("photos", kind, name, cast(normalised(pixels, spec), how), golden, spec, codes, path)
            if codes:
                tensor = cast(normalised(pixels[::-1], spec), how)
                both = tuple(sorted((*codes, "bgr")))
                yield Case("photos", "pair, --image", f"{name} + bgr", tensor, golden, spec, both, path)
                tensor = cast(normalised(pixels, spec), how)
                yield Case("photos", "picture, no --image", name, tensor, golden, spec, ("?",))


def outcome(case: Case) -> str:
    """Return `named`, `listed` (among equals or as invisible), or what was said instead."""
    found = diagnose_preprocessing(case.tensor, case.golden, case.spec, case.picture)
    if case.codes == ("?",):
        asks = "--image" in found.note and not found.mistakes
        return "named" if asks else f"said {'+'.join(found.codes) or 'right'}"
    if found.explained and found.codes == case.codes:
        return "named"
    others = [tuple(sorted(mistake.code for mistake in one)) for one in found.alternatives]
    unseen = tuple(sorted({*found.codes, *(code for code in case.codes if code in found.invisible)}))
    if case.codes in others or (found.explained and unseen == case.codes):
        return "listed"
    return f"said {'+'.join(found.codes) or ('right' if found.explained else 'unknown')}"


def photos(part: str, count: int, side: tuple[int, int]) -> list[Array]:
    """Cut pieces out of real photographs: other photographs for `develop` than for `measure`."""
    china, flower = load_sample_images().images
    hopper = np.asarray(Image.open(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))).convert("RGB"))
    sources = [china] if part == "develop" else [flower, hopper]
    generator = np.random.default_rng(7 if part == "develop" else 21)
    pieces = []
    for index in range(count):
        source = sources[index % len(sources)]
        top = generator.integers(0, source.shape[0] - side[0] + 1)
        left = generator.integers(0, source.shape[1] - side[1] + 1)
        pieces.append(np.moveaxis(source[top : top + side[0], left : left + side[1]], -1, 0))
    return pieces


def synthetic(part: str, count: int, side: int) -> list[Array]:
    """Make colour pictures whose spectrum falls as 1/f, as that of natural ones does, with a disc in each."""
    generator = np.random.default_rng(100 if part == "develop" else 220)
    y, x = np.mgrid[:side, :side]
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None]) + 1 / side
    pictures = []
    for _ in range(count):
        layers = [np.fft.ifft2(np.fft.fft2(generator.normal(size=(side, side))) / frequency).real for _ in range(4)]
        planes = np.stack([layers[0] + 0.2 * layer for layer in layers[1:]])
        planes = 128 + 50 * (planes - planes.mean()) / planes.std()
        inside = np.hypot(y - generator.integers(side), x - generator.integers(side)) < side / 5
        planes[:, inside] = generator.integers(0, 256, (3, 1))
        pictures.append(planes.clip(0, 255).astype(np.uint8))
    return pictures


def all_cases(part: str, count: int, folder: Path) -> Iterator[Case]:
    gray = [InputSpec(color="L", height=28, width=28, mean=m, std=s) for m, s in GRAY_SPECS]
    digits = load_digits()
    chosen = np.random.default_rng(23).permutation(len(digits))
    chosen = chosen[:count] if part == "develop" else chosen[-count:]
    yield from cases_of("digits", list(digits.store.read(chosen)), gray)
    split = load_mnist_part(
        FASHION_MNIST, Path(os.environ["TORCHSTONE_DATA"]), "train" if part == "develop" else "test"
    )
    chosen = np.random.default_rng(2 if part == "develop" else 22).choice(len(split), count, replace=False)
    yield from cases_of("fashion-mnist", list(split.store.read(chosen)), gray)
    for name, images in (("synthetic RGB", synthetic(part, count, 48)), ("photos", photos(part, count, (64, 64)))):
        side = images[0].shape[1]
        specs = [
            InputSpec(color="RGB", height=side, width=side, mean=m, std=s)
            for m, s in (IMAGENET, ((0.5,) * 3, (0.5,) * 3))
        ]
        yield from cases_of(name, images, specs)
    yield from picture_cases(folder, photos(part, max(3, count // 3), (180, 240)), 64)


def cells(counts: dict[tuple[str, ...], list[str]]) -> Iterator[tuple[object, ...]]:
    for key, outcomes in counts.items():
        wrong = sorted({one for one in outcomes if one.startswith("said")})
        yield *key, len(outcomes), outcomes.count("named"), outcomes.count("listed"), ", ".join(wrong)[:150]


def report(part: str, results: list[tuple[Case, str]], seconds: float) -> str:
    by_kind: dict[tuple[str, ...], list[str]] = defaultdict(list)
    by_mistake: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for case, said in results:
        by_kind[case.dataset, case.kind].append(said)
        if "pair" not in case.kind:
            by_mistake[case.kind, case.mistake].append(said)
    wrongly = [(case, said) for case, said in results if case.kind != "right"]
    rights = [said for case, said in results if case.kind == "right"]
    good = sum(not said.startswith("said") for _, said in wrongly)
    exact = sum(said == "named" for _, said in wrongly)
    accused = sum(said != "named" for said in rights)
    return render(
        TEMPLATE,
        {
            "part": part,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
            "found": f"{good:,} of {len(wrongly):,} injected mistakes ({good / len(wrongly):.1%})",
            "named": f"{exact / len(wrongly):.1%}",
            "accused": f"{accused} of {len(rights):,}",
            "seconds": f"{seconds / len(results):.2f}",
            "by_kind": table_rows(cells(by_kind)),
            "by_mistake": table_rows(cells(by_mistake)),
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--part", choices=("measure", "develop"), default="measure")
    arguments = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        results = [(case, outcome(case)) for case in all_cases(arguments.part, arguments.images, Path(folder))]
    text = report(arguments.part, results, time.perf_counter() - started)
    print(text)
    if arguments.part == "measure":
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
