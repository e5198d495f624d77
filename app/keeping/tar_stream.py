"""A tar archive (POSIX, GNU long sizes) made while it is read, and read while it is made."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_BLOCK = 512
_CHUNK = 2**20


@dataclass(frozen=True)
class Member:
    """A file of an archive.

    Attributes:
        name: In the archive.
        source: The file on disk, or its content.
    """

    name: str
    source: Path | bytes


def header(name: str, size: int, *, mtime: float = 0) -> bytes:
    """The block in front of a member."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, int(mtime)
    return info.tobuf(tarfile.GNU_FORMAT)


def padding(size: int) -> bytes:
    """What fills a member's last block."""
    return bytes(-size % _BLOCK)


END = bytes(2 * _BLOCK)
"""What an archive ends with."""


def stream(members: Iterable[Member], found: dict[str, tuple[int, str]]) -> Iterator[bytes]:
    """The members as pieces of an archive, without its end.

    Args:
        members: In their order; drawn one after the other.
        found: Gets size and SHA-256 of each once it is through.

    Raises:
        OSError: A file cannot be read, or changes while it is.
    """
    for member in members:
        digest = hashlib.sha256()
        if isinstance(member.source, bytes):
            size = len(member.source)
            digest.update(member.source)
            yield header(member.name, size)
            yield member.source
        else:
            with member.source.open("rb") as file:
                end = file.seek(0, 2)
                file.seek(0)
                yield header(member.name, end, mtime=member.source.stat().st_mtime)
                size = 0
                while chunk := file.read(min(_CHUNK, end - size)):
                    size += len(chunk)
                    digest.update(chunk)
                    yield chunk
                if size != end:
                    message = f"{member.source} became shorter while it was read"
                    raise OSError(message)
        yield padding(size)
        found[member.name] = (size, digest.hexdigest())


class Readable:
    """Pieces as a file that can be read from."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        """Some bytes; none at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = memoryview(piece)
        end = len(self._rest) if size < 0 else size
        given, self._rest = self._rest[:end], self._rest[end:]
        return bytes(given)


def read_pieces(file: IO[bytes], size: int) -> Iterator[bytes]:
    """The content of a member, piece by piece; ends early where the archive does."""
    while size > 0 and (piece := file.read(min(_CHUNK, size))):
        size -= len(piece)
        yield piece
