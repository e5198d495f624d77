"""`ddad manifest`."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ddad_core.errors import RequestError

if TYPE_CHECKING:
    from ddad_core.training.manifest import Manifest

PUBLISHED = ("rsna", "vinbigdata")
OWN = ("kermany", "nih", "folder")
DEFAULT_SEED = 2022
ONLY_FOR: Mapping[str, tuple[str, ...]] = {
    "labels": ("nih",),
    "boxes": ("nih",),
    "leave_out": ("nih",),
    "seed": OWN,
    "normal": OWN,
    "calibration": PUBLISHED,
    "validation": PUBLISHED,
    "calibration_from_normal": PUBLISHED,
    "validation_from_normal": PUBLISHED,
    "missing": PUBLISHED,
}
"""Options that not every kind takes, by their names in the parsed arguments."""


def run(arguments: Namespace) -> int:
    """`ddad manifest`."""
    from ddad_core.training.manifest import save_manifest

    for option, kinds in ONLY_FOR.items():
        if getattr(arguments, option) is not None and arguments.kind not in kinds:
            problem = f"--{option.replace('_', '-')} is not for {arguments.kind}."
            raise RequestError(problem, f"It is for {', '.join(kinds)}; leave it out.")
    _check_out(arguments.out)
    built = _published(arguments) if arguments.kind in PUBLISHED else _own(arguments)
    save_manifest(built, arguments.out)
    _tell(built, arguments.anomaly_rate)
    return 0


def _check_out(out: Path) -> None:
    """Thousands of images are read before the first line is written."""
    if out.suffix.lower() != ".csv":
        problem = f"{out} does not end in .csv; its facts go into a .json file of the same name."
        raise RequestError(problem, "Give --out a name that ends in .csv.")
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    if out.is_dir() or not (folder.is_dir() and os.access(folder, os.W_OK)):
        problem = f"{out} cannot be written."
        raise RequestError(problem, "Give --out a file in a folder you may write to.")


def _own(arguments: Namespace) -> Manifest:
    from ddad_core.training import partition
    from ddad_core.training.assignment import Sizes

    seed = DEFAULT_SEED if arguments.seed is None else arguments.seed
    sizes = Sizes(arguments.normal, arguments.unlabeled, arguments.anomaly_rate)
    if arguments.kind == "nih":
        if arguments.labels is None:
            problem = "The NIH set needs its labels."
            raise RequestError(problem, "Give --labels labels.csv.")
        return partition.build_nih(
            arguments.images,
            seed=seed,
            labels=arguments.labels,
            boxes=arguments.boxes,
            left_out=arguments.leave_out or (),
            sizes=sizes,
        )
    build = {"kermany": partition.build_kermany, "folder": partition.build_folder}
    return build[arguments.kind](arguments.images, seed=seed, sizes=sizes)


def _published(arguments: Namespace) -> Manifest:
    from ddad_core.training.challenge import build_published
    from ddad_core.training.protocols import ProtocolSizes, load_partition

    given = {
        name: value
        for name in ProtocolSizes.__dataclass_fields__
        if (value := getattr(arguments, name)) is not None
    }
    # Normals held back from D_n stand in for those of the unlabeled list, unless both are asked.
    for part in ("calibration", "validation"):
        if given.get(f"{part}_from_normal"):
            given.setdefault(part, 0)
    return build_published(
        load_partition(arguments.kind, arguments.manifests),
        ProtocolSizes(**given),
        arguments.images,
        missing_file=arguments.missing or arguments.out.with_suffix(".missing.tsv"),
    )


def _tell(built: Manifest, asked: float | None) -> None:
    rate = built.about["anomaly_rate"]
    for role, counts in built.counts().items():
        print(f"{role:12} " + ", ".join(f"{n} {label}" for label, n in counts.items()))
    if not built.role("unlabeled"):
        print("unlabeled    none")
    elif rate is not None:
        rounded = f" (asked: {asked:g}; images come whole)" if asked not in (None, rate) else ""
        print(f"anomaly rate {rate:g} of the unlabeled images{rounded}")
    for kind, n in built.about.get("files", {}).items():
        print(f"{n} files {kind}")
    across = built.about.get("pixel_duplicates_across_roles")
    if across is not None:
        print(f"{len(across)} images with equal pixels under two roles (reported in the sidecar)")
