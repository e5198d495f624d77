"""Pictures to learn familiarity from: training normals varied, spoiled, and made-up patterns.

All are uint8 (N, SIDE, SIDE), made of nothing but the training normals and a seed.
"""

from __future__ import annotations

import cv2
import numpy as np

from ddad_core.familiarity import SIDE

Generator = np.random.Generator


def varied(normals: np.ndarray, each: int, generator: Generator) -> np.ndarray:
    """Training normals and ``each`` variants of every one that are still chest radiographs.

    Turned a little, zoomed, stretched, shifted, mirrored, with opacities, under other exposures
    and display curves, collimated, blurred or noisy.
    """
    pictures = []
    for normal in normals:
        pictures.append(normal)
        pictures += [_variant(normal, generator) for _ in range(each)]
    return np.stack(pictures)


def _variant(normal: np.ndarray, generator: Generator) -> np.ndarray:
    zoom = np.exp(generator.normal(0.05, 0.12))
    stretch = np.exp(generator.normal(0, 0.1))
    picture = _moved(
        normal,
        generator.normal(0, 5),
        (zoom * stretch, zoom / stretch),
        generator.normal(0, 0.04, 2),
    )
    if generator.uniform() < 0.5:
        picture = picture[:, ::-1]
    if generator.uniform() < 0.85:
        picture = _with_opacities(picture, generator)
    values = (picture / 255.0) ** np.exp(generator.normal(0, 0.3))
    if generator.uniform() < 0.3:
        centre, steepness = generator.uniform(0.35, 0.65), generator.uniform(3, 9)
        ends = 1 / (1 + np.exp(-steepness * (np.array([0.0, 1.0]) - centre)))
        values = 1 / (1 + np.exp(-steepness * (values - centre)))
        values = (values - ends[0]) / (ends[1] - ends[0])
    if generator.uniform() < 0.15:
        ends = np.quantile(values, [generator.uniform(0, 0.15), generator.uniform(0.85, 1)])
        values = np.clip((values - ends[0]) / (ends[1] - ends[0] + 1e-6), 0, 1)
    return _blemished((255 * values).astype(np.uint8), generator)


def _blemished(picture: np.ndarray, generator: Generator) -> np.ndarray:
    kind = generator.uniform()
    if kind < 0.12:  # collimated, or with a white frame
        top, bottom, left, right = generator.integers(1, 7, 4)
        frame = np.full_like(picture, 0 if generator.uniform() < 0.7 else 255)
        inner = slice(top, SIDE - bottom), slice(left, SIDE - right)
        frame[inner] = picture[inner]
        return frame
    if kind < 0.25:
        return cv2.GaussianBlur(picture, (0, 0), generator.uniform(0.4, 1.0))
    if kind < 0.35:
        noise = generator.normal(0, generator.uniform(1, 6), picture.shape)
        return np.clip(picture + noise, 0, 255).astype(np.uint8)
    return picture


def _with_opacities(picture: np.ndarray, generator: Generator) -> np.ndarray:
    """Bright soft patches, as pneumonia or effusions would make them."""
    values = picture.astype(np.float32)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    for _ in range(generator.integers(1, 5)):
        y, x = generator.uniform(10, 54), generator.uniform(8, 56)
        wide, high = generator.uniform(3, 18, 2)
        patch = np.exp(-(((columns - x) / wide) ** 2 + ((rows - y) / high) ** 2))
        top = np.percentile(values, generator.uniform(60, 97))
        values += generator.uniform(0.2, 1.0) * patch * np.maximum(top - values, 0)
    return values.astype(np.uint8)


def spoiled(normals: np.ndarray, n: int, generator: Generator) -> np.ndarray:
    """Pictures made of training normals that are no upright frontal chest radiograph."""
    ways = (
        *((lambda p, g, k=k: np.rot90(p, k)) for k in (1, 2, 3)),
        lambda p, g: p[::-1],
        lambda p, g: 255 - p,
        lambda p, g: 255 - np.rot90(p, int(g.integers(1, 4))),
        _part,
        _half,
        _slab,
        lambda p, g: _moved(p, g.choice([-1, 1]) * g.uniform(25, 70), (1, 1), (0, 0)),
        _shuffled,
        _shrunk,
    )
    pictures = []
    for i in range(n):
        normal = normals[generator.integers(len(normals))]
        picture = ways[i % len(ways)](normal, generator)
        if generator.uniform() < 0.5:
            picture = picture[:, ::-1]
        if generator.uniform() < 0.5:
            shift = generator.normal(0, 0.04, 2)
            picture = _moved(picture, generator.normal(0, 5), (1, 1), shift)
        pictures.append(np.ascontiguousarray(picture))
    return np.stack(pictures)


def _part(picture: np.ndarray, generator: Generator) -> np.ndarray:
    share = generator.uniform(0.3, 0.5)
    side = int(SIDE * share)
    y, x = (generator.uniform(0, 1 - share, 2) * SIDE).astype(int)
    return _stretched(picture[y : y + side, x : x + side])


def _half(picture: np.ndarray, generator: Generator) -> np.ndarray:
    width = int(generator.uniform(0.38, 0.52) * SIDE)
    return _stretched(picture[:, :width] if generator.uniform() < 0.5 else picture[:, -width:])


def _slab(picture: np.ndarray, generator: Generator) -> np.ndarray:
    height = int(generator.uniform(0.3, 0.45) * SIDE)
    return _stretched(picture[:height] if generator.uniform() < 0.5 else picture[-height:])


def _shuffled(picture: np.ndarray, generator: Generator) -> np.ndarray:
    middle = SIDE // 2
    order = generator.permutation(4)
    if tuple(order) == (0, 1, 2, 3):
        return np.hstack([picture[:, ::2]] * 2)
    quarters = [picture[y : y + middle, x : x + middle] for y in (0, middle) for x in (0, middle)]
    a, b, c, d = (quarters[i] for i in order)
    return np.vstack([np.hstack([a, b]), np.hstack([c, d])])


def _shrunk(picture: np.ndarray, generator: Generator) -> np.ndarray:
    """The radiograph small on black, or two of them side by side."""
    share = generator.uniform(0.3, 0.6)
    side = int(SIDE * share)
    y, x = (generator.uniform(0, 1 - share, 2) * SIDE).astype(int)
    if generator.uniform() < 0.4:
        return np.hstack([_stretched(picture, SIDE // 2)] * 2)
    black = np.zeros_like(picture)
    black[y : y + side, x : x + side] = cv2.resize(
        picture, (side, side), interpolation=cv2.INTER_AREA
    )
    return black


def like_laterals(normals: np.ndarray, n: int, generator: Generator) -> np.ndarray:
    """Stand-ins for lateral views: both lungs laid over each other, or one, in a body's outline."""
    pictures = []
    for i in range(n):
        normal = normals[generator.integers(len(normals))].astype(np.float32)
        width = int(generator.uniform(28, 36))
        if i % 3 < 2:
            share = generator.uniform(0.3, 0.7) if i % 3 == 0 else float(generator.integers(2))
            mirrored = normal[:, SIDE - width :][:, ::-1]
            picture = share * normal[:, :width] + (1 - share) * mirrored
            if generator.uniform() < 0.5:
                picture = picture[:, int(generator.integers(0, 5)) :]
        else:
            width = int(generator.uniform(24, 36))
            x = int(generator.integers(0, SIDE - width))
            picture = normal[:, x : x + width]
        picture = _stretched(picture)
        if generator.uniform() < 0.7:
            picture = picture * _outline(generator)
        if generator.uniform() < 0.5:
            picture = _with_abdomen(picture, generator)
        if generator.uniform() < 0.5:
            picture = picture[:, ::-1]
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
    return np.stack(pictures)


def _outline(generator: Generator) -> np.ndarray:
    """1 inside a wavy upright body, 0 beside it, soft in between."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]

    def edge() -> np.ndarray:
        wave = np.sin(rows / SIDE * np.pi * generator.uniform(0.5, 1.5) + generator.uniform(0, 6))
        return generator.uniform(0, 14) + generator.uniform(0, 8) * wave

    inside = ((columns > edge()) & (columns < SIDE - edge())).astype(np.float32)
    return cv2.GaussianBlur(inside, (0, 0), generator.uniform(0.6, 3))


def _with_abdomen(picture: np.ndarray, generator: Generator) -> np.ndarray:
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    height, slope = generator.uniform(35, 55), generator.normal(0, 0.5)
    share = 1 / (1 + np.exp(-(rows - height + slope * (columns - SIDE / 2)) / 4))
    return picture * (1 - share) + share * np.maximum(picture, generator.uniform(120, 230))


def _moved(
    picture: np.ndarray, angle: float, zoom: tuple[float, float], shift: np.ndarray | tuple
) -> np.ndarray:
    """Turn (degrees), zoom (x, y) and shift (shares of the side); black comes in."""
    middle = SIDE / 2 - 0.5
    matrix = cv2.getRotationMatrix2D((middle, middle), angle, 1)
    matrix[:, 0] *= zoom[0]
    matrix[:, 1] *= zoom[1]
    matrix[:, 2] = middle - matrix[:, :2] @ (middle, middle) + np.asarray(shift) * SIDE
    return cv2.warpAffine(np.ascontiguousarray(picture), matrix, (SIDE, SIDE))


def _stretched(part: np.ndarray, width: int = SIDE) -> np.ndarray:
    return cv2.resize(np.ascontiguousarray(part), (width, SIDE))
