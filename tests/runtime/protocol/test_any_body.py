"""Requests that are damaged in any way: read as what they say, or refused; and what is written is read back."""

import base64
import gzip
import json
import math
import struct
import zlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchstone_runtime.protocol.body import decompress, split_body
from torchstone_runtime.protocol.infer_answer import write_infer_answer
from torchstone_runtime.protocol.infer_request import (
    InferRequest,
    RequestLimits,
    WantedOutput,
    read_infer_request,
)
from torchstone_runtime.protocol.request_error import RequestError

LIMITS: Final = RequestLimits((1, 2, 3), 5)
_JSON: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(["images", "encoded", "UINT8", "BYTES", "logits", "YWJj", "é", "\ud800", ""]),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.sampled_from(["a", "name"]), inner, max_size=2),
    max_leaves=12,
)
_SHAPES: Final = st.lists(st.integers(-1, 6) | st.sampled_from([2**31, 2**63, 2**64]), max_size=5) | st.sampled_from(
    [[1, 1, 2, 3], [2, 1, 2, 3], [1], [2], [1, 1]]
)
_TENSORS: Final = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["images", "encoded"]) | _JSON,
        "datatype": st.sampled_from(["UINT8", "BYTES", "FP32"]) | _JSON,
        "shape": _SHAPES | _JSON,
    },
    optional={
        "data": st.lists(st.integers(-1, 256), max_size=12)
        | st.lists(st.lists(st.integers(0, 255), max_size=6))
        | _JSON,
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": st.integers(-1, 30) | _JSON}) | _JSON,
    },
)
_OUTPUTS: Final = st.fixed_dictionaries(
    {"name": st.sampled_from(["logits", "probabilities"]) | _JSON},
    optional={
        "parameters": st.fixed_dictionaries(
            {}, optional={"binary_data": st.booleans() | _JSON, "classification": st.integers(-1, 9) | _JSON}
        )
        | _JSON
    },
)
_REQUESTS: Final = st.fixed_dictionaries(
    {"inputs": st.lists(_TENSORS, max_size=3) | _JSON},
    optional={
        "id": st.text(max_size=5) | _JSON,
        "outputs": st.lists(_OUTPUTS, max_size=3) | _JSON,
        "parameters": st.fixed_dictionaries(
            {}, optional={"binary_data_output": st.booleans() | _JSON, "timeout": st.integers(-1, 10) | _JSON}
        )
        | _JSON,
    },
)


def read(body: bytes, length: str | None) -> InferRequest | None:
    """Read a request; None where it was refused with a status of the client's."""
    try:
        return read_infer_request(body, length, LIMITS)
    except RequestError as error:
        refusal = error
    assert refusal.status in (400, 413)
    assert "\n" not in refusal.problem
    return None


def assert_within_limits(found: InferRequest) -> None:
    """Check what the model would be given."""
    if found.images is None:
        assert len(found.files) >= 1
    else:
        assert found.files == ()
        assert found.images.dtype == np.uint8
        assert found.images.shape[1:] == LIMITS.shape
        assert 1 <= len(found.images) <= LIMITS.images
    names = [wanted.name for wanted in found.outputs]
    assert len(names) == len(set(names)) >= 1
    assert found.timeout is None or found.timeout > 0


@settings(max_examples=300, deadline=None)
@given(_REQUESTS, st.binary(max_size=30), st.integers(-2, 2) | st.none())
def test_any_request_is_read_or_refused(data: object, binary: bytes, slip: int | None) -> None:
    """With binary tensors behind its JSON, and a length that is right or a little wrong."""
    text = json.dumps(data).encode()
    found = read(text + binary, None if slip is None else str(len(text) + slip))
    if found is not None:
        assert_within_limits(found)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60), st.none() | st.text(max_size=5) | st.integers(-1, 80).map(str))
def test_any_bytes_are_read_or_refused(body: bytes, length: str | None) -> None:
    """Also as a bare picture, whose length is 0."""
    found = read(body, length)
    if found is not None:
        assert_within_limits(found)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=9), min_size=1, max_size=5), st.booleans())
def test_files_arrive_as_they_were_sent(files: list[bytes], in_json: bool) -> None:
    """As byte strings with their lengths, or as Base64."""
    entry: dict[str, Any] = {"name": "encoded", "datatype": "BYTES", "shape": [len(files)]}
    binary = b"" if in_json else b"".join(struct.pack("<I", len(file)) + file for file in files)
    if in_json:
        entry["data"] = [base64.b64encode(file).decode() for file in files]
    else:
        entry["parameters"] = {"binary_data_size": len(binary)}
    text = json.dumps({"inputs": [entry]}).encode()
    assert read_infer_request(text + binary, str(len(text)), LIMITS).files == tuple(files)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.sampled_from(["nested", "flat", "binary"]), st.integers(0, 2**32 - 1))
def test_pixels_arrive_as_they_were_sent(count: int, form: str, seed: int) -> None:
    """In any of the three forms."""
    images = np.random.default_rng(seed).integers(0, 256, (count, *LIMITS.shape), dtype=np.uint8)
    entry: dict[str, Any] = {"name": "images", "datatype": "UINT8", "shape": list(images.shape)}
    if form == "binary":
        entry["parameters"] = {"binary_data_size": images.size}
    else:
        entry["data"] = images.tolist() if form == "nested" else images.ravel().tolist()
    text = json.dumps({"inputs": [entry]}).encode()
    found = read_infer_request(text + (images.tobytes() if form == "binary" else b""), str(len(text)), LIMITS)
    np.testing.assert_array_equal(found.images, images)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3),
    st.lists(st.sampled_from(["logits", "probabilities"]), min_size=1, max_size=2, unique=True),
    st.lists(st.booleans(), min_size=2, max_size=2),
    st.sampled_from([1.0, math.nan, math.inf, -1e-30, 3.4e38]),
)
def test_an_answer_is_read_back(count: int, names: list[str], binary: list[bool], odd: float) -> None:
    """Outputs in the order in which they were asked for; null in JSON where a number is none."""
    values = {
        name: np.full((count, 4), index + 0.5, np.float32) for index, name in enumerate(("logits", "probabilities"))
    }
    values["logits"][0, 1] = odd
    wanted = tuple(WantedOutput(name, own) for name, own in zip(names, binary, strict=False))
    request = InferRequest(None, (), wanted, request_id="é")
    written = write_infer_answer(request, ("m", "1"), values, ["a", "b", "c", "d"])
    head, tail = split_body(written.body, None if written.json_length is None else str(written.json_length))
    document = json.loads(head)
    assert document["id"] == "é"
    assert [entry["name"] for entry in document["outputs"]] == names
    for entry in document["outputs"]:
        expected = values[entry["name"]]
        if "data" in entry:
            found = np.array([math.nan if item is None else item for item in entry["data"]], np.float32)
            expected = np.where(np.isfinite(expected), expected, np.float32(math.nan))
        else:
            size = entry["parameters"]["binary_data_size"]
            found, tail = np.frombuffer(tail[:size], "<f4"), tail[size:]
        np.testing.assert_array_equal(found.reshape(entry["shape"]), expected)
    assert len(tail) == 0


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate"]), st.integers(0, 300), st.integers(0, 400))
def test_decompressing_gives_what_was_compressed_or_refuses(content: bytes, way: str, limit: int, cut: int) -> None:
    """Never more than the limit, and never a part."""
    packed = gzip.compress(content) if way == "gzip" else zlib.compress(content)
    if cut < len(packed):
        with pytest.raises(RequestError) as caught:
            decompress(packed[:cut], way, limit)
        assert caught.value.status in (400, 413)
    elif len(content) > limit:
        with pytest.raises(RequestError) as caught:
            decompress(packed, way, limit)
        assert caught.value.status == 413
    else:
        assert decompress(packed, way, limit) == content


@pytest.mark.parametrize("way", ["gzip", "deflate"])
def test_a_bomb_is_not_unpacked(way: str) -> None:
    """64 MiB of nothing: no more than the limit is ever made of it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if way == "gzip" else 15)
    bomb = b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(64)), packer.flush()])
    with pytest.raises(RequestError, match="more than 1,000 bytes") as caught:
        decompress(bomb, way, 1000)
    assert caught.value.status == 413


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_a_body_of_several_parts_is_what_all_of_them_are(compress: Callable[[bytes], bytes]) -> None:
    """Whatever their sizes, also compressed ones of more than is read at a time."""
    parts = [np.random.default_rng(size).bytes(size) for size in (0, 1, 200_000, 70_000, 3)]
    way = "gzip" if compress is gzip.compress else "deflate"
    assert decompress(b"".join(map(compress, parts)), way, 1 << 20) == b"".join(parts)


def test_a_body_of_very_many_empty_parts_is_refused() -> None:
    """They never reach the limit, and a body of 64 MiB holds millions."""
    with pytest.raises(RequestError, match="more than 1,000 parts") as caught:
        decompress(gzip.compress(b"") * 1_001, "gzip", 1000)
    assert caught.value.status == 400
