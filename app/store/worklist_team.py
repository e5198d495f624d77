"""The conditions of the worklist that come of several people reading the same cases."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    distinct,
    exists,
    func,
    or_,
    select,
    true,
    union,
)

from app.store.schema import ImageRow, ReadRow, SessionRow
from app.store.team_schema import ArbitrationRow, AssignmentRow, PresenceRow


def assigned_to(reader: str) -> ColumnElement[bool]:
    """Whether a case is assigned to somebody."""
    mine = select(AssignmentRow.image_id).where(AssignmentRow.reader == reader)
    return ImageRow.id.in_(mine)


def assigned_to_nobody() -> ColumnElement[bool]:
    """Whether a case is assigned to nobody."""
    return ImageRow.id.not_in(select(AssignmentRow.image_id))


def has_room(readers_per_case: int) -> ColumnElement[bool]:
    """Whether fewer people than asked for have read a case or are to read it."""
    engaged = union(
        select(ReadRow.image_id, ReadRow.reader),
        select(AssignmentRow.image_id, AssignmentRow.reader),
    ).subquery()
    full = (
        select(engaged.c.image_id)
        .group_by(engaged.c.image_id)
        .having(func.count() >= readers_per_case)
    )
    return ImageRow.id.not_in(full)


def offered(reader: str, readers_per_case: int | None) -> ColumnElement[bool]:
    """Whether a case that somebody has not read waits for them.

    It does if it is assigned to them, or if there is room for one more; without a number of
    readers, what is assigned to others is theirs.
    """
    if readers_per_case is None:
        free = assigned_to_nobody()
    else:
        free = has_room(readers_per_case)
    return or_(assigned_to(reader), free)


def disputed(apart_from: str | None = None, image_id: int | None = None) -> Select[Any]:
    """Cases that readers' latest verdicts call both normal and abnormal.

    Args:
        apart_from: A reader whose verdict does not count.
        image_id: The only case of interest.
    """
    counted = true() if apart_from is None else ReadRow.reader != apart_from
    if image_id is not None:
        counted = and_(counted, ReadRow.image_id == image_id)
    last = (
        select(ReadRow.image_id, ReadRow.reader, func.max(ReadRow.revision).label("revision"))
        .where(counted)
        .group_by(ReadRow.image_id, ReadRow.reader)
        .subquery()
    )
    same = and_(
        ReadRow.image_id == last.c.image_id,
        ReadRow.reader == last.c.reader,
        ReadRow.revision == last.c.revision,
    )
    return (
        select(ReadRow.image_id)
        .join(last, same)
        .where(ReadRow.verdict.in_(("normal", "abnormal")))
        .group_by(ReadRow.image_id)
        .having(func.count(distinct(ReadRow.verdict)) > 1)
    )


def to_arbitrate(reader: str) -> ColumnElement[bool]:
    """Whether others disagree on a case that nobody has settled."""
    settled = select(ArbitrationRow.image_id)
    return and_(ImageRow.id.in_(disputed(reader)), ImageRow.id.not_in(settled))


def alive(since: datetime) -> ColumnElement[bool]:
    """Whether a tab has given a sign of life since then and its session goes on."""
    ended = exists().where(
        SessionRow.id == PresenceRow.session_id, SessionRow.ended_at.is_not(None)
    )
    return and_(PresenceRow.seen_at >= since, ~ended)


def open_elsewhere(reader: str, since: datetime) -> ColumnElement[bool]:
    """Whether somebody else has a case open."""
    taken = select(PresenceRow.image_id).where(alive(since), PresenceRow.reader != reader)
    return ImageRow.id.in_(taken)
