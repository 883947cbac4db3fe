"""Measure the server: python -m benchmarks.serving.study [--peers FOLDER] [--seconds S] [--rounds R].

FOLDER holds virtual environments called `litserve`, `bentoml`, `mlserver` and `kserve`; those that are there are
measured in turns with ours, with the same model (the built-in bundle's fp32 file) and the same JSON in the request.
Writes `results/serving.json` and docs/reference/serving-speed.md (for another `--out`, a page beside it); stages that
aren't asked for (`--stages`) stay as they were. Only ratios within one run mean something on a machine that others use.
"""

import argparse
import asyncio
import io
import json
import os
import platform
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from benchmarks.serving import messages
from benchmarks.serving.batches import NETWORK, SHAPE, batches, export_photograph_bundle
from benchmarks.serving.load import Load, closed_loop, open_loop
from benchmarks.serving.page import PAGE, page
from benchmarks.serving.servers import HOST, OURS, Running, Server, ours, peers, running, shortest_start
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.system.cpu import REPORTED, cpu_features, processor_name, usable_cpus
from torchstone_runtime.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parents[1] / "results" / "serving.json"
BUNDLE = locate_bundle("fashion")
STAGES = ("starts", "beside_others", "batches_of_64", "open_loop", "large_pictures")
SHARES = (0.7, 1.5, 3.0)
IMAGES = 8
"""Images of a request of the open loop: of one alone the generator would be the slower side."""
CLIENTS = 24
"""Clients that measure the capacity: with their images the queue is not full, whose refusals would take time too."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, default=Path("/nonexistent"))
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        stages: dict[str, Callable[[], dict[str, Any]]] = {
            "starts": lambda: starts(asked.peers, Path(scratch), asked.rounds),
            "beside_others": lambda: beside_others(asked.peers, Path(scratch), asked.seconds, asked.rounds),
            "batches_of_64": lambda: batches_of_64(Path(scratch), asked.seconds, asked.rounds),
            "open_loop": lambda: open_loops(asked.seconds, asked.rounds),
            "large_pictures": lambda: large_pictures(asked.seconds, asked.rounds),
        }
        found: dict[str, Any] = json.loads(asked.out.read_text()) if asked.out.exists() else {}
        for name in asked.stages:
            found[name] = {"machine": machine(), **stages[name]()}
            asked.out.write_text(json.dumps(found, indent=1) + "\n")
            (PAGE if asked.out == RESULTS else asked.out.with_suffix(".md")).write_text(page(found))
            print(json.dumps({name: found[name]}, indent=1), flush=True)


def machine() -> dict[str, Any]:
    return {
        "torchstone": __version__,
        "python": platform.python_version(),
        "processor": f"{processor_name()} with {', '.join(sorted(cpu_features().intersection(REPORTED))) or 'no AVX2'}",
        "processors": usable_cpus(),
        "load_average_at_start": os.getloadavg()[0],
        "time": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
    }


def images(count: int) -> Uint8Array:
    return np.random.default_rng(18).integers(0, 256, (count, 1, 28, 28), dtype=np.uint8)


def request_for(server: Server) -> bytes:
    if server.name in ("litserve", "bentoml"):
        return messages.plain_json("/predict" if server.name == "litserve" else "/classify", images(1))
    return messages.infer_json("fashion", images(1))


def starts(environments: Path, scratch: Path, rounds: int) -> dict[str, Any]:
    """Time, and processor time, from the start to the first right answer, and the least that it can be, in turns."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for _ in range(rounds):
        model = BUNDLE / "model.onnx"
        seconds, processor = shortest_start(model)
        rows.setdefault("the least", []).append({"first_answer_s": seconds, "processor_s": processor})
        for server in (ours(BUNDLE, *OURS), *peers(environments, model, scratch)):
            try:
                with running(server, request_for(server)) as up:
                    row: dict[str, Any] = {"first_answer_s": up.first_answer, "processor_s": up.processor_seconds()}
            except RuntimeError as error:
                row = {"error": str(error)}
            rows.setdefault(server.name, []).append(row)
    return {"servers": {name: _medians(measured) for name, measured in rows.items()}}


def beside_others(environments: Path, scratch: Path, seconds: float, rounds: int) -> dict[str, Any]:
    """Memory, and requests a second of one image at 16 clients, all servers in turns."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for _ in range(rounds):
        servers = [ours(BUNDLE, *OURS), *peers(environments, BUNDLE / "model.onnx", scratch)]
        for server in servers:
            request = request_for(server)
            try:
                with running(server, request) as up:
                    rows.setdefault(server.name, []).append(_row(up, request, seconds))
                    if server.name == "torchstone":
                        binary = messages.infer_binary("fashion", images(1))
                        load = asyncio.run(closed_loop(HOST, server.port, binary, clients=16, seconds=seconds))
                        rows.setdefault("torchstone, binary", []).append(_load_row(load))
            except RuntimeError as error:
                rows.setdefault(server.name, []).append({"error": str(error)})
    return {"servers": {name: _medians(measured) for name, measured in rows.items()}}


def _row(up: Running, request: bytes, seconds: float) -> dict[str, Any]:
    asyncio.run(closed_loop(HOST, up.server.port, request, clients=4, seconds=0.5))
    processes, memory = up.memory()
    load = asyncio.run(closed_loop(HOST, up.server.port, request, clients=16, seconds=seconds))
    return {"processes": processes, "pss_mb": memory, **_load_row(load)}


def _load_row(load: Load) -> dict[str, Any]:
    wrong = sum(count for status, count in load.statuses.items() if status != 200)
    figures = load.milliseconds()
    return {"c16_per_s": load.rate, "p50_ms": figures["p50"], "p99_ms": figures["p99"], "not_200": wrong}


def _medians(rows: list[dict[str, Any]]) -> dict[str, Any]:
    sound = [row for row in rows if "error" not in row]
    if not sound:
        return rows[0]
    return {"runs": len(sound)} | {key: round(statistics.median(row[key] for row in sound), 3) for key in sound[0]}


def batches_of_64(scratch: Path, seconds: float, rounds: int) -> dict[str, Any]:
    """Images a second in requests of 64, of a network that is less work than its request, and of a real one."""
    large = export_photograph_bundle(scratch)
    return {"small": batches(BUNDLE, (1, 28, 28), seconds, rounds), NETWORK: batches(large, SHAPE, seconds, rounds)}


def open_loops(seconds: float, rounds: int) -> dict[str, Any]:
    """Latency at a share of the capacity, which is measured first, and what becomes of requests beyond it.

    Of the rounds of a share, the one with the median p99 is kept whole, and the p99 of all.
    """
    request = messages.infer_binary("fashion", images(IMAGES))
    found: dict[str, Any] = {}
    with running(ours(BUNDLE, *OURS, "--max-queue", "256", "--timeout-ms", "1000"), request) as up:
        port = up.server.port
        asyncio.run(closed_loop(HOST, port, request, clients=4, seconds=1))
        idle = asyncio.run(open_loop(HOST, port, request, rate=20, seconds=seconds))
        found["idle_20_per_s"] = idle.to_json()
        capacity = asyncio.run(closed_loop(HOST, port, request, clients=CLIENTS, seconds=seconds)).rate
        found["capacity_per_s"] = round(capacity)
        for share in SHARES:
            plans = (open_loop(HOST, port, request, rate=share * capacity, seconds=seconds) for _ in range(rounds))
            loads = sorted((asyncio.run(plan).to_json() for plan in plans), key=lambda load: load["ms"]["p99"])
            p99s = [load["ms"]["p99"] for load in loads]
            found[f"at_{share:.0%}"] = loads[len(loads) // 2] | {"p99_of_rounds": p99s}
    return found


def large_pictures(seconds: float, rounds: int) -> dict[str, Any]:
    """JPEG pictures of 1600 x 1200 a second, beside decoding alone on as many threads as processors."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(18).integers(0, 256, (75, 100, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((1600, 1200), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    content = buffer.getvalue()
    request, served, alone = messages.picture(content), [], []
    with running(ours(BUNDLE, *OURS), request) as up, Classifier.load(BUNDLE, variant="fp32", provider="cpu") as model:
        for _ in range(rounds):
            load = asyncio.run(closed_loop(HOST, up.server.port, request, clients=8, seconds=seconds))
            served.append(load.rate)
            alone.append(_decoded_per_second(content, model, seconds))
    ratios = [one / other for one, other in zip(served, alone, strict=True)]
    return {
        "served_per_s": round(statistics.median(served), 1),
        "decoding_alone_per_s": round(statistics.median(alone), 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(one, 3) for one in ratios],
        "bytes": len(content),
    }


def _decoded_per_second(content: bytes, model: Classifier, seconds: float) -> float:
    began = time.perf_counter()

    def work() -> int:
        count = 0
        while time.perf_counter() - began < seconds:
            decode_image(content, model.input_spec)
            count += 1
        return count

    with ThreadPoolExecutor(usable_cpus()) as pool:
        counts = [pool.submit(work) for _ in range(usable_cpus())]
        total = sum(count.result() for count in counts)
    return total / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
