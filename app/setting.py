"""What a setting is. All of them are declared in `app.settings`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """One environment variable.

    Attributes:
        name: Of the variable.
        default: Used where the variable is unset or empty; empty where the help says what happens.
        help: What it decides.
        secret: Its value must never be shown.
    """

    name: str
    default: str
    help: str
    secret: bool = False
