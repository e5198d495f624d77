"""An account for tests that start a server."""

from __future__ import annotations

from pathlib import Path

from app.services.access import Access
from app.services.accounts import AccountsService
from app.store.engine import create_store_engine
from app.store.migrate import migrate
from app.store.unit_of_work import UnitOfWork

NAME = "ana"
PASSWORD = "seventeen quiet herons"


def accounts_of(home: Path) -> AccountsService:
    """The accounts of a home on SQLite."""
    url = f"sqlite:///{home / 'ddad.sqlite'}"
    migrate(url)
    store = UnitOfWork(create_store_engine(url))
    return AccountsService(store, Access(store))


def create_account(home: Path) -> None:
    """Make the first account, which has every role."""
    accounts_of(home).create_first(NAME, "Ana Ruiz", PASSWORD, "")
