"""Nothing of a patient stays in a file, and the radiograph in it stays what it was."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import warnings
from pathlib import Path

import libjpeg
import numpy as np
import pydicom
import pytest
from pydicom.datadict import DicomDictionary, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from ddad_core.errors import RefusedImageError
from ddad_core.imaging.comments import blank_jpeg
from ddad_core.imaging.deidentify import deidentify
from ddad_core.imaging.dicom import read_dicom

KEY = bytes(range(32))
NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
# Each VR that can carry text, with a value that holds the mark in a form the VR allows.
MARK, NUMBER_MARK = "PLANTEDMARK", "19470911"
TEXT_VRS = {
    "AE": MARK, "CS": MARK, "DS": NUMBER_MARK, "IS": NUMBER_MARK, "LO": MARK, "LT": MARK,
    "PN": f"{MARK}^{MARK}=山田^{MARK}", "SH": MARK, "ST": MARK, "UC": MARK, "UR": MARK, "UT": MARK,
    "UI": f"1.2.{NUMBER_MARK}", "DA": NUMBER_MARK, "DT": f"{NUMBER_MARK}101112",
    "OB": MARK.encode() + b"\0", "UN": MARK.encode() + b"\0", "OW": MARK.encode() + b"\0",
}  # fmt: skip
# What makes the picture, and where a number is a number whatever it is.
NEEDED = (
    "Modality PhotometricInterpretation WindowCenter WindowWidth RescaleSlope RescaleIntercept "
    "NumberOfFrames PixelSpacing ImagerPixelSpacing EstimatedRadiographicMagnificationFactor "
    "SpecificCharacterSet PixelData FloatPixelData DoubleFloatPixelData SOPClassUID"
).split()


def traces(data: bytes, *marks: str) -> list[str]:
    found = []
    for mark in marks:
        for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be", "utf-32-le"):
            written = mark.encode(encoding, "ignore")  # what has no character left is no trace
            found += [f"{mark} as {encoding}"] * (len(written) > 3 and written in data)
    return found


def result(data: bytes, site: str = "", key: bytes = KEY) -> Dataset:
    return pydicom.dcmread(io.BytesIO(deidentify(data, key=key, site=site).data))


def encoded(made: Dataset, syntax: str, *, file: bool = True) -> bytes:
    """The data set in another encoding, with or without preamble and file meta."""
    little = syntax != ExplicitVRBigEndian
    if not little:
        made.PixelData = np.frombuffer(made.PixelData, "<u2").byteswap().tobytes()
    made.file_meta.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    how = {"implicit_vr": syntax == ImplicitVRLittleEndian, "little_endian": little}
    if not file:
        del made.file_meta
        made.preamble = None
        pydicom.dcmwrite(stream, made, **how)
    else:
        pydicom.dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue()


def assert_same_radiograph(before: bytes, after: bytes) -> None:
    old, new = read_dicom(before), read_dicom(after)
    assert old.pixels.tobytes() == new.pixels.tobytes()
    assert (old.facts, old.windows, old.warnings) == (new.facts, new.windows, new.warnings)


@pytest.fixture(scope="module")
def rich(dataset, ramp):
    """A header with all that a display needs."""

    def make(**tags):
        plain = {
            "PatientSex": "F", "PatientAge": "063Y", "PatientSize": "1.71", "PatientWeight": "65.5",
            "ViewPosition": "PA", "BodyPartExamined": "CHEST", "PixelSpacing": ["0.143", "0.139"],
            "WindowCenter": ["2048", "1500.25"], "WindowWidth": ["4096", "900"],
            "WindowCenterWidthExplanation": ["NORMAL", "HARDER"], "RescaleSlope": "0.5",
            "RescaleIntercept": "-10", "RescaleType": "US", "PixelPaddingValue": 0,
            "PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE",
            "BurnedInAnnotation": "NO", "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.1",
            "StudyDate": "20240229", "StudyTime": "142233.5", "PatientBirthDate": "19610101",
            "StationName": "ROOM1", "ImageType": ["ORIGINAL", "PRIMARY"], "KVP": "125",
            **tags,
        }  # fmt: skip
        return dataset(ramp(0, 4095), **plain)

    return make


# --- nothing stays -----------------------------------------------------------------------------


def planted_everywhere(made: Dataset) -> Dataset:
    """The mark in every attribute of the dictionary whose VR can carry it, but what is needed."""
    for number, (vrs, *_rest) in DicomDictionary.items():
        tag, vr = Tag(number), vrs.split(" or ")[-1]
        keyword = keyword_for_tag(tag)
        if vr not in TEXT_VRS or tag.group in (0, 0x0002, 0x7FE0) or keyword in NEEDED:
            continue
        made[tag] = DataElement(tag, vr, TEXT_VRS[vr], validation_mode=0)
    return made


def test_a_mark_in_every_attribute_of_the_dictionary_leaves_no_trace(rich, to_bytes):
    data = to_bytes(planted_everywhere(rich()))
    assert data.count(MARK.encode()) > 1500
    out = deidentify(data, key=KEY, site="").data
    assert traces(out, MARK, NUMBER_MARK, "山田") == []
    assert read_dicom(out).pixels.tobytes() == read_dicom(data).pixels.tobytes()


def test_private_nested_unknown_and_repeating_elements_leave_no_trace(rich, to_bytes):
    made = rich()
    block = made.private_block(0x0011, MARK, create=True)
    block.add_new(0x01, "LO", MARK)
    block.add_new(0x02, "UN", MARK.encode() + b"\0")
    inner, middle = Dataset(), Dataset()
    inner.PatientName = inner.PatientComments = MARK
    inner.private_block(0x0013, MARK, create=True).add_new(0x01, "SH", MARK)
    middle.RequestAttributesSequence = Sequence([inner])
    for keyword in ("ViewCodeSequence", "SourceImageSequence", "AnatomicRegionSequence"):
        setattr(made, keyword, Sequence([middle]))
    made[0x60003000] = DataElement(0x60003000, "OW", MARK.encode() + b"\0")
    made[0x60004000] = DataElement(0x60004000, "LT", MARK)
    made[0x50003000] = DataElement(0x50003000, "OW", MARK.encode() + b"\0")
    made[0x00080999] = DataElement(0x00080999, "UN", MARK.encode() + b"\0")
    made[0xFFFCFFFC] = DataElement(0xFFFCFFFC, "OB", MARK.encode() + b"\0")
    made.DigitalSignaturesSequence = Sequence([inner])
    made.IconImageSequence = Sequence([inner])
    made.file_meta.SourceApplicationEntityTitle = MARK
    made.file_meta.SendingApplicationEntityTitle = MARK
    made.file_meta.PrivateInformationCreatorUID = f"1.2.{NUMBER_MARK}"
    made.file_meta.PrivateInformation = MARK.encode() + b"\0"
    made.preamble = MARK.encode() + bytes(128 - len(MARK))
    data = to_bytes(made)
    out = deidentify(data, key=KEY, site="").data
    assert len(traces(data, MARK)) == 2  # in UTF-8, which is Latin-1 here
    assert traces(out, MARK, NUMBER_MARK) == []
    assert out[:132] == bytes(128) + b"DICM"
    assert_same_radiograph(data, out)


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 192", "Ωνομα^山田"),
        ("ISO_IR 144", "Люкceмбypг"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
        ("GB18030", "王^小东"),
    ],
)
def test_names_in_any_character_set_leave_no_trace_and_no_warning(rich, to_bytes, charset, name):
    made = rich(SpecificCharacterSet=charset, PatientName=name)
    made.StudyDescription = made.PatientComments = name
    data = to_bytes(made)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        out = deidentify(data, key=KEY, site="").data
    raw = pydicom.dcmread(io.BytesIO(data)).get_item("PatientName").value
    assert raw not in out and traces(out, name, *name.replace("=", "^").split("^")) == []
    assert caught == []


@pytest.mark.parametrize(
    ("keyword", "value", "kept"),
    [
        ("BodyPartExamined", "DOE JOHN", "OTHER"),
        ("BodyPartExamined", "CHEST DOE", "CHEST"),
        ("BodyPartExamined", "TORAX A.P.", "TORAX A.P."),
        ("BodyPartExamined", "12345678", "OTHER"),
        ("ViewPosition", "DOE", None),
        ("ViewPosition", "LAT DOE", "LATERAL"),
        ("ViewPosition", "LEFT LATERAL", "LEFT LATERAL"),
        ("WindowCenterWidthExplanation", ["Dr Doe", "Lung 2"], ["", "Lung 2"]),
        ("ImageType", ["ORIGINAL", "PRIMARY", "DOE"], ["ORIGINAL", "PRIMARY"]),
        ("SeriesNumber", "19610101", None),
        ("SeriesNumber", "12", 12),
    ],
)
def test_words_stay_only_where_they_are_known(rich, to_bytes, keyword, value, kept):
    found = result(to_bytes(rich(**{keyword: value}))).get(keyword)
    assert (list(found) if isinstance(kept, list) else found) == kept


def test_pixel_data_keeps_no_padding_and_no_unused_bits(rich, to_bytes):
    made = rich()
    words = np.frombuffer(made.PixelData, "<u2").copy()
    words[:500] |= 0xA000  # an overlay in the high bits
    made.PixelData = words.tobytes() + MARK.encode() + b"\0"
    data = to_bytes(made)
    out = deidentify(data, key=KEY, site="").data
    kept = np.frombuffer(pydicom.dcmread(io.BytesIO(out)).PixelData, "<u2")
    assert np.array_equal(kept, words & 0x0FFF) and traces(out, MARK) == []
    assert_same_radiograph(data, out)


def test_comments_inside_a_jpeg_leave_no_trace(dataset, to_bytes, ramp, image_bytes):
    from PIL import Image

    grey = Image.fromarray(ramp(0, 255).astype(np.uint8))
    stream = image_bytes(grey, "JPEG", quality=95, comment=MARK.encode(), exif=exif(MARK))
    made = dataset(ramp(0, 255), bits=8)
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    made.PixelData = encapsulate([stream + MARK.encode()])
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    data = to_bytes(made)
    assert data.count(MARK.encode()) >= 3
    out = deidentify(data, key=KEY, site="").data
    assert traces(out, MARK) == []
    assert_same_radiograph(data, out)


@pytest.mark.parametrize("wrapped", [False, True])
def test_comments_inside_a_jpeg2000_leave_no_trace(dataset, to_bytes, ramp, image_bytes, wrapped):
    from PIL import Image

    grey = Image.fromarray(ramp(0, 255).astype(np.uint8))
    stream = image_bytes(grey, "JPEG2000", comment=MARK.encode(), no_jp2=not wrapped)
    if wrapped:
        box = len(MARK) + 8
        head = 12 + int.from_bytes(stream[12:16], "big")  # behind the boxes jP and ftyp
        extra = box.to_bytes(4, "big") + b"xml " + MARK.encode()
        stream = stream[:head] + extra + stream[head:]
    made = dataset(ramp(0, 255), bits=8)
    made.file_meta.TransferSyntaxUID = JPEG2000Lossless
    made.PixelData = encapsulate([stream])
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    data = to_bytes(made)
    assert data.count(MARK.encode()) == 1 + wrapped
    out = deidentify(data, key=KEY, site="").data
    assert traces(out, MARK) == []
    assert_same_radiograph(data, out)


def exif(text: str) -> bytes:
    from PIL import Image

    found = Image.Exif()
    found[0x010E] = text
    return found.tobytes()


# --- the radiograph stays ----------------------------------------------------------------------


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda s: s.name)
def test_every_native_encoding_reads_as_the_same_radiograph(rich, syntax):
    data = encoded(rich(), syntax)
    out = deidentify(data, key=KEY, site="Praxis Süd").data
    assert_same_radiograph(data, out)
    found = pydicom.dcmread(io.BytesIO(out))
    deflated = syntax == DeflatedExplicitVRLittleEndian
    assert found.file_meta.TransferSyntaxUID == (ExplicitVRLittleEndian if deflated else syntax)
    assert found.PixelData == pydicom.dcmread(io.BytesIO(data)).PixelData
    assert found.InstitutionName == "Praxis Süd"


@pytest.mark.parametrize("syntax", NATIVE[:2], ids=lambda s: s.name)
def test_a_file_without_preamble_and_meta_becomes_a_whole_file(rich, syntax):
    data = encoded(rich(), syntax, file=False)
    assert data[128:132] != b"DICM"
    out = deidentify(data, key=KEY, site="").data
    assert_same_radiograph(data, out)
    assert pydicom.dcmread(io.BytesIO(out)).file_meta.TransferSyntaxUID == syntax


def test_signed_pixels_padding_and_shifted_bits_stay(dataset, to_bytes, ramp):
    signed = dataset(ramp(-1000, 1000), bits=12, PixelPaddingValue=-1000, RescaleSlope="-1.5")
    signed.RescaleIntercept = "7"
    high = dataset(ramp(0, 4095) << 4, bits=12, HighBit=15)
    for made in (signed, high):
        data = to_bytes(made)
        assert_same_radiograph(data, deidentify(data, key=KEY, site="").data)


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda s: s.name)
def test_tables_stay_without_what_stands_behind_them(rich, syntax):
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    entries = np.linspace(0, 65535, 4096).astype(f"{order}u2").tobytes()
    modality, voi = Dataset(), Dataset()
    for item, name in ((modality, MARK), (voi, "Lung")):
        item.LUTDescriptor = [4096, 0, 16]
        item["LUTDescriptor"].VR = "US"
        item.LUTData = entries + MARK.encode() + b"\0"
        item["LUTData"].VR = "OW"
        item.LUTExplanation = name
    modality.ModalityLUTType = "US"
    made = rich(ModalityLUTSequence=Sequence([modality]), VOILUTSequence=Sequence([voi]))
    del made.RescaleSlope, made.RescaleIntercept
    data = encoded(made, syntax)
    out = deidentify(data, key=KEY, site="").data
    assert traces(out, MARK) == []
    assert_same_radiograph(data, out)
    assert read_dicom(out).windows[-1].name == "Lung"
    assert pydicom.dcmread(io.BytesIO(out)).VOILUTSequence[0].LUTData == entries


def hidden_in(made, frame, data):
    """Data behind a frame, as a file."""
    made.PixelData = encapsulate([frame + data])
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    return made


@pytest.mark.parametrize("bits", [8, 12])
def test_what_lies_between_and_behind_runs_of_rle_goes(dataset, to_bytes, ramp, bits):
    made = dataset(ramp(0, 2**bits - 1), bits=bits)
    made.compress(RLELossless)
    frame = next(generate_frames(made.PixelData, number_of_frames=1))
    count, *offsets = struct.unpack("<16L", frame[:64])
    moved = [offset + len(MARK) if offset else 0 for offset in offsets]
    gap = struct.pack("<16L", count, *moved) + MARK.encode() + frame[64:]
    data = to_bytes(hidden_in(made, gap, MARK.encode()))
    assert traces(data, MARK)
    out = deidentify(data, key=KEY, site="").data
    assert traces(out, MARK) == []
    assert_same_radiograph(data, out)


def test_what_lies_behind_a_jpeg2000_stream_goes(dataset, to_bytes, ramp):
    made = dataset(ramp(0, 4095))
    made.compress(JPEG2000Lossless)
    frame = next(generate_frames(made.PixelData, number_of_frames=1)).rstrip(b"\0")
    data = to_bytes(hidden_in(made, frame, MARK.encode()))
    assert traces(data, MARK)
    out = deidentify(data, key=KEY, site="").data
    assert traces(out, MARK) == []
    assert_same_radiograph(data, out)


def test_what_lies_between_segments_of_a_jpeg_goes():
    whole = (Path(__file__).parent / "streams" / "lossless1.jpg").read_bytes()
    first = 4 + int.from_bytes(whole[4:6], "big")
    hidden = whole[:first] + MARK.encode() + whole[first:]
    blank = blank_jpeg(hidden)
    assert traces(hidden, MARK) and traces(blank, MARK) == []
    assert np.array_equal(libjpeg.decode(blank), libjpeg.decode(whole))


@pytest.mark.parametrize("name", ["nih_dx_pa.dcm", "nih_dx_ap.dcm"])
def test_a_real_file_reads_as_the_same_radiograph(real_file, name):
    data = real_file(name).read_bytes()
    out = deidentify(data, key=KEY, site="").data
    assert_same_radiograph(data, out)
    assert "StudyDescription" not in pydicom.dcmread(io.BytesIO(out))


def test_a_real_jpeg2000_file_reads_as_the_same_pixels(shared_file):
    data = shared_file("dicom/philips_cr_monochrome1_jpeg2000.dcm").read_bytes()
    out = deidentify(data, key=KEY, site="").data
    assert read_dicom(out).pixels.tobytes() == read_dicom(data).pixels.tobytes()


@pytest.mark.parametrize(
    ("born", "taken", "age"),
    [("19610302", "20240301", "062Y"), ("20230601", "20240301", "009M"), ("20240220", "20240301",
     "010D")],
)  # fmt: skip
def test_an_age_from_dates_is_written_in_completed_units(rich, to_bytes, born, taken, age):
    made = rich()
    del made.PatientAge
    made.PatientBirthDate, made.StudyDate = born, taken
    found = result(to_bytes(made))
    assert found.PatientAge == age and found.PatientBirthDate == ""


@pytest.mark.parametrize(("age", "kept"), [("094Y", "094Y"), ("81", "081Y"), ("200Y", None)])
def test_ages_stay_over_89_too(rich, to_bytes, age, kept):
    made = rich()
    made["PatientAge"] = DataElement("PatientAge", "AS", age, validation_mode=0)
    assert result(to_bytes(made)).get("PatientAge") == kept


# --- who and what ------------------------------------------------------------------------------


def test_the_profile_and_its_options_are_named(rich, to_bytes):
    found = result(to_bytes(rich()))
    codes = [(c.CodingSchemeDesignator, c.CodeValue) for c in
             found.DeidentificationMethodCodeSequence]  # fmt: skip
    assert codes == [("DCM", "113100"), ("DCM", "113108"), ("DCM", "113107")]
    assert found.PatientIdentityRemoved == "YES"
    assert found.LongitudinalTemporalInformationModified == "MODIFIED"
    assert (found.PatientSex, found.PatientSize, found.PatientWeight) == ("F", 1.71, 65.5)
    assert found.BurnedInAnnotation == "NO"


def test_the_same_file_gives_the_same_bytes_and_another_key_other_pseudonyms(rich, to_bytes):
    data = to_bytes(rich())
    one, again = (deidentify(data, key=KEY, site="A") for _ in range(2))
    other = deidentify(data, key=bytes(32), site="A")
    assert one == again
    for field in ("patient", "study", "instance", "station"):
        mine, theirs = getattr(one.identity, field), getattr(other.identity, field)
        assert mine and theirs and mine != theirs and len(mine) == 15
    old, new = (pydicom.dcmread(io.BytesIO(d.data)) for d in (one, other))
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "StudyDate"):
        assert old[keyword].value != new[keyword].value


def test_pseudonyms_and_uids_are_set_alike_everywhere(rich, to_bytes):
    first, second = (rich(SOPInstanceUID=uid) for uid in ("1.2.3.4", "1.2.3.5"))
    out = [deidentify(to_bytes(made), key=KEY, site="") for made in (first, second)]
    one, two = (pydicom.dcmread(io.BytesIO(d.data)) for d in out)
    assert one.PatientID == str(one.PatientName) == out[0].identity.patient == two.PatientID
    assert one.StationName == out[0].identity.station
    assert one.StudyInstanceUID == two.StudyInstanceUID
    assert one.SOPInstanceUID != two.SOPInstanceUID
    assert one.SOPInstanceUID == one.file_meta.MediaStorageSOPInstanceUID
    assert one.SOPInstanceUID.startswith("2.25.") and one.SOPInstanceUID.is_valid


def test_dates_of_a_patient_keep_their_intervals(rich, to_bytes):
    found = []
    for uid, day in (("1.2.7", "20240229"), ("1.2.8", "20240310")):
        found.append(result(to_bytes(rich(StudyInstanceUID=uid, StudyDate=day))))
    days = [pydicom.valuerep.DA(one.StudyDate) for one in found]
    assert (days[1] - days[0]).days == 10
    assert days[0] < pydicom.valuerep.DA("20240229") and found[0].StudyTime == "1422"
    other = result(to_bytes(rich(PatientID="ANOTHER")))
    assert pydicom.valuerep.DA(other.StudyDate) != days[0]


@pytest.mark.parametrize("empty", ["", "   ", "UNKNOWN", "anonymous", "0000", "--", "N/A", "99999"])
def test_an_empty_patient_id_is_nobody_even_with_a_name(rich, to_bytes, empty):
    out = deidentify(to_bytes(rich(PatientID=empty)), key=KEY, site="")
    assert out.identity.patient is None
    found = pydicom.dcmread(io.BytesIO(out.data))
    assert (found.PatientID, str(found.PatientName)) == ("", "")


def test_the_issuer_is_part_of_a_patient_and_padding_is_not(rich, to_bytes):
    def patient(**tags):
        return deidentify(to_bytes(rich(**tags)), key=KEY, site="").identity.patient

    assert patient(PatientID="7") == patient(PatientID=" 7 ") != patient(PatientID="07")
    assert patient(PatientID="7", IssuerOfPatientID="A") != patient(PatientID="7")


def test_a_missing_uid_is_nobodys_and_differs_from_file_to_file(rich, to_bytes):
    out = []
    for age in ("063Y", "064Y"):
        made = rich(PatientAge=age)
        data = encoded_without_uid(made)
        out.append(deidentify(data, key=KEY, site=""))
    assert [one.identity.instance for one in out] == [None, None]
    uids = [pydicom.dcmread(io.BytesIO(one.data)).SOPInstanceUID for one in out]
    assert uids[0] != uids[1] and all(uid.startswith("2.25.") for uid in uids)


def encoded_without_uid(made: Dataset) -> bytes:
    del made.SOPInstanceUID
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, made)
    return stream.getvalue()


# --- hostile headers ---------------------------------------------------------------------------


def test_what_the_profile_names_goes_even_if_the_list_lets_it_stay(rich, to_bytes, monkeypatch):
    from ddad_core.imaging import retained

    monkeypatch.setitem(retained._CODES, "SmokingStatus", "YES NO UNKNOWN")
    assert "SmokingStatus" not in result(to_bytes(rich(SmokingStatus="YES")))


@pytest.mark.parametrize(
    "data", [b"", b"DICM", bytes(128) + b"DICM", bytes(128) + b"DICM\2\0\0\0UL\4\0", b"\x08\0" * 9]
)
def test_a_damaged_file_is_refused(data):
    with pytest.raises(RefusedImageError) as caught:
        deidentify(data, key=KEY, site="")
    assert caught.value.__cause__ is None and caught.value.next_step


def test_a_wrong_value_is_refused_without_being_quoted(rich, to_bytes):
    made = rich()
    made._dict[Tag("Rows")] = RawDataElement(Tag("Rows"), "LO", 12, MARK.encode(), 0, False, True)
    with pytest.raises(RefusedImageError) as caught:
        deidentify(to_bytes(made), key=KEY, site="")
    assert MARK not in str(caught.value) and caught.value.__suppress_context__


def test_a_thousand_nested_sequences_are_refused(rich, to_bytes):
    data = to_bytes(rich())
    start = data.index(b"\x10\0\x10\0PN")
    opening = b"\x08\0\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
    with pytest.raises(RefusedImageError):
        deidentify(data[:start] + opening * 1000 + data[start:], key=KEY, site="")


def test_a_large_header_costs_little(rich, to_bytes):
    made = rich()
    block = made.private_block(0x0011, "MAKER", create=True)
    for i in range(200):
        block.add_new(i, "LT", MARK * 900)
    data = to_bytes(made)
    started = time.perf_counter()
    out = deidentify(data, key=KEY, site="").data
    assert time.perf_counter() - started < 0.5
    assert len(data) > 1_900_000 and len(out) < 20_000


def test_reading_images_does_not_wait_for_the_profiles_table():
    script = (
        "import sys; import ddad_core.imaging, ddad_core.cli, app.services.pseudonym_key; "
        "print('dicomanonymizer' in sys.modules)"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, cwd=root, capture_output=True, text=True
    )
    assert done.stdout == "False\n"


def test_an_odd_value_is_quoted_in_no_log(rich, to_bytes, tmp_path):
    """In a process of its own, for what it silences is the process's."""
    data = to_bytes(rich(SpecificCharacterSet="ISO_IR 192"))
    path = tmp_path / "odd.dcm"
    path.write_bytes(data.replace(b"ISO_IR 192", MARK[:10].encode()))
    script = (
        "import sys, pathlib; from ddad_core.imaging import read_radiograph; "
        "from ddad_core.imaging.deidentify import deidentify; "
        "data = pathlib.Path(sys.argv[1]).read_bytes(); read_radiograph(data); "
        "sys.stdout.buffer.write(deidentify(data, key=bytes(32), site='').data)"
    )
    loud = "import sys, pydicom; str(pydicom.dcmread(sys.argv[1]).PatientName)"
    root = Path(__file__).parents[3]
    said, silent = (
        subprocess.run([sys.executable, "-c", words, path], capture_output=True, cwd=root)
        for words in (loud, script)
    )
    assert MARK[:10].encode() in said.stderr
    assert silent.stderr == b"" and traces(silent.stdout, MARK[:10]) == []
    assert len(silent.stdout) > 15_000
