from pathlib import Path

from helpers.in_process import run_in_process


def test_robustness_writes_a_page(digits_bundle: Path, tmp_path: Path) -> None:
    """The hardest corruption comes first, and the page runs nothing but its own script."""
    page = tmp_path / "robustness.html"
    chosen = ("--corruption", "gaussian-noise", "--severity", "1", "--severity", "5", "--report", page)
    result = run_in_process("robustness", digits_bundle, "--data", "digits", *chosen)
    assert result.returncode == 0, result.stderr
    text = page.read_text()
    assert '<th scope="row">gaussian-noise</th>' in text
    assert (text.count("<script>"), "default-src 'none'" in text) == (1, True)
    assert f"wrote {page}" in result.stderr
