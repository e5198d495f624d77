"""A_ratio: how much likelier an image, and a place in it, is among D_u than among D_n.

The estimand is log p_u(x) / p_n(x). K small residual networks, convolutions throughout, give
evidence for every place; its mean is the estimate for the image, so that map and score cannot
contradict each other. The networks see a field that leaves out the corners and the border, made
free of overall brightness and contrast: marks, collimators and exposure are no evidence.

How a sum is shared out among places is not determined by the sum. It is settled by the normals:
every place has the same mean evidence on D_n, and so none stands out in every image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn
from torch.nn import functional

from ddad_core.errors import ModelError

RATIO_FILE = "ratio.safetensors"
RATIO = "ratio"
"""Name of the map; the score is ``a_ratio``."""

RatioMapping = Callable[[torch.Tensor], torch.Tensor]
"""Images (B, 1, S, S) in [-1, 1] -> maps (B, S, S)."""

LARGEST_SIDE = 64
"""Of what the networks look at; larger inputs are averaged down to at most this side."""
FIELD_RADIUS = 0.94
FIELD_POWER = 3.0
"""The field is |x|^p + |y|^p <= r^p, x and y from -1 to 1: squares of an eighth of the side in
the corners lie outside it, and so does 3 % of the side along each border."""
STEM = 16
BLOCKS = ((32, 2), (32, 1), (64, 2), (64, 1))
"""Channels and stride of the residual blocks. With 1 to 4 of them a place of the map sees a square
of 15, 31, 55 or 87 pixels: with all four, the whole of what the networks look at."""


def field_of(side: int, device: torch.device | None = None) -> torch.Tensor:
    """Which pixels the networks see: 1 inside the field and 0 outside, float32 (S, S)."""
    at = (torch.arange(side, dtype=torch.float32, device=device) + 0.5) * (2 / side) - 1
    powers = at.abs() ** FIELD_POWER
    return (powers[:, None] + powers[None, :] <= FIELD_RADIUS**FIELD_POWER).float()


def normalise_field(images: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
    """Take the mean and the standard deviation within the field out, and all outside it.

    Args:
        images: (B, 1, S, S).
        field: (S, S) of 0 and 1.
    """
    inside = field.sum()
    mean = (images * field).sum(dim=(2, 3), keepdim=True) / inside
    centred = (images - mean) * field
    deviation = (centred.square().sum(dim=(2, 3), keepdim=True) / inside).sqrt()
    return centred / (deviation + 1e-3)


class Residual(nn.Module):
    """Two 3 x 3 convolutions with BatchNorm beside a shortcut, (B, C, H, W) -> (B, D, H/s, W/s)."""

    def __init__(self, channels_in: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != channels_in:
            self.shortcut = nn.Conv2d(channels_in, channels, 1, stride=stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add what two convolutions find to what came in."""
        found = functional.relu(self.first_norm(self.first(x)), inplace=True)
        found = self.second_norm(self.second(found))
        return functional.relu(found + self.shortcut(x), inplace=True)


class RatioNetwork(nn.Module):
    """Images -> evidence maps whose mean is the logarithm of the ratio.

    Attributes:
        usual: What :meth:`centre` takes from the evidence of every image, (1, S / 8, S / 8) of
            ``side`` with all blocks; None before that.

    Args:
        size: S, the side of the images.
        blocks: How many of ``BLOCKS`` there are, 1 or more: how far around it a place sees.
    """

    def __init__(self, size: int, blocks: int = len(BLOCKS)) -> None:
        super().__init__()
        self.size = size
        self.side = min(size, LARGEST_SIDE)
        self.stem = nn.Conv2d(1, STEM, 3, stride=2, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(STEM)
        body, channels = [], STEM
        for width, stride in BLOCKS[:blocks]:
            body.append(Residual(channels, width, stride))
            channels = width
        self.body = nn.Sequential(*body)
        self.head = nn.Conv2d(channels, 1, 1)
        self.usual: torch.Tensor | None
        self.register_buffer("usual", None)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Evidence for every place, (B, 1, S, S) -> (B, S, S); 0 outside the field.

        Inside the field it is divided by the field's share of the square, so that the mean over
        the whole map is the mean evidence within the field.
        """
        return self.spread(self.evidence(self.seen(images)))

    @torch.no_grad()
    def centre(self, images: torch.Tensor, weights: torch.Tensor) -> None:
        """Give every place the same mean evidence on normals; no image's pooled map changes.

        Args:
            images: D_n, (N, 1, S, S).
            weights: Of its images, (N,).
        """
        self.usual = None
        parts = zip(images.split(64), weights.split(64), strict=True)
        sums = [
            (self.evidence(self.seen(part)) * of.view(-1, 1, 1, 1)).sum(dim=0) for part, of in parts
        ]
        usual = torch.stack(sums).sum(dim=0) / weights.sum()  # (1, side / 8, side / 8)
        self.usual = usual - pooled(self.spread(usual.unsqueeze(0)))

    def seen(self, images: torch.Tensor) -> torch.Tensor:
        """What the network looks at, (B, 1, S, S) -> (B, 1, side, side); see the module."""
        if images.shape[-1] != self.side:
            images = functional.adaptive_avg_pool2d(images, self.side)
        return normalise_field(images, field_of(self.side, images.device))

    def evidence(self, seen: torch.Tensor) -> torch.Tensor:
        """Evidence on the network's own grid.

        Args:
            seen: From :meth:`seen`, (B, 1, side, side).

        Returns:
            (B, 1, side / 8, side / 8), with all blocks.
        """
        x = functional.relu(self.stem_norm(self.stem(seen)), inplace=True)
        evidence: torch.Tensor = self.head(self.body(x))
        return evidence if self.usual is None else evidence - self.usual

    def spread(self, evidence: torch.Tensor) -> torch.Tensor:
        """Maps of evidence, (B, 1, side / 8, side / 8) -> (B, S, S); see :meth:`forward`."""
        maps = functional.interpolate(
            evidence, size=(self.size, self.size), mode="bilinear", align_corners=False
        ).squeeze(1)
        field = field_of(self.size, evidence.device)
        return maps * (field / field.mean())


def pooled(maps: torch.Tensor) -> torch.Tensor:
    """The image's log ratio: the mean of its map, (B, S, S) -> (B,)."""
    return maps.mean(dim=(1, 2))


@torch.inference_mode()
def ratio_maps(networks: Sequence[RatioNetwork], images: torch.Tensor) -> torch.Tensor:
    """Mean evidence of K networks of one size in evaluation mode, (B, 1, S, S) -> (B, S, S)."""
    seen = networks[0].seen(images)
    return networks[0].spread(torch.stack([n.evidence(seen) for n in networks]).mean(dim=0))


def mapping_by(networks: Sequence[RatioNetwork]) -> RatioMapping | None:
    """The networks themselves as what makes the maps; None if there are none."""
    return partial(ratio_maps, networks) if networks else None


def pack_ratio(networks: Sequence[RatioNetwork]) -> bytes:
    """Serialise K networks to one safetensors file, tensors named ``<k>.<name>``."""
    return save(
        {
            f"{k}.{name}": tensor.detach().cpu().contiguous()
            for k, network in enumerate(networks)
            for name, tensor in network.state_dict().items()
        }
    )


def unpack_ratio(data: bytes, size: int) -> tuple[RatioNetwork, ...]:
    """Build the networks from safetensors bytes, in evaluation mode, without gradients.

    Args:
        data: From :func:`pack_ratio`.
        size: S, the side of the model's input.

    Raises:
        ModelError: The bytes are no safetensors file, or the tensors do not fit the networks.
    """
    try:
        tensors = load(data)
        members = 1 + max(int(name.split(".")[0]) for name in tensors)
        networks = []
        for k in range(members):
            state = {n.split(".", 1)[1]: t for n, t in tensors.items() if n.startswith(f"{k}.")}
            with torch.random.fork_rng(devices=[]):
                network = RatioNetwork(size)
            if "usual" in state:
                network.usual = torch.zeros(1, network.side // 8, network.side // 8)
            network.load_state_dict(state)
            networks.append(network.eval().requires_grad_(False))
    except (SafetensorError, RuntimeError, ValueError) as error:
        problem = f"{RATIO_FILE} does not fit the networks of A_ratio."
        raise ModelError(problem, "Restore the model as it was shipped.") from error
    return tuple(networks)
