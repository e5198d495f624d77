from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.gateways.packages import PackageError
from app.gateways.tables import open_table
from app.services.accounts import NewAccount
from app.services.container import Services
from app.services.evidence import EvidenceChoice
from app.services.export_tables import TABLES
from app.services.exporting import ExportFilter, ExportWish
from app.services.import_tables import _LABELS
from app.services.people import ForbiddenError, Person
from app.services.read_draft import ReadDraft
from app.store.errors import StoreError
from app.store.records import Box, ReadRecord
from ddad_core.errors import DdadError, RequestError
from tests.accounts import PASSWORD
from tests.databases import Databases

Ids = dict[str, int]
MODEL = "nih-ae-u"
LEAD = Person("Lea", frozenset({"lead"}))
FIRST, SECOND, THIRD = "00000150", "00001426", "00003391"


@pytest.fixture
def there(
    loaded: Services, ids: Ids, ana: Person, ben: Person, draft: Callable[..., ReadDraft]
) -> Services:
    """The other site: two readers, a revision, boxes."""
    boxes = (Box(10.5, 20.25, 30, 40, "lobe"), Box(1, 2, 3, 4))
    agreed = {"inter": "helpful", "intra": "missed"}
    loaded.reading.save(ana, ids[FIRST], MODEL, draft(comment="=one\nü", agreement=agreed))
    second = draft("abnormal", boxes=boxes, findings=("Nodule or mass",), confidence=4)
    loaded.reading.save(ana, ids[FIRST], MODEL, second)
    loaded.reading.save(ben, ids[FIRST], MODEL, draft("uncertain"))
    loaded.reading.save(ben, ids[SECOND], MODEL, draft("normal"))
    return loaded


@pytest.fixture
def here(
    tmp_path: Path, _loaded_home: Path, databases: Databases, build: Callable[[Path], Services]
) -> Services:
    """Another installation with the same three images and no read."""
    return build(databases.copy(_loaded_home, tmp_path / "here"))


def export(services: Services, target: Path, *formats: Any, comments: bool = True) -> Path:
    wish = ExportWish(formats=formats or ("jsonl",), comments=comments)
    make = services.exporting.archive if target.suffix == ".zip" else services.exporting.folder
    return make(Person.named("out"), wish, target).path


def reads_of(services: Services) -> list[ReadRecord]:
    with services.access._store.reading() as repositories:
        return list(repositories.reads.iter_all())


def counted(tally: Any) -> tuple[int, int, int, int, int]:
    return tally.found, tally.added, tally.there, tally.no_image, tally.conflicts


def said(read: ReadRecord) -> tuple[Any, ...]:
    return (
        read.verdict, read.confidence, read.findings, read.comment, read.model_name,
        read.model_hash, read.score, read.threshold, read.map_name, read.pixel_threshold,
        read.opacity, read.ai_visible, read.seconds_to_verdict, read.stage, read.agreement,
        read.saved_at, read.revision,
        [(b.x, b.y, b.width, b.height, b.label) for b in read.boxes],
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_reads_come_over_as_they_were_and_twice_adds_nothing(
    there: Services, here: Services, tmp_path: Path, kind: str
) -> None:
    path = export(there, tmp_path / "out.zip", kind)
    plan = here.importing.plan(LEAD, [path])
    assert counted(plan.reads) == (4, 4, 0, 0, 0) and plan.boxes == 2 and plan.adds
    assert [(r.there, r.reads, r.renamed) for r in plan.readers] == [
        ("Ana Ruiz", 2, False),
        ("Ben Okafor", 2, False),
    ]
    assert reads_of(here) == []
    steps: list[tuple[int, int]] = []
    done = here.importing.carry_out(LEAD, [path], progress=lambda *step: steps.append(step))
    assert done == plan and steps[-1] == (4, 4)
    mine, theirs = reads_of(here), reads_of(there)
    key = lambda r: (r.image_id, r.reader, r.revision)  # noqa: E731
    assert [said(r) for r in sorted(mine, key=key)] == [said(r) for r in sorted(theirs, key=key)]
    site, installation = plan.site, plan.installation
    assert site == f"site {installation[:8]}"
    assert {r.reader for r in mine} == {f"Ana Ruiz@{site}", f"Ben Okafor@{site}"}
    assert {r.external_id for r in mine} == {f"{installation}:{r.id}" for r in theirs}
    assert all(r.origin == site and r.imported_at and r.operating_point_id is None for r in mine)
    (amended,) = [r for r in mine if r.revision == 2]
    assert [r.id for r in mine if r.revision == 1 and r.reader == amended.reader] == [
        amended.replaces_id
    ]
    event = here.audit.page(Person.named("x"), limit=1).events[0]
    assert (event.action, event.actor, event.subject) == ("import", "Lea", f"reads of {site}")
    assert event.before == {"reads": 0, "boxes": 0, "reference labels": 3}
    assert event.after["reads"] == 4 and event.after["boxes"] == 2
    assert event.after["sha256"] == plan.sha256
    again = here.importing.carry_out(LEAD, [path])
    assert counted(again.reads) == (4, 0, 4, 0, 0) and not again.adds
    assert reads_of(here) == mine


def test_own_export_adds_nothing_nor_does_what_comes_back(
    there: Services, here: Services, tmp_path: Path
) -> None:
    own = export(there, tmp_path / "own")
    before = reads_of(there)
    done = there.importing.carry_out(LEAD, [own])
    assert done.own and counted(done.reads) == (4, 0, 4, 0, 0) and not done.readers
    assert counted(done.labels) == (3, 0, 3, 0, 0)
    here.importing.carry_out(LEAD, [own])
    returned = there.importing.carry_out(LEAD, [export(here, tmp_path / "back.zip")])
    assert not returned.own and counted(returned.reads) == (4, 0, 4, 0, 0)
    # As a table alone, which says of nothing where it comes from.
    alone = there.importing.carry_out(LEAD, [own / "reads.jsonl", own / "boxes.jsonl"], "anywhere")
    assert counted(alone.reads) == (4, 0, 4, 0, 0)
    assert reads_of(there) == before


def test_later_revisions_follow_those_that_are_here(
    there: Services,
    here: Services,
    ids: Ids,
    ana: Person,
    draft: Callable[..., ReadDraft],
    tmp_path: Path,
) -> None:
    here.importing.carry_out(LEAD, [export(there, tmp_path / "one", comments=False)])
    there.reading.save(ana, ids[FIRST], MODEL, draft("normal", comment="again"))
    done = here.importing.carry_out(LEAD, [export(there, tmp_path / "two")])
    assert counted(done.reads) == (5, 1, 4, 0, 0)
    chain = [r for r in reads_of(here) if r.reader.startswith("Ana")]
    assert [r.revision for r in chain] == [1, 2, 3]
    assert [r.replaces_id for r in chain] == [None, chain[0].id, chain[1].id]
    assert chain[0].comment == ""  # append-only: what was imported stays as it came


def test_tables_alone_need_a_site_and_their_boxes(
    there: Services, here: Services, tmp_path: Path
) -> None:
    folder = export(there, tmp_path / "out", "csv", "coco")
    reads = folder / "reads.csv"
    with pytest.raises(PackageError, match="does not say which site"):
        here.importing.plan(LEAD, [reads, folder / "boxes.csv"])
    with pytest.raises(PackageError, match="has 2 boxes, but 0 are given"):
        here.importing.plan(LEAD, [reads], "St. Anna")
    renamed = tmp_path / "march.csv"  # told by its columns
    renamed.write_bytes(reads.read_bytes())
    done = here.importing.carry_out(LEAD, [renamed, folder / "boxes.coco.json"], " St.  Anna ")
    assert counted(done.reads) == (4, 4, 0, 0, 0) and done.boxes == 2
    assert {r.reader for r in reads_of(here)} == {"Ana Ruiz@St. Anna", "Ben Okafor@St. Anna"}
    (drawn,) = [r for r in reads_of(here) if r.boxes]
    assert [(b.x, b.width, b.label) for b in drawn.boxes] == [(10.5, 30, "lobe"), (1, 3, "")]
    again = here.importing.carry_out(LEAD, [reads, folder / "boxes.csv"], "St. Anna")
    assert counted(again.reads) == (4, 0, 4, 0, 0)


def test_boxes_as_coco_alone_are_no_reads(there: Services, here: Services, tmp_path: Path) -> None:
    plan = here.importing.plan(LEAD, [export(there, tmp_path / "out", "coco")])
    assert counted(plan.reads) == (0, 0, 0, 0, 0) and plan.passed_over["boxes"] == 2
    assert counted(plan.labels) == (3, 0, 3, 0, 0)


def changed(folder: Path, name: str, old: bytes, new: bytes, *, sealed: bool = True) -> None:
    """Change a file of an export, and its entry in the manifest too if ``sealed``."""
    data = (folder / name).read_bytes()
    assert old in data
    data = data.replace(old, new)
    (folder / name).write_bytes(data)
    if sealed:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        (entry,) = [one for one in manifest["files"] if one["name"] == name]
        entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        (folder / "manifest.json").write_text(json.dumps(manifest))


def refused(services: Services, words: str, *paths: Path, site: str = "") -> None:
    for act in (services.importing.plan, services.importing.carry_out):
        with pytest.raises(DdadError, match=words) as caught:
            act(LEAD, list(paths), site)
        assert caught.value.next_step
    assert reads_of(services) == []


def test_changed_or_cut_exports_are_refused(
    there: Services, here: Services, tmp_path: Path
) -> None:
    path = export(there, tmp_path / "out.zip")
    cut = tmp_path / "cut.zip"
    cut.write_bytes(path.read_bytes()[:-200])
    refused(here, "damaged or cut short", cut)
    folder = export(there, tmp_path / "a")
    changed(folder, "reads.jsonl", b"uncertain", b"normal", sealed=False)
    refused(here, "reads.jsonl is not as it was exported", folder)
    (folder / "reads.jsonl").unlink()
    refused(here, "reads.jsonl is missing", folder)
    folder = export(there, tmp_path / "b")
    (folder / "more.csv").write_text("a,b")
    refused(here, "more.csv was not part of the export", folder)
    folder = export(there, tmp_path / "c")
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format_version": 1', '"format_version": 2'))
    refused(here, "version 2 of the format", folder)
    manifest.write_text("{}")
    refused(here, "not that of an export", folder)
    refused(here, "does not exist", tmp_path / "nowhere")
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    refused(here, "no table of reads, boxes or labels", tmp_path / "x.csv")
    (tmp_path / "not.zip").write_text("hello")
    refused(here, "no ZIP archive", tmp_path / "not.zip")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b'"verdict":"uncertain"', b'"verdict":"fine"', "verdict is none of"),
        (b'"revision":2', b'"revision":0', "revision is below 1"),
        (b'"opacity":0.45', b'"opacity":NaN', "not finite"),
        (b'"reader":"Ben Okafor"', b'"reader":" "', "reader is no name"),
        (b'"ai_visible":true', b'"ai_visible":1', "is no true or false"),
        (b'"confidence":4', b'"confidence":6', "confidence is not 1 to 5"),
        (b'"map":"inter"', b'"map":"other"', "map is no map"),
        (b'"boxes":2', b'"boxes":3', "has 3 boxes, but 2 are given"),
    ],
)
def test_values_that_no_read_has_are_refused_with_their_row(
    there: Services, here: Services, tmp_path: Path, old: bytes, new: bytes, words: str
) -> None:
    folder = export(there, tmp_path / "out")
    changed(folder, "reads.jsonl", old, new)
    refused(here, rf"reads.jsonl, row \d.*{words}", folder)


def test_archives_beyond_limits_are_refused(here: Services, tmp_path: Path) -> None:
    def archive(name: str, members: dict[str, bytes]) -> Path:
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
            for member, data in members.items():
                out.writestr(member, data)
        return path

    refused(here, "beyond measure", archive("a.zip", {"reads.csv": b"0" * 30_000_000}))
    refused(here, "whose name no export has", archive("b.zip", {"../r.csv": b"", "r.csv": b""}))
    many = archive("d.zip", {f"t{number}.csv": b"a" for number in range(101)})
    refused(here, "has 101 files", many)
    assert not (tmp_path.parent / "r.csv").exists()


def test_reads_of_images_that_are_not_here_are_passed_over(
    there: Services, here: Services, tmp_path: Path, databases: Databases
) -> None:
    path = export(there, tmp_path / "out.zip")
    with here.access._store.writing() as repositories:
        image = repositories.images.list_all()
    first = next(i for i in image if FIRST in i.label)
    second = next(i for i in image if SECOND in i.label)
    # The first image is not here; the second came from another file with the same pixels.
    home = tmp_path / "here"
    databases.query(
        home,
        f"UPDATE images SET sha256 = '{'a' * 64}', pixel_sha256 = NULL WHERE id = {first.id}",
    )
    databases.query(home, f"UPDATE images SET sha256 = '{'b' * 64}' WHERE id = {second.id}")
    done = here.importing.carry_out(LEAD, [path])
    assert counted(done.reads) == (4, 1, 0, 3, 0)
    assert [(r.image_id, r.verdict) for r in reads_of(here)] == [(second.id, "normal")]


def test_a_name_that_somebody_here_has_is_never_taken(
    there: Services, here: Services, tmp_path: Path, ids: Ids, draft: Callable[..., ReadDraft]
) -> None:
    folder = export(there, tmp_path / "out")
    tables = [folder / "reads.jsonl", folder / "boxes.jsonl"]
    admin = Person.named("admin")
    here.accounts.create(admin, NewAccount("ana ruiz@X", "", ("reader",), PASSWORD))
    here.reading.save(Person.named("Ana Ruiz"), ids[FIRST], MODEL, draft("unreadable"))
    done = here.importing.carry_out(LEAD, tables, "X")
    assert [(r.there, r.here, r.renamed) for r in done.readers] == [
        ("Ana Ruiz", "Ana Ruiz@X (imported)", True),
        ("Ben Okafor", "Ben Okafor@X", False),
    ]
    assert [r.verdict for r in reads_of(here) if r.reader == "Ana Ruiz"] == ["unreadable"]
    # Nor can anybody get or use an imported reader's name afterwards.
    with pytest.raises(RequestError, match="name"):
        here.accounts.create(admin, NewAccount("BEN Okafor@x", "", ("reader",), PASSWORD))
    with pytest.raises(StoreError, match="reader of another site"):
        here.reading.save(Person.named("Ben Okafor@X"), ids[FIRST], MODEL, draft("normal"))
    assert counted(here.importing.plan(LEAD, tables, "X").reads) == (4, 0, 4, 0, 0)


def test_two_installations_of_one_name_are_told_apart(
    there: Services, here: Services, tmp_path: Path
) -> None:
    folder = export(there, tmp_path / "out")
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for installation in ("1" * 32, "2" * 32):
        named = manifest | {"site": "X", "installation": installation}
        (folder / "manifest.json").write_text(json.dumps(named))
        assert here.importing.carry_out(LEAD, [folder]).reads.added == 4
        assert here.importing.carry_out(LEAD, [folder]).reads.there == 4
    assert {r.reader for r in reads_of(here) if r.reader.startswith("Ana")} == {
        "Ana Ruiz@X",
        "Ana Ruiz@X (22222222)",
    }


def test_what_changed_since_is_a_conflict_and_holds_back_its_revisions(
    there: Services,
    here: Services,
    ids: Ids,
    ana: Person,
    draft: Callable[..., ReadDraft],
    tmp_path: Path,
) -> None:
    here.importing.carry_out(LEAD, [export(there, tmp_path / "one")])
    before = reads_of(here)
    there.reading.save(ana, ids[FIRST], MODEL, draft("unreadable"))
    there.reading.save(ana, ids[THIRD], MODEL, draft("normal", boxes=(Box(1, 1, 5, 5),)))
    folder = export(there, tmp_path / "two")
    changed(folder, "reads.jsonl", b'"verdict":"abnormal"', b'"verdict":"uncertain"')
    changed(folder, "boxes.jsonl", b'"x":1.0,"y":1.0,"width":5.0', b'"x":1.0,"y":1.0,"width":5000')
    done = here.importing.carry_out(LEAD, [folder])
    assert counted(done.reads) == (6, 0, 3, 0, 3)
    told = " ".join(done.conflicts)
    assert "revision 2, NIH 00000150_002: it was imported before, and is another one now." in told
    assert "revision 3, NIH 00000150_002: another revision of it is in conflict." in told
    assert "a box lies outside the image" in told
    assert reads_of(here) == before


def test_reads_made_here_that_are_not_here_so_are_not_added(
    there: Services, tmp_path: Path
) -> None:
    folder = export(there, tmp_path / "out")
    before = reads_of(there)
    changed(folder, "reads.jsonl", b'"verdict":"uncertain"', b'"verdict":"abnormal"')
    done = there.importing.carry_out(LEAD, [folder])
    assert counted(done.reads) == (4, 0, 3, 0, 1)
    assert "made here, and is not here so" in done.conflicts[0]
    assert reads_of(there) == before


def test_half_an_import_never_stays(
    there: Services, here: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = export(there, tmp_path / "out")

    def fail(_done: int, _total: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        here.importing.carry_out(LEAD, [path], progress=fail)
    assert reads_of(here) == []
    newest = here.audit.page(Person.named("x"), limit=1).events
    assert not newest or newest[0].action != "import"


@pytest.mark.parametrize("times", [1, 9])
def test_what_is_stored_meanwhile_is_seen(
    there: Services, here: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    ids: Ids, draft: Callable[..., ReadDraft], times: int,
) -> None:  # fmt: skip
    path = export(there, tmp_path / "out.zip")
    prepare, compared = here.importing._prepared, []

    def and_meanwhile(package: Any, content: Any, site: str, look: Any) -> Any:
        ready = prepare(package, content, site, look)
        compared.append(look)
        if look == here.access._store.reading and len(compared) <= times:
            monkeypatch.setattr(here.importing, "_prepared", prepare)
            if len(compared) == 1:
                here.importing.carry_out(LEAD, [path])
            here.reading.save(LEAD, ids[THIRD], MODEL, draft())
            monkeypatch.setattr(here.importing, "_prepared", and_meanwhile)
        return ready

    monkeypatch.setattr(here.importing, "_prepared", and_meanwhile)
    done = here.importing.carry_out(LEAD, [path])
    assert counted(done.reads) == (4, 0, 4, 0, 0)
    assert len(compared) == (2 if times == 1 else 3)
    assert len([r for r in reads_of(here) if r.origin]) == 4


def labelled(services: Services) -> dict[str, tuple[int | None, int]]:
    with services.access._store.reading() as repositories:
        return {
            i.label.split()[1][:8]: (i.reference_label, len(i.reference_boxes))
            for i in repositories.images.list_all()
        }


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "coco"])
def test_outside_labels_fill_what_is_empty_and_never_overwrite(
    here: Services, tmp_path: Path, databases: Databases, kind: str
) -> None:
    home = tmp_path / "here"
    databases.query(home, "UPDATE images SET reference_label = NULL, reference_boxes = '[]'")
    databases.query(home, "UPDATE images SET reference_label = 0 WHERE label LIKE '%00001426%'")
    with here.access._store.reading() as repositories:
        digests = {i.label.split()[1][:8]: i.sha256 for i in repositories.images.list_all()}
    rows: list[dict[str, Any]] = [
        {"sha256": digests[FIRST], "label": 1, "boxes": [[1, 2, 30.5, 4], [5, 6, 7, 8, "lobe"]]},
        {"sha256": digests[SECOND], "label": 1, "boxes": None},
        {"sha256": digests[THIRD], "label": 0, "boxes": None},
        {"sha256": "c" * 64, "label": 1, "boxes": None},
    ]
    path = tmp_path / f"labels of May.{'json' if kind == 'coco' else kind}"
    if kind == "coco":
        path.write_text(json.dumps(as_coco(rows)))
    else:
        writer = open_table(path, kind, _LABELS)  # type: ignore[arg-type]
        writer.write(rows)
        writer.close()
    plan = here.importing.plan(LEAD, [path])
    assert counted(plan.labels) == (4, 2, 0, 1, 1) and plan.site == ""
    assert plan.conflicts == (
        "Label of NIH 00001426_000: the file says abnormal, here it is normal.",
    )
    assert labelled(here) == {FIRST: (None, 0), SECOND: (0, 0), THIRD: (None, 0)}
    assert here.importing.carry_out(LEAD, [path]) == plan
    assert labelled(here) == {FIRST: (1, 2), SECOND: (0, 0), THIRD: (0, 0)}
    assert counted(here.importing.carry_out(LEAD, [path]).labels) == (4, 0, 2, 1, 1)
    event = here.audit.page(Person.named("x"), limit=1).events[0]
    assert event.subject == "labels from outside"
    assert event.after["labels imported"]["conflicts"] == 1
    assert event.after["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def as_coco(rows: list[dict[str, Any]]) -> dict[str, Any]:
    boxes = [(i, box) for i, row in enumerate(rows) for box in row["boxes"] or ()]
    return {
        "images": [
            {"id": i, "file_name": f"{row['sha256']}.png", "reference_label": row["label"]}
            for i, row in enumerate(rows)
        ],
        "annotations": [
            {"id": n, "image_id": i, "category_id": len(box), "bbox": box[:4]}
            for n, (i, box) in enumerate(boxes)
        ],
        "categories": [{"id": 4, "name": "finding"}, {"id": 5, "name": "lobe"}],
    }


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"sha256": "c" * 64, "label": 2}, "neither 1"),
        ({"sha256": "nothing", "label": 1}, "no SHA-256"),
        ({"sha256": "c" * 64, "label": 0, "boxes": [[1, 1, 2, 2]]}, "normal and has boxes"),
        ({"sha256": "c" * 64, "label": 1, "boxes": [[1, 1, 0, 2]]}, "no place, no size"),
        ({"sha256": "c" * 64, "label": True}, "is no whole number"),
    ],
)
def test_labels_that_are_none_are_refused(
    here: Services, tmp_path: Path, row: dict[str, Any], words: str
) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps(row) + "\n")
    refused(here, words, path)


def test_imported_readers_are_readers_of_their_own(
    there: Services, here: Services, ids: Ids, tmp_path: Path, draft: Callable[..., ReadDraft]
) -> None:
    ana = Person.named("Ana Ruiz")
    here.reading.save(ana, ids[FIRST], MODEL, draft("normal"))
    done = here.importing.carry_out(LEAD, [export(there, tmp_path / "out.zip")])
    names = [f"Ana Ruiz@{done.site}", f"Ben Okafor@{done.site}"]
    assert here.tuning.who(LEAD)[0] == ["Ana Ruiz", *names]
    evidence = here.tuning.evidence(LEAD, MODEL, "reads")
    assert sorted(set(evidence.reads.reader)) == ["Ana Ruiz", *names]
    ana_there = here.tuning.evidence(LEAD, MODEL, EvidenceChoice("reads", readers=(names[0],)))
    assert (ana_there.ids.tolist(), ana_there.labels.tolist()) == ([ids[FIRST]], [1])
    row = next(r for r in here.worklist.list(LEAD).rows if r.image_id == ids[FIRST])
    assert row.other_readers == 3
    case = here.details.of_case(ana, ids[FIRST], MODEL)
    assert [(one.who, one.read.verdict) for one in case.others] == [
        (names[0], "abnormal"),
        (names[1], "uncertain"),
    ]
    assert csv_readers(here, tmp_path) == ["Ana Ruiz", *names]


def csv_readers(services: Services, folder: Path) -> list[str]:
    text = (export(services, folder / "again", "csv") / "reads.csv").read_text("utf-8-sig")
    return sorted({row["reader"] for row in csv.DictReader(io.StringIO(text))})


def test_an_earlier_revision_that_comes_later_is_not_the_last_word(
    there: Services, here: Services, ids: Ids, tmp_path: Path
) -> None:
    wish = ExportWish(rows=ExportFilter(latest_only=True), formats=("parquet",))
    last = there.exporting.archive(LEAD, wish, tmp_path / "last.zip").path
    assert counted(here.importing.carry_out(LEAD, [last]).reads) == (3, 3, 0, 0, 0)
    done = here.importing.carry_out(LEAD, [export(there, tmp_path / "all")])
    assert counted(done.reads) == (4, 1, 3, 0, 0)
    case = here.details.of_case(Person("x", frozenset({"auditor"})), ids[FIRST], MODEL)
    assert sorted(one.read.verdict for one in case.others) == ["abnormal", "uncertain"]
    with here.access._store.reading() as repositories:
        timed = repositories.monitoring.reads()
    assert len(timed) == len({(one.image_id, one.reader) for one in timed}) == 3
    assert here.tuning.evidence(LEAD, MODEL, "reads").reads.verdict.count("abnormal") == 1


def test_who_may_not_import(here: Services, tmp_path: Path) -> None:
    for role in ("reader", "arbiter", "administrator", "auditor"):
        for act in (here.importing.plan, here.importing.carry_out):
            with pytest.raises(ForbiddenError, match="import reads and labels"):
                act(Person("x", frozenset({role})), [tmp_path / "nowhere"])  # type: ignore[arg-type]


def test_columns_of_an_export_are_those_that_are_read() -> None:
    names = {column.name for column in TABLES["reads"].columns}
    assert {"site", "external_id", "read_id", "revision", "boxes", "agreement"} <= names
