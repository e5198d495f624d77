from __future__ import annotations

import hashlib
import io
import logging
import struct
import threading
import warnings
import zlib

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import apply_modality_lut
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from ddad_core.errors import RefusedImageError
from ddad_core.imaging.dicom import read_dicom
from ddad_core.imaging.limits import MAX_FILE_BYTES
from ddad_core.imaging.quiet import silent_decoders

SECRETS = ("SECRET", "19400305")


def refusal(data: bytes) -> str:
    """The problem of a refused file, after checking that it gives no one away."""
    with pytest.raises(RefusedImageError) as caught:
        read_dicom(data)
    assert caught.value.problem and caught.value.next_step
    assert not any(secret in str(caught.value) for secret in SECRETS)
    return caught.value.problem


def recode(made, syntax, frame: bytes):
    made.file_meta.TransferSyntaxUID = syntax
    made.PixelData = encapsulate([frame])
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    return made


def after_meta(data: bytes) -> int:
    """Where the data set begins: group length (0002,0000) is the first element."""
    return 144 + int.from_bytes(data[140:144], "little")


# --- pixels ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "view", "age"), [("pa", "PA", 81.0), ("ap", "AP", 58.0)])
def test_a_real_dx_file_keeps_its_stored_values(real_file, name, view, age):
    data = real_file(f"nih_dx_{name}.dcm").read_bytes()
    found = read_dicom(data)
    stored = np.frombuffer(data[-1024 * 1024 :], np.uint8).reshape(1024, 1024)
    assert np.array_equal(found.pixels, stored.astype(np.float32))
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    facts = found.facts
    assert (facts.format, facts.modality, facts.bits) == ("dicom", "DX", 8)
    assert (facts.view, facts.body_part, facts.sex, facts.age_years) == (view, "CHEST", "M", age)
    assert (facts.spacing_mm, found.windows, found.warnings) == (None, (), ())


def test_a_real_monochrome1_file_of_15_bits(shared_file):
    data = shared_file("dicom/philips_cr_monochrome1.dcm").read_bytes()
    found = read_dicom(data)
    stored = pydicom.dcmread(io.BytesIO(data)).pixel_array.astype(np.int32)
    assert np.array_equal(found.pixels, (32767 - stored).astype(np.float32))
    assert (found.windows[0].center, found.windows[0].width) == (32767 - 14999.5, 29999)
    assert found.facts.spacing_mm is None  # the header says 0.000
    assert found.facts.age_years == pytest.approx(64.5, abs=0.1)


def test_a_real_jpeg2000_file_is_near_its_original(shared_file):
    names = ("dicom/philips_cr_monochrome1.dcm", "dicom/philips_cr_monochrome1_jpeg2000.dcm")
    plain, lossy = (read_dicom(shared_file(name).read_bytes()).pixels for name in names)
    assert np.abs(plain - lossy).mean() < 60  # of 32768


@pytest.mark.parametrize("bits", [8, 10, 12, 15, 16])
def test_every_bit_depth_is_exact(dataset, to_bytes, ramp, bits):
    values = ramp(0, 2**bits - 1)
    found = read_dicom(to_bytes(dataset(values, bits=bits)))
    assert np.array_equal(found.pixels, values)
    assert found.facts.bits == bits


@pytest.mark.parametrize("bits", [12, 15])
def test_monochrome1_is_inverted_over_the_range_of_its_bits(dataset, to_bytes, ramp, bits):
    values = ramp(100, 2000)
    made = dataset(values, bits=bits, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(read_dicom(to_bytes(made)).pixels, 2**bits - 1 - values)


def test_monochrome1_with_inverse_shape_is_inverted_once(dataset, to_bytes, ramp):
    tags = {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}
    found = read_dicom(to_bytes(dataset(ramp(0, 4095), **tags)))
    assert np.array_equal(found.pixels, 4095 - ramp(0, 4095))
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("photometric", "shape"), [("MONOCHROME2", "INVERSE"), ("MONOCHROME1", "IDENTITY")]
)
def test_photometric_interpretation_decides_a_contradiction(
    dataset, to_bytes, ramp, photometric, shape
):
    values = ramp(0, 4095)
    tags = {"PhotometricInterpretation": photometric, "PresentationLUTShape": shape}
    found = read_dicom(to_bytes(dataset(values, **tags)))
    expected = values if photometric == "MONOCHROME2" else 4095 - values
    assert np.array_equal(found.pixels, expected)
    assert "contradicts itself on polarity" in found.warnings[0]


def test_signed_values_are_rescaled(dataset, to_bytes, ramp):
    values = ramp(-2048, 2047)
    found = read_dicom(to_bytes(dataset(values, RescaleSlope="0.5", RescaleIntercept="-10")))
    assert np.array_equal(found.pixels, (values * 0.5 - 10).astype(np.float32))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("slope", "intercept"),
    [(0.1, 3.7), (-0.37, 1000.0), (1, 0.25), (1, -1024), (1, 2**25), (2.5, 0)],
)
@pytest.mark.parametrize(("low", "high"), [(0, 4095), (-2048, 2047)])
def test_every_rescale_is_that_of_float64_to_the_bit(
    dataset, to_bytes, ramp, photometric, slope, intercept, low, high
):
    values = ramp(low, high)
    made = dataset(values, RescaleSlope=str(slope), RescaleIntercept=str(intercept))
    made.PhotometricInterpretation = photometric
    expected = values * slope + intercept
    if photometric == "MONOCHROME1":
        expected = (low * slope + intercept) + (high * slope + intercept) - expected
    found = read_dicom(to_bytes(made)).pixels
    assert found.tobytes() == expected.astype(np.float32).tobytes()


def test_signed_monochrome1_is_mirrored_within_its_range(dataset, to_bytes, ramp):
    values = ramp(-2000, 1000)
    made = dataset(values, RescaleSlope="2", RescaleIntercept="1")
    made.PhotometricInterpretation = "MONOCHROME1"
    low, high = -2048 * 2 + 1, 2047 * 2 + 1
    assert np.array_equal(read_dicom(to_bytes(made)).pixels, low + high - (values * 2 + 1))


def test_a_negative_rescale_slope_is_taken_as_written(dataset, to_bytes, ramp):
    values = ramp(0, 4095)
    found = read_dicom(to_bytes(dataset(values, RescaleSlope="-1", RescaleIntercept="4095")))
    assert np.array_equal(found.pixels, 4095 - values)


def test_bits_above_bits_stored_are_ignored(dataset, to_bytes, ramp):
    values = ramp(0, 4095)
    made = dataset(values)
    made.PixelData = (values | 0xA000).astype("<u2").tobytes()
    assert np.array_equal(read_dicom(to_bytes(made)).pixels, values)


def test_bits_kept_at_the_top_are_shifted_down(dataset, to_bytes, ramp):
    values = ramp(0, 4095)
    made = dataset(values, HighBit=15)
    made.PixelData = (values << 4).astype("<u2").tobytes()
    assert np.array_equal(read_dicom(to_bytes(made)).pixels, values)


@pytest.mark.parametrize("depth", [12, 16])
def test_a_modality_lut_is_applied(dataset, to_bytes, ramp, depth):
    values = ramp(0, 255, rows=64, columns=64)
    item = Dataset()
    item.LUTDescriptor = [200, 10, depth]
    item.LUTData = [(3 * i) % 2**depth for i in range(200)]
    item["LUTData"].VR = "US"
    made = dataset(values, bits=8, PhotometricInterpretation="MONOCHROME1")
    made.ModalityLUTSequence = [item]
    expected = 3 * np.clip(values - 10, 0, 199)
    assert np.array_equal(read_dicom(to_bytes(made)).pixels, 2**depth - 1 - expected)
    if depth == 16:  # pydicom itself knows no 12-bit entries
        assert np.array_equal(apply_modality_lut(values, made), expected)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_becomes_the_darkest_of_the_rest(dataset, to_bytes, ramp, photometric):
    values = ramp(500, 3000)
    values[:10], values[10:20] = 4095, 4000
    tags = {"PixelPaddingValue": 4095, "PixelPaddingRangeLimit": 4000}
    made = dataset(values, PhotometricInterpretation=photometric)
    for keyword, value in tags.items():
        made.add_new(keyword, "US", value)
    pixels = read_dicom(to_bytes(made)).pixels
    rest = values[20:] if photometric == "MONOCHROME2" else 4095 - values[20:]
    assert np.array_equal(pixels[20:], rest)
    assert np.all(pixels[:20] == rest.min())


def test_signed_padding_written_as_unsigned_is_understood(dataset, to_bytes, ramp):
    values = ramp(-1000, 1000)
    values[:10] = -2000
    made = dataset(values)
    made.add_new("PixelPaddingValue", "US", 65536 - 2000)
    pixels = read_dicom(to_bytes(made)).pixels
    assert np.array_equal(pixels[10:], values[10:])
    assert np.all(pixels[:10] == values[10:].min())


# --- encodings ---------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
def test_lossless_compression_is_exact(dataset, to_bytes, ramp, syntax):
    values = ramp(0, 4095)
    plugin = "pylibjpeg" if syntax == JPEG2000Lossless else "pydicom"
    made = dataset(values)
    made.compress(syntax, encoding_plugin=plugin)
    assert np.array_equal(read_dicom(to_bytes(made)).pixels, values)


def test_signed_jpeg2000_is_exact(dataset, to_bytes, ramp):
    made = dataset(ramp(-2048, 2047))
    made.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg")
    assert np.array_equal(read_dicom(to_bytes(made)).pixels, ramp(-2048, 2047))


def test_jpeg_baseline_is_decoded(dataset, to_bytes, ramp, image_bytes):
    values = ramp(0, 255)
    jpeg = image_bytes(Image.fromarray(values.astype(np.uint8)), "JPEG", quality=95)
    made = recode(dataset(values, bits=8), JPEGBaseline8Bit, jpeg)
    assert np.abs(read_dicom(to_bytes(made)).pixels - values).max() <= 3


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_other_native_encodings_are_exact(dataset, to_bytes, ramp, syntax):
    made = dataset(ramp(0, 4095))
    made.file_meta.TransferSyntaxUID = syntax
    assert np.array_equal(read_dicom(to_bytes(made)).pixels, ramp(0, 4095))


def test_big_endian_is_exact(dataset, ramp):
    made = dataset(ramp(0, 4095))
    made.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    made.PixelData = ramp(0, 4095).astype(">u2").tobytes()
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, made, implicit_vr=False, little_endian=False)
    assert np.array_equal(read_dicom(stream.getvalue()).pixels, ramp(0, 4095))


def test_a_file_without_preamble_is_read(dataset, to_bytes, ramp):
    data = to_bytes(dataset(ramp(0, 4095)))
    assert np.array_equal(read_dicom(data[132:]).pixels, ramp(0, 4095))


@pytest.mark.parametrize("implicit", [True, False])
def test_a_data_set_without_meta_information_is_read(dataset, ramp, implicit):
    made = dataset(ramp(0, 4095))
    del made.file_meta
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, made, implicit_vr=implicit, little_endian=True)
    bare = stream.getvalue()
    bare = bare[132:] if bare[128:132] == b"DICM" else bare
    assert np.array_equal(read_dicom(bare).pixels, ramp(0, 4095))


# --- refusals ----------------------------------------------------------------------------------


def test_a_ct_is_refused_in_words(real_file, dataset, to_bytes, ramp):
    made = pydicom.dcmread(real_file("nih_dx_pa.dcm"))
    made.Modality = "CT"
    assert "computed tomography (CT)" in refusal(to_bytes(made))
    for modality, words in [("MR", "magnetic"), ("MG", "mammography"), ("PX", "dental")]:
        assert words in refusal(to_bytes(dataset(ramp(0, 9), Modality=modality)))
    told = refusal(to_bytes(dataset(ramp(0, 9), Modality="MUSTERMANN")))
    assert "a code that is not known here" in told and "MUSTER" not in told
    assert "not given" in refusal(to_bytes(dataset(ramp(0, 9), Modality="")))


def test_a_dicomdir_is_named(dataset, to_bytes, ramp):
    made = dataset(ramp(0, 9), Modality=None, SOPClassUID="1.2.840.10008.1.3.10")
    made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    assert "DICOMDIR" in refusal(to_bytes(made))


@pytest.mark.parametrize(
    ("sop_class", "words"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", "of the kind CT Image"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "of the kind Encapsulated PDF"),
        ("1.2.840.10008.5.1.4.1.1.1.2", "of the kind Digital Mammography X-Ray Image"),
        ("1.2.840.10008.5.1.4.1.1.6", "of the kind Ultrasound Image"),
    ],
)
@pytest.mark.parametrize("keyword", ["SOPClassUID", "MediaStorageSOPClassUID"])
def test_a_sop_class_that_contradicts_the_modality_is_refused(
    dataset, to_bytes, ramp, sop_class, words, keyword
):
    made = dataset(ramp(0, 4095))
    if keyword == "MediaStorageSOPClassUID":
        del made.SOPClassUID
    setattr(made if keyword == "SOPClassUID" else made.file_meta, keyword, sop_class)
    problem = refusal(to_bytes(made))
    assert words in problem and "its modality is CR" in problem


@pytest.mark.parametrize(
    "sop_class",
    ["1.2.3.4", "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.1.1.1", None],
)
def test_an_unknown_or_fitting_sop_class_is_fine(dataset, to_bytes, ramp, sop_class):
    made = dataset(ramp(0, 4095), SOPClassUID=sop_class)
    assert np.array_equal(read_dicom(to_bytes(made)).pixels, ramp(0, 4095))


@pytest.mark.parametrize(
    "tags",
    [
        {"Modality": "SECRET"},
        {"PhotometricInterpretation": "SECRET"},
        {"RescaleSlope": "SECRET"},
        {"SamplesPerPixel": 3, "PhotometricInterpretation": "SECRET NAME"},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_stands_where_a_code_belongs_is_not_quoted(dataset, to_bytes, ramp, tags):
    data = dataset(ramp(0, 4095))
    for keyword, value in tags.items():
        if isinstance(value, str):
            data[keyword] = pydicom.DataElement(keyword, "LO", value)
        else:
            setattr(data, keyword, value)
    assert refusal(to_bytes(data))  # which looks for SECRET


def test_a_transfer_syntax_that_is_none_is_not_quoted(dataset, to_bytes, ramp):
    data = to_bytes(dataset(ramp(0, 4095)))
    data = data.replace(b"1.2.840.10008.1.2.1\0", b"SECRET^NAME^IN^HERE\0")
    assert refusal(data)


def test_several_frames_are_refused(dataset, to_bytes, ramp):
    made = dataset(ramp(0, 4095), NumberOfFrames=3)
    made.PixelData *= 3
    assert "3 frames" in refusal(to_bytes(made))


def test_colour_is_refused(dataset, to_bytes):
    made = dataset(np.zeros((64, 64, 3), np.uint8), bits=8, SamplesPerPixel=3)
    made.PhotometricInterpretation, made.PlanarConfiguration = "RGB", 0
    assert "PhotometricInterpretation is RGB" in refusal(to_bytes(made))
    made = dataset(np.zeros((64, 64)), bits=8, PhotometricInterpretation="PALETTE COLOR")
    assert "PALETTE COLOR" in refusal(to_bytes(made))


def test_a_file_without_pixels_is_refused(dataset, to_bytes, ramp):
    assert "no pixel data" in refusal(to_bytes(dataset(ramp(0, 4095), PixelData=None)))


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"Rows": 40}, "96 x 40"),
        ({"Rows": 20_000}, "96 x 20000"),
        ({"Rows": 9000, "Columns": 9000}, "9000 x 9000"),
        ({"Rows": None}, "describes no pixels"),
        ({"BitsStored": None}, "describes no pixels"),
        ({"PhotometricInterpretation": None}, "whether large values are bright"),
        ({"BitsAllocated": 32}, "32 allocated"),
        ({"BitsStored": 17}, "17 bits stored"),
        ({"Rows": 81}, "truncated: 15360 of 15552"),
        ({"Rows": 79}, "15360 bytes, but the header describes 15168"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(dataset, to_bytes, ramp, tags, words):
    assert words in refusal(to_bytes(dataset(ramp(0, 4095), **tags)))


def test_truncated_native_pixels_are_refused(dataset, to_bytes, ramp):
    assert "truncated" in refusal(to_bytes(dataset(ramp(0, 4095)))[:-1000])


@pytest.mark.parametrize("cut", [1000, 10])
def test_a_compressed_file_cut_short_is_refused(dataset, to_bytes, cut):
    noise = np.random.default_rng(0).integers(0, 4096, (80, 96))
    made = dataset(noise)
    made.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg")
    assert "truncated" in refusal(to_bytes(made)[:-cut])


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGBaseline8Bit])
def test_a_codestream_cut_short_is_refused(dataset, to_bytes, ramp, image_bytes, syntax):
    values = np.random.default_rng(0).integers(0, 256, (80, 96))
    made = dataset(values, bits=8)
    if syntax == JPEG2000Lossless:
        made.compress(syntax, encoding_plugin="pylibjpeg")
        frame = next(generate_frames(made.PixelData, number_of_frames=1))
    else:
        frame = image_bytes(Image.fromarray(values.astype(np.uint8)), "JPEG")
    assert "truncated" in refusal(to_bytes(recode(made, syntax, frame[: len(frame) // 2])))


def test_a_jpeg2000_stream_that_lies_of_its_size_is_refused_before_decoding(
    dataset, to_bytes, ramp, monkeypatch
):
    made = dataset(ramp(0, 4095))
    made.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg")
    frame = bytearray(next(generate_frames(made.PixelData, number_of_frames=1)))
    frame[8:16] = (60_000).to_bytes(4, "big") * 2
    frame[24:32] = (60_000).to_bytes(4, "big") * 2
    data = to_bytes(recode(made, JPEG2000Lossless, bytes(frame)))
    monkeypatch.setattr("ddad_core.imaging.pixeldata.openjpeg", None)
    assert "60000 x 60000 pixels, but the header says 96 x 80" in refusal(data)


def test_a_jpeg2000_stream_of_too_many_tiles_is_refused(dataset, to_bytes, ramp):
    made = dataset(ramp(0, 4095, rows=800, columns=800))
    made.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg")
    frame = bytearray(next(generate_frames(made.PixelData, number_of_frames=1)))
    frame[24:32] = (1).to_bytes(4, "big") * 2
    assert "tiles" in refusal(to_bytes(recode(made, JPEG2000Lossless, bytes(frame))))


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGLSLossless])
def test_a_jpeg_stream_that_lies_of_its_size_is_refused(
    dataset, to_bytes, ramp, image_bytes, syntax
):
    frame = bytearray(image_bytes(Image.fromarray(ramp(0, 255).astype(np.uint8)), "JPEG"))
    start = frame.index(b"\xff\xc0")
    frame[start + 5 : start + 9] = (65_500).to_bytes(2, "big") * 2
    if syntax == JPEGLSLossless:
        frame[start + 1] = 0xF7
    made = recode(dataset(ramp(0, 255), bits=8), syntax, bytes(frame))
    assert "65500 x 65500" in refusal(to_bytes(made))


def test_a_second_frame_header_cannot_hide_behind_the_first(dataset, to_bytes, ramp, image_bytes):
    frame = image_bytes(Image.fromarray(ramp(0, 255).astype(np.uint8)), "JPEG")
    second = b"\xff\xc0\x00\x0b\x08\xff\xdc\xff\xdc\x01\x01\x11\x00"
    frame = frame[:-2] + second + b"\xff\xd9"
    made = recode(dataset(ramp(0, 255), bits=8), JPEGBaseline8Bit, frame)
    assert "2 frame headers" in refusal(to_bytes(made))


def test_a_colour_codestream_under_a_grey_header_is_refused(dataset, to_bytes, ramp, image_bytes):
    grey = Image.fromarray(ramp(0, 255).astype(np.uint8))
    frame = image_bytes(grey.convert("RGB"), "JPEG")
    made = recode(dataset(ramp(0, 255), bits=8), JPEGBaseline8Bit, frame)
    assert "3 component(s)" in refusal(to_bytes(made))


def test_a_false_transfer_syntax_is_refused(dataset, to_bytes, ramp):
    made = dataset(ramp(0, 4095))
    data = to_bytes(made).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0")
    assert "how the pixel data is compressed" in refusal(data)


def test_damaged_rle_is_refused(dataset, to_bytes, ramp):
    made = dataset(ramp(0, 4095))
    made.compress(RLELossless, encoding_plugin="pydicom")
    frame = next(generate_frames(made.PixelData, number_of_frames=1))
    assert "damaged" in refusal(to_bytes(recode(made, RLELossless, frame[:90])))


def test_a_deflate_bomb_is_refused_before_it_grows(dataset, to_bytes, ramp, monkeypatch):
    made = dataset(ramp(0, 4095))
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    head = to_bytes(made)
    start = after_meta(head)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    pieces = [packer.compress(bytes(2**20)) for _ in range(MAX_FILE_BYTES // 2**20 + 1)]
    bomb = head[:start] + b"".join(pieces) + packer.flush()
    monkeypatch.setattr("ddad_core.imaging.dicom.pydicom.dcmread", None)
    assert f"more than {MAX_FILE_BYTES // 2**20} MB" in refusal(bomb)
    assert f"more than {MAX_FILE_BYTES // 2**20} MB" in refusal(bomb[132:])
    assert "deflated transfer syntax" in refusal(_with_unknown_vr(bomb))
    command = bytes.fromhex("0000 00ff ff03 0000") + bytes(0x3FF)  # to zlib two empty blocks
    assert "command set" in refusal(bomb[:start] + command + bomb[start:])


def _with_unknown_vr(data: bytes) -> bytes:
    """The file with a meta group that begins with an unknown VR, and goes on in implicit VR."""
    long = struct.pack("<HHI", 2, 0x102, int.from_bytes(b"ZZ", "little"))
    value = DeflatedExplicitVRLittleEndian.encode() + b"\0"
    syntax = struct.pack("<HHI", 2, 0x10, len(value)) + value
    return data[:132] + long + bytes(0x5A5A) + syntax + data[after_meta(data) :]


def test_blank_images_are_refused(dataset, to_bytes, ramp):
    assert "blank" in refusal(to_bytes(dataset(np.full((80, 96), 7))))
    stray = np.full((80, 96), 7)
    stray[:7, :10] = 4000  # 0.9 % of the picture
    assert "nearly all pixels" in refusal(to_bytes(dataset(stray)))
    made = dataset(ramp(0, 100))
    made.add_new("PixelPaddingValue", "US", 0)
    made.add_new("PixelPaddingRangeLimit", "US", 100)
    assert "padding" in refusal(to_bytes(made))


def test_a_collimated_radiograph_is_not_blank(dataset, to_bytes, ramp):
    values = np.zeros((800, 960), np.int64)
    values[360:460, 432:552] = ramp(500, 4000, rows=100, columns=120)  # 1.6 % of the picture
    assert np.array_equal(read_dicom(to_bytes(dataset(values))).pixels, values)


def test_a_picture_of_a_few_greys_is_warned_of(dataset, to_bytes, ramp):
    (warning,) = read_dicom(to_bytes(dataset(ramp(0, 14)))).warnings
    assert "15 different grey values" in warning
    assert read_dicom(to_bytes(dataset(ramp(0, 15)))).warnings == ()


def test_deep_nesting_is_refused(dataset, to_bytes, ramp):
    made = dataset(ramp(0, 4095))
    data = to_bytes(made)
    start = after_meta(data)
    opening = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
    assert "damaged" in refusal(data[:start] + opening * 2000 + data[start:])


@pytest.mark.parametrize("seed", range(20))
def test_random_damage_gives_a_refusal_or_an_image(dataset, to_bytes, ramp, seed):
    generator = np.random.default_rng(seed)
    data = bytearray(to_bytes(dataset(ramp(0, 4095))))
    for position in generator.integers(132, 700, 6):
        data[position] = generator.integers(0, 256)
    try:
        assert np.isfinite(read_dicom(bytes(data)).pixels).all()
    except RefusedImageError as error:
        assert error.next_step


class PanicException(BaseException):
    """What a decoder in Rust raises: no Exception."""


@pytest.mark.parametrize("kind", [KeyError, RecursionError, PanicException])
def test_an_unexpected_error_hides_its_cause(dataset, to_bytes, ramp, monkeypatch, kind):
    def fail(*_args, **_options):
        message = "SECRET^NAME"
        raise kind(message)

    monkeypatch.setattr("ddad_core.imaging.dicom.read_stored_values", fail)
    with pytest.raises(RefusedImageError) as caught:
        read_dicom(to_bytes(dataset(ramp(0, 4095))))
    assert kind.__name__ in caught.value.problem
    assert "SECRET" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_too_little_memory_is_no_fault_of_the_file(dataset, to_bytes, ramp, monkeypatch):
    def fail(*_args, **_options):
        raise MemoryError

    monkeypatch.setattr("ddad_core.imaging.dicom.read_stored_values", fail)
    with pytest.raises(MemoryError):
        read_dicom(to_bytes(dataset(ramp(0, 4095))))


def test_an_interruption_is_no_refusal(dataset, to_bytes, ramp, monkeypatch):
    def interrupt(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("ddad_core.imaging.dicom.read_stored_values", interrupt)
    with pytest.raises(KeyboardInterrupt):
        read_dicom(to_bytes(dataset(ramp(0, 4095))))


@pytest.mark.filterwarnings("ignore:.*SECRET:UserWarning")
def test_no_warning_or_log_line_quotes_the_header(dataset, to_bytes, ramp, caplog):
    made = dataset(ramp(0, 4095), SpecificCharacterSet="SECRET", PatientAge="SECRET")
    made.PatientBirthDate, made.NumberOfFrames = "SECRET", 1
    data = to_bytes(made)
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pydicom.dcmread(io.BytesIO(data)).PatientName  # noqa: B018
        provoked = len(caught)
        caplog.clear()
        read_dicom(data)
    assert provoked  # the header does provoke
    assert len(caught) == provoked and not caplog.records
    assert not logging.getLogger("pydicom").disabled


def test_readers_side_by_side_leave_warnings_as_they_were():
    before = list(warnings.filters)
    started, release = threading.Event(), threading.Event()

    def hold():
        with silent_decoders():
            started.set()
            release.wait(5)

    other = threading.Thread(target=hold)
    other.start()
    started.wait(5)
    with silent_decoders():
        pass
    with warnings.catch_warnings(record=True):
        assert warnings.filters[0][0] == "ignore"  # the other still reads
    release.set()
    other.join()
    assert list(warnings.filters) == before
    assert not logging.getLogger("pydicom").disabled
