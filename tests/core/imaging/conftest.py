"""Files to read: real ones from the gallery, all others made here."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

DEMO = Path(__file__).parents[3] / "data" / "demo"


@pytest.fixture(scope="session")
def real_file():
    """Path of a real file by name: the shared data if DDAD_SHARED_DATA is set, or the gallery."""
    shared = os.environ.get("DDAD_SHARED_DATA")
    folders = [Path(shared) / part for part in ("dicom", "nih/original_1024")] if shared else []

    def find(name: str) -> Path:
        found = [folder / name for folder in (*folders, DEMO) if (folder / name).exists()]
        assert found, f"{name} is missing from data/demo"
        return found[0]

    return find


@pytest.fixture(scope="session")
def shared_file():
    """Path of a file that is only in the shared data; skips without it."""
    shared = os.environ.get("DDAD_SHARED_DATA")

    def find(name: str) -> Path:
        if not shared or not (Path(shared) / name).exists():
            pytest.skip("needs DDAD_SHARED_DATA")
        return Path(shared) / name

    return find


@pytest.fixture(scope="session")
def ramp():
    """Integers (rows, columns) that take every value from low to high."""

    def make(low: int, high: int, rows: int = 80, columns: int = 96) -> np.ndarray:
        return np.linspace(low, high, rows * columns).round().astype(np.int64).reshape(rows, -1)

    return make


@pytest.fixture(scope="session")
def dataset():
    """A CR image around stored values; keywords overrule the header, None removes."""

    def make(values: np.ndarray, *, bits: int = 12, **tags) -> FileDataset:
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
        meta.MediaStorageSOPInstanceUID = "1.2.3.4"
        made = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
        made.SOPClassUID, made.SOPInstanceUID = ComputedRadiographyImageStorage, "1.2.3.4"
        made.Modality, made.PhotometricInterpretation = "CR", "MONOCHROME2"
        made.PatientName, made.PatientID = "SECRET^NAME", "SECRETID"
        made.Rows, made.Columns = values.shape[:2]
        made.SamplesPerPixel = 1
        made.BitsAllocated = 8 if bits <= 8 else 16
        made.BitsStored, made.HighBit = bits, bits - 1
        made.PixelRepresentation = int(values.min() < 0)
        kind = ("i" if values.min() < 0 else "u") + str(made.BitsAllocated // 8)
        made.PixelData = values.astype("<" + kind).tobytes()
        made["PixelData"].VR = "OW"
        for keyword, value in tags.items():
            if value is None:
                delattr(made, keyword)
            else:
                setattr(made, keyword, value)
        return made

    return make


@pytest.fixture(scope="session")
def to_bytes():
    """The file of a data set."""

    def write(made: Dataset) -> bytes:
        stream = io.BytesIO()
        pydicom.dcmwrite(stream, made, enforce_file_format=True)
        return stream.getvalue()

    return write


@pytest.fixture(scope="session")
def image_bytes():
    """The file of a PIL image."""

    def write(image: Image.Image, format: str = "PNG", **options) -> bytes:
        stream = io.BytesIO()
        image.save(stream, format, **options)
        return stream.getvalue()

    return write
