"""A model that takes forever to answer its golden samples is ended, with a message."""

from pathlib import Path

import pytest

from helpers.slow_model import EditManifest, make_slow
from helpers.support import assert_refused, run_torchstone
from torchstone_runtime.errors import BundleError, UsageError
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.isolated import check_in_own_process
from torchstone_runtime.system.load_deadline import VARIABLE, bound_in_seconds


def test_a_model_of_many_slow_nodes_is_stopped(
    bundle_copy: Path, edit_manifest: EditManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime looks between two nodes whether it shall stop, so that a library's process goes on."""
    make_slow(bundle_copy, edit_manifest, side=1000, times=4000)
    monkeypatch.setenv(VARIABLE, "1")
    # On a busy machine opening alone takes longer.
    told = r"longer than 1 s to (open|answer its golden samples).*\n.*TORCHSTONE_LOAD_SECONDS"
    with pytest.raises(BundleError, match=told):
        Classifier.load(bundle_copy, variant="fp32")


def test_the_command_line_ends_where_one_node_never_does(bundle_copy: Path, edit_manifest: EditManifest) -> None:
    """Nothing stops it inside the node, so the process ends: one message, exit code 2."""
    make_slow(bundle_copy, edit_manifest, side=14000, times=1)
    assert_refused(run_torchstone("evaluate", bundle_copy, "--data", "digits", env={VARIABLE: "1"}), "longer than 1 s")


def test_a_library_checks_in_a_process_of_its_own(bundle_copy: Path, edit_manifest: EditManifest) -> None:
    """Which is ended, whatever the model does."""
    check_in_own_process(bundle_copy)
    make_slow(bundle_copy, edit_manifest, side=14000, times=1)
    with pytest.raises(BundleError, match="not verified within 3 s"):
        check_in_own_process(bundle_copy, seconds=3)


def test_what_does_not_pass_in_its_own_process_is_an_error(bundle_copy: Path) -> None:
    """With the first line that verify says."""
    (bundle_copy / "model.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match=r"did not pass: .*model\.onnx"):
        check_in_own_process(bundle_copy)


@pytest.mark.parametrize("stated", ["soon", "-1", "nan", "1e300"])
def test_a_bound_that_is_no_time_is_refused(stated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable."""
    monkeypatch.setenv(VARIABLE, stated)
    with pytest.raises(UsageError, match=VARIABLE):
        bound_in_seconds()


def test_no_bound_lets_a_slow_model_answer(
    bundle_copy: Path, edit_manifest: EditManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zero is no bound."""
    make_slow(bundle_copy, edit_manifest, side=300, times=2)
    monkeypatch.setenv(VARIABLE, "0")
    Classifier.load(bundle_copy, variant="fp32").close()
