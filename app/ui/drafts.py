"""Drafts of reads, between the screen and the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from app.services.people import Action
from app.services.read_draft import AGREEMENTS, VERDICTS
from app.services.reading import CaseView
from app.store.records import Box, RejectedRegion
from app.ui.context import Context
from app.ui.session import Draft, OpenCase
from app.ui.viewer import ViewerData, ViewerState, parse_boxes


def saved_draft(view: CaseView) -> Draft:
    """The draft that equals the reader's latest read; an empty one without a read."""
    if view.read is None:
        return Draft()
    read = view.read
    return Draft(
        verdict=read.verdict,
        confidence=read.confidence,
        findings=list(read.findings),
        comment=read.comment,
        agreement=dict(read.agreement),
        boxes=plain_boxes(read.boxes),
        rejected=read.rejected,
    )


def kept_draft(context: Context, view: CaseView) -> Draft | None:
    """What the reader left unsaved of a case, in this session or an earlier one, or None."""
    if Action.READ not in context.allowed:
        return None
    content = context.services.reading.draft(context.reader, view.image.id)
    return None if content is None else _draft_of(content, context.services.reading.findings)


def boxes_of(draft: Draft, data: ViewerData) -> tuple[Box, ...]:
    """The draft's boxes, cut to the image."""
    return parse_boxes([asdict(box) for box in draft.boxes], data)


def keep(context: Context, case: OpenCase, draft: Draft, shown: ViewerState) -> None:
    """Have the store keep what has changed; one write at most, and none without a change."""
    wanted = _content_of(draft) if changed(case, draft, shown) else None
    if wanted != draft.kept:
        context.services.reading.keep_draft(context.reader, case.view.image.id, wanted)
        draft.kept = wanted


def changed(case: OpenCase, draft: Draft, shown: ViewerState) -> bool:
    """Whether the draft, with what is on the image, differs from what is saved."""
    draft.boxes, draft.rejected = plain_boxes(shown.boxes), shown.rejected
    saved = saved_draft(case.view)
    # Those of another model's maps are not on the screen, so that they are not taken back either.
    saved.rejected = case.data.known(saved.rejected)
    return _content_of(draft) != _content_of(saved)


def plain_boxes(boxes: Sequence[Box]) -> tuple[Box, ...]:
    """Boxes without what the store adds to them."""
    return tuple(Box(b.x, b.y, b.width, b.height, b.label) for b in boxes)


def _content_of(draft: Draft) -> dict[str, Any]:
    return {
        "verdict": draft.verdict,
        "confidence": draft.confidence,
        "findings": list(draft.findings),
        "comment": draft.comment,
        "agreement": dict(draft.agreement),
        "boxes": [asdict(box) for box in draft.boxes],
        "rejected": [asdict(region) for region in draft.rejected],
    }


def _draft_of(content: Mapping[str, Any], findings: Sequence[str]) -> Draft:
    """A draft as kept; what an other version wrote and this one cannot show is left out."""
    verdict, confidence = content.get("verdict"), content.get("confidence")
    draft = Draft(
        verdict=verdict if verdict in VERDICTS else None,
        confidence=confidence if confidence in (1, 2, 3, 4, 5) else None,
        findings=[one for one in content.get("findings") or () if one in findings],
        comment=str(content.get("comment") or ""),
        agreement={
            name: said
            for name, said in (content.get("agreement") or {}).items()
            if said in AGREEMENTS
        },
        boxes=tuple(
            Box(b["x"], b["y"], b["width"], b["height"], b["label"])
            for b in content.get("boxes") or ()
        ),
        rejected=tuple(RejectedRegion(**region) for region in content.get("rejected") or ()),
    )
    draft.kept = dict(content)
    return draft
