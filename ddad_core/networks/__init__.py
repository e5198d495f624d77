"""The reconstruction networks: AE, AE-U and MemAE."""

from ddad_core.networks.build import NETWORKS, build_network, reconstruction_loss

__all__ = ["NETWORKS", "build_network", "reconstruction_loss"]
