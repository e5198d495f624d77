"""A_rec, A_intra and A_inter: pure functions of what modules A and B reconstruct.

Source: Cai et al., MICCAI 2022, equations 2 to 6; the uncertainty-refined forms for AE-U are
their section "Uncertainty-refined dual-distribution discrepancy". Standard deviations divide
by K. Module A's log variance plays no part.
"""

from __future__ import annotations

import torch

from ddad_core.ensemble import EnsembleReconstruction
from ddad_core.types import DiscrepancyMaps


def discrepancy_maps(
    images: torch.Tensor, a: EnsembleReconstruction, b: EnsembleReconstruction
) -> DiscrepancyMaps:
    """Compute the maps of a batch.

    Args:
        images: (B, 1, S, S) in [-1, 1].
        a: Module A's reconstructions of the images.
        b: Module B's reconstructions of the images.

    Returns:
        Maps of shape (B, S, S); in grey units of the input for AE and MemAE, in units of the
        predicted standard deviation for AE-U (A_rec: squared).
    """
    mean_a, mean_b = a.means.mean(dim=0), b.means.mean(dim=0)  # (B, 1, S, S)
    spread = ((b.means - mean_b) ** 2).mean(dim=0)
    errors = (images - b.means) ** 2  # (K, B, 1, S, S)
    if b.log_vars is None:
        rec = (images - mean_b) ** 2
        rec_single = errors.mean(dim=0)
        intra = spread.sqrt()
        inter = (mean_a - mean_b).abs()
    else:
        variances = b.log_vars.exp()
        variance = variances.mean(dim=0)  # sigma squared
        rec = (images - mean_b) ** 2 / variance
        rec_single = (errors / variances).mean(dim=0)
        intra = (spread / variance).sqrt()
        inter = ((mean_a - mean_b) ** 2 / variance).sqrt()
    return DiscrepancyMaps(
        rec=rec.squeeze(1),
        rec_single=rec_single.squeeze(1),
        intra=intra.squeeze(1),
        inter=inter.squeeze(1),
    )


def image_scores(maps: DiscrepancyMaps) -> dict[str, torch.Tensor]:
    """Reduce maps to image scores: the mean of each map, (B,)."""
    return {
        "a_rec": maps.rec.mean(dim=(1, 2)),
        "a_rec_single": maps.rec_single.mean(dim=(1, 2)),
        "a_intra": maps.intra.mean(dim=(1, 2)),
        "a_inter": maps.inter.mean(dim=(1, 2)),
    }
