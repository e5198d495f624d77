"""All use cases in one value, wired by ``app.bootstrap``."""

from __future__ import annotations

from dataclasses import dataclass

from app.services.access import Access
from app.services.accounts import AccountsService
from app.services.assigning import AssigningService
from app.services.audit import AuditService
from app.services.case_details import CaseDetailsService
from app.services.erasing import ErasingService
from app.services.exporting import ExportingService
from app.services.gallery import GalleryService
from app.services.governance import GovernanceService
from app.services.importing_reads import ImportingService
from app.services.intake import IntakeService
from app.services.levels import LevelService
from app.services.models import ModelService
from app.services.monitoring import MonitoringService
from app.services.patients import PatientService
from app.services.preferences import PreferenceService
from app.services.preparing import PreparingService
from app.services.presence import PresenceService
from app.services.progress import ProgressService
from app.services.reading import ReadingService
from app.services.reporting import ReportingService
from app.services.sampling import SamplingService
from app.services.saved_views import SavedViewsService
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
    preparing: PreparingService
    viewing: ViewingService
    details: CaseDetailsService
    tuning: TuningService
    sampling: SamplingService
    levels: LevelService
    governance: GovernanceService
    exporting: ExportingService
    importing: ImportingService
    erasing: ErasingService
    patients: PatientService
    monitoring: MonitoringService
    reporting: ReportingService
    assigning: AssigningService
    presence: PresenceService
    saved_views: SavedViewsService
    progress: ProgressService
    preferences: PreferenceService

    def warm_up(self) -> None:
        """Load now what the first reader would wait for, in a server's process."""
        allocator.give_back_large_blocks()
        self.sandbox.warm_up()
        self.models.warm_up()
        allocator.trim()

    def close(self) -> None:
        """End the processes that read files, the watch, and what prepares cases."""
        self.monitoring.end()
        self.preparing.close()
        self.sandbox.close()
