"""The only reader of the environment: every setting declared once, with its help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ddad_core.errors import DdadError

REPOSITORY = Path(__file__).resolve().parent.parent
MIN_PASSWORD_LENGTH = 12


class ConfigurationError(DdadError):
    """A setting cannot be used as given."""


@dataclass(frozen=True)
class Setting:
    """One environment variable.

    Attributes:
        name: Of the variable.
        default: In words.
        help: What it decides.
    """

    name: str
    default: str
    help: str


SETTINGS = (
    Setting("DDAD_HOME", "data/local", "Folder of the database and the stored images."),
    Setting(
        "DDAD_DATABASE_URL",
        "ddad.sqlite in DDAD_HOME",
        "SQLAlchemy URL of the database.",
    ),
    Setting("DDAD_WEIGHTS", "weights", "Folder of the models."),
    Setting("DDAD_GALLERY", "data/demo", "Folder of the demonstration gallery."),
    Setting(
        "DDAD_HOST", "127.0.0.1", "Address to serve on. Anything but loopback needs a password."
    ),
    Setting("PORT", "8501", "Port to serve on."),
    Setting(
        "DDAD_ACCESS_PASSWORD",
        "none",
        f"Password in front of everything, {MIN_PASSWORD_LENGTH} characters or more. Required to "
        "serve on any address but loopback.",
    ),
    Setting("DDAD_DEVICE", "auto", "Where networks run: auto, cpu or cuda."),
    Setting("DDAD_MAX_UPLOAD_MB", "100", "Largest file an upload may hold, in megabytes."),
)


@dataclass(frozen=True)
class Settings:
    """The settings, checked. Attributes are named after the variables."""

    home: Path
    database_url: str = field(repr=False)
    weights: Path
    gallery: Path
    host: str
    port: int
    access_password: str = field(repr=False)
    device: str
    max_upload_mb: int


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read and check the settings.

    Args:
        environ: Usually ``os.environ``; relative paths start at the repository's root.

    Raises:
        ConfigurationError: A value cannot be used.
    """

    def text(name: str, default: str) -> str:
        return environ.get(name, "").strip() or default

    home = REPOSITORY / Path(text("DDAD_HOME", "data/local")).expanduser()
    password = environ.get("DDAD_ACCESS_PASSWORD", "")
    if password and len(password) < MIN_PASSWORD_LENGTH:
        problem = f"DDAD_ACCESS_PASSWORD has fewer than {MIN_PASSWORD_LENGTH} characters."
        raise ConfigurationError(problem, "Choose a longer one.")
    device = text("DDAD_DEVICE", "auto")
    if device not in ("auto", "cpu", "cuda"):
        problem = f"DDAD_DEVICE is {device!r}."
        raise ConfigurationError(problem, "Use auto, cpu or cuda.")
    return Settings(
        home=home,
        database_url=text("DDAD_DATABASE_URL", f"sqlite:///{home / 'ddad.sqlite'}"),
        weights=REPOSITORY / Path(text("DDAD_WEIGHTS", "weights")).expanduser(),
        gallery=REPOSITORY / Path(text("DDAD_GALLERY", "data/demo")).expanduser(),
        host=text("DDAD_HOST", "127.0.0.1"),
        port=_number("PORT", text("PORT", "8501"), 1, 65535),
        access_password=password,
        device=device,
        max_upload_mb=_number("DDAD_MAX_UPLOAD_MB", text("DDAD_MAX_UPLOAD_MB", "100"), 1, 2048),
    )


def _number(name: str, text: str, low: int, high: int) -> int:
    if not text.isdecimal() or not low <= int(text) <= high:
        problem = f"{name} is {text!r}."
        raise ConfigurationError(problem, f"Use a whole number from {low} to {high}.")
    return int(text)
