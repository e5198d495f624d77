from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app.services.container import Services
from app.services.gallery import GalleryService
from app.services.intake import IntakeOutcome
from app.services.people import Person
from ddad_core.errors import RequestError

BOXED = "NIH 00000150_002"


def test_gallery_loads_once_with_its_labels_boxes_and_attribution(
    loaded: Services, ana: Person
) -> None:
    assert loaded.gallery.missing() == []
    rows = {row.label: row for row in loaded.worklist.list(ana).rows}
    assert len(rows) == 3 and {row.origin for row in rows.values()} == {"gallery"}
    image = loaded.reading.open_case(ana, rows[BOXED].image_id).image
    assert (image.view, image.age_years, image.sex, image.reference_label) == ("AP", 55, "F", 1)
    assert [(b.x, b.y, b.width, b.height) for b in image.reference_boxes] == [
        (601.4, 596.0, 215.6, 181.0)
    ]
    assert "NIH Clinical Center" in (image.attribution or "")


def test_interrupted_loading_goes_on_where_it_stopped(
    empty: Services, ana: Person, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.intake.BATCH_SIZE", 1)
    entries = empty.gallery.missing()
    assert len(entries) == 3

    def stop_after_first(_: IntakeOutcome) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        empty.gallery.load(entries, stop_after_first)
    assert empty.worklist.list(ana).total == 1
    # What was read ahead left no file behind.
    kept = [path.stem for path in (home / "images").rglob("*") if path.is_file()]
    assert kept == [entries[0].sha256]
    rest = empty.gallery.missing()
    assert rest == entries[1:]
    seen: list[str] = []
    empty.gallery.load(rest, lambda outcome: seen.append(outcome.status))
    assert seen == ["scored", "scored"] and empty.gallery.missing() == []
    empty.gallery.load(entries)  # once more changes nothing
    assert empty.worklist.list(ana).total == 3


def test_no_gallery_is_no_error(empty: Services, tmp_path: Path) -> None:
    gallery = GalleryService(tmp_path / "none", empty.gallery._store, empty.intake)
    assert gallery.missing() == []


@pytest.fixture
def copy(
    small_gallery: Path, tmp_path: Path, empty: Services
) -> Callable[[], tuple[Path, GalleryService]]:
    def make() -> tuple[Path, GalleryService]:
        folder = Path(shutil.copytree(small_gallery, tmp_path / "gallery"))
        return folder, GalleryService(folder, empty.gallery._store, empty.intake)

    return make


def test_missing_file_is_named(copy: Callable[[], tuple[Path, GalleryService]]) -> None:
    folder, gallery = copy()
    (folder / "00001426_000.png").unlink()
    with pytest.raises(RequestError, match="00001426_000.png is missing"):
        gallery.load(gallery.missing())


def test_damaged_file_is_named(copy: Callable[[], tuple[Path, GalleryService]]) -> None:
    folder, gallery = copy()
    (folder / "00000150_002.png").write_bytes(b"not an image")
    with pytest.raises(RequestError, match="00000150_002.png was refused"):
        gallery.load(gallery.missing())


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("age", "old"),
        ("boxes", "{"),
        ("boxes", '[{"left": 1}]'),
        ("reference_label", "x"),
        (None, None),
    ],
)
def test_damaged_list_is_told(
    copy: Callable[[], tuple[Path, GalleryService]], column: str | None, value: str | None
) -> None:
    folder, gallery = copy()
    path = folder / "gallery.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if column is None:
        rows = [{k: v for k, v in row.items() if k != "sha256"} for row in rows]
    else:
        rows[1][column] = value or ""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(RequestError, match="gallery.csv is damaged"):
        gallery.missing()
