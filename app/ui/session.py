"""The only toucher of ``st.session_state``: typed access to what one browser session holds.

Losing it loses nothing that was submitted.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from app.services.batches import Batch
from app.services.case_details import CaseDetails
from app.services.exporting import ExportWish
from app.services.importing_reads import ImportReport
from app.services.intake import IntakeOutcome
from app.services.operating_change import Change
from app.services.patients import RelatedImages
from app.services.people import Person
from app.services.preparing import PreparedCase
from app.services.presence import OpenElsewhere
from app.services.reading import CaseView
from app.services.worklist import SEEDS, Wish
from app.store.account_records import AuditFilter
from app.store.proposal_records import ProposalRecord
from app.store.records import Box, RejectedRegion
from app.ui.viewer import ViewerData

LONGEST_PAUSE = 60.0


@dataclass
class Draft:
    """A read that is not saved yet.

    Attributes:
        verdict: Chosen, or None.
        confidence: 1 to 5, or None.
        findings: Chosen.
        comment: As typed.
        agreement: What is thought of maps, by name.
        boxes: As drawn when the draft was kept; those on the screen count while it is there.
        rejected: Regions that are no finding; likewise.
        kept: What the database has of it; None for nothing.
    """

    verdict: str | None = None
    confidence: int | None = None
    findings: list[str] = field(default_factory=list)
    comment: str = ""
    agreement: dict[str, str] = field(default_factory=dict)
    boxes: tuple[Box, ...] = ()
    rejected: tuple[RejectedRegion, ...] = ()
    kept: dict[str, Any] | None = None


@dataclass
class ReadingClock:
    """Time spent on a case. Of a pause only the first minute counts: nobody knows of the rest.

    Attributes:
        seen_at: When something was done last; seconds, monotonic.
        seconds: Counted so far.
    """

    seen_at: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    def tick(self) -> float:
        """Note that something was done, and tell the seconds counted."""
        now = time.monotonic()
        self.seconds += min(now - self.seen_at, LONGEST_PAUSE)
        self.seen_at = now
        return self.seconds


@dataclass
class Ahead:
    """A case that is being prepared, or is, while another is on the screen.

    Attributes:
        image_id: The case.
        work: Its picture, once it is there.
        answered: When the browser asked for the pixels and was given them, by its own clock.
        key: Digest of the pixels that the browser has; empty until then.
        in_page: Whether the whole page runs: that waits for nothing.
    """

    image_id: int
    work: Future[PreparedCase]
    answered: float = 0.0
    key: str = ""
    in_page: bool = False


@dataclass
class OpenCase:
    """The case on the screen.

    Attributes:
        view: As gathered from the services.
        data: The same for the viewer, laid out once: its digests cost time at every click.
        clock: Time spent on it.
        map_name: The map last seen on the screen; the one shown first until another is chosen.
        related: The patient's other images, and those in conflict with this one.
        details: What else is on record of it.
        handed: The ``pixels_key`` of the pixels that the browser was given before; empty if they
            are to be sent.
        saved: Whether a read was saved since it was gathered: what is on record is asked anew.
    """

    view: CaseView
    data: ViewerData
    details: CaseDetails
    clock: ReadingClock = field(default_factory=ReadingClock)
    map_name: str = ""
    related: RelatedImages = field(default_factory=RelatedImages)
    handed: str = ""
    saved: bool = False

    def __post_init__(self) -> None:
        self.map_name = self.data.initial_map


@dataclass(frozen=True)
class MadeExport:
    """An export that waits to be downloaded.

    Attributes:
        wish: What was asked for.
        name: Of the file.
        content: The ZIP file.
    """

    wish: ExportWish
    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class PlannedImport:
    """A preview that waits to be confirmed.

    Attributes:
        key: Tells the files and the site.
        report: What would be done.
    """

    key: tuple[str, ...]
    report: ImportReport


@dataclass
class Session:
    """Everything one browser session holds.

    Attributes:
        reader: Whose session it is.
        order: Cases in the worklist's order, for "next" and "previous".
        listed: Cases of the worklist's page as last shown.
        wish: What the worklist last showed, for the order of the case opened from it.
        image_id: The case to review.
        models: The model chosen by hand, by case.
        map_name: The map chosen by hand, for this case and those after it; empty for none.
        case: The case on the screen; gathered once, not at every click.
        ahead: The case that is prepared meanwhile, or None.
        drafts: Unsaved reads by case.
        outcomes: What became of this session's uploads, newest last.
        batch: Files on their way in, or None.
        intake_note: Why the last batch of files ended early, shown until the next.
        uploads: Counts emptied uploaders, so that each gets a key of its own.
        page: Of the worklist, from 0.
        unaided: Whether verdicts come before the AI, by the reader's own wish.
        seed: Of the worklist's random order, until another is chosen.
        notice: A sentence to show once on the next page run.
        problem: What went wrong in the last act, shown until the next.
        finished: Whether the last case of the list was just saved.
        new_password: Of an account just made or reset, to be shown once: name and password.
        change: Of an operating point, measured and waiting to be confirmed.
        deciding: The proposal that is being decided on.
        audit_filter: As the audit screen last had it.
        audit_before: Where its pages begin, the first one left out.
        worked_out: Figures of the threshold screen that take long, by what they rest on.
        tab: A random name of this tab, by which it says which case it has open.
        present: The case it has said to have open, or None.
        present_drawn: Whether that was drawn since it was asked last.
        open_elsewhere: Who had that case open before.
        taken: Cases that others have open, as last heard; stepping on skips them.
        preset: What the worklist's controls begin with.
        views: How often that changed, so that each puts its values into new widgets.
        views_saved: Counts saved views, so that the field for a name is empty after each.
        markings: Counts assignments, after each of which nothing is marked any more.
        listing: Whether the worklist was the screen shown last.
        made_export: The export made last, or None.
        planned_import: The preview of the files at hand, or None.
        imported: What the last import did, or None.
        imports: How many were done or discarded; an uploader of another number is empty.
    """

    reader: Person | None = None
    order: tuple[int, ...] = ()
    listed: tuple[int, ...] = ()
    wish: Wish = field(default_factory=Wish)
    image_id: int | None = None
    models: dict[int, str] = field(default_factory=dict)
    map_name: str = ""
    case: OpenCase | None = None
    ahead: Ahead | None = None
    drafts: dict[int, Draft] = field(default_factory=dict)
    outcomes: list[IntakeOutcome] = field(default_factory=list)
    batch: Batch | None = None
    intake_note: str = ""
    uploads: int = 0
    page: int = 0
    unaided: bool = False
    seed: int = field(default_factory=lambda: secrets.randbelow(SEEDS))
    notice: str = ""
    problem: str = ""
    finished: bool = False
    new_password: tuple[str, str] | None = field(default=None, repr=False)
    change: Change | None = None
    deciding: ProposalRecord | None = None
    audit_filter: AuditFilter = field(default_factory=AuditFilter)
    audit_before: list[int] = field(default_factory=list)
    worked_out: dict[Hashable, Any] = field(default_factory=dict)
    tab: str = field(default_factory=lambda: secrets.token_hex(16))
    present: int | None = None
    present_drawn: bool = False
    open_elsewhere: tuple[OpenElsewhere, ...] = ()
    taken: frozenset[int] = frozenset()
    preset: Wish = field(default_factory=Wish)
    views: int = 0
    views_saved: int = 0
    markings: int = 0
    listing: bool = False
    made_export: MadeExport | None = None
    planned_import: PlannedImport | None = None
    imported: ImportReport | None = None
    imports: int = 0

    def open(self, image_id: int, order: tuple[int, ...] | None = None) -> None:
        """Choose the case to review."""
        self.image_id = image_id
        self.case = None
        if order is not None:
            self.order = order

    def saw_map(self, name: str) -> None:
        """Note the map on the screen: one chosen by hand is shown in the next case, too."""
        if self.case and name and name != self.case.map_name:
            self.map_name = self.case.map_name = name

    def neighbour(self, step: int) -> int | None:
        """The next case in the worklist's order that nobody else has open, or None at its end.

        Args:
            step: 1 for onward, -1 for back.
        """
        if self.image_id not in self.order:
            return None
        at = self.order.index(self.image_id) + step
        while 0 <= at < len(self.order):
            if self.order[at] not in self.taken:
                return self.order[at]
            at += step
        return None

    def take_notice(self) -> str:
        """The sentence to show, once."""
        notice, self.notice = self.notice, ""
        return notice


def session() -> Session:
    """The session of this browser tab."""
    if "ddad" not in st.session_state:
        st.session_state["ddad"] = Session()
    found = st.session_state["ddad"]
    assert isinstance(found, Session)
    return found


def session_of(person: Person) -> Session:
    """The session of this tab, emptied if somebody else had it before."""
    found = session()
    before = found.reader
    if before is not None and (before.user_id, before.name) != (person.user_id, person.name):
        st.session_state.clear()
        found = session()
    found.reader = person
    return found


def widget_value(key: str, default: Any) -> Any:
    """What a widget with this key holds now, or the default if it is not on the page."""
    return st.session_state.get(key, default)
