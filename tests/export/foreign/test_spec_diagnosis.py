"""The spec's diagnosis: an injected mistake is named with what to type, and a right spec is left alone."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw

from helpers.support_foreign import request_for
from torchstone_export.certificate.reference import Reference, SplitReference
from torchstone_export.cli.spec_options import spec_from_options, spec_options
from torchstone_export.foreign.adopt import OnnxSource, adopt_onnx
from torchstone_export.foreign.doubts import find_doubts
from torchstone_export.foreign.given_data import load_given_data
from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_export.foreign.spec_candidates import candidates_beside, changed_options
from torchstone_export.foreign.spec_diagnosis import BetterSpec, find_better_spec
from torchstone_export.foreign.spec_screening import Marks, Sample
from torchstone_runtime.arrays import Float64Array, Uint8Array
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.data.split import Split

RIGHT = ModelSpec(
    input=(3, 24, 24), color="RGB", mean=(0.5,) * 3, std=(0.5,) * 3, fit="crop", resize=27, resize_filter="bilinear"
)
"""What the model of these tests was made for."""
COUNT = 120


def picture(kind: int, rng: np.random.Generator) -> Image.Image:
    """A wide picture: in its middle a broad or a narrow block, red or blue, of sizes that overlap; noise."""
    image = Image.new("RGB", (96, 48), (110, 110, 110))
    pen = ImageDraw.Draw(image)
    color = (225, 40, 40) if kind % 2 == 0 else (40, 40, 225)
    half = (15 if kind < 2 else 9) + int(rng.integers(-4, 5))
    left = 48 + int(rng.integers(-2, 3))
    pen.rectangle((left - half, 8, left + half, 40), fill=color)
    noise = rng.integers(-50, 51, (48, 96, 1))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class Nearest:
    """A classifier that was made for `RIGHT`: the nearest mean image of a class, in normalised pixels."""

    centers: Float64Array

    @classmethod
    def fitted(cls, split: Split) -> "Nearest":
        """Take the mean image of each class."""
        images = prepared(RIGHT, np.concatenate(list(split.batches())))
        return cls(np.stack([images[split.labels == label].mean(axis=0) for label in range(4)]))

    def __call__(self, spec: ModelSpec, images: Uint8Array) -> Float64Array:
        """Return logits of images that were read, and are to be normalised, by a spec."""
        rows = prepared(spec, images)
        distances: Float64Array = ((rows[:, np.newaxis] - self.centers) ** 2).sum(axis=2)
        return -distances / 50


def prepared(spec: ModelSpec, images: Uint8Array) -> Float64Array:
    """The numbers that a model is given, as rows."""
    read = spec.input_spec()
    mean, std = (np.array(values).reshape(1, -1, 1, 1) for values in (read.mean, read.std))
    given = (images / 255 - mean) / std
    rows: Float64Array = (given[:, ::-1] if spec.color == "BGR" else given).reshape(len(images), -1)
    return rows


@dataclass(frozen=True)
class Scene:
    """Validation and test pictures of four classes in a folder, and a classifier that has seen others of them."""

    folder: Path
    splits: dict[str, Split]
    answer: Nearest


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Pictures on disk, divided as for an export."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for kind in range(4):
        (folder / f"kind{kind}").mkdir()
        for index in range(COUNT):
            picture(kind, rng).save(folder / f"kind{kind}" / f"{index:03}.png", compress_level=0)
    data = load_given_data(DatasetRef("folder", folder), folder, RIGHT)
    return Scene(folder, {"validation": data.validation, "test": data.test}, Nearest.fitted(data.train))


def diagnosed(stated: ModelSpec, scene: Scene) -> BetterSpec | None:
    """What is found for a model that was given the stated spec."""
    parts = {}
    for name, split in scene.splits.items():
        chunks = Sample(split, np.arange(len(split))).chunks()
        read = stated.input_spec()
        logits = np.concatenate([scene.answer(stated, chunk.read([read])[read]) for chunk in chunks])
        parts[name] = SplitReference(split, logits.astype(np.float32), logits)
    return find_better_spec(stated, parts, scene.answer)


MISTAKES: dict[str, dict[str, Any]] = {
    "color": {"color": "BGR"},
    "fit": {"fit": "stretch", "resize": None},
    "normalisation": {"mean": (0.0,) * 3, "std": (1.0,) * 3},
}


def written(answer: Nearest, path: Path) -> Path:
    """Write the classifier as an ONNX file of normalised images; up to a term of each image, its logits are linear."""
    weights = {"scale": answer.centers.T / 25, "bias": -(answer.centers**2).sum(axis=1) / 50}
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    nodes = [
        helper.make_node("Flatten", ["input"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "scale", "bias"], ["logits"]),
    ]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", *RIGHT.input])
    made = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(answer.centers)])
    graph = helper.make_graph(nodes, "nearest", [given], [made], tensors)
    opset = helper.make_opsetid("", 17)
    path.write_bytes(helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())
    return path


def test_an_adoption_tries_other_fits_of_its_pictures(scene: Scene, tmp_path: Path) -> None:
    """It holds them in memory as they are stated, and goes back to their files."""
    stated = replace(RIGHT, **MISTAKES["fit"])
    request = replace(request_for(tmp_path, tmp_path), dataset=DatasetRef("folder", scene.folder))
    adopted = adopt_onnx(OnnxSource(written(scene.answer, tmp_path / "nearest.onnx"), stated), request)

    assert [warning for warning in adopted.warnings if "--fit crop --resize 27" in warning]


def test_a_part_of_pictures_in_memory_has_its_own_files(scene: Scene) -> None:
    """In the order of the part."""
    split = scene.splits["test"]
    chosen = np.array([5, 2, 9])
    files = Sample(split, chosen).files
    assert Sample(split.in_memory().select(chosen, "test"), np.arange(3)).files == files
    assert len({path.name for path in files}) > 1


@pytest.mark.parametrize("factor", MISTAKES)
def test_an_injected_mistake_is_named_with_what_to_type(factor: str, scene: Scene) -> None:
    """One factor alone: others are not accused."""
    found = diagnosed(replace(RIGHT, **MISTAKES[factor]), scene)

    assert found is not None
    assert found.factors == (factor,)
    assert found.accuracy > found.stated_accuracy + 0.1
    assert found.options in found.describe()


def test_two_mistakes_at_once_are_both_named(scene: Scene) -> None:
    """The best change of one factor is kept, and the next looked for from there."""
    found = diagnosed(replace(RIGHT, **MISTAKES["color"], **MISTAKES["fit"]), scene)

    assert found is not None
    assert set(found.factors) == {"color", "fit"}
    assert "--color RGB" in found.options
    assert "--fit crop" in found.options


def test_a_right_spec_is_left_alone(scene: Scene) -> None:
    """Others may do as well; none does clearly better."""
    assert diagnosed(RIGHT, scene) is None


def specs() -> Iterator[ModelSpec]:
    """Specs of several kinds."""
    yield RIGHT
    yield replace(RIGHT, color="BGR", mean=(0.406, 0.456, 0.485), std=(0.225, 0.224, 0.229))
    yield replace(RIGHT, fit="pad", resize=None, fill=114, antialias=False)
    yield ModelSpec(input=(1, 28, 28), color="L", mean=(0.0,), std=(1.0,), fit="stretch", resize_filter="lanczos")
    yield ModelSpec(
        input=(3, 9, 9), color="RGB", mean=(0.0,) * 3, std=(1.0,) * 3, pixel_range="0-255", dtype="uint8", fit="crop"
    )


@pytest.mark.parametrize("spec", list(specs()))
def test_every_candidate_is_another_valid_spec_and_can_be_typed(spec: ModelSpec) -> None:
    """None is there twice, and its options name each thing that differs."""
    found = [item.spec for item in candidates_beside(spec, pictures=True)]

    assert spec not in found
    assert len(set(found)) == len(found)
    for other in found:
        other.input_spec()
        assert changed_options(spec, other).startswith("--")


@click.command()
@spec_options
def read_options(**options: Any) -> ModelSpec:  # noqa: ANN401 - those of `spec_options`
    """Read a spec from the command line."""
    return spec_from_options(options)


def test_the_options_named_beside_a_source_give_the_spec_that_was_tested() -> None:
    """Whatever the source would do to other fields for them; numbers to the six digits that are shown."""
    source = ["--preprocess", "torchvision:ResNet50_Weights.IMAGENET1K_V2"]
    spec = read_options.main(source, standalone_mode=False)

    for item in candidates_beside(spec, pictures=True):
        typed = shlex.split(changed_options(spec, item.spec))
        found = read_options.main([*source, *typed], standalone_mode=False)
        assert replace(found, mean=item.spec.mean, std=item.spec.std) == item.spec
        assert (*found.mean, *found.std) == pytest.approx((*item.spec.mean, *item.spec.std), rel=1e-5)


def test_a_model_that_takes_uint8_has_no_other_normalisation() -> None:
    """It does that itself."""
    *_, spec = specs()

    assert {item.factor for item in candidates_beside(spec, pictures=False)} == {"color"}


def test_a_model_that_fails_on_other_numbers_is_exported_all_the_same(scene: Scene) -> None:
    """Its code may refuse what it was not made for; then it is said that nothing was checked."""
    told: list[str] = []
    parts = {
        name: SplitReference(split, np.zeros((len(split), 4), dtype=np.float32), np.zeros((len(split), 4)))
        for name, split in scene.splits.items()
    }

    def refuse(spec: ModelSpec, images: Uint8Array) -> Float64Array:
        raise ValueError(f"expected numbers from -1 to 1, not {len(images)} images of {spec.color}")

    doubts = find_doubts(RIGHT, Reference(parts), refuse, told.append)

    assert "the spec was not checked" in told[-1]
    assert "expected numbers from -1 to 1" in told[-1]
    assert all("McNemar" not in line for line in doubts)


def test_answers_that_are_no_numbers_are_wrong_ones() -> None:
    """Not an accident of where NaN stands."""
    marks = Marks.of(np.array([[np.nan, 0.0], [2.0, 0.0], [np.inf, 0.0]]), np.zeros(3, dtype=np.int64))

    assert marks.right.tolist() == [False, True, False]
