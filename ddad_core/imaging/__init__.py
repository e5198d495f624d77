"""Bytes -> Radiograph."""

from pathlib import Path

from ddad_core.imaging.raster import read_raster
from ddad_core.types import Radiograph

__all__ = ["read_radiograph", "read_radiograph_file"]


def read_radiograph(data: bytes) -> Radiograph:
    """Read one file."""
    return read_raster(data, "png" if data[:4] == b"\x89PNG" else "jpeg")


def read_radiograph_file(path: Path) -> Radiograph:
    """Read one file."""
    return read_radiograph(path.read_bytes())
