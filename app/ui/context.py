"""What every screen gets: the services, the reader, and the way to another screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from app.services.container import Services
from app.services.people import Action, Person


@dataclass(frozen=True)
class Context:
    """One page run.

    Attributes:
        services: The use cases.
        reader: Who is reading.
        open_screen: Leaves for another screen by its name, as in the address.
        allowed: What the reader may do now, for what to offer; the services judge for themselves.
    """

    services: Services
    reader: Person
    open_screen: Callable[[str], None]
    allowed: frozenset[Action] = field(default_factory=frozenset)
