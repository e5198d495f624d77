"""The refinement in plain numpy, float64, written from its description and not from the code.

Cai et al., Medical Image Analysis 86, 2023, 102794: three 3 x 3 convolutions, C-128-128-2, and a
focal loss. No torch in here: a network is the dictionary of its arrays.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

EPSILON = 1e-5
Weights = Mapping[str, np.ndarray]


def convolve(x: np.ndarray, w: Weights, name: str) -> np.ndarray:
    """Kernel 3, stride 1, padding 1: (B, C, H, W) with (O, C, 3, 3) and a bias -> (B, O, H, W)."""
    kernel = w[f"{name}.weight"]
    rows, columns = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    assert windows.shape[2:4] == (rows, columns)
    out = np.tensordot(windows, kernel, axes=((1, 4, 5), (1, 2, 3)))  # (B, H, W, O)
    return np.moveaxis(out + w[f"{name}.bias"], 3, 1)


def normed(x: np.ndarray, w: Weights, name: str) -> np.ndarray:
    def column(values: np.ndarray) -> np.ndarray:
        return values[None, :, None, None]

    centred = x - column(w[f"{name}.running_mean"])
    spread = np.sqrt(column(w[f"{name}.running_var"]) + EPSILON)
    return centred / spread * column(w[f"{name}.weight"]) + column(w[f"{name}.bias"])


def logits(weights: Weights, maps: np.ndarray) -> np.ndarray:
    """Evaluation mode: (B, C, S, S) -> (B, 2, S, S)."""
    w = {name: np.asarray(value, np.float64) for name, value in weights.items()}
    x = np.asarray(maps, np.float64)
    for stage in ("first", "second"):
        x = np.maximum(normed(convolve(x, w, stage), w, f"{stage}_norm"), 0.0)
    return convolve(x, w, "last")


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def anomaly_map(weights: Weights, maps: np.ndarray) -> np.ndarray:
    """The second channel of the softmax, (B, S, S)."""
    return softmax(logits(weights, maps))[:, 1]


def focal_loss(values: np.ndarray, mask: np.ndarray) -> float:
    """Mean over pixels of -(1 - p)^2 log p, p the softmax probability of the true class."""
    p = softmax(np.asarray(values, np.float64))
    true = np.where(mask, p[:, 1], p[:, 0])
    return float(np.mean(-((1.0 - true) ** 2) * np.log(true)))
