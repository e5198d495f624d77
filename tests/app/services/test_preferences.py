from __future__ import annotations

from dataclasses import replace

import pytest

from app.services.people import Person, SignedOutError
from app.services.preferences import Preferences, preferences_of
from ddad_core.errors import RequestError


def test_a_new_person_has_the_dark_theme_and_the_guide_before_them(loaded):
    assert loaded.preferences.of(Person("ana")) == Preferences("dark", "new", 0)


def test_what_a_person_chose_is_theirs_alone(loaded):
    ana, ben = Person("ana"), Person("ben")
    loaded.preferences.choose_theme(ana, "light")
    loaded.preferences.choose_theme(ben, "light")
    loaded.preferences.choose_theme(ben, "dark")
    loaded.preferences.note_guide(ana, "open", 3)
    assert loaded.preferences.of(ana) == Preferences("light", "open", 3)
    assert loaded.preferences.of(ben) == Preferences("dark", "new", 0)


def test_there_are_two_themes(loaded):
    with pytest.raises(RequestError, match="no theme called 'pink'"):
        loaded.preferences.choose_theme(Person("ana"), "pink")
    assert loaded.preferences.of(Person("ana")).theme == "dark"


def test_values_of_another_version_are_left_out(loaded):
    store = loaded.access._store
    with store.writing() as repositories:
        for name, value in (("theme", "sepia"), ("guide", 7), ("guide_step", "x"), ("old", [])):
            repositories.preferences.put("ana", name, value)
    assert preferences_of(store, "ana") == Preferences()


def test_whoever_is_signed_out_reads_and_changes_nothing(loaded):
    gone = replace(Person("ana"), user_id=999)
    for act in (
        lambda: loaded.preferences.of(gone),
        lambda: loaded.preferences.choose_theme(gone, "light"),
        lambda: loaded.preferences.note_guide(gone, "done"),
    ):
        with pytest.raises(SignedOutError):
            act()
    assert loaded.preferences.of(Person("ana")) == Preferences()


def test_no_preference_is_an_event_of_the_audit_trail(loaded):
    everybody = Person.named("checking")
    before = loaded.audit.page(everybody).total
    loaded.preferences.choose_theme(Person("ana"), "light")
    assert loaded.audit.page(everybody).total == before
