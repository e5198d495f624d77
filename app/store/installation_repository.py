"""What belongs to the installation as a whole, by name."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from app.store.schema import InstallationRow

PSEUDONYM_KEY_CHECK = "pseudonym_key_check"
"""Fingerprint of the key that the pseudonyms in the database were made with."""


class InstallationRepository:
    """Keeps values inside one unit of work."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> str | None:
        """The value of that name, or None."""
        statement = select(InstallationRow.value).where(InstallationRow.name == name)
        value: str | None = self._connection.scalar(statement)
        return value

    def put(self, name: str, value: str) -> None:
        """Set a value in place of the one there is."""
        self._connection.execute(delete(InstallationRow).where(InstallationRow.name == name))
        self._connection.execute(insert(InstallationRow).values(name=name, value=value))
