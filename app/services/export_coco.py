"""Boxes as COCO JSON, written as they come."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

UNNAMED = "finding"
"""The category of boxes without a label."""


class CocoWriter:
    """One COCO file: images first, then annotations, then the categories that occurred.

    Args:
        path: The new file.
        info: What the file says of itself.
    """

    def __init__(self, path: Path, info: Mapping[str, Any]) -> None:
        self._file: IO[str] = path.open("w", encoding="utf-8", newline="\n")
        self._file.write('{"info":' + json.dumps(info, ensure_ascii=False) + ',\n"images":[')
        self._categories: dict[str, int] = {}
        self._between = "\n"
        self.annotations = 0

    def image(self, raw: Mapping[str, Any]) -> None:
        """Add an image; all come before the first annotation."""
        ending = "dcm" if raw["stored_as"] == "dicom" else "png"
        self._add(
            {
                "id": raw["id"],
                "file_name": f"{raw['sha256']}.{ending}",
                "sha256": raw["sha256"],
                "width": raw["width"],
                "height": raw["height"],
                "reference_label": raw["reference_label"],
            }
        )

    def begin_annotations(self) -> None:
        """No more images."""
        self._file.write('\n],\n"annotations":[')
        self._between = "\n"

    def annotation(self, image_id: int, box: Mapping[str, Any], **more: Any) -> None:
        """Add a box."""
        self.annotations += 1
        name = box["label"] or UNNAMED
        self._add(
            {
                "id": self.annotations,
                "image_id": image_id,
                "category_id": self._categories.setdefault(name, len(self._categories) + 1),
                "bbox": [box["x"], box["y"], box["width"], box["height"]],
                "area": box["width"] * box["height"],
                "iscrowd": 0,
                **more,
            }
        )

    def close(self) -> None:
        """Write the categories and finish the file."""
        categories = [{"id": number, "name": name} for name, number in self._categories.items()]
        self._file.write('\n],\n"categories":' + json.dumps(categories, ensure_ascii=False) + "}\n")
        self._file.close()

    def _add(self, entry: Mapping[str, Any]) -> None:
        self._file.write(self._between + json.dumps(entry, ensure_ascii=False))
        self._between = ",\n"
