"""`torchstone push` and hf:// in the place of a bundle's path, against a stand-in of the hub.

Commands run in processes of their own: huggingface_hub reads addresses, places and tokens from the environment once.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers.hub_server import TOKEN, HubState, hub_server
from helpers.in_process import run_in_process
from helpers.support import assert_refused
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.errors import UsageError
from torchstone_runtime.hub.hub_address import HubAddress
from torchstone_runtime.hub.pull import is_reachable

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
FASHION = locate_bundle("fashion")
FILES = {path.name: path.read_bytes() for path in FASHION.iterdir() if path.is_file()}


@dataclass
class Hub:
    """The stand-in, and a place for what is fetched from it."""

    state: HubState
    url: str
    home: Path

    def run(
        self, *arguments: str | Path, token: str = TOKEN, program: str | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command, or a program, that knows this hub alone."""
        started = ["-m", "torchstone_runtime"] if program is None else ["-c", program]
        cleared = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        own = {"HF_ENDPOINT": self.url, "HF_HOME": str(self.home), "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1"}
        return subprocess.run(
            [sys.executable, *started, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**cleared, **own, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_ETAG_TIMEOUT": "5"},
        )


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """An empty hub."""
    state = HubState(lfs=("model.onnx",))
    with hub_server(state) as url:
        yield Hub(state, url, tmp_path / "home")


def test_what_was_pushed_is_verified_from_the_hub(hub: Hub) -> None:
    """In one commit, byte by byte, with the model card; a second look needs no file again."""
    pushed = hub.run("push", FASHION, "hf://me/clothes", "--json")
    first = hub.run("verify", "hf://me/clothes")
    asked = len(hub.state.asked)
    second = hub.run("inspect", "hf://me/clothes")

    assert pushed.returncode == 0, pushed.stderr
    assert json.loads(pushed.stdout)["files"] == sorted(FILES)
    assert hub.state.repositories["me/clothes"][1:] == [{".gitattributes": b"", **FILES}]
    assert first.returncode == 0, first.stderr
    assert "16 golden samples decide as at export" in first.stdout
    assert second.returncode == 0, second.stderr
    assert not [line for line in hub.state.asked[asked:] if "model.onnx" in line]


def test_a_revision_is_loaded_from_python(hub: Hub) -> None:
    """The commit before the last one, by its name."""
    hub.state.repositories["me/clothes"] = [FILES, {**FILES, "manifest.json": b"{}"}]
    former = hub.state.names("me/clothes")[0]
    program = f"import torchstone\nprint(torchstone.load('hf://me/clothes@{former}', provider='cpu').name)"
    result = hub.run(program=program)

    assert (result.returncode, result.stdout) == (0, "stone-m\n"), result.stderr


def test_without_a_connection_the_copy_is_taken(hub: Hub) -> None:
    """What was fetched once is enough; what was not is told."""
    hub.state.repositories["me/clothes"] = [FILES]
    assert hub.run("inspect", "hf://me/clothes").returncode == 0
    offline = Hub(hub.state, "http://127.0.0.1:1", hub.home)
    known, unknown = offline.run("verify", "hf://me/clothes"), offline.run("verify", "hf://me/trousers")

    assert known.returncode == 0, known.stderr
    assert_refused(unknown, "hf://me/trousers cannot be fetched: no connection to the hub")


def test_a_failure_at_the_signature_leaves_no_copy_without_it(hub: Hub) -> None:
    """The next fetch brings it."""
    hub.state.repositories["me/clothes"] = [{**FILES, "model.sig": b"a signature"}]
    hub.state.broken = ("model.sig",)
    assert_refused(hub.run("inspect", "hf://me/clothes"), "hf://me/clothes cannot be fetched")
    hub.state.broken = ()
    hub.run("inspect", "hf://me/clothes")

    assert [path.read_bytes() for path in (hub.home / "torchstone").rglob("model.sig")] == [b"a signature"]


def test_a_hub_that_comes_back_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a server that was started while it was away."""
    monkeypatch.setattr("torchstone_runtime.hub.pull.getproxies", dict)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        before = is_reachable(url)
        listener.listen()
        assert (before, is_reachable(url)) == (False, True)


def test_an_altered_file_of_the_hub_is_refused(hub: Hub) -> None:
    """Verified after the download as any other bundle is."""
    hub.state.repositories["me/clothes"] = [{**FILES, "model.int8.onnx": FILES["model.int8.onnx"][:-1] + b"!"}]
    assert_refused(hub.run("predict", "hf://me/clothes", FASHION), "is not the file that was exported")


def test_a_manifest_that_leads_outside_is_refused(hub: Hub) -> None:
    """Before the file is asked for."""
    manifest = FILES["manifest.json"].replace(b'"golden.npz"', b'"../../golden.npz"')
    hub.state.repositories["me/clothes"] = [{**FILES, "manifest.json": manifest}]
    assert_refused(hub.run("verify", "hf://me/clothes"), "holds no bundle", "is not a plain name")


@pytest.mark.parametrize(
    ("address", "fragment"),
    [
        ("hf://me/nothing", "There is no hf://me/nothing, or it is private"),
        ("hf://me/clothes@v9", "me/clothes has no revision 'v9'"),
        ("hf://me/empty", "hf://me/empty holds no whole bundle"),
    ],
)
def test_what_is_not_there_is_told(hub: Hub, address: str, fragment: str) -> None:
    """One message, with what to do."""
    hub.state.repositories |= {"me/clothes": [FILES], "me/empty": [{"notes.txt": b""}]}
    assert_refused(hub.run("verify", address, "-q"), fragment)


def test_pushing_without_a_token_says_how_to_get_one(hub: Hub) -> None:
    """Nothing is made."""
    result = hub.run("push", FASHION, "hf://me/clothes", "-q", token="hf_other")  # noqa: S106 - a wrong one

    assert_refused(result, "The hub refuses access to hf://me/clothes (401)", "HF_TOKEN")
    assert hub.state.repositories == {}


def test_the_former_bundles_files_go_and_others_stay(hub: Hub, digits_bundle: Path) -> None:
    """A repository holds one bundle, and what people put beside it; a private one is made so."""
    assert hub.run("push", FASHION, "hf://me/clothes", "--private").returncode == 0
    hub.state.repositories["me/clothes"][-1]["notes.txt"] = b"mine"
    result = hub.run("push", digits_bundle, "hf://me/clothes", "--message", "Digits now")
    held = hub.state.repositories["me/clothes"][-1]

    assert result.returncode == 0, result.stderr
    assert "model.int8.onnx" not in held
    assert held["notes.txt"] == b"mine"
    assert held["model.onnx"] == (digits_bundle / "model.onnx").read_bytes()
    assert hub.state.messages[-1] == "Digits now"
    assert hub.state.private == {"me/clothes"}


def test_an_altered_bundle_is_not_pushed(hub: Hub, tmp_path: Path) -> None:
    """Nothing is sent."""
    bundle = shutil.copytree(FASHION, tmp_path / "bundle")
    (bundle / "golden.npz").write_bytes(b"")

    assert_refused(hub.run("push", bundle, "hf://me/clothes", "-q"), "is not the file that was exported")
    assert hub.state.asked == []


@pytest.mark.parametrize(
    "text", ["hf://", "hf://me", "hf://me/a/b", "hf://me/..", "hf://me/a@", "hf://me/a b", "HF://m/a", "hf://-a/b"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Before anything is asked."""
    with pytest.raises(UsageError, match="is not the address of a bundle on the hub"):
        HubAddress.parse(text)


def test_a_misspelt_address_is_refused_by_every_command() -> None:
    """Where a bundle is expected."""
    assert_refused(run_in_process("inspect", "hf://me"), "Write it as hf://owner/name")


def test_without_the_extra_its_installation_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """One message."""
    monkeypatch.setattr("torchstone_runtime.components.find_spec", lambda _: None)
    assert_refused(run_in_process("inspect", "hf://me/clothes"), "pip install '.[hub]'")
