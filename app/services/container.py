"""All use cases in one value, wired by ``app.bootstrap``."""

from __future__ import annotations

from dataclasses import dataclass

from app.services.access import Access
from app.services.accounts import AccountsService
from app.services.audit import AuditService
from app.services.erasing import ErasingService
from app.services.exporting import ExportingService
from app.services.gallery import GalleryService
from app.services.intake import IntakeService
from app.services.models import ModelService
from app.services.patients import PatientService
from app.services.preferences import PreferenceService
from app.services.reading import ReadingService
from app.services.tuning import TuningService
from app.services.viewing import ViewingService
from app.services.worklist import WorklistService
from ddad_core import allocator
from ddad_core.imaging.sandbox import Sandbox


@dataclass(frozen=True)
class Services:
    """Every use case of the app, on one store and one set of models."""

    access: Access
    accounts: AccountsService
    audit: AuditService
    sandbox: Sandbox
    models: ModelService
    intake: IntakeService
    gallery: GalleryService
    worklist: WorklistService
    reading: ReadingService
    viewing: ViewingService
    tuning: TuningService
    exporting: ExportingService
    erasing: ErasingService
    patients: PatientService
    preferences: PreferenceService

    def warm_up(self) -> None:
        """Load now what the first reader would wait for, in a server's process."""
        allocator.give_back_large_blocks()
        self.sandbox.warm_up()
        self.models.warm_up()
        allocator.trim()

    def close(self) -> None:
        """End the processes that read files."""
        self.sandbox.close()
