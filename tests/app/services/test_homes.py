from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.services.container import Services
from app.services.people import Person


@pytest.mark.sqlite_only("about the database file in an oddly named folder")
@pytest.mark.parametrize(
    "name",
    [
        "with space",
        "hash#mark",
        "ümlaut",
        "at@sign",
        "deep/er/still",
        "per%20cent",
        "what?",
    ],
)
def test_everything_lies_in_the_home_folder_whatever_its_name(
    tmp_path: Path,
    build: Callable[[Path], Services],
    ana: Person,
    small_png: Callable[[int], bytes],
    name: str,
) -> None:
    home = tmp_path / "only here" / name
    assert build(home).intake.take(ana, "x", small_png(1)).status == "scored"
    assert build(home).worklist.list(ana).total == 1
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".sqlite", ".png", ".npz", ".key", ".anchor"}
    assert all(path.is_relative_to(home) for path in files)
