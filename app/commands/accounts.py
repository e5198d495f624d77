"""`ddad-admin create-user`, `users`, `change-user`: accounts from the server's own shell."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from app.commands.shared import COMMAND, typed_secret
from app.opening import open_store
from app.services.access import Access
from app.services.accounts import AccountsService, NewAccount
from app.services.passwords import generated_password
from app.services.people import ROLE_HELP, ROLES
from app.settings import load_settings
from app.store.account_records import UserRecord
from ddad_core.errors import RequestError


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
    store = open_store(load_settings(os.environ))
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
            f"last seen {state.last_seen:%Y-%m-%d %H:%M} UTC" if state.last_seen else "never seen",
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
    # Asked for before anything is changed.
    password = _password(arguments) if arguments.reset_password else ""
    if arguments.bring_back:
        accounts.bring_back(COMMAND, user.id, arguments.reason)
    if arguments.role:
        accounts.change_roles(COMMAND, user.id, arguments.role, arguments.reason)
    if arguments.unlock:
        accounts.unlock(COMMAND, user.id, arguments.reason or "unlocked")
    if arguments.reset_password:
        reason = arguments.reason or "password reset"
        accounts.reset_password(COMMAND, user.id, password, reason)
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
        return generated_password()
    return typed_secret("password", arguments.password_file, twice=True)


def _print_generated(arguments: argparse.Namespace, password: str) -> None:
    if arguments.generate:
        print(f"Password, to be changed at the first sign-in: {password}")
