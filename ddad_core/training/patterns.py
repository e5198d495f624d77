"""Made-up pictures that are no radiographs of a chest: to learn from what is unfamiliar."""

from __future__ import annotations

import cv2
import numpy as np

from ddad_core.familiarity import SIDE

Generator = np.random.Generator


def patterns(n: int, generator: Generator) -> np.ndarray:
    """Overlapping shapes, bones in soft tissue, noise, gradients, lines of text.

    Returns:
        uint8 (n, SIDE, SIDE).
    """
    kinds = (_leaves, _bones, _smooth_noise, _waves, _lines, _fractal)
    pictures = []
    for i in range(n):
        values = kinds[i % len(kinds)](generator).astype(np.float64)
        grain = generator.uniform(0, 0.05) * (values.std() + 1e-6)
        values = values + generator.normal(0, grain, values.shape)
        if not values.max() > values.min():
            values = generator.normal(size=values.shape)
        scaled = (values - values.min()) / (values.max() - values.min())
        pictures.append((255 * scaled).astype(np.uint8))
    return np.stack(pictures)


def _point(generator: Generator, low: int = 0, high: int = SIDE) -> tuple[int, int]:
    x, y = generator.integers(low, high, 2)
    return int(x), int(y)


def _leaves(generator: Generator) -> np.ndarray:
    """Overlapping flat shapes: the statistics of photographs and drawings."""
    picture = np.full((SIDE, SIDE), generator.integers(0, 256), np.uint8)
    for _ in range(generator.integers(3, 60)):
        shade = int(generator.integers(0, 256))
        kind = generator.integers(4)
        if kind == 0:
            cv2.circle(
                picture, _point(generator), int(np.exp(generator.uniform(0.5, 3.3))), shade, -1
            )
        elif kind == 1:
            corners = generator.integers(-10, SIDE + 10, (int(generator.integers(3, 6)), 2))
            cv2.fillPoly(picture, [corners.astype(np.int32)], shade)
        elif kind == 2:
            wide, high = (int(v) for v in np.exp(generator.uniform(0.5, 3.2, 2)))
            turn = int(generator.integers(180))
            cv2.ellipse(picture, _point(generator), (wide, high), turn, 0, 360, shade, -1)
        else:
            thickness = int(np.exp(generator.uniform(0, 2.5)))
            cv2.line(picture, _point(generator), _point(generator), shade, thickness)
    if generator.uniform() < 0.7:
        picture = cv2.GaussianBlur(picture, (0, 0), generator.uniform(0.4, 3))
    return picture


def _bones(generator: Generator) -> np.ndarray:
    """Bright rods and ovals on black, as limbs, hands and heads are."""
    picture = np.zeros((SIDE, SIDE), np.float32)
    for _ in range(generator.integers(1, 7)):
        part = np.zeros_like(picture)
        if generator.uniform() < 0.3:
            wide, high = (int(v) for v in generator.uniform(6, 32, 2))
            thickness = -1 if generator.uniform() < 0.6 else 3
            cv2.ellipse(part, _point(generator, 15, 50), (wide, high), 0, 0, 360, 1.0, thickness)
        else:
            x, y = _point(generator, -20, SIDE + 20)
            upright = generator.normal(np.pi / 2, 0.3)
            angle = generator.uniform(0, np.pi) if generator.uniform() < 0.4 else upright
            length = generator.uniform(10, 90)
            end = (int(x + length * np.cos(angle)), int(y + length * np.sin(angle)))
            cv2.line(part, (x, y), end, 1.0, int(np.exp(generator.uniform(1, 3.7))))
        soft = cv2.GaussianBlur(part, (0, 0), generator.uniform(0.6, 4))
        picture += generator.uniform(0.2, 1) * soft
    return picture


def _smooth_noise(generator: Generator) -> np.ndarray:
    noise = generator.normal(size=(SIDE, SIDE)).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), np.exp(generator.uniform(-1, 3.2)))


def _waves(generator: Generator) -> np.ndarray:
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    if generator.uniform() < 0.5:
        angle, rate = generator.uniform(0, 2 * np.pi), np.exp(generator.uniform(-1, 3))
        along = np.cos(angle) * columns + np.sin(angle) * rows
        return np.cos(2 * np.pi * (rate * along + generator.uniform()))
    x, y = generator.uniform(size=2)
    flat = generator.uniform(0.5, 2, 2)
    distance = flat[0] * (columns - x) ** 2 + flat[1] * (rows - y) ** 2
    return generator.choice([-1, 1]) * np.exp(-distance / generator.uniform(0.02, 0.5))


def _lines(generator: Generator) -> np.ndarray:
    """Broken dark lines on white or bright ones on black, as pages of text are."""
    picture = np.full((SIDE, SIDE), 255, np.float32)
    step = int(generator.integers(2, 9))
    for y in range(int(generator.integers(0, 8)), SIDE, step):
        end = int(generator.integers(20, SIDE))
        marks = 255.0 * (generator.uniform(size=(1, end - 2)) > 0.45)
        picture[y : y + max(1, step // 2), 2:end] = marks
    picture = cv2.GaussianBlur(picture, (0, 0), generator.uniform(0.3, 1))
    return picture if generator.uniform() < 0.6 else -picture


def _fractal(generator: Generator) -> np.ndarray:
    """Noise whose strength falls with frequency, as clouds and landscapes have it."""
    spectrum = np.fft.fft2(generator.normal(size=(SIDE, SIDE)))
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None])
    frequency[0, 0] = 1
    return np.fft.ifft2(spectrum / frequency ** generator.uniform(0.5, 2.5)).real
