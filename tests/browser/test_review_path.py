"""One path in a real browser: from the worklist to the export, over a restart."""

from __future__ import annotations

import csv
import io
import json
import zipfile

from playwright.sync_api import Page, expect

from tests.browser.conftest import make_export

READY = '.ddad-viewer[data-ready="true"]'
COUNT_HEAT = """root => {
  const canvas = root.querySelector('canvas.picture');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let coloured = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (Math.abs(data[i] - data[i + 2]) > 24) coloured++;
  }
  return coloured;
}"""


def open_first_case(page: Page) -> None:
    page.locator("button.row").first.click()
    page.locator(READY).wait_for()


def heat(page: Page) -> int:
    page.wait_for_timeout(80)  # a frame
    return page.locator(".ddad-viewer").evaluate(COUNT_HEAT)


def set_threshold(page: Page, share: float) -> None:
    """Move the slider as a hand does: input events, no change event yet."""
    page.get_by_label("Pixel threshold").evaluate(
        "(slider, share) => { slider.value = slider.max * share;"
        " slider.dispatchEvent(new Event('input', { bubbles: true, composed: true })); }",
        share,
    )


def on_screen(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where an image position lies on the page."""
    corner = page.locator("canvas.picture").bounding_box()
    view = page.locator(".ddad-viewer").evaluate("root => root.__ddad.state.view")
    return corner["x"] + view["x"] + x * view["scale"], corner["y"] + view["y"] + y * view["scale"]


def exported(page: Page) -> zipfile.ZipFile:
    page.get_by_role("link", name="Export").first.click()
    comments = page.get_by_text("Readers' comments")
    comments.wait_for()
    comments.click()
    page.wait_for_timeout(500)
    return zipfile.ZipFile(make_export(page).path())


def csv_rows(made: zipfile.ZipFile, table: str) -> list[dict[str, str]]:
    text = made.read(f"{table}.csv").decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def reads_of(made: zipfile.ZipFile) -> list[dict[str, object]]:
    return [json.loads(line) for line in made.read("reads.jsonl").splitlines()]


def test_a_case_is_read_found_in_the_export_and_survives_a_restart(server, page, enter):
    sent: list[str] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda _: sent.append(socket.url)))
    enter(page, server)
    label = page.locator("button.row .name b").first.inner_text()
    open_first_case(page)
    page.wait_for_timeout(1000)  # the page's own start-up messages

    before = len(sent)
    set_threshold(page, 0.0)
    everywhere = heat(page)
    set_threshold(page, 0.5)
    some = heat(page)
    set_threshold(page, 1.0)
    assert everywhere > some > heat(page)
    assert len(sent) == before, "moving the pixel threshold must not talk to the server"

    page.get_by_role("button", name="Box tool").click()
    points = [on_screen(page, x, y) for x, y in ((200, 300), (420, 560))]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=5)
    page.mouse.up()
    page.get_by_text("1 box drawn").wait_for()

    page.get_by_role("button", name="Abnormal").click()
    page.locator('[data-testid="stBaseButton-primary"]', has_text="Abnormal").wait_for()
    page.get_by_label("Comment").fill("=left lower zone")
    page.get_by_role("button", name="Save Shortcut Ctrl + S").click()
    page.get_by_text("Saved as abnormal").wait_for()

    made = exported(page)
    reads = csv_rows(made, "reads")
    assert [(r["case"], r["verdict"], r["reader"]) for r in reads] == [
        (label, "abnormal", "Dr Browser")
    ]
    assert reads[0]["comment"] == "'=left lower zone"
    (drawn,) = csv_rows(made, "boxes")
    found = [float(drawn[name]) for name in ("x", "y", "width", "height")]
    assert all(abs(a - b) <= 1.5 for a, b in zip(found, (200, 300, 220, 260), strict=True)), found

    server.stop()
    server.start()
    enter(page, server)
    assert reads_of(exported(page))[0]["comment"] == "=left lower zone"
    page.get_by_role("link", name="Worklist").first.click()
    row = page.locator("button.row", has_text=label)
    assert "abnormal" in row.inner_text().lower()
    row.click()
    page.locator(READY).wait_for()
    page.get_by_text("1 box drawn").wait_for()
    boxes = page.locator(".ddad-viewer").evaluate("root => root.__ddad.state.boxes")
    assert [box["x"] for box in boxes] == [found[0]]


def test_three_cases_are_read_by_keyboard_alone(server, page, enter):
    server.free_cases()
    enter(page, server, "Dr Keys")
    page.keyboard.press("s")
    case = None
    for verdict, chosen in (("n", "Normal"), ("a", "Abnormal"), ("u", "Uncertain")):
        viewer = page.locator(f'{READY}:not([data-image-id="{case}"])')
        viewer.wait_for()
        case = viewer.get_attribute("data-image-id")
        # The image comes before the panel beside it; a key belongs to the panel's buttons.
        page.locator(f".st-key-verdict-normal-{case} button").wait_for()
        page.wait_for_timeout(300)
        page.keyboard.press(verdict)
        page.locator('[data-testid="stBaseButton-primary"]', has_text=chosen).wait_for()
        # The verdict's button changes before those that save are there to be pressed.
        saving = page.get_by_role("button", name="Save and")
        expect(saving).to_be_enabled(timeout=20_000)
        page.wait_for_timeout(300)
        page.keyboard.press("Control+Enter")
    page.locator(f'{READY}:not([data-image-id="{case}"])').wait_for()
    own = [r["verdict"] for r in reads_of(exported(page)) if r["reader"] == "Dr Keys"]
    assert own == ["normal", "abnormal", "uncertain"]
