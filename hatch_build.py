"""The build hook: compiles the resampling of pictures where a C compiler is at hand.

Without one the wheel is pure Python, and Pillow resizes: the pixels are the same, and take five times as long.
`TORCHSTONE_BUILD=pure` leaves the compiler out; `TORCHSTONE_BUILD=compiled` makes its absence an error.
"""

import os
import shlex
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SWITCH: Final = "TORCHSTONE_BUILD"
FOLDER: Final = Path(__file__).parent / "runtime" / "torchstone_runtime" / "images" / "resampling"
LIBRARY: Final = FOLDER / "resampling.compiled"
"""Not `.so`: Python takes that for a module of its own."""
# No fused multiplications: the weights are Pillow's only if each operation is rounded as Pillow's is.
FLAGS: Final = ("-O2", "-ftree-vectorize", "-ffp-contract=off", "-std=gnu11", "-fPIC", "-shared")


class ResamplingHook(BuildHookInterface[Any]):
    """Compiles the C files beside the package's own, and makes the wheel one for this system."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the wheel is put together, or before an editable installation ends."""
        wanted = os.environ.get(SWITCH, "")
        if wanted == "pure" or not self._compiled(required=wanted == "compiled"):
            if version == "editable":
                LIBRARY.unlink(missing_ok=True)  # an older one; a wheel leaves it out by itself, for git ignores it
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["artifacts"].append(LIBRARY.relative_to(Path(self.root)).as_posix())

    def _compiled(self, *, required: bool) -> bool:
        compiler = shlex.split(os.environ.get("CC", "") or "cc")
        # Beside its place, and then moved there: another build, or a process, may hold the one that is there.
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            made = Path(folder) / LIBRARY.name
            sources = sorted(str(source) for source in FOLDER.glob("*.c"))
            try:
                subprocess.run([*compiler, *FLAGS, "-o", str(made), *sources, "-lm"], check=True, capture_output=True)
            except (OSError, subprocess.CalledProcessError) as error:
                if required:
                    printed = getattr(error, "stderr", b"").decode(errors="replace")
                    message = (
                        f"The resampling of pictures can't be compiled by `{shlex.join(compiler)}`: {error}\n{printed}"
                    )
                    raise RuntimeError(message) from error
                self.app.display_warning("No C compiler: pictures will be resized by Pillow, five times as slowly.")
                return False
            made.replace(LIBRARY)
            return True
