from __future__ import annotations

import hashlib
import io
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, RLELossless

from app.bootstrap import build_services
from app.gateways.files import FileKind, ImageFiles
from app.services.container import Services
from app.services.intake import UPLOAD, IntakeService, Provenance
from app.services.models import ModelService
from app.services.people import Person
from app.services.read_draft import ReadDraft
from app.services.worklist import Wish
from app.settings import REPOSITORY, load_settings
from app.store.engine import create_store_engine
from app.store.errors import StoreError
from app.store.image_repository import ImageRepository
from app.store.unit_of_work import UnitOfWork
from ddad_core.familiarity import INVERTED
from ddad_core.imaging import read_radiograph
from ddad_core.imaging.sources import FileSource
from ddad_core.registry import load_model
from ddad_core.scoring import Scorer
from ddad_core.vocabulary import MAP_TITLES
from tests.databases import current

PLANTED = "MUSTERMANN_ERIKA_19620812.png"
AGES = {None: "nih-ae-u", 2.0: "kermany-ae-u-128", 55.0: "nih-ae-u"}


PIXELS = "what it looks at is pixels and files: the rows are the same"


def store_of(home: Path) -> UnitOfWork:
    return UnitOfWork(create_store_engine(current().url(home)))


def files_of(home: Path) -> list[str]:
    return sorted(
        str(path.relative_to(home))
        for path in home.rglob("*")
        if path.is_file() and path.name not in ("ddad.sqlite", "pseudonym.key", "audit.anchor")
    )


def row_count(home: Path) -> int:
    with store_of(home).reading() as repositories:
        return repositories.images.count()


@pytest.mark.parametrize("kind", ["png_bytes", "dicom_bytes"])
def test_radiograph_is_taken_kept_and_scored(
    empty: Services, home: Path, ana: Person, kind: str, request: pytest.FixtureRequest
) -> None:
    data = request.getfixturevalue(kind)
    outcome = empty.intake.take(ana, "any name", data)
    sha256 = hashlib.sha256(data).hexdigest()
    assert (outcome.status, outcome.reason) == ("scored", "")
    assert outcome.label == f"CXR-{sha256[:8].upper()}"
    with store_of(home).reading() as repositories:
        image = repositories.images.by_sha256(sha256)
        assert image is not None and image.id == outcome.image_id
        score = repositories.scores.for_model("nih-ae-u", empty.models.card("nih-ae-u").model_hash)
    assert (image.added_by, image.origin) == (ana.name, "upload")
    assert [s.image_id for s in score] == [image.id]
    original = read_radiograph(data).pixels
    if image.stored_as == "dicom":
        file = ImageFiles(home).file(sha256, "dicom", stored_sha256=image.stored_sha256)
        np.testing.assert_array_equal(read_radiograph(file).pixels, original)
    display = empty.reading.open_case(ana, image.id).display
    shown = np.frombuffer(zlib.decompress(display.pixels), "<u2").reshape(original.shape)
    np.testing.assert_array_equal(shown * display.slope + display.intercept, original)


def test_same_bytes_twice_are_one_case_whatever_their_name(
    empty: Services, home: Path, ana: Person, ben: Person, small_png: Callable[[int], bytes]
) -> None:
    first = empty.intake.take(ana, "a.png", small_png(1))
    before = files_of(home)
    second = empty.intake.take(ben, "b.dcm", small_png(1))
    assert (first.status, second.status) == ("scored", "known")
    assert second.image_id == first.image_id
    assert second.label in second.reason
    assert (row_count(home), files_of(home)) == (1, before)


def test_refused_file_leaves_neither_row_nor_file(
    empty: Services,
    home: Path,
    ana: Person,
    png_bytes: bytes,
    dicom_bytes: bytes,
    ct_bytes: bytes,
    changed_dicom: Callable[..., bytes],
) -> None:
    empty.intake.take(ana, "one that stays", png_bytes)
    before = files_of(home), row_count(home)
    flipped = bytearray(png_bytes)
    flipped[len(flipped) // 2] ^= 0xFF
    refused = {
        "ct.dcm": (ct_bytes, "CT"),
        "notes.txt": (b"Patient doing well.\n" * 50, "text"),
        "empty.png": (b"", "empty"),
        "half.png": (png_bytes[: len(png_bytes) // 2], ""),
        "flipped.png": (bytes(flipped), ""),
        "half.dcm": (dicom_bytes[: len(dicom_bytes) // 2], ""),
        "head.dcm": (dicom_bytes[:200], ""),
        "signature.png": (png_bytes[:8], ""),
        "page.html": (b"<html><body>x</body></html>", "HTML"),
        "frames.dcm": (changed_dicom(NumberOfFrames=2), "frames"),
        "colour.dcm": (changed_dicom(PhotometricInterpretation="RGB"), "RGB"),
    }
    for name, (data, word) in refused.items():
        outcome = empty.intake.take(ana, name, data)
        assert (outcome.status, outcome.image_id, outcome.label) == ("refused", None, ""), name
        assert outcome.file_name == name
        assert word in outcome.reason and len(outcome.reason) > 20, (name, outcome.reason)
    assert (files_of(home), row_count(home)) == before


def test_image_that_is_blank_in_32_bits_leaves_neither_row_nor_file(
    empty: Services, home: Path, ana: Person, changed_dicom: Callable[..., bytes]
) -> None:
    data = changed_dicom(RescaleSlope="1E-6", RescaleIntercept="1E6", RescaleType="US")
    assert empty.intake.take(ana, "x", data).status == "refused"
    assert (files_of(home), row_count(home)) == ([], 0)  # but a refusal on record
    assert empty.worklist.list(ana).total == 0


def test_file_name_is_stored_nowhere(
    empty: Services, home: Path, ana: Person, small_png: Callable[[int], bytes], ct_bytes: bytes
) -> None:
    assert empty.intake.take(ana, PLANTED, small_png(1)).file_name == PLANTED
    empty.intake.take(ana, PLANTED, ct_bytes)
    path = home.parent / PLANTED
    path.write_bytes(small_png(2))
    (outcome,) = empty.intake.take_many(ana, [(FileSource(path), UPLOAD)])
    assert outcome.status == "scored"
    for stored in home.rglob("*"):
        assert "MUSTERMANN" not in str(stored).upper()
        if stored.is_file():
            assert b"MUSTERMANN" not in stored.read_bytes().upper()


def test_identity_in_the_header_is_stored_nowhere(
    empty: Services, home: Path, ana: Person, changed_dicom: Callable[..., bytes]
) -> None:
    data = changed_dicom(
        PatientName="MUSTERMANN^ERIKA",
        PatientID="PLANTED-4711",
        StudyDescription="MUSTERMANN thorax",
        InstitutionName="PLANTED clinic",
        PatientBirthDate="19620812",
    )
    assert empty.intake.take(ana, "x", data).status == "scored"
    for stored in filter(Path.is_file, home.rglob("*")):
        content = stored.read_bytes().upper()
        for secret in (b"MUSTERMANN", b"PLANTED", b"19620812"):
            assert secret not in content


def test_store_failure_after_the_pixels_were_written_leaves_no_file(
    empty: Services,
    home: Path,
    ana: Person,
    small_png: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    empty.intake.take(ana, "stays", small_png(1))
    before = files_of(home)

    def fail(self: ImageRepository, new: object, batch_id: object) -> None:
        assert len(files_of(home)) == len(before) + 1  # the pixels are there by now
        problem = "The disk that holds the database is full."
        raise StoreError(problem)

    with monkeypatch.context() as patch:
        patch.setattr(ImageRepository, "add", fail)
        with pytest.raises(StoreError):
            empty.intake.take(ana, "x", small_png(2))
    assert (files_of(home), row_count(home)) == (before, 1)
    assert empty.intake.take(ana, "x", small_png(2)).status == "scored"


def test_a_file_that_another_import_swept_away_is_written_again(
    empty: Services,
    home: Path,
    ana: Person,
    small_png: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both met the same file; the other one was stopped before either had a row."""
    data = small_png(1)
    sha256 = hashlib.sha256(data).hexdigest()
    placed = IntakeService._placed

    def sweep_first(self: IntakeService, *arguments: Any) -> Any:
        self._kept.sweep({sha256})
        assert files_of(home) == []
        return placed(self, *arguments)

    monkeypatch.setattr(IntakeService, "_placed", sweep_first)
    assert empty.intake.take(ana, "x", data).status == "scored"
    kept = [name for name in files_of(home) if name.startswith("images")]
    assert len(kept) == 1
    empty.intake._kept.sweep({sha256})  # it has its row now
    assert kept[0] in files_of(home)


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_known_image_gets_its_lost_file_back(
    empty: Services, home: Path, ana: Person, dicom_bytes: bytes, damage: str
) -> None:
    empty.intake.take(ana, "one.dcm", dicom_bytes)
    again = empty.intake.take(ana, "one.dcm", dicom_bytes)
    assert again.status == "known" and "written again" not in again.reason
    path = ImageFiles(home).path(hashlib.sha256(dicom_bytes).hexdigest(), "dicom")
    kept = path.read_bytes()
    path.unlink()
    if damage == "damaged":
        path.write_bytes(kept[:-100])
    again = empty.intake.take(ana, "one.dcm", dicom_bytes)
    assert again.status == "known" and "was written again" in again.reason
    assert path.read_bytes() == kept


def test_bytes_stored_by_another_session_meanwhile_are_one_case(
    empty: Services,
    home: Path,
    ana: Person,
    small_png: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
    build: Callable[[Path], Services],
) -> None:
    other = build(home)
    put_file = ImageFiles.put_file
    first: list[object] = []

    def put_slowly(self: ImageFiles, sha256: str, data: bytes, kind: FileKind) -> None:
        put_file(self, sha256, data, kind)
        if not first:
            first.append(None)
            first.append(other.intake.take(Person.named("Ben"), "y", small_png(1)).image_id)

    monkeypatch.setattr(ImageFiles, "put_file", put_slowly)
    outcome = empty.intake.take(ana, "x", small_png(1))
    assert outcome.image_id == first[1]
    assert row_count(home) == 1
    assert empty.reading.open_case(ana, outcome.image_id).image.added_by == "Ben"


@pytest.mark.parametrize("age", list(AGES), ids=str)
@pytest.mark.sqlite_only(PIXELS)
def test_age_chooses_the_model_and_the_score_is_the_scorers(
    empty: Services, home: Path, ana: Person, png_bytes: bytes, age: float | None
) -> None:
    outcome = empty.intake.take(ana, "x", png_bytes, Provenance(age_years=age))
    with store_of(home).reading() as repositories:
        counts = {
            card.name: len(repositories.scores.for_model(card.name, card.model_hash))
            for card in empty.models.cards
        }
    assert counts == {name: int(name == AGES[age]) for name in counts} and len(counts) == 3
    case = empty.reading.open_case(ana, outcome.image_id or 0)
    assert case.model.name == case.suggested_model == AGES[age]
    direct = Scorer(load_model(REPOSITORY / "weights" / AGES[age]), "cpu").score(
        read_radiograph(png_bytes)
    )
    assert case.judgement.score.score == pytest.approx(direct.score, rel=1e-6)
    for name, value in direct.scores.items():
        assert getattr(case.judgement.score, name) == pytest.approx(value, rel=1e-6)
    assert case.judgement.score.percentile == pytest.approx(direct.percentile)
    assert case.judgement.score.p_value == pytest.approx(direct.p_value)
    assert [layer.name for layer in case.judgement.maps] == [
        m for m in MAP_TITLES if m in direct.maps
    ]
    for layer in case.judgement.maps:
        sent = np.frombuffer(zlib.decompress(layer.values), "<f4").reshape(layer.size, layer.size)
        np.testing.assert_allclose(sent, direct.maps[layer.name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", ["png_bytes", "dicom_bytes"])
@pytest.mark.sqlite_only(PIXELS)
def test_stored_pixels_score_as_the_file_did(
    empty: Services, home: Path, ana: Person, kind: str, request: pytest.FixtureRequest
) -> None:
    """Opened under another model, a case is scored from what is kept of it."""
    data = request.getfixturevalue(kind)
    image_id = empty.intake.take(ana, "x", data).image_id or 0
    case = empty.reading.open_case(ana, image_id, "kermany-ae-u")
    direct = Scorer(load_model(REPOSITORY / "weights" / "kermany-ae-u"), "cpu").score(
        read_radiograph(data)
    )
    assert case.judgement.score.score == pytest.approx(direct.score, rel=1e-6)


@pytest.mark.sqlite_only(PIXELS)
def test_curved_windows_come_back_as_the_file_has_them(
    empty: Services, ana: Person, changed_dicom: Callable[..., bytes]
) -> None:
    lut = Dataset()
    lut.add_new("LUTDescriptor", "US", [200, 20, 12])
    lut.add_new("LUTData", "OW", (20 * np.arange(200)).astype("<u2").tobytes())
    data = changed_dicom(
        VOILUTSequence=[lut], WindowCenter="120", WindowWidth="90", VOILUTFunction="SIGMOID"
    )
    case = empty.reading.open_case(ana, empty.intake.take(ana, "x", data).image_id or 0)
    windows = read_radiograph(data).windows
    assert [window.function for window in windows] == ["sigmoid", "lut"]
    assert case.presets == windows and case.display.window == windows[0]


@pytest.mark.sqlite_only(PIXELS)
def test_header_age_wins_over_what_is_known_besides(
    empty: Services, ana: Person, changed_dicom: Callable[..., bytes]
) -> None:
    data = changed_dicom(PatientAge="003Y", ViewPosition="AP")
    outcome = empty.intake.take(ana, "x", data, Provenance(age_years=50, view="PA"))
    image = empty.reading.open_case(ana, outcome.image_id or 0).image
    assert (image.age_years, image.view) == (3, "AP")


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"PatientAge": "012Y"}, "12 years old"),
        ({"PatientAge": "099Y"}, "99 years old"),
        ({"ViewPosition": "LL"}, "lateral"),
        ({"BodyPartExamined": "KNEE"}, "KNEE"),
        ({"Modality": "SC"}, "SC"),
    ],
)
@pytest.mark.sqlite_only(PIXELS)
def test_doubtful_image_is_scored_with_a_warning(
    empty: Services,
    ana: Person,
    changed_dicom: Callable[..., bytes],
    attributes: dict[str, str],
    words: str,
) -> None:
    outcome = empty.intake.take(ana, "x", changed_dicom(**attributes))
    assert outcome.status == "warned" and words in outcome.reason
    row = empty.worklist.list(ana, Wish(show="warned")).rows[0]
    assert " ".join(row.warnings) == outcome.reason
    assert empty.reading.open_case(ana, row.image_id).warnings == row.warnings


@pytest.mark.sqlite_only(PIXELS)
def test_file_on_disk_is_taken_and_a_missing_or_huge_one_refused(
    empty: Services, ana: Person, tmp_path: Path, small_png: Callable[[int], bytes]
) -> None:
    good, huge = tmp_path / "good", tmp_path / "huge"
    good.write_bytes(small_png(1))
    with huge.open("wb") as file:
        file.truncate(2**33)  # sparse: takes no room
    paths = (tmp_path / "missing", huge, tmp_path, good)
    *bad, fine = empty.intake.take_many(ana, ((FileSource(path), UPLOAD) for path in paths))
    assert fine.status == "scored"
    assert all(outcome.status == "refused" and outcome.reason for outcome in bad)


def test_score_of_an_interrupted_intake_is_made_up_for(
    empty: Services,
    ana: Person,
    small_png: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(ModelService, "score", lambda *_: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            empty.intake.take(ana, "x", small_png(1))
    rows = empty.worklist.list(ana).rows
    assert [(row.score_title, math.isfinite(row.score)) for row in rows] == [("A_ratio", True)]


@pytest.mark.sqlite_only(PIXELS)
def test_inverted_upload_is_kept_and_scored_with_a_warning(
    empty: Services, ana: Person, small_png: Callable[[int], bytes]
) -> None:
    grey = 255 - cv2.imdecode(np.frombuffer(small_png(1), np.uint8), cv2.IMREAD_GRAYSCALE)
    outcome = empty.intake.take(ana, "x", cv2.imencode(".png", grey)[1].tobytes())
    assert (outcome.status, outcome.reason) == ("warned", INVERTED)
    row = empty.worklist.list(ana, Wish(show="warned")).rows[0]
    assert row.warnings == (INVERTED,)
    assert empty.reading.open_case(ana, row.image_id).warnings == (INVERTED,)


def twin(data: bytes, syntax: str) -> bytes:
    """The same picture, losslessly, in another transfer syntax."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.compress(syntax, generate_instance_uid=False)
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def test_lossless_twins_are_one_image(
    empty: Services, home: Path, ana: Person, dicom_bytes: bytes
) -> None:
    first = empty.intake.take(ana, "a", dicom_bytes)
    before = files_of(home)
    for syntax in (RLELossless, JPEG2000Lossless):
        again = empty.intake.take(ana, "b", twin(dicom_bytes, syntax))
        assert (again.status, again.image_id) == ("known", first.image_id)
    assert (row_count(home), files_of(home)) == (1, before)


def test_the_same_instance_with_other_pixels_is_a_conflict_that_inherits_nothing(
    empty: Services, home: Path, ana: Person, dicom_bytes: bytes, draft: Callable[..., ReadDraft]
) -> None:
    first = empty.intake.take(ana, "a", dicom_bytes)
    empty.reading.save(ana, first.image_id or 0, "nih-ae-u", draft("abnormal"))
    dataset = pydicom.dcmread(io.BytesIO(dicom_bytes))
    dataset.PixelData = np.flip(dataset.pixel_array, axis=1).tobytes()
    out = io.BytesIO()
    dataset.save_as(out)
    second = empty.intake.take(ana, "b", out.getvalue())
    assert second.status == "conflict" and first.label in second.reason
    assert second.image_id != first.image_id and row_count(home) == 2
    assert empty.reading.open_case(ana, second.image_id or 0).read is None
    read = empty.reading.open_case(ana, first.image_id or 0).read
    assert read and read.verdict == "abnormal"
    with store_of(home).reading() as repositories:
        records = [repositories.images.get(o.image_id or 0) for o in (first, second)]
    assert all(record and record.conflict for record in records)


def test_a_patients_images_are_linked_and_nameless_ones_are_not(
    empty: Services, home: Path, ana: Person, changed_dicom: Callable[..., bytes]
) -> None:
    def take(number: int, **attributes: str) -> str | None:
        data = changed_dicom(SOPInstanceUID=f"1.2.3.{number}", **attributes)
        image_id = empty.intake.take(ana, "x", data).image_id or 0
        with store_of(home).reading() as repositories:
            image = repositories.images.get(image_id)
        assert image
        return image.patient

    one, two = (take(n, PatientID="4711", PatientName=name) for n, name in ((1, "A"), (2, "B")))
    assert one == two and one is not None and "4711" not in one
    assert take(3, PatientID="4712") not in (None, one)
    assert take(4, PatientID="") is None and take(5, PatientID=" ") is None
    assert row_count(home) == 5


@pytest.mark.sqlite_only(PIXELS)
def test_originals_are_kept_only_if_a_setting_says_so(
    home: Path, ana: Person, dicom_bytes: bytes, build: Callable[..., Services]
) -> None:
    build(home).intake.take(ana, "x", dicom_bytes)
    assert not (home / "originals").exists()
    other = home.parent / "other"
    services = build_services(
        load_settings({"DDAD_HOME": str(other), "DDAD_KEEP_ORIGINALS": "1", "DDAD_DEVICE": "cpu"})
    )
    services.intake.take(ana, "x", dicom_bytes)
    (path,) = (p for p in (other / "originals").rglob("*") if p.is_file())
    assert path.read_bytes() == dicom_bytes


def test_the_stored_file_says_that_it_names_nobody(
    empty: Services, home: Path, ana: Person, changed_dicom: Callable[..., bytes]
) -> None:
    empty.intake.take(ana, "x", changed_dicom(PatientName="MUSTERMANN^ERIKA"))
    (path,) = (home / "images").rglob("*.dcm")
    stored = pydicom.dcmread(path)
    assert stored.PatientIdentityRemoved == "YES"
    codes = {item.CodeValue for item in stored.DeidentificationMethodCodeSequence}
    assert codes == {"113100", "113107", "113108"}
    assert stored.preamble == bytes(128) and "MUSTERMANN" not in str(stored)


@pytest.mark.sqlite_only(PIXELS)
def test_text_in_the_picture_is_warned_of(empty: Services, ana: Person) -> None:
    grey = cv2.imread(str(REPOSITORY / "data/demo/00001426_000.png"), cv2.IMREAD_GRAYSCALE)
    cv2.putText(grey, "MUSTERMANN ERIKA 1962", (40, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 255, 3)
    done, data = cv2.imencode(".png", grey)
    outcome = empty.intake.take(ana, "x", data.tobytes())
    assert done and outcome.status == "warned" and "text in the picture" in outcome.reason
