"""How PyTorch's OpenMP threads wait for each other."""

import os


def wait_passively() -> None:
    """Let OpenMP's threads sleep instead of spin while they wait; call it before PyTorch is imported.

    Two trainings at once on two cores ran 2 to 20 times as fast with it, and one alone about as fast as without
    (benchmarks/training/openmp_wait.py). A value of OMP_WAIT_POLICY that is set already is respected.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
