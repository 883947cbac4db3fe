"""Model files, run as production and PyTorch will run them."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from torchstone_export.certificate.batch_checks import Runner
from torchstone_export.certificate.certify import VariantCertificate, certify_variant
from torchstone_export.certificate.reference import Reference
from torchstone_export.formats.frozen_axis import find_frozen_batch
from torchstone_export.formats.torchscript_file import TorchScriptRunner
from torchstone_export.run_over import batches_of, run_over
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.inference.engine import Engine, Outputs, make_engine
from torchstone_runtime.inference.load_options import ON_CPU
from torchstone_runtime.inference.providers import open_session
from torchstone_runtime.system.cpu import usable_cpus


def certify_files(contents: Mapping[str, bytes], reference: Reference) -> dict[str, VariantCertificate]:
    """Certify model files.

    Args:
        contents: the bytes of the files, by variant, as they were read back or checked against a manifest.
        reference: outputs of the model that they were exported from.
    """
    certificates = {}
    for variant, content in contents.items():
        try:
            runner = make_runner(variant, content, reference.num_classes)
        except Exception as error:  # noqa: BLE001 - a file that can't be loaded is the finding
            certificates[variant] = VariantCertificate(failures=[f"it cannot be loaded: {error}"])
            continue
        certificates[variant] = certify_variant(reference, runner, variant=variant)
        if variant != "torchscript":
            # A file may run at any size and still say that it can't, which other tools believe.
            certificates[variant].failures += [f"frozen batch axis: {where}" for where in find_frozen_batch(content)]
    return certificates


def make_runner(variant: str, content: bytes, num_classes: int) -> Runner:
    """Return what runs a variant's file: PyTorch for TorchScript, ONNX Runtime on the CPU for the others."""
    if variant == "torchscript":
        return partial(_run_torchscript, TorchScriptRunner(content))
    return partial(run_in_batches, make_engine(open_session(content, ON_CPU), num_classes, threads=1))


def _run_torchscript(runner: TorchScriptRunner, images: Uint8Array, batch_size: int) -> Outputs:
    return run_over(batches_of(images, batch_size), runner.run)


def run_in_batches(engine: Engine, images: Uint8Array, batch_size: int) -> Outputs:
    """Return logits and probabilities, float32 [N, K], from calls of at most `batch_size` images.

    Of an engine of one worker, the calls are of just that size (but for the last one), several at once.
    """
    if engine.workers > 1 or len(images) <= batch_size:
        return engine.run(images, micro_batch=batch_size)
    with ThreadPoolExecutor(usable_cpus()) as pool:
        parts = list(pool.map(partial(engine.run, micro_batch=batch_size), batches_of(images, batch_size)))
    logits, probabilities = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return logits, probabilities
