"""One path in a real browser: from the worklist to the export, over a restart."""

from __future__ import annotations

import csv
import io
import json

from playwright.sync_api import Page

READY = '.ddad-viewer[data-ready="true"]'
COUNT_HEAT = """root => {
  const canvas = root.querySelector('.stage canvas');
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


def exported(page: Page, button: str) -> str:
    page.get_by_role("link", name="Export").first.click()
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    return download.value.path().read_text(encoding="utf-8-sig")


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

    stage = page.locator(".ddad-viewer .stage")
    box = stage.bounding_box()
    page.get_by_role("button", name="Box", exact=True).click()
    view = page.locator(".ddad-viewer").evaluate("root => root.__ddad.view")
    corner = [(200.0, 300.0), (420.0, 560.0)]
    points = [
        (box["x"] + view["x"] + x * view["scale"], box["y"] + view["y"] + y * view["scale"])
        for x, y in corner
    ]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=5)
    page.mouse.up()
    page.get_by_text("1 box drawn").wait_for()

    page.get_by_role("button", name="Abnormal").click()
    page.get_by_label("Comment").fill("=left lower zone")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Saved as abnormal").wait_for()

    reads = list(csv.DictReader(io.StringIO(exported(page, "Reads as CSV"))))
    assert [(r["case"], r["verdict"], r["reader"]) for r in reads] == [
        (label, "abnormal", "Dr Browser")
    ]
    assert reads[0]["comment"] == "'=left lower zone"
    (drawn,) = csv.DictReader(io.StringIO(exported(page, "Boxes as CSV")))
    found = [float(drawn[name]) for name in ("x", "y", "width", "height")]
    assert all(
        abs(a - b) <= 1.5 for a, b in zip(found, (200, 300, 220, 260), strict=True)
    ), found

    server.stop()
    server.start()
    enter(page, server)
    document = json.loads(exported(page, "All tables as JSON"))
    assert document["reads"][0]["comment"] == "=left lower zone"
    page.get_by_role("link", name="Worklist").first.click()
    row = page.locator("button.row", has_text=label)
    assert "abnormal" in row.inner_text().lower()
    row.click()
    page.locator(READY).wait_for()
    assert page.locator(".ddad-viewer").get_attribute("data-boxes") == "1"


def test_window_invert_and_map_change_the_picture_without_the_server(server, page, enter):
    enter(page, server, "Dr Window")
    open_first_case(page)
    page.get_by_role("button", name="Hide map").click()
    page.wait_for_timeout(1000)
    sent: list[int] = []
    viewer = page.locator(".ddad-viewer")
    stage = viewer.locator(".stage").bounding_box()
    middle = (stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)

    def level_at(x: int, y: int) -> int:
        page.wait_for_timeout(80)
        return viewer.evaluate(
            """(root, [x, y]) => {
              const viewer = root.__ddad, ratio = viewer.canvas.width / viewer.cssWidth;
              const { scale, x: left, y: top } = viewer.view;
              const at = [left + (x + 0.5) * scale, top + (y + 0.5) * scale];
              return viewer.context.getImageData(at[0] * ratio, at[1] * ratio, 1, 1).data[0];
            }""",
            [x, y],
        )

    def expected(x: int, y: int) -> float:
        return viewer.evaluate(
            """(root, [x, y]) => {
              const { base, header, window, invert } = root.__ddad;
              const value = base.pixels[y * header.width + x] * header.slope + header.intercept;
              const grey = Math.min(Math.max((value - window.center) / window.width + 0.5, 0), 1);
              return 255 * (invert ? 1 - grey : grey);
            }""",
            [x, y],
        )

    viewer.evaluate("root => root.__ddad.zoomAt({px: 300, py: 300}, 6)")  # past smoothing
    spot = viewer.evaluate(
        "root => { const v = root.__ddad.view;"
        " return [Math.floor((300 - v.x) / v.scale), Math.floor((300 - v.y) / v.scale)]; }"
    )
    before = level_at(*spot)
    assert abs(before - expected(*spot)) <= 24
    page.on("websocket", lambda socket: socket.on("framesent", lambda _: sent.append(1)))
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] - 60, middle[1] - 40, steps=4)
    page.mouse.up()
    after = level_at(*spot)
    assert after != before
    assert abs(after - expected(*spot)) <= 24
    page.keyboard.press("i")
    assert abs(level_at(*spot) - (255 - after)) <= 2
    page.keyboard.press("0")
    page.wait_for_timeout(100)
    fitted = viewer.evaluate("root => root.__ddad.fitted && !root.__ddad.invert")
    assert fitted


def test_the_map_lies_on_its_pixels_after_zoom_and_pan(server, page, enter):
    enter(page, server, "Dr Place")
    open_first_case(page)
    viewer = page.locator(".ddad-viewer")
    page.wait_for_timeout(500)
    # One hot cell, so that its place on the screen can be measured.
    viewer.evaluate(
        """root => {
          const viewer = root.__ddad, values = new Float32Array(64 * 64);
          values[16 * 64 + 40] = 9;
          viewer.map.layer = new viewer.map.layer.constructor(values, 64, 9, viewer.colors);
          viewer.threshold = 4;
          viewer.opacity = 1;
          viewer.zoomAt({ px: 350, py: 260 }, 1.7);
          viewer.panTo(viewer.view.x + 37, viewer.view.y - 21);
        }"""
    )
    page.wait_for_timeout(120)
    found, wanted = viewer.evaluate(
        """root => {
          const viewer = root.__ddad, { canvas, header, view } = viewer;
          const { data } = viewer.context.getImageData(0, 0, canvas.width, canvas.height);
          let [n, sx, sy] = [0, 0, 0];
          for (let i = 0; i < data.length; i += 4) {
            if (Math.abs(data[i] - data[i + 2]) < 40) continue;
            n++;
            sx += (i / 4) % canvas.width;
            sy += Math.floor(i / 4 / canvas.width);
          }
          const ratio = canvas.width / viewer.cssWidth;
          const x = ((40.5 / 64) * header.width * view.scale + view.x) * ratio;
          const y = ((16.5 / 64) * header.height * view.scale + view.y) * ratio;
          return [[sx / n, sy / n], [x, y]];
        }"""
    )
    assert all(abs(a - b) <= 2 for a, b in zip(found, wanted, strict=True)), (found, wanted)


def test_three_cases_are_read_by_keyboard_alone(server, page, enter):
    enter(page, server, "Dr Keys")
    page.keyboard.press("s")
    case = None
    for verdict, chosen in (("n", "Normal"), ("a", "Abnormal"), ("u", "Uncertain")):
        viewer = page.locator(f'{READY}:not([data-image-id="{case}"])')
        viewer.wait_for()
        case = viewer.get_attribute("data-image-id")
        page.keyboard.press(verdict)
        page.locator('[data-testid="stBaseButton-primary"]', has_text=chosen).wait_for()
        page.keyboard.press("Control+Enter")
    page.locator(f'{READY}:not([data-image-id="{case}"])').wait_for()
    document = json.loads(exported(page, "All tables as JSON"))
    own = [r["verdict"] for r in document["reads"] if r["reader"] == "Dr Keys"]
    assert own == ["normal", "abnormal", "uncertain"]
