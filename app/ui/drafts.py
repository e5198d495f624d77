"""Drafts of reads, between the screen and the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from app.services.people import Action
from app.services.reading import FINDINGS, VERDICTS, CaseView
from app.store.records import Box
from app.ui.context import Context
from app.ui.session import Draft
from app.ui.viewer import ViewerData, parse_boxes


def saved_draft(view: CaseView) -> Draft:
    """The draft that equals the reader's latest read; an empty one without a read."""
    if view.read is None:
        return Draft()
    read = view.read
    return Draft(
        read.verdict, read.confidence, list(read.findings), read.comment, plain_boxes(read.boxes)
    )


def kept_draft(context: Context, view: CaseView) -> Draft | None:
    """What the reader left unsaved of a case, in this session or an earlier one, or None."""
    if Action.READ not in context.allowed:
        return None
    content = context.services.reading.draft(context.reader, view.image.id)
    return None if content is None else _draft_of(content)


def boxes_of(draft: Draft, data: ViewerData) -> tuple[Box, ...]:
    """The draft's boxes, cut to the image."""
    return parse_boxes([asdict(box) for box in draft.boxes], data)


def keep(context: Context, view: CaseView, draft: Draft, boxes: Sequence[Box]) -> None:
    """Have the store keep what has changed; one write at most, and none without a change."""
    draft.boxes = plain_boxes(boxes)
    content = _content_of(draft)
    wanted = None if content == _content_of(saved_draft(view)) else content
    if wanted != draft.kept:
        context.services.reading.keep_draft(context.reader, view.image.id, wanted)
        draft.kept = wanted


def plain_boxes(boxes: Sequence[Box]) -> tuple[Box, ...]:
    """Boxes without what the store adds to them."""
    return tuple(Box(b.x, b.y, b.width, b.height, b.label) for b in boxes)


def _content_of(draft: Draft) -> dict[str, Any]:
    return {
        "verdict": draft.verdict,
        "confidence": draft.confidence,
        "findings": list(draft.findings),
        "comment": draft.comment,
        "boxes": [asdict(box) for box in draft.boxes],
    }


def _draft_of(content: Mapping[str, Any]) -> Draft:
    """A draft as kept; what an other version wrote and this one cannot show is left out."""
    verdict, confidence = content.get("verdict"), content.get("confidence")
    draft = Draft(
        verdict=verdict if verdict in VERDICTS else None,
        confidence=confidence if confidence in (1, 2, 3, 4, 5) else None,
        findings=[one for one in content.get("findings") or () if one in FINDINGS],
        comment=str(content.get("comment") or ""),
        boxes=tuple(
            Box(b["x"], b["y"], b["width"], b["height"], b["label"])
            for b in content.get("boxes") or ()
        ),
    )
    draft.kept = dict(content)
    return draft
