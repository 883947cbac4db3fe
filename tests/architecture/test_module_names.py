"""One name, one idea: two modules share a name, or all but a letter of it, only where a reason is written down here."""

from collections import defaultdict
from itertools import combinations
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMAND = "the command, and what it calls"
SHOWN = "what was found, and how the report shows it"
ONE_IDEA = {
    "adopt": COMMAND,
    "bench": COMMAND,
    "clients": COMMAND,
    "diagnose": COMMAND,
    "evaluate": COMMAND,
    "health": COMMAND,
    "push": COMMAND,
    "verify": COMMAND,
    "comparison": SHOWN,
    "label_errors": SHOWN,
    "robustness": "the command, what it calls, and how the report shows it",
    "validation_watch": SHOWN,
    "catalog": "what can be named of the room: datasets, corruptions, recipes",
    "decoding": "picture files to pixels on several threads: of a call, and of a server's requests",
    "download": "files fetched, and kept: datasets, and weights",
    "geometry": "shape and place of what a picture shows: fitted, corrupted, mistaken",
    "golden": "the golden samples: chosen by the export, replayed by the runtime",
    "head": "the last layer of a backbone",
    "machine": "the machine: read, and judged by the doctor",
    "page": "a page for people: its frame, and the one of a run",
    "progress": "how far something long has come, told to a person",
    "recheck": "a certificate, computed again",
    "tensors": "tensors of the Open Inference Protocol, on the server's side and on the client's",
    "transforms": "changes of training pictures: as a recipe names them, and as they are done",
    "validation_statistics": "the bundle's statistics of its validation images: written, and read",
}
OTHER_WORDS = {
    ("batcher", "batches"): "one makes batches of requests, the other cuts images into them",
    ("cross_validation", "crossvalidation"): "one idea: the public API's result, and the room that computes it",
    ("core", "score"): "two words",
    ("deadline", "headline"): "two words",
    ("decide", "decode"): "two words",
    ("find", "kind"): "two words",
    ("kserve", "serve"): "KServe's name",
    ("score", "scorer"): "the command, and what does its work",
    ("recipe", "recipes"): "a thing, and the room of them",
    ("shard", "shards"): "a thing, and the room of them",
}


def modules() -> dict[str, list[str]]:
    """Return the paths of all modules of the packages, but for `__init__` and `__main__`, by name."""
    found: dict[str, list[str]] = defaultdict(list)
    for package in ("runtime", "train", "export"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if not path.stem.startswith("__"):
                found[path.stem].append(str(path.relative_to(ROOT)))
    return found


def rooms() -> set[str]:
    """Return the names of all sub-packages."""
    return {
        path.parent.name
        for package in ("runtime", "train", "export")
        for path in ROOT.glob(f"{package}/*/**/__init__.py")
    }


def differ_by_a_letter(first: str, second: str) -> bool:
    """Tell whether one letter is changed, added or left out."""
    short, long = sorted((first, second), key=len)
    if len(short) == len(long):
        return sum(a != b for a, b in zip(short, long, strict=True)) == 1
    return len(long) == len(short) + 1 and any(long[:at] + long[at + 1 :] == short for at in range(len(long)))


def test_modules_of_one_name_are_one_idea() -> None:
    """Across runtime, training and export; a reason whose modules are gone is taken out."""
    shared = {name: paths for name, paths in modules().items() if len(paths) > 1}

    assert {name: paths for name, paths in shared.items() if name not in ONE_IDEA} == {}
    assert set(ONE_IDEA) == set(shared)


def test_no_two_names_differ_by_a_letter() -> None:
    """Names of modules and of rooms; one in the plural is such a pair too."""
    names = sorted({*modules(), *rooms()})
    pairs = {(a, b) for a, b in combinations(names, 2) if differ_by_a_letter(a, b)}

    assert len(names) > 300, "the search itself works"
    assert pairs - set(OTHER_WORDS) == set()
    assert set(OTHER_WORDS) == pairs
