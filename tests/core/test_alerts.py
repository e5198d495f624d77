"""Rules speak only when an interval lies wholly beyond the limit."""

from __future__ import annotations

import numpy as np
import pytest

from ddad_core.evaluation.alerts import (
    Share,
    agreement_alert,
    drift_alert,
    flag_alert,
    refusal_alert,
    time_alert,
)
from ddad_core.evaluation.drift import score_drift


def months(*counts: tuple[int, int]) -> list[Share]:
    return [Share(f"2026-{i:02d}", count, n) for i, (count, n) in enumerate(counts, 1)]


@pytest.mark.parametrize(
    ("counts", "speaks"),
    [
        ([(100, 1000), (50, 200)], True),  # 25 % after 10 %
        ([(100, 1000), (40, 200)], False),  # twice as often, but perhaps 1.4 times
        ([(100, 1000), (3, 200)], True),  # 1.5 % after 10 %
        ([(100, 1000), (26, 200)], False),  # 13 %: less than one and a half times
        ([(100, 1000), (4, 20)], False),  # twice as often, but among 20
        ([(100, 1000), (50, 200), (10, 19)], True),  # too few in the newest: the one before counts
        ([(5, 19), (40, 200)], False),  # nothing to compare with
        ([(200, 200)], False),
        ([], False),
    ],
)
def test_flag_rate(counts: list[tuple[int, int]], speaks: bool) -> None:
    assert (flag_alert(months(*counts)) is not None) == speaks


def test_flag_rate_says_what_was_before() -> None:
    alert = flag_alert(months((60, 600), (40, 400), (50, 200)))
    assert alert
    assert alert.month == "2026-03"
    assert alert.sentence.startswith("50 of 200 cases are flagged, 25%; before it were 100 of 1000")


@pytest.mark.parametrize(("count", "speaks"), [(62, False), (58, True), (100, False), (0, True)])
def test_agreement_of_a_hundred(count: int, speaks: bool) -> None:
    # The interval of 62 of 100 reaches 0.71, that of 58 ends at 0.675.
    assert (agreement_alert(months((count, 100))) is not None) == speaks


@pytest.mark.parametrize(("count", "speaks"), [(10, False), (16, False), (18, True), (0, False)])
def test_refusals_of_a_hundred(count: int, speaks: bool) -> None:
    assert (refusal_alert(months((count, 100))) is not None) == speaks


def test_reading_time() -> None:
    rng = np.random.default_rng(0)
    early = rng.normal(20, 4, 50)
    assert time_alert({"2026-01": early, "2026-02": early + 6}) is not None
    assert time_alert({"2026-01": early, "2026-02": early + 1}) is None
    assert time_alert({"2026-01": early, "2026-02": early[:19] + 60}) is None
    assert time_alert({"2026-01": early}) is None
    assert time_alert({}) is None


def test_drift_of_the_newest_month_that_can_be_judged() -> None:
    rng = np.random.default_rng(0)
    reference = rng.normal(0, 1, 200)
    scores = np.concatenate([rng.normal(0, 1, 100), rng.normal(1.5, 1, 60), rng.normal(0, 1, 5)])
    when = np.repeat(np.array(["2026-01", "2026-02", "2026-03"], "datetime64[M]"), [100, 60, 5])
    alert = drift_alert(score_drift(reference, scores, when))
    assert alert
    assert alert.month == "2026-02"
    assert "higher" in alert.sentence
    assert drift_alert(score_drift(reference, scores[:100], when[:100])) is None
