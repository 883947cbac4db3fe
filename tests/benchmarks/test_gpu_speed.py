"""The comparison of speed."""

from pathlib import Path

import pytest

from benchmarks.gpu import speed
from benchmarks.gpu.setting import Setting


def test_a_file_in_16_bits_is_made_once_for_all_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Making it takes time of the card; without a GPU the sides are refused once it is there."""
    made: list[bytes] = []

    def noted(content: bytes) -> bytes:
        made.append(content)
        return content

    monkeypatch.setattr(speed, "to_fp16", noted)
    setting = Setting("cuda", True, tmp_path, tmp_path, tmp_path, tmp_path)  # noqa: FBT003 - dry run
    speed.steps(setting)["cnn3, fp16, batch 1"]()

    assert len(made) == 1
