"""What a reader has done is there again: after a reload, without a connection, after a crash."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from playwright.sync_api import Browser, Locator, Page, WebSocketRoute, expect

from app.opening import open_store
from app.settings import load_settings
from app.store.account_records import AuditFilter
from app.store.records import ReadRecord
from tests.browser.conftest import Server

READY = '.ddad-viewer[data-ready="true"]:visible'
COMMENT = "left lower zone, seen before"
SAVE = re.compile("^Save(?! and)")  # without moving on; its key follows in its name


def reads_of(server: Server, reader: str) -> list[ReadRecord]:
    """All that the database has of a reader, oldest first."""
    store = open_store(load_settings({"DDAD_HOME": str(server.home)}))
    with store.reading() as repositories:
        images = repositories.images.list_all()
        found = [read for image in images for read in repositories.reads.history(image.id, reader)]
    return sorted(found, key=lambda read: read.id)


def opened(server: Server, reader: str) -> Sequence[str]:
    """The cases that a reader opened, by the audit trail."""
    store = open_store(load_settings({"DDAD_HOME": str(server.home)}))
    with store.reading() as repositories:
        events = repositories.audit.iter_all(AuditFilter(actor=reader, actions=("view",)))
        return [event.subject for event in events]


def draft_of(server: Server, reader: str, image: str) -> dict[str, object]:
    store = open_store(load_settings({"DDAD_HOME": str(server.home)}))
    with store.reading() as repositories:
        kept = repositories.drafts.get(reader, int(image))
    return {} if kept is None else dict(kept.content)


ONE_BY_ONE = """{
  const { send } = WebSocket.prototype;
  let free = 0;
  WebSocket.prototype.send = function (message) {
    const wait = Math.max(0, free - performance.now());
    free = performance.now() + wait + 500;
    setTimeout(() => send.call(this, message), wait);
  };
}"""
"""A server with time enough between two messages to act on the first before it has the second."""

SLOW_LINE = """{
  const { send } = WebSocket.prototype;
  window.held = null;
  WebSocket.prototype.send = function (message) {
    if (window.held) window.held.push(() => send.call(this, message));
    else send.call(this, message);
  };
}"""


class Line:
    """The page's connection to the server, to be cut: a browser set offline keeps its sockets."""

    def __init__(self, page: Page) -> None:
        self._open: list[WebSocketRoute] = []
        self._is_cut = False
        page.route_web_socket(re.compile("/_stcore/stream"), self._connect)

    def _connect(self, socket: WebSocketRoute) -> None:
        if self._is_cut:
            socket.close(code=1001)
            return
        socket.connect_to_server()
        self._open.append(socket)

    def cut(self) -> None:
        self._is_cut = True
        while self._open:
            self._open.pop().close(code=1001)

    def mend(self) -> None:
        self._is_cut = False


def open_case(page: Page, number: int = 0) -> str:
    """A case of the worklist; its number in the database."""
    page.locator("button.row").nth(number).click()
    page.locator(READY).wait_for()
    image = page.locator(READY).get_attribute("data-image-id")
    page.locator(f".st-key-verdict-normal-{image} button").wait_for()
    page.wait_for_timeout(500)
    return str(image)


def begin_read(page: Page) -> str:
    """A verdict, a box and a comment, none of them saved; the field is not left."""
    image = open_case(page)
    page.keyboard.press("a")
    expect(chosen(page, "Abnormal")).to_be_visible()
    page.locator(READY).focus()
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    page.get_by_text("1 box drawn").wait_for()
    page.get_by_label("Comment").press_sequentially(COMMENT)
    return image


def chosen(page: Page, verdict: str) -> Locator:
    return page.locator('[data-testid="stBaseButton-primary"]', has_text=verdict)


def await_draft(server: Server, page: Page, reader: str, image: str, comment: str) -> None:
    for _ in range(60):
        if draft_of(server, reader, image).get("comment") == comment:
            return
        page.wait_for_timeout(100)
    pytest.fail(f"the draft is {draft_of(server, reader, image)}")


def expect_draft(page: Page) -> None:
    expect(chosen(page, "Abnormal")).to_be_visible()
    expect(page.get_by_label("Comment")).to_have_value(COMMENT)
    expect(page.locator(READY)).to_have_attribute("data-boxes", "1")


def test_a_draft_is_there_after_a_reload_with_what_was_typed_a_moment_ago(server, page, enter):
    enter(page, server, "Dr Reload")
    image = begin_read(page)
    await_draft(server, page, "Dr Reload", image, COMMENT)  # nobody left the field
    expect(page.get_by_label("Comment")).to_be_focused()
    page.reload()
    expect(page.locator(READY)).to_have_attribute("data-image-id", image)
    expect_draft(page)
    page.locator(".st-key-step-next button").first.click()
    page.locator(f'{READY}:not([data-image-id="{image}"])').wait_for()
    assert reads_of(server, "Dr Reload") == []


def test_a_reload_shows_no_ai_to_who_wanted_to_judge_first(server, page, enter):
    enter(page, server, "Dr Alone")
    page.get_by_text("Unaided first").click()
    page.wait_for_timeout(1000)
    image = open_case(page)
    expect(page.get_by_text("Your verdict first")).to_be_visible()
    page.reload()
    expect(page.locator(READY)).to_have_attribute("data-image-id", image)
    expect(page.get_by_text("Your verdict first")).to_be_visible()
    expect(page.locator(READY)).to_have_attribute("data-map", "")


def test_what_was_typed_as_the_connection_broke_is_kept_and_typing_goes_on(server, page, enter):
    line = Line(page)
    enter(page, server, "Dr Lost")
    image = begin_read(page)
    await_draft(server, page, "Dr Lost", image, COMMENT)
    comment = page.get_by_label("Comment")
    connected = page.locator('[data-test-connection-state="CONNECTED"]')
    comment.press_sequentially(", unch")
    line.cut()
    expect(connected).to_have_count(0)
    expect(comment).to_be_disabled()  # nobody types what would be lost
    expect(comment).to_have_value(COMMENT + ", unch")
    page.wait_for_timeout(1500)
    line.mend()
    expect(connected).to_be_visible(timeout=40_000)
    expect(comment).to_be_focused()
    page.keyboard.type("anged")  # of which A and N would be verdicts outside the field
    await_draft(server, page, "Dr Lost", image, COMMENT + ", unchanged")
    expect(chosen(page, "Abnormal")).to_be_visible()
    expect(page.locator(READY)).to_have_attribute("data-image-id", image)


def test_what_was_typed_a_moment_ago_is_saved_by_key_and_by_hand(server, page, enter):
    page.add_init_script(ONE_BY_ONE)
    server.free_cases()
    enter(page, server, "Dr Quick")
    image = open_case(page)
    page.keyboard.press("a")
    expect(chosen(page, "Abnormal")).to_be_visible()
    comment, saved = page.get_by_label("Comment"), page.locator("[data-testid=stCaptionContainer]")
    comment.fill("lower")
    comment.focus()
    page.keyboard.press("Control+s")
    saved.get_by_text("revision 1").wait_for()
    comment.fill("lower left")
    comment.focus()
    page.get_by_role("button", name=SAVE).click()
    saved.get_by_text("revision 2").wait_for()
    comment.fill("lower left zone")
    comment.focus()
    page.keyboard.press("Control+Enter")
    page.locator(f'{READY}:not([data-image-id="{image}"])').wait_for()
    found = [(read.revision, read.comment) for read in reads_of(server, "Dr Quick")]
    assert found == [(1, "lower"), (2, "lower left"), (3, "lower left zone")]
    assert draft_of(server, "Dr Quick", image) == {}


def test_verdict_and_save_pressed_at_once_save_the_read(server, page, enter):
    page.add_init_script(ONE_BY_ONE)  # the page has run for the verdict before it hears of the save
    server.free_cases()
    enter(page, server, "Dr Both")
    image = open_case(page)
    page.evaluate(
        """(image) => {
          document.querySelector(`.st-key-verdict-abnormal-${image} button`).click();
          [...document.querySelectorAll("button")]
            .find((one) => one.textContent.startsWith("Save and next")).click();
        }""",
        image,
    )
    page.locator(f'{READY}:not([data-image-id="{image}"])').wait_for()
    assert [str(read.image_id) for read in reads_of(server, "Dr Both")] == [image]


def test_a_page_that_lost_the_next_image_asks_for_it_again(server, page, enter):
    server.free_cases()
    enter(page, server, "Dr Again")
    image = open_case(page)
    page.wait_for_function("() => globalThis.ddadAhead")
    page.keyboard.press("n")
    expect(chosen(page, "Normal")).to_be_visible()
    page.evaluate("() => { globalThis.ddadAhead.key = 'of another picture'; }")
    page.keyboard.press("Control+Enter")
    page.locator(f'{READY}:not([data-image-id="{image}"])').wait_for()


def test_a_case_left_as_it_opens_makes_room_for_the_screen_asked_for(server, page, enter):
    page.add_init_script(SLOW_LINE)
    server.free_cases()
    enter(page, server, "Dr Hasty")
    page.keyboard.press("s")
    page.locator(READY).wait_for()
    page.locator(".st-key-ahead").wait_for(state="attached")
    page.evaluate("() => { window.held = []; }")  # on their way for a second
    page.get_by_role("link", name="Upload").first.click()
    page.wait_for_timeout(1000)
    page.evaluate("() => { const all = window.held; window.held = null; all.forEach((f) => f()); }")
    title = page.get_by_text("Upload radiographs")
    title.wait_for()
    page.wait_for_timeout(1500)  # whatever else was asked for meanwhile
    expect(title).to_be_visible()


def test_after_a_crash_the_page_reconnects_with_the_draft_and_the_session(server, page, enter):
    server.free_cases()
    enter(page, server, "Dr Crash")
    image = begin_read(page)
    await_draft(server, page, "Dr Crash", image, COMMENT)
    server.kill()
    page.wait_for_timeout(1000)
    server.start()
    connected = page.locator('[data-test-connection-state="CONNECTED"]')
    expect(connected).to_be_visible(timeout=40_000)
    expect(page.locator(READY)).to_have_attribute("data-image-id", image)
    expect_draft(page)
    assert not page.get_by_label("Password").is_visible()
    page.locator('[data-test-script-state="notRunning"]').wait_for()
    page.keyboard.press("Control+Enter")
    page.locator(f'{READY}:not([data-image-id="{image}"])').wait_for()
    (read,) = reads_of(server, "Dr Crash")
    assert (read.verdict, read.comment, len(read.boxes)) == ("abnormal", COMMENT, 1)


def test_two_browsers_of_one_reader_lose_neither_save(server, browser: Browser, page, enter):
    enter(page, server, "Dr Twice")
    other_context = browser.new_context(viewport={"width": 1440, "height": 900})
    other = other_context.new_page()
    other.set_default_timeout(20_000)
    enter(other, server, "Dr Twice")
    image = open_case(page)
    assert open_case(other) == image
    for one, key, verdict in ((page, "a", "Abnormal"), (other, "n", "Normal")):
        one.keyboard.press(key)
        expect(chosen(one, verdict)).to_be_visible()
        one.wait_for_timeout(300)
        one.get_by_role("button", name=SAVE).click()
        one.get_by_text(re.compile(f"Saved as {verdict.lower()}")).wait_for()
    assert [(r.image_id, r.revision, r.verdict) for r in reads_of(server, "Dr Twice")] == [
        (int(image), 1, "abnormal"),
        (int(image), 2, "normal"),
    ]
    expect(other.get_by_text("abnormal → normal")).to_be_visible()
    other_context.close()


def test_three_cases_by_keyboard_alone_are_in_the_database_as_they_were_read(server, page, enter):
    server.free_cases()
    enter(page, server, "Dr Hands")
    page.keyboard.press("s")
    case, seen = None, []
    for verdict, hide in (("n", False), ("a", True), ("u", False)):
        viewer = page.locator(f'{READY}:not([data-image-id="{case}"])')
        viewer.wait_for()
        case = viewer.get_attribute("data-image-id")
        page.locator(f".st-key-verdict-normal-{case} button").wait_for()
        page.wait_for_timeout(600)
        page.keyboard.press("i")  # the image has the focus: nobody had to go there
        assert viewer.evaluate("root => root.__ddad.state.inverted")
        if not seen:
            page.keyboard.press("m")  # stays for the cases after this one
        if hide:
            page.keyboard.press("h")
        page.keyboard.press("b")
        page.keyboard.press("Enter")
        page.get_by_text("1 box drawn").wait_for()
        page.keyboard.press(verdict)
        page.locator(
            f'[class*="st-key-verdict-"][class*="-{case}"] [data-testid="stBaseButton-primary"]'
        ).wait_for()
        expect(page.get_by_role("button", name="Save and")).to_be_enabled()
        page.wait_for_timeout(400)
        seen.append((int(case), viewer.get_attribute("data-map")))
        page.keyboard.press("Control+Enter")
    page.locator(f'{READY}:not([data-image-id="{case}"])').wait_for()
    reads = reads_of(server, "Dr Hands")
    assert [(r.image_id, r.map_name) for r in reads] == seen
    assert [r.verdict for r in reads] == ["normal", "abnormal", "uncertain"]
    assert [r.ai_visible for r in reads] == [True, False, True]
    assert [len(r.boxes) for r in reads] == [1, 1, 1]
    # Preparing the fourth case, and those before it, was not opening them.
    assert len(opened(server, "Dr Hands")) == 4
