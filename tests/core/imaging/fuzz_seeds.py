"""Small radiographs in every encoding that is read, as seeds for mutations."""

from __future__ import annotations

import functools
import io

import cv2
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

SIDE = 72
NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
)


def pixels(seed: int = 0, side: int = SIDE) -> np.ndarray:
    """uint16 (side, side), 12 bits: a ramp under noise."""
    noise = np.random.default_rng(seed).integers(0, 200, (side, side))
    ramp = np.linspace(100, 3700, side).astype(np.int64)[None, :]
    return (ramp + noise).astype("<u2")


def dicom(syntax: str, *, seed: int = 0, side: int = SIDE, **attributes: object) -> bytes:
    """A CR image in a transfer syntax.

    Args:
        syntax: Its UID.
        seed: Of the pixels.
        side: Rows and columns.
        attributes: Elements set beside or instead of the usual ones.
    """
    dataset = Dataset()
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[str(seed), syntax])
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "CR", "CHEST", "PA"
    dataset.PatientID, dataset.PatientName = "4711", "Fuzz^Test"
    dataset.PatientAge, dataset.PatientSex, dataset.StudyDate = "054Y", "F", "20200101"
    dataset.Rows = dataset.Columns = side
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.WindowCenter, dataset.WindowWidth = "2048", "4096"
    values = pixels(seed, side)
    big = syntax == ExplicitVRBigEndian
    dataset.PixelData = values.astype(">u2").tobytes() if big else values.tobytes()
    dataset["PixelData"].VR = "OW"
    for name, value in attributes.items():
        setattr(dataset, name, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = syntax if syntax in NATIVE else ExplicitVRLittleEndian
    if syntax not in NATIVE:
        dataset.compress(syntax, generate_instance_uid=False)
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _encoded(ending: str, values: np.ndarray) -> bytes:
    done, data = cv2.imencode(ending, values)
    assert done
    return bytes(data.tobytes())


@functools.cache
def seeds() -> tuple[bytes, ...]:
    """One file of each encoding."""
    deep = pixels()
    grey = (deep >> 4).astype(np.uint8)
    lossless = (RLELossless, JPEG2000Lossless, JPEGLSLossless)
    compressed = [dicom(syntax) for syntax in lossless if _can_write(syntax)]
    return (
        *(dicom(syntax) for syntax in NATIVE),
        *compressed,
        _jpeg_dicom(grey),
        _encoded(".png", deep),
        _encoded(".png", grey),
        _encoded(".jpg", grey),
        _encoded(".png", cv2.cvtColor(grey, cv2.COLOR_GRAY2BGRA)),
    )


def _can_write(syntax: str) -> bool:
    try:
        dicom(syntax)
    except (RuntimeError, NotImplementedError, ValueError):
        return False
    return True


def _jpeg_dicom(grey: np.ndarray) -> bytes:
    """Baseline JPEG in DICOM, the stream written by another library than ours reads with."""
    whole = pydicom.dcmread(io.BytesIO(dicom(ExplicitVRLittleEndian)))
    whole.BitsAllocated, whole.BitsStored, whole.HighBit = 8, 8, 7
    whole.PixelData = pydicom.encaps.encapsulate([_encoded(".jpg", grey)])
    whole["PixelData"].is_undefined_length = True
    whole["PixelData"].VR = "OB"
    whole.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    out = io.BytesIO()
    whole.save_as(out)
    return out.getvalue()
