"""The bundle's README.md: a model card in Hugging Face's format, with the measured results."""

from collections.abc import Mapping
from typing import Any, Final

from torchstone_export.bundle.headline import lowest_f1
from torchstone_export.bundle.markdown import escape_markdown, table, yaml_string
from torchstone_export.certificate.temperature import Calibration
from torchstone_export.model import TrainedModel
from torchstone_runtime.bundle.provenance import describe_cascade, describe_origin
from torchstone_runtime.data.certified_sample import KEY, describe_sample
from torchstone_runtime.images.background import BackgroundRange
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.metrics.confusion import MOST_DENSE
from torchstone_runtime.text import shortlist

_WORST: Final = 20
_USAGE: Final = """\
```python
from torchstone_runtime import Classifier

classifier = Classifier.load("path/to/this/folder")
predictions = classifier.predict(["picture.png"])
print(predictions.labels, predictions.confidences)
```
"""


def render_model_card(
    model: TrainedModel,
    metrics: dict[str, Any],
    summary: list[str],
    variants: dict[str, str],
    calibration: Calibration | None = None,
    background: BackgroundRange | None = None,
    *,
    sample: Mapping[str, Any] | None = None,
) -> str:
    """Return the card.

    Args:
        model: the trained model.
        metrics: metrics of each split, as in the manifest.
        summary: summary of the certificate, a line per variant.
        variants: file name by variant.
        calibration: figures on the calibration of the probabilities, where it was measured.
        background: range of the background of the golden images, in gray levels.
        sample: record of the draw, where only a sample of the images was run; see `Reference`.
    """
    evidence = "\n".join(f"- {escape_markdown(line)}" for line in summary)
    files = "\n".join(f"- `{file}`: variant `{name}`" for name, file in variants.items())
    return f"""{_front_matter(model, metrics["test"], torchscript="torchscript" in variants)}
{_introduction(model)}
{_USAGE}
{_cascade_section(model)}## Pictures

{_fitting(model.spec)}
{_background_section(background)}
## Results

{_results_section(metrics, sample)}
{_calibration_section(calibration) if calibration else ""}
## Evidence

{evidence}

`certificate.json` holds the whole of it. `torchstone verify` checks the files and replays the golden samples.

## Files

{files}

## Limits

The figures hold for images like those of the test split. The model answers every picture with one of its classes,
also pictures of something else.
"""


def _introduction(model: TrainedModel) -> str:
    spec, count = model.spec, len(model.class_names)
    origin = escape_markdown(describe_origin(model.provenance))
    made = "measured" if origin else "trained"
    return f"""# {escape_markdown(model.name)}, {made} on {escape_markdown(model.dataset_kind)}

An image classifier with {count:,} classes: {shortlist([*map(escape_markdown, model.class_names)], MOST_DENSE)}.

It takes raw pixels, uint8, N x {spec.channels} x {spec.height} x {spec.width} ({spec.color}, 0 to 255).
It gives logits and probabilities, float32, N x {count}.
Scaling, normalisation and softmax are inside.
{f"{chr(10)}Origin: {origin}.{chr(10)}What it was trained on is not known here.{chr(10)}" if origin else ""}"""


def _results_section(metrics: dict[str, Any], sample: Mapping[str, Any] | None) -> str:
    test = metrics["test"]
    low, high = test["accuracy_interval_95"]
    return f"""Accuracy on the test split ({_run(test, "test", sample)}): **{test["accuracy"]:.4f}**
(95% interval {low:.4f} to {high:.4f}){_validation_accuracy(metrics, sample)}.
Measured on the exported ONNX file with ONNX Runtime.

{_classes_table(test)}"""


def _classes_table(test: Mapping[str, Any]) -> str:
    """Return the figures by class; of many classes only those with the lowest F1, and a line that says so."""
    count = len(test["per_class"])
    shown = test["per_class"] if count <= MOST_DENSE else lowest_f1(test, _WORST)
    which = f"The {len(shown)} of {count:,} classes with the lowest F1; `certificate.json` has them all.\n\n"
    figures = ("precision", "recall", "f1")
    rows = ([escape_markdown(c["class"]), *(_figure(c[name]) for name in figures), f"{c['support']:,}"] for c in shown)
    lines = "\n".join(table(("class", "precision", "recall", "F1", "samples"), rows))
    return (which if len(shown) < count else "") + lines


def _validation_accuracy(metrics: dict[str, Any], sample: Mapping[str, Any] | None) -> str:
    validation = metrics.get("validation")
    if validation is None:
        return ""
    return f"; on the validation split ({_run(validation, 'validation', sample)}) {validation['accuracy']:.4f}"


def _run(part: Mapping[str, Any], split: str, sample: Mapping[str, Any] | None) -> str:
    return describe_sample({KEY: sample or {}}, split, part["samples"])


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _cascade_section(model: TrainedModel) -> str:
    cascade = describe_cascade(model.provenance)
    if not cascade:
        return ""
    return f"""## Cascade

Two models in one file: {escape_markdown(cascade)}.
Pictures that are harder than those of the test split take longer, as the second model is asked more often.

"""


def _background_section(background: BackgroundRange | None) -> str:
    if background is None or background.tone is None:
        return ""
    other = "white" if background.tone == "dark" else "black"
    levels = f"{background.low:.0f} to {background.high:.0f} of 255"
    return f"""The golden images, taken from the test split, have {background.tone} edges (mean level {levels}).
A photo of something on {other} is not what the model was measured on: invert it first (`torchstone predict --invert`).
Images are never inverted automatically.
"""


def _calibration_section(calibration: Calibration) -> str:
    rows = "\n".join(
        f"| {split} | {when} | {figures.expected_calibration_error:.4f} "
        f"| {figures.negative_log_likelihood:.4f} | {figures.brier_score:.4f} |"
        for split, both in calibration.splits.items()
        for when, figures in both.items()
    )
    return f"""
## Calibration

The probabilities are the softmax of the logits divided by the temperature {calibration.temperature:g}
({escape_markdown(calibration.reason)}). It changes no decision.

| split | temperature | expected calibration error | negative log-likelihood | Brier score |
|---|---|---|---|---|
{rows}
"""


def _front_matter(model: TrainedModel, test: dict[str, Any], *, torchscript: bool) -> str:
    name, dataset_kind = model.name, model.dataset_kind
    return f"""---
library_name: torchstone
pipeline_tag: image-classification
tags:
- image-classification
- onnx{f"{chr(10)}- torchscript" if torchscript else ""}
model-index:
- name: {yaml_string(name)}
  results:
  - task:
      type: image-classification
    dataset:
      name: {yaml_string(dataset_kind)}
      type: {yaml_string(dataset_kind)}
      split: test
    metrics:
    - type: accuracy
      value: {test["accuracy"]}
    - type: f1
      name: macro F1
      value: {test["macro"]["f1"]}
---
"""


def _fitting(spec: InputSpec) -> str:
    how = f"({spec.resample}{'' if spec.antialias else ', not antialiased'})"
    if spec.decode == "reduced":
        how += ", JPEG files decoded at a reduced size"
    size = f"{spec.height} x {spec.width}"
    texts = {
        "stretch": f"and stretched to {size} {how}, whatever its size and shape.",
        "crop": f", its shorter side resized to {spec.resize} {how}, and the centre {size} cut out.",
        "pad": f"and resized to fit into {size} {how}, with a border of level {spec.fill} around it.",
    }
    return f"A picture is converted to {spec.color} {texts[spec.fit]}".replace(" ,", ",")
