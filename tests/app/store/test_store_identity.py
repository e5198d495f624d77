"""Images by who and what they are, and what the installation keeps of itself."""

from __future__ import annotations

import pytest


@pytest.fixture
def images(store, new_image):
    """Three of one patient, one of another, one of nobody known; by first digit."""
    named = {
        "a": {"patient": "P-1", "instance": "I-1", "pixel_sha256": "1" * 64},
        "b": {"patient": "P-1", "instance": "I-2"},
        "c": {"patient": "P-2", "instance": "I-1", "pixel_sha256": "2" * 64},
        "d": {},
        "e": {"patient": "P-1"},
    }
    with store.writing() as repos:
        return {digit: repos.images.add(new_image(digit, **more)) for digit, more in named.items()}


def test_images_of_a_patient_are_found_without_the_one_in_view(store, images):
    with store.reading() as repos:
        found = repos.images.of_patient("P-1", exclude_id=images["b"].id)
        assert found == [images["a"], images["e"]]
        assert repos.images.of_patient("P-1") == [images["a"], images["b"], images["e"]]
        assert repos.images.of_patient("P-9") == []


def test_images_of_one_instance_are_found_in_order(store, images):
    with store.reading() as repos:
        assert repos.images.by_instance("I-1") == [images["a"], images["c"]]
        assert repos.images.by_instance("I-9") == []
        assert repos.images.with_pseudonyms() == 4


def test_only_the_images_named_get_the_mark(store, images):
    with store.writing() as repos:
        repos.images.mark_conflict([images["a"].id, images["c"].id])
        repos.images.mark_conflict([])
    with store.reading() as repos:
        marked = {image.sha256[0] for image in repos.images.list_all() if image.conflict}
    assert marked == {"a", "c"}


def test_a_value_of_the_installation_is_kept_and_replaced(store):
    for value in ("abc", "other"):
        with store.writing() as repos:
            repos.installation.put("pseudonym_key_check", value)
    with store.reading() as repos:
        assert repos.installation.get("pseudonym_key_check") == "other"
        assert repos.installation.get("anything else") is None
