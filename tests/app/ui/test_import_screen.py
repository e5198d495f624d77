"""The import on the Export screen: a preview, a confirmation, what was done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.services.container import Services
from app.services.exporting import EVERYTHING, ExportWish
from app.services.people import Person
from app.services.read_draft import ReadDraft
from tests.app.ui.test_screens import (  # noqa: F401 - screens is a fixture of Page's
    Page,
    environment,
    screens,
    stored,
)
from tests.databases import Databases

DRAFT = ReadDraft("abnormal", 3, (), "", (), None, None, None, ai_visible=False, seconds=4.0)
READS = "SELECT reader, verdict FROM reads ORDER BY id"


@pytest.fixture
def package(loaded: Services, tmp_path: Path) -> bytes:
    """Another site's export: two reads by Ana, one by Ben."""
    ana = Person.named("Ana Ruiz")
    cases = [row.image_id for row in loaded.worklist.list(ana).rows]
    for case in cases[:2]:
        loaded.reading.save(ana, case, "nih-ae-u", DRAFT)
    loaded.reading.save(Person.named("Ben <b>"), cases[0], "nih-ae-u", DRAFT)
    return loaded.exporting.archive(ana, EVERYTHING, tmp_path / "there.zip").path.read_bytes()


@pytest.fixture
def here(tmp_path: Path, _loaded_home: Path, databases: Databases) -> Path:
    return databases.copy(_loaded_home, tmp_path / "here")


@pytest.fixture
def page(
    screens: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    package: bytes,
    here: Path,
    small_gallery: Path,
) -> Page:
    environment(monkeypatch, here, small_gallery)
    return Page().enter("Ana Ruiz", "lead").go("export")


def give(page: Page, *files: tuple[str, bytes]) -> Page:
    page.at.file_uploader[0].set_value([(n, data, "application/octet-stream") for n, data in files])
    return page.run()


def figures(page: Page, word: str) -> list[int]:
    table = page.html.partition('class="ddad-merge"')[2]
    row = table.partition(f"<tr><td>{word}</td>")[2].partition("</tr>")[0]
    return [int(cell) for cell in re.findall(r">(\d+)</td>", row)]


def test_nothing_is_stored_before_it_is_confirmed(page: Page, here: Path, package: bytes) -> None:
    assert "Choose files to see what is in them" in page.text
    give(page, ("there.zip", package))
    assert page.errors == [] and "What would be done" in page.html
    assert figures(page, "Reads") == [3, 3, 0, 0, 0] and figures(page, "Labels") == [3, 0, 3, 0, 0]
    assert "Ana Ruiz@site " in page.html and "Ben &lt;b&gt;@site " in page.html
    assert "Never imported: 3 scores" in page.text
    assert stored(here, READS) == []
    page.press("Discard")
    assert "What would be done" not in page.html and stored(here, READS) == []
    give(page, ("there.zip", package)).press("Import 3 reads")
    assert "3 reads stored. It is on record." in "".join(s.value for s in page.at.success)
    assert "What was done" in page.html and figures(page, "Reads") == [3, 3, 0, 0, 0]
    assert [verdict for _, verdict in stored(here, READS)] == ["abnormal"] * 3
    give(page, ("there.zip", package))
    assert figures(page, "Reads") == [3, 0, 3, 0, 0]
    assert page.button("Import").disabled and "nothing new" in page.text
    assert len(stored(here, READS)) == 3


def test_labels_show_conflicts(page: Page, here: Path) -> None:
    digests = [row[0] for row in stored(here, "SELECT sha256 FROM images ORDER BY id")]
    known = dict(stored(here, "SELECT sha256, reference_label FROM images"))
    rows = "".join(f"{sha256},{1 - known[sha256]}\n" for sha256 in digests[:2])
    give(page, ("mine.csv", f"sha256,label\n{rows}{'a' * 64},1\n".encode()))
    assert figures(page, "Labels") == [3, 0, 0, 1, 2] and figures(page, "Reads") == []
    assert "2 in conflict: what is here stays as it is." in page.text
    assert page.html.count("<li>Label of NIH ") == 2 and page.button("Import").disabled


def test_damaged_files_are_a_sentence(page: Page, here: Path, package: bytes) -> None:
    give(page, ("there.zip", package[:-100]))
    (told,) = page.errors
    assert "damaged or cut short" in told and "Traceback" not in page.text
    assert [b.label for b in page.at.button if b.label.startswith("Import")] == []
    assert stored(here, READS) == []


def test_tables_alone_ask_for_their_site(
    page: Page, here: Path, loaded: Services, tmp_path: Path
) -> None:
    wish = ExportWish(formats=("csv",))
    folder = loaded.exporting.folder(Person.named("x"), wish, tmp_path / "out").path
    tables = [(name, (folder / name).read_bytes()) for name in ("reads.csv", "boxes.csv")]
    give(page, *tables)
    assert "does not say which site" in page.errors[0]
    page.widget("text_input", "import-site-").set_value("St. Anna")
    page.run().press("Import 3 reads")
    assert {reader for reader, _ in stored(here, READS)} == {
        "Ana Ruiz@St. Anna",
        "Ben <b>@St. Anna",
    }


@pytest.mark.parametrize("role", ["administrator", "auditor"])
def test_who_may_only_export_sees_no_import(page: Page, role: str) -> None:
    page.enter("Eve", role).go("export")  # type: ignore[arg-type]
    assert not page.at.file_uploader and "Make the export" in [b.label for b in page.at.button]
