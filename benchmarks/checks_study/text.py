"""The words around the figures of the comparison of checks."""

from typing import Any, Final

_SHORT: Final = {
    "torch verify=True": "torch `verify=True`",
    "torch, random": "torch comparison, random",
    "torch, real": "torch comparison, real",
    "torch assert, real": "`assert_onnx_program`, real",
    "Optimum": "Optimum, random",
    "Polygraphy": "Polygraphy, default",
    "Polygraphy, 0-255": "Polygraphy, random 0-255",
    "Polygraphy, real": "Polygraphy, real",
    "certificate": "certificate",
}
_FINDING: Final = {
    "torch verify=True": "a warning",
    "torch, random": "figures",
    "torch, real": "figures",
    "torch assert, real": "raises",
    "Optimum": "raises; its command line turns that into a warning",
    "Polygraphy": "exit status 1",
    "Polygraphy, 0-255": "exit status 1",
    "Polygraphy, real": "exit status 1",
    "certificate": "exit status 1, nothing is published",
}


def render(found: dict[str, Any]) -> str:
    """Return the page."""
    return "\n".join((_head(found), _summary(found), _faults(found), _weights(found), _lists(found)))


def _head(found: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return f"""# The certificate beside other checks, on the same files

Written by `benchmarks/checks_study/compare.py report`; the figures are in `check-comparison.json`.
What the checks are for, how each was used, and what follows: [docs/comparison-of-checks.md]\
(../../docs/comparison-of-checks.md).
{found["faulty_files"]} faulty files of {found["subjects"]} trained models ({"; ".join(found["models"])}), and \
{found["honest_files"]} honest files of as many models (500 images each where there are no faults).
One processor ({found["machine"]}), {versions}.

What a fault does was found without any of the checks, on the same 600 images that the checks with real data get: it
*flips* settled decisions (float64 margin over two noise floors), *breaks* the file at some size of the batch,
*changes* a logit by more than two noise floors or a probability by more than 1e-5, or does nothing.
"""


def _summary(found: dict[str, Any]) -> str:
    kinds, nothing, honest = found["by_kind"], found["without_effect"], found["honest_alarms"]
    ours = found["seconds"]["certificate"]
    rows = []
    for tool, name in _SHORT.items():
        cells = [f"{kinds[kind]['caught'][tool]} of {kinds[kind]['files']}" for kind in ("flips", "breaks", "changes")]
        time = f"{found['seconds'][tool] / ours:.2f}" if tool in found["seconds"] else "as the next"
        alarms = f"{len(honest[tool])} of {found['honest_files']}"
        scaled = f"{len(found['scaled_alarms'][tool])} of {found['scaled_files']}"
        idle = f"{nothing['caught'][tool]} of {nothing['files']}"
        rows.append(f"| {name} | {' | '.join(cells)} | {alarms} | {scaled} | {idle} | {time} | {_FINDING[tool]} |")
    table = "\n".join(rows)
    return f"""## All together

| check | caught: flips | breaks | changes | alarms on honest files | the same, logits scaled on purpose | \
said of faults without effect | time, certificate = 1 | a finding is |
|---|---|---|---|---|---|---|---|---|
{table}

A fault without effect is no false alarm when it is said: some change a logit by one or two noise floors, and a check
may see them. Times are medians of one file's wall time on a busy shared machine: rough. What PyTorch
gives for the real images was there before for Polygraphy and the certificate; torch's comparisons run it themselves.
"""


def _faults(found: dict[str, Any]) -> str:
    rows = [f"| {name} | {_kinds(item)} | {_cells(item)} |" for name, item in found["faults"].items()]
    table = "\n".join(rows)
    return f"""## By fault

`model:` the fault was in the model when it was exported, and the file is compared with the right model; `file:` it was
put into the honest file. In a cell: caught, of those that do something.

| fault | put in: what they do | {" | ".join(_SHORT.values())} |
|---|---|{"---|" * len(_SHORT)}
{table}
"""


def _weights(found: dict[str, Any]) -> str:
    rows = [
        f"| {item['from']:g} to {_bound(item['to'])} | {_kinds(item)} | {_cells(item)} |"
        for item in found["one_weight"]
    ]
    table = "\n".join(rows)
    return f"""## One weight of the file, changed by growing amounts

By the largest change of a logit, in noise floors. Here a cell counts all files of its row.

| change | put in: what they do | {" | ".join(_SHORT.values())} |
|---|---|{"---|" * len(_SHORT)}
{table}
"""


def _other_scale(found: dict[str, Any]) -> str:
    rows = []
    for name, item in found["other_scale"].items():
        alarmed = [any(key.startswith(f"{name}, seed") for key in found["scaled_alarms"][tool]) for tool in _SHORT]
        cells = [f"{cell} *" if also else cell for cell, also in zip(_cells(item).split(" | "), alarmed, strict=True)]
        rows.append(f"| {name} | {_kinds(item)} | {' | '.join(cells)} |")
    table = "\n".join(rows)
    return f"""## The same faults at another scale of the logits

The first model again, its logits multiplied: a constructed case, and counted in no table above. Faults in the file and
single weights only. A cell: caught, of those that do something; with a star: it complains of the honest file as well,
so that a complaint says nothing.

| model | put in: what they do | {" | ".join(_SHORT.values())} |
|---|---|{"---|" * len(_SHORT)}
{table}
"""


def _lists(found: dict[str, Any]) -> str:
    alarms = [
        f"- {_SHORT[tool]}: " + "; ".join(f"{model} ({text[:90]})" for model, text in list(items.items())[:12])
        for kind in ("honest_alarms", "scaled_alarms")
        for tool, items in found[kind].items()
        if items
    ]
    missed = [f"- {text}" for text in found["missed_by_certificate"]] or ["- none"]
    honest_head, missed_head = "Honest files that were complained of", "Faults that do something and that passed"
    parts = (
        _other_scale(found),
        f"## {honest_head}",
        "",
        *(alarms or ["- none"]),
        "",
        f"## {missed_head} the certificate",
        "",
        *missed,
        "",
    )
    return "\n".join(parts)


def _bound(value: float | None) -> str:
    return "more" if value is None else f"{value:g}"


def _kinds(item: dict[str, Any]) -> str:
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(item["kinds"].items()))
    return f"{item['put_in']}: {counts}" if counts else "0"


def _cells(item: dict[str, Any]) -> str:
    total = item["files"]
    return " | ".join(f"{item['caught'][tool]} of {total}" if total else "-" for tool in _SHORT)
