from __future__ import annotations

import pytest

from app.services.people import NAME_LIMIT, Person
from ddad_core.errors import RequestError


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Ana", "Ana"),
        ("  Ana \t\n Ruiz  ", "Ana Ruiz"),
        ("O'Neil-Šćepanović, J.", "O'Neil-Šćepanović, J."),
        ("李明", "李明"),
        ("a" * NAME_LIMIT, "a" * NAME_LIMIT),
        ("a" * 40 + " " * 100 + "b" * 39, "a" * 40 + " " + "b" * 39),
    ],
)
def test_name_is_kept_without_needless_blanks(typed: str, name: str) -> None:
    assert Person.named(typed).name == name


@pytest.mark.parametrize(
    "typed",
    ["", "   ", "\n\t", "\u00a0", "a" * (NAME_LIMIT + 1), "Ana\x00", "Ana\x1b[31m", "a\u202eb",
     "\ud800", "\u200b"],
)  # fmt: skip
def test_name_that_nobody_can_read_is_refused(typed: str) -> None:
    with pytest.raises(RequestError) as refusal:
        Person.named(typed)
    assert refusal.value.next_step
