"""Figures of a set of evidence: those of ddad_core, of the right cases."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import numpy as np
import pytest

from app.services.container import Services
from app.services.measures import Measures, aided_reading
from app.services.people import Person
from app.services.tuning_evidence import TuningEvidence
from app.store.evidence_records import ReadColumns
from ddad_core.evaluation.agreement import cohen_kappa, krippendorff_alpha
from ddad_core.evaluation.delong import delong_auc

MODEL = "nih-ae-u"
AT = datetime(2026, 5, 1, tzinfo=UTC)


def columns(rows: list[tuple[int, str, str]]) -> ReadColumns:
    n = len(rows)
    cases, readers, verdicts = zip(*rows, strict=True)
    return ReadColumns(cases, readers, verdicts, (3,) * n, ("aided",) * n, (MODEL,) * n, (AT,) * n)


@pytest.fixture
def evidence(loaded: Services) -> TuningEvidence:
    """Sixty labelled cases, thirty of each, the abnormal ones higher; and their reads by two."""
    chance = np.random.default_rng(7)
    labels = np.tile([0, 1], 30)
    scores = chance.normal(labels * 1.5, 1.0)
    rows = []
    for case, label in enumerate(labels):
        for reader, right in (("ana", 0.9), ("ben", 0.8)):
            called = label if chance.random() < right else 1 - label
            rows.append((case, reader, "abnormal" if called else "normal"))
    rows[0] = (0, "ana", "uncertain")
    return dataclasses.replace(
        loaded.tuning.evidence(Person.named("Ana"), MODEL),
        scores=scores,
        labels=labels,
        ids=np.arange(60),
        unlabelled=np.array([]),
        unlabelled_ids=np.array([], np.int64),
        score_ids=np.arange(60),
        reads=columns(rows),
        normals=chance.normal(0, 1, 50),
    )


def test_curves_rest_on_the_labelled_cases(evidence: TuningEvidence) -> None:
    measures = Measures(evidence)
    roc, curve = measures.roc.found, measures.precision_recall(0.05).found
    assert roc is not None and curve is not None
    assert roc.auc == delong_auc(evidence.labels, evidence.scores)
    assert (roc.n_normal, roc.n_abnormal) == (30, 30)
    assert (curve.prevalence, curve.stated) == (0.05, True)
    own = measures.precision_recall(None).found
    assert own is not None and own.prevalence == 0.5
    assert measures.roc is measures.roc  # computed once
    assert measures.reliability.found is not None
    rates = measures.normal_rates.found
    assert rates is not None and rates[0].promised == 0.01


def test_two_readers_have_cohens_kappa_of_their_certain_reads(evidence: TuningEvidence) -> None:
    found = Measures(evidence).agreement
    table = Measures(evidence).table
    assert np.isnan(table.calls[0, 0]) and table.readers == ("ana", "ben")
    both = table.calls[1:]
    assert found.kappa_name == "Cohen's kappa"
    assert found.kappa.found == cohen_kappa(both[:, 0], both[:, 1])
    assert found.alpha.found == krippendorff_alpha(both)
    assert found.kappa.found is not None and found.kappa.found.n_cases == 59


def test_three_readers_have_fleiss_kappa_and_pairs(evidence: TuningEvidence) -> None:
    reads = evidence.reads
    more = [(case, "cem", "abnormal" if case % 2 else "normal") for case in range(20)]
    rows = [*zip(reads.image_id, reads.reader, reads.verdict, strict=True), *more]
    found = Measures(dataclasses.replace(evidence, reads=columns(rows))).agreement
    assert (found.kappa_name, found.readers) == ("Fleiss' kappa", 3)
    assert {(pair.first, pair.second) for pair in found.pairs} == {
        ("ana", "ben"), ("ana", "cem"), ("ben", "cem"),
    }  # fmt: skip


def test_readers_are_compared_with_what_the_slider_flags(evidence: TuningEvidence) -> None:
    measures = Measures(evidence)
    ana, ben = measures.with_ai(0.75)
    called = (evidence.scores >= 0.75).astype(float)
    calls = measures.table.calls
    assert (ana.first, ana.second, ben.first) in {("ben", "AI", "ana"), ("ana", "AI", "ben")}
    by_name = {one.first: one for one in (ana, ben)}
    assert by_name["ben"].kappa == cohen_kappa(calls[:, 1], called)
    assert by_name["ana"].kappa is not None and by_name["ana"].kappa.n_cases == 59
    # A case without a score says nothing of the AI.
    fewer = dataclasses.replace(
        evidence, ids=evidence.ids[10:], scores=evidence.scores[10:], labels=evidence.labels[10:]
    )
    found = {one.first: one for one in Measures(fewer).with_ai(0.75)}
    assert found["ben"].kappa is not None and found["ben"].kappa.n_cases == 50


def test_without_reads_it_says_why(evidence: TuningEvidence) -> None:
    measures = Measures(dataclasses.replace(evidence, reads=ReadColumns()))
    assert "two readers" in measures.agreement.kappa.why_not
    assert measures.with_ai(0.5) == ()


def test_unaided_and_aided_reads_are_paired_by_reader_and_case() -> None:
    labels = {case: case % 2 for case in range(8)}
    truth = {0: "normal", 1: "abnormal"}
    aided = columns([(c, r, truth[labels[c]]) for c in labels for r in ("ana", "ben")])
    wrong_once = columns(
        [
            (c, r, truth[1 - labels[c]] if (c, r) in {(1, "ana"), (3, "ben")} else truth[labels[c]])
            for c in labels
            for r in ("ana", "ben")
        ]
        + [(9, "ana", "abnormal")]
    )
    found = aided_reading(labels, wrong_once, aided, "sensitivity").found
    assert found is not None
    assert (found.unaided.value, found.aided.value, found.difference.value) == (0.75, 1.0, 0.25)
    assert (found.n_readers, found.n_abnormal, found.left_out) == (2, 4, 0)
    one = columns([(1, "ana", "abnormal")])
    assert "it takes two" in aided_reading(labels, one, aided, "sensitivity").why_not
