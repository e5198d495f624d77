"""The figures the authors published, beside or apart from ours.

Source: Cai et al., MICCAI 2022 (arXiv 2206.03935), Table 1 and the ablation of the anomaly rate;
D_u of 4000 images at an anomaly rate of 60 %, 1000 normal and 1000 abnormal test images.
"""

from __future__ import annotations

from ddad_core.training.manifest import Manifest

SOURCE = (
    "Cai et al., MICCAI 2022 (arXiv 2206.03935); D_u of 4000 images at an anomaly rate of 60 %, "
    "test part of 1000 normal and 1000 abnormal images"
)
TITLES = {"rsna": "RSNA", "vinbigdata": "VinBigData"}
_SCORES = ("a_rec_single", "a_rec", "a_intra", "a_inter")
_AUC = {
    "rsna": {
        "ae": (0.669, 0.669, 0.694, 0.8145),
        "memae": (0.680, 0.670, 0.729, 0.788),
        "ae-u": (0.867, 0.866, 0.873, 0.910),
    },
    "vinbigdata": {
        "ae": (0.559, 0.555, 0.601, 0.710),
        "memae": (0.558, 0.553, 0.595, 0.690),
        "ae-u": (0.738, 0.731, 0.743, 0.859),
    },
}
PUBLISHED_AUC: dict[str, dict[str, dict[str, float]]] = {
    data: {network: dict(zip(_SCORES, row, strict=True)) for network, row in rows.items()}
    for data, rows in _AUC.items()
}
"""AUC by data set, network and score."""

PUBLISHED_RATES = {
    "rsna": {
        "ae": {0.0: 0.703, 0.2: 0.782, 0.4: 0.802, 0.6: 0.815, 0.8: 0.824, 1.0: 0.822},
    }
}
"""AUC of A_inter by data set, network and anomaly rate, at 4000 images."""


def partition_of(manifest: Manifest) -> str | None:
    """Name of the published partition that a manifest follows; None if it follows none."""
    for name in (manifest.about.get("partition"), manifest.about.get("protocol"), manifest.name):
        if isinstance(name, str) and name in PUBLISHED_AUC:
            return name
    return None
