"""An intake of many files that goes on while its reader looks at other pages."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from app.services.batch_names import checked_batch, named_by_time
from app.services.intake import UPLOAD, IntakeOutcome, IntakeService
from app.services.people import Person
from ddad_core.errors import DdadError
from ddad_core.imaging.sources import Source, sources_in

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far a batch has come.

    Attributes:
        done: Files dealt with.
        total: Files there are, those in archives among them.
        seconds: Since it began; until it ended, once it has.
        finished: Whether it has ended, one way or another.
        stopped: Whether the reader stopped it.
        problem: What ended it early, in words; empty if nothing did.
    """

    done: int
    total: int
    seconds: float
    finished: bool
    stopped: bool
    problem: str

    @property
    def rate(self) -> float:
        """Files a second; 0 before the first."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Expected; None while nothing is known."""
        return (self.total - self.done) / self.rate if self.rate else None


@dataclass(eq=False)
class Batch:
    """One intake of many files, on a thread of its own.

    Attributes:
        reader: Who brought the files.
        total: Files there are.
        name: Of the batch in the worklist; empty for none.
        outcomes: Of the files dealt with so far; only ever added to.
    """

    reader: Person
    total: int
    name: str = ""
    outcomes: list[IntakeOutcome] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _ended: float | None = None
    _problem: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)

    def progress(self) -> Progress:
        """How far it has come."""
        ended = self._ended
        return Progress(
            done=len(self.outcomes),
            total=self.total,
            seconds=(ended or time.monotonic()) - self._began,
            finished=ended is not None,
            stopped=self._stop.is_set(),
            problem=self._problem,
        )

    def stop(self) -> None:
        """End it after the files at hand; what is done stays."""
        self._stop.set()

    def run(self, intake: IntakeService, sources: Sequence[Source]) -> None:
        """Take the files in, one after the other."""
        try:
            pairs = ((source, UPLOAD) for source in sources if not self._stop.is_set())
            for outcome in intake.take_many(self.reader, pairs, self.name):
                self.outcomes.append(outcome)
        except DdadError as error:
            self._problem = str(error)
        except (OSError, MemoryError) as error:
            log.exception("An intake failed")
            reason = getattr(error, "strerror", None) or type(error).__name__
            self._problem = f"The machine could not do this ({reason}). Try again."
        except Exception:
            log.exception("An intake failed")
            self._problem = "The intake ended by a fault of this program; its log has more."
        finally:
            self._ended = time.monotonic()


def start_batch(
    intake: IntakeService, reader: Person, files: Sequence[tuple[str, bytes]], name: str = ""
) -> Batch:
    """Begin to take files in; ZIP archives are taken in file by file.

    Args:
        intake: The service.
        reader: Who brings them.
        files: Name and content of each.
        name: Of the batch in the worklist; when it came if empty.

    Raises:
        RequestError: The name is too long or holds control characters.
    """
    name = checked_batch(name) or named_by_time("Upload")
    sources = list(chain.from_iterable(sources_in(name, data) for name, data in files))
    batch = Batch(reader, len(sources), name)
    thread = threading.Thread(
        target=batch.run, args=(intake, sources), name="intake", daemon=True
    )  # fmt: skip
    thread.start()
    return batch
