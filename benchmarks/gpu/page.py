"""Write docs/reference/gpu.md from kept results: python -m benchmarks.gpu.page [FOLDER].

Without FOLDER, from benchmarks/results/gpu; what was not measured says so.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.gpu.pieces import PIECES
from benchmarks.gpu.steps import DONE, read_steps, result_file
from benchmarks.places import DOCS, RESULTS

PAGE: Final = DOCS / "reference" / "gpu.md"
KEPT: Final = RESULTS / "gpu"
AIMS: Final = {
    "sprint": "at most 3 s to 91.6% (Fashion-MNIST) and to 99% (MNIST), and at least 50 times as fast as the "
    "documents' loop on the same GPU",
    "precision": "bf16 and fp16 reach float32's accuracy",
    "resume": "the same weights, bit for bit",
    "memory": "a training with the batch size that the message names succeeds",
    "several_gpus": "as accurate as one process; more processes than GPUs are refused",
    "stone_l": "an accuracy of 95.8% on Fashion-MNIST",
    "doctor": "every line is correct",
    "providers": "every node runs on the provider, or the command is refused and names the nodes that don't",
    "fail_closed": "exit code 2 and the name of what is missing; `auto` uses the CPU instead and says why",
    "tolerances": "at least 50 honest exports",
    "session_options": "1.1 times the speed of a plain call; an option that gains less is removed",
    "speed": "at least as fast as the fastest way of PyTorch",
}
NOT_RUN: Final = "Not yet run."
_SHOWN: Final = (
    *("verdict", "ratio", "speed_ratio", "seconds", "mean_test", "test", "images_per_second"),
    *("same_seed_same_weights", "resumed_same_weights", "named", "then_exit_code"),
    *("refused", "names_it", "auto_works"),
)


def page(results: Path) -> str:
    """Return the page of a folder of results."""
    template = (Path(__file__).parent / "gpu.md.in").read_text()
    return template.format(head=_head(results), pieces="\n".join(_sections(results)).rstrip())


def _head(results: Path) -> str:
    card = read_steps(results, "machine").get("card", {})
    if card.get("state") != DONE:
        return (
            "**None of this has been run on a GPU yet.** The measurements were only tried in small on the CPU "
            "(`--dry-run`), which shows that they run and says nothing about speed. The rest of this page lists what "
            "each of them measures, and its aim.\n\n"
            "`train --compile` was run on a CPU with g++: the three modes in one process, `default` also in two (Gloo) "
            "and resumed bit for bit, and its messages without a compiler. Triton, CUDA graphs (`reduce-overhead`, "
            "`max-autotune`) and NCCL under it were not run."
        )
    found = card["result"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items() if version)
    trial = " **A trial in small: these figures mean nothing.**" if _is_trial(results) else ""
    return f"Measured on {found.get('card', 'a processor')}, Python {found['python']}: {versions}.{trial}"


def _is_trial(results: Path) -> bool:
    return bool(json.loads(result_file(results, "machine").read_text())["dry_run"])


def _sections(results: Path) -> Iterator[str]:
    for name, piece in PIECES.items():
        yield f"## {name.replace('_', ' ').capitalize()}\n"
        aim = f" Aim: {AIMS[name]}." if name in AIMS else ""
        yield f"{piece.about[0].upper()}{piece.about[1:]}.{aim}\n"
        steps = read_steps(results, name)
        yield _table(steps) if steps else f"{NOT_RUN}\n"


def _table(steps: Mapping[str, Any]) -> str:
    rows = ["| step | found |", "|---|---|"]
    rows += [f"| {name} | {_found(step)} |" for name, step in steps.items()]
    return "\n".join(rows) + "\n"


def _found(step: Mapping[str, Any]) -> str:
    if step["state"] != DONE:
        last = step.get("traceback", [""])[-1]
        return f"{step['state']} {last}".strip().replace("|", "/")
    result = step["result"]
    if isinstance(result, str):
        return result.replace("|", "/")
    if not isinstance(result, dict):
        return "in the results"
    if "refused" in result and isinstance(result["refused"], str):
        return f"refused: {result['refused']}".replace("|", "/")
    shown = [f"{key.replace('_', ' ')} {_figure(result[key])}" for key in _SHOWN if result.get(key, {}) != {}]
    return "; ".join(shown) or "in the results"


def _figure(value: Any) -> str:  # noqa: ANN401 - a number, or an estimate or figures by name
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict) and "value" in value:
        return f"{value['value']:.2f} ({value['low'] or 0:.2f} to {value['high'] or 0:.2f})"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_figure(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_figure, value[-1:]))
    return str(value).replace("|", "/")


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=KEPT)
    PAGE.write_text(page(parser.parse_args().folder))


if __name__ == "__main__":
    main()
