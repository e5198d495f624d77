from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from app.gateways.anchor import AnchorFile
from app.gateways.files import ImageFiles
from app.keeping.backup import Installation, back_up
from app.keeping.restore import restore
from app.services.pseudonym_key import pseudonym_key
from app.store.account_records import AuditFilter, NewSession, NewUser
from app.store.engine import create_store_engine
from app.store.records import Box, NewImage, NewOperatingPoint, NewRead
from app.store.unit_of_work import UnitOfWork
from tests.app.keeping.conftest import OPERATOR, store_at
from tests.databases import PostgresqlDatabases
from tests.postgresql import Server


@pytest.fixture
def installation(tmp_path: Path, postgresql: Server) -> Installation:
    """A home on PostgreSQL with six images, reads, an operating point, an account, a session."""
    home = tmp_path / "home"
    home.mkdir()
    url = PostgresqlDatabases(postgresql).url(home)
    store = UnitOfWork(create_store_engine(url), anchor=AnchorFile(home / "audit.anchor"))
    pseudonym_key(store, home / "pseudonym.key")
    files = ImageFiles(home)
    for number in range(6):
        sha256 = f"{number}" * 64
        files.put_file(sha256, b"file %d" % number, "png")
        with store.writing() as repositories:
            image = repositories.images.add(
                NewImage(
                    sha256=sha256, origin="upload", label=f"CXR-{number}", format="png", bits=8,
                    width=10, height=10, slope=1.0, intercept=0.0, added_by="ana",
                    thumbnail=b"\xff\x00", patient="P-1", warnings=("Lateral: Ä ß 山.",),
                )
            )  # fmt: skip
            repositories.audit.append(OPERATOR.did("upload", f"image {image.id}"))
            for verdict in ("normal", "abnormal"):
                repositories.reads.append(
                    NewRead(
                        image_id=image.id, reader="ana", verdict=verdict, ai_visible=True,
                        boxes=(Box(1, 2, 3, 4, "x"),),
                    )
                )  # fmt: skip
    with store.writing() as repositories:
        repositories.operating_points.append(
            NewOperatingPoint(
                model_name="demo", model_hash="e" * 64, score_name="a_intra", threshold=0.1 + 0.2,
                policy="as it is", reason="because", set_by="ana",
            )
        )  # fmt: skip
        user = repositories.users.add(
            NewUser(name="ana", full_name="", roles=("administrator",), created_by="test")
        )
        repositories.sessions.open(
            NewSession(token_sha256="ab" * 32, user_id=user.id, address="", method="password")
        )
        repositories.drafts.put("ana", 1, {"comment": "unsure"})
    return Installation(home, url, home / "pseudonym.key", store)


def everything(store: UnitOfWork, *, events: int, reads: int) -> dict[str, object]:
    with store.reading() as repositories:
        return {
            "images": repositories.images.list_all(),
            "thumbnail": repositories.images.thumbnail(3),
            "reads": list(repositories.reads.iter_all())[:reads],
            "points": repositories.operating_points.list_all(),
            "users": repositories.users.list_all(),
            "draft": repositories.drafts.get("ana", 1),
            "events": list(repositories.audit.iter_all())[:events],
        }


def test_a_backup_of_postgresql_is_one_state_and_restores_as_sqlite(
    installation: Installation, tmp_path: Path
) -> None:
    stop, waits, errors = threading.Event(), [], []

    def write() -> None:
        while not stop.is_set():
            started = time.perf_counter()
            try:
                with installation.store.writing() as repositories:
                    read = NewRead(image_id=1, reader="ben", verdict="normal", ai_visible=True)
                    saved = repositories.reads.append(read)
                    repositories.audit.append(OPERATOR.did("verdict", f"read {saved.id}"))
            except Exception as error:  # noqa: BLE001 - shown by the assertion
                errors.append(error)
            waits.append(time.perf_counter() - started)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        time.sleep(0.3)
        made = back_up(installation, tmp_path / "a.tar", OPERATOR)
    finally:
        stop.set()
        thread.join()
    assert errors == [] and len(waits) > 3
    assert made.rows["images"] == 6 and made.files == 6 and made.rows["sessions"] == 0
    # A read and its event are one transaction: the copy has both or neither.
    assert made.rows["reads"] - 12 == made.rows["audit_events"] - 6
    home = tmp_path / "restored"
    done = restore(made.path, home, OPERATOR)
    assert done.faults == () and not done.upgraded
    shape = {"events": made.rows["audit_events"], "reads": made.rows["reads"]}
    restored = store_at(home)
    assert everything(restored, **shape) == everything(installation.store, **shape)
    with restored.writing() as repositories:
        largest = max(read.id for read in repositories.reads.iter_all())
        saved = repositories.reads.append(
            NewRead(image_id=2, reader="ana", verdict="normal", ai_visible=True)
        )
    assert saved.id > largest and saved.revision == 3
    with installation.store.reading() as repositories:
        (event,) = repositories.audit.find(AuditFilter(actions=("backup",)))
    assert event.after["file"] == "a.tar"


def test_a_postgresql_backup_says_nothing_of_its_address(
    installation: Installation, tmp_path: Path, postgresql: Server
) -> None:
    made = back_up(installation, tmp_path / "a.tar", OPERATOR)
    content = made.path.read_bytes()
    assert postgresql.password.encode() not in content and b"postgresql://" not in content
