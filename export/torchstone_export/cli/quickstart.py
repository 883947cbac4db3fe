"""The whole line on the embedded digits, its last step in an interpreter that cannot import PyTorch."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import click

from torchstone_export.pipeline import ExportRequest, RunSource, export_run
from torchstone_runtime.cli.output import is_stdout, print_lines, print_result
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.text import showable_lines
from torchstone_train.recipes.resolve import get_recipe
from torchstone_train.run_training import TrainingRequest, train
from torchstone_train.training.stopping import StopReason

_RECIPE: Final = "cnn3"
_DATASET: Final = "digits"
_WITHOUT_PYTORCH: Final = """
import sys
sys.modules.update(dict.fromkeys(("torch", "torchvision", "onnx", "onnxscript", "sklearn", "scipy")))
from torchstone_runtime.cli.main import main
main(sys.argv[1:])
"""
"""A name whose entry in sys.modules is None can't be imported."""


def run_quickstart(out: Path, json_file: Path | None = None) -> int:
    """Train, export, verify and evaluate under `out`; return the exit code.

    Where `json_file` is `-`, its document is all of stdout, and what the steps print goes to stderr.
    """
    started = time.perf_counter()
    run, bundle, report = out / "run", out / "bundle", out / "report.html"
    data_dir = default_data_dir()
    aside = is_stdout(json_file)
    _announce(1, f"train the recipe {_RECIPE} on {_DATASET}", aside=aside)
    outcome = train(
        TrainingRequest(
            recipe=get_recipe(_RECIPE),
            dataset=DatasetRef(_DATASET),
            data_dir=data_dir,
            out=run,
            overwrite=True,
        )
    )
    if outcome.stop_reason is StopReason.INTERRUPTED:
        return 130
    _announce(2, "export to ONNX and TorchScript, and compare both with PyTorch sample by sample", aside=aside)
    exported = export_run(RunSource(run), ExportRequest(out=bundle, data_dir=data_dir))
    if aside:
        click.echo(showable_lines(exported.summary), err=True)
    else:
        print_lines(showable_lines(exported.summary))
    _announce(3, "verify the bundle: hashes and golden samples, in a process that cannot import PyTorch", aside=aside)
    _run_without_pytorch("verify", str(bundle), "--data", _DATASET, aside=aside)
    _announce(4, "evaluate the ONNX file with ONNX Runtime, in a process that cannot import PyTorch", aside=aside)
    _run_without_pytorch("evaluate", str(bundle), "--data", _DATASET, "--report", str(report), aside=aside)
    seconds = time.perf_counter() - started
    document = {
        "run": str(run),
        "bundle": str(bundle),
        "report": str(report),
        "summary": exported.summary,
        "seconds": round(seconds, 1),
    }
    text = f"\nbundle  {bundle}\nreport  {report}\ntime    {seconds:.0f} s"
    print_result(json_file, lambda: document, lambda: text)
    return 0


def _announce(step: int, what: str, *, aside: bool) -> None:
    click.echo(f"\n[{step}/4] {what}", err=aside)


def _run_without_pytorch(*arguments: str, aside: bool) -> None:
    # What it prints goes through our own stdout: whether that takes it is not the business of this step.
    command = [sys.executable, "-c", _WITHOUT_PYTORCH, *arguments]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    click.echo(result.stdout, nl=False, err=aside)
    if result.returncode:
        raise click.exceptions.Exit(result.returncode)
