"""Opening an installation's database; without the models, which take seconds to load."""

from __future__ import annotations

from app.gateways.anchor import AnchorFile
from app.settings import Settings
from app.store.engine import create_store_engine
from app.store.migrate import migrate
from app.store.unit_of_work import UnitOfWork


def anchor_of(settings: Settings) -> AnchorFile:
    """Where the newest audit event is noted outside of the database."""
    return AnchorFile(settings.home / "audit.anchor")


def open_store(settings: Settings, anchor: AnchorFile | None = None) -> UnitOfWork:
    """Bring the database to the current schema and open it.

    Args:
        settings: Where it is.
        anchor: As `anchor_of` gives it, if the caller has one already.

    Raises:
        StoreError: The database cannot be opened or upgraded.
    """
    anchor = anchor or anchor_of(settings)
    migrate(settings.database_url, anchor=anchor)
    return UnitOfWork(create_store_engine(settings.database_url), anchor=anchor)
