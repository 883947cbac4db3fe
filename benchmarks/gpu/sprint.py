"""Time to accuracy of `sprint` and `sprint-mnist` on the GPU, beside the documents' loop on the same one.

Sprint's clock begins when CUDA is ready and runs through the whole recipe; the document's stops after the first epoch
whose test accuracy is at the target, and leaves out reading the data (as in benchmarks/training/sprint.py). The first
document of a dataset trains alone; the others at the same time, for the number of epochs that they take: their seconds
are that number times the lone one's seconds of an epoch.
"""

import statistics
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import DONE, Steps, read_steps
from benchmarks.gpu.trainings import require_device, test_accuracy, train_once, warm_up
from benchmarks.training.document_loop import epochs
from benchmarks.training.sprint import CASES, MOST_EPOCHS

SEEDS: Final = 5
FIRST_SEED: Final = 100
"""As in benchmarks/training/sprint.py: seeds that the recipes were not chosen on."""
LARGER_BATCHES: Final = ((256, 0.2), (512, 0.4), (1024, 0.6))
"""Batch size and learning rate of trials: a GPU has too little to do in batches of 64."""
COMPILED: Final = (
    *(("fashion-mnist", "reduce-overhead"), ("mnist", "reduce-overhead")),
    *(("fashion-mnist", "default"), ("mnist", "default")),
)
"""Datasets with modes of `--compile`; CUDA graphs launch many small kernels at once."""


def steps(setting: Setting) -> Steps:
    """Return the steps of this piece."""
    require_device(setting)
    seeds = range(FIRST_SEED, FIRST_SEED + setting.size(SEEDS, 1))
    found: dict[str, Any] = {"ready": lambda: warm_up(setting)}
    for dataset, case in CASES.items():
        # Unmeasured: the first training loads what all use.
        found[f"{dataset}, first"] = partial(_sprint, setting, dataset, case, 0, epochs=1)
        for seed in seeds:
            found[f"{dataset}, seed {seed}"] = partial(_sprint, setting, dataset, case, seed)
        found[f"{dataset}, document alone"] = partial(_document, setting, dataset, case, FIRST_SEED)
    for dataset, case in CASES.items():
        for (batch, rate), seed in (
            (sizes, seed) for sizes in setting.size(LARGER_BATCHES, ()) for seed in list(seeds)[:3]
        ):
            name = f"{dataset}, batch {batch}, rate {rate}, seed {seed}"
            found[name] = partial(_sprint, setting, dataset, case, seed, batch_size=batch, lr=rate)
    for dataset, case in CASES.items():
        found[f"{dataset}, other documents"] = partial(_documents, setting, dataset, case, list(seeds)[1:])
        found[f"{dataset}, verdict"] = partial(_verdict, setting, dataset, case)
    for dataset, mode in setting.size(COMPILED, COMPILED[-1:]):
        for seed in list(seeds)[:3]:
            name = f"{dataset}, --compile {mode}, seed {seed}"
            found[name] = partial(_sprint, setting, dataset, CASES[dataset], seed, compile=mode)
    return found


def _sprint(setting: Setting, dataset: str, case: dict[str, Any], seed: int, **choices: Any) -> dict[str, Any]:  # noqa: ANN401
    name = f"sprint-{dataset}"
    choices |= setting.size({}, {"epochs": 1})
    result = train_once(setting, case["recipe"], dataset, name, seed=seed, deterministic=False, **choices)
    if "compile_seconds" in result:
        result["seconds_without_compiling"] = result["seconds"] - result["compile_seconds"]
    return result | {"test": test_accuracy(setting, name, dataset), "target": case["target"]}


def _document(setting: Setting, dataset: str, case: dict[str, Any], seed: int) -> dict[str, Any]:
    threads = torch.get_num_threads()
    try:
        return run_document(setting.device, setting.data_dir(), dataset, case, seed, setting.size(MOST_EPOCHS, 1))
    finally:
        torch.set_num_threads(threads)  # what is measured after it computes as if it had not been


def run_document(
    device: str, data_dir: Path, dataset: str, case: dict[str, Any], seed: int, most: int
) -> dict[str, Any]:
    """Train a document's loop up to its target; picklable, for a process of its own."""
    torch.set_num_threads(2)
    found: list[dict[str, float]] = []
    for epoch in epochs(case["document"], dataset, data_dir, seed, device):
        found.append(epoch)
        if epoch["test"] >= case["target"] or len(found) == most:
            break
    reached = found[-1]["test"] >= case["target"]
    return {"seed": seed, "seconds": sum(epoch["seconds"] for epoch in found), "reached": reached, "epochs": found}


def _documents(setting: Setting, dataset: str, case: dict[str, Any], seeds: list[int]) -> list[dict[str, Any]]:
    if not seeds:
        return []
    arguments = (setting.device, setting.data_dir(), dataset, case)
    with ProcessPoolExecutor(len(seeds), get_context("spawn")) as pool:
        waiting = [pool.submit(run_document, *arguments, seed, MOST_EPOCHS) for seed in seeds]
        return [future.result() for future in waiting]


def _verdict(setting: Setting, dataset: str, case: dict[str, Any]) -> dict[str, Any]:
    kept = {
        name: step["result"] for name, step in read_steps(setting.results, "sprint").items() if step["state"] == DONE
    }
    ours = [kept[name] for name in kept if name.startswith(f"{dataset}, seed")]
    alone = kept[f"{dataset}, document alone"]
    others = kept[f"{dataset}, other documents"]
    an_epoch = statistics.median(epoch["seconds"] for epoch in alone["epochs"])
    documents = [alone["seconds"], *(an_epoch * len(item["epochs"]) for item in others)]
    seconds = statistics.median(item["seconds"] for item in ours)
    return {
        "seconds": seconds,
        "seconds_of_all": [item["seconds"] for item in ours],
        "test_of_all": [item["test"] for item in ours],
        "mean_test": statistics.fmean(item["test"] for item in ours),
        "target": case["target"],
        "documents_seconds": documents,
        "documents_reached": [item["reached"] for item in (alone, *others)],
        "ratio": statistics.median(documents) / seconds,
    }
