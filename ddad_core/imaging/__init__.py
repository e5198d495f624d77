"""Bytes -> Radiograph."""

from __future__ import annotations

from pathlib import Path

from ddad_core.imaging.dicom import read_dicom
from ddad_core.imaging.limits import check_file_size
from ddad_core.imaging.raster import read_raster
from ddad_core.imaging.sniff import sniff
from ddad_core.types import Radiograph

__all__ = ["check_file_size", "read_radiograph", "read_radiograph_file"]


def read_radiograph(data: bytes) -> Radiograph:
    """Read a DICOM, PNG or JPEG file, told apart by content.

    Args:
        data: The whole file.

    Raises:
        RefusedImageError: It is no radiograph that can be read; the message says why.
    """
    kind = sniff(data)
    return read_dicom(data) if kind == "dicom" else read_raster(data, kind)


def read_radiograph_file(path: Path) -> Radiograph:
    """Read a file from disk.

    Raises:
        RefusedImageError: It is too large, or no radiograph that can be read.
        OSError: It cannot be opened.
    """
    check_file_size(path)
    return read_radiograph(path.read_bytes())
