"""One use case, one transaction: everything in it is kept, or nothing is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from app.store.assignment_repository import AssignmentRepository
from app.store.audit_repository import Anchor, AuditRepository
from app.store.draft_repository import DraftRepository
from app.store.engine import read_only, take_write_lock, turn_to_write
from app.store.erasure_repository import ErasureRepository
from app.store.errors import as_store_error, driver_error
from app.store.evidence_repository import EvidenceRepository
from app.store.export_repository import ExportRepository
from app.store.export_state import one_state
from app.store.image_repository import ImageRepository
from app.store.import_repository import ImportRepository
from app.store.installation_repository import InstallationRepository
from app.store.monitoring_repository import MonitoringRepository
from app.store.operating_point_repository import OperatingPointRepository
from app.store.preference_repository import PreferenceRepository
from app.store.presence_repository import PresenceRepository
from app.store.proposal_repository import ProposalRepository
from app.store.read_repository import ReadRepository
from app.store.sample_repository import SampleRepository
from app.store.saved_view_repository import BatchRepository, SavedViewRepository
from app.store.score_repository import ScoreRepository
from app.store.session_repository import SessionRepository
from app.store.user_repository import UserRepository
from app.store.worklist_repository import WorklistRepository

_OF_IMAGES = (
    "arbitrations", "assignments", "presence", "boxes", "rejected_regions", "reads",
    "scores", "drafts", "images", "batches",
)  # fmt: skip


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Repositories:
    """The repositories of one unit of work; of no use after it ends."""

    images: ImageRepository
    scores: ScoreRepository
    reads: ReadRepository
    operating_points: OperatingPointRepository
    installation: InstallationRepository
    users: UserRepository
    sessions: SessionRepository
    audit: AuditRepository
    drafts: DraftRepository
    preferences: PreferenceRepository
    erasure: ErasureRepository
    worklist: WorklistRepository
    monitoring: MonitoringRepository
    evidence: EvidenceRepository
    samples: SampleRepository
    proposals: ProposalRepository
    assignments: AssignmentRepository
    presence: PresenceRepository
    saved_views: SavedViewRepository
    batches: BatchRepository
    exports: ExportRepository
    imports: ImportRepository


class UnitOfWork:
    """Opens units of work on a database; safe to share between threads.

    Units must not be nested: the inner one would wait for the outer one's write lock.

    Args:
        engine: Of a database at this version's schema.
        now: The clock.
        anchor: Where the newest audit event is noted outside of the database.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        now: Callable[[], datetime] = utc_now,
        anchor: Anchor | None = None,
    ) -> None:
        self._engine = engine
        self._reading_engine = read_only(engine)
        self._now = now
        self._anchor = anchor

    def now(self) -> datetime:
        """The time, in UTC, by the clock that stored times come from."""
        return self._now()

    @contextmanager
    def writing(self) -> Iterator[Repositories]:
        """Hold the write lock from the start; keep all at the end, or nothing on any exception.

        Raises:
            StoreConflictError: Someone else stored the same thing at the same moment.
            StoreError: The database is locked, full, read-only, damaged or out of reach.
        """
        try:
            with turn_to_write(self._engine), self._engine.begin() as connection:
                take_write_lock(connection)
                repositories = self._repositories(connection)
                yield repositories
        except SQLAlchemyError as error:
            raise as_store_error(error) from error
        repositories.audit.note_head()

    @contextmanager
    def reading(self) -> Iterator[Repositories]:
        """See one consistent state; writing in here is refused.

        On SQLite an open reading unit keeps writers waiting: gather first, work afterwards.

        Raises:
            StoreError: The database is damaged or out of reach.
        """
        try:
            with self._reading_engine.connect() as connection:
                yield self._repositories(connection)
        except SQLAlchemyError as error:
            raise as_store_error(error) from error

    @contextmanager
    def exporting(self, folder: Path) -> Iterator[ExportRepository]:
        """See one consistent state for as long as it takes; nobody is kept from writing.

        Args:
            folder: For what SQLite must copy first; it is gone afterwards.

        Raises:
            StoreError: The database is damaged or out of reach.
        """
        try:
            with one_state(self._engine, folder) as connection:
                yield ExportRepository(connection)
        except SQLAlchemyError as error:
            raise as_store_error(error) from error

    def compact(self) -> None:
        """Write the database anew without what was deleted; writers wait meanwhile.

        Raises:
            StoreError: The database is in use, or the disk is full. It is as it was then.
        """
        try:
            if self._engine.dialect.name == "sqlite":
                with self._engine.connect() as connection:
                    raw = connection.connection.driver_connection
                    assert raw is not None
                    raw.execute("PRAGMA query_only = OFF")
                    raw.execute("VACUUM")
                return
            alone = self._engine.execution_options(isolation_level="AUTOCOMMIT")
            with alone.connect() as connection:
                for table in _OF_IMAGES:
                    connection.exec_driver_sql(f"VACUUM {table}")
        except sqlite3.DatabaseError as error:
            raise as_store_error(driver_error(error)) from error
        except SQLAlchemyError as error:
            raise as_store_error(error) from error

    def _repositories(self, connection: Connection) -> Repositories:
        return Repositories(
            images=ImageRepository(connection, self._now),
            scores=ScoreRepository(connection, self._now),
            reads=ReadRepository(connection, self._now),
            operating_points=OperatingPointRepository(connection, self._now),
            installation=InstallationRepository(connection),
            users=UserRepository(connection, self._now),
            sessions=SessionRepository(connection, self._now),
            audit=AuditRepository(connection, self._now, self._anchor),
            drafts=DraftRepository(connection, self._now),
            preferences=PreferenceRepository(connection),
            erasure=ErasureRepository(connection, self._now),
            worklist=WorklistRepository(connection, self._now),
            monitoring=MonitoringRepository(connection),
            evidence=EvidenceRepository(connection),
            samples=SampleRepository(connection, self._now),
            proposals=ProposalRepository(connection, self._now),
            assignments=AssignmentRepository(connection, self._now),
            presence=PresenceRepository(connection, self._now),
            saved_views=SavedViewRepository(connection, self._now),
            batches=BatchRepository(connection, self._now),
            exports=ExportRepository(connection),
            imports=ImportRepository(connection),
        )
