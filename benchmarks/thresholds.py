"""`python -m benchmarks.thresholds`: the threshold screen on 50,000 scored cases, in Chromium.

From the key that moves the slider to the new number on the page, and from the click on
"Thresholds" to the first numbers; both timed in the page.
"""

from __future__ import annotations

import random
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page
from sqlalchemy import insert, select

from app.bootstrap import build_services
from app.settings import load_settings
from app.store.engine import create_store_engine
from app.store.schema import ImageRow, ReadRow, ScoreRow
from benchmarks.figures import Figure, show, tail
from benchmarks.serving import chromium, enter, fresh_server, home_of
from benchmarks.worklist import image
from ddad_core.vocabulary import SCORE_TITLES

COMMAND = "python -m benchmarks.thresholds"
CASES, READS, READERS = 50_000, 10_000, 4
MOVES, OPENINGS = 60, 12
SLIDER_TARGET_S, OPEN_TARGET_S = 0.2, 1.0
CHUNK = 5_000
GALLERY_IMAGES = 4

TIME_MOVES = """() => {
  window.ddadMoves = [];
  const shown = () => [...document.querySelectorAll(".ddad-figure")]
    .map((one) => one.textContent).find((text) => text.startsWith("Flagged"));
  document.addEventListener("keydown", (event) => {
    if (!event.key.startsWith("Arrow")) return;
    const started = performance.now(), before = shown();
    const look = () => {
      if (shown() !== before) window.ddadMoves.push((performance.now() - started) / 1000);
      else if (performance.now() - started < 20000) requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }, true);
}"""
TIME_OPENING = """() => new Promise((done, fail) => {
  const link = [...document.querySelectorAll("a")].find((a) => a.href.endsWith("/thresholds"));
  const started = performance.now();
  link.click();
  const look = () => {
    const there = [...document.querySelectorAll(".ddad-figure")]
      .some((one) => one.textContent.startsWith("Flagged") && one.offsetParent);
    const seconds = (performance.now() - started) / 1000;
    if (there && document.querySelector('[data-testid="stSlider"]')) done(seconds);
    else if (seconds > 30) fail(new Error("no numbers after 30 s"));
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})"""


def fill(home: Path) -> None:
    """Scored cases of adults, over 200 days, and reads of which flagged cases have their share."""
    with tempfile.TemporaryDirectory() as other:
        services = build_services(load_settings({"DDAD_HOME": other, "DDAD_DEVICE": "cpu"}))
        card = services.models.choose(50.0)
        services.close()
    source, chance = random.Random(1), np.random.default_rng(1)
    ill = chance.random(CASES) < 0.1
    low, high = np.quantile(card.reference.of_score(card.primary), (0.0, 1.0))
    values = low + (high - low) * (chance.beta(3, 5, CASES) + 0.25 * ill * chance.random(CASES))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    engine = create_store_engine(load_settings({"DDAD_HOME": str(home)}).database_url)
    with engine.begin() as connection:
        thumbnail = connection.scalar(select(ImageRow.thumbnail).limit(1))
        for first in range(0, CASES, CHUNK):
            images, scores = [], []
            for place in range(first, min(first + CHUNK, CASES)):
                number = 1000 + place
                at = start + timedelta(days=200 * place / CASES)
                row = image(source, number, source.uniform(18, 90), at)
                images.append({**row, "thumbnail": thumbnail})
                scores.append(_score(card, number, float(values[place]), start))
            connection.execute(insert(ImageRow), images)
            connection.execute(insert(ScoreRow), scores)
        weights = 0.02 + (values - low) / (high - low)
        cases = chance.choice(CASES, READS // 2, replace=False, p=weights / weights.sum())
        connection.execute(insert(ReadRow), list(_reads(cases, ill, chance, start)))
    engine.dispose()


def _score(card: Any, number: int, value: float, at: datetime) -> dict[str, Any]:
    return dict.fromkeys(SCORE_TITLES, value) | {
        "image_id": number, "model_name": card.name, "model_hash": card.model_hash,
        "score_name": card.primary, "score": value, "p_value": 0.5, "percentile": 50.0,
        "warnings": (), "seconds": 0.1, "scored_at": at,
    }  # fmt: skip


def _reads(cases: np.ndarray, ill: np.ndarray, chance: np.random.Generator, at: datetime) -> Any:
    """Two readers a case, right nine times in ten."""
    for place in cases:
        for reader in chance.choice(READERS, 2, replace=False):
            abnormal = bool(ill[place]) == (chance.random() < 0.9)
            yield {
                "image_id": 1000 + int(place), "reader": f"reader {reader}", "revision": 1,
                "verdict": "abnormal" if abnormal else "normal", "findings": (), "comment": "",
                "ai_visible": True, "saved_at": at,
            }  # fmt: skip


def moves(page: Page) -> list[float]:
    """Seconds from each key to the new numbers."""
    page.evaluate(TIME_MOVES)
    slider = page.get_by_role("slider").first
    slider.focus()
    for move in range(MOVES):
        page.keyboard.press("ArrowLeft" if move % 12 < 6 else "ArrowRight")
        page.wait_for_function("count => window.ddadMoves.length > count", arg=move)
        page.wait_for_timeout(150)  # a hand pauses, and the page ends what it still draws
    found: list[float] = page.evaluate("() => window.ddadMoves")
    return found


def run() -> list[Figure]:
    with fresh_server(GALLERY_IMAGES) as (address, _), chromium() as browser:
        fill(home_of(address))
        page = enter(browser, address, "ana")
        opened = []
        for _ in range(OPENINGS):
            page.get_by_role("link", name="Worklist").first.click()
            page.locator("button.row").first.wait_for()
            page.wait_for_timeout(1000)
            opened.append(page.evaluate(TIME_OPENING))
        page.wait_for_timeout(1500)
        moved = moves(page)
        if "--picture" in sys.argv:
            page.screenshot(path=sys.argv[sys.argv.index("--picture") + 1])
    what = f"{CASES:,} scored cases, {READS:,} reads"
    return [
        Figure(
            f"Threshold slider moved, {what}: from the key to the new numbers",
            f"p95 at most {SLIDER_TARGET_S} s", tail(moved, "s", 3), COMMAND,
            bool(np.percentile(moved, 95) <= SLIDER_TARGET_S),
        ),
        Figure(
            f"Threshold screen opened, {what}: from the click to the numbers",
            f"p95 at most {OPEN_TARGET_S} s", tail(opened, "s", 2), COMMAND,
            bool(np.percentile(opened, 95) <= OPEN_TARGET_S),
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    show(run())
