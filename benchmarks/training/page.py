"""Write docs/reference/training-speed.md from what the benchmarks of training and stones wrote to benchmarks/results.

Run: python -m benchmarks.training.page
"""

import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from benchmarks.places import DOCS, RESULTS
from benchmarks.template import render, table_rows

PAGE: Final = DOCS / "reference" / "training-speed.md"
_TEMPLATE: Final = Path(__file__).with_name("page.md.in")


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the page; what has no file in benchmarks/results has no section."""
    profile, stones, points = read("sprint_profile"), read("stones"), read("accuracy_speed")
    cascade, growth = read("cascade"), read("training_growth")
    return render(
        _TEMPLATE,
        {
            "comparisons": _joined(comparison(dataset, case) for dataset, case in (read("sprint") or {}).items()),
            "profile_threads": profile and str(profile["threads"]),
            "profile_images": profile and f"{profile['images']:,}",
            "stages": profile and _joined(stages(profile, name) for name in profile["loops"]),
            "stones": stones and table_rows(map(stone_cells, stones["stones"])),
            "accuracy_speed": points
            and table_rows(map(point_cells, sorted(points["points"], key=lambda point: point["accuracy"]))),
            "cascade_seed": cascade and str(cascade["seed"]),
            "cascades": cascade and table_rows(map(cascade_cells, cascade["entries"])),
            "growth_rounds": growth and str(growth["rounds"]),
        },
    )


def read(name: str) -> Any:  # noqa: ANN401 - JSON
    """Return what a benchmark wrote, None where it did not run."""
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else None


def comparison(dataset: str, case: dict[str, Any]) -> str:
    """Return the paragraph on a dataset: sprint beside the document's loop."""
    sprints, documents = case["sprint"], case["documents"]
    rows = [run_cells(f"`train {case['recipe']}`", sprints, [run["test"] for run in sprints], case)]
    if documents:
        finals = [run["epochs"][-1]["test"] for run in documents]
        rows.append(run_cells(f"the document's loop (`{case['document']}`)", documents, finals, case))
    return render(
        _TEMPLATE.with_name("comparison.md.in"),
        {
            **{name: str(case[name]) for name in ("threads", "torch")},
            "dataset": dataset,
            "target": f"{case['target']:.1%}",
            "amp": sprints[0]["amp"],
            "rows": table_rows(rows),
            "ratios": "\n".join(ratio_lines(sprints, documents)),
        },
    )


def ratio_lines(sprints: list[dict[str, Any]], documents: list[dict[str, Any]]) -> list[str]:
    """Return what follows the table: the ratios of the times, seed by seed."""
    if not documents:
        return ["The document's loop is not yet measured."]
    sprint_of = {run["seed"]: run for run in sprints}
    pairs = [(run, sprint_of[run["seed"]]) for run in documents if run["seed"] in sprint_of]
    wall = [slow["seconds"] / fast["seconds"] for slow, fast in pairs]
    busy = [slow["cpu_seconds"] / fast["cpu_seconds"] for slow, fast in pairs]
    epochs = ", ".join(str(len(run["epochs"])) for run in documents)
    lines = [
        f"Ratio of the times, seed by seed: {spread(wall)}; of the CPU times: **{spread(busy)}**.",
        f"Epochs of the document's loop: {epochs}.",
    ]
    if missed := [run["seed"] for run in documents if not run["reached"]]:
        lines.append(f"It did not reach the target with seed {missed}: that ratio is a lower bound.")
    return lines


def run_cells(name: str, runs: list[dict[str, Any]], tests: list[float], case: dict[str, Any]) -> tuple[object, ...]:
    """Return the row of one way of training."""
    reached = sum(test >= case["target"] for test in tests)
    times = (spread([run[clock] for run in runs]) for clock in ("seconds", "cpu_seconds"))
    return name, len(runs), *times, spread(tests, 4), f"{reached} of {len(runs)}"


def stages(profile: dict[str, Any], loop: str) -> str:
    """Return the table of one loop's stages."""
    parts = profile["loops"][loop]
    total = sum(parts.values())
    rows = (
        (stage, f"{1e6 * seconds / profile['images']:.1f}", f"{seconds / total:.0%}")
        for stage, seconds in parts.items()
    )
    return f"### {loop}\n\n| stage | µs per image | share |\n|---|---|---|\n{table_rows(rows)}"


def stone_cells(stone: dict[str, Any]) -> tuple[str, ...]:
    """Return the row of a stone."""
    size = (f"{stone['macs'] / 1e6:.2f} M", f"{stone['parameters'] / 1e3:.0f} k")
    return f"`{stone['name']}`", *size, *(ratio(stone[kind]) for kind in ("fp32", "int8"))


def point_cells(point: dict[str, Any]) -> tuple[str, ...]:
    """Return the row of a network in the comparison of accuracy and speed."""
    ours = point["source"] == "docs/reference/results.json"
    name, source = (f"`{point['name']}`", "[Results](results.md)") if ours else (point["name"], point["source"])
    return name, f"{point['accuracy']:.4f}", source, *(ratio(point[kind]) for kind in ("fp32", "int8"))


def cascade_cells(entry: dict[str, Any]) -> tuple[str, ...]:
    """Return the row of a cascade's file, or of a model's alone."""
    asked = f"{entry['asked']:.1%}" if "asked" in entry else ""
    speeds = (ratio(entry[kind]) if kind in entry else "not accepted" for kind in ("fp32", "int8"))
    return f"`{entry['name']}`", f"{entry['accuracy']:.4f}", str(entry["seeds"]), asked, *speeds


def ratio(measured: dict[str, Any]) -> str:
    """Return a ratio with its quartiles."""
    low, high = measured["quartiles"]
    return f"{measured['ratio']:.2f} ({low:.2f} to {high:.2f})"


def spread(values: list[float], digits: int = 1) -> str:
    """Return the mean, and the range of the values."""
    mean = statistics.mean(values)
    return f"{mean:,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part.rstrip("\n") for part in parts)


if __name__ == "__main__":
    main()
