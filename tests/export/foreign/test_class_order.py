"""A warning where another order of the classes, or chance, explains a model's answers; none for a right model."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from helpers.support import run_torchstone
from helpers.support_foreign import models_module, request_for, spec_of, write_weights
from torchstone_export.foreign.adopt import OnnxSource, adopt_onnx
from torchstone_export.foreign.class_order import LabelledDecisions, at_least, find_order
from torchstone_export.foreign.export_module import export_module
from torchstone_export.foreign.module_model import ModuleSource

UINT8 = {"dtype": "uint8", "mean": None, "std": None}
NAMES = ("ant", "bee", "cat", "dog", "eel")


def nearest_shade(centres: list[float]) -> onnx.ModelProto:
    """An ONNX file that takes uint8 and gives for each output how near the picture's shade is to its centre."""
    nodes = [
        helper.make_node("Cast", ["input"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["float"], ["shade"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["shade", "axes"], ["column"]),
        helper.make_node("Sub", ["column", "centres"], ["away"]),
        helper.make_node("Mul", ["away", "away"], ["square"]),
        helper.make_node("Mul", ["square", "unit"], ["output"]),
    ]
    tensors: dict[str, np.ndarray[Any, Any]] = {
        "axes": np.array([1], dtype=np.int64),
        "centres": np.array(centres, dtype=np.float32),
        "unit": np.array(-0.01, dtype=np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("input", TensorProto.UINT8, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", len(centres)])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write_shades(path: Path, names: tuple[str, ...], count: int, spread: float = 6) -> list[float]:
    """Write pictures whose shade lies around the centre of their class; return the centres."""
    generator = np.random.default_rng(7)
    centres = [float(centre) for centre in np.linspace(30, 220, len(names))]
    labels = np.arange(count) % len(names)
    shades = np.clip(generator.normal(np.array(centres)[labels], spread), 0, 255).astype(np.uint8)
    images = np.broadcast_to(shades[:, None, None, None], (count, 3, 8, 8))
    np.savez(path, images=images, labels=labels, class_names=list(names))
    return centres


def warnings_for(order: list[int], folder: Path, *, count: int = 400, spread: float = 6, **fields: object) -> list[str]:
    """Adopt a model whose outputs stand for these classes of the data; return the warnings."""
    names = NAMES[: len(order)]
    centres = write_shades(folder / "data.npz", names, count, spread)
    onnx.save(nearest_shade([centres[index] for index in order]), folder / "made.onnx")
    spec = spec_of(**UINT8, **fields)
    return adopt_onnx(OnnxSource(folder / "made.onnx", spec), request_for(folder, folder / "data.npz")).warnings


@pytest.mark.parametrize(
    ("order", "given"),
    [
        ([1, 0], "bee,ant"),
        ([2, 0, 1], "cat,ant,bee"),
        ([0, 2, 1, 3], "ant,cat,bee,dog"),
        ([4, 3, 2, 1, 0], "eel,dog,cat,bee,ant"),
        ([3, 2, 0, 1, 4], "dog,cat,ant,bee,eel"),
    ],
)
@pytest.mark.parametrize("spread", [6, 35])
def test_an_order_that_explains_the_answers_is_named(
    order: list[int], given: str, spread: float, tmp_path: Path
) -> None:
    """Two exchanged classes among others too, and of a model that is often wrong."""
    [warning] = warnings_for(order, tmp_path, spread=spread)

    assert f"The predictions fit better if the classes are in this order: {given.replace(',', ', ')}." in warning
    assert f'--classes "{given}"' in warning


def test_the_classes_that_the_warning_names_end_it(tmp_path: Path) -> None:
    """And give the accuracy that it told."""
    [warning] = warnings_for([2, 0, 1], tmp_path)
    (tmp_path / "again").mkdir()
    spec = spec_of(**UINT8, classes=warning.split('--classes "')[1].split('"')[0])
    exported = adopt_onnx(
        OnnxSource(tmp_path / "made.onnx", spec), request_for(tmp_path / "again", tmp_path / "data.npz")
    )

    assert exported.warnings == []
    assert "Then 81 of 81 test images" in warning


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize(("count", "spread"), [(20, 6), (400, 6), (400, 35), (400, 60), (60, 60)])
def test_a_model_in_the_right_order_gets_no_warning(classes: int, count: int, spread: float, tmp_path: Path) -> None:
    """However small the data or weak the model."""
    assert warnings_for(list(range(classes)), tmp_path, count=count, spread=spread) == []


def test_an_order_that_the_owner_stated_is_doubted_as_such(tmp_path: Path) -> None:
    """Where the data says otherwise."""
    [warning] = warnings_for([0, 1, 2], tmp_path, classes="cat,bee,ant")

    assert "in the order stated, which was used" in warning
    assert '--classes "ant,bee,cat"' in warning


@pytest.mark.parametrize("constant", [True, False])
def test_answers_that_chance_explains_are_told(constant: bool, tmp_path: Path) -> None:
    """Always the same answer, or labels that have nothing to do with the pictures."""
    centres = write_shades(tmp_path / "data.npz", NAMES[:4], 400)
    content = dict(np.load(tmp_path / "data.npz"))
    if not constant:
        content["labels"] = np.random.default_rng(1).permutation(content["labels"])
    np.savez(tmp_path / "data.npz", **content)
    onnx.save(nearest_shade([-1e3, 30, -1e3, -1e3] if constant else centres), tmp_path / "made.onnx")
    exported = adopt_onnx(
        OnnxSource(tmp_path / "made.onnx", spec_of(**UINT8)), request_for(tmp_path, tmp_path / "data.npz")
    )

    [warning] = exported.warnings
    assert "no more than chance explains" in warning
    assert "their order is the data's" in warning


def test_many_classes_are_named_by_those_that_move(tmp_path: Path) -> None:
    """Not all of 24 names; they come from a file then."""
    names = tuple(f"kind {index:02}" for index in range(24))
    centres = write_shades(tmp_path / "data.npz", names, 2400, spread=1)
    order = [*range(22), 23, 22]
    onnx.save(nearest_shade([centres[index] for index in order]), tmp_path / "made.onnx")
    exported = adopt_onnx(
        OnnxSource(tmp_path / "made.onnx", spec_of(**UINT8)), request_for(tmp_path, tmp_path / "data.npz")
    )

    [warning] = exported.warnings
    assert "output 22 is 'kind 23', output 23 is 'kind 22'; outputs are counted from 0" in warning
    assert "--classes @FILE, one name per line" in warning


def test_one_output_whose_classes_are_exchanged_is_told(tmp_path: Path) -> None:
    """The positive class came first by the alphabet: on the command line, as a warning."""
    centres = write_shades(tmp_path / "data.npz", ("cat", "dog"), 200)
    model = nearest_shade(centres[:1])
    model.graph.node.append(helper.make_node("Add", ["output", "enough"], ["logit"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array(90, dtype=np.float32), "enough"))
    model.graph.output[0].name = "logit"
    onnx.save(model, tmp_path / "made.onnx")
    common = ("made.onnx", "--input", "3x8x8", "--dtype", "uint8", "--data", "npz:data.npz")
    first = run_torchstone("adopt", *common, "--out", "one", cwd=tmp_path)
    second = run_torchstone("adopt", *common, "--out", "two", "--classes", "dog,cat", cwd=tmp_path)
    verified = run_torchstone("verify", "two", "--data", "npz:data.npz", cwd=tmp_path)
    evaluated = run_torchstone("evaluate", "two", "--data", "npz:data.npz", "--min-accuracy", "0.99", cwd=tmp_path)

    assert first.returncode == 0, first.stderr
    assert "Warning: The predictions fit better if the classes are in this order: dog, cat." in first.stderr
    assert second.returncode == 0, second.stderr
    assert "Warning" not in second.stderr
    for result in (verified, evaluated):
        assert result.returncode == 0, result.stderr


def test_a_module_is_doubted_likewise(tmp_path: Path) -> None:
    """`export --module`: a network that was trained with the classes in another order."""
    generator = np.random.default_rng(3)
    labels = np.arange(400) % 4
    images = generator.integers(0, 60, (400, 3, 8, 8), dtype=np.uint8)
    for row, label in enumerate(labels):
        images[row, :, (label // 2) * 4 : (label // 2) * 4 + 4, (label % 2) * 4 : (label % 2) * 4 + 4] += 180
    np.savez(tmp_path / "data.npz", images=images, labels=labels, class_names=["a", "b", "c", "d"])
    with models_module(tmp_path) as models:
        torch.manual_seed(0)
        module = models.Net()
        mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3)))
        optimizer = torch.optim.Adam(module.parameters(), 0.01)
        owners = torch.tensor([1, 3, 0, 2])[torch.from_numpy(labels)]
        for _ in range(30):
            optimizer.zero_grad()
            logits = module((torch.from_numpy(images) / 255 - mean) / std)
            torch.nn.functional.cross_entropy(logits, owners).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        source = ModuleSource(
            factory="foreign_models:Net", weights=write_weights(module, tmp_path / "net.pt"), spec=spec_of()
        )
        exported = export_module(source, request_for(tmp_path, tmp_path / "data.npz"))

    [warning] = exported.warnings
    assert '--classes "c,a,d,b"' in warning


@settings(deadline=None)
@given(st.integers(2, 30), st.integers(0, 2**32 - 1), st.floats(0.45, 1.0), st.integers(2, 40))
def test_a_right_model_is_never_given_another_order(classes: int, seed: int, accuracy: float, each: int) -> None:
    """Whose mistakes fall anywhere."""
    generator = np.random.default_rng(seed)

    def answers() -> LabelledDecisions:
        labels = np.repeat(np.arange(classes), each)
        wrong = generator.random(len(labels)) > accuracy
        return LabelledDecisions(np.where(wrong, generator.integers(0, classes, len(labels)), labels), labels)

    np.testing.assert_array_equal(find_order(answers(), answers(), classes), np.arange(classes))


@settings(deadline=None)
@given(st.integers(2, 30), st.integers(0, 2**32 - 1), st.floats(0.7, 1.0), st.integers(20, 40))
def test_another_order_is_found_whatever_it_is(classes: int, seed: int, accuracy: float, each: int) -> None:
    """Any permutation."""
    generator = np.random.default_rng(seed)
    true = generator.permutation(classes)
    assume((true != np.arange(classes)).any())

    def answers() -> LabelledDecisions:
        labels = np.repeat(np.arange(classes), each)
        wrong = generator.random(len(labels)) > accuracy
        return LabelledDecisions(np.where(wrong, generator.integers(0, classes, len(labels)), true[labels]), labels)

    np.testing.assert_array_equal(find_order(answers(), answers(), classes), true)


@pytest.mark.parametrize("others", [[], [(1, 1), (1, 1), (2, 0)]])
def test_one_answer_to_almost_everything_is_no_other_order(others: list[tuple[int, int]]) -> None:
    """The most frequent class would be right then, but chance explains it."""
    labels, decided = np.repeat([0, 1, 2], [70, 20, 10]), np.full(100, 2)
    labels = np.concatenate([labels, [label for label, _ in others]]).astype(np.int64)
    decided = np.concatenate([decided, [answer for _, answer in others]]).astype(np.int64)
    answers = LabelledDecisions(decided, labels)

    np.testing.assert_array_equal(find_order(answers, answers, 3), np.arange(3))


@pytest.mark.parametrize(("kept", "exchanged"), [(40, 55), (50, 50), (34, 60)])
def test_an_order_that_is_only_a_little_better_is_not_told(kept: int, exchanged: int) -> None:
    """Two classes that a right model takes for each other."""
    each = np.repeat([0, 1, 2], [kept, exchanged, 100 - kept - exchanged])
    labels = np.repeat([0, 1], 100)
    decided = np.concatenate([each, np.array([1, 0, 2])[each]])
    answers = LabelledDecisions(np.concatenate([decided, np.full(100, 2)]), np.concatenate([labels, np.full(100, 2)]))

    np.testing.assert_array_equal(find_order(answers, answers, 3), np.arange(3))


@pytest.mark.parametrize(
    ("successes", "trials", "probability", "expected"),
    [(0, 5, 0.3, 1.0), (5, 5, 0.5, 1 / 32), (2, 3, 0.5, 0.5), (1, 4, 0.0, 0.0), (9, 10, 0.9, 0.7360989)],
)
def test_the_tail_of_the_binomial_distribution(
    successes: int, trials: int, probability: float, expected: float
) -> None:
    """By hand."""
    assert at_least(successes, trials, probability) == pytest.approx(expected)
