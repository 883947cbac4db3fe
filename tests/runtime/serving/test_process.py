"""The process of a server: how it starts, reloads and stops, and what it says meanwhile."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from helpers.in_process import run_in_process
from helpers.served import ServerProcess, server_process
from helpers.slow_model import EditManifest, make_slow
from helpers.support import assert_refused, run_torchstone
from torchstone_runtime.bundle.golden import golden_images
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.system.load_deadline import VARIABLE

_SECONDS: Final = 30.0
ZEROS: Final = json.dumps(
    {"inputs": [{"name": "images", "datatype": "UINT8", "shape": [1, 1, 28, 28], "data": [0] * 784}]}
).encode()


def ask(server: ServerProcess, path: str, body: bytes | None = None) -> tuple[int, Any, dict[str, str]]:
    """Send a request on a connection of its own; return status, JSON body and headers."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_SECONDS)
    try:
        connection.request("GET" if body is None else "POST", path, body)
        reply = connection.getresponse()
        headers = {name.lower(): value for name, value in reply.getheaders()}
        return reply.status, json.loads(reply.read() or b"null"), headers
    finally:
        connection.close()


def until(found: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + _SECONDS
    while not found():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def test_the_first_signal_lets_it_finish_and_the_exit_code_is_0(digits_bundle: Path, tmp_path: Path) -> None:
    """Until the end of the delay new clients are answered, and told to leave."""
    with server_process(f"m={digits_bundle}", "--drain-delay", "1.5", stderr=tmp_path / "err") as server:
        assert ask(server, "/v2/health/ready")[0] == 200
        server.process.send_signal(signal.SIGTERM)
        until(lambda: ask(server, "/v2/health/ready")[0] == 503)
        assert ask(server, "/v2/health/live")[0] == 200
        assert ask(server, "/v2/models/m/ready")[0] == 503
        status, _, headers = ask(server, "/v2/models/m/infer", ZEROS)
        assert (status, headers["connection"]) == (200, "close")
        assert server.process.wait(_SECONDS) == 0
        assert server.process.stdout is not None
        assert server.process.stdout.read() == ""
    assert (tmp_path / "err").read_text() == ""


def test_ctrl_c_ends_it_too(digits_bundle: Path) -> None:
    """With exit code 0."""
    with server_process(digits_bundle, "--drain-delay", "0") as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(_SECONDS) == 0


def test_the_second_signal_ends_it_at_once(digits_bundle: Path) -> None:
    """With the exit code that a shell gives to a process that SIGTERM ended."""
    with server_process(f"m={digits_bundle}", "--drain-delay", "600") as server:
        server.process.send_signal(signal.SIGTERM)
        until(lambda: ask(server, "/v2/health/ready")[0] == 503)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(_SECONDS) == 128 + signal.SIGTERM


def test_no_request_fails_while_it_stops(digits_bundle: Path) -> None:
    """Four clients that go on until they are told to leave get an answer to all that they send."""
    answered: list[int] = []

    def go_on(server: ServerProcess) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_SECONDS)
        while True:
            connection.request("POST", "/v2/models/m/infer", ZEROS)
            reply = connection.getresponse()
            reply.read()
            answered.append(reply.status)
            if reply.getheader("connection") == "close":
                return

    with server_process(f"m={digits_bundle}", "--drain-delay", "0.5") as server:
        clients = [threading.Thread(target=go_on, args=(server,)) for _ in range(4)]
        for client in clients:
            client.start()
        until(lambda: len(answered) > 40)
        server.process.send_signal(signal.SIGTERM)
        for client in clients:
            client.join(_SECONDS)
            assert not client.is_alive()
        assert server.process.wait(_SECONDS) == 0
    assert set(answered) == {200}


def test_a_request_that_has_begun_is_waited_for(digits_bundle: Path) -> None:
    """Its body comes after the end of listening."""
    with server_process(f"m={digits_bundle}", "--drain-delay", "0") as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=_SECONDS) as half:
            head = f"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(ZEROS)}\r\n\r\n"
            half.sendall(head.encode() + ZEROS[:50])
            until(lambda: ask(server, "/v2/health/live")[0] == 200)
            server.process.send_signal(signal.SIGTERM)
            until(lambda: not accepts(server))
            half.sendall(ZEROS[50:])
            assert half.recv(1000).startswith(b"HTTP/1.1 200 OK")
        assert server.process.wait(_SECONDS) == 0


def accepts(server: ServerProcess) -> bool:
    """Return whether the server takes connections."""
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=_SECONDS).close()
    except ConnectionError:
        return False
    return True


def test_sighup_exchanges_what_is_sound_and_keeps_what_serves_otherwise(bundle_copy: Path, tmp_path: Path) -> None:
    """A damaged bundle is refused with its reason; the sound one is loaded."""
    log = tmp_path / "err"
    golden = (bundle_copy / "golden.npz").read_bytes()
    with server_process(f"m={bundle_copy}", "--log", "json", stderr=log) as server:
        (bundle_copy / "golden.npz").write_bytes(golden[:-1] + bytes([golden[-1] ^ 1]))
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "not reloaded" in log.read_text())
        entry = ask(server, "/v2/repository/index", b"")[1][0]
        assert entry["state"] == "READY"
        assert "golden.npz" in entry["reason"]
        assert ask(server, "/v2/models/m/infer", ZEROS)[0] == 200
        (bundle_copy / "golden.npz").write_bytes(golden)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "was reloaded" in log.read_text())
        assert ask(server, "/v2/repository/index", b"")[1][0]["reason"] == ""
        assert ask(server, "/v2/models/m/infer", ZEROS)[0] == 200
        until(lambda: log.read_text().count('"/v2/models/m/infer","status":200') == 2)


def test_reloads_fail_no_request_and_change_no_bit(digits_bundle: Path) -> None:
    """Three clients, one of whom sends many images at once, while the bundle is loaded anew time and again."""
    with Classifier.load(digits_bundle, provider="cpu") as classifier:
        assert classifier.bundle is not None
        images = golden_images(classifier.bundle)
        expected = classifier.predict(images).logits
    found: list[bool] = []
    stop = threading.Event()

    def go_on(server: ServerProcess, count: int) -> None:
        entry: dict[str, Any] = {"name": "images", "datatype": "UINT8", "shape": [count, *images.shape[1:]]}
        entry["parameters"] = {"binary_data_size": count * images[0].size}
        head = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_SECONDS)
        while not stop.is_set():
            headers = {"Inference-Header-Content-Length": str(len(head))}
            connection.request("POST", "/v2/models/m/infer", head + images[:count].tobytes(), headers)
            reply = connection.getresponse()
            content = reply.read()
            start = int(reply.getheader("Inference-Header-Content-Length") or 0)
            wanted = expected[:count].tobytes()
            found.append(reply.status == 200 and content[start : start + len(wanted)] == wanted)
        connection.close()

    with server_process(f"m={digits_bundle}", "--allow-reload", "--provider", "cpu") as server:
        clients = [threading.Thread(target=go_on, args=(server, count)) for count in (1, 1, len(images))]
        for client in clients:
            client.start()
        for number in range(8):
            if number % 2:
                assert ask(server, "/v2/repository/models/m/load", b"{}")[0] == 200
            else:
                server.process.send_signal(signal.SIGHUP)
        until(lambda: len(found) > 100)
        stop.set()
        for client in clients:
            client.join(_SECONDS)
    assert all(found)


@pytest.mark.slow
def test_a_reload_without_end_leaves_what_serves(
    bundle_copy: Path, edit_manifest: EditManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By signal and by request: the old model answers, the reason is told, and the server still ends with 0."""
    monkeypatch.setenv(VARIABLE, "3")
    log = tmp_path / "err"
    options = ("--allow-reload", "--provider", "cpu", "--drain-delay", "0")
    with server_process(f"m={bundle_copy}", *options, stderr=log) as server:
        make_slow(bundle_copy, edit_manifest, side=14000, times=1)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "was not reloaded: The model took longer than 3 s" in log.read_text())
        status, answer, _ = ask(server, "/v2/repository/models/m/load", b"{}")
        assert (status, "longer than 3 s" in answer["error"]) == (409, True)
        assert ask(server, "/v2/models/m/infer", ZEROS)[0] == 200
        assert ask(server, "/v2/health/ready")[0] == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(_SECONDS) == 0


@pytest.mark.slow
def test_a_stop_during_a_reload_ends_with_0(bundle_copy: Path, edit_manifest: EditManifest, tmp_path: Path) -> None:
    """The thread that loads is inside a model, and nothing can stop it."""
    log = tmp_path / "err"
    with server_process(f"m={bundle_copy}", "--provider", "cpu", "--drain-delay", "0", stderr=log) as server:
        make_slow(bundle_copy, edit_manifest, side=14000, times=1)
        server.process.send_signal(signal.SIGHUP)
        time.sleep(3)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(_SECONDS) == 0, log.read_text()
        assert log.read_text() == ""


def test_it_ends_with_the_terminal_that_it_was_started_on(digits_bundle: Path) -> None:
    """A closed window sends SIGHUP too; nobody is left to reload for."""
    master, terminal = os.openpty()
    command = [sys.executable, "-m", "torchstone_runtime", "serve", f"m={digits_bundle}", "--port", "0"]
    with subprocess.Popen(
        command, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal, text=True, start_new_session=True
    ) as process:
        try:
            os.close(terminal)
            assert process.stdout is not None
            assert "Serving m" in process.stdout.readline()
            os.close(master)
            process.send_signal(signal.SIGHUP)
            assert process.wait(_SECONDS) == 0
        finally:
            process.kill()


def test_a_bundle_that_fails_its_checks_is_never_served(bundle_copy: Path) -> None:
    """The exit code is the one that other commands have; nobody could connect."""
    (bundle_copy / "golden.npz").write_bytes(b"no samples")
    result = run_torchstone("serve", bundle_copy, "--port", "0", timeout=60)
    assert_refused(result, "golden.npz is not the file that was exported")


def test_a_port_that_is_taken_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    """The bundle isn't even looked for."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run_in_process("serve", tmp_path / "no-such-bundle", "--port", str(port))
    assert_refused(result, f"Port {port} of 127.0.0.1 is taken", "--port")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["a=fashion", "a=fashion"], "Two models are called 'a'"),
        (["no-such-bundle"], "no-such-bundle"),
        (["fashion", "--host", "host.invalid"], "no address"),
        (["fashion", "--variant", "fp64"], "no variant"),
    ],
)
def test_what_is_wrong_with_the_command_line_is_told(arguments: list[str], text: str) -> None:
    """In one message, with exit code 2."""
    assert_refused(run_in_process("serve", *arguments, "--port", "0"), text)


def test_the_missing_extra_is_named_with_its_install_line(digits_bundle: Path) -> None:
    """As of every other part."""
    program = (
        "import sys\n"
        "sys.modules['starlette'] = None\n"
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'starlette' else find(name, *rest)\n"
        "import torchstone_runtime.components as components\n"
        "components.find_spec = importlib.util.find_spec\n"
        "from torchstone_runtime.cli.main import main\n"
        "main(sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", program, "serve", str(digits_bundle)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert_refused(result, "not installed: starlette", "pip install '.[serve]'")


def test_several_models_and_versions_are_served(digits_bundle: Path, tmp_path: Path) -> None:
    """By their names; a folder of numbers has a version in each."""
    for version in ("1", "3"):
        shutil.copytree(digits_bundle, tmp_path / "my models" / version)
    with server_process(f"m@2={digits_bundle}", tmp_path / "my models", "--metrics-names", "triton") as server:
        assert ask(server, "/v2/models")[1] == {"models": ["m", "my models"]}
        assert ask(server, "/v2/models/my%20models")[1]["versions"] == ["1", "3"]
        assert ask(server, "/v2/models/my%20models/infer", ZEROS)[1]["model_version"] == "3"
        assert ask(server, "/v2/models/my%20models/versions/1/infer", ZEROS)[1]["model_version"] == "1"
        assert ask(server, "/v2/models/m/versions/1/infer", ZEROS)[0] == 404
        assert len(ask(server, "/v2/models/my%20models/stats")[1]["model_stats"]) == 2
