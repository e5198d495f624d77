"""Accounts: made, changed, never deleted."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from app.store.account_records import NewUser, UserRecord
from app.store.errors import StoreConflictError
from app.store.ordering import by_code_point
from app.store.rows import columns_of, count_of, plain, values_of
from app.store.schema import ReadRow, UserRow

_COLUMNS = columns_of(UserRow, UserRecord)


def name_key(name: str) -> str:
    """What makes two names the same: neither case nor the way it was typed tells them apart."""
    return unicodedata.normalize("NFKC", name).casefold()


class UserRepository:
    """Keeps accounts inside one unit of work."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    def add(self, new: NewUser) -> UserRecord:
        """Make an account; a conflict if the name or the provider's subject has one.

        Nor may it be called as a reader of another site: that one's reads would become its own.
        """
        elsewhere = select(ReadRow.reader).where(ReadRow.origin.is_not(None)).distinct()
        if name_key(new.name) in map(name_key, self._connection.scalars(elsewhere)):
            problem = f"Imported reads are stored under the name {new.name}."
            raise StoreConflictError(problem, "Choose another name.")
        now = self._now()
        statement = insert(UserRow).values(
            **values_of(new),
            name_key=name_key(new.name),
            created_at=now,
            password_changed_at=None if new.password_hash is None else now,
        )
        row = self._connection.execute(statement.returning(*_COLUMNS)).mappings().one()
        return UserRecord(**plain(row))

    def get(self, user_id: int) -> UserRecord | None:
        """The account of that number, or None."""
        return self._one(UserRow.id == user_id)

    def by_name(self, name: str) -> UserRecord | None:
        """The account of that name, whatever the case, or None."""
        return self._one(UserRow.name_key == name_key(name))

    def by_subject(self, issuer: str, subject: str) -> UserRecord | None:
        """The account of a person that a provider knows, or None."""
        return self._one((UserRow.issuer == issuer) & (UserRow.subject == subject))

    def list_all(self) -> list[UserRecord]:
        """Every account, by name."""
        rows = self._connection.execute(
            select(*_COLUMNS).order_by(by_code_point(UserRow.name_key))
        ).mappings()
        return [UserRecord(**plain(row)) for row in rows]

    def count(self) -> int:
        """How many accounts there are, removed ones among them."""
        return count_of(self._connection, UserRow)

    def change(self, user_id: int, **values: Any) -> UserRecord:
        """Set columns of an account by name: full_name, roles, active, failed_attempts and such."""
        if values.get("password_hash") is not None:
            values.setdefault("password_changed_at", self._now())
        statement = update(UserRow).where(UserRow.id == user_id).values(**values)
        row = self._connection.execute(statement.returning(*_COLUMNS)).mappings().one()
        return UserRecord(**plain(row))

    def _one(self, condition: Any) -> UserRecord | None:
        row = self._connection.execute(select(*_COLUMNS).where(condition)).mappings().one_or_none()
        return None if row is None else UserRecord(**plain(row))
