"""What a file really is, judged by its content and never by its name."""

from __future__ import annotations

import re
from collections.abc import Callable

from ddad_core.errors import RefusedImageError

DICOM, PNG, JPEG = "dicom", "png", "jpeg"

_NEXT_STEP = "Send the radiograph as exported from the PACS: a DICOM, PNG or JPEG file."

_EXPLICIT_VRS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV "
    b"TM UC UI UL UN UR US UT UV".split()
)
"""PS3.5 table 6.2-1."""

_FIRST_ELEMENTS = {
    0x0002: frozenset((0x0000, 0x0001, 0x0002, 0x0003, 0x0010)),
    0x0008: frozenset((0x0000, 0x0001, 0x0005, 0x0006, 0x0008, *range(0x0012, 0x0019))),
}
"""Elements that a data set without preamble begins with; tags ascend (PS3.5 section 7.1)."""


def sniff(data: bytes) -> str:
    """Name the format of a file by its first bytes.

    Args:
        data: The whole file.

    Returns:
        "dicom", "png" or "jpeg".

    Raises:
        RefusedImageError: The file is empty, or is something else; the problem names it.
    """
    if not data:
        problem = "The file is empty (0 bytes)."
        raise RefusedImageError(problem, "Export or upload the image again.")
    if data[128:132] == b"DICM":
        _refuse_program_in_preamble(data)
        return DICOM
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if data.startswith(b"\xff\xd8\xff"):
        return JPEG
    if _is_dicom_without_preamble(data):
        return DICOM
    problem = f"The file is not a DICOM, PNG or JPEG image: it is {_describe(data)}."
    raise RefusedImageError(problem, _NEXT_STEP)


def _refuse_program_in_preamble(data: bytes) -> None:
    """PS3.10 section 7.5 warns of programs hidden in the 128 bytes before "DICM"."""
    if data.startswith((b"MZ", b"\x7fELF", b"#!")):
        problem = "The file is a DICOM file that also begins like a program."
        raise RefusedImageError(problem, "Do not open it; tell the people who look after security.")


def _is_dicom_without_preamble(data: bytes) -> bool:
    """Whether the first eight bytes are a plausible element (PS3.5 section 7.1).

    A big-endian one is plausible with an explicit VR only: there is no other (PS3.5 annex A).
    """
    if len(data) < 16:
        return False
    group, element = (int.from_bytes(data[i : i + 2], "big") for i in (0, 2))
    if group == 0x0008 and element in _FIRST_ELEMENTS[group] and data[4:6] in _EXPLICIT_VRS:
        return True
    group, element = (int.from_bytes(data[i : i + 2], "little") for i in (0, 2))
    if element not in _FIRST_ELEMENTS.get(group, ()):
        return False
    if data[4:6] in _EXPLICIT_VRS:
        return True
    length = int.from_bytes(data[4:8], "little")
    return length % 2 == 0 and length <= min(len(data) - 8, 1024)


def _is_nifti(data: bytes) -> bool:
    """NIfTI-1 and NIfTI-2 headers: sizeof_hdr, then the magic word."""
    return (data[344:347] in (b"n+1", b"ni1")) or (data[4:7] in (b"n+2", b"ni2"))


def _is_html(data: bytes) -> bool:
    return re.match(rb"\s*<(!doctype\s+html|html|head|body)\b", data[:512], re.I) is not None


def _is_text(data: bytes) -> bool:
    head = data[:1024]
    try:
        # The cut may fall inside a character, so up to three bytes at the end are given up.
        text = head.decode("utf-8") if len(data) <= 1024 else head.decode("utf-8", "ignore")
    except UnicodeDecodeError:
        return False
    return len(text) >= len(head) // 4 and all(c.isprintable() or c in "\r\n\t\f" for c in text)


_FOREIGN: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (lambda d: d.startswith(b"%PDF-"), "a PDF document"),
    (lambda d: d.startswith((b"PK\x03\x04", b"PK\x05\x06")), "a ZIP archive (or office document)"),
    (lambda d: d.startswith(b"7z\xbc\xaf\x27\x1c"), "a 7-Zip archive"),
    (lambda d: d.startswith(b"Rar!\x1a\x07"), "a RAR archive"),
    (lambda d: d.startswith(b"\x1f\x8b"), "a gzip archive (.gz), perhaps a NIfTI volume"),
    (lambda d: d[257:262] == b"ustar", "a TAR archive"),
    (lambda d: d.startswith((b"GIF87a", b"GIF89a")), "a GIF image"),
    (
        lambda d: d.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
        "a TIFF image",
    ),
    (lambda d: d.startswith(b"BM") and d[6:10] == bytes(4), "a BMP image"),
    (lambda d: d.startswith(b"RIFF") and d[8:12] == b"WEBP", "a WebP image"),
    (lambda d: d.startswith(b"RIFF"), "an AVI video or WAV sound"),
    (
        lambda d: d.startswith((b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")),
        "a JPEG 2000 image outside DICOM",
    ),
    (lambda d: d.startswith((b"\0\0\0\x0cJXL ", b"\xff\x0a")), "a JPEG XL image"),
    (
        lambda d: d[4:8] == b"ftyp" and d[8:12] in (b"heic", b"heix", b"mif1", b"avif"),
        "a HEIC or AVIF photograph",
    ),
    (lambda d: d[4:8] == b"ftyp", "an MP4 or QuickTime video"),
    (lambda d: d.startswith(b"\x1aE\xdf\xa3"), "a Matroska or WebM video"),
    (lambda d: d.startswith(b"8BPS"), "a Photoshop document"),
    (_is_nifti, "a NIfTI volume"),
    (lambda d: d.startswith(b"NRRD000"), "an NRRD volume"),
    (lambda d: d.startswith(b"\x89HDF\r\n\x1a\n"), "an HDF5 data file"),
    (lambda d: d.startswith(b"\x93NUMPY"), "a NumPy array"),
    (lambda d: d.startswith(b"MZ"), "a Windows program"),
    (lambda d: d.startswith(b"\x7fELF"), "a Linux program"),
    (
        lambda d: d.startswith((b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe")),
        "a macOS or Java program",
    ),
    (lambda d: d.startswith(b"#!"), "a script"),
    (_is_html, "a web page (HTML)"),
    (lambda d: d.lstrip().startswith((b"<?xml", b"<svg")), "an XML or SVG document"),
    (_is_text, "a text file"),
    (lambda d: not d.strip(b"\0"), "nothing but zeros"),
)


def _describe(data: bytes) -> str:
    """Name a foreign format in words."""
    for test, words in _FOREIGN:
        if test(data):
            return words
    return "of a kind that is not known here"
