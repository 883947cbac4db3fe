"""All benchmarks of the runtime, then docs/reference/benchmarks.md and its plots: what `make bench` runs.

Run: python -m benchmarks.runtime.run_all [--quick]

Each benchmark is a process of its own. One that fails or takes too long is reported at the end (exit code 1); the page
is then written with the figures that it gave before.
"""

import subprocess
import sys
import time

from benchmarks.places import ROOT
from benchmarks.runtime import page, stage

BENCHMARKS = ("whole_process", "latency", "throughput", "folder_memory", "growth", "tiles")
LIMIT_SECONDS = 300


def main() -> int:
    """Run the benchmarks and write the page; return the exit code."""
    stage.bundle()
    stage.int8_model()
    failed = []
    for name in BENCHMARKS:
        print(f"== {name}", flush=True)
        started = time.monotonic()
        command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.runtime.{name}", *sys.argv[1:]]
        try:
            subprocess.run(command, check=True, timeout=LIMIT_SECONDS, cwd=ROOT)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            failed.append(f"{name}: {error}")
        print(f"== {name}: {time.monotonic() - started:.0f} s", flush=True)
    page.main()
    for line in failed:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
