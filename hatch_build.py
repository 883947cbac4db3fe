"""The build hooks: one compiles the resampling of pictures, one fills in the addresses of a release.

Without a C compiler the wheel is pure Python, and Pillow resizes: the pixels are the same, and take several times as
long. `TORCHSTONE_BUILD=pure` leaves the compiler out; `TORCHSTONE_BUILD=compiled` makes its absence an error.

`TORCHSTONE_ADDRESS` is the address of the public repository that a release is built in, as its forge states it. The
wheel then names it, and the pictures and links of its description are absolute, which a package index needs. Without
it the description is README.md as it is, with paths that a clone resolves.
"""

import os
import re
import shlex
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

SWITCH: Final = "TORCHSTONE_BUILD"
ADDRESS: Final = "TORCHSTONE_ADDRESS"
README: Final = Path(__file__).with_name("README.md")
FOLDER: Final = Path(__file__).parent / "runtime" / "torchstone_runtime" / "images" / "resampling"
LIBRARY: Final = FOLDER / "resampling.compiled"
"""Not `.so`: Python takes that for a module of its own."""
# No fused multiplications: the weights are Pillow's only if each operation is rounded as Pillow's is.
FLAGS: Final = ("-O2", "-ftree-vectorize", "-ffp-contract=off", "-std=gnu11", "-fPIC", "-shared")


class AddressesHook(MetadataHookInterface):
    """Fills in `readme` and `urls` of the project."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Set them by the address of the repository; without one there are no addresses."""
        address, text = os.environ.get(ADDRESS, "").rstrip("/"), README.read_text(encoding="utf-8")
        if address:
            text = with_absolute_links(text, address, f"v{metadata['version']}")
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        metadata["urls"] = addresses(address, f"v{metadata['version']}") if address else {}


def addresses(address: str, tag: str) -> dict[str, str]:
    """Return the addresses of a release that lies at a tag of a repository."""
    return {
        "Homepage": address,
        "Documentation": f"{address}/blob/{tag}/docs/index.md",
        "Changelog": f"{address}/blob/{tag}/CHANGELOG.md",
        "Source": address,
        "Issues": f"{address}/issues",
    }


def with_absolute_links(text: str, address: str, tag: str) -> str:
    """Return Markdown whose links and pictures lead to a tag of a repository wherever they were paths within it."""

    def absolute(found: re.Match[str]) -> str:
        picture, target = found["mark"].startswith("!"), found["target"]
        return f"{found['mark']}({address}/{'raw' if picture else 'blob'}/{tag}/{target})"

    return re.sub(r"(?P<mark>!?\[[^\]]*\])\((?P<target>(?![a-z]+:|#)[^)\s]+)\)", absolute, text)


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
                self.app.display_warning(
                    f"`{shlex.join(compiler)}` compiled nothing: Pillow will resize pictures, more slowly."
                )
                return False
            made.replace(LIBRARY)
            return True
