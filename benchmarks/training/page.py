"""Write docs/training-speed.md from what the benchmarks of training and of the stones wrote to benchmarks/results.

Run: python -m benchmarks.training.page
"""

import json
import statistics
from pathlib import Path
from typing import Any

from benchmarks.places import DOCS, RESULTS

HERE = Path(__file__).parent
PAGE = DOCS / "training-speed.md"
NOTES = HERE / "notes.md"


def spread(values: list[float], digits: int = 1) -> str:
    """Mean, and the range of the values."""
    mean = statistics.mean(values)
    return f"{mean:,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def comparison(dataset: str, case: dict[str, Any]) -> list[str]:
    sprints, documents = case["sprint"], case["documents"]
    lines = [
        f"### {dataset}: {case['target']:.1%}",
        "",
        f"{case['threads']} thread(s), PyTorch {case['torch']}, mixed precision {sprints[0]['amp']}.",
        "",
        "| | seeds | seconds, mean (range) | CPU seconds, mean (range) | test accuracy, mean (range) | at the target |",
        "|---|---|---|---|---|---|",
        row(f"`train {case['recipe']}`", sprints, "cpu_seconds", [run["test"] for run in sprints], case),
    ]
    if not documents:
        return [*lines, "", "The document's loop is not yet measured.", ""]
    finals = [run["epochs"][-1]["test"] for run in documents]
    lines.append(row(f"the document's loop (`{case['document']}`)", documents, "cpu_seconds", finals, case))
    sprint_of = {run["seed"]: run for run in sprints}
    pairs = [(run, sprint_of[run["seed"]]) for run in documents if run["seed"] in sprint_of]
    wall = [slow["seconds"] / fast["seconds"] for slow, fast in pairs]
    busy = [slow["cpu_seconds"] / fast["cpu_seconds"] for slow, fast in pairs]
    lines += ["", f"Ratio of the times, seed by seed: {spread(wall)}; of the CPU times: **{spread(busy)}**."]
    epochs = ", ".join(str(len(run["epochs"])) for run in documents)
    lines.append(f"Epochs of the document's loop: {epochs}.")
    if missed := [run["seed"] for run in documents if not run["reached"]]:
        lines.append(f"It did not reach the target with seed {missed}: that ratio is a lower bound.")
    return [*lines, ""]


def row(name: str, runs: list[dict[str, Any]], cpu: str, tests: list[float], case: dict[str, Any]) -> str:
    reached = sum(test >= case["target"] for test in tests)
    times = f"{spread([run['seconds'] for run in runs])} | {spread([run[cpu] for run in runs])}"
    return f"| {name} | {len(runs)} | {times} | {spread(tests, 4)} | {reached} of {len(runs)} |"


def stages(profile: dict[str, Any]) -> list[str]:
    lines = [
        "## Where the time goes",
        "",
        "![CPU time by stage of sprint's training step and of the document's loop](images/training-profile.png)",
        "",
        (
            f"{profile['threads']} thread(s), {profile['images']:,} images: "
            "`python -m benchmarks.training.sprint_profile`."
        ),
        "",
    ]
    for name, parts in profile["loops"].items():
        total = sum(parts.values())
        lines += [f"### {name}", "", "| stage | µs an image | share |", "|---|---|---|"]
        for stage, seconds in parts.items():
            lines.append(f"| {stage} | {1e6 * seconds / profile['images']:.1f} | {seconds / total:.0%} |")
        lines.append("")
    return lines


def stones(found: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## The stones",
        "",
        (
            "Speed is that of the exported file in ONNX Runtime, one thread, tiles of 64, as a ratio to `cnn3` in "
            "float32, in turns in one run (median, quartiles): `python -m benchmarks.models.stones`."
        ),
        "",
        "| recipe | multiply-adds | parameters | float32 / `cnn3` | int8 / `cnn3` |",
        "|---|---|---|---|---|",
    ]
    for stone in found:
        ratios = [ratio(stone[kind]) for kind in ("fp32", "int8")]
        size = f"{stone['macs'] / 1e6:.2f} M | {stone['parameters'] / 1e3:.0f} k"
        lines.append(f"| `{stone['name']}` | {size} | {' | '.join(ratios)} |")
    return [*lines, ""]


def accuracy_speed(points: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## Accuracy against speed",
        "",
        "![Test accuracy over the speed of the exported file](images/accuracy-speed.png)",
        "",
        (
            "Accuracies of recipes: means of [Results](results.md); of published networks: their authors'. Speeds: all "
            "files in turns in one run, one thread, tiles of 64, as ratios to `cnn3` in float32 (median, quartiles): "
            "`python -m benchmarks.models.accuracy_speed`. Published networks were rebuilt from their descriptions."
        ),
        "",
        "| network | accuracy | source | float32 / `cnn3` | int8 / `cnn3` |",
        "|---|---|---|---|---|",
    ]
    for point in sorted(points, key=lambda point: point["accuracy"]):
        name = f"`{point['name']}`" if point["source"] == "docs/results.json" else point["name"]
        source = "[Results](results.md)" if point["source"] == "docs/results.json" else point["source"]
        ratios = " | ".join(ratio(point[kind]) for kind in ("fp32", "int8"))
        lines.append(f"| {name} | {point['accuracy']:.4f} | {source} | {ratios} |")
    return [*lines, ""]


def ratio(measured: dict[str, Any]) -> str:
    low, high = measured["quartiles"]
    return f"{measured['ratio']:.2f} ({low:.2f} to {high:.2f})"


def growth(found: dict[str, Any]) -> list[str]:
    return [
        "## How the time grows",
        "",
        "![Time of stone-s's training steps over images, width and cores](images/training-growth.png)",
        "",
        f"Medians and quartiles of {found['rounds']} rounds in turns: `python -m benchmarks.training.training_growth`.",
        "",
    ]


def cascade(found: dict[str, Any]) -> list[str]:
    return [
        "## A confidence cascade",
        "",
        (
            "Two models in one file ([Cascades](cascade.md)), on the first 2,048 test images, one thread, tiles of "
            "64, all files in turns in one run, as ratios to `cnn3` in float32 (median, quartiles; files of seed "
            f"{found['seed']}): `python -m benchmarks.models.cascade RUNS`. Accuracies: means of [Results](results.md)."
        ),
        "",
        "| file | accuracy | seeds | images shown to `stone-l` | float32 / `cnn3` | int8 / `cnn3` |",
        "|---|---|---|---|---|---|",
        *map(cascade_row, found["entries"]),
        "",
    ]


def cascade_row(entry: dict[str, Any]) -> str:
    asked = f"{entry['asked']:.1%}" if "asked" in entry else ""
    speeds = (ratio(entry[kind]) if kind in entry else "not accepted" for kind in ("fp32", "int8"))
    cells = (f"`{entry['name']}`", f"{entry['accuracy']:.4f}", str(entry["seeds"]), asked, *speeds)
    return f"| {' | '.join(cells)} |"


def read(name: str) -> Any:  # noqa: ANN401 - JSON
    file = RESULTS / name
    return json.loads(file.read_text()) if file.exists() else None


def main() -> None:
    """Write the page."""
    lines = [
        "# Training speed",
        "",
        "Written by `python -m benchmarks.training.page` from `benchmarks/results/`.",
        "",
    ]
    lines += [
        "## Time to an accuracy",
        "",
        "Measured by `python -m benchmarks.training.sprint`; its docstring says what the clocks count.",
        "",
    ]
    for dataset, case in (read("sprint.json") or {}).items():
        lines += comparison(dataset, case)
    if profile := read("sprint_profile.json"):
        lines += stages(profile)
    if found := read("stones.json"):
        lines += stones(found["stones"])
    if found := read("accuracy_speed.json"):
        lines += accuracy_speed(found["points"])
    if found := read("cascade.json"):
        lines += cascade(found)
    if found := read("training_growth.json"):
        lines += growth(found)
    PAGE.write_text("\n".join(lines) + "\n" + NOTES.read_text())


if __name__ == "__main__":
    main()
