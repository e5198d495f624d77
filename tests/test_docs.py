"""The documents say what the code does: settings, commands, screens, files, figures."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from pathlib import Path

import pytest

from app.cli import parser as admin_parser
from app.settings import SETTINGS
from ddad_core.cli import _parser

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")])


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return next(
        action.choices
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
    )


def test_every_setting_is_documented_with_its_default_and_help():
    page = (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8")
    plain = page.replace("`", "")
    for setting in SETTINGS:
        assert f"| {setting.name} | {setting.default} | {setting.help} |" in plain, setting.name


def test_no_other_variable_of_the_app_is_documented():
    names = {setting.name for setting in SETTINGS}
    names |= {f"{setting.name}_FILE" for setting in SETTINGS if setting.secret}
    names |= {"DDAD_OIDC_"}  # all of them, as docs call them
    for path in DOCUMENTS:
        found = set(re.findall(r"\bDDAD_[A-Z_]+\b", path.read_text(encoding="utf-8")))
        assert found - {"DDAD_SHARED_DATA"} <= names, path.name


def test_every_command_and_its_options_are_in_the_readme():
    for name, parser in subcommands(_parser()).items():
        line = next((row for row in README.splitlines() if row.startswith(f"ddad {name} ")), None)
        assert line or f"ddad {name}" in README, name
        for option in re.findall(r"--[a-z-]+", line or ""):
            assert option in parser._option_string_actions, f"ddad {name} {option}"


def admin_commands(path: Path) -> list[str]:
    """What a page says after `ddad-admin`, in code of either kind."""
    page = path.read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"```.*?```", page, re.DOTALL))
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", page, flags=re.DOTALL))
    lines = [*blocks.splitlines(), *inline]
    return [m[1].strip() for line in lines if (m := re.search(r"\bddad-admin ([^#]+)", line))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_admin_command_in_the_documents_parses(path, capsys):
    commands = subcommands(admin_parser())
    for text in admin_commands(path):
        for usage in re.split(r" \| |\|(?=[a-z])", text) if "|" in text else [text]:
            name, *rest = usage.split()
            assert name in commands, text
            options = commands[name]._option_string_actions
            if name != "audit":
                for option in re.findall(r"(?<![\w-])--[a-z-]+", " ".join(rest)):
                    assert option in options, f"ddad-admin {usage}"
        # What is no usage line but a command must be one as it stands.
        words = shlex.split(text)
        if len(words) > 1 and not re.search(r"[\[|]|\.\.\.|N:HASH|DAYS", text):
            try:
                admin_parser().parse_args(words)
            except SystemExit:
                # In running text an option may be named without what the command needs besides.
                told = capsys.readouterr().err
                assert "required" in told or "expected one" in told, f"ddad-admin {text}"


def test_every_admin_command_is_documented():
    named = {text.split()[0] for path in DOCUMENTS for text in admin_commands(path)}
    named |= {w for t in admin_commands(REPOSITORY / "README.md") for w in re.findall("[a-z-]+", t)}
    assert set(subcommands(admin_parser())) <= named


def test_every_screen_is_in_the_readme():
    for path in (REPOSITORY / "app" / "ui" / "screens").glob("[a-z]*.py"):
        assert f"**{path.stem.capitalize()}**" in README, path.stem


def test_every_file_named_in_the_architecture_exists():
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    tree = page.split("```")[1]
    names = set(re.findall(r"\b[a-z_]+\.(?:py|json)\b", tree)) - {"card.json", "_repository.py"}
    there = {path.name for path in REPOSITORY.rglob("*.py") if ".venv" not in path.parts}
    assert names <= there, names - there


def test_every_module_of_the_core_is_in_the_architecture():
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    for path in (REPOSITORY / "ddad_core").rglob("*.py"):
        if path.stem != "__init__" and path.parent.name != "commands":  # one file a command
            assert path.name in page, path


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_the_readme_states_the_figures_of_the_cards():
    for card_file in (REPOSITORY / "weights").glob("*/card.json"):
        card = json.loads(card_file.read_text(encoding="utf-8"))
        evaluation = card["evaluation"]
        row = next(row for row in README.splitlines() if row.startswith(f"| `{card['name']}`"))
        for score in {"a_ratio", "a_inter"} & set(evaluation["auc"]):
            auc = evaluation["auc"][score]
            assert f"{auc['value']:.3f} ({auc['ci95'][0]:.3f} to {auc['ci95'][1]:.3f})" in row
        assert f"{evaluation['n_normal']} normal" in row
        assert str(evaluation["n_abnormal"]) in row


def test_the_disclaimer_stands_once_in_the_readme():
    assert README.count("Not a medical device") == 1


def test_requirements_are_pinned_exactly():
    for name in ("requirements.txt", "requirements-dev.txt"):
        for line in (REPOSITORY / name).read_text(encoding="utf-8").splitlines():
            requirement = line.split("#")[0].strip()
            assert not requirement or requirement.startswith("-r ") or "==" in requirement, line
    assert "torch==2.13.0" in (REPOSITORY / "requirements.txt").read_text(encoding="utf-8")
