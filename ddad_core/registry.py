"""``weights/<name>/``: verify hashes, build the networks, load them. No pickle anywhere."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import load, save

from ddad_core.calibration import PlaceReference
from ddad_core.card import CARD_FILE, Card, load_card
from ddad_core.ensemble import Ensemble
from ddad_core.errors import ModelError
from ddad_core.familiarity import FAMILIARITY_FILE, Familiarity, unpack_familiarity
from ddad_core.networks import build_network
from ddad_core.ratio import RATIO_FILE, RatioNetwork, unpack_ratio
from ddad_core.refinement import REFINEMENT_FILE, RefinementNetwork, unpack_refinement

PLACES_FILE = "places.safetensors"
MODULE_FILES = {"a": "module_a.safetensors", "b": "module_b.safetensors"}


@dataclass(frozen=True, eq=False)
class Model:
    """A model ready to use, float32 and in evaluation mode.

    Attributes:
        card: What is known of it.
        a: Module A.
        b: Module B.
        refiners: Refinement networks by kind; none if the model has no refinement.
        places: The calibration normals' maps, place by place, or None.
        folder: Where it was loaded from.
        familiarity: The check of pictures unlike the training normals, or None.
        ratio: The networks of A_ratio; none if the model has no such score.
    """

    card: Card
    a: Ensemble
    b: Ensemble
    refiners: dict[str, RefinementNetwork] = field(default_factory=dict)
    places: PlaceReference | None = None
    folder: Path = Path()
    familiarity: Familiarity | None = None
    ratio: tuple[RatioNetwork, ...] = ()


def load_model(folder: Path) -> Model:
    """Load a model after checking every file against its card.

    Raises:
        ModelError: A file is missing, its hash differs from the card's, or its tensors do not
            fit the network.
    """
    card = load_card(folder)
    if card.name != folder.name:
        problem = f"{folder / CARD_FILE} is the card of {card.name}."
        raise ModelError(problem, "Restore the folder as it was shipped.")
    a, b = (_load_module(folder / file, card) for file in MODULE_FILES.values())
    refiners, places = {}, None
    if REFINEMENT_FILE in card.files:
        refiners = unpack_refinement(_checked_bytes(folder / REFINEMENT_FILE, card))
    if PLACES_FILE in card.files:
        places = unpack_places(_checked_bytes(folder / PLACES_FILE, card), card.input_size)
    familiarity = None
    if FAMILIARITY_FILE in card.files:
        familiarity = unpack_familiarity(_checked_bytes(folder / FAMILIARITY_FILE, card))
    ratio: tuple[RatioNetwork, ...] = ()
    if RATIO_FILE in card.files:
        ratio = unpack_ratio(_checked_bytes(folder / RATIO_FILE, card), card.input_size)
    return Model(card, a, b, refiners, places, folder, familiarity, ratio)


def pack_places(places: PlaceReference) -> bytes:
    """Serialise a place reference to safetensors."""
    tensors = {f"{name}.mean": values for name, values in places.mean.items()}
    tensors |= {f"{name}.deviation": values for name, values in places.deviation.items()}
    return save_arrays({name: np.ascontiguousarray(values) for name, values in tensors.items()})


def unpack_places(data: bytes, size: int) -> PlaceReference:
    """Read a place reference.

    Args:
        data: From :func:`pack_places`.
        size: S, the side of the model's maps.

    Raises:
        ModelError: The bytes are no place reference of this size.
    """
    try:
        arrays = load_arrays(data)
        names = [key.removesuffix(".mean") for key in arrays if key.endswith(".mean")]
        for key, values in arrays.items():
            if values.shape != (size, size) or not np.isfinite(values).all():
                message = f"{key} is not {size} x {size} finite numbers"
                raise ValueError(message)
            if key.endswith(".deviation") and not (values > 0).all():
                message = f"{key} is not above 0 everywhere"
                raise ValueError(message)
        return PlaceReference(
            {name: arrays[f"{name}.mean"] for name in names},
            {name: arrays[f"{name}.deviation"] for name in names},
        )
    except (SafetensorError, KeyError, ValueError) as error:
        problem = f"{PLACES_FILE} is damaged: {error}."
        raise ModelError(problem, "Restore the model as it was shipped.") from error


def pack_module(module: Ensemble, *, half: bool) -> bytes:
    """Serialise an ensemble to safetensors.

    Args:
        module: K networks.
        half: Store the linear layers' matrices, 98 % of all weights, in half precision. The
            convolutions and norms stay in full: they cost little and matter most.
    """
    tensors = {}
    for name, tensor in module.networks.state_dict().items():
        shrink = half and tensor.is_floating_point() and tensor.ndim == 2
        tensors[name] = (tensor.half() if shrink else tensor).contiguous()
    return save(tensors)


def unpack_module(data: bytes, card_network: str, size: int, members: int) -> Ensemble:
    """Build an ensemble from safetensors bytes, float32, in evaluation mode.

    Raises:
        ModelError: The tensors do not fit the network.
    """
    networks = [build_network(card_network, size) for _ in range(members)]
    ensemble = Ensemble(networks)
    try:
        tensors = load(data)
        tensors = {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}
        ensemble.networks.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as error:
        problem = f"The weights do not fit {members} networks {card_network} of size {size}."
        raise ModelError(problem, "Restore the model as it was shipped.") from error
    return ensemble.eval().requires_grad_(False)


def _checked_bytes(path: Path, card: Card) -> bytes:
    if not path.is_file():
        problem = f"The weights {path} are missing."
        raise ModelError(problem, "Restore the model as it was shipped.")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != card.files.get(path.name):
        problem = f"{path} is not the file its card describes (SHA-256 differs)."
        raise ModelError(problem, "Restore the model as it was shipped; it was not loaded.")
    return data


def _load_module(path: Path, card: Card) -> Ensemble:
    data = _checked_bytes(path, card)
    with torch.random.fork_rng(devices=[]):
        return unpack_module(data, card.network, card.input_size, card.members)
