"""All that the cells of an experiment need, read and checked before the first one trains."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ddad_core.errors import ManifestError
from ddad_core.experiments.config import ExperimentConfig
from ddad_core.experiments.pool import Pool, load_pool
from ddad_core.training.images import load_grey
from ddad_core.training.manifest import Manifest, ManifestRow, load_manifest

NEEDED_ROLES = ("normal", "unlabeled", "calibration", "test")


@dataclass(frozen=True)
class Point:
    """One D_u that is asked for.

    Attributes:
        use: "grid", "anomaly_rate" or "unlabeled".
        size: Images in it.
        rate: Its anomaly rate; None if unknown, or if it is empty.
        rows: Its images, without labels.
    """

    use: str
    size: int
    rate: float | None
    rows: tuple[ManifestRow, ...]


@dataclass(frozen=True, eq=False)
class Inputs:
    """Images, labels and what is to be trained on them.

    Attributes:
        manifest: The data set.
        pool: What sweeps take D_u from; None without sweeps.
        points: Every D_u, the grid's first.
        normal: D_n, uint8 (N, S, S).
        calibration: uint8 (C, S, S), normals.
        test: D_t, uint8 (T, S, S).
        labels: Of the test part, int (T,).
    """

    manifest: Manifest
    pool: Pool | None
    points: tuple[Point, ...]
    normal: np.ndarray
    calibration: np.ndarray
    test: np.ndarray
    labels: np.ndarray
    _unlabeled: np.ndarray = field(repr=False)
    _place: dict[str, int] = field(repr=False)

    def unlabeled(self, point: Point) -> np.ndarray:
        """D_u of a point, uint8 (M, S, S), in the order of its rows."""
        return self._unlabeled[[self._place[row.path] for row in point.rows]]


def load_inputs(config: ExperimentConfig) -> Inputs:
    """Read and check everything.

    Raises:
        ManifestError: A file is missing or unreadable, a role is empty or too small, or D_u
            cannot be composed as a sweep asks.
    """
    manifest = load_manifest(config.manifest)
    _check_roles(config, manifest)
    pool = load_pool(config.unlabeled_pool, manifest) if config.unlabeled_pool else None
    points = (_grid_point(manifest), *_sweep_points(config, pool))
    wanted = {row.path: row for point in points for row in point.rows}
    unlabeled = tuple(wanted.values())
    assert config.images is not None
    parts = {name: manifest.role(name) for name in ("normal", "calibration", "test")}
    parts["unlabeled"] = unlabeled
    grey = _load(manifest, parts, config.images, config.training.size)
    return Inputs(
        manifest=manifest,
        pool=pool,
        points=points,
        normal=grey["normal"],
        calibration=grey["calibration"],
        test=grey["test"],
        labels=np.array([row.label for row in parts["test"]], dtype=np.int64),
        _unlabeled=grey["unlabeled"],
        _place={row.path: i for i, row in enumerate(unlabeled)},
    )


def _load(
    manifest: Manifest, parts: Mapping[str, Sequence[ManifestRow]], images: Path, size: int
) -> dict[str, np.ndarray]:
    """Load all parts in one go, so that equal pixels under two roles are noticed."""
    rows = [row for part in parts.values() for row in part]
    grey = load_grey(
        rows,
        images,
        size,
        manifest=manifest.path,
        report_duplicates=manifest.reports_duplicates,  # a published partition, taken as it is
    )
    ends = np.cumsum([len(part) for part in parts.values()])[:-1]
    return dict(zip(parts, np.split(grey, ends), strict=True))


def _check_roles(config: ExperimentConfig, manifest: Manifest) -> None:
    for role in NEEDED_ROLES:
        if not manifest.role(role):
            problem = f"{config.manifest} has no {role} images."
            raise ManifestError(problem, f"An experiment needs {', '.join(NEEDED_ROLES)} rows.")
    found = [row.label for row in manifest.role("test")]
    normal, abnormal = found.count(0), found.count(1)
    if min(normal, abnormal) < 2:
        problem = (
            f"The test part of {config.manifest} has {normal} normal and {abnormal} abnormal "
            "images."
        )
        raise ManifestError(problem, "Figures with intervals need two of each at least.")
    known, batch = len(manifest.role("normal")), config.training.batch_size
    if known < batch:
        problem = f"{config.manifest} has {known} known normal images, fewer than one batch."
        raise ManifestError(problem, f"Lower training.batch_size, which is {batch}.")


def _grid_point(manifest: Manifest) -> Point:
    rows = manifest.role("unlabeled")
    rate = manifest.about.get("anomaly_rate")
    return Point("grid", len(rows), None if rate is None else float(rate), rows)


def _sweep_points(config: ExperimentConfig, pool: Pool | None) -> list[Point]:
    points = []
    by_rate, by_size = config.sweeps.anomaly_rate, config.sweeps.unlabeled
    if by_rate and pool:
        name = "sweeps.anomaly_rate"
        size = by_rate.size or _largest(pool, by_rate.rates, name)
        points += [
            Point("anomaly_rate", size, rate, pool.compose(size, rate, key=name))
            for rate in by_rate.rates
        ]
    if by_size and pool:
        rate = by_size.anomaly_rate
        points += [
            Point("unlabeled", n, rate, pool.compose(n, rate, key="sweeps.unlabeled"))
            for n in by_size.sizes
        ]
    return points


def _largest(pool: Pool, rates: Sequence[float], name: str) -> int:
    size = pool.largest(rates)
    if not size:
        normal, abnormal = pool.counts
        problem = (
            f"{name}: no size of D_u can have all rates {', '.join(f'{r:g}' for r in rates)} "
            f"with the {normal} normal and {abnormal} abnormal images of {pool.file}."
        )
        raise ManifestError(problem, "Give fewer rates, or a larger pool.")
    return size


def digest_of(images: np.ndarray) -> str:
    """SHA-256 over the shape and the bytes of images."""
    digest = hashlib.sha256(str(images.shape).encode())
    digest.update(np.ascontiguousarray(images).tobytes())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
