"""`torchstone evaluate --scored`: metrics of parts that `torchstone score` wrote."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from torchstone_runtime.cli.gate_options import Bounds, judge_document, require_passed
from torchstone_runtime.cli.output import print_result, require_writable, tell
from torchstone_runtime.errors import DataError, UsageError
from torchstone_runtime.inference.load_options import LoadOptions

if TYPE_CHECKING:
    from torchstone_runtime.bundle.bundle import Bundle

_NEED_PICTURES: Final = ("data_dir", "class_map", "bits", "predictions", "report", "explain", "slices", "coverage")
_NEED_MODEL: Final = ("provider", "tf32", "cpu_fallback", "threads", "mode")
_NEED_PROBABILITIES: Final = ("log loss", "brier", "top-")


def evaluate_scored(bundle: Path | str, out: str, bounds: Bounds, options: Mapping[str, Any]) -> None:
    """Measure scored parts, print the figures, write the files that were asked for, and judge the gates.

    Raises:
        CheckFailedError: a gate failed, a row has no answer, or the signature that was asked for does not hold.
        DataError: as for `read_scored`, parts of another variant, or a gate on probabilities that they don't hold.
        UsageError: an option that needs the pictures or a model that runs.
    """
    from torchstone_runtime.files import write_atomic
    from torchstone_runtime.report import csv_files, terminal
    from torchstone_runtime.report.scored_document import scored_document
    from torchstone_runtime.scoring.scored_parts import read_scored

    _refuse_idle(options)
    loading: LoadOptions = options["loading"]
    opened = _open(bundle, loading)
    gates = bounds.gates(opened.manifest.class_names)
    require_writable([options[name] for name in ("csv_file", "confusion_csv", "json_file")])
    parts = read_scored(out, opened)
    if loading.variant is not None:
        _check_variant(out, parts.record["model"], opened, loading.variant)
    if parts.scores is None and (of := [g.figure for g in gates if g.figure.lower().startswith(_NEED_PROBABILITIES)]):
        raise DataError(f"{out} lacks the probabilities of all classes, which {of[0]} needs.", "Score --probabilities.")
    document = scored_document(str(bundle), out, parts)
    document = replace(document, judgements=judge_document(document, gates, on_interval=bounds.on_interval))
    metrics = document.evaluation.metrics
    for name, make in (("csv_file", csv_files.metrics_csv), ("confusion_csv", csv_files.confusion_csv)):
        if options[name] is not None:
            write_atomic(options[name], make(metrics))
            tell(f"wrote {options[name]}")
    print_result(options["json_file"], document.to_json, lambda: terminal.render_text(document))
    found = parts.predictions
    require_passed(document.judgements, found.unanswered_ids, len(found))


def _refuse_idle(options: Mapping[str, Any]) -> None:
    """Refuse what would have no effect."""
    given = [name for name in _NEED_PICTURES if options[name] is not None]
    given += [name for name, usual in (("split", "auto"), ("by_class", False)) if options[name] != usual]
    if given:
        name = given[0].replace("_", "-").replace("slices", "slice")
        raise UsageError(f"--{name} needs the pictures, which --scored does not read.", "Leave it out, or give --data.")
    loading, usual = options["loading"], LoadOptions()
    given = [name for name in _NEED_MODEL if getattr(loading, name) != getattr(usual, name)]
    given += [] if loading.replay_golden else ["check"]
    if given:
        name = given[0].replace("_", "-")
        raise UsageError(f"--{name} is for a model that runs; --scored runs none.", "Leave it out, or give --data.")


def _open(bundle: Path | str, loading: LoadOptions) -> "Bundle":
    from torchstone_runtime.bundle.bundle import Bundle

    opened = Bundle.open(bundle)
    if loading.public_key is not None:
        from torchstone_runtime.bundle.signature import verify_signature

        verify_signature(opened, Path(loading.public_key))
    return opened


def _check_variant(out: str, model: Mapping[str, Any], bundle: "Bundle", wanted: str) -> None:
    name = bundle.runnable_variant(wanted)
    # Two variants may be one file; a file that was scored alone has no variant.
    recorded = model["variant"] if model["variant"] in bundle.manifest.variants else name
    if recorded != name or model["sha256"] != bundle.manifest.variants[name].sha256:
        raise DataError(
            f"{out} was scored by the variant {model['variant']}, not by {name}.",
            f"Score again with --variant {name}, or leave it out.",
        )
