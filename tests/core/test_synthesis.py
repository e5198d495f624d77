from __future__ import annotations

import numpy as np
import pytest

from ddad_core.imaging.geometry import normalise
from ddad_core.training.synthesis import centres, half_widths, synthesise
from tests.core.synthetic import random_grey

SIZE = 32


def _flat(n, size=SIZE):
    """Image i has one grey value of its own, so a blend tells where it came from."""
    values = np.arange(n, dtype=np.uint8)[:, None, None]
    return np.broadcast_to(values, (n, size, size)).copy()


def _boxes(masks):
    """(top, bottom, left, right) of each mask, both ends inside it."""
    found = []
    for mask in masks[masks.any(axis=(1, 2))]:
        rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
        assert mask.sum() == len(rows) * len(columns)  # a filled rectangle
        found.append((rows[0], rows[-1], columns[0], columns[-1]))
    return np.array(found)


def test_about_half_of_the_images_get_a_patch():
    masks = synthesise(random_grey(4000, 16), np.random.default_rng(1)).masks
    assert abs(masks.any(axis=(1, 2)).mean() - 0.5) < 0.04  # five standard deviations


def test_images_without_a_patch_and_pixels_outside_it_are_unchanged():
    grey = random_grey(200, SIZE)
    made = synthesise(grey, np.random.default_rng(2))
    assert made.images.dtype == np.float32 and made.masks.dtype == bool
    assert made.images.shape == made.masks.shape == grey.shape
    plain = normalise(grey)
    assert np.array_equal(made.images[~made.masks], plain[~made.masks])
    assert (made.images != plain).any(axis=(1, 2)).sum() > 80
    assert made.images.min() >= -1 and made.images.max() <= 1


def test_patch_is_a_blend_with_one_other_image():
    grey = random_grey(40, SIZE)
    made = synthesise(grey, np.random.default_rng(3))
    plain = normalise(grey).astype(np.float64)
    alphas = []
    for i in np.nonzero(made.masks.any(axis=(1, 2)))[0]:
        inside = made.masks[i]
        residuals = []
        for j in range(len(grey)):  # least squares for alpha against every candidate
            step = (plain[j] - plain[i])[inside]
            change = made.images[i][inside] - plain[i][inside]
            alpha = float(step @ change / max(step @ step, 1e-12))
            residuals.append((np.abs(change - alpha * step).max(), alpha, j))
        error, alpha, other = min(residuals)
        assert error < 1e-5 and other != i
        assert 0 < alpha < 1
        alphas.append(alpha)
    assert len(set(alphas)) == len(alphas) > 10  # one of its own for every patch


def test_blend_is_one_minus_alpha_of_the_image_and_alpha_of_the_other():
    grey = np.stack([np.zeros((SIZE, SIZE), np.uint8), np.full((SIZE, SIZE), 255, np.uint8)])
    chosen = np.zeros(3000, dtype=int)  # always the black one: the other is the white one
    made = synthesise(grey, np.random.default_rng(4), chosen)
    # (1 - alpha) (-1) + alpha (+1) = 2 alpha - 1, uniform in (-1, 1)
    alpha = (np.array([image[mask][0] for image, mask in _patched(made)]) + 1) / 2
    assert alpha.min() > 0 and alpha.max() <= 1
    quartiles = np.quantile(alpha, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quartiles, [0.25, 0.5, 0.75], atol=0.06)


def _patched(made):
    return [(i, m) for i, m in zip(made.images, made.masks, strict=True) if m.any()]


def test_the_other_image_is_never_the_image_itself_and_every_other_occurs():
    grey = _flat(3)
    made = synthesise(grey, np.random.default_rng(5), np.repeat(np.arange(3), 400))
    own = np.repeat(normalise(grey)[:, 0, 0], 400)
    directions = {i: set() for i in range(3)}
    for i, (image, mask, value) in enumerate(zip(made.images, made.masks, own, strict=True)):
        if mask.any():
            directions[i // 400].add(float(np.sign(image[mask][0] - value)))
    # The darkest only gets brighter, the brightest only darker, the middle one both: an image
    # blended with itself would not change at all.
    assert directions == {0: {1.0}, 1: {-1.0, 1.0}, 2: {-1.0}}


@pytest.mark.parametrize("size", [16, 32, 64])
def test_patches_have_the_published_size_and_place(size):
    count = 2000
    made = synthesise(_flat(2, size), np.random.default_rng(6), np.zeros(count, dtype=int))
    boxes = _boxes(made.masks)
    top, bottom, left, right = boxes.T
    inner = (top > 0) & (bottom < size - 1) & (left > 0) & (right < size - 1)  # not clipped
    sides = (bottom - top + 1)[inner]
    assert np.array_equal(sides, (right - left + 1)[inner])  # square
    assert set(sides % 2) == {0}
    smallest, largest = half_widths(size)
    assert (sides.min(), sides.max()) == (2 * smallest, 2 * largest)
    assert set(sides) == set(range(2 * smallest, 2 * largest + 1, 2))
    # Half a pixel of rounding on either bound, and the upper one left out.
    assert abs(smallest - 0.05 * size) <= 0.5 and -1.5 <= largest - 0.2 * size <= 0
    first, last = centres(size)
    for start, end in ((top, bottom), (left, right)):
        middle = ((start + end + 1) / 2)[inner]
        assert middle.min() >= first and middle.max() <= last
        # Clipped at the near border, the far edge tells: centre + half-width - 1.
        assert end.max() == min(last + largest - 1, size - 1)
        assert start.min() == max(first - largest, 0) == 0
    assert first == size // 10 and abs(last - 0.9 * size) <= 1.9


def test_centres_fill_the_central_80_percent():
    made = synthesise(_flat(2), np.random.default_rng(7), np.zeros(3000, dtype=int))
    top, bottom, left, right = _boxes(made.masks).T
    # With the smallest half-width, 2, no patch is clipped and every centre can be seen.
    small = (bottom - top + 1 == 4) & (right - left + 1 == 4)
    for start in (top, left):
        assert set(start[small] + 2) == set(range(3, 28))


def test_the_same_generator_gives_the_same_anomalies():
    grey = random_grey(30, SIZE)
    first, again, other = (synthesise(grey, np.random.default_rng(s)) for s in (8, 8, 9))
    assert np.array_equal(first.images, again.images) and np.array_equal(first.masks, again.masks)
    assert not np.array_equal(first.masks, other.masks)


def test_a_generator_going_on_gives_fresh_anomalies():
    grey, generator = random_grey(30, SIZE), np.random.default_rng(8)
    assert not np.array_equal(synthesise(grey, generator).masks, synthesise(grey, generator).masks)


def test_chosen_images_come_in_their_order_and_the_originals_stay():
    grey = random_grey(10, SIZE)
    before = grey.copy()
    chosen = np.array([7, 2, 2, 9])
    made = synthesise(grey, np.random.default_rng(10), chosen)
    assert np.array_equal(grey, before)
    plain = normalise(grey[chosen])
    assert np.array_equal(made.images[~made.masks], plain[~made.masks])
