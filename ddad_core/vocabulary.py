"""The names of scores and maps, and what people call them. Nothing else knows this list.

A model has the scores and maps that its card has a reference and a display for.
"""

from __future__ import annotations

BASE_MAPS = ("rec", "intra", "inter")
"""What modules A and B alone give; ``a_rec_single`` has no map of its own."""

SCORE_TITLES = {
    "a_rec_single": "A_rec (mean of the single networks)",
    "a_rec": "A_rec (ensemble)",
    "a_intra": "A_intra",
    "a_inter": "A_inter",
    "a_ratio": "A_ratio",
    "r_intra": "R_intra",
    "r_dual": "R_dual",
    "c_rec": "A_rec, calibrated by place",
    "c_intra": "A_intra, calibrated by place",
    "c_inter": "A_inter, calibrated by place",
}
"""Every score there is. A score is the mean of its map: a_inter of inter, r_dual of r_dual."""

MAP_TITLES = {
    "ratio": "A_ratio",
    "inter": "A_inter",
    "c_inter": "A_inter by place",
    "intra": "A_intra",
    "c_intra": "A_intra by place",
    "rec": "A_rec",
    "c_rec": "A_rec by place",
    "r_dual": "R_dual",
    "r_intra": "R_intra",
}
"""Every map there is, in the order a reader is offered them. ``c_``: calibrated by place, that is
by how many standard deviations a pixel lies above the calibration normals at the same place."""


def map_of_score(score: str) -> str:
    """The map a score is the mean of; A_rec of the single networks is shown as the ensemble's."""
    if score == "a_rec_single":
        return "rec"
    return score.removeprefix("a_")


def may_be_negative(name: str) -> bool:
    """Whether a score or map has values below zero: standard deviations and log ratios have."""
    return name.startswith("c_") or name in ("a_ratio", "ratio")
