"""`torchstone clients`: each whose toolchain is at hand asks a server, and tells a right answer from a wrong one.

The server is `torchstone serve` where that is installed, else a stand-in of its `/predict`.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from helpers.in_process import run_in_process
from helpers.protocol_server import Stand, protocol_server
from helpers.renamed_classes import rename_classes
from helpers.support import run_torchstone
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.deployment.clients import _in_c as quoted_in_c

FASHION = locate_bundle("fashion")
AWKWARD = (
    'T "shirt"',
    "Träuser \\ 9",
    "'Pull' $over",
    "Dräss",
    "@URL@",
    "San\u2019dal %s",
    "シャツ",
    "sneaker 👟",
    "B<ag>",
    "{boot}",
)
"""Names that mean something to one language or another."""
HEADERS = (Path("/usr/include/curl/curl.h"), Path("/usr/include/x86_64-linux-gnu/curl/curl.h"))


@dataclass(frozen=True)
class Asked:
    """A server with a model of awkward class names, and the folder of its bundle."""

    url: str
    bundle: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """Serve the built-in bundle under awkward class names, and as it is."""
    bundle = shutil.copytree(FASHION, tmp_path_factory.mktemp("clients") / "awkward")
    rename_classes(bundle, AWKWARD)
    with _own_server(bundle) if _is_installed() else _stand_in() as url:
        yield Asked(url, bundle)


def _is_installed() -> bool:
    names = ("torchstone_runtime.cli.serve", "starlette", "uvicorn")
    return all(importlib.util.find_spec(name) is not None for name in names)


def _stand_in() -> AbstractContextManager[str]:
    model = (FASHION / "model.onnx").read_bytes()
    return protocol_server(Stand(model, 10, (1, 28, 28), class_names=AWKWARD))


@contextmanager
def _own_server(bundle: Path) -> Iterator[str]:
    arguments = ["serve", f"awkward={bundle}", f"plain={FASHION}", "--port", "0", "--drain-delay", "0"]
    command = [sys.executable, "-m", "torchstone_runtime", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield line.split()[-1]
        finally:
            process.terminate()
            process.wait(30)


def write(server: Asked, out: Path, bundle: Path, *arguments: str) -> Path:
    """Write the clients of a bundle, and return their folder."""
    result = run_in_process("clients", bundle, "--url", server.url, "--out", out, *arguments)
    assert result.returncode == 0, result.stderr
    return out


def curl() -> list[list[str]]:
    """A shell with curl."""
    return [["sh", "client.sh"]] if shutil.which("curl") else []


def python() -> list[list[str]]:
    """Python alone: without site packages."""
    return [[sys.executable, "-I", "-S", "client.py"]]


def node() -> list[list[str]]:
    """Node.js."""
    return [["node", "client.mjs"]] if shutil.which("node") else []


def java() -> list[list[str]]:
    """A JDK, which runs a source file."""
    return [["java", "-XX:TieredStopAtLevel=1", "Client.java"]] if shutil.which("javac") else []


def csharp() -> list[list[str]]:
    """.NET, or Mono."""
    if shutil.which("dotnet"):
        return [["dotnet", "run", "Client.cs"]]
    return [["mcs", "-r:System.Net.Http.dll", "Client.cs"], ["mono", "Client.exe"]] if shutil.which("mcs") else []


def go() -> list[list[str]]:
    """The Go toolchain."""
    return [["go", "run", "client.go"]] if shutil.which("go") else []


def cpp() -> list[list[str]]:
    """A C++ compiler with libcurl's headers."""
    if not shutil.which("g++") or not any(header.is_file() for header in HEADERS):
        return []
    return [["g++", "-std=c++17", "-Wall", "-Werror", "client.cpp", "-lcurl", "-o", "client"], ["./client"]]


Toolchain = Callable[[], list[list[str]]]


@pytest.mark.parametrize("toolchain", [curl, python, node, java, csharp, go, cpp])
def test_a_client_tells_a_right_answer_from_a_wrong_one(server: Asked, toolchain: Toolchain, tmp_path: Path) -> None:
    """Exit code 0 from the server that has the bundle, another from a server that answers otherwise."""
    steps = toolchain()
    if not steps:
        pytest.skip(f"no toolchain for {toolchain.__name__} is installed")
    right = write(server, tmp_path / "right", server.bundle, *(["--model", "awkward"] if _is_installed() else []))
    wrong = write(server, tmp_path / "wrong", FASHION, *(["--model", "awkward"] if _is_installed() else []))
    environment = {**os.environ, "HOME": str(tmp_path), "GOCACHE": str(tmp_path / "go"), "LC_ALL": "C.UTF-8"}
    outcomes = []
    for folder in (right, wrong):
        for step in steps:
            done = subprocess.run(
                step, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
            )
        outcomes.append(done)

    assert outcomes[0].returncode == 0, outcomes[0].stderr
    assert any(name in outcomes[0].stdout or json.dumps(name)[1:-1] in outcomes[0].stdout for name in AWKWARD)
    assert outcomes[1].returncode != 0
    assert "expected" in outcomes[1].stderr


def test_a_server_that_is_not_there_is_no_success(tmp_path: Path) -> None:
    """Of the scripts at least: their exit code is that of the connection."""
    assert run_torchstone("clients", FASHION, "--url", "127.0.0.1:1", "--out", tmp_path / "clients").returncode == 0
    for steps in (curl(), python(), node()):
        for step in steps:
            done = subprocess.run(step, cwd=tmp_path / "clients", capture_output=True, timeout=60, check=False)
            assert done.returncode != 0, step


def test_the_picture_is_the_golden_one_that_the_model_is_surest_of(tmp_path: Path) -> None:
    """A near-tie could be decided otherwise on another processor."""
    from PIL import Image

    result = run_in_process("clients", FASHION, "--variant", "fp32", "--out", tmp_path / "clients")
    with np.load(FASHION / "golden.npz") as golden:
        surest = int(golden["probabilities"].max(axis=1).argmax())
        pixels = golden["images"][surest, 0]

    assert result.returncode == 0, result.stderr
    assert (np.asarray(Image.open(tmp_path / "clients" / "golden.png")) == pixels).all()


def test_a_models_name_is_a_part_of_the_address(tmp_path: Path) -> None:
    """Percent-encoded."""
    run_in_process("clients", FASHION, "--model", "a b&c", "--url", "https://host/x/", "--out", tmp_path / "clients")
    assert "'https://host/x/predict?model=a+b%26c'" in (tmp_path / "clients" / "client.py").read_text()


@pytest.mark.parametrize("text", ["", 'a"b\\c', "é1", "??/", "\x7f0"])
def test_strings_of_cpp_hold_every_byte(text: str) -> None:
    """Read back as C reads octal escapes."""
    inside = quoted_in_c(text)[1:-1]
    assert inside.encode("ascii").decode("unicode_escape").encode("latin-1") == text.encode()
    assert "?" not in inside


def test_the_suggested_command_can_be_pasted(tmp_path: Path) -> None:
    """Where the folder's name holds a space."""
    out = tmp_path / "my clients"
    result = run_in_process("clients", FASHION, "--out", out)
    assert f"python '{out / 'client.py'}'" in result.stdout
