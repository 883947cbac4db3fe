"""`cuda` and `tensorrt` on every variant of every bundle: loaded, golden samples replayed, each node in its place."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu.bundles import all_bundles, variants
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import Steps
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.golden import variant_golden
from torchstone_runtime.errors import TorchstoneError
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.inference.providers import open_session


def steps(setting: Setting) -> Steps:
    """Return the steps of this piece."""
    found: dict[str, Any] = {}
    for name, bundle in all_bundles(setting).items():
        for variant in variants(bundle):
            for provider in setting.providers:
                for tf32 in (False, True) if provider != "cpu" else (False,):
                    label = f"{name}, {variant}, {provider}{' with TF32' if tf32 else ''}"
                    options = setting.options(provider, variant=variant, tf32=tf32)
                    found[label] = partial(_loaded, bundle, variant, options)
    return found


def _loaded(bundle: Path, variant: str, options: LoadOptions) -> dict[str, Any]:
    """Return what a variant does on a provider; a refusal with its words is a result too."""
    try:
        return _replayed(bundle, variant, options)
    except TorchstoneError as error:
        return {"refused": error.problem, "remedy": error.remedy, "kind": type(error).__name__}


def _replayed(bundle: Path, variant: str, options: LoadOptions) -> dict[str, Any]:
    opened = Bundle.open(bundle)
    session = open_session(opened.read(opened.manifest.variants[variant]), options).session
    golden, tolerance = variant_golden(opened, variant, provider=options.provider, tf32=options.tf32)
    with Classifier.load_with(bundle, options) as classifier:
        error = classifier.replay(golden, tolerance)
        images = np.tile(golden.images, (70, 1, 1, 1))
        whole = classifier.predict(images).logits
        single = classifier.predict(golden.images[:1]).logits
        plan = str(classifier.plan)
    return {
        "plan": plan,
        # A session on the CPU, of a trial, is not made to record it.
        "nodes": {} if options.provider == "cpu" else nodes_by_provider(session),
        "golden_error": error,
        "golden_tolerance": tolerance,
        "same_at_every_place": float(
            np.abs(whole.reshape(70, len(golden.images), -1) - whole[: len(golden.images)]).max()
        ),
        "alone_beside_batch": float(np.abs(single - whole[:1]).max()),
    }


def nodes_by_provider(session: Any) -> dict[str, dict[str, int]]:  # noqa: ANN401 - onnxruntime ships no types
    """Return the types of the nodes with their numbers, by the provider that runs them."""
    found: dict[str, Counter[str]] = {}
    for part in session.get_provider_graph_assignment_info():
        found.setdefault(part.ep_name, Counter()).update(node.op_type for node in part.get_nodes())
    return {provider: dict(counts) for provider, counts in found.items()}
