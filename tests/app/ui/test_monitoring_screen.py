"""The monitoring screen on a real database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from app import gate
from app.services.container import Services
from app.services.models import ModelService
from app.services.monitoring import MonitoringService
from app.services.people import Person
from app.services.read_draft import ReadDraft
from app.settings import REPOSITORY
from app.store.account_records import Role

MODEL = "nih-ae-u"


@pytest.fixture
def as_role(
    monkeypatch: pytest.MonkeyPatch, loaded_home: Path, small_gallery: Path
) -> Iterator[dict[str, Person]]:
    acting: dict[str, Person] = {}
    monkeypatch.setenv("DDAD_HOME", str(loaded_home))
    monkeypatch.setenv("DDAD_GALLERY", str(small_gallery))
    monkeypatch.setattr(gate, "ensure_guarded", lambda address: None)
    monkeypatch.setattr(gate, "who_acts", lambda cookies: acting["person"])
    for service, name in ((ModelService, "warm_up"), (MonitoringService, "watch")):
        monkeypatch.setattr(service, name, lambda _: None)
    st.cache_resource.clear()
    yield acting
    st.cache_resource.clear()


def opened(acting: dict[str, Person], role: Role) -> AppTest:
    acting["person"] = Person("tester", frozenset({role}))
    at = AppTest.from_file(str(REPOSITORY / "app" / "main.py"), default_timeout=30)
    at.run()
    at._page_hash = calc_hash("monitoring")
    at.run()
    assert [e.value for e in at.exception] == []
    return at


def words(at: AppTest) -> str:
    return "\n".join(h.proto.body for h in at.get("html") if "<style>" not in h.proto.body)


def test_a_lead_sees_figures_and_that_no_rule_speaks(
    as_role: dict[str, Person], loaded: Services
) -> None:
    lead = Person("lea", frozenset({"lead"}))
    case = loaded.worklist.list(lead).rows[0]
    draft = ReadDraft("normal", None, (), "", (), "inter", 0.5, 0.4, ai_visible=True, seconds=42.0)
    loaded.reading.save(lead, case.image_id, MODEL, draft)
    at = opened(as_role, "lead")
    (choice,) = [s for s in at.selectbox if s.key == "monitored-model"]
    choice.set_value(MODEL)
    at.run()
    text = words(at)
    assert "No rule speaks" in text
    assert "42 s" in text
    assert "Files refused" in text
    assert "0 of 3 files" in text


def test_a_reader_is_not_offered_it(as_role: dict[str, Person]) -> None:
    at = opened(as_role, "reader")
    assert "Files refused" not in words(at)
