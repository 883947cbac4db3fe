"""`torchstone score`: every picture once, whatever happens."""

import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.in_process import run_in_process
from helpers.processors import needs_exact_int8
from helpers.renamed_classes import rename_classes
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.data.idx import read_idx
from torchstone_runtime.scoring.job import OutputOptions, ScoringJob
from torchstone_runtime.scoring.local_engine import ScoringResult, score_locally
from torchstone_runtime.scoring.parts import PartsFolder
from torchstone_runtime.shards.plan_inputs import plan_inputs
from torchstone_runtime.shards.read_options import ReadOptions

Rows = list[dict[str, str]]


def png(seed: int) -> bytes:
    """Return a picture of noise as a file."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (28, 28), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Make 40 pictures in two folders, one of which is called as a class is; one picture is broken."""
    for name in ("Bag", "elsewhere"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(20):
            (tmp_path / "pictures" / name / f"{number:02}.png").write_bytes(png(number))
    (tmp_path / "pictures" / "Bag" / "07.png").write_bytes(b"no picture")
    return tmp_path / "pictures"


def rows(out: Path) -> Rows:
    """Return the rows of all parts, in the order of the parts."""
    found: Rows = []
    for part in sorted(out.glob("part-*.csv")):
        with part.open(newline="") as file:
            found += csv.DictReader(file)
    return found


def score(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run the command with the built-in bundle and CSV."""
    return run_in_process("score", "fashion", *arguments, "--format", "csv")


def test_each_picture_is_a_row_and_a_broken_one_says_why(pictures: Path, tmp_path: Path) -> None:
    """Each picture is a row and a broken one says why."""
    result = score(pictures, "--out", tmp_path / "out", "--per-shard", "7")
    assert result.returncode == 0, result.stderr
    found = rows(tmp_path / "out")
    assert [row["id"] for row in found] == [str(path) for path in sorted(pictures.rglob("*.png"))]
    broken = [row for row in found if row["error"]]
    assert [row["id"] for row in broken] == [str(pictures / "Bag" / "07.png")]
    assert not broken[0]["class"]
    assert "1 x the file is not an image" in result.stderr


def test_a_folder_called_as_a_class_is_the_label(pictures: Path, tmp_path: Path) -> None:
    """A folder called as a class is the label."""
    score(pictures, "--out", tmp_path / "out")
    assert {row["label"] for row in rows(tmp_path / "out") if "/Bag/" in row["id"]} == {"Bag"}
    assert {row["label"] for row in rows(tmp_path / "out") if "/elsewhere/" in row["id"]} == {""}


def test_a_number_in_an_archive_is_the_name_of_a_class_that_is_called_so(tmp_path: Path) -> None:
    """Not the place of the class among the others, as in an npz file: the numbers may have gaps."""
    copytree(locate_bundle("fashion"), tmp_path / "model")
    rename_classes(tmp_path / "model", [str(number) for number in range(1, 11)])
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, content in (("0.png", png(0)), ("0.cls", b"10"), ("1.png", png(1)), ("1.cls", b"0")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    np.savez(tmp_path / "b.npz", images=np.zeros((1, 28, 28), np.uint8), labels=np.array([0]))
    inputs = (tmp_path / "a.tar", tmp_path / "b.npz", "--out", tmp_path / "out", "--format", "csv")
    result = run_in_process("score", tmp_path / "model", *inputs)
    assert result.returncode == 0, result.stderr
    assert [row["label"] for row in rows(tmp_path / "out")] == ["10", "", "1"]


def test_a_second_run_leaves_the_parts_as_they_are(pictures: Path, tmp_path: Path) -> None:
    """A second run leaves the parts as they are."""
    out = tmp_path / "out"
    score(pictures, "--out", out, "--per-shard", "7")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    result = score(pictures, "--out", out, "--per-shard", "7")
    assert "6 parts already existed" in result.stdout
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


def test_a_single_part_is_counted_in_the_singular(pictures: Path, tmp_path: Path) -> None:
    """Written, and there before."""
    assert ": 1 part, 40 rows" in score(pictures, "--out", tmp_path / "out").stdout
    assert "; 1 part already existed" in score(pictures, "--out", tmp_path / "out").stdout


@pytest.mark.parametrize(
    "change",
    [("--top-k", "2"), pytest.param(("--variant", "fp32"), marks=needs_exact_int8), ("--per-shard", "5")],
)
def test_another_job_in_the_same_folder_is_refused(pictures: Path, tmp_path: Path, change: tuple[str, str]) -> None:
    """Another job in the same folder is refused."""
    score(pictures, "--out", tmp_path / "out")
    before = sorted((tmp_path / "out").rglob("*"))
    result = score(pictures, "--out", tmp_path / "out", *change)
    assert result.returncode == 2
    assert "holds the parts of another job" in result.stderr
    assert sorted((tmp_path / "out").rglob("*")) == before


def test_an_input_that_changed_is_refused(pictures: Path, tmp_path: Path) -> None:
    """Until it is as it was."""
    score(pictures, "--out", tmp_path / "out")
    (pictures / "Bag" / "new.png").write_bytes(png(99))
    result = score(pictures, "--out", tmp_path / "out")
    assert result.returncode == 2
    assert "files were added, removed or changed" in result.stderr
    assert "Give the files as they were, and the job continues." in result.stderr
    (pictures / "Bag" / "new.png").unlink()
    assert score(pictures, "--out", tmp_path / "out").returncode == 0


def test_too_many_errors_end_with_exit_code_1_and_keep_the_parts(pictures: Path, tmp_path: Path) -> None:
    """Too many errors end with exit code 1 and keep the parts."""
    result = score(pictures, "--out", tmp_path / "out", "--max-errors", "0", "--per-shard", "7")
    assert result.returncode == 1
    assert "--max-errors allows 0" in result.stderr
    assert list((tmp_path / "out").glob("part-*.csv"))


def test_a_job_that_goes_on_with_broken_pictures_alone_ends_well(pictures: Path, tmp_path: Path) -> None:
    """Whether all pictures are broken is a question of the whole job, not of what was left of it."""
    given = (pictures, "--out", tmp_path / "out", "--per-shard", "1")
    assert score(*given).returncode == 0
    next(part for part in (tmp_path / "out").glob("part-000007-*")).unlink()
    again = score(*given)
    assert (again.returncode, "39 parts already existed" in again.stdout) == (0, True), again.stderr
    assert [row["id"] for row in rows(tmp_path / "out") if row["error"]] == [str(pictures / "Bag" / "07.png")]


def test_shares_of_several_processes_make_the_whole(pictures: Path, tmp_path: Path) -> None:
    """Shares of several processes make the whole."""
    score(pictures, "--out", tmp_path / "whole", "--per-shard", "7")
    for share in ("1/3", "2/3", "3/3"):
        score(pictures, "--out", tmp_path / "shared", "--per-shard", "7", "--share", share)
    assert rows(tmp_path / "shared") == rows(tmp_path / "whole")


def test_the_share_that_ends_last_writes_the_summary(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the other one has written its parts meanwhile."""
    given = (pictures, "--out", tmp_path / "out", "--per-shard", "7", "--summary")

    def beside(*arguments: Any, **options: Any) -> ScoringResult:  # noqa: ANN401
        monkeypatch.undo()
        found = score_locally(*arguments, **options)
        assert score(*given, "--share", "2/2").returncode == 0
        return found

    monkeypatch.setattr("torchstone_runtime.scoring.local_engine.score_locally", beside)
    found = score(*given, "--share", "1/2")
    assert "No summary yet" not in found.stdout + found.stderr


def test_a_part_that_another_process_took_for_a_leftover_is_there(pictures: Path, tmp_path: Path) -> None:
    """Two processes write the same part; the one that has all parts first clears away what seems left."""
    out = tmp_path / "out"
    assert score(pictures, "--out", out, "--per-shard", "40").returncode == 0
    with plan_inputs([str(pictures)], ReadOptions(per_shard=40)) as shards:
        shard = next(iter(shards))
    folder = PartsFolder(ScoringJob(out=str(out), reading=ReadOptions(per_shard=40), output=OutputOptions(form="csv")))
    with folder.new_part(shard, ["Bag"]):
        folder.remove_leftovers()
    assert folder.is_done(shard)


def test_the_summary_counts_what_the_rows_say(pictures: Path, tmp_path: Path) -> None:
    """The summary counts what the rows say."""
    result = score(pictures, "--out", tmp_path / "out", "--per-shard", "7", "--summary")
    assert result.returncode == 0, result.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    found = rows(tmp_path / "out")
    assert summary["rows"] == 40
    assert summary["classes"] == {
        name: sum(row["class"] == name for row in found) for name in {row["class"] for row in found if row["class"]}
    }
    assert summary["labelled"]["images"] == 20
    assert summary["drift"]["images"] == 39
    assert summary["drift"]["alarm"]
    assert "</html>" in (tmp_path / "out" / "summary.html").read_text()


def test_a_full_disk_is_one_message_and_the_rest_follows_later(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is one message and the rest follows later."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        result = score(pictures, "--out", tmp_path / "out", "--per-shard", "7")
    assert result.returncode == 2
    assert result.stderr.count("Error:") == 1
    assert "No space left on device" in result.stderr
    assert score(pictures, "--out", tmp_path / "out", "--per-shard", "7").returncode == 0
    assert len(rows(tmp_path / "out")) == 40


def _parts(out: Path) -> int:
    return len(list(out.glob("part-*")))


def _killed(arguments: list[str], out: Path, parts: int, seconds: float) -> bool:
    """Kill a job some time after it has so many parts; return whether it was still at work."""
    command = [sys.executable, "-m", "torchstone_runtime", *arguments, "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while _parts(out) < parts and process.poll() is None and time.monotonic() < end:
        time.sleep(0.0005)
    time.sleep(seconds)
    at_work = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    return at_work


@pytest.mark.parametrize("times", [3, pytest.param(50, marks=pytest.mark.study)])
def test_killed_at_any_moment_and_run_again_it_writes_the_same(tmp_path: Path, times: int) -> None:
    """Each kill meets a job that is at work and has shards left, at a random one of them."""
    images = np.random.default_rng(0).integers(0, 256, (2_000, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=images)
    given = ["score", "fashion", str(tmp_path / "images.npz"), "--format", "csv", "--per-shard", "10"]
    assert run_in_process(*given, "--out", tmp_path / "whole").returncode == 0
    out, chance = tmp_path / "killed", random.Random(19)  # noqa: S311 - moments, not secrets
    for _ in range(times):
        more = chance.randrange(100 // times + 1)
        assert _killed(given, out, _parts(out) + more, 0.004 * chance.random())
    assert 0 < _parts(out) < _parts(tmp_path / "whole") == 200
    assert run_in_process(*given, "--out", out).returncode == 0
    assert rows(out) == rows(tmp_path / "whole")
    assert not list(out.glob("*.partial"))


@pytest.mark.data
def test_scores_of_the_test_split_give_the_accuracy_of_evaluate(fashion_part: Path, tmp_path: Path) -> None:
    """Scores of the test split give the accuracy of evaluate."""
    raw = fashion_part / "FashionMNIST" / "raw"
    images = read_idx(raw / "t10k-images-idx3-ubyte", 3)
    labels = read_idx(raw / "t10k-labels-idx1-ubyte", 1)
    np.savez(tmp_path / "test.npz", images=images, labels=labels)
    score(tmp_path / "test.npz", "--out", tmp_path / "out")
    found = rows(tmp_path / "out")
    measured = run_in_process(
        "evaluate", "fashion", "--data", "fashion-mnist", "--data-dir", fashion_part, "--json", "-q"
    )
    accuracy = json.loads(measured.stdout)["metrics"]["accuracy"]
    value = accuracy["value"] if isinstance(accuracy, dict) else accuracy
    assert sum(row["class"] == row["label"] for row in found) / len(found) == value
