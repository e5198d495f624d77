"""`python -m benchmarks.reading`: forty cases read in a row, by a scripted reader with a keyboard.

The reader looks at each case for a moment, changes the window, steps to the next map, hides what
the AI drew and shows it again, gives a verdict and a confidence, and saves; no hand is on a mouse.
Waiting is timed in the page, from the key to the frame in which the next image is on the screen.
"""

from __future__ import annotations

import random
import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page

from app.opening import open_store
from app.settings import load_settings
from benchmarks.figures import Figure, show, tail
from benchmarks.memory import held_mb
from benchmarks.serving import chromium, enter, fresh_server, home_of

COMMAND = "python -m benchmarks.reading"
CASES = 40
OPENINGS = 20
SAVES = 20
READER = "Dr Forty"
LOOK_MS = 1200
WAIT_TARGET_S = 0.6
NEXT_TARGET_S = 0.2
OPEN_TARGET_S = 0.5
SAVE_TARGET_S = 0.3
GROWTH_TARGET_MB = 50.0
VERDICTS = {"n": "normal", "a": "abnormal", "u": "uncertain", "x": "unreadable"}

READY = '.ddad-viewer[data-ready="true"]:visible'
# From the next key down on: until `there` holds for what is on the page, and one frame more.
WATCH = """
const viewers = () => [...document.querySelectorAll("*")].filter((e) => e.shadowRoot)
  .flatMap((e) => [...e.shadowRoot.querySelectorAll(".ddad-viewer")])
  .filter((e) => e.dataset.ready === "true" && e.clientHeight > 0);
const watch = (there) => {
  window.ddadWait = new Promise((done, fail) => {
    const began = (event) => {
      const started = event.timeStamp;
      const look = () => {
        if (there()) {
          requestAnimationFrame(() => done((performance.now() - started) / 1000));
        } else if (performance.now() - started > 30000) fail(new Error("nothing after 30 s"));
        else requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    };
    document.addEventListener("keydown", began, { capture: true, once: true });
  });
};
"""
ANOTHER_IMAGE = f"""(before) => {{
  {WATCH}
  watch(() => viewers().some((e) => e.dataset.imageId !== before));
}}"""
VERDICT_SHOWN = f"""(verdict) => {{
  {WATCH}
  watch(() => document.querySelector(
    `[class*="st-key-verdict-${{verdict}}"] [data-testid="stBaseButton-primary"]`));
}}"""
SAVED = f"""(revision) => {{
  {WATCH}
  watch(() => document.body.innerText.includes(`, revision ${{revision}}. Saving again`));
}}"""


def timed(page: Page, watch: str, argument: object, press: Callable[[], None]) -> float:
    """Seconds from the key that ``press`` presses to what ``watch`` waits for."""
    page.evaluate(watch, argument)
    press()
    return float(page.evaluate("() => window.ddadWait"))


class Reader:
    """Hands on the keyboard.

    Attributes:
        waits: Seconds from saving to the next image, a case each.
        verdict_waits: Seconds until a verdict was shown as chosen.
        given: What was decided, by case, the latest last.
        errors: What went wrong in the page.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.waits: list[float] = []
        self.verdict_waits: list[float] = []
        self.given: list[tuple[int, str]] = []
        self.errors: list[str] = []
        self._random = random.Random(4)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def image(self) -> int:
        shown = self.page.locator(READY)
        shown.first.wait_for()
        return int(shown.first.get_attribute("data-image-id") or 0)

    def read(self, *, onward: bool = True) -> None:
        """One case, and on to the next."""
        page, keys = self.page, self.page.keyboard
        case = self.image()
        page.locator(f".st-key-verdict-normal-{case} button").wait_for()
        page.wait_for_timeout(LOOK_MS)
        for key in ("2", "m", "h", "h"):
            keys.press(key)
            page.wait_for_timeout(60)
        key = self._random.choice(tuple(VERDICTS))
        while self.given and VERDICTS[key] == dict(self.given).get(case):
            key = self._random.choice(tuple(VERDICTS))
        self.verdict_waits.append(
            timed(page, VERDICT_SHOWN, VERDICTS[key], lambda: keys.press(key))
        )
        keys.press("Alt+4")
        page.wait_for_timeout(400)
        self.given.append((case, VERDICTS[key]))
        if onward:
            self.waits.append(
                timed(page, ANOTHER_IMAGE, str(case), lambda: keys.press("Control+Enter"))
            )
        self.errors += page.locator(
            '[data-testid="stException"], [data-testid="stAlertContentError"]'
        ).all_inner_texts()

    def open_row(self, number: int) -> float:
        """A case from the worklist, by Enter on its row."""
        page = self.page
        page.get_by_role("link", name="Worklist").first.click()
        row = page.locator("button.row").nth(number)
        row.wait_for()
        page.wait_for_timeout(LOOK_MS)
        row.focus()
        return timed(page, ANOTHER_IMAGE, "", lambda: page.keyboard.press("Enter"))

    def save_again(self, times: int) -> list[float]:
        """Revisions of the case on the screen, saved without going on."""
        page, found = self.page, []
        case = self.image()
        revision = sum(1 for one, _ in self.given if one == case)
        for _ in range(times):
            self.read(onward=False)
            revision += 1
            page.get_by_role("button", name=re.compile("^Save(?! and)")).focus()
            found.append(timed(page, SAVED, revision, lambda: page.keyboard.press("Enter")))
        return found


def saved(home: Path, reader: str) -> list[tuple[int, str]]:
    """What the database has, oldest first."""
    store = open_store(load_settings({"DDAD_HOME": str(home)}))
    with store.reading() as repositories:
        reads = [
            read
            for image in repositories.images.list_all()
            for read in repositories.reads.history(image.id, reader)
        ]
    return [(read.image_id, read.verdict) for read in sorted(reads, key=lambda one: one.id)]


def run() -> list[Figure]:
    with fresh_server(CASES + 2) as (address, pid), chromium() as browser:
        page = enter(browser, address, READER)
        reader = Reader(page)
        openings = [reader.open_row(i) for i in range(OPENINGS)]
        held = [held_mb(pid)]
        for _ in range(2):
            reader.open_row(0)
            for _ in range(CASES):
                reader.read()
            page.wait_for_timeout(2000)
            held.append(held_mb(pid))
        saves = reader.save_again(SAVES)
        kept = saved(home_of(address), READER)
    first = reader.waits[:CASES]
    wrong = len(reader.errors) + sum(a != b for a, b in zip(kept, reader.given, strict=False))
    wrong += abs(len(kept) - len(reader.given))
    if reader.errors:
        sys.stderr.write("\n".join(reader.errors[:5]) + "\n")
    return [
        Figure(
            f"{CASES} cases read in a row by keyboard: waiting a case, from saving to the next "
            "image",
            f"at most {WAIT_TARGET_S:g} s",
            f"{tail(first, 's', 2)}, at most {max(first):.2f} s",
            COMMAND,
            max(first) <= WAIT_TARGET_S,
        ),
        Figure(
            "The next case, prepared while one is read, over both rounds",
            f"median at most {NEXT_TARGET_S:g} s",
            tail(reader.waits, "s", 2),
            COMMAND,
            statistics.median(reader.waits) <= NEXT_TARGET_S,
        ),
        Figure(
            "A case opened from the worklist by Enter",
            f"median at most {OPEN_TARGET_S:g} s",
            tail(openings, "s", 2),
            COMMAND,
            statistics.median(openings) <= OPEN_TARGET_S,
        ),
        Figure(
            "Saving without going on, until the page says that it is saved",
            f"median at most {SAVE_TARGET_S:g} s",
            tail(saves, "s", 2),
            COMMAND,
            statistics.median(saves) <= SAVE_TARGET_S,
        ),
        Figure(
            "A verdict's key, until the verdict is shown as chosen",
            "",
            tail(reader.verdict_waits, "s", 2),
            COMMAND,
        ),
        Figure(
            f"Errors on the page and reads that differ from those in the database, of {len(kept)}",
            "none",
            str(wrong),
            COMMAND,
            wrong == 0,
        ),
        Figure(
            f"Memory of the server before, after {CASES} cases, and after {CASES} more",
            f"the last {CASES} add at most {GROWTH_TARGET_MB:g} MB",
            ", ".join(f"{mb:.0f}" for mb in held) + " MB (n = 1)",
            COMMAND,
            held[2] - held[1] <= GROWTH_TARGET_MB,
        ),
    ]


if __name__ == "__main__":
    show(run())
