"""Half a year of two readers' reads in a home that has the gallery, so that screens show figures.

Simulated and seeded; for pictures of screens alone. Times of arrival are moved back by hand, which
the app itself never does.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import update

from app.opening import open_store
from app.services.read_draft import FINDINGS
from app.settings import load_settings
from app.store.records import ImageRecord, NewRead, ScoreRecord, Verdict
from app.store.schema import ImageRow
from app.store.unit_of_work import UnitOfWork

READERS = ("ben", "cara")
DAYS = 170
SLIPS = 0.15
"""Share of reads that say other than the label that came with the image."""
THRESHOLD = 1.015
"""Of the gallery's model, as its card has it."""
SEED = 11


def live_in(home: Path) -> None:
    """Move arrivals over the half-year before now, and store the reads of it."""
    engine = open_store(load_settings({"DDAD_HOME": str(home)}))._engine
    clock = [datetime.now(UTC)]
    store = UnitOfWork(engine, now=lambda: clock[0])
    source = random.Random(SEED)
    now = datetime.now(UTC)
    with store.reading() as repositories:
        images = repositories.images.list_all()
        scores = {one.image_id: one for one in repositories.scores.list_all()}
    arrived = {
        image.id: now - timedelta(days=DAYS * (1 - place / len(images)), hours=source.random() * 9)
        for place, image in enumerate(images)
    }
    with engine.begin() as connection:
        for number, at in arrived.items():
            connection.execute(update(ImageRow).where(ImageRow.id == number).values(added_at=at))
    for image in images:
        for reader in READERS:
            clock[0] = arrived[image.id] + timedelta(hours=source.uniform(0.2, 30))
            with store.writing() as repositories:
                repositories.reads.append(_read(image, scores[image.id], reader, source))


def _read(image: ImageRecord, score: ScoreRecord, reader: str, source: random.Random) -> NewRead:
    slipped = source.random() < SLIPS
    abnormal = bool(image.reference_label) != slipped
    verdict: Verdict = "abnormal" if abnormal else "normal"
    return NewRead(
        image_id=image.id,
        reader=reader,
        verdict=verdict,
        confidence=source.randint(2, 5),
        findings=tuple(source.sample(FINDINGS, 1)) if abnormal else (),
        ai_visible=True,
        model_name=score.model_name,
        model_hash=score.model_hash,
        score=score.score,
        threshold=THRESHOLD,
        seconds_to_verdict=source.uniform(12, 70),
        boxes=image.reference_boxes if abnormal else (),
    )
