"""Pictures as arrays through large networks, one a call or many: `Classifier` beside its peers.

Run: python -m benchmarks.engine.pictures [--networks NAME ...] [--count 1] [--rounds 15] [--compile] [--out FILE.json]

Torchvision's networks with random weights, which don't change the speed, exported by Torchstone; uint8 pictures of
224 x 224. Sides, in turns in every round: Torchstone in float32, whose trial of a second session is over before; one
ONNX Runtime session of the same file with its own defaults; OpenVINO in float32, with the hint for latency for one
picture and for throughput for many, where the package `openvino` is installed; and `torch.compile` with frozen weights,
with `--compile`. The ratio is the time of Torchstone by that of the fastest other side: below 1 is in favour of ours.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.engine.one_picture import NETWORKS, SIDE, write_model
from benchmarks.engine.plain_session import plain_session
from benchmarks.places import RESULTS
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.benchmark.timing import interleave, paired_ratio, quantile
from torchstone_runtime.files import write_atomic
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.system.machine import describe_machine

OURS: Final = "Torchstone"
_TRIAL_CALLS: Final = 8
_REQUEST: Final = 4
"""Pictures of one of OpenVINO's requests where there are many."""
Call = Callable[[], object]


def with_openvino(path: Path, pictures: Uint8Array) -> Call:
    """Return a call of OpenVINO on float32, as its documentation advises for one picture or for many."""
    import openvino  # noqa: PLC0415 - one of the peers, which need not be there

    core, single = openvino.Core(), len(pictures) == 1
    size = 1 if single else min(_REQUEST, len(pictures))
    model = core.read_model(str(path))
    model.reshape([size, 3, SIDE, SIDE])
    hint = {"PERFORMANCE_HINT": "LATENCY" if single else "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(model, "CPU", hint)
    if single:
        request = compiled.create_infer_request()
        return lambda: request.infer({0: pictures}, share_inputs=True)
    queue = openvino.AsyncInferQueue(compiled)

    def run() -> None:
        for start in range(0, len(pictures), size):
            queue.start_async({0: pictures[start : start + size]}, share_inputs=True)
        queue.wait_all()

    return run


def with_compile(name: str, pictures: Uint8Array) -> Call:
    """Return a call of the same network through `torch.compile`, weights frozen."""
    import torch  # noqa: PLC0415 - seconds
    import torch._inductor.config as inductor  # noqa: PLC0415
    import torchvision  # noqa: PLC0415

    inductor.freezing = True
    network = torchvision.models.get_model(name, weights=None).eval().to(memory_format=torch.channels_last)
    call: Callable[[torch.Tensor], object] = torch.compile(network, dynamic=False)
    pixels = torch.from_numpy(pictures)

    def run() -> None:
        with torch.inference_mode():
            call((pixels.float() / 255).to(memory_format=torch.channels_last))

    run()
    return run


def measure(name: str, folder: Path, count: int, rounds: int, *, compiled: bool) -> dict[str, Any]:
    """Time one network on every side, in turns."""
    path = write_model(name, folder)
    pictures = np.random.default_rng(0).integers(0, 256, (count, 3, SIDE, SIDE), dtype=np.uint8)
    with Classifier.load(path, provider="cpu") as classifier:
        for _ in range(_TRIAL_CALLS if count == 1 else 1):
            classifier.predict(pictures)
        plain = plain_session(path)
        sides: dict[str, Call] = {
            OURS: partial(classifier.predict, pictures),
            "ONNX Runtime": partial(plain.run, None, {"images": pictures}),
        }
        if find_spec("openvino"):
            sides["OpenVINO f32"] = with_openvino(path, pictures)
        if compiled:
            sides["torch.compile"] = with_compile(name, pictures)
        times = dict(zip(sides, interleave(list(sides.values()), rounds=rounds), strict=True))
        plan = str(classifier.plan)
    best = min((side for side in times if side != OURS), key=lambda side: float(np.median(times[side])))
    return {
        "milliseconds": {side: quantile(1e3 * own, 0.5).to_json() for side, own in times.items()},
        "best": best,
        "ratio": paired_ratio(times[OURS], times[best]).to_json(),
        "plan": plan,
    }


def main() -> None:
    """Measure the networks one after another, and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS / "engine-pictures.json")
    arguments = parser.parse_args()
    machine = describe_machine()
    for name in ("torchvision", "openvino"):
        machine["versions"] |= {name: metadata.version(name)} if find_spec(name) else {}
    results: dict[str, Any] = {"machine": machine, "count": arguments.count, "networks": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.networks:
            found = measure(name, Path(folder), arguments.count, arguments.rounds, compiled=arguments.compile)
            results["networks"][name] = found
            print(name, strict_json(found, indent=1), flush=True)
    write_atomic(arguments.out, strict_json(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
