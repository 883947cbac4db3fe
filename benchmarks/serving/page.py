"""The page of `benchmarks.serving.study`: what was measured, beside what was aimed at."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

Found = Mapping[str, Any]
_TITLE: Final = "<!-- Written by python -m benchmarks.serving.study; don't edit. -->\n\n# The server, measured"
_WORDS: Final = "Only ratios within one run mean something where others use the machine as well."
_TIMEOUT_MS: Final = 1000


def page(found: Found) -> str:
    """Return the page of all stages that were measured."""
    writers = {
        "starts": _starts,
        "beside_others": _beside_others,
        "batches_of_64": _batches,
        "open_loop": _open_loop,
        "large_pictures": _pictures,
    }
    parts = [_TITLE, _WORDS]
    for name, write in writers.items():
        if name in found:
            parts.append("\n".join([*write(found[name]), "", _machine(found[name]["machine"])]))
    return "\n\n".join(parts) + "\n"


def _machine(machine: Found) -> str:
    return (
        f"{machine['time']} UTC, {machine['processors']} processors, load average at the start "
        f"{machine['load_average_at_start']:.1f}; Torchstone {machine['torchstone']}, Python {machine['python']}."
    )


def _starts(found: Found) -> Iterator[str]:
    rows = found["servers"]
    ours = rows["torchstone"]
    yield "## Start to first right answer, checks included"
    yield ""
    yield "| server | runs | processor time | ours / theirs | time | ours / theirs |"
    yield "|---|---|---|---|---|---|"
    for name, row in rows.items():
        if "error" in row:
            yield f"| {name} | {row['error']} | | | | |"
            continue
        ratios = [ours[key] / row[key] for key in ("processor_s", "first_answer_s")]
        cells = f"{row['processor_s']:.2f} s | {ratios[0]:.2f} | {row['first_answer_s']:.2f} s | {ratios[1]:.2f}"
        yield f"| {name} | {row['runs']} | {cells} |"
    yield ""
    yield (
        "The aim is at most 0.125 of theirs. Where others use the machine, the processor time is the figure to read. "
        "`the least` is Python, NumPy, ONNX Runtime, a session and one answer, without any server or check: "
        f"{rows['the least']['processor_s'] / ours['processor_s']:.2f} of ours, and no server in Python that runs the "
        "model can take less."
    )


def _beside_others(found: Found) -> Iterator[str]:
    rows = found["servers"]
    ours = rows["torchstone"]
    yield "## Beside other servers, the same model and the same JSON, in turns"
    yield ""
    yield "| server | runs | memory (PSS) | ours / theirs | c = 16, requests/s | ours / theirs | p99 |"
    yield "|---|---|---|---|---|---|---|"
    for name, row in rows.items():
        if "error" in row:
            yield f"| {name} | {row['error']} | | | | | |"
            continue
        memory = f"{row['pss_mb']:.0f} MB | {ours['pss_mb'] / row['pss_mb']:.2f}" if "pss_mb" in row else " | "
        yield (
            f"| {name} | {row['runs']} | {memory} | {row['c16_per_s']:,.0f} | "
            f"{ours['c16_per_s'] / row['c16_per_s']:.1f} | {row['p99_ms']:.0f} ms |"
        )
    yield ""
    yield "Aims: memory below 0.5 of theirs, requests at least 1.5 times the best of them."


def _batches(found: Found) -> Iterator[str]:
    yield "## Requests of 64 images"
    yield ""
    yield f"{found['served_per_s']:,} images/s served, {found['predict_per_s']:,} by `Classifier.predict`: "
    yield f"{found['ratio']:.2f} ({_each(found['ratios'])}); the aim is 0.9."


def _open_loop(found: Found) -> Iterator[str]:
    idle = found["idle_20_per_s"]["ms"]["p50"]
    yield "## Open loop, requests of 8 images"
    yield ""
    yield f"Capacity with 64 clients: {found['capacity_per_s']:,} requests/s. p50 of an idle server: {idle:.1f} ms."
    yield f"A queue of 256 images, and {_TIMEOUT_MS:,} ms for an answer."
    yield ""
    yield (
        "| load | planned | 200 | refused (503) | too late (504) | lost | answered / capacity | p50 | p99 | "
        "p99 / idle p50 |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for name, load in found.items():
        if not name.startswith("at_"):
            continue
        count = load["statuses"]
        yield (
            f"| {name[3:]} | {load['planned']:,} | {count.get('200', 0):,} | {count.get('503', 0):,} | "
            f"{count.get('504', 0):,} | {load['planned'] - sum(count.values()) + count.get('0', 0):,} | "
            f"{load['rate'] / found['capacity_per_s']:.2f} | {load['ms']['p50']:.1f} ms | {load['ms']['p99']:.1f} ms | "
            f"{load['ms']['p99'] / idle:.1f} |"
        )
    yield ""
    yield (
        "Aims: at 70% p99 at most 5 times the p50 of an idle server; beyond 100% nothing lost, no answer later than "
        "its deadline, and 0.9 of the capacity kept."
    )


def _pictures(found: Found) -> Iterator[str]:
    yield "## JPEG pictures of 1600 x 1200"
    yield ""
    yield f"{found['served_per_s']:.1f} pictures/s served to 8 clients, {found['decoding_alone_per_s']:.1f} decoded "
    yield f"alone on as many threads as processors: {found['ratio']:.2f} ({_each(found['ratios'])}); the aim is 0.9."
    yield "The clients share the processors with the server."


def _each(ratios: list[float]) -> str:
    return ", ".join(f"{ratio:.2f}" for ratio in ratios)
