"""De-identifying a DICOM file on the way in (PS3.15 annex E).

Basic Application Level Confidentiality Profile with the options Retain Patient Characteristics
and Retain Longitudinal Temporal Information with Modified Dates. What may stay is chosen in
:mod:`ddad_core.imaging.retained`; the profile's own table, as dicom-anonymizer maintains it,
then goes over that; what the two leave to an application is done here.

Ages stay as they are, over 89 years too, as the first option has it. Dates move by a number of
days that is constant for a patient, times are cut to the minute.
"""

from __future__ import annotations

import functools
import hashlib
import io
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pydicom
from dicomanonymizer.simpledicomanonymizer import anonymize_dataset, initialize_actions, keep
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    RLELossless,
    UID_dictionary,
)

from ddad_core import __version__
from ddad_core.errors import RefusedImageError
from ddad_core.imaging import header, pseudonyms
from ddad_core.imaging.comments import blank_jpeg, blank_jpeg2000
from ddad_core.imaging.dicom import check_inflated_size
from ddad_core.imaging.native import only_used_bits
from ddad_core.imaging.pixeldata import JPEG, NATIVE, transfer_syntax
from ddad_core.imaging.quiet import silent_decoders
from ddad_core.imaging.retained import retained
from ddad_core.imaging.rle import decode_rle

IMPLEMENTATION_UID = "2.25.184807381287404609311034358001828478884"
METHOD = "PS3.15 basic profile, patient characteristics, modified dates"
METHOD_CODES = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113108", "Retain Patient Characteristics Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
)
"""DICOM context group 7050."""

_PROFILE = "dicomfields_2026c"
"""Edition of PS3.15 table E.1-1."""

_OPTION_KEEPS = ("PatientAge", "PatientSex", "PatientSize", "PatientWeight")
_EMPTY = (
    "AccessionNumber",
    "Manufacturer",
    "PatientBirthDate",
    "ReferringPhysicianName",
    "StudyID",
)
"""Type 2 in a radiograph's module tables: there, but without a value."""

_MOMENTS = (
    ("StudyDate", "StudyTime"),
    ("SeriesDate", "SeriesTime"),
    ("AcquisitionDate", "AcquisitionTime"),
    ("ContentDate", "ContentTime"),
)
_DATE = re.compile(r"(\d{4})[.]?(\d{2})[.]?(\d{2})")
_TIME = re.compile(r"([01]\d|2[0-3]):?([0-5]\d)(:?[0-6]\d(\.\d{1,6})?)?")
_SITE_LENGTH = 64
_UNDEFINED = 0xFFFFFFFF

_WRITTEN_PLAIN = (DeflatedExplicitVRLittleEndian, RLELossless)
"""Between and behind the runs of RLE there is room for anything, which decoders pass over."""


@dataclass(frozen=True)
class Identity:
    """Who and what a file is about, as pseudonyms; None where the file does not say.

    Attributes:
        patient: Of PatientID and its issuer. A name alone identifies nobody.
        study: Of StudyInstanceUID.
        instance: Of SOPInstanceUID.
        station: Of StationName, else of DeviceSerialNumber.
    """

    patient: str | None
    study: str | None
    instance: str | None
    station: str | None


@dataclass(frozen=True)
class Deidentified:
    """A file that names nobody, and the pseudonyms that keep it linked.

    Attributes:
        data: A whole DICOM file.
        identity: Its pseudonyms.
    """

    data: bytes
    identity: Identity


def deidentify(data: bytes, *, key: bytes, site: str, sha256: str = "") -> Deidentified:
    """De-identify a DICOM file; the picture in it stays as encoded.

    The result reads as the same radiograph. Its header holds only what is listed in
    :mod:`ddad_core.imaging.retained`, keyed pseudonyms, keyed UIDs and moved dates. The same
    file, key and site give the same bytes.

    Args:
        data: The whole file, one that :func:`ddad_core.imaging.read_dicom` takes.
        key: The installation's secret.
        site: Set as InstitutionName; may be empty.
        sha256: Of the file, where the caller has it already, having read it with
            :func:`ddad_core.imaging.read_dicom`, whose checks are then not made again.

    Raises:
        RefusedImageError: The file is damaged. The message quotes nothing of it.
    """
    try:
        with silent_decoders():
            return _deidentify(data, key, site, sha256)
    except (RefusedImageError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001
        # As in reading: an untrusted file, whose values must not reach a log.
        problem = f"The DICOM file is damaged and cannot be de-identified ({type(error).__name__})."
        raise RefusedImageError(problem, "Export the image again from the PACS.") from None


def _deidentify(data: bytes, key: bytes, site: str, sha256: str) -> Deidentified:
    if not sha256:
        check_inflated_size(data)
    source = pydicom.dcmread(io.BytesIO(data), force=True)
    syntax = transfer_syntax(source, data)
    identity = _identity(source, key)

    @functools.cache
    def fingerprint() -> str:
        return sha256 or hashlib.sha256(data).hexdigest()

    kept = retained(source)
    _apply_profile(kept)
    _set_pseudonyms(kept, source, identity, key, site)
    subject = identity.patient or identity.study or identity.instance or fingerprint()
    _set_moments(kept, source, pseudonyms.shift_days(key, subject))
    _set_uids(kept, source, key, fingerprint)
    _set_method(kept)
    return Deidentified(_write(kept, source, syntax), identity)


def _identity(source: Dataset, key: bytes) -> Identity:
    def text(keyword: str) -> str:
        return header.text_of(source, keyword)

    stations = (text("StationName"), text("DeviceSerialNumber"))
    found = (pseudonyms.station_pseudonym(key, station) for station in stations)
    return Identity(
        patient=pseudonyms.patient_pseudonym(key, text("PatientID"), text("IssuerOfPatientID")),
        study=pseudonyms.uid_pseudonym(key, "study", text("StudyInstanceUID")),
        instance=pseudonyms.uid_pseudonym(key, "instance", text("SOPInstanceUID")),
        station=next((name for name in found if name), None),
    )


@functools.cache
def _profile() -> dict[tuple[int, ...], Callable[..., None]]:
    actions: dict[tuple[int, ...], Callable[..., None]] = initialize_actions(_PROFILE)
    for keyword in _OPTION_KEEPS:
        tag = Tag(keyword)
        actions[tag.group, tag.element] = keep
    return actions


def _apply_profile(kept: Dataset) -> None:
    """Let the profile's table take what the list of what may stay should not have named."""
    # A rule for one tag does nothing where it is not; those for ranges of tags look deeper.
    there = {(tag.group, tag.element) for tag in kept.keys()}
    rules = {tag: do for tag, do in _profile().items() if len(tag) > 2 or tag in there}
    anonymize_dataset(kept, base_rules_gen=lambda: rules)


def _set_pseudonyms(
    kept: Dataset, source: Dataset, identity: Identity, key: bytes, site: str
) -> None:
    kept.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _EMPTY:
        setattr(kept, keyword, "")
    kept.PatientID = kept.PatientName = identity.patient or ""
    kept.StationName = identity.station or ""
    serial = header.text_of(source, "DeviceSerialNumber")
    kept.DeviceSerialNumber = pseudonyms.station_pseudonym(key, serial) or ""
    kept.InstitutionName = "".join(c for c in site if c.isprintable() and c != "\\")[:_SITE_LENGTH]


def _set_moments(kept: Dataset, source: Dataset, days: int) -> None:
    """Move the dates; a time stays only with its date (PS3.15 section E.3.6.2)."""
    for day_keyword, time_keyword in _MOMENTS:
        day = _moved(header.text_of(source, day_keyword), days)
        time = _minute(header.text_of(source, time_keyword))
        if day or day_keyword == "StudyDate":  # type 2
            setattr(kept, day_keyword, day)
            setattr(kept, time_keyword, time if day else "")
    moment = header.text_of(source, "AcquisitionDateTime")
    if day := _moved(moment[:8], days):
        kept.AcquisitionDateTime = day + _minute(moment[8:])
    kept.LongitudinalTemporalInformationModified = "MODIFIED"


def _moved(text: str, days: int) -> str:
    """A DA value moved into the past; empty if it is no date."""
    match = _DATE.fullmatch(text.strip())
    if match is None:
        return ""
    try:
        year, month, number = map(int, match.groups())
        day = date(year, month, number) - timedelta(days=days)
    except (ValueError, OverflowError):
        return ""
    return f"{day.year:04d}{day.month:02d}{day.day:02d}"


def _minute(text: str) -> str:
    """Hour and minute of a TM value; empty if it is no time."""
    match = _TIME.match(text.strip())
    return "".join(match.groups()[:2]) if match else ""


def _set_uids(kept: Dataset, source: Dataset, key: bytes, fingerprint: Callable[[], str]) -> None:
    """Replace UIDs; one that is missing, or is none, is made from the file's bytes."""
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        uid = pseudonyms.uid_value(header.text_of(source, keyword))
        parts = (uid,) if uid else (keyword, fingerprint())
        setattr(kept, keyword, pseudonyms.replacement_uid(key, *parts))
    if uid := pseudonyms.uid_value(header.text_of(source, "FrameOfReferenceUID")):
        kept.FrameOfReferenceUID = pseudonyms.replacement_uid(key, uid)
    kind = header.text_of(source, "SOPClassUID").strip()
    if kind in UID_dictionary:  # a private one may name its maker's customer
        kept.SOPClassUID = kind


def _set_method(kept: Dataset) -> None:
    """Say what was done (PS3.15 section E.1.1, PS3.3 section C.7.1.1)."""
    kept.PatientIdentityRemoved = "YES"
    kept.DeidentificationMethod = METHOD
    items = []
    for value, meaning in METHOD_CODES:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
        items.append(item)
    kept.DeidentificationMethodCodeSequence = Sequence(items)


def _write(kept: Dataset, source: Dataset, syntax: UID) -> bytes:
    """The file: header from ``kept``, pixels from ``source`` in the encoding they have there.

    Deflated data sets and RLE frames are written uncompressed.
    """
    written = ExplicitVRLittleEndian if syntax in _WRITTEN_PLAIN else syntax
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0
    meta.FileMetaInformationVersion = b"\0\1"
    if "SOPClassUID" in kept:
        meta.MediaStorageSOPClassUID = kept.SOPClassUID
    meta.MediaStorageSOPInstanceUID = kept.SOPInstanceUID
    meta.TransferSyntaxUID = written
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = f"DDAD {__version__}"[:16]
    stream = DicomBytesIO()
    stream.write(bytes(128) + b"DICM")
    write_file_meta_info(stream, meta, enforce_standard=False)
    stream.is_implicit_VR = written == ImplicitVRLittleEndian
    stream.is_little_endian = written != ExplicitVRBigEndian
    write_dataset(stream, kept)
    element: Any = source.get_item("PixelData")
    if syntax in (*NATIVE, RLELossless):
        vr = element.VR if element.VR in ("OB", "OW") and syntax in NATIVE else "OW"
        value = element.value if syntax in NATIVE else _unpacked(source, element.value)
        pixels = only_used_bits(source, value)
        prefix = _prefix(stream, vr, len(pixels) + len(pixels) % 2)
        return b"".join((stream.getvalue(), prefix, pixels, bytes(len(pixels) % 2)))
    frame = next(generate_frames(element.value, number_of_frames=1))
    if syntax in JPEG:
        frame = blank_jpeg(frame)
    elif syntax in JPEG2000TransferSyntaxes:
        frame = blank_jpeg2000(frame)
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return b"".join(
        (stream.getvalue(), _prefix(stream, "OB", _UNDEFINED), encapsulate([frame]), end)
    )


def _unpacked(source: Dataset, encapsulated: bytes) -> bytes:
    """The pixels of an RLE frame, as they lie in an uncompressed file."""
    cells = decode_rle(
        next(generate_frames(encapsulated, number_of_frames=1)),
        rows=int(source.Rows),
        columns=int(source.Columns),
        sample_bytes=int(source.BitsAllocated) // 8,
    )
    return cells.astype(cells.dtype.newbyteorder("<"), copy=False).tobytes()


def _prefix(stream: DicomBytesIO, vr: str, length: int) -> bytes:
    """Tag, VR and length of the pixel data (PS3.5 section 7.1)."""
    order = "<" if stream.is_little_endian else ">"
    if stream.is_implicit_VR:
        return struct.pack(f"{order}HHI", 0x7FE0, 0x0010, length)
    return struct.pack(f"{order}HH2sHI", 0x7FE0, 0x0010, vr.encode(), 0, length)
