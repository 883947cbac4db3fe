import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from helpers.in_process import run_in_process
from helpers.support import assert_refused, run_torchstone
from torchstone_train.training.epoch_table import HEADER

DIGITS = ("--dataset", "digits")

Training = tuple[Path, subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (("cnn33", *DIGITS), "Did you mean 'cnn3'?"),
        (("cnn3", "--dataset", "digit"), "Did you mean 'digits'?"),
        (("cnn3", "--dataset", "fashion-mist"), "Did you mean 'fashion-mnist'?"),
        (("cnn3", "--dataset", "folder"), "folder:PATH"),
        (("cnn3", *DIGITS, "--device", "cud"), "Did you mean 'cuda'?"),
        (("cnn3", *DIGITS, "--device", "gpu"), "Did you mean 'cuda'?"),
        (("cnn3", *DIGITS, "--epochs", "0"), "--epochs must be 1 or more."),
        (("cnn3", *DIGITS, "--set", "mixup=-1"), "--set mixup must be 0 (none) or more."),
        (("cnn3", *DIGITS, "--set", "epochs=x"), "--set epochs is 'x'; expected a whole number."),
        (("cnn3", *DIGITS, "--optimizer", "adan"), "adan"),
        (("cnn3", *DIGITS, "--seed", "-1"), "--seed"),
        (("cnn3", *DIGITS, "--image-size", "12by4"), "--image-size"),
        (("cnn3", "--dataset", "npz:nowhere.npz"), "nowhere.npz"),
        (("cnn3", "--dataset", "folder:nowhere"), "nowhere"),
        (("cnn3", *DIGITS, "--resume"), "There is no run at"),
    ],
)
def test_mistake_is_one_message_and_no_files(arguments: tuple[str, ...], fragment: str, tmp_path: Path) -> None:
    """What a person got wrong is said once, with what was meant where it is clear, and nothing is written."""
    result = run_torchstone("train", *arguments, "--out", tmp_path / "run", cwd=tmp_path)
    assert_refused(result, fragment)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_cuda_without_gpu_is_an_error(tmp_path: Path) -> None:
    """`--device cuda` never trains on the CPU instead; the message says what is missing and what to do."""
    result = run_torchstone("train", "cnn3", *DIGITS, "--device", "cuda", "--out", tmp_path / "run")
    assert_refused(result, "--device cuda was asked for, but", "NVIDIA GPU", "--device cpu")
    assert not (tmp_path / "run").exists()


def test_run_at_out_is_kept(tiny_run: Path, tiny_npz: Path, tmp_path: Path) -> None:
    """Without --overwrite a run that is there is refused and stays as it is."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    result = run_torchstone("train", "cnn3", "--dataset", f"npz:{tiny_npz}", "--out", run)
    assert_refused(result, "holds a run already", "--overwrite")
    assert (run / "best.safetensors").read_bytes() == (tiny_run / "best.safetensors").read_bytes()


def test_foreign_files_at_out_are_kept(tiny_npz: Path, tmp_path: Path) -> None:
    """A directory with other files is refused, even with --overwrite."""
    (tmp_path / "notes.txt").write_text("mine")
    result = run_torchstone("train", "cnn3", "--dataset", f"npz:{tiny_npz}", "--out", tmp_path, "--overwrite")
    assert_refused(result, "holds other files", "notes.txt")
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("option", ["--lr=0.01", "--seed=5"])
def test_resume_with_other_settings_is_refused(option: str, tiny_run: Path, tiny_npz: Path) -> None:
    """A run goes on as it began; the message names the setting that differs."""
    result = run_torchstone("train", "cnn3", "--dataset", f"npz:{tiny_npz}", "--out", tiny_run, "--resume", option)
    assert_refused(result, "made with other settings", option[2:].partition("=")[0].replace("-", "_"))


def test_resume_with_other_data_is_refused(tiny_run: Path) -> None:
    """A run goes on with the data that it began with."""
    result = run_torchstone("train", "cnn3", *DIGITS, "--out", tiny_run, "--resume", "--epochs", "3")
    assert_refused(result, "not what the run was trained on")


def test_resume_and_overwrite_contradict_each_other(tiny_run: Path, tiny_npz: Path) -> None:
    """Going on and starting anew at once is refused."""
    result = run_torchstone(
        "train", "cnn3", "--dataset", f"npz:{tiny_npz}", "--out", tiny_run, "--resume", "--overwrite"
    )
    assert_refused(result, "--resume and --overwrite")


@pytest.mark.parametrize("place", ["file/run", "file"])
def test_place_that_cannot_be_written_is_told(place: str, tiny_npz: Path, tmp_path: Path) -> None:
    """A path that is a file, or lies in one, is refused by name."""
    (tmp_path / "file").write_text("no directory")
    result = run_torchstone("train", "cnn3", "--dataset", f"npz:{tiny_npz}", "--out", tmp_path / place)
    assert_refused(result, f"Cannot write {tmp_path / place}")
    assert (tmp_path / "file").read_text() == "no directory"


def test_loss_that_is_no_number_is_exit_code_1(tiny_npz: Path, tmp_path: Path) -> None:
    """A learning rate far too high stops the training with epoch and step named, and the remedy."""
    result = run_torchstone("train", "cnn3", "--dataset", f"npz:{tiny_npz}", "--out", tmp_path / "run", "--lr", "1e30")
    assert result.returncode == 1
    assert "epoch 1, step 2" in result.stderr
    assert "--lr" in result.stderr
    assert "Traceback" not in result.stderr


def test_log_has_a_header_and_a_row_an_epoch_without_a_terminal(tiny_training: Training) -> None:
    """In a log there is one header, then one row an epoch with time left for the whole run, and no bar."""
    _, result = tiny_training
    lines = result.stderr.splitlines()
    (header,) = [index for index, line in enumerate(lines) if line == HEADER]
    assert [line.split()[0] for line in lines[header + 1 : header + 4]] == ["1/3", "2/3", "3/3"]
    assert lines[header + 3].removesuffix("  best").endswith(" 0:00")
    assert "\r" not in result.stderr


def test_log_says_which_device_was_chosen_and_why(tiny_training: Training) -> None:
    """`auto` is no secret: the line names the device and the reason."""
    _, result = tiny_training
    assert re.search(r"^device +(cpu|cuda) \(.+\)$", result.stderr, re.MULTILINE)


def test_stdout_says_what_was_made_and_what_comes_next(tiny_training: Training) -> None:
    """Results go to stdout, and nothing else."""
    run, result = tiny_training
    assert result.stdout == f"run: {run}\nnext: torchstone export {run}\n"


def test_the_next_command_can_be_pasted_where_the_path_holds_spaces(tiny_npz: Path, tmp_path: Path) -> None:
    """Two words would be two arguments."""
    run = tmp_path / "my first run"
    result = run_in_process("train", "mlp", "--data", f"npz:{tiny_npz}", "--epochs", "1", "--out", run)
    assert shlex.split(result.stdout.splitlines()[-1]) == ["next:", "torchstone", "export", str(run)]
