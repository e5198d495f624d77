from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pydicom
import pytest

from app.gateways.files import FilesError, ImageFiles
from app.gateways.home_lock import HomeLock
from app.services.container import Services
from app.services.erasing import Which
from app.services.people import Person
from app.services.reading import ReadDraft
from app.store.account_records import AuditFilter
from app.store.evidence_records import NewAuditSample
from app.store.records import Box, ImageRecord, RejectedRegion
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import RequestError
from tests.databases import current

MODEL = "nih-ae-u"
ADMIN = Person("Root", frozenset({"administrator"}))
MARK_BYTES = 20_000
TABLES = (
    "images", "scores", "reads", "boxes", "drafts", "rejected_regions", "assignments",
    "arbitrations", "audit_sample_members",
)  # fmt: skip
SAMPLE = NewAuditSample(
    model_name=MODEL, model_hash="0" * 64, score_name="a_inter", threshold=1, rule="all", seed=1,
    size=1, eligible=1, flagged=0, last_score_id=1, drawn_by="ana",
)  # fmt: skip
REGION = RejectedRegion("inter", 0.1, 16, 16, 32, 16, 0.5, 24, 24)


@pytest.fixture
def two(
    loaded: Services, ana: Person, changed_dicom: Callable[..., bytes], dicom_bytes: bytes
) -> list[ImageRecord]:
    """Two images of one patient, one of another; each read twice with boxes, and drafted."""
    pixels = pydicom.dcmread(io.BytesIO(dicom_bytes)).PixelData
    noise = [np.random.default_rng(seed).bytes(MARK_BYTES) for seed in range(3)]
    middle = len(pixels) // 2
    taken = [
        loaded.intake.take(
            ana,
            "x",
            changed_dicom(
                PatientID=patient,
                SOPInstanceUID=f"1.2.{number}",
                PixelData=pixels[:middle] + noise[number] + pixels[middle + MARK_BYTES :],
            ),
        )
        for number, patient in enumerate(("4711", "4711", "0815"))
    ]
    store = loaded.access._store
    assert len({outcome.image_id for outcome in taken}) == 3
    for outcome in taken:
        for verdict in ("normal", "abnormal"):
            draft = ReadDraft(
                verdict, 3, (), f"comment-on-{outcome.image_id}", (Box(1, 2, 30, 40, "box-label"),),
                "inter", 0.1, 0.5, ai_visible=True, seconds=None,
                rejected=(REGION,),
            )  # fmt: skip
            loaded.reading.save(ana, outcome.image_id, MODEL, draft)
        with store.writing() as repositories:
            words = {"comment": f"draft-of-{outcome.image_id}"}
            repositories.drafts.put("ana", outcome.image_id, words)
            repositories.assignments.add([(outcome.image_id, "ana")], "lea")
            read = repositories.reads.latest(outcome.image_id, ana.name)
            repositories.assignments.settle(outcome.image_id, read.id)
            repositories.samples.append(replace(SAMPLE, seed=outcome.image_id), [outcome.image_id])
            repositories.presence.put(f"{outcome.image_id:032x}", outcome.image_id, "ana", None)
    with store.reading() as repositories:
        return [repositories.images.get(outcome.image_id) for outcome in taken]


def mark_in(content: bytes, other: bytes) -> bytes:
    """A piece of a stored file that is not in another one: of its noise."""
    pieces = (content[i : i + 200] for i in range(len(content) // 3, len(content), 500))
    return next(piece for piece in pieces if len(piece) == 200 and piece not in other)


def counts(home: Path) -> dict[str, int]:
    return {t: current().query(home, f"SELECT count(*) FROM {t}")[0][0] for t in TABLES}


def test_every_byte_of_the_patient_is_gone_and_nobody_elses(
    loaded: Services, loaded_home: Path, two: list[ImageRecord]
) -> None:
    mine, other = two[:2], two[2]
    assert mine[0].patient == mine[1].patient != other.patient
    files = ImageFiles(loaded_home)
    for image in mine:
        files.put_original(image.sha256, b"the original " + image.sha256.encode(), "dcm")
    store = loaded.access._store
    with store.reading() as repositories:
        pictures = [repositories.images.thumbnail(image.id) for image in two]
    contents = [files.path(i.sha256, i.stored_as).read_bytes() for i in two]
    before = counts(loaded_home)
    done = loaded.erasing.erase(ADMIN, Which(patient=mine[0].patient), "asked by the patient")
    assert done.left == ()
    assert vars(done.rows) == {
        "images": 2, "scores": 2, "reads": 4, "boxes": 4, "drafts": 2,
        "rejected_regions": 4, "assignments": 2, "arbitrations": 2,
        "audit_sample_members": 2,
    }  # fmt: skip
    assert current().query(loaded_home, "SELECT image_id FROM presence") == [(other.id,)]
    after = counts(loaded_home)
    assert {name: before[name] - after[name] for name in TABLES} == vars(done.rows)
    stored = {path: path.read_bytes() for path in loaded_home.rglob("*") if path.is_file()}
    database = current().everything(loaded_home)
    for image, content in zip(mine, contents, strict=False):
        mark = mark_in(content, contents[2])
        assert not any(mark in data for data in stored.values())
        assert not any(image.sha256 in str(path) for path in stored)
        for trace in (image.sha256, image.instance, image.label, image.stored_sha256):
            assert trace.encode() not in database, trace
        for trace in (f"comment-on-{image.id}", f"draft-of-{image.id}"):
            assert trace.encode() not in database, trace
    for picture in pictures[:2]:
        mark = mark_in(picture, pictures[2])
        assert mark not in database and mark.hex().encode() not in database
    assert pictures[2][:200] in database or pictures[2][:200].hex().encode() in database
    # The pseudonym stands in the record of the erasure alone: in SQLite's file once in the row and
    # once in that row's index.
    times = {"sqlite": 2, "postgresql": 1}[current().kind]
    assert database.count(mine[0].patient.encode()) == times
    # Nobody else's is touched.
    assert files.path(other.sha256, other.stored_as).read_bytes() == contents[2]
    assert other.sha256.encode() in database
    assert f"comment-on-{other.id}".encode() in database
    assert loaded.reading.open_case(Person.named("ana"), other.id).judgement is not None


def test_an_erasure_is_on_record_for_good(loaded: Services, two: list[ImageRecord]) -> None:
    loaded.erasing.erase(ADMIN, Which(patient=two[0].patient), " asked by the patient ")
    store = loaded.access._store
    with store.reading() as repositories:
        (event,) = repositories.audit.find(AuditFilter(actions=("erasure",)))
        assert repositories.installation.get("erasing") is None
    assert (event.actor, event.subject) == ("Root", f"patient {two[0].patient}")
    assert event.reason == "asked by the patient"
    assert event.before["ids"] == [two[0].id, two[1].id] and event.before["reads"] == 4
    assert loaded.audit.verify(Person.named("checking")).faults == ()


@pytest.mark.sqlite_only("PostgreSQL's guards are tested with the store")
def test_reads_can_still_not_be_deleted_otherwise(
    loaded: Services, loaded_home: Path, two: list[ImageRecord]
) -> None:
    loaded.erasing.erase(ADMIN, Which(patient=two[0].patient), "asked")
    with closing(sqlite3.connect(loaded_home / "ddad.sqlite")) as connection:
        for table in ("reads", "boxes", "rejected_regions", "operating_points", "audit_events"):
            if connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]:
                with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                    connection.execute(f"DELETE FROM {table}")
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_failure_within_erases_nothing(
    loaded: Services, loaded_home: Path, two: list[ImageRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted(path for path in loaded_home.rglob("*") if path.is_file())
    before = counts(loaded_home)
    monkeypatch.setattr(
        "app.store.audit_repository.AuditRepository.append",
        lambda *_: (_ for _ in ()).throw(RuntimeError("no record")),
    )
    with pytest.raises(RuntimeError, match="no record"):
        loaded.erasing.erase(ADMIN, Which(patient=two[0].patient), "asked")
    assert counts(loaded_home) == before
    kept = sorted(p for p in loaded_home.rglob("*") if p.is_file() and p.name != "keeping.lock")
    assert kept == files


def test_a_file_that_cannot_be_removed_is_told_and_the_rest_goes(
    loaded: Services, two: list[ImageRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ImageFiles.remove

    def remove(self: ImageFiles, sha256: str) -> None:
        if sha256 == two[0].sha256:
            problem = "The files cannot be removed."
            raise FilesError(problem)
        real(self, sha256)

    monkeypatch.setattr(ImageFiles, "remove", remove)
    done = loaded.erasing.erase(ADMIN, Which(patient=two[0].patient), "asked")
    assert done.left == ("The files cannot be removed.",) and done.rows.images == 2


def test_old_images_go_the_gallery_and_on_wish_what_was_read_stay(
    loaded: Services, loaded_home: Path, ana: Person, small_png: Callable[[int], bytes]
) -> None:
    ids = [loaded.intake.take(ana, "x", small_png(n)).image_id for n in range(3)]
    draft = ReadDraft("normal", None, (), "", (), None, None, None, ai_visible=False, seconds=None)
    loaded.reading.save(ana, ids[0], MODEL, draft)
    store: UnitOfWork = loaded.access._store
    now = store.now()
    store._now = lambda: now + timedelta(days=30, hours=1)
    late = loaded.intake.take(ana, "x", small_png(9)).image_id
    find = lambda **w: [i.id for i in loaded.erasing.find(ADMIN, Which(**w)).images]  # noqa: E731
    assert find(older_than_days=30) == ids
    assert find(older_than_days=31) == []
    assert find(older_than_days=30, keep_read=True) == ids[1:]
    assert counts(loaded_home)["images"] == 7
    done = loaded.erasing.erase(ADMIN, Which(older_than_days=30, keep_read=True), "retention")
    assert done.rows.images == 2
    done = loaded.erasing.erase(ADMIN, Which(older_than_days=30), "retention")
    assert done.rows.images == 1 and done.rows.reads == 1
    with store.reading() as repositories:
        left = repositories.images.list_all()
        events = repositories.audit.find(AuditFilter(actions=("erasure",)))
    assert [image.id for image in left if image.origin == "upload"] == [late]
    assert sum(image.origin == "gallery" for image in left) == 3
    assert [event.subject for event in events] == [
        "older than 30 days",
        "older than 30 days and unread",
    ]


def test_an_image_in_conflict_with_an_erased_one_is_so_no_longer(
    loaded: Services, ana: Person, changed_dicom: Callable[..., bytes], dicom_bytes: bytes
) -> None:
    dataset = pydicom.dcmread(io.BytesIO(dicom_bytes))
    pixels = bytearray(dataset.PixelData)
    pixels[len(pixels) // 2] ^= 1
    other = changed_dicom(PixelData=bytes(pixels), PatientID="0815")
    first = loaded.intake.take(ana, "x", dicom_bytes).image_id
    second = loaded.intake.take(ana, "x", other).image_id
    store = loaded.access._store

    def conflicts() -> dict[int, bool]:
        with store.reading() as repositories:
            found = repositories.images.list_all()
        return {one.id: one.conflict for one in found if one.id in (first, second)}

    assert conflicts() == {first: True, second: True}
    with store.reading() as repositories:
        patient = repositories.images.get(second).patient
    loaded.erasing.erase(ADMIN, Which(patient=patient), "asked")
    assert conflicts() == {first: False}


def test_what_is_not_said_clearly_is_refused(loaded: Services) -> None:
    for which in (
        Which(),
        Which(patient="P-1", older_than_days=3),
        Which(older_than_days=0),
        Which(older_than_days=-1),
        Which(older_than_days=10**9),
    ):
        with pytest.raises(RequestError):
            loaded.erasing.find(ADMIN, which)
    with pytest.raises(RequestError, match="needs a reason"):
        loaded.erasing.erase(ADMIN, Which(patient="P-1"), "  ")
    with pytest.raises(RequestError, match="no image of patient P-1"):
        loaded.erasing.erase(ADMIN, Which(patient="P-1"), "asked")


def test_no_erasure_while_a_backup_is_made(
    loaded: Services, loaded_home: Path, two: list[ImageRecord]
) -> None:
    before = counts(loaded_home)
    with HomeLock(loaded_home).held(), pytest.raises(FilesError, match="is going on"):
        loaded.erasing.erase(ADMIN, Which(patient=two[0].patient), "asked")
    assert counts(loaded_home) == before
