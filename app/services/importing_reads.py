"""Taking in reads of other sites and labels from outside: a preview first, then all or nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from app.gateways.packages import Package, PackageError, open_package
from app.services.access import Access
from app.services.export_making import FORMAT_VERSION, INSTALLATION
from app.services.import_merging import Look, Merge, ReaderHere, Sender, Tally, merge
from app.services.import_tables import Content, content_of
from app.services.people import Action, Person
from app.store.import_repository import SITE_PREFIX
from app.store.unit_of_work import Repositories, UnitOfWork

SITE_LIMIT = 80
MAX_CONFLICTS = 1000
"""That are told in words; all are counted."""
_TRIES = 2

Progress = Callable[[int, int], None]
"""Called with rows done and rows in all."""


@dataclass(frozen=True)
class ImportReport:
    """What an import would do, or has done.

    Attributes:
        name: Of what was given.
        site: That the reads come from, as it is called here; empty if the file has none.
        installation: Its id; empty without a manifest.
        made_at: When it was exported, as the manifest says; empty without one.
        program: That exported it.
        sha256: Of the manifest; without one of the file.
        own: Whether it was exported here.
        reads: What becomes of revisions of reads.
        boxes: Of reads that are added.
        labels: What becomes of images with a label or boxes from outside.
        readers: Under which names reads are stored.
        passed_over: Rows by table that are not taken.
        conflicts: In words, the first of them.
    """

    name: str
    site: str
    installation: str
    made_at: str
    program: str
    sha256: str
    own: bool
    reads: Tally
    boxes: int
    labels: Tally
    readers: tuple[ReaderHere, ...]
    passed_over: dict[str, int]
    conflicts: tuple[str, ...]

    @property
    def adds(self) -> bool:
        """Whether there is anything new in it."""
        return bool(self.reads.added or self.labels.added)


@dataclass(frozen=True)
class _Prepared:
    """What is to be stored, as long as the stamp is still that of the database."""

    stamp: tuple[object, ...]
    found: Merge
    report: ImportReport


class ImportingService:
    """Takes reads and labels in.

    Args:
        store: The database.
        access: Who may.
    """

    def __init__(self, store: UnitOfWork, access: Access) -> None:
        self._store = store
        self._access = access

    def plan(self, person: Person, paths: Sequence[Path], site: str = "") -> ImportReport:
        """What an import would do; nothing is stored.

        Args:
            person: Who asks.
            paths: One export as ZIP file or folder, or tables that belong together.
            site: Where reads come from, if the files do not say it.

        Raises:
            ForbiddenError: The person may not import.
            DdadError: What was given is damaged, changed, or none that can be imported.
            StoreError: The database cannot be read.
            OSError: A file cannot be read.
        """
        self._access.require(person, Action.IMPORT)
        package, content = _read(paths)
        return self._prepared(package, content, site, self._store.reading).report

    def carry_out(
        self,
        person: Person,
        paths: Sequence[Path],
        site: str = "",
        progress: Progress | None = None,
    ) -> ImportReport:
        """Store what is new, all of it or nothing; what is here stays as it is.

        Raises:
            As `plan`.
        """
        self._access.require(person, Action.IMPORT)
        package, content = _read(paths)
        for _ in range(_TRIES):
            # Compared before the write lock is taken: readers who save would wait for it.
            ready = self._prepared(package, content, site, self._store.reading)
            with self._store.writing() as repositories:
                if ready.stamp == repositories.imports.stamp():
                    return _stored(person, ready, repositories, progress)
        with self._store.writing() as repositories:
            here = nullcontext(repositories)
            ready = self._prepared(package, content, site, lambda: here)
            return _stored(person, ready, repositories, progress)

    def _prepared(self, package: Package, content: Content, site: str, look: Look) -> _Prepared:
        with look() as repositories:
            stamp = repositories.imports.stamp()
            sender = _sender(package, content, site, repositories)
        found = merge(content, sender, look, self._store.now())
        return _Prepared(stamp, found, _report(package, content, sender, found))


def _read(paths: Sequence[Path]) -> tuple[Package, Content]:
    with tempfile.TemporaryDirectory(prefix="ddad-import-") as work:
        package = open_package(paths, Path(work), FORMAT_VERSION)
        return package, content_of(package)


def _sender(package: Package, content: Content, site: str, repositories: Repositories) -> Sender:
    own = repositories.installation.get(INSTALLATION)
    site = _checked_site(site)
    if package.manifest is None:
        if not site and any(read.site is None for read in content.reads):
            problem = "The file does not say which site its reads come from."
            raise PackageError(problem, "Name the site.")
        return Sender(site, f"{SITE_PREFIX}{site}", own)
    installation = str(package.manifest["installation"])
    site = _checked_site(package.manifest["site"]) or site or f"site {installation[:8]}"
    if repositories.imports.is_another(site, installation):
        site = f"{site} ({installation[:8]})"
    return Sender(site, installation, own)


def _checked_site(text: str) -> str:
    site = " ".join(text.split())
    if not site.isprintable() or len(site) > SITE_LIMIT:
        problem = f"The name of the site must have at most {SITE_LIMIT} printable characters."
        raise PackageError(problem, "Name the site otherwise.")
    return site


def _report(package: Package, content: Content, sender: Sender, found: Merge) -> ImportReport:
    facts = package.manifest or {}
    return ImportReport(
        name=package.name,
        site=sender.site if content.reads else "",
        installation=str(facts.get("installation", "")),
        made_at=str(facts.get("made_at", "")),
        program=str(facts.get("program", "")),
        sha256=package.sha256,
        own=sender.own is not None and sender.own == sender.prefix,
        reads=found.reads,
        boxes=sum(len(read.boxes) for read in found.add),
        labels=found.labels,
        readers=found.readers,
        passed_over=content.passed_over,
        conflicts=tuple(found.conflicts[:MAX_CONFLICTS]),
    )


def _stored(
    person: Person, ready: _Prepared, repositories: Repositories, progress: Progress | None
) -> ImportReport:
    """Store it all and put it on record."""
    found, report = ready.found, ready.report
    total = len(found.add) + len(found.references)
    done = 0

    def step(rows: int) -> None:
        nonlocal done
        done += rows
        if progress is not None:
            progress(done, total)

    before = repositories.imports.counts()
    repositories.imports.append(found.add, step)
    for image_id, label, boxes in found.references:
        repositories.imports.set_reference(image_id, label, boxes)
        step(1)
    after = repositories.imports.counts() | _facts(report)
    subject = f"reads of {report.site}" if report.site else "labels from outside"
    repositories.audit.append(person.did("import", subject, before=before, after=after))
    return report


def _facts(report: ImportReport) -> dict[str, object]:
    """For the record; the name of a file is not in it, for it may be a patient's."""
    return {
        "reads imported": vars(report.reads),
        "labels imported": vars(report.labels),
        "boxes imported": report.boxes,
        "installation": report.installation,
        "sha256": report.sha256,
    }
