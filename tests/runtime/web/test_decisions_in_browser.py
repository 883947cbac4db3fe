"""Photographs of natural sizes, classified in Chromium and in Python: the same decisions, from the same pixels."""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from helpers.browser import NEEDS_BROWSER
from helpers.live_browser import Tab
from helpers.photographs import photograph
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.inference.classifier import Classifier

pytestmark = NEEDS_BROWSER

Serve = Callable[[Path], str]
NETWORK: Final = InputSpec(
    color="RGB", height=224, width=224, resample="bicubic", fit="crop", resize=256, mean=(0.5,) * 3, std=(0.5,) * 3
)
"""Input of a usual network for photographs."""
_ALL: Final = """(async () => {
const {Engine} = await import('/engine.js'), {decodePicture} = await import('/picture.js');
const {modelInput} = await import('/geometry.js'), site = await (await fetch('/model.json')).json();
const started = performance.now(), result = [];
const engine = window.engine ??= await Engine.load(site, () => {}), loaded = performance.now() - started;
const digest = async pixels => Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', pixels)));
for (const name of NAMES) {
  const blob = await (await fetch('/pictures/' + name)).blob(), began = performance.now();
  const {probabilities} = await engine.classify(blob, false), ms = performance.now() - began;
  const wide = modelInput(await decodePicture(blob, 16), SPEC);
  result.push({probabilities: Array.from(probabilities), ms, wide: await digest(wide)});
}
return {loaded, result};
})()"""


def photographs(folder: Path, count: int, data: Path | None) -> list[str]:
    """Put pictures into a folder: of Caltech, evenly spread, where they are at hand, else made ones."""
    folder.mkdir()
    found = sorted((data / "caltech40").rglob("*.jpg")) if data else []
    for place in range(count):
        if found:
            shutil.copy(found[place * len(found) // count], folder / f"{place}.jpg")
        else:
            photograph(place, (240 + 7 * (place % 40), 360 - 6 * (place % 40))).save(folder / f"{place}.jpg")
    return [f"{place}.jpg" for place in range(count)]


def in_parts(tab: Tab, names: list[str]) -> tuple[float, list[dict[str, Any]]]:
    """Classify pictures in the browser, 10 a call; returns the milliseconds of loading, and what was found."""
    found: list[dict[str, Any]] = []
    loaded = []
    for start in range(0, len(names), 10):
        code = _ALL.replace("NAMES", json.dumps(names[start : start + 10]))
        answer = tab.run(code.replace("SPEC", json.dumps(NETWORK.to_json())))
        loaded.append(answer["loaded"])
        found += answer["result"]
    return max(loaded), found


@pytest.mark.parametrize("count", [30, pytest.param(1000, marks=pytest.mark.study)])
def test_decisions_are_pythons(
    count: int, site: Path, tmp_path: Path, serve: Serve, tab: Tab, request: pytest.FixtureRequest
) -> None:
    """Every decision of the built-in model, and every pixel at a usual network's input."""
    data = request.getfixturevalue("data_dir") if count > 100 else None
    copy = shutil.copytree(site, tmp_path / "site")
    names = photographs(copy / "pictures", count, data)
    (copy / "empty.html").write_text("<!doctype html>")
    tab.open(f"{serve(copy)}empty.html")
    tab.wait_for("document.readyState === 'complete' && location.href.endsWith('empty.html')")
    loaded, found = in_parts(tab, names)
    files = [copy / "pictures" / name for name in names]
    with Classifier.load("fashion", variant="fp32", provider="cpu") as classifier:
        expected = classifier.predict(files)
    here = np.array([item["probabilities"] for item in found])
    wide = [hashlib.sha256(decode_image(file, NETWORK).tobytes()).digest() for file in files]
    other = [name for name, item, digest in zip(names, found, wide, strict=True) if bytes(item["wide"]) != digest]
    off, ms = float(np.abs(here - expected.probabilities).max()), np.median([item["ms"] for item in found])
    sys.stderr.write(
        f"{count} pictures, {len(other)} with other pixels, probabilities off by {off:.1e}; loaded in {loaded:.0f} ms, "
        f"{ms:.1f} ms a picture (median)\n"
    )
    assert (here.argmax(axis=1) == expected.probabilities.argmax(axis=1)).all()
    assert off < 1e-4
    assert other == []
