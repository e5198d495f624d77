from __future__ import annotations

import pytest

from ddad_core.imaging.terms import BODY_PARTS, VIEWS, WINDOW_NAMES, known_words


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("CHEST", "CHEST"),
        ("CHEST PA", "CHEST"),
        ("W_THORAX-2", "THORAX 2"),
        ("MUSTERMANN", None),
        ("MUSTERMANN CHEST 19620812", "CHEST"),
        ("12", None),
        ("", None),
        (None, None),
    ],
)
def test_only_words_of_the_body_are_kept(text: str | None, kept: str | None) -> None:
    assert known_words(text, BODY_PARTS) == kept


def test_views_and_window_names() -> None:
    assert known_words("LEFT LATERAL", VIEWS) == "LEFT LATERAL"
    assert known_words("DR SMITH", VIEWS) is None
    assert known_words("Soft tissue", WINDOW_NAMES) == "SOFT TISSUE"
    assert known_words("WINDOW1", WINDOW_NAMES) == "WINDOW1"
    assert known_words("for Erika M.", WINDOW_NAMES) is None
