"""PyTorch's exporters are silent, and nobody else is."""

import logging

import pytest

from torchstone_export.formats.exporter_errors import exporters_silent


@pytest.mark.parametrize("name", ["torch.export", "torch.onnx", "onnxscript.optimizer"])
def test_the_exporters_log_nothing(name: str) -> None:
    """Where an export fails, they would log their whole graph."""
    with exporters_silent():
        assert not logging.getLogger(name).isEnabledFor(logging.CRITICAL)
    assert logging.getLogger(name).isEnabledFor(logging.CRITICAL)


def test_a_service_logs_on(caplog: pytest.LogCaptureFixture) -> None:
    """Its other threads answer requests meanwhile."""
    with exporters_silent():
        logging.getLogger("a.service").warning("a request failed")
    assert caplog.messages == ["a request failed"]


def test_what_the_process_has_turned_off_stays_off() -> None:
    """An export turned every logger on again."""
    logging.disable(logging.INFO)
    try:
        with exporters_silent():
            pass
        assert logging.root.manager.disable == logging.INFO
    finally:
        logging.disable(logging.NOTSET)
