"""Types of parameters that the shell can complete: datasets, bundles, variants, providers. None of it loads NumPy."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from torchstone_runtime.bundle.builtin import builtin_names, locate_bundle
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.manifest import MANIFEST_FILE
from torchstone_runtime.errors import TorchstoneError
from torchstone_runtime.hub.hub_address import is_hub_address

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_ENDINGS: Final = {"npz": (".npz",), "shards": (".tar", ".tgz", ".parquet", ".pq")}
_DATASETS: Final = ("digits", "fashion-mnist", "mnist", "folder:", "shards:", "npz:")
_PROVIDERS: Final = ("auto", "cpu", "cuda", "tensorrt", "openvino")
_VARIANTS: Final = ("fp32", "int8", "fp16", "bf16")
"""Those that an export can make, for a line on which the bundle is still to come."""
_BUNDLE_PLACES: Final = (".", "bundles", "quickstart")
_ARGUMENTS: Final = {"variant": ("bundle", 0), "variant_a": ("a", 0), "variant_b": ("b", 1)}
"""For an option that names a variant, the argument that names its bundle, and the place of it."""


class BundlePath(click.Path):
    """A bundle's path, a built-in one's name, or an address on the hub.

    Only the text as it was typed tells `./fashion` from `fashion`.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Return the path of a bundle, that of a built-in one for its name; one of the hub is fetched."""
        if ctx is not None and ctx.resilient_parsing and is_hub_address(value):
            return Path(value)  # a shell that completes a line must not wait for a network
        return super().convert(locate_bundle(value) if isinstance(value, str) else value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        """Offer the built-in bundles, and those of the usual places and of the folder being typed; else paths."""
        typed = incomplete.rpartition("/")[0]
        places = dict.fromkeys((*_BUNDLE_PLACES, *([typed] if typed else [])))
        found = [str(file.parent) for place in places for file in sorted(Path(place).glob(f"*/{MANIFEST_FILE}"))]
        return _starting(dict.fromkeys([*builtin_names(), *found]), incomplete) or super().shell_complete(
            ctx, param, incomplete
        )


class Text(click.ParamType[str]):
    """A text as it was typed, for types that only complete it."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401
        """Return the text."""
        del param, ctx
        return str(value)


class DatasetName(Text):
    """The name of a dataset, as typed; `DatasetRef.parse` reads it."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        """Offer the names; after `folder:` and `npz:` the paths that they can stand for."""
        del ctx, param
        kind, colon, path = incomplete.partition(":")
        if not colon:
            return _starting(_DATASETS, incomplete)
        parent = Path(path.rpartition("/")[0] or (path[:1] if path.startswith("/") else "."))
        suitable = (
            entry
            for entry in sorted(parent.glob("*"))
            if entry.is_dir() or entry.suffix.lower() in _ENDINGS.get(kind, ())
        )
        return _starting([f"{kind}:{entry}" for entry in suitable], incomplete)


class ServedModelName(Text):
    """A bundle to serve as it was typed, perhaps with a name before its path; `Source.parse` reads it."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        """Offer bundles, also behind the `=` of a name."""
        name, equals, path = incomplete.rpartition("=")
        found = BundlePath(path_type=Path).shell_complete(ctx, param, path)
        from click.shell_completion import CompletionItem

        return [CompletionItem(f"{name}{equals}{item.value}", item.type) for item in found]


class VariantName(Text):
    """The name of a variant of the bundle that the command was given."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        """Offer the variants that the bundle's manifest names; before a bundle is typed, all that there can be."""
        argument, place = _ARGUMENTS[param.name or ""]
        bundle = ctx.params.get(argument)
        if (
            bundle is None and place < len(ctx.args) and not is_hub_address(ctx.args[place])
        ):  # click has not read the arguments of a line that is not finished
            bundle = locate_bundle(ctx.args[place])
        try:
            return _starting(Bundle.open(bundle).manifest.variants if bundle is not None else _VARIANTS, incomplete)
        except TorchstoneError:
            return []


class ProviderName(Text):
    """The name of a provider; which there are is checked when a model is loaded."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        """Offer the providers."""
        del ctx, param
        return _starting(_PROVIDERS, incomplete)


def _starting(words: Iterable[str], incomplete: str) -> "list[CompletionItem]":
    from click.shell_completion import CompletionItem

    return [CompletionItem(word) for word in words if word.startswith(incomplete)]
