"""Fail closed: with each library taken away in turn, `--provider cuda` has to name it, and `auto` to say why.

Likewise `--provider tensorrt` with each of TensorRT's libraries, which `auto` does without.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.gpu.bundles import builtin
from benchmarks.gpu.hiding import LIBRARIES, TENSORRT_LIBRARIES, copies, run_without
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import Steps
from benchmarks.places import ROOT
from torchstone_runtime.inference.gpu_options import TF32_VARIABLE

_COMMAND: Final = "import sys; from torchstone_runtime.cli.main import main; main(sys.argv[1:])"
_LOADED: Final = "import sys, torchstone; print(torchstone.load(sys.argv[1], variant='fp32').plan)"
_SECONDS: Final = 60.0
_NOTHING_HIDDEN: Final = "no copy found; nothing was hidden"


def steps(setting: Setting) -> Steps:
    """Return the steps of this piece."""
    plain, *others = setting.providers
    found: dict[str, Any] = {"everything there": partial(_works, plain)}
    for library in setting.size(LIBRARIES, LIBRARIES[:2]):
        found[f"without {library}"] = partial(_without, setting, plain, library)
    found["no GPU visible"] = partial(_verified, plain, [], ("CUDA_VISIBLE_DEVICES=",))
    # A trial has the one provider.
    for provider in others or [plain]:
        found[f"{provider}, everything there"] = partial(_works, provider)
        for library in setting.size(TENSORRT_LIBRARIES, TENSORRT_LIBRARIES[:1]):
            found[f"{provider}, without {library}"] = partial(_without, setting, provider, library)
    return found


def _works(provider: str) -> dict[str, Any]:
    """Fail where even the whole installation is refused: no refusal of a part would say anything then."""
    found = _verified(provider, [], _variables(provider))
    if found["by_name"]["exit_code"]:
        raise RuntimeError(found["by_name"]["stderr"])
    return found


def _variables(provider: str) -> tuple[str, ...]:
    # Else TensorRT is refused for its TF32, whatever is missing.
    return (f"{TF32_VARIABLE}=0",) if provider == "tensorrt" else ()


def _without(setting: Setting, provider: str, library: str) -> dict[str, Any] | str:
    # A trial looks where nothing is: it hides nothing that others use.
    files = copies(library, [setting.work] if setting.dry_run else None)
    if not files:
        return _NOTHING_HIDDEN
    return {"hidden": [str(file) for file in files]} | _verified(provider, files, _variables(provider), library)


def _verified(provider: str, files: list[Path], variables: Sequence[str], library: str = "") -> dict[str, Any]:
    """Verify the built-in bundle by name and by `auto`; say whether that did what it must."""
    by_name = _python(files, variables, _COMMAND, "verify", builtin(), "--provider", provider)
    auto = _python(files, variables, _LOADED, builtin())
    text = by_name["stdout"] + by_name["stderr"]
    return {
        "by_name": by_name,
        "auto": auto,
        "refused": by_name["exit_code"] == 2,
        "names_it": bool(library) and library.split(".so", maxsplit=1)[0] in text,
        "auto_works": auto["exit_code"] == 0,
    }


def _python(files: list[Path], variables: Sequence[str], program: str, *arguments: object) -> dict[str, Any]:
    command = ["env", *variables, f"PYTHONPATH={_python_path()}"]
    command += [sys.executable, "-c", program, *map(str, arguments)]
    result = run_without(files, command, _SECONDS)
    return {"exit_code": result.returncode, "stdout": result.stdout[-1500:], "stderr": result.stderr[-1500:]}


def _python_path() -> str:
    return ":".join([str(ROOT / "runtime"), *filter(None, sys.path)])
