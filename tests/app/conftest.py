"""Real homes, real weights, real images: a few of each, made once and copied."""

from __future__ import annotations

import csv
import functools
import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

import ddad_core.registry
from app.bootstrap import build_services
from app.cli import main
from app.services.container import Services
from app.services.people import Person
from app.settings import REPOSITORY, load_settings
from ddad_core.imaging.sandbox import Sandbox
from tests.databases import Databases, PostgresqlDatabases, SqliteDatabases, choose
from tests.eight_maps import copy_weights, give_eight_maps, install
from tests.postgresql import Server

DEMO = REPOSITORY / "data" / "demo"
GALLERY_FILES = ("00000150_002.png", "00001426_000.png", "00003391_001.png")
ON_BOTH_DATABASES = (Path(__file__).parent / "store", Path(__file__).parent / "services")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The tests of the store and of the services run on SQLite and on PostgreSQL.

    A test marked ``sqlite_only`` says why it does not.
    """
    if "databases" not in metafunc.fixturenames:
        return
    both = any(metafunc.definition.path.is_relative_to(one) for one in ON_BOTH_DATABASES)
    alone = metafunc.definition.get_closest_marker("sqlite_only")
    kinds = ["sqlite", "postgresql"] if both and alone is None else ["sqlite"]
    metafunc.parametrize("databases", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server, started when a test first asks for it."""
    server = Server()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest) -> Databases:
    """One database for each home: files, or databases of a real server."""
    if request.param == "sqlite":
        return choose(SqliteDatabases())
    return choose(PostgresqlDatabases(request.getfixturevalue("postgresql")))


@pytest.fixture(autouse=True)
def _databases_go_with_their_folder(request: pytest.FixtureRequest) -> Iterator[None]:
    if not {"databases", "tmp_path"} <= set(request.fixturenames):
        yield
        return
    databases, folder = (request.getfixturevalue(name) for name in ("databases", "tmp_path"))
    yield
    databases.forget(folder)


@pytest.fixture(scope="session", autouse=True)
def _weights_are_read_once() -> Iterator[None]:
    """Every home gets the shipped networks; reading 57 MB for each would only cost time."""
    patch = pytest.MonkeyPatch()
    cached = functools.cache(ddad_core.registry.load_model)
    patch.setattr(ddad_core.registry, "load_model", cached)
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def _files_are_read_by_the_same_children() -> Iterator[None]:
    """Every home has the same child processes; starting some for each would only cost time."""
    patch = pytest.MonkeyPatch()
    with Sandbox(2) as shared:
        patch.setattr(Services, "close", lambda self: None)
        patch.setattr("app.bootstrap.Sandbox", lambda workers: shared)
        yield
        patch.undo()


@pytest.fixture(scope="session")
def small_gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of three of the shipped images, the first one with boxes."""
    folder = tmp_path_factory.mktemp("gallery")
    with (DEMO / "gallery.csv").open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = [row for row in reader if row["file"] in GALLERY_FILES]
    with (folder / "gallery.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, reader.fieldnames or ())
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        shutil.copy(DEMO / row["file"], folder)
    return folder


@pytest.fixture(scope="session")
def build(small_gallery: Path, databases: Databases) -> Callable[..., Services]:
    """Wire the services to a home folder, as the program does when it starts."""

    def build_on(home: Path, weights: Path | None = None) -> Services:
        environ = {"DDAD_HOME": str(home), "DDAD_GALLERY": str(small_gallery), "DDAD_DEVICE": "cpu"}
        environ |= databases.environ(home)
        if weights is not None:
            environ["DDAD_WEIGHTS"] = str(weights)
        return build_services(load_settings(environ))

    return build_on


@pytest.fixture(scope="session")
def _loaded_home(
    tmp_path_factory: pytest.TempPathFactory, build: Callable[[Path], Services]
) -> Path:
    home = tmp_path_factory.mktemp("loaded") / "home"
    services = build(home)
    services.gallery.load(services.gallery.missing())
    return home


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where an empty home will be."""
    return tmp_path / "home"


@pytest.fixture
def empty(home: Path, build: Callable[[Path], Services]) -> Services:
    """Services on an empty home."""
    return build(home)


@pytest.fixture
def loaded_home(tmp_path: Path, _loaded_home: Path, databases: Databases) -> Path:
    """A home of its own that holds the three cases of the small gallery."""
    return databases.copy(_loaded_home, tmp_path / "home")


@pytest.fixture
def loaded(loaded_home: Path, build: Callable[[Path], Services]) -> Services:
    """Services on a home with three cases."""
    return build(loaded_home)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder with the shipped models, whose cards a test may change."""
    return copy_weights(tmp_path / "weights")


@pytest.fixture
def eight_maps(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same with a model that has all eight maps; R_dual is its score."""
    install(monkeypatch)
    return give_eight_maps(weights)


@pytest.fixture
def ana() -> Person:
    return Person.named("Ana Ruiz")


@pytest.fixture
def ben() -> Person:
    return Person.named("Ben Okafor")


@pytest.fixture(scope="session")
def png_bytes() -> bytes:
    """A radiograph as PNG that no gallery of these tests holds."""
    return (DEMO / "00001865_000.png").read_bytes()


@pytest.fixture(scope="session")
def dicom_bytes() -> bytes:
    return (DEMO / "nih_dx_pa.dcm").read_bytes()


@pytest.fixture(scope="session")
def changed_dicom(dicom_bytes: bytes) -> Callable[..., bytes]:
    """The shipped DICOM file with some attributes set anew."""

    def change(**attributes: object) -> bytes:
        dataset = pydicom.dcmread(io.BytesIO(dicom_bytes))
        for name, value in attributes.items():
            setattr(dataset, name, value)
        out = io.BytesIO()
        dataset.save_as(out)
        return out.getvalue()

    return change


@pytest.fixture(scope="session")
def ct_bytes(changed_dicom: Callable[..., bytes]) -> bytes:
    return changed_dicom(Modality="CT")


@pytest.fixture(scope="session")
def small_png() -> Callable[[int], bytes]:
    """A small grey chest radiograph, another one for each seed: quick to take in."""
    chest = cv2.imread(str(DEMO / "00001426_000.png"), cv2.IMREAD_GRAYSCALE)
    chest = cv2.resize(chest, (80, 96), interpolation=cv2.INTER_AREA)

    def make(seed: int) -> bytes:
        noise = np.random.default_rng(seed).normal(0, 1.5, chest.shape)
        grey = np.clip(chest + noise, 0, 255).astype(np.uint8)
        done, data = cv2.imencode(".png", grey)
        assert done
        return data.tobytes()

    return make


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, home: Path, small_gallery: Path) -> Callable[..., int]:
    """Run one command on a home of its own, from a folder that has nothing to do with it."""
    monkeypatch.chdir(home.parent)
    for name in ("DDAD_DATABASE_URL", "DDAD_DATABASE_URL_FILE", "DDAD_WEIGHTS", "PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DDAD_HOME", str(home))
    monkeypatch.setenv("DDAD_GALLERY", str(small_gallery))
    monkeypatch.setenv("DDAD_DEVICE", "cpu")
    return lambda *arguments: main([str(a) for a in arguments])
