"""Every encoding gives the stored values; what is cut or contradicts itself is refused."""

from __future__ import annotations

import io
import re
from pathlib import Path

import cv2
import libjpeg
import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames

from ddad_core.errors import RefusedImageError
from ddad_core.imaging.dicom import read_dicom

STREAMS = Path(__file__).parent / "streams"
CR = uid.ComputedRadiographyImageStorage


def picture() -> np.ndarray:
    y, x = np.mgrid[0:64, 0:80]
    return 25 * x + 33 * y + x * y % 11


def stream(name: str) -> bytes:
    return (STREAMS / name).read_bytes()


@pytest.fixture
def wrapped(dataset, to_bytes):
    """A DICOM file around a codestream."""

    def make(frame: bytes, syntax, *, bits=12, signed=False, **tags) -> bytes:
        made = dataset(picture(), bits=bits, **tags)
        made.PixelRepresentation = int(signed)
        made.file_meta.TransferSyntaxUID = syntax
        made.PixelData = encapsulate([frame])
        made["PixelData"].VR = "OB"
        made["PixelData"].is_undefined_length = True
        return to_bytes(made)

    return make


def refusal(data: bytes) -> str:
    with pytest.raises(RefusedImageError) as caught:
        read_dicom(data)
    return caught.value.problem


EXACT = [
    *((f"lossless{p}.jpg", uid.JPEGLossless, {}) for p in range(1, 8)),
    ("lossless1.jpg", uid.JPEGLosslessSV1, {}),
    ("lossless_signed.jpg", uid.JPEGLosslessSV1, {"signed": True}),
    ("lossless_8bit.jpg", uid.JPEGLosslessSV1, {"bits": 8}),
    ("lossless_16bit.jpg", uid.JPEGLosslessSV1, {"bits": 16}),
    ("lossless.jls", uid.JPEGLSLossless, {}),
    ("signed.jls", uid.JPEGLSLossless, {"signed": True}),
    ("8bit.jls", uid.JPEGLSLossless, {"bits": 8}),
    ("lossless.jhc", uid.HTJ2KLossless, {}),
    ("lossless.jhc", uid.HTJ2K, {}),
    ("signed.jhc", uid.HTJ2KLossless, {"signed": True}),
    ("8bit.jhc", uid.HTJ2KLosslessRPCL, {"bits": 8}),
]


@pytest.mark.parametrize(
    ("name", "syntax", "options"), EXACT, ids=[f"{name}-{syntax}" for name, syntax, _ in EXACT]
)
def test_lossless_streams_are_exact(wrapped, name, syntax, options):
    found = read_dicom(wrapped(stream(name), syntax, **options))
    expected = picture() - 2048 if options.get("signed") else picture()
    by_bits = {8: expected >> 4, 12: expected, 16: 16 * expected + expected % 16}
    assert np.array_equal(found.pixels, by_bits[options.get("bits", 12)])


@pytest.mark.parametrize(
    ("name", "syntax", "error"),
    [
        ("near.jls", uid.JPEGLSNearLossless, 3),
        ("extended.jpg", uid.JPEGExtended12Bit, 60),
        ("lossy.jhc", uid.HTJ2K, 80),
    ],
)
def test_lossy_streams_are_near(wrapped, name, syntax, error):
    pixels = read_dicom(wrapped(stream(name), syntax)).pixels
    difference = np.abs(pixels - picture())
    assert 0 < difference.max() <= error
    assert difference.mean() < error / 1.5


@pytest.mark.parametrize("name", ["lossless4.jpg", "extended.jpg", "lossless.jls", "lossless.jhc"])
@pytest.mark.parametrize("share", [0.03, 0.2, 0.5, 0.8, 0.97])
def test_a_stream_cut_anywhere_is_refused(wrapped, name, share):
    syntax = {
        "lossless4.jpg": uid.JPEGLossless,
        "extended.jpg": uid.JPEGExtended12Bit,
        "lossless.jls": uid.JPEGLSLossless,
        "lossless.jhc": uid.HTJ2KLossless,
    }[name]
    whole = stream(name)
    assert read_dicom(wrapped(whole, syntax)).pixels.shape == (64, 80)
    cut = whole[: int(len(whole) * share)]
    assert "truncated" in refusal(wrapped(cut, syntax))
    assert "truncated" in refusal(wrapped(cut + b"\xff\xd9", syntax))


@pytest.mark.parametrize("name", ["lossless4.jpg", "extended.jpg", "lossless.jls", "near.jls"])
def test_what_was_read_before_is_decoded_once(wrapped, name, monkeypatch):
    syntax = {
        "lossless4.jpg": uid.JPEGLossless,
        "extended.jpg": uid.JPEGExtended12Bit,
        "lossless.jls": uid.JPEGLSLossless,
        "near.jls": uid.JPEGLSNearLossless,
    }[name]
    data = wrapped(stream(name), syntax)
    first = read_dicom(data).pixels
    monkeypatch.setattr("ddad_core.imaging.pixeldata.check_nothing_missing", None)
    assert np.array_equal(read_dicom(data, whole=True).pixels, first)
    with pytest.raises(RefusedImageError):
        read_dicom(data)


def baseline(interval: int = 0) -> bytes:
    """JPEG of 8 bits with a restart marker after so many blocks."""
    grey = (picture() >> 5).astype(np.uint8)
    options = [cv2.IMWRITE_JPEG_RST_INTERVAL, interval]
    return cv2.imencode(".jpg", grey, options)[1].tobytes()


@pytest.mark.parametrize("interval", [0, 3, 10])
def test_a_baseline_stream_is_whole_or_refused(wrapped, interval):
    whole = baseline(interval)
    restarts = [m.start() for m in re.finditer(rb"\xff[\xd0-\xd7]", whole)]
    assert bool(restarts) == bool(interval)
    ends = [*range(len(whole) - 60, len(whole) - 3), *restarts, *(at + 2 for at in restarts)]
    for end in ends:
        cut = whole[:end] + b"\xff\xd9"
        assert "truncated" in refusal(wrapped(cut, uid.JPEGBaseline8Bit, bits=8)), end
    filled = whole[:-2] + b"\xff\xff" + whole[-2:]  # T.81 section B.1.1.2 lets markers have them
    for data in (whole, filled):
        assert read_dicom(wrapped(data, uid.JPEGBaseline8Bit, bits=8)).pixels.max() > 100


ENDINGS = [
    b"\xff\xfe\0\x04xx\xff\xd9",  # a comment
    b"\xff\xdd\0\x04\0\0\xff\xd9",  # a restart interval
    b"\xff\xd0\xff\xd9",  # a restart
]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("lossless4.jpg", uid.JPEGLossless),
        ("extended.jpg", uid.JPEGExtended12Bit),
        ("lossless.jls", uid.JPEGLSLossless),
    ],
)
def test_what_stands_before_the_end_marker_hides_no_cut(wrapped, name, syntax, ending):
    whole = stream(name)
    if ending[1] != 0xD0 or name == "extended.jpg":
        read_dicom(wrapped(whole[:-2] + ending, syntax))
    for share in (0.3, 0.6, 0.9):
        assert refusal(wrapped(whole[: int(len(whole) * share)] + ending, syntax))


def test_too_little_memory_for_a_second_time_is_no_cut(wrapped, monkeypatch):
    real, times = libjpeg.decode, []

    def decode(data):
        times.append(data)
        if len(times) == 2:
            raise MemoryError
        return real(data)

    monkeypatch.setattr("ddad_core.imaging.pixeldata.libjpeg.decode", decode)
    with pytest.raises(MemoryError):
        read_dicom(wrapped(stream("lossless4.jpg"), uid.JPEGLossless))


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("lossless4.jpg", uid.JPEGLossless),
        ("extended.jpg", uid.JPEGExtended12Bit),
        ("lossless.jls", uid.JPEGLSLossless),
    ],
)
def test_fill_bytes_before_the_end_marker_are_no_cut(wrapped, name, syntax):
    filled = stream(name)[:-2] + b"\xff\xff\xd9"
    found = read_dicom(wrapped(filled, syntax)).pixels
    assert np.array_equal(found, read_dicom(wrapped(stream(name), syntax)).pixels)


def test_very_large_pictures_are_decoded_once(wrapped, monkeypatch):
    monkeypatch.setattr("ddad_core.imaging.pixeldata.DECODED_TWICE", 64 * 80 - 1)
    monkeypatch.setattr("ddad_core.imaging.pixeldata.check_nothing_missing", None)
    assert read_dicom(wrapped(stream("lossless.jls"), uid.JPEGLSLossless)).pixels.size == 64 * 80


def test_a_jpeg2000_stream_with_a_hole_is_refused(wrapped):
    whole = stream("lossless.jhc")
    assert "damaged" in refusal(wrapped(whole[:1500] + whole[1700:], uid.HTJ2KLossless))


def test_an_htj2k_stream_that_lies_of_its_size_is_refused_before_decoding(wrapped, monkeypatch):
    frame = bytearray(stream("lossless.jhc"))
    frame[8:16] = (60_000).to_bytes(4, "big") * 2
    frame[24:32] = (60_000).to_bytes(4, "big") * 2
    monkeypatch.setattr("ddad_core.imaging.pixeldata.openjpeg", None)
    assert "60000 x 60000 pixels" in refusal(wrapped(bytes(frame), uid.HTJ2KLossless))


@pytest.mark.parametrize("table", [False, True])
def test_a_frame_in_several_fragments_is_joined(wrapped, to_bytes, table):
    made = pydicom.dcmread(io.BytesIO(wrapped(stream("lossless.jls"), uid.JPEGLSLossless)))
    made.PixelData = encapsulate([stream("lossless.jls")], fragments_per_frame=4, has_bot=table)
    made["PixelData"].is_undefined_length = True
    assert np.array_equal(read_dicom(to_bytes(made)).pixels, picture())


def test_two_frames_behind_a_header_of_one_are_refused(wrapped, dataset, to_bytes):
    made = pydicom.dcmread(io.BytesIO(wrapped(stream("lossless.jls"), uid.JPEGLSLossless)))
    made.PixelData = encapsulate([stream("lossless.jls")] * 2)
    made["PixelData"].is_undefined_length = True
    assert "2 frames" in refusal(to_bytes(made))


# --- RLE ---------------------------------------------------------------------------------------


@pytest.fixture
def rle(dataset):
    made = dataset(picture())
    made.compress(uid.RLELossless, encoding_plugin="pydicom")
    return next(generate_frames(made.PixelData, number_of_frames=1))


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_rle_is_exact(dataset, to_bytes, bits, signed):
    values = (picture() << 4 >> 16 - bits) - (2 ** (bits - 1) if signed else 0)
    made = dataset(values, bits=bits)
    made.compress(uid.RLELossless, encoding_plugin="pydicom")
    assert np.array_equal(read_dicom(to_bytes(made)).pixels, values)


@pytest.mark.parametrize("share", [0.005, 0.02, 0.3, 0.5, 0.7, 0.97])
def test_rle_cut_anywhere_is_refused(wrapped, rle, share):
    assert "truncated" in refusal(wrapped(rle[: int(len(rle) * share)], uid.RLELossless))


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (0, 1, "1 segment(s)"),
        (0, 2**32 - 1, "segment(s)"),
        (4, 10, "outside the data"),
        (8, 64, "outside the data"),
        (8, 2**31, "outside the data"),
    ],
)
def test_rle_with_an_implausible_header_is_refused(wrapped, rle, at, value, words):
    broken = rle[:at] + value.to_bytes(4, "little") + rle[at + 4 :]
    assert words in refusal(wrapped(broken, uid.RLELossless))


def test_rle_stops_at_the_size_of_the_header(wrapped):
    plane = b"\x81\x07" * 100_000  # 12.8 million pixels of value 7
    header = b"".join(n.to_bytes(4, "little") for n in (2, 64, 64 + len(plane)))
    varied = bytes(b for i in range(64 * 80) for b in (0, i % 256)) + plane
    frame = header.ljust(64, b"\0") + plane + varied
    pixels = read_dicom(wrapped(frame, uid.RLELossless)).pixels
    assert pixels.shape == (64, 80)
    assert np.array_equal(pixels.ravel()[:256], 7 * 256 + np.arange(256))


# --- odd bits ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEG2000Lossless]
)
@pytest.mark.parametrize("signed", [False, True])
def test_overlays_in_unused_high_bits_are_ignored(dataset, to_bytes, syntax, signed):
    values = picture() - 2048 if signed else picture()
    made = dataset(values)
    made.PixelData = (values & 0x0FFF | 0xA000).astype("<u2").tobytes()
    if syntax != uid.ExplicitVRLittleEndian:
        made.BitsStored = 16  # lest the encoder clears the bits or refuses them
        plugin = "pydicom" if syntax == uid.RLELossless else "pylibjpeg"
        made.compress(syntax, encoding_plugin=plugin)
        made.BitsStored = 12
    assert np.array_equal(read_dicom(to_bytes(made)).pixels, values)


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless])
@pytest.mark.parametrize("signed", [False, True])
def test_values_kept_at_the_top_are_shifted_down(dataset, to_bytes, syntax, signed):
    values = picture() - 2048 if signed else picture()
    made = dataset(values, HighBit=15)
    made.PixelData = (values * 16 & 0xFFFF | 5).astype("<u2").tobytes()
    if syntax == uid.RLELossless:
        made.compress(syntax, encoding_plugin="pydicom")
    assert np.array_equal(read_dicom(to_bytes(made)).pixels, values)


def test_big_endian_bytes_in_words_are_swapped_back(dataset):
    values = picture() >> 4
    made = dataset(values, bits=8)
    made.file_meta.TransferSyntaxUID = uid.ExplicitVRBigEndian
    made.PixelData = values.astype("u1").reshape(-1, 2)[:, ::-1].tobytes()
    made["PixelData"].VR = "OW"
    data = io.BytesIO()
    pydicom.dcmwrite(data, made, implicit_vr=False, little_endian=False)
    assert np.array_equal(read_dicom(data.getvalue()).pixels, values)


# --- real files --------------------------------------------------------------------------------


def as_radiograph(name: str) -> tuple[bytes, pydicom.Dataset]:
    """A real file of the pydicom packages, called a CR whatever it is."""
    made = pydicom.dcmread(get_testdata_file(name, download=False))
    made.Modality, made.SOPClassUID = "CR", CR
    made.file_meta.MediaStorageSOPClassUID = CR
    data = io.BytesIO()
    made.save_as(data)
    return data.getvalue(), made


@pytest.mark.parametrize(
    "names",
    [
        ("RG3_UNCR.dcm", "RG3_J2KR.dcm"),
        ("RG3_UNCI.dcm", "RG3_J2KI.dcm"),
        ("MR_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "MR_small_expb.dcm",
         "MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm"),
        ("693_UNCR.dcm", "693_J2KR.dcm"),
        ("693_UNCI.dcm", "693_J2KI.dcm"),
    ],
    ids=lambda names: names[0],
)  # fmt: skip
def test_real_twins_in_other_encodings_are_bit_identical(names):
    first, *others = (read_dicom(as_radiograph(name)[0]) for name in names)
    for other in others:
        assert other.pixels.tobytes() == first.pixels.tobytes()
        assert other.windows == first.windows


@pytest.mark.parametrize(
    "name",
    ["JPGExtended.dcm", "JPEG-LL.dcm", "JPGLosslessP14SV1_1s_1f_8b.dcm", "JPEG2000.dcm",
     "J2K_pixelrep_mismatch.dcm", "image_dfl.dcm", "MR-SIEMENS-DICOM-WithOverlays.dcm"],
)  # fmt: skip
def test_real_files_give_the_values_that_pydicom_reads(name):
    data, made = as_radiograph(name)
    slope = float(made.get("RescaleSlope", 1))
    expected = made.pixel_array * slope + float(made.get("RescaleIntercept", 0))
    assert np.array_equal(read_dicom(data).pixels, expected.astype(np.float32))
