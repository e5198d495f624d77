"""Some 350 real and broken files at once: every one has an outcome, and nothing else is left."""

from __future__ import annotations

import hashlib
import io
import random
import sqlite3
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pydicom.data
import pytest
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from app.services.container import Services
from app.services.intake import UPLOAD, IntakeOutcome
from app.services.people import Person
from ddad_core.imaging.sources import BytesSource, sources_in
from tests.core.imaging.fuzz_seeds import dicom, seeds

MAX_REAL_BYTES = 2 * 2**20
PLANTED = "Fuzz"
FRIENDLY = 60


def real_files() -> Iterator[tuple[str, bytes]]:
    """pydicom's own test files, in its wheel and in that of pydicom-data."""
    import data_store  # of pydicom-data

    folders = (
        Path(pydicom.data.__file__).parent / "test_files",
        Path(data_store.__file__).parent / "data",
    )
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.stat().st_size <= MAX_REAL_BYTES:
                yield f"{folder.name}/{path.name}", path.read_bytes()


def made_files() -> Iterator[tuple[str, bytes]]:
    """Good ones, and foreign ones."""
    syntaxes = (ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless)
    for i in range(FRIENDLY):
        yield f"good-{i}", dicom(syntaxes[i % 3], seed=100 + i)
    colours = np.random.default_rng(1).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    for format in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"):
        out = io.BytesIO()
        Image.fromarray(colours).save(out, format)
        yield f"colour.{format}", out.getvalue()
    yield from (
        ("empty", b""), ("one byte", b"\0"), ("text", b"no image\n" * 99), ("zeros", bytes(9999)),
        ("page", b"<html><script>alert(1)</script></html>"), ("pdf", b"%PDF-1.7\n" + bytes(99)),
        ("program", b"\x7fELF" + bytes(200)), ("noise", random.Random(2).randbytes(4096)),
    )  # fmt: skip
    blank = np.full((80, 80), 7, np.uint8)
    yield "blank.png", cv2.imencode(".png", blank)[1].tobytes()
    yield "ct", dicom(ExplicitVRLittleEndian, Modality="CT")
    yield "frames", dicom(ExplicitVRLittleEndian, NumberOfFrames=3)
    yield "size", dicom(ExplicitVRLittleEndian, Rows=60000, Columns=60000)
    yield "script", dicom(ExplicitVRLittleEndian, PatientName="<script>alert(1)</script>", seed=9)


def broken_files() -> Iterator[tuple[str, bytes]]:
    dice = random.Random(3)
    for i in range(80):
        data = bytearray(dice.choice(seeds()))
        if i % 2:
            yield f"cut-{i}", bytes(data[: dice.randrange(len(data))])
            continue
        for _ in range(dice.randrange(1, 40)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        yield f"flipped-{i}", bytes(data)


@pytest.fixture(scope="module")
def taken(
    tmp_path_factory: pytest.TempPathFactory, build: Callable[[Path], Services]
) -> Iterator[tuple[Path, Services, list[tuple[str, bytes]], list[IntakeOutcome]]]:
    home = tmp_path_factory.mktemp("corpus") / "home"
    services = build(home)
    files = [*real_files(), *made_files(), *broken_files()]
    random.Random(4).shuffle(files)
    sources = ((BytesSource(name, data), UPLOAD) for name, data in files)
    outcomes = list(services.intake.take_many(Person.named("Ana Ruiz"), sources))
    yield home, services, files, outcomes
    services.close()


def test_every_file_has_an_outcome_in_words(taken) -> None:
    _, _, files, outcomes = taken
    assert len(files) >= 350
    assert [o.file_name for o in outcomes] == [name for name, _ in files]
    for outcome in outcomes:
        if outcome.status == "refused":
            assert outcome.image_id is None and outcome.label == ""
            assert outcome.reason.count(".") >= 2, outcome
            assert "Traceback" not in outcome.reason and "Error(" not in outcome.reason
        else:
            assert outcome.image_id is not None and outcome.label
    counts = Counter(outcome.status for outcome in outcomes)
    assert counts["refused"] > 150 and counts["scored"] + counts["warned"] >= FRIENDLY


def test_good_files_are_taken_and_foreign_ones_are_not(taken) -> None:
    *_, outcomes = taken
    by_name = {outcome.file_name: outcome for outcome in outcomes}
    for i in range(FRIENDLY):
        assert by_name[f"good-{i}"].status in ("scored", "warned"), by_name[f"good-{i}"]
    foreign = ("colour.PNG", "colour.JPEG", "empty", "text", "page", "pdf", "blank.png", "ct",
               "frames", "size", "test_files/CT_small.dcm", "test_files/MR_small.dcm")  # fmt: skip
    for name in foreign:
        assert by_name[name].status == "refused", by_name[name]


def test_rows_and_files_are_those_of_the_images_taken_and_no_more(taken) -> None:
    home, _, files, outcomes = taken
    data = dict(files)
    kept = {
        hashlib.sha256(data[o.file_name]).hexdigest(): o.image_id
        for o in outcomes
        if o.status not in ("refused", "known")
    }
    with sqlite3.connect(home / "ddad.sqlite") as connection:
        rows = connection.execute("SELECT sha256, id, stored_as FROM images").fetchall()
        scored = {i for (i,) in connection.execute("SELECT image_id FROM scores")}
    ending = {"dicom": "dcm", "png": "png"}
    assert {(sha, i) for sha, i, _ in rows} == set(kept.items())
    on_disk = {path.name for path in (home / "images").rglob("*") if path.is_file()}
    assert on_disk == {f"{sha}.{ending[kind]}" for sha, _, kind in rows}
    assert scored == set(kept.values())
    maps = {path.parent.name for path in (home / "maps").rglob("*.npz")}
    assert maps == set(kept)


def test_every_image_taken_can_be_opened(taken) -> None:
    _, services, _, outcomes = taken
    ids = [o.image_id for o in outcomes if o.status not in ("refused", "known")]
    for image_id in ids[::7]:
        view = services.reading.open_case(Person.named("Ben Okafor"), image_id)
        assert view.judgement and view.display.pixels


def test_no_patient_is_named_anywhere(taken) -> None:
    home, *_ = taken
    for path in home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert PLANTED.encode() not in content and b"alert(1)" not in content, path


def test_the_same_files_in_an_archive_are_known(taken) -> None:
    _, services, files, outcomes = taken
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files[:40]:
            packed.writestr(name, data)
    pairs = ((source, UPLOAD) for source in sources_in("again.zip", archive.getvalue()))
    again = list(services.intake.take_many(Person.named("Ben Okafor"), pairs))
    for first, second in zip(outcomes[:40], again, strict=True):
        assert second.file_name == f"again.zip/{first.file_name}"
        assert second.status == ("refused" if first.status == "refused" else "known")
        assert second.image_id == first.image_id
