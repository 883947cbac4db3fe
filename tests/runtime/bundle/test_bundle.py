import os
import shutil
from pathlib import Path

import pytest

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.errors import BundleError, UsageError
from torchstone_runtime.inference.classifier import Classifier


def flip_a_byte(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_an_untouched_bundle_is_fine(digits_bundle: Path) -> None:
    """Every file that an export writes has the stated size and hash, and none is left unlisted."""
    entries = Bundle.open(digits_bundle).check_files()
    assert {entry.name for entry in entries} | {"manifest.json"} == {path.name for path in digits_bundle.iterdir()}


@pytest.mark.parametrize("name", ["model.onnx", "model.torchscript.pt", "golden.npz", "certificate.json", "README.md"])
def test_a_missing_file_is_named(bundle_copy: Path, name: str) -> None:
    """The message has the file's name and what to do."""
    (bundle_copy / name).unlink()
    with pytest.raises(BundleError, match=rf"(?s)lacks {name}.*copy it again"):
        Bundle.open(bundle_copy).check_files()


@pytest.mark.parametrize("name", ["model.onnx", "model.torchscript.pt", "golden.npz", "certificate.json", "README.md"])
def test_a_flipped_bit_is_noticed(bundle_copy: Path, name: str) -> None:
    """The size is right, the SHA-256 is not."""
    flip_a_byte(bundle_copy / name)
    with pytest.raises(BundleError, match=rf"{name} is not the file that was exported: its SHA-256 is"):
        Bundle.open(bundle_copy).check_files()


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz"])
@pytest.mark.parametrize("change", [-1, 1])
def test_another_length_is_noticed(bundle_copy: Path, name: str, change: int) -> None:
    """One byte less or more; the message has both sizes."""
    content = (bundle_copy / name).read_bytes()
    (bundle_copy / name).write_bytes((content + b"\0")[: len(content) + change])
    with pytest.raises(BundleError, match=rf"{name} .*it has [\d,]+ bytes, the manifest states {len(content):,}"):
        Bundle.open(bundle_copy).check_files()


def test_a_classifier_checks_the_files_that_it_uses(bundle_copy: Path) -> None:
    """A flipped bit in the model is never served."""
    flip_a_byte(bundle_copy / "model.onnx")
    with pytest.raises(BundleError, match="SHA-256"):
        Classifier.load(bundle_copy)


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx"])
def test_links_are_refused(bundle_copy: Path, digits_bundle: Path, name: str) -> None:
    """Even one whose target has the right content: it could be another file tomorrow."""
    (bundle_copy / name).unlink()
    (bundle_copy / name).symlink_to(digits_bundle / name)
    with pytest.raises(BundleError, match=f"{name} is a symbolic link"):
        Bundle.open(bundle_copy).check_files()


@pytest.mark.parametrize("name", ["manifest.json", "golden.npz"])
def test_a_named_pipe_is_refused_and_not_waited_for(bundle_copy: Path, name: str) -> None:
    """Nobody will ever write to it."""
    (bundle_copy / name).unlink()
    os.mkfifo(bundle_copy / name)
    with pytest.raises(BundleError, match=f"{name} is not a regular file"):
        Bundle.open(bundle_copy).check_files()


def test_a_directory_in_place_of_a_file_is_refused(bundle_copy: Path) -> None:
    """It is not a regular file."""
    (bundle_copy / "model.onnx").unlink()
    (bundle_copy / "model.onnx").mkdir()
    with pytest.raises(BundleError, match="not a regular file"):
        Bundle.open(bundle_copy).check_files()


@pytest.mark.parametrize("size", [2**40, 2**62, 2**63, 10**30])
def test_an_absurd_size_costs_no_memory(bundle_copy: Path, size: int) -> None:
    """A manifest that states more bytes than any machine has is refused by the file's true size."""
    manifest = bundle_copy / "manifest.json"
    true_size = (bundle_copy / "model.onnx").stat().st_size
    text = manifest.read_text().replace(f'"size": {true_size}', f'"size": {size}')
    assert str(size) in text
    manifest.write_text(text)
    with pytest.raises(BundleError, match=f"it has {true_size:,} bytes"):
        Bundle.open(bundle_copy).check_files()


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    """Nothing there, a file, or a directory without a manifest."""
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="does not exist"):
        Bundle.open(tmp_path / "nowhere")
    with pytest.raises(BundleError, match="it is an empty file"):
        Bundle.open(tmp_path / "file")
    with pytest.raises(BundleError, match="is not a bundle: it is a folder"):
        Bundle.open(tmp_path)


def test_a_moved_bundle_still_works(bundle_copy: Path, tmp_path: Path) -> None:
    """Nothing in it depends on where it lies or what else is beside it."""
    moved = shutil.move(bundle_copy, tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "notes.txt").touch()
    assert Bundle.open(moved).check_files()


def test_variants_are_chosen_by_name(digits_bundle: Path) -> None:
    """None is the default; a misspelt one gets a suggestion; TorchScript is not run here."""
    bundle = Bundle.open(digits_bundle)
    assert bundle.runnable_variant(None) == bundle.runnable_variant("fp32") == "fp32"
    with pytest.raises(UsageError, match=r"(?s)no variant 'fp23'.*Did you mean 'fp32'"):
        bundle.runnable_variant("fp23")
    with pytest.raises(UsageError, match="does not run the variant 'torchscript'"):
        bundle.runnable_variant("torchscript")


def test_a_file_that_the_bundle_has_not_is_named(digits_bundle: Path) -> None:
    """Asking for a purpose without a file."""
    with pytest.raises(BundleError, match="has no notes file"):
        Bundle.open(digits_bundle).read_file("notes")
