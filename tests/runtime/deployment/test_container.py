"""`torchstone package --for container`: the Containerfile's rules, and its root tried without a container daemon.

No daemon runs here: the build itself is not tested, its commands and the conditions that they are run under are.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.in_process import run_in_process
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.version import __version__

FASHION = locate_bundle("fashion")
ROOT = Path(__file__).parents[3]


def instructions(folder: Path) -> list[tuple[str, str]]:
    """Return the instructions of a Containerfile with their arguments."""
    lines = (folder / "Containerfile").read_text().splitlines()
    pairs = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in pairs]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A build context of the built-in bundle."""
    out = tmp_path / "context"
    result = run_in_process("package", FASHION, "--for", "container", "--out", out, "--name", "clothes")
    assert result.returncode == 0, result.stderr
    return out


def test_every_command_is_in_exec_form(context: Path) -> None:
    """Without a shell, PID 1 is Python and gets the signals."""
    found = dict(instructions(context))
    health = found["HEALTHCHECK"].partition("CMD ")[2]
    commands = [json.loads(rest) for name, rest in instructions(context) if name in ("RUN", "CMD", "ENTRYPOINT")]

    assert json.loads(found["ENTRYPOINT"])[0].endswith("/python")
    assert json.loads(health)[1:4] == ["-m", "torchstone_runtime", "health"]
    assert all(isinstance(word, str) for command in commands for word in command)
    assert found["STOPSIGNAL"] == "SIGTERM"


def test_the_user_is_a_number_and_not_root(context: Path) -> None:
    """As Kubernetes' runAsNonRoot needs it; set before the bundle is proven and served."""
    names = [name for name, _ in instructions(context)]
    user = dict(instructions(context))["USER"]

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert "verify" in [rest for name, rest in instructions(context) if name == "RUN"][-1]


def test_the_result_has_two_stages_and_no_pip(context: Path) -> None:
    """Pip installs in the first stage, into an environment without pip; the second one's own is removed."""
    stages = " ".join(f"{name} {rest}\n" for name, rest in instructions(context)).split("FROM ")

    assert len(stages) == 3
    assert '"venv", "--without-pip"' in stages[1]
    assert '"uninstall", "--yes"' in stages[2]
    assert "ensurepip" in stages[2]
    assert '"install"' not in stages[2]


def test_everything_copied_is_in_the_context(context: Path) -> None:
    """Also the wheel, which is then installed in place of the index's."""
    for name, rest in instructions(context):
        source = rest.split()[0]
        assert name != "COPY" or source.startswith("--from=build") or (context / source).exists(), rest
    assert f"torchstone[cpu,serve]=={__version__}" in (context / "Containerfile").read_text()


@pytest.mark.parametrize("platform", ["any", "linux_x86_64", "linux_aarch64", "manylinux1_x86_64.manylinux_2_5_x86_64"])
def test_a_wheel_is_installed_from_the_context(platform: str, tmp_path: Path) -> None:
    """No index has an unreleased version; one built with a C compiler is of its platform."""
    wheel = tmp_path / f"torchstone-{__version__}-py3-none-{platform}.whl"
    wheel.write_bytes(b"wheel")
    out = tmp_path / "context"
    result = run_in_process("package", FASHION, "--for", "container", "--out", out, "--wheel", wheel)
    text = (out / "Containerfile").read_text()

    assert result.returncode == 0, result.stderr
    assert (out / "wheels" / wheel.name).read_bytes() == b"wheel"
    assert f"torchstone[cpu,serve] @ file:///wheels/{wheel.name}" in text
    assert text.index("COPY wheels/") < text.index("file:///wheels/")


def test_a_wheel_of_another_system_is_refused(tmp_path: Path) -> None:
    """The image is one of Debian."""
    wheel = tmp_path / f"torchstone-{__version__}-py3-none-macosx_14_0_arm64.whl"
    wheel.write_bytes(b"wheel")
    out = tmp_path / "context"
    result = run_in_process("package", FASHION, "--for", "container", "--out", out, "--wheel", wheel)
    assert (result.returncode, out.exists()) == (2, False)
    assert "not a wheel of Torchstone for Linux" in result.stderr


def test_the_bundle_in_the_context_is_whole(context: Path) -> None:
    """With every file of the manifest."""
    assert run_in_process("verify", context / "bundle").returncode == 0


SANDBOX = ("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-all", "--die-with-parent")
NOBODY = ("--uid", "65532", "--gid", "65532", "--cap-drop", "ALL", "--new-session")


def sandboxed(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run a command as the container does: read-only root, another user, no capabilities, no network but loopback."""
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    tried = subprocess.run(["bwrap", *SANDBOX, *NOBODY, "true"], capture_output=True, check=False, timeout=30)  # noqa: S607
    if tried.returncode != 0:
        pytest.skip(f"bubblewrap is not permitted here: {tried.stderr.decode().strip()}")
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent", "TORCHSTONE_CACHE": ""}
    return subprocess.run(
        ["bwrap", *SANDBOX, *NOBODY, *map(str, command)],  # noqa: S607 - the system's own
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment,
    )


def test_the_sandbox_is_as_narrow_as_the_container() -> None:
    """Else the tests below would show nothing: no place to write to, no other network, not root."""
    program = (
        "import os, socket, tempfile\n"
        "assert os.getuid() == 65532\n"
        "try:\n    tempfile.TemporaryFile()\nexcept OSError:\n    print('read-only')\n"
        "print([name for _, name in socket.if_nameindex()])\n"
    )
    result = sandboxed(sys.executable, "-c", program)

    assert result.stdout.splitlines() == ["read-only", "['lo']"], result.stderr


def test_the_bundle_is_proven_on_a_read_only_root_without_network() -> None:
    """What the build's last command does."""
    result = sandboxed(sys.executable, "-m", "torchstone_runtime", "verify", FASHION)

    assert result.returncode == 0, result.stderr
    assert "16 golden samples decide as at export" in result.stdout


SERVE = """
import subprocess, sys, time
torchstone = [sys.executable, "-m", "torchstone_runtime"]
server = subprocess.Popen([*torchstone, "serve", "clothes=" + sys.argv[1], "--port", "8080", "--drain-delay", "0"])
for _ in range(300):
    if server.poll() is not None or subprocess.run([*torchstone, "health", "http://127.0.0.1:8080"]).returncode == 0:
        break
    time.sleep(0.1)
verified = subprocess.run([*torchstone, "verify", sys.argv[1], "--url", "http://127.0.0.1:8080", "--model", "clothes"])
server.terminate()
print("served", verified.returncode, "ended", server.wait(30))
"""


def test_the_server_serves_on_a_read_only_root_without_network() -> None:
    """It becomes healthy by the container's own check, decides as certified over the wire, and ends by SIGTERM."""
    for package in ("torchstone_runtime.cli.serve", "starlette", "uvicorn"):
        pytest.importorskip(package, reason="the server is not installed")
    result = sandboxed(sys.executable, "-c", SERVE, FASHION)

    assert result.stdout.splitlines()[-1:] == ["served 0 ended 0"], result.stderr
