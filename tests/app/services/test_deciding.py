"""Cases that change side, and flags a day, by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from app.services.container import Services
from app.services.deciding import flags_a_day, sides
from app.services.models import OperatingPointInForce
from app.services.people import Person
from app.services.tuning_evidence import TuningEvidence
from ddad_core.errors import RequestError

MODEL = "nih-ae-u"


@pytest.fixture
def evidence(loaded: Services) -> TuningEvidence:
    return dataclasses.replace(
        loaded.tuning.evidence(Person.named("Ana"), MODEL),
        scores=np.array([0.1, 0.4, 0.5, 0.55, 0.9]),
        labels=np.array([0, 0, 1, 0, 1]),
        ids=np.array([11, 14, 15, 16, 19]),
        unlabelled=np.array([0.2, 0.45, 0.52, 0.8]),
        unlabelled_ids=np.array([12, 13, 17, 18]),
        in_force=OperatingPointInForce(None, 0, 0.5, "own"),
    )


def test_cases_flagged_no_more_begin_with_the_misses(evidence: TuningEvidence) -> None:
    found = sides(evidence, 0.6)
    assert not found.flagged_on
    assert found.image_ids.tolist() == [15, 16, 17]  # abnormal, normal, no label
    assert found.counts() == {"abnormal": 1, "normal": 1, "no label": 1}
    assert [case.kind for case in found.first(2)] == ["abnormal", "normal"]


def test_newly_flagged_cases_begin_with_the_false_alarms(evidence: TuningEvidence) -> None:
    found = sides(evidence, 0.15)
    assert found.flagged_on
    assert found.image_ids.tolist() == [14, 13, 12]  # a normal one, then by score
    assert found.counts() == {"abnormal": 0, "normal": 1, "no label": 2}


def test_at_the_threshold_in_force_nothing_changes(evidence: TuningEvidence) -> None:
    assert len(sides(evidence, 0.5).image_ids) == 0


def test_flags_a_day_follow_the_share_flagged(evidence: TuningEvidence) -> None:
    assert flags_a_day(evidence, 3, 9) is None  # nobody knows how many come
    found = flags_a_day(evidence, 3, 9, 60.0)
    assert found is not None
    assert (found.mean.value, found.cases_a_day, found.stated) == (20.0, 60.0, True)
    # The quantiles of a Poisson distribution of mean 20.
    assert (found.least, found.most) == (12, 29)
    assert found.mean.low < 20 < found.mean.high < 60
    counted = dataclasses.replace(evidence, cases_a_day=30.0)
    assert (by_days := flags_a_day(counted, 3, 9)) and by_days.mean.value == 10.0
    assert not by_days.stated
    with pytest.raises(RequestError):
        flags_a_day(evidence, 3, 9, 0.0)


def test_looking_at_changed_cases_hides_what_a_reader_has_yet_to_read(
    loaded: Services, ana: Person, draft
) -> None:
    everything = loaded.tuning.evidence(ana, MODEL)
    low = everything.span[0] - 1
    moved = dataclasses.replace(
        everything, in_force=dataclasses.replace(everything.in_force, threshold=100.0)
    )
    found = sides(moved, low)
    assert len(found.image_ids) == 3
    shown = loaded.tuning.look(ana, found, 2)
    assert [one.case.image_id for one in shown] == found.image_ids[:2].tolist()
    assert all(one.thumbnail.startswith(b"\xff\xd8") and one.label for one in shown)
    assert loaded.tuning.look(ana, found, 2, unaided=True) == ()
    last = int(found.image_ids[-1])
    loaded.reading.save(ana, last, MODEL, draft("normal"))
    (mine,) = loaded.tuning.look(ana, found, 2, unaided=True)
    assert mine.case.image_id == last
    auditor = Person.named("Audit", "auditor")  # has no verdict to protect
    assert len(loaded.tuning.look(auditor, found, 5, unaided=True)) == 3
