"""`python -m benchmarks.exporting`: 100,000 reads out of the database in every format."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from app.settings import load_settings
from app.store.engine import create_store_engine
from app.store.migrate import migrate
from app.store.schema import BoxRow, ImageRow, ReadRow, ScoreRow
from benchmarks.figures import Figure, show
from benchmarks.worklist import image
from ddad_core.card import list_cards
from ddad_core.vocabulary import SCORE_TITLES

COMMAND = "python -m benchmarks.exporting"
READS = 100_000
IMAGES = 25_000
CHUNK = 5_000
LIMIT_SECONDS = 30.0
LIMIT_MB = 500.0
FINDINGS = ("Nodule or mass", "Infiltration", "Effusion")


def fill(home: Path) -> None:
    """Images, scores, and four reads of each, every second one with a box."""
    url = f"sqlite:///{home / 'ddad.sqlite'}"
    migrate(url)
    source = random.Random(1)
    card = list_cards(load_settings({"DDAD_HOME": str(home)}).weights)[0]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    engine = create_store_engine(url)
    for first in range(1, IMAGES + 1, CHUNK):
        numbers = range(first, min(first + CHUNK, IMAGES + 1))
        images = [image(source, number, 50.0, now) for number in numbers]
        scores = [
            dict.fromkeys(SCORE_TITLES, 0.5)
            | {
                "image_id": number,
                "model_name": card.name,
                "model_hash": card.model_hash,
                "score_name": card.primary,
                "score": source.random(),
                "p_value": 0.5,
                "percentile": 50.0,
                "warnings": (),
                "seconds": 0.1,
                "scored_at": now,
            }
            for number in numbers
        ]
        reads: list[dict[str, Any]] = [
            {
                "image_id": number,
                "reader": reader,
                "revision": 1,
                "verdict": source.choice(["normal", "abnormal"]),
                "confidence": source.randrange(1, 6),
                "findings": tuple(source.sample(FINDINGS, 2)),
                "comment": "A sentence of the length that readers write." * 2,
                "model_name": card.name,
                "model_hash": card.model_hash,
                "score": source.random(),
                "threshold": 0.5,
                "map_name": "inter",
                "pixel_threshold": 0.3,
                "opacity": 0.4,
                "ai_visible": True,
                "seconds_to_verdict": source.uniform(5, 90),
                "agreement": {"inter": "helpful"},
                "saved_at": now,
            }
            for number in numbers
            for reader in ("ana", "ben", "cem", "dora")
        ]
        with engine.begin() as connection:
            connection.execute(insert(ImageRow), images)
            connection.execute(insert(ScoreRow), scores)
            connection.execute(insert(ReadRow), reads)
    boxes = [
        {"read_id": n, "index": 0, "x": 1.0, "y": 2.0, "width": 30.0, "height": 40.0, "label": ""}
        for n in range(1, READS + 1, 2)
    ]
    with engine.begin() as connection:
        connection.execute(insert(BoxRow), boxes)
    engine.dispose()


PROGRAM = """
import sys
from pathlib import Path
from app.cli import main
status = main(sys.argv[1:])
# Not getrusage: what it tells of a new process is at least what its parent held.
print("peak", Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
sys.exit(status)
"""


def run() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        fill(home)
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "export", str(Path(folder) / "all.zip")]
            + ["--comments"],
            env={**os.environ, "DDAD_HOME": str(home)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        told = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        size = (Path(folder) / "all.zip").stat().st_size if status == 0 else 0
    found = re.search(r"^reads\.csv: (\d+) rows$", told, re.MULTILINE)
    whole = status == 0 and found is not None and int(found[1]) == READS
    peak = re.search(r"^peak (\d+)$", told, re.MULTILINE)
    megabytes = int(peak[1]) * 1.024 / 1000 if peak else float("inf")
    processor = usage.ru_utime + usage.ru_stime
    return [
        Figure(
            f"Export of {READS:,} reads of {IMAGES:,} images with scores and boxes, as CSV, JSON "
            "Lines, Parquet and COCO in one ZIP file, by the command from start to end",
            f"at most {LIMIT_SECONDS:.0f} s under {LIMIT_MB:.0f} MB",
            f"{seconds:.1f} s ({processor:.1f} s of one processor), {megabytes:.0f} MB at the "
            f"peak, {size / 1e6:.0f} MB in the file (n = 1)",
            COMMAND,
            whole and seconds <= LIMIT_SECONDS and megabytes < LIMIT_MB,
        )
    ]


if __name__ == "__main__":
    show(run())
