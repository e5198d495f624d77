from __future__ import annotations

import gzip
import io
import zipfile

import pytest

from ddad_core.errors import RefusedImageError
from ddad_core.imaging.sniff import sniff


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr("a.txt", "a")
    return stream.getvalue()


def nifti() -> bytes:
    return (348).to_bytes(4, "little") + bytes(340) + b"n+1\0" + bytes(200)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"%PDF-1.7\n%abc", "PDF"),
        (archive(), "ZIP"),
        (b"GIF89a\x01\0\x01\0", "GIF"),
        (b"II*\0\x08\0\0\0" + bytes(200), "TIFF"),
        (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0", "BMP"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "WebP"),
        (nifti(), "NIfTI volume"),
        (gzip.compress(nifti()), "gzip"),
        (b"\0\0\0\x20ftypisom" + bytes(100), "MP4"),
        (b"\0\0\0\x20ftypheic" + bytes(100), "HEIC"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100), "JPEG 2000"),
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b"<?xml version='1.0'?><a/>", "XML"),
        ("Befund: unauffällig\n".encode(), "text"),
        (b"MZ\x90\0\x03\0\0\0", "Windows program"),
        (b"\x7fELF\x02\x01\x01\0", "Linux program"),
        (b"#!/bin/sh\necho\n", "script"),
        (bytes(4096), "zeros"),
        (b"\xfe\xdc\xba\x98" * 40, "not known"),
    ],
)
def test_foreign_formats_are_named(data, words):
    with pytest.raises(RefusedImageError) as caught:
        sniff(data)
    assert words in caught.value.problem
    assert "DICOM, PNG or JPEG" in caught.value.next_step


def test_an_empty_file_is_refused():
    with pytest.raises(RefusedImageError, match=r"empty \(0 bytes\)"):
        sniff(b"")


def test_real_files_are_recognised(real_file):
    assert sniff(real_file("nih_dx_pa.dcm").read_bytes()) == "dicom"
    assert sniff(real_file("00000150_002.png").read_bytes()) == "png"
    assert sniff(b"\xff\xd8\xff\xe0" + bytes(20)) == "jpeg"


@pytest.mark.parametrize(
    "start",
    [
        b"\x02\0\0\0UL\x04\0\xc8\0\0\0",
        b"\x08\0\x05\0CS\x0a\0ISO_IR 100",
        b"\x08\0\x16\0\x1a\0\0\0" + b"1.2.840.10008.5.1.4.1.1.1\0",
    ],
)
def test_dicom_without_preamble_is_recognised(start):
    assert sniff(start + bytes(100)) == "dicom"


@pytest.mark.parametrize(
    "start", [b"\x08\0\x05\0\xff\xff\xff\x7f", b"\x08\0\xaa\xbbCS\x02\0AB", b"\x02\0\0\0UL"]
)
def test_two_bytes_alone_do_not_make_dicom(start):
    data = start + b"\xee" * 100 if len(start) >= 8 else start
    with pytest.raises(RefusedImageError):
        sniff(data)


def test_a_tiff_in_the_preamble_is_still_dicom():
    assert sniff(b"II*\0" + bytes(124) + b"DICM" + bytes(50)) == "dicom"


def test_a_program_in_the_preamble_is_refused():
    with pytest.raises(RefusedImageError, match="begins like a program"):
        sniff(b"MZ" + bytes(126) + b"DICM" + bytes(50))
