"""Accounts in a real browser: in, out, ended, removed, and what each role is offered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.opening import open_store
from app.services.access import Access
from app.services.accounts import AccountsService
from app.services.people import Person
from app.services.signing_in import MAX_ATTEMPTS, SignInError
from app.settings import load_settings
from tests.browser.conftest import PASSWORD, Server, make_gallery
from tests.provider import provider

READY = '.ddad-viewer[data-ready="true"]'
ADMIN = Person.named("test")
ENDS_MS = 15_000


def accounts(server: Server) -> AccountsService:
    store = open_store(load_settings({"DDAD_HOME": str(server.home)}))
    return AccountsService(store, Access(store))


def fill_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def expect_signed_out(page: Page) -> None:
    """The page to sign in, and nothing of a case."""
    expect(page.get_by_label("Password", exact=True)).to_be_visible(timeout=ENDS_MS)
    assert page.locator("canvas").count() == 0
    assert "NIH" not in page.content()


@pytest.fixture
def violations(page: Page) -> list[str]:
    """What the browser refused because of the content security policy."""
    found: list[str] = []
    page.on(
        "console",
        lambda m: found.append(m.text) if "Content Security Policy" in m.text else None,
    )
    return found


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Server]:
    """A server on an empty home, not started."""
    found = Server(tmp_path / "home", make_gallery(tmp_path / "gallery", 1))
    yield found
    found.stop()


def test_a_first_start_opens_on_the_page_that_makes_the_first_account(
    bare: Server, page: Page
) -> None:
    bare.start()
    page.goto(bare.url)
    page.get_by_label("Name to sign in with").fill("ana")
    page.get_by_label("Full name").fill("Ana Ruiz")
    page.get_by_label("Password", exact=True).fill("password1234")
    page.get_by_label("Password once more").fill("password1234")
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_role("alert")).to_contain_text("too weak")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password once more").fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_text("There is no case yet")).to_be_visible()
    expect(page.get_by_role("link", name="Ana Ruiz")).to_be_visible()
    expect(page.get_by_role("link", name="Users").first).to_be_visible()
    (user,) = [one.user for one in accounts(bare).list_users(ADMIN)]
    assert "administrator" in user.roles


def test_signing_in_leads_to_where_one_was_heading(server: Server, page: Page) -> None:
    server.add_user("Dr Form", "reader")
    page.goto(f"{server.url}/thresholds")
    fill_in(page, "dr form", "wrong")
    expect(page.get_by_role("alert")).to_contain_text("Name or password is wrong.")
    page.wait_for_timeout(700)  # the delay after a first failure
    fill_in(page, "dr form")
    expect(page.get_by_text("In force:")).to_be_visible()
    assert page.url == f"{server.url}/thresholds"
    assert page.evaluate("document.cookie").find("ddad_gate") == -1


def test_a_password_set_by_others_must_be_changed_first(server: Server, page: Page) -> None:
    server.add_user("Dr New", "reader", must_change_password=True)
    page.goto(f"{server.url}/review")
    fill_in(page, "Dr New")
    page.get_by_label("Present password").wait_for()
    assert page.get_by_role("link", name="Worklist").count() == 0
    page.goto(server.url)
    page.get_by_label("Present password").fill(PASSWORD)
    page.get_by_label("New password", exact=True).fill("amber spoon river 77")
    page.get_by_label("New password once more").fill("amber spoon river 77")
    page.get_by_role("button", name="Change password").click()
    page.get_by_role("link", name="Worklist", exact=True).first.click()
    page.get_by_role("button", name="Start reading").wait_for()


def test_a_locked_account_is_told_for_how_long(server: Server, page: Page) -> None:
    server.add_user("Dr Locked")
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(SignInError):
            accounts(server).sign_in("Dr Locked", "wrong", "192.0.2.1")
    page.goto(server.url)
    fill_in(page, "Dr Locked")
    expect(page.get_by_role("alert")).to_contain_text("locked")
    expect(page.get_by_role("alert")).to_contain_text("15 min")
    accounts(server).unlock(ADMIN, server.add_user("Dr Locked").id)


def test_signing_out_in_one_tab_ends_the_others(server: Server, page: Page, enter) -> None:
    enter(page, server, "Dr Tabs")
    page.get_by_role("button", name="Start reading").click()
    page.locator(READY).wait_for()
    other = page.context.new_page()
    other.goto(server.url)
    other.get_by_role("link", name="Sign out").click()
    other.get_by_role("button", name="Sign out").click()
    expect_signed_out(other)
    expect_signed_out(page)


def test_a_removed_user_is_out_at_once(server: Server, page: Page, enter) -> None:
    enter(page, server, "Dr Gone")
    page.get_by_role("button", name="Start reading").click()
    page.locator(READY).wait_for()
    accounts(server).remove(ADMIN, server.add_user("Dr Gone").id, "left")
    began = time.monotonic()
    expect_signed_out(page)
    assert time.monotonic() - began < 6
    fill_in(page, "Dr Gone")
    expect(page.get_by_role("alert")).to_contain_text("Name or password is wrong.")


def test_an_idle_session_ends_and_its_draft_comes_back(tmp_path: Path, page: Page, enter) -> None:
    server = Server(tmp_path / "home", make_gallery(tmp_path / "gallery", 2))
    server.import_gallery()
    server.idle_seconds = 20
    server.start()
    try:
        enter(page, server, "Dr Idle")
        page.get_by_role("button", name="Start reading").click()
        page.locator(READY).wait_for()
        page.get_by_text("boxes drawn").wait_for()  # the panel is there, not the image alone
        page.get_by_role("button", name="Uncertain").click()
        chosen = page.locator('[data-testid="stBaseButton-primary"]', has_text="Uncertain")
        chosen.wait_for()
        page.get_by_label("Comment").fill("not sure yet")
        page.keyboard.press("Tab")
        page.get_by_role("button", name="Box tool").click()
        corner = page.locator("canvas.picture").bounding_box()
        assert corner is not None
        page.mouse.move(corner["x"] + 200, corner["y"] + 200)
        page.mouse.down()
        page.mouse.move(corner["x"] + 300, corner["y"] + 320, steps=4)
        page.mouse.up()
        page.get_by_text("1 box drawn").wait_for()
        label = page.locator(".ddad-title").inner_text()

        page.get_by_role("button", name="Stay signed in").wait_for()
        page.wait_for_timeout(4000)
        before = page.context.request.get(f"{server.url}/gate/session").json()["seconds_left"]
        page.get_by_role("button", name="Stay signed in").click()
        page.wait_for_timeout(500)
        after = page.context.request.get(f"{server.url}/gate/session").json()["seconds_left"]
        assert after > before + 2

        began = time.monotonic()
        page.get_by_label("Password", exact=True).wait_for(timeout=40_000)
        assert 12 < time.monotonic() - began < 30
        expect_signed_out(page)
        fill_in(page, "Dr Idle")
        # It was the review's page; there is no case open in the new session.
        page.get_by_role("link", name="Worklist").first.click()
        page.locator("button.row", has_text=label).click()
        page.locator(READY).wait_for()
        page.get_by_text("1 box drawn").wait_for()
        expect(page.get_by_label("Comment")).to_have_value("not sure yet")
        expect(chosen).to_be_visible()
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("role", "there"),
    [
        ("reader", {"Worklist", "Review", "Upload", "Thresholds"}),
        ("lead", {"Worklist", "Review", "Upload", "Thresholds", "Export"}),
        ("administrator", {"Export", "Users", "Audit"}),
        ("auditor", {"Worklist", "Review", "Thresholds", "Export", "Audit"}),
    ],
)
def test_a_role_is_offered_its_screens_alone(server: Server, page: Page, role, there) -> None:
    name = f"Only {role}"
    server.add_user(name, role)
    page.goto(server.url)
    fill_in(page, name)
    expect(page.get_by_role("link", name=name)).to_be_visible()
    everything = ("Worklist", "Review", "Upload", "Thresholds", "Export", "Users", "Audit")
    expect(page.get_by_role("link", name=sorted(there)[0], exact=True).first).to_be_visible()
    seen = {one for one in everything if page.get_by_role("link", name=one, exact=True).count()}
    assert seen == there
    if role == "administrator":
        page.goto(f"{server.url}/review")
        expect(page.get_by_role("link", name=name)).to_be_visible()
        assert page.locator("canvas.picture").count() == 0 and "NIH" not in page.content()
        return
    page.goto(f"{server.url}/thresholds")
    page.get_by_text("In force:").wait_for()
    page.wait_for_timeout(1500)
    assert page.get_by_role("button", name="Put in force").count() == (role == "lead")
    page.goto(server.url)
    page.get_by_role("button", name="Start reading").click()
    page.locator(READY).wait_for()
    page.get_by_text("calibration normals score lower").wait_for()
    page.wait_for_timeout(1500)
    assert bool(page.get_by_role("button", name="Save Shortcut Ctrl + S").count()) == (
        role != "auditor"
    )


def test_every_screen_works_under_the_content_policy(
    server: Server, page: Page, enter, violations: list[str]
) -> None:
    enter(page, server, "Dr Policy", "lead", "administrator", "auditor", "reader")
    page.get_by_role("button", name="Start reading").click()
    page.locator(READY).wait_for()
    for link, proof in (
        ("Upload", "Upload radiographs"),
        ("Export", "Make the export"),
        ("Users", "New account"),
        ("Audit", "Check the chain"),
    ):
        page.get_by_role("link", name=link, exact=True).first.click()
        page.get_by_text(proof).first.wait_for()
    page.get_by_role("link", name="Thresholds", exact=True).first.click()
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    page.get_by_role("link", name="Dr Policy").click()
    page.get_by_text("Open sessions").wait_for()
    assert violations == []


def test_the_demonstration_says_what_it_is_on_every_page(bare: Server, page: Page) -> None:
    bare.environ |= {"DDAD_DEMO": "1", "DDAD_DEMO_HOME": str(bare.home.parent / "demo")}
    bare.import_gallery()
    bare.start()
    for screen in ("", "review", "upload", "thresholds", "export", "audit"):
        page.goto(f"{bare.url}/{screen}")
        expect(page.get_by_text("Demonstration without accounts")).to_be_visible()
    page.goto(bare.url)
    page.get_by_role("button", name="Start reading").click()
    page.locator(READY).wait_for()
    expect(page.get_by_text("Demonstration without accounts")).to_be_visible()
    assert page.get_by_role("link", name="Users").count() == 0
    assert not bare.home.exists()


def test_single_sign_on_in_the_browser(bare: Server, browser: Browser, page: Page) -> None:
    with provider() as idp:
        idp.know("ben", preferred_username="ben", name="Ben Okafor", roles=["cxr-readers"])
        idp.know("eve", preferred_username="eve", name="Eve", roles=[])
        bare.environ |= idp.settings(bare.url)
        bare.add_user("ana")
        bare.start()
        for subject in ("eve", "ben"):
            page.goto(f"{bare.url}/thresholds")
            page.get_by_role("link", name="Sign in by the hospital's sign-in").click()
            page.get_by_placeholder("sub").fill(subject)
            page.get_by_role("button", name="Authorize").click()
            if subject == "eve":
                expect(page.get_by_role("alert")).to_contain_text("no role")
        expect(page.get_by_role("link", name="Ben Okafor")).to_be_visible()
        assert page.url == f"{bare.url}/thresholds"
        names = {cookie["name"] for cookie in page.context.cookies()}
        assert not any(name.startswith("_streamlit_user") for name in names)
        page.get_by_role("link", name="Sign out").click()
        page.get_by_role("button", name="Sign out").click()
        expect_signed_out(page)
