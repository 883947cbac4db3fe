"""The example notebook runs from top to bottom."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

NOTEBOOK = Path(__file__).parents[2] / "docs/tutorial/notebook.ipynb"
WITHOUT_PICTURES = "import sys; sys.modules['matplotlib'] = None"
"""What comes before it: the files that a training draws take longer than it, and the notebook shows none of them."""


@pytest.mark.slow
def test_the_example_notebook_runs_and_shows_tables(tmp_path: Path) -> None:
    """Run, bundle, evaluation and predictions are shown as tables."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(WITHOUT_PICTURES))
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert [page.count("<table>") > 0 for page in shown] == [True] * 4
