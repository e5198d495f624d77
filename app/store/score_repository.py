"""Scores in the database: one for each image and version of a model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select
from sqlalchemy.dialects import postgresql, sqlite

from app.store.records import NewScore, ScoreRecord
from app.store.rows import columns_of, count_of, plain, values_of
from app.store.schema import ScoreRow

_COLUMNS = columns_of(ScoreRow, ScoreRecord)
_KEY = ("image_id", "model_name", "model_hash")


class ScoreRepository:
    """Adds and finds scores inside one unit of work."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    def add_or_get(self, new: NewScore) -> ScoreRecord:
        """Store a score, or give back the one already stored for this image and model.

        Two workers may score the same image at once: the first one's score stays.
        """
        self._connection.execute(_add_statement(self._connection.dialect.name), self._values(new))
        return self._of_image(new)

    def put(self, new: NewScore) -> ScoreRecord:
        """Store a score in place of the one stored for this image and model, if there is one.

        For a score that no longer says all that the model's card asks for.
        """
        statement = _insert(self._connection.dialect.name)
        changed = {
            name: statement.excluded[name]
            for name in (*values_of(new), "scored_at")
            if name not in _KEY
        }
        statement = statement.on_conflict_do_update(index_elements=_KEY, set_=changed)
        self._connection.execute(statement, self._values(new))
        return self._of_image(new)

    def for_image(self, image_id: int, model_name: str, model_hash: str) -> ScoreRecord | None:
        """The score of one image under one version of a model, or None."""
        statement = _of_model(model_name, model_hash).where(ScoreRow.image_id == image_id)
        row = self._connection.execute(statement).mappings().one_or_none()
        return None if row is None else ScoreRecord(**plain(row))

    def for_model(self, model_name: str, model_hash: str) -> list[ScoreRecord]:
        """Every score under one version of a model, by image id."""
        statement = _of_model(model_name, model_hash).order_by(ScoreRow.image_id)
        return [ScoreRecord(**plain(row)) for row in self._connection.execute(statement).mappings()]

    def of_image(self, image_id: int) -> list[ScoreRecord]:
        """Every score of one image, the first one first."""
        statement = select(*_COLUMNS).where(ScoreRow.image_id == image_id)
        statement = statement.order_by(ScoreRow.scored_at, ScoreRow.id)
        return [ScoreRecord(**plain(row)) for row in self._connection.execute(statement).mappings()]

    def list_all(self) -> list[ScoreRecord]:
        """Every score under every version of every model, the first one first."""
        statement = select(*_COLUMNS).order_by(ScoreRow.id)
        return [ScoreRecord(**plain(row)) for row in self._connection.execute(statement).mappings()]

    def count(self) -> int:
        """How many scores there are."""
        return count_of(self._connection, ScoreRow)

    def _values(self, new: NewScore) -> dict[str, Any]:
        return {**values_of(new), "scored_at": self._now()}

    def _of_image(self, new: NewScore) -> ScoreRecord:
        statement = _of_model(new.model_name, new.model_hash)
        statement = statement.where(ScoreRow.image_id == new.image_id)
        return ScoreRecord(**plain(self._connection.execute(statement).mappings().one()))


def _of_model(model_name: str, model_hash: str) -> Select[Any]:
    return select(*_COLUMNS).where(
        ScoreRow.model_name == model_name, ScoreRow.model_hash == model_hash
    )


def _insert(dialect: str) -> sqlite.Insert | postgresql.Insert:
    # Both databases know ON CONFLICT, but SQLAlchemy keeps it in their dialects.
    return (postgresql if dialect == "postgresql" else sqlite).insert(ScoreRow)


@functools.cache
def _add_statement(dialect: str) -> sqlite.Insert | postgresql.Insert:
    """Made once: an import asks it for every file."""
    return _insert(dialect).on_conflict_do_nothing(index_elements=_KEY)
