"""KServe: the bundle on its Triton runtime and on our own server, as manifests and the files that they lead to.

Fields as in KServe's custom resources `InferenceService` (v1beta1) and `ServingRuntime` (v1alpha1). Strings are written
as JSON, which YAML 1.2 reads as it is.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Final

from torchstone_runtime.deployment.packaged_model import PackagedModel, bundle_files
from torchstone_runtime.deployment.triton import TritonSettings, triton_files
from torchstone_runtime.errors import UsageError
from torchstone_runtime.text import showable
from torchstone_runtime.version import __version__

TRITON_FILE: Final = "inference-service-triton.yaml"
OWN_FILE: Final = "inference-service-torchstone.yaml"
DEFAULT_IMAGE: Final = f"torchstone-serve:{__version__}"
_LONGEST_LABEL: Final = 42
"""Kubernetes has 63 for a name of DNS: we append `-torchstone`, KServe `-predictor` to that."""
_MIB: Final = 1 << 20
_STORAGE: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\"']+")


@dataclass(frozen=True, slots=True)
class KServeSettings:
    """Where the files will lie and what serves them.

    Attributes:
        storage_uri: place that the package's folder `models` is copied to, such as `s3://bucket/fashion`.
        image: container image of our own server.
        triton: settings of the model on Triton.
    """

    storage_uri: str
    image: str = DEFAULT_IMAGE
    triton: TritonSettings = field(default_factory=TritonSettings)

    def __post_init__(self) -> None:
        if not (_STORAGE.fullmatch(self.storage_uri) and self.storage_uri.isprintable()):
            raise UsageError(
                f"'{showable(self.storage_uri)}' is not a storage URI.",
                "Give the place that KServe will read, such as s3://bucket/fashion or pvc://claim/fashion.",
            )
        if not self.image or not self.image.isprintable() or " " in self.image:
            raise UsageError(
                f"'{showable(self.image)}' is not a container image.", "Give one such as registry/name:tag."
            )


def kserve_files(for_triton: PackagedModel, own: PackagedModel, settings: KServeSettings) -> dict[str, bytes]:
    """Return two manifests, and the folder `models` for the storage.

    Args:
        for_triton: variant that Triton runs.
        own: variant that our server runs.
        settings: places and images.
    """
    repository = triton_files(for_triton, settings.triton)
    return {
        TRITON_FILE: _triton_service(for_triton, settings).encode(),
        OWN_FILE: _own_service(own, settings).encode(),
        **{f"models/triton/{for_triton.name}/{path}": content for path, content in repository.items()},
        **bundle_files(own.bundle, "models/bundle"),
    }


def service_name(name: str) -> str:
    """Return the name of an object of Kubernetes for a model's: small letters, digits and `-`, 42 at most."""
    cleaned = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return (cleaned if cleaned[:1].isalpha() else f"model-{cleaned}")[:_LONGEST_LABEL].rstrip("-")


def _triton_service(model: PackagedModel, settings: KServeSettings) -> str:
    values = {
        "MODEL": model.name,
        "VARIANT": model.variant,
        "SERVICE": _text(f"{service_name(model.name)}-triton"),
        "STORAGE": _stored(settings, "triton"),
        "MEMORY": _memory(model, 2048),
        "ACCELERATOR": '\n          nvidia.com/gpu: "1"' if settings.triton.gpu else "",
    }
    return _filled(TRITON_FILE, values)


def _own_service(model: PackagedModel, settings: KServeSettings) -> str:
    name = service_name(model.name)
    values = {
        "MODEL": model.name,
        "RUNTIME": _text(f"{name}-torchstone-runtime"),
        "SERVICE": _text(f"{name}-torchstone"),
        "IMAGE": _text(settings.image),
        "ARGUMENTS": "\n".join(f"        - {_text(argument)}" for argument in _arguments(model)),
        "STORAGE": _stored(settings, "bundle"),
        "MEMORY": _memory(model, 512),
    }
    return _filled(OWN_FILE, values)


def _arguments(model: PackagedModel) -> list[str]:
    arguments = ["serve", f"{model.name}=/mnt/models", "--host", "0.0.0.0", "--port", "8080"]  # noqa: S104 - inside the pod
    return arguments if model.is_default else [*arguments, "--variant", model.variant]


def _filled(name: str, values: Mapping[str, str]) -> str:
    template = (files("torchstone_runtime.deployment") / "kserve_templates" / f"{name}.in").read_text("utf-8")
    return re.sub("@([A-Z]+)@", lambda found: values[found[1]], template)


def _stored(settings: KServeSettings, folder: str) -> str:
    return _text(f"{settings.storage_uri.rstrip('/')}/{folder}")


def _memory(model: PackagedModel, base: int) -> str:
    # Weights are held up to four times while a bundle is exchanged: the file and its session, of the old and the new.
    return f"{base + 4 * math.ceil(len(model.content) / _MIB)}Mi"


def _text(value: str) -> str:
    # Not escaped to ASCII: YAML knows no pairs of surrogates.
    return json.dumps(value, ensure_ascii=False)
