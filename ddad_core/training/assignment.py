"""Who gets which role: whole patients, at random, until the quotas are full."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from ddad_core.errors import ManifestError, RequestError
from ddad_core.training.manifest import ManifestRow

PUBLISHED_RATE = 0.6
"""Anomaly rate of D_u in Table 1 of the paper."""

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

    def quota(self, role: str) -> tuple[int, int]:
        """Wanted normal and abnormal images of a role."""
        return next(((n, a) for name, n, a in self.quotas if name == role), (0, 0))


@dataclass(frozen=True)
class Sizes:
    """Sizes of D_n and D_u other than the plan's; None keeps the plan's.

    Attributes:
        normal: Images of D_n.
        unlabeled: Images of D_u, 0 for none.
        anomaly_rate: Share of abnormal images in D_u, 0 to 1.
    """

    normal: int | None = None
    unlabeled: int | None = None
    anomaly_rate: float | None = None

    def quotas(self, plan: Plan) -> tuple[Quota, ...]:
        """Quotas of D_n and D_u, of those that differ from the plan's.

        Raises:
            RequestError: A size is negative, or the rate is not between 0 and 1.
        """
        wanted: list[Quota] = []
        if self.normal is not None:
            check_count("--normal", self.normal)
            wanted.append(("normal", self.normal, 0))
        if self.unlabeled is not None or self.anomaly_rate is not None:
            size = sum(plan.quota("unlabeled")) if self.unlabeled is None else self.unlabeled
            rate = PUBLISHED_RATE if self.anomaly_rate is None else self.anomaly_rate
            wanted.append(("unlabeled", *split_unlabeled(size, rate)))
        return tuple(wanted)


def split_unlabeled(size: int, rate: float) -> tuple[int, int]:
    """Split D_u into normal and abnormal images.

    The rate is taken as the decimal number it is written as, so that 4000 at 0.6 is 2400 and
    not 2399 or 2401. Where size times rate is not whole, the abnormal images are the nearest
    whole number, a half rounded up.

    Args:
        size: N.
        rate: Share of abnormal images.

    Returns:
        Normal images and abnormal images; their sum is ``size``.

    Raises:
        RequestError: The size is negative, or the rate is not between 0 and 1.
    """
    check_count("--unlabeled", size)
    if not 0 <= rate <= 1:  # also refuses NaN
        problem = f"--anomaly-rate is {rate:g}."
        raise RequestError(problem, "Give a share from 0 to 1.")
    abnormal = math.floor(Fraction(repr(float(rate))) * size + Fraction(1, 2))
    return size - abnormal, abnormal


def check_count(option: str, value: int) -> None:
    """Refuse a negative number of images.

    Raises:
        RequestError: It is negative.
    """
    if value < 0:
        problem = f"{option} is {value}."
        raise RequestError(problem, "Give a number of images, 0 for none.")


def assign(
    candidates: Sequence[Candidate], plan: Plan, seed: int, sizes: Sizes | None = None
) -> list[Candidate]:
    """Give whole patients to roles, at random, until the quotas are full.

    With other sizes than the plan's, the parts held apart (test, calibration, validation) stay
    the plan's to the image, and so does D_n unless its own size is asked for: points of a sweep
    over D_u are then compared on equal terms. D_u takes the plan's D_u first, and a smaller D_u
    lies in a larger one.

    Args:
        candidates: Images without roles.
        plan: The quotas.
        seed: Decides who goes where.
        sizes: Other sizes of D_n and D_u.

    Returns:
        The images that got a role.
    """
    patients: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        patients[candidate.row.patient_id].append(candidate)
    order = sorted(patients)
    random.Random(seed).shuffle(order)  # noqa: S311 (a split, not a secret)
    # Patients with both labels are few and fit few roles; they go first.
    order.sort(key=lambda patient: not _is_mixed(patients[patient]))
    chosen = _fill([patients[patient] for patient in order], plan.quotas, plan.mixed_roles)
    wanted = sizes.quotas(plan) if sizes else ()
    for quota in wanted:
        from_unlabeled = quota[0] == "normal" and len(wanted) > 1  # D_u is filled anew, after it
        chosen = _refill(chosen, [patients[p] for p in order], quota, from_unlabeled)
    return chosen


def _refill(
    chosen: Sequence[Candidate],
    patients: Sequence[list[Candidate]],
    quota: Quota,
    from_unlabeled: bool,
) -> list[Candidate]:
    """Fill one role anew: from those who have it, then from those left over, then from D_u.

    The role takes the first images of either label, as the published protocol does, so that a
    smaller part lies in a larger one. Of the last patient it may take some images and leave the
    others without a role.
    """
    role, *room = quota
    had = {c.row.patient_id: c.row.role for c in chosen}
    rank = {role: 0, "": 1} | ({"unlabeled": 2} if from_unlabeled else {})

    def turn(images: list[Candidate]) -> int:
        return rank[had.get(images[0].row.patient_id, "")]

    free = [i for i in patients if had.get(i[0].row.patient_id, "") in rank]
    filled = []
    for images in sorted(free, key=turn):
        if role == "normal" and _is_mixed(images):
            continue  # not known to be normal
        for candidate in images:
            if room[candidate.label]:
                room[candidate.label] -= 1
                filled.append(replace(candidate, row=replace(candidate.row, role=role)))
    taken = {c.row.patient_id for c in filled}
    return [c for c in chosen if c.row.role != role and c.row.patient_id not in taken] + filled


def _fill(
    patients: Iterable[list[Candidate]], quotas: Iterable[Quota], mixed_roles: Sequence[str]
) -> list[Candidate]:
    """Give each patient the first role with room for all images of theirs."""
    room = {role: (normal, abnormal) for role, normal, abnormal in quotas}
    chosen: list[Candidate] = []
    for images in patients:
        abnormal = sum(c.label for c in images)
        normal = len(images) - abnormal
        for role in mixed_roles if _is_mixed(images) else tuple(room):
            room_normal, room_abnormal = room.get(role, (-1, -1))
            if normal <= room_normal and abnormal <= room_abnormal:
                room[role] = (room_normal - normal, room_abnormal - abnormal)
                chosen += [replace(c, row=replace(c.row, role=role)) for c in images]
                break
    return chosen


def _is_mixed(images: Iterable[Candidate]) -> bool:
    return len({c.label for c in images}) > 1


def check_quotas(chosen: Sequence[Candidate], quotas: Iterable[Quota]) -> None:
    """Make sure that every quota is full.

    Raises:
        ManifestError: One is not; the message says how many images there are.
    """
    found = Counter((c.row.role, c.label) for c in chosen)
    for role, normal, abnormal in quotas:
        for label, wanted in ((0, normal), (1, abnormal)):
            if found[role, label] < wanted:
                word = "abnormal" if label else "normal"
                others = ", ".join(
                    f"{n} {part}" for (part, of), n in sorted(found.items()) if of == label
                )
                problem = (
                    f"The {role} part needs {wanted} {word} images; there are "
                    f"{found[role, label]}. The {word} images by part: {others or 'none'}."
                )
                raise ManifestError(problem, "Ask for fewer, or give the whole image set.")
