"""Images of a manifest, decoded and resized once and held as 8-bit arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ddad_core.errors import ManifestError, RefusedImageError
from ddad_core.imaging import read_radiograph_file
from ddad_core.imaging.geometry import to_network_grey
from ddad_core.training.manifest import ManifestRow


def check_files(rows: Sequence[ManifestRow], images: Path) -> None:
    """Make sure every image is there before hours are spent.

    Raises:
        ManifestError: Files are missing; the first ones are named.
    """
    missing = [row.path for row in rows if not (images / row.path).is_file()]
    if missing:
        shown = ", ".join(missing[:3]) + (" ..." if len(missing) > 3 else "")
        problem = f"{len(missing)} of {len(rows)} images are not under {images}: {shown}."
        raise ManifestError(problem, "Give the folder the manifest's paths start from (--images).")


def load_grey(rows: Sequence[ManifestRow], images: Path, size: int) -> np.ndarray:
    """Decode and resize images in manifest order, with a progress bar.

    Args:
        rows: What to load.
        images: Folder the paths start from.
        size: S.

    Returns:
        uint8 (N, S, S).

    Raises:
        ManifestError: A file is missing, cannot be read, or is not the one with this SHA-256.
    """
    check_files(rows, images)
    grey = np.empty((len(rows), size, size), dtype=np.uint8)
    for i, row in enumerate(tqdm(rows, desc="images", unit="image", leave=False)):
        try:
            radiograph = read_radiograph_file(images / row.path)
            grey[i] = to_network_grey(radiograph, size)
        except RefusedImageError as error:
            problem = f"{images / row.path}: {error.problem}"
            raise ManifestError(problem, "Mend the file or take its row out.") from error
        if row.sha256 and row.sha256 != radiograph.sha256:
            problem = f"{images / row.path} is another file than the manifest's (SHA-256 differs)."
            raise ManifestError(problem, "Get the original image set, or make a new manifest.")
    return grey
