"""Trainings on smaller images than the model's input."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers import seen_sizes
from helpers.small_backbone import SmallBackbone
from helpers.support import write_image_tree
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train import run_training
from torchstone_train.data.training_size import check_training_size, training_spec
from torchstone_train.networks.image_classifier import ImageClassifier
from torchstone_train.recipes.recipe import FieldError
from torchstone_train.recipes.resolve import get_recipe
from torchstone_train.training.progress import Progress

SPEC = InputSpec(color="RGB", height=24, width=36, mean=(0.5,) * 3, std=(0.5,) * 3)
CROPS = "random-resized-crop=0.35,flip"


def train(folder: Path, **fields: Any) -> str:  # noqa: ANN401
    """Train for an epoch on pictures of 40 x 40, brought to 24 x 24; return what was said."""
    recipe = replace(get_recipe("mlp"), **{"epochs": 1, "transforms": CROPS, **fields})
    photos = folder / "photos"
    if not photos.exists():
        write_image_tree(photos, {"a": 8, "b": 8}, side=40, mode="RGB")
    log = io.StringIO()
    request = run_training.TrainingRequest(
        recipe=recipe,
        dataset=DatasetRef.parse(f"folder:{photos}"),
        data_dir=folder,
        out=folder / "run",
        device="cpu",
        image_size=(24, 24),
        progress=Progress(1, log),
    )
    run_training.train(request)
    return log.getvalue()


@given(st.integers(8, 300), st.integers(8, 300), st.data())
def test_the_shorter_side_is_the_one_asked_for_and_the_shape_stays(
    height: int, width: int, data: st.DataObject
) -> None:
    """Up to half a pixel of the longer side."""
    shorter = min(height, width)
    size = data.draw(st.integers(8, shorter))
    spec = training_spec(replace(SPEC, height=height, width=width), size)
    assert min(spec.height, spec.width) == size
    assert abs(spec.height * shorter - height * size) <= shorter / 2
    assert abs(spec.width * shorter - width * size) <= shorter / 2


def test_without_a_size_the_images_are_those_of_the_model() -> None:
    """Zero stands for that."""
    assert training_spec(SPEC, 0) is SPEC


def test_more_than_the_models_input_is_refused() -> None:
    """No detail would be gained."""
    with pytest.raises(UsageError, match="more than the model's input of 24 x 36"):
        training_spec(SPEC, 25)


def test_steps_see_the_small_images_and_validation_the_models(tmp_path: Path) -> None:
    """So the figures are those of the model as it is exported."""
    seen_sizes.steps.clear()
    said = train(tmp_path, architecture="helpers.seen_sizes:build", train_size=16)
    assert seen_sizes.steps == {(16, 16)}
    assert seen_sizes.last_of_all == [(24, 24)]
    assert "steps    on 16 x 16; validated on 24 x 24" in said


@pytest.mark.parametrize("training", [True, False])
def test_a_network_for_any_size_is_left_as_it_was(training: bool) -> None:
    """Weights, statistics and mode."""
    model = ImageClassifier(SmallBackbone(), SPEC).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    check_training_size(model, SPEC, training_spec(SPEC, 16), taught=False)
    assert model.training is training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_network_for_one_size_is_refused_before_the_first_step(tmp_path: Path) -> None:
    """`mlp` has a weight for each pixel; no run is left."""
    with pytest.raises(UsageError, match="takes no images of 16 x 16 pixels") as refused:
        train(tmp_path, train_size=16)
    assert "Leave train_size out" in str(refused.value.remedy)
    assert not (tmp_path / "run").exists()


def test_a_teacher_wants_images_of_its_own_size() -> None:
    """It is a file with a fixed input."""
    model = ImageClassifier(SmallBackbone(), SPEC)
    with pytest.raises(UsageError, match="A teacher takes images of the model's size only"):
        check_training_size(model, SPEC, training_spec(SPEC, 16), taught=True)


@pytest.mark.parametrize("transforms", ["", "flip", "trivial-augment,flip"])
def test_pictures_that_are_not_cut_out_have_the_models_size_already(transforms: str) -> None:
    """The message says which transform is needed."""
    with pytest.raises(FieldError, match="begin with random-resized-crop"):
        replace(get_recipe("mlp"), transforms=transforms, train_size=16)


def test_a_share_in_the_place_of_pixels_is_refused() -> None:
    """As is anything too small to show something."""
    with pytest.raises(FieldError, match="8 or more"):
        replace(get_recipe("mlp"), transforms=CROPS, train_size=1)
