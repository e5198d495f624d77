"""The threshold page's figures, done again from an export alone.

    python docs/threshold_figures.py EXPORT [--model NAME] [--labels reads|reference]
                                     [--threshold T] [--interval mid-p|wilson|clopper-pearson]

EXPORT is the folder or the ZIP file of an export without filters, with JSON Lines among its
formats. Nothing of the app is imported: numpy and scipy are all it takes. One label a case: the
majority of the readers' latest verdicts "normal" and "abnormal", or the reference label.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

Interval = tuple[float, float, float]


class Export:
    """The files of an export, each checked against the manifest before it is used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._zip = None if path.is_dir() else zipfile.ZipFile(path)
        self.manifest: dict[str, Any] = json.loads(self._bytes("manifest.json"))
        self._listed = {entry["name"]: entry for entry in self.manifest["files"]}

    def _bytes(self, name: str) -> bytes:
        return self._zip.read(name) if self._zip else (self._path / name).read_bytes()

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """The rows of a table."""
        name = f"{table}.jsonl"
        if name not in self._listed:
            sys.exit(f"{name} is not in the export: make it with the format jsonl.")
        data = self._bytes(name)
        if hashlib.sha256(data).hexdigest() != self._listed[name]["sha256"]:
            sys.exit(f"{name} is not what the manifest says: it was changed.")
        yield from (json.loads(line) for line in io.BytesIO(data))


def labels_of_reads(export: Export) -> dict[str, int]:
    """1 abnormal, 0 normal by image; ties and cases without a certain verdict have none."""
    votes: dict[str, list[int]] = defaultdict(list)
    for read in export.rows("reads"):
        if read["current"] and read["verdict"] in ("normal", "abnormal"):
            votes[read["sha256"]].append(1 if read["verdict"] == "abnormal" else -1)
    return {image: int(sum(v) > 0) for image, v in votes.items() if sum(v) != 0}


def labels_of_reference(export: Export) -> dict[str, int]:
    """The labels that came with images."""
    return {
        image["sha256"]: image["reference_label"]
        for image in export.rows("images")
        if image["reference_label"] is not None
    }


def share(count: int, n: int, method: str) -> Interval | None:
    """A share with its 95 % interval; None of nothing."""
    if n == 0:
        return None
    if method == "wilson":
        found = stats.binomtest(count, n).proportion_ci(method="wilson")
        return count / n, float(found.low), float(found.high)
    if method == "clopper-pearson":
        found = stats.binomtest(count, n).proportion_ci(method="exact")
        return count / n, float(found.low), float(found.high)
    grid = np.array([0.0, 1.0])
    ends = []
    for target in (0.025, 0.975):  # mid-P: the observed count counts half
        low, high = grid
        for _ in range(60):
            middle = (low + high) / 2
            tail = stats.binom.sf(count, n, middle) + stats.binom.pmf(count, n, middle) / 2
            low, high = (low, middle) if tail > target else (middle, high)
        ends.append((low + high) / 2)
    return count / n, 0.0 if count == 0 else ends[0], 1.0 if count == n else ends[1]


def auc(labels: np.ndarray, scores: np.ndarray) -> Interval | None:
    """AUC with DeLong's variance on the logit scale, Welch's degrees of freedom."""
    abnormal, normal = scores[labels == 1], scores[labels == 0]
    m, n = len(abnormal), len(normal)
    if m == 0 or n == 0:
        return None
    above = np.array([((normal < s).sum() + (normal == s).sum() / 2) / n for s in abnormal])
    below = np.array([((abnormal > s).sum() + (abnormal == s).sum() / 2) / m for s in normal])
    value = float(above.mean())
    if min(m, n) < 2:
        return value, float("nan"), float("nan")
    parts = above.var(ddof=1) / m, below.var(ddof=1) / n
    variance = float(sum(parts))
    if not (0 < value < 1 and variance > 1e-15):
        z = float(stats.norm.ppf(0.975))
        k, total = value * min(m, n), min(m, n)
        centre = (k + z * z / 2) / (total + z * z)
        half = z * np.sqrt(k * (total - k) / total + z * z / 4) / (total + z * z)
        low = 0.0 if value == 0 else float(centre - half)
        return value, low, 1.0 if value == 1 else float(centre + half)
    degrees = variance**2 / (parts[0] ** 2 / (m - 1) + parts[1] ** 2 / (n - 1))
    logit = np.log(value / (1 - value))
    half = stats.t.ppf(0.975, degrees) * np.sqrt(variance) / (value * (1 - value))
    return value, *(float(1 / (1 + np.exp(-(logit + s * half)))) for s in (-1, 1))


def figures(
    path: Path,
    *,
    model: str | None = None,
    labels: str = "reads",
    threshold: float | None = None,
    interval: str = "mid-p",
) -> dict[str, Any]:
    """Every figure by name.

    Args:
        path: Folder or ZIP file of the export.
        model: Which; the one with the most scores if None.
        labels: "reads" or "reference".
        threshold: The one in force when the export was made if None.
        interval: Of shares.
    """
    export = Export(path)
    facts = {one["name"]: one for one in export.manifest["models"] if one["calibrated"]}
    scores = [
        row
        for row in export.rows("scores")
        if row["model"] in facts
        and row["model_hash"] == facts[row["model"]]["hash"]
        and row["score_name"] == facts[row["model"]]["score_name"]
    ]
    if model is None:
        model = Counter(row["model"] for row in scores).most_common(1)[0][0]
    fact = facts[model]
    cut = fact["threshold"] if threshold is None else threshold
    truth = labels_of_reads(export) if labels == "reads" else labels_of_reference(export)
    of_model = [row for row in scores if row["model"] == model]
    labelled = [row for row in of_model if row["sha256"] in truth]
    y = np.array([truth[row["sha256"]] for row in labelled], dtype=int)
    s = np.array([row["score"] for row in labelled], dtype=float)
    flagged = s >= cut
    tp, fn = int((flagged & (y == 1)).sum()), int((~flagged & (y == 1)).sum())
    fp, tn = int((flagged & (y == 0)).sum()), int((~flagged & (y == 0)).sum())
    normals = np.array(fact["calibration_scores"])
    return {
        "model": model,
        "threshold": cut,
        "cases": len(labelled),
        "auc": auc(y, s),
        "sensitivity": share(tp, tp + fn, interval),
        "specificity": share(tn, tn + fp, interval),
        "ppv": share(tp, tp + fp, interval),
        "npv": share(tn, tn + fn, interval),
        "counts": {"tp": tp, "fn": fn, "fp": fp, "tn": tn},
        "flagged": sum(row["score"] >= cut for row in of_model),
        "scored": len(of_model),
        "calibration normals flagged": float((normals >= cut).mean()),
    }


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("export", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--labels", choices=("reads", "reference"), default="reads")
    parser.add_argument("--threshold", type=float)
    parser.add_argument(
        "--interval", choices=("mid-p", "wilson", "clopper-pearson"), default="mid-p"
    )
    given = parser.parse_args()
    found = figures(
        given.export,
        model=given.model,
        labels=given.labels,
        threshold=given.threshold,
        interval=given.interval,
    )
    for name, value in found.items():
        if isinstance(value, tuple):
            print(f"{name}: {value[0]:.4f} ({value[1]:.4f} to {value[2]:.4f})")  # noqa: T201
        else:
            print(f"{name}: {'none' if value is None else value}")  # noqa: T201


if __name__ == "__main__":
    main()
