"""Writes docs/reference/scoring-speed.md from results/scale.json: python -m benchmarks.scale.page."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.places import DOCS
from benchmarks.scale.model import LargeJob, cost, estimate
from benchmarks.scale.simulation import play
from benchmarks.scale.study import RESULT
from benchmarks.template import render, table_rows

PAGE: Final = DOCS / "reference" / "scoring-speed.md"
TEMPLATE: Final = Path(__file__).with_name("page.md.in")
_SEEDS: Final = 3
_MANY: Final = 500_000
"""Shards of which one simulation says enough."""
_BILLION: Final = 1_000_000_000
_LARGE_SECONDS: Final = 0.005
_PER_ARCHIVE: Final = 10_000
Rows = list[dict[str, Any]]
Key = tuple[str, int]
_SIDES: Final[tuple[Key, ...]] = (("local", 1), ("local", 2), ("ray", 1), ("ray", 2))


def main() -> None:
    results = json.loads(RESULT.read_text(encoding="utf-8"))
    PAGE.write_text(render(TEMPLATE, slots(results)), encoding="utf-8")


def slots(results: dict[str, Any]) -> dict[str, str | None]:
    """Return the text of each slot of the page."""
    cells: Rows = results["cells"]
    plain = [row for row in cells if row["per_shard"] == 1000]
    per_image = _seconds_of_an_image(plain)
    jobs = list(large_jobs(per_image, _shard_cost(cells, "ray")))
    return {
        "machine": str(results["machine"]["processor"] if "processor" in results["machine"] else results["machine"]),
        "model": results["model"],
        "packages": ", ".join(f"{name} {version}" for name, version in results["packages"].items()),
        "speed": table_rows(_speeds(plain)),
        "clock": table_rows(_table(plain, (("stream", 1), *_SIDES), lambda row: row["images"] / row["seconds"])),
        "memory": table_rows(_table(plain, _SIDES, _megabytes)),
        "growth": _growth(plain),
        "ray": table_rows(_ray_costs(cells)),
        "measured": f"{per_image * 1e6:.0f} µs of processor time for a small picture, all included; "
        f"{jobs[0][1].list_seconds * 1e6:.0f} µs to list a file on this machine",
        "dispatch": f"{jobs[0][1].dispatch_seconds * 1e3:.0f} ms",
        "price": f"${jobs[0][1].price_per_hour:.2f}",
        "jobs": table_rows(_job_row(name, shard, job) for (name, shard), job in jobs),
    }


def large_jobs(per_image: float, dispatch: float | None) -> Iterator[tuple[tuple[str, str], LargeJob]]:
    """Yield jobs of a billion pictures with their names: small and large ones, as files and in archives."""
    small = LargeJob(
        images=_BILLION, per_shard=1000, listed_per_shard=1000, machines=100, cores=16, image_seconds=per_image
    )
    small = replace(small, dispatch_seconds=dispatch or small.dispatch_seconds)
    large = replace(small, image_seconds=_LARGE_SECONDS)
    for name, job in (("28 pixels", small), ("224 pixels", large)):
        yield (name, "1,000 files"), job
        yield (name, "archive of 10,000"), replace(job, per_shard=_PER_ARCHIVE, listed_per_shard=1)


def _job_row(name: str, shard: str, job: LargeJob) -> Iterator[str]:
    found = estimate(job)
    played = sorted(play(job, seed).seconds for seed in range(_SEEDS if job.shards < _MANY else 1))
    yield from (name, shard)
    for seconds in (found.listing, found.dispatch, found.compute + found.lost, found.tail, found.total):
        yield f"{seconds / 60:,.1f}"
    yield f"{played[0] / 60:,.1f} to {played[-1] / 60:,.1f}"
    yield f"${cost(job, found.total):,.0f}"
    yield found.limit


def _inputs(rows: Rows) -> list[tuple[int, int]]:
    return sorted({(row["side"], row["images"]) for row in rows})


def _of(rows: Rows, size: tuple[int, int], key: Key) -> Rows:
    wanted = (*size, *key)
    return [row for row in rows if (row["side"], row["images"], row["engine"], row["workers"]) == wanted]


def _median(rows: Rows, value: Callable[[dict[str, Any]], float]) -> float | None:
    return median(map(value, rows)) if rows else None


def _shown(value: float | None, form: str = ",.0f") -> str:
    return "—" if value is None else format(value, form)


def _per_processor_second(row: dict[str, Any]) -> float:
    return float(row["images"] / row["cpu_seconds"])


def _speeds(rows: Rows) -> Iterator[list[str]]:
    for side, images in _inputs(rows):
        found = [_of(rows, (side, images), key) for key in (("stream", 1), ("local", 1), ("local", 2))]
        stream, one, two = (_median(each, _per_processor_second) for each in found)
        best = max((value for value in (one, two) if value is not None), default=None)
        ratio = None if stream is None or best is None else best / stream
        times = max(map(len, found))
        yield [f"{images:,}", str(side), str(times), *map(_shown, (stream, one, two)), _shown(ratio, ".2f")]


def _table(rows: Rows, keys: tuple[Key, ...], value: Callable[[dict[str, Any]], float]) -> Iterator[list[str]]:
    for size in _inputs(rows):
        yield [f"{size[1]:,}", str(size[0]), *(_shown(_median(_of(rows, size, key), value)) for key in keys)]


def _megabytes(row: dict[str, Any]) -> float:
    return float(row["peak_mb"] if row["engine"] == "local" else row["all_mb"])


def _growth(rows: Rows) -> str:
    said = []
    for workers in (1, 2):
        found = [(size, _median(_of(rows, size, ("local", workers)), _megabytes)) for size in _inputs(rows)]
        small = [(size[1], value) for size, value in found if size[0] == 28 and value is not None]
        if len(small) > 1:
            (fewest, first), (most, last) = small[0], small[-1]
            threads = f"{workers} thread{'' if workers == 1 else 's'}"
            said.append(f"With {threads}: {last / first:.2f} times from {fewest:,} to {most:,} small pictures.")
    return " ".join(said)


def _ray_costs(cells: Rows) -> Iterator[list[str]]:
    for images in (1000, 10_000):
        for key, name in ((("local", 2), "local, 2 threads"), (("ray", 2), "Ray, 2 workers")):
            usual = [row for row in _of(cells, (28, images), key) if row["per_shard"] == 1000]
            yield [f"{images:,} small pictures in shards of 1,000: {name}", _shown(_median(usual, _seconds), ".2f")]
    for engine in ("local", "ray"):
        yield [f"each further shard: {engine}", _shown(_shard_cost(cells, engine), ".4f")]


def _seconds(row: dict[str, Any]) -> float:
    return float(row["cpu_seconds"])


def _shard_cost(cells: Rows, engine: str) -> float | None:
    """Return seconds for a further shard: the same pictures cut finely, beside cut as usual."""
    found = [_of(cells, size, (engine, 2)) for size in _inputs(cells)]
    for rows in reversed(found):  # the more pictures, the less the start of the processes counts
        fine = [row for row in rows if row["per_shard"] != 1000]
        usual = [row for row in rows if row["per_shard"] == 1000]
        if fine and usual:
            more = fine[0]["images"] / fine[0]["per_shard"] - usual[0]["images"] / usual[0]["per_shard"]
            seconds: float = median(map(_seconds, fine)) - median(map(_seconds, usual))
            return seconds / float(more)
    return None


def _seconds_of_an_image(rows: Rows) -> float:
    small = [row for row in rows if row["side"] == 28 and row["engine"] == "local"]
    most = max(row["images"] for row in small)
    return float(median(row["cpu_seconds"] / row["images"] for row in small if row["images"] == most))


if __name__ == "__main__":
    main()
