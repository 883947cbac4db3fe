"""The page of `benchmarks.serving.study`: what was measured, beside what was aimed at."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.places import DOCS
from benchmarks.template import render, table_rows

PAGE: Final = DOCS / "reference" / "serving-speed.md"
TEMPLATE: Final = Path(__file__).with_name("page.md.in")
Found = Mapping[str, Any]
_STAGES: Final = {
    "starts": "starts",
    "beside_others": "beside_others",
    "batches_of_64": "batches",
    "open_loop": "open_loop",
    "large_pictures": "pictures",
}
"""Names of the slots of each stage begin with the second."""
_SLOTS: Final = (
    *("starts", "least", "beside_others", "batches", "capacity", "idle"),
    *("open_loop", "pictures_served", "pictures_decoded", "pictures_ratio"),
)


def page(found: Found) -> str:
    """Return the page of all stages that were measured."""
    slots: dict[str, str | None] = dict.fromkeys((*_SLOTS, *(f"{name}_machine" for name in _STAGES.values())))
    fill = {
        "starts": _starts,
        "beside_others": _beside_others,
        "batches_of_64": _batches,
        "open_loop": _open_loop,
        "large_pictures": _pictures,
    }
    for stage, name in _STAGES.items():
        if stage in found:
            slots |= fill[stage](found[stage])
            slots[f"{name}_machine"] = _machine(found[stage]["machine"])
    return render(TEMPLATE, slots)


def _machine(machine: Found) -> str:
    return (
        f"{machine['time']} UTC, {machine['processors']} processors of {machine['processor']}, load average at the "
        f"start {machine['load_average_at_start']:.1f}; Torchstone {machine['torchstone']}, Python {machine['python']}."
    )


def _starts(found: Found) -> dict[str, str]:
    rows = found["servers"]
    ours = rows["torchstone"]

    def cells(row: Found) -> Iterator[str]:
        for key in ("processor_s", "first_answer_s"):
            yield f"{row[key]:.2f} s"
            yield f"{ours[key] / row[key]:.2f}"

    least = f"{rows['the least']['processor_s'] / ours['processor_s']:.2f}"
    return {"starts": _table(rows, cells, 4), "least": least}


def _beside_others(found: Found) -> dict[str, str]:
    rows = found["servers"]
    ours = rows["torchstone"]

    def cells(row: Found) -> Iterator[str]:
        measured = "pss_mb" in row
        yield f"{row['pss_mb']:.0f} MB" if measured else ""
        yield f"{ours['pss_mb'] / row['pss_mb']:.2f}" if measured else ""
        yield f"{row['c16_per_s']:,.0f}"
        yield f"{ours['c16_per_s'] / row['c16_per_s']:.2f}"
        yield f"{row['p99_ms']:.0f} ms"

    return {"beside_others": _table(rows, cells, 5)}


def _table(rows: Found, cells: Callable[[Found], Iterable[str]], columns: int) -> str:
    """Return a row for each server; one that failed has the error in place of its figures."""
    return table_rows(
        (name, row["error"], *[""] * columns) if "error" in row else (name, row["runs"], *cells(row))
        for name, row in rows.items()
    )


def _batches(found: Found) -> dict[str, str]:
    rows = ((name, row) for name, row in found.items() if name != "machine")
    return {
        "batches": table_rows(
            (name, f"{row['served_per_s']:,}", f"{row['predict_per_s']:,}", _ratio(row)) for name, row in rows
        )
    }


def _open_loop(found: Found) -> dict[str, str]:
    idle = found["idle_20_per_s"]["ms"]["p50"]
    capacity = found["capacity_per_s"]
    loads = ((name.removeprefix("at_"), load) for name, load in found.items() if name.startswith("at_"))
    rows = table_rows(_load(name, load, capacity, idle) for name, load in loads)
    return {"open_loop": rows, "capacity": f"{capacity:,}", "idle": f"{idle:.1f}"}


def _load(name: str, load: Found, capacity: float, idle: float) -> Iterable[str]:
    count, ms = load["statuses"], load["ms"]
    lost = load["planned"] - sum(count.values()) + count.get("0", 0)
    numbers = (load["planned"], count.get("200", 0), count.get("503", 0), count.get("504", 0), lost)
    each = ", ".join(f"{p99:.0f}" for p99 in load["p99_of_rounds"])
    times = (f"{ms['p50']:.1f} ms", f"{ms['p99']:.1f} ms ({each})", f"{ms['p99'] / idle:.1f}")
    return (name, *(f"{number:,}" for number in numbers), f"{load['rate'] / capacity:.2f}", *times)


def _pictures(found: Found) -> dict[str, str]:
    return {
        "pictures_served": f"{found['served_per_s']:.1f}",
        "pictures_decoded": f"{found['decoding_alone_per_s']:.1f}",
        "pictures_ratio": _ratio(found),
    }


def _ratio(found: Found) -> str:
    return f"{found['ratio']:.2f} ({', '.join(f'{ratio:.2f}' for ratio in found['ratios'])})"
