import json
import pickle
import re
import shutil
from pathlib import Path

import pytest

from helpers.in_process import run_in_process
from helpers.support import assert_refused, run_torchstone
from helpers.traces import contents, found_in, traces_of_this_machine
from torchstone_runtime.bundle.builtin import builtin_names, locate_bundle
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.data.mnist_family import FASHION_MNIST
from torchstone_runtime.errors import BundleError
from torchstone_runtime.inference.classifier import Classifier

FASHION = locate_bundle("fashion")
COMMANDS = (
    ("inspect", "{}"),
    ("verify", "{}"),
    ("predict", "{}", "picture.png"),
    ("evaluate", "{}", "--data", "fashion-mnist"),
    ("bench", "{}"),
    ("diagnose", "{}", "--golden", "0", "--tensor", "x.npy"),
    ("compare", "{}", "fashion", "--data", "fashion-mnist"),
    ("compare", "fashion", "{}", "--data", "fashion-mnist"),
)


def test_fashion_is_built_in() -> None:
    """The ten classes of Fashion-MNIST, from 28 x 28 gray pixels."""
    manifest = Bundle.open("fashion").manifest
    assert builtin_names() == ["fashion"]
    assert manifest.class_names == FASHION_MNIST.class_names
    assert manifest.input_spec.shape == (1, 28, 28)


def test_it_is_small() -> None:
    """The whole bundle takes less than 2 MB of everybody's download, and is made of the listed files alone."""
    files = {path.name: path.stat().st_size for path in FASHION.iterdir()}
    manifest = Bundle.open(FASHION).manifest
    listed = {entry.name for entry in (*manifest.variants.values(), *manifest.files.values())}
    assert sum(files.values()) < 2_000_000
    assert set(files) == {"manifest.json", *listed}
    assert "torchscript" not in manifest.variants


def test_verify_accepts_it(tmp_path: Path) -> None:
    """Hashes are right and every variant replays its golden samples here."""
    result = run_torchstone("verify", "fashion", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "verified"


def test_its_certificate_accepts_every_variant() -> None:
    """In the manifest and in the evidence itself; what is not accepted would not be in the bundle."""
    bundle = Bundle.open(FASHION)
    certificate = json.loads(bundle.read_file("certificate"))
    assert bundle.manifest.certificate["passed"] is True
    assert certificate["passed"] is True
    assert set(certificate["variants"]) == set(bundle.manifest.variants)
    assert all(variant["passed"] for variant in certificate["variants"].values())


def test_no_machine_is_in_it() -> None:
    """Neither this machine nor a path such as the one that exported it has."""
    assert found_in(FASHION, traces_of_this_machine()) == []
    path = re.compile(rb"(?<![\w.-])/(?:home|root|tmp|var|usr|opt|mnt|work|Users|private)/[\w.-]+")
    files = [item for file in FASHION.iterdir() for item in contents(file.name, file.read_bytes())]
    assert [(name, path.search(content)) for name, content in files if path.search(content)] == []


@pytest.mark.data
def test_it_decides_on_the_test_split_as_certified(data_dir: Path) -> None:
    """Every decision of every variant, on the real Fashion-MNIST."""
    result = run_in_process("verify", "fashion", "--data", "fashion-mnist", "--data-dir", data_dir)
    assert result.returncode == 0, result.stderr


def test_what_exists_wins(digits_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle of one's own in a folder `fashion` is the one that is opened, and so it is where that is a link."""
    monkeypatch.chdir(tmp_path)
    assert Bundle.open("fashion").path == FASHION
    name = Bundle.open(digits_bundle).manifest.name
    Path("fashion").symlink_to(digits_bundle)
    assert Bundle.open("fashion").manifest.name == name
    with Classifier.load("fashion") as classifier:
        assert classifier.class_names[0] == "0"
    assert f'"{name}"' in run_in_process("inspect", "fashion", "--json").stdout


def test_whatever_lies_there_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what is not a bundle, and a link that leads nowhere: nothing else is run in its place."""
    monkeypatch.chdir(tmp_path)
    Path("fashion").symlink_to("nowhere")
    with pytest.raises(BundleError, match="does not exist"):
        Bundle.open("fashion")
    Path("fashion").unlink()
    Path("fashion").mkdir()
    with pytest.raises(BundleError, match="is an empty folder"):
        Classifier.load("fashion")


@pytest.mark.parametrize("given", [Path("fashion"), "./fashion", "fashion/", "../fashion", "Fashion", "", "builtin"])
def test_only_the_bare_name_is_one(given: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else is given is a path."""
    monkeypatch.chdir(tmp_path)
    assert locate_bundle(given) == Path(given)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:3]))
@pytest.mark.parametrize("given", ["fashon", "./fashion"])
def test_every_command_names_the_built_in_bundles(command: tuple[str, ...], given: str, tmp_path: Path) -> None:
    """A mistyped name gets the usual message with their names; a path never stands for one of them."""
    result = run_in_process(*(part.format(given) for part in command), cwd=tmp_path)
    assert_refused(result, given.removeprefix("./"), "does not exist", "built-in bundle: fashion")


@pytest.mark.data
def test_the_commands_take_the_name(fashion_part: Path, tmp_path: Path) -> None:
    """Each on the real thing; `verify` is above, and those that are left share the argument's type."""
    (tmp_path / "mine").mkdir()
    shutil.copytree(FASHION, tmp_path / "mine" / "bundle")
    inspected = run_in_process("inspect", "fashion", "--golden-images", "pictures", cwd=tmp_path)
    predicted = run_in_process("predict", "fashion", "pictures/golden-00.png", cwd=tmp_path)
    data = ("--data", "fashion-mnist", "--data-dir", fashion_part)
    evaluated = run_in_process("evaluate", "fashion", *data, "--json", "-", cwd=tmp_path)
    compared = run_in_process("compare", "fashion", "mine/bundle", *data, "--no-speed", cwd=tmp_path)

    assert [result.returncode for result in (inspected, predicted, evaluated, compared)] == [0, 0, 0, 0]
    assert predicted.stdout.startswith("pictures/golden-00.png\tAnkle boot")
    assert json.loads(evaluated.stdout)["metrics"]["samples"] == 2_500


def test_a_pickled_classifier_of_the_name_is_the_same_elsewhere(
    digits_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is pickled as the path: another working directory, even with a `fashion` of its own, changes nothing."""
    with Classifier.load("fashion", provider="cpu") as classifier:
        content = pickle.dumps(classifier)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(digits_bundle, "fashion")
    with pickle.loads(content) as again:  # noqa: S301 - made above
        assert again.class_names == FASHION_MNIST.class_names


def test_its_golden_images_are_the_pictures_that_inspect_writes(tmp_path: Path) -> None:
    """One PNG file each, of the model's own size, told on stderr; the bundle is described as ever."""
    from PIL import Image

    from torchstone_runtime.bundle.golden import GoldenSamples

    plain = run_in_process("inspect", "fashion", "--json")
    result = run_in_process("inspect", "fashion", "--json", "--golden-images", tmp_path / "new" / "folder")
    images = GoldenSamples.from_bytes(Bundle.open(FASHION).read_file("golden")).images
    names = [f"golden-{index:02}.png" for index in range(len(images))]

    assert result.returncode == 0
    assert result.stdout == plain.stdout
    assert f"wrote {len(images)} golden images" in result.stderr
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == names
    for name, pixels in zip(names, images, strict=True):
        assert Image.open(tmp_path / "new" / "folder" / name).tobytes() == pixels.tobytes()


def test_golden_images_that_cannot_be_written(tmp_path: Path) -> None:
    """The place is named; nothing is on stdout."""
    (tmp_path / "file").touch()
    refused = run_in_process("inspect", "fashion", "--golden-images", tmp_path / "file" / "pictures")
    assert_refused(refused, "Cannot write", "file/pictures")
