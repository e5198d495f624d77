"""Text in CSV files, which people open in spreadsheets."""

from __future__ import annotations

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def formula_safe(text: str) -> str:
    """Text for a CSV cell; what a spreadsheet would run gets an apostrophe in front."""
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_STARTS) else text


def without_guard(cell: str) -> str:
    """The text that `formula_safe` made a cell of.

    A text that itself begins with an apostrophe before such a sign loses it: CSV cannot tell.
    """
    guarded = cell.startswith("'") and formula_safe(cell[1:]) == cell
    return cell[1:] if guarded else cell
