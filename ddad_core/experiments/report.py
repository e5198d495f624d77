"""What an experiment found, as values for JSON; the Markdown and HTML pages are made of them."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ddad_core.experiments import atomic, markdown, page, provenance, published
from ddad_core.experiments.cells import Cell, Curve
from ddad_core.experiments.inputs import file_digest
from ddad_core.experiments.run import Outcome
from ddad_core.experiments.store import Finished
from ddad_core.vocabulary import SCORE_TITLES

SCHEMA = 1
FIGURES = ("auc", "average_precision", "sensitivity")
INTERVALS = (
    "In brackets: 95 % intervals, of the bootstrap stratified by class (2000 samples) for AUC, "
    "average precision and sensitivity at a fixed specificity, of Clopper and Pearson for "
    "sensitivity and specificity at a threshold. They tell how far the figure may move with "
    "other test images; the standard deviation over seeds tells how far it moves with another "
    "training."
)
STATEMENT = (
    "Research software. Not a medical device: not for diagnosis, triage or any decision about a "
    "patient."
)


def write_report(outcome: Outcome, config_file: Path) -> tuple[Path, ...]:
    """Write report.html, report.json and report.md into the experiment's folder.

    Returns:
        The files, the page for people first.
    """
    report = summarise(outcome, config_file)
    out = outcome.config.out
    files = {
        out / "report.html": page.render(report, outcome),
        out / "report.md": markdown.render(report),
    }
    for path, text in files.items():
        atomic.write_text(path, text)
    atomic.write_json(out / "report.json", report)
    return (*files, out / "report.json")


def summarise(outcome: Outcome, config_file: Path) -> dict[str, Any]:
    """Collect all figures and what they rest on, as JSON values.

    ``figures`` depends on the cells alone and is the same however often the run was interrupted.
    """
    config, manifest = outcome.config, outcome.inputs.manifest
    about = manifest.about
    partition = published.partition_of(manifest)
    return {
        "schema": SCHEMA,
        "title": config.title or f"DDAD on {about.get('title') or manifest.name}",
        "statement": STATEMENT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": {
            "manifest": config.manifest.name,
            "partition": partition,
            **{
                name: about.get(name) or "not stated"
                for name in ("title", "population", "abnormal_means", "source", "licence")
            },
            "counts": manifest.counts(),
            "anomaly_rate": outcome.inputs.points[0].rate,
            "n_normal": int((outcome.inputs.labels == 0).sum()),
            "n_abnormal": int((outcome.inputs.labels == 1).sum()),
        },
        "settings": {
            "training": asdict(config.training),
            "refinement": asdict(config.refinement) if config.refinement else None,
            "networks": list(config.networks),
            "seeds": list(config.seeds),
        },
        "figures": figures(outcome),
        "published": {
            "beside": partition,
            "auc": published.PUBLISHED_AUC,
            "rates": {
                data: {network: {f"{r:g}": v for r, v in rates.items()}
                       for network, rates in networks.items()}
                for data, networks in published.PUBLISHED_RATES.items()
            },
            "source": published.SOURCE,
        },
        "cells": [_cell_entry(cell) for cell in outcome.cells.values()],
        "provenance": _provenance(outcome, config_file),
    }  # fmt: skip


def figures(outcome: Outcome) -> dict[str, Any]:
    """Table, paired tests and sweeps."""
    config, plan, cells = outcome.config, outcome.plan, outcome.cells
    table, tests = [], []
    for network in config.networks:
        of_seed = {seed: cells[plan.grid[network, seed]] for seed in config.seeds}
        found = {seed: cell.evaluation["scores"] for seed, cell in of_seed.items()}
        table += [{"network": network, **row} for row in _by_score(found)]
        tests += [
            {"network": network, "seed": seed, **test}
            for seed, cell in of_seed.items()
            for test in cell.evaluation["tests"]
        ]
    return {
        "specificity": config.specificity,
        "first_seed": config.seeds[0],
        "intervals": INTERVALS,
        "table": table,
        "tests": tests,
        "sweeps": [_sweep(curve, cells) for curve in plan.curves],
    }


def _by_score(found: Mapping[int, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of one network and D_u: each score that all seeds have, with its spread."""
    names = [name for name in SCORE_TITLES if all(name in scores for scores in found.values())]
    return [
        {
            "score": name,
            "title": SCORE_TITLES[name],
            "seeds": {str(seed): scores[name] for seed, scores in found.items()},
            "spread": {
                figure: _spread([scores[name][figure]["value"] for scores in found.values()])
                for figure in FIGURES
            },
        }
        for name in names
    ]


def _spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean and standard deviation (of a sample) over seeds; one seed has no spread."""
    return {
        "mean": round(statistics.fmean(values), 6),
        "sd": round(statistics.stdev(values), 6) if len(values) > 1 else None,
        "n": len(values),
    }


def _sweep(curve: Curve, cells: Mapping[str, Finished]) -> dict[str, Any]:
    # A point shared with the table may have more scores than the others: those of all are shown.
    common = set.intersection(
        *(set(cells[name].evaluation["scores"]) for name in curve.cells.values())
    )
    points = []
    for i, point in enumerate(curve.points):
        found = {
            seed: _only(cells[curve.cells[i, seed]].evaluation["scores"], common)
            for seed in curve.seeds
        }
        points.append(
            {
                "size": point.size,
                "anomaly_rate": point.rate if point.size else None,
                "scores": _by_score(found),
            }
        )
    return {
        "name": curve.name,
        "network": curve.network,
        "epochs": curve.epochs,
        "seeds": list(curve.seeds),
        "points": points,
    }


def _only(scores: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: found for name, found in scores.items() if name in names}


def _cell_entry(finished: Finished) -> dict[str, Any]:
    cell: Cell = finished.cell
    result = finished.result
    return {
        "name": cell.name,
        "network": cell.training.network,
        "seed": cell.training.seed,
        "epochs": cell.training.epochs,
        "unlabeled": cell.point.size,
        "anomaly_rate": cell.point.rate if cell.point.size else None,
        "refined": cell.refinement is not None,
        "seconds": round(result["seconds"], 1),
        "weights_sha256": result["weights"],
        "images_sha256": {
            role: cell.identity[role] for role in ("normal", "unlabeled", "calibration", "test")
        },
        "scores_sha256": result["files"]["scores.npz"],
        "source_sha256": result["source"],
        "hardware": result["hardware"],
        "versions": result["versions"],
    }


def _provenance(outcome: Outcome, config_file: Path) -> dict[str, Any]:
    sources = {cell.result["source"] for cell in outcome.cells.values()}
    pool = outcome.inputs.pool
    return {
        "command": f"ddad experiment {config_file.name}",
        "hardware": provenance.hardware(outcome.device),
        "versions": provenance.versions(),
        "seconds": round(sum(cell.result["seconds"] for cell in outcome.cells.values()), 1),
        "config_sha256": file_digest(config_file),
        "manifest_sha256": outcome.inputs.manifest.sha256,
        "pool_sha256": pool.sha256 if pool else None,
        "source_sha256": provenance.source_digest(),
        "one_state_of_the_code": sources == {provenance.source_digest()},
    }
