"""Fine-tuning: what is trained when, at which rate; and runs that go on, or are built again, without the weights."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from helpers.small_backbone import build
from torchstone_export.model import load_trained
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.errors import UsageError
from torchstone_train.compute.precision import choose_precision
from torchstone_train.data.batch_plan import update_windows
from torchstone_train.recipes.catalog import FINETUNE
from torchstone_train.recipes.recipe import NormName, Recipe
from torchstone_train.run.run_dir import RunDirectory
from torchstone_train.run_training import TrainingRequest, train
from torchstone_train.training.mixing import Mixing
from torchstone_train.training.optimization import Optimization
from torchstone_train.training.progress import Progress
from torchstone_train.training.schedule import Schedule
from torchstone_train.training.trained_part import TrainedPart

RECIPE = replace(
    FINETUNE,
    architecture="helpers.small_backbone:build",
    epochs=3,
    batch_size=16,
    amp="off",
    ema=0.0,
    augment="none",
    head_start="random",  # a fitted head would be kept in place of what is trained here
)
PRECISION = choose_precision("off", torch.device("cpu"))


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes most of the time and is not looked at here."""
    monkeypatch.setattr("torchstone_train.report.run_results.RunResults.write", lambda *_: None)


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> str:
    """65 images of 12 x 12 in three classes, each of another colour: the last of the batches has one image."""
    generator, labels = np.random.default_rng(3), np.arange(81) % 3
    images = generator.integers(0, 120, (81, 3, 12, 12))
    images[np.arange(81), labels] += 100
    file = tmp_path_factory.mktemp("colours") / "colours.npz"
    np.savez(file, images=images.astype(np.uint8), labels=labels)
    return f"npz:{file}"


def run(out: Path, data: str, recipe: Recipe = RECIPE, **options: Any) -> tuple[RunDirectory, str]:  # noqa: ANN401
    """Train; return the run and what was said."""
    log = io.StringIO()
    request = TrainingRequest(
        recipe=recipe, dataset=DatasetRef.parse(data), data_dir=out, out=out, device="cpu", mean=(0.5,), std=(0.5,)
    )
    train(replace(request, progress=Progress(recipe.epochs, log), **options))
    return RunDirectory(out), log.getvalue()


def weights_before() -> dict[str, Tensor]:
    """Return what the backbone begins with."""
    return build().state_dict()


def test_heads_epochs_leave_the_rest_as_it_was(colours: str, tmp_path: Path) -> None:
    """Statistics of batch norm as well: they would follow images that nothing learns from."""
    after_one, _ = run(tmp_path / "run", colours, replace(RECIPE, epochs=2, head_epochs=1, target_accuracy=1e-9))
    found, before = after_one.read_weights(), weights_before()
    assert {name for name in found if not torch.equal(found[name], before[name])} == {
        "classifier.weight",
        "classifier.bias",
    }


def test_frozen_stages_keep_weights_and_statistics(colours: str, tmp_path: Path) -> None:
    """The others learn."""
    found, before = (
        run(tmp_path / "run", colours, replace(RECIPE, freeze=1, head_epochs=0))[0].read_weights(),
        weights_before(),
    )
    same = {name for name in found if torch.equal(found[name], before[name])}
    assert {name for name in found if name.startswith("stem.")} == same


@pytest.mark.parametrize(("choice", "batch", "kept"), [("on", 32, True), ("off", 8, False), ("auto", 8, True)])
def test_norms_keep_their_statistics_where_batches_are_small(
    colours: str, tmp_path: Path, choice: NormName, batch: int, kept: bool
) -> None:
    """Their scale and shift learn all the same."""
    recipe = replace(RECIPE, freeze_norm=choice, batch_size=batch, head_epochs=0)
    found, before = run(tmp_path / "run", colours, recipe)[0].read_weights(), weights_before()
    assert torch.equal(found["stem.1.running_mean"], before["stem.1.running_mean"]) == kept
    assert not torch.equal(found["stem.1.weight"], before["stem.1.weight"])


def test_auto_keeps_no_statistics_of_fresh_weights() -> None:
    """They are those of no image at all."""
    for pretrained, training in ((False, True), (True, False)):
        network = build()
        TrainedPart(replace(RECIPE, head="classifier"), network, 8, pretrained=pretrained).begin_epoch(2)
        assert network.get_submodule("stem.1").training == training


def test_freezing_more_stages_than_there_are_is_refused(colours: str, tmp_path: Path) -> None:
    """With their number; no run is left behind."""
    with pytest.raises(UsageError, match="--freeze is 9, but this backbone has 2 stages below its head"):
        run(tmp_path / "run", colours, replace(RECIPE, freeze=9))
    assert not (tmp_path / "run").exists()


def test_what_its_owner_froze_stays_frozen() -> None:
    """Whatever the epoch trains."""
    network = build()
    network.get_parameter("stem.0.weight").requires_grad_(False)  # noqa: FBT003
    part = TrainedPart(replace(RECIPE, head="classifier"), network, 32, pretrained=True)
    part.begin_epoch(1)
    part.begin_epoch(2)
    assert [name for name, item in network.named_parameters() if not item.requires_grad] == ["stem.0.weight"]


def test_lower_stages_learn_at_smaller_rates() -> None:
    """The head at the whole rate, each stage below at `layer_decay` of the one above."""

    class Behind(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = build()

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.network(images.float())
            return logits

    recipe = replace(RECIPE, head="classifier", layer_decay=0.5, head_epochs=0, warmup_epochs=0.0, schedule="constant")
    model = Behind()
    optimization = Optimization(recipe, model, PRECISION, 10)
    optimization.step(torch.zeros(2, 3, 12, 12, dtype=torch.uint8), torch.tensor([0, 1]))
    rates = {id(item): group["lr"] for group in optimization._optimizer.param_groups for item in group["params"]}
    names = ("classifier.weight", "body.0.weight", "body.1.bias", "stem.0.weight")
    found = [rates[id(model.network.get_parameter(name))] / recipe.lr for name in names]
    assert found == [1, 0.5, 0.5, 0.25]


def test_schedule_begins_anew_after_the_heads_epochs() -> None:
    """The whole rate for the head, a linear rise, then the cosine to 0."""
    recipe = replace(RECIPE, epochs=10, head_epochs=2, warmup_epochs=2.0, schedule="cosine")
    schedule = Schedule.of(recipe, 100)
    assert [schedule.factor(step) for step in (0, 19)] == [1, 1]
    assert [schedule.factor(step) for step in (20, 39)] == pytest.approx([1 / 21, 20 / 21])
    assert [schedule.factor(step) for step in (40, 70, 100)] == pytest.approx([1, 0.5, 0], abs=1e-12)


def test_accumulated_batches_are_one_batch() -> None:
    """Of unequal sizes too: the gradient is the mean over all images."""
    recipe = Recipe(name="x", summary="", architecture="", optimizer="sgd", lr=0.1, momentum=0.0)
    images, labels = torch.rand(10, 4), torch.arange(10) % 3
    found = []
    for sizes in ([10], [4, 4, 2]):
        torch.manual_seed(1)
        model = nn.Linear(4, 3)
        optimization = Optimization(recipe, model, PRECISION, 10)
        windows = update_windows(sizes, 3)
        for part, target, window in zip(torch.split(images, sizes), torch.split(labels, sizes), windows, strict=True):
            optimization.step(part, target, share=window.share, updates=window.ends)
        found.append(model.weight.detach())
    torch.testing.assert_close(found[0], found[1])


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(1, 6))
def test_shares_of_an_update_are_the_whole(sizes: list[int], accumulate: int) -> None:
    """And the epoch's last batch ends one."""
    windows = update_windows(sizes, accumulate)
    assert sum(window.share for window in windows) == pytest.approx(sum(window.ends for window in windows))
    assert windows[-1].ends


def test_long_gradients_are_shortened() -> None:
    """To the norm that was asked for: one step of plain SGD moves the weights by rate times norm."""
    recipe = Recipe(name="x", summary="", architecture="", optimizer="sgd", lr=1.0, momentum=0.0, clip_norm=0.01)
    model = nn.Linear(4, 3, bias=False)
    before = model.weight.detach().clone()
    Optimization(recipe, model, PRECISION, 1).step(torch.rand(8, 4) * 100, torch.arange(8) % 3)
    assert float((model.weight.detach() - before).norm()) == pytest.approx(0.01, rel=1e-3)


@settings(deadline=None)
@given(
    st.floats(0, 4).filter(lambda alpha: alpha == 0 or alpha > 0.01),
    st.floats(0.05, 4),
    st.integers(1, 9),
    st.integers(0, 2**32),
)
def test_mixed_targets_are_the_shares_of_the_pixels(mixup: float, cutmix: float, count: int, seed: int) -> None:
    """On images of one level each: the mean of each image is that of its targets, and targets sum to 1."""
    labels = torch.arange(count) % 4
    levels = labels.to(torch.uint8) * 80
    images = levels.reshape(-1, 1, 1, 1).expand(-1, 3, 20, 20).contiguous()
    mixed, targets = Mixing(mixup, cutmix, 4)(images, labels, torch.Generator().manual_seed(seed))
    assert targets is not None
    assert mixed.dtype == torch.uint8
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(count))
    expected = targets @ torch.tensor([0.0, 80.0, 160.0, 240.0])
    torch.testing.assert_close(mixed.float().mean(dim=(1, 2, 3)), expected, rtol=0, atol=0.51)


def test_without_mixing_no_random_number_is_drawn() -> None:
    """So that the recipes from before train to the same bits."""
    generator = torch.Generator().manual_seed(3)
    state, images = generator.get_state(), torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    same, targets = Mixing(0.0, 0.0, 3)(images, torch.tensor([0, 1]), generator)
    assert same is images
    assert targets is None
    assert torch.equal(generator.get_state(), state)


ALL_ON: dict[str, Any] = {
    "epochs": 4,
    "ema": 0.9,
    "mixup": 0.4,
    "cutmix": 1.0,
    "accumulate": 3,
    "freeze": 1,
    "batch_size": 8,
    "augment": "flip",
}


class Killed(BaseException):
    """A kill, as far as a run's files can tell."""


@pytest.mark.parametrize("epoch", [1, 2])
def test_resumed_run_ends_with_the_same_bytes_and_needs_no_weights(
    colours: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    """Killed after the head's epoch, and later; with the file of weights gone."""
    file = tmp_path / "own.pth"
    torch.save(build().state_dict(), file)
    recipe, whole, killed = replace(RECIPE, **ALL_ON), tmp_path / "whole", tmp_path / "killed"
    run(whole, colours, recipe, weights=str(file))
    original = Progress.end_epoch

    def end_epoch(self: Progress, record: dict[str, Any]) -> None:
        original(self, record)
        if record["epoch"] == epoch:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "end_epoch", end_epoch)
        with pytest.raises(Killed):
            run(killed, colours, recipe, weights=str(file))
    file.unlink()
    run(killed, colours, recipe, resume=True)
    assert (killed / "best.safetensors").read_bytes() == (whole / "best.safetensors").read_bytes()


def test_run_records_backbone_and_origin_without_a_path(colours: str, tmp_path: Path) -> None:
    """And export builds the network of that alone, in a place where the weights' file is not."""
    file = tmp_path / "own.pth"
    torch.save(build().state_dict(), file)
    found, said = run(tmp_path / "run", colours, weights=str(file))
    file.unlink()
    backbone = found.read_info()["backbone"]
    assert (backbone["architecture"], backbone["head"]) == (RECIPE.architecture, "classifier")
    assert backbone["weights"]["name"] == "own.pth"
    assert str(tmp_path) not in json.dumps(backbone)
    assert "the last layer of own.pth of 7 outputs was replaced by a fresh one of 3" in said
    model = load_trained(found)
    assert model.provenance["backbone"] == backbone
    assert model.module(torch.zeros(1, 3, 12, 12, dtype=torch.uint8))[0].shape == (1, 3)


def test_resume_with_another_backbone_is_refused(colours: str, tmp_path: Path) -> None:
    """It would be another training."""
    run(tmp_path / "run", colours)
    other = replace(RECIPE, architecture="helpers.small_backbone:two_heads", head="classifier")
    with pytest.raises(UsageError, match="made with other settings: architecture"):
        run(tmp_path / "run", colours, other, resume=True)


def test_batches_of_one_image_are_taken_where_norms_are_frozen(colours: str, tmp_path: Path) -> None:
    """Their statistics are known."""
    found, _ = run(tmp_path / "run", colours, replace(RECIPE, batch_size=1, epochs=2))
    assert len(found.read_history()) == 2


def test_input_that_nothing_states_is_asked_for(colours: str, tmp_path: Path) -> None:
    """A wrong normalisation gives plausible, worse answers and no error."""
    with pytest.raises(UsageError, match=r"Nothing states which pictures .* made for.\nSay it: --mean, --std"):
        run(tmp_path / "run", colours, mean=None, std=None)
