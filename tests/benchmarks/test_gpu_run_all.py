"""Running pieces in processes of their own: what is taken over of earlier results, and what is ended at the end."""

from pathlib import Path

from benchmarks.gpu import run_all


def test_only_results_of_the_pieces_asked_for_are_taken_over(tmp_path: Path) -> None:
    """Others would crowd out what is new where few files come back."""
    before, results = tmp_path / "before", tmp_path / "results"
    before.mkdir()
    for name in ("doctor", "speed", "notes"):
        (before / f"{name}.json").write_text('{"steps": {}}')

    run_all.main(["doctor", "--resume", str(before), "--results", str(results), "--seconds", "0"])

    assert [file.name for file in results.iterdir()] == ["doctor.json"]
