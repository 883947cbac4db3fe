"""Tar archives as WebDataset writes them: what belongs together has the same name up to its first dot."""

import json
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Final, Self

from torchstone_runtime.errors import first_line
from torchstone_runtime.images.image_formats import IMAGE_SUFFIXES
from torchstone_runtime.shards.container_file import open_shard
from torchstone_runtime.shards.item import MAX_PICTURE_BYTES, ShardItem
from torchstone_runtime.shards.read_options import ReadOptions
from torchstone_runtime.shards.shard import Shard
from torchstone_runtime.shards.shard_pictures import shown_id

LABEL_ENDING: Final = "cls"
FACTS_ENDING: Final = "json"
MAX_FACTS: Final = 1 << 20
"""Bytes of a label, or of facts about a picture, that are read."""
_MAX_DIGITS: Final = 18
"""Digits that fit into 64 bits; of some thousands Python refuses to make a number."""
_DAMAGE: Final = (tarfile.TarError, EOFError, zlib.error, ValueError)
_NO_HEADER: Final[tuple[type[tarfile.HeaderError], ...]] = (
    tarfile.InvalidHeaderError,  # type: ignore[attr-defined]  # typeshed lacks these three
    tarfile.TruncatedHeaderError,  # type: ignore[attr-defined]
    tarfile.EmptyHeaderError,  # type: ignore[attr-defined]
)


class _Member(tarfile.TarInfo):
    """A member whose header is intact: a `TarFile` takes one that isn't, and a missing end, for the archive's end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        """Read the next header.

        Raises:
            tarfile.ReadError: it is damaged, or the file ends before the blocks of zeros that end an archive.
        """
        try:
            return super().fromtarfile(archive)
        except _NO_HEADER as error:
            raise tarfile.ReadError(str(error)) from error


@dataclass(slots=True)
class _Sample:
    key: str
    pictures: list[tuple[str, bytes | None, str]] = field(default_factory=list)
    label: str | int | None = None
    ids: str | None = None


def read_tar(shard: Shard, options: ReadOptions) -> Iterator[ShardItem]:
    """Yield the pictures of an archive, compressed or not, in the order of its members; nothing is unpacked to disk.

    The right class is that of the member `.cls` (a number or a name), or of a key of `.json` where
    `options.label_column` names it; `options.id_column` names a key for the id. Of a sample with several pictures all
    are given, unless `options.image_column` is the ending of the one.

    Raises:
        OSError: the file cannot be read. What is damaged in it ends in an item with an error.
    """
    name = shown_id(shard.path)
    with open_shard(shard) as file:
        sample = _Sample("")
        try:
            with _opened(file) as archive:
                for member in archive:
                    if is_hidden(member.name) or not (member.isfile() or is_link(member)):
                        continue
                    key, ending = split_member(member.name)
                    if key != sample.key:
                        yield from _items(name, sample)
                        sample = _Sample(key)
                    _take(archive, member, ending, sample, options)
        except _DAMAGE as error:
            yield from _items(name, sample)
            reason = f"the archive is damaged from here on: {first_line(error)}"
            yield ShardItem(f"{name}#damaged", None, error=reason)
            return
        yield from _items(name, sample)


def _opened(file: IO[bytes]) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=file, mode="r|*", tarinfo=_Member)
    except TypeError as error:  # which tarfile raises where gzip's own header is cut
        raise tarfile.ReadError("it ends within the header of its compression") from error


def _take(
    archive: tarfile.TarFile, member: tarfile.TarInfo, ending: str, sample: _Sample, options: ReadOptions
) -> None:
    if is_picture_member(ending, options):
        sample.pictures.append((plain_name(member.name), *_picture(archive, member)))
    elif is_link(member):
        return
    elif ending == LABEL_ENDING:
        label = read_label(_content(archive, member, MAX_FACTS))
        sample.label = label if sample.label is None else sample.label
    elif ending == FACTS_ENDING and (options.label_column or options.id_column):
        facts = read_facts(_content(archive, member, MAX_FACTS))
        label = facts.get(options.label_column) if options.label_column else None
        sample.label = label if isinstance(label, str | int) else sample.label
        if options.id_column and options.id_column in facts:
            sample.ids = str(facts[options.id_column])


def _picture(archive: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[bytes | None, str]:
    """Return the content of a picture, or None and why there is none."""
    if is_link(member):
        return None, "it is a link, and links in archives are not followed."
    content = _content(archive, member, MAX_PICTURE_BYTES)
    return content, "" if content is not None else f"the file has more than {MAX_PICTURE_BYTES >> 20} MiB."


def _items(archive: str, sample: _Sample) -> Iterator[ShardItem]:
    for member, content, error in sample.pictures:
        alone = sample.ids is not None and len(sample.pictures) == 1
        shown = shown_id(sample.ids or "") if alone else f"{archive}#{shown_id(member)}"
        yield ShardItem(shown, content, sample.label, error)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, limit: int) -> bytes | None:
    if member.size > limit:
        return None
    file = archive.extractfile(member)
    content = file.read() if file is not None else b""
    if len(content) < member.size:
        raise EOFError("it ends within a file")
    return content


def is_link(member: tarfile.TarInfo) -> bool:
    """Tell whether a member is a link, which has no content of its own."""
    return member.islnk() or member.issym()


def split_member(name: str) -> tuple[str, str]:
    """Return what the members of a sample have in common, and this one's ending in lower case, without the dot."""
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return f"{folder}{slash}{stem}", ending.lower()


def is_hidden(name: str) -> bool:
    """Tell whether a member is hidden, as in folders, or one of macOS's notes on another, such as `._0.png`."""
    return name.rpartition("/")[2].startswith(".") or plain_name(name).startswith("__MACOSX/")


def plain_name(name: str) -> str:
    """Return a member's name without the `./` that tar puts before those of a folder."""
    return name.removeprefix("./")


def is_picture_member(ending: str, options: ReadOptions) -> bool:
    """Tell whether a member is a picture, by its ending."""
    if options.image_column is not None:
        return ending == options.image_column.lower().lstrip(".")
    return f".{ending.rpartition('.')[2]}" in IMAGE_SUFFIXES


def read_label(content: bytes | None) -> str | int | None:
    """Return the class that a member `.cls` states: a number of up to 18 digits, or a name; None where empty."""
    text = (content or b"").decode("utf-8", "replace").strip()
    is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    return int(text) if is_number else text or None


def read_facts(content: bytes | None) -> dict[str, Any]:
    """Return what a member `.json` states; nothing where it is not a JSON object."""
    try:
        data = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
