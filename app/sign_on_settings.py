"""Settings of single sign-on by OpenID Connect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args
from urllib.parse import urlsplit

from app.addresses import is_loopback
from app.secret_settings import ConfigurationError, refuse_weak
from app.setting import Setting
from app.store.account_records import Role

CALLBACK = "/oauth2callback"
ROLES: tuple[Role, ...] = get_args(Role)
_NEEDED = (
    "DDAD_OIDC_METADATA_URL",
    "DDAD_OIDC_CLIENT_ID",
    "DDAD_OIDC_CLIENT_SECRET",
    "DDAD_OIDC_REDIRECT_URI",
    "DDAD_OIDC_ROLES",
)

SIGN_ON_SETTINGS = (
    Setting(
        "DDAD_OIDC_METADATA_URL",
        "",
        "Discovery document of the OpenID Connect provider. Unset: no single sign-on.",
    ),
    Setting("DDAD_OIDC_CLIENT_ID", "", "Name of this app at the provider."),
    Setting("DDAD_OIDC_CLIENT_SECRET", "", "Secret of this app at the provider.", secret=True),
    Setting(
        "DDAD_OIDC_REDIRECT_URI",
        "",
        f"Where the provider sends people back: the app's address as browsers see it, then "
        f"{CALLBACK}.",
    ),
    Setting(
        "DDAD_OIDC_ROLES_CLAIM",
        "roles",
        "Claim that lists a person's groups; dots lead into nested claims.",
    ),
    Setting(
        "DDAD_OIDC_ROLES",
        "",
        f"Which group has which role, as in cxr-readers=reader,cxr-leads=lead. Roles: "
        f"{', '.join(ROLES)}.",
    ),
    Setting("DDAD_OIDC_NAME", "single sign-on", "What the sign-in page calls the provider."),
)


@dataclass(frozen=True)
class SignOnSettings:
    """Single sign-on, checked.

    Attributes:
        metadata_url: Of the provider's discovery document.
        client_id: Of this app at the provider.
        client_secret: Of this app at the provider.
        redirect_uri: Where the provider sends people back to.
        roles_claim: Path of the claim that lists groups.
        roles: Group -> role.
        name: What people call the provider.
    """

    metadata_url: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str
    roles_claim: tuple[str, ...]
    roles: Mapping[str, Role]
    name: str


def load_sign_on(texts: Mapping[str, str]) -> SignOnSettings | None:
    """Check the settings of single sign-on; None if there is none.

    Raises:
        ConfigurationError: Some are missing, or one cannot be used.
    """
    given = [name for name in _NEEDED if texts[name]]
    if not given:
        return None
    if missing := [name for name in _NEEDED if name not in given]:
        problem = f"Single sign-on lacks {', '.join(missing)}."
        raise ConfigurationError(problem, f"Set all of: {', '.join(_NEEDED)}; or none of them.")
    refuse_weak("DDAD_OIDC_CLIENT_SECRET", texts["DDAD_OIDC_CLIENT_SECRET"])
    for name in ("DDAD_OIDC_METADATA_URL", "DDAD_OIDC_REDIRECT_URI"):
        _check_url(name, texts[name])
    if urlsplit(texts["DDAD_OIDC_REDIRECT_URI"]).path != CALLBACK:
        problem = f"DDAD_OIDC_REDIRECT_URI does not end in {CALLBACK}."
        raise ConfigurationError(problem, f"Use the app's own address and then {CALLBACK}.")
    return SignOnSettings(
        metadata_url=texts["DDAD_OIDC_METADATA_URL"],
        client_id=texts["DDAD_OIDC_CLIENT_ID"],
        client_secret=texts["DDAD_OIDC_CLIENT_SECRET"],
        redirect_uri=texts["DDAD_OIDC_REDIRECT_URI"],
        roles_claim=tuple(texts["DDAD_OIDC_ROLES_CLAIM"].split(".")),
        roles=_roles(texts["DDAD_OIDC_ROLES"]),
        name=texts["DDAD_OIDC_NAME"],
    )


def _check_url(name: str, text: str) -> None:
    """HTTPS, or HTTP on this machine: what is sent there signs people in."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if host and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        return
    problem = f"{name} is not an https address."
    raise ConfigurationError(problem, "Give it in full, starting with https://.")


def _roles(text: str) -> dict[str, Role]:
    found: dict[str, Role] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        group, _, wanted = (piece.strip() for piece in pair.rpartition("="))
        role = next((one for one in ROLES if one == wanted), None)
        if role is None or not group or found.setdefault(group, role) != role:
            problem = f"DDAD_OIDC_ROLES has {pair[:80]!r}, which gives no group one known role."
            raise ConfigurationError(
                problem, f"Write GROUP=ROLE with commas between; roles: {', '.join(ROLES)}."
            )
    return found
