"""A real PostgreSQL server for the tests, gone with them."""

from __future__ import annotations

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql
from sqlalchemy import Engine

USER = "ddad"
TEMPLATE = "template"
DEADLINE_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1


def binaries() -> Path:
    """The folder of initdb and postgres.

    Raises:
        AssertionError: There is none: tests must not pass for want of a server.
    """
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name)
    )
    for folder in reversed(folders):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    message = "There is no PostgreSQL server. Install one, for instance: apt install postgresql"
    raise AssertionError(message)


class Server:
    """A server of its own: a Unix socket without a password, a port of loopback with one.

    Its databases sort text as people do, not by code point: what relies on an order shows.
    """

    def __init__(self) -> None:
        self._binaries = binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="ddad-postgresql-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.password = secrets.token_hex(16)
        self.port = _free_port()
        # The server refuses to run as root.
        self._owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self._owner:
            os.chown(self._folder, self._owner.pw_uid, self._owner.pw_gid)
        (self._folder / "password").write_text(self.password)
        (self._folder / "password").chmod(0o644)
        try:
            self._initialise()
            self.start()
            self._make_template()
        except BaseException:
            self.remove()
            raise

    def _initialise(self) -> None:
        command = [self._binaries / "initdb", "-D", self._folder / "data", "-U", USER]
        command += ["--encoding=UTF8", "--no-locale", "--no-sync"]
        command += ["--auth-local=trust", "--auth-host=scram-sha-256"]
        command += [f"--pwfile={self._folder / 'password'}"]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, preexec_fn=self._as_owner(False)
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = [self._binaries / "postgres", "-D", self._folder / "data"]
        command += ["-k", self._folder, "-h", "127.0.0.1", "-p", str(self.port)]
        for setting in ("fsync=off", "full_page_writes=off", "max_connections=200"):
            command += ["-c", setting]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, preexec_fn=self._as_owner(True)
            )
        end = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                return self.execute("SELECT 1")
            except psycopg.OperationalError:
                text = (self._folder / "log").read_text()
                assert self._process.poll() is None and time.monotonic() < end, text
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server; whoever is connected is cut off."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(DEADLINE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def remove(self) -> None:
        """Stop the server and remove all it kept."""
        self.stop()
        shutil.rmtree(self._folder)

    def url(self, database: str) -> str:
        """Its address by the Unix socket, without a password."""
        return f"postgresql://{USER}@/{database}?host={quote(str(self._folder))}&port={self.port}"

    def loopback_url(self, database: str, *, password: str | None = None) -> str:
        """Its address by loopback, with the password unless another one is given."""
        given = self.password if password is None else password
        return f"postgresql://{USER}:{given}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, template: str) -> None:
        """Make a database as a copy of another one, which loses its connections."""
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", template
        )
        self.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(database), sql.Identifier(template)
            )
        )

    def drop(self, database: str) -> None:
        """Remove a database, whoever uses it."""
        self.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database))
        )

    def execute(self, statement: Any, *values: object) -> None:
        """Run a statement for the server as a whole."""
        with psycopg.connect(
            host=str(self._folder), port=self.port, user=USER, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement, values)

    def _make_template(self) -> None:
        version = int((self._folder / "data" / "PG_VERSION").read_text())
        icu = " LOCALE_PROVIDER icu ICU_LOCALE 'en-US'" if version >= 15 else ""
        self.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0{icu}")

    def _as_owner(self, until_our_end: bool) -> Callable[[], None]:
        owner, libc = self._owner, ctypes.CDLL(None)

        def become() -> None:
            if owner:
                os.initgroups(owner.pw_name, owner.pw_gid)
                os.setgid(owner.pw_gid)
                os.setuid(owner.pw_uid)
            if until_our_end:  # even if this process is killed
                libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)

        return become


def schema_on_postgresql(engine: Engine) -> set[tuple[str, ...]]:
    """Every column, constraint, index, trigger and function, as the server words them."""
    queries = (
        """SELECT table_name, column_name, data_type, is_nullable,
            coalesce(column_default, ''), coalesce(character_maximum_length::text, '')
            FROM information_schema.columns WHERE table_schema = 'public'""",
        """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace""",
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
        """SELECT proname, regexp_replace(prosrc, '[[:space:]]+', ' ', 'g') FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace""",
    )
    with engine.connect() as connection:
        rows = [row for query in queries for row in connection.exec_driver_sql(query)]
    return {tuple(map(str, row)) for row in rows}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
