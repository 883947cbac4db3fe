"""A build context for a container of our own server: Containerfile, bundle and, where it is given, our wheel."""

import json
import re
from pathlib import Path
from typing import Final

from torchstone_runtime.deployment.packaged_model import PackagedModel, bundle_files
from torchstone_runtime.errors import UsageError
from torchstone_runtime.version import __version__

CONTAINERFILE: Final = "Containerfile"
PORT: Final = 8080
USER: Final = 65532
"""A number, so that Kubernetes' runAsNonRoot can check it; by custom that of "nonroot"."""
_WHEEL: Final = re.compile(
    r"torchstone-[0-9][A-Za-z0-9.+!_]*-py3-none-(?:any|linux_[a-z0-9_]+|manylinux[a-z0-9_.]+)\.whl"
)
"""Pure, or with the compiled resampling for Linux: the image is one of Debian."""
_NARROW: Final = "--read-only --cap-drop ALL --security-opt no-new-privileges"
_PYTHON: Final = "/opt/torchstone/bin/python"


def container_files(model: PackagedModel, wheel: Path | None = None) -> dict[str, bytes]:
    """Return the files of a build context.

    Args:
        model: model that is served, in the variant that is asked for.
        wheel: wheel of Torchstone to install; None installs this version from the package index that pip uses.

    Raises:
        BundleError: a file of the bundle is missing, altered or not readable.
        UsageError: it is not a wheel of Torchstone.
    """
    files = bundle_files(model.bundle, "bundle")
    if wheel is not None:
        if not (_WHEEL.fullmatch(wheel.name) and wheel.is_file()):
            raise UsageError(
                f"{wheel} is not a wheel of Torchstone for Linux.",
                "Build one there, in a clone: pip wheel --no-deps --wheel-dir dist .",
            )
        files[f"wheels/{wheel.name}"] = wheel.read_bytes()
    files[CONTAINERFILE] = containerfile(model, None if wheel is None else wheel.name).encode()
    return files


def containerfile(model: PackagedModel, wheel: str | None) -> str:
    """Return the Containerfile, which Docker, Podman and Buildah read; commands are in exec form, without a shell."""
    extras = f"{model.extra},serve"
    what = f"torchstone[{extras}]=={__version__}" if wheel is None else f"torchstone[{extras}] @ file:///wheels/{wheel}"
    install = ["python", "-m", "pip", "--python", _PYTHON, "install", "--no-cache-dir", "--only-binary", ":all:", what]
    without_pip = (
        "import ensurepip, pathlib, shutil; shutil.rmtree(pathlib.Path(ensurepip.__file__).parent)"  # it holds pip too
    )
    serve = ["serve", f"{model.name}=/bundle", "--host", "0.0.0.0", "--port", str(PORT)]  # noqa: S104 - inside the container
    run = [_PYTHON, "-m", "torchstone_runtime"]
    health = [*run, "health", f"http://127.0.0.1:{PORT}"]
    lines = [
        f"# {model.name} behind torchstone serve. Build and run:",
        f"#   podman build -t {model.name.lower()} .",
        f"#   podman run {_NARROW} -p {PORT}:{PORT} {model.name.lower()}",
        "ARG PYTHON=3.12",
        "FROM python:${PYTHON}-slim AS build",
        *(["COPY wheels/ /wheels/"] if wheel is not None else []),
        _run(["python", "-m", "venv", "--without-pip", "/opt/torchstone"]),
        _run(install),
        "",
        "FROM python:${PYTHON}-slim",
        f"LABEL org.opencontainers.image.title={json.dumps(model.name)}",
        f"LABEL org.opencontainers.image.version={json.dumps(model.bundle.manifest_sha256[:16])}",
        "# Nothing that could install something is left.",
        _run(["python", "-m", "pip", "uninstall", "--yes", "--root-user-action", "ignore", "pip"]),
        _run(["python", "-c", without_pip]),
        "COPY --from=build /opt/torchstone /opt/torchstone",
        "COPY bundle/ /bundle/",
        "ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 TORCHSTONE_CACHE=",
        f"USER {USER}:{USER}",
        "WORKDIR /",
        "# The build fails where the bundle does not decide as it did when it was exported.",
        _run([*run, "verify", "/bundle"]),
        f"EXPOSE {PORT}",
        "STOPSIGNAL SIGTERM",
        f"HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 CMD {json.dumps(health)}",
        f"ENTRYPOINT {json.dumps(run)}",
        f"CMD {json.dumps(serve if model.is_default else [*serve, '--variant', model.variant])}",
    ]
    return "\n".join(lines) + "\n"


def _run(command: list[str]) -> str:
    return f"RUN {json.dumps(command)}"
