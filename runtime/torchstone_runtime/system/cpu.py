"""How many processors this process may really use."""

import math
import os

from torchstone_runtime.system.container import cpu_quota


def affinity() -> int:
    """Return how many processors the affinity mask lets this process run on (on systems without masks: all)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_cpus() -> int:
    """Return the processors of the affinity mask, or fewer where the container's CPU quota is smaller; at least 1.

    The host's core count, which ONNX Runtime uses by default, oversubscribes a container many times over
    (microsoft/onnxruntime issue 8313). A quota of 1.2 processors counts as 2.
    """
    quota = cpu_quota()
    return max(1, affinity() if quota is None else min(affinity(), math.ceil(quota)))
