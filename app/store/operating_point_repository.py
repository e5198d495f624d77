"""The site's operating points: every version is kept, the last one counts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, insert, or_, select

from app.store.records import NewOperatingPoint, OperatingPointRecord
from app.store.rows import columns_of, count_of, plain, values_of
from app.store.schema import OperatingPointRow

_COLUMNS = columns_of(OperatingPointRow, OperatingPointRecord)


class OperatingPointRepository:
    """Appends and finds operating points inside one unit of work."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    def append(self, new: NewOperatingPoint) -> OperatingPointRecord:
        """Store the next version for this score of this model."""
        replaced = self.current(new.model_name, new.model_hash, new.score_name)
        statement = insert(OperatingPointRow).values(
            **values_of(new),
            version=1 if replaced is None else replaced.version + 1,
            replaces_id=None if replaced is None else replaced.id,
            set_at=self._now(),
        )
        row = self._connection.execute(statement.returning(*_COLUMNS)).mappings().one()
        return OperatingPointRecord(**plain(row))

    def current(
        self, model_name: str, model_hash: str, score_name: str
    ) -> OperatingPointRecord | None:
        """The newest version, or None if none was set; see `in_force` for whom it counts."""
        statement = _versions(model_name, model_hash, score_name)
        statement = statement.order_by(OperatingPointRow.version.desc()).limit(1)
        row = self._connection.execute(statement).mappings().one_or_none()
        return None if row is None else OperatingPointRecord(**plain(row))

    def in_force(
        self, model_name: str, model_hash: str, score_name: str, *, population: str, site: str
    ) -> OperatingPointRecord | None:
        """The version that counts for this population at this site, or None if there is none.

        A version that is older than the notes of population and site counts for any.
        """
        statement = _versions(model_name, model_hash, score_name).where(
            or_(OperatingPointRow.population.is_(None), OperatingPointRow.population == population),
            or_(OperatingPointRow.site.is_(None), OperatingPointRow.site == site),
        )
        statement = statement.order_by(OperatingPointRow.version.desc()).limit(1)
        row = self._connection.execute(statement).mappings().one_or_none()
        return None if row is None else OperatingPointRecord(**plain(row))

    def of_model(self, model_name: str) -> list[OperatingPointRecord]:
        """Every version for any weights, score and map of a model, the first one first."""
        statement = select(*_COLUMNS).where(OperatingPointRow.model_name == model_name)
        rows = self._connection.execute(statement.order_by(OperatingPointRow.id)).mappings()
        return [OperatingPointRecord(**plain(row)) for row in rows]

    def history(
        self, model_name: str, model_hash: str, score_name: str
    ) -> list[OperatingPointRecord]:
        """Every version, the first one first."""
        statement = _versions(model_name, model_hash, score_name)
        rows = self._connection.execute(statement.order_by(OperatingPointRow.version)).mappings()
        return [OperatingPointRecord(**plain(row)) for row in rows]

    def count(self) -> int:
        """How many versions there are, of all models."""
        return count_of(self._connection, OperatingPointRow)

    def list_all(self) -> list[OperatingPointRecord]:
        """Every version for every model, the first one first."""
        statement = select(*_COLUMNS).order_by(OperatingPointRow.id)
        rows = self._connection.execute(statement).mappings()
        return [OperatingPointRecord(**plain(row)) for row in rows]


def _versions(model_name: str, model_hash: str, score_name: str) -> Select[Any]:
    return select(*_COLUMNS).where(
        OperatingPointRow.model_name == model_name,
        OperatingPointRow.model_hash == model_hash,
        OperatingPointRow.score_name == score_name,
    )
