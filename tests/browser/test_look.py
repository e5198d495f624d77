"""The theme and how it is kept, where the keyboard is, and pages that fit their window."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import sign_in

READY = '.ddad-viewer[data-ready="true"]'
WAIT_MS = 20_000
DARK, LIGHT = "rgb(11, 13, 16)", "rgb(255, 255, 255)"
PAGE_COLOR = "() => getComputedStyle(document.querySelector('.stApp')).backgroundColor"
FIRST_COLOR = """() => {
  window.firstColor = null;
  const look = () => {
    const root = document.documentElement;
    if (root && window.firstColor === null && root.dataset.theme) {
      window.firstColor = getComputedStyle(root).backgroundColor;
    } else if (window.firstColor === null) setTimeout(look, 0);
  };
  look();
}"""


def background(page: Page) -> str:
    return str(page.evaluate(PAGE_COLOR))


def test_the_theme_is_dark_until_switched_and_then_kept_for_the_person(
    server, page, browser, enter
):
    page.emulate_media(color_scheme="light")  # the machine's own preference does not count
    enter(page, server, "Dr Light")
    assert background(page) == DARK
    page.get_by_role("button", name="Use the light theme").click()
    page.get_by_role("button", name="Use the dark theme").wait_for()
    expect(page.locator(".stApp")).to_have_css("background-color", LIGHT)
    page.wait_for_timeout(1500)  # kept by then
    page.goto(f"{server.url}/upload")  # a path that this browser has not been at
    page.get_by_text("DICOM").first.wait_for()
    assert background(page) == LIGHT

    elsewhere = browser.new_context()
    other = elsewhere.new_page()
    sign_in(other, server, "Dr Light")
    other.add_init_script(f"({FIRST_COLOR})()")
    other.goto(server.url)
    other.get_by_role("button", name="Start reading").wait_for()
    assert background(other) == LIGHT
    assert other.evaluate("() => window.firstColor") == LIGHT  # before anything is painted
    elsewhere.close()


def test_somebody_else_at_the_same_browser_has_the_dark_theme(server, page, enter):
    enter(page, server, "Dr Before")
    page.get_by_role("button", name="Use the light theme").click()
    page.get_by_role("button", name="Use the dark theme").wait_for()
    page.wait_for_timeout(1500)
    enter(page, server, "Dr After")
    assert background(page) == DARK


def test_the_image_stays_dark_in_the_light_theme(server, page, enter):
    enter(page, server, "Dr Image")
    page.get_by_role("button", name="Use the light theme").click()
    page.locator("button.row").first.click()
    page.locator(READY).wait_for()
    assert background(page) == LIGHT
    for part in (".panel", ".toolbar"):
        color = page.locator(part).first.evaluate(
            "e => { let n = e; while (n && getComputedStyle(n).backgroundColor === "
            "'rgba(0, 0, 0, 0)') n = n.parentElement; return getComputedStyle(n).backgroundColor; }"
        )
        assert color in ("rgb(0, 0, 0)", DARK), (part, color)


@pytest.mark.parametrize(
    "size", [(820, 1180), (1024, 768), (1280, 800), (1920, 1080), (3840, 2160)]
)
def test_no_screen_is_wider_than_its_window(server, page, enter, size):
    enter(page, server, "Dr Width", "reader", "lead", "auditor", "administrator")
    page.set_viewport_size({"width": size[0], "height": size[1]})
    too_wide = {}
    for screen in ("", "upload", "thresholds", "export", "users", "audit", "account", "help"):
        page.goto(f"{server.url}/{screen}")
        page.locator("[data-testid=stMain] :is(button, .ddad-section)").first.wait_for()
        page.wait_for_timeout(500)
        main = page.locator('[data-testid="stMain"]')
        over = main.evaluate("e => e.scrollWidth - e.clientWidth")
        if over > 1:
            too_wide[screen] = over
    assert not too_wide


def test_the_keyboard_shows_where_it_is(server, page, enter):
    enter(page, server, "Dr Focus")
    page.wait_for_timeout(800)
    page.evaluate("() => document.activeElement.blur()")
    seen = []
    for _ in range(14):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(
            """() => {
              let e = document.activeElement;
              while (e.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
              const drawn = (n) => n && ((getComputedStyle(n).outlineStyle !== 'none'
                && parseFloat(getComputedStyle(n).outlineWidth) >= 1)
                || getComputedStyle(n).boxShadow !== 'none');
              let n = e;
              for (let i = 0; i < 5 && n && !drawn(n); i++) n = n.parentElement;
              return [e.tagName, (e.innerText || e.ariaLabel || e.id || '').slice(0, 30), drawn(n)];
            }"""))  # fmt: skip
    assert [one for one in seen if not one[2] and one[0] != "BODY"] == []


def test_the_guide_goes_on_as_the_reader_does_what_it_says_and_ends(server, page, enter):
    enter(page, server, "Dr New")
    page.get_by_role("button", name="Show me").click()
    page.locator(READY).wait_for()
    shown = page.locator(".guide .count")
    expect(shown).to_have_text("1 of 7", timeout=WAIT_MS)
    page.wait_for_timeout(1000)
    box = page.locator("canvas.picture").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 80, y + 30, steps=4)
    page.mouse.up()
    expect(shown).to_have_text("2 of 7", timeout=WAIT_MS)
    page.mouse.wheel(0, -300)
    expect(shown).to_have_text("3 of 7", timeout=WAIT_MS)
    page.locator(".ddad-viewer").focus()
    page.keyboard.press("h")
    expect(shown).to_have_text("4 of 7", timeout=WAIT_MS)
    page.keyboard.press("h")
    expect(shown).to_have_text("5 of 7", timeout=WAIT_MS)
    page.get_by_role("button", name="Accept region 1 as a box").click()
    expect(shown).to_have_text("6 of 7", timeout=WAIT_MS)
    page.get_by_role("button", name="Abnormal").click()
    expect(shown).to_have_text("7 of 7", timeout=WAIT_MS)
    page.get_by_role("button", name=re.compile("^Save(?! and)")).click()
    expect(page.locator(".guide")).to_have_count(0, timeout=WAIT_MS)
    page.goto(server.url)
    page.get_by_role("button", name="Start reading").wait_for()
    page.wait_for_timeout(1000)
    assert page.get_by_role("button", name="Show me").count() == 0
    page.goto(f"{server.url}/help")
    page.get_by_role("button", name="Show the guided case again").click()
    page.get_by_role("button", name="Not now").click()
    expect(page.locator(".guide")).to_have_count(0, timeout=WAIT_MS)
