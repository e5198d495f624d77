"""The composition root: settings -> services. Only main, workers and the admin CLI import it."""

from __future__ import annotations

from app.gateways.files import ImageFiles
from app.gateways.home_lock import HomeLock
from app.opening import anchor_of, open_store
from app.services.access import Access
from app.services.accounts import AccountsService
from app.services.assigning import AssigningService
from app.services.audit import AuditService
from app.services.case_details import CaseDetailsService
from app.services.container import Services
from app.services.erasing import ErasingService
from app.services.exporting import ExportingService
from app.services.gallery import GalleryService
from app.services.governance import GovernanceService
from app.services.governed import Rules
from app.services.images import StoredImages
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
from app.services.pseudonym_key import pseudonym_key
from app.services.reading import ReadingService
from app.services.reporting import ReportingService
from app.services.sampling import SamplingService
from app.services.saved_views import SavedViewsService
from app.services.scoring import ScoringService
from app.services.tuning import TuningService
from app.services.viewing import ViewingService
from app.services.worklist import WorklistService
from app.settings import Settings
from ddad_core.imaging.prepare import Keeping
from ddad_core.imaging.sandbox import Sandbox
from ddad_core.parallel import processors


def build_services(settings: Settings) -> Services:
    """Bring the database to the current schema and wire the services to it.

    Raises:
        ModelError: There is no model, or a card is damaged.
        FilesError: The key of the pseudonyms is missing, damaged or another database's.
        StoreError: The database cannot be opened or upgraded.
    """
    anchor = anchor_of(settings)
    store = open_store(settings, anchor)
    access = Access(store)
    files = ImageFiles(settings.home)
    key = pseudonym_key(store, settings.pseudonym_key_file)
    models = ModelService(settings.weights, settings.device, store, settings.site)
    sandbox = Sandbox(processors())
    images = StoredImages(files, sandbox)
    scoring = ScoringService(store, files, images, models)
    intake = IntakeService(
        store,
        access,
        files,
        models,
        scoring,
        sandbox=sandbox,
        keeping=Keeping(key, settings.site),
        keep_originals=settings.keep_originals,
    )
    tuning = TuningService(store, access, models, unaided_first=settings.unaided_first)
    sampling = SamplingService(store, access, models)
    monitoring = MonitoringService(store, access, models)
    return Services(
        access=access,
        accounts=AccountsService(store, access),
        audit=AuditService(store, access, anchor),
        sandbox=sandbox,
        models=models,
        intake=intake,
        gallery=GalleryService(settings.gallery, store, intake),
        worklist=WorklistService(
            store,
            access,
            models,
            scoring,
            unaided_first=settings.unaided_first,
            readers_per_case=settings.readers_per_case,
        ),
        reading=ReadingService(
            store,
            access,
            images,
            models,
            scoring,
            unaided_first=settings.unaided_first,
            more_findings=settings.more_findings,
        ),
        viewing=ViewingService(store, access, images, models),
        preparing=PreparingService(store, access, images, models, scoring),
        tuning=tuning,
        sampling=sampling,
        details=CaseDetailsService(store, access, models, unaided_first=settings.unaided_first),
        levels=LevelService(store, access, models, scoring),
        governance=GovernanceService(
            store, access, models, Rules(settings.min_cases, settings.second_approval)
        ),
        exporting=ExportingService(store, access, models, settings.site),
        importing=ImportingService(store, access),
        erasing=ErasingService(store, access, files, HomeLock(settings.home)),
        patients=PatientService(store, access),
        monitoring=monitoring,
        reporting=ReportingService(
            store,
            access,
            models,
            tuning=tuning,
            sampling=sampling,
            monitoring=monitoring,
            site=settings.site,
        ),
        assigning=AssigningService(store, access, readers_per_case=settings.readers_per_case),
        presence=PresenceService(store, access),
        saved_views=SavedViewsService(store, access),
        progress=ProgressService(store, access),
        preferences=PreferenceService(store, access),
    )
