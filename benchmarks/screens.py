"""`python -m benchmarks.screens`: every screen in three widths, into docs/screens."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

from playwright.sync_api import Browser, Page

from benchmarks.serving import REPOSITORY, chromium, enter, fresh_server

FOLDER = REPOSITORY / "docs" / "screens"
SIZES = ((1280, 800), (1440, 900), (1920, 1080))
QUALITY = 82
SETTLE_MS = 2500
READER = "ana"
SCREENS: dict[str, Callable[[Page], object]] = {
    "review": lambda page: page.locator("canvas").first.wait_for(),
    "upload": lambda page: page.get_by_text("DICOM").first.wait_for(),
    "thresholds": lambda page: page.get_by_role("slider").first.wait_for(),
    "export": lambda page: page.get_by_role("button", name=re.compile("JSON")).wait_for(),
    "users": lambda page: page.get_by_role("button", name="Make account").wait_for(),
    "audit": lambda page: page.get_by_role("button", name="Check the chain").wait_for(),
    "account": lambda page: page.get_by_role("button", name="Change password").wait_for(),
    "help": lambda page: page.get_by_text("Keys and gestures").wait_for(),
}


def picture(page: Page, name: str) -> None:
    page.wait_for_timeout(SETTLE_MS)
    width = (page.viewport_size or {"width": 0})["width"]
    path = FOLDER / f"{name}-{width}.jpg"
    page.screenshot(path=path, type="jpeg", quality=QUALITY)
    print(path.relative_to(REPOSITORY), flush=True)


def signed_out(browser: Browser, address: str) -> None:
    for width, height in SIZES:
        context = browser.new_context(viewport={"width": width, "height": height})
        page = context.new_page()
        page.goto(address)
        picture(page, "sign-in")
        context.close()


def in_light(page: Page, address: str) -> None:
    """The worklist, a case and the thresholds in the light theme, at the middle width."""
    width, height = SIZES[1]
    page.set_viewport_size({"width": width, "height": height})
    page.goto(address)
    page.get_by_role("button", name="Use the light theme").click()
    page.locator("button.row").first.wait_for()
    picture(page, "worklist-light")
    page.get_by_role("button", name="Start reading").click()
    SCREENS["review"](page)
    picture(page, "review-light")
    page.goto(f"{address}/thresholds")
    SCREENS["thresholds"](page)
    picture(page, "thresholds-light")
    page.get_by_role("button", name="Use the dark theme").click()
    page.wait_for_timeout(SETTLE_MS)


def guided(page: Page, address: str) -> None:
    """The first step of the guide; it is ended then."""
    width, height = SIZES[1]
    page.set_viewport_size({"width": width, "height": height})
    page.goto(address)
    page.get_by_role("button", name="Show me").click()
    SCREENS["review"](page)
    picture(page, "guide")
    page.get_by_role("button", name="End the guide").click()
    page.wait_for_timeout(SETTLE_MS)


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    with fresh_server(42) as (address, _), chromium() as browser:
        page = enter(browser, address, READER)
        guided(page, address)
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            page.goto(address)
            page.locator("button.row").first.wait_for()
            picture(page, "worklist")
            page.get_by_role("button", name="Start reading").click()
            for name, ready in SCREENS.items():
                if name != "review":
                    page.goto(f"{address}/{name}")
                ready(page)
                picture(page, name)
        in_light(page, address)
        signed_out(browser, address)
    return 0


if __name__ == "__main__":
    sys.exit(main())
