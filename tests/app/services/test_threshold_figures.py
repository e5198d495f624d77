"""The script in docs/ and the threshold page say the same of a made-up store."""

from __future__ import annotations

import ast
import importlib.util
import json
import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from app.services.container import Services
from app.services.exporting import ExportWish
from app.services.people import Person
from app.settings import REPOSITORY
from app.store.schema import ImageRow, ReadRow, ScoreRow
from benchmarks.worklist import image
from ddad_core.evaluation.delong import delong_auc
from ddad_core.evaluation.intervals import share_of
from ddad_core.vocabulary import SCORE_TITLES

SCRIPT = REPOSITORY / "docs" / "threshold_figures.py"
MODEL = "nih-ae-u"
ANA = Person.named("Ana")
CASES = 300


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("threshold_figures", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def made_up(empty: Services) -> Services:
    """300 scored cases; most read by one to three readers who differ, some twice."""
    source = random.Random(3)
    card = empty.models.card(MODEL)
    now = empty.exporting._store.now()
    images = [image(source, n, 40.0, now) for n in range(1, CASES + 1)]
    scores, reads = [], []
    for one in images:
        abnormal = source.random() < 0.4
        one["reference_label"] = int(abnormal) if source.random() < 0.7 else None
        around = card.operating_point.threshold + (0.05 if abnormal else -0.1)
        value = round(source.gauss(around, 0.12), 2)  # with ties
        scores.append(
            dict.fromkeys(SCORE_TITLES, value)
            | {
                "image_id": one["id"],
                "model_name": card.name,
                "model_hash": card.model_hash,
                "score_name": card.primary,
                "score": value,
                "p_value": 0.5,
                "percentile": 50.0,
                "warnings": (),
                "seconds": 0.1,
                "scored_at": now,
            }
        )
        for reader in source.sample(["ana", "ben", "cem"], source.randrange(4)):
            for revision in range(1, source.choice([2, 2, 3])):
                right = "abnormal" if abnormal else "normal"
                other = source.choice(["normal", "abnormal", "uncertain", "unreadable"])
                reads.append(
                    {
                        "image_id": one["id"],
                        "reader": reader,
                        "revision": revision,
                        "verdict": right if source.random() < 0.8 else other,
                        "findings": (),
                        "comment": "",
                        "ai_visible": True,
                        "saved_at": now,
                    }
                )
    with empty.exporting._store._engine.begin() as connection:
        connection.execute(insert(ImageRow), images)
        connection.execute(insert(ScoreRow), scores)
        connection.execute(insert(ReadRow), reads)
    return empty


@pytest.mark.parametrize("labels", ["reads", "reference"])
def test_the_script_agrees_with_the_page(
    made_up: Services, script: Any, tmp_path: Path, labels: Any
) -> None:
    path = tmp_path / "export.zip"
    made_up.exporting.archive(ANA, ExportWish(formats=("jsonl",)), path)
    evidence = made_up.tuning.evidence(ANA, MODEL, labels)
    cut = evidence.in_force.threshold
    effect = made_up.tuning.effect(evidence, cut)
    counts = effect.counts
    found = script.figures(path, labels=labels)
    assert (found["model"], found["threshold"]) == (MODEL, cut)
    assert found["cases"] == len(evidence.labels) > 100
    assert (found["flagged"], found["scored"]) == (effect.flagged, effect.scored)
    assert found["scored"] == CASES
    assert found["calibration normals flagged"] == pytest.approx(effect.normal_rate)
    assert found["counts"] == {
        "tp": counts.true_positive,
        "fn": counts.false_negative,
        "fp": counts.false_positive,
        "tn": counts.true_negative,
    }
    assert evidence.auc is not None and counts.sensitivity and counts.specificity
    assert found["auc"][0] == pytest.approx(evidence.auc.value)
    exact = delong_auc(evidence.labels, evidence.scores)
    assert found["auc"] == pytest.approx((exact.value, exact.low, exact.high))
    assert found["sensitivity"][0] == pytest.approx(counts.sensitivity.value)
    assert found["specificity"][0] == pytest.approx(counts.specificity.value)
    tp, fn, fp, tn = found["counts"].values()
    shares = {
        "sensitivity": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "ppv": (tp, tp + fp),
        "npv": (tn, tn + fn),
    }
    for method in ("mid-p", "wilson", "clopper-pearson"):
        found = script.figures(path, labels=labels, interval=method)
        for name, (count, n) in shares.items():
            wanted = share_of(count, n, method=method)
            assert found[name] == pytest.approx((wanted.value, wanted.low, wanted.high)), name


def test_a_changed_file_is_not_used(made_up: Services, script: Any, tmp_path: Path) -> None:
    made_up.exporting.folder(ANA, ExportWish(formats=("jsonl",)), tmp_path / "out")
    file = tmp_path / "out" / "reads.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[0]["verdict"] = "abnormal" if lines[0]["verdict"] == "normal" else "normal"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(SystemExit, match="changed"):
        script.figures(tmp_path / "out")


def test_the_script_imports_nothing_of_the_project() -> None:
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    names = {
        name
        for node in ast.walk(tree)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    assert not {name.split(".")[0] for name in names} & {"app", "ddad_core", "benchmarks", "tests"}
