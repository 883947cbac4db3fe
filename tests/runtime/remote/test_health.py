"""`torchstone health`: for the health check of a container."""

import json
import socket
import sys
from pathlib import Path

import pytest

from helpers.in_process import run_in_process
from helpers.protocol_server import Stand, protocol_server
from helpers.support import assert_refused, run_torchstone
from torchstone_runtime.bundle.builtin import locate_bundle

MODEL = (locate_bundle("fashion") / "model.onnx").read_bytes()


def test_a_ready_server_is_healthy() -> None:
    """Exit code 0 for the server and for its model; no packages beside the command line's are needed."""
    with protocol_server(Stand(MODEL, 10, (1, 28, 28))) as url:
        server = run_torchstone("health", url)
        model = run_in_process("health", url, "--model", "clothes")
        live = run_in_process("health", url, "--live")
        document = run_in_process("health", url, "--json")

    assert (server.returncode, server.stdout) == (0, f"{url} is ready\n")
    assert (model.returncode, model.stdout) == (0, f"'clothes' at {url} is ready\n")
    assert (live.returncode, live.stdout) == (0, f"{url} is live\n")
    assert json.loads(document.stdout) == {"url": url, "model": None, "ready": True}


def test_the_servers_reason_ends_with_one_full_stop() -> None:
    """Servers write it with a full stop or without."""
    refusals = {"/v2/health/ready": (503, b'{"error": "The model is warming up."}')}
    with protocol_server(Stand(MODEL, 10, (1, 28, 28), path_status=refusals)) as url:
        result = run_in_process("health", url)

    assert result.stderr.splitlines()[0].endswith("is not ready: status 503, The model is warming up.")


@pytest.mark.parametrize("arguments", [(), ("--model", "trousers")])
def test_a_server_that_is_not_ready_is_unhealthy(arguments: tuple[str, ...]) -> None:
    """Exit code 1, with the server's reason."""
    refusals = {"/v2/health/ready": (503, b'{"error": "warming up"}')}
    with protocol_server(Stand(MODEL, 10, (1, 28, 28), path_status=refusals)) as url:
        result = run_in_process("health", url, *arguments)

    assert result.returncode == 1
    assert "is not ready" in result.stderr


def test_no_server_is_unhealthy() -> None:
    """Exit code 1, not 2: container engines reserve that."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        result = run_in_process("health", f"http://127.0.0.1:{unused.getsockname()[1]}")

    assert result.returncode == 1
    assert "Nothing listens" in result.stderr


def test_a_wrong_address_is_bad_usage() -> None:
    """Exit code 2: no container would ever become healthy."""
    assert_refused(run_in_process("health", "http://"), "is not the address of a server")


def test_the_check_loads_neither_numpy_nor_onnx_runtime(tmp_path: Path) -> None:
    """It runs every few seconds."""
    program = (
        "import sys\n"
        "from torchstone_runtime.remote.health import check_health\n"
        "from torchstone_runtime.cli.health import health\n"
        "print([name for name in ('numpy', 'onnxruntime', 'PIL') if name in sys.modules])\n"
    )
    import subprocess

    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert found.stdout == "[]\n"
