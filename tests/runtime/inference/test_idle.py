import time
from pathlib import Path

from torchstone_runtime.benchmark.bench import golden_batch
from torchstone_runtime.inference.classifier import Classifier

WAIT = 1.0


def test_a_loaded_classifier_that_waits_uses_no_processor(digits_bundle: Path) -> None:
    """No thread of the engine or of ONNX Runtime spins: under 2% of one processor, measured as processor time."""
    with Classifier.load(digits_bundle, provider="cpu", threads=4) as classifier:
        classifier.predict(golden_batch(classifier, 500))
        before = time.process_time()
        time.sleep(WAIT)

        assert time.process_time() - before < 0.02 * WAIT
