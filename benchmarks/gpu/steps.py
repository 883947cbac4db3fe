"""A piece's steps: each is measured by itself, kept as soon as it is done, and not repeated.

What fails leaves its traceback, and the next step goes on. What was not begun for want of time is begun by the next
call with the same folder of results.
"""

import json
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.gpu.setting import Setting
from torchstone_runtime.files import write_atomic
from torchstone_runtime.strict_json import strict_json

Step = Callable[[], Any]
Steps = Mapping[str, Step]

DONE, FAILED, LEFT, BEGUN = "done", "failed", "no time left", "begun"
_LINES: Final = 40
"""Lines of a traceback that are kept, the last ones."""


def result_file(results: Path, piece: str) -> Path:
    """Return the file that a piece keeps its results in."""
    return results / f"{piece}.json"


def read_steps(results: Path, piece: str) -> dict[str, Any]:
    """Return what is kept of a piece's steps by name; nothing where it was never begun."""
    file = result_file(results, piece)
    return dict(json.loads(file.read_text())["steps"]) if file.is_file() else {}


def run_steps(piece: str, steps: Steps, setting: Setting, say: Callable[[str], None]) -> dict[str, Any]:
    """Run the steps that are not done yet, and keep each result.

    Args:
        piece: name of the piece.
        steps: functions without arguments that return JSON data, by name.
        setting: results and time.
        say: is given a line for each step.
    """
    kept = read_steps(setting.results, piece)
    for name, step in steps.items():
        if kept.get(name, {}).get("state") == DONE:
            continue
        if setting.seconds_left <= 0:
            kept[name] = {"state": LEFT}
        else:
            # Kept beforehand: of a step that ends the process this is what remains.
            _keep(piece, {**kept, name: {"state": BEGUN}}, setting)
            kept[name] = _run(step)
        _keep(piece, kept, setting)
        say(f"{piece} {name}: {kept[name]['state']} {kept[name].get('seconds', 0):.1f} s{_cause(kept[name])}")
    return kept


def _run(step: Step) -> dict[str, Any]:
    started = time.monotonic()
    try:
        result = step()
        return {"state": DONE, "seconds": time.monotonic() - started, "result": result}
    except Exception:  # noqa: BLE001 - whatever it is, it is a result, and the others go on
        lines = traceback.format_exc().splitlines()[-_LINES:]
        return {"state": FAILED, "seconds": time.monotonic() - started, "traceback": lines}


def _keep(piece: str, kept: Mapping[str, Any], setting: Setting) -> None:
    content = {"piece": piece, "device": setting.device, "dry_run": setting.dry_run, "steps": kept}
    setting.results.mkdir(parents=True, exist_ok=True)
    write_atomic(result_file(setting.results, piece), strict_json(content, indent=1) + "\n")


def _cause(kept: Mapping[str, Any]) -> str:
    return f" ({kept['traceback'][-1][:200]})" if "traceback" in kept else ""
