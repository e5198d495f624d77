from __future__ import annotations

import pytest

from ddad_core.imaging.terms import known_body_part, known_view, known_window_name


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("CHEST", "CHEST"),
        ("CHEST PA", "CHEST"),
        ("W_THORAX", "W_THORAX"),
        ("KNEE", "KNEE"),
        ("MUSTERMANN", "OTHER"),
        ("MUSTERMANN CHEST 19620812", "CHEST"),
        (None, None),
    ],
)
def test_only_words_of_the_body_are_kept(text: str | None, kept: str | None) -> None:
    assert known_body_part(text) == kept


def test_views_and_window_names() -> None:
    assert known_view("LEFT LATERAL") == "LEFT LATERAL"
    assert known_view("LATERAL MUSTERMANN") == "LATERAL"
    assert known_view("DR SMITH") is None
    assert known_window_name(" Soft tissue ") == "Soft tissue"
    assert known_window_name("WINDOW1") == "WINDOW1"
    assert known_window_name("for Erika Mustermann") == ""
