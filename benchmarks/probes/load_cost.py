"""What the checks at loading cost: hashes, golden samples, signature.

Run: python -m benchmarks.probes.load_cost BUNDLE [--rounds 100] [--threads 1]

Every round loads the bundle once in each way, in an order that is drawn anew, in one process and with the files in the
system's cache. Printed are the median time of each way (and the fastest), and per check the median over the rounds of
the time that it adds (with the middle half of them), as milliseconds and as a share of the load that it is added to:
once as time on the wall, and once as time of the processors, which other work on the machine disturbs less. The
signature is made here with a key of its own; its first check in a process also loads the package, which is timed apart.
`--check none` and the switches of `Classifier.load` leave the checks out.
"""

import argparse
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import onnxruntime

from torchstone_runtime.inference.classifier import Classifier

WAYS: dict[str, dict[str, Any]] = {
    "no checks": {"replay_golden": False, "check_hashes": False},
    "hashes": {"replay_golden": False},
    "hashes and golden samples": {},
    "hashes, golden samples and signature": {"public_key": ""},
}
ADDED = (("SHA-256", 1, 0), ("golden samples", 2, 1), ("both", 2, 0), ("signature", 3, 2))
CLOCKS = {"on the wall": time.perf_counter, "on the processors": time.process_time}
IMPORT = "import time; t = time.perf_counter(); import model_signing.verifying; print(time.perf_counter() - t)"


def sign(bundle: Path, folder: Path) -> tuple[Path, Path]:
    """Copy and sign a bundle with a new key; return the copy and the public key."""
    from cryptography.hazmat.primitives import serialization as pem  # noqa: PLC0415 - beside its use
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    from torchstone_export.bundle.signing import BundleSigner  # noqa: PLC0415
    from torchstone_runtime.bundle.bundle import Bundle  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / "private.pem", folder / "public.pem"
    private.write_bytes(key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo))
    copy = shutil.copytree(bundle, folder / "bundle")
    BundleSigner(private).sign(Bundle.open(copy))
    return copy, public


def measure(bundle: Path, public_key: Path, rounds: int, threads: int) -> dict[str, dict[str, list[float]]]:
    """Return by clock and way the milliseconds of each round."""
    WAYS["hashes, golden samples and signature"]["public_key"] = public_key
    times: dict[str, dict[str, list[float]]] = {clock: {name: [] for name in WAYS} for clock in CLOCKS}
    for index in range(rounds + 3):
        for name in random.sample(list(WAYS), len(WAYS)):
            started = {clock: read() for clock, read in CLOCKS.items()}
            classifier = Classifier.load(bundle, provider="cpu", threads=threads, **WAYS[name])
            if index >= 3:  # the first ones fill caches
                for clock, read in CLOCKS.items():
                    times[clock][name].append(1000 * (read() - started[clock]))
            classifier.close()
    return times


def report(times: dict[str, list[float]]) -> None:
    for name, values in times.items():
        low, middle, high = statistics.quantiles(values, n=4)
        print(f"  {name:<38}{middle:8.2f} ms (fastest {min(values):.2f}, middle half {low:.2f} to {high:.2f})")
    ways = list(times.values())
    for name, more, less in ADDED:
        added = [first - second for first, second in zip(ways[more], ways[less], strict=True)]
        shares = [first / second - 1 for first, second in zip(ways[more], ways[less], strict=True)]
        low, middle, high = statistics.quantiles(added, n=4)
        print(
            f"  {name + ' adds':<38}{middle:8.2f} ms (middle half {low:.2f} to {high:.2f}), "
            f"{statistics.median(shares):.0%} of a load without"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle, public_key = sign(arguments.bundle, Path(folder))
        sizes = {path.name: path.stat().st_size for path in sorted(bundle.iterdir())}
        times = measure(bundle, public_key, arguments.rounds, arguments.threads)
    print(f"{arguments.rounds} rounds, Python {platform.python_version()}, ONNX Runtime {onnxruntime.__version__}")
    print(f"  files: {', '.join(f'{name} {size:,}' for name, size in sizes.items())} bytes")
    for clock, measured in times.items():
        print(f"{clock}")
        report(measured)
    imports = [
        float(subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, check=True).stdout) for _ in range(5)
    ]
    print(f"  {'importing model_signing, once':<38}{1000 * statistics.median(imports):8.0f} ms")


if __name__ == "__main__":
    main()
