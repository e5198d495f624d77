"""Accounts, the audit trail, and what is due: backups and erasures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from app.gateways.anchor import AnchorFile
from app.keeping.check import Check, some
from app.store.account_records import AuditFilter
from app.store.audit_chain import Head, verify
from app.store.unit_of_work import UnitOfWork

BACKUP_DAYS = 7


def check_accounts(store: UnitOfWork) -> Iterator[Check]:
    """Can somebody look after accounts, and is any account of no use?"""
    with store.reading() as repositories:
        users = repositories.users.list_all()
    active = [user for user in users if user.active]
    if not users:
        mend = "Open the app, or run `ddad-admin create-user NAME --role administrator`."
        yield Check("accounts", "warning", "there are none yet.", mend)
        return
    if not any("administrator" in user.roles for user in active):
        mend = "`ddad-admin create-user NAME --role administrator`, or `change-user --role`."
        yield Check("accounts", "fault", "no active account is an administrator.", mend)
    else:
        yield Check("accounts", "ok", f"{len(active)} active of {len(users)}.")
    if idle := [user.name for user in active if not user.roles]:
        mend = "Give each a role or remove it: `ddad-admin change-user NAME`."
        yield Check("roles", "warning", f"without a role: {some(idle)}.", mend)
    now = store.now()
    if locked := [user.name for user in active if user.locked_until and user.locked_until > now]:
        mend = "Ask them; `ddad-admin change-user NAME --unlock` does not wait."
        yield Check("locked", "warning", f"after wrong passwords: {some(locked)}.", mend)


def check_audit(store: UnitOfWork, anchor: AnchorFile) -> Check:
    """Is the chain whole, and does it reach what was noted outside?"""
    noted = anchor.read()
    with store.reading() as repositories:
        found = verify(repositories.audit.iter_all(), [Head(*noted)] if noted else [])
    faults = list(found.faults)
    if noted is None and found.events:
        faults.append("audit.anchor is missing or damaged.")
    if faults:
        mend = "See `ddad-admin audit verify`; after a restore, `ddad-admin audit accept`."
        return Check("audit trail", "fault", " ".join(faults[:3]), mend)
    return Check("audit trail", "ok", f"{found.events} events, the chain is whole.")


def check_backups(store: UnitOfWork) -> Check:
    """Was there a backup lately?"""
    with store.reading() as repositories:
        found = repositories.audit.find(AuditFilter(actions=("backup",)), limit=1)
        images = repositories.images.count()
    mend = "`ddad-admin backup FOLDER --encrypt`, every night."
    if not found:
        return Check("backup", "warning" if images else "ok", "there never was one.", mend)
    days = (store.now() - found[0].at).days
    words = f"the last one is {days} days old."
    if days > BACKUP_DAYS:
        return Check("backup", "warning", words, mend)
    return Check("backup", "ok", words)


def check_retention(store: UnitOfWork, days: int | None) -> Check:
    """Are images older than the site keeps them?"""
    if days is None:
        return Check("retention", "ok", "images are kept for ever (DDAD_RETENTION_DAYS is unset).")
    with store.reading() as repositories:
        latest = store.now() - timedelta(days=days)
        overdue = repositories.erasure.added_before(latest, unread_only=False)
    if overdue:
        found = f"{len(overdue)} images are older than {days} days."
        return Check("retention", "warning", found, "Erase them: `ddad-admin erase --overdue`.")
    return Check("retention", "ok", f"no image is older than {days} days.")
