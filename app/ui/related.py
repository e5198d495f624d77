"""The images beside the one in view: in conflict with it, or of the same patient."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import streamlit as st

from app.services.patients import OtherImage, RelatedImages
from app.ui import chrome


def related_images(related: RelatedImages, open_case: Callable[[int], None]) -> None:
    """Draw them; nothing if the image stands alone.

    Args:
        related: What there is.
        open_case: Called with the id of the case that was chosen, before the page runs again.
    """
    if count := len(related.in_conflict):
        others = "another case has" if count == 1 else f"{count} other cases have"
        chrome.warnings(
            [
                f"Conflict: {others} the same SOP Instance UID, but other pixels. "
                "Each keeps its own reads; check in the PACS which one is right."
            ]
        )
        _links("conflict", related.in_conflict, open_case)
    if count := len(related.of_patient):
        # In a popover, because the read must stay in view without scrolling.
        with st.popover(f"Other images of this patient: {count}", width="stretch"):
            _links("patient", related.of_patient, open_case)


def _links(kind: str, images: Iterable[OtherImage], open_case: Callable[[int], None]) -> None:
    with st.container(gap="xxsmall"):
        for image in images:
            parts = (image.label, image.facts, image.status)
            st.button(
                " · ".join(part for part in parts if part),
                key=f"{kind}-{image.image_id}",
                type="tertiary",
                icon=":material/open_in_new:",
                on_click=open_case,
                args=(image.image_id,),
            )
