"""Making manifests: images with patients and labels -> roles that share no patient."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ddad_core.errors import ManifestError, RefusedImageError
from ddad_core.training.assignment import Candidate, Plan, Sizes, assign, check_quotas
from ddad_core.training.images import identify_files
from ddad_core.training.manifest import Manifest, ManifestRow

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".dcm", ".dicom")
ADULT_YEARS = 18

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


def build_kermany(images: Path, *, seed: int, sizes: Sizes | None = None) -> Manifest:
    """Describe the ZhangLab / Kermany training images, ``NORMAL`` and ``PNEUMONIA``.

    The same number is the same patient: IM-x and NORMAL2-IM-x, bacteria and virus.

    Args:
        images: Folder of the two folders.
        seed: Decides who goes where.
        sizes: Other sizes of D_n and D_u than the plan's.

    Raises:
        ManifestError: A file is missing or unreadable, or there are too few images.
        RequestError: A size or the rate makes no sense.
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
    return _finish("kermany", candidates, images, PLANS["kermany"], seed, about, sizes=sizes)


def build_nih(
    images: Path,
    *,
    seed: int,
    labels: Path,
    boxes: Path | None,
    left_out: Iterable[str] = (),
    sizes: Sizes | None = None,
) -> Manifest:
    """Describe a sample of NIH ChestX-ray14, adults only.

    Args:
        images: Folder of the image files.
        seed: Decides who goes where.
        labels: CSV with image, finding_labels, patient_id, age, sex, view.
        boxes: CSV whose ``image`` column names images kept for localisation, or None; all
            images of their patients are left out.
        left_out: Further patients to leave out, such as those of a demonstration gallery.
        sizes: Other sizes of D_n and D_u than the plan's.

    Raises:
        ManifestError: A file is missing or unreadable, or there are too few images.
        RequestError: A size or the rate makes no sense.
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
    return _finish("nih", candidates, images, PLANS["nih"], seed, about, sizes=sizes)


def build_folder(images: Path, *, seed: int, sizes: Sizes | None = None) -> Manifest:
    """Describe a folder with ``normal/`` and ``abnormal/`` images.

    Each file is taken for a patient of its own, unless its name starts with a patient id and
    two underscores (``p17__3.png``). A fifth of the normal images goes to test, a tenth each to
    calibration and validation; a third of what is left, with as many abnormal images as make
    60 %, is unlabeled; the rest is known normal.

    Args:
        images: Folder of the two folders.
        seed: Decides who goes where.
        sizes: Other sizes of D_n and D_u than these.

    Raises:
        ManifestError: A file is unreadable, or there are too few images for the sizes.
        RequestError: A size or the rate makes no sense.
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
    return _finish("folder", candidates, images, plan, seed, about, sizes=sizes, exact=False)


def _finish(
    name: str,
    candidates: Sequence[Candidate],
    images: Path,
    plan: Plan,
    seed: int,
    about: dict[str, Any],
    *,
    sizes: Sizes | None,
    exact: bool = True,
) -> Manifest:
    resized = sizes.quotas(plan) if sizes else ()
    hashed, duplicates = _without_duplicates(candidates, images)
    chosen = assign(hashed, plan, seed, sizes)
    others = tuple(q for q in plan.quotas if q[0] not in {role for role, _, _ in resized})
    check_quotas(chosen, (others if exact else ()) + resized)
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
    paths = [images / candidate.row.path for candidate in candidates]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        more = f", and {len(missing) - 1} more are" if len(missing) > 1 else " is"
        problem = f"{missing[0]}{more} missing."
        raise ManifestError(problem, "Check the images folder.")
    kept: list[Candidate] = []
    seen: set[str] = set()
    duplicates: list[str] = []
    for candidate, path, found in zip(candidates, paths, identify_files(paths), strict=True):
        if isinstance(found, RefusedImageError):
            problem = f"{path}: {found.problem}"
            raise ManifestError(problem, "Mend the file or take it out of the folder.") from found
        if found.pixels in seen:
            duplicates.append(candidate.row.path)
            continue
        seen.add(found.pixels)
        row = replace(candidate.row, sha256=found.sha256)
        kept.append(Candidate(row, candidate.label))
    return kept, duplicates


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
