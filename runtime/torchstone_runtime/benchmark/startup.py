"""What a fresh process pays before its first answer; `torchstone bench` runs this module once a process.

Its argument is a JSON object with `bundle`, `batches` and arguments of `Classifier.load`. It prints another one:
seconds of the import, of making the session and of the first run, and the peak memory after these and each batch.
"""

import json
import sys
import time
from typing import Any


def measure(bundle: str, batches: list[int], **options: Any) -> dict[str, Any]:  # noqa: ANN401 - those of `load`
    """Import the runtime, load a bundle, classify one image, then each batch; return seconds and bytes."""
    seconds = {}
    started = time.perf_counter()
    from torchstone_runtime.inference.classifier import Classifier  # noqa: PLC0415 - this import is what is measured

    seconds["import"] = time.perf_counter() - started
    started = time.perf_counter()
    classifier = Classifier.load(bundle, replay_golden=False, **options)
    seconds["session"] = time.perf_counter() - started
    # Only now: it belongs to none of the phases.
    from torchstone_runtime.benchmark.bench import golden_batch  # noqa: PLC0415
    from torchstone_runtime.system.memory import peak_memory  # noqa: PLC0415

    images = golden_batch(classifier, max(batches))
    started = time.perf_counter()
    classifier.predict(images[:1])
    seconds["first_run"] = time.perf_counter() - started
    memory = {"first_run": peak_memory()}
    for batch in sorted(batches):
        classifier.predict(golden_batch(classifier, batch))
        memory[f"batch_{batch}"] = peak_memory()
    return {"seconds": seconds, "bytes": memory}


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))  # noqa: T201 - the process that measures reads it
