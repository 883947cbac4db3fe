"""Processor features: what the system tells, and what a variant needs."""

from pathlib import Path

import pytest

from torchstone_runtime.system.cpu import cpu_features, missing_features

X86 = "processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu avx2 avx512_vnni\n\nprocessor\t: 1\nflags\t\t: fpu\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [(X86, {"fpu", "avx2", "avx512_vnni"}), (ARM, {"fp", "asimd", "asimddp"}), ("", set()), ("\x00\xff: :", set())],
)
def test_the_kernels_list_is_read(tmp_path: Path, text: str, expected: set[str]) -> None:
    """The first processor's flags on x86, features on arm64; nothing where nothing is told."""
    path = tmp_path / "cpuinfo"
    path.write_text(text, encoding="latin-1")

    assert cpu_features(path) == expected


def test_a_system_without_the_list_has_no_known_features(tmp_path: Path) -> None:
    """So a variant that needs one is not run there."""
    assert cpu_features(tmp_path / "none") == frozenset()


def test_one_of_the_required_features_is_enough() -> None:
    """And where nothing is required, nothing is missing."""
    assert missing_features(("avx512_vnni", "avx_vnni"), frozenset({"avx_vnni"})) == ""
    assert missing_features((), frozenset()) == ""
    assert "none of avx512_vnni, avx_vnni" in missing_features(("avx_vnni", "avx512_vnni"), frozenset({"avx2"}))
