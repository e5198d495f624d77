"""`python -m benchmarks.viewer`: what a reader waits for, in a real browser on a real server.

Times are taken in the page. A redraw is bracketed by two frame callbacks of our own, one asked for
before and one after the change, so it is timed from outside the viewer: *work* from the first to
the second, *latency* from the change to the second, the wait for the frame included. Changes come
at random moments, as those of a hand do.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page

from benchmarks.figures import Figure, show, spread, tail
from benchmarks.memory import held_mb, peak_mb
from benchmarks.serving import chromium, enter, fresh_server, is_sign_of_life
from benchmarks.synthetic_dicom import COLUMNS, ROWS, write_copy, write_synthetic

COMMAND = "python -m benchmarks.viewer"
# While a page runs, the case before may still be in the document, hidden.
READY = '.ddad-viewer[data-ready="true"]:visible'
OPENINGS = 10
GALLERY_IMAGES = OPENINGS + 1
REDRAWS = 200
UPLOADS = 5
LARGE = (2500, 3000)
SESSIONS = 10
ROUNDS = 4
REDRAW_TARGET_MS = 16.0
OPEN_TARGET_S = 0.5
UPLOAD_TARGET_S = 2.0
MEMORY_TARGET_MB = 2000.0

TIME_CHANGES = """
const timeChanges = async (count, change, shown) => {
  const frame = () => new Promise(requestAnimationFrame);
  const found = { work: [], latency: [], interval: [] };
  for (let i = 0; i < count; i += 1) {
    const before = shown();
    await new Promise((done) => setTimeout(done, 8 + 25 * Math.random()));
    const asked = performance.now();
    let began = 0;
    requestAnimationFrame(() => { began = performance.now(); });
    change(i);
    await frame();
    const ended = performance.now();
    if (shown() === before) throw new Error(`change ${i} was not drawn: ${before}`);
    found.work.push(ended - began);
    found.latency.push(ended - asked);
  }
  let last = await frame();
  for (let i = 0; i < count; i += 1) {
    change(i);
    const next = await frame();
    found.interval.push(next - last);
    last = next;
  }
  return found;
};
"""
CHANGE_THRESHOLD = f"""async (root, count) => {{
  {TIME_CHANGES}
  const slider = root.querySelector('[aria-label="Pixel threshold"]');
  const top = Number(slider.max);
  const change = (i) => {{
    slider.value = top * (0.05 + 0.9 * ((i * 37) % count) / count);
    slider.dispatchEvent(new Event("input", {{ bubbles: true, composed: true }}));
  }};
  return timeChanges(count, change, () => root.dataset.threshold);
}}"""
# The mouse is really down on the canvas; only the moves are made here, to time each of them.
CHANGE_WINDOW = f"""async (root, count) => {{
  {TIME_CHANGES}
  const canvas = root.querySelector("canvas.picture");
  const box = canvas.getBoundingClientRect();
  const change = (i) => canvas.dispatchEvent(new PointerEvent("pointermove", {{
    pointerId: 1, pointerType: "mouse", buttons: 1, bubbles: true, composed: true,
    clientX: box.x + box.width / 2 + 20 + (i * 37) % 200,
    clientY: box.y + box.height / 2 + 20 + (i * 53) % 150,
  }}));
  return timeChanges(count, change, () => root.dataset.window);
}}"""
TIME_OPENING = """(button, { wanted, previous }) => new Promise((done, fail) => {
  const viewers = () => [document, ...[...document.querySelectorAll("*")].map((e) => e.shadowRoot)]
    .filter(Boolean).flatMap((root) => [...root.querySelectorAll(".ddad-viewer")]);
  const isThere = ({ dataset, clientHeight }) => dataset.ready === "true" && clientHeight > 0
    && (wanted ? dataset.imageId === wanted : dataset.imageId !== previous);
  const started = performance.now();
  button.click();
  const look = () => {
    const seconds = (performance.now() - started) / 1000;
    if (viewers().some(isThere)) done(seconds);
    else if (seconds > 30) fail(new Error("no image after 30 s"));
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})"""


def redraws(page: Page) -> list[Figure]:
    """200 thresholds and 200 windows on a 1024 x 1024 image; the server must hear of none."""
    sent: list[bytes | str] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    page.reload()  # so that the socket is one that is listened to
    page.locator("button.row").first.click()
    root = page.locator(READY)
    root.wait_for()
    page.wait_for_timeout(2000)  # the page's own messages after opening
    assert sent, "the socket is not listened to"
    sent.clear()
    by_threshold = root.evaluate(CHANGE_THRESHOLD, REDRAWS)
    box = page.locator("canvas.picture").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    by_window = root.evaluate(CHANGE_WINDOW, REDRAWS)
    page.mouse.up()
    page.wait_for_timeout(500)
    heard = sum(not is_sign_of_life(frame) for frame in sent)
    figures = []
    for name, found in (("overlay threshold", by_threshold), ("window", by_window)):
        figures += [
            Figure(
                f"Redraw after a change of the {name}, 1024 x 1024: from the change to the end of "
                "the drawing, the wait for the frame included",
                f"median at most {REDRAW_TARGET_MS:g} ms",
                tail(found["latency"], "ms"),
                COMMAND,
                statistics.median(found["latency"]) <= REDRAW_TARGET_MS,
            ),
            Figure(f"The same, work alone ({name})", "", tail(found["work"], "ms"), COMMAND),
            Figure(
                f"Time between frames while the {name} changes in each",
                "",
                tail(found["interval"], "ms"),
                COMMAND,
            ),
        ]
    messages = Figure(
        f"Messages to the server during these {4 * REDRAWS} changes, but for the sign of life that "
        "an open case gives every 20 s",
        "none",
        str(heard),
        COMMAND,
        heard == 0,
    )
    return [*figures, messages]


def _time_opening(
    button: Locator, *, wanted: str | None = None, previous: str | None = None
) -> float:
    return float(button.evaluate(TIME_OPENING, {"wanted": wanted, "previous": previous}))


def _settle(page: Page) -> None:
    """Until the page's run has ended, as it has when a reader has looked at a case."""
    page.wait_for_timeout(700)


def _pass(page: Page, press: Callable[[], Locator]) -> Iterator[float]:
    """From the first case of the worklist to the last, by the button that ``press`` gives."""
    page.get_by_role("link", name="Worklist").first.click()
    page.locator("button.row").first.click()
    for _ in range(OPENINGS):
        page.locator(READY).first.wait_for()
        _settle(page)
        shown = page.locator(READY).first.get_attribute("data-image-id")
        yield _time_opening(press(), previous=shown)


def openings(page: Page) -> list[Figure]:
    """The next case, by both buttons, and any case from the worklist."""

    def save_and_next() -> Locator:
        page.locator('[class*="st-key-verdict-normal"] button').first.click()
        page.locator('[data-testid="stBaseButton-primary"]', has_text="Normal").wait_for()
        _settle(page)
        return page.get_by_role("button", name="Save and")

    following = list(_pass(page, lambda: page.locator(".st-key-step-next button").first))
    saving = list(_pass(page, save_and_next))
    from_list = []
    for i in range(OPENINGS):
        page.get_by_role("link", name="Worklist").first.click()
        row = page.locator("button.row").nth(i)
        row.wait_for()
        _settle(page)
        from_list.append(_time_opening(row, wanted=row.get_attribute("data-case")))
    return [
        Figure(
            f"{name}, 1024 x 1024: from the click to the image with its overlay",
            f"at most {OPEN_TARGET_S:g} s",
            spread(found, "s"),
            COMMAND,
            statistics.median(found) <= OPEN_TARGET_S,
        )
        for name, found in (
            ("Next case", following),
            ("Save and next", saving),
            ("A case from the worklist", from_list),
        )
    ]


def _upload(page: Page, file: Path) -> float:
    page.get_by_role("link", name="Upload").first.click()
    chooser = page.locator('input[type="file"]')
    chooser.wait_for(state="attached")
    clear = page.get_by_role("button", name="Clear list")
    _settle(page)
    if clear.count():
        clear.click()
        clear.wait_for(state="detached")
        _settle(page)
    started = time.perf_counter()
    chooser.set_input_files(file)
    page.get_by_role("button", name="Read 1 case").click()
    page.locator(READY).first.wait_for()
    return time.perf_counter() - started


def uploads(page: Page) -> list[Figure]:
    """A DICOM file onto the Upload screen, and its overlay on the Review screen."""
    shared = os.environ.get("DDAD_SHARED_DATA")
    with tempfile.TemporaryDirectory(prefix="ddad-bench-") as name:
        folder = Path(name)
        made = [write_synthetic(folder / f"synthetic-{i}.dcm", i) for i in range(UPLOADS)]
        large = [
            write_synthetic(folder / f"large-{i}.dcm", i, rows=LARGE[1], columns=LARGE[0])
            for i in range(UPLOADS)
        ]
        kinds = [
            (f"DICOM of {COLUMNS} x {ROWS}, 12 bits, synthetic, uncompressed", made),
            (f"DICOM of {LARGE[0]} x {LARGE[1]}, 12 bits, synthetic, uncompressed", large),
        ]
        real = Path(shared) / "dicom" / "philips_cr_monochrome1.dcm" if shared else None
        if real is not None and real.is_file():
            copies = [write_copy(real, folder / f"philips-{i}.dcm") for i in range(UPLOADS)]
            kinds.append(("DICOM of a Philips CR (MONOCHROME1), 1841 x 1955", copies))
        taken = [(title, [_upload(page, file) for file in files]) for title, files in kinds]
    return [
        Figure(
            f"Upload to visible overlay, with the click between: {title}",
            f"at most {UPLOAD_TARGET_S:g} s",
            spread(found, "s"),
            COMMAND,
            statistics.median(found) <= UPLOAD_TARGET_S,
        )
        for title, found in taken
    ]


def memory(browser: Browser, address: str, pid: int) -> list[Figure]:
    """The server's memory with ten sessions, each on a case of its own, again and again."""
    ends, highest = [], 0.0
    for _ in range(ROUNDS):
        pages = []
        for i in range(SESSIONS):
            page = enter(browser, address, f"Dr {i + 1}")
            page.locator("button.row").nth(i).click()
            page.locator(READY).first.wait_for()
            pages.append(page)
            highest = max(highest, held_mb(pid))
        time.sleep(1)
        ends.append(held_mb(pid))
        for page in pages:
            page.context.close()
    highest = max(highest, *ends)
    then = ", ".join(f"{end:.0f}" for end in ends[1:])
    return [
        Figure(
            f"Memory of the server with {SESSIONS} sessions on the Review screen, "
            "after the uploads",
            f"under {MEMORY_TARGET_MB / 1000:g} GB",
            f"{ends[0]:.0f} MB, pages that processes share counted once (at most {highest:.0f} MB "
            f"after any session; {peak_mb(pid):.0f} MB resident at most in the server's own "
            "process; n = 1)",
            COMMAND,
            highest < MEMORY_TARGET_MB,
        ),
        Figure(
            f"The same after all {SESSIONS} were closed and opened anew, again and again",
            "",
            f"{then} MB",
            COMMAND,
        ),
    ]


def run() -> list[Figure]:
    with fresh_server(GALLERY_IMAGES) as (address, pid), chromium() as browser:
        page = enter(browser, address, "Dr Redraw")
        figures = redraws(page)
        page.context.close()
        # A new page: nobody listens to its socket, so that megabytes are not copied to us as well.
        page = enter(browser, address, "Dr Bench")
        figures += openings(page)
        figures += uploads(page)
        page.context.close()
        return figures + memory(browser, address, pid)


if __name__ == "__main__":
    show(run())
