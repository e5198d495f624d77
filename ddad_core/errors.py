"""Errors that carry facts and a next step; the edge of the program turns them into words."""

from __future__ import annotations

from collections.abc import Iterable


class DdadError(Exception):
    """Base of every error a user can meet.

    Attributes:
        problem: One sentence with the facts: what was found and what was expected.
        next_step: One sentence on what to do about it; empty where nothing can be done.
    """

    def __init__(self, problem: str, next_step: str = "") -> None:
        super().__init__(f"{problem} {next_step}".strip())
        self.problem = problem
        self.next_step = next_step


class RefusedImageError(DdadError):
    """This file is not a radiograph that can be read or judged."""


class ManifestError(DdadError):
    """A manifest, or what it points to, is not usable."""


class TrainingError(DdadError):
    """Training cannot start or go on."""


def check_options(checks: Iterable[tuple[str, object, bool, str]]) -> None:
    """Refuse the first option that is out of range.

    Args:
        checks: Name, value, whether it is good, and what it must be.

    Raises:
        TrainingError: The message names the option.
    """
    for option, value, good, wanted in checks:
        if not good:
            problem = f"{option} is {value}; it must be {wanted}."
            raise TrainingError(problem, "Change it and start again.")


class ModelError(DdadError):
    """A model's card or weights are missing, damaged or contradictory."""


class UncalibratedError(ModelError):
    """The model has no normal reference, so nothing may be called abnormal."""


class MetricError(DdadError):
    """A metric is undefined on this input."""


class RequestError(DdadError):
    """A request to a service cannot be carried out as given."""
