"""A DICOM file the size of a computed radiography cassette, made up of gradients and noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

ROWS, COLUMNS, BITS = 1955, 1841, 12


def chest_like_pixels(seed: int, rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray:
    """Two dark lungs in a bright trunk under noise that compresses as badly as film grain.

    Returns:
        uint16 (rows, columns), 12 bits.
    """
    random = np.random.default_rng(seed)
    y = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, columns, dtype=np.float32)[None, :]
    trunk = 2600 - 1500 * np.abs(x) ** 3 + 500 * y
    lungs = sum(np.exp(-(((x - at) / 0.28) ** 2) - ((y + 0.05) / 0.6) ** 2) for at in (-0.45, 0.45))
    noise = random.normal(0, 25, (rows, columns)).astype(np.float32)
    return np.clip(trunk - 1700 * lungs + noise, 0, 2**BITS - 1).astype("<u2")


def write_synthetic(
    path: Path, seed: int, *, rows: int = ROWS, columns: int = COLUMNS, syntax: str = ""
) -> Path:
    """A MONOCHROME2 CR image without anything that names a patient.

    Args:
        path: File to write.
        seed: Of the pixels.
        rows: Height.
        columns: Width.
        syntax: Transfer syntax to compress to; uncompressed if empty.
    """
    dataset = Dataset()
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = generate_uid()
    dataset.Modality = "CR"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "PA"
    dataset.PatientAge = "054Y"
    dataset.Rows, dataset.Columns = rows, columns
    dataset.PixelSpacing = [0.2, 0.2]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, BITS, BITS - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = chest_like_pixels(seed, rows, columns).tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    if syntax:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_copy(source: Path, path: Path) -> Path:
    """The same picture under another instance UID: to the app, another file."""
    dataset = pydicom.dcmread(source)
    dataset.SOPInstanceUID = generate_uid()
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path)
    return path
