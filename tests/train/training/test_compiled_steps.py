"""Steps through torch.compile: the same training, compiled once, and nothing of it in what is kept.

Most tests leave out the last part of a compilation, which writes machine code and takes ten seconds: with the backend
`aot_eager` PyTorch traces a network, differentiates it and guards what it traced as ever.
"""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from helpers.in_process import run_in_process
from helpers.small_backbone import SmallBackbone
from helpers.traced import leave_out_machine_code
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train import run_training
from torchstone_train.networks.image_classifier import ImageClassifier
from torchstone_train.recipes.catalog import FINETUNE
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.recipes.resolve import get_recipe
from torchstone_train.run.run_dir import RunDirectory
from torchstone_train.training.compiled_steps import CompiledSteps
from torchstone_train.training.optimization import Optimization
from torchstone_train.training.progress import Progress
from torchstone_train.training.task import Outcome

Fit = Callable[..., tuple[Outcome, RunDirectory]]
BACKBONE: Final = replace(
    FINETUNE, architecture="helpers.small_backbone:build", epochs=3, batch_size=16, head_start="random", amp="off"
)


class Small(nn.Module):
    """A network with batch norm and dropout, of few kernels to compile; it counts what runs uncompiled in training."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(dropout), nn.Linear(256, 3))
        )
        self.plain_sizes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        if self.training and not torch.compiler.is_compiling():
            self.plain_sizes.append(len(images))
        logits: Tensor = self.layers(images)
        return logits


def small(dropout: float = 0.0) -> Small:
    """Return the network, with the same weights each time."""
    torch.manual_seed(1)
    return Small(dropout)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave machine code out of all compilations."""
    leave_out_machine_code(monkeypatch)


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes most of the time and is not looked at here."""
    monkeypatch.setattr("torchstone_train.report.run_results.RunResults.write", lambda *_: None)


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 images of 12 x 12 to train on, in three classes, each of another colour."""
    generator, labels = np.random.default_rng(3), np.arange(80) % 3
    images = generator.integers(0, 120, (80, 3, 12, 12))
    images[np.arange(80), labels] += 100
    file = tmp_path_factory.mktemp("colours") / "colours.npz"
    np.savez(file, images=images.astype(np.uint8), labels=labels)
    return file


def train(recipe: Recipe, out: Path, data: Path, **options: Any) -> str:  # noqa: ANN401
    """Train on the CPU; return what was said."""
    log = io.StringIO()
    request = run_training.TrainingRequest(
        recipe=recipe,
        dataset=DatasetRef.parse(f"npz:{data}"),
        data_dir=out,
        out=out,
        device="cpu",
        mean=(0.5,),
        std=(0.5,),
        progress=Progress(recipe.epochs, log),
        **options,
    )
    run_training.train(request)
    return log.getvalue()


@pytest.mark.slow
def test_losses_and_weights_are_those_of_the_plain_steps(fit: Fit) -> None:
    """In machine code; but for the order of summation, and under the same names."""
    plain, kept = fit(network=small(), out="plain")
    compiled, compiled_kept = fit(network=small(), out="compiled", compile="default")

    losses, others = ([record["train"]["loss"] for record in found.history] for found in (plain, compiled))
    assert others == pytest.approx(losses, rel=1e-3)
    expected, weights = kept.read_weights(), compiled_kept.read_weights()
    assert weights.keys() == expected.keys()
    # Not each of them: where a gradient is nearly zero, its sign decides, and the order of summation the sign.
    for name, wanted in expected.items():
        assert (weights[name] - wanted).float().norm() <= 0.01 * wanted.float().norm(), name


@pytest.mark.slow
@pytest.mark.usefixtures("without_pictures")
def test_a_resumed_run_has_the_weights_of_one_go_bit_for_bit(tiny_npz: Path, tmp_path: Path) -> None:
    """In machine code, with dropout: what is compiled again takes no random number and leaves no trace."""
    recipe = replace(get_recipe("mlp"), compile="default", epochs=2, patience=0)
    train(recipe, tmp_path / "whole", tiny_npz)
    train(replace(recipe, epochs=1), tmp_path / "parts", tiny_npz)
    train(recipe, tmp_path / "parts", tiny_npz, resume=True)

    whole, parts = ((tmp_path / name / "best.safetensors").read_bytes() for name in ("whole", "parts"))
    assert whole == parts


@pytest.mark.usefixtures("traced")
def test_nothing_is_compiled_again_in_a_training(fit: Fit) -> None:
    """Neither after validation and averaging, nor for changed images, nor for a smaller last batch."""
    network = small(0.5)
    with torch._dynamo.config.patch(error_on_recompile=True):
        fit(network=network, compile="default", batch_size=32, ema=0.9, augment="flip-shift-erase", mixup=0.2, epochs=3)

    assert set(network.plain_sizes) == {18}


@pytest.mark.usefixtures("traced")
def test_images_in_another_layout_are_no_reason_to_compile_again() -> None:
    """Pictures may come with their channels last."""
    spec = InputSpec(color="RGB", height=12, width=12, mean=(0.5,) * 3, std=(0.5,) * 3)
    steps = CompiledSteps(ImageClassifier(SmallBackbone(), spec), "default", 4)
    images = torch.zeros(4, 3, 12, 12, dtype=torch.uint8)
    with torch._dynamo.config.patch(error_on_recompile=True):
        steps(images)
        logits = steps(images.contiguous(memory_format=torch.channels_last))

    assert logits.shape == (4, 7)


@pytest.mark.usefixtures("traced")
def test_an_epoch_of_one_batch_is_compiled(fit: Fit) -> None:
    """The size of its only batch is the one."""
    network = small()
    fit(network=network, compile="default", batch_size=1000)

    assert network.plain_sizes == []


@pytest.mark.usefixtures("traced")
def test_compiling_leaves_batch_norm_as_it_was(fit: Fit) -> None:
    """The statistics are those of the same steps without it."""
    (_, plain), (_, compiled) = (fit(network=small(), out=mode, compile=mode, epochs=1) for mode in ("off", "default"))
    name = "layers.1.running_mean"

    assert torch.allclose(plain.read_weights()[name], compiled.read_weights()[name], atol=1e-5)
    assert (
        plain.read_weights()["layers.1.num_batches_tracked"] == compiled.read_weights()["layers.1.num_batches_tracked"]
    )


@pytest.mark.usefixtures("traced")
def test_the_time_of_a_compilation_stands_apart(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the first epoch's record and in run.json; images/s and seconds are of the training alone."""
    clock = iter(range(0, 10**9, 100))
    monkeypatch.setattr("torchstone_train.training.compiled_steps.time.perf_counter", lambda: float(next(clock)))
    outcome, run = fit(network=small(), compile="default")

    assert [record["compile_seconds"] for record in outcome.history] == [100.0, 0.0]
    assert run.read_info()["compile_seconds"] == 100.0
    assert [record["seconds"] for record in outcome.history] == [200.0, 200.0]


@pytest.mark.usefixtures("traced", "without_pictures")
def test_after_the_epochs_of_the_head_the_steps_are_compiled_again(colours: Path, tmp_path: Path) -> None:
    """Ahead as well, since other gradients are computed from then on."""
    said = train(replace(BACKBONE, compile="default", head_epochs=1), tmp_path / "run", colours)
    seconds = [record["compile_seconds"] > 0 for record in RunDirectory(tmp_path / "run").read_history()]

    assert seconds == [True, True, False]
    assert said.count("compiled in ") == 2


@pytest.mark.usefixtures("traced", "without_pictures")
def test_layers_have_their_own_rates_behind_compiled_steps(colours: Path, tmp_path: Path) -> None:
    """What finds a backbone's stages looks through the compiled module."""
    recipe = replace(BACKBONE, compile="default", layer_decay=0.5, epochs=1, warmup_epochs=0.0)
    train(recipe, tmp_path / "run", colours)

    groups = RunDirectory(tmp_path / "run").read_checkpoint()
    assert groups is not None
    assert len(groups["optimization"]["optimizer"]["param_groups"]) > 2


@pytest.mark.usefixtures("traced", "without_pictures")
def test_a_network_that_cannot_be_compiled_leaves_the_earlier_run(colours: Path, tmp_path: Path) -> None:
    """One message says that it is the network, and what to do; nothing was replaced."""
    train(replace(BACKBONE, epochs=1, warmup_epochs=0.0), tmp_path / "run", colours)
    before = (tmp_path / "run" / "run.json").read_bytes()

    broken = replace(BACKBONE, architecture="helpers.small_backbone:uncompilable", compile="default")
    with pytest.raises(UsageError, match=r"torch\.compile failed for this network: .*no shapes for this") as caught:
        train(broken, tmp_path / "run", colours, overwrite=True)

    assert "Leave --compile default out" in caught.value.remedy
    assert (tmp_path / "run" / "run.json").read_bytes() == before


@pytest.mark.usefixtures("traced", "without_pictures")
def test_a_network_that_cannot_be_compiled_leaves_no_run(colours: Path, tmp_path: Path) -> None:
    """Where none stood before."""
    broken = replace(BACKBONE, architecture="helpers.small_backbone:uncompilable", compile="default")
    with pytest.raises(UsageError, match=r"torch\.compile failed"):
        train(broken, tmp_path / "run", colours)

    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("traced")
def test_the_option_is_said_recorded_repeated_and_kept_to(tiny_npz: Path, tmp_path: Path) -> None:
    """As --amp: a line in the log, the recipe in run.json, --from takes it from there, --resume wants the same."""
    first, second = tmp_path / "first", tmp_path / "second"
    given = ("train", "mlp", "--data", f"npz:{tiny_npz}", "--device", "cpu", "--epochs")
    trained = run_in_process(*given, "1", "--compile", "default", "--out", first)
    repeated = run_in_process("train", "--from", first, "--device", "cpu", "--out", second)
    resumed = run_in_process(*given, "2", "--out", first, "--resume")

    assert "compile  default (torch.compile)" in trained.stderr, trained.stderr
    assert repeated.returncode == 0, repeated.stderr
    assert RunDirectory(second).read_info()["recipe"]["compile"] == "default"
    assert (resumed.returncode, "made with other settings: compile." in resumed.stderr) == (2, True), resumed.stderr


@pytest.mark.usefixtures("traced", "without_pictures")
def test_a_shortage_of_memory_while_compiling_leaves_no_run(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names a batch that fits, as it does in a step."""
    rehearse = Optimization.rehearse

    def limited(self: Optimization, images: Tensor, targets: Tensor) -> None:
        if len(images) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        rehearse(self, images, targets)

    monkeypatch.setattr(Optimization, "rehearse", limited)
    with pytest.raises(UsageError, match="A batch of 16 images does not fit") as caught:
        train(replace(BACKBONE, compile="default"), tmp_path / "run", colours)

    assert "--batch-size 4." in caught.value.remedy
    assert not (tmp_path / "run").exists()
