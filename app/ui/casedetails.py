"""What else is on record of the open case: facts, others' reads, scores over model versions."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

import streamlit as st

from app.services.case_details import CaseDetails, OtherRead, ScoreInTime, ScoreTerm
from app.services.reading import CaseView
from app.services.revisions import changes
from app.store.records import ImageRecord, ReadContent, ReadRecord
from app.ui.times import local
from ddad_core.vocabulary import MAP_TITLES

HASH_SHOWN = 8
# In the colours of whatever theme there is: only shades of the text's own.
_STYLE = """
<style>
[data-testid="stLayoutWrapper"]:has(> .st-key-viewer-pane) { position: sticky; top: 3.4rem; }
.ddad-sub { font-size: 0.92rem !important; font-weight: 600 !important; margin: 0.5rem 0 0.1rem;
  padding: 0 !important; }
.ddad-read, .ddad-grid, .ddad-list { font-size: 0.88rem; font-variant-numeric: tabular-nums; }
.ddad-read { display: grid; grid-template-columns: 1fr auto; gap: 0 0.6rem; align-items: baseline;
  padding: 0.25rem 0; border-top: 1px solid color-mix(in srgb, currentColor 14%, transparent); }
.ddad-read b { font-weight: 600; }
.ddad-read div { grid-column: 1 / -1; }
.ddad-read small, .ddad-read div, .ddad-grid small, .ddad-grid th, .ddad-list dt {
  color: color-mix(in srgb, currentColor 72%, transparent); font-size: 0.82rem; }
.ddad-quote { font-size: 0.85rem; padding-left: 0.6rem; margin-bottom: 0.3rem;
  border-left: 2px solid color-mix(in srgb, currentColor 25%, transparent); }
.ddad-list { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 0.8rem;
  margin: 0 !important; padding: 0 !important; }
.ddad-list dt, .ddad-list dd { margin: 0 !important; padding: 0 !important; }
.ddad-list dd { overflow-wrap: anywhere; }
.ddad-grid { width: 100%; border-collapse: collapse; }
.ddad-grid th { text-align: left; font-weight: 400; padding: 0.1rem 0.4rem 0.1rem 0; }
.ddad-grid td { vertical-align: top; padding: 0.2rem 0.4rem 0.2rem 0;
  border-top: 1px solid color-mix(in srgb, currentColor 14%, transparent); }
</style>
"""
_MAY_BE_LACKING = ("Body part", "Modality", "Windows", "Patient")
_STORED = {
    "dicom": "DICOM, de-identified on the way in",
    "png": "pixels as 16-bit PNG, without the original's header",
}


def case_details(view: CaseView, details: CaseDetails, models: dict[str, str]) -> None:
    """Draw the tabs below the read.

    Args:
        view: The open case.
        details: What else is on record of it.
        models: Titles by name.
    """
    st.html(_STYLE)
    reads, facts, scores = st.tabs(["Reads", "Image", "Scores"])
    with reads:
        st.html(_reads_html(view, details))
    with facts:
        st.html(_table(_facts_of(view.image)))
    with scores:
        st.html(_scores_html(view, details, models))


def _reads_html(view: CaseView, details: CaseDetails) -> str:
    parts = [_own_html(view.history)] if view.history else []
    if details.others_hidden:
        count, them = details.readers, "reader has" if details.readers == 1 else "readers have"
        parts.append(
            _quiet(f"{count} other {them} read this case. Shown once your own read is saved.")
        )
    elif details.others:
        parts.append(_heading("Others") + "".join(map(_other_html, details.others)))
    elif not view.history:
        parts.append(_quiet("Nobody has read this case yet."))
    else:
        parts.append(_quiet("Nobody else has read this case yet."))
    return "".join(parts)


def _own_html(history: Sequence[ReadRecord]) -> str:
    """The reader's revisions, the newest first, each with what changed in it."""
    rows = []
    for i, read in enumerate(history):
        said = changes(history[i - 1], read) if i else _said(read)
        row = _row(f"{read.revision}. {read.verdict}", local(read.saved_at), said)
        before = history[i - 1].comment if i else ""
        rows.append(row + (_quote(read.comment) if read.comment != before else ""))
    return _heading("Your revisions") + "".join(reversed(rows))


def _other_html(other: OtherRead) -> str:
    read = other.read
    when = local(read.saved_at) + (f", revision {read.revision}" if read.revision > 1 else "")
    return _row(f"{other.who}: {read.verdict}", when, _said(read)) + _quote(read.comment)


def _quote(comment: str) -> str:
    words = html.escape(comment).replace("\n", "<br>")
    return f'<div class="ddad-quote">{words}</div>' if words else ""


def _said(read: ReadRecord) -> list[str]:
    """A read in short: what was found, and what of the AI was in view."""
    said = [f"confidence {read.confidence}"] if read.confidence else []
    said += read.findings
    if read.boxes:
        said.append(f"{len(read.boxes)} {'box' if len(read.boxes) == 1 else 'boxes'}")
    said += [f"{MAP_TITLES[name]} {word}" for name, word in read.agreement.items()]
    if read.rejected:
        said.append(f"{len(read.rejected)} of the AI's regions rejected")
    return [*said, _stage(read)]


def _stage(read: ReadContent) -> str:
    if read.stage == "unaided":
        return "without the AI"
    if read.model_name is None:
        return "no model"
    return "with the AI" if read.ai_visible else "with the AI, its map hidden"


def _facts_of(image: ImageRecord) -> list[tuple[str, str]]:
    spacing = image.spacing_mm
    windows = [
        f"{window.name or window.function.capitalize()} {window.center:g} / {window.width:g}"
        for window in image.windows
    ]
    facts = [
        ("View", image.view),
        ("Body part", image.body_part),
        ("Modality", image.modality),
        ("Age", None if image.age_years is None else f"{image.age_years:.0f} y"),
        ("Sex", image.sex),
        ("Size", f"{image.width} × {image.height}, {image.bits} bits"),
        ("Spacing", None if spacing is None else f"{spacing[0]:.4g} × {spacing[1]:.4g} mm"),
        ("Windows", ", ".join(windows) or None),
        ("Taken in", f"{local(image.added_at)} by {image.added_by}"),
        ("File", image.format.upper()),
        ("Stored as", _STORED[image.stored_as]),
        ("Patient", image.patient),
        ("SHA-256", image.sha256),
    ]
    return [
        (name, value or "not known")
        for name, value in facts
        if value or name not in _MAY_BE_LACKING
    ]


def _scores_html(view: CaseView, details: CaseDetails, models: dict[str, str]) -> str:
    if view.unaided:
        return _quiet("Scores are shown once your first verdict is saved.")
    if not details.scores:
        return _quiet("No model has scored this image.")
    title = _heading(models.get(view.model.name, view.model.name))
    terms = title + _terms_html(details.terms) if details.terms else ""
    return terms + _heading("Over model versions") + _history_html(details.scores, models)


def _terms_html(terms: Iterable[ScoreTerm]) -> str:
    rows = [
        (
            f"<b>{html.escape(term.title)}</b>" if term.primary else html.escape(term.title),
            f"{term.value:.4g}",
            "–" if term.percentile is None else f"{term.percentile:.0f} %",
        )
        for term in terms
    ]
    return _grid(("Score", "Value", "Percentile"), rows)


def _history_html(scores: Iterable[ScoreInTime], models: dict[str, str]) -> str:
    rows = []
    for one in scores:
        name = html.escape(models.get(one.model, one.model))
        version = html.escape(one.model_hash[:HASH_SHOWN]) + ("" if one.current else ", replaced")
        rows.append(
            (
                f'{name}<br><small title="{one.model_hash}">{version} · {local(one.at)}</small>',
                f"{one.score:.3g}<br><small>{html.escape(one.score_title)}</small>",
                f"{one.percentile:.0f} %",
                _flag(one),
            )
        )
    return _grid(("Model and version", "Score", "Percentile", "Then"), rows)


def _flag(one: ScoreInTime) -> str:
    if one.threshold is None:
        return '<span title="The operating point of that time is not known">–</span>'
    word, kind = ("flagged", "flag") if one.flagged else ("not flagged", "clear")
    return f'<span class="ddad-{kind}">{word}</span><br><small>≥ {one.threshold:.3g}</small>'


def _heading(text: str) -> str:
    return f'<h3 class="ddad-sub">{html.escape(text)}</h3>'


def _quiet(text: str) -> str:
    return f'<div class="ddad-facts">{html.escape(text)}</div>'


def _row(title: str, when: str, said: Iterable[str]) -> str:
    return (
        f'<div class="ddad-read"><b>{html.escape(title)}</b><small>{html.escape(when)}</small>'
        f"<div>{html.escape(' · '.join(said)) or 'no change'}</div></div>"
    )


def _table(rows: Iterable[tuple[str, str]]) -> str:
    body = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in rows
    )
    return f'<dl class="ddad-list">{body}</dl>'


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    top = "".join(f'<th scope="col">{name}</th>' for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<table class="ddad-grid"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
