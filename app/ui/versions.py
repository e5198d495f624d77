"""Versions of operating points as a table."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app.services.governed import History
from app.store.records import NewOperatingPoint, OperatingPointRecord
from app.ui.comparison import estimate_text, number
from app.ui.times import local


def versions_table(found: History, name_of: Callable[[NewOperatingPoint], str]) -> None:
    """Versions that count here and proposals that came to nothing, the newest first."""
    newest: set[str] = set()
    rows = []
    for one in found.versions:
        in_force = one.score_name not in newest
        newest.add(one.score_name)
        rows.append(_row(one, name_of(one), in_force=in_force))
    if rows:
        st.dataframe(rows, hide_index=True, width="stretch", key="versions")
    closed = [
        {
            "Proposal": one.id,
            "Of": name_of(one),
            "Threshold": number(one.threshold),
            "Proposed by": one.set_by,
            "Proposed": local(one.proposed_at),
            "Outcome": one.decision.decision,
            "By": one.decision.decided_by,
            "When": local(one.decision.decided_at),
            "Why": one.decision.reason,
        }
        for one in found.proposals
        if one.decision is not None and one.decision.decision != "approved"
    ]
    if closed:
        with st.expander(f"{len(closed)} proposals that were not put in force"):
            st.dataframe(closed, hide_index=True, width="stretch", key="closed-proposals")


def _row(one: OperatingPointRecord, title: str, *, in_force: bool) -> dict[str, object]:
    evidence = one.evidence
    new = evidence.get("proposed", {})
    n = f"{evidence['n_normal']} + {evidence['n_abnormal']}" if evidence else "–"
    back = "" if one.restores is None else f"Back to {one.restores or 'the model’s own'}. "
    return {
        "Version": one.version,
        "In force": "●" if in_force else "",
        "Of": title,
        "Threshold": number(one.threshold),
        "Set by": one.set_by,
        "Approved by": one.approved_by or "–",
        "When": local(one.set_at),
        "Sensitivity": estimate_text(new.get("sensitivity")),
        "Specificity": estimate_text(new.get("specificity")),
        "Normal + abnormal": n,
        "Reason": back + one.reason,
        "On few cases because": one.override_reason,
        "Policy": one.policy,
    }
