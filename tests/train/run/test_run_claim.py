"""A run directory is taken by one training at a time, never from anybody's files, and again after any kill."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from helpers.support import Mount, assert_refused, run_torchstone, started_torchstone
from torchstone_runtime.errors import OutputError, UsageError
from torchstone_train.run.run_claim import claimed, remove_run
from torchstone_train.run.run_dir import RunDirectory

KILLS = Path(__file__).parents[2] / "helpers" / "early_kills.py"


def begin(run: Path, **info: object) -> Path:
    """Make the directory of a run that has only begun."""
    RunDirectory.create(run, overwrite=False).write_info({"recipe": {}, "stop_reason": "running", **info})
    return run


def kill_at_each_change(dataset: Path, folder: Path, *options: str) -> list[dict[str, object]]:
    """Return what `early_kills.py` saw."""
    command = [sys.executable, str(KILLS), f"npz:{dataset}", str(folder), *options]
    # Threads of OpenMP would not survive the forks.
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), pytest.param(("--overwrite",), marks=pytest.mark.study)])
def test_training_killed_before_its_first_epoch_is_saved_can_be_started_again(
    tiny_npz: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """At every change to the disk: the same command, or --resume once there are weights, trains as if nothing was."""
    kills = kill_at_each_change(tiny_npz, tmp_path, *options)
    assert len(kills) > 10
    assert [kill for kill in kills if kill["again"] or not kill["saved"]] == []


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.3])
def test_training_killed_in_its_first_moments_can_be_started_again(
    tiny_npz: Path, tmp_path: Path, delay: float
) -> None:
    """By the command line, some time after the directory appeared."""
    run = tmp_path / "run"
    arguments = ["train", "mlp", "--dataset", f"npz:{tiny_npz}", "--epochs", "1", "--out", str(run)]
    with started_torchstone(*arguments, stderr=Path(os.devnull)) as (process, _):
        while not run.exists():
            assert process.poll() is None
            time.sleep(0.001)
        time.sleep(delay)
        process.kill()
    learnt = ["--resume"] if (run / "best.safetensors").exists() else []
    result = run_torchstone(*arguments, *learnt, pictures=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("left", [[], ["last/"], ["last/", ".run.json.ab_c12_9.partial"]])
def test_what_a_kill_before_run_json_leaves_is_taken(tmp_path: Path, left: list[str]) -> None:
    """An empty folder and a part of run.json hold nothing of anybody's; nothing of them stays."""
    run = tmp_path / "run"
    run.mkdir()
    for name in left:
        (run / name).mkdir() if name.endswith("/") else (run / name).write_text('{"form')
    RunDirectory.create(run, overwrite=False)
    assert [entry.name for entry in run.iterdir()] == ["last"]


def test_run_that_has_only_begun_is_taken(tmp_path: Path) -> None:
    """Without an epoch there is nothing to go on with, and nothing to lose."""
    run = begin(tmp_path / "run")
    RunDirectory.create(run, overwrite=False)
    assert not (run / "run.json").exists()


@pytest.mark.parametrize("learnt", ["best.safetensors", "history.jsonl", "last/checkpoint.pt", "report.html"])
def test_run_that_has_learnt_something_is_kept(tmp_path: Path, learnt: str) -> None:
    """Whatever comes of an epoch is kept, however the training ended."""
    run = begin(tmp_path / "run")
    (run / learnt).write_text("learnt")
    with pytest.raises(UsageError, match="holds a run already"):
        RunDirectory.create(run, overwrite=False)
    assert (run / learnt).read_text() == "learnt"


def test_run_that_ended_without_weights_is_kept(tmp_path: Path) -> None:
    """A loss that was no number is a result."""
    run = begin(tmp_path / "run", stop_reason="non_finite_loss")
    with pytest.raises(UsageError, match="holds a run already"):
        RunDirectory.create(run, overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        ".hidden",
        "film.partial",
        ".film.mkv.ab12cd34.partial",
        "last/notes.txt",
        "figures/notes.txt",
        "figures/deep/er.png",
        "tensorboard/events.out.tfevents.1.other/file",
        "last.txt",
    ],
)
def test_nothing_of_anybody_is_lost(tmp_path: Path, name: str, *, begun: bool, overwrite: bool) -> None:
    """A file that no training writes is refused by name, also in a run's own folders, and everything stays."""
    run = begin(tmp_path / "run") if begun else tmp_path / "run"
    (run / name).parent.mkdir(parents=True, exist_ok=True)
    (run / name).write_text("mine")
    before = sorted(run.rglob("*"))
    with pytest.raises(UsageError, match="holds other files"):
        RunDirectory.create(run, overwrite=overwrite)
    assert sorted(run.rglob("*")) == before


@pytest.mark.parametrize("content", ["{}", '{"name": "another tool"}', "[]", "", "no json", "[" * 100_000])
def test_run_json_of_another_tool_is_kept(tmp_path: Path, content: str) -> None:
    """Its name alone makes no run of a directory."""
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(UsageError, match=r"holds other files \(run\.json\)"):
        RunDirectory.create(tmp_path, overwrite=True)
    assert (tmp_path / "run.json").read_text() == content


def test_link_to_a_run_is_followed(tiny_run: Path, tmp_path: Path) -> None:
    """The run that a link leads to is replaced; the link stays."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (tmp_path / "link").symlink_to(run)
    RunDirectory.create(tmp_path / "link", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert [entry.name for entry in run.iterdir()] == ["last"]


def test_link_in_a_run_is_removed_alone(tiny_run: Path, tmp_path: Path) -> None:
    """What lies where a link leads is not the run's."""
    run, elsewhere = shutil.copytree(tiny_run, tmp_path / "run"), tmp_path / "elsewhere"
    shutil.move(run / "figures", elsewhere)
    (run / "figures").symlink_to(elsewhere)
    before = sorted(elsewhere.iterdir())
    remove_run(run)
    assert sorted(elsewhere.iterdir()) == before
    assert list(run.iterdir()) == []


def test_link_that_leads_nowhere_yet_is_followed(tmp_path: Path) -> None:
    """The directory is made where the link leads."""
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "run")
    with claimed(tmp_path / "link"):
        RunDirectory.create(tmp_path / "link", overwrite=False)
    assert (tmp_path / "disk" / "run" / "last").is_dir()


def test_what_was_made_for_a_claim_goes_where_nothing_came_of_it(tmp_path: Path) -> None:
    """Folders above as well; what was there before stays."""
    (tmp_path / "mine").mkdir()
    with pytest.raises(ValueError, match="no data"), claimed(tmp_path / "mine" / "runs" / "run"):
        raise ValueError("no data")
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize("option", ["--overwrite", "--resume"])
def test_two_trainings_in_one_directory_are_refused(
    tiny_run: Path, tiny_npz: Path, tmp_path: Path, option: str
) -> None:
    """The second one says so and changes nothing."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    arguments = ("--dataset", f"npz:{tiny_npz}", "--epochs", "4", "--out", run, option)
    with claimed(run):
        assert_refused(run_torchstone("train", "cnn3", *arguments), "Another training is writing to", "--out")
    assert (run / "run.json").read_bytes() == (tiny_run / "run.json").read_bytes()


def test_claim_ends_with_its_block(tmp_path: Path) -> None:
    """Also where it fails: the next training can begin."""
    with pytest.raises(UsageError, match="Another"), claimed(tmp_path), claimed(tmp_path):
        pytest.fail("claimed twice")
    with claimed(tmp_path):
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lacking", ["input", "recipe", "dataset", "seed"])
def test_resume_of_a_damaged_run_is_refused(tiny_run: Path, tiny_npz: Path, tmp_path: Path, lacking: str) -> None:
    """A run.json that lacks what --resume needs is one message."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    info = json.loads((run / "run.json").read_text())
    del info[lacking]
    (run / "run.json").write_text(json.dumps(info))
    result = run_torchstone("train", "cnn3", "--dataset", f"npz:{tiny_npz}", "--out", run, "--resume")
    assert_refused(result, "run.json is not valid", lacking)


def test_refused_training_leaves_the_run_that_it_was_to_replace(tiny_run: Path, tiny_npz: Path, tmp_path: Path) -> None:
    """With --overwrite too the earlier run goes last: here stone-l can't be trained on one image at a time."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    small = tmp_path / "small.npz"
    make_small(tiny_npz, small)
    options = ("--dataset", f"npz:{small}", "--batch-size", "1", "--out", run, "--overwrite")
    assert_refused(run_torchstone("train", "stone-l", *options), "one image at a time")
    files = sorted(path.relative_to(tiny_run) for path in tiny_run.rglob("*") if path.is_file())
    assert [(run / file).read_bytes() for file in files] == [(tiny_run / file).read_bytes() for file in files]


def make_small(source: Path, target: Path) -> None:
    """Write the corner of 4 x 4 pixels of a dataset's images."""
    with np.load(source) as content:
        np.savez(target, images=content["images"][:, :4, :4], labels=content["labels"])


def test_read_only_disk_is_told_before_anything_is_read(small_disk: Mount) -> None:
    """An empty directory that can't be written is refused as it is claimed."""
    disk = small_disk(1 << 20)
    (disk / "run").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)  # noqa: S607 - the system's own
    with pytest.raises(OutputError, match="Cannot write"), claimed(disk / "run"):
        pytest.fail("claimed")


def test_resume_clears_what_kills_left_half_written(tiny_run: Path, tiny_npz: Path, tmp_path: Path) -> None:
    """Parts of the run's own files go; somebody's stay."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    left = [run / ".best.safetensors.ab12cd34.partial", run / "last" / ".checkpoint.pt.ab12cd34.partial"]
    for file in (*left, run / ".film.mkv.ab12cd34.partial"):
        file.write_text("a part")
    arguments = ("train", "cnn3", "--dataset", f"npz:{tiny_npz}", "--epochs", "3", "--out", run, "--resume")
    result = run_torchstone(*arguments, pictures=False)
    assert result.returncode == 0, result.stderr
    assert [file.name for file in run.rglob("*.partial")] == [".film.mkv.ab12cd34.partial"]


def test_a_system_that_cannot_open_folders_claims_without_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Windows: the folder is made, and goes again where the training fails before it wrote."""
    monkeypatch.delattr(os, "O_DIRECTORY")
    with claimed(tmp_path / "kept"):
        (tmp_path / "kept" / "run.json").write_text("{}")
    with pytest.raises(KeyError), claimed(tmp_path / "failed"):
        raise KeyError

    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
