"""tests/stored/digits, which the quick tests take, is a bundle as an export writes it today."""

import json
from pathlib import Path
from typing import Any

import pytest

STORED = Path(__file__).parents[2] / "stored" / "digits"


def form(data: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return the keys of a document, at every depth; of a list, the form of its first item."""
    if isinstance(data, dict):
        return {key: form(value) for key, value in data.items()}
    return [form(data[0])] if isinstance(data, list) and data else None


def test_it_has_the_files_of_a_fresh_export(digits_bundle: Path) -> None:
    """No more and no fewer."""
    assert {path.name for path in STORED.iterdir()} == {path.name for path in digits_bundle.iterdir()}


@pytest.mark.parametrize("keys", [(), ("files",), ("variants", "fp32"), ("input",), ("metrics", "test")])
def test_its_manifest_has_the_form_of_a_fresh_export(digits_bundle: Path, keys: tuple[str, ...]) -> None:
    """Where the format has grown, train `sprint-mnist` on the digits, export it, and commit the bundle anew."""
    stored, fresh = (json.loads((folder / "manifest.json").read_bytes()) for folder in (STORED, digits_bundle))
    for key in keys:
        stored, fresh = stored[key], fresh[key]

    assert set(stored) == set(fresh)


def test_its_certificate_has_the_form_of_a_fresh_export(digits_bundle: Path) -> None:
    """Of its variants, and what is recorded of each part of the data."""
    stored, fresh = (
        json.loads((folder / "certificate.json").read_bytes())["variants"] for folder in (STORED, digits_bundle)
    )

    assert set(stored) == set(fresh)
    assert form(stored["fp32"]) == form(fresh["fp32"])
