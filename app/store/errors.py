"""What can go wrong with the database, in words a user can act on."""

from __future__ import annotations

from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from ddad_core.errors import DdadError


class StoreError(DdadError):
    """The database could not do what was asked; nothing of the unit of work was kept."""


class StoreConflictError(StoreError):
    """Someone else stored the same thing, or the next version of it, at the same moment."""


# By the start of SQLite's error name, and by the start of PostgreSQL's SQLSTATE.
_KNOWN: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("SQLITE_BUSY", "SQLITE_LOCKED", "55P03", "40"),
        "The database was busy with another change and did not come free in time.",
        "Nothing was saved: try again in a moment.",
    ),
    (
        ("SQLITE_FULL", "53100"),
        "The disk that holds the database is full.",
        "Nothing was saved: free some space on that disk, then save again.",
    ),
    (
        ("SQLITE_READONLY", "25006"),
        "The database can only be read, not written.",
        "Nothing was saved: give the program write permission on the database (SQLite: on "
        "the file and its folder), then save again.",
    ),
    (
        ("SQLITE_CANTOPEN", "08", "57P"),
        "The database cannot be opened or reached.",
        "Check that the database address is right and that it can be reached, then try again.",
    ),
    (
        ("SQLITE_CORRUPT", "SQLITE_NOTADB", "XX001", "XX002"),
        "The database is damaged, or the file is not a database.",
        "Stop the program, keep a copy of the file, and restore the last backup.",
    ),
    (
        ("SQLITE_IOERR", "58"),
        "The disk that holds the database reported an error while reading or writing.",
        "Check the disk and its free space before going on.",
    ),
    (
        ("28",),
        "The database server does not accept this user or password.",
        "Correct the database address, or the file that holds the password.",
    ),
    (
        ("3D",),
        "The database server has no database of that name.",
        "Create it, or correct the database address.",
    ),
    (
        ("53300",),
        "The database server takes no more connections.",
        "Nothing was saved: try again in a moment, or let the server take more of them.",
    ),
    (
        ("42501",),
        "The database does not let this user do what is needed.",
        "Make the user the owner of the database, then try again.",
    ),
    (
        ("42P01", "42703"),
        "The database does not have this version's tables.",
        "Run `ddad-admin migrate`, then start the program again.",
    ),
)


_REFUSALS = (
    ('FATAL:  role "', "28000"),
    ('FATAL:  database "', "3D000"),
    ("password authentication failed", "28P01"),
    ("no pg_hba.conf entry", "28000"),
    ("no password supplied", "28P01"),
    ("too many clients", "53300"),
    ("remaining connection slots", "53300"),
)


def as_store_error(error: SQLAlchemyError) -> StoreError:
    """Say what a database error means and what to do about it.

    The statement and its values stay out of the message: a comment may speak of a patient.
    """
    cause = getattr(error, "orig", None)
    if isinstance(error, IntegrityError):
        return _refusal(cause)
    code = _code(cause)
    for starts, problem, next_step in _KNOWN:
        if code.startswith(starts):
            return StoreError(problem, next_step)
    return StoreError(
        f"The database reported an error ({code or type(error).__name__}).",
        "Nothing was saved: try again; if it happens again, look in the program's log.",
    )


def driver_error(error: Exception) -> SQLAlchemyError:
    """An error of the driver itself in the form that `as_store_error` takes."""
    wrapped = SQLAlchemyError()
    wrapped.orig = error  # type: ignore[attr-defined]
    return wrapped


def _code(cause: BaseException | None) -> str:
    """SQLite's error name or PostgreSQL's SQLSTATE; empty if the driver gave neither."""
    text = str(cause)
    # SQLite has one code, SQLITE_ERROR, for everything wrong with a statement.
    if "no such table" in text or "no such column" in text:
        return "42P01"
    for attribute in ("sqlite_errorname", "sqlstate", "pgcode"):
        code = getattr(cause, attribute, None)
        if code:
            return str(code)
    if not type(cause).__module__.startswith("psycopg"):
        return ""
    # psycopg gives no SQLSTATE where no connection came about; the server's words may say why.
    return next((code for words, code in _REFUSALS if words in text), "08")


def _refusal(cause: BaseException | None) -> StoreError:
    code = _code(cause)
    if code in ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "23505"):
        return StoreConflictError(
            "The same entry was stored by someone else in the meantime.",
            "Nothing was saved: reload to see it, then decide again.",
        )
    # The first line names the rule; PostgreSQL's following lines quote values.
    rule = str(cause).partition("\n")[0]
    return StoreError(f"The database refused a value that breaks a rule: {rule}.")
