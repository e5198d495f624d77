"""Batch norm folded into the layer before it: the same function with half the passes over memory.

In evaluation mode a BatchNorm is an affine map per channel, so it can be multiplied into the
weights of the convolution, transposed convolution or linear layer that feeds it.
"""

from __future__ import annotations

import copy
from typing import cast

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from ddad_core.ensemble import Ensemble
from ddad_core.networks.build import Network
from ddad_core.ratio import RatioNetwork, Residual


def fold_network(network: Network) -> Network:
    """Copy a network with every BatchNorm of its sequential parts folded away.

    Args:
        network: In evaluation mode; it is not changed.

    Returns:
        A network of the same class and inputs, equal up to rounding, without BatchNorm. Matrices
        that no BatchNorm follows are shared with the original: they are half of its memory.
    """
    assert not network.training, "running statistics are folded, not those of a batch"
    shared = {id(p): p for p in network.parameters() if p.ndim == 2}
    folded = copy.deepcopy(network, shared)
    for name, part in folded.named_children():
        if isinstance(part, nn.Sequential):
            setattr(folded, name, _fold_sequential(part))
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in folded.modules())
    return folded.eval().requires_grad_(False)


def fold_ensemble(module: Ensemble) -> Ensemble:
    """Copy an ensemble in evaluation mode with every network folded."""
    return Ensemble([fold_network(cast("Network", n)) for n in module.networks]).eval()


def fold_ratio(network: RatioNetwork) -> RatioNetwork:
    """Copy a network of A_ratio in evaluation mode with every BatchNorm folded away."""
    assert not network.training, "running statistics are folded, not those of a batch"
    folded = copy.deepcopy(network)
    _fold_pair(folded, "stem")
    for block in folded.body:
        assert isinstance(block, Residual), block
        _fold_pair(block, "first")
        _fold_pair(block, "second")
    return folded.eval().requires_grad_(False)


def _fold_pair(module: nn.Module, name: str) -> None:
    """Fold ``<name>_norm`` into the convolution ``name`` before it."""
    fused = fuse_conv_bn_eval(getattr(module, name), getattr(module, f"{name}_norm"))
    setattr(module, name, fused)
    setattr(module, f"{name}_norm", nn.Identity())


def _fold_sequential(part: nn.Sequential) -> nn.Sequential:
    layers: list[nn.Module] = []
    for layer in part:
        if isinstance(layer, nn.BatchNorm1d):
            before = layers.pop()
            assert isinstance(before, nn.Linear), before
            layers.append(fuse_linear_bn_eval(before, layer))
        elif isinstance(layer, nn.BatchNorm2d):
            before = layers.pop()
            assert isinstance(before, nn.Conv2d | nn.ConvTranspose2d), before
            transpose = isinstance(before, nn.ConvTranspose2d)
            layers.append(fuse_conv_bn_eval(before, layer, transpose=transpose))
        else:
            layers.append(layer)
    return nn.Sequential(*layers)
