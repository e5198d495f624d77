"""`python -m benchmarks.worklist`: the worklist of 50,000 cases, by every filter and sort."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from sqlalchemy import insert

from app.bootstrap import build_services
from app.services.container import Services
from app.services.people import Person
from app.services.worklist import NOBODY, Wish
from app.settings import load_settings
from app.store.engine import create_store_engine
from app.store.schema import ImageRow, ReadRow, ScoreRow
from app.store.team_schema import ArbitrationRow, AssignmentRow, BatchRow
from app.store.worklist_records import Show, Sort
from benchmarks.figures import Figure, show
from ddad_core.vocabulary import SCORE_TITLES

COMMAND = "python -m benchmarks.worklist"
CASES = 50_000
READS = 10_000
ASSIGNMENTS = 20_000
SETTLED = 200
BATCHES = 50
PAGE = 100
LIMIT_SECONDS = 0.5
REPEATS = 5
CHUNK = 5_000
THUMBNAIL_BYTES = 9_000
READER = Person.named("ana")


def fill(services: Services, url: str) -> None:
    """Cases, scores and reads of realistic size, past the files that they would have."""
    source = random.Random(1)
    cards = {card.name: card for card in services.models.cards}
    engine = create_store_engine(url)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    batches = [
        {"id": n, "name": f"Batch {n}", "added_by": "ana", "added_at": start}
        for n in range(1, BATCHES + 1)
    ]
    with engine.begin() as connection:
        connection.execute(insert(BatchRow), batches)
    for first in range(1, CASES + 1, CHUNK):
        images: list[dict[str, Any]] = []
        scores: list[dict[str, Any]] = []
        for number in range(first, min(first + CHUNK, CASES + 1)):
            age = source.choice([None, 3.0, source.uniform(18, 90)])
            card = cards[services.models.choose(age).name]
            row = image(source, number, age, start + timedelta(seconds=number))
            images.append(row | {"batch_id": number % BATCHES + 1})
            value = source.random()
            scores.append(
                dict.fromkeys(SCORE_TITLES, value)
                | {
                    "image_id": number,
                    "model_name": card.name,
                    "model_hash": card.model_hash,
                    "score_name": card.primary,
                    "score": value,
                    "p_value": 1 - value,
                    "percentile": 100 * value,
                    "warnings": (),
                    "seconds": 0.1,
                    "scored_at": start,
                }
            )
        with engine.begin() as connection:
            connection.execute(insert(ImageRow), images)
            connection.execute(insert(ScoreRow), scores)
    reads = [
        {
            "image_id": number,
            "reader": reader,
            "revision": 1,
            "verdict": source.choice(["normal", "abnormal"]),
            "findings": (),
            "comment": "",
            "ai_visible": True,
            "saved_at": start,
        }
        for reader in ("ana", "ben", "cem", "dia")
        for number in source.sample(range(1, CASES // 2 + 1), READS // 4)
    ]
    with engine.begin() as connection:
        connection.execute(insert(ReadRow), reads)
        connection.execute(insert(AssignmentRow), assignments(source, start))
        connection.execute(insert(ArbitrationRow), arbitrations(reads, start))
    engine.dispose()


def assignments(source: random.Random, at: datetime) -> list[dict[str, Any]]:
    """Half of the cases that are assigned have one reader, half have two."""
    pairs = [
        (number, reader)
        for number in source.sample(range(1, CASES + 1), 2 * ASSIGNMENTS // 3)
        for reader in source.sample(("ana", "ben", "cem"), source.choice((1, 2)))
    ]
    return [
        {"image_id": number, "reader": reader, "assigned_by": "lea", "assigned_at": at}
        for number, reader in pairs
    ]


def arbitrations(reads: list[dict[str, Any]], at: datetime) -> list[dict[str, Any]]:
    """Some of the cases with two reads are settled."""
    first: set[int] = set()
    twice = []
    for place, read in enumerate(reads, 1):
        if read["image_id"] in first:
            twice.append((read["image_id"], place))
        first.add(read["image_id"])
    return [
        {"image_id": number, "read_id": place, "settled_at": at}
        for number, place in twice[:SETTLED]
    ]


def image(source: random.Random, number: int, age: float | None, at: datetime) -> dict[str, Any]:
    return {
        "id": number,
        "sha256": f"{source.getrandbits(256):064x}",
        "origin": "upload",
        "label": f"CXR-{number:06d}",
        "format": "dicom",
        "modality": "DX",
        "view": source.choice(["PA", "AP"]),
        "age_years": age,
        "sex": source.choice(["F", "M"]),
        "bits": 12,
        "width": 2000,
        "height": 2500,
        "slope": 1.0,
        "intercept": 0.0,
        "windows": (),
        "warnings": () if source.random() < 0.9 else ("A warning.",),
        "reference_boxes": (),
        "thumbnail": source.randbytes(THUMBNAIL_BYTES),
        "added_at": at,
        "added_by": "ana",
        "stored_as": "dicom",
        "conflict": False,
    }


def seconds(services: Services, wish: Wish) -> float:
    """Median time of one look at the worklist: rows, counts and thumbnails."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        found = services.worklist.list(READER, wish, limit=PAGE)
        services.worklist.thumbnails(READER, found.rows)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def assigning(services: Services) -> float:
    """Median time to find the next cases without readers."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        services.worklist.without_readers(READER, Wish(), readers_per_case=2, limit=PAGE)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def run() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(
            {"DDAD_HOME": folder, "DDAD_DEVICE": "cpu", "DDAD_READERS_PER_CASE": "2"}
        )
        services = build_services(settings)
        try:
            fill(services, f"sqlite:///{Path(folder) / 'ddad.sqlite'}")
            wishes = {f"filter “{name}”": Wish(show=name) for name in get_args(Show)}
            wishes |= {f"sort “{name}”": Wish(sort=name) for name in get_args(Sort)}
            wishes["search of two words"] = Wish(search="pa abnormal")
            wishes["search, filtered and sorted"] = replace(
                wishes["search of two words"], show="read", sort="uncertainty"
            )
            for show_ in ("all", "unread", "mine", "arbitration"):
                wishes[f"one batch, “{show_}”"] = Wish(show=show_, batch=7)
            wishes["assigned to ben, by uncertainty"] = Wish(assigned_to="ben", sort="uncertainty")
            wishes["assigned to nobody, unread"] = Wish(show="unread", assigned_to=NOBODY)
            wishes["one model, last 30 days"] = Wish(model="nih-ae-u", within_days=30)
            wishes["uploads, unread, random"] = Wish(show="unread", origin="upload", sort="random")
            measured = {name: seconds(services, wish) for name, wish in wishes.items()}
            measured["cases to assign"] = assigning(services)
        finally:
            services.close()
    slowest = max(measured, key=lambda name: measured[name])
    median = statistics.median(measured.values())
    return [
        Figure(
            f"Worklist of {CASES:,} cases with {READS:,} reads and {ASSIGNMENTS:,} assignments,"
            f" two readers a case: {PAGE} rows, counts and thumbnails, slowest of {len(measured)}"
            " filters, sorts and searches",
            f"at most {LIMIT_SECONDS} s",
            f"{measured[slowest]:.2f} s ({slowest}; median of all {median:.2f} s; "
            f"n = {REPEATS} each)",
            COMMAND,
            measured[slowest] <= LIMIT_SECONDS,
        )
    ]


if __name__ == "__main__":
    show(run())
