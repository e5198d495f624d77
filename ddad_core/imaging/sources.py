"""What a path or an upload stands for: files, the files in folders, the files in ZIP archives."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ddad_core.errors import RefusedImageError
from ddad_core.imaging.archive import Archive, Entry, is_archive, printable
from ddad_core.imaging.files import find_files
from ddad_core.imaging.limits import MAX_FILE_BYTES, check_file_size, check_size_in_bytes


class Source(Protocol):
    """One file to read, wherever it lies."""

    @property
    def name(self) -> str:
        """What it is called, to whoever gave it."""
        ...

    @property
    def identity(self) -> str:
        """A digest that changes when the file is replaced; tells nothing of its name."""
        ...

    def read(self) -> bytes:
        """The whole file.

        Raises:
            RefusedImageError: It is too large, damaged or encrypted.
            OSError: It cannot be opened.
        """
        ...


@dataclass(frozen=True)
class FileSource:
    """A file on disk."""

    path: Path

    @property
    def name(self) -> str:
        """Its path, of printable characters."""
        return printable(str(self.path))

    @property
    def identity(self) -> str:
        """From path, size and time of change."""
        try:
            found = self.path.stat()
        except OSError:
            return _digest(self.path.absolute())
        return _digest(self.path.absolute(), found.st_size, found.st_mtime_ns)

    def read(self) -> bytes:
        """See :class:`Source`."""
        try:
            check_file_size(self.path)
            with self.path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)  # it may have grown meanwhile
        except OSError as error:
            raise _unopened(error) from error
        check_size_in_bytes(len(data))
        return data

    def read_into(self, memory: memoryview) -> int:
        """As :meth:`read`, into memory for more than ``MAX_FILE_BYTES``, without a copy.

        Returns:
            The length of the file.
        """
        try:
            check_file_size(self.path)
            with self.path.open("rb", buffering=0) as file:
                size, memory = 0, memory[: MAX_FILE_BYTES + 1]  # it may have grown meanwhile
                while more := file.readinto(memory[size:]):
                    size += more
        except OSError as error:
            raise _unopened(error) from error
        check_size_in_bytes(size)
        return size


@dataclass(frozen=True)
class EntrySource:
    """A file in a ZIP archive."""

    outer: str
    outer_identity: str
    entry: Entry

    @property
    def name(self) -> str:
        """The archive's name and its own."""
        return f"{self.outer}/{self.entry.name}"

    @property
    def identity(self) -> str:
        """From the archive's, its own name and checksum."""
        info = self.entry.info
        return _digest(self.outer_identity, info.filename, info.header_offset, info.CRC)

    def read(self) -> bytes:
        """See :class:`Source`."""
        return self.entry.read()


@dataclass(frozen=True)
class BytesSource:
    """A file that was handed over, as by an upload."""

    name: str
    data: bytes

    @property
    def identity(self) -> str:
        """From its content."""
        return hashlib.sha256(self.data).hexdigest()

    def read(self) -> bytes:
        """See :class:`Source`."""
        return self.data


@dataclass(frozen=True)
class RefusedSource:
    """An archive that is not opened, and why."""

    name: str
    identity: str
    error: RefusedImageError

    def read(self) -> bytes:
        """Raise why."""
        raise self.error


def sources_of(paths: Sequence[Path]) -> Iterator[Source]:
    """Walk files, folders and ZIP archives, in a stable order, holding none in memory.

    Hidden files in folders and archives are passed over.

    Raises:
        RequestError: A path does not exist.
    """
    for path in find_files(paths):
        source = FileSource(path)
        try:
            if not stat.S_ISREG(path.stat().st_mode):  # a pipe or a device has no end
                problem = "This is no file, but a pipe, a device or the like."
                error = RefusedImageError(problem, "Give files and folders.")
                yield RefusedSource(source.name, source.identity, error)
                continue
            with path.open("rb") as file:
                archive = is_archive(file.read(4))
        except OSError as error:
            yield RefusedSource(source.name, source.identity, _unopened(error))
            continue
        if archive:
            yield from _entries(path, source.name, source.identity)
        else:
            yield source


def sources_in(name: str, data: bytes) -> Iterator[Source]:
    """The files in what was handed over: itself, or those of a ZIP archive."""
    source = BytesSource(name, data)
    if is_archive(data[:4]):
        yield from _entries(data, name, source.identity)
    else:
        yield source


def _entries(file: Path | bytes, name: str, identity: str) -> Iterator[Source]:
    try:
        archive = Archive(file)
    except RefusedImageError as error:
        yield RefusedSource(name, identity, error)
        return
    except OSError as error:
        yield RefusedSource(name, identity, _unopened(error))
        return
    found = False
    for entry in archive.entries():
        found = True
        yield EntrySource(name, identity, entry)
    if not found:
        problem = "The ZIP archive holds no file."
        yield RefusedSource(name, identity, RefusedImageError(problem, "Send the radiographs."))


def _unopened(error: OSError) -> RefusedImageError:
    problem = f"The file cannot be opened ({error.strerror or 'no reason given'})."
    return RefusedImageError(problem, "Check that it is there and that you may read it.")


def _digest(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogateescape")).hexdigest()
