"""The only reader of the environment: every setting declared once, with its help."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from app.secret_settings import ConfigurationError, check_password_in, read_secret
from app.setting import Setting
from app.sign_on_settings import SIGN_ON_SETTINGS, SignOnSettings, load_sign_on

__all__ = ["ConfigurationError"]

REPOSITORY = Path(__file__).resolve().parent.parent
MAX_SITE_LENGTH = 64
DEVICES = ("auto", "cpu", "cuda")
HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


SETTINGS = (
    Setting("DDAD_HOME", "data/local", "Folder of the database and the stored images."),
    Setting(
        "DDAD_DATABASE_URL",
        "",
        "URL of the database, postgresql:// or sqlite:///. Unset: the SQLite file ddad.sqlite in "
        "DDAD_HOME.",
        secret=True,
    ),
    Setting("DDAD_WEIGHTS", "weights", "Folder of the models."),
    Setting("DDAD_GALLERY", "data/demo", "Folder of the demonstration gallery."),
    Setting("DDAD_HOST", "127.0.0.1", "Address to serve on. Beyond loopback, put TLS in front."),
    Setting("PORT", "8501", "Port to serve on."),
    Setting(
        "DDAD_ALLOWED_HOSTS",
        "",
        "Host names the app answers to, with commas between. Unset: names of this machine, and IP "
        "addresses when it serves on more than loopback.",
    ),
    Setting(
        "DDAD_TRUSTED_PROXIES",
        "",
        "Addresses or networks of proxies, with commas between, whose X-Forwarded-For and "
        "X-Forwarded-Proto are believed. Unset: none.",
    ),
    Setting(
        "DDAD_DEMO",
        "0",
        "1 shows a demonstration without accounts, on loopback only, from DDAD_DEMO_HOME.",
    ),
    Setting("DDAD_DEMO_HOME", "data/demo-home", "Folder that the demonstration keeps its data in."),
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
        "DDAD_UNAIDED_FIRST",
        "0",
        "1 hides all that the AI says of a case until its reader has saved a first verdict.",
    ),
    Setting(
        "DDAD_READERS_PER_CASE",
        "",
        "How many readers a case is offered to, 1 or 2. Unset: to all, if it is assigned to none.",
    ),
    Setting(
        "DDAD_FINDINGS",
        "",
        "Findings offered beside the 14 of VinBigData, separated by commas.",
    ),
    Setting(
        "DDAD_MIN_CASES",
        "50",
        "How many normal and how many abnormal cases a change of an operating point rests on at "
        "least; fewer need a reason of their own.",
    ),
    Setting(
        "DDAD_SECOND_APPROVAL",
        "0",
        "1 makes each change of an operating point wait until a second person, a lead or an "
        "arbiter, approves it.",
    ),
    Setting(
        "DDAD_RETENTION_DAYS",
        "",
        "How many days images are kept. Unset: for ever. ddad-admin doctor tells of older ones, "
        "ddad-admin erase --overdue erases them.",
    ),
    *SIGN_ON_SETTINGS,
)
REPLACED = {
    "DDAD_ACCESS_PASSWORD": (
        "DDAD_ACCESS_PASSWORD is set, but everybody now signs in with an account of their own.",
        "Unset it and start again; the first page makes the first account, or use "
        "`ddad-admin create-user`.",
    ),
}
"""Settings of earlier versions that must not go unnoticed, with what took their place."""


@dataclass(frozen=True)
class Settings:
    """The settings, checked. Attributes are named after the variables."""

    home: Path
    database_url: str = field(repr=False)
    weights: Path
    gallery: Path
    host: str
    port: int
    allowed_hosts: tuple[str, ...]
    trusted_proxies: tuple[Network, ...]
    demo: bool
    device: str
    max_upload_mb: int
    site: str
    pseudonym_key_file: Path
    keep_originals: bool
    unaided_first: bool
    readers_per_case: int | None
    more_findings: tuple[str, ...]
    min_cases: int
    second_approval: bool
    retention_days: int | None
    sign_on: SignOnSettings | None
    in_force: Mapping[str, str] = field(repr=False, compare=False)
    """Every setting that is no secret, as text by name."""


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read and check the settings.

    Args:
        environ: Usually ``os.environ``; relative paths start at the repository's root.

    Raises:
        ConfigurationError: A value cannot be used.
    """
    texts = {one.name: environ.get(one.name, "").strip() or one.default for one in SETTINGS}
    for one in SETTINGS:
        if one.secret:
            texts[one.name] = read_secret(one.name, environ)
    demo = _number("DDAD_DEMO", texts, 0, 1) == 1
    if demo:
        # Its own home and database whatever else is set: it shows them to everybody.
        texts["DDAD_HOME"] = texts["DDAD_DEMO_HOME"]
        texts["DDAD_DATABASE_URL"] = texts["DDAD_PSEUDONYM_KEY_FILE"] = ""
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
        allowed_hosts=_hosts(texts["DDAD_ALLOWED_HOSTS"]),
        trusted_proxies=_networks(texts["DDAD_TRUSTED_PROXIES"]),
        demo=demo,
        device=texts["DDAD_DEVICE"],
        max_upload_mb=_number("DDAD_MAX_UPLOAD_MB", texts, 1, 2048),
        site=_site(texts["DDAD_SITE"]),
        pseudonym_key_file=(
            _folder("DDAD_PSEUDONYM_KEY_FILE", texts)
            if texts["DDAD_PSEUDONYM_KEY_FILE"]
            else home / "pseudonym.key"
        ),
        keep_originals=_number("DDAD_KEEP_ORIGINALS", texts, 0, 1) == 1,
        unaided_first=_number("DDAD_UNAIDED_FIRST", texts, 0, 1) == 1,
        readers_per_case=(
            _number("DDAD_READERS_PER_CASE", texts, 1, 2)
            if texts["DDAD_READERS_PER_CASE"]
            else None
        ),
        more_findings=_findings(texts["DDAD_FINDINGS"]),
        min_cases=_number("DDAD_MIN_CASES", texts, 1, 100_000),
        second_approval=_number("DDAD_SECOND_APPROVAL", texts, 0, 1) == 1,
        retention_days=(
            _number("DDAD_RETENTION_DAYS", texts, 1, 36500)
            if texts["DDAD_RETENTION_DAYS"]
            else None
        ),
        sign_on=None if demo else load_sign_on(texts),
        in_force={one.name: texts[one.name] for one in SETTINGS if not one.secret},
    )


def refuse_replaced(environ: Mapping[str, str]) -> None:
    """Refuse settings that an earlier version had and this one does without.

    Raises:
        ConfigurationError: One is still set.
    """
    for name, (problem, step) in REPLACED.items():
        if environ.get(name):
            raise ConfigurationError(problem, step)


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


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _hosts(text: str) -> tuple[str, ...]:
    names = tuple(one.lower() for one in _listed(text))
    for name in names:
        if not (HOST_NAME.fullmatch(name) or _is_address(name)):
            problem = f"DDAD_ALLOWED_HOSTS names {name[:80]!r}, which is no host name."
            raise ConfigurationError(
                problem, "Give names without scheme and port, as in a.example."
            )
    return names


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _networks(text: str) -> tuple[Network, ...]:
    found: list[Network] = []
    for one in _listed(text):
        try:
            found.append(ipaddress.ip_network(one))
        except ValueError as error:
            problem = f"DDAD_TRUSTED_PROXIES names {one[:80]!r}, which is no address or network."
            raise ConfigurationError(problem, "Give them as in 10.0.0.5, 10.1.0.0/16.") from error
    return tuple(found)


def _findings(text: str) -> tuple[str, ...]:
    names = tuple(" ".join(name.split()) for name in text.split(",") if name.strip())
    bad = [name for name in names if len(name) > MAX_SITE_LENGTH or not name.isprintable()]
    if bad:
        problem = f"DDAD_FINDINGS names {bad[0][:80]!r}."
        raise ConfigurationError(problem, f"Use up to {MAX_SITE_LENGTH} printable characters.")
    return names


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
    if not found or scheme.partition("+")[0] not in ("sqlite", "postgresql", "postgres"):
        # The value may hold a password, so it is not repeated.
        problem = "DDAD_DATABASE_URL does not start with sqlite:// or postgresql://."
        step = "Give a URL such as postgresql://user:password@host/name."
        raise ConfigurationError(problem, step)
    check_password_in(text)
    file = rest.removeprefix("/")
    if scheme.startswith("sqlite") and file and not file.startswith(("/", ":memory:", "file:")):
        # A path that starts at the working directory would mean another database for each shell.
        return f"{scheme}:///{REPOSITORY / file}"
    return text
