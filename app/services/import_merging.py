"""What of an import is new, there already, of no image here, or in conflict with what is here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from app.services.export_coco import UNNAMED
from app.services.import_tables import Content, ForeignLabel, ForeignRead
from app.store.import_records import ImportedRead, KnownImage
from app.store.records import Box, BoxRecord, ReadRecord
from app.store.unit_of_work import Repositories
from app.store.user_repository import name_key

Look = Callable[[], AbstractContextManager[Repositories]]
"""Opens a unit to look things up in; a short one, for it may keep writers waiting."""

_PER_LOOK = 2000
_IMPORTED = " (imported)"
_EDGE = 0.5  # pixels that a box may reach over the image's edge, as when it is drawn
Place = tuple[int, str, int]


@dataclass(frozen=True)
class Sender:
    """Where reads come from.

    Attributes:
        site: Its name, as readers and reads will bear it.
        prefix: Its installation; begins the external ids of its own reads.
        own: This installation's id; None if it has none yet.
    """

    site: str
    prefix: str
    own: str | None


@dataclass
class Tally:
    """How many rows a file has, and what becomes of them."""

    found: int = 0
    added: int = 0
    there: int = 0
    no_image: int = 0
    conflicts: int = 0


@dataclass(frozen=True)
class ReaderHere:
    """A reader of the file.

    Attributes:
        there: The name in the file.
        here: The name that its reads are stored under.
        reads: How many are added.
        renamed: Whether somebody here has the name that it would have got.
    """

    there: str
    here: str
    reads: int
    renamed: bool


@dataclass
class Merge:
    """What is to be done.

    Attributes:
        reads: Of revisions of reads.
        labels: Of images with a label or boxes from outside.
        add: Reads to append.
        references: Image, label and boxes to set.
        readers: Of reads that are added or there.
        conflicts: In words, one for each.
    """

    reads: Tally = field(default_factory=Tally)
    labels: Tally = field(default_factory=Tally)
    add: list[ImportedRead] = field(default_factory=list)
    references: list[tuple[int, int | None, tuple[Box, ...]]] = field(default_factory=list)
    readers: tuple[ReaderHere, ...] = ()
    conflicts: list[str] = field(default_factory=list)


def merge(content: Content, sender: Sender, look: Look, now: datetime) -> Merge:
    """Compare a file with what is here; nothing is stored.

    Raises:
        StoreError: The database cannot be read.
    """
    found = Merge()
    images = _Images(content, look)
    _Reads(sender, look, now, found).sort(content.reads, images)
    _sort_labels(content, images, found)
    return found


class _Images:
    """Images here by the SHA-256 that the file has for them."""

    def __init__(self, content: Content, look: Look) -> None:
        self._pixels = content.pixels
        self._by_sha256: dict[str, KnownImage] = {}
        self._by_pixels: dict[str, KnownImage] = {}
        wanted = {one.sha256 for one in content.reads} | set(content.labels)
        for chunk in _chunks(sorted(wanted)):
            digests = {self._pixels[sha256] for sha256 in chunk if sha256 in self._pixels}
            with look() as repositories:
                known = repositories.imports.images(chunk, digests)
            for image in known:
                self._by_sha256[image.sha256] = image
                if image.pixel_sha256:
                    self._by_pixels.setdefault(image.pixel_sha256, image)

    def match(self, sha256: str) -> KnownImage | None:
        """The image of that file, or of the same pixels; None if there is neither here."""
        digest = self._pixels.get(sha256, "")
        return self._by_sha256.get(sha256) or self._by_pixels.get(digest)


@dataclass
class _Pending:
    """A read that nothing speaks against yet."""

    foreign: ForeignRead
    image: KnownImage
    read: ImportedRead


class _Reads:
    def __init__(self, sender: Sender, look: Look, now: datetime, found: Merge) -> None:
        self._sender = sender
        self._look = look
        self._now = now
        self._found = found
        with look() as repositories:
            self._names = repositories.imports.names_here()
        self._renamed: dict[str, tuple[str, bool]] = {}
        self._readers: dict[str, ReaderHere] = {}

    def sort(self, reads: Sequence[ForeignRead], images: _Images) -> None:
        """Decide on every read: those of one reader and image together, earlier ones first."""
        self._found.reads.found = len(reads)
        matched: list[tuple[ForeignRead, KnownImage]] = []
        for one in reads:
            image = images.match(one.sha256)
            if image is None:
                self._found.reads.no_image += 1
            else:
                matched.append((one, image))
        self._numbered(matched)
        self._places(sorted({image.id for _, image in matched}))
        self._external(sorted({self._external_id(one) for one, _ in matched}))
        chains: dict[tuple[int, str], list[_Pending]] = {}
        for one, image in matched:
            read = self._as_here(one, image)
            chains.setdefault((image.id, read.reader), []).append(_Pending(one, image, read))
        for chain in chains.values():
            self._decide(sorted(chain, key=lambda p: (p.read.revision, p.foreign.number)))
        self._found.readers = tuple(self._readers[name] for name in sorted(self._readers))

    def _decide(self, chain: list[_Pending]) -> None:
        new: dict[int, _Pending] = {}
        against = False
        for one in chain:
            verdict = self._judged(one, new)
            if verdict is None:
                new[one.read.revision] = one
            elif verdict == "":
                self._found.reads.there += 1
                self._count(one, 0)
            else:
                against = True
                self._conflict(one, verdict)
        for one in new.values():
            if against:
                self._conflict(one, "another revision of it is in conflict")
            else:
                self._found.reads.added += 1
                self._found.add.append(one.read)
                self._count(one, 1)

    def _judged(self, one: _Pending, new: dict[int, _Pending]) -> str | None:
        """None: new. Empty: there already. Else what speaks against it."""
        read, image = one.read, one.image
        content = _content(read)
        assert read.external_id is not None
        if self._is_own(one.foreign):
            there = self._own.get(int(read.external_id.rpartition(":")[2]))
            return "" if there == (image.id, content) else "it was made here, and is not here so"
        if read.external_id in self._known:
            same = self._known[read.external_id] == (image.id, content)
            return "" if same else "it was imported before, and is another one now"
        if self._at.get((image.id, one.foreign.read.reader, read.revision)) == (True, content):
            return ""  # a read of this place that came back without saying so
        at = self._at.get((image.id, read.reader, read.revision))
        if at is not None:
            return "" if at[1] == content else "another read has its place"
        if read.revision in new:
            same = _content(new[read.revision].read) == content
            return "" if same else "the file has two reads for its place"
        if not all(_within(box, image) for box in read.boxes):
            return "a box lies outside the image"
        return None

    def _as_here(self, one: ForeignRead, image: KnownImage) -> ImportedRead:
        site = one.site or self._sender.site
        here, _ = self._name(one.read.reader, site, given=one.site is not None)
        return replace(
            one.read, image_id=image.id, reader=here, origin=site,
            external_id=self._external_id(one), imported_at=self._now,
        )  # fmt: skip

    def _name(self, reader: str, site: str, *, given: bool) -> tuple[str, bool]:
        """Under which name reads are stored: never one that somebody here has."""
        named = given and reader.endswith(f"@{site}")
        wanted = reader if named or reader.endswith(f"@{site}{_IMPORTED}") else f"{reader}@{site}"
        if wanted not in self._renamed:
            name = wanted
            while name_key(name) in self._names:
                name += _IMPORTED
            self._renamed[wanted] = name, name != wanted
        return self._renamed[wanted]

    def _external_id(self, one: ForeignRead) -> str:
        return one.external_id or f"{self._sender.prefix}:{one.number}"

    def _is_own(self, one: ForeignRead) -> bool:
        own = self._sender.own
        return own is not None and self._external_id(one).startswith(f"{own}:")

    def _numbered(self, matched: Iterable[tuple[ForeignRead, KnownImage]]) -> None:
        """Reads of this installation by their numbers: the file may hold them."""
        own = (self._external_id(one) for one, _ in matched if self._is_own(one))
        numbers = sorted({int(external.rpartition(":")[2]) for external in own})
        self._own: dict[int, tuple[int, bytes]] = {}
        for chunk in _chunks(numbers):
            with self._look() as repositories:
                found = repositories.reads.numbered(chunk)
            self._own |= {r.id: (r.image_id, _content(r)) for r in found if r.origin is None}

    def _places(self, image_ids: Sequence[int]) -> None:
        self._at: dict[Place, tuple[bool, bytes]] = {}
        for chunk in _chunks(image_ids):
            with self._look() as repositories:
                found = repositories.reads.of_images(chunk)
            for read in found:
                place = read.image_id, read.reader, read.revision
                self._at[place] = read.origin is None, _content(read)

    def _external(self, external_ids: Sequence[str]) -> None:
        self._known: dict[str, tuple[int, bytes]] = {}
        for chunk in _chunks(external_ids):
            with self._look() as repositories:
                found = repositories.reads.imported(chunk)
            self._known |= {r.external_id or "": (r.image_id, _content(r)) for r in found}

    def _conflict(self, one: _Pending, why: str) -> None:
        self._found.reads.conflicts += 1
        name = one.foreign.read.reader
        self._found.conflicts.append(
            f"Read {one.foreign.number} of {name}, revision {one.read.revision}, "
            f"{one.image.label}: {why}."
        )

    def _count(self, one: _Pending, added: int) -> None:
        if self._is_own(one.foreign):
            return
        there, here = one.foreign.read.reader, one.read.reader
        renamed = any(name == here and is_new for name, is_new in self._renamed.values())
        before = self._readers.get(here) or ReaderHere(there, here, 0, renamed)
        self._readers[here] = replace(before, reads=before.reads + added)


def _sort_labels(content: Content, images: _Images, found: Merge) -> None:
    tally = found.labels
    tally.found = len(content.labels)
    told: dict[int, tuple[int | None, tuple[Box, ...]]] = {}
    for sha256, foreign in content.labels.items():
        image = images.match(sha256)
        if image is None:
            tally.no_image += 1
            continue
        label, boxes = told.get(image.id, (image.reference_label, image.reference_boxes))
        why = _against(foreign, label, boxes, image)
        if why:
            tally.conflicts += 1
            found.conflicts.append(f"Label of {image.label}: {why}.")
            continue
        merged = label if foreign.label is None else foreign.label, boxes or foreign.boxes
        if merged == (label, boxes):
            tally.there += 1
        else:
            tally.added += 1
            told[image.id] = merged
    found.references = [(number, *values) for number, values in sorted(told.items())]


def _against(
    foreign: ForeignLabel, label: int | None, boxes: tuple[Box, ...], image: KnownImage
) -> str:
    words = {0: "normal", 1: "abnormal"}
    if foreign.label is not None and label is not None and foreign.label != label:
        return f"the file says {words[foreign.label]}, here it is {words[label]}"
    if foreign.boxes and boxes and _placed(foreign.boxes) != _placed(boxes):
        return "it has other boxes here"
    merged = label if foreign.label is None else foreign.label
    if merged == 0 and (foreign.boxes or boxes):
        return "a normal image would have boxes"
    if not all(_within(box, image) for box in foreign.boxes):
        return "a box lies outside the image"
    return ""


def _within(box: Box, image: KnownImage) -> bool:
    wide = box.x + box.width <= image.width + _EDGE
    return wide and box.y + box.height <= image.height + _EDGE


def _placed(boxes: Iterable[Box | BoxRecord]) -> list[tuple[Any, ...]]:
    """COCO has no boxes without a name."""
    return [
        (float(b.x), float(b.y), float(b.width), float(b.height), b.label or UNNAMED) for b in boxes
    ]


def _content(read: ImportedRead | ReadRecord) -> bytes:
    """What makes two reads the same, as a digest. Comments are left out: exports may lack them."""
    said = (
        read.verdict, read.confidence, tuple(read.findings), read.model_name, read.model_hash,
        read.score, read.threshold, read.map_name, read.pixel_threshold, read.opacity,
        read.ai_visible, read.seconds_to_verdict, read.stage, sorted(read.agreement.items()),
        read.saved_at.astimezone(UTC).isoformat(), _placed(read.boxes),
    )  # fmt: skip
    return hashlib.sha256(repr(said).encode()).digest()


def _chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _PER_LOOK):
        yield values[start : start + _PER_LOOK]
