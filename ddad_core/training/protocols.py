"""The published partitions of RSNA and VinBigData: which name has which role.

Source: Cai et al. (MICCAI 2022), section 3.1, and the lists that its authors published
(``data/manifests/published``). D_u at size N and anomaly rate R takes the first N(1 - R) normal
and the first N R abnormal names. The publication has no calibration and no validation part; both
are taken from names it does not use at that N and R, and never from the test part.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ddad_core.errors import ManifestError, RequestError
from ddad_core.training.assignment import PUBLISHED_RATE, check_count, split_unlabeled

FOLDER = "published"
PUBLISHED_SHA256 = {
    "rsna": "cdd3551c8ecdce90227691a23d6e7b9b6a09311854ef461be20a35d3dc5052e1",
    "vinbigdata": "72d7d17cc2145d0a9adb98f1166ddc93bc1413d0b4dbd828874637df1e9afce2",
}
"""Of the lists as published (unpacked)."""


@dataclass(frozen=True)
class Partition:
    """Names without ending, in the published order.

    Attributes:
        name: "rsna" or "vinbigdata".
        normal: Known normal images, D_n.
        unlabeled_normal: Normal images that D_u may take.
        unlabeled_abnormal: Abnormal images that D_u may take.
        test_normal: Normal images of D_t.
        test_abnormal: Abnormal images of D_t.
        sha256: Of the list as published.
    """

    name: str
    normal: tuple[str, ...]
    unlabeled_normal: tuple[str, ...]
    unlabeled_abnormal: tuple[str, ...]
    test_normal: tuple[str, ...]
    test_abnormal: tuple[str, ...]
    sha256: str = ""


@dataclass(frozen=True)
class ProtocolSizes:
    """How many names each role takes.

    Attributes:
        unlabeled: N, images of D_u; 0 for none.
        anomaly_rate: R, share of abnormal images in D_u.
        calibration: Normals from the end of the unlabeled list.
        validation: Normals, and as many abnormals, from the ends of the unlabeled lists.
        calibration_from_normal: Normals held back from the end of D_n, for calibration.
        validation_from_normal: Normals held back from D_n before those, for validation, joined
            by as many abnormals from the end of the unlabeled list.
    """

    unlabeled: int = 4000
    anomaly_rate: float = PUBLISHED_RATE
    calibration: int = 500
    validation: int = 150
    calibration_from_normal: int = 0
    validation_from_normal: int = 0


@dataclass(frozen=True)
class Named:
    """A name with its role; the label is None in D_u."""

    name: str
    role: str
    label: int | None


def load_partition(name: str, manifests: Path) -> Partition:
    """Unpack a published partition.

    Args:
        name: "rsna" or "vinbigdata".
        manifests: The folder ``data/manifests``.

    Raises:
        ManifestError: The packed list is missing, or is not the published one.
    """
    path = manifests / FOLDER / f"{name}.json.xz"
    try:
        data = lzma.decompress(path.read_bytes())
    except (OSError, lzma.LZMAError) as error:
        problem = f"The published partition {path} cannot be read: {error}."
        raise ManifestError(problem, "Restore it from the project's repository.") from error
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != PUBLISHED_SHA256[name]:
        problem = f"{path} is not the published partition (SHA-256 {sha256[:12]}...)."
        raise ManifestError(problem, "Restore it from the project's repository.")
    return read_partition(name, data)


def read_partition(name: str, data: bytes) -> Partition:
    """Read a partition in the published form.

    Args:
        name: For messages.
        data: JSON with train.0, train.unlabeled.0 and .1, test.0 and .1: lists of file names.

    Raises:
        ManifestError: A list is missing, or a name stands in it twice or in two lists.
    """
    try:
        lists = json.loads(data)
        train, test = lists["train"], lists["test"]
        unlabeled = train["unlabeled"]
        parts = [
            tuple(Path(file).stem for file in part)
            for part in (train["0"], unlabeled["0"], unlabeled["1"], test["0"], test["1"])
        ]
    except (ValueError, KeyError, TypeError) as error:
        problem = f"The partition {name} has not the published form: {error!r}."
        raise ManifestError(problem, "It has train.0, train.unlabeled.0|1 and test.0|1.") from error
    seen: set[str] = set()
    for stem in (stem for part in parts for stem in part):
        if stem in seen:
            problem = f"The partition {name} has the name {stem} twice."
            raise ManifestError(problem, "A name has one role.")
        seen.add(stem)
    normal, unlabeled_normal, unlabeled_abnormal, test_normal, test_abnormal = parts
    return Partition(
        name=name,
        normal=normal,
        unlabeled_normal=unlabeled_normal,
        unlabeled_abnormal=unlabeled_abnormal,
        test_normal=test_normal,
        test_abnormal=test_abnormal,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def name_roles(partition: Partition, sizes: ProtocolSizes) -> list[Named]:
    """Give the names their roles.

    Calibration and validation come from the ends of the lists, D_u from their beginnings: as
    long as both fit, all points of a sweep over N and R share all other parts.

    Args:
        partition: The lists.
        sizes: How many.

    Returns:
        D_n; D_u, normals before abnormals as published; calibration; validation; D_t.

    Raises:
        RequestError: A size or rate that the lists cannot give; the message says what they can.
    """
    for field in ("calibration", "validation", "calibration_from_normal", "validation_from_normal"):
        check_count(f"--{field.replace('_', '-')}", getattr(sizes, field))
    normals, abnormals = split_unlabeled(sizes.unlabeled, sizes.anomaly_rate)
    _check_unlabeled(partition, sizes, normals, abnormals)
    _check_rest(partition, sizes, normals, abnormals)

    tail = partition.unlabeled_normal
    calibration, tail = _cut(tail, sizes.calibration)
    validation, _ = _cut(tail, sizes.validation)
    held, known = _cut(partition.normal, sizes.calibration_from_normal)
    held_validation, known = _cut(known, sizes.validation_from_normal)
    sick, _ = _cut(partition.unlabeled_abnormal, sizes.validation + sizes.validation_from_normal)
    parts: tuple[tuple[str, int | None, Sequence[str]], ...] = (
        ("normal", 0, known),
        ("unlabeled", None, partition.unlabeled_normal[:normals]),
        ("unlabeled", None, partition.unlabeled_abnormal[:abnormals]),
        ("calibration", 0, calibration + held),
        ("validation", 0, validation + held_validation),
        ("validation", 1, sick),
        ("test", 0, partition.test_normal),
        ("test", 1, partition.test_abnormal),
    )
    return [Named(name, role, label) for role, label, names in parts for name in names]


def _cut(names: tuple[str, ...], n: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The last n names, and those before them."""
    return names[len(names) - n :], names[: len(names) - n]


def _check_unlabeled(
    partition: Partition, sizes: ProtocolSizes, normals: int, abnormals: int
) -> None:
    """Refuse a D_u that the published lists cannot give."""
    have_normal = len(partition.unlabeled_normal)
    have_abnormal = len(partition.unlabeled_abnormal)
    if normals <= have_normal and abnormals <= have_abnormal:
        return
    n = sizes.unlabeled
    problem = (
        f"D_u of {n} images at anomaly rate {sizes.anomaly_rate:g} needs {normals} normal and "
        f"{abnormals} abnormal names; the published {partition.name} list has {have_normal} and "
        f"{have_abnormal}."
    )
    if n > have_normal + have_abnormal:
        raise RequestError(problem, f"Give --unlabeled {have_normal + have_abnormal} at most.")
    # Rounded towards the inside, to rates that can be given.
    low = math.ceil(Fraction(max(n - have_normal, 0), n) * 1000)
    high = math.floor(Fraction(min(have_abnormal, n), n) * 1000)
    step = f"At --unlabeled {n} give --anomaly-rate {low / 1000:g} to {high / 1000:g}."
    raise RequestError(problem, step)


def _check_rest(partition: Partition, sizes: ProtocolSizes, normals: int, abnormals: int) -> None:
    """Refuse calibration and validation parts that the unused names cannot give."""
    unused = len(partition.unlabeled_normal) - normals
    if sizes.calibration + sizes.validation > unused:
        problem = (
            f"Calibration ({sizes.calibration}) and validation ({sizes.validation}) need "
            f"{sizes.calibration + sizes.validation} normal names that D_u leaves over; of the "
            f"published {partition.name} list {unused} are left at --unlabeled "
            f"{sizes.unlabeled} --anomaly-rate {sizes.anomaly_rate:g}."
        )
        step = (
            "Give smaller --calibration and --validation, or hold back known normals instead: "
            f"--calibration 0 --calibration-from-normal {max(sizes.calibration, 1)} "
            f"--validation 0 --validation-from-normal {sizes.validation}."
        )
        raise RequestError(problem, step)
    unused = len(partition.unlabeled_abnormal) - abnormals
    wanted = sizes.validation + sizes.validation_from_normal
    if wanted > unused:
        problem = (
            f"Validation needs {wanted} abnormal names that D_u leaves over; of the published "
            f"{partition.name} list {unused} are left at --unlabeled {sizes.unlabeled} "
            f"--anomaly-rate {sizes.anomaly_rate:g}."
        )
        raise RequestError(problem, f"Give --validation {unused} at most.")
    held = sizes.calibration_from_normal + sizes.validation_from_normal
    if held >= len(partition.normal):
        problem = (
            f"Holding back {held} of {len(partition.normal)} known normals would leave none for "
            "training."
        )
        raise RequestError(problem, "Hold back fewer.")
