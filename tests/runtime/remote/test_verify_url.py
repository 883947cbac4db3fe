"""`torchstone verify --url`: the golden samples over the wire, against servers of several habits."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from helpers.in_process import run_in_process
from helpers.protocol_server import Stand, protocol_server
from helpers.support import assert_refused, run_torchstone
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.remote.picture_input import PictureInput

FASHION = locate_bundle("fashion")
MODEL = (FASHION / "model.onnx").read_bytes()
TWO_OF_TEN = b'{"outputs": [{"name": "logits", "datatype": "FP32", "shape": [1, 10], "data": [1, 2]}]}'
DRIP = (b"HTTP/1.1 200 OK\r\nX: ", *[b"a"] * 200)
STUCK = (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",)
Logits = np.ndarray[Any, Any]


def stand(**changes: Any) -> Stand:  # noqa: ANN401 - fields of several types
    """Set up a server of the built-in bundle's fp32 file."""
    return Stand(**{"model": MODEL, "classes": 10, "shape": (1, 28, 28), **changes})


def verify(setup: Stand, *arguments: str) -> "Any":  # noqa: ANN401 - a completed process
    """Verify the built-in bundle's fp32 variant against a server that is set up so."""
    with protocol_server(setup) as url:
        return run_in_process("verify", FASHION, "--url", url, "--variant", "fp32", "--model", "clothes", *arguments)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "uint8 pixels as binary tensors"),
        ({"binary": False}, "uint8 pixels as JSON"),
        ({"channels_last": True}, "uint8 pixels as binary tensors"),
        ({"datatype": "FP32"}, "normalised with the bundle's mean and std as binary tensors"),
        ({"datatype": "FP32", "binary": False, "channels_last": True}, "mean and std as JSON"),
        ({"datatype": "FP16"}, "mean and std as binary tensors"),
        ({"datatype": "BYTES"}, "PNG files as binary tensors"),
        ({"datatype": "BYTES", "file_axes": 2}, "PNG files as binary tensors"),
        ({"outputs": {"probabilities": "probabilities"}}, "largest difference of the probabilities"),
        ({"outputs": {"output": "probabilities"}}, "largest difference of the probabilities"),
        ({"outputs": {"output": "logits"}}, "largest difference of the logits"),
    ],
)
def test_a_deployed_model_that_decides_as_certified_is_verified(changes: dict[str, Any], said: str) -> None:
    """Whatever of the protocol's forms the server speaks."""
    result = verify(stand(**changes))

    assert result.returncode == 0, result.stderr
    assert said in result.stdout
    assert "16 golden samples over the wire decide as at export" in result.stdout
    assert "all 16 in one request: the same decisions" in result.stdout
    assert result.stdout.endswith("verified\n")


def test_files_for_a_model_that_crops_have_a_margin() -> None:
    """So that the server's own reading finds the golden pixels again, bit for bit."""
    spec = InputSpec(color="L", height=8, width=8, fit="crop", resize=11, mean=(0.5,), std=(0.5,))
    images = np.random.default_rng(0).integers(0, 256, (2, *spec.shape), np.uint8)
    wanted = PictureInput("files", "BYTES", "files", channels_last=False, one_by_one=False)
    read = [decode_image(bytes(file), spec) for file in wanted.encode(images, spec)]
    np.testing.assert_array_equal(np.stack(read), images)


def test_a_server_of_small_batches_is_asked_one_by_one() -> None:
    """That it refuses all at once is said, and no failure."""
    result = verify(stand(max_batch=4))

    assert result.returncode == 0, result.stderr
    assert "not asked for all 16 at once" in result.stdout
    assert "answered 400: at most 4" in result.stdout


def swapped(logits: Logits) -> Logits:
    """Exchange Shirt and Dress, as a wrong order of classes does."""
    changed = logits.copy()
    changed[:, [3, 6]] = logits[:, [6, 3]]
    return changed


def test_samples_that_decide_otherwise_are_named() -> None:
    """Exit code 1, with each sample, its class there and the right one."""
    result = verify(stand(change=swapped))
    golden = Bundle.open(FASHION)
    with np.load(FASHION / golden.manifest.files["golden"].name) as arrays:
        right = arrays["logits"].argmax(axis=1)

    assert result.returncode == 1
    assert "'clothes'" in result.stderr
    for index in np.flatnonzero((right == 3) | (right == 6)):
        assert f"golden sample {index}: " in result.stderr
    assert "Shirt in place of Dress" in result.stderr
    assert "does not decide as fp32 was certified to" in result.stderr
    assert "verified" not in result.stdout.splitlines()


def test_other_logits_behind_the_same_decisions_fail() -> None:
    """A shift of all logits leaves classes and probabilities as they are."""
    result = verify(stand(change=lambda logits: logits + 0.5, outputs={"logits": "logits"}))

    assert result.returncode == 1
    assert "0 change class; the largest difference of the logits is 0.5" in result.stderr


def test_a_wrong_temperature_shows_in_the_probabilities() -> None:
    """The logits alone would pass."""

    def sharpened(logits: Logits) -> Logits:
        return logits  # the stand-in's softmax divides by no temperature

    result = verify(stand(change=sharpened))

    assert result.returncode == 1
    assert "the largest difference of the probabilities" in result.stderr


def test_an_answer_that_is_no_number_fails() -> None:
    """NaN is above every tolerance."""
    result = verify(stand(change=lambda logits: logits * np.nan))

    assert result.returncode == 1
    assert "nan" in result.stderr


def test_a_model_that_errs_in_batches_only_is_found() -> None:
    """One by one it answers right; the answers to all at once are in another order."""
    result = verify(stand(change=lambda logits: logits[::-1], outputs={"logits": "logits"}))

    assert result.returncode == 1
    assert "answers right one image at a time" in result.stderr


def test_another_variant_than_the_default_is_recognised() -> None:
    """Without --variant each of the bundle's is tried, since a server may have fallen back to fp32."""
    with protocol_server(stand(models=("clothes",))) as url:
        result = run_in_process("verify", FASHION, "--url", url)
        strict = run_in_process("verify", FASHION, "--url", url, "--variant", "int8")

    assert result.returncode == 0, result.stderr
    assert "fp32         16 golden samples over the wire" in result.stdout
    assert strict.returncode == 1
    assert "int8" in strict.stderr


def test_the_json_document_holds_what_failed() -> None:
    """As for a bundle on this machine."""
    result = verify(stand(change=swapped), "--json")
    document = json.loads(result.stdout)

    assert document["verified"] is False
    assert any("in place of" in line for line in document["failed"])


def test_headers_are_sent_along() -> None:
    """A token for a gateway, say."""
    setup = stand()
    assert verify(setup, "--header", "Authorization: Bearer abc").returncode == 0
    assert {headers["Authorization"] for _, headers in setup.seen} == {"Bearer abc"}


def test_another_number_of_classes_is_another_model() -> None:
    """Told by the server's metadata, before a picture is sent."""
    setup = stand(classes=7)
    result = verify(setup)

    assert result.returncode == 1
    assert "'clothes' has 7 classes, the bundle 10" in result.stderr
    assert not [path for path, _ in setup.seen if path.endswith("/infer")]


def test_another_size_of_pictures_is_another_model() -> None:
    """With what the model takes."""
    result = verify(stand(shape=(3, 224, 224)))

    assert result.returncode == 1
    assert "takes no pictures as the bundle's model does: uint8, 1 x 28 x 28" in result.stderr
    assert "pixels: UINT8 [-1, 3, 224, 224]" in result.stderr


def test_an_unknown_model_is_refused_with_the_nearest() -> None:
    """The server's own list helps."""
    with protocol_server(stand(models=("clothes", "digits"))) as url:
        result = run_in_process("verify", FASHION, "--url", url, "--model", "cloths")
        unnamed = run_in_process("verify", FASHION, "--url", url)

    assert result.returncode == 2
    assert "has no model 'cloths'.\nDid you mean 'clothes'?" in result.stderr
    assert unnamed.returncode == 2
    assert "has 2 models, and none is called 'stone-m'" in unnamed.stderr


@pytest.mark.parametrize(
    ("path", "status", "body", "fragment"),
    [
        ("/v2", 200, b"<html>welcome</html>", "answered something that is not JSON"),
        ("/v2", 200, b"[1]", "does not describe a server"),
        ("/v2", 302, b"", "/v2 answered 302"),
        ("/v2/models/clothes", 200, b'{"inputs": [{"name": "x"}]}', "does not describe a model"),
        ("/v2/models/clothes", 503, b'{"error": "still loading"}', "answered 503: still loading"),
        ("/v2/models/clothes/infer", 500, b'{"error": "out of memory"}', "answered 500: out of memory"),
        ("/v2/models/clothes/infer", 200, b"{}", "not what the Open Inference Protocol says"),
        ("/v2/models/clothes/infer", 200, TWO_OF_TEN, "2 values for shape"),
        ("/v2/models/clothes/infer", 200, b'{"outputs": []}', "has 0 outputs of numbers"),
    ],
)
def test_a_server_of_another_kind_is_refused(path: str, status: int, body: bytes, fragment: str) -> None:
    """One message, exit code 2: nothing was learnt about the model."""
    result = verify(stand(path_status={path: (status, body)}))

    assert result.returncode == 2, result.stderr
    assert result.stderr.count("Error:") == 1
    assert fragment in result.stderr


def test_a_port_where_nothing_listens_is_told() -> None:
    """Exit code 2 and what to do."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        result = run_torchstone("verify", FASHION, "--url", url)

    assert result.returncode == 2
    assert f"Error: Nothing listens at {url}" in result.stderr
    assert "Traceback" not in result.stderr


@contextmanager
def talking(*parts: bytes, pause: float = 0.05) -> Iterator[str]:
    """Listen on a port, and answer each connection by these bytes, slowly; then leave it open until the end."""
    listener, over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def answer() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    for part in parts:
                        connection.sendall(part)
                        over.wait(pause)
                    over.wait(5)
                except OSError:
                    continue

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@pytest.mark.parametrize("parts", [(), DRIP, STUCK])
def test_a_server_that_never_ends_its_answer_is_left(parts: tuple[bytes, ...]) -> None:
    """Silent, dripping, or stuck in the middle: the time is that of the whole request."""
    with talking(*parts) as url:
        result = run_in_process("verify", FASHION, "--url", url, "--timeout", "0.3")

    assert result.returncode == 2
    assert f"{url} gave no answer within 0.3 seconds" in result.stderr


def test_something_else_than_http_is_told() -> None:
    """Such as a database's port."""
    with talking(b"\x05\x00\x00\x0b\x08\x05\x1ahello\n\n", pause=0) as url:
        result = run_in_process("verify", FASHION, "--url", url, "--timeout", "2")

    assert result.returncode == 2
    assert "does not answer as HTTP says" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (("--url", "ftp://host"), "is not the address of a server"),
        (("--url", "http://user:secret@host"), "is not the address of a server"),
        (("--url", "http://host:99999"), "is not the address of a server"),
        (("--url", "localhost:1", "--data", "digits"), "--data is about this machine"),
        (("--url", "localhost:1", "--header", "nonsense"), "is not a header"),
        (("--model", "clothes"), "--model is about a server"),
        (("--variant", "fp32"), "--variant is about a server"),
        (("--url", "localhost:1", "--variant", "fp3"), "no variant 'fp3'"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments: tuple[str, ...], fragment: str) -> None:
    """Before anything is sent."""
    assert_refused(run_in_process("verify", FASHION, *arguments, "-q"), fragment)
