"""The composition root: settings -> services. Only main, workers and the admin CLI import it."""

from __future__ import annotations

from app.gateways.files import ImageFiles
from app.services.container import Services
from app.services.exporting import ExportingService
from app.services.gallery import GalleryService
from app.services.intake import IntakeService
from app.services.models import ModelService
from app.services.patients import PatientService
from app.services.pseudonym_key import pseudonym_key
from app.services.reading import ReadingService
from app.services.scoring import ScoringService
from app.services.tuning import TuningService
from app.services.worklist import WorklistService
from app.settings import Settings
from app.store.engine import create_store_engine
from app.store.migrate import migrate
from app.store.unit_of_work import UnitOfWork
from ddad_core.imaging.quiet import keep_header_values_out_of_logs


def build_services(settings: Settings) -> Services:
    """Bring the database to the current schema and wire the services to it.

    Raises:
        ModelError: There is no model, or a card is damaged.
        FilesError: The key of the pseudonyms is missing, damaged or another database's.
        StoreError: The database cannot be opened or upgraded.
    """
    keep_header_values_out_of_logs()
    migrate(settings.database_url)
    store = UnitOfWork(create_store_engine(settings.database_url))
    files = ImageFiles(settings.home)
    pseudonym_key(store, settings.pseudonym_key_file)
    models = ModelService(settings.weights, settings.device, store)
    scoring = ScoringService(store, files, models)
    intake = IntakeService(store, files, models, scoring)
    return Services(
        models=models,
        intake=intake,
        gallery=GalleryService(settings.gallery, store, intake),
        worklist=WorklistService(store, models, scoring),
        reading=ReadingService(store, files, models, scoring),
        tuning=TuningService(store, models),
        exporting=ExportingService(store),
        patients=PatientService(store),
    )
