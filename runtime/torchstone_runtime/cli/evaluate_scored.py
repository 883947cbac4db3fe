"""`torchstone evaluate --scored`: metrics of parts that `torchstone score` wrote."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from torchstone_runtime.cli.gate_options import Bounds, judge_document, require_passed
from torchstone_runtime.cli.output import print_result, require_writable, tell
from torchstone_runtime.errors import DataError, UsageError

_NEED_PICTURES: Final = ("data_dir", "class_map", "bits", "predictions", "report", "explain", "slices", "coverage")
_NEED_PROBABILITIES: Final = ("log loss", "brier", "top-")


def evaluate_scored(bundle: Path | str, out: str, bounds: Bounds, options: Mapping[str, Any]) -> None:
    """Measure scored parts, print the figures, write the files that were asked for, and judge the gates.

    Raises:
        CheckFailedError: a gate failed.
        DataError: as for `read_scored`, or a gate on probabilities that the parts don't hold.
        UsageError: an option that needs the pictures.
    """
    from torchstone_runtime.bundle.bundle import Bundle
    from torchstone_runtime.files import write_atomic
    from torchstone_runtime.report import csv_files, terminal
    from torchstone_runtime.report.scored_document import scored_document
    from torchstone_runtime.scoring.scored_parts import read_scored

    if strange := [name for name in _NEED_PICTURES if options.get(name) is not None]:
        name = strange[0].replace("_", "-").replace("slices", "slice")
        raise UsageError(f"--{name} needs the pictures, which --scored does not read.", "Leave it out, or give --data.")
    opened = Bundle.open(bundle)
    gates = bounds.gates(opened.manifest.class_names)
    require_writable([options[name] for name in ("csv_file", "confusion_csv", "json_file")])
    parts = read_scored(out, opened)
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
    require_passed(document.judgements)
