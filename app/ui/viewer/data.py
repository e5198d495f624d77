"""What the viewer shows, and what it answers."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from app.services.read_draft import FINDINGS
from app.services.reading import MapLayer
from app.services.viewing import Explanation
from app.store.records import Box, RejectedRegion
from ddad_core.overlay import MapRegion, map_regions
from ddad_core.types import Window

COLOR_BYTES = 256 * 3


@dataclass(frozen=True)
class Palette:
    """Colours of a map: a name, and 256 RGB triples, low to high."""

    name: str
    colors: bytes = field(repr=False)


@dataclass(frozen=True)
class OthersBoxes:
    """Boxes of another reader's latest read."""

    who: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class BesideImage:
    """Another image of the patient, for a pane of its own; as in `ViewerData`."""

    image_id: int
    title: str
    width: int
    height: int
    pixels: bytes = field(repr=False)
    pixels_size: tuple[int, int]
    slope: float
    intercept: float
    window: Window


@dataclass(frozen=True)
class ViewerData:
    """All that the browser needs to show one image.

    Attributes:
        image_id: Key of the image; a new one starts a fresh view.
        width: Columns, W.
        height: Rows, H.
        pixels: zlib of little-endian uint16, row-major: the image, or a smaller picture of it.
        slope: Value of one stored step; value = stored * slope + intercept.
        intercept: Value of a stored zero. Values are in MONOCHROME2 sense: larger is brighter.
        window: The default window.
        presets: Further windows, each with a name.
        spacing_mm: (row, column) pixel spacing in millimetres, or None.
        maps: The discrepancy maps, in the order of the map choice; empty for an unaided view.
        initial_map: Name of the map to show first; ignored without maps.
        ai_visible: Whether the overlay is shown at first.
        boxes: Boxes to start with.
        palettes: Colours to choose from, the default first.
        description: Text alternative of the image.
        pixels_size: (width, height) of ``pixels``; None: the image's own.
        explanation: What modules A and B reconstruct, once it was asked for.
        findings: What a box may be named.
        rejected: Regions of these maps that are rejected to start with.
        others: Boxes of other readers, shown on request.
        comparable: The patient's other images, as (key, words).
        beside: The one of them that was asked for.
    """

    image_id: int
    width: int
    height: int
    pixels: bytes
    slope: float
    intercept: float
    window: Window
    presets: tuple[Window, ...]
    spacing_mm: tuple[float, float] | None
    maps: tuple[MapLayer, ...]
    initial_map: str
    ai_visible: bool
    boxes: tuple[Box, ...]
    palettes: tuple[Palette, ...]
    description: str
    pixels_size: tuple[int, int] | None = None
    explanation: Explanation | None = None
    findings: tuple[str, ...] = FINDINGS
    rejected: tuple[RejectedRegion, ...] = ()
    others: tuple[OthersBoxes, ...] = ()
    comparable: tuple[tuple[int, str], ...] = ()
    beside: BesideImage | None = None

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            msg = f"The image is {self.width} x {self.height} pixels; both must be at least 1."
            raise ValueError(msg)
        if not all(window.width > 0 for window in (self.window, *self.presets)):
            msg = "A display window has a width of zero or less; pass windows wider than zero."
            raise ValueError(msg)
        if not self.palettes or any(len(one.colors) != COLOR_BYTES for one in self.palettes):
            msg = f"Each palette must be 256 RGB triples, {COLOR_BYTES} bytes; pass at least one."
            raise ValueError(msg)
        if self.maps and self.initial_map not in {layer.name for layer in self.maps}:
            names = ", ".join(layer.name for layer in self.maps)
            msg = f"initial_map is {self.initial_map!r}; pass one of: {names}."
            raise ValueError(msg)

    def map_named(self, name: object) -> MapLayer | None:
        """The map of that name; without one, the initial map; None if there are no maps."""
        by_name = {layer.name: layer for layer in self.maps}
        chosen = by_name.get(name) if isinstance(name, str) else None
        return chosen or by_name.get(self.initial_map)

    def region_at(self, name: str, threshold: float, cell: int) -> RejectedRegion | None:
        """The region of a map whose highest value lies in a cell, counted in rows from the top.

        The browser names it so: what is stored of a region is worked out here. None without one.
        """
        layer = next((layer for layer in self.maps if layer.name == name), None)
        if layer is None or not 0 <= cell < layer.size**2 or not math.isfinite(threshold):
            return None
        place = divmod(cell, layer.size)
        found = next((r for r in self._regions(layer, threshold) if r.peak_cell == place), None)
        if found is None:
            return None
        wide, high = self.width / layer.size, self.height / layer.size
        return RejectedRegion(
            map_name=name,
            pixel_threshold=threshold,
            x=found.left * wide,
            y=found.top * high,
            width=(found.right + 1 - found.left) * wide,
            height=(found.bottom + 1 - found.top) * high,
            peak=found.peak,
            peak_x=(place[1] + 0.5) * wide,
            peak_y=(place[0] + 0.5) * high,
        )

    def cell_of(self, region: RejectedRegion) -> int:
        """The cell with a region's highest value, as `region_at` takes it; -1 without its map."""
        layer = next((layer for layer in self.maps if layer.name == region.map_name), None)
        if layer is None:
            return -1
        column = math.floor(region.peak_x * layer.size / self.width)
        return math.floor(region.peak_y * layer.size / self.height) * layer.size + column

    def known(self, regions: Iterable[RejectedRegion]) -> tuple[RejectedRegion, ...]:
        """Those of the regions that these maps have: other models' are not."""
        found = []
        for region in regions:
            here = self.region_at(region.map_name, region.pixel_threshold, self.cell_of(region))
            if here is not None and math.isclose(here.peak, region.peak, rel_tol=1e-6):
                found.append(region)
        return tuple(found)

    def _regions(self, layer: MapLayer, threshold: float) -> list[MapRegion]:
        key = (layer.name, threshold)
        if key not in self._found:
            values = np.frombuffer(zlib.decompress(layer.values), "<f4")
            # As the browser compares: a 64-bit threshold with values that were 32-bit.
            values = values.reshape(layer.size, layer.size).astype(np.float64)
            self._found[key] = map_regions(values, threshold)
        return self._found[key]

    @functools.cached_property
    def _found(self) -> dict[tuple[str, float], list[MapRegion]]:
        """Regions by map and threshold, found once: every click asks for them again."""
        return {}

    @functools.cached_property
    def pixels_key(self) -> str:
        """Digest that changes when the picture does, and only then."""
        return key_of_pixels(self.pixels, self.width, self.height, self.slope, self.intercept)

    @property
    def is_full(self) -> bool:
        """Whether ``pixels`` are the image's own."""
        return self.pixels_size in (None, (self.width, self.height))

    @functools.cached_property
    def maps_key(self) -> str:
        """Digest that changes when a map, a scale or a default threshold does.

        The initial map is none of these: a map once chosen stays when the page is laid out anew.
        """
        facts = [
            (m.name, m.unit, m.size, m.threshold, m.maximum, hashlib.sha256(m.values).hexdigest())
            for m in self.maps
        ]
        return _digest(b"", *facts)


@dataclass(frozen=True)
class ViewerState:
    """What the reader has done, as far as the server must know.

    Attributes:
        image_id: The image this belongs to.
        boxes: Boxes now on the image, in image pixels.
        map_name: Map shown, or an empty string without maps.
        pixel_threshold: Threshold of that map, in its units.
        opacity: Opacity of the overlay, 0 to 1.
        ai_visible: Whether the overlay is shown; False without maps.
        rejected: Regions of these maps that are rejected now.
    """

    image_id: int
    boxes: tuple[Box, ...]
    map_name: str
    pixel_threshold: float
    opacity: float
    ai_visible: bool
    rejected: tuple[RejectedRegion, ...] = ()


@dataclass(frozen=True)
class ViewerWants:
    """What the browser asks for beyond what it was sent.

    Attributes:
        full: The image in full.
        explanation: What modules A and B reconstruct, under the maps now shown.
        beside: The key of another image of the patient, to compare with; 0 for none.
        has: The ``pixels_key`` of the picture it has and need not be sent again.
    """

    full: bool = False
    explanation: bool = False
    beside: int = 0
    has: str = ""


def key_of_pixels(pixels: bytes, width: int, height: int, slope: float, intercept: float) -> str:
    """``ViewerData.pixels_key`` of pixels that no viewer shows yet."""
    return _digest(pixels, width, height, slope, intercept)


def lay_out(header: Mapping[str, object], body: bytes) -> bytes:
    """A header and the parts it names in one run of bytes, as payload.js takes it apart.

    Components take bytes only as the whole of their data, never inside a mapping. The layout is
    the header's length (little-endian uint32), the header (JSON, UTF-8), then the parts that the
    header names by [offset, length], counted from the header's end.
    """
    encoded = json.dumps(header, allow_nan=False).encode()
    return struct.pack("<I", len(encoded)) + encoded + body


def _digest(content: bytes, *facts: object) -> str:
    return hashlib.sha256(content + repr(facts).encode()).hexdigest()[:16]
