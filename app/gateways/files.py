"""The image store: pixels and maps on disk, named by the SHA-256 of the file they came from.

Under the home folder::

    images/ab/<sha256>.png                   16-bit pixels, without loss
    images/ab/<sha256>.dcm                   a de-identified DICOM file
    originals/ab/<sha256>.<ending>           the file as it came; only where a setting says so
    maps/ab/<sha256>/<model hash>.npz        one array for each map
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from app.gateways.writing import write_all
from ddad_core.errors import DdadError
from ddad_core.lasting import to_disk

FileKind = Literal["png", "dicom"]

_ENDINGS: dict[FileKind, str] = {"png": "png", "dicom": "dcm"}
_ENDING = re.compile(r"[a-z0-9]{1,8}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAP_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHECKSUM_DIGITS = 8
_RESTORE_PIXELS = "Restore it from the last backup, or bring the original file in again."
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_PERMISSION = "Give the program permission to write to this folder, then try again."


class FilesError(DdadError):
    """The image store cannot keep or give back a file."""


class ImageFiles:
    """Keeps pixels and maps below one folder; safe to share between threads and processes.

    A file is there complete or not at all, and writing the same thing twice is harmless.
    """

    def __init__(self, home: Path) -> None:
        self._images = home / "images"
        self._maps = home / "maps"
        self._originals = home / "originals"

    def put_file(self, sha256: str, data: bytes | memoryview, kind: FileKind) -> None:
        """Keep the file of an image.

        Args:
            sha256: Of the original bytes, 64 lower-case hexadecimal digits; names the file.
            data: What is kept of it; quickest if it begins at a page of memory.
            kind: "png" or "dicom".

        Raises:
            FilesError: The disk does not take the file.
        """
        _write_atomically(self._file_path(sha256, kind), data)

    def file(self, sha256: str, kind: FileKind, *, stored_sha256: str | None) -> bytes:
        """The file of an image.

        Args:
            sha256: Of the original bytes.
            kind: "png" or "dicom".
            stored_sha256: What the file's bytes must have; None checks nothing.

        Raises:
            FilesError: It is missing, damaged or cannot be read.
        """
        path = self._file_path(sha256, kind)
        content = _read(path, sha256)
        if stored_sha256 is not None and hashlib.sha256(content).hexdigest() != stored_sha256:
            problem = f"The file of image {_short(sha256)} is damaged ({path})."
            raise FilesError(problem, _RESTORE_PIXELS)
        return content

    def put_original(self, sha256: str, data: bytes, ending: str) -> None:
        """Keep a file as it came. It may hold names: call this only if a setting says so.

        Args:
            sha256: Of ``data``.
            data: The file.
            ending: Of its name here, for instance "dcm".

        Raises:
            FilesError: The ending is no word, or the disk does not take the file.
        """
        _check_hash(sha256)
        if not _ENDING.fullmatch(ending):
            problem = f"{ending[:20]!r} is not an ending for a file name."
            raise FilesError(problem)
        _write_atomically(self._originals / sha256[:2] / f"{sha256}.{ending}", data)

    def put_pixels(self, sha256: str, stored: np.ndarray) -> None:
        """Keep the pixels of an image.

        Args:
            sha256: Of the original bytes, 64 lower-case hexadecimal digits.
            stored: uint16 (H, W).

        Raises:
            FilesError: The array is of another kind, or the disk does not take the file.
        """
        path = self._pixels_path(sha256)
        if stored.ndim != 2 or stored.dtype != np.uint16 or stored.size == 0:
            problem = (
                f"The pixels are {stored.dtype} of shape {stored.shape}; expected uint16 (H, W)."
            )
            raise FilesError(problem)
        # cv2's own settings: naming any level writes a full-size radiograph half as fast.
        done, encoded = cv2.imencode(".png", np.ascontiguousarray(stored))
        if not done:
            problem = f"The pixels of shape {stored.shape} cannot be written as PNG."
            raise FilesError(problem)
        _write_atomically(path, encoded.tobytes())

    def has_pixels(self, sha256: str) -> bool:
        """Whether the pixels of an image are kept; says nothing of their condition."""
        return self._pixels_path(sha256).is_file()

    def pixels(self, sha256: str) -> np.ndarray:
        """The pixels of an image, uint16 (H, W).

        Raises:
            FilesError: They are missing, damaged or cannot be read.
        """
        path = self._pixels_path(sha256)
        content = _read(path, sha256)
        decoded = _decode_png(content) if _is_whole_png(content) else None
        if decoded is None:
            problem = f"The pixels of image {_short(sha256)} are damaged ({path})."
            raise FilesError(problem, _RESTORE_PIXELS)
        return decoded

    def put_maps(self, sha256: str, model_hash: str, maps: Mapping[str, np.ndarray]) -> None:
        """Keep the maps of an image under one version of a model.

        Args:
            sha256: Of the original bytes, 64 lower-case hexadecimal digits.
            model_hash: Of the model's weights, likewise.
            maps: float32 (S, S) by name; names are lower-case words.

        Raises:
            FilesError: A map is of another kind, or the disk does not take the file.
        """
        path = self._maps_path(sha256, model_hash)
        # Maps can be made anew, and damaged ones are noticed: no wait for the disk.
        _write_atomically(path, _encode_maps(maps), lasting=False)

    def maps(self, sha256: str, model_hash: str) -> dict[str, np.ndarray] | None:
        """The maps of an image under one version of a model, float32 (S, S) by name.

        Returns:
            None if this model's maps of this image were never kept.

        Raises:
            FilesError: They are damaged or cannot be read.
        """
        path = self._maps_path(sha256, model_hash)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(path, error) from error
        try:
            return _decode_maps(content)
        except (zipfile.BadZipFile, ValueError, EOFError, FilesError) as error:
            problem = f"The maps of image {_short(sha256)} are damaged ({path})."
            raise FilesError(problem, "Score this image again to make them anew.") from error

    def remove(self, sha256: str) -> None:
        """Remove all files and maps of an image; what is not there is no error.

        Raises:
            FilesError: A file cannot be removed.
        """
        files = [self._file_path(sha256, kind) for kind in _ENDINGS]
        files += (self._originals / sha256[:2]).glob(f"{sha256}.*")
        folder = self._maps / sha256[:2] / sha256
        try:
            for path in files:
                path.unlink(missing_ok=True)
            for path in folder.glob("*"):
                path.unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                folder.rmdir()
        except OSError as error:
            problem = f"The files of image {_short(sha256)} cannot be removed ({error.strerror})."
            raise FilesError(problem, _PERMISSION) from error

    def path(self, sha256: str, kind: FileKind) -> Path:
        """Where the file of an image lies, or would."""
        return self._file_path(sha256, kind)

    def _pixels_path(self, sha256: str) -> Path:
        return self._file_path(sha256, "png")

    def _file_path(self, sha256: str, kind: FileKind) -> Path:
        _check_hash(sha256)
        return self._images / sha256[:2] / f"{sha256}.{_ENDINGS[kind]}"

    def _maps_path(self, sha256: str, model_hash: str) -> Path:
        _check_hash(sha256)
        _check_hash(model_hash)
        return self._maps / sha256[:2] / sha256 / f"{model_hash}.npz"


def is_sha256(text: object) -> bool:
    """Whether it is one: 64 lower-case hexadecimal digits."""
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None


def _check_hash(digits: str) -> None:
    """Refuse what could name a file elsewhere."""
    if not is_sha256(digits):
        problem = f"{digits[:80]!r} is not a SHA-256 in 64 lower-case hexadecimal digits."
        raise FilesError(problem)


def _check_map(name: str, values: np.ndarray) -> None:
    if not _MAP_NAME.fullmatch(name):
        problem = f"{name[:80]!r} is not a name for a map; expected a lower-case word."
        raise FilesError(problem)
    if values.ndim != 2 or values.dtype != np.float32:
        problem = (
            f"The map {name!r} is {values.dtype} of shape {values.shape}; expected float32 (S, S)."
        )
        raise FilesError(problem)


def _is_whole_png(content: bytes) -> bool:
    """Whether every chunk has its checksum and the last is IEND (PNG specification, section 5).

    The decoder gives back a partly filled image where a file is cut short or altered, and a
    reader would take it for the radiograph.
    """
    if not content.startswith(_PNG_SIGNATURE):
        return False
    view = memoryview(content)
    start = len(_PNG_SIGNATURE)
    while start + 12 <= len(content):
        end = start + 12 + int.from_bytes(view[start : start + 4], "big")
        if end > len(content):
            return False
        expected = int.from_bytes(view[end - 4 : end], "big")
        if zlib.crc32(view[start + 4 : end - 4]) != expected:
            return False
        if view[start + 4 : start + 8] == b"IEND":
            return end == len(content)
        start = end
    return False


def _decode_png(content: bytes) -> np.ndarray | None:
    """The pixels, uint16 (H, W), or None if the file holds something else."""
    try:
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if decoded is None or decoded.ndim != 2 or decoded.dtype != np.uint16:
        return None
    return decoded


def _encode_maps(maps: Mapping[str, np.ndarray]) -> bytes:
    """An .npz archive that ends, in its comment, with the checksum of all before it.

    The archive's own checksums cover its arrays but not its directory: one altered byte there
    loses an array in silence.
    """
    buffer = io.BytesIO()
    # Written member by member, because np.savez takes the names as its own arguments.
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, values in maps.items():
            _check_map(name, values)
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.ascontiguousarray(values), allow_pickle=False)
        archive.comment = b"0" * _CHECKSUM_DIGITS
    content = buffer.getvalue()[:-_CHECKSUM_DIGITS]
    return content + _checksum(content)


def _decode_maps(content: bytes) -> dict[str, np.ndarray]:
    if _checksum(content[:-_CHECKSUM_DIGITS]) != content[-_CHECKSUM_DIGITS:]:
        message = "The checksum differs."
        raise ValueError(message)
    maps: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.namelist():
            values = np.lib.format.read_array(io.BytesIO(archive.read(member)), allow_pickle=False)
            name = member.removesuffix(".npy")
            _check_map(name, values)
            maps[name] = values
    return maps


def _checksum(content: bytes) -> bytes:
    return f"{zlib.crc32(content):0{_CHECKSUM_DIGITS}x}".encode()


def _write_atomically(path: Path, content: bytes | memoryview, *, lasting: bool = True) -> None:
    """Write a file so that it appears under its name complete.

    Args:
        path: The file.
        content: All of it.
        lasting: Also if the power fails a moment later.

    Raises:
        FilesError: The disk is full, or does not take the file. Nothing is left behind.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder, because a rename is atomic only within one file system.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".incoming-")
        temporary = Path(name)
        with os.fdopen(handle, "wb", buffering=0) as file:
            write_all(handle, content, direct=lasting)
            if lasting:
                os.fsync(file.fileno())
        temporary.replace(path)
        temporary = None
        if lasting:
            to_disk(path.parent)
    except OSError as error:
        raise _unwritable(path.parent, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _read(path: Path, sha256: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        problem = f"The pixels of image {_short(sha256)} are missing ({path})."
        raise FilesError(problem, _RESTORE_PIXELS) from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _unwritable(folder: Path, error: OSError) -> FilesError:
    if error.errno in _DISK_FULL:
        problem = f"The disk that holds {folder} is full."
        return FilesError(problem, "Free some space on it, then try again. Nothing was kept.")
    problem = f"A file cannot be written in {folder} ({error.strerror or error})."
    return FilesError(problem, _PERMISSION)


def _unreadable(path: Path, error: OSError) -> FilesError:
    problem = f"The file {path} cannot be read ({error.strerror or error})."
    return FilesError(problem, "Check the disk and the file's permissions, then try again.")


def _short(sha256: str) -> str:
    return sha256[:12]
