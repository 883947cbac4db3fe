"""`torchstone predict`: classes and probabilities of image files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from torchstone_runtime.cli.components import require_component
from torchstone_runtime.cli.options import (
    CHECK_OPTION,
    PROVIDER_OPTION,
    PUBLIC_KEY_OPTION,
    THREADS_OPTION,
    VARIANT_OPTION,
    load_arguments,
)
from torchstone_runtime.errors import CheckFailedError, DataError, ImageError

if TYPE_CHECKING:
    from torchstone_runtime.classifier import Classifier

Answer = list[tuple[str, float]] | ImageError


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("paths", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--top", default=1, show_default=True, type=click.IntRange(min=1), help="Classes shown for each image.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line and image.")
@VARIANT_OPTION
@PROVIDER_OPTION
@THREADS_OPTION
@PUBLIC_KEY_OPTION
@CHECK_OPTION
def predict(
    bundle: Path,
    paths: tuple[Path, ...],
    top: int,
    as_json: bool,
    **loading: Any,  # noqa: ANN401 - see load_arguments
) -> None:
    """Classify image files, or all images in folders, with BUNDLE.

    A file that is not an image is reported and the others are done; the exit code is then 1, or 2 if none was one.
    """
    require_component("cpu", "onnxruntime")
    from torchstone_runtime.classifier import Classifier  # noqa: PLC0415 - --help must not load NumPy

    failed = done = 0
    with Classifier.load(bundle, **load_arguments(**loading)) as classifier:
        for path, answer in _answers(classifier, _expand(paths), top):
            if isinstance(answer, ImageError):
                if len(paths) == 1 and not paths[0].is_dir():
                    raise answer
                failed += 1
                click.echo(f"left out: {answer}", err=True)
            else:
                done += 1
                click.echo(_as_json(path, answer) if as_json else _as_text(path, answer))
    if failed and not done:
        raise DataError(f"None of the {failed:,} files could be classified.", "The lines above say why.")
    if failed:
        raise CheckFailedError(
            f"{failed:,} of {failed + done:,} files could not be classified.", "The lines above say why."
        )


def _expand(paths: tuple[Path, ...]) -> Iterator[Path]:
    from torchstone_runtime.images import IMAGE_SUFFIXES  # noqa: PLC0415 - --help must not load NumPy

    for path in paths:
        if not path.is_dir():
            yield path
            continue
        images = (file for file in path.rglob("[!.]*") if file.suffix.lower() in IMAGE_SUFFIXES)
        found = sorted(file for file in images if file.is_file())
        if not found:
            raise DataError(f"{path} holds no image files.", "Give image files or a folder with some.")
        yield from found


def _answers(classifier: "Classifier", paths: Iterator[Path], top: int) -> Iterator[tuple[Path, Answer]]:
    from torchstone_runtime.prediction import decode_in_batches  # noqa: PLC0415 - --help must not load NumPy

    for names, pixels, errors in decode_in_batches(paths, classifier.input_spec):
        answers = iter(classifier.predict(pixels).top(top))
        yield from ((name, errors[name] if name in errors else next(answers)) for name in names)


def _as_text(path: Path, answer: list[tuple[str, float]]) -> str:
    return f"{click.format_filename(path)}\t" + "\t".join(f"{name} {probability:.4f}" for name, probability in answer)


def _as_json(path: Path, answer: list[tuple[str, float]]) -> str:
    classes = [{"class": name, "probability": probability} for name, probability in answer]
    return json.dumps({"path": click.format_filename(path), **classes[0], "top": classes}, ensure_ascii=False)
