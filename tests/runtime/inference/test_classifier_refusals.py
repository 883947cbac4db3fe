from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from helpers.in_process import run_in_process
from torchstone_runtime.bundle.golden import GoldenSamples
from torchstone_runtime.errors import BundleError, CheckFailedError, ImageError, ProviderError, UsageError
from torchstone_runtime.inference.classifier import Classifier

EditManifest = Callable[[Path, Callable[[dict[str, Any]], object]], None]
without_cuda = pytest.mark.skipif(
    "CUDAExecutionProvider" in ort.get_available_providers(), reason="this ONNX Runtime has the CUDA provider"
)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_])
def test_other_dtypes_are_refused_by_name(classifier: Classifier, dtype: type[np.generic]) -> None:
    """Who has scaled the pixels already is told not to."""
    with pytest.raises(UsageError, match=rf"(?s){np.dtype(dtype)}; the model takes raw uint8 pixels.*Don't scale"):
        classifier.predict(np.zeros((2, 1, 28, 28), dtype=dtype))


@pytest.mark.parametrize("shape", [(2, 1, 27, 28), (2, 3, 28, 28), (28, 28, 1), (784,), (), (0,), (1, 2, 1, 28, 28)])
def test_other_shapes_are_refused_with_both_shapes(classifier: Classifier, shape: tuple[int, ...]) -> None:
    """The message has the shape given and the one expected."""
    with pytest.raises(UsageError, match=r"expected \(N, 1, 28, 28\)") as caught:
        classifier.predict(np.zeros(shape, dtype=np.uint8))
    assert str(shape) in caught.value.problem


def test_one_bad_picture_of_several_is_named(classifier: Classifier, tmp_path: Path) -> None:
    """The whole call fails with the file's name."""
    (tmp_path / "bad.png").write_text("x")
    with pytest.raises(ImageError, match=r"bad\.png"):
        classifier.predict([tmp_path / "bad.png"])


def test_a_list_of_arrays_is_refused_with_what_to_do(classifier: Classifier) -> None:
    """Arrays come as one array."""
    with pytest.raises(UsageError, match=r"(?s)given as ndarray.*numpy\.stack"):
        classifier.predict([np.zeros((28, 28), np.uint8)])  # type: ignore[list-item]


def test_an_empty_batch_size_is_refused(classifier: Classifier) -> None:
    """It would never end."""
    with pytest.raises(UsageError, match="batch_size must be at least 1, not 0"):
        next(classifier.stream([], batch_size=0))


def test_unknown_names_get_a_suggestion(digits_bundle: Path) -> None:
    """Variants and providers alike."""
    with pytest.raises(UsageError, match=r"(?s)no variant 'fp31'.*Did you mean 'fp32'"):
        Classifier.load(digits_bundle, variant="fp31")
    with pytest.raises(UsageError, match=r"(?s)no provider 'cdua'.*Did you mean 'cuda'"):
        Classifier.load(digits_bundle, provider="cdua")


def test_less_than_one_thread_is_refused(digits_bundle: Path) -> None:
    """Zero does not mean all."""
    with pytest.raises(UsageError, match="threads must be at least 1, not 0"):
        Classifier.load(digits_bundle, threads=0)


@without_cuda
@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_gpu_asked_for_by_name_and_not_there_is_an_error(digits_bundle: Path, provider: str) -> None:
    """Never a silent run on the CPU; the message names the wheel that is missing."""
    with pytest.raises(ProviderError, match=rf"(?s)'{provider}' is not part.*pip install '\.\[gpu\]'"):
        Classifier.load(digits_bundle, provider=provider)


def alter_golden(bundle: Path, edit_manifest: EditManifest, **changes: np.ndarray[Any, Any]) -> None:
    """Replace arrays of the golden samples and make the manifest agree."""
    path = bundle / "golden.npz"
    with np.load(path) as arrays:
        path.write_bytes(GoldenSamples(**{**arrays, **changes}).to_bytes())
    edit_manifest(bundle, lambda _: None)


def test_golden_samples_that_differ_are_a_failed_check(bundle_copy: Path, edit_manifest: EditManifest) -> None:
    """A session that computes other logits than at the export never serves, unless the check is waived."""
    logits = np.load(bundle_copy / "golden.npz")["logits"]
    logits[3, 2] += 0.01
    alter_golden(bundle_copy, edit_manifest, logits=logits)
    with pytest.raises(CheckFailedError, match=r"the largest logit difference is 0\.01"):
        Classifier.load(bundle_copy)
    Classifier.load(bundle_copy, replay_golden=False).close()


def test_hashes_are_left_out_only_by_name(bundle_copy: Path) -> None:
    """A bit of a weight that was turned: the hash tells, and then the golden samples may."""
    content = bytearray((bundle_copy / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1  # the lowest bits of a number in the large weights
    (bundle_copy / "model.onnx").write_bytes(content)
    with pytest.raises(BundleError, match="SHA-256"):
        Classifier.load(bundle_copy)
    with pytest.raises(BundleError, match="SHA-256"):
        Classifier.load(bundle_copy, replay_golden=False)
    Classifier.load(bundle_copy, check_hashes=False, replay_golden=False).close()


def test_sizes_are_checked_even_without_hashes(bundle_copy: Path) -> None:
    """That costs nothing."""
    size = (bundle_copy / "model.onnx").stat().st_size
    with (bundle_copy / "model.onnx").open("ab") as file:
        file.write(b"!")
    with pytest.raises(BundleError, match=rf"{size + 1:,} bytes, the manifest states {size:,}"):
        Classifier.load(bundle_copy, check_hashes=False, replay_golden=False)


@pytest.mark.parametrize(("check", "code"), [("full", 1), ("hashes", 0), ("none", 0)], ids=["full", "hashes", "none"])
def test_the_command_line_checks_what_it_is_told_to(
    bundle_copy: Path, edit_manifest: EditManifest, check: str, code: int
) -> None:
    """Golden samples that differ stop `full`, the default, alone."""
    logits = np.load(bundle_copy / "golden.npz")["logits"]
    logits[3, 2] += 0.01
    alter_golden(bundle_copy, edit_manifest, logits=logits)
    assert run_in_process("evaluate", bundle_copy, "--data", "digits", "--check", check).returncode == code


def test_golden_samples_of_another_class_are_a_failed_check(bundle_copy: Path, edit_manifest: EditManifest) -> None:
    """A class that changes is told, however large the accepted difference."""
    probabilities = np.load(bundle_copy / "golden.npz")["probabilities"]
    alter_golden(bundle_copy, edit_manifest, probabilities=np.roll(probabilities, 1, axis=1))
    edit_manifest(bundle_copy, lambda data: data.update(golden_tolerance=1e9))
    with pytest.raises(CheckFailedError, match="16 change class"):
        Classifier.load(bundle_copy)


def test_golden_samples_of_another_shape_are_refused(bundle_copy: Path, edit_manifest: EditManifest) -> None:
    """They are not the model's."""
    alter_golden(bundle_copy, edit_manifest, images=np.zeros((16, 1, 20, 20), np.uint8))
    with pytest.raises(BundleError, match="not of the shape that the model takes"):
        Classifier.load(bundle_copy)


@pytest.mark.parametrize("change", [{"classes": ["a", "b", "c"]}, {"input": {"height": 27}}])
def test_a_manifest_that_does_not_fit_the_model_is_refused(
    bundle_copy: Path, edit_manifest: EditManifest, change: dict[str, Any]
) -> None:
    """Classes and input size are compared with the model's own signature."""
    edit_manifest(
        bundle_copy,
        lambda data: data.update({k: {**data[k], **v} if isinstance(v, dict) else v for k, v in change.items()}),
    )
    with pytest.raises(BundleError, match=r"The model's (input|output)"):
        Classifier.load(bundle_copy)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda data: data["classes"].reverse(), "'classes'"),
        (lambda data: data.update(temperature=data["temperature"] * 1.01), "'temperature'"),
        (lambda data: data["input"]["in_graph"]["mean"].__setitem__(0, 0.25), "'input'"),
    ],
)
def test_a_manifest_that_contradicts_the_model_file_is_refused(
    bundle_copy: Path, edit_manifest: EditManifest, change: Callable[[dict[str, Any]], object], field: str
) -> None:
    """The file's own metadata says the same, and has a hash; names in another order would be wrong answers."""
    edit_manifest(bundle_copy, change)
    with pytest.raises(BundleError, match=rf"manifest\.json and model\.onnx contradict each other in {field}:"):
        Classifier.load(bundle_copy)


def test_a_model_that_onnx_runtime_cannot_read_is_refused(bundle_copy: Path, edit_manifest: EditManifest) -> None:
    """Also when the manifest agrees with the damage."""
    (bundle_copy / "model.onnx").write_bytes(b"not a model")
    edit_manifest(bundle_copy, lambda _: None)
    with pytest.raises(BundleError, match="not an ONNX file"):
        Classifier.load(bundle_copy)


def test_a_lone_file_of_another_exporter_is_refused(digits_bundle: Path, tmp_path: Path) -> None:
    """Nothing says what its input and classes are."""
    model = onnx.load(digits_bundle / "model.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(BundleError, match="Torchstone did not export it"):
        Classifier.load(tmp_path / "other.onnx")


def test_a_lone_file_has_no_variants(digits_bundle: Path) -> None:
    """Asking for one is a mistake."""
    with pytest.raises(UsageError, match="one file, not a bundle with variants"):
        Classifier.load(digits_bundle / "model.onnx", variant="fp32")


def test_weights_outside_the_model_are_not_read(
    digits_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model may not make the runtime read another file, not even one in the current directory."""
    model = onnx.load(digits_bundle / "model.onnx")
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=100)
    assert (tmp_path / "weights.bin").stat().st_size > 1000
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match="keeps weights in another file"):
        Classifier.load("m.onnx")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_closed_classifier_says_so(digits_bundle: Path, threads: int) -> None:
    """Leaving the block closes it; closing twice is fine; using it after that is an error with a message."""
    with Classifier.load(digits_bundle, threads=threads) as closed:
        pass
    closed.close()
    with pytest.raises(UsageError, match="is closed"):
        closed.predict(np.zeros((28, 28), np.uint8))
