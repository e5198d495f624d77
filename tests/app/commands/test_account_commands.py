from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from app.services.signing_in import SignInError
from tests.accounts import PASSWORD, accounts_of

Run = Callable[..., int]
Output = pytest.CaptureFixture[str]


def test_the_administrator_can_be_made_from_the_shell(
    run: Run, home: Path, tmp_path: Path, capsys: Output
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n", encoding="utf-8")
    roles = ("--role", "administrator", "--role", "lead")
    assert run("create-user", "Zoe", "--full-name", "Zoe Q", *roles, "--password-file", file) == 0
    assert capsys.readouterr().out == "Zoe can sign in as lead, administrator.\n"
    found = accounts_of(home).sign_in("zoe", PASSWORD, "")
    assert (found.user.full_name, found.user.must_change_password) == ("Zoe Q", True)
    assert run("users") == 0
    assert capsys.readouterr().out == ("Zoe (Zoe Q): lead, administrator; active; 1 open session\n")


def test_a_password_is_made_on_request_and_told_once(run: Run, home: Path, capsys: Output) -> None:
    assert run("create-user", "zoe", "--role", "reader", "--generate") == 0
    password = capsys.readouterr().out.rpartition(" ")[2].strip()
    assert len(password) >= 20
    assert accounts_of(home).sign_in("zoe", password, "").user.roles == ("reader",)


def test_a_password_may_come_from_standard_input(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    assert run("create-user", "zoe", "--role", "reader") == 0
    accounts_of(home).sign_in("zoe", PASSWORD, "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("create-user", "zoe", "--generate"), "needs a role"),
        (("change-user", "nobody", "--unlock"), "no account"),
        (("change-user", "nobody"), "Nothing to change"),
    ],
)
def test_what_is_missing_is_told_in_a_sentence(
    run: Run, capsys: Output, arguments: tuple[str, ...], told: str
) -> None:
    assert run(*arguments) == 1
    output = capsys.readouterr()
    assert told in output.err and "Traceback" not in output.err


def test_a_weak_password_makes_no_account(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("password1234\n"))
    assert run("create-user", "zoe", "--role", "reader") == 1
    assert "too weak" in capsys.readouterr().err
    assert not accounts_of(home).has_accounts()


def test_accounts_are_changed_from_the_shell(run: Run, home: Path, capsys: Output) -> None:
    run("create-user", "ana", "--role", "administrator", "--generate")
    run("create-user", "zoe", "--role", "reader", "--generate")
    assert run("change-user", "ZOE", "--role", "lead", "--reason", "heads the group") == 0
    assert run("change-user", "zoe", "--role", "lead") == 1
    assert "needs a reason" in capsys.readouterr().err
    assert run("change-user", "zoe", "--remove", "--reason", "left") == 0
    capsys.readouterr()
    run("users")
    assert "zoe (zoe): lead; removed" in capsys.readouterr().out
    assert run("change-user", "zoe", "--bring-back", "--reason", "is back") == 0
    capsys.readouterr()
    assert run("change-user", "zoe", "--reset-password", "--generate") == 0
    password = capsys.readouterr().out.partition("sign-in: ")[2].split()[0]
    assert accounts_of(home).sign_in("zoe", password, "").user.name == "zoe"
    with pytest.raises(SignInError):
        accounts_of(home).sign_in("zoe", PASSWORD, "")
