"""What changed from one revision of a read to the next, in words."""

from __future__ import annotations

from collections.abc import Sequence

from app.store.records import BoxRecord, ReadRecord
from ddad_core.vocabulary import MAP_TITLES


def changes(before: ReadRecord, after: ReadRecord) -> tuple[str, ...]:
    """What a reader would want to be told of two revisions, in the order of the read's panel."""
    said = []
    if before.verdict != after.verdict:
        said.append(f"{before.verdict} → {after.verdict}")
    if before.confidence != after.confidence:
        said.append(f"confidence {before.confidence or '–'} → {after.confidence or '–'}")
    said += [f"+ {name}" for name in after.findings if name not in before.findings]
    said += [f"− {name}" for name in before.findings if name not in after.findings]  # noqa: RUF001
    if before.comment != after.comment:
        said.append("comment changed" if after.comment and before.comment else _comment(after))
    said += _of_boxes(before.boxes, after.boxes)
    said += _of_agreement(before, after)
    if set(before.rejected) != set(after.rejected):
        said.append(f"rejected regions {len(before.rejected)} → {len(after.rejected)}")
    if before.stage != after.stage:
        said.append("after seeing the AI" if after.stage == "aided" else "without the AI")
    if before.model_hash != after.model_hash and after.model_name:
        said.append(f"model {after.model_name}")
    elif before.threshold != after.threshold and after.threshold is not None:
        said.append(f"operating point {after.threshold:.3g}")
    return tuple(said)


def _comment(after: ReadRecord) -> str:
    return "comment added" if after.comment else "comment removed"


def _of_boxes(before: Sequence[BoxRecord], after: Sequence[BoxRecord]) -> list[str]:
    if len(before) != len(after):
        return [f"boxes {len(before)} → {len(after)}"]
    if _places(before) != _places(after):
        return ["boxes moved"]
    return ["boxes renamed"] if [b.label for b in before] != [b.label for b in after] else []


def _places(boxes: Sequence[BoxRecord]) -> list[tuple[float, float, float, float]]:
    return [(box.x, box.y, box.width, box.height) for box in boxes]


def _of_agreement(before: ReadRecord, after: ReadRecord) -> list[str]:
    return [
        f"{title} {after.agreement.get(name, 'not judged')}"
        for name, title in MAP_TITLES.items()
        if before.agreement.get(name) != after.agreement.get(name)
    ]
