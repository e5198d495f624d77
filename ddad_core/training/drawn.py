"""Lateral chests and frontal abdomens drawn from ellipsoids: to learn from, none being at hand."""

from __future__ import annotations

import cv2
import numpy as np

from ddad_core.familiarity import SIDE

Generator = np.random.Generator


def drawn_laterals(n: int, generator: Generator) -> np.ndarray:
    """Lateral views of made-up chests, uint8 (n, SIDE, SIDE), facing either way."""
    return np.stack([_lateral(generator) for _ in range(n)])


def _lateral(generator: Generator) -> np.ndarray:
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE
    uniform = generator.uniform
    bend = uniform(-0.05, 0.05) + uniform(-0.15, 0.15) * (rows - 0.5) ** 2
    x = columns - bend
    front, back = uniform(0.02, 0.2), uniform(0.8, 0.98)  # the skin, at the height of the lungs
    middle, half = (front + back) / 2, (back - front) / 2
    half = half * (1 + uniform(-0.3, 0.1) * (rows - 0.5))
    inside = np.clip(1 - ((x - middle) / half) ** 2, 0, 1)
    tissue = uniform(0.8, 1.2) * np.sqrt(inside)
    lungs = np.zeros_like(tissue)
    top, floor = uniform(0.0, 0.18), uniform(0.6, 0.9)
    for _ in range(2):
        dome = floor + uniform(-0.05, 0.05) + uniform(0.05, 0.3) * (x - middle + 0.1) ** 2 * 4
        dome += uniform(0, 0.25) * (x - middle)  # the floor falls towards the back
        wide = half * uniform(0.72, 0.9)
        narrow = np.clip((rows - top) / uniform(0.15, 0.35), 0, 1) ** 0.6
        chord = np.sqrt(np.clip(1 - ((x - middle) / (wide * narrow + 1e-3)) ** 2, 0, 1))
        above = 1 / (1 + np.exp(np.clip((rows - dome) / uniform(0.01, 0.03), -30, 30)))
        lungs += 0.5 * chord * narrow * above
    heart_y, heart_x = floor - uniform(0.05, 0.2), middle - half.mean() * uniform(0.2, 0.5)
    heart = ((rows - heart_y) / uniform(0.1, 0.2)) ** 2 + ((x - heart_x) / uniform(0.1, 0.2)) ** 2
    heart = np.sqrt(np.clip(1 - heart, 0, 1))
    spine_x = middle + half.mean() * uniform(0.5, 0.75) - uniform(0, 0.15) * (rows - 0.4) ** 2
    width = uniform(0.05, 0.09)
    blocks = 1 + uniform(0, 0.4) * np.sin(rows * 2 * np.pi * uniform(9, 14))
    spine = np.exp(-(((x - spine_x) / width) ** 4)) * blocks * (0.6 + uniform(0, 0.6) * rows)
    sternum = np.exp(-(((x - front - uniform(0.04, 0.1)) / 0.02) ** 2))
    ribs = np.sin((rows + uniform(-0.5, 0.5) * x) * 2 * np.pi * uniform(6, 11)) ** 4
    arms = np.exp(-((rows / uniform(0.05, 0.2)) ** 2)) * uniform(0, 0.7)
    dense = (
        tissue
        - uniform(0.5, 0.9) * lungs
        + uniform(0.1, 0.4) * heart * (lungs > 0.05)
        + uniform(0.05, 0.35) * spine * inside
        + uniform(0, 0.15) * sternum * inside
        + uniform(0, 0.06) * ribs * (inside > 0.1)
        + arms * inside
    )
    return _exposed(dense, generator)


def _exposed(dense: np.ndarray, generator: Generator) -> np.ndarray:
    """A drawing as a picture: blurred, windowed, under some display curve, either way round."""
    uniform = generator.uniform
    dense = cv2.GaussianBlur(dense.astype(np.float32), (0, 0), uniform(0.6, 1.4))
    low, high = np.quantile(dense, [uniform(0, 0.1), uniform(0.95, 1)])
    values = np.clip((dense - low) / (high - low + 1e-6), 0, 1) ** np.exp(generator.normal(0, 0.4))
    picture = (255 * values + generator.normal(0, uniform(0, 4), values.shape)).clip(0, 255)
    if uniform() < 0.5:
        picture = picture[:, ::-1]
    return np.ascontiguousarray(picture).astype(np.uint8)


def drawn_abdomens(n: int, generator: Generator) -> np.ndarray:
    """Abdomens and pelvises from the front, of the same kind, uint8 (n, SIDE, SIDE)."""
    return np.stack([_abdomen(generator) for _ in range(n)])


def _abdomen(generator: Generator) -> np.ndarray:
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE
    uniform = generator.uniform
    x = columns - uniform(-0.08, 0.08)
    half = uniform(0.4, 0.75) * (1 + uniform(-0.3, 0.3) * (rows - 0.5))
    inside = np.clip(1 - ((x - 0.5) / half) ** 2, 0, 1)
    dense = np.sqrt(inside)
    blocks = 1 + uniform(0, 0.5) * np.sin(rows * 2 * np.pi * uniform(5, 9))
    end = uniform(0.55, 1.2)
    spine = np.exp(-(((x - 0.5) / uniform(0.05, 0.1)) ** 4)) * blocks * (rows < end)
    dense += uniform(0.1, 0.5) * spine
    for _ in range(generator.integers(0, 9)):  # gas in the bowel
        y0, x0 = uniform(0.1, 0.95), uniform(0.15, 0.85)
        wide, high = uniform(0.02, 0.12, 2)
        gas = np.exp(-(((x - x0) / wide) ** 2 + ((rows - y0) / high) ** 2))
        dense -= uniform(0.05, 0.35) * gas * inside
    if uniform() < 0.6:  # the pelvis: two wings and its opening
        top, out = uniform(0.45, 0.8), uniform(0.2, 0.32)
        for side in (-1, 1):
            wing = ((x - 0.5 - side * out) / uniform(0.1, 0.16)) ** 2
            wing += ((rows - top - 0.15) / uniform(0.15, 0.25)) ** 2
            dense += uniform(0.1, 0.35) * np.exp(-(wing**2)) * inside
        hole = ((x - 0.5) / 0.14) ** 2 + ((rows - top - 0.3) / 0.14) ** 2
        dense -= uniform(0, 0.3) * np.exp(-(hole**2)) * inside
    liver = 1 / (1 + np.exp(-((0.45 - x) * uniform(4, 12)))) * np.exp(-((rows / 0.5) ** 2))
    dense += uniform(0, 0.25) * liver * inside
    return _exposed(dense, generator)
