"""The calls of one visit to a GPU: what each carries, which pieces it runs, and how long; the most worth comes first.

    python -m benchmarks.gpu.calls [--first N]

prints each call as it is typed, and the seconds that all may take together. A visit has 30 minutes, a call 10; the
machine takes 64 MiB a call and reaches nothing, so that ONNX Runtime's wheel travels with the trainings.
"""

import argparse
from dataclasses import dataclass
from typing import Final

from benchmarks.gpu.pieces import PIECES

VISIT_SECONDS: Final = 30 * 60
CALL_SECONDS: Final = 10 * 60
START_SECONDS: Final = 120
"""For the start of the machine, which counts."""
CARRYING_SECONDS: Final = 12
"""For one call's files on their way, in and out; a guess."""
_HEAD: Final = (
    "export PYTHONPATH=runtime:train:export:. PYTHONUNBUFFERED=1; "
    'W="python3 -m benchmarks.gpu.wheels"; '
    'R="python3 -m benchmarks.gpu.run_all --results $OUT --work /tmp/gpu-work --data /tmp/data"'
)


@dataclass(frozen=True)
class Call:
    """One command on the machine.

    Attributes:
        carry: ignored folders that travel along.
        before: shell commands before the pieces.
        pieces: pieces in their order.
        options: further options of `run_all`.
    """

    carry: tuple[str, ...]
    before: tuple[str, ...]
    pieces: tuple[str, ...] = ()
    options: str = ""

    @property
    def seconds(self) -> int:
        """Seconds that its pieces may take together."""
        return sum(PIECES[name].seconds for name in self.pieces)

    def command(self) -> str:
        """Return the command line."""
        measured = f"$R {self.options}{' '.join(self.pieces)} --seconds {self.seconds}"
        return f"{_HEAD}; {' && '.join([*self.before, *([measured] if self.pieces else [])])}"


def _wheels(number: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (f".gpu/wheels-{number}",), (f"$W take .gpu/wheels-{number}",)


CALLS: Final = (
    Call((".gpu/data",), ("cp -rT .gpu/data /tmp/data",), ("machine", "sprint")),
    Call(*_wheels(0), ("memory", "resume")),
    Call(*_wheels(1), ("precision",)),
    Call(*_wheels(2), ("finetune",)),
    Call(*_wheels(3)),
    Call(*_wheels(4)),
    Call(
        (".gpu/wheels-5",),
        ("$W take .gpu/wheels-5", "$W install"),
        ("doctor", "providers", "fail_closed"),
    ),
    Call((".gpu/exports",), (), ("tolerances", "tensorrt_float32", "session_options"), "--exports .gpu/exports "),
    # With `machine` once more, whose ceilings `speed` reads: the results of one call are not there for the next.
    Call((), (), ("machine", "speed", "lossy", "serving")),
    Call((), (), ("several_gpus", "stone_l")),
)
"""In the order of their worth, as far as what has to travel leaves a choice. What is cut short is begun by a repeated
call with `--resume FOLDER`."""


def total(calls: tuple[Call, ...] = CALLS) -> int:
    """Return the seconds that calls may take together, the start of the machine and the carrying included."""
    return START_SECONDS + sum(call.seconds + CARRYING_SECONDS for call in calls)


def main() -> None:
    """Print the calls."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=1, help="number of the first call that is still to be made")
    asked = parser.parse_args()
    left = CALLS[asked.first - 1 :]
    for number, call in enumerate(left, asked.first):
        print(f"call {number}: carry {', '.join(call.carry) or 'nothing'}; at most {call.seconds} s")
        print(f"  {call.command()}")
    print(f"together at most {total(left)} s of {VISIT_SECONDS} s, {START_SECONDS} s of it for the start")


if __name__ == "__main__":
    main()
