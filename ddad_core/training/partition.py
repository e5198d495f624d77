"""Making manifests: images with patients and labels -> roles that share no patient."""

from __future__ import annotations

import csv
import hashlib
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ddad_core.errors import ManifestError, RefusedImageError
from ddad_core.imaging import read_radiograph
from ddad_core.training.manifest import Manifest, ManifestRow

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".dcm")
ADULT_YEARS = 18
Quota = tuple[str, int, int]
"""Role, wanted normal images, wanted abnormal images."""


@dataclass(frozen=True)
class Candidate:
    """An image that may get a role; ``row.role`` is not decided yet."""

    row: ManifestRow
    label: int


@dataclass(frozen=True)
class Plan:
    """How a data set is cut.

    Attributes:
        quotas: Filled in this order.
        mixed_roles: Roles for patients who have normal and abnormal images, filled in order.
    """

    quotas: tuple[Quota, ...]
    mixed_roles: tuple[str, ...] = ("unlabeled", "validation", "test")


PLANS: Mapping[str, Plan] = {
    "kermany": Plan(
        (
            ("test", 220, 390),
            ("calibration", 100, 0),
            ("validation", 60, 60),
            ("unlabeled", 400, 600),
            ("normal", 560, 0),
        )
    ),
    "nih": Plan(
        (
            ("test", 50, 80),
            ("calibration", 50, 0),
            ("validation", 12, 20),
            ("unlabeled", 52, 78),
            ("normal", 130, 0),
        )
    ),
}


def build_kermany(images: Path, *, seed: int) -> Manifest:
    """Describe the ZhangLab / Kermany training images, ``NORMAL`` and ``PNEUMONIA``.

    The same number is the same patient: IM-x and NORMAL2-IM-x, bacteria and virus.
    """

    def patient(path: Path) -> str:
        found = re.match(r"(?:NORMAL2-)?(IM)-(\d+)|(person)(\d+)", path.name)
        if not found:
            problem = f"{path} carries no patient number."
            raise ManifestError(problem, "Give the folder of the original file names.")
        return "".join(part for part in found.groups() if part)

    candidates = []
    for folder, label in (("NORMAL", 0), ("PNEUMONIA", 1)):
        for path in _image_files(images / folder):
            row = ManifestRow(f"{folder}/{path.name}", "", label, patient(path))
            candidates.append(Candidate(row, label))
    about = {
        "title": "ZhangLab / Kermany paediatric chest X-rays",
        "population": "children of 1 to 5 years, frontal views, one hospital in Guangzhou",
        "source": "Kermany, Zhang, Goldbaum, Mendeley Data, doi:10.17632/rscbjbr9sj; "
        "Cell 172 (2018) 1122-1131. The official training half, as resized to 224 x 224.",
        "licence": "CC BY 4.0",
        "abnormal_means": "labelled bacterial or viral pneumonia",
        "age_min": 1,
        "age_max": 5,
    }
    return _finish("kermany", candidates, images, PLANS["kermany"], seed, about)


def build_nih(
    images: Path, *, seed: int, labels: Path, boxes: Path | None, left_out: Iterable[str] = ()
) -> Manifest:
    """Describe a sample of NIH ChestX-ray14, adults only.

    Args:
        images: Folder of the image files.
        seed: Decides who goes where.
        labels: CSV with image, finding_labels, patient_id, age, sex, view.
        boxes: CSV whose ``image`` column names images kept for localisation, or None; all
            images of their patients are left out.
        left_out: Further patients to leave out, such as those of a demonstration gallery.
    """
    banned = {_patient_number(patient) for patient in left_out}
    records = _read_csv(labels, ("image", "finding_labels", "patient_id", "age", "sex", "view"))
    for record in records:
        record["patient_id"] = _patient_number(record["patient_id"])
    if boxes is not None:
        boxed = {record["image"] for record in _read_csv(boxes, ("image",))}
        banned |= {r["patient_id"] for r in records if r["image"] in boxed}
    candidates = []
    for record in records:
        age = _years(record["age"], labels)
        if age < ADULT_YEARS or record["patient_id"] in banned:
            continue
        label = int(record["finding_labels"] != "No Finding")
        row = ManifestRow(
            path=record["image"],
            role="",
            label=label,
            patient_id=record["patient_id"],
            view=record["view"],
            age=age,
            sex=record["sex"],
        )
        candidates.append(Candidate(row, label))
    ages = [c.row.age for c in candidates if c.row.age is not None]
    about = {
        "title": "NIH ChestX-ray14, a sample of adults",
        "population": f"adults of {min(ages, default=ADULT_YEARS):.0f} to "
        f"{max(ages, default=ADULT_YEARS):.0f} years, frontal views, NIH Clinical Center",
        "source": "Wang et al., ChestX-ray8, CVPR 2017; NIH Clinical Center, "
        "https://nihcc.app.box.com/v/ChestXray-NIHCC",
        "licence": "Free use with acknowledgement of the NIH Clinical Center, citation and link",
        "abnormal_means": "pneumonia, often among other findings, by text-mined (noisy) labels",
        "age_min": ADULT_YEARS,
        "age_max": int(max(ages, default=ADULT_YEARS)),
    }
    return _finish("nih", candidates, images, PLANS["nih"], seed, about)


def build_folder(images: Path, *, seed: int) -> Manifest:
    """Describe a folder with ``normal/`` and ``abnormal/`` images.

    Each file is taken for a patient of its own, unless its name starts with a patient id and
    two underscores (``p17__3.png``). A fifth of the normal images goes to test, a tenth each to
    calibration and validation; a third of what is left, with as many abnormal images as make
    60 %, is unlabeled; the rest is known normal.
    """
    candidates = []
    for folder, label in (("normal", 0), ("abnormal", 1)):
        for path in _image_files(images / folder):
            stem = path.stem
            patient = stem.split("__")[0] if "__" in stem else f"{folder}-{stem}"
            row = ManifestRow(f"{folder}/{path.name}", "", label, patient)
            candidates.append(Candidate(row, label))
    normals = sum(1 for c in candidates if c.label == 0)
    abnormals = len(candidates) - normals
    test, tenth = normals // 5, normals // 10
    mixed = (normals - test - 2 * tenth) // 3
    plan = Plan(
        (
            ("test", test, min(test, abnormals // 5)),
            ("calibration", tenth, 0),
            ("validation", tenth, min(tenth, abnormals // 10)),
            ("unlabeled", mixed, min(mixed * 3 // 2, abnormals * 7 // 10)),
            ("normal", normals, 0),
        )
    )
    about = {"title": f"Images of the folder {images.name}", "source": "", "licence": ""}
    return _finish("folder", candidates, images, plan, seed, about, exact=False)


def _finish(
    name: str,
    candidates: Sequence[Candidate],
    images: Path,
    plan: Plan,
    seed: int,
    about: dict[str, Any],
    *,
    exact: bool = True,
) -> Manifest:
    hashed, duplicates = _without_duplicates(candidates, images)
    chosen = _assign(hashed, plan, seed)
    if exact:
        _check_quotas(chosen, plan)
    unlabeled = [c.label for c in chosen if c.row.role == "unlabeled"]
    rate = sum(unlabeled) / len(unlabeled) if unlabeled else None
    about = {
        **about,
        "seed": seed,
        "anomaly_rate": rate,
        "pixel_duplicates_left_out": duplicates,
    }
    rows = tuple(
        replace(c.row, label=None if c.row.role == "unlabeled" else c.label)
        for c in sorted(chosen, key=lambda c: (c.row.role, c.row.path))
    )
    return Manifest(name=name, rows=rows, about=about)


def _without_duplicates(
    candidates: Sequence[Candidate], images: Path
) -> tuple[list[Candidate], list[str]]:
    kept: list[Candidate] = []
    seen: set[str] = set()
    duplicates: list[str] = []
    for candidate in candidates:
        path = images / candidate.row.path
        if not path.is_file():
            problem = f"{path} is missing."
            raise ManifestError(problem, "Check the images folder.")
        try:
            radiograph = read_radiograph(path.read_bytes())
        except RefusedImageError as error:
            problem = f"{path}: {error.problem}"
            raise ManifestError(problem, "Mend the file or take it out of the folder.") from error
        digest = hashlib.sha256(radiograph.pixels.tobytes()).hexdigest()
        if digest in seen:
            duplicates.append(candidate.row.path)
            continue
        seen.add(digest)
        row = replace(candidate.row, sha256=radiograph.sha256)
        kept.append(Candidate(row, candidate.label))
    return kept, duplicates


def _assign(candidates: Sequence[Candidate], plan: Plan, seed: int) -> list[Candidate]:
    """Give whole patients to roles, at random, until the quotas are full."""
    patients: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        patients[candidate.row.patient_id].append(candidate)
    order = sorted(patients)
    random.Random(seed).shuffle(order)  # noqa: S311 (a split, not a secret)
    room = {role: [normal, abnormal] for role, normal, abnormal in plan.quotas}

    def place(images: list[Candidate], roles: Iterable[str]) -> list[Candidate]:
        abnormal = sum(c.label for c in images)
        need = (len(images) - abnormal, abnormal)
        for role in roles:
            if role in room and all(n <= r for n, r in zip(need, room[role], strict=True)):
                room[role] = [r - n for n, r in zip(need, room[role], strict=True)]
                return [replace(c, row=replace(c.row, role=role)) for c in images]
        return []

    def is_mixed(images: list[Candidate]) -> bool:
        return len({c.label for c in images}) > 1

    chosen: list[Candidate] = []
    # Patients with both labels are few and fit few roles; they go first.
    ordered: tuple[Callable[[list[Candidate]], bool], ...] = (is_mixed, lambda i: not is_mixed(i))
    for wanted in ordered:
        for patient in order:
            images = patients[patient]
            if wanted(images):
                roles = plan.mixed_roles if is_mixed(images) else tuple(room)
                chosen += place(images, roles)
    return chosen


def _check_quotas(chosen: Sequence[Candidate], plan: Plan) -> None:
    for role, normal, abnormal in plan.quotas:
        for label, wanted in ((0, normal), (1, abnormal)):
            found = sum(1 for c in chosen if c.row.role == role and c.label == label)
            if found < wanted:
                word = "abnormal" if label else "normal"
                problem = f"The {role} part needs {wanted} {word} images; there are {found}."
                raise ManifestError(problem, "Give the whole image set.")


def _image_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        problem = f"There is no folder {folder}."
        raise ManifestError(problem, "Give the folder that holds it with --images.")
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)


def _patient_number(text: str) -> str:
    """A patient's number without leading zeros, as both lists may write it."""
    if not text.strip().isdecimal():
        problem = f"{text!r} is no patient number."
        raise ManifestError(problem, "NIH patients are numbered.")
    return str(int(text))


def _years(text: str, path: Path) -> float:
    try:
        return float(text)
    except ValueError:
        problem = f"{path}: the age {text!r} is not a number of years."
        raise ManifestError(problem, "Mend the file and try again.") from None


def _read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    if not path.is_file():
        problem = f"There is no file {path}."
        raise ManifestError(problem, "Give its path.")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restval="")
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            problem = f"{path}, line 1: missing column {', '.join(missing)}."
            raise ManifestError(problem, f"Columns are {', '.join(columns)}.")
        return list(reader)
