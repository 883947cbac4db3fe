"""Write docs/training-speed.md from benchmarks/results/sprint.json, sprint_profile.json and stones.json.

Run: python benchmarks/training_speed_page.py
"""

import json
import statistics
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "training-speed.md"
NOTES = HERE / "training_speed_notes.md"


def spread(values: list[float], digits: int = 1) -> str:
    """Mean, and the range of the values."""
    mean = statistics.mean(values)
    return f"{mean:,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def comparison(dataset: str, case: dict[str, Any]) -> list[str]:
    sprints, documents = case["sprint"], case["documents"]
    tests = [run["test"] for run in sprints]
    lines = [
        f"### {dataset}: {case['target']:.1%}",
        "",
        (
            f"{case['threads']} thread(s), {case['machine']}, Python {case['python']}, PyTorch {case['torch']}, "
            f"mixed precision {sprints[0]['amp']}."
        ),
        "",
        "| | seeds | seconds, mean (range) | test accuracy, mean (range) | seeds at the target |",
        "|---|---|---|---|---|",
        (
            f"| `train {case['recipe']}` | {len(sprints)} | {spread([run['seconds'] for run in sprints])} "
            f"| {spread(tests, 4)} | {sum(test >= case['target'] for test in tests)} |"
        ),
    ]
    if documents:
        finals = [run["epochs"][-1]["test"] for run in documents]
        lines.append(
            f"| the document's loop (`{case['document']}`) | {len(documents)} "
            f"| {spread([run['seconds'] for run in documents])} | {spread(finals, 4)} "
            f"| {sum(run['reached'] for run in documents)} |"
        )
        by_seed = {run["seed"]: run["seconds"] for run in sprints}
        ratios = [run["seconds"] / by_seed[run["seed"]] for run in documents if run["seed"] in by_seed]
        missed = [run["seed"] for run in documents if not run["reached"]]
        lines += ["", f"Ratio of the times, seed by seed: **{spread(ratios)}**."]
        if missed:
            lines.append(
                f"The document's loop did not reach the target with seed {missed}: its ratio is a lower bound."
            )
    return [*lines, ""]


def stages(profile: dict[str, Any]) -> list[str]:
    lines = [
        "## Where the time goes",
        "",
        f"{profile['threads']} thread(s); {profile['images']:,} training images.",
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
            "Speed is that of the exported float32 file in ONNX Runtime, one thread, tiles of 64, as a ratio to `cnn3` in "
            "turns in one run (median, quartiles): `python benchmarks/stones.py`."
        ),
        "",
        "| recipe | multiply-adds | parameters | speed / `cnn3` |",
        "|---|---|---|---|",
    ]
    for stone in found:
        low, high = stone["quartiles"]
        lines.append(
            f"| `{stone['name']}` | {stone['macs'] / 1e6:.2f} M | {stone['parameters'] / 1e3:.0f} k "
            f"| {stone['ratio']:.2f} ({low:.2f} to {high:.2f}) |"
        )
    return [*lines, ""]


def read(name: str) -> Any:  # noqa: ANN401 - JSON
    file = HERE / "results" / name
    return json.loads(file.read_text()) if file.exists() else None


def main() -> None:
    """Write the page."""
    lines = [
        "# Training speed",
        "",
        "Written by `python benchmarks/training_speed_page.py` from `benchmarks/results/`.",
        "",
    ]
    lines += [
        "## Time to an accuracy",
        "",
        "Measured by `python benchmarks/sprint.py`; its docstring says what the clocks count.",
        "",
    ]
    for dataset, case in (read("sprint.json") or {}).items():
        lines += comparison(dataset, case)
    if profile := read("sprint_profile.json"):
        lines += stages(profile)
    if found := read("stones.json"):
        lines += stones(found["stones"])
    PAGE.write_text("\n".join(lines) + "\n" + NOTES.read_text())


if __name__ == "__main__":
    main()
