"""Monitoring against figures that can be counted by hand, on both databases."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest

from app.services.container import Services
from app.services.monitoring import MonitoringService, Overview
from app.services.people import Person
from app.store.records import NewImage, NewRead, NewScore
from app.store.unit_of_work import UnitOfWork

MODEL = "nih-ae-u"
LEAD = Person("lea", frozenset({"lead"}))
MONTHS = {"2031-01": 60, "2031-02": 60, "2031-03": 40}


@pytest.fixture
def fill(loaded: Services) -> Callable[..., MonitoringService]:
    """Cases, scores and reads of three months, the last one other than those before."""
    card = loaded.models.card(MODEL)
    threshold = loaded.models.operating_point(MODEL).threshold
    normals = np.sort(card.reference.of_score(card.primary))
    clock = [datetime(2031, 1, 1, tzinfo=UTC)]
    store = UnitOfWork(loaded.access._store._engine, now=lambda: clock[0])

    def make(*, shift: float = 0.0, seconds: float = 20.0, refused: int = 0) -> MonitoringService:
        with store.writing() as repositories:
            for month, n in MONTHS.items():
                last = month == "2031-03"
                clock[0] = datetime.fromisoformat(f"{month}-15T12:00:00+00:00")
                for i in range(n):
                    score = float(normals[i % len(normals)]) + (shift if last else 0.0)
                    sha256 = hashlib.sha256(f"{month} {i}".encode()).hexdigest()
                    image = repositories.images.add(
                        NewImage(
                            sha256=sha256,
                            origin="upload",
                            label=f"{month} {i}",
                            format="dicom",
                            bits=12,
                            width=80,
                            height=96,
                            slope=1.0,
                            intercept=0.0,
                            added_by="ana",
                            station="D-NEW" if last else "D-OLD",
                            view="PA" if i % 2 else None,
                            thumbnail=b"x",
                        )  # fmt: skip
                    )
                    repositories.scores.add_or_get(
                        NewScore(
                            image_id=image.id,
                            model_name=MODEL,
                            model_hash=card.model_hash,
                            a_rec=0.1,
                            a_rec_single=0.1,
                            a_intra=0.1,
                            a_inter=0.1,
                            a_ratio=score,
                            c_rec=0.0,
                            c_intra=0.0,
                            c_inter=0.0,
                            score_name=card.primary,
                            score=score,
                            p_value=0.5,
                            percentile=50.0,
                            seconds=0.1,
                        )  # fmt: skip
                    )
                    read = NewRead(
                        image_id=image.id, reader="ana", verdict="normal", ai_visible=True,
                        model_name=MODEL, model_hash=card.model_hash, score=score,
                        threshold=threshold,
                        seconds_to_verdict=(seconds if last else 10.0) + i % 7,
                    )  # fmt: skip
                    repositories.reads.append(read)
                    repositories.audit.append(Person("ana").did("upload", f"image {image.id}"))
                    if last and i < refused:
                        repositories.audit.append(Person("ana").did("refusal", "file"))
        return MonitoringService(store, loaded.access, loaded.models)

    return make


def of(service: MonitoringService) -> Overview:
    return service.overview(LEAD, MODEL)


def rules(overview: Overview) -> list[str]:
    return [alert.rule for alert in overview.alerts]


def test_months_that_are_alike_alarm_nobody(fill: Callable[..., MonitoringService]) -> None:
    found = of(fill(seconds=10.0))
    assert rules(found) == []
    ours = [share for share in found.flagged if share.month in MONTHS]
    assert [(share.month, share.n) for share in ours] == list(MONTHS.items())
    assert found.normals
    months = {month.month: month for month in found.normals.months}
    assert {name: months[name].n for name in MONTHS} == MONTHS
    # The very scores that the reference is made of: the chance is even.
    assert months["2031-01"].higher
    assert months["2031-01"].higher.value == pytest.approx(0.5, abs=0.1)


def test_flags_are_counted_at_the_operating_point_in_force(
    fill: Callable[..., MonitoringService], loaded: Services
) -> None:
    threshold = loaded.models.operating_point(MODEL).threshold
    card = loaded.models.card(MODEL)
    normals = np.sort(card.reference.of_score(card.primary))
    expected = sum(normals[i % len(normals)] >= threshold for i in range(60))
    found = of(fill())
    january = next(share for share in found.flagged if share.month == "2031-01")
    assert (january.count, january.n) == (expected, 60)
    # All were read as normal, so those that are not flagged agree.
    reads = next(month for month in found.reads if month.month == "2031-01")
    assert reads.agreement
    assert (reads.agreement.value, reads.compared) == (pytest.approx(1 - expected / 60), 60)
    assert (reads.median_seconds, reads.timed) == (13.0, 60)


def test_a_month_that_shifted_is_told_of_by_every_rule_it_breaks(
    fill: Callable[..., MonitoringService],
) -> None:
    found = of(fill(shift=9.0, seconds=60.0, refused=20))
    assert rules(found) == ["score drift", "flag rate", "agreement", "refusals", "reading time"]
    assert {alert.month for alert in found.alerts} == {"2031-03"}
    assert "40 of 40 cases are flagged" in found.alerts[1].sentence
    assert "0 of 40 reads agree" in found.alerts[2].sentence
    assert "20 of 60 files" in found.alerts[3].sentence
    march = next(share for share in found.files if share.month == "2031-03")
    assert (march.count, march.n) == (20, 60)


def test_all_cases_are_compared_with_the_first_months(
    fill: Callable[..., MonitoringService],
) -> None:
    found = of(fill(shift=9.0))
    assert found.cases
    # The gallery's three cases came in now, before the made-up months.
    assert found.baseline.endswith("to 2031-02")
    assert [month.month for month in found.cases.months] == ["2031-03"]
    assert found.cases.drifted == ("2031-03",)


def test_scanners_and_views_are_told_apart(fill: Callable[..., MonitoringService]) -> None:
    found = of(fill(shift=9.0))
    groups = {(group.kind, group.name): group for group in found.groups}
    assert groups["Scanner", "D-NEW"].n == 40
    assert groups["Scanner", "D-NEW"].flagged.value == 1.0
    assert groups["Scanner", "D-OLD"].n == 120
    assert groups["View", "PA"].n >= 80
    assert groups["Origin", "upload"].n == 160


def test_an_amended_read_counts_once_and_its_time_not_at_all(
    fill: Callable[..., MonitoringService], loaded: Services
) -> None:
    service = fill()
    store = service._store
    with store.writing() as repositories:
        image = next(i for i in repositories.images.list_all() if i.label == "2031-01 0")
        first = repositories.reads.latest(image.id, "ana")
        assert first
        repositories.reads.append(
            NewRead(
                image_id=image.id,
                reader="ana",
                verdict="abnormal",
                ai_visible=True,
                seconds_to_verdict=900.0,
            )  # fmt: skip
        )
    found = {month.month: month for month in of(service).reads}
    assert sum(month.reads for name, month in found.items() if name in MONTHS) == 160
    assert sum(month.timed for name, month in found.items() if name in MONTHS) == 159


def test_an_alert_is_logged_once(
    fill: Callable[..., MonitoringService], caplog: pytest.LogCaptureFixture
) -> None:
    service = fill(shift=9.0)
    with caplog.at_level(logging.WARNING, "app.services.monitoring"):
        assert service.note_alerts() >= 3
        assert service.note_alerts() == 0
    lines = [record.getMessage() for record in caplog.records if MODEL in record.getMessage()]
    assert sum("score drift" in line and "2031-03" in line for line in lines) == 1


def test_the_scanner_of_a_dicom_file_is_kept_as_a_pseudonym(
    loaded: Services, changed_dicom: Callable[..., bytes]
) -> None:
    data = changed_dicom(StationName="ROOM 7", SOPInstanceUID="1.2.3.4")
    outcome = loaded.intake.take(Person.named("Ana"), "x", data)
    assert outcome.image_id
    with loaded.access._store.reading() as repositories:
        image = repositories.images.get(outcome.image_id)
    assert image
    assert image.station
    assert image.station.startswith("D-")
    assert "ROOM" not in image.station
