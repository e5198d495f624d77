"""The case page in a real browser: others' reads, the image beside, rejected regions, keys."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import Server

READY = '.ddad-viewer[data-ready="true"]'
WITHIN = """(root, [kind, across, down]) => {
  const { panes, view, beside } = root.__ddad.state;
  const pane = panes.find((one) => one.kind === kind);
  const seen = kind === "beside" ? beside.view : view;
  const { width, height } = seen.image;
  const at = seen.pointToStage({ x: across * width, y: down * height });
  const canvas = root.querySelector("canvas.picture");
  const [x, y] = [pane.x + at.x, pane.y + at.y].map((v) => Math.floor(v * devicePixelRatio));
  return [...canvas.getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3);
}"""


def rows(server: Server, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(server.home / "ddad.sqlite")) as connection:
        return connection.execute(statement, values).fetchall()


@pytest.fixture(scope="module")
def patient(server: Server) -> list[int]:
    """Three images that are said to be of one patient."""
    with closing(sqlite3.connect(server.home / "ddad.sqlite")) as connection, connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM images ORDER BY id LIMIT 3")]
        connection.executemany(
            "UPDATE images SET patient = 'P-1' WHERE id = ?", [(i,) for i in ids]
        )
    return ids


@pytest.fixture
def opened(
    server: Server, page: Page, enter: Callable[..., None], patient: list[int]
) -> Callable[..., int]:
    """Sign in and open the first case; gives its number."""

    def opening(name: str, page: Page = page) -> int:
        enter(page, server, name)
        page.locator("button.row").first.click()
        page.locator(READY).wait_for()
        case = int(page.locator(READY).get_attribute("data-image-id") or 0)
        page.locator(f".st-key-verdict-normal-{case} button").wait_for()
        page.wait_for_timeout(300)
        return case

    return opening


def chosen(page: Page, case: int, what: str) -> Locator:
    group = page.locator(f'[class*="st-key-{what}-{case}"]')
    return group.locator('[role="radio"][aria-checked="true"]')


def test_every_control_of_the_read_has_a_key(
    server: Server, page: Page, opened: Callable[..., int]
) -> None:
    case = opened("Dr Keys")
    page.locator(READY).focus()
    page.keyboard.press("a")
    page.locator('[data-testid="stBaseButton-primary"]', has_text="Abnormal").wait_for()
    page.keyboard.press("Alt+4")
    expect(chosen(page, case, "confidence")).to_have_text("4")
    page.keyboard.press("Alt+8")
    expect(chosen(page, case, "agreement")).to_have_text("Misleading")
    page.keyboard.press("v")
    page.keyboard.type("nodu")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.get_by_text("Nodule or mass").first.wait_for()
    expect(page.locator(".ddad-viewer")).to_be_focused()
    page.keyboard.press("t")
    page.keyboard.type("jk vtqn 4")  # in a text field, keys are letters
    page.keyboard.press("Escape")
    page.wait_for_timeout(800)
    assert page.locator(READY).get_attribute("data-image-id") == str(case)
    page.keyboard.press("Control+s")
    page.get_by_text("Saved as abnormal").wait_for()
    (row,) = rows(
        server,
        "SELECT verdict, confidence, findings, comment, agreement, model_name, length(model_hash),"
        " threshold, map_name, pixel_threshold, opacity, ai_visible, stage FROM reads"
        " WHERE reader = 'Dr Keys'",
    )
    assert row[:4] == ("abnormal", 4, '["Nodule or mass"]', "jk vtqn 4")
    assert json.loads(row[4]) == {row[8]: "misleading"}
    assert row[5] and row[6] == 64 and row[7] > 0 and row[9] > 0
    assert (row[10], row[11], row[12]) == (0.45, 1, "aided")
    page.keyboard.press("j")
    after = page.locator(f'{READY}:not([data-image-id="{case}"])')
    after.wait_for()
    page.wait_for_timeout(500)
    page.keyboard.press("k")
    page.locator(f'{READY}[data-image-id="{case}"]').wait_for()
    # The list of them opens wherever the focus is, and nothing else happens under it.
    page.get_by_role("tab", name="Image").click()
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keys and gestures")
    expect(sheet).to_be_visible()
    assert "Alt 7 8 9" in " ".join(sheet.inner_text().split())
    page.keyboard.press("j")
    page.wait_for_timeout(500)
    assert page.locator(READY).get_attribute("data-image-id") == str(case)


def test_others_are_told_once_ones_own_read_is_saved(
    server: Server, browser: Browser, page: Page, opened: Callable[..., int]
) -> None:
    opened("Dr First")
    page.get_by_role("button", name="Accept region 1 as a box").click()
    page.get_by_text("1 box drawn").wait_for()
    page.get_by_role("button", name="Abnormal").click()
    page.locator('[data-testid="stBaseButton-primary"]', has_text="Abnormal").wait_for()
    page.get_by_label("Comment").fill("lower zone")
    page.get_by_label("Comment").focus()
    page.keyboard.press("Control+s")  # from within a text field, too
    page.get_by_text("Saved as abnormal").wait_for()
    other = browser.new_page(viewport={"width": 1440, "height": 900})
    other.set_default_timeout(20_000)
    opened("Dr Second", other)
    other.get_by_text("Shown once your own read is saved").wait_for()
    text = other.locator("body").inner_text()
    assert "lower zone" not in text and "Dr First:" not in text  # only that it is open there
    expect(other.get_by_role("button", name="Show other readers' boxes")).to_be_hidden()
    other.get_by_role("button", name="Normal", exact=False).first.click()
    other.wait_for_timeout(500)
    other.keyboard.press("Control+s")
    other.get_by_text("Saved as normal").wait_for()
    other.get_by_text("Dr First: abnormal").wait_for()
    assert "lower zone" in other.locator("body").inner_text()
    other.get_by_role("button", name="Show other readers' boxes").click()
    state = other.locator(READY).evaluate("(root) => [root.__ddad.state.othersShown,"
        " root.__ddad.state.boxes.length]")  # fmt: skip
    assert state == [True, 0]
    other.context.close()


def test_an_earlier_image_stands_beside_and_that_is_on_record(
    server: Server, page: Page, opened: Callable[..., int], patient: list[int]
) -> None:
    case = opened("Dr Beside")
    page.locator(READY).focus()
    page.keyboard.press("y")
    for _ in range(100):
        if page.locator(READY).evaluate("(root) => Boolean(root.__ddad.state.beside)"):
            break
        page.wait_for_timeout(100)
    page.wait_for_timeout(200)
    other = page.locator(READY).evaluate("(root) => root.__ddad.state.besideId")
    assert other in patient and other != case
    root = page.locator(READY)
    grid = [(a, d) for a in np.linspace(0.1, 0.9, 9) for d in np.linspace(0.1, 0.9, 9)]
    seen = np.array([root.evaluate(WITHIN, ["beside", a, d]) for a, d in grid], float)
    assert np.ptp(seen, axis=1).max() <= 1  # grey: no map of the open case lies on it
    # The same picture as when that case is open itself.
    page.get_by_role("button", name="Hide AI").click()
    (label,) = rows(server, "SELECT label FROM images WHERE id = ?", other)[0]
    while page.locator(READY).get_attribute("data-image-id") != str(other):
        before = page.locator(READY).get_attribute("data-image-id")
        page.keyboard.press("j" if case < other or before == str(case) else "k")
        page.locator(f'{READY}:not([data-image-id="{before}"])').wait_for()
        page.wait_for_timeout(600)
    page.get_by_role("button", name="Hide AI").click()
    page.wait_for_timeout(300)
    alone = np.array([root.evaluate(WITHIN, ["overlay", a, d]) for a, d in grid], float)
    assert np.abs(seen - alone).mean() < 12, label  # drawn at another size
    assert np.corrcoef(seen[:, 0], alone[:, 0])[0, 1] > 0.97
    views = rows(
        server,
        "SELECT after FROM audit_events WHERE action = 'view' AND actor = 'Dr Beside'"
        " AND subject = ?",
        f"image {other}",
    )
    assert {"beside": case, "ai_shown": False} in [json.loads(after) for (after,) in views]


def test_rejected_regions_survive_a_reload_and_are_stored_with_the_read(
    server: Server, page: Page, opened: Callable[..., int]
) -> None:
    case = opened("Dr Reject")
    page.get_by_role("button", name="Reject region 1").click()
    page.wait_for_timeout(1000)
    page.goto(server.url)
    page.get_by_role("button", name="Start reading").wait_for()
    page.locator("button.row").first.click()
    page.locator(f'{READY}[data-image-id="{case}"]').wait_for()
    reject = page.get_by_role("button", name="Reject region 1")
    expect(reject).to_have_attribute("aria-pressed", "true")
    page.wait_for_timeout(500)
    page.keyboard.press("n")
    page.wait_for_timeout(800)
    page.keyboard.press("Control+s")
    page.get_by_text("Saved as normal").wait_for()
    found = rows(
        server,
        "SELECT r.map_name, r.pixel_threshold, r.x, r.y, r.width, r.height, r.peak, r.peak_x,"
        " r.peak_y, reads.map_name, reads.pixel_threshold FROM rejected_regions r"
        " JOIN reads ON reads.id = r.read_id WHERE reads.reader = 'Dr Reject'",
    )
    region = page.locator(READY).evaluate("(root) => root.__ddad.state.regions[0]")
    (row,) = found
    assert (row[0], row[1]) == (row[9], row[10])
    assert row[2:6] == pytest.approx([region["box"][s] for s in ("x", "y", "width", "height")])
    assert row[6] == pytest.approx(region["peak"])
    assert row[2] <= row[7] <= row[2] + row[4] and row[3] <= row[8] <= row[3] + row[5]
    # Amending shows them again, and taking one up is a revision of its own.
    expect(reject).to_have_attribute("aria-pressed", "true")
    reject.click()
    page.wait_for_timeout(800)
    page.keyboard.press("Control+s")
    page.get_by_text("revision 2").first.wait_for()
    page.get_by_text("rejected regions 1 → 0").wait_for()
    counts = rows(
        server,
        "SELECT reads.revision, count(r.id) FROM reads LEFT JOIN rejected_regions r"
        " ON r.read_id = reads.id WHERE reads.reader = 'Dr Reject' GROUP BY reads.revision",
    )
    assert counts == [(1, 1), (2, 0)]
