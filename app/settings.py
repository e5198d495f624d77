"""The only reader of the environment: every setting declared once, with its help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from ddad_core.errors import DdadError

REPOSITORY = Path(__file__).resolve().parent.parent
MIN_PASSWORD_LENGTH = 12
MAX_SITE_LENGTH = 64
DEVICES = ("auto", "cpu", "cuda")


class ConfigurationError(DdadError):
    """A setting cannot be used as given."""


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


SETTINGS = (
    Setting("DDAD_HOME", "data/local", "Folder of the database and the stored images."),
    Setting(
        "DDAD_DATABASE_URL",
        "",
        "SQLAlchemy URL of the database. Unset: the SQLite file ddad.sqlite in DDAD_HOME.",
        secret=True,
    ),
    Setting("DDAD_WEIGHTS", "weights", "Folder of the models."),
    Setting("DDAD_GALLERY", "data/demo", "Folder of the demonstration gallery."),
    Setting(
        "DDAD_HOST", "127.0.0.1", "Address to serve on. Anything but loopback needs a password."
    ),
    Setting("PORT", "8501", "Port to serve on."),
    Setting(
        "DDAD_ACCESS_PASSWORD",
        "",
        f"Password in front of everything, {MIN_PASSWORD_LENGTH} characters or more. Unset: none. "
        "Required to serve on any address but loopback.",
        secret=True,
    ),
    Setting("DDAD_DEVICE", "auto", f"Where networks run: {', '.join(DEVICES)}."),
    Setting("DDAD_MAX_UPLOAD_MB", "100", "Largest file an upload may hold, in megabytes."),
    Setting("DDAD_SITE", "", "Name of the site, set as Institution Name in stored DICOM files."),
    Setting(
        "DDAD_PSEUDONYM_KEY_FILE",
        "",
        "File of the key that pseudonyms are made with. Unset: pseudonym.key in DDAD_HOME.",
    ),
    Setting(
        "DDAD_KEEP_ORIGINALS",
        "0",
        "1 also keeps each file as it came, in originals in DDAD_HOME. Originals hold names, ids "
        "and birth dates.",
    ),
    Setting(
        "DDAD_RETENTION_DAYS",
        "",
        "How many days images are kept. Unset: for ever. `ddad-admin doctor` tells of older ones, "
        "`ddad-admin erase --overdue` erases them.",
    ),
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
    site: str
    pseudonym_key_file: Path
    keep_originals: bool
    retention_days: int | None


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read and check the settings.

    Args:
        environ: Usually ``os.environ``; relative paths start at the repository's root.

    Raises:
        ConfigurationError: A value cannot be used.
    """
    texts = {one.name: environ.get(one.name, "").strip() or one.default for one in SETTINGS}
    home = _folder("DDAD_HOME", texts)
    if texts["DDAD_DEVICE"] not in DEVICES:
        problem = f"DDAD_DEVICE is {texts['DDAD_DEVICE']!r}."
        raise ConfigurationError(problem, f"Use one of: {', '.join(DEVICES)}.")
    return Settings(
        home=home,
        database_url=_database_url(texts["DDAD_DATABASE_URL"], home),
        weights=_folder("DDAD_WEIGHTS", texts),
        gallery=_folder("DDAD_GALLERY", texts),
        host=texts["DDAD_HOST"],
        port=_number("PORT", texts, 1, 65535),
        access_password=_password(environ.get("DDAD_ACCESS_PASSWORD", "")),
        device=texts["DDAD_DEVICE"],
        max_upload_mb=_number("DDAD_MAX_UPLOAD_MB", texts, 1, 2048),
        site=_site(texts["DDAD_SITE"]),
        pseudonym_key_file=(
            _folder("DDAD_PSEUDONYM_KEY_FILE", texts)
            if texts["DDAD_PSEUDONYM_KEY_FILE"]
            else home / "pseudonym.key"
        ),
        keep_originals=_number("DDAD_KEEP_ORIGINALS", texts, 0, 1) == 1,
        retention_days=(
            _number("DDAD_RETENTION_DAYS", texts, 1, 36500)
            if texts["DDAD_RETENTION_DAYS"]
            else None
        ),
    )


def _folder(name: str, texts: Mapping[str, str]) -> Path:
    try:
        return REPOSITORY / Path(texts[name]).expanduser()
    except RuntimeError as error:
        problem = f"{name} is {texts[name]!r}, and that home folder is not known."
        raise ConfigurationError(problem, "Give the path in full.") from error


def _number(name: str, texts: Mapping[str, str], low: int, high: int) -> int:
    text = texts[name]
    readable = text.isascii() and text.isdecimal() and len(text) <= len(str(high))
    if not readable or not low <= int(text) <= high:
        problem = f"{name} is {text[:40]!r}."
        raise ConfigurationError(problem, f"Use a whole number from {low} to {high}.")
    return int(text)


def _site(text: str) -> str:
    """An LO value (PS3.5 table 6.2-1)."""
    if len(text) > MAX_SITE_LENGTH or "\\" in text or not text.isprintable():
        problem = f"DDAD_SITE is {text[:80]!r}."
        raise ConfigurationError(
            problem, f"Use up to {MAX_SITE_LENGTH} characters, none of them a backslash."
        )
    return text


def _database_url(text: str, home: Path) -> str:
    if not text:
        return f"sqlite:///{quote(str(home / 'ddad.sqlite'))}"
    scheme, found, rest = text.partition("://")
    if not found or scheme.partition("+")[0] not in ("sqlite", "postgresql"):
        # The value may hold a password, so it is not repeated.
        problem = "DDAD_DATABASE_URL does not start with sqlite:// or postgresql://."
        raise ConfigurationError(problem, "Give an SQLAlchemy URL.")
    file = rest.removeprefix("/")
    if scheme.startswith("sqlite") and file and not file.startswith(("/", ":memory:", "file:")):
        # A path that starts at the working directory would mean another database for each shell.
        return f"{scheme}:///{REPOSITORY / file}"
    return text


def _password(text: str) -> str:
    if not text:
        return ""
    if text != text.strip() or not text.isprintable():
        problem = "DDAD_ACCESS_PASSWORD starts or ends with a space, or holds a line break."
        raise ConfigurationError(problem, "Choose one that can be typed into the sign-in page.")
    if len(text) < MIN_PASSWORD_LENGTH:
        problem = f"DDAD_ACCESS_PASSWORD has fewer than {MIN_PASSWORD_LENGTH} characters."
        raise ConfigurationError(problem, "Choose a longer one.")
    return text
