"""`torchstone export --module`: somebody's own torch.nn.Module becomes a bundle, or one message says why not."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from helpers.support import assert_refused, run_torchstone, write_image_tree
from helpers.support_foreign import MODELS, models_module, request_for, spec_of, write_data, write_weights
from torchstone_export.certificate.reference import Reference
from torchstone_export.foreign.export_module import export_module
from torchstone_export.foreign.factory import make_module, parse_arguments
from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_export.foreign.module_model import ModuleSource
from torchstone_export.foreign.module_network import NormalizedNetwork
from torchstone_export.foreign.module_reference import make_module_reference
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.errors import DataError, TorchstoneError, UsageError
from torchstone_runtime.inference.classifier import Classifier
from torchstone_train.networks.image_classifier import ImageClassifier

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The module `foreign_models`."""
    with models_module(tmp_path_factory.mktemp("models")) as module:
        yield module


@pytest.fixture(scope="module")
def place(models: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data.npz` and the weights of `Net`, `net.pt`."""
    folder = tmp_path_factory.mktemp("place")
    write_data(folder / "data.npz")
    torch.manual_seed(3)
    write_weights(models.Net(), folder / "net.pt")
    return folder


def source(name: str, place: Path, spec: ModelSpec) -> ModuleSource:
    """A module of `foreign_models` with the weights of `Net`."""
    return ModuleSource(factory=f"foreign_models:{name}", weights=place / "net.pt", spec=spec)


def own_logits(module: torch.nn.Module, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The module's outputs, prepared as torchvision's transforms do it."""
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3)))
    with torch.no_grad():
        result: np.ndarray[Any, Any] = module((torch.from_numpy(images) / 255 - mean) / std).numpy()
    return result


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("Net", {}, "Net"),
        ("Bgr", {"color": "BGR", "mean": [0.6, 0.5, 0.4], "std": [0.3, 0.25, 0.2]}, "Net"),
        ("Pair", {"output_name": "1"}, "Net"),
        ("Dictionary", {}, "Net"),
        ("HardFloat32", {}, "HardFloat32"),
    ],
)
def test_the_bundle_answers_as_the_module(
    name: str, fields: dict[str, Any], expected: str, models: ModuleType, place: Path, tmp_path: Path
) -> None:
    """Compared here without any of the project's own verification or preprocessing."""
    export_module(source(name, place, spec_of(**fields)), request_for(tmp_path, place / "data.npz"))
    module = getattr(models, expected)().eval()
    module.load_state_dict(torch.load(place / "net.pt"))
    images = np.load(place / "data.npz")["images"]
    with Classifier.load(tmp_path / "bundle") as classifier:
        found = classifier.predict(images).logits

    np.testing.assert_allclose(found, own_logits(module, images), atol=2e-5)


def test_probabilities_become_logits(models: ModuleType, place: Path, tmp_path: Path) -> None:
    """The bundle's probabilities are the module's outputs, not their softmax."""
    spec = spec_of(output="probabilities")
    export_module(source("Probabilities", place, spec), request_for(tmp_path, place / "data.npz"))
    module = models.Probabilities().eval()
    module.load_state_dict(torch.load(place / "net.pt"))
    images = np.load(place / "data.npz")["images"]
    with Classifier.load(tmp_path / "bundle") as classifier:
        found = classifier.predict(images).probabilities

    np.testing.assert_allclose(found, own_logits(module, images), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "fields", "fragments"),
    [
        ("Branch", {}, ["depends on the values of the images", "foreign_models.py", "in forward", "torch.where"]),
        ("OneImage", {}, ["fails on 3 images", "foreign_models.py", "any number of images"]),
        ("OneByOne", {}, ["fixes the batch axis"]),
        ("Unknown", {}, ["operator prims.bessel_j0"]),
        ("AlwaysDropping", {}, ["other outputs each time", "dropout"]),
        ("BatchStatistics", {}, ["depends on the images that are in the same batch"]),
        ("DynamicRanges", {}, ["quantised dynamically: its part 'head'", "depends on the images beside it"]),
        ("Pair", {}, ["2 outputs (3x4, 3x4)", "output_name"]),
        ("Dictionary", {"output_name": "scores"}, ["a dictionary with features, logits", "'scores'"]),
        ("Maps", {}, ["shape 3x4x1x1", "expected 3x4"]),
        ("Probabilities", {}, ["look like probabilities", 'output = "probabilities"']),
        ("Net", {"output": "probabilities"}, ["not probabilities", 'output = "logits"']),
        ("Net", {"classes": "a,b,c,d,e"}, ["shape 3x4", "expected 3x5"]),
        ("Net", {"classes": "a,b"}, ["classes of the data are not those of the model"]),
        ("Net", {"input": "3x9x9"}, ["images of the data are 3 x 8 x 8", "3 x 9 x 9"]),
        ("Raises", {}, ["ValueError: this takes 224 x 224", "foreign_models.py", "in forward"]),
        ("broken", {}, ["factory foreign_models:broken failed", "NameError", "undefined_name"]),
        ("Lazy", {}, ["'head.weight' has no shape before its first call", "Call it once in the factory"]),
        ("number", {}, ["returned int, not a torch.nn.Module"]),
    ],
)
def test_a_module_that_cannot_be_exported_is_named(
    name: str,
    fields: dict[str, Any],
    fragments: list[str],
    place: Path,
    tmp_path: Path,
    capfd: Capture,
) -> None:
    """One message with exit code 2; the exporters' own pages of output are kept back, and nothing is written."""
    with pytest.raises(TorchstoneError) as refused:
        export_module(source(name, place, spec_of(**fields)), request_for(tmp_path, place / "data.npz"))

    assert refused.value.exit_code == 2
    for fragment in fragments:
        assert fragment in str(refused.value)
    assert len(str(refused.value).splitlines()) <= 3
    assert not list(tmp_path.iterdir())
    assert "def forward" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("reference", "fragment"),
    [
        ("foreign_models", "expected package.module:NAME"),
        ("foreign_models:", "expected package.module:NAME"),
        ("foreign_modles:Net", "no module 'foreign_modles'"),
        ("foreign_models:Nett", "Did you mean 'Net'"),
        ("foreign_models:__name__", "is not callable"),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused(models: ModuleType, reference: str, fragment: str) -> None:
    """With the nearest name, where there is one."""
    del models
    with pytest.raises(UsageError) as refused:
        make_module(reference, {})

    assert fragment in str(refused.value)


def test_a_module_that_fails_on_import_is_its_owners_error(
    models: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that is missing in there is not taken for the module itself."""
    del models
    (tmp_path / "importing_nothing.py").write_text("x = 1\nimport package_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match=r"Importing importing_nothing failed \(importing_nothing.py, line 2"):
        make_module("importing_nothing:make", {})


def test_arguments_are_literals_or_text() -> None:
    """Numbers, booleans and lists as Python writes them."""
    given = ["n=4", "x=0.5", "flag=True", "sizes=[1, 2]", "kind=small", "empty="]

    assert parse_arguments(given) == {"n": 4, "x": 0.5, "flag": True, "sizes": [1, 2], "kind": "small", "empty": ""}
    for wrong in ("n", "=4", "a b=1"):
        with pytest.raises(UsageError, match="expected key=value"):
            parse_arguments([wrong])


def reference_of(models: ModuleType, name: str, place: Path) -> Reference:
    """The reference of a module over the whole of the data as one split."""
    spec, module = spec_of(), getattr(models, name)().eval().requires_grad_(requires_grad=False)
    module.load_state_dict(torch.load(place / "net.pt"))
    model = ExportableClassifier(ImageClassifier(NormalizedNetwork(module, spec), spec.input_spec())).eval()
    whole = Dataset(DatasetRef("npz", place / "data.npz"), place).whole()
    return make_module_reference(model, {"validation": whole})


def test_the_reference_is_float64_where_the_code_asks_for_float32(models: ModuleType, place: Path) -> None:
    """`x.float()`, a matrix that is no buffer and torch.float32 constants: compared with float64 done by hand."""
    found = reference_of(models, "HardFloat32", place)
    module = models.Net().double().eval()
    module.load_state_dict(torch.load(place / "net.pt"))
    mean, std = (torch.tensor(v, dtype=torch.float64).reshape(3, 1, 1) for v in ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3)))
    images = torch.from_numpy(np.load(place / "data.npz")["images"]).double()
    scale, offset = (1 / (255 * std)).float().double(), (-mean / std).float().double()
    with torch.no_grad():
        expected = (module(images * scale + offset) * 3 + 1).numpy()

    np.testing.assert_allclose(found.splits["validation"].exact, expected, atol=1e-12)
    assert found.caveat == ""


def test_a_module_that_cannot_run_in_float64_gets_a_weaker_reference(models: ModuleType, place: Path) -> None:
    """It reads the bits of float32 numbers."""
    found = reference_of(models, "Bits", place)

    assert "cannot be run in float64 (RuntimeError" in found.caveat
    assert "float32" in found.origin
    assert found.noise_floor > 0


def test_a_weaker_reference_takes_no_influence_of_the_batch_for_noise(models: ModuleType, place: Path) -> None:
    """One of its two runs is in batches, the other of single images."""
    with pytest.raises(DataError, match="depends on the images that are in the same batch"):
        reference_of(models, "BitsOfLargeBatches", place)


def test_a_weaker_reference_is_told_everywhere(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the output, the certificate, the manifest and the card."""

    def refuse(*_: object) -> None:
        raise TypeError("only float32 here")

    monkeypatch.setattr("torchstone_export.foreign.module_reference._require_float64", refuse)
    exported = export_module(source("Net", place, spec_of()), request_for(tmp_path, place / "data.npz"))
    texts = ["\n".join(exported.summary)]
    texts += [(tmp_path / "bundle" / name).read_text() for name in ("certificate.json", "manifest.json", "README.md")]

    for text in texts:
        assert "cannot be run in float64" in text


def test_the_command_exports_a_module_with_a_spec_file(place: Path, tmp_path: Path) -> None:
    """Pictures of other sizes, a factory in the current directory, both variants, and the commands after."""
    write_image_tree(tmp_path / "photos", {"c": 12, "a": 12, "b": 12}, side=20, mode="RGB")
    (tmp_path / "my_models.py").write_text(
        MODELS.replace("super().__init__()", "super().__init__(); print('hello')", 1)
    )
    (tmp_path / "weights.pt").write_bytes((place / "net.pt").read_bytes())
    (tmp_path / "spec.toml").write_text(
        'input = "3x8x8"\nmean = [0.4, 0.5, 0.6]\nstd = [0.2, 0.25, 0.3]\nclasses = ["c", "b", "a", "d"]\n'
        'resize_filter = "bicubic"\nfit = "stretch"\nname = "mine"\n'
    )
    common = ("--module", "my_models:Net", "--weights", "weights.pt", "--data", "folder:photos", "--arg", "hidden=6")
    made = run_torchstone("export", *common, "--spec", "spec.toml", "--out", "bundle", cwd=tmp_path)
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    shown = run_torchstone("inspect", "bundle", cwd=tmp_path)
    verified = run_torchstone("verify", "bundle", "--data", "folder:photos", cwd=tmp_path)
    evaluated = run_torchstone("evaluate", "bundle", "--data", "folder:photos", cwd=tmp_path)
    contents = b"".join(path.read_bytes() for path in (tmp_path / "bundle").iterdir())

    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("fp32: all 12 decisions are PyTorch's")
    assert "hello" in made.stderr
    assert (manifest["name"], manifest["classes"]) == ("mine", ["c", "b", "a", "d"])
    assert manifest["input"]["resample"] == "bicubic"
    assert manifest["provenance"]["origin"]["factory"] == "my_models:Net"
    assert "train" not in manifest["provenance"]["dataset"]
    assert "origin       the PyTorch module my_models:Net" in shown.stdout
    assert verified.returncode == 0, verified.stderr
    assert "all 6 test decisions" in verified.stdout
    assert evaluated.returncode == 0, evaluated.stderr
    assert r"Origin: the PyTorch module my\_models&#58;Net" in (tmp_path / "bundle" / "README.md").read_text()
    assert str(tmp_path).encode() not in contents


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["RUN", "--module", "a:b"], "not both"),
        (["RUN", "--weights", "w.pt", "--data", "digits"], "Give RUN or --module"),
        (["RUN", "--arg", "width=12"], "Give RUN or --module"),
        (["RUN", "--no-check-spec"], "Give RUN or --module"),
        ([], "Nothing to export was named"),
        (["--module", "a:b", "--data", "digits"], "needs --weights"),
        (["--module", "a:b", "--weights", "w.pt"], "needs --data"),
        (["--module", "a:b", "--dataset", "digits"], "needs --weights"),
        (["--module", "a:b", "--weights", "w.pt", "--data", "digits"], "lacks 'input'"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(
    arguments: list[str],
    fragment: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    """RUN or --module, each with its own."""
    from torchstone_runtime.cli.main import main

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["export", *arguments, "--out", "bundle"])

    assert ended.value.code == 2
    assert fragment in capsys.readouterr().err


@pytest.mark.parametrize("field", ['layout = "NHWC"', 'dtype = "uint8"'])
def test_fields_of_an_onnx_file_are_refused_for_a_module(
    field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """A module is given float32 images with their channels first, whatever the spec says."""
    from torchstone_runtime.cli.main import main

    monkeypatch.chdir(tmp_path)
    numbers = "" if "dtype" in field else "mean = 0.5\nstd = 0.5\n"
    (tmp_path / "spec.toml").write_text(f'input = "3x8x8"\n{numbers}{field}\n')
    with pytest.raises(SystemExit) as ended:
        main(["export", "--module", "a:b", "--weights", "w.pt", "--data", "digits", "--spec", "spec.toml"])

    assert ended.value.code == 2
    assert f"The spec states {field.split(maxsplit=1)[0]}" in capsys.readouterr().err


def test_weights_that_are_missing_are_one_message(models: ModuleType, place: Path, tmp_path: Path) -> None:
    """The command line, in a process of its own."""
    del models
    (tmp_path / "my_models.py").write_text(MODELS)
    result = run_torchstone(
        *("export", "--module", "my_models:Net", "--weights", "none.pt", "--data", f"npz:{place / 'data.npz'}"),
        *("--input", "3x8x8", "--mean", "0,0,0", "--std", "1,1,1", "--out", "bundle"),
        cwd=tmp_path,
    )

    assert_refused(result, "none.pt", "cannot be read")


def test_averaged_weights_beside_raw_ones_are_asked_about(models: ModuleType, place: Path, tmp_path: Path) -> None:
    """The command line: exit code 2 with both names, and with the key the averaged ones, named in the manifest."""
    raw = {f"model.{name}": value for name, value in models.Net().state_dict().items()}
    averaged = torch.load(place / "net.pt")
    torch.save({"state_dict": {**raw, "criterion.weight": torch.ones(4)}, "ema": averaged}, tmp_path / "w.pt")
    (tmp_path / "my_models.py").write_text(MODELS)
    command = (
        *("export", "--module", "my_models:Net", "--weights", "w.pt", "--data", f"npz:{place / 'data.npz'}"),
        *("--input", "3x8x8", "--mean", "0.4,0.5,0.6", "--std", "0.2,0.25,0.3", "--out", "bundle", "--no-torchscript"),
    )
    assert_refused(run_torchstone(*command, cwd=tmp_path), "state_dict.model", "--weights-key ema")
    made = run_torchstone(*command, "--weights-key", "ema", cwd=tmp_path)
    module = models.Net().eval()
    module.load_state_dict(averaged)
    images = np.load(place / "data.npz")["images"]
    with Classifier.load(tmp_path / "bundle") as classifier:
        found = classifier.predict(images).logits

    assert made.returncode == 0, made.stderr
    assert "weights: 'ema' of w.pt" in made.stderr
    assert "left out, as the module has none of it: state_dict.criterion.weight" in made.stderr
    assert json.loads((tmp_path / "bundle/manifest.json").read_text())["provenance"]["origin"]["weights_key"] == "ema"
    np.testing.assert_allclose(found, own_logits(module, images), atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param("resnet18", marks=pytest.mark.study), "mobilenet_v3_small"])
def test_torchvisions_networks_are_exported(name: str, tmp_path: Path) -> None:
    """With random weights, both variants; benchmarks/probes/other_models.py has more of them."""
    import torchvision

    torch.manual_seed(0)
    torch.save(getattr(torchvision.models, name)(num_classes=3).state_dict(), tmp_path / "w.pt")
    write_image_tree(tmp_path / "photos", {"a": 8, "b": 8, "c": 8}, side=90, mode="RGB")
    result = run_torchstone(
        *("export", "--module", f"torchvision.models:{name}", "--arg", "num_classes=3", "--weights", "w.pt"),
        *("--data", "folder:photos", "--input", "3x96x96", "--fit", "stretch"),
        *("--mean", "0.485,0.456,0.406"),
        *("--std", "0.229,0.224,0.225", "--out", "bundle"),
        cwd=tmp_path,
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.count("decisions are PyTorch's") == 2
