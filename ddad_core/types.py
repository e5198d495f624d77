"""The values that travel between the parts. Arrays are never changed after construction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Window:
    """A display window, in the units and sense of ``Radiograph.pixels``.

    Grey of a value v, 0 to 1 (DICOM PS3.3 section C.11.2.1): "linear" is
    clip((v - centre) / width + 0.5, 0, 1); "sigmoid" is 1 / (1 + exp(-4 (v - centre) / width));
    "lut" is an entry of ``table``, the first for v = centre - width / 2 and below, the last for
    v = centre + width / 2 and above, divided by ``table_max``.

    Attributes:
        center: Window centre.
        width: Window width, greater than zero.
        name: The file's own explanation, or an empty string.
        function: How values become grey.
        table: Little-endian uint16, width + 1 entries of them, one a whole value; empty unless
            the function is "lut".
        table_max: The entry that is white.
    """

    center: float
    width: float
    name: str = ""
    function: Literal["linear", "sigmoid", "lut"] = "linear"
    table: bytes = field(default=b"", repr=False)
    table_max: int = 0


@dataclass(frozen=True)
class RadiographFacts:
    """What the file says of its image, freed of identity (no name, no id, no date).

    Attributes:
        format: "dicom", "png" or "jpeg", as found in the content.
        modality: DICOM (0008,0060), or None for a raster file.
        view: DICOM ViewPosition (0018,5101), for instance "PA", "AP", "LL"; None if unknown.
        body_part: DICOM (0018,0015), or None.
        age_years: PatientAge (0010,1010) in years, or None.
        sex: "F", "M", "O" or None.
        spacing_mm: (row, column) pixel spacing in millimetres; None if unknown or zero.
        bits: Bits stored per pixel in the file.
    """

    format: str
    modality: str | None = None
    view: str | None = None
    body_part: str | None = None
    age_years: float | None = None
    sex: str | None = None
    spacing_mm: tuple[float, float] | None = None
    bits: int = 8


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One radiograph under the one pixel contract of this project.

    Attributes:
        pixels: float32 (H, W), finite, after the modality transformation, in MONOCHROME2
            sense: larger is brighter is denser. No VOI window has been applied.
        sha256: Of the original bytes, lower-case hexadecimal.
        facts: What the file says of the image.
        windows: Display windows from the file, the default first; empty if there are none.
        warnings: Sentences a reader must see, in the order found.
        ends: Smallest and largest pixel, where whoever made this has them already.
    """

    pixels: np.ndarray
    sha256: str
    facts: RadiographFacts
    windows: tuple[Window, ...] = ()
    warnings: tuple[str, ...] = ()
    ends: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        assert self.pixels.ndim == 2 and self.pixels.dtype == np.float32

    @property
    def extremes(self) -> tuple[float, float]:
        """Smallest and largest pixel."""
        return self.ends or (float(self.pixels.min()), float(self.pixels.max()))

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What a network gives back for a batch.

    Attributes:
        mean: Reconstructed image, (B, 1, S, S).
        log_var: Per-pixel log variance of the same shape (AE-U), else None.
        attention: Memory weights, (B, slots) (MemAE), else None.
    """

    mean: torch.Tensor
    log_var: torch.Tensor | None = None
    attention: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class DiscrepancyMaps:
    """The maps of a batch, (B, S, S) each, non-negative.

    Attributes:
        rec: A_rec of the module B ensemble.
        rec_single: A_rec averaged over the single networks of module B.
        intra: A_intra.
        inter: A_inter.
    """

    rec: torch.Tensor
    rec_single: torch.Tensor
    intra: torch.Tensor
    inter: torch.Tensor


@dataclass(frozen=True, eq=False)
class ScoreResult:
    """The evidence for one radiograph under one model.

    Attributes:
        model: Name of the model.
        scores: Image scores by name: "a_rec", "a_rec_single", "a_intra", "a_inter".
        maps: float32 (S, S) by name: "rec", "intra", "inter".
        primary: Name of the score that the model's operating point is stated for.
        p_value: (1 + calibration normals at least as high) / (n + 1), of the primary score.
        percentile: Percent of calibration normals below the primary score, 0 to 100.
        warnings: Sentences a reader must see about the picture itself; empty if there is nothing.
    """

    model: str
    scores: dict[str, float]
    maps: dict[str, np.ndarray] = field(repr=False)
    primary: str
    p_value: float
    percentile: float
    warnings: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """The primary score."""
        return self.scores[self.primary]
