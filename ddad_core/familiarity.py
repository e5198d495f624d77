"""Is a picture like the frontal chest radiographs that a model was trained on?

A linear rule over gradient directions, coarse grey ranks and fine texture, learnt from the model's
own training normals against pictures made of them that are no upright frontal chest radiograph any
more (see :mod:`ddad_core.training.familiarise`), plus what a principal component model of the
normals leaves over. Ranks instead of grey values make it blind to exposure and display curves.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ddad_core.errors import ModelError

FAMILIARITY_FILE = "familiarity.safetensors"
SIDE = 64
"""Pixels; every picture is brought to this side first."""
DIRECTIONS = 8
CELL = 8
"""Pixels a side, over which gradients are gathered."""
RESIDUAL_WEIGHT = 0.3
"""Of the principal component part; chosen on calibration and validation images."""
LATERAL_SLACK = 0.3
"""By how much a picture that looks lateral may stay below the limit and still be called so."""
MARGIN = 1.5
"""By how much a turned or inverted picture must fit better than the picture as it is."""

UNLIKE = (
    "This picture is unlike the chest radiographs that the model was trained on; "
    "its score means little here."
)
INVERTED = (
    "The picture looks inverted (bones dark, lungs bright); the model was trained on pictures "
    "with bright bones, so its score means little here."
)
UPSIDE_DOWN = "The picture looks upside down; its score means little until it is turned."
TURNED = "The picture looks turned by a quarter; its score means little until it is turned back."
LATERAL = (
    "The picture looks like a lateral view; the model was trained on frontal views (PA or AP), "
    "so its score means little here."
)

_POOL_CELL = np.kron(np.eye(SIDE // CELL, dtype=np.float32), np.full((1, CELL), 1 / CELL, "f4"))
_POOL_FINE = np.kron(np.eye(SIDE // 4, dtype=np.float32), np.full((1, 4), 1 / 4, "f4"))
_POOL_WIDE = np.kron(np.eye(SIDE // 16, dtype=np.float32), np.full((1, 16), 1 / 16, "f4"))
_ANGLES = 2 * np.pi * np.arange(DIRECTIONS, dtype=np.float32) / DIRECTIONS
N_FEATURES = (SIDE // CELL) ** 2 * DIRECTIONS + (SIDE // 4) ** 2 + (SIDE // 16) ** 2


@dataclass(frozen=True, eq=False)
class Familiarity:
    """What tells familiar pictures from others; all float32.

    Attributes:
        centre: (F,) mean of the features.
        weights: (F,) of the linear rule: larger is less familiar.
        lateral: (F,) of the rule for lateral views: larger is more lateral.
        components: (C, F) principal directions of the training normals.
        normal_centre: (F,) mean of the training normals' features.
        scale: (4,) mean and standard deviation, over the training normals, of the linear rule's
            value and of the logarithm of what the components leave over.
        limits: (2,) the distance above which a picture is unlike, and the lateral rule's value
            above which such a picture is called lateral.
    """

    centre: np.ndarray
    weights: np.ndarray
    lateral: np.ndarray
    components: np.ndarray
    normal_centre: np.ndarray
    scale: np.ndarray
    limits: np.ndarray

    def distance(self, features: np.ndarray) -> np.ndarray:
        """How unlike the training normals pictures are, in their standard deviations.

        Args:
            features: float32 (N, F).

        Returns:
            float (N,).
        """
        linear = (features - self.centre) @ self.weights
        rest = features - self.normal_centre
        left = (rest**2).sum(1) - ((rest @ self.components.T) ** 2).sum(1)
        left = np.log(np.maximum(left, 1e-6))
        mean, deviation, left_mean, left_deviation = self.scale
        return (linear - mean) / deviation + RESIDUAL_WEIGHT * (left - left_mean) / left_deviation

    def laterality(self, features: np.ndarray) -> np.ndarray:
        """The lateral rule's value, float (N,), of features (N, F)."""
        return (features - self.centre) @ self.lateral

    def judge(self, grey: np.ndarray) -> tuple[str, ...]:
        """Judge one picture as the networks see it.

        Args:
            grey: uint8 (S, S), as made by ``to_network_grey``.

        Returns:
            One sentence for a reader, the most specific, or none for a familiar picture.
        """
        small = to_side(grey)
        features = describe(small[None])
        distance = float(self.distance(features)[0])
        lateral = float(self.laterality(features)[0]) > self.limits[1]
        if distance <= self.limits[0]:
            near = distance > self.limits[0] - LATERAL_SLACK
            return (LATERAL,) if lateral and near else ()
        others = np.stack([255 - small, small[::-1], np.rot90(small), np.rot90(small, -1)])
        turned = self.distance(describe(others))
        best = int(np.argmin(turned))
        if turned[best] <= self.limits[0] and turned[best] <= distance - MARGIN:
            return ((INVERTED, UPSIDE_DOWN, TURNED, TURNED)[best],)
        return (LATERAL,) if lateral else (UNLIKE,)


def to_side(grey: np.ndarray) -> np.ndarray:
    """Bring a picture, uint8 (S, S), to uint8 (SIDE, SIDE)."""
    if grey.shape == (SIDE, SIDE):
        return grey
    smaller = grey.shape[0] > SIDE
    interpolation = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(grey, (SIDE, SIDE), interpolation=interpolation)


def describe(grey: np.ndarray) -> np.ndarray:
    """Features of pictures.

    Args:
        grey: uint8 (N, SIDE, SIDE).

    Returns:
        float32 (N, F): gradients by direction in cells, evened out between cells; grey ranks,
        coarse; the logarithm of what smoothing takes away.
    """
    return np.stack([_describe(picture) for picture in grey])


def _describe(picture: np.ndarray) -> np.ndarray:
    counts = np.bincount(picture.ravel(), minlength=256)
    rank = ((np.cumsum(counts) - counts / 2) / picture.size).astype(np.float32)[picture]
    kernel = np.array([0.25, 0.5, 0.25], dtype=np.float32)
    smooth = cv2.sepFilter2D(rank, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    down, right = np.zeros_like(smooth), np.zeros_like(smooth)
    down[1:-1] = (smooth[2:] - smooth[:-2]) / 2
    right[:, 1:-1] = (smooth[:, 2:] - smooth[:, :-2]) / 2
    strength = np.hypot(right, down) + 1e-3
    cosine, sine = np.cos(_ANGLES)[:, None, None], np.sin(_ANGLES)[:, None, None]
    along = np.maximum(cosine * right + sine * down, 0.0)
    cells = _POOL_CELL @ (along * along / strength) @ _POOL_CELL.T  # (DIRECTIONS, 8, 8)
    energy = np.sqrt((cells**2).sum(0))
    cells = cells / np.sqrt(energy + 0.25 * energy.mean() + 1e-4)
    coarse = _POOL_FINE @ (smooth - 0.5) @ _POOL_FINE.T
    texture = np.log(_POOL_WIDE @ np.abs(rank - smooth) @ _POOL_WIDE.T + 1e-3)
    parts = (_unit(cells), _unit(coarse), 0.05 * (texture.ravel() + 4))
    return np.concatenate(parts).astype(np.float32)


def _unit(values: np.ndarray) -> np.ndarray:
    return (values / np.sqrt((values**2).sum() + 1e-8)).ravel()


def pack_familiarity(familiarity: Familiarity) -> bytes:
    """Serialise to safetensors."""
    names = [field.name for field in fields(Familiarity)]
    return save({n: np.ascontiguousarray(getattr(familiarity, n), np.float32) for n in names})


def unpack_familiarity(data: bytes) -> Familiarity:
    """Read a check.

    Args:
        data: From :func:`pack_familiarity`.

    Raises:
        ModelError: The bytes are no such check.
    """
    try:
        arrays = load(data)
        found = Familiarity(**arrays)
        for name in ("centre", "weights", "lateral", "normal_centre"):
            _check(arrays, name, (N_FEATURES,))
        _check(arrays, "components", (len(found.components), N_FEATURES))
        _check(arrays, "scale", (4,))
        _check(arrays, "limits", (2,))
    except (SafetensorError, TypeError, ValueError) as error:
        problem = f"{FAMILIARITY_FILE} is damaged: {error}."
        raise ModelError(problem, "Restore the model as it was shipped.") from error
    return found


def _check(arrays: dict[str, np.ndarray], name: str, shape: tuple[int, ...]) -> None:
    if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
        message = f"{name} is not {' x '.join(map(str, shape))} finite numbers"
        raise ValueError(message)
