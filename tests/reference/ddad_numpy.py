"""The method in plain numpy, float64, written from its description and not from the code.

Cai et al., MICCAI 2022 (arXiv 2206.03935). No torch in here: a network is the dictionary of its
arrays, named as the published layer order names them (encoder, squeeze, expand, decoder, memory).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

BN_EPSILON = 1e-5
ENTROPY_WEIGHT = 0.0002
Weights = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Output:
    """Mean (B, S, S); log variance likewise (AE-U); memory weights (B, 25) (MemAE)."""

    mean: np.ndarray
    log_var: np.ndarray | None = None
    attention: np.ndarray | None = None


def conv(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Kernel 4, stride 2, padding 1, no bias: (B, C, H, W) * (O, C, 4, 4) -> (B, O, H/2, W/2)."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    rows, columns = x.shape[2] // 2, x.shape[3] // 2
    out = np.zeros((x.shape[0], kernel.shape[0], rows, columns))
    for i in range(4):
        for j in range(4):
            seen = padded[:, :, i : i + 2 * rows : 2, j : j + 2 * columns : 2]
            out += np.einsum("bchw,oc->bohw", seen, kernel[:, :, i, j], optimize=True)
    return out


def conv_transposed(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The adjoint of :func:`conv`: (B, C, H, W) with (C, O, 4, 4) -> (B, O, 2H, 2W)."""
    batch, _, rows, columns = x.shape
    padded = np.zeros((batch, kernel.shape[1], 2 * rows + 2, 2 * columns + 2))
    for i in range(4):
        for j in range(4):
            spread = np.einsum("bchw,co->bohw", x, kernel[:, :, i, j], optimize=True)
            padded[:, :, i : i + 2 * rows : 2, j : j + 2 * columns : 2] += spread
    return padded[:, :, 1:-1, 1:-1]


def batch_norm(x: np.ndarray, w: Weights, name: str) -> np.ndarray:
    """Evaluation mode, for (B, C) and (B, C, H, W)."""
    shape = (1, -1) + (1,) * (x.ndim - 2)
    scale = w[f"{name}.weight"] / np.sqrt(w[f"{name}.running_var"] + BN_EPSILON)
    shift = w[f"{name}.bias"] - w[f"{name}.running_mean"] * scale
    return x * scale.reshape(shape) + shift.reshape(shape)


def linear(x: np.ndarray, w: Weights, name: str) -> np.ndarray:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0.0)


def forward(weights: Weights, images: np.ndarray) -> Output:
    """Run one network in evaluation mode on (B, S, S) in [-1, 1].

    Which of the three it is shows in its arrays: slots mean MemAE, two output channels AE-U.
    """
    w = {name: np.asarray(value, np.float64) for name, value in weights.items()}
    x = np.asarray(images, np.float64)[:, None]
    for stage in range(4):
        x = relu(batch_norm(conv(x, w[f"encoder.{3 * stage}.weight"]), w, _bn("encoder", stage)))
    grid = x.shape[1:]
    x = relu(batch_norm(linear(x.reshape(len(x), -1), w, "squeeze.0"), w, "squeeze.1"))
    latent = linear(x, w, "squeeze.3")
    attention = None
    if "memory.slots" in w:
        attention = softmax(latent @ w["memory.slots"].T)
        latent = attention @ w["memory.slots"]
    x = relu(batch_norm(linear(latent, w, "expand.0"), w, "expand.1"))
    x = linear(x, w, "expand.3").reshape(-1, *grid)
    for stage in range(3):
        x = conv_transposed(x, w[f"decoder.{3 * stage}.weight"])
        x = relu(batch_norm(x, w, _bn("decoder", stage)))
    x = conv_transposed(x, w["decoder.9.weight"])
    return Output(x[:, 0], x[:, 1] if x.shape[1] == 2 else None, attention)


def _bn(part: str, stage: int) -> str:
    return f"{part}.{3 * stage + 1}"


def squared_error(images: np.ndarray, out: Output) -> float:
    """Loss of AE."""
    return float(np.mean((out.mean - images) ** 2))


def gaussian_loss(images: np.ndarray, out: Output) -> float:
    """Loss of AE-U."""
    assert out.log_var is not None
    error = (out.mean - images) ** 2
    return float(np.mean(np.exp(-out.log_var) * error) + np.mean(out.log_var))


def memory_loss(images: np.ndarray, out: Output) -> float:
    """Loss of MemAE."""
    assert out.attention is not None
    entropy = -(out.attention * np.log(out.attention + 1e-12)).sum(axis=1)
    return squared_error(images, out) + ENTROPY_WEIGHT * float(entropy.mean())


def maps(images: np.ndarray, a: Sequence[Output], b: Sequence[Output]) -> dict[str, np.ndarray]:
    """A_rec of single networks and of the ensemble, A_intra, A_inter: (B, S, S) each."""
    x = np.asarray(images, np.float64)
    k = len(b)
    mu_a = sum(out.mean for out in a) / len(a)
    mu_b = sum(out.mean for out in b) / k
    deviation = np.sqrt(sum((out.mean - mu_b) ** 2 for out in b) / k)
    log_vars = [out.log_var for out in b]
    if any(log_var is None for log_var in log_vars):
        return {
            "rec_single": sum((out.mean - x) ** 2 for out in b) / k,
            "rec": (x - mu_b) ** 2,
            "intra": deviation,
            "inter": np.abs(mu_a - mu_b),
        }
    sigma = np.sqrt(sum(np.exp(log_var) for log_var in log_vars) / k)
    return {
        "rec_single": sum(np.exp(-out.log_var) * (out.mean - x) ** 2 for out in b) / k,
        "rec": ((x - mu_b) / sigma) ** 2,
        "intra": deviation / sigma,
        "inter": np.abs(mu_a - mu_b) / sigma,
    }


def scores(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The image score is the mean of the map."""
    return {f"a_{name}": values.mean(axis=(1, 2)) for name, values in found.items()}


def p_value(calibration: Sequence[float], score: float) -> float:
    """One plus the calibration normals at least as high, over their number plus one."""
    return (1 + sum(1 for value in calibration if value >= score)) / (len(calibration) + 1)


def published_grey(pixels: np.ndarray, size: int) -> np.ndarray:
    """Min-max to 8 bits, bilinear to 512 x 512, bilinear to size x size: uint8."""
    x = np.asarray(pixels, np.float64)
    eight = np.rint((x - x.min()) / (x.max() - x.min()) * 255.0).astype(np.uint8)
    stored = Image.fromarray(eight).resize((512, 512), Image.Resampling.BILINEAR)
    return np.asarray(stored.resize((size, size), Image.Resampling.BILINEAR))


def network_input(grey: np.ndarray) -> np.ndarray:
    """(v / 255 - 0.5) / 0.5."""
    return (np.asarray(grey, np.float64) / 255.0 - 0.5) / 0.5
