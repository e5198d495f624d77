"""The one place where a name becomes a network."""

from __future__ import annotations

import torch

from ddad_core.errors import ModelError
from ddad_core.networks.ae import AE, AEU
from ddad_core.networks.memae import MemAE
from ddad_core.types import Reconstruction

Network = AE | AEU | MemAE

NETWORKS: dict[str, type[Network]] = {"ae": AE, "ae-u": AEU, "memae": MemAE}


def network_class(name: str) -> type[Network]:
    """Look a network up.

    Raises:
        ModelError: There is no network of this name.
    """
    try:
        return NETWORKS[name]
    except KeyError:
        problem = f"There is no network called {name!r}."
        raise ModelError(problem, f"Use one of: {', '.join(NETWORKS)}.") from None


def build_network(name: str, size: int = 64) -> Network:
    """Build a network with fresh weights from torch's global generator.

    Args:
        name: "ae", "ae-u" or "memae".
        size: S, a multiple of 16.

    Raises:
        ModelError: There is no network of this name, or the size does not fit its strides.
    """
    kind = network_class(name)
    if size < 16 or size % 16:
        problem = f"Input size {size} is not a multiple of 16."
        raise ModelError(problem, "The published size is 64.")
    return kind(size)


def reconstruction_loss(
    network: Network, images: torch.Tensor, out: Reconstruction
) -> torch.Tensor:
    """Evaluate the network's own training loss, a scalar."""
    return network.losses(images, out)
