"""The words around the figures of the certificate's study."""

from typing import Any


def render(found: dict[str, Any]) -> str:
    """Return the page."""
    parts = [_head(found), _honest(found), _candidates(found), _kinds(found), _faults(found), _weights(found)]
    parts += [_files(found)] if found["file_faults"] else []
    return "\n".join((*parts, _provisional(found)))


def _head(found: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return f"""# False alarms and misses of the certificate

Written by `benchmarks/certificate_study/collect.py report --into {found["page"]}`; the figures are in
`{found["page"]}.json`.
{found["exports"]} honest exports of {found["families"]} kinds of network, each trained briefly (some not at all) on
the digits or on Fashion-MNIST with a seed of its own. One processor ({found["machine"]}), {versions}.
All errors are multiples of float32's own error against float64, on the same model and data: PyTorch's, or that of
PyTorch with its long sums added in a row, whichever is larger. "Before" is what was judged until then: PyTorch's own
error alone was the unit, and group and instance norm, by name, had limits of 64 and 40 in place of 9 and 6.
"""


def _honest(found: dict[str, Any]) -> str:
    rows = [
        f"| {item['engine']} | {item['kind']} | {item['exports']} | {_three(item['largest'])} | {_three(item['rms'])} "
        f"| {item['limits'][0]:g} / {item['limits'][1]:g} | {item['alarms']} | {_bound(item)} | {item['flips']} "
        f"| {item['own_worst'][0]:.2f} / {item['own_worst'][1]:.2f} | {item['alarms_before']} |"
        for item in found["engines"]
        if item["exports"]
    ]
    asked = "{:g} / {:g}".format(*found["asked_for_by_the_choosing_half"])
    table = "\n".join(rows)
    return f"""## Honest exports

| engine | kind | exports | largest error: median, 95%, worst | RMS: median, 95%, worst | limits | false alarms | \
held out: alarms of exports (95% bound) | flips beyond noise | worst in PyTorch's own errors \
| alarms before |
|---|---|---|---|---|---|---|---|---|---|---|
{table}

`onnxruntime` is as the runtime uses it; `basic` leaves out the layout optimisations, so that other kernels run.
Families of networks were divided into two halves. A limit is twice the worst of the
choosing half (onnxruntime, basic and torchscript), rounded up. That asks for (largest / RMS): {asked}. The limits were
left as an earlier study of 223 exports chose them (`certificate-rates.md`), which had no network of the group
`by hand, large`: of that group, every export is one that chose nothing.

{_whole(found["whole_certificate"])}
"""


def _whole(whole: dict[str, Any]) -> str:
    if not whole["exports"]:
        return ""
    return f"""The whole certificate (both splits, batch sizes, neighbours, places, declared axes, softmax; ONNX and
TorchScript) ran on {whole["exports"]} of the exports: {len(whole["refused"])} refused.
In {whole["neighbours_identical"]} of them neither neighbours nor the place in the batch changed a bit of what ONNX \
Runtime gave.
"""


def _candidates(found: dict[str, Any]) -> str:
    rows = [
        f"| {c['multiple']:g} | {c['alarms_largest']} | {c['alarms_rms']} | {c['missed_largest']} | {c['missed_rms']} |"
        for c in found["candidates"]
    ]
    first = found["candidates"][0]
    table = "\n".join(rows)
    return f"""## Candidate multiples

False alarms on the held-out half ({first["exports"]} exports, ONNX Runtime) and misses among the
{first["real_faults"]} faults there that change a logit by more than PyTorch's own largest error, by one figure alone.

| multiple | alarms, largest | alarms, RMS | missed, largest | missed, RMS |
|---|---|---|---|---|
{table}
"""


def _kinds(found: dict[str, Any]) -> str:
    rows = [
        f"| {item['kind']} | {item['exports']} | {item['real']} | {item['missed']} | {item['largest_missed']:.1f} "
        f"| {item['flips_missed']} | {item['missed_before']} |"
        for item in found["by_kind"]
    ]
    table = "\n".join(rows)
    return f"""## Misses by kind of network

All faults below, changes of one weight among them. `largest missed` is the largest change of a logit that passed, in
multiples of PyTorch's own largest error.

| networks | exports | real faults | missed | largest missed | of the missed, flip a settled decision \
| missed before |
|---|---|---|---|---|---|---|
{table}
"""


def _faults(found: dict[str, Any]) -> str:
    keys = ("put in", "real", "caught", "largest error", "RMS", "decisions", "softmax", "golden")
    rows = [
        f"| {name} | " + " | ".join(str(counts.get(key, 0)) for key in keys) + " |"
        for name, counts in found["faults"].items()
    ]
    table = "\n".join(rows)
    return f"""## Faults in the model

Put into {found["faulty_exports"]} exports. `real` are those that flip a settled decision, change a logit by more than
PyTorch's own largest error, or change probabilities beyond that, in exact arithmetic on 96 samples; the others do
nothing there.
`golden` is what the replay of 16 golden samples alone finds, with its wider tolerance.
Missed of all real ones in this table: {found["named_missed"]}.

| fault | put in | real | caught | by largest error | by RMS | by decisions | by softmax | golden alone |
|---|---|---|---|---|---|---|---|---|
{table}
"""


def _weights(found: dict[str, Any]) -> str:
    rows = [
        f"| {item['from']:g} to {'more' if item['to'] is None else format(item['to'], 'g')} | {item['changes']} "
        f"| {item['caught']} | {item['largest error']} | {item['largest error, 16 times']} | {item['golden']} "
        f"| {item['flips']} | {item['flips_missed']} |"
        for item in found["one_weight"]
    ]
    table = "\n".join(rows)
    return f"""## One weight changed by growing amounts

By the largest change of a logit in exact arithmetic, in multiples of PyTorch's own largest error.

| change | changes | caught | by largest error | by largest error at 16 (as before) | golden alone \
| flip a settled decision | of these missed |
|---|---|---|---|---|---|---|---|
{table}
"""


def _files(found: dict[str, Any]) -> str:
    rows = [
        f"| {name} | {item['files']} | {item['caught']} | {', '.join(item['missed']) or '-'} |"
        for name, item in found["file_faults"].items()
    ]
    table = "\n".join(rows)
    return f"""## Faults put into the ONNX file

The whole certificate on 150 samples a split. Not caught are only faults that do nothing there: the outputs over all
300 samples are the right file's, bit for bit (clipping that no logit reaches, a weight that no image uses).

| fault | files | caught | not caught |
|---|---|---|---|
{table}
"""


def _provisional(found: dict[str, Any]) -> str:
    here = "{:g} / {:g}".format(*found["limits"])
    return f"""## By provider and precision

| | largest / RMS | state |
|---|---|---|
| cpu, float32, at the export | {here} | measured, above |
| cpu, float32, elsewhere | twice that | measured on other kernels; other processors not yet measured |
| cuda, float32, TF32 off | twice that | not yet measured; provisional |
| tensorrt, float32 | twice that | not yet measured; provisional |
| cuda with TF32 | none: judged as a lossy variant | not yet measured |
| fp16, any provider | none: judged as a lossy variant | not yet measured |
"""


def _three(values: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _bound(item: dict[str, Any]) -> str:
    bound = item["upper_bound_held_out"]
    return f"{item['alarms_held_out']} of {item['held_out']}" + (f" (< {bound:.1%})" if bound is not None else "")
