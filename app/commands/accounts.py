"""`ddad-admin create-user`, `users`, `change-user`: accounts from the server's own shell."""

from __future__ import annotations

import argparse
import getpass
import os
import secrets
import sys
from pathlib import Path

from app.services.access import Access
from app.services.accounts import AccountsService, NewAccount
from app.services.people import ROLE_HELP, ROLES, Person
from app.settings import load_settings
from app.store.account_records import UserRecord
from app.store.engine import create_store_engine
from app.store.migrate import migrate
from app.store.unit_of_work import UnitOfWork
from ddad_core.errors import RequestError

COMMAND = Person.named("ddad-admin")


def add_to(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    roles = "; ".join(f"{role}: {text}" for role, text in ROLE_HELP.items())
    creating = sub.add_parser("create-user", help="make an account", epilog=roles)
    creating.add_argument("name", metavar="NAME")
    creating.add_argument("--full-name", default="", metavar="TEXT")
    creating.add_argument("--role", action="append", choices=ROLES, help="repeat for several")
    _add_password(creating)
    creating.set_defaults(command=_create)
    sub.add_parser("users", help="list the accounts").set_defaults(command=_list)
    changing = sub.add_parser("change-user", help="change an account", epilog=roles)
    changing.add_argument("name", metavar="NAME")
    changing.add_argument("--role", action="append", choices=ROLES, help="the roles from now on")
    changing.add_argument("--remove", action="store_true", help="take its access away, at once")
    changing.add_argument("--bring-back", action="store_true", help="of a removed account")
    changing.add_argument("--unlock", action="store_true", help="after too many wrong passwords")
    changing.add_argument("--reset-password", action="store_true")
    changing.add_argument("--reason", default="", metavar="TEXT", help="goes on record")
    _add_password(changing)
    changing.set_defaults(command=_change)


def _add_password(parser: argparse.ArgumentParser) -> None:
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--password-file", type=Path, metavar="FILE", help="its first line")
    how.add_argument("--generate", action="store_true", help="make a password and print it, once")


def _accounts() -> AccountsService:
    settings = load_settings(os.environ)
    from app.gateways.anchor import AnchorFile

    anchor = AnchorFile(settings.home / "audit.anchor")
    migrate(settings.database_url, anchor=anchor)
    store = UnitOfWork(create_store_engine(settings.database_url), anchor=anchor)
    return AccountsService(store, Access(store))


def _create(arguments: argparse.Namespace) -> int:
    accounts = _accounts()
    if not arguments.role:
        problem = "An account needs a role."
        raise RequestError(problem, f"Add --role with one of: {', '.join(ROLES)}.")
    password = _password(arguments)
    new = NewAccount(arguments.name, arguments.full_name, tuple(arguments.role), password)
    user = accounts.create(COMMAND, new)
    print(f"{user.name} can sign in as {', '.join(user.roles)}.")
    _print_generated(arguments, password)
    return 0


def _list(_: argparse.Namespace) -> int:
    for state in _accounts().list_users(COMMAND):
        user = state.user
        facts = [
            ", ".join(user.roles),
            "active" if user.active else "removed",
            *(["locked"] if state.locked else []),
            *([f"signs in at {user.issuer}"] if user.issuer else []),
            f"{state.sessions} open session{'' if state.sessions == 1 else 's'}",
        ]
        print(f"{user.name} ({user.full_name}): {'; '.join(facts)}")
    return 0


def _change(arguments: argparse.Namespace) -> int:
    accounts = _accounts()
    wanted = [arguments.role, arguments.remove, arguments.bring_back, arguments.unlock]
    if not any([*wanted, arguments.reset_password]):
        problem = "Nothing to change."
        raise RequestError(problem, "See: ddad-admin change-user --help")
    user = _user(accounts, arguments.name)
    if arguments.bring_back:
        accounts.bring_back(COMMAND, user.id, arguments.reason)
    if arguments.role:
        accounts.change_roles(COMMAND, user.id, arguments.role, arguments.reason)
    if arguments.unlock:
        accounts.unlock(COMMAND, user.id)
    if arguments.reset_password:
        password = _password(arguments)
        accounts.reset_password(COMMAND, user.id, password)
        _print_generated(arguments, password)
    if arguments.remove:
        accounts.remove(COMMAND, user.id, arguments.reason)
    print(f"{user.name} is changed.")
    return 0


def _user(accounts: AccountsService, name: str) -> UserRecord:
    for state in accounts.list_users(COMMAND):
        if state.user.name.casefold() == name.casefold():
            return state.user
    problem = f"There is no account {name!r}."
    raise RequestError(problem, "`ddad-admin users` lists them.")


def _password(arguments: argparse.Namespace) -> str:
    if arguments.generate:
        arguments.generated = secrets.token_urlsafe(15)
        return str(arguments.generated)
    if arguments.password_file:
        text: str = arguments.password_file.read_text(encoding="utf-8")
        return text.splitlines()[0] if text else ""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != first:
        problem = "The two passwords differ."
        raise RequestError(problem, "Run the command again.")
    return first


def _print_generated(arguments: argparse.Namespace, password: str) -> None:
    if arguments.generate:
        print(f"Password, to be changed at the first sign-in: {password}")
