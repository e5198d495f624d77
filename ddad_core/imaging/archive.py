"""ZIP archives of radiographs: looked at as a whole first, then read entry by entry.

Nothing is unpacked to a disk and no entry's name is ever used as a path.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ddad_core.errors import RefusedImageError
from ddad_core.imaging.limits import MAX_FILE_BYTES, check_size_in_bytes

MAX_ENTRIES = 20_000
MAX_TOTAL_BYTES = 64 * 2**30
"""All entries together, unpacked; they are read one at a time, so this bounds time, not memory."""

MAX_RATIO = 300
"""Unpacked by packed size of an entry; a real radiograph, however dark, stays below 100."""

_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The others cannot be unpacked piece by piece, and so not within a limit."""

_END, _END64, _LOCATOR64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_LONGEST_END = 22 + 2**16
_UNPACK = "Unpack the archive yourself and send the radiographs in it."


def is_archive(head: bytes) -> bool:
    """Whether a file begins like a ZIP archive.

    Args:
        head: Its first bytes, four or more.
    """
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


@dataclass(frozen=True)
class Entry:
    """A file in an archive.

    Attributes:
        name: As the archive has it, of printable characters: to be shown, never to be opened.
        archive: Where it lies.
        info: The archive's own note of it.
    """

    name: str
    archive: Archive
    info: zipfile.ZipInfo

    @property
    def size(self) -> int:
        """Bytes it claims to have, unpacked."""
        return self.info.file_size

    def read(self) -> bytes:
        """Unpack it.

        Raises:
            RefusedImageError: It is encrypted, damaged, or larger than it says or may be.
        """
        return self.archive.read(self.info)


class Archive:
    """A ZIP archive, open until it is no longer used.

    Args:
        file: A path, or the whole archive.

    Raises:
        RefusedImageError: It is damaged, or made to fill memory or disk.
        OSError: It cannot be opened.
    """

    def __init__(self, file: Path | bytes) -> None:
        stream: BinaryIO = io.BytesIO(file) if isinstance(file, bytes) else file.open("rb")
        length = stream.seek(0, io.SEEK_END)
        try:
            _check_count(_declared_entries(stream, length))
            self._zip = zipfile.ZipFile(stream)
        except RefusedImageError:
            stream.close()
            raise
        except (
            zipfile.BadZipFile, ValueError, EOFError, OverflowError, NotImplementedError,
            struct.error,
        ) as e:  # fmt: skip
            stream.close()
            problem = "The ZIP archive is damaged or cut short: its list of files cannot be read."
            raise RefusedImageError(problem, "Transfer it again.") from e
        self._infos = [i for i in self._zip.infolist() if not i.is_dir()]
        self._check(length)

    def _check(self, length: int) -> None:
        if any(info.filename == "[Content_Types].xml" for info in self._infos):
            problem = "The file is an office document, not an archive of radiographs."
            raise RefusedImageError(problem, "Send the radiographs themselves.")
        total = sum(info.file_size for info in self._infos)
        _check_count(len(self._infos))
        if total > MAX_TOTAL_BYTES:
            problem = f"The ZIP archive grows to {total / 2**30:.0f} GB when it is unpacked."
            raise RefusedImageError(problem, _UNPACK)
        if sum(info.compress_size for info in self._infos) > length:
            # Entries that share the same bytes: a small archive that grows without end.
            problem = "The files in the ZIP archive overlap, as no honest archive's do."
            raise RefusedImageError(problem, _UNPACK)

    def entries(self) -> Iterator[Entry]:
        """The files in it, in its own order; hidden files are passed over, as in folders."""
        for info in self._infos:
            parts = info.filename.replace("\\", "/").split("/")
            if not any(part.startswith(".") and part not in (".", "..") for part in parts) and (
                "__MACOSX" not in parts
            ):
                name = printable(info.filename)
                yield Entry(name, self, info)

    def read(self, info: zipfile.ZipInfo) -> bytes:
        """Unpack one file; see :meth:`Entry.read`."""
        if info.flag_bits & _ENCRYPTED:
            problem = "The file in the ZIP archive is encrypted."
            raise RefusedImageError(problem, _UNPACK)
        if info.compress_type not in _METHODS:
            problem = "The file in the ZIP archive is packed by a method that is not read here."
            raise RefusedImageError(problem, _UNPACK)
        check_size_in_bytes(info.file_size)
        if info.file_size > MAX_RATIO * max(info.compress_size, 4096):
            ratio = info.file_size // max(info.compress_size, 1)
            problem = f"The file in the ZIP archive grows {ratio} times when it is unpacked."
            raise RefusedImageError(problem, _UNPACK)
        try:
            with self._zip.open(info) as stream:
                data = stream.read(MAX_FILE_BYTES + 1)  # whatever the archive says of its size
        except (
            zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError,
            NotImplementedError, struct.error, MemoryError,
        ) as error:  # fmt: skip
            problem = "The file in the ZIP archive is damaged: it cannot be unpacked."
            raise RefusedImageError(problem, "Transfer the archive again.") from error
        check_size_in_bytes(len(data))
        if is_archive(data):
            problem = "The file in the ZIP archive is an archive itself."
            raise RefusedImageError(problem, _UNPACK)
        return data


def printable(name: str) -> str:
    """A file's name as it may be shown: no control characters, and no bytes that are no text."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _check_count(count: int) -> None:
    if count > MAX_ENTRIES:
        problem = f"The ZIP archive has {count} files; {MAX_ENTRIES} at most."
        raise RefusedImageError(problem, "Send them in several archives, or as a folder.")


def _declared_entries(stream: BinaryIO, length: int) -> int:
    """How many entries the end of the archive declares, before any is read into memory."""
    start = stream.seek(max(length - _LONGEST_END, 0))
    tail = stream.read()
    at = tail.rfind(_END)
    if at < 0 or at + 22 > len(tail):
        return 0  # told by zipfile
    count = int.from_bytes(tail[at + 10 : at + 12], "little")
    locator = tail[max(at - 20, 0) : at]
    if count == 0xFFFF and locator.startswith(_LOCATOR64):
        stream.seek(min(int.from_bytes(locator[8:16], "little"), start + at))
        end = stream.read(56)
        if end.startswith(_END64):
            count = int.from_bytes(end[32:40], "little")
    return count
