"""The worklist as one query: filtered, sorted and paged by the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, get_args

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    RowMapping,
    Select,
    String,
    and_,
    case,
    cast,
    distinct,
    exists,
    false,
    func,
    literal,
    null,
    or_,
    select,
    true,
)
from sqlalchemy.orm import aliased

from app.store.assignment_repository import AssignmentRepository
from app.store.ordering import by_code_point
from app.store.presence_repository import PresenceRepository
from app.store.records import ImageRecord, ScoreRecord, Verdict
from app.store.rows import columns_of
from app.store.sample_schema import AuditSampleMemberRow
from app.store.schema import ImageRow, ReadRow, ScoreRow
from app.store.worklist_records import (
    NOBODY,
    ModelTerms,
    WorklistCase,
    WorklistCounts,
    WorklistQuestion,
)
from app.store.worklist_team import (
    assigned_to,
    assigned_to_nobody,
    disputed,
    has_room,
    offered,
    open_elsewhere,
    to_arbitrate,
)

_IMAGE = columns_of(ImageRow, ImageRecord)
_SCORE = columns_of(ScoreRow, ScoreRecord)
_SHA256_DIGITS = 64
_SAMPLE_DIGITS = 16


class WorklistRepository:
    """Answers questions inside one unit of work."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    def cases(
        self, question: WorklistQuestion, *, offset: int = 0, limit: int | None = None
    ) -> list[WorklistCase]:
        """The cases asked for, in order."""
        terms = _Terms(question)
        # First which ones: sorting all of them with everything that is shown of a few is slow.
        ordered = terms.ordered(terms.matching(ImageRow.id)).offset(offset).limit(limit)
        ids = list(self._connection.scalars(ordered))
        rows = {row["id"]: row for row in self._shown(terms, ids)}
        others = self._others(ids, question.reader)
        assigned = AssignmentRepository(self._connection, self._now).readers_of(ids)
        people: dict[int, tuple[str, ...]] = {}
        presence = PresenceRepository(self._connection, self._now)
        for one in presence.others(question.reader, alive_since=question.alive_since):
            people[one.image_id] = (*people.get(one.image_id, ()), one.full_name)
        return [
            _case(
                rows[number],
                others=others.get(number, 0),
                assigned=assigned.get(number, ()),
                open_by=people.get(number, ()),
            )
            for number in ids
            if number in rows
        ]

    def ids(self, question: WorklistQuestion) -> list[int]:
        """The numbers of the cases asked for, in order."""
        terms = _Terms(question)
        return list(self._connection.scalars(terms.ordered(terms.matching(ImageRow.id))))

    def first_unread(self, question: WorklistQuestion) -> int | None:
        """The first case asked for that waits for the reader and nobody else has open, or None."""
        terms = _Terms(question)
        taken = open_elsewhere(question.reader, question.alive_since)
        statement = terms.ordered(terms.matching(ImageRow.id).where(terms.unread, ~taken))
        return self._connection.scalar(statement.limit(1))

    def without_readers(
        self, question: WorklistQuestion, readers_per_case: int, limit: int
    ) -> list[int]:
        """The first of the cases asked for that fewer people have read or are to read."""
        terms = _Terms(question)
        statement = terms.ordered(terms.matching(ImageRow.id).where(has_room(readers_per_case)))
        return list(self._connection.scalars(statement.limit(limit)))

    def counts(self, question: WorklistQuestion) -> WorklistCounts:
        """How many cases are asked for, and how many there are."""
        terms = _Terms(question)
        statement = terms.joined(
            func.count().filter(*terms.conditions()),
            func.count(),
            func.count().filter(terms.unread),
            func.count().filter(terms.flagged),
            func.count().filter(*terms.lacks_score()),
        )
        return WorklistCounts(*self._connection.execute(statement).one())

    def unscored(self, question: WorklistQuestion, limit: int) -> list[tuple[ImageRecord, str]]:
        """Cases without a current score though their model is calibrated, with that model."""
        terms = _Terms(question)
        statement = terms.joined(*_IMAGE, terms.model.label("case_model"))
        statement = statement.where(*terms.lacks_score())
        rows = self._connection.execute(statement.order_by(ImageRow.id).limit(limit)).mappings()
        return [(_record(ImageRecord, _IMAGE, row), row["case_model"]) for row in rows]

    def _shown(self, terms: _Terms, ids: Sequence[int]) -> Iterator[RowMapping]:
        """All that is shown of these cases, in no order."""
        extra = (
            terms.model.label("case_model"),
            terms.flagged.label("case_flagged"),
            terms.verdict.label("case_verdict"),
            terms.offered.label("case_offered"),
        )
        scores = [column.label(f"score_{column.key}") for column in _SCORE]
        for start in range(0, len(ids), 500):
            statement = terms.joined(*_IMAGE, *scores, *extra)
            statement = statement.where(ImageRow.id.in_(ids[start : start + 500]))
            yield from self._connection.execute(statement).mappings()

    def _others(self, ids: Sequence[int], reader: str) -> dict[int, int]:
        found: dict[int, int] = {}
        for start in range(0, len(ids), 500):
            statement = (
                select(ReadRow.image_id, func.count(distinct(ReadRow.reader)))
                .where(ReadRow.image_id.in_(ids[start : start + 500]), ReadRow.reader != reader)
                .group_by(ReadRow.image_id)
            )
            found.update({row[0]: row[1] for row in self._connection.execute(statement)})
        return found


class _Terms:
    """The expressions that a question is made of."""

    def __init__(self, question: WorklistQuestion) -> None:
        self._question = question
        self.model = _by_age(question.models)
        self.verdict = _own_verdict(question.reader)
        self.offered = offered(question.reader, question.readers_per_case)
        self.read = ImageRow.id.in_(_read_by(question.reader))
        self.unread = and_(~self.read, self.offered)
        self.flagged = ScoreRow.id.is_not(None) & or_(
            false(),
            *(
                and_(ScoreRow.model_name == model.name, ScoreRow.score >= model.threshold)
                for model in question.models
                if model.threshold is not None
            ),
        )

    def joined(self, *columns: Any) -> Select[Any]:
        """All cases with their current score."""
        current = or_(
            false(),
            *(
                and_(
                    ScoreRow.model_name == model.name,
                    ScoreRow.model_hash == model.hash,
                    ScoreRow.score_name == model.score_name,
                    *(getattr(ScoreRow, name).is_not(None) for name in model.needed),
                )
                for model in self._question.models
                if model.threshold is not None
            ),
        )
        on = and_(ScoreRow.image_id == ImageRow.id, ScoreRow.model_name == self.model, current)
        return select(*columns).select_from(ImageRow).outerjoin(ScoreRow, on)

    def lacks_score(self) -> tuple[ColumnElement[bool], ...]:
        """Cases without a current score though their model is calibrated."""
        calibrated = [m.name for m in self._question.models if m.threshold is not None]
        return ScoreRow.id.is_(None), self.model.in_(calibrated)

    def matching(self, *columns: Any) -> Select[Any]:
        """Those that the question asks for."""
        return self.joined(*columns).where(*self.conditions())

    def conditions(self) -> list[ColumnElement[bool]]:
        """What the question asks for."""
        asked = self._question.wish
        conditions: list[ColumnElement[bool]] = [
            self._shown(),
            *(self._holds(word) for word in asked.search.split()),
        ]
        if asked.model is not None:
            conditions.append(self.model == asked.model)
        if asked.since is not None:
            conditions.append(ImageRow.added_at >= asked.since)
        if asked.until is not None:
            conditions.append(ImageRow.added_at < asked.until)
        if asked.within_days is not None:
            since = self._question.now - timedelta(days=asked.within_days)
            conditions.append(ImageRow.added_at >= since)
        if asked.batch is not None:
            conditions.append(ImageRow.batch_id == asked.batch)
        if asked.origin is not None:
            conditions.append(ImageRow.origin == asked.origin)
        if asked.assigned_to == NOBODY:
            conditions.append(assigned_to_nobody())
        elif asked.assigned_to is not None:
            conditions.append(assigned_to(asked.assigned_to))
        return conditions

    def ordered(self, statement: Select[Any]) -> Select[Any]:
        """In the order that the question asks for."""
        return statement.order_by(*_ORDERS[self._question.wish.sort](self._question))

    def _shown(self) -> ColumnElement[bool]:
        uncalibrated = [m.name for m in self._question.models if m.threshold is None]
        warned = or_(
            cast(ImageRow.warnings, String) != "[]",
            func.coalesce(cast(ScoreRow.warnings, String), "[]") != "[]",
            ImageRow.conflict,
            self.model.in_(uncalibrated),
        )
        shown: dict[str, ColumnElement[bool]] = {
            "all": true(),
            "unread": self.unread,
            "mine": assigned_to(self._question.reader),
            "read": self.read,
            "flagged": self.flagged,
            "warned": warned,
            "uploads": ImageRow.origin == "upload",
            "gallery": ImageRow.origin == "gallery",
            # A member says nothing of the AI: it was drawn from flagged and other cases alike.
            "sample": ImageRow.id.in_(select(AuditSampleMemberRow.image_id)),
            # Others' verdicts must not show through before one's own is there.
            "disagreement": and_(
                true() if self._question.sees_disputes else self.read,
                ImageRow.id.in_(disputed()),
            ),
            "arbitration": (
                to_arbitrate(self._question.reader) if self._question.sees_disputes else false()
            ),
        }
        return shown[self._question.wish.show]

    def _holds(self, word: str) -> ColumnElement[bool]:
        parts = (
            ImageRow.label,
            func.coalesce(ImageRow.view, ""),
            func.coalesce(ImageRow.sex, ""),
            func.coalesce(cast(cast(func.round(ImageRow.age_years), Integer), String) + " y", ""),
            func.coalesce(ImageRow.modality, ImageRow.format),
            cast(ImageRow.width, String) + " × " + cast(ImageRow.height, String),
            self.model,
        )
        text: ColumnElement[str] = literal("")
        for part in parts:
            text = text + " " + part
        found = func.lower(text).contains(word.lower(), autoescape=True)
        verdicts = [verdict for verdict in get_args(Verdict) if word.lower() in verdict]
        if not verdicts:
            return found
        return or_(found, ImageRow.id.in_(_called(self._question.reader, verdicts)))


def _by_age(models: Sequence[ModelTerms]) -> ColumnElement[str]:
    """The model for a patient's age, as `ddad_core.card.choose_card` chooses it."""
    age = ImageRow.age_years
    whens: list[tuple[Any, Any]] = [(age.is_(None), literal(models[0].name))]
    for model in models:
        low = true() if model.lowest_age is None else age >= model.lowest_age
        high = true() if model.highest_age is None else age < model.highest_age
        whens.append((and_(low, high), literal(model.name)))
    return case(*whens, else_=literal(models[0].name))


def _own_verdict(reader: str) -> Any:
    return (
        select(ReadRow.verdict)
        .where(ReadRow.image_id == ImageRow.id, ReadRow.reader == reader)
        .order_by(ReadRow.revision.desc())
        .limit(1)
        .correlate(ImageRow)
        .scalar_subquery()
    )


def _read_by(reader: str) -> Select[Any]:
    return select(ReadRow.image_id).where(ReadRow.reader == reader)


def _called(reader: str, verdicts: Sequence[str]) -> Select[Any]:
    """Cases that a reader's latest verdict calls one of these."""
    newer = aliased(ReadRow)
    replaced = exists().where(newer.replaces_id == ReadRow.id)
    return _read_by(reader).where(ReadRow.verdict.in_(verdicts), ~replaced)


def _by_uncertainty(question: WorklistQuestion) -> tuple[Any, ...]:
    distance = case(
        *(
            (
                ScoreRow.model_name == model.name,
                func.abs(ScoreRow.score - model.threshold) / (model.spread or 1.0),
            )
            for model in question.models
            if model.threshold is not None
        ),
        else_=null(),
    )
    return ScoreRow.id.is_(None), distance, ImageRow.id


def _by_score(_: WorklistQuestion) -> tuple[Any, ...]:
    # Unjudged cases come last, whatever a database thinks of NULL.
    percentile, score = ScoreRow.percentile.desc(), ScoreRow.score.desc()
    label = by_code_point(ImageRow.label)
    return ScoreRow.id.is_(None), percentile, score, label, ImageRow.id


def _by_chance(question: WorklistQuestion) -> tuple[Any, ...]:
    # A SHA-256 is as good as random, and the same for everybody who has the seed.
    start = question.wish.seed % (_SHA256_DIGITS - _SAMPLE_DIGITS + 1) + 1
    return func.substr(ImageRow.sha256, start, _SAMPLE_DIGITS), ImageRow.id


_ORDERS: dict[str, Callable[[WorklistQuestion], tuple[Any, ...]]] = {
    "score": _by_score,
    "uncertainty": _by_uncertainty,
    "newest": lambda _: (ImageRow.added_at.desc(), ImageRow.id.desc()),
    "oldest": lambda _: (ImageRow.added_at, ImageRow.id),
    "label": lambda _: (by_code_point(ImageRow.label), ImageRow.id),
    "random": _by_chance,
}


def _case(
    row: Any, *, others: int, assigned: tuple[str, ...], open_by: tuple[str, ...]
) -> WorklistCase:
    scored = row["score_id"] is not None
    return WorklistCase(
        image=_record(ImageRecord, _IMAGE, row),
        model=row["case_model"],
        score=_record(ScoreRecord, _SCORE, row, "score_") if scored else None,
        flagged=bool(row["case_flagged"]),
        verdict=row["case_verdict"],
        others=others,
        offered=bool(row["case_offered"]),
        assigned=assigned,
        open_by=open_by,
    )


def _record(kind: Any, columns: Sequence[Any], row: Any, prefix: str = "") -> Any:
    named = {column.key: row[f"{prefix}{column.key}"] for column in columns}
    return kind(**named)
