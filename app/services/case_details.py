"""What else is on record of a case: others' reads, the score's terms, scores over model versions.

Others' verdicts leave this service only once the reader's own is saved, and nothing of the AI
before a first verdict that is to come without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from app.services.access import Access
from app.services.models import ModelService
from app.services.people import Action, Person
from app.services.unaided import UnaidedFirst
from app.store.records import OperatingPointRecord, ReadRecord, ScoreRecord
from app.store.unit_of_work import Repositories, UnitOfWork
from ddad_core.card import Card
from ddad_core.errors import RequestError, UncalibratedError
from ddad_core.evaluation.thresholds import is_flagged
from ddad_core.vocabulary import SCORE_TITLES


@dataclass(frozen=True)
class OtherRead:
    """The latest read of another reader.

    Attributes:
        who: Their full name, or the account's.
        read: As stored.
    """

    who: str
    read: ReadRecord


@dataclass(frozen=True)
class ScoreTerm:
    """One of the scores a model gives an image.

    Attributes:
        title: What people call it.
        value: Mean of its map.
        percentile: Percent of the model's calibration normals below it; None if not calibrated.
        primary: Whether it is the one that is compared with the operating point.
    """

    title: str
    value: float
    percentile: float | None
    primary: bool


@dataclass(frozen=True)
class ScoreInTime:
    """What a version of a model said of an image when it saw it.

    Attributes:
        model: Its name.
        model_hash: Of its weights.
        current: Whether this version is in use now.
        at: When it scored the image.
        score_title: What people call the score.
        score: Its value.
        percentile: Percent of the version's calibration normals below it.
        threshold: The operating point in force then; None where nobody knows any more.
        flagged: Whether the score reached it; None likewise.
    """

    model: str
    model_hash: str
    current: bool
    at: datetime
    score_title: str
    score: float
    percentile: float
    threshold: float | None
    flagged: bool | None


@dataclass(frozen=True)
class CaseDetails:
    """What else is on record of a case.

    Attributes:
        readers: How many others have read it.
        others: Their latest reads, the first one first; empty while they are hidden.
        others_hidden: Whether they stay hidden until the reader's own read is saved.
        terms: The scores of the model chosen; empty while the AI is hidden, or for none.
        scores: Scores by version, the first one first; empty while the AI is hidden.
    """

    readers: int
    others: tuple[OtherRead, ...]
    others_hidden: bool
    terms: tuple[ScoreTerm, ...]
    scores: tuple[ScoreInTime, ...]


class CaseDetailsService:
    """Gathers it for who may see it.

    Args:
        store: The database.
        access: Who may do what.
        models: The models at hand.
        unaided_first: Whether every reader commits a verdict before the AI is shown.
    """

    def __init__(
        self, store: UnitOfWork, access: Access, models: ModelService, *, unaided_first: bool
    ) -> None:
        self._store = store
        self._access = access
        self._models = models
        self._unaided = UnaidedFirst(store, access, always=unaided_first)

    def of_case(
        self, reader: Person, image_id: int, model_name: str, *, unaided: bool = False
    ) -> CaseDetails:
        """Gather what else is on record of a case.

        Args:
            reader: Who looks.
            image_id: The case.
            model_name: Whose terms are told.
            unaided: As the case was opened.

        Raises:
            ForbiddenError: The reader may not look at cases.
            RequestError: There is no such case or model.
        """
        self._access.require(reader, Action.VIEW_CASES)
        card = self._models.card(model_name)
        hidden = self._unaided.hides(reader, image_id, unaided=unaided)
        others_hidden = self._unaided.hides_others(reader, image_id)
        with self._store.reading() as repositories:
            if repositories.images.get(image_id) is None:
                problem = f"There is no case number {image_id}."
                raise RequestError(problem, "Go back to the worklist and open another.")
            others = _latest_of_others(repositories.reads.history(image_id), reader.name)
            told = () if others_hidden else tuple(_named(repositories, one) for one in others)
            records = [] if hidden else repositories.scores.of_image(image_id)
            points = _points_of(repositories, records)
        kept = next((one for one in records if _is_of(one, card)), None)
        return CaseDetails(
            readers=len(others),
            others=told,
            others_hidden=others_hidden and bool(others),
            terms=_terms(kept, card) if kept else (),
            scores=tuple(self._in_time(one, points[one.id]) for one in records),
        )

    def _in_time(self, score: ScoreRecord, points: list[OperatingPointRecord]) -> ScoreInTime:
        card = next((card for card in self._models.cards if _is_of(score, card)), None)
        threshold = _threshold_then(score, points, card)
        return ScoreInTime(
            model=score.model_name,
            model_hash=score.model_hash,
            current=card is not None,
            at=score.scored_at,
            score_title=SCORE_TITLES[score.score_name],
            score=score.score,
            percentile=score.percentile,
            threshold=threshold,
            flagged=None if threshold is None else is_flagged(score.score, threshold),
        )


def _is_of(score: ScoreRecord, card: Card) -> bool:
    return (score.model_name, score.model_hash) == (card.name, card.model_hash)


def _latest_of_others(history: Iterable[ReadRecord], reader: str) -> list[ReadRecord]:
    latest: dict[str, ReadRecord] = {}
    for read in history:
        # Not by the order stored: an earlier revision may be imported after a later one.
        if read.reader not in latest or read.revision > latest[read.reader].revision:
            latest[read.reader] = read
    latest.pop(reader, None)
    return list(latest.values())


def _named(repositories: Repositories, read: ReadRecord) -> OtherRead:
    user = repositories.users.by_name(read.reader)
    return OtherRead((user.full_name if user else "") or read.reader, read)


def _points_of(
    repositories: Repositories, scores: Iterable[ScoreRecord]
) -> dict[int, list[OperatingPointRecord]]:
    """The site's operating points for each score, by its id, the first one first."""
    return {
        one.id: repositories.operating_points.history(
            one.model_name, one.model_hash, one.score_name
        )
        for one in scores
    }


def _threshold_then(
    score: ScoreRecord, points: list[OperatingPointRecord], card: Card | None
) -> float | None:
    """The operating point in force when the image was scored.

    Before the site set one the model's own was; of a version that is gone nobody knows it.
    """
    earlier = [point.threshold for point in points if point.set_at <= score.scored_at]
    if earlier:
        return earlier[-1]
    own = card.own_point if card else None
    return own.threshold if own and own.score == score.score_name else None


def _terms(score: ScoreRecord, card: Card) -> tuple[ScoreTerm, ...]:
    values = {name: score.value(name) for name in SCORE_TITLES}
    return tuple(
        ScoreTerm(title, value, _percentile(card, name, value), name == score.score_name)
        for name, title in SCORE_TITLES.items()
        if (value := values[name]) is not None
    )


def _percentile(card: Card, name: str, value: float) -> float | None:
    try:
        return card.reference.percentile(name, value)
    except UncalibratedError:
        return None
