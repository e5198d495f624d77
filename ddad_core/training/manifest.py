"""The manifest: one CSV file (and a sidecar) that describes a data set and its roles.

Columns: ``path`` (relative to the images folder), ``role``, ``label`` (0 normal, 1 abnormal,
blank for unlabeled), ``patient_id``, and optionally ``sha256``, ``view``, ``age``, ``sex``.
The sidecar, ``<name>.json`` beside ``<name>.csv``, holds what is true of the whole set: title,
source, licence, age range and the anomaly rate of the unlabeled images. One file under two roles
is an error, unless the sidecar says ``"duplicates_across_roles": "report"``, as it does for the
published partitions, which are others' and taken as they are.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ddad_core.errors import ManifestError

ROLES = ("normal", "unlabeled", "calibration", "validation", "test")
REQUIRED = ("path", "role", "label", "patient_id")
OPTIONAL = ("sha256", "view", "age", "sex")
NORMAL_ONLY = ("normal", "calibration")
DUPLICATES_KEY = "duplicates_across_roles"
REPORT = "report"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ManifestRow:
    """One image of a data set.

    Attributes:
        path: Relative to the images folder, with forward slashes.
        role: One of ``ROLES``.
        label: 0 normal, 1 abnormal, None for unlabeled.
        patient_id: Images of one patient share it.
        sha256: Of the file, lower-case hexadecimal, or an empty string.
        view: "PA", "AP" or an empty string.
        age: Years, or None.
        sex: "F", "M" or an empty string.
        line: Of the manifest's file; 0 for a row that comes from none.
    """

    path: str
    role: str
    label: int | None
    patient_id: str
    sha256: str = ""
    view: str = ""
    age: float | None = None
    sex: str = ""
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Manifest:
    """A data set whose roles share no patient.

    Attributes:
        name: The file's stem.
        rows: In file order.
        about: The sidecar; see the module's docstring.
        sha256: Of the CSV file.
        path: Of the CSV file; None for a manifest that was not read from one.
    """

    name: str
    rows: tuple[ManifestRow, ...]
    about: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""
    path: Path | None = field(default=None, compare=False)

    @property
    def reports_duplicates(self) -> bool:
        """Whether one image under two roles is told and not refused (a published partition)."""
        return self.about.get(DUPLICATES_KEY) == REPORT

    def role(self, role: str) -> tuple[ManifestRow, ...]:
        """Rows of one role, in file order."""
        return tuple(row for row in self.rows if row.role == role)

    def counts(self) -> dict[str, dict[str, int]]:
        """Images by role and label ("normal", "abnormal", "unlabeled")."""
        names = {0: "normal", 1: "abnormal", None: "unlabeled"}
        counts: dict[str, dict[str, int]] = {}
        for row in self.rows:
            part = counts.setdefault(row.role, {})
            part[names[row.label]] = part.get(names[row.label], 0) + 1
        return counts


def place(row: ManifestRow, manifest: Path | None = None) -> str:
    """Say where a row stands: "set.csv, line 7", or its path where there is no line."""
    if not row.line:
        return row.path
    return f"{manifest}, line {row.line}" if manifest is not None else f"line {row.line}"


def check_roles(manifest: Manifest, roles: Sequence[str]) -> None:
    """Make sure that every role has images, and that no label of an unlabeled image is there.

    Raises:
        ManifestError: A role is empty, or an unlabeled row carries a label.
    """
    name = manifest.path or manifest.name
    for role in roles:
        if not manifest.role(role):
            found = ", ".join(f"{part} ({len(manifest.role(part))})" for part in manifest.counts())
            problem = f"{name} has no {role} images; it has {found or 'no rows'}."
            raise ManifestError(problem, "Give a manifest with that part.")
    for row in manifest.role("unlabeled"):
        if row.label is not None:
            problem = f"{place(row, manifest.path)}: an unlabeled image has the label {row.label}."
            raise ManifestError(problem, "Labels may not reach training; leave the field blank.")


def sidecar_path(path: Path) -> Path:
    """Where the sidecar of a manifest lies."""
    return path.with_suffix(".json")


def load_manifest(path: Path) -> Manifest:
    """Read and check a manifest.

    Raises:
        ManifestError: The file is missing or damaged, a row breaks a rule, or a patient or
            one file (by SHA-256) appears under two roles. The message names the file and the line.
    """
    if not path.is_file():
        problem = f"There is no manifest at {path}."
        raise ManifestError(problem, "Make one with `ddad manifest`.")
    data = path.read_bytes()
    try:
        lines = io.StringIO(data.decode("utf-8-sig"), newline="")
    except UnicodeDecodeError as error:
        problem = f"{path} is not UTF-8 text (byte {error.start})."
        raise ManifestError(problem, "Save it as a UTF-8 CSV file.") from error
    reader = csv.DictReader(lines, strict=True)
    missing = [name for name in REQUIRED if name not in (reader.fieldnames or ())]
    if missing:
        problem = f"{path}, line 1: missing column {', '.join(missing)}."
        raise ManifestError(problem, f"Columns are {', '.join(REQUIRED + OPTIONAL)}.")
    rows: dict[int, ManifestRow] = {}
    try:
        for fields in reader:
            rows[reader.line_num] = replace(_row(fields), line=reader.line_num)
    except (ValueError, csv.Error) as error:
        problem = f"{path}, line {reader.reader.line_num}: {error}"
        raise ManifestError(problem, "Mend this line and try again.") from None
    _check_distinct(rows, path)
    manifest = Manifest(
        name=path.stem,
        rows=tuple(rows.values()),
        about=_load_sidecar(sidecar_path(path)),
        sha256=hashlib.sha256(data).hexdigest(),
        path=path,
    )
    _check_files_distinct(manifest)
    return manifest


def load_model_manifest(given: Path | None, data: Mapping[str, Any], folder: Path) -> Manifest:
    """Read the manifest that was given, or else the one a model was made with.

    Args:
        given: Taken as it is, or None.
        data: What the model's card says of its data: ``manifest`` and ``manifest_sha256``.
        folder: Where the models' own manifests lie.

    Raises:
        ManifestError: As :func:`load_manifest`, or it is another file of the same name.
    """
    if given is not None:
        return load_manifest(given)
    name, sha256 = data["manifest"], data["manifest_sha256"]
    path = folder / name
    if not path.is_file():
        problem = f"The model's own manifest {name} is not in {folder}."
        raise ManifestError(problem, "Give its path with --manifest.")
    manifest = load_manifest(path)
    if manifest.sha256 != sha256:
        problem = f"{path} is not the manifest the model was trained with (SHA-256 differs)."
        raise ManifestError(problem, "Give the right one, or this one expressly, with --manifest.")
    return manifest


def save_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest and its sidecar.

    Raises:
        ManifestError: The files cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(REQUIRED + OPTIONAL)
            for row in manifest.rows:
                label = "" if row.label is None else row.label
                age = "" if row.age is None else f"{row.age:g}"
                writer.writerow(
                    (row.path, row.role, label, row.patient_id, row.sha256, row.view, age, row.sex)
                )
        sidecar_path(path).write_text(json.dumps(manifest.about, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        problem = f"{path} cannot be written: {error.strerror}."
        raise ManifestError(problem, "Give another --out.") from error


def _row(fields: dict[str | Any, str | Any]) -> ManifestRow:
    if None in fields or None in fields.values():
        message = "the number of fields differs from the header's."
        raise ValueError(message)
    text = {name: value.strip() for name, value in fields.items()}
    if not text["path"] or Path(text["path"]).is_absolute() or ".." in Path(text["path"]).parts:
        message = f"path {text['path']!r} must be relative and stay inside the images folder."
        raise ValueError(message)
    if not text["patient_id"]:
        message = "patient_id is blank, so roles cannot be kept apart by patient."
        raise ValueError(message)
    role = text["role"]
    if role not in ROLES:
        message = f"role {role!r} is not one of {', '.join(ROLES)}."
        raise ValueError(message)
    age = text.get("age", "")
    return ManifestRow(
        path=PurePosixPath(text["path"]).as_posix(),
        role=role,
        label=_label(text["label"], role),
        patient_id=text["patient_id"],
        sha256=_digest(text.get("sha256", "")),
        view=text.get("view", ""),
        age=_age(age),
        sex=text.get("sex", ""),
    )


def _age(text: str) -> float | None:
    if not text:
        return None
    age = float(text)
    if not (math.isfinite(age) and age >= 0):
        message = f"age {text!r} is not a number of years."
        raise ValueError(message)
    return age


def _label(text: str, role: str) -> int | None:
    if role == "unlabeled":
        if text:
            message = f"an unlabeled image has the label {text!r}; labels may not reach training."
            raise ValueError(message)
        return None
    allowed = ("0",) if role in NORMAL_ONLY else ("0", "1")
    if text not in allowed:
        message = f"label {text!r} of a {role} image must be {' or '.join(allowed)}."
        raise ValueError(message)
    return int(text)


def _digest(text: str) -> str:
    digest = text.lower()
    if digest and (len(digest) != 64 or set(digest) - set("0123456789abcdef")):
        message = f"sha256 {text!r} is not 64 hexadecimal digits."
        raise ValueError(message)
    return digest


def _check_distinct(rows: dict[int, ManifestRow], path: Path) -> None:
    first_line: dict[str, int] = {}
    seen: dict[str, tuple[str, int]] = {}
    for line, row in rows.items():
        if row.path in first_line:
            problem = f"{path}, line {line}: {row.path} is already in line {first_line[row.path]}."
            raise ManifestError(problem, "Every image has one role.")
        first_line[row.path] = line
        role, earlier = seen.setdefault(row.patient_id, (row.role, line))
        if role != row.role:
            problem = (
                f"{path}, line {line}: patient {row.patient_id} is {row.role} here "
                f"and {role} in line {earlier}."
            )
            raise ManifestError(problem, "Split by patient, so that each has one role.")


def _check_files_distinct(manifest: Manifest) -> None:
    """Refuse, or in a published partition report, one file under two roles."""
    first: dict[str, ManifestRow] = {}
    told = []
    for row in manifest.rows:
        earlier = first.setdefault(row.sha256, row) if row.sha256 else row
        if earlier.role == row.role:
            continue
        told.append(
            f"{place(row, manifest.path)}: {row.path} is {row.role} here and the same file "
            f"(SHA-256) is {earlier.role} in line {earlier.line}."
        )
        if not manifest.reports_duplicates:
            raise ManifestError(told[0], "An image has one role; take one of the two out.")
    if told:
        more = f" ({len(told)} such images in all)" if len(told) > 1 else ""
        log.warning("%s%s Reported, not refused: a published partition.", told[0], more)


def _load_sidecar(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        problem = f"{path} is not JSON: {error}."
        raise ManifestError(problem, "Mend or delete it.") from error
    if not isinstance(about, dict):
        problem = f"{path} holds no JSON object."
        raise ManifestError(problem, "Mend or delete it.")
    if about.get(DUPLICATES_KEY, REPORT) != REPORT:
        problem = f'{path}: "{DUPLICATES_KEY}" is {about[DUPLICATES_KEY]!r}.'
        raise ManifestError(problem, f'Write "{REPORT}", or leave it out to have them refused.')
    return about
