"""Taking radiographs in: read, keep, score; or refuse and leave nothing behind."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from app.gateways.files import ImageFiles
from app.services.models import ModelService
from app.services.people import Reader
from app.services.pixels import thumbnail, to_stored
from app.services.scoring import ScoringService
from app.store.records import Box, ImageRecord, NewImage, WindowRecord
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import RefusedImageError, UncalibratedError
from ddad_core.imaging import check_file_size, read_radiograph
from ddad_core.types import Radiograph

Status = Literal["scored", "warned", "unscored", "known", "refused"]


@dataclass(frozen=True)
class IntakeOutcome:
    """What became of one file.

    Attributes:
        file_name: As given; shown to whoever gave it, stored nowhere.
        status: "scored"; "warned" (scored, with a visible warning); "unscored" (kept, but its
            model is not calibrated); "known" (the same bytes are here already); "refused".
        image_id: The case; None when refused.
        label: What the worklist calls it; empty when refused.
        reason: Why it was refused or not scored, or its warnings, in plain words.
    """

    file_name: str
    status: Status
    image_id: int | None
    label: str
    reason: str


@dataclass(frozen=True)
class Provenance:
    """What is known of an image beyond its file.

    Attributes:
        origin: "upload" or "gallery".
        label: What the worklist calls it; made from the hash if empty.
        view: Used where the file does not say.
        age_years: Used where the file does not say.
        sex: Used where the file does not say.
        reference_label: 1 abnormal, 0 normal, None unknown.
        reference_boxes: Boxes that came with the image.
        attribution: Whom the licence asks to name.
    """

    origin: Literal["upload", "gallery"] = "upload"
    label: str = ""
    view: str | None = None
    age_years: float | None = None
    sex: str | None = None
    reference_label: int | None = None
    reference_boxes: tuple[Box, ...] = ()
    attribution: str | None = None


UPLOAD = Provenance()


class IntakeService:
    """Takes files in, one at a time."""

    def __init__(
        self, store: UnitOfWork, files: ImageFiles, models: ModelService, scoring: ScoringService
    ) -> None:
        self._store = store
        self._files = files
        self._models = models
        self._scoring = scoring

    def take(
        self, reader: Reader, file_name: str, data: bytes, provenance: Provenance = UPLOAD
    ) -> IntakeOutcome:
        """Read, keep and score one file.

        A refused file leaves neither row nor file behind. The file's name is not stored: names
        of uploads carry patients' names often enough.

        Raises:
            FilesError: The disk does not take the image.
            StoreError: The database does not take it.
            ModelError: The model's files are damaged.
        """
        try:
            radiograph = read_radiograph(data)
        except RefusedImageError as error:
            return IntakeOutcome(file_name, "refused", None, "", str(error))
        radiograph = _completed(radiograph, provenance)
        with self._store.reading() as repositories:
            known = repositories.images.by_sha256(radiograph.sha256)
        if known is not None:
            reason = f"The same file is already here as {known.label}."
            return IntakeOutcome(file_name, "known", known.id, known.label, reason)
        image = self._keep(reader, radiograph, provenance)
        card = self._models.choose(radiograph.facts.age_years)
        try:
            evidence = self._scoring.add(card, [(image, radiograph)])[0]
        except UncalibratedError as error:
            reason = " ".join((*image.warnings, str(error)))
            return IntakeOutcome(file_name, "unscored", image.id, image.label, reason)
        warnings = (*image.warnings, *evidence.score.warnings)
        status: Status = "warned" if warnings else "scored"
        return IntakeOutcome(file_name, status, image.id, image.label, " ".join(warnings))

    def take_file(self, reader: Reader, path: Path) -> IntakeOutcome:
        """Read, keep and score a file on this machine's disk; as :meth:`take`.

        A file that cannot be opened, or is too large to be a radiograph, is refused.
        """
        try:
            check_file_size(path)
            data = path.read_bytes()
        except (RefusedImageError, OSError) as error:
            return IntakeOutcome(path.name, "refused", None, "", str(error))
        return self.take(reader, path.name, data)

    def _keep(self, reader: Reader, radiograph: Radiograph, provenance: Provenance) -> ImageRecord:
        """Store pixels, then the row; a row never points to a file that is not there."""
        stored = to_stored(radiograph.pixels)
        facts = radiograph.facts
        spacing = facts.spacing_mm or (None, None)
        new = NewImage(
            sha256=radiograph.sha256,
            origin=provenance.origin,
            label=provenance.label or f"CXR-{radiograph.sha256[:8].upper()}",
            format=facts.format,
            bits=facts.bits,
            width=radiograph.width,
            height=radiograph.height,
            slope=stored.slope,
            intercept=stored.intercept,
            added_by=reader.name,
            modality=facts.modality,
            view=facts.view,
            body_part=facts.body_part,
            age_years=facts.age_years,
            sex=facts.sex,
            spacing_row_mm=spacing[0],
            spacing_col_mm=spacing[1],
            windows=tuple(WindowRecord(**asdict(window)) for window in radiograph.windows),
            warnings=radiograph.warnings,
            reference_label=provenance.reference_label,
            reference_boxes=provenance.reference_boxes,
            attribution=provenance.attribution,
            thumbnail=thumbnail(radiograph),
        )
        self._files.put_pixels(radiograph.sha256, stored.values)
        try:
            with self._store.writing() as repositories:
                # Another session may have stored the same bytes a moment ago.
                known = repositories.images.by_sha256(radiograph.sha256)
                return known or repositories.images.add(new)
        except BaseException:
            with self._store.reading() as repositories:
                if repositories.images.by_sha256(radiograph.sha256) is None:
                    self._files.remove(radiograph.sha256)
            raise


def _completed(radiograph: Radiograph, provenance: Provenance) -> Radiograph:
    facts = radiograph.facts
    completed = replace(
        facts,
        view=facts.view or provenance.view,
        age_years=provenance.age_years if facts.age_years is None else facts.age_years,
        sex=facts.sex or provenance.sex,
    )
    return replace(radiograph, facts=completed)
