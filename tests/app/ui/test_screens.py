"""Every screen, driven as a reader drives it, on a real database and real images."""

from __future__ import annotations

import gc
import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import pytest
import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from app import gate
from app.services.intake import IntakeService
from app.services.models import ModelService
from app.services.people import Person
from app.services.reading import CaseView, ReadingService
from app.settings import REPOSITORY
from app.store.account_records import Role
from app.ui.screens import upload
from tests.eight_maps import take_calibration

MAIN = REPOSITORY / "app" / "main.py"
DISCLAIMER = "Not a medical device"
IN_ORDER = ("NIH 00003391_001", "NIH 00000150_002", "NIH 00001426_000")  # highest score first


ENSURE_GUARDED = gate.ensure_guarded
ACTING: dict[str, Person] = {}
"""Who the gate says is signed in."""


class Page:
    """One browser tab. Every run checks that nothing went wrong unnoticed."""

    def __init__(self) -> None:
        self.at = AppTest.from_file(str(MAIN), default_timeout=30)
        self.run()

    def run(self) -> Page:
        self.at.run()
        assert [e.value for e in self.at.exception] == []
        return self

    def enter(self, name: str = "Ana Ruiz", *roles: Role) -> Page:
        """Be somebody from now on, as the gate would say."""
        ACTING["person"] = Person.named(name, *roles)
        return self.run()

    def press(self, label: str) -> Page:
        self.button(label).click()
        return self.run()

    def press_key(self, key: str) -> Page:
        self.at.button(key=key).click()
        return self.run()

    def button(self, label: str) -> Any:
        (found,) = [b for b in self.at.button if b.label == label]
        return found

    def go(self, screen: str) -> Page:
        self.at._page_hash = calc_hash(screen)
        self.run()
        self.at._page_hash = ""
        return self

    def upload(self, *files: tuple[str, bytes, str]) -> Page:
        """Hand files over and wait until all have an outcome."""
        self.at.file_uploader[0].set_value(list(files))
        self.run()
        for _ in range(400):
            if not any(b.label == "Stop" for b in self.at.button):
                return self
            time.sleep(0.05)
            self.run()
        pytest.fail("The upload does not end.")

    @property
    def html(self) -> str:
        return "\n".join(h.proto.body for h in self.at.get("html") if "<style>" not in h.proto.body)

    @property
    def text(self) -> str:
        """Everything there is to read, but for widgets."""
        parts = [self.html]
        for kind in ("caption", "info", "error", "warning", "markdown", "toast"):
            parts += [str(element.value) for element in getattr(self.at, kind)]
        return "\n".join(parts)

    @property
    def errors(self) -> list[str]:
        return [e.value for e in self.at.error]

    def case(self) -> str:
        """The label of the case on the review screen."""
        return self.html.partition('ddad-title">')[2].partition("<")[0]

    def verdict(self) -> str | None:
        """The verdict that is highlighted."""
        chosen = [
            b.label
            for b in self.at.button
            if (b.key or "").startswith("verdict-") and b.proto.type == "primary"
        ]
        return chosen[0] if chosen else None

    def widget(self, kind: str, start: str) -> Any:
        (found,) = [w for w in getattr(self.at, kind) if (w.key or "").startswith(start)]
        return found


@pytest.fixture
def screens(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    ACTING.clear()
    monkeypatch.setattr(gate, "ensure_guarded", lambda address: None)
    monkeypatch.setattr(gate, "who_acts", lambda cookies: ACTING.get("person"))
    # Loading networks on a thread of its own would outlive the test.
    monkeypatch.setattr(ModelService, "warm_up", lambda _: None)
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


def environment(monkeypatch: pytest.MonkeyPatch, home: Path, gallery: Path) -> None:
    for name in ("DDAD_DATABASE_URL", "DDAD_WEIGHTS", "DDAD_DEMO", "PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DDAD_HOME", str(home))
    monkeypatch.setenv("DDAD_GALLERY", str(gallery))
    monkeypatch.setenv("DDAD_DEVICE", "cpu")


@pytest.fixture
def page(
    screens: None, monkeypatch: pytest.MonkeyPatch, loaded_home: Path, small_gallery: Path
) -> Page:
    """Ana at the worklist of three cases."""
    environment(monkeypatch, loaded_home, small_gallery)
    return Page().enter()


@pytest.fixture
def empty_page(
    screens: None, monkeypatch: pytest.MonkeyPatch, home: Path, small_gallery: Path
) -> Page:
    """Ana at an empty worklist."""
    environment(monkeypatch, home, small_gallery)
    return Page().enter()


def stored(home: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(home / "ddad.sqlite") as connection:
        return connection.execute(query).fetchall()


READS = "SELECT reader, verdict, confidence, findings, comment, revision FROM reads ORDER BY id"


# The first page


def test_signed_out_no_screen_shows_anything(
    screens: None, monkeypatch: pytest.MonkeyPatch, loaded_home: Path, small_gallery: Path
) -> None:
    environment(monkeypatch, loaded_home, small_gallery)
    page = Page()
    for screen in ("", "worklist", "review", "upload", "thresholds", "export", "users", "audit"):
        page.go(screen)
        assert len(page.errors) == 1 and "You are signed out." in page.errors[0]
        assert "NIH" not in page.text and "unread" not in page.text
        assert len(page.at.button) == len(page.at.text_input) == 0


@pytest.mark.parametrize(
    ("role", "first", "refused"),
    [
        ("reader", "unread", ("export", "users", "audit")),
        ("arbiter", "unread", ("export", "users", "audit")),
        ("lead", "unread", ("users", "audit")),
        ("administrator", "Accounts", ("review", "upload", "thresholds")),
        ("auditor", "unread", ("upload", "users")),
    ],
)
def test_screens_that_a_role_may_not_see_are_not_there(
    page: Page, role: Role, first: str, refused: tuple[str, ...]
) -> None:
    page.enter("Somebody", role)
    assert first in page.text
    for screen in refused:
        page.go(screen)  # an unknown page leads to the first one
        assert first in page.text, screen


def test_a_reader_sees_thresholds_but_cannot_change_them(page: Page) -> None:
    assert any(b.label == "Put in force …" for b in page.go("thresholds").at.button)
    page.enter("Somebody", "reader").go("thresholds")
    assert "In force:" in page.text
    assert not any(b.label.startswith(("Put in force", "Go back")) for b in page.at.button)


def test_an_auditor_sees_cases_but_cannot_read_them(page: Page) -> None:
    page.enter("Somebody", "auditor").press("Start reading")
    assert page.case() == IN_ORDER[0]
    assert not any(b.label.startswith(("Save", "Normal", "Abnormal")) for b in page.at.button)
    assert len(page.at.text_area) == 0


def test_the_demonstration_says_what_it_is_on_every_page(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Demonstration without accounts" not in page.text
    monkeypatch.setattr(gate, "is_demonstration", lambda: True)
    for screen in ("worklist", "review", "upload", "thresholds", "export", "audit"):
        page.go(screen)
        assert "Demonstration without accounts" in page.text, screen
        assert page.text.count(DISCLAIMER) == 1


def test_a_password_set_by_others_leads_to_the_account_alone(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "must_change_password", lambda cookies: True)
    for screen in ("", "worklist", "review", "users"):
        page.go(screen)
        assert "unread" not in page.text and "NIH" not in page.text


# The worklist


def test_worklist_counts_and_leads_to_the_first_unread_case(page: Page) -> None:
    assert "3 shown of 3 · 3 unread · " in page.html
    assert DISCLAIMER not in page.text
    page.press("Start reading")
    assert page.case() == IN_ORDER[0] and "1 of 3" in page.html


def test_worklist_filter_and_search_narrow_what_is_shown(page: Page) -> None:
    page.press("Start reading").press("Normal").press("Save and next").go("worklist")
    assert "3 shown of 3 · 2 unread" in page.html
    page.at.button_group(key="worklist-show").set_value("Unread")
    assert "2 shown of 3 · 2 unread" in page.run().html
    page.at.text_input(key="worklist-search").set_value("00001426")
    assert "1 shown of 3" in page.run().html
    page.press("Start reading")
    assert page.case() == IN_ORDER[2] and "1 of 1" in page.html


def test_worklist_without_a_match_says_how_to_get_out(page: Page) -> None:
    page.at.text_input(key="worklist-search").set_value("no such thing")
    page.run()
    assert "No case matches" in page.at.info[0].value
    assert page.button("Start reading").disabled


def test_sorting_changes_the_reading_order(page: Page) -> None:
    page.at.selectbox(key="worklist-sort").set_value("Name")
    page.run().press("Start reading")
    assert page.case() == IN_ORDER[1] and "1 of 3" in page.html


def test_empty_database_has_an_empty_state_on_every_screen(empty_page: Page) -> None:
    page = empty_page
    assert "There is no case yet. Add radiographs on the Upload screen." in page.text
    assert "0 shown of 0" in page.html and page.button("Start reading").disabled
    assert "No case is open" in page.go("review").text
    page.press("Go to the worklist")
    assert "There is no case yet" in page.text
    assert "has scored no case yet" in page.go("thresholds").text
    assert "There is no read yet" in page.go("export").text
    assert page.go("upload").errors == []


# Review


def test_read_is_stored_as_it_was_entered(page: Page, loaded_home: Path) -> None:
    page.press("Start reading")
    for button in ("Save", "Save and next"):
        assert page.press(button).errors == ["Choose a verdict first."]
    page.press("Abnormal")
    page.widget("button_group", "confidence-").set_value(4)
    page.widget("multiselect", "findings-").set_value(["Consolidation", "Pleural effusion"])
    page.widget("text_area", "comment-").set_value("right base")
    page.press("Save")
    assert stored(loaded_home, READS) == [
        ("Ana Ruiz", "abnormal", 4, '["Consolidation", "Pleural effusion"]', "right base", 1)
    ]
    assert page.case() == IN_ORDER[0] and "abnormal saved." in page.text
    (circumstances,) = stored(
        loaded_home,
        "SELECT map_name, ai_visible, model_name, seconds_to_verdict > 0, threshold > 0 FROM reads",
    )
    assert circumstances == ("ratio", 1, "nih-ae-u", 1, 1)


def test_comment_typed_just_before_saving_is_saved(page: Page, loaded_home: Path) -> None:
    page.press("Start reading").press("Normal")
    page.widget("text_area", "comment-").set_value("typed last")
    page.press("Save and next")
    assert [row[4] for row in stored(loaded_home, READS)] == ["typed last"]


def test_saving_leads_to_the_next_case_and_at_the_end_back(page: Page, loaded_home: Path) -> None:
    page.press("Start reading")
    seen = []
    for label in ("Save and next", "Save and next", "Save and finish"):
        seen.append(page.case())
        assert page.verdict() is None  # the next case starts without the last one's verdict
        page.press("Normal").press(label)
    assert tuple(seen) == IN_ORDER
    assert "3 shown of 3 · 0 unread" in page.html
    assert page.button("Start reading").disabled
    assert stored(loaded_home, "SELECT count(DISTINCT image_id), count(*) FROM reads") == [(3, 3)]


def test_saved_read_is_shown_again_and_amended_as_a_revision(page: Page, loaded_home: Path) -> None:
    page.press("Start reading").press("Abnormal").press("Save").press("Normal").press("Save")
    assert [(row[1], row[5]) for row in stored(loaded_home, READS)] == [
        ("abnormal", 1),
        ("normal", 2),
    ]
    assert page.verdict() == "Normal" and "revision 2" in page.text
    assert "1. " in page.html and "2. " in page.html
    page.press_key("step-next").press_key("step-previous")
    assert page.verdict() == "Normal"


def test_draft_survives_moving_away_and_back(page: Page, loaded_home: Path) -> None:
    page.press("Start reading").press("Uncertain")
    page.widget("button_group", "confidence-").set_value(2)
    page.widget("multiselect", "findings-").set_value(["Nodule or mass"])
    page.widget("text_area", "comment-").set_value("not sure")
    page.run().press_key("step-next")
    assert page.case() == IN_ORDER[1] and page.verdict() is None
    assert page.widget("text_area", "comment-").value == ""
    page.press_key("step-previous")
    for _ in range(2):
        assert page.case() == IN_ORDER[0] and page.verdict() == "Uncertain"
        assert page.widget("button_group", "confidence-").value == 2
        assert page.widget("multiselect", "findings-").value == ["Nodule or mass"]
        assert page.widget("text_area", "comment-").value == "not sure"
        page.go("export").go("review")
    assert stored(loaded_home, READS) == []


def test_comment_typed_just_before_moving_on_is_kept(page: Page) -> None:
    """Leaving the field and pressing the button can reach the server as one."""
    page.press("Start reading")
    page.widget("text_area", "comment-").set_value("typed last")
    page.press_key("step-next").press_key("step-previous")
    assert page.widget("text_area", "comment-").value == "typed last"


def alive(kind: type) -> int:
    gc.collect()
    return sum(type(found) is kind for found in gc.get_objects())


def test_a_session_holds_one_case_however_many_it_has_shown(page: Page) -> None:
    """A case has megabytes of pixels, and Streamlit keeps what its widgets were given."""
    before = alive(CaseView)
    page.press("Start reading").press_key("step-next").press_key("step-next")
    assert page.case() == IN_ORDER[2]
    assert alive(CaseView) - before == 1


def test_confidence_can_be_taken_back(page: Page, loaded_home: Path) -> None:
    page.press("Start reading").press("Normal")
    page.widget("button_group", "confidence-").set_value(3)
    page.run()
    page.widget("button_group", "confidence-").set_value(None)
    page.run().press("Save")
    assert [row[2] for row in stored(loaded_home, READS)] == [None]


def test_ends_of_the_list_have_no_further_step(page: Page) -> None:
    page.press("Start reading")
    assert page.at.button(key="step-previous").disabled
    page.press_key("step-next").press_key("step-next")
    assert page.case() == IN_ORDER[2] and page.at.button(key="step-next").disabled


def test_other_model_brings_its_own_score_threshold_and_warning(page: Page) -> None:
    page.press("Start reading")
    assert "of 50 calibration normals" in page.html
    titles = page.widget("selectbox", "model-").options
    assert [title for title in titles if title.startswith("By age: ")] == [
        "By age: AE-U for adults (NIH ChestX-ray14)"
    ]
    page.widget("selectbox", "model-").set_value("kermany-ae-u")
    page.run()
    assert "of 100 calibration normals" in page.html
    assert "55 years old; this model was trained on ages 1 to 5" in page.html
    page.press("Normal").press("Save")
    page.press_key("step-next").press_key("step-previous")
    assert "of 100 calibration normals" in page.html  # the choice stays with the case


def test_image_is_attributed_where_it_is_shown(page: Page) -> None:
    assert "NIH Clinical Center, ChestX-ray14" in page.press("Start reading").text


def test_comment_is_shown_as_text_never_as_markup(page: Page) -> None:
    page.press("Start reading").press("Normal")
    page.widget("text_area", "comment-").set_value("<img src=x onerror=alert(1)>")
    page.press("Save")
    page.widget("text_area", "comment-").set_value("<img src=y>")
    page.press("Save")
    assert "&lt;img src=x" in page.html and "<img" not in page.html


def test_next_reader_at_the_same_screen_sees_nothing_of_the_last(
    page: Page, loaded_home: Path
) -> None:
    page.press("Start reading").press("Abnormal").press("Save").press_key("step-next")
    page.press("Uncertain")
    page.go("worklist").enter("Ben Okafor")
    assert "3 unread" in page.html
    page.go("review")
    assert page.verdict() is None
    if page.case():
        page.press_key("step-previous")
        assert page.verdict() is None and "Saved as abnormal" not in page.text


# Drafts


DRAFTS = "SELECT reader, image_id, content FROM drafts"


def test_a_draft_outlives_the_session(page: Page, loaded_home: Path) -> None:
    page.press("Start reading").press("Uncertain")
    page.widget("button_group", "confidence-").set_value(2)
    page.widget("multiselect", "findings-").set_value(["Nodule or mass"])
    page.widget("text_area", "comment-").set_value("not sure")
    page.run()
    ((reader, _, _),) = stored(loaded_home, DRAFTS)
    assert reader == "Ana Ruiz"

    other = Page().enter("Ben Okafor").press("Start reading")
    # Ana has the first case open; nobody else starts with it.
    assert other.case() == IN_ORDER[1] and other.verdict() is None
    again = Page().enter().press("Start reading")
    assert again.case() == IN_ORDER[0] and again.verdict() == "Uncertain"
    assert again.widget("button_group", "confidence-").value == 2
    assert again.widget("multiselect", "findings-").value == ["Nodule or mass"]
    assert again.widget("text_area", "comment-").value == "not sure"
    again.press("Save")
    assert stored(loaded_home, DRAFTS) == []
    assert stored(loaded_home, READS)[0][:5] == (
        "Ana Ruiz",
        "uncertain",
        2,
        '["Nodule or mass"]',
        "not sure",
    )


def test_a_draft_is_written_when_it_changes_and_only_then(
    page: Page, loaded_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = []
    keep = ReadingService.keep_draft
    monkeypatch.setattr(
        ReadingService, "keep_draft", lambda *args: (writes.append(args[2:]), keep(*args))[1]
    )
    page.press("Start reading").run()
    assert writes == []
    page.press("Normal").run().run()
    assert len(writes) == 1 and writes[0][1]["verdict"] == "normal"
    page.widget("text_area", "comment-").set_value("typed last")
    page.press_key("step-next")
    assert len(writes) == 2 and writes[1][1]["comment"] == "typed last"
    assert [row[1] for row in stored(loaded_home, DRAFTS)] == [writes[0][0]]


def test_a_draft_changed_back_to_the_saved_read_is_forgotten(page: Page, loaded_home: Path) -> None:
    page.press("Start reading").press("Normal").press("Save").press("Abnormal")
    assert len(stored(loaded_home, DRAFTS)) == 1
    page.press("Normal")
    assert stored(loaded_home, DRAFTS) == []


def test_boxes_of_a_draft_come_back(page: Page, loaded_home: Path) -> None:
    page.press("Start reading").press("Normal")
    ((_, image_id, content),) = stored(loaded_home, DRAFTS)
    box = {"x": 10.0, "y": 20.0, "width": 30.0, "height": 40.0, "label": "here"}
    changed = json.dumps({**json.loads(content), "boxes": [box]})
    with sqlite3.connect(loaded_home / "ddad.sqlite") as connection:
        connection.execute("UPDATE drafts SET content = ?", (changed,))
    again = Page().enter().press("Start reading")
    assert "1 box drawn" in again.text
    again.press("Save")
    boxes = stored(loaded_home, "SELECT x, y, width, height, label FROM boxes")
    assert boxes == [(10.0, 20.0, 30.0, 40.0, "here")]


# Upload


def test_upload_tells_what_became_of_each_file_and_why(
    empty_page: Page, home: Path, small_png: Callable[[int], bytes], ct_bytes: bytes
) -> None:
    page = empty_page.go("upload")
    page.upload(
        ("good.png", small_png(1), "image/png"),
        ("notes.txt", b"Patient doing well.", "text/plain"),
        ("ct.dcm", ct_bytes, "application/dicom"),
        ("again.png", small_png(1), "image/png"),
        ("empty.png", b"", "image/png"),
    )
    table = page.at.dataframe[0].value
    assert list(zip(table["File"], table["Outcome"], strict=True)) == [
        ("good.png", "Scored"),
        ("notes.txt", "Refused"),
        ("ct.dcm", "Refused"),
        ("again.png", "Already here"),
        ("empty.png", "Refused"),
    ]
    reasons = dict(zip(table["File"], table["Reason"], strict=True))
    assert "text file" in reasons["notes.txt"] and "CT" in reasons["ct.dcm"]
    assert "empty" in reasons["empty.png"] and reasons["good.png"] == ""
    assert "1 scored · 1 already here · 3 refused" in page.html
    assert stored(home, "SELECT count(*), min(origin), min(added_by) FROM images") == [
        (1, "upload", "Ana Ruiz")
    ]
    page.run()
    assert len(page.at.dataframe[0].value) == 5  # nothing is taken in twice
    page.press("Read 1 case")
    assert page.case().startswith("CXR-") and "1 of 1" in page.html


def test_streamlit_lets_go_of_files_on_their_way_in(
    empty_page: Page, small_png: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real manager holds them until the session ends; a page under test has none."""
    manager = create_autospec(MemoryUploadedFileManager, instance=True)
    run = SimpleNamespace(session_id="this session", uploaded_file_mgr=manager)
    monkeypatch.setattr(upload, "get_script_run_ctx", lambda: run)
    files = [(f"{i}.png", small_png(i), "image/png") for i in (1, 2)]
    page = empty_page.go("upload").upload(*files)
    assert "2 scored" in page.html
    removed = [call.kwargs for call in manager.remove_file.call_args_list]
    assert {one["session_id"] for one in removed} == {"this session"}
    assert len({one["file_id"] for one in removed}) == len(removed) == 2


def test_file_name_is_no_formula_in_the_downloaded_outcomes(
    empty_page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads: list[bytes] = []
    monkeypatch.setattr(st, "download_button", lambda _, data, *a, **k: downloads.append(data))
    page = empty_page.go("upload")
    page.upload(("=1+1.txt", b"hello there", "text/plain"))
    assert "\n'=1+1.txt,Refused" in downloads[-1].decode("utf-8-sig").replace('"', "")


def test_only_refused_files_leave_nothing_to_read(empty_page: Page, home: Path) -> None:
    page = empty_page.go("upload")
    page.upload(("notes.txt", b"hello there", "text/plain"))
    assert page.button("Read 0 cases").disabled
    page.press("Clear list")
    assert len(page.at.dataframe) == 0
    assert stored(home, "SELECT count(*) FROM images") == [(0,)]


def test_failing_disk_is_told_in_a_sentence(
    empty_page: Page, small_png: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(IntakeService, "_finish", fail)
    page = empty_page.go("upload")
    page.upload(("good.png", small_png(1), "image/png"))
    (told,) = [w.value for w in page.at.warning]
    assert "No space left on device" in told and "1 of 1 files were not taken in" in told
    assert page.at.file_uploader[0].value == []


# Thresholds


def figures(page: Page) -> dict[str, str]:
    found = {}
    for part in page.html.split('<div class="ddad-figure"><small>')[1:]:
        name, _, rest = part.partition("</small><b>")
        found[name] = rest.partition("</b>")[0]
    return found


def put_in_force(page: Page, reason: str) -> Page:
    """Ask for the change and confirm it, on as few cases as there are."""
    if not any(t.key == "change-reason" for t in page.at.text_input):
        page.press("Put in force …")
    page.at.text_input(key="change-override").set_value("a trial on three cases")
    page.at.text_input(key="change-reason").set_value(reason)
    return page.press("Put in force")


def test_slider_moves_the_numbers(page: Page) -> None:
    page.go("thresholds")
    page.at.button_group[0].set_value("Reference labels that came with the gallery")
    page.run()
    slider = page.at.slider[0]
    seen = {}
    for end in ("min", "max"):
        page.at.slider[0].set_value(getattr(slider, end))
        found = figures(page.run())
        seen[end] = (found["Flagged"], found["Sensitivity"], found["Specificity"])
        assert found["Calibration normals flagged"] == {"min": "100%", "max": "0%"}[end]
    assert seen == {"min": ("3 of 3", "1.00", "0.00"), "max": ("0 of 3", "0.00", "1.00")}
    assert figures(page)["AUC"] in {"0.000", "0.500", "1.000"}


def test_without_reads_there_is_no_auc_and_a_reason_why(page: Page) -> None:
    page.go("thresholds")
    assert figures(page)["AUC"] == "–" and figures(page)["Sensitivity"] == "–"
    assert "0 normal and 0 abnormal" in page.html


def test_new_operating_point_needs_a_reason_and_is_then_in_force(
    page: Page, loaded_home: Path
) -> None:
    page.go("thresholds")
    assert "the model's own" in page.text
    page.at.slider[0].set_value(page.at.slider[0].min)
    page.run()
    put_in_force(page, "")
    assert len(page.errors) == 1 and "needs a reason" in page.errors[0]
    assert stored(loaded_home, "SELECT count(*) FROM operating_points") == [(0,)]
    put_in_force(page, "flag everything for a trial")
    assert page.errors == []
    assert stored(loaded_home, "SELECT version, set_by, reason FROM operating_points") == [
        (1, "Ana Ruiz", "flag everything for a trial")
    ]
    assert "version 1, set by Ana Ruiz" in page.text and "Version 1 is in force" in page.text
    assert list(page.at.dataframe[0].value["Version"]) == [1]
    assert "3 at or above their model's operating point" in page.go("worklist").html
    page.press("Start reading")
    assert "version 1" in page.text and "Not flagged" not in page.html


def test_threshold_screen_runs_no_network(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ModelService, "score", lambda *_: pytest.fail("A network ran."))
    page.go("thresholds")
    page.at.slider[0].set_value(page.at.slider[0].max)
    assert figures(page.run())["Flagged"] == "0 of 3"


# Export


def test_export_counts_rows(page: Page) -> None:
    page.press("Start reading").press("Normal").press("Save").press("Abnormal").press("Save")
    page.go("export")
    counts = [part.partition("<")[0] for part in page.html.split('ddad-figure">')[1:]]
    assert (
        counts[2:7] == ["2 rows", "0 rows", "0 rows", "3 rows", "0 rows"] and counts[0] == "3 rows"
    )
    assert page.at.get("download_button") == []
    page.press("Make the export")
    assert len(page.at.get("download_button")) == 1
    page.at.toggle(key="export-latest").set_value(True)
    assert page.run().at.get("download_button") == []  # another wish, another file
    assert "There is no read yet" not in page.text


# What goes wrong


def test_missing_pixels_are_a_sentence_and_the_worklist_still_works(
    page: Page, loaded_home: Path
) -> None:
    shutil.rmtree(loaded_home / "images")
    page.press("Start reading")
    assert len(page.errors) == 1 and "are missing" in page.errors[0]
    assert "backup" in page.errors[0] and "Traceback" not in page.text
    assert "3 shown of 3" in page.go("worklist").html


def test_damaged_database_is_a_sentence(page: Page, loaded_home: Path) -> None:
    (loaded_home / "ddad.sqlite").write_bytes(b"this is no database" * 1000)
    page.run()
    assert len(page.errors) == 1 and "database" in page.errors[0]
    assert "Traceback" not in page.text


def test_unusable_setting_is_a_sentence(
    screens: None, monkeypatch: pytest.MonkeyPatch, home: Path, small_gallery: Path
) -> None:
    environment(monkeypatch, home, small_gallery)
    monkeypatch.setenv("DDAD_DEVICE", "gpu")
    page = Page().enter()
    assert len(page.errors) == 1 and "DDAD_DEVICE is 'gpu'" in page.errors[0]
    assert len(page.at.text_input) == 0


def test_app_started_past_its_gate_refuses(
    screens: None, monkeypatch: pytest.MonkeyPatch, loaded_home: Path, small_gallery: Path
) -> None:
    environment(monkeypatch, loaded_home, small_gallery)
    monkeypatch.setattr(gate, "ensure_guarded", ENSURE_GUARDED)
    monkeypatch.setattr(gate, "_serving", None)
    page = Page().enter()
    assert len(page.errors) == 1 and "without its access gate" in page.errors[0]
    assert len(page.at.text_input) == 0


# Models with every map, and without calibration


@pytest.fixture
def r_dual_page(
    screens: None,
    monkeypatch: pytest.MonkeyPatch,
    loaded_home: Path,
    small_gallery: Path,
    eight_maps: Path,
) -> Page:
    """Ana at the worklist, where R_dual is the score of the model for adults."""
    environment(monkeypatch, loaded_home, small_gallery)
    monkeypatch.setenv("DDAD_WEIGHTS", str(eight_maps))
    return Page().enter()


@pytest.fixture
def uncalibrated_page(
    screens: None,
    monkeypatch: pytest.MonkeyPatch,
    loaded_home: Path,
    small_gallery: Path,
    weights: Path,
) -> Page:
    """Ana at the worklist, whose model for adults has no calibration."""
    environment(monkeypatch, loaded_home, small_gallery)
    monkeypatch.setenv("DDAD_WEIGHTS", str(take_calibration(weights)))
    return Page().enter()


def test_every_screen_names_the_score_of_the_model(r_dual_page: Page) -> None:
    page = r_dual_page.press("Start reading")
    assert "R_dual = 0." in page.html and "Operating point: R_dual ≥ 0.46" in page.text
    assert "A_inter =" not in page.html and "A_inter ≥" not in page.text
    assert "<b>R_dual</b>" in page.html and "<td>A_inter</td>" in page.html  # its terms
    page.go("thresholds")
    slider = page.at.slider[0]
    assert slider.label == "A case is flagged when R_dual is at least"
    assert 0 <= slider.min < slider.value == 0.46 < slider.max < 1.02
    assert "In force: R_dual ≥ 0.46" in page.text and "A_inter" not in page.text
    slider.set_value(slider.min)
    page.run()
    assert "Version 1 is in force for nih-ae-u: R_dual ≥" in put_in_force(page, "trial").text
    assert "3 at or above" in page.go("worklist").html


def test_threshold_below_zero_can_be_put_in_force_for_log_ratios(page: Page) -> None:
    page.press("Start reading")
    page.widget("selectbox", "model-").set_value("kermany-ae-u-128")
    page.run()
    assert "A_ratio = " in page.html and "of 100 calibration normals" in page.html
    page.go("thresholds")
    page.at.selectbox(key="thresholds-model").set_value("kermany-ae-u-128")
    slider = page.run().at.slider[0]
    assert slider.label == "A case is flagged when A_ratio is at least"
    assert slider.min < slider.value < 0 and slider.value < slider.max
    slider.set_value(slider.min)
    page.run()
    assert figures(page)["Calibration normals flagged"] == "100%"
    assert "A_ratio ≥ -" in put_in_force(page, "trial").text and page.errors == []


def test_read_without_touching_the_viewer_keeps_the_default_map(
    r_dual_page: Page, loaded_home: Path
) -> None:
    r_dual_page.press("Start reading").press("Normal").press("Save")
    kept = stored(loaded_home, "SELECT map_name, pixel_threshold, round(score, 1) < 1 FROM reads")
    assert kept == [("c_inter", 0.6, 1)]


def test_uncalibrated_model_is_a_sentence_on_every_screen(
    uncalibrated_page: Page, loaded_home: Path
) -> None:
    page = uncalibrated_page
    assert "3 shown of 3 · 3 unread · 0 at or above" in page.html and page.errors == []
    page.press("Start reading")
    (info,) = page.at.info
    assert "is not calibrated, so it calls nothing abnormal. Choose another model" in info.value
    assert 'class="ddad-score"' not in page.html and "calibration normals" not in page.text
    page.press("Abnormal").press("Save")
    assert stored(loaded_home, "SELECT verdict, model_name, map_name, ai_visible FROM reads") == [
        ("abnormal", None, None, 0)
    ]
    page.widget("selectbox", "model-").set_value("kermany-ae-u")
    page.run()
    assert len(page.at.info) == 0 and "of 100 calibration normals" in page.html
    page.go("thresholds")
    assert len(page.errors) == 1 and "is not calibrated" in page.errors[0]
    page.at.selectbox(key="thresholds-model").set_value("kermany-ae-u")
    assert page.run().errors == [] and len(page.at.slider) == 1
    assert page.go("export").errors == []


def test_upload_for_an_uncalibrated_model_says_that_it_was_not_scored(
    uncalibrated_page: Page, small_png: Callable[[int], bytes]
) -> None:
    page = uncalibrated_page.go("upload")
    page.upload(("good.png", small_png(1), "image/png"))
    (row,) = page.at.dataframe[0].value.to_dict("records")
    assert row["Outcome"] == "Kept, not scored" and "is not calibrated" in row["Reason"]
    page.press("Read 1 case")
    assert "is not calibrated" in page.at.info[0].value


# The images beside a case


@pytest.fixture
def related_page(
    screens: None, monkeypatch: pytest.MonkeyPatch, loaded_home: Path, small_gallery: Path
) -> Page:
    """Ana at three cases of one patient, the first two in the order also in conflict."""
    with sqlite3.connect(loaded_home / "ddad.sqlite") as connection:
        connection.execute("UPDATE images SET patient = 'P-0123456789ABC'")
        connection.execute(
            "UPDATE images SET instance = 'I-1', conflict = 1 WHERE label IN (?, ?)", IN_ORDER[:2]
        )
    environment(monkeypatch, loaded_home, small_gallery)
    return Page().enter()


def links(page: Page, kind: str) -> list[str]:
    return [b.label for b in page.at.button if (b.key or "").startswith(f"{kind}-")]


def test_review_warns_of_a_conflict_and_opens_the_other_case(related_page: Page) -> None:
    page = related_page.press("Start reading")
    assert "Conflict: another case has the same SOP Instance UID" in page.html
    (link,) = links(page, "conflict")
    assert link.startswith(IN_ORDER[1]) and link.endswith("unread")
    page.press_key(next(b.key for b in page.at.button if (b.key or "").startswith("conflict-")))
    assert page.case() == IN_ORDER[1] and "2 of 3" in page.html


def test_review_lists_the_patients_other_images_with_their_status(related_page: Page) -> None:
    page = related_page.press("Start reading").press("Abnormal").press("Save and next")
    assert page.case() == IN_ORDER[1] and "P-0123456789ABC" in page.html
    assert len(links(page, "patient")) == 2
    (first,) = [link for link in links(page, "patient") if link.startswith(IN_ORDER[0])]
    assert first.endswith("abnormal")


def test_review_of_a_case_that_stands_alone_shows_no_links(page: Page) -> None:
    page.press("Start reading")
    assert links(page, "conflict") + links(page, "patient") == []
    assert "Conflict" not in page.html


def test_a_policy_moves_the_slider_and_is_on_record(page: Page, loaded_home: Path) -> None:
    page.go("thresholds")
    page.at.selectbox(key="policy").set_value("At most some normals flagged")
    page.run()
    assert "A new normal like the" in page.html
    put_in_force(page, "as agreed in the meeting")
    ((policy, threshold),) = stored(loaded_home, "SELECT policy, threshold FROM operating_points")
    assert policy == "At most 10.0% of normals flagged"
    slider = page.at.slider[0]
    assert slider.value == pytest.approx(threshold)


def test_a_policy_without_cases_says_why_and_leaves_the_slider(page: Page) -> None:
    page.go("thresholds")
    before = page.at.slider[0].value
    page.at.selectbox(key="policy").set_value("Youden")
    page.run()
    assert 'class="ddad-warning"' in page.html
    assert page.at.slider[0].value == before and page.errors == []
