"""Every command with stdout, stderr, or both, closed, full, or read by somebody who leaves."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from helpers.fork_server import CLOSED
from helpers.support import fork_server, run_torchstone, write_image_tree
from torchstone_runtime.cli.main import torchstone
from torchstone_runtime.web.ort_web import INTERFACE, LOADER, WASM

QUICK: Final = {
    "--help": (),
    "--version": (),
    "recipes": (),
    "inspect": ("BUNDLE", "--golden-images", "golden"),
    "verify": ("BUNDLE", "--data", "digits"),
    "evaluate": ("BUNDLE", "--data", "digits", "--json", "e.json", "--report", "e.html", "--predictions", "e.csv"),
    "predict": ("BUNDLE", "PICTURES", "--gallery", "gallery.html"),
    "score": ("BUNDLE", "PICTURES", "--format", "csv", "--out", "scores"),
    "compare": ("BUNDLE", "BUNDLE", "--data", "digits", "--no-speed", "--csv", "c.csv", "--report", "c.html"),
    "diagnose": ("BUNDLE", "--golden", "0", "--tensor", "TENSOR"),
    "data": ("digits", "--json", "d.json", "--report", "d.html", "--fix-list", "d.csv"),
    "web": ("BUNDLE", "--ort-web", "ORT", "--any-version", "--out", "bundle"),
    "package": ("BUNDLE", "--for", "lambda", "--out", "bundle"),
    "clients": ("BUNDLE", "--out", "bundle"),
    "doctor": ("--json", "doctor.json"),
}
"""Arguments of a run that ends with exit code 0; what has a suffix, or is named `golden`, is written."""
LONG: Final = {
    "robustness": ("BUNDLE", "--data", "digits", "--json", "r.json"),
    "bench": ("BUNDLE", "--batch", "1", "--threads", "1", "--rounds", "8"),
    "train": ("mlp", "--dataset", "digits", "--epochs", "1", "--out", "run"),
    "export": ("RUN", "--out", "bundle", "--no-torchscript"),
    "adopt": (
        *("BUNDLE/model.onnx", "--data", "digits", "--out", "bundle", "--input", "1x28x28", "--color", "L"),
        *("--dtype", "uint8", "--classes", "0,1,2,3,4,5,6,7,8,9", "--output-name", "logits"),
    ),
    "quickstart": ("--out", "quickstart"),
}
OF_PYTORCH: Final = ("train", "export", "adopt", "quickstart")
"""Commands that take seconds to import what they need: forks of a process that has are tried in their place."""
BESIDE: Final = {"download", "health", "push", "serve"}
"""Commands that are tried elsewhere."""
LOST: Final = {"closed": ">&-", "full": ">/dev/full", "read-only": "1</dev/null"}
"""Ways in which stdout takes nothing."""
SOUND: Final = {
    "stderr-closed": "2>&-",
    "stderr-full": "2>/dev/full",
    "stderr-left": "2> >(head -c 0)",
    "stdin-closed": "<&-",
}
"""Ways to start a command whose stdout is sound."""
NOTHING: Final = (">&- 2>&-", ">/dev/full 2>/dev/full", "<&- >&- 2>&-")
"""Ways to start a command that can say nothing at all."""
OF_EACH: Final = {"closed", "full", "<&- >&- 2>&-", "stderr-closed", "stderr-full"}
"""Ways that each command is tried with: its first file could take a closed stream's place, a full one stop its work."""
WITH_ALL: Final = {"--help", "inspect", "evaluate", "predict"}
"""Commands that are tried with the other ways too: a text, a short result, one with files, and a stream of results."""
Prepare = Callable[[str], list[str]]


def in_turn(commands: Iterable[str], ways: Iterable[str]) -> list[object]:
    """Return each command with each way to start it; the study alone has those that are the same code again."""
    return [
        pytest.param(command, way, marks=() if way in OF_EACH or command in WITH_ALL else pytest.mark.study)
        for command in commands
        for way in ways
    ]


@pytest.fixture
def prepare(tmp_path: Path, request: pytest.FixtureRequest) -> Prepare:
    """Return a command line whose inputs are there, to be started in `tmp_path`."""

    def arguments(command: str) -> list[str]:
        given = (QUICK | LONG)[command]
        named: dict[str, Path] = {}
        if any("BUNDLE" in word for word in given):
            named["BUNDLE"] = request.getfixturevalue("digits_bundle")
        if "RUN" in given:
            named["RUN"] = request.getfixturevalue("small_run")
        if "PICTURES" in given:
            named["PICTURES"] = write_image_tree(tmp_path / "pictures", {"a": 300}, side=4)
        if "ORT" in given:
            named["ORT"] = tmp_path.parent / f"{tmp_path.name}-ort"
            named["ORT"].mkdir()
            for name in (INTERFACE, LOADER, WASM):
                (named["ORT"] / name).write_bytes(b"of no version")
        if "TENSOR" in given:
            named["TENSOR"] = tmp_path / "tensor.npy"
            with np.load(named["BUNDLE"] / "golden.npz") as golden:
                np.save(named["TENSOR"], golden["images"][0])
        words = [command, *given]
        for word, path in named.items():
            words = [item.replace(word, str(path)) for item in words]
        return words

    return arguments


def start(arguments: list[str], redirection: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a command line with a shell's redirection."""
    return subprocess.run(
        ["bash", "-c", f'"$@" {redirection}', "bash", sys.executable, "-m", "torchstone_runtime", *arguments],  # noqa: S607 - the system's own
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        timeout=300,
    )


def start_quickly(
    arguments: list[str], folder: Path, stdout: Path | None = None, stderr: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command of PyTorch as a fork that has imported it already, without pictures and for one epoch."""
    files = [folder.parent / f"{folder.name}-{name}" for name in ("stdout", "stderr")]
    streams = stdout or files[0], stderr or files[1]
    command = fork_server().start(arguments, folder, os.environ, *streams, ("matplotlib",), ["one_epoch"])
    code = command.wait(300)
    said = [file.read_text() if file.is_file() else "" for file in files]
    return subprocess.CompletedProcess(command.args, code, *said)


def written(folder: Path) -> dict[str, bytes]:
    """Return what lies in a folder, but for the pictures that were given."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "pictures" not in path.parts and path.name != "tensor.npy"
    }


def assert_whole(arguments: list[str], folder: Path) -> None:
    """Check that each file that was asked for is there, with its end, and nothing of a temporary one."""
    files = written(folder)
    assert not [name for name in files if name.endswith((".partial", ".unfinished"))]
    for name in arguments:
        if name.endswith((".html", ".json", ".csv", ".md")):
            end = {".html": b"</html>", ".json": b"}"}.get(Path(name).suffix, b"\n")
            assert files[name].rstrip().endswith(end.strip()), name
        elif name in ("golden", "run", "bundle", "runs", "quickstart"):
            assert any(found.startswith(f"{name}/") for found in files), name


def assert_lost(result: "subprocess.CompletedProcess[str]") -> None:
    """Check for exit code 2 and one message, that of stdout."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert "Exception ignored" not in result.stderr
    said = [line for line in result.stderr.splitlines() if line.startswith("Error:") and "Too noisy" not in line]
    assert len(said) == 1, result.stderr  # a busy machine is told of by bench, beside it
    assert "could not be written to stdout" in said[0]


def test_every_command_is_here() -> None:
    """A new command has to be tried too, unless it needs the real data or a server."""
    with torchstone.make_context("torchstone", [], resilient_parsing=True) as context:
        assert set(torchstone.list_commands(context)) | {"--help", "--version"} == set(QUICK | LONG) | BESIDE


@pytest.mark.parametrize(("command", "way"), in_turn(QUICK, LOST))
def test_a_stdout_that_takes_nothing_is_told(command: str, way: str, prepare: Prepare, tmp_path: Path) -> None:
    """Exit code 2 and one message; the files that were asked for are written whole."""
    arguments = prepare(command)
    assert_lost(start(arguments, LOST[way], tmp_path))
    assert_whole(arguments, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("command", LONG)
def test_a_stdout_that_takes_nothing_is_told_after_long_work(command: str, prepare: Prepare, tmp_path: Path) -> None:
    """A training, a bundle, a page are there all the same."""
    arguments = prepare(command)
    quick = command in OF_PYTORCH
    assert_lost(
        start_quickly(arguments, tmp_path, stdout=CLOSED) if quick else start(arguments, LOST["closed"], tmp_path)
    )
    assert_whole(arguments, tmp_path)


@pytest.mark.study
@pytest.mark.parametrize("command", OF_PYTORCH)
def test_a_stdout_that_was_closed_before_pytorch_was_imported_is_told(
    command: str, prepare: Prepare, tmp_path: Path
) -> None:
    """Whatever its libraries open first gets no number of a stream; with pictures."""
    arguments = prepare(command)
    assert_lost(start(arguments, LOST["closed"], tmp_path))
    assert_whole(arguments, tmp_path)


@pytest.mark.parametrize(("command", "redirection"), in_turn(QUICK, NOTHING))
def test_without_any_stream_the_exit_code_tells(
    command: str, redirection: str, prepare: Prepare, tmp_path: Path
) -> None:
    """No output of a command can land in a file that was opened in a stream's place."""
    arguments = prepare(command)
    result = start(arguments, redirection, tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", "")
    assert_whole(arguments, tmp_path)


@pytest.mark.parametrize(("command", "way"), in_turn(QUICK, SOUND))
def test_stderr_and_stdin_change_no_result(command: str, way: str, prepare: Prepare, tmp_path: Path) -> None:
    """Exit code 0, and the result on stdout."""
    arguments = prepare(command)
    result = start(arguments, SOUND[way], tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout
    assert "Traceback" not in result.stderr
    assert_whole(arguments, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["stderr-closed", "stderr-full"])
@pytest.mark.parametrize("command", ["train", "export", "adopt"])
def test_stderr_changes_no_long_work(command: str, way: str, prepare: Prepare, tmp_path: Path) -> None:
    """A training whose log goes nowhere is trained to its end."""
    arguments = prepare(command)
    if command in OF_PYTORCH:
        place = {"stderr-closed": CLOSED, "stderr-full": Path("/dev/full")}[way]
        result = start_quickly(arguments, tmp_path, stderr=place)
    else:
        result = start(arguments, SOUND[way], tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout
    assert_whole(arguments, tmp_path)


@pytest.mark.study
@pytest.mark.parametrize("way", ["stderr-closed", "stderr-full"])
@pytest.mark.parametrize("command", ["train", "export"])
def test_a_stderr_that_was_lost_before_pytorch_was_imported_changes_nothing(
    command: str, way: str, prepare: Prepare, tmp_path: Path
) -> None:
    """As above, with all that happens as PyTorch is imported; with pictures."""
    arguments = prepare(command)
    result = start(arguments, SOUND[way], tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout
    assert_whole(arguments, tmp_path)


@pytest.mark.parametrize("command", QUICK)
def test_a_reader_who_leaves_is_no_error(command: str, prepare: Prepare, tmp_path: Path) -> None:
    """Exit code 0, no message, and the files are written whole."""
    arguments = prepare(command)
    result = start(arguments, "| head -c 0; exit ${PIPESTATUS[0]}", tmp_path)
    assert result.returncode == 0, result.stderr
    assert "Error" not in result.stderr
    assert "Traceback" not in result.stderr
    assert_whole(arguments, tmp_path)


@pytest.mark.parametrize("command", [*QUICK, *LONG, *sorted(BESIDE)])
def test_help_without_a_stdout_is_told(command: str, tmp_path: Path) -> None:
    """`--help` has nothing but its text to give."""
    assert_lost(start([command, "--help"], ">&-", tmp_path))


@pytest.mark.data
@pytest.mark.parametrize("way", LOST)
def test_download_without_a_stdout_is_told(way: str, data_dir: Path, tmp_path: Path) -> None:
    """Also where nothing had to be fetched."""
    assert_lost(start(["download", "fashion-mnist", "--data-dir", str(data_dir)], LOST[way], tmp_path))


def test_no_output_lands_in_a_file(digits_bundle: Path, tmp_path: Path) -> None:
    """With all descriptors closed, a file gets what it gets otherwise, byte by byte."""
    arguments = ["evaluate", str(digits_bundle), "--data", "digits", "--predictions"]
    assert run_torchstone(*arguments, "sound.csv", cwd=tmp_path).returncode == 0
    start([*arguments, "closed.csv"], "<&- >&- 2>&-", tmp_path)
    assert (tmp_path / "closed.csv").read_bytes() == (tmp_path / "sound.csv").read_bytes()


def test_bad_usage_is_told_alone(tmp_path: Path) -> None:
    """Where there was nothing to say on stdout, nothing is missed there."""
    result = start(["inspect", "no-such-bundle"], ">&-", tmp_path)
    assert result.returncode == 2
    assert result.stderr.count("Error") == 1
    assert "stdout" not in result.stderr


def test_a_lost_result_outweighs_a_failed_check(digits_bundle: Path, tmp_path: Path) -> None:
    """As in grep and diff: 1 would say that the rest was told. Both are on stderr."""
    gate = ["evaluate", str(digits_bundle), "--data", "digits", "--min-accuracy", "1"]
    assert start(gate, "", tmp_path).returncode == 1
    result = start(gate, ">/dev/full", tmp_path)
    assert result.returncode == 2
    assert "could not be written to stdout" in result.stderr
    assert start(gate, "| head -c 0; exit ${PIPESTATUS[0]}", tmp_path).returncode == 1


def test_a_stream_of_answers_ends_with_its_stdout(digits_bundle: Path, tmp_path: Path) -> None:
    """Of three hundred thousand pictures no more are classified than were under way."""
    write_image_tree(tmp_path / "pictures", {"a": 1}, side=4)
    (tmp_path / "list").write_text("pictures/a/000.png\n" * 300_000)
    assert_lost(start(["predict", str(digits_bundle), "-"], "< list >/dev/full", tmp_path))


def test_a_closed_stdin_is_told(digits_bundle: Path, tmp_path: Path) -> None:
    """Only where it is to be read."""
    result = start(["predict", str(digits_bundle), "-"], "<&-", tmp_path)
    assert result.returncode == 2
    assert "stdin is closed" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_slow_reader_of_a_non_blocking_pipe_gets_all(tmp_path: Path) -> None:
    """Who shares the pipe may have made it non-blocking: a full one is waited for."""
    program = (
        "import click, sys\n"
        "from torchstone_runtime.cli import streams\n"
        "streams.open_streams()\n"
        "click.echo('x' * 1_000_000)\n"
        "sys.exit(streams.end(0, lambda error: 2))\n"
    )
    read, write = os.pipe()
    os.set_blocking(write, False)
    with subprocess.Popen([sys.executable, "-c", program], stdout=write, cwd=tmp_path) as process:
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            assert len(pipe.read()) == 1_000_001
    assert process.returncode == 0
