import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.in_process import run_in_process
from helpers.support import assert_refused, write_image_tree


def write_mnist(data_dir: Path, *, images: int = 3, labels: int = 3, cut: int = 0) -> Path:
    """Write the test part of Fashion-MNIST with blank images; return `data_dir`."""
    raw = data_dir / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    content = struct.pack(">4I", 0x803, images, 28, 28) + bytes(images * 784)
    (raw / "t10k-images-idx3-ubyte").write_bytes(content[: len(content) - cut])
    (raw / "t10k-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, labels) + bytes(labels))
    return data_dir


def refuse_data(bundle: Path, data: str, output: Path, *fragments: str, data_dir: Path | None = None) -> None:
    """Check that evaluating is refused with one message and that no output file appears."""
    options: list[str | Path] = ["--predictions", output / "p.csv", "--report", output / "r.html"]
    options += ["--data-dir", data_dir] if data_dir else []
    assert_refused(run_in_process("evaluate", bundle, "--data", data, *options), *fragments)
    assert list(output.iterdir()) == []


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """An empty folder for outputs."""
    folder = tmp_path / "output"
    folder.mkdir()
    return folder


def test_a_missing_idx_file(digits_bundle: Path, tmp_path: Path, output: Path) -> None:
    """The message has the file, the folder, and the command that fetches it."""
    fragments = ("t10k-images-idx3-ubyte", "FashionMNIST/raw", "torchstone download fashion-mnist")
    refuse_data(digits_bundle, "fashion-mnist", output, *fragments, data_dir=tmp_path)


def test_a_truncated_idx_file(digits_bundle: Path, tmp_path: Path, output: Path) -> None:
    """The message has both sizes."""
    data_dir = write_mnist(tmp_path / "data", cut=1)
    refuse_data(digits_bundle, "fashion-mnist", output, "2,352 bytes", "holds 2,351", data_dir=data_dir)


def test_images_and_labels_of_different_length(digits_bundle: Path, tmp_path: Path, output: Path) -> None:
    """The message has both numbers."""
    data_dir = write_mnist(tmp_path / "data", labels=4)
    refuse_data(digits_bundle, "fashion-mnist", output, "3 images", "4 labels", data_dir=data_dir)


def test_classes_of_another_model(digits_bundle: Path, tmp_path: Path, output: Path) -> None:
    """Clothes are no digits: both lists of classes are shown."""
    data_dir = write_mnist(tmp_path / "data")
    refuse_data(digits_bundle, "fashion-mnist", output, "Ankle boot", "0, 1, 2", data_dir=data_dir)


def test_an_empty_folder(digits_bundle: Path, tmp_path: Path, output: Path) -> None:
    """The message says what was expected."""
    (tmp_path / "empty").mkdir()
    refuse_data(digits_bundle, f"folder:{tmp_path}/empty", output, "holds no images", "one sub-folder per class")


def test_a_folder_with_one_unknown_class(digits_bundle: Path, tmp_path: Path, output: Path) -> None:
    """The model's classes are listed."""
    write_image_tree(tmp_path / "data", {"cat": 2})
    refuse_data(digits_bundle, f"folder:{tmp_path}/data", output, "does not know: cat", "0, 1, 2")


def test_a_text_file_named_png(digits_bundle: Path, tmp_path: Path, output: Path) -> None:
    """The file is named; a measurement without it would be another."""
    write_image_tree(tmp_path / "data", {"1": 3, "2": 3})
    (tmp_path / "data" / "2" / "notes.png").write_text("not an image")
    refuse_data(digits_bundle, f"folder:{tmp_path}/data", output, "2/notes.png is not an image in a supported format")


def test_a_misspelt_dataset(digits_bundle: Path, output: Path) -> None:
    """The near one is suggested, by every command that takes a dataset."""
    refuse_data(digits_bundle, "fashon-mnist", output, "Did you mean 'fashion-mnist'?")
    assert_refused(run_in_process("verify", digits_bundle, "--data", "digit"), "Did you mean 'digits'?")


def test_a_misspelt_command() -> None:
    """The near one is suggested."""
    assert_refused(run_in_process("evalute"), "Did you mean 'evaluate'?")


@pytest.mark.parametrize("command", [("verify",), ("evaluate", "--data", "digits"), ("predict", "x.png"), ("inspect",)])
@pytest.mark.parametrize(
    ("name", "content", "fragment"),
    [
        ("manifest.json", None, "without its manifest.json"),
        ("manifest.json", b"not json", "not valid JSON"),
        ("manifest.json", b'{"format": "torchstone-bundle", "format_version": 5}', "format version 5"),
        ("model.onnx", None, "lacks model.onnx"),
        ("model.onnx", b"flipped", "is not the file that was exported"),
    ],
)
def test_a_damaged_bundle(
    bundle_copy: Path, command: tuple[str, ...], name: str, content: bytes | None, fragment: str
) -> None:
    """Every command says what is wrong with it; `inspect` reads no more than the manifest."""
    if content is None:
        (bundle_copy / name).unlink()
    elif content == b"flipped":
        damaged = bytearray((bundle_copy / name).read_bytes())
        damaged[1000] ^= 1
        (bundle_copy / name).write_bytes(damaged)
    else:
        (bundle_copy / name).write_bytes(content)
    result = run_in_process(command[0], bundle_copy, *command[1:])
    if command == ("inspect",) and name == "model.onnx":
        assert result.returncode == 0
    else:
        assert_refused(result, fragment)


def test_a_bundle_that_is_not_there(tmp_path: Path) -> None:
    """The path is named."""
    assert_refused(run_in_process("verify", tmp_path / "nowhere"), "nowhere", "does not exist")


@pytest.mark.parametrize("option", ["--json", "--csv", "--confusion-csv", "--predictions", "--report"])
def test_an_output_that_cannot_be_written(digits_bundle: Path, tmp_path: Path, option: str) -> None:
    """It is refused before the work, whatever file it is: no other output appears either."""
    (tmp_path / "file").touch()
    other = ("--report", "--csv")[option == "--report"]
    options = (other, tmp_path / "other", option, tmp_path / "file" / "out")
    result = run_in_process("evaluate", digits_bundle, "--data", "digits", *options)
    assert_refused(result, "Cannot write", "file/out")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_two_outputs_of_one_name(digits_bundle: Path, tmp_path: Path) -> None:
    """One would overwrite the other."""
    options = ("--csv", tmp_path / "x", "--report", tmp_path / "x")
    assert_refused(run_in_process("evaluate", digits_bundle, "--data", "digits", *options), "same file name")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 KiB; skips where this process may not mount one."""
    mount, folder = shutil.which("mount"), tmp_path / "disk"
    folder.mkdir()
    command = [mount or "", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)  # noqa: S607 - beside mount


@pytest.mark.parametrize("option", ["--predictions", "--json", "--report"])
def test_a_full_disk(digits_bundle: Path, small_disk: Path, option: str) -> None:
    """One message with the cause; the earlier file is as it was and no partial file is left."""
    target = small_disk / "out"
    target.write_text("earlier")
    filler = small_disk / "filler"
    filler.write_bytes(bytes(8192))
    result = run_in_process("evaluate", digits_bundle, "--data", "digits", "--split", "all", option, target)
    assert_refused(result, "Cannot write", "No space left on device")
    assert target.read_text() == "earlier"
    assert {path.name for path in small_disk.iterdir()} == {"out", "filler"}
