import gzip
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from helpers.in_process import run_in_process
from helpers.support import assert_refused, write_image_tree
from torchstone_runtime.path_kinds.file_kinds import kind_of_file
from torchstone_runtime.path_kinds.kind import Kind

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 970179\n"
COMMANDS = (("inspect",), ("verify",), ("evaluate", "--data", "digits"), ("bench",), ("predict",))
SAID = {
    "run": ("the directory of a training run", "torchstone export"),
    "parent": ("a folder of bundles (inner)", "parent/inner"),
    "part": ("without its manifest.json", "copy the whole folder again"),
    "pictures": ("a folder of pictures without class folders", "torchstone predict BUNDLE"),
    "classes": ("a folder of labelled pictures", "--data folder:"),
    "hugging": ("a Hugging Face model folder", "optimum-cli export onnx"),
    "saved": ("a TensorFlow SavedModel", "tf2onnx"),
    "empty": ("an empty folder", "Check the path"),
    "weights.pt": ("a PyTorch checkpoint", "--module PACKAGE.MODULE:FACTORY --weights"),
    "script.pt": ("a TorchScript archive", "--module"),
    "a.zip": ("a zip archive", "python -m zipfile -e"),
    "a.tar": ("a tar archive", "tar -xf"),
    "pointer.onnx": ("a Git LFS pointer", "git lfs pull"),
    "notes.txt": ("a text file", "built-in bundle: fashion"),
    "nothing.onnx": ("an empty file", "fetch it again"),
    "data.npz": ("an npz file", "--data npz:"),
}


def write_zip(path: Path, *names: str) -> None:
    """Write a zip archive with files of a few bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "x")


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory, digits_bundle: Path) -> Path:
    """A folder with one path of each kind, called as in `SAID`."""
    root = tmp_path_factory.mktemp("kinds")
    for name in ("run", "parent", "part", "hugging", "saved", "empty"):
        (root / name).mkdir()
    (root / "run" / "run.json").write_text("{}")
    shutil.copytree(digits_bundle, root / "parent" / "inner")
    for name in ("model.onnx", "golden.npz", "certificate.json"):
        shutil.copy(digits_bundle / name, root / "part" / name)
    write_image_tree(root / "classes", {"cat": 2, "dog": 2})
    shutil.copytree(root / "classes" / "cat", root / "pictures")
    (root / "hugging" / "preprocessor_config.json").write_text("{}")
    (root / "saved" / "saved_model.pb").write_bytes(b"\x08\x01")
    write_zip(root / "weights.pt", "weights/data.pkl", "weights/data/0")
    write_zip(root / "script.pt", "script/data.pkl", "script/constants.pkl")
    write_zip(root / "a.zip", "manifest.json")
    write_zip(root / "data.npz", "images.npy", "labels.npy")
    with tarfile.open(root / "a.tar", "w") as archive:
        archive.add(root / "hugging", "hugging")
    (root / "pointer.onnx").write_bytes(POINTER)
    (root / "notes.txt").write_text("hello\n")
    (root / "nothing.onnx").touch()
    return root


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command[0]))
@pytest.mark.parametrize("name", SAID)
def test_what_was_given_for_a_bundle_is_named(name: str, command: tuple[str, ...], kinds: Path) -> None:
    """Each command says what lies there, and what to type."""
    more = (kinds / "classes",) if command == ("predict",) else ()
    assert_refused(run_in_process(command[0], kinds / name, *command[1:], *more), *SAID[name])


def test_a_near_name_is_offered(kinds: Path) -> None:
    """Of the entries beside it, those that are bundles first."""
    assert_refused(run_in_process("inspect", kinds / "parent" / "iner"), "Did you mean", "parent/inner")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("birds.target.onnx", Kind.ONNX), ("birds.tar.onnx", Kind.ONNX), ("a.target.bin", Kind.FILE)],
)
def test_the_name_alone_makes_no_tar_archive(name: str, kind: Kind, kinds: Path, tmp_path: Path) -> None:
    """What a file holds goes before, and `.target` is no ending of archives."""
    onnx = (kinds / "parent" / "inner" / "model.onnx").read_bytes()
    (tmp_path / name).write_bytes(onnx if name.endswith(".onnx") else b"\0\1\2\3")
    assert kind_of_file(tmp_path / name) is kind


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar"])
def test_a_compressed_archive_is_told_by_its_name(name: str, tmp_path: Path) -> None:
    """The bytes say only that it is compressed."""
    (tmp_path / name).write_bytes(gzip.compress(b"x"))
    assert kind_of_file(tmp_path / name) is Kind.TAR


def test_a_space_at_the_end_is_told(kinds: Path) -> None:
    """It cannot be seen in the message alone."""
    assert_refused(run_in_process("inspect", f"{kinds}/parent/inner "), "begins or ends with a space")


def test_a_web_address_is_no_path(kinds: Path) -> None:
    """For bundles and for data."""
    assert_refused(run_in_process("inspect", "https://example.org/bundle"), "web address", "hf://OWNER/NAME")
    bundle = kinds / "parent" / "inner"
    assert_refused(run_in_process("evaluate", bundle, "--data", "https://example.org/a.zip"), "Download and unpack")


def test_a_pointer_inside_a_bundle_is_told(kinds: Path, tmp_path: Path) -> None:
    """A clone without git-lfs has all names, but not the files."""
    bundle = shutil.copytree(kinds / "parent" / "inner", tmp_path / "bundle")
    (bundle / "model.onnx").write_bytes(POINTER)
    assert_refused(run_in_process("verify", bundle), "model.onnx is a Git LFS pointer", "git lfs pull")


def test_a_built_in_bundle_is_no_run(tmp_path: Path) -> None:
    """Its name means nothing where a run is wanted, and the message says what it is."""
    said = ("a built-in bundle", "torchstone evaluate fashion --data DATASET")
    assert_refused(run_in_process("export", "fashion", cwd=tmp_path), *said)
    assert_refused(run_in_process("train", "--from", "fashion", cwd=tmp_path), *said)


def test_a_built_in_bundle_is_not_adopted(tmp_path: Path) -> None:
    """Its name is no ONNX file's."""
    result = run_in_process("adopt", "fashion", "--data", "digits", cwd=tmp_path)
    assert_refused(result, "a built-in bundle", "needs no adopting")


def test_a_misspelt_folder_of_pictures_is_offered(kinds: Path) -> None:
    """Beside it lies the one that was meant."""
    assert_refused(run_in_process("predict", "fashion", "pcitures", cwd=kinds), "Did you mean pictures?")


def test_pictures_that_are_nowhere_are_asked_for(digits_bundle: Path, tmp_path: Path) -> None:
    """Where nothing has a name like it."""
    assert_refused(run_in_process("predict", digits_bundle, "pics", cwd=tmp_path), "pics does not exist", "image files")


@pytest.mark.parametrize("data", ["pictures", "folder:pictures"])
def test_pictures_without_classes_are_sorted_or_classified(data: str, kinds: Path) -> None:
    """One sentence with both."""
    result = run_in_process("evaluate", "fashion", "--data", data, cwd=kinds)
    assert_refused(result, "one sub-folder per class, then give folder:pictures; or", "torchstone predict BUNDLE")
    assert result.stderr.count("\n") == 2


def test_an_empty_manifest_is_named(tmp_path: Path) -> None:
    """It states no format."""
    (tmp_path / "manifest.json").write_text("{}")
    result = run_in_process("inspect", tmp_path)
    assert_refused(result, "manifest.json is not a Torchstone bundle's: no format is stated", "torchstone export")
