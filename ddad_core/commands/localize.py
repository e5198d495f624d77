"""`ddad localize`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from tqdm import tqdm

from ddad_core.commands.output import write_json
from ddad_core.errors import ManifestError, RefusedImageError, RequestError
from ddad_core.evaluation.localization import (
    LocalizationResult,
    centre_prior,
    localize,
    localize_masks,
    state,
)
from ddad_core.evaluation.regions import read_boxes
from ddad_core.vocabulary import MAP_TITLES

if TYPE_CHECKING:
    from ddad_core.registry import Model

CENTRE = "the centre of the image"
MEAN_NORMAL = "the mean normal map"


def run(arguments: Namespace) -> int:
    """`ddad localize`."""
    from ddad_core.registry import load_model

    frame = (arguments.frame, arguments.frame)
    masks = _read_masks(arguments) if arguments.masks else {}
    boxes = {} if masks else read_boxes(arguments.boxes, frame=frame)
    model = load_model(arguments.weights / arguments.model)
    names = list(masks or boxes)
    maps = _maps(model, _grey(names, arguments, model.card.input_size), arguments.device)
    normal_maps = None
    if arguments.normals != "none":
        normal_maps = _maps(model, _normal_grey(arguments, model), arguments.device)
    baselines: dict[str, dict[str, np.ndarray]] = {}
    for name, values in maps.items():
        baselines[name] = {CENTRE: centre_prior(values.shape[-1])}
        if normal_maps is not None:
            baselines[name][MEAN_NORMAL] = normal_maps[name].mean(axis=0)
    if masks:
        found = localize_masks(
            maps, list(masks.values()), normal_maps=normal_maps, baselines=baselines
        )
    else:
        found = localize(
            maps, list(boxes.values()), frame=frame, normal_maps=normal_maps, baselines=baselines
        )
    if arguments.json:
        write_json(arguments.json, _figures(arguments, found))
    _print(model.card.name, arguments, found)
    return 0


def _read_masks(arguments: Namespace) -> dict[str, np.ndarray]:
    """Masks (H, W) by the image of the same name, subfolders included and endings aside.

    Raises:
        RequestError: There are no masks, one cannot be read, is empty or has no image.
    """
    from ddad_core.training.partition import IMAGE_SUFFIXES

    images = {
        path.relative_to(arguments.images).with_suffix(""): path
        for path in sorted(arguments.images.rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES
    }
    paths = sorted(arguments.masks.rglob("*.png"))
    if not paths:
        problem = f"There are no PNG masks in {arguments.masks}."
        raise RequestError(problem, "Give a folder of masks named like their images.")
    masks = {}
    for path in paths:
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if mask is None or not mask.any():
            problem = f"{path} is {'not a readable image' if mask is None else 'empty'}."
            raise RequestError(problem, "Mend it, or take it out of the folder.")
        name = path.relative_to(arguments.masks).with_suffix("")
        if name not in images:
            problem = f"{path} has no image of the same name in {arguments.images}."
            raise RequestError(problem, "Name each mask like its image, subfolders included.")
        masks[images[name].relative_to(arguments.images).as_posix()] = mask
    return masks


def _source(arguments: Namespace) -> Path:
    """Where the findings are written down."""
    source: Path = arguments.masks or arguments.boxes
    return source


def _maps(model: Model, grey: np.ndarray, device_name: str) -> dict[str, np.ndarray]:
    """All maps the model has of prepared images, (N, S, S), in the order readers are offered."""
    from ddad_core.scoring import Scorer

    found = Scorer(model, device_name).scores(grey).maps
    return {name: found[name] for name in MAP_TITLES if name in found}


def _grey(names: Sequence[str], arguments: Namespace, size: int) -> np.ndarray:
    """Images by name, prepared for the network: uint8 (N, S, S)."""
    from ddad_core.imaging import read_radiograph_file
    from ddad_core.imaging.geometry import to_network_grey

    missing = [name for name in names if not (arguments.images / name).is_file()]
    if missing:
        shown = ", ".join(missing[:3]) + (" ..." if len(missing) > 3 else "")
        problem = (
            f"{len(missing)} of the {len(names)} images of {_source(arguments)} are not under "
            f"{arguments.images}: {shown}."
        )
        raise RequestError(problem, "Give the folder they lie in (--images).")
    grey = np.empty((len(names), size, size), dtype=np.uint8)
    for i, name in enumerate(tqdm(names, desc="images", unit="image", leave=False)):
        try:
            grey[i] = to_network_grey(read_radiograph_file(arguments.images / name), size)
        except (RefusedImageError, OSError) as error:
            problem = f"{arguments.images / name}: {getattr(error, 'problem', error)}"
            raise RequestError(
                problem, f"Mend the file, or take it out of {_source(arguments)}."
            ) from (error)
    return grey


def _normal_grey(arguments: Namespace, model: Model) -> np.ndarray:
    """The normal images of a part of the manifest, prepared: uint8 (M, S, S)."""
    from ddad_core.training.images import load_grey
    from ddad_core.training.manifest import load_model_manifest

    own = model.card.raw["data"]
    data = load_model_manifest(arguments.manifest, own, arguments.manifests)
    rows = [row for row in data.role(arguments.normals) if row.label == 0]
    if not rows:
        problem = f"{data.path} has no normal {arguments.normals} images."
        raise ManifestError(problem, "Give another --normals part, or leave it out.")
    return load_grey(rows, arguments.images, model.card.input_size)


def _figures(arguments: Namespace, found: dict[str, LocalizationResult]) -> dict[str, Any]:
    return {
        "model": arguments.model,
        "boxes": _source(arguments).name,
        "frame": arguments.frame,
        "normals": arguments.normals,
        "maps": {
            name: {**asdict(result), "statement": state(MAP_TITLES[name], result)}
            for name, result in found.items()
        },
    }


def _print(name: str, arguments: Namespace, found: dict[str, LocalizationResult]) -> None:
    first = next(iter(found.values()))
    normal = f", {first.n_normal} normal images" if first.n_normal else ""
    print(
        f"{name} on {_source(arguments).name}: {first.n_regions} findings on "
        f"{first.n_images} images{normal}; 95 % CI: pointing Clopper-Pearson, "
        "the rest bootstrap over images"
    )
    for map_name, result in found.items():
        title = MAP_TITLES[map_name]
        print(title)
        chance = f"chance {result.chance_pointing:.3f}"
        print(f"  {'highest point inside a box':32} {result.pointing}; {chance}")
        print(f"  {'pixel AUC, mean over images':32} {result.pixel_auc}; chance 0.500")
        print(f"  {'AUPRO to 0.3':32} {result.aupro}; chance 0.150")
        for rate, share in result.froc.at.items():
            print(f"  {f'boxes hit at {rate:g} false regions':32} {share}")
        for rival, gain in result.gains.items():
            print(
                f"  against {rival}: pointing {gain.pointing.value:.3f}, pixel AUC "
                f"{gain.pixel_auc.value:.3f}, AUPRO {gain.aupro.value:.3f}"
            )
            print(f"  {'  pixel AUC gained':32} {gain.pixel_auc_gain}")
            print(f"  {'  AUPRO gained':32} {gain.aupro_gain}")
    print(f"False regions are counted an image, on {first.froc.counted_on}.")
    for map_name, result in found.items():
        print(state(MAP_TITLES[map_name], result))
