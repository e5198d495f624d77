"""The report of a model's performance on the site's own cases: gathered whole, put on record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.services.access import Access
from app.services.evidence import EvidenceChoice
from app.services.measures import Measures, Outcome, aided_reading
from app.services.models import ModelService
from app.services.monitoring import MonitoringService, Overview
from app.services.people import Action, Person
from app.services.sampling import SamplingService
from app.services.tuning import ThresholdEffect, TuningService
from app.store.unit_of_work import UnitOfWork
from ddad_core.card import Card
from ddad_core.evaluation.multireader import AidedReading, Measure
from ddad_core.evaluation.predictive import PredictiveValues

AIDED: tuple[Measure, ...] = ("sensitivity", "specificity")


@dataclass(frozen=True, eq=False)
class Performance:
    """All that the report says.

    Attributes:
        card: Of the model.
        site: Its name; empty if it has none.
        measures: Figures of the evidence.
        effect: Of the operating point in force.
        own: Predictive values at the labelled cases' prevalence, or why there are none.
        stated: The same at the prevalence asked for.
        prevalence: That one.
        aided: Unaided against aided reading, by measure.
        overview: Month by month.
        made_by: Who asked.
        made_at: When, UTC.
    """

    card: Card
    site: str
    measures: Measures
    effect: ThresholdEffect
    own: tuple[PredictiveValues | None, str]
    stated: tuple[PredictiveValues | None, str]
    prevalence: float
    aided: tuple[tuple[Measure, Outcome[AidedReading]], ...]
    overview: Overview
    made_by: str
    made_at: datetime


class ReportingService:
    """Puts a report together from what the other services measure."""

    def __init__(
        self,
        store: UnitOfWork,
        access: Access,
        models: ModelService,
        *,
        tuning: TuningService,
        sampling: SamplingService,
        monitoring: MonitoringService,
        site: str,
    ) -> None:
        self._store = store
        self._access = access
        self._models = models
        self._tuning = tuning
        self._sampling = sampling
        self._monitoring = monitoring
        self._site = site

    def performance(
        self, person: Person, model_name: str, choice: EvidenceChoice, prevalence: float
    ) -> Performance:
        """Everything the report says of a model, at the operating point in force.

        Args:
            person: Who asks; it goes on record as an export.
            model_name: The model.
            choice: Which labels it is measured against.
            prevalence: Between 0 and 1, that predictive values are stated for besides.

        Raises:
            ForbiddenError: The person may not export, see how models do and look at cases.
            RequestError: There is no such model, or the choice cannot be made.
            UncalibratedError: The model is not calibrated.
        """
        self._access.require(person, Action.EXPORT)
        overview = self._monitoring.overview(person, model_name)
        evidence = self._tuning.evidence(person, model_name, choice)
        measures = Measures(evidence, self._sampling.drawn(person, model_name))
        effect = self._tuning.effect(evidence, evidence.in_force.threshold)
        unaided, aided = self._tuning.both_ways(person, evidence)
        labels = dict(zip(evidence.ids.tolist(), evidence.labels.tolist(), strict=True))
        found = Performance(
            card=self._models.card(model_name),
            site=self._site,
            measures=measures,
            effect=effect,
            own=self._tuning.predictive(effect, None),
            stated=self._tuning.predictive(effect, prevalence),
            prevalence=prevalence,
            aided=tuple((name, aided_reading(labels, unaided, aided, name)) for name in AIDED),
            overview=overview,
            made_by=person.full_name or person.name,
            made_at=self._store.now(),
        )
        with self._store.writing() as repositories:
            repositories.audit.append(person.did("export", f"performance report {model_name}"))
        return found
