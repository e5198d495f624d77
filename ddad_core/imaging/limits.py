"""How large an image may be, checked on headers before any pixel is decoded."""

from __future__ import annotations

from ddad_core.errors import RefusedImageError

MIN_SIDE = 64
MAX_SIDE = 10_000
MAX_PIXELS = 60_000_000
MAX_FILE_BYTES = 256 * 2**20


def check_size(height: int, width: int) -> None:
    """Refuse absurd sizes.

    Args:
        height: Rows.
        width: Columns.

    Raises:
        RefusedImageError: A side is under 64 or over 10 000 pixels, or there are over
            60 million pixels.
    """
    if min(height, width) < MIN_SIDE:
        problem = f"The image has {width} x {height} pixels; at least {MIN_SIDE} a side are needed."
        raise RefusedImageError(problem, "Send the original radiograph, not a thumbnail.")
    if max(height, width) > MAX_SIDE or height * width > MAX_PIXELS:
        problem = f"The image claims {width} x {height} pixels, more than any radiograph has."
        raise RefusedImageError(problem, "Check the file; it may be damaged.")
