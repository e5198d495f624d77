"""The refinement network (ASR): discrepancy maps -> one refined anomaly map.

Source: Cai et al., Medical Image Analysis 86, 2023, 102794 ("DDAD-ASR"), section "Anomaly score
refinement", and the authors' published model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn
from torch.nn import functional

from ddad_core.errors import ModelError
from ddad_core.types import DiscrepancyMaps

INPUT_MAPS: dict[str, tuple[str, ...]] = {"r_dual": ("inter", "intra"), "r_intra": ("intra",)}
"""The maps each kind of refinement reads, as its input channels in this order."""

REFINEMENT_FILE = "refinement.safetensors"
WIDTH = 128
PIXELS_AT_ONCE = {"cpu": 8 * 64 * 64, "cuda": 256 * 64 * 64}
"""How much :func:`refine` takes at a time: 128 channels of a large batch leave the CPU's caches
(and hundreds of megabytes behind them), so small portions are as fast there and much leaner."""


class RefinementNetwork(nn.Module):
    """Three 3 x 3 convolutions with bias, C-128-128-2; BatchNorm and ReLU on the first two.

    Args:
        channels_in: C, the number of discrepancy maps it reads.
    """

    def __init__(self, channels_in: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, WIDTH, 3, padding=1)
        self.first_norm = nn.BatchNorm2d(WIDTH)
        self.second = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.second_norm = nn.BatchNorm2d(WIDTH)
        self.last = nn.Conv2d(WIDTH, 2, 3, padding=1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits of "normal" and "anomalous", (B, C, S, S) -> (B, 2, S, S).

        In evaluation mode each BatchNorm is folded into the convolution before it: about a
        fifth less time on a CPU, for next to nothing a call and with no second copy of weights to
        keep in step.
        """
        x = self._stage(inputs, self.first, self.first_norm)
        x = self._stage(x, self.second, self.second_norm)
        return self.last(x)

    def anomaly_maps(self, inputs: torch.Tensor) -> torch.Tensor:
        """Softmax probability of "anomalous", (B, C, S, S) -> (B, S, S) in [0, 1]."""
        logits = self.forward(inputs)
        return torch.sigmoid(logits[:, 1] - logits[:, 0])  # softmax over two channels

    def _stage(self, x: torch.Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> torch.Tensor:
        if self.training:
            return functional.relu(norm(conv(x)), inplace=True)
        assert conv.bias is not None and norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)  # (128,)
        weight = conv.weight * scale.view(-1, 1, 1, 1)
        bias = (conv.bias - norm.running_mean) * scale + norm.bias
        return functional.relu(functional.conv2d(x, weight, bias, padding=1), inplace=True)


def build_refinement(kind: str) -> RefinementNetwork:
    """Build a network with fresh weights from torch's global generator.

    Args:
        kind: "r_dual" or "r_intra".

    Raises:
        ModelError: There is no refinement of this name.
    """
    if kind not in INPUT_MAPS:
        problem = f"There is no refinement called {kind!r}."
        raise ModelError(problem, f"Use one of: {', '.join(INPUT_MAPS)}.")
    return RefinementNetwork(len(INPUT_MAPS[kind]))


def network_inputs(kind: str, maps: DiscrepancyMaps) -> torch.Tensor:
    """Stack the maps a kind of refinement reads, (B, C, S, S)."""
    return torch.stack([getattr(maps, name) for name in INPUT_MAPS[kind]], dim=1)


def refine(
    networks: Mapping[str, RefinementNetwork], maps: DiscrepancyMaps
) -> dict[str, torch.Tensor]:
    """Refine the maps of a batch; the image score is the mean of a refined map.

    Args:
        networks: By kind, in evaluation mode, on the device of the maps.
        maps: (B, S, S) each.

    Returns:
        Maps (B, S, S) in [0, 1] by kind.
    """
    device, side = maps.intra.device, maps.intra.shape[-1]
    at_once = max(1, PIXELS_AT_ONCE.get(device.type, PIXELS_AT_ONCE["cpu"]) // side**2)
    refined = {}
    for kind, network in networks.items():
        assert not network.training
        inputs = network_inputs(kind, maps).contiguous(memory_format=torch.channels_last)
        refined[kind] = torch.cat([network.anomaly_maps(part) for part in inputs.split(at_once)])
    return refined


def pack_refinement(networks: Mapping[str, RefinementNetwork]) -> bytes:
    """Serialise networks to one safetensors file, tensors named ``<kind>.<name>``."""
    return save(
        {
            f"{kind}.{name}": tensor.detach().cpu().contiguous()
            for kind, network in networks.items()
            for name, tensor in network.state_dict().items()
        }
    )


def unpack_refinement(data: bytes) -> dict[str, RefinementNetwork]:
    """Build the networks from safetensors bytes, float32, in evaluation mode, without gradients.

    Raises:
        ModelError: The bytes are no safetensors file, or the tensors do not fit the networks.
    """
    try:
        tensors = load(data)
    except SafetensorError as error:
        problem = "The refinement's weights cannot be read."
        raise ModelError(problem, "Restore the model as it was shipped.") from error
    kinds = _kinds(tensors)
    networks = {}
    for kind in kinds:
        prefix = f"{kind}."
        state = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        with torch.random.fork_rng(devices=[]):
            network = build_refinement(kind)
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            problem = f"The weights do not fit the refinement {kind}."
            raise ModelError(problem, "Restore the model as it was shipped.") from error
        networks[kind] = network.eval().requires_grad_(False)
    return networks


def _kinds(names: Iterable[str]) -> list[str]:
    found = {name.split(".")[0] for name in names}
    if not found or not found <= set(INPUT_MAPS):
        said = ", ".join(sorted(found)) or "nothing"
        problem = f"The refinement's weights hold {said}; expected {' and '.join(INPUT_MAPS)}."
        raise ModelError(problem, "Restore the model as it was shipped.")
    return [kind for kind in INPUT_MAPS if kind in found]
