"""Mutate the manifest and certificate of a bundle, and run commands on it in this very process.

Usage: python fuzz_manifest.py BUNDLE COUNT SEED. BUNDLE is a copy of one's own. Prints a JSON line a violation of what
`docs/explanation/hostile-input.md` promises: an exit code other than 0, 1 and 2, more than one message, a traceback, or
more than ten seconds. The memory of the process is bounded to 4 GiB of address space.
"""

import contextlib
import copy
import hashlib
import io
import json
import random
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from torchstone_runtime.cli.main import _run

MEMORY: Final = 4 << 30
SECONDS: Final = 10.0
VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, 1, -1, 2, 255, 256, 10**6, 2**31, 2**63, -(2**63), 10**400),
    *(0.0, -0.0, 0.5, -1.5, 1e-320, 1e308, float("nan"), float("inf"), float("-inf")),
    *(
        "",
        " ",
        "0",
        "a",
        "..",
        "../x",
        "/etc/passwd",
        "model.onnx",
        "\x00",
        "\x1b[2J",
        "\ud800",
        "é" * 300,
        "x" * 100_000,
    ),
    *([], [[]], [0], [None], ["a", "a"], [1, "a", None], [[0] * 10] * 10, list(range(1000))),
    *({}, {"": None}, {"a": {}}, {"a": {"b": {"c": [{}]}}}),
)
DEEP: Final = 200


def places(data: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the keys that lead to every value of a JSON document."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def mutated(original: Any, draw: random.Random) -> Any:  # noqa: ANN401 - any JSON
    """Return a copy with one to three changes: another value, a removed or added one, another type, deep nesting."""
    data = copy.deepcopy(original)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        found = list(places(data))
        if not found:
            break
        place = draw.choice(found)
        holder = data
        for key in place[:-1]:
            holder = holder[key]
        change(holder, place[-1], draw)
    return data


def change(holder: Any, key: Any, draw: random.Random) -> None:  # noqa: ANN401 - an object or array of JSON
    """Change one value of an object or array in place."""
    match draw.randrange(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(draw.choice((*VALUES, *holder))))
        case 1:
            holder[draw.choice(("", "extra", "\x1b", "__class__"))] = draw.choice(VALUES)
        case 2:
            holder[key] = [holder[key]]
        case 3:
            holder[key] = str(holder[key]) if draw.random() < 0.5 else {"value": holder[key]}
        case 4 if draw.random() < 0.1:
            for _ in range(DEEP):
                holder[key] = [holder[key]]
        case _:
            holder[key] = copy.deepcopy(draw.choice(VALUES))


def with_hash(manifest: dict[str, Any], file: Path) -> dict[str, Any]:
    """Return a manifest that states the size and hash which a file has now."""
    content = file.read_bytes()
    stated = copy.deepcopy(manifest)
    for entry in stated["files"].values():
        if entry["file"] == file.name:
            entry |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return stated


def violation(arguments: list[str]) -> str | None:
    """Run a command and return what it broke, or None."""
    out, err = io.StringIO(), io.StringIO()
    started = time.perf_counter()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = _run(arguments, debug=False)
    seconds = time.perf_counter() - started
    said = err.getvalue()
    if code not in (0, 1, 2) or "Traceback" in said:
        return f"exit code {code}: {said[-800:]}"
    if said.count("Error:") > 1 or (code == 2 and "Error:" not in said):
        return f"{said.count('Error:')} messages: {said[:800]}"
    if seconds > SECONDS:
        return f"{seconds:.1f} s"
    return "a control character in the output" if "\x1b" in out.getvalue() + said else None


def main() -> None:
    """Mutate so many times, the manifest twice in three times, and print the violations."""
    bundle, count, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    draw = random.Random(seed)  # noqa: S311 - no secret
    names = ("manifest.json", "certificate.json")
    originals = {name: json.loads((bundle / name).read_bytes()) for name in names}
    for index in range(count):
        name = names[index % 3 == 0]
        for other, content in originals.items():
            (bundle / other).write_text(json.dumps(content))
        (bundle / name).write_text(json.dumps(mutated(originals[name], draw)))
        if name != "manifest.json":
            (bundle / "manifest.json").write_text(json.dumps(with_hash(originals["manifest.json"], bundle / name)))
        command = ["verify"] if index % 5 < 2 else ["inspect"]
        if found := violation([*command, str(bundle)]):
            sys.stdout.write(json.dumps({"index": index, "file": name, "command": command[0], "found": found}) + "\n")


if __name__ == "__main__":
    main()
