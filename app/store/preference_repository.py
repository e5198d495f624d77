"""What each person prefers: small values by name, of no consequence for any result."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Connection, delete, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from app.store.schema import Base


class PreferenceRow(Base):
    """One preference of one person."""

    __tablename__ = "preferences"

    person: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSON, nullable=False)


class PreferenceRepository:
    """Keeps preferences inside one unit of work."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, person: str, name: str, value: object) -> None:
        """Keep a value in place of the one there is."""
        self._connection.execute(
            delete(PreferenceRow).where(PreferenceRow.person == person, PreferenceRow.name == name)
        )
        values = {"person": person, "name": name, "value": value}
        self._connection.execute(insert(PreferenceRow).values(**values))

    def all_of(self, person: str) -> dict[str, Any]:
        """A person's preferences by name."""
        statement = select(PreferenceRow.name, PreferenceRow.value).where(
            PreferenceRow.person == person
        )
        return {name: value for name, value in self._connection.execute(statement)}
