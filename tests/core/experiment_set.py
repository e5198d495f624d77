"""A made-up data set with its manifest, pool and configuration, for the tests of experiments."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tests.core.synthetic import write_image

PARTS = (("normal", 0, 10), ("unlabeled", 0, 6), ("unlabeled", 1, 6), ("calibration", 0, 10),
         ("test", 0, 9), ("test", 1, 8))  # fmt: skip
CONFIG = {
    "manifest": "tiny.csv",
    "images": "images",
    "out": "out",
    "networks": ["ae"],
    "seeds": [1, 2],
    "training": {"epochs": 2, "size": 16, "members": 2, "batch_size": 4},
    "unlabeled_pool": "pool.csv",
    "sweeps": {
        "anomaly_rate": {"network": "ae", "rates": [0.5, 1], "size": 6},
        "unlabeled": {"network": "ae", "sizes": [4, 12], "anomaly_rate": 0.5},
    },
    "device": "cpu",
}


class ExperimentSet:
    """Files of an experiment in a folder; ``write`` makes a configuration with changes."""

    def __init__(self, folder: Path, name: str = "tiny"):
        self.folder, self.images = folder, folder / "images"
        self.manifest = folder / f"{name}.csv"
        self.rows = []
        for role, label, count in PARTS:
            for _ in range(count):
                n = len(self.rows)
                # An abnormal image is made of another kind of noise, so scores are no constant.
                write_image(self.images / f"{n:02}.png", n + 1000 * label)
                self.rows.append((f"{n:02}.png", role, label, f"p{n}"))
        self.write_manifest()
        about = {"title": "Made-up <images>", "population": "nobody", "anomaly_rate": 0.5}
        self.manifest.with_suffix(".json").write_text(json.dumps(about))
        pool = [f"{path},{label}" for path, role, label, _ in self.rows if role == "unlabeled"]
        (folder / "pool.csv").write_text("\n".join(["path,label", *pool]) + "\n")

    def write_manifest(self, rows=None):
        lines = ["path,role,label,patient_id"]
        for path, role, label, patient in self.rows if rows is None else rows:
            lines.append(f"{path},{role},{'' if role == 'unlabeled' else label},{patient}")
        self.manifest.write_text("\n".join(lines) + "\n")

    def write(self, name: str = "tiny.yaml", **changes: object) -> Path:
        values = {**CONFIG, "manifest": self.manifest.name, **changes}
        values = {key: value for key, value in values.items() if value is not None}
        path = self.folder / name
        path.write_text(yaml.safe_dump(values, sort_keys=False))
        return path
