"""`python -m benchmarks.frames`: what a frame costs while a reader's hand moves, in a real browser.

Every change is made as the browser gets it from a hand (moves of a pressed pointer, turns of the
wheel, input of a slider) at a random moment. A frame is timed from the frame callback that comes
first to the last pixel drawn: one pixel is read back, so that what the browser put off is drawn,
too. *Latency* is from the change to the same moment, the wait for the frame included.

On its own the command prints the figures; `--write` puts them into docs/results.md.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from playwright.sync_api import Locator, Page

from benchmarks.figures import Figure, show, tail
from benchmarks.page import write_part
from benchmarks.serving import chromium, enter, fresh_server, is_sign_of_life
from benchmarks.synthetic_dicom import write_synthetic

COMMAND = "python -m benchmarks.frames"
READY = '.ddad-viewer[data-ready="true"]:visible'
CHANGES = 150
ROWS, COLUMNS = 2500, 3000
MEDIAN_MS, P95_MS, LARGE_P95_MS = 8.0, 16.0, 33.0

TIME_FRAMES = """async (root, [gesture, count]) => {
  const canvas = root.querySelector("canvas.picture");
  const box = canvas.getBoundingClientRect();
  const [middleX, middleY] = [box.x + box.width / 2, box.y + box.height / 2];
  const pointer = (type, button, x, y) => canvas.dispatchEvent(new PointerEvent(type, {
    pointerId: 1, pointerType: "mouse", button: type === "pointermove" ? -1 : button,
    buttons: button === 2 ? 2 : 1, clientX: x, clientY: y, bubbles: true, composed: true,
  }));
  const away = (i) => [middleX + 20 + (i * 37) % 200, middleY + 20 + (i * 53) % 150];
  const slide = (name) => (i) => {
    const slider = root.querySelector(name);
    slider.value = slider.max * (0.05 + 0.9 * ((i * 37) % count) / count);
    slider.dispatchEvent(new Event("input", { bubbles: true, composed: true }));
  };
  const button = { window: 0, pan: 2 }[gesture];
  const change = {
    window: (i) => pointer("pointermove", 0, ...away(i)),
    pan: (i) => pointer("pointermove", 2, ...away(i)),
    zoom: (i) => canvas.dispatchEvent(new WheelEvent("wheel", {
      deltaY: Math.floor(i / 8) % 2 ? 90 : -90, clientX: middleX + 40, clientY: middleY + 30,
      bubbles: true, composed: true, cancelable: true,
    })),
    threshold: slide(".threshold"),
    opacity: slide(".opacity"),
  }[gesture];
  const shown = () => {
    const { view, window, opacity } = root.__ddad.state;
    const { x, y, scale } = view;
    const { threshold } = root.dataset;
    return JSON.stringify([x, y, scale, window.center, window.width, opacity, threshold]);
  };
  const frame = () => new Promise(requestAnimationFrame);
  if (button !== undefined) pointer("pointerdown", button, middleX, middleY);
  const found = { work: [], latency: [] };
  for (let i = 1; i <= count; i += 1) {
    const before = shown();
    await new Promise((done) => setTimeout(done, 8 + 25 * Math.random()));
    const asked = performance.now();
    let began = 0;
    requestAnimationFrame(() => { began = performance.now(); });
    change(i);
    await frame();
    canvas.getContext("2d").getImageData(0, 0, 1, 1);
    const ended = performance.now();
    if (shown() === before) throw new Error(`the ${gesture} changed nothing`);
    found.work.push(ended - began);
    found.latency.push(ended - asked);
  }
  if (button !== undefined) pointer("pointerup", button, middleX, middleY);
  return found;
}"""
GESTURES = ("window", "zoom", "pan", "threshold", "opacity")


@dataclass(frozen=True)
class Times:
    """Milliseconds of every change of one gesture.

    Attributes:
        work: From the frame's beginning to its last pixel.
        latency: From the change to the same moment.
    """

    work: list[float]
    latency: list[float]


def time_gestures(root: Locator) -> dict[str, Times]:
    """All gestures, one after the other, each from the fitted image."""
    found = {}
    for gesture in GESTURES:
        root.focus()
        root.press("0")
        root.page.wait_for_timeout(400)
        found[gesture] = Times(**root.evaluate(TIME_FRAMES, [gesture, CHANGES]))
    return found


def figures_of(times: Mapping[str, Times], size: str, *, large: bool) -> list[Figure]:
    figures = []
    for gesture, found in times.items():
        median, p95 = statistics.median(found.work), float(np.percentile(found.work, 95))
        target = f"median at most {MEDIAN_MS:g} ms, p95 at most {P95_MS:g} ms"
        met = median <= MEDIAN_MS and p95 <= P95_MS
        if large:
            target, met = f"p95 at most {LARGE_P95_MS:g} ms", p95 <= LARGE_P95_MS
        figures += [
            Figure(
                f"A frame while the {gesture} changes, {size}: from its beginning to its last "
                "pixel",
                target,
                tail(found.work, "ms"),
                COMMAND,
                met,
            ),
            Figure(
                f"The same from the change on, the wait for the frame included ({gesture})",
                "",
                tail(found.latency, "ms"),
                COMMAND,
            ),
        ]
    return figures


class Sent:
    """Bytes that a page sends to the server after it has been opened."""

    def __init__(self, page: Page) -> None:
        self.bytes = 0
        self.sockets = 0
        page.on("websocket", self._listen)
        page.on("request", lambda request: self._count(request.post_data_buffer or b""))

    def _listen(self, socket: object) -> None:
        self.sockets += 1
        socket.on("framesent", self._hear)  # type: ignore[attr-defined]

    def _hear(self, frame: bytes | str) -> None:
        if not is_sign_of_life(frame):
            self._count(frame)

    def _count(self, payload: bytes | str) -> None:
        self.bytes += len(payload)


def upload_large(page: Page) -> None:
    """Take in a DICOM file of 3000 x 2500 and open it."""
    with tempfile.TemporaryDirectory(prefix="ddad-bench-") as name:
        file = write_synthetic(Path(name) / "large.dcm", 1, rows=ROWS, columns=COLUMNS)
        page.get_by_role("link", name="Upload").first.click()
        chooser = page.locator('input[type="file"]')
        chooser.wait_for(state="attached")
        page.wait_for_timeout(700)
        chooser.set_input_files(file)
        page.get_by_role("button", name="Read 1 case").click()
        page.locator(READY).first.wait_for()


def run() -> list[Figure]:
    figures = []
    with fresh_server(2) as (address, _), chromium() as browser:
        page = enter(browser, address, "Dr Frame")
        sent = Sent(page)
        page.reload()  # so that the socket is one that is listened to
        page.locator("button.row").first.click()
        root = page.locator(READY)
        root.wait_for()
        page.wait_for_timeout(2000)  # the page's own messages after opening
        assert sent.sockets and sent.bytes, "the socket is not listened to"
        before = sent.bytes
        figures += figures_of(time_gestures(root), "1024 x 1024", large=False)
        heard = sent.bytes - before

        upload_large(page)
        page.wait_for_timeout(2000)
        root.focus()
        root.press("o")  # past the smaller picture: the whole is fetched
        page.locator('.ddad-viewer[data-full="true"]').wait_for()
        page.wait_for_timeout(2000)
        before = sent.bytes
        figures += figures_of(time_gestures(root), f"{COLUMNS} x {ROWS}, in full", large=True)
        heard += sent.bytes - before
    return [
        *figures,
        Figure(
            f"Bytes sent to the server during these {2 * len(GESTURES) * CHANGES} changes: "
            "messages and bodies of requests, but for the signs of life of a session and of an "
            "open case",
            "none",
            str(heard),
            COMMAND,
            heard == 0,
        ),
    ]


def frames_part(figures: list[Figure], machine: str) -> str:
    lines = [
        machine,
        "",
        "| figure | target | measured | command |",
        "| --- | --- | --- | --- |",
        *(figure.row() for figure in figures),
    ]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    figures = run()
    show(figures)
    if "--write" in arguments:
        from benchmarks.run_all import machine  # noqa: PLC0415  (imports torch)

        write_part("frames", frames_part(figures, machine()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
