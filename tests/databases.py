"""The two kinds of database that the same tests run on."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from pathlib import Path
from typing import Any, Protocol

import psycopg

from app.store.migrate import migrate
from app.store.schema import Base
from tests.postgresql import TEMPLATE, Server

_MIGRATED = "migrated"


_chosen: list[Databases] = []


def current() -> Databases:
    """Those of the test that runs."""
    return _chosen[-1]


def choose(databases: Databases) -> Databases:
    """Make these the current ones."""
    _chosen[:] = [databases]
    return databases


class Databases(Protocol):
    """One database for each home folder."""

    kind: str

    def environ(self, home: Path) -> dict[str, str]:
        """The settings by which the program finds the database of a home."""

    def url(self, home: Path, *, migrated: bool = True) -> str:
        """The address of the database of a home, which is made if it is not there."""

    def copy(self, home: Path, to: Path) -> Path:
        """Copy a home with its database."""

    def query(self, home: Path, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement past the program, and keep what it changed."""

    def everything(self, home: Path) -> bytes:
        """All that the database keeps, to search in."""

    def forget(self, folder: Path) -> None:
        """Remove the databases of all homes in a folder."""


class SqliteDatabases:
    """A file in each home."""

    kind = "sqlite"

    def environ(self, home: Path) -> dict[str, str]:
        return {}

    def url(self, home: Path, *, migrated: bool = True) -> str:
        url = f"sqlite:///{home / 'ddad.sqlite'}"
        if migrated:
            migrate(url)
        return url

    def copy(self, home: Path, to: Path) -> Path:
        return Path(shutil.copytree(home, to))

    def query(self, home: Path, statement: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(home / "ddad.sqlite") as connection:
            rows = connection.execute(statement).fetchall()
        connection.close()
        return rows

    def everything(self, home: Path) -> bytes:
        return (home / "ddad.sqlite").read_bytes()

    def forget(self, folder: Path) -> None:
        """They go with the folder."""


class PostgresqlDatabases:
    """A database of the same server for each home."""

    kind = "postgresql"

    def __init__(self, server: Server) -> None:
        self.server = server
        self._homes: dict[Path, str] = {}
        self._forgotten: list[str] = []
        server.drop(_MIGRATED)
        server.create(_MIGRATED, TEMPLATE)
        migrate(server.url(_MIGRATED))

    def environ(self, home: Path) -> dict[str, str]:
        return {"DDAD_DATABASE_URL": self.url(home)}

    def url(self, home: Path, *, migrated: bool = True) -> str:
        if home not in self._homes:
            self._create(home, _MIGRATED if migrated else TEMPLATE)
        return self.server.url(self._homes[home])

    def copy(self, home: Path, to: Path) -> Path:
        self._create(to, self._homes[home])
        return Path(shutil.copytree(home, to))

    def query(self, home: Path, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url(home)) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def everything(self, home: Path) -> bytes:
        rows = [
            self.query(home, f"SELECT CAST({t} AS text) FROM {t}") for t in Base.metadata.tables
        ]
        return repr(rows).encode()

    def forget(self, folder: Path) -> None:
        for home in [home for home in self._homes if home.is_relative_to(folder)]:
            self._forgotten.append(self._homes.pop(home))
        # The first of several costs a checkpoint, and the others next to nothing.
        if len(self._forgotten) >= 25:
            while self._forgotten:
                self.server.drop(self._forgotten.pop())

    def _create(self, home: Path, template: str) -> None:
        name = "home_" + secrets.token_hex(8)
        self.server.create(name, template)
        self._homes[home] = name
