"""What a reader is about to save, and whether it can be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from app.store.records import Agreement, Box, ImageRecord, RejectedRegion, Verdict
from ddad_core.errors import RequestError
from ddad_core.evaluation.thresholds import is_flagged
from ddad_core.vocabulary import MAP_TITLES

VERDICTS: tuple[str, ...] = get_args(Verdict)
AGREEMENTS: tuple[str, ...] = get_args(Agreement)
FINDINGS = (
    "Aortic enlargement",
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Consolidation",
    "Interstitial lung disease",
    "Infiltration",
    "Lung opacity",
    "Nodule or mass",
    "Other lesion",
    "Pleural effusion",
    "Pleural thickening",
    "Pneumothorax",
    "Pulmonary fibrosis",
)
"""The 14 categories of VinBigData."""
COMMENT_LIMIT = 4000
MAX_BOXES = 100
MAX_REJECTED = 200


@dataclass(frozen=True)
class ReadDraft:
    """What a reader is about to save, and what was on the screen.

    Attributes:
        verdict: One of ``VERDICTS``.
        confidence: 1 (guess) to 5 (certain), or None.
        findings: Any of ``FINDINGS``.
        comment: Free text.
        boxes: In image pixels.
        map_name: The map in view.
        pixel_threshold: Its threshold in view.
        opacity: Of the overlay.
        ai_visible: Whether the overlay was on.
        seconds: From opening the case, idle time left out, or None.
        agreement: One of ``AGREEMENTS`` by map name.
        rejected: Regions of the model's maps that are no finding.
    """

    verdict: str
    confidence: int | None
    findings: tuple[str, ...]
    comment: str
    boxes: tuple[Box, ...]
    map_name: str | None
    pixel_threshold: float | None
    opacity: float | None
    ai_visible: bool
    seconds: float | None
    agreement: Mapping[str, Agreement] = field(default_factory=dict)
    rejected: tuple[RejectedRegion, ...] = ()


def check(draft: ReadDraft, image: ImageRecord, findings: tuple[str, ...]) -> None:
    """Refuse a draft that is incomplete or out of range.

    Args:
        draft: The draft.
        image: Of the case.
        findings: All there are to choose from.

    Raises:
        RequestError: With what to mend.
    """
    if draft.verdict not in VERDICTS:
        problem = "The read has no verdict yet."
        raise RequestError(problem, f"Choose one of: {', '.join(VERDICTS)}.")
    if draft.confidence is not None and not 1 <= draft.confidence <= 5:
        problem = f"The confidence {draft.confidence} is not between 1 and 5."
        raise RequestError(problem, "Choose 1 (a guess) to 5 (certain).")
    if not set(draft.agreement.values()) <= set(AGREEMENTS) or not set(draft.agreement) <= set(
        MAP_TITLES
    ):
        problem = "What was said of a map is not understood."
        raise RequestError(problem, f"Choose one of: {', '.join(AGREEMENTS)}.")
    unknown = [finding for finding in draft.findings if finding not in findings]
    if unknown:
        problem = f"Unknown finding: {', '.join(unknown)}."
        raise RequestError(problem, "Choose from the list, or write it as a comment.")
    if len(draft.comment) > COMMENT_LIMIT:
        problem = f"The comment has {len(draft.comment)} characters, {COMMENT_LIMIT} at most."
        raise RequestError(problem, "Shorten it.")
    if len(draft.boxes) > MAX_BOXES:
        problem = f"There are {len(draft.boxes)} boxes, {MAX_BOXES} at most."
        raise RequestError(problem, "Delete some.")
    if not all(_lies_within(box, image) for box in draft.boxes):
        problem = "A box lies outside the image."
        raise RequestError(problem, "Delete it and draw it again.")
    if len(draft.rejected) > MAX_REJECTED or not all(_exists(r, image) for r in draft.rejected):
        problem = "What was said of the AI's regions is not understood."
        raise RequestError(problem, "Reload the page and reject them again.")


def _lies_within(box: Box | RejectedRegion, image: ImageRecord) -> bool:
    numbers = (box.x, box.y, box.width, box.height)
    inside = box.x + box.width <= image.width + 0.5 and box.y + box.height <= image.height + 0.5
    positive = box.x >= 0 and box.y >= 0 and box.width > 0 and box.height > 0
    return all(map(math.isfinite, numbers)) and positive and inside


def _exists(region: RejectedRegion, image: ImageRecord) -> bool:
    """Whether there can be such a region in a map of this image."""
    values = (region.pixel_threshold, region.peak, region.peak_x, region.peak_y)
    return (
        region.map_name in MAP_TITLES
        and all(map(math.isfinite, values))
        and is_flagged(region.peak, region.pixel_threshold)
        and region.x <= region.peak_x <= region.x + region.width
        and region.y <= region.peak_y <= region.y + region.height
        and _lies_within(region, image)
    )
