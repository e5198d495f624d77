"""A published partition and a folder of the challenge's images -> a manifest."""

from __future__ import annotations

import logging
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ddad_core.errors import ManifestError, RefusedImageError
from ddad_core.training.images import SHOWN, FileIdentity, identify_files
from ddad_core.training.manifest import DUPLICATES_KEY, REPORT, Manifest, ManifestRow
from ddad_core.training.protocols import Named, Partition, ProtocolSizes, name_roles

ENDINGS = (".dicom", ".dcm", ".png")
"""Of a challenge's files, the raw download first."""

log = logging.getLogger(__name__)

SETS: Mapping[str, Mapping[str, str]] = {
    "rsna": {
        "title": "RSNA Pneumonia Detection Challenge, published partition of DDAD",
        "population": "patients of all ages of NIH ChestX-ray14, frontal, NIH Clinical Center",
        "source": "Shih et al., Radiology: Artificial Intelligence 1 (2019) e180041; images of "
        "Wang et al., ChestX-ray8, CVPR 2017. "
        "https://www.kaggle.com/c/rsna-pneumonia-detection-challenge, stage 2, training images",
        "licence": "The challenge's terms of use; the images may not be passed on",
        "abnormal_means": "lung opacity suspicious for pneumonia, boxed by radiologists",
        "patients": "Each name is the challenge's patientId and has one image, so it counts as a "
        "patient of its own. The images come from NIH ChestX-ray14, where patients have several; "
        "whether one NIH patient stands under two roles cannot be told from the names.",
    },
    "vinbigdata": {
        "title": "VinBigData Chest X-ray Abnormalities Detection, published partition of DDAD",
        "population": "patients of two hospitals in Hanoi, frontal views",
        "source": "Nguyen et al., VinDr-CXR, Scientific Data 9 (2022) 429. "
        "https://www.kaggle.com/c/vinbigdata-chest-xray-abnormalities-detection, training images",
        "licence": "The challenge's terms of use; the images may not be passed on",
        "abnormal_means": "any local finding marked by one of three radiologists",
        "patients": "No patient ids are published, so each image counts as a patient of its own; "
        "one patient's images may stand under two roles.",
    },
}
PARTITION_SOURCE = (
    "Cai et al., Dual-Distribution Discrepancy for Anomaly Detection in Chest X-Rays, MICCAI 2022; "
    "https://github.com/caiyu6666/DDAD, MIT licence, copyright (c) 2022 Yu Cai"
)


def build_published(
    partition: Partition, sizes: ProtocolSizes, images: Path, *, missing_file: Path
) -> Manifest:
    """Describe a published partition over the challenge's images.

    Args:
        partition: The published lists.
        sizes: How many names each role takes.
        images: Folder of ``NAME.dicom``, ``NAME.dcm`` or ``NAME.png`` files, or of folders with
            them.
        missing_file: Where to write the names of files that are missing or cannot be read; no
            file is left there when there are none.

    Returns:
        Rows in the published order: D_n, D_u (normals before abnormals), calibration,
        validation, D_t. View, age and sex are those of the DICOM headers, where there are any.

    Raises:
        RequestError: The lists cannot give these sizes.
        ManifestError: Files are missing or cannot be read.
    """
    named = name_roles(partition, sizes)
    found = find_images((n.name for n in named), images)
    missing = {n.name: "missing" for n in named if n.name not in found}
    if missing:
        _refuse(partition, named, missing, missing_file, f"are not under {images}")
    files = identify_files([images / found[n.name] for n in named])
    unreadable = {
        n.name: file.problem
        for n, file in zip(named, files, strict=True)
        if isinstance(file, RefusedImageError)
    }
    if unreadable:
        _refuse(partition, named, unreadable, missing_file, f"cannot be read under {images}")
    missing_file.unlink(missing_ok=True)
    read = [file for file in files if isinstance(file, FileIdentity)]
    rows = tuple(
        _row(partition.name, n, found[n.name], file) for n, file in zip(named, read, strict=True)
    )
    about = {
        **SETS[partition.name],
        **_ages(rows),
        **_protocol(partition, sizes, rows),
        "files": dict(sorted(Counter(_kind(row.path) for row in rows).items())),
        **_duplicates(rows, read),
    }
    return Manifest(name=partition.name, rows=rows, about=about)


def find_images(names: Iterable[str], images: Path) -> dict[str, str]:
    """Find the file of each name, in a folder or in the folders directly under it.

    Where a name has several files, the one choice serves all names if it can: of the kinds of
    file (folder and ending) the first that holds every name, in the order raw before PNG and
    the folder itself before those under it by name. Without such a kind, each name takes its
    first file in that order, and the sidecar counts the kinds.

    Args:
        names: Without ending.
        images: The folder.

    Returns:
        Path from ``images`` by name, for those found.

    Raises:
        ManifestError: There is no such folder.
    """
    if not images.is_dir():
        problem = f"There is no folder {images}."
        raise ManifestError(problem, "Give the folder of the challenge's images with --images.")
    wanted = set(names)
    folders = sorted(p for p in images.iterdir() if p.is_dir() and not p.name.startswith("."))
    kinds: dict[tuple[int, int], dict[str, str]] = defaultdict(dict)
    for place, folder in enumerate((images, *folders)):
        for path in sorted(folder.iterdir()):
            ending = path.suffix.lower()
            if ending in ENDINGS and path.stem in wanted and path.is_file():
                kind = kinds[ENDINGS.index(ending), place]
                kind.setdefault(path.stem, path.relative_to(images).as_posix())
    ordered = [kinds[key] for key in sorted(kinds)]
    for kind in ordered:
        if len(kind) == len(wanted):
            return kind
    found: dict[str, str] = {}
    for kind in reversed(ordered):
        found |= kind
    return found


def _refuse(
    partition: Partition,
    named: Sequence[Named],
    reasons: Mapping[str, str],
    file: Path,
    what: str,
) -> None:
    """Write all names that are at fault to a file and raise."""
    lines = [f"{n.name}\t{n.role}\t{reasons[n.name]}\n" for n in named if n.name in reasons]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("name\trole\treason\n" + "".join(lines), encoding="utf-8")
    except OSError as error:
        problem = f"{file} cannot be written: {error.strerror}."
        raise ManifestError(problem, "Give another --missing.") from error
    shown = ", ".join(list(reasons)[:SHOWN]) + (" ..." if len(reasons) > SHOWN else "")
    first = next(iter(reasons.values()))
    why = f" The first: {first}" if first != "missing" else ""
    problem = (
        f"{len(reasons)} of the {len(named)} names used of the {partition.name} partition {what}: "
        f"{shown}.{why} All are listed in {file}."
    )
    raise ManifestError(problem, "Download the challenge's whole training set, or mend the files.")


def _row(partition: str, named: Named, path: str, file: FileIdentity) -> ManifestRow:
    facts = file.facts
    # VinBigData writes age 0 where the age was taken out.
    age = facts.age_years if facts.age_years or partition != "vinbigdata" else None
    return ManifestRow(
        path=path,
        role=named.role,
        label=named.label,
        patient_id=named.name,
        sha256=file.sha256,
        view=facts.view if facts.view in ("PA", "AP") else "",
        age=age,
        sex=facts.sex if facts.sex in ("F", "M") else "",
    )


def _ages(rows: Sequence[ManifestRow]) -> dict[str, Any]:
    """Completed years of the youngest and the oldest; None where no header states an age."""
    ages = [math.floor(row.age) for row in rows if row.age is not None]
    return {
        "age_min": min(ages, default=None),
        "age_max": max(ages, default=None),
        "ages_known": len(ages),
    }


def _protocol(
    partition: Partition, sizes: ProtocolSizes, rows: Sequence[ManifestRow]
) -> dict[str, Any]:
    abnormal = set(partition.unlabeled_abnormal)
    mixed = [row.patient_id in abnormal for row in rows if row.role == "unlabeled"]
    normals, abnormals = len(mixed) - sum(mixed), sum(mixed)
    taken = f"the first {normals} normal and the first {abnormals} abnormal names"
    held = sizes.calibration_from_normal, sizes.validation_from_normal
    return {
        "partition_source": PARTITION_SOURCE,
        "partition_sha256": partition.sha256,
        "unlabeled": taken if mixed else "none",
        "anomaly_rate": abnormals / len(mixed) if mixed else None,
        "anomaly_rate_asked": sizes.anomaly_rate if mixed else None,
        "calibration": f"the last {sizes.calibration} unlabeled normal names and the last "
        f"{held[0]} of the known normals; not a published part",
        "validation": f"the {sizes.validation} unlabeled normal names before those of calibration, "
        f"{held[1]} known normals held back, and the last {sizes.validation + held[1]} unlabeled "
        "abnormal names; not a published part",
    }


def _duplicates(rows: Sequence[ManifestRow], files: Sequence[FileIdentity]) -> dict[str, Any]:
    """Images with equal pixels: the published lists are kept, and the sidecar tells."""
    groups: dict[str, list[ManifestRow]] = defaultdict(list)
    for row, file in zip(rows, files, strict=True):
        groups[file.pixels].append(row)
    across = [
        [f"{row.role}: {row.path}" for row in group]
        for group in groups.values()
        if len({row.role for row in group}) > 1
    ]
    within = sum(len(group) > 1 for group in groups.values()) - len(across)
    if across:
        log.warning(
            "%d images have the same pixels under two roles (the published partition is kept; "
            "the sidecar names them), the first: %s",
            len(across),
            ", ".join(across[0]),
        )
    return {
        DUPLICATES_KEY: REPORT,
        "pixel_duplicates_across_roles": across,
        "pixel_duplicates_within_roles": within,
    }


def _kind(path: str) -> str:
    """Folder and ending: "train/*.dicom"."""
    return (Path(path).parent / f"*{Path(path).suffix.lower()}").as_posix()
