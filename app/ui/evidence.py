"""What a model says of a case, in words and one line of marks."""

from __future__ import annotations

import html

from app.services.models import OperatingPointInForce
from app.services.reading import Judgement

STRIP_MARGIN = 1.05


def score_html(found: Judgement) -> str:
    """The percentile, the flag and the score, with the calibration normals below."""
    flag = (
        '<span class="ddad-flag">Flagged</span>'
        if found.flagged
        else '<span class="ddad-clear">Not flagged</span>'
    )
    return (
        f'<div class="ddad-score"><b>{found.score.percentile:.0f}%</b><span>of '
        f"{len(found.normals)} calibration normals score lower<br>{flag} · "
        # A line may end after the name of the score, not between a sign and its number.
        f"{html.escape(found.score_title)} =&nbsp;{found.score.score:.3g}, p&nbsp;=&nbsp;"
        f"{found.score.p_value:.2g}</span></div>{_strip(found)}"
    )


def operating_point_text(found: Judgement | None) -> str:
    """The operating point in force, in a sentence; nothing for an uncalibrated model."""
    if found is None:
        return ""
    return in_force_text(found.score_title, found.operating_point)


def in_force_text(score_title: str, point: OperatingPointInForce) -> str:
    """The same for a point on its own."""
    origin = f"version {point.version}" if point.version else "the model's own"
    return f"Operating point: {score_title} ≥ {point.threshold:.3g}, {origin}."


def _strip(found: Judgement) -> str:
    """Where this score lies among the calibration normals."""
    values = (*found.normals, found.score.score, found.operating_point.threshold)
    low = min(0.0, *values) * STRIP_MARGIN
    span = max(values) * STRIP_MARGIN - low or 1.0

    def at(value: float) -> str:
        return f"left:{100 * (value - low) / span:.2f}%"

    ticks = "".join(f'<span class="normal" style="{at(v)}"></span>' for v in found.normals)
    return (
        f'<div class="ddad-strip" role="img" aria-label="{html.escape(found.score_title)} = '
        f'{found.score.score:.3g} among calibration normals"><span class="axis"></span>{ticks}'
        f'<span class="cut" style="{at(found.operating_point.threshold)}"></span>'
        f'<span class="here" style="{at(found.score.score)}"></span></div>'
        '<div class="ddad-legend"><span>| normals</span><span>┆ operating point</span>'
        "<span>● this case</span></div>"
    )
