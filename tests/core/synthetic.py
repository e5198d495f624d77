"""Small made-up images, networks and models for the tests of the core."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ddad_core.ensemble import Ensemble
from ddad_core.networks import build_network
from ddad_core.types import Radiograph, RadiographFacts

REPOSITORY = Path(__file__).resolve().parents[2]
WEIGHTS = REPOSITORY / "weights"
GALLERY = REPOSITORY / "data" / "demo"


def random_network(name: str, size: int, seed: int) -> torch.nn.Module:
    """A network whose batch norms, too, are far from the identity."""
    torch.manual_seed(seed)
    network = build_network(name, size)
    for tensor_name, tensor in network.state_dict().items():
        if tensor_name.endswith("running_mean"):
            tensor.normal_(0.0, 0.2)
        elif tensor_name.endswith("running_var"):
            tensor.uniform_(0.3, 2.0)
        elif tensor.ndim == 1 and "num_batches" not in tensor_name:
            tensor.add_(torch.empty_like(tensor).uniform_(-0.2, 0.2))
    return network.eval().requires_grad_(False)


def random_ensemble(name: str, size: int, seed: int, members: int = 3) -> Ensemble:
    return Ensemble([random_network(name, size, 100 * seed + k) for k in range(members)]).eval()


def arrays(network: torch.nn.Module) -> dict[str, np.ndarray]:
    """A network's state as numpy arrays."""
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def random_grey(n: int, size: int, seed: int = 0) -> np.ndarray:
    """uint8 (n, size, size)."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (n, size, size), dtype=np.uint8)


def radiograph(pixels: np.ndarray, **facts: object) -> Radiograph:
    values = {"format": "png", **facts}
    return Radiograph(pixels.astype(np.float32), "0" * 64, RadiographFacts(**values))


def write_image(path: Path, seed: int, side: int = 64) -> Path:
    """A distinct smooth grey image, lossless whatever the ending says."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (5, 5), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((side, side + 6), Image.Resampling.BICUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, format="PNG")
    return path
