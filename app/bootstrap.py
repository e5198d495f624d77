"""The composition root: settings -> services. Only main, workers and the admin CLI import it."""

from __future__ import annotations

from app.gateways.files import ImageFiles
from app.gateways.home_lock import HomeLock
from app.opening import anchor_of, open_store
from app.services.access import Access
from app.services.accounts import AccountsService
from app.services.audit import AuditService
from app.services.container import Services
from app.services.erasing import ErasingService
from app.services.exporting import ExportingService
from app.services.gallery import GalleryService
from app.services.images import StoredImages
from app.services.intake import IntakeService
from app.services.models import ModelService
from app.services.patients import PatientService
from app.services.preferences import PreferenceService
from app.services.pseudonym_key import pseudonym_key
from app.services.reading import ReadingService
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
    models = ModelService(settings.weights, settings.device, store)
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
    return Services(
        access=access,
        accounts=AccountsService(store, access),
        audit=AuditService(store, access, anchor),
        sandbox=sandbox,
        models=models,
        intake=intake,
        gallery=GalleryService(settings.gallery, store, intake),
        worklist=WorklistService(
            store, access, models, scoring, unaided_first=settings.unaided_first
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
        viewing=ViewingService(access, images, models),
        tuning=TuningService(store, access, models),
        exporting=ExportingService(store, access),
        erasing=ErasingService(store, access, files, HomeLock(settings.home)),
        patients=PatientService(store, access),
        preferences=PreferenceService(store, access),
    )
