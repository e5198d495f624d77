from __future__ import annotations

import csv
import json
from pathlib import Path

from ddad_core.scoretable import COLUMNS, Table

ROW = dict.fromkeys(COLUMNS) | {
    "path": "=cmd()|a.dcm",
    "status": "refused",
    "reason": "-1",
    "abnormal": True,
}


def test_a_file_name_is_no_formula_in_csv_and_unchanged_in_json(tmp_path: Path) -> None:
    for name in ("scores.csv", "scores.json"):
        with Table(tmp_path / name, {}) as table:
            assert list(table.resume([])) == []
            table.write([("identity", ROW)])
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["path"], row["reason"], row["model"]) == ("'=cmd()|a.dcm", "'-1", "")
    assert row["abnormal"] == "true"
    (row,) = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert row["path"] == "=cmd()|a.dcm"
