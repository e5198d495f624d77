"""What a file really is, by its content. Names play no part."""

from __future__ import annotations

from ddad_core.errors import RefusedImageError

DICOM_MAGIC_OFFSET = 128

_FOREIGN: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a zip archive or office document"),
    (0, b"GIF8", "a GIF image"),
    (0, b"II*\x00", "a TIFF image"),
    (0, b"MM\x00*", "a TIFF image"),
    (0, b"BM", "a BMP image"),
    (8, b"WEBP", "a WebP image"),
    (0, b"\x1f\x8b", "a gzip archive (perhaps NIfTI)"),
    (344, b"n+1\x00", "a NIfTI volume"),
    (4, b"ftyp", "a video or HEIC image"),
    (0, b"\x00\x00\x00\x0cjP  ", "a bare JPEG 2000 image"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
    (0, b"NRRD", "an NRRD volume"),
)


def sniff(data: bytes) -> str:
    """Tell "dicom", "png" or "jpeg" from the content.

    Raises:
        RefusedImageError: The file is empty or something else.
    """
    if not data:
        problem = "The file is empty (0 bytes)."
        raise RefusedImageError(problem, "Export it again.")
    if data[DICOM_MAGIC_OFFSET : DICOM_MAGIC_OFFSET + 4] == b"DICM" or _bare_dataset(data):
        return "dicom"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    what = next((name for at, magic, name in _FOREIGN if data[at:].startswith(magic)), None)
    problem = f"This is {what}." if what else "This is not an image file that can be read."
    raise RefusedImageError(problem, "Send DICOM, PNG or JPEG.")


def _bare_dataset(data: bytes) -> bool:
    """Whether the file starts with group 0002 or 0008: DICOM without its preamble."""
    if len(data) < 16:
        return False
    group = int.from_bytes(data[:2], "little")
    element = int.from_bytes(data[2:4], "little")
    plausible = group in (0x0002, 0x0008) and element <= 0x0100
    explicit = data[4:6] in (b"UL", b"OB", b"UI", b"CS", b"SH", b"LO", b"DA", b"TM")
    implicit = int.from_bytes(data[4:8], "little") <= 128
    return plausible and (explicit or implicit)
