"""Who may import whom, and what else only one place may do (docs/architecture.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("ddad_core", "app")
MAX_LINES = 400
HTTP_CLIENTS = ("requests", "httpx", "aiohttp", "urllib.request", "urllib3", "http.client")


@dataclass(frozen=True)
class Rule:
    """Files under ``where`` (but not ``apart``) import nothing of ``never`` (but ``allowed``)."""

    where: str
    never: tuple[str, ...]
    apart: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()


SERVES_STREAMLIT = ("app/main.py", "app/ui/", "app/serve.py", "app/gate/streamlit_side.py")
RECORDS = ("app.store.records", "app.store.account_records", "app.store.proposal_records")
BUILDS = ("app/main.py", "app/cli.py", "app/commands/", "benchmarks/")
RULES = (
    Rule("ddad_core/", ("app", "streamlit", "sqlalchemy", *HTTP_CLIENTS)),
    Rule("", ("streamlit",), apart=(*SERVES_STREAMLIT, "benchmarks/serving.py")),
    Rule("app/ui/", ("app.store",), allowed=RECORDS),
    Rule("app/ui/", ("app.gateways", "torch", "sqlalchemy")),
    Rule("app/store/", ("app.gateways", "app.services", "app.ui")),
    Rule("app/gateways/", ("app.store", "app.services", "app.ui")),
    Rule("app/services/", ("app.ui", "streamlit", "sqlalchemy")),
    Rule("app/keeping/", ("app.ui", "streamlit", "sqlalchemy")),
    Rule("app/services/", ("app.keeping",)),
    Rule("app/store/", ("app.keeping",)),
    Rule("app/gateways/", ("app.keeping",)),
    Rule("ddad_core/networks/", ("ddad_core.imaging",)),
    Rule("ddad_core/evaluation/", ("torch",)),
    Rule(
        "", ("app.bootstrap",), apart=("app/main.py", "app/cli.py", "app/commands/", "benchmarks/")
    ),
)
COMPARES_THRESHOLDS = (
    "ddad_core/evaluation/thresholds.py",
    "ddad_core/overlay.py",
    "app/store/worklist_repository.py",
)
HANDS_OVER_ENVIRONMENT = ("app/main.py", "app/cli.py", "app/commands/", "app/serve.py")
TOUCHES_SESSION = ("app/ui/session.py",)


def _sources(root: Path) -> dict[str, ast.Module]:
    """Parsed files by path from the root, with forward slashes."""
    return {
        path.relative_to(root).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for folder in (*PACKAGES, "benchmarks")
        for path in sorted((root / folder).rglob("*.py"))
    }


def _imports(path: str, tree: ast.AST) -> Iterator[str]:
    """Names of all that is imported anywhere in a file, relative imports made absolute.

    ``from a import b`` gives ``a`` and ``a.b``, because b may be a module.
    """
    package = path.split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
            yield module
        elif isinstance(node, ast.Call) and _name(node.func) in ("import_module", "__import__"):
            first = node.args[0] if node.args else None
            yield first.value if isinstance(first, ast.Constant) else "<computed>"


def _name(node: ast.AST) -> str:
    """The last part of a dotted name, or an empty string."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_of(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def _forbidden_imports(root: Path) -> list[str]:
    found = []
    for path, tree in _sources(root).items():
        names = set(_imports(path, tree))
        # ``from app.store import records`` names its package, too: that alone is no breach.
        packages = {n for n in names if any(other.startswith(f"{n}.") for other in names)}
        for rule in RULES:
            if not path.startswith(rule.where) or (rule.apart and path.startswith(rule.apart)):
                continue
            found += [
                f"{path} imports {name}"
                for name in names - (packages if rule.allowed else set())
                if _is_of(name, rule.never) and not _is_of(name, rule.allowed)
            ]
    return sorted(found)


def _places(root: Path, names: tuple[str, ...], allowed: tuple[str, ...]) -> list[str]:
    """Where a name or attribute of these is used outside the allowed files."""
    found = []
    for path, tree in _sources(root).items():
        if path.startswith(allowed):
            continue
        for node in ast.walk(tree):
            imported = isinstance(node, ast.ImportFrom) and any(a.name in names for a in node.names)
            if imported or _name(node) in names:
                found.append(f"{path}:{node.lineno}")
    return found


def _threshold_comparisons(root: Path) -> list[str]:
    """Orderings of something against a threshold; a range check against a number is none."""
    found = []
    for path, tree in _sources(root).items():
        if path in COMPARES_THRESHOLDS:
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Compare):
                continue
            sides = (node.left, *node.comparators)
            ordered = any(isinstance(op, ast.GtE | ast.Gt | ast.Lt | ast.LtE) for op in node.ops)
            named = any("threshold" in _name(side).lower() for side in sides)
            if ordered and named and not any(isinstance(side, ast.Constant) for side in sides):
                found.append(f"{path}:{node.lineno}")
    return found


def _calls_at_import(root: Path, names: tuple[str, ...]) -> list[str]:
    """Where a module calls one of these while it is imported: outside every function's body."""

    def outside(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            yield child
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                # Decorators and defaults are evaluated at import, the body is not.
                for early in (*getattr(child, "decorator_list", ()), *child.args.defaults):
                    yield from (early, *outside(early))
            else:
                yield from outside(child)

    return [
        f"{path}:{node.lineno}"
        for path, tree in _sources(root).items()
        for node in outside(tree)
        if isinstance(node, ast.Call) and _name(node.func) in names
    ]


def _long_files(root: Path) -> list[str]:
    return [
        path.relative_to(root).as_posix()
        for folder in (*PACKAGES, "benchmarks")
        for path in sorted((root / folder).rglob("*.py"))
        if len(path.read_text(encoding="utf-8").splitlines()) > MAX_LINES
    ]


def _environment(root: Path) -> list[str]:
    return _places(root, ("environ", "environb", "getenv", "getenvb", "putenv"), _ENVIRONMENT)


# settings.py reads a mapping that its caller hands over; its parameter has the same name.
# Benchmarks start the app as a process and give it an environment.
_ENVIRONMENT = (
    *HANDS_OVER_ENVIRONMENT,
    "app/settings.py",
    "app/secret_settings.py",
    "benchmarks/",
)
HEAVY = ("create_engine", "create_store_engine", "build_services", "load_model", "build_network")
CHECKS = {
    "imports": _forbidden_imports,
    "environment": _environment,
    "session state": lambda root: _places(root, ("session_state",), TOUCHES_SESSION),
    "thresholds": _threshold_comparisons,
    "engines and models at import": lambda root: _calls_at_import(root, HEAVY),
    "long files": _long_files,
}


@pytest.mark.parametrize("check", CHECKS)
def test_architecture_is_kept(check):
    assert CHECKS[check](REPOSITORY) == []


def test_walker_sees_the_whole_tree():
    sources = _sources(REPOSITORY)
    assert {"ddad_core/cli.py", "app/main.py", "app/ui/session.py"} <= set(sources)
    assert "streamlit" in set(_imports("app/main.py", sources["app/main.py"]))
    for place in (*COMPARES_THRESHOLDS, *HANDS_OVER_ENVIRONMENT, *TOUCHES_SESSION):
        assert any(path.startswith(place) for path in sources)
    for rule in RULES:
        assert any(path.startswith(rule.where) for path in sources)


def test_settings_read_only_the_mapping_they_are_given():
    tree = _sources(REPOSITORY)["app/settings.py"]
    assert "os" not in set(_imports("app/settings.py", tree))


def test_core_handles_no_environment_and_starts_no_process_of_the_app():
    core = {p: t for p, t in _sources(REPOSITORY).items() if p.startswith("ddad_core/")}
    assert len(core) > 20
    for path, tree in core.items():
        used = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        assert not used & {"environ", "getenv"}, path


PLANTED = [
    ("imports", "ddad_core/x.py", "from app.services import intake"),
    ("imports", "ddad_core/x.py", "import app"),
    ("imports", "ddad_core/x.py", "def f():\n    import streamlit as st"),
    ("imports", "ddad_core/x.py", "from urllib import request"),
    ("imports", "ddad_core/x.py", "import importlib\nimportlib.import_module('sqlalchemy.orm')"),
    ("imports", "ddad_core/networks/x.py", "from ..imaging import geometry"),
    ("imports", "ddad_core/evaluation/x.py", "import torch.nn"),
    ("imports", "app/services/x.py", "import streamlit"),
    ("imports", "app/x.py", "from streamlit import config"),
    ("imports", "app/ui/screens/x.py", "from app.store.schema import ReadRow"),
    ("imports", "app/ui/screens/x.py", "from app.store import records, unit_of_work"),
    ("imports", "app/ui/screens/x.py", "from app import gateways"),
    ("imports", "app/ui/x.py", "import torch"),
    ("imports", "app/store/x.py", "from app.gateways.files import ImageFiles"),
    ("imports", "app/store/x.py", "from ..services import intake"),
    ("imports", "app/gateways/x.py", "from app.store import schema"),
    ("imports", "app/services/x.py", "from app import bootstrap"),
    ("imports", "app/services/x.py", "from app.keeping import backup"),
    ("imports", "app/keeping/x.py", "import sqlalchemy"),
    ("imports", "app/serve.py", "from app.bootstrap import build_services"),
    ("environment", "ddad_core/x.py", "import os\nhome = os.environ['HOME']"),
    ("environment", "ddad_core/x.py", "from os import getenv"),
    ("environment", "app/services/x.py", "import os\nos.getenv('HOME')"),
    ("session state", "app/ui/screens/x.py", "import streamlit as st\nst.session_state['a'] = 1"),
    ("session state", "app/main.py", "from streamlit import session_state"),
    ("thresholds", "app/ui/screens/x.py", "if score >= view.threshold:\n    pass"),
    ("thresholds", "app/services/x.py", "flagged = THRESHOLD < score"),
    ("thresholds", "ddad_core/x.py", "low = [s for s in scores if s < site_threshold]"),
    ("engines and models at import", "app/store/x.py", "engine = create_engine('sqlite://')"),
    ("engines and models at import", "app/store/x.py", "class A:\n    e = sa.create_engine('')"),
    ("engines and models at import", "app/x.py", "def f(m=load_model('weights')):\n    pass"),
    ("long files", "app/services/x.py", "\n" * 401),
]


@pytest.mark.parametrize(("check", "path", "text"), PLANTED)
def test_planted_violation_is_caught(tmp_path, check, path, text):
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(text)
    (found,) = CHECKS[check](tmp_path)[:1]
    assert found.startswith(path)


HARMLESS = [
    ("app/ui/screens/x.py", "from app.store.records import Box"),
    ("app/ui/screens/x.py", "from app.store import records"),
    ("app/ui/x.py", "import streamlit as st"),
    ("app/main.py", "import os\nfrom app.bootstrap import build_services\nf(os.environ)"),
    ("app/services/x.py", "from app.store.schema import A\nfrom app.gateways.files import B"),
    ("app/services/x.py", "if threshold < 0:\n    pass"),
    ("app/services/x.py", "flagged = is_flagged(score, threshold)"),
    ("app/store/x.py", "def f():\n    return create_engine('sqlite://')"),
    ("ddad_core/x.py", "import torch\nfrom urllib.parse import urlsplit"),
    ("ddad_core/appearance.py", "import application"),
    ("ddad_core/evaluation/thresholds.py", "flagged = score >= threshold"),
]


@pytest.mark.parametrize(("path", "text"), HARMLESS)
def test_harmless_code_is_let_pass(tmp_path, path, text):
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(text)
    assert [found for check in CHECKS.values() for found in check(tmp_path)] == []
