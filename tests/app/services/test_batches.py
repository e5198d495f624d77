from __future__ import annotations

import hashlib
import io
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from app.gateways.files import FileKind, FilesError, ImageFiles
from app.services.batches import Batch, start_batch
from app.services.container import Services
from app.services.people import Person


def finished(batch: Batch) -> Batch:
    for _ in range(1200):
        if batch.progress().finished:
            return batch
        time.sleep(0.05)
    pytest.fail("The batch does not end.")


def archive(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return out.getvalue()


def test_files_and_archives_are_taken_in_order(
    empty: Services, ana: Person, small_png: Callable[[int], bytes]
) -> None:
    packed = archive({"x/1.png": small_png(1), "note.txt": b"hello", "2.png": small_png(2)})
    given = [("0.png", small_png(0)), ("some.zip", packed), ("again.png", small_png(1))]
    batch = finished(start_batch(empty.intake, ana, given))
    names = [outcome.file_name for outcome in batch.outcomes]
    assert names == [
        "0.png",
        "some.zip/x/1.png",
        "some.zip/note.txt",
        "some.zip/2.png",
        "again.png",
    ]
    kept = [outcome.status in ("scored", "warned") for outcome in batch.outcomes]
    assert kept == [True, True, False, True, False]
    assert [o.status for o in batch.outcomes[2::2]] == ["refused", "known"]
    assert batch.outcomes[4].image_id == batch.outcomes[1].image_id
    progress = batch.progress()
    assert (progress.done, progress.total, progress.problem) == (5, 5, "")
    assert progress.rate > 0 and progress.seconds_left == 0
    assert empty.worklist.list(ana).total == 3


def test_a_stopped_batch_keeps_what_is_done(
    empty: Services, ana: Person, small_png: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.intake.BATCH_SIZE", 1)
    go_on, original = threading.Event(), empty.intake._finish

    def wait_then_finish(reader: Person, batch: list, name: str) -> list:
        assert go_on.wait(20)
        return original(reader, batch, name)

    monkeypatch.setattr(empty.intake, "_finish", wait_then_finish)
    batch = start_batch(empty.intake, ana, [(f"{i}.png", small_png(i)) for i in range(40)])
    batch.stop()
    assert batch.progress().stopped and not batch.progress().finished
    go_on.set()
    finished(batch)
    assert 0 < len(batch.outcomes) < 40
    assert empty.worklist.list(ana).total == len(batch.outcomes)


def test_a_full_disk_is_told_and_leaves_nothing_half_done(
    empty: Services,
    home: Path,
    ana: Person,
    small_png: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put, problem = ImageFiles.put_file, "The disk that holds the images is full."
    third = hashlib.sha256(small_png(2)).hexdigest()

    def full_at_third(self: ImageFiles, sha256: str, data: bytes, kind: FileKind) -> None:
        if sha256 == third:
            raise FilesError(problem, "Free some space.")
        put(self, sha256, data, kind)

    monkeypatch.setattr(ImageFiles, "put_file", full_at_third)
    batch = finished(start_batch(empty.intake, ana, [(f"{i}.png", small_png(i)) for i in range(6)]))
    progress = batch.progress()
    assert problem in progress.problem and "Free some space" in progress.problem
    total = empty.worklist.list(ana).total
    assert total == len([p for p in (home / "images").rglob("*") if p.is_file()]) == 2
    monkeypatch.undo()
    again = finished(start_batch(empty.intake, ana, [(f"{i}.png", small_png(i)) for i in range(6)]))
    assert [o.status == "known" for o in again.outcomes] == [True] * 2 + [False] * 4
    assert empty.worklist.list(ana).total == 6
