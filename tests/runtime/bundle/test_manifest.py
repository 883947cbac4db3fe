import contextlib
import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchstone_runtime.bundle.manifest import FileEntry, Manifest, parse_essentials, parse_manifest
from torchstone_runtime.errors import BundleError
from torchstone_runtime.images.input_spec import InputSpec

ENTRY = FileEntry("model.onnx", "0" * 64, 5)
MANIFEST = Manifest(
    name="cnn3",
    class_names=("boot", "Täschli"),
    input_spec=InputSpec(color="RGB", height=9, width=8, mean=(0.1, 0.2, 0.3), std=(1.0, 0.5, 0.25)),
    temperature=1.25,
    default_variant="fp32",
    variants={"fp32": ENTRY},
    files={"golden": FileEntry("golden.npz", "a" * 64, 0)},
    golden_tolerance=1e-4,
    provenance={"dataset": {"test": {"fingerprint": "f" * 64}}},
    metrics={"test": {"accuracy": 0.5}},
    certificate={"summary": ["fine"]},
)
JSON = MANIFEST.to_json()


def with_value(path: str, value: object) -> bytes:
    """Return the manifest with one value replaced; the path's keys are separated by dots."""
    data: Any = copy.deepcopy(JSON)
    *parents, last = path.split(".")
    target = data
    for key in parents:
        target = target[key]
    target[last] = value
    return json.dumps(data).encode()


def test_round_trip() -> None:
    """What is written is read back equal."""
    assert parse_manifest(json.dumps(JSON).encode()) == MANIFEST


def test_essentials_round_trip() -> None:
    """A lone ONNX file carries name, classes and input."""
    assert parse_essentials(MANIFEST.essentials()) == (MANIFEST.name, MANIFEST.class_names, MANIFEST.input_spec)


def test_a_cropped_input_makes_version_3_of_manifest_and_metadata() -> None:
    """Earlier readers refuse it; this one reads what was written."""
    spec = replace(MANIFEST.input_spec, fit="crop", resize=12, antialias=False)
    manifest = replace(MANIFEST, input_spec=spec)
    written = manifest.to_json()
    assert written["format_version"] == 3
    assert parse_manifest(json.dumps(written).encode()).input_spec == spec
    assert json.loads(manifest.essentials())["format_version"] == 3
    assert parse_essentials(manifest.essentials())[2] == spec


@pytest.mark.parametrize("key", sorted(set(JSON) - {"outputs"}))
def test_every_field_is_required(key: str) -> None:
    """A manifest without one of its fields is refused."""
    data = {name: value for name, value in JSON.items() if name != key}
    with pytest.raises(BundleError, match=r"not valid|not known|not a Torchstone bundle"):
        parse_manifest(json.dumps(data).encode())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"[" * 200_000, "not valid JSON"),
        (b'{"a":' * 200_000, "not valid JSON"),
        (b"{}", "not a Torchstone bundle"),
        (b"9" * 10_000, "not valid JSON"),
    ],
)
def test_what_is_no_manifest_is_refused(content: bytes, message: str) -> None:
    """Other JSON, no JSON, and nesting that would exhaust the stack."""
    with pytest.raises(BundleError, match=message):
        parse_manifest(content)


def test_a_later_version_says_what_to_do() -> None:
    """Both versions are named, and how to update."""
    refusal = r"(?s)format version 5; this installation reads versions up to 4.*pip install"
    with pytest.raises(BundleError, match=refusal):
        parse_manifest(with_value("format_version", 5))


@pytest.mark.parametrize("version", [0, -1, True, "1", None, [1]])
def test_other_versions_are_refused(version: object) -> None:
    """Only the numbers 1 to 4 are versions."""
    with pytest.raises(BundleError, match="format version"):
        parse_manifest(with_value("format_version", version))


@pytest.mark.parametrize(
    "name",
    [
        "../model.onnx",
        "a/b",
        "/etc/passwd",
        "..",
        ".",
        "",
        ".hidden",
        "a\\b",
        "a\n",
        "C:x",
        "a" * 101,
        "é.onnx",
        None,
        7,
    ],
)
@pytest.mark.parametrize("place", ["variants.fp32", "files.golden"])
def test_names_that_could_lead_outside_are_refused(place: str, name: object) -> None:
    """Only plain names are read."""
    with pytest.raises(BundleError, match="only plain names inside the bundle"):
        parse_manifest(with_value(f"{place}.file", name))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("variants.fp32.size", -1, "no valid size"),
        ("variants.fp32.size", 1.5, "no valid size"),
        ("variants.fp32.size", True, "no valid size"),
        ("variants.fp32.sha256", "0" * 63, "no valid SHA-256"),
        ("variants.fp32.sha256", "A" * 64, "no valid SHA-256"),
        ("variants.fp32", "model.onnx", "not valid"),
        ("variants", {}, "no such variant"),
        ("variants", [], "not valid"),
        ("default_variant", "int8", "no such variant"),
        ("classes", ["a", "a"], "holds a name twice"),
        ("classes", ["a"], "2 to 65,536"),
        ("classes", "ab", "2 to 65,536"),
        ("classes", ["a", 1], "expected text"),
        ("classes", ["a", "\x1b[2J"], "control characters"),
        ("classes", ["a", "\ud800"], "not valid Unicode"),
        ("temperature", 0, "positive number"),
        ("temperature", float("nan"), "positive number"),
        ("temperature", 10**400, "too large"),
        ("golden_tolerance", float("inf"), "positive number"),
        ("golden_tolerance", "1e-4", "positive number"),
        ("provenance", 3, "not valid"),
        ("input.height", 0, "must lie in"),
        ("input.width", 10**6, "must lie in"),
        ("input.height", 9.0, "whole number"),
        ("input.color", "CMYK", "color must be"),
        ("input.color", ["L"], "color must be"),
        ("input.resample", "best", "resample must be"),
        ("input.dtype", "float32", "reads 'uint8' only"),
        ("input.layout", "NHWC", "reads 'NCHW' only"),
        ("input.in_graph.std", [1, 1, 0], "greater than 0"),
        ("input.in_graph.mean", [0.5], "3 values"),
        ("input.in_graph.mean", [10**400] * 3, "not valid"),
        ("input.in_graph", None, "not valid"),
    ],
)
def test_values_out_of_range_are_refused(path: str, value: object, message: str) -> None:
    """Every field is checked when it is read, with a message that says what is wrong."""
    with pytest.raises(BundleError, match=message):
        parse_manifest(with_value(path, value))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(10**300, 10**400) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


def places(data: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the keys that lead to every value of a JSON document."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [found for key, value in items for found in [(*path, key), *places(value, (*path, key))]]


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(places(JSON)), json_values, st.booleans())
def test_any_change_gives_a_manifest_or_a_bundle_error(place: tuple[Any, ...], value: object, remove: bool) -> None:
    """One value anywhere replaced or removed: nothing but a `BundleError` ever escapes."""
    data: Any = copy.deepcopy(JSON)
    target = data
    for key in place[:-1]:
        target = target[key]
    if remove:
        del target[place[-1]]
    else:
        target[place[-1]] = value
    with contextlib.suppress(BundleError):
        assert isinstance(parse_manifest(json.dumps(data).encode()), Manifest)
