"""A classifier in a program of several threads and processes, and its end."""

import gc
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import BundleError, CheckFailedError, DataError, ImageError, TorchstoneError, UsageError
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.predictions import Predictions

COUNT = 300


@pytest.fixture(scope="module")
def images(digits: Split) -> Uint8Array:
    """Enough digits for several micro-batches."""
    return digits.store.read(np.arange(COUNT))


@pytest.fixture(scope="module")
def expected(classifier: Classifier, images: Uint8Array) -> Predictions:
    """What one thread gets for them."""
    return classifier.predict(images)


def own_threads() -> set[threading.Thread]:
    """Return the threads of classifiers."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("torchstone")}


def test_many_threads_under_load_get_right_answers(
    digits_bundle: Path, images: Uint8Array, expected: Predictions
) -> None:
    """Twelve threads, calls of all sizes on one classifier: every row is that of its image."""
    sizes = np.random.default_rng(0).integers(1, COUNT, 120)

    with Classifier.load(digits_bundle, provider="cpu", threads=3) as shared:

        def call(index: int) -> float:
            start = index * 7 % (COUNT - 1)
            part = slice(start, start + int(sizes[index]))
            return float(np.abs(shared.predict(images[part]).logits - expected.logits[part]).max())

        with ThreadPoolExecutor(12) as pool:
            assert max(pool.map(call, range(len(sizes)))) < 1e-4


def test_closing_under_load_ends_every_call(digits_bundle: Path, images: Uint8Array, expected: Predictions) -> None:
    """A call gives the right answer or says that the classifier is closed; none hangs, none gives half an answer."""
    shared = Classifier.load(digits_bundle, provider="cpu", threads=3)
    begun = threading.Barrier(9)

    def call(_: int) -> str:
        begun.wait(30)
        try:
            while True:
                np.testing.assert_allclose(shared.predict(images).logits, expected.logits, atol=1e-4)
        except UsageError as error:
            return error.problem

    with ThreadPoolExecutor(8) as pool:
        calls = pool.map(call, range(8), timeout=60)
        begun.wait(30)
        shared.close()
        assert set(calls) == {"This classifier is closed."}


def test_closing_ends_the_threads_and_frees_the_session(digits_bundle: Path, images: Uint8Array) -> None:
    """At once, not when the interpreter gets round to it."""
    before = own_threads()
    closing = Classifier.load(digits_bundle, threads=3, provider="cpu")
    closing.predict(images)
    session = weakref.ref(closing._engine._session)
    assert own_threads() - before
    closing.close()
    assert own_threads() - before == set()
    assert session() is None


def test_a_forgotten_classifier_leaves_no_threads(digits_bundle: Path, images: Uint8Array) -> None:
    """Without `close`, they end when nothing refers to it any more."""
    before = own_threads()
    Classifier.load(digits_bundle, threads=3, provider="cpu").predict(images)
    gc.collect()
    left = own_threads() - before
    for thread in left:
        thread.join(10)
    assert not any(thread.is_alive() for thread in left)


@pytest.fixture
def run_program(digits_bundle: Path, tmp_path: Path, images: Uint8Array) -> Callable[[str], str]:
    """Run a program that finds `images.npy` and the bundle's path in `sys.argv`; a hang is an error."""
    np.save(tmp_path / "images.npy", images)

    def run(program: str) -> str:
        (tmp_path / "program.py").write_text(program)
        result = subprocess.run(
            [sys.executable, "-W", "ignore", "program.py", digits_bundle],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=120,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


FORK = """
import multiprocessing, sys, threading
import numpy as np
from torchstone_runtime import Classifier

images = np.load("images.npy")
classifier = Classifier.load(sys.argv[1], provider="cpu", threads=3)
expected = classifier.predict(images).logits
assert threading.active_count() > 1

def child(queue):
    same = [np.array_equal(classifier.predict(images).logits, expected) for _ in range(3)]
    helped = any(thread.name.startswith("torchstone") for thread in threading.enumerate())
    classifier.close()
    queue.put(all(same) and helped)

context = multiprocessing.get_context("fork")
queue = context.Queue()
children = [context.Process(target=child, args=(queue,)) for _ in range(3)]
for process in children:
    process.start()
print(*(queue.get(timeout=60) for _ in children))
for process in children:
    process.join(60)
print(np.array_equal(classifier.predict(images).logits, expected))
"""


def test_it_works_in_forked_processes_and_in_their_parent(run_program: Callable[[str], str]) -> None:
    """The threads of the parent are not there in the child, which makes its own; closing in the child is harmless."""
    assert run_program(FORK).split() == ["True"] * 4


FORK_WITH_TWO_SESSIONS = """
import gc, multiprocessing, sys
import numpy as np
from torchstone_runtime import Classifier

picture = np.load("images.npy")[:1]
classifier = Classifier.load(sys.argv[1], provider="cpu", threads=2, mode="latency")
expected = classifier.predict(picture).logits

def child(calls):
    global classifier
    for _ in range(calls):
        np.testing.assert_allclose(classifier.predict(picture).logits, expected, atol=1e-4)
    classifier.close()
    del classifier
    gc.collect()

for calls in (0, 8):
    process = multiprocessing.get_context("fork").Process(target=child, args=(calls,))
    process.start()
    process.join(60)
    print(process.exitcode)
"""


def test_a_forked_process_makes_its_own_second_session(run_program: Callable[[str], str]) -> None:
    """The parent's threads are not there: the child neither uses that session nor waits for it when it lets go."""
    assert run_program(FORK_WITH_TWO_SESSIONS).split() == ["0", "0"]


FORK_UNDER_LOAD = """
import multiprocessing, sys, threading
import numpy as np
from torchstone_runtime import Classifier

images = np.load("images.npy")
classifier = Classifier.load(sys.argv[1], provider="cpu", threads=3)
expected = classifier.predict(images).logits
done = threading.Event()

def work():
    while not done.is_set():
        classifier.predict(images)

def child(queue):
    queue.put(np.array_equal(classifier.predict(images).logits, expected))

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
context = multiprocessing.get_context("fork")
for _ in range(12):
    queue = context.SimpleQueue()
    process = context.Process(target=child, args=(queue,), daemon=True)
    process.start()
    process.join(20)
    print("hangs" if process.exitcode is None else queue.get())
done.set()
"""


def test_a_fork_while_other_threads_predict_leaves_no_lock_behind(run_program: Callable[[str], str]) -> None:
    """The child's first call doesn't wait for a thread that is not there (1 in 30 did, before forks waited)."""
    assert run_program(FORK_UNDER_LOAD).split() == ["True"] * 12


SPAWN = """
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import numpy as np
from torchstone_runtime import Classifier

def start(classifier):
    global mine
    mine = classifier

def work(part):
    return mine.predict(part).labels

if __name__ == "__main__":
    images = np.load("images.npy")
    with Classifier.load(sys.argv[1], provider="cpu", threads=1) as classifier:
        expected = classifier.predict(images).labels
        with ProcessPoolExecutor(2, get_context("spawn"), start, (classifier,)) as pool:
            found = [label for part in pool.map(work, np.array_split(images, 4)) for label in part]
    print(found == expected)
"""


def test_it_is_sent_to_spawned_processes(run_program: Callable[[str], str]) -> None:
    """As its path: each process loads it for itself."""
    assert run_program(SPAWN) == "True\n"


def test_a_session_on_a_gpu_says_that_it_does_not_fork(
    run_program: Callable[[str], str],
) -> None:
    """CUDA doesn't work after a fork: that is an error with a message, not a crash. Shown with a session on the CPU."""
    program = """
import multiprocessing, sys
import numpy as np
from torchstone_runtime.inference.engine import Engine
from torchstone_runtime.inference.load_options import ON_CPU
from torchstone_runtime.inference.providers import open_session
session = open_session(open(sys.argv[1] + "/model.onnx", "rb").read(), ON_CPU).session
engine = Engine(session, num_classes=10, workers=1, micro_batch=8, survives_fork=False)
def child(queue):
    try:
        queue.put(engine.run(np.load("images.npy")))
    except Exception as error:
        queue.put(error)
context = multiprocessing.get_context("fork")
queue = context.Queue()
context.Process(target=child, args=(queue,)).start()
error = queue.get(timeout=60)
print(type(error).__name__, error.problem, error.remedy)
engine.run(np.load("images.npy"))
"""
    said = run_program(program)
    assert said.startswith(
        "UsageError A session on a GPU or of OpenVINO does not work in a process made by fork. Load the classifier"
    )


def test_a_pickled_classifier_is_loaded_again(digits_bundle: Path, images: Uint8Array, expected: Predictions) -> None:
    """With the options that it was loaded with; a lone file likewise."""
    for path in (digits_bundle, digits_bundle / "model.onnx"):
        with Classifier.load(path, provider="cpu", threads=3) as one:
            other = pickle.loads(pickle.dumps(one))  # noqa: S301 - our own bytes
            with other:
                assert (other.plan, other.source) == (one.plan, one.source)
                np.testing.assert_array_equal(other.predict(images).logits, expected.logits)


def test_a_pickled_classifier_whose_model_has_changed_is_refused(bundle_copy: Path) -> None:
    """The other process must not go on with another model without a word, or with none."""
    with Classifier.load(bundle_copy) as one:
        assert one.source is not None
        changed = replace(one.source, sha256="0" * 64)
        pickled = pickle.dumps(one)
        one.source = changed
        with pytest.raises(BundleError, match="is not the one that the pickled classifier had"):
            pickle.loads(pickle.dumps(one))  # noqa: S301 - our own bytes
    bundle_copy.rename(bundle_copy.with_name("moved"))
    with pytest.raises(BundleError, match="There is no bundle at"):
        pickle.loads(pickled)  # noqa: S301 - our own bytes


def test_a_closed_classifier_is_not_pickled(digits_bundle: Path) -> None:
    """It would come to life again elsewhere."""
    with Classifier.load(digits_bundle) as closed:
        pass
    with pytest.raises(UsageError, match="cannot be pickled"):
        pickle.dumps(closed)


@pytest.mark.parametrize("kind", [TorchstoneError, UsageError, DataError, ImageError, BundleError, CheckFailedError])
def test_errors_come_whole_from_other_processes(kind: type[TorchstoneError]) -> None:
    """Problem and remedy apart, as they were raised."""
    found = pickle.loads(pickle.dumps(kind("what", "do")))  # noqa: S301 - our own bytes
    assert (type(found), found.problem, found.remedy, str(found)) == (kind, "what", "do", "what\ndo")


def test_a_failed_call_leaves_the_engine_usable(classifier: Classifier, images: Uint8Array) -> None:
    """An error in a helper's thread is raised, and the next call is right."""
    engine = classifier._engine
    with pytest.raises(Exception, match=r"(?i)invalid dimensions"):
        engine.run(images[:, :, :20])
    assert len(classifier.predict(images)) == COUNT


_GIVES_BACK = """
import re
import numpy as np
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.inference.classifier import Classifier
def resident():
    with open('/proc/self/status') as status:
        return int(re.search(r'VmRSS:\\s+(\\d+)', status.read()).group(1))
classifier = Classifier.load(locate_bundle('fashion'), variant='fp32', provider='cpu', threads=1)
images = np.random.default_rng(0).integers(0, 256, (64, 1, 28, 28), dtype=np.uint8)
small = resident()
before = classifier.predict(images).logits
large = resident()
classifier.give_back_memory()
print(small, large, resident())
assert np.array_equal(classifier.predict(images).logits, before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_the_memory_of_large_calls_can_be_given_back() -> None:
    """A server that tried large batches keeps no memory for them; the answers stay the same."""
    told = subprocess.run([sys.executable, "-c", _GIVES_BACK], check=True, capture_output=True, text=True)
    small, large, after = (int(word) for word in told.stdout.split())
    assert large - small > 4_000
    assert after - small < (large - small) / 2
