"""The change record of a model's operating points: one file to print or keep."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from app.services.governed import History, numbers_of
from app.store.proposal_records import ProposalRecord
from app.store.records import NewOperatingPoint, OperatingPointRecord
from app.ui.comparison import figures_of, number, sides_text

_STYLE = """
@page { size: A4; margin: 16mm 14mm; }
body { font: 10.5pt/1.4 system-ui, sans-serif; color: #111; background: #fff; margin: 2rem auto;
  max-width: 60rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; }
h2 { font-size: 1.12rem; margin: 1.6rem 0 .4rem; border-bottom: 1px solid #888; }
h3 { font-size: 1rem; margin: 1rem 0 .2rem; }
section { break-inside: avoid; }
table { border-collapse: collapse; width: 100%; font-size: .92em; margin: .3rem 0; }
th, td { text-align: left; vertical-align: top; padding: .2rem .5rem .2rem 0;
  border-bottom: 1px solid #ccc; font-variant-numeric: tabular-nums; }
th { font-weight: 600; width: 15rem; }
thead th { width: auto; border-bottom: 1px solid #555; }
tr { break-inside: avoid; }
code { font: .88em ui-monospace, monospace; overflow-wrap: anywhere; }
.few { font-weight: 600; }
.sign { display: flex; gap: 2rem; margin-top: 3rem; break-inside: avoid; }
.sign div { flex: 1; border-top: 1px solid #111; padding-top: .2rem; }
@media print { body { margin: 0; max-width: none; padding: 0; font-size: 9.5pt; } }
"""
Named = Callable[[NewOperatingPoint], str]


def document(found: History, name_of: Named, *, made_by: str, made_at: datetime) -> bytes:
    """All versions and proposals of a model with what they rest on, as one HTML page.

    Args:
        found: With its audit events.
        name_of: What people call the score or map of an operating point.
        made_by: Who asked for it.
        made_at: When, UTC.
    """
    card = found.card
    own = card.operating_point
    facts = [
        ("Model", f"{card.title} ({card.name})"),
        ("Weights, SHA-256", f"<code>{card.model_hash}</code>"),
        ("Made for", card.population.description),
        ("Site", found.site or "not named (DDAD_SITE)"),
        ("The model's own operating point", f"{number(own.threshold)}: {own.policy}"),
        ("Cases asked for", f"{found.rules.min_cases} normal and {found.rules.min_cases} abnormal"),
        ("Second person asked for", "yes" if found.rules.second_approval else "no"),
        ("In brackets", "95 % intervals"),
        ("Taken out", f"{_time(made_at)} by {made_by}"),
    ]
    parts = [
        f"<h1>Change record: operating points of {html.escape(card.name)}</h1>",
        _table(facts),
        "<h2>Versions that count for these weights, population and site</h2>",
        *_versions(found, found.versions, name_of),
        "<h2>Proposals</h2>",
        *_proposals(found, name_of),
    ]
    if found.elsewhere:
        parts += [
            "<h2>Versions for earlier weights, another score, population or site</h2>",
            "<p>They do not count here: a threshold is never inherited.</p>",
            *_versions(found, found.elsewhere, name_of),
        ]
    parts += ["<h2>Audit events</h2>", _events(found)]
    parts.append("<div class='sign'><div>Date</div><div>Name</div><div>Signature</div></div>")
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>Change record {html.escape(card.name)}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>"
    ).encode()


def _versions(
    found: History, versions: Sequence[OperatingPointRecord], name_of: Named
) -> Iterable[str]:
    if not versions:
        yield "<p>None: the model's own operating point is in force.</p>"
    seen: set[str] = set()
    for one in versions:
        first = one.score_name not in seen and versions is found.versions
        seen.add(one.score_name)
        standing = " (in force)" if first else ""
        rows = [
            ("Set by", one.set_by),
            ("Approved by", one.approved_by or "nobody was asked for"),
            ("In force from", _time(one.set_at)),
            *_content(one),
            ("Weights, SHA-256", f"<code>{one.model_hash}</code>"),
            ("Site; population", f"{one.site or '–'}; {one.population or '–'}"),
            ("Audit event", _numbers(numbers_of(found.events, "operating_point", one.id))),
        ]
        title = f"Version {one.version}{standing}: {name_of(one)} ≥ {number(one.threshold)}"
        yield f"<section><h3>{html.escape(title)}</h3>{_table(rows)}</section>"


def _proposals(found: History, name_of: Named) -> Iterable[str]:
    if not found.proposals:
        yield "<p>None.</p>"
    for one in found.proposals:
        rows = [
            ("Proposed by", one.set_by),
            ("Proposed", _time(one.proposed_at)),
            *_content(one),
            ("Outcome", _outcome(one)),
            ("Audit events", _numbers(numbers_of(found.events, "proposal", one.id))),
        ]
        title = f"Proposal {one.id}: {name_of(one)} ≥ {number(one.threshold)}"
        yield f"<section><h3>{html.escape(title)}</h3>{_table(rows)}</section>"


def _outcome(one: ProposalRecord) -> str:
    if one.decision is None:
        return "waiting"
    done = one.decision
    why = f": {done.reason}" if done.reason else ""
    return f"{done.decision} by {done.decided_by}, {_time(done.decided_at)}{why}"


def _content(one: NewOperatingPoint) -> list[tuple[str, str]]:
    rows = [("Policy", one.policy), ("Reason", one.reason)]
    if one.restores is not None:
        back = f"version {one.restores}" if one.restores else "the model's own"
        rows.append(("Goes back to", back))
    if one.override_reason:
        rows.append(("On fewer cases than asked for, because", one.override_reason))
    evidence = one.evidence
    if not evidence:
        return [*rows, ("Rests on", "not noted: older than this record")]
    counts = {name: evidence.get(name, 0) for name in ("n_normal", "n_abnormal", "scored")}
    chosen = ", ".join(f"{k}: {v}" for k, v in dict(evidence.get("filters", {})).items())
    rests = f"{counts['n_normal']} normal, {counts['n_abnormal']} abnormal cases"
    rows.append(("Rests on", f"{evidence.get('source', '–')}; {rests}; {chosen or 'all of them'}"))
    rows += [(name, text) for name, text in figures_of(evidence["proposed"] | counts)]
    before = evidence.get("present", {})
    if before:
        figures = "; ".join(f"{name} {text}" for name, text in figures_of(before | counts))
        rows.append((f"Before, at {number(before['threshold'])}", figures))
    if sides := sides_text(evidence):
        rows.append(("Cases that changed side", sides))
    rows.append(("How measured", str(evidence.get("measured", ""))))
    return rows


def _events(found: History) -> str:
    if not found.events:
        return "<p>None.</p>"
    rows = "".join(
        f"<tr><td>{one.id}</td><td>{_time(one.at)}</td><td>{html.escape(one.actor)}</td>"
        f"<td>{html.escape(one.action)}</td><td>{html.escape(one.reason)}</td>"
        f"<td><code>{one.hash}</code></td></tr>"
        for one in found.events
    )
    head = "".join(f"<th>{name}</th>" for name in ("No.", "When", "Who", "What", "Reason", "Hash"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _numbers(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers)) or "–"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    body = "".join(
        f"<tr><th scope='row'>{html.escape(name)}</th><td>{_cell(text)}</td></tr>"
        for name, text in rows
    )
    return f"<table><tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    """Text made safe; a hash in its own type."""
    inner = text.removeprefix("<code>").removesuffix("</code>")
    return (
        f"<code>{inner}</code>"
        if text == f"<code>{inner}</code>" and inner.isalnum()
        else (html.escape(text))
    )


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
