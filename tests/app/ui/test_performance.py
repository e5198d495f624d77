"""The performance report as a file: what it says, and that it needs nothing else."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import numpy as np
import pytest

from app.services.container import Services
from app.services.evidence import EvidenceChoice
from app.services.people import ForbiddenError, Person
from app.services.read_draft import ReadDraft
from app.ui.performance import STATEMENT, document
from ddad_core.evaluation.delong import delong_auc
from ddad_core.evaluation.thresholds import confusion

MODEL = "nih-ae-u"
LEAD = Person("lea", frozenset({"lead"}), full_name="Lea <b>Ito</b>")


def words(page: bytes) -> str:
    """What is to be read, without scripts and tags."""
    text = re.sub(rb"<(script|style)\b.*?</\1>", b" ", page, flags=re.S).decode()
    return html.unescape(re.sub(r"<[^>]+>", " ", text))


@pytest.fixture
def scored(loaded: Services, small_png: Callable[[int], bytes]) -> Services:
    """The gallery and eight more cases, read alternately."""
    for seed in range(8):
        outcome = loaded.intake.take(LEAD, "x", small_png(seed))
        assert outcome.image_id
        verdict = "abnormal" if seed % 2 else "normal"
        loaded.reading.save(
            LEAD,
            outcome.image_id,
            MODEL,
            ReadDraft(verdict, 4, (), "", (), None, None, None, ai_visible=True, seconds=9.0),
        )
        loaded.reading.open_case(LEAD, outcome.image_id, MODEL)
    return loaded


def test_it_says_what_the_services_measure(scored: Services) -> None:
    found = scored.reporting.performance(LEAD, MODEL, EvidenceChoice(), 0.05)
    own = found.measures.evidence
    assert len(own.scores) == 8
    text = words(document(found))
    auc = delong_auc(own.labels, own.scores)
    assert f"{auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})" in text
    counts = confusion(own.labels, own.scores, own.in_force.threshold)
    assert f"{counts.true_positive} of 4 abnormal flagged" in text
    assert f"{counts.true_negative} of 4 normal not flagged" in text
    flagged = int((np.concatenate([own.scores, own.unlabelled]) >= own.in_force.threshold).sum())
    assert f"{flagged} of {len(own.scores) + len(own.unlabelled)}" in text
    assert "PPV at a prevalence of 5.0%" in text
    assert scored.models.card(MODEL).model_hash in text
    assert STATEMENT in text


def test_it_needs_no_network_and_names_stay_text(scored: Services) -> None:
    page = document(scored.reporting.performance(LEAD, MODEL, EvidenceChoice(), 0.1))
    tags = re.findall(rb"<(?:script|link|img|iframe)\b[^>]*>", page)
    assert not [tag for tag in tags if b"src=" in tag or b"href=" in tag]
    assert b"Lea <b>" not in page
    assert b"Lea &lt;b&gt;Ito" in page


def test_without_a_labelled_case_it_says_so(loaded: Services) -> None:
    found = loaded.reporting.performance(LEAD, MODEL, EvidenceChoice(), 0.1)
    text = words(document(found))
    assert "Curves need normal and abnormal cases." in text
    assert "0 normal, 0 abnormal" in text


def test_making_it_goes_on_record(loaded: Services) -> None:
    loaded.reporting.performance(LEAD, MODEL, EvidenceChoice(source="reference"), 0.1)
    newest = loaded.audit.page(Person.named("checking"), limit=1).events[0]
    assert (newest.action, newest.actor) == ("export", "lea")
    assert newest.subject == f"performance report {MODEL}"


@pytest.mark.parametrize("role", ["reader", "arbiter", "administrator"])
def test_who_may_not_export_look_and_monitor_gets_none(loaded: Services, role: str) -> None:
    person = Person("tester", frozenset({role}))  # type: ignore[arg-type]
    with pytest.raises(ForbiddenError):
        loaded.reporting.performance(person, MODEL, EvidenceChoice(), 0.1)
