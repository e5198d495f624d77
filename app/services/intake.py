"""Taking radiographs in: read, keep, score; or refuse and leave nothing behind."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np

from app.gateways.files import ImageFiles
from app.services.access import Access
from app.services.batch_names import checked_batch
from app.services.identity import Conflict, Known, place
from app.services.kept_files import KeptFiles
from app.services.models import ModelService
from app.services.people import Action, Person
from app.services.scoring import ScoringService, ToScore
from app.store.account_records import NewAuditEvent
from app.store.records import Box, ImageRecord, NewImage, WindowRecord
from app.store.unit_of_work import Repositories, UnitOfWork
from ddad_core.errors import DdadError, RefusedImageError, UncalibratedError
from ddad_core.imaging.desk import Desk, take_up
from ddad_core.imaging.prepare import Keeping, Kept, Prepared, Wanted
from ddad_core.imaging.sandbox import Sandbox
from ddad_core.imaging.sources import BytesSource, Source
from ddad_core.parallel import in_batches, in_order

Status = Literal["scored", "warned", "unscored", "conflict", "known", "refused"]
STATUSES: tuple[Status, ...] = ("scored", "warned", "unscored", "conflict", "known", "refused")
BATCH_SIZE = 16
"""Files that share a transaction and a pass through the networks."""
BATCH_SECONDS = 0.5
"""After so long a file waits for no other to share these with."""


@dataclass(frozen=True)
class IntakeOutcome:
    """What became of one file.

    Attributes:
        file_name: As given; shown to whoever gave it, stored nowhere.
        status: "scored"; "warned" (scored, with a visible warning); "unscored" (kept, but its
            model is not calibrated); "conflict" (kept and scored, but another image here has the
            same SOP Instance UID); "known" (the same image is here already); "refused".
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


@dataclass(frozen=True, eq=False)
class _Read:
    """A file that was read and written to the image store; no row points to it yet.

    Attributes:
        source: Where it comes from.
        provenance: What else is known of it.
        sha256: Of its bytes; empty if they could not be had.
        stored_sha256: Of the file that was written.
        prepared: What was made of it; None if ``outcome`` or ``failure`` says why not.
        outcome: Set if there is nothing left to do.
        failure: An error that ends the whole intake.
    """

    source: Source
    provenance: Provenance
    sha256: str = ""
    stored_sha256: str = ""
    prepared: Prepared | None = None
    outcome: IntakeOutcome | None = None
    failure: DdadError | None = None

    @property
    def name(self) -> str:
        """Of the source."""
        return self.source.name


@dataclass
class _Placed:
    """A file on its way to an outcome."""

    read: _Read
    image: ImageRecord
    outcome: IntakeOutcome | None = None
    conflict: str = ""


class IntakeService:
    """Takes files in, one or many; safe to share between threads.

    Args:
        store: The database.
        access: Who may take images in.
        files: The image store.
        models: The models at hand.
        scoring: Scores what was kept.
        sandbox: Reads files.
        keeping: How files are freed of identity.
        keep_originals: Whether the files are kept as they came, too.
    """

    def __init__(
        self,
        store: UnitOfWork,
        access: Access,
        files: ImageFiles,
        models: ModelService,
        scoring: ScoringService,
        *,
        sandbox: Sandbox,
        keeping: Keeping,
        keep_originals: bool = False,
    ) -> None:
        self._store = store
        self._access = access
        self._files = files
        self._models = models
        self._scoring = scoring
        self._sandbox = sandbox
        self._keeping = keeping
        self._kept = KeptFiles(store, files, sandbox, keeping)
        self._keep_originals = keep_originals

    def take(
        self, reader: Person, file_name: str, data: bytes, provenance: Provenance = UPLOAD
    ) -> IntakeOutcome:
        """Read, keep and score one file.

        A refused file leaves neither row nor file behind. The file's name is not stored: names
        of uploads carry patients' names often enough.

        Raises:
            ForbiddenError: The person may not take images in.
            FilesError: The disk does not take the image.
            StoreError: The database does not take it.
            ModelError: The model's files are damaged.
            SandboxError: No process can be started that reads files.
        """
        self._access.require(reader, Action.TAKE_IN)
        return self._finish(reader, [self._read(BytesSource(file_name, data), provenance)])[0]

    def take_many(
        self, reader: Person, sources: Iterable[tuple[Source, Provenance]], batch_name: str = ""
    ) -> Iterator[IntakeOutcome]:
        """Read, keep and score many files on all cores; memory does not grow with their number.

        Args:
            reader: Who brings them in.
            sources: Taken as they are needed.
            batch_name: Of the batch that new images belong to, an earlier one of that name going
                on; empty for none.

        Yields:
            One outcome for each file, in order. What was yielded is kept, whatever comes after.

        Raises:
            DdadError: As :meth:`take`; files before the one that fails are kept.
        """
        self._access.require(reader, Action.TAKE_IN)
        batch_name = checked_batch(batch_name)
        written: set[str] = set()  # files that may have no row yet

        def work(pair: tuple[Source, Provenance]) -> _Read:
            one = self._read(*pair)
            if one.prepared is not None:
                written.add(one.sha256)
            return one

        # Twice as many as readers, so that none of these waits for a disk.
        read = in_order(work, sources, 2 * self._sandbox.workers)
        try:
            for batch in in_batches(read, BATCH_SIZE, seconds=BATCH_SECONDS):
                outcomes = self._finish(reader, batch, batch_name)
                written.difference_update(one.sha256 for one in batch)
                yield from outcomes
        finally:
            read.close()  # read ahead, but not wanted any more
            self._kept.sweep(written)

    def _read(self, source: Source, provenance: Provenance) -> _Read:
        """Read a file, free it of identity and write it to the image store."""
        try:
            with take_up(self._sandbox, source) as desk:
                return self._read_on(desk, source, provenance)
        except (RefusedImageError, OSError) as error:
            refused = IntakeOutcome(source.name, "refused", None, "", str(error))
            return _Read(source, provenance, outcome=refused)
        except DdadError as error:
            return _Read(source, provenance, failure=error)

    def _read_on(self, desk: Desk, source: Source, provenance: Provenance) -> _Read:
        """As :meth:`_read`, for a file that lies on a desk."""
        sha256 = desk.sha256()
        with self._store.reading() as repositories:
            known = repositories.images.by_sha256(sha256)
        if known is not None:
            outcome = _known(source.name, known, self._kept.bring_back(desk, known))
            return _Read(source, provenance, sha256, outcome=outcome)
        original = bytes(desk.file) if self._keep_originals else b""
        wanted = Wanted(sizes=self._models.sizes, thumbnail=True, keep=self._keeping, sha256=sha256)
        prepared = desk.prepare(wanted)
        kept = prepared.kept
        assert kept
        digest = hashlib.sha256(kept.data).hexdigest()
        self._files.put_file(sha256, kept.data, kept.stored_as)
        if self._keep_originals:
            self._files.put_original(sha256, original, prepared.facts.format)
        # The file lies on the disk now; a batch of large ones need not stay in memory.
        light = replace(prepared, kept=replace(kept, data=b""))
        return _Read(source, provenance, sha256, prepared=light, stored_sha256=digest)

    def _finish(
        self, reader: Person, batch: Sequence[_Read], batch_name: str = ""
    ) -> list[IntakeOutcome]:
        """Give read files their rows and scores.

        Raises:
            DdadError: As :meth:`take`; of a batch, what comes before a failed file is kept.
        """
        failed = next((i for i, one in enumerate(batch) if one.failure), len(batch))
        good = batch[:failed]
        try:
            placed = self._placed(reader, good, batch_name)
        finally:
            self._kept.sweep({one.sha256 for one in batch if one.prepared is not None})
        self._score([one for one in placed.values() if one.outcome is None])
        if failed < len(batch):
            failure = batch[failed].failure
            assert failure
            raise failure
        outcomes = [one.outcome or placed[i].outcome for i, one in enumerate(good)]
        return [outcome for outcome in outcomes if outcome]

    def _placed(
        self, reader: Person, batch: Sequence[_Read], batch_name: str
    ) -> dict[int, _Placed]:
        """Rows for all new images of a batch, in one transaction."""
        placed: dict[int, _Placed] = {}
        with self._store.writing() as repositories:
            for i, one in enumerate(batch):
                if one.prepared is not None:
                    placed[i] = self._place(repositories, reader, one, batch_name)
                outcome = one.outcome or placed[i].outcome
                repositories.audit.append(_on_record(reader, placed.get(i), outcome))
        return placed

    def _place(
        self, repositories: Repositories, reader: Person, one: _Read, batch_name: str
    ) -> _Placed:
        assert one.prepared and one.prepared.kept
        kept = one.prepared.kept
        found = place(
            repositories,
            sha256=one.sha256,
            instance=kept.identity.instance,
            pixel_sha256=kept.pixel_sha256,
        )
        if isinstance(found, Known):
            # Another session, or the file before, may have stored it a moment ago.
            return _Placed(one, found.record, _known(one.name, found.record))
        if not self._files.path(one.sha256, kept.stored_as).is_file():
            self._kept.write_again(one.source, one.sha256)
        batch_id = repositories.batches.named(batch_name, reader.name) if batch_name else None
        image = repositories.images.add(_new_image(one, kept, reader), batch_id)
        if not isinstance(found, Conflict):
            return _Placed(one, image)
        repositories.images.mark_conflict([image.id, *(record.id for record in found.records)])
        labels = " and ".join(record.label for record in found.records)
        sentence = (
            f"It has the SOP Instance UID of {labels}, but other pixels. Both are kept apart; "
            "find out at the PACS which is right."
        )
        return _Placed(one, image, conflict=sentence)

    def _score(self, new: Sequence[_Placed]) -> None:
        """Score new images, model by model, and note what became of each."""
        by_model: dict[str, list[_Placed]] = {}
        for one in new:
            card = self._models.choose(one.image.age_years)
            by_model.setdefault(card.name, []).append(one)
        for name, group in by_model.items():
            card = self._models.card(name)
            to_score = [ToScore(one.image, _grey(one, card.input_size)) for one in group]
            try:
                found = self._scoring.add(card, to_score)
            except UncalibratedError as error:
                for one in group:
                    one.outcome = _outcome(one, "unscored", (str(error),))
                continue
            for one, evidence in zip(group, found, strict=True):
                warnings = evidence.score.warnings
                warned = bool(one.image.warnings or warnings)
                one.outcome = _outcome(one, "warned" if warned else "scored", warnings)


def _grey(one: _Placed, size: int) -> np.ndarray:
    assert one.read.prepared
    return one.read.prepared.grey[size]


def _known(name: str, record: ImageRecord, more: str = "") -> IntakeOutcome:
    reason = f"The same image is already here as {record.label}. {more}".rstrip()
    return IntakeOutcome(name, "known", record.id, record.label, reason)


def _outcome(one: _Placed, status: Status, reasons: tuple[str, ...]) -> IntakeOutcome:
    image = one.image
    sentences = (one.conflict, *image.warnings, *reasons)
    status = "conflict" if one.conflict else status
    reason = " ".join(filter(None, sentences))
    return IntakeOutcome(one.read.name, status, image.id, image.label, reason)


def _on_record(
    reader: Person, placed: _Placed | None, outcome: IntakeOutcome | None
) -> NewAuditEvent:
    """The record of a file that was brought; its name and what is wrong with it stay out."""
    if outcome is not None and outcome.image_id is None:
        return reader.did("refusal", "file")
    image_id = outcome.image_id if outcome else placed.image.id if placed else None
    after = {"already_here": outcome is not None}
    return reader.did("upload", f"image {image_id}", after=after)


def _new_image(one: _Read, kept: Kept, reader: Person) -> NewImage:
    assert one.prepared
    prepared, provenance, facts = one.prepared, one.provenance, one.prepared.facts
    spacing = facts.spacing_mm or (None, None)
    return NewImage(
        sha256=one.sha256,
        origin=provenance.origin,
        label=provenance.label or f"CXR-{one.sha256[:8].upper()}",
        format=facts.format,
        bits=facts.bits,
        width=prepared.width,
        height=prepared.height,
        slope=kept.slope,
        intercept=kept.intercept,
        added_by=reader.name,
        modality=facts.modality,
        view=facts.view or provenance.view,
        body_part=facts.body_part,
        age_years=provenance.age_years if facts.age_years is None else facts.age_years,
        sex=facts.sex or provenance.sex,
        spacing_row_mm=spacing[0],
        spacing_col_mm=spacing[1],
        windows=tuple(WindowRecord(**asdict(window)) for window in prepared.windows),
        warnings=prepared.warnings,
        reference_label=provenance.reference_label,
        reference_boxes=provenance.reference_boxes,
        attribution=provenance.attribution,
        thumbnail=prepared.thumbnail,
        patient=kept.identity.patient,
        instance=kept.identity.instance,
        station=kept.identity.station,
        pixel_sha256=kept.pixel_sha256,
        stored_as=kept.stored_as,
        stored_sha256=one.stored_sha256,
    )
