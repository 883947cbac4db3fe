"""`train probe`: a frozen backbone with a logistic regression as its last layer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info, threadpool_limits

from helpers.in_process import run_in_process
from helpers.small_backbone import SmallBackbone
from torchstone_train.probe import regression
from torchstone_train.probe.feature_cache import FOLDER
from torchstone_train.probe.regression import LastLayer, fit_last_layer
from torchstone_train.run.run_dir import RunDirectory

SPEC = ("--mean", "0.5", "--std", "0.25")


def arguments(data: Path, out: Path, *more: str | Path) -> tuple[str | Path, ...]:
    """Return the command line."""
    given = ("--backbone", "helpers.small_backbone:build", *SPEC, "--device", "cpu")
    return ("train", "probe", *given, "--data", f"npz:{data}", "--out", out, *more)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Colour pictures of 16 x 16 in three classes of 40, 20 and 10, that differ in colour and have noise."""
    generator = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], [40, 20, 10])
    colours = 90 + 60 * np.eye(3)[labels] + generator.normal(0, 6, (70, 3))
    pixels = colours[:, :, None, None] + generator.normal(0, 20, (70, 3, 16, 16))
    file = tmp_path_factory.mktemp("photos") / "photos.npz"
    np.savez(file, images=pixels.clip(0, 255).astype(np.uint8), labels=labels)
    return file


@pytest.fixture(scope="module")
def probed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the probe. Don't change it: copy it."""
    out = tmp_path_factory.mktemp("probes") / "run"
    result = run_in_process(*arguments(photos, out))
    assert result.returncode == 0, result.stderr
    return out


def read_info(run: Path) -> dict[str, Any]:
    """Return the content of run.json."""
    found: dict[str, Any] = json.loads((run / "run.json").read_text())
    return found


def fitted(features: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], classes: int, **more: Any) -> LastLayer:  # noqa: ANN401
    """Fit a last layer."""
    given = {"balanced": False, "intercept": True, "seed": 0, "say": lambda _line: None, **more}
    return fit_last_layer(features.astype(np.float32), labels.astype(np.int64), classes, **given)


def probabilities(layer: LastLayer, features: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the softmax of the layer's outputs."""
    logits = torch.from_numpy(features @ layer.weight.T.astype(np.float64) + layer.bias)
    return torch.softmax(logits, dim=1).numpy()


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("balanced", [True, False])
def test_the_layer_gives_the_probabilities_of_scikit_learn(classes: int, balanced: bool) -> None:
    """Standardisation is folded in; of two classes, one row becomes two."""
    generator = np.random.default_rng(0)
    labels = np.arange(120) % classes
    features = generator.normal(5, 3, (120, 6)) + labels[:, None]
    layer = fitted(features, labels, classes, balanced=balanced)
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    weights = "balanced" if balanced else None
    model = LogisticRegression(C=layer.strength, class_weight=weights, max_iter=1000).fit(scaled, labels)
    np.testing.assert_allclose(probabilities(layer, features), model.predict_proba(scaled), atol=1e-4)


def test_constant_features_and_rare_classes_are_no_trouble() -> None:
    """A feature that never changes, a class of one image, and one that has none, which is never predicted."""
    generator = np.random.default_rng(0)
    labels = np.array([0] * 12 + [1] * 12 + [3])
    features = np.concatenate([generator.normal(0, 1, (25, 4)) + 3 * labels[:, None], np.full((25, 2), 7.0)], axis=1)
    layer = fitted(features, labels, 4)
    assert np.isfinite(layer.weight).all()
    assert (layer.weight[:, 4:] == 0).all()
    assert probabilities(layer, features)[:, 2].max() == 0


def test_strength_is_the_one_with_the_smallest_loss() -> None:
    """Weak regularisation, which only learns noise by heart, is not tried to its end."""
    generator = np.random.default_rng(0)
    layer = fitted(generator.normal(0, 1, (60, 30)), generator.integers(0, 2, 60), 2)
    assert layer.strength == min(layer.losses, key=lambda value: layer.losses[value]) <= 0.1


def test_a_layer_without_bias_gets_none() -> None:
    """The features are then scaled but not centred."""
    labels = np.arange(40) % 2
    features = np.random.default_rng(0).normal(0, 1, (40, 3)) + labels[:, None]
    assert (fitted(features, labels, 2, intercept=False).bias == 0).all()


def blas_threads() -> set[int]:
    """Threads of the loaded libraries of linear algebra."""
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_regressions_compute_on_one_thread_and_give_the_others_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the process has set is there again afterwards."""
    seen: set[int] = set()

    fit = LogisticRegression.fit

    def watched(*given: Any, **more: Any) -> Any:  # noqa: ANN401 - scikit-learn's own
        seen.update(blas_threads())
        return fit(*given, **more)

    monkeypatch.setattr(LogisticRegression, "fit", watched)
    labels = np.arange(40) % 2
    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        fitted(np.random.default_rng(0).normal(0, 1, (40, 3)) + labels[:, None], labels, 2)
        assert blas_threads() == before
    assert seen == {1}


def test_folds_side_by_side_give_what_they_give_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layer does not depend on the number of processors, to the bit."""
    labels = np.arange(90) % 3
    features = np.random.default_rng(0).normal(0, 1, (90, 8)) + labels[:, None]
    layers = []
    for processors in (1, 8):
        monkeypatch.setattr(regression, "usable_cpus", lambda count=processors: count)
        layers.append(fitted(features, labels, 3))
    np.testing.assert_array_equal(layers[0].weight, layers[1].weight)
    assert layers[0].losses == layers[1].losses


def test_folds_whose_features_do_not_fit_beside_each_other_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of all folds take half of the available memory at most."""
    features = np.zeros((1000, 10))
    monkeypatch.setattr(regression, "usable_cpus", lambda: 8)
    found = []
    for copies in (1, 8, 1000):
        monkeypatch.setattr(regression, "memory_available", lambda room=copies: 2 * room * features.nbytes)
        found.append(regression._fits_at_once(features, 5))
    assert found == [1, 4, 5]


def test_a_probe_is_a_run_like_any_other(probed: Path) -> None:
    """One epoch, figures, weights, report; only the last layer differs from the backbone."""
    info = read_info(probed)
    assert info["epochs_run"] == info["best_epoch"] == 1
    assert info["metrics"]["validation"]["accuracy"] > 0.5
    assert info["probe"]["balanced"]
    assert {"report.html", "history.jsonl", "best.safetensors"} <= {entry.name for entry in probed.iterdir()}
    from helpers.small_backbone import build

    backbone, weights = build().state_dict(), RunDirectory(probed).read_weights()
    changed = {name for name in weights if not torch.equal(weights[name], backbone[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_features_are_computed_once(photos: Path, probed: Path) -> None:
    """Another run beside it, with another split, finds those of the same images."""
    assert len(list((probed.parent / FOLDER).iterdir())) == 1
    again = run_in_process(*arguments(photos, probed.parent / "again"))
    assert " 0 computed now" in again.stderr
    assert read_info(probed.parent / "again")["metrics"] == read_info(probed)["metrics"]


def test_another_backbone_has_features_of_its_own(photos: Path, probed: Path) -> None:
    """The key holds the weights."""
    result = run_in_process(*arguments(photos, probed.parent / "fresh", "--weights", "none"))
    assert result.returncode == 0, result.stderr
    assert " 0 computed now" not in result.stderr


def test_features_of_code_that_was_changed_are_computed_anew(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name and weights, which the key holds, are the same; the accuracy is that of a run without what was kept."""
    assert run_in_process(*arguments(photos, tmp_path / "before")).returncode == 0
    monkeypatch.setattr(SmallBackbone, "forward", lambda self, x: self.classifier(self.body(self.stem(x)).amax((2, 3))))
    after = run_in_process(*arguments(photos, tmp_path / "after"))
    fresh = run_in_process(*arguments(photos, tmp_path / "elsewhere" / "fresh"))
    assert (after.returncode, fresh.returncode) == (0, 0), after.stderr
    assert read_info(tmp_path / "after")["metrics"] == read_info(tmp_path / "elsewhere" / "fresh")["metrics"]
    again = run_in_process(*arguments(photos, tmp_path / "again"))
    assert " 0 computed now" in again.stderr


def test_a_damaged_cache_is_made_anew(photos: Path, probed: Path, tmp_path: Path) -> None:
    """It is nothing but a cache."""
    file = next((probed.parent / FOLDER).iterdir())
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / file.name).write_bytes(file.read_bytes()[:100])
    result = run_in_process(*arguments(photos, tmp_path / "run"))
    assert result.returncode == 0, result.stderr
    assert " 0 computed now" not in result.stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [(("--epochs", "5"), "--set epochs"), (("--lr", "0.1"), "--set lr"), (("--sampler", "balanced"), "--set sampler")],
)
def test_what_makes_no_sense_is_refused(photos: Path, tmp_path: Path, more: tuple[str, str], said: str) -> None:
    """One message, exit code 2, and no run."""
    result = run_in_process(*arguments(photos, tmp_path / "run", *more))
    assert result.returncode == 2
    assert said in result.stderr
    assert not (tmp_path / "run").exists()


def test_folds_of_a_probe_share_their_features(photos: Path, tmp_path: Path) -> None:
    """Each image is computed once for all of them; validation images and held-out ones of one fold train another."""
    result = run_in_process(*arguments(photos, tmp_path / "cv", "--folds", "2", "--json", tmp_path / "cv.json"))
    assert result.returncode == 0, result.stderr
    document = json.loads((tmp_path / "cv.json").read_text())
    assert document["all_images"]["samples"] == sum(fold["samples"] for fold in document["folds"]) == 56
    assert document["mean"]["accuracy"] > 0.5


@pytest.mark.slow
def test_a_probe_is_exported_and_certified(probed: Path, tmp_path: Path) -> None:
    """As any other run."""
    result = run_in_process("export", probed, "--out", tmp_path / "bundle")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("recipe", ["probe", "finetune"])
def test_weights_that_are_not_finite_are_named(recipe: str, photos: Path, tmp_path: Path) -> None:
    """Such as those of a training that diverged."""
    state = SmallBackbone().state_dict().items()
    weights = {name: tensor * torch.nan if tensor.is_floating_point() else tensor for name, tensor in state}
    torch.save(weights, tmp_path / "nan.pt")
    _, _, *given = arguments(photos, tmp_path / "run", "--weights", tmp_path / "nan.pt")
    more = ("--epochs", "1", "--set", "head_start=probe", "--set", "warmup_epochs=0", "--set", "head_epochs=0")
    result = run_in_process("train", recipe, *given, *(more if recipe == "finetune" else ()))
    assert "The features of the backbone are not finite" in result.stderr
