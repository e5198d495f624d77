"""What every screen gets: the services, the reader, and the way to another screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.services.container import Services
from app.services.people import Person


@dataclass(frozen=True)
class Context:
    """One page run.

    Attributes:
        services: The use cases.
        reader: Who is reading.
        open_screen: Leaves for "worklist", "review", "upload", "thresholds" or "export".
    """

    services: Services
    reader: Person
    open_screen: Callable[[str], None]
