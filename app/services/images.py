"""Stored images: what a network or a browser needs of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from app.gateways.files import FilesError, ImageFiles
from app.store.records import ImageRecord
from ddad_core.errors import RefusedImageError
from ddad_core.imaging.geometry import to_network_grey
from ddad_core.imaging.prepare import Display, Prepared, Wanted, display_of
from ddad_core.imaging.sandbox import Sandbox
from ddad_core.imaging.stored import StoredPixels, from_stored
from ddad_core.types import Radiograph, RadiographFacts, Window


@dataclass(frozen=True, eq=False)
class Picture:
    """A stored image as a browser shows it.

    Attributes:
        display: Pixels and default window.
        presets: Display windows of the file, the default first.
    """

    display: Display = field(repr=False)
    presets: tuple[Window, ...]


class StoredImages:
    """Reads stored images; a DICOM file that was taken in is still decoded in a child process."""

    def __init__(self, files: ImageFiles, sandbox: Sandbox) -> None:
        self._files = files
        self._sandbox = sandbox

    def picture(self, image: ImageRecord, side: int = 0) -> Picture:
        """An image for the browser, with ``side`` no longer than that (0: as it is).

        Raises:
            FilesError: The stored file is missing or damaged.
        """
        if image.stored_as == "dicom":
            prepared = self._prepared(image, Wanted(display=True, display_side=side, whole=True))
            assert prepared.display
            return Picture(prepared.display, prepared.windows)
        radiograph = self._restored(image)
        return Picture(display_of(radiograph, side), radiograph.windows)

    def grey(self, image: ImageRecord, size: int) -> np.ndarray:
        """An image as the input of a network, uint8 (S, S).

        Raises:
            FilesError: The stored file is missing or damaged.
        """
        if image.stored_as == "dicom":
            found: Mapping[int, np.ndarray] = self._prepared(
                image, Wanted(sizes=(size,), whole=True)
            ).grey
            return found[size]
        return to_network_grey(self._restored(image), size)

    def _prepared(self, image: ImageRecord, wanted: Wanted) -> Prepared:
        data = self._files.file(image.sha256, "dicom", stored_sha256=image.stored_sha256)
        try:
            return self._sandbox.prepare(data, wanted)
        except RefusedImageError as error:
            problem = f"The stored file of {image.label} cannot be read: {error.problem}"
            raise FilesError(problem, "Bring the original file in again.") from error

    def _restored(self, image: ImageRecord) -> Radiograph:
        """Rebuild a radiograph from the 16-bit values that are kept of it."""
        values = self._files.pixels(image.sha256)
        return Radiograph(
            pixels=from_stored(StoredPixels(values, image.slope, image.intercept)),
            sha256=image.sha256,
            facts=RadiographFacts(format=image.format, bits=image.bits),
            windows=tuple(Window(**asdict(window)) for window in image.windows),
        )
