"""What is in force beside what would be, figure by figure."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import streamlit as st

from app.services.operating_change import Change, Expectation
from app.store.proposal_records import ProposalRecord
from app.ui.times import local


def number(value: float) -> str:
    """A threshold as people read it."""
    return f"{value:.4g}"


def comparison(change: Change) -> None:
    """A change that was measured, as a table with what there is to know beside it."""
    now = f"version {change.present_version}" if change.present_version else "the model's own"
    _table(
        change.title,
        now,
        change.present.on_record() | _counts(change.present),
        change.proposed.on_record() | _counts(change.proposed),
        sides_text(change.on_record()),
    )
    _facts(change.on_record(), change.policy)


def kept_comparison(proposal: ProposalRecord, title: str) -> None:
    """The same of a proposal, as it was measured when it was made."""
    evidence = proposal.evidence
    counts = {name: evidence.get(name, 0) for name in ("n_normal", "n_abnormal", "scored")}
    proposed = dict(evidence.get("proposed", {"threshold": proposal.threshold}))
    _table(
        title,
        "when proposed",
        dict(evidence.get("present", {})) | counts,
        proposed | counts,
        sides_text(evidence),
    )
    said = (
        f"Proposed by {proposal.set_by}, {local(proposal.proposed_at)}. Reason: {proposal.reason}"
    )
    st.html(f"<div>{html.escape(said)}</div>")
    _facts(evidence, proposal.policy)
    if proposal.override_reason:
        few = f"On fewer cases than asked for, because: {proposal.override_reason}"
        st.html(f'<div class="ddad-warning">{html.escape(few)}</div>')


def estimate_text(values: Any) -> str:
    """[value, low, high] as people read it; a dash for none."""
    if not values:
        return "–"
    value, low, high = values
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def sides_text(evidence: Mapping[str, Any]) -> str:
    """How many cases a change moves across; empty for a level, which flags none."""
    if not evidence.get("scored"):
        return ""
    more, fewer = evidence.get("newly_flagged", 0), evidence.get("no_longer_flagged", 0)
    return f"{more} newly flagged, {fewer} no longer flagged"


def figures_of(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of each figure that an operating point was set with."""
    normal, abnormal = found.get("n_normal", 0), found.get("n_abnormal", 0)
    if "false_regions" in found:
        findings = found.get("n_findings", 0)
        return [
            ("Findings hit", f"{estimate_text(found.get('sensitivity'))}, n = {findings}"),
            (
                "False regions an image",
                f"{estimate_text(found['false_regions'])}, n = {normal} images",
            ),
        ]
    if not (normal or abnormal or found.get("scored")):
        return []  # an earlier level of a map, gone back to unmeasured
    rows = [
        ("Sensitivity", f"{estimate_text(found.get('sensitivity'))}, n = {abnormal}"),
        ("Specificity", f"{estimate_text(found.get('specificity'))}, n = {normal}"),
    ]
    if "flagged" in found:
        rows.append(("Flagged of all scored", f"{found['flagged']} of {found.get('scored', '–')}"))
    if "normals_flagged" in found:
        rows.append(("Calibration normals flagged", f"{found['normals_flagged']:.1%}"))
    return rows


def _counts(one: Expectation) -> dict[str, int]:
    return {"n_normal": one.n_normal, "n_abnormal": one.n_abnormal, "scored": one.scored}


def _table(
    title: str, now: str, present: Mapping[str, Any], proposed: Mapping[str, Any], sides: str
) -> None:
    after = dict(figures_of(proposed))
    before = dict(figures_of(present))
    rows = [
        (
            f"{'Regions drawn' if 'false_regions' in proposed else 'Flagged'} when {title} is "
            "at least",
            number(present["threshold"]) if "threshold" in present else "–",
            number(proposed["threshold"]),
        ),
        *((name, before.get(name, "–"), after[name]) for name in after),
        *([("Cases that change side", "", sides)] if sides else []),
    ]
    body = "".join(
        f"<tr><th scope='row'>{html.escape(name)}</th><td>{html.escape(one)}</td>"
        f"<td><b>{html.escape(two)}</b></td></tr>"
        for name, one, two in rows
    )
    st.html(
        "<table class='ddad-compare'><thead><tr><th></th>"
        f"<th scope='col'>In force ({html.escape(now)})</th><th scope='col'>New</th></tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def _facts(evidence: Mapping[str, Any], policy: str) -> None:
    measured = f"Measured against: {evidence.get('source', '–')}. {evidence.get('measured', '')}"
    filters = ", ".join(f"{k}: {v}" for k, v in dict(evidence.get("filters", {})).items())
    said = [f"{policy}.", measured.strip(), f"Of these: {filters}." if filters else ""]
    text = " ".join(part for part in (*said, "In brackets: 95 % intervals.") if part)
    st.html(f'<div class="ddad-facts">{html.escape(text)}</div>')
