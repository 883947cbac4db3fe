"""Inference requests: what is answered, what is refused, and with which status."""

import base64
import gzip
import json
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from helpers.served import Asked, Reply, ask
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.golden import GoldenSamples
from torchstone_runtime.images.encode import encode_png
from torchstone_runtime.serving.core.limits import ServingLimits
from torchstone_runtime.serving.http import infer_routes
from torchstone_runtime.serving.http.compression import compress_for
from torchstone_runtime.serving.http.settings import HttpSettings

INFER: Final = "/v2/models/m/infer"
LENGTH: Final = "Inference-Header-Content-Length"
ZEROS: Final[dict[str, Any]] = {"name": "images", "datatype": "UINT8", "shape": [1, 1, 28, 28], "data": [0] * 784}


@pytest.fixture(scope="module")
def golden(digits_bundle: Path) -> GoldenSamples:
    """The golden samples of the bundle that is served."""
    return GoldenSamples.from_bytes(Bundle.open(digits_bundle).read_file("golden"))


def body_of(*inputs: dict[str, Any], **others: object) -> bytes:
    """Return a request as JSON."""
    return json.dumps({"inputs": inputs, **others}).encode()


def binary_request(content: bytes, entry: dict[str, Any], size: int | None = None) -> tuple[bytes, dict[str, str]]:
    """Return a request with one binary tensor, and the header that it needs."""
    stated = len(content) if size is None else size
    head = body_of(entry | {"parameters": {"binary_data_size": stated}})
    return head + content, {LENGTH: str(len(head))}


def outputs_of(reply: Reply) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    """Return the outputs of a JSON reply."""
    assert reply.status == 200, reply.body
    return {item["name"]: np.reshape(item["data"], item["shape"]) for item in reply.json["outputs"]}


def test_nested_and_flat_data_are_the_same(digits_bundle: Path, golden: GoldenSamples) -> None:
    """Both give the golden outputs, byte for byte alike."""

    async def questions(asked: Asked) -> None:
        images = golden.images[:2]
        entry = {"name": "images", "datatype": "UINT8", "shape": list(images.shape)}
        nested = await asked("POST", INFER, body_of(entry | {"data": images.tolist()}))
        flat = await asked("POST", INFER, body_of(entry | {"data": images.ravel().tolist()}))
        np.testing.assert_allclose(outputs_of(nested)["logits"], golden.logits[:2], atol=1e-4)
        assert nested.body == flat.body

    ask(digits_bundle, questions)


def test_files_in_json_are_base64(digits_bundle: Path, golden: GoldenSamples) -> None:
    """With the shape [N], and [N, 1]."""

    async def questions(asked: Asked) -> None:
        text = base64.b64encode(encode_png(golden.images[0])).decode()
        for shape, data in (([1], [text]), ([1, 1], [[text]])):
            entry = {"name": "encoded", "datatype": "BYTES", "shape": shape, "data": data}
            found = outputs_of(await asked("POST", INFER, body_of(entry)))
            np.testing.assert_allclose(found["logits"], golden.logits[:1], atol=1e-4)

    ask(digits_bundle, questions)


def test_a_length_of_zero_sends_one_picture_alone(digits_bundle: Path, golden: GoldenSamples) -> None:
    """Its file or its pixels; all outputs are binary."""

    async def questions(asked: Asked) -> None:
        for content in (encode_png(golden.images[0]), golden.images[0].tobytes()):
            reply = await asked("POST", INFER, content, {LENGTH: "0"})
            assert reply.status == 200
            outputs = reply.body[int(reply.headers[LENGTH.lower()]) :]
            np.testing.assert_allclose(np.frombuffer(outputs[:40], "<f4"), golden.logits[0], atol=1e-4)

    ask(digits_bundle, questions)


@pytest.mark.parametrize(
    ("way", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("GZIP", lambda text: gzip.compress(text[:9]) + gzip.compress(text[9:])),
    ],
)
def test_a_compressed_request_is_read(digits_bundle: Path, way: str, compress: Callable[[bytes], bytes]) -> None:
    """In either coding, in capitals, and as a gzip file of two members."""

    async def questions(asked: Asked) -> None:
        reply = await asked("POST", INFER, compress(body_of(ZEROS)), {"Content-Encoding": way})
        assert reply.status == 200, reply.body

    ask(digits_bundle, questions)


def test_an_answer_is_compressed_where_it_is_asked_for_and_worth_it(digits_bundle: Path) -> None:
    """By the weights that the client states; a short answer is sent as it is."""

    async def questions(asked: Asked) -> None:
        many = body_of(ZEROS | {"shape": [50, 1, 28, 28], "data": [0] * 784 * 50})
        plain = await asked("POST", INFER, many)
        for accept, coding in (
            ("gzip", "gzip"),
            ("deflate", "deflate"),
            ("gzip;q=0, deflate", "deflate"),
            ("br", None),
        ):
            reply = await asked("POST", INFER, many, {"Accept-Encoding": accept})
            assert reply.headers.get("content-encoding") == coding
            undo: dict[str | None, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "deflate": zlib.decompress}
            assert undo.get(coding, bytes)(reply.body) == plain.body
        assert (
            "content-encoding" not in (await asked("POST", INFER, body_of(ZEROS), {"Accept-Encoding": "gzip"})).headers
        )

    ask(digits_bundle, questions)


@pytest.mark.parametrize("images", [1_000, 2_000], ids=["compressed alone", "written there too"])
def test_a_large_answer_is_compressed_by_a_thread(
    digits_bundle: Path, monkeypatch: pytest.MonkeyPatch, images: int
) -> None:
    """Or all others would wait for it."""
    threads = []

    def noting(accept: str, content: bytes) -> tuple[bytes, str | None]:
        threads.append(threading.current_thread())
        return compress_for(accept, content)

    async def questions(asked: Asked) -> None:
        entry = {"name": "images", "datatype": "UINT8", "shape": [images, 1, 28, 28]}
        request, headers = binary_request(bytes(images * 784), entry)
        reply = await asked("POST", INFER, request, headers | {"Accept-Encoding": "gzip"})
        assert (reply.status, reply.headers["content-encoding"]) == (200, "gzip")
        assert threads
        assert threading.current_thread() not in threads

    monkeypatch.setattr(infer_routes, "compress_for", noting)
    ask(digits_bundle, questions, limits=ServingLimits(max_queue=images))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"name": "pixels"}, "no input 'pixels'"),
        ({"datatype": "FP32"}, "datatype UINT8, not 'FP32'"),
        ({"shape": [1, 1, 28, 27]}, "[N, 1, 28, 28]"),
        ({"shape": [0, 1, 28, 28], "data": []}, "holds no image"),
        ({"shape": [-1, 1, 28, 28]}, "whole numbers"),
        ({"shape": [True, 1, 28, 28]}, "whole numbers"),
        ({"shape": [1.0, 1, 28, 28]}, "whole numbers"),
        ({"shape": [1] * 9}, "whole numbers"),
        ({"shape": None}, "whole numbers"),
        ({"data": [0] * 783}, "has 783 values"),
        ({"data": [0] * 783 + [256]}, "0 to 255"),
        ({"data": [0] * 783 + [-1]}, "0 to 255"),
        ({"data": [0] * 783 + [1.5]}, "0 to 255"),
        ({"data": [0] * 783 + [2**70]}, "0 to 255"),
        ({"data": [False] * 784}, "0 to 255"),
        ({"data": ["0"] * 784}, "0 to 255"),
        ({"data": [[0] * 784, [0]]}, "regularly nested"),
        ({"data": [[0] * 392] * 2}, "not the one it states"),
        ({"data": {}}, "must be a list"),
        ({"data": None}, "either 'data' or"),
        ({"parameters": {"binary_data_size": 784}}, "784 bytes of binary data; 0 are left"),
        ({"parameters": {"binary_data_size": -1}, "data": None}, "number of bytes"),
        ({"parameters": []}, "must be a JSON object"),
    ],
)
def test_an_input_that_is_wrong_is_refused(digits_bundle: Path, change: dict[str, Any], text: str) -> None:
    """Status 400, and a message that says what was expected."""

    async def questions(asked: Asked) -> None:
        reply = await asked("POST", INFER, body_of(ZEROS | change))
        assert reply.status == 400
        assert text in reply.json["error"]

    ask(digits_bundle, questions)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "'inputs'"),
        (b"[]", "list; expected an object"),
        (b"{", "not valid JSON"),
        (b'{"inputs": NaN}', "NaN is not a JSON number"),
        (b"\xff\xfe", "not valid UTF-8"),
        (b'{"inputs": ' + b"[" * 100_000, "nested too deeply"),
        (body_of(), "'inputs'"),
        (body_of(ZEROS, ZEROS), "has 2"),
        (body_of(ZEROS, outputs=[{"name": "labels"}]), "no output 'labels'"),
        (body_of(ZEROS, outputs=[{"name": "logits"}] * 2), "asked for twice"),
        (body_of(ZEROS, outputs=[{"name": "logits", "parameters": {"classification": -1}}]), "number of classes"),
        (body_of(ZEROS, outputs=[{"name": "logits", "parameters": {"binary_data": 1}}]), "true or false"),
        (body_of(ZEROS, parameters={"timeout": "soon"}), "microseconds"),
        (body_of(ZEROS, id=17), "'id' must be a string"),
        (body_of({"name": "encoded", "datatype": "BYTES", "shape": [1], "data": ["%%%"]}), "not Base64"),
        (body_of({"name": "encoded", "datatype": "BYTES", "shape": [2], "data": ["aaaa"]}), "has 1 values"),
        (body_of({"name": "encoded", "datatype": "BYTES", "shape": [1], "data": ["aaaa"]}), "not an image"),
    ],
)
def test_a_request_that_is_wrong_is_refused(digits_bundle: Path, body: bytes, text: str) -> None:
    """Status 400 and JSON, whatever the body is."""

    async def questions(asked: Asked) -> None:
        reply = await asked("POST", INFER, body)
        assert reply.status == 400
        assert text in reply.json["error"]
        assert reply.headers["content-type"] == "application/json"

    ask(digits_bundle, questions)


def test_lengths_that_do_not_fit_are_refused(digits_bundle: Path) -> None:
    """Of tensors, of their elements, and of the JSON before them."""
    entry = {"name": "images", "datatype": "UINT8", "shape": [1, 1, 28, 28]}
    encoded = {"name": "encoded", "datatype": "BYTES", "shape": [1]}

    async def questions(asked: Asked) -> None:
        for (body, headers), text in (
            (binary_request(bytes(784), entry, 783), "1 bytes are left"),
            (binary_request(bytes(784), entry, 785), "784 are left"),
            (binary_request(bytes(783), entry), "has 783 bytes"),
            (binary_request(struct.pack("<I", 9) + b"short", encoded), "states 9 bytes; 5 are left"),
            (binary_request(b"\1\0", encoded), "2 bytes are left"),
            ((body_of(ZEROS), {LENGTH: "999999"}), "999,999"),
            ((body_of(ZEROS), {LENGTH: "-5"}), "expected a number of bytes"),
            ((body_of(ZEROS), {LENGTH: "9" * 400}), "expected a number of bytes"),
            ((body_of(ZEROS), {LENGTH: "9" * 5000}), "expected a number of bytes"),
        ):
            reply = await asked("POST", INFER, body, headers)
            assert reply.status == 400, reply.body
            assert text in reply.json["error"]

    ask(digits_bundle, questions)


def test_what_is_too_large_is_refused_before_it_is_unpacked(digits_bundle: Path) -> None:
    """As sent, as decompressed, and as stated."""

    async def questions(asked: Asked) -> None:
        for body, headers in (
            (bytes(5000), {}),
            ([bytes(1000)] * 5, {}),
            (b"", {"Content-Length": "5000"}),
            (b"", {"Content-Length": "5" * 5000}),
            (gzip.compress(bytes(10_000_000)), {"Content-Encoding": "gzip"}),
            (gzip.compress(bytes(900)) * 6, {"Content-Encoding": "gzip"}),
        ):
            reply = await asked("POST", INFER, body, headers)
            assert reply.status == 413, reply.body

    ask(digits_bundle, questions, HttpSettings(max_body=4096))


@pytest.mark.parametrize(
    ("content", "way", "status"),
    [
        (b"no gzip", "gzip", 400),
        (gzip.compress(bytes(99))[:-4], "gzip", 400),
        (b"", "deflate", 400),
        (b"{}", "br", 415),
    ],
)
def test_a_body_that_cannot_be_decompressed_is_refused(
    digits_bundle: Path, content: bytes, way: str, status: int
) -> None:
    """Damaged, cut short, empty, or of an unknown coding."""

    async def questions(asked: Asked) -> None:
        assert (await asked("POST", INFER, content, {"Content-Encoding": way})).status == status

    ask(digits_bundle, questions)


def test_too_many_images_are_refused_by_their_shape_alone(digits_bundle: Path) -> None:
    """Nothing of their size is made."""

    async def questions(asked: Asked) -> None:
        for entry in (
            ZEROS | {"shape": [2**62, 1, 28, 28]},
            {"name": "encoded", "datatype": "BYTES", "shape": [9], "data": []},
        ):
            assert (await asked("POST", INFER, body_of(entry))).status == 413

    ask(digits_bundle, questions, limits=ServingLimits(max_queue=8))


@pytest.mark.parametrize("path", [INFER, "/predict"])
def test_each_request_that_is_too_large_is_counted_once(digits_bundle: Path, path: str) -> None:
    """By its bytes as sent or decompressed, and by its images, whenever they are known."""
    many = {"name": "images", "datatype": "UINT8", "shape": [9, 1, 28, 28]}
    binary, length = binary_request(bytes(9 * 784), many)
    by_images: list[tuple[bytes | list[bytes], dict[str, str]]] = [
        (body_of(many | {"data": []}), {}),
        (gzip.compress(binary), length | {"Content-Encoding": "gzip"}),
        (binary, length),
        ([binary[:-9], binary[-9:]], length),
    ]
    by_bytes = [(bytes(9_000), {}), (gzip.compress(bytes(9_000)), {"Content-Encoding": "gzip"})]

    async def questions(asked: Asked) -> None:
        sent = [*by_bytes, *(by_images if path == INFER else [])]
        for body, headers in sent:
            assert (await asked("POST", path, body, headers)).status == 413
        counted = asked.app.site.repository.get("m").statistics
        assert counted.rejected["too_large"] == counted.failure.count == len(sent)

    ask(digits_bundle, questions, HttpSettings(max_body=8_000), limits=ServingLimits(max_queue=8))


def test_a_deadline_that_passes_is_told(digits_bundle: Path) -> None:
    """The client's own, a microsecond."""

    async def questions(asked: Asked) -> None:
        reply = await asked("POST", INFER, body_of(ZEROS, parameters={"timeout": 1}))
        assert reply.status == 504
        assert "deadline" in reply.json["error"]

    ask(digits_bundle, questions)


def test_a_body_that_does_not_come_is_given_up(digits_bundle: Path) -> None:
    """And the connection is closed, for what comes late would be taken for the next request."""

    async def questions(asked: Asked) -> None:
        reply = await asked("POST", INFER, [])
        assert reply.status == 408
        assert reply.headers["connection"] == "close"

    ask(digits_bundle, questions, HttpSettings(body_timeout=0.05))


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(digits_bundle: Path) -> None:
    """The health routes don't notice."""

    async def questions(asked: Asked) -> None:
        model = asked.app.site.repository.get("m")
        with model._admission.enter(2):  # others wait
            reply = await asked("POST", INFER, body_of(ZEROS))
        assert reply.status == 503
        assert int(reply.headers["retry-after"]) >= 1
        assert (await asked("GET", "/v2/health/ready")).status == 200
        assert (await asked("POST", INFER, body_of(ZEROS))).status == 200

    ask(digits_bundle, questions, limits=ServingLimits(max_queue=2))


def test_a_model_without_an_answer_gives_null_in_json(digits_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON has no NaN; a binary tensor has."""

    async def questions(asked: Asked) -> None:
        classifier = asked.app.site.repository.get("m").classifier
        nothing = np.full((1, 10), np.nan, np.float32)
        monkeypatch.setattr(classifier._engine, "run", lambda _, **__: (nothing, nothing))
        found = outputs_of(await asked("POST", INFER, body_of(ZEROS)))
        assert found["logits"].tolist() == [[None] * 10]

    ask(digits_bundle, questions)
