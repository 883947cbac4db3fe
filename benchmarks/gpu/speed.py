"""Throughput and latency of five networks: Torchstone beside PyTorch, compiled too, and TensorRT's own runtime.

In turns in one process on one card, from pixels in the processor's memory to logits there. `best_of_theirs` is the
fastest of the others' ways at that batch. In int8, in which PyTorch computes no network on a GPU, its side is fp16.

Shares of a peak are by what the card's vendor states, and by what a product of matrices and a copy reached
(`machine.json`): of the operations alone, and of the roofline, which also counts the bytes that have to be moved at
least: the weights once a batch, and the pixels.
"""

from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import cache, partial
from typing import Any, Final

import numpy as np

from benchmarks.gpu import arms, tensorrt_runtime
from benchmarks.gpu.int8 import int8_for_gpu
from benchmarks.gpu.machine import peaks
from benchmarks.gpu.networks import Network, build, names
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import DONE, Steps, read_steps
from torchstone_export.lossy.fp16_file import to_fp16
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.benchmark.timing import interleave, paired_ratio
from torchstone_runtime.errors import first_line
from torchstone_runtime.inference.load_options import LoadOptions

FORMS: Final = ("fp32", "tf32", "fp16", "int8")
LATENCY, THROUGHPUT = 1, 256
COMPILED: Final = (("fp16", LATENCY), ("fp16", THROUGHPUT), ("fp32", LATENCY), ("fp32", THROUGHPUT))
"""What is compared with `torch.compile`, in the order of its worth."""
_MODE: Final = "max-autotune"
_BYTES: Final = {"fp32": 4, "tf32": 4, "fp16": 2, "int8": 1}
"""Of a weight."""


def steps(setting: Setting) -> Steps:
    """Return the steps of this piece.

    What has to be compiled comes last, for a compilation takes up to minutes: first everything is compared with PyTorch
    as it is, and each compiled network with ours in a step of its own.
    """
    found: dict[str, Any] = {}
    made: Callable[[str], Network] = cache(build)
    exported = cache(lambda name: made(name).onnx())
    for form in setting.size(FORMS, ("fp32", "fp16", "int8")):
        for name in names(setting):
            for batch in (LATENCY, setting.size(THROUGHPUT, 4)):
                label = f"{name}, {form}, batch {batch}"
                found[label] = partial(_compared, setting, made, exported, name, form, batch)
    for form, batch in setting.size(COMPILED, (("fp32", LATENCY),)):
        for name in names(setting):
            label = f"{name}, {form}, batch {batch}, compiled"
            found[label] = partial(_compared, setting, made, exported, name, form, batch, compiled=True)
    return found


def _compared(
    setting: Setting,
    made: Callable[[str], Network],
    exported: Callable[[str], bytes],
    name: str,
    form: str,
    batch: int,
    *,
    compiled: bool = False,
) -> dict[str, Any]:
    network, content = made(name), exported(name)
    images = np.random.default_rng(batch).integers(0, 256, (batch, *network.spec.shape), dtype=np.uint8)
    refused: dict[str, str] = {}
    with ExitStack() as opened:
        sides: dict[str, arms.Arm] = {}
        for label, make in _ways(setting, network, content, images, form, opened, compiled=compiled).items():
            try:
                side = make()
                side()
                sides[label] = side
            except Exception as error:  # noqa: BLE001 - what a side cannot do is a result
                refused[label] = first_line(error)[:300]
        if not sides:
            return {"refused": refused}
        times = dict(
            zip(
                sides,
                interleave(list(sides.values()), rounds=setting.size(9, 2), seconds=setting.size(0.1, 0.001)),
                strict=True,
            )
        )
    return _figures(setting, network, form, batch, times) | {"refused": refused}


def _ways(
    setting: Setting,
    network: Network,
    content: bytes,
    images: Uint8Array,
    form: str,
    opened: ExitStack,
    *,
    compiled: bool,
) -> dict[str, Callable[[], arms.Arm]]:
    """Return what makes each side, by its name."""

    @cache
    def model() -> bytes:
        made: dict[str, Callable[[bytes], bytes]] = {"fp16": to_fp16, "int8": partial(int8_for_gpu, images=images)}
        return made[form](content) if form in made else content

    def ours(options: LoadOptions) -> arms.Arm:
        serving = opened.enter_context(closing(arms.engine(model(), network.classes, options)))
        return lambda: serving.run(images)

    tf32 = form != "fp32"
    found: dict[str, Callable[[], arms.Arm]] = {}
    for provider in setting.providers:
        found[f"torchstone {provider}"] = partial(ours, setting.options(provider, tf32=tf32))
    if setting.device == "cuda":
        found["torchstone cuda, graphs"] = partial(ours, setting.options("cuda", tf32=tf32, cuda_graphs=True))
    if compiled:
        found[f"PyTorch, {form}, {_MODE}"] = partial(arms.pytorch, setting, network, images, form, _MODE)
        return found
    if setting.device == "cuda":
        found["TensorRT"] = partial(tensorrt_runtime.arm, content, images, form)
    theirs = "fp16" if form == "int8" else form
    found[f"PyTorch, {theirs}"] = partial(arms.pytorch, setting, network, images, theirs, None)
    return found


def _reached(setting: Setting) -> dict[str, float]:
    step = read_steps(setting.results, "machine").get("ceilings", {})
    return dict(step["result"]) if step.get("state") == DONE else {}


def shares(
    kind: str, ceilings: dict[str, float], network: Network, form: str, rates: dict[str, float], batch: int
) -> dict[str, Any]:
    """Return the share of a peak of operations, and of the images per second that operations and bytes allow.

    Args:
        kind: word for the ceilings, such as `stated`.
        ceilings: operations per second by number format, and `bytes` per second.
        network: network that was timed.
        form: number format of its weights.
        rates: images per second of each side.
        batch: images of a call.
    """
    by_operations = ceilings[form] / network.operations
    moved = network.weights * _BYTES[form] / batch + int(np.prod(network.spec.shape))
    allowed = min(by_operations, ceilings["bytes"] / moved)
    return {
        f"share_of_{kind}_peak": {label: rate / by_operations for label, rate in rates.items()},
        f"share_of_{kind}_roofline": {label: rate / allowed for label, rate in rates.items()},
        f"{kind}_roofline_is_of": "operations" if allowed == by_operations else "bytes",
    }


def _figures(setting: Setting, network: Network, form: str, batch: int, times: dict[str, Any]) -> dict[str, Any]:
    medians = {label: float(np.median(seconds)) for label, seconds in times.items()}
    own = {label: seconds for label, seconds in medians.items() if label.startswith("torchstone")}
    others = {label: seconds for label, seconds in medians.items() if label not in own}
    found: dict[str, Any] = {
        "milliseconds": {label: 1e3 * seconds for label, seconds in medians.items()},
        "images_per_second": {label: batch / seconds for label, seconds in medians.items()},
        "operations_per_image": network.operations,
    }
    for kind, ceilings in (("stated", peaks()), ("reached", _reached(setting))):
        if form in ceilings:
            found |= shares(kind, ceilings, network, form, found["images_per_second"], batch)
    if own and others:
        best, other = min(own, key=own.__getitem__), min(others, key=others.__getitem__)
        ratio = paired_ratio(times[other], times[best])
        found |= {"best_of_ours": best, "best_of_theirs": other, "speed_ratio": ratio.to_json()}
        found["verdict"] = "at least equal" if (ratio.low or 0) >= 1 else "not shown to be equal"
    return found
