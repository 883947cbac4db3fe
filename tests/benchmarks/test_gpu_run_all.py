"""Running pieces in processes of their own: what is taken over of earlier results, and what is ended at the end."""

import os
import sys
import time
from pathlib import Path

from benchmarks.gpu import run_all


def test_only_results_of_the_pieces_asked_for_are_taken_over(tmp_path: Path) -> None:
    """Others would crowd out what is new where few files come back."""
    before, results = tmp_path / "before", tmp_path / "results"
    before.mkdir()
    for name in ("doctor", "speed", "notes"):
        (before / f"{name}.json").write_text('{"steps": {}}')

    run_all.main(["doctor", "--resume", str(before), "--results", str(results), "--seconds", "0"])

    assert [file.name for file in results.iterdir()] == ["doctor.json"]


def test_what_a_piece_began_ends_with_it(tmp_path: Path) -> None:
    """Else it holds the GPU while the next piece is measured."""
    begun, alive = tmp_path / "begun", tmp_path / "alive"
    touch = "import pathlib, time; pathlib.Path({!r}).touch(); time.sleep(2); pathlib.Path({!r}).touch()"
    grandchild = touch.format(str(begun), str(alive))
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"

    assert not run_all.run_to_the_end([sys.executable, "-c", child], os.environ, 1.0)

    assert begun.exists()
    time.sleep(2.5)
    assert not alive.exists()
