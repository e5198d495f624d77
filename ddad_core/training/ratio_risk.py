"""The risk of a density ratio that cannot be driven below its floor.

Source: Kato and Teshima, "Non-Negative Bregman Divergence Minimization for Deep Direct Density
Ratio Estimation", ICML 2021, with f of logistic regression ("BKL"); the step where the corrected
term is negative is Kiryo et al., NeurIPS 2017, algorithm 1. The bounded ratio is r = p_n / p_u,
the inverse of the one that is asked for: D_u holds normal images in a share of at least C, so
r <= 1 / C, whereas p_u / p_n has no bound. The networks' z is log p_u / p_n = -log r.
"""

from __future__ import annotations

import torch
from torch.nn import functional


def ratio_risk(
    normal: torch.Tensor, unlabeled: torch.Tensor, weights: torch.Tensor, floor_share: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The non-negative risk of a batch and what to descend on.

    E_n[l1] + max(0, E_u[l2] - C E_n[l2]), l2 = log(1 + r), l1 = log(1 + 1 / r) + C log(1 + r).
    The second term's expectation cannot be negative; an estimate that is has been overfitted,
    and the step then goes up that term alone instead of further down.

    Args:
        normal: z of images of D_n, (B,).
        unlabeled: z of images of D_u, (M,).
        weights: Of the normal images, (B,); their mean is taken to be 1 over D_n.
        floor_share: C, the least share of normal images in D_u, 0 to 1; 0 for the plain risk.

    Returns:
        The risk, a scalar not below 0, and the scalar whose gradient is the step.
    """
    ln_one_plus_r = (weights * functional.softplus(-normal)).mean()
    first = (weights * functional.softplus(normal)).mean() + floor_share * ln_one_plus_r
    second = functional.softplus(-unlabeled).mean() - floor_share * ln_one_plus_r
    risk = first + second.clamp(min=0)
    return risk, torch.where(second < 0, -second, first + second)
