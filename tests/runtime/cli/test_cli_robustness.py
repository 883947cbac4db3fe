"""`torchstone robustness`: a table for people, JSON for programs, a gate for pipelines."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from helpers.in_process import run_in_process
from helpers.support import assert_refused, run_torchstone, write_image_tree
from torchstone_runtime.corruption import CORRUPTIONS
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.evaluation.robustness import measure_robustness
from torchstone_runtime.inference.classifier import Classifier

QUICK = ("--corruption", "shift", "--corruption", "contrast", "--severity", "1", "--severity", "5")


def test_the_document_has_the_numbers_of_the_library(
    digits_bundle: Path, tmp_path: Path, classifier: Classifier
) -> None:
    """And the table on stdout shows them too."""
    out = tmp_path / "made" / "robustness.json"
    options = ("--data", "digits", "--seed", "7", "--json", out)
    result = run_torchstone("robustness", digits_bundle, *options)
    assert result.returncode == 0, result.stderr
    document = json.loads(out.read_text())
    expected = measure_robustness(classifier, Dataset(DatasetRef("digits"), tmp_path).test(), seed=7)

    assert document["robustness"] == json.loads(json.dumps(expected.to_json()))
    assert (document["format"], document["format_version"]) == ("torchstone-robustness", 1)
    assert document["data"]["same_as_certified"]
    for name in CORRUPTIONS:
        row = re.search(rf"^{name}((?: +[\d.]+){{6}})$", result.stdout, re.MULTILINE)
        assert row is not None
        values = [expected.settings[name, level].accuracy for level in (1, 2, 3, 4, 5)]
        assert row[1].split() == [f"{value:.4f}" for value in (*values, np.mean(values))]


def test_a_gate_is_judged_on_the_mean_over_the_corruptions(digits_bundle: Path) -> None:
    """Just above it fails, with exit code 1 and a whole document; just below it passes."""
    options = ("--data", "digits", *QUICK, "--json", "-", "--min-accuracy")
    failed = run_in_process("robustness", digits_bundle, *options, "0.999")
    document = json.loads(failed.stdout)
    mean = document["robustness"]["corrupted"]["accuracy"]

    assert failed.returncode == 1
    assert f"mean accuracy on corrupted images is {mean:.4f}" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert set(document["robustness"]["corruptions"]) == {"shift", "contrast"}
    assert document["robustness"]["severities"] == [1, 5]
    assert not document["gates"][0]["passed"]
    assert run_in_process("robustness", digits_bundle, *options, str(mean + 1e-6)).returncode == 1
    assert run_in_process("robustness", digits_bundle, *options, str(mean - 1e-6)).returncode == 0


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        (("--corruption", "shft"), "Did you mean 'shift'"),
        (("--severity", "6"), "1<=x<=5"),
        (("--seed", "-1"), "x>=0"),
        (("--variant", "int4"), "int4"),
    ],
)
def test_what_cannot_be_is_refused(digits_bundle: Path, options: tuple[str, ...], fragment: str) -> None:
    """With one message, before any image is classified."""
    assert_refused(run_in_process("robustness", digits_bundle, "--data", "digits", *options), fragment)


def test_a_folder_and_an_npz_file_of_the_same_pictures_give_the_same(digits_bundle: Path, tmp_path: Path) -> None:
    """In the order of the folder's files; gray pictures of another size are converted first."""
    tree = write_image_tree(tmp_path / "tree", dict.fromkeys("0123456789", 4), side=28)
    with Classifier.load(digits_bundle) as classifier:
        split = Dataset(DatasetRef.parse(f"folder:{tree}"), tmp_path, classifier.input_spec).whole()
    np.savez(tmp_path / "same.npz", images=split.in_memory().store.read(np.arange(len(split))), labels=split.labels)
    found = [
        json.loads(run_in_process("robustness", digits_bundle, "--data", data, *QUICK, "--json", "-").stdout)
        for data in (f"folder:{tree}", f"npz:{tmp_path / 'same.npz'}")
    ]

    assert found[0]["robustness"] == found[1]["robustness"]


def test_an_output_that_cannot_be_written_is_refused_first(digits_bundle: Path, tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "file").write_text("")
    result = run_in_process("robustness", digits_bundle, "--data", "digits", "--json", tmp_path / "file" / "x.json")

    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
