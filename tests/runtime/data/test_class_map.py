"""Maps from the data's names of classes to the model's."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.in_process import run_in_process
from helpers.support import assert_refused, write_image_tree
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.data.class_map import ClassMap
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.errors import DataError
from torchstone_runtime.evaluation.choose_split import choose_split
from torchstone_runtime.evaluation.evaluate import evaluate
from torchstone_runtime.images.encode import encode_png
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.inference.classifier import Classifier

MODEL = ("T-shirt/top", "Café", "Bag")
FORMS = {
    "m.json": '{"tops": "T-shirt/top", "cafe": "Café", "hats": null}',
    "m.toml": 'tops = "T-shirt/top"\r\n"cafe" = "Café"\nhats = ""\n',
    "m.csv": "tops,T-shirt/top\ncafe,Café\nhats,\n",
    "h.CSV": 'data,model\r\n"tops","T-shirt/top"\r\ncafe,Café\r\nhats,\r\n',
}


def write(path: Path, text: str, *, bom: bool = False) -> Path:
    """Write a file in UTF-8."""
    path.write_bytes(text.encode("utf-8-sig" if bom else "utf-8"))
    return path


def split_of(names: tuple[str, ...], labels: list[int], *, names_given: bool = True) -> Split:
    """Return a split whose n-th image has the level n."""
    levels = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    ids = [f"i{index}" for index in range(len(labels))]
    return Split("test", ArrayStore(levels), np.array(labels, dtype=np.int64), names, ids, names_given)


@pytest.mark.parametrize("bom", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_every_format_says_the_same(tmp_path: Path, name: str, *, bom: bool) -> None:
    """With a byte order mark or without; TOML and CSV leave a class out by an empty name."""
    found = ClassMap.read(write(tmp_path / name, FORMS[name], bom=bom))
    assert found.names == {"tops": "T-shirt/top", "cafe": "Café", "hats": None}
    assert found.source == str(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("m.json", '{"a": "Bag", "a": "Bag"}', "names the data's class 'a' twice"),
        ("m.json", f'{{"{unicodedata.normalize("NFD", "é")}": "Bag", "é": "Bag"}}', "twice"),
        ("m.csv", "a,Bag\na,Bag\n", "names the data's class 'a' twice"),
        ("m.toml", 'a = "Bag"\na = "Bag"\n', "not valid"),
        ("m.json", '["Bag"]', "it is not an object"),
        ("m.json", "{", "not valid"),
        ("m.json", "[" * 100_000, "not valid"),
        ("m.json", "{}", "names no class"),
        ("m.csv", "data,model\n", "names no class"),
        ("m.json", '{"a": 3}', "'a' = 3 is not a pair of names"),
        ("m.json", '{"a": {"b": "Bag"}}', "is not a pair of names"),
        ("m.json", '{"": "Bag"}', "is not a pair of names"),
        ("m.toml", '[a]\nb = "Bag"\n', "is not a pair of names"),
        ("m.csv", "a,Bag,c\n", "row 1 has 3 fields"),
        ("m.csv", 'a,"Bag\n', "not valid"),
        ("m.txt", "a,Bag\n", "no ending that says its format"),
    ],
)
def test_an_unusable_file_is_refused_with_the_reason(tmp_path: Path, name: str, text: str, told: str) -> None:
    """One message with the file's name, and the formats."""
    with pytest.raises(DataError, match=told):
        ClassMap.read(write(tmp_path / name, text))


def test_a_file_in_another_encoding_or_none_at_all_is_refused(tmp_path: Path) -> None:
    """Latin-1 would give other names without a word."""
    (tmp_path / "m.csv").write_bytes("Café,Bag\n".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        ClassMap.read(tmp_path / "m.csv")
    with pytest.raises(DataError, match="No such file"):
        ClassMap.read(tmp_path / "n.csv")


def test_classes_are_renamed_merged_and_left_out() -> None:
    """A name that the model has needs no entry; what was left out is counted by the data's name."""
    data = split_of(("hats", "Bag", "polo", "tops"), [0, 1, 2, 3, 0, 3])
    found = ClassMap.of({"polo": MODEL[0], "tops": MODEL[0], "hats": None, "gloves": "Bag"}.items()).apply(data, MODEL)
    assert (found.class_names, found.labels.tolist()) == (MODEL, [2, 0, 0, 0])
    assert list(found.ids) == ["i1", "i2", "i3", "i5"]
    assert found.store.read(np.arange(4)).ravel().tolist() == [1, 2, 3, 5]
    assert found.mapped is not None
    assert found.mapped.to_json() == {
        "file": "the class map",
        "classes": {"hats": None, "Bag": "Bag", "polo": MODEL[0], "tops": MODEL[0]},
        "left_out": {"hats": 2},
        "images_left_out": 2,
        "unused": ["gloves"],
    }
    assert found.select(np.array([0]), "part").mapped == found.in_memory().mapped == found.mapped


def test_normal_forms_of_unicode_are_equal() -> None:
    """A folder from a Mac is decomposed; the names of the model stay as the model has them."""
    apart = unicodedata.normalize("NFD", "Café")
    assert ClassMap.of([("x", apart)]).resolve(["x", apart], MODEL) == {"x": "Café", apart: "Café"}
    assert ClassMap.of([(apart, "Bag")]).resolve(["Café"], MODEL) == {"Café": "Bag"}
    assert ClassMap.of([("x", "Café")]).resolve(["x"], (apart,)) == {"x": apart}


@pytest.mark.parametrize(
    ("pairs", "found", "told"),
    [
        ({"tops": "T-shirt/tops"}, ["tops"], r"does not have: T-shirt/tops \(did you mean 'T-shirt/top'\?\)"),
        ({"tops": "zzz"}, ["tops"], r"does not have: zzz\."),
        (
            {"tops": MODEL[0]},
            ["tops", "bga"],
            r"neither in the class map nor the model's: bga \(did you mean 'Bag'\?\)",
        ),
        ({"socks": None}, ["sock", "Bag"], r"sock \(did you mean 'socks'\?\)"),
    ],
)
def test_a_class_that_nobody_knows_is_refused(pairs: dict[str, str | None], found: list[str], told: str) -> None:
    """Near misses are suggested, whatever the case."""
    with pytest.raises(DataError, match=told):
        ClassMap.of(pairs.items()).resolve(found, MODEL)


def test_a_map_that_leaves_nothing_is_refused() -> None:
    """There would be nothing to measure on."""
    with pytest.raises(DataError, match="leaves out every image of the test split"):
        ClassMap.of([("a", None)]).apply(split_of(("a",), [0, 0]), MODEL)


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=30),
    st.lists(st.sampled_from([*MODEL, None]), min_size=5, max_size=5),
)
def test_every_image_is_either_kept_with_its_name_or_counted(labels: list[int], targets: list[str | None]) -> None:
    """Whatever is mapped to what, in the data's order and in that of the classes."""
    names = tuple("vwxyz")
    data, mapping = split_of(names, labels), ClassMap.of(zip(names, targets, strict=True))
    expected = {f"i{index}": targets[label] for index, label in enumerate(labels) if targets[label] is not None}
    for by_class in (False, True):
        if not expected:
            with pytest.raises(DataError, match="every image"):
                mapping.apply(data, MODEL, by_class=by_class)
            continue
        found = mapping.apply(data, MODEL, by_class=by_class)
        assert {name: MODEL[label] for name, label in zip(found.ids, found.labels, strict=True)} == expected
        assert found.mapped is not None
        assert len(found) + sum(found.mapped.left_out.values()) == len(labels)
        assert (np.diff(found.labels) >= 0).all() or not by_class


def test_a_folder_renamed_is_the_folder_that_was_trained_on(tmp_path: Path, gray: InputSpec) -> None:
    """Same images, labels and order: what was held out is found again, and is what `auto` measures."""
    plain = write_image_tree(tmp_path / "plain", {"ant": 10, "bee": 15})
    turned = write_image_tree(tmp_path / "turned", {"ant": 10, "bee": 15})
    (turned / "ant").rename(turned / "zzz")
    names = ("ant", "bee")
    own = Dataset(DatasetRef("folder", plain), tmp_path, gray, names)
    mapped = Dataset(DatasetRef("folder", turned), tmp_path, gray, names, ClassMap.of([("zzz", "ant")]))
    assert mapped.whole().fingerprint == own.whole().fingerprint
    provenance = {"dataset": {"test": {"fingerprint": own.test().fingerprint}}}
    assert choose_split(mapped, "auto", provenance)[0].name == "test"


def test_a_test_part_may_lack_classes_of_the_training_part(tmp_path: Path, gray: InputSpec) -> None:
    """The map is held against the classes of all parts."""
    write_image_tree(tmp_path / "train", {"a": 3, "b": 3})
    write_image_tree(tmp_path / "test", {"a": 2})
    mapping = ClassMap.of([("a", "ant"), ("b", "bee")])
    found = Dataset(DatasetRef("folder", tmp_path), tmp_path, gray, ("bee", "ant"), mapping).test()
    assert (found.labels.tolist(), found.class_names) == ([1, 1], ("bee", "ant"))
    assert found.mapped is not None
    assert not found.mapped.unused


def test_evaluate_takes_a_map_in_python(classifier: Classifier, digits: Split) -> None:
    """As a dictionary; the figures are those of the same images under the model's names."""
    part = digits.select(np.arange(200), "part")
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    named = Split("part", part.store, part.labels, words, part.ids)
    mapping: dict[str, str | None] = dict(zip(words, classifier.class_names, strict=True))
    assert (
        evaluate(classifier, named, class_map=mapping).decisions_sha256 == evaluate(classifier, part).decisions_sha256
    )
    without = evaluate(classifier, named, class_map=mapping | {"zero": None})
    assert without.split.mapped is not None
    assert without.split.mapped.left_out == {"zero": int((part.labels == 0).sum())}
    assert without.metrics.total == 200 - without.split.mapped.left_out["zero"]


@pytest.fixture
def words(tmp_path: Path, digits: Split) -> Path:
    """A folder of digits, named in words, with one class of something else."""
    root = tmp_path / "words"
    for label, name in enumerate(("zero", "one", "two")):
        (root / name).mkdir(parents=True)
        for index in np.flatnonzero(digits.labels == label)[:5]:
            (root / name / f"{index}.png").write_bytes(encode_png(digits.store.read(np.array([index]))[0]))
    write_image_tree(root, {"other": 3}, side=28)
    return root


def test_the_commands_take_a_map_and_record_it(digits_bundle: Path, words: Path, tmp_path: Path) -> None:
    """`evaluate`, `robustness` and `compare`; classes that are left out are named and counted."""
    mapping = write(tmp_path / "map.csv", "zero,0\none,1\ntwo,2\nother,\n")
    data = ("--data", f"folder:{words}", "--class-map", mapping, "--json", "-")
    report = tmp_path / "report.html"
    evaluated = run_in_process("evaluate", digits_bundle, *data, "--report", report)
    corrupted = run_in_process("robustness", digits_bundle, *data, "--corruption", "gaussian-noise", "--severity", "1")
    compared = run_in_process("compare", digits_bundle, digits_bundle, *data, "--no-speed")
    for result in (evaluated, corrupted, compared):
        assert result.returncode == 0, result.stderr
        assert f"left out by {mapping}: 3 images of other (3)" in result.stderr
    record = json.loads(evaluated.stdout)["data"]["class_map"]
    assert record == json.loads(corrupted.stdout)["data"]["class_map"] == json.loads(compared.stdout)["class_map"]
    assert record["classes"] == {"one": "1", "other": None, "two": "2", "zero": "0"}
    assert (record["images_left_out"], record["file"]) == (3, str(mapping))
    assert json.loads(evaluated.stdout)["metrics"]["samples"] == 15
    assert f"named by {mapping}; 3 images left out" in report.read_text()


def test_a_folder_with_other_names_tells_of_the_option(digits_bundle: Path, words: Path, tmp_path: Path) -> None:
    """Without a map, and with one that names a class that the model doesn't have."""
    assert_refused(run_in_process("evaluate", digits_bundle, "--data", f"folder:{words}"), "--class-map FILE")
    mapping = write(tmp_path / "map.json", '{"zero": "O"}')
    result = run_in_process("evaluate", digits_bundle, "--data", f"folder:{words}", "--class-map", mapping)
    assert_refused(result, "names classes that the model does not have: O", str(mapping))


@pytest.mark.data
def test_a_folder_of_pictures_measures_the_built_in_model(data_dir: Path, tmp_path: Path) -> None:
    """`T-shirt/top` can't be a folder's name; the accuracy is that of the dataset on the same images."""
    with Classifier.load("fashion", provider="cpu") as fashion:
        part = Dataset(DatasetRef("fashion-mnist"), data_dir).test().select(np.arange(400), "part")
        expected = evaluate(fashion, part).metrics
        folders = [name.replace("/", " or ").lower() for name in fashion.class_names]
        names = dict(zip(folders, fashion.class_names, strict=True))
    for index, pixels in enumerate(part.store.read(np.arange(len(part)))):
        folder = tmp_path / "pictures" / folders[part.labels[index]]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index}.png").write_bytes(encode_png(pixels))
    mapping = write(tmp_path / "map.json", json.dumps(names))
    result = run_in_process(
        *("evaluate", "fashion", "--data", f"folder:{tmp_path / 'pictures'}", "--class-map", mapping, "--json", "-")
    )
    found = json.loads(result.stdout)["metrics"]
    assert (found["accuracy"], found["confusion_matrix"]) == (expected.accuracy, expected.confusion.tolist())
