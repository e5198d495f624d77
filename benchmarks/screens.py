"""`python -m benchmarks.screens`: every screen in three widths, into docs/screens.

Menus, dialogs, the parts of the threshold screen and the light theme at the middle width alone.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page

from benchmarks.lived_in import live_in
from benchmarks.serving import (
    REPOSITORY,
    Launched,
    chromium,
    enter,
    environment,
    free_port,
    fresh_server,
    home_of,
    page_urls,
)

FOLDER = REPOSITORY / "docs" / "screens"
SIZES = ((1280, 800), (1440, 900), (1920, 1080))
QUALITY = 82
SETTLE_MS = 2500
READER = "ana"
SCREENS: dict[str, Callable[[Page], object]] = {
    "review": lambda page: page.locator("canvas").first.wait_for(),
    "upload": lambda page: page.get_by_text("DICOM").first.wait_for(),
    "thresholds": lambda page: page.get_by_role("slider").first.wait_for(),
    "monitoring": lambda page: page.locator(".js-plotly-plot").first.wait_for(),
    "export": lambda page: page.get_by_role("button", name=re.compile("JSON")).wait_for(),
    "users": lambda page: page.get_by_role("button", name="Make account").wait_for(),
    "audit": lambda page: page.get_by_role("button", name="Check the chain").wait_for(),
    "account": lambda page: page.get_by_role("button", name="Change password").wait_for(),
    "help": lambda page: page.get_by_text("Keys and gestures").wait_for(),
}
PARTS = ("Scores", "Curves", "Calibration", "Readers", "Missed cases", "Levels of maps")


def picture(page: Page, name: str) -> None:
    page.wait_for_timeout(SETTLE_MS)
    width = (page.viewport_size or {"width": 0})["width"]
    path = FOLDER / f"{name}-{width}.jpg"
    page.screenshot(path=path, type="jpeg", quality=QUALITY)
    print(path.relative_to(REPOSITORY), flush=True)


def middle(page: Page) -> None:
    width, height = SIZES[1]
    page.set_viewport_size({"width": width, "height": height})


def to_worklist(page: Page, address: str) -> None:
    page.goto(address)
    page.locator("button.row").first.wait_for()


def to(page: Page, address: str, screen: str) -> None:
    page.goto(f"{address}/{screen}")
    SCREENS[screen](page)


def signed_out(browser: Browser, address: str, name: str) -> None:
    """The page that those see who are signed out."""
    for width, height in SIZES:
        context = browser.new_context(viewport={"width": width, "height": height})
        page = context.new_page()
        page.goto(address)
        picture(page, name)
        context.close()


def first_start(browser: Browser) -> None:
    """The page of a server on an empty home."""
    with tempfile.TemporaryDirectory(prefix="ddad-screens-") as folder:
        port, home = free_port(), Path(folder) / "home"
        serving = [sys.executable, "-m", "app.serve"]
        log = Path(folder) / "server.log"
        server = Launched(serving, environment(home, port), REPOSITORY, log)
        try:
            server.wait_for(page_urls(port), 60)
            signed_out(browser, page_urls(port)[1], "first-account")
        finally:
            server.stop()


def in_light(page: Page, address: str) -> None:
    """The worklist, a case, thresholds, monitoring and help in the light theme."""
    middle(page)
    page.goto(address)
    page.get_by_role("button", name="Use the light theme").click()
    page.locator("button.row").first.wait_for()
    picture(page, "worklist-light")
    page.get_by_role("button", name="Start reading").click()
    SCREENS["review"](page)
    picture(page, "review-light")
    for screen in ("thresholds", "monitoring", "help"):
        to(page, address, screen)
        picture(page, f"{screen}-light")
    page.get_by_role("button", name="Use the dark theme").click()
    page.wait_for_timeout(SETTLE_MS)


def guided(page: Page, address: str) -> None:
    """The first step of the guide; it is ended then."""
    middle(page)
    page.goto(address)
    page.get_by_role("button", name="Show me").click()
    SCREENS["review"](page)
    picture(page, "guide")
    page.get_by_role("button", name="End the guide").click()
    page.wait_for_timeout(SETTLE_MS)


def worklist_menus(page: Page, address: str) -> None:
    """Filters, saved views, and cases assigned."""
    middle(page)
    to_worklist(page, address)
    for name in ("Filters", "Views"):
        page.get_by_role("button", name=name).first.click()
        picture(page, f"worklist-{name.lower()}")
        page.keyboard.press("Escape")
        page.locator('[data-testid="stPopoverBody"]').wait_for(state="detached")
    page.get_by_label("Mark NIH").first.check()
    page.get_by_role("button", name="Assign 1", exact=True).click()
    page.get_by_role("dialog").wait_for()
    picture(page, "worklist-assign")


def case_parts(page: Page, address: str) -> None:
    """Maps beside each other, and what else is on record of a case that was read."""
    middle(page)
    to_worklist(page, address)
    page.locator("button.row").nth(2).click()
    SCREENS["review"](page)
    page.get_by_role("button", name="Abnormal").click()
    page.get_by_role("button", name=re.compile("^Save(?! and)")).click()
    page.wait_for_timeout(SETTLE_MS)
    for part in ("Reads", "Scores"):
        page.get_by_role("tab", name=part).click()
        page.wait_for_timeout(SETTLE_MS)
        page.get_by_role("tab", name=part).evaluate("e => e.scrollIntoView({ block: 'start' })")
        picture(page, f"review-{part.lower()}")


def threshold_parts(page: Page, address: str) -> None:
    """Each part of the evidence, a level of a map, and the dialog that puts it in force."""
    middle(page)
    to(page, address, "thresholds")
    for part in PARTS:
        page.get_by_role("radio", name=part).click()
        page.wait_for_timeout(SETTLE_MS)
        if part == PARTS[-1]:
            page.get_by_role("button", name="Look through").click()
            page.get_by_role("button", name="Put level in force").wait_for()
            page.wait_for_timeout(SETTLE_MS)
        page.get_by_role("radio", name=part).evaluate("e => e.scrollIntoView({ block: 'center' })")
        page.mouse.move(5, 5)
        picture(page, f"thresholds-{part.lower().replace(' ', '-')}")
    page.get_by_role("button", name="Put level in force").click()
    page.get_by_role("dialog").wait_for()
    picture(page, "thresholds-put-in-force")


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    with fresh_server(42) as (address, _), chromium() as browser:
        live_in(home_of(address))
        page = enter(browser, address, READER)
        guided(page, address)
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            to_worklist(page, address)
            picture(page, "worklist")
            page.get_by_role("button", name="Start reading").click()
            for name, ready in SCREENS.items():
                if name != "review":
                    page.goto(f"{address}/{name}")
                ready(page)
                picture(page, name)
        worklist_menus(page, address)
        threshold_parts(page, address)
        in_light(page, address)
        case_parts(page, address)
        signed_out(browser, address, "sign-in")
        first_start(browser)
    return 0


if __name__ == "__main__":
    sys.exit(main())
