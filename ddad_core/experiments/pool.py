"""Composing D_u for sweeps: so many normal and so many abnormal images, in a fixed order.

The pool is a CSV file of the images that may be in D_u, with their labels. The labels decide
which images are taken and are then forgotten: what reaches training is a list of rows without
labels. Prefixes of the pool are taken, by class, as in the published partitions, so a larger
D_u holds a smaller one. The lists of a published partition (``NAME.json.xz``) are a pool, too:
what the manifest holds apart of them, for calibration or validation, is left out.
"""

from __future__ import annotations

import csv
import hashlib
import json
import lzma
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ddad_core.errors import ManifestError
from ddad_core.training.manifest import Manifest, ManifestRow

PUBLISHED_ENDING = ".json.xz"
REQUIRED = ("path", "label")
OPTIONAL = ("patient_id", "sha256")
_ByClass = tuple[list[ManifestRow], list[ManifestRow]]


@dataclass(frozen=True)
class Pool:
    """Images that may be in D_u.

    Attributes:
        file: Where the list comes from.
        sha256: Of that file.
        by_class: Normal and abnormal images, in the order they are taken; blank labels.
        order: Place of each path in a composed D_u: the manifest's order, then the file's.
    """

    file: Path
    sha256: str
    by_class: tuple[tuple[ManifestRow, ...], tuple[ManifestRow, ...]]
    order: Mapping[str, int]

    @property
    def counts(self) -> tuple[int, int]:
        """Normal and abnormal images."""
        return len(self.by_class[0]), len(self.by_class[1])

    def compose(self, size: int, rate: float, *, key: str) -> tuple[ManifestRow, ...]:
        """Take the first images of both classes.

        Args:
            size: Images in D_u.
            rate: Share of abnormal ones.
            key: Of the configuration, for complaints.

        Raises:
            ManifestError: The rate makes no whole number of images of this size, or there are
                too few of a class.
        """
        parts = split(size, rate)
        if parts is None:
            problem = f"{key}: a share of {rate:g} of {size} images is no whole number."
            raise ManifestError(problem, "Choose a size that every rate divides.")
        for wanted, rows, word in zip(parts, self.by_class, ("normal", "abnormal"), strict=True):
            if wanted > len(rows):
                problem = (
                    f"{key}: D_u of {size} images at an anomaly rate of {rate:g} needs {wanted} "
                    f"{word} images; {self.file} has {len(rows)}."
                )
                most = self.largest([rate])
                raise ManifestError(problem, f"At this rate it can give {most} images at most.")
        chosen = [
            row for n, rows in zip(parts, self.by_class, strict=True) for row in rows[:n]
        ]  # fmt: skip
        return tuple(sorted(chosen, key=lambda row: self.order[row.path]))

    def largest(self, rates: Sequence[float]) -> int:
        """The largest size that every one of these rates can give; 0 if there is none."""
        normal, abnormal = self.counts
        for size in range(normal + abnormal, 0, -1):
            parts = [split(size, rate) for rate in rates]
            if all(p is not None and p[0] <= normal and p[1] <= abnormal for p in parts):
                return size
        return 0


def split(size: int, rate: float) -> tuple[int, int] | None:
    """Normal and abnormal images of a D_u; None if they are no whole numbers."""
    abnormal = round(size * rate)
    return (size - abnormal, abnormal) if abs(abnormal - size * rate) < 1e-6 else None


def load_pool(path: Path, manifest: Manifest) -> Pool:
    """Read a pool and hold it against the manifest.

    Raises:
        ManifestError: The file is missing or damaged, or an image or its patient has another
            role in the manifest. The message names file and line.
    """
    if not path.is_file():
        problem = f"There is no pool of unlabelled images at {path}."
        raise ManifestError(problem, "Mend `unlabeled_pool`, or leave the sweeps out.")
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    read = _read_published if path.name.endswith(PUBLISHED_ENDING) else _read_csv
    by_class = read(path, data, manifest)
    places = [row.path for row in manifest.rows] + [r.path for rows in by_class for r in rows]
    order: dict[str, int] = {}
    for place in places:
        order.setdefault(place, len(order))
    return Pool(path, digest, (tuple(by_class[0]), tuple(by_class[1])), order)


def _read_csv(path: Path, data: bytes, manifest: Manifest) -> _ByClass:
    try:
        reader = csv.DictReader(data.decode("utf-8-sig").splitlines(), strict=True)
    except UnicodeDecodeError as error:
        problem = f"{path} is not UTF-8 text (byte {error.start})."
        raise ManifestError(problem, "Save it as a UTF-8 CSV file.") from error
    missing = [name for name in REQUIRED if name not in (reader.fieldnames or ())]
    if missing:
        problem = f"{path}, line 1: missing column {', '.join(missing)}."
        raise ManifestError(problem, f"Columns are {', '.join(REQUIRED + OPTIONAL)}.")
    known = {row.path: row for row in manifest.rows}
    roles = {row.patient_id: row.role for row in manifest.rows}
    by_class: _ByClass = ([], [])
    taken: set[str] = set()
    try:
        for fields in reader:
            row = _row(fields, known, roles)
            if row.path in taken:
                message = f"{row.path} is here twice."
                raise ValueError(message)
            taken.add(row.path)
            by_class[_label(fields["label"])].append(row)
    except (ValueError, csv.Error) as error:
        problem = f"{path}, line {reader.line_num}: {error}"
        raise ManifestError(problem, "Mend this line and try again.") from None
    return by_class


def _read_published(path: Path, data: bytes, manifest: Manifest) -> _ByClass:
    """The unlabeled lists of a partition; each name is a patient and a file of its own.

    A name outside the manifest is looked for where the manifest's unlabeled images are.
    """
    try:
        lists = json.loads(lzma.decompress(data))["train"]["unlabeled"]
        names = [[PurePosixPath(file).stem for file in lists[label]] for label in ("0", "1")]
    except (lzma.LZMAError, ValueError, KeyError, TypeError) as error:
        problem = f"{path} is no published partition: {error!r}."
        raise ManifestError(problem, "Restore it from the project's repository.") from error
    known = {row.patient_id: row for row in manifest.rows}
    listed = {name for part in names for name in part}
    here = next((row for row in manifest.role("unlabeled") if row.patient_id in listed), None)
    if here is None:
        problem = f"The unlabeled images of the manifest {manifest.name} are not of {path.name}."
        raise ManifestError(problem, "Give the partition that the manifest follows.")

    def row_of(name: str) -> ManifestRow:
        elsewhere = here.path.replace(here.patient_id, name)
        return known.get(name) or ManifestRow(elsewhere, "unlabeled", None, name)

    rows = [[row_of(name) for name in part] for part in names]
    normal, abnormal = ([row for row in part if row.role == "unlabeled"] for part in rows)
    return normal, abnormal


def _row(
    fields: Mapping[str, str], known: Mapping[str, ManifestRow], roles: Mapping[str, str]
) -> ManifestRow:
    text = {name: (value or "").strip() for name, value in fields.items() if name}
    path = text["path"]
    if path in known:
        if known[path].role != "unlabeled":
            message = f"{path} is {known[path].role} in the manifest; it cannot be in D_u."
            raise ValueError(message)
        return known[path]
    patient = text.get("patient_id", "")
    if not path or Path(path).is_absolute() or ".." in Path(path).parts:
        message = f"path {path!r} must be relative and stay inside the images folder."
        raise ValueError(message)
    if not patient:
        message = f"{path} is not in the manifest and has no patient_id to keep roles apart by."
        raise ValueError(message)
    if roles.get(patient, "unlabeled") != "unlabeled":
        message = f"patient {patient} of {path} is {roles[patient]} in the manifest."
        raise ValueError(message)
    return ManifestRow(path, "unlabeled", None, patient, text.get("sha256", "").lower())


def _label(text: str | None) -> int:
    if (text or "").strip() not in ("0", "1"):
        message = f"label {text!r} must be 0 (normal) or 1 (abnormal)."
        raise ValueError(message)
    return int(text or "")


def write_pool(path: Path, manifest: Manifest, labels: Mapping[str, int], *, seed: int) -> None:
    """Write the unlabeled rows of a manifest with their labels, in a shuffled order.

    Shuffled, because file names follow the order of acquisition, and a prefix should not.

    Args:
        path: CSV file to write.
        manifest: Whose unlabeled rows they are.
        labels: 0 or 1 by path.
        seed: Of the order.

    Raises:
        ManifestError: A row has no label.
    """
    rows = sorted(row.path for row in manifest.role("unlabeled"))
    random.Random(seed).shuffle(rows)  # noqa: S311 (an order, not a secret)
    _check_labels(rows, labels, path)
    lines = ["path,label", *(f"{row},{labels[row]}" for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _check_labels(rows: Iterable[str], labels: Mapping[str, int], path: Path) -> None:
    blank = [row for row in rows if labels.get(row) not in (0, 1)]
    if blank:
        problem = f"{path}: {len(blank)} unlabelled images have no label, such as {blank[0]}."
        raise ManifestError(problem, "Give the labels of the whole set.")
