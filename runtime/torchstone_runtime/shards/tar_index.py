"""Where the pictures of an archive lie in its file, so that each can be read when it is needed, in any order."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from torchstone_runtime.errors import DataError, first_line
from torchstone_runtime.shards.item import MAX_PICTURE_BYTES
from torchstone_runtime.shards.read_options import ReadOptions
from torchstone_runtime.shards.shard_pictures import shown_id
from torchstone_runtime.shards.tar_reader import (
    FACTS_ENDING,
    LABEL_ENDING,
    MAX_FACTS,
    is_hidden,
    is_link,
    is_picture_member,
    plain_name,
    read_facts,
    read_label,
    split_member,
)
from torchstone_runtime.text import showable

_BLOCK: Final = tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True)
class TarMember:
    """A picture in an archive.

    Attributes:
        name: name of the member.
        offset: first byte of its content in the archive.
        size: number of bytes.
        label: right class, a number or a name; None where the archive has none for it.
    """

    name: str
    offset: int
    size: int
    label: str | int | None


@dataclass(slots=True)
class _Sample:
    key: str
    pictures: list[tarfile.TarInfo] = field(default_factory=list)
    label: str | int | None = None


def index_tar(path: Path, options: ReadOptions) -> Iterator[TarMember]:
    """Yield the pictures of an archive that is not compressed, in the order of its members; they are not read.

    Labels are those of `tar_reader.read_tar`.

    Raises:
        tarfile.ReadError: it is compressed, or no archive at all.
        DataError: it is damaged or cut off; nothing that was yielded is then the whole.
        OSError: it cannot be read.
    """
    size, end = path.stat().st_size, 0
    with tarfile.open(path, "r:") as archive:
        sample = _Sample("")
        try:
            for member in archive:
                end = member.offset_data + (0 if not member.isreg() else -(-member.size // _BLOCK) * _BLOCK)
                if is_hidden(member.name):
                    continue
                if is_link(member):
                    _require_unwanted(path, member, options)
                if not member.isfile():
                    continue
                if end > size or member.issparse() or member.size > MAX_PICTURE_BYTES:
                    raise _damaged(path, f"at the member {showable(member.name)}")
                key, ending = split_member(member.name)
                if key != sample.key:
                    yield from _members(sample)
                    sample = _Sample(key)
                _take(archive, member, ending, sample, options)
        except tarfile.TarError as error:
            raise _damaged(path, first_line(error)) from error
    _require_end(path, end)
    yield from _members(sample)


def _take(
    archive: tarfile.TarFile, member: tarfile.TarInfo, ending: str, sample: _Sample, options: ReadOptions
) -> None:
    if is_picture_member(ending, options):
        sample.pictures.append(member)
    elif ending in (LABEL_ENDING, FACTS_ENDING) and member.size <= MAX_FACTS:
        file = archive.extractfile(member)
        content = file.read() if file is not None else b""
        if ending == LABEL_ENDING:
            sample.label = read_label(content) if sample.label is None else sample.label
        elif options.label_column:
            stated = read_facts(content).get(options.label_column)
            sample.label = stated if isinstance(stated, str | int) else sample.label


def _require_unwanted(path: Path, link: tarfile.TarInfo, options: ReadOptions) -> None:
    _, ending = split_member(link.name)
    if is_picture_member(ending, options) or ending in (LABEL_ENDING, FACTS_ENDING):
        raise DataError(
            f"{showable(str(path))}: {showable(link.name)} is a link, and links in archives are not followed.",
            "Write the archive with the files themselves: tar --dereference --hard-dereference.",
        )


def _members(sample: _Sample) -> Iterator[TarMember]:
    for picture in sample.pictures:
        yield TarMember(shown_id(plain_name(picture.name)), picture.offset_data, picture.size, sample.label)


def _require_end(path: Path, end: int) -> None:
    # tarfile takes a header that it can't read, and a file that is cut off between two members, for the end.
    with path.open("rb") as file:
        file.seek(end)
        block = file.read(_BLOCK)
    if len(block) < _BLOCK or any(block):
        raise _damaged(path, f"after {end:,} bytes it has neither a member nor an end")


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(f"{showable(str(path))} is damaged or cut off: {reason}.", "Copy or write the archive again.")
