"""Boxes of files that are imported: of tables, of lists, of COCO."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.gateways.files import is_sha256
from app.gateways.packages import PackageError
from app.services.export_coco import UNNAMED
from app.store.records import Box
from app.store.storable import storable

NAME_LIMIT = 160


def wrong(where: str, what: str) -> PackageError:
    """The refusal of a file for one of its values."""
    problem = f"{where}: {what}."
    return PackageError(problem, "Nothing was imported. Correct the file, or export it again.")


def box_of(values: Mapping[str, Any], where: str) -> Box:
    """A box from x, y, width, height and perhaps a label.

    Raises:
        PackageError: It is none.
    """
    try:
        sides = [float(values[name]) for name in ("x", "y", "width", "height")]
    except (TypeError, ValueError, KeyError):
        sides = []
    label = values.get("label") or ""
    fits = len(sides) == 4 and all(map(math.isfinite, sides)) and min(sides) >= 0
    if not fits or 0 in sides[2:] or not isinstance(label, str) or len(label) > NAME_LIMIT:
        raise wrong(where, "a box has no place, no size or no proper label")
    x, y, width, height = sides
    return Box(x, y, width, height, str(storable(label)))


def list_of(value: Any, where: str) -> list[Any]:
    """A list, empty for None.

    Raises:
        PackageError: It is none.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise wrong(where, "boxes is no list")
    return value


def listed_box(value: Any, where: str) -> Box:
    """A box from [x, y, width, height], perhaps with a label, or from an object of these.

    Raises:
        PackageError: It is none.
    """
    if isinstance(value, list | tuple) and len(value) in (4, 5):
        value = dict(zip(("x", "y", "width", "height", "label"), value, strict=False))
    return box_of(value if isinstance(value, dict) else {}, where)


@dataclass(frozen=True)
class Coco:
    """What a COCO file says.

    Attributes:
        labels: Of its images, by SHA-256; None for no label.
        boxes: Each with the `sha256` of its image, its `box`, and its `read_id` if it has one.
    """

    labels: dict[str, int | None]
    boxes: list[dict[str, Any]]


def coco_of(path: Path) -> Coco:
    """Labels and boxes of a COCO file; images are told by their SHA-256, their name if need be.

    Raises:
        PackageError: It is no such file.
        OSError: It cannot be read.
    """
    try:
        found = json.loads(path.read_bytes())
        images = {
            one["id"]: (_image_of(one), one.get("reference_label")) for one in found["images"]
        }
        names = {one["id"]: str(one["name"]) for one in found["categories"]}
        boxes: list[dict[str, Any]] = []
        for one in found["annotations"]:
            name = names[one["category_id"]]
            values = dict(zip(("x", "y", "width", "height"), one["bbox"], strict=True))
            box = box_of(values | {"label": "" if name == UNNAMED else name}, path.name)
            more = {"read_id": one["read_id"]} if "read_id" in one else {}
            boxes.append({"sha256": images[one["image_id"]][0], "box": box, **more})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problem = f"{path.name} is no COCO file whose images are told by their SHA-256."
        step = "Each image needs sha256, or a file_name made of it."
        raise PackageError(problem, step) from error
    return Coco({sha256: label for sha256, label in images.values()}, boxes)


def _image_of(one: Mapping[str, Any]) -> str:
    sha256 = one.get("sha256") or Path(str(one["file_name"])).stem
    if not is_sha256(sha256):
        raise ValueError(sha256)
    return str(sha256)
