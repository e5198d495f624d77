"""Bytes -> Radiograph."""

from __future__ import annotations

from pathlib import Path

from ddad_core.imaging.dicom import read_dicom
from ddad_core.imaging.limits import check_file_size
from ddad_core.imaging.raster import read_raster
from ddad_core.imaging.sniff import sniff
from ddad_core.types import Radiograph

__all__ = ["check_file_size", "read_radiograph", "read_radiograph_file"]


def read_radiograph(
    data: bytes, *, vouched: bool = False, whole: bool = False, sha256: str = ""
) -> Radiograph:
    """Read a DICOM, PNG or JPEG file, told apart by content.

    Args:
        data: The whole file.
        vouched: Take a DICOM header without modality. The published challenge sets come without
            most of theirs; a manifest says in its place that the file is a chest radiograph.
        whole: The file was read before, and its digest is still the same: a JPEG stream is not
            decoded twice to see whether its end is missing.
        sha256: Of the file, where the caller has it already.

    Raises:
        RefusedImageError: It is no radiograph that can be read; the message says why.
    """
    kind = sniff(data)
    if kind == "dicom":
        return read_dicom(data, vouched=vouched, whole=whole, sha256=sha256)
    return read_raster(data, kind, whole=whole, sha256=sha256)


def read_radiograph_file(path: Path, *, vouched: bool = False) -> Radiograph:
    """Read a file from disk.

    Args:
        path: The file.
        vouched: See :func:`read_radiograph`.

    Raises:
        RefusedImageError: It is too large, or no radiograph that can be read.
        OSError: It cannot be opened.
    """
    check_file_size(path)
    return read_radiograph(path.read_bytes(), vouched=vouched)
