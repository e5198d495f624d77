from __future__ import annotations

from ddad_core import outcomes
from ddad_core.outcomes import OTHERS, Tally


def test_reasons_that_differ_in_numbers_alone_count_as_one() -> None:
    tally = Tally()
    tally.add("scored")
    tally.add("refused", ["The image has 32 x 32 pixels."])
    tally.add("refused", ["The image has 8 x 16 pixels."])
    tally.add("refused", ["The file is empty."])
    assert tally.lines(["scored", "warned", "refused"]) == [
        "4 files: 1 scored, 0 warned, 3 refused",
        "      2 refused: The image has 32 x 32 pixels.",
        "      1 refused: The file is empty.",
    ]


def test_known_images_count_as_one_whatever_their_labels() -> None:
    tally = Tally()
    for label in ("CXR-0A1B2C3D", "CXR-ABCDEFAB", "CXR-12345678"):
        tally.add("known", [f"The same image is already here as {label}."])
    assert len(tally.lines(["known"])) == 2


def test_the_same_reason_of_another_outcome_counts_apart() -> None:
    tally = Tally()
    tally.add("warned", ["Lateral."])
    tally.add("refused", ["Lateral."])
    assert len(tally.lines(["warned"])) == 3


def test_reasons_without_end_do_not_fill_the_memory(monkeypatch) -> None:
    monkeypatch.setattr(outcomes, "MAX_REASONS", 3)
    tally = Tally()
    for letter in "abcdefgh":
        tally.add("refused", [f"Reason {letter}."])
    lines = tally.lines(["refused"])
    assert lines[0] == "8 files: 8 refused" and len(lines) == 5
    assert f"      5 refused: {OTHERS}" in lines


def test_one_file_is_said_in_the_singular() -> None:
    tally = Tally()
    tally.add("scored")
    assert tally.lines(["scored"]) == ["1 file: 1 scored"]
