from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from benchmarks import experiment_table
from benchmarks import page as results_page
from ddad_core.cli import main
from ddad_core.experiments import markdown, page, published, report
from ddad_core.experiments.config import load_config
from ddad_core.experiments.run import run_experiment
from ddad_core.training.manifest import Manifest
from tests.core.experiment_set import ExperimentSet

VOID = {"meta", "img", "br", "input", "link", "hr"}


class Page(HTMLParser):
    """What a page holds: tags in order, those left open, text outside scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words, self.sources = [], [], [], []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [v for k, v in attributes if k in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.words.append(data)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    data = ExperimentSet(tmp_path_factory.mktemp("set"))
    path = data.write(
        networks=["ae", "ae-u"],
        refinement={"epochs": 1, "batch_size": 10},
        sweeps={"unlabeled": {"network": "ae", "sizes": [4, 12], "anomaly_rate": 0.5}},
    )
    outcome = run_experiment(load_config(path))
    report.write_report(outcome, path)
    torch.set_num_threads(threads)
    return outcome


@pytest.fixture(scope="module")
def written(outcome):
    return json.loads((outcome.config.out / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def html(outcome):
    return (outcome.config.out / "report.html").read_text(encoding="utf-8")


def test_table_has_every_network_and_score_with_the_spread_over_seeds(outcome, written):
    table = written["figures"]["table"]
    scores = ["a_rec_single", "a_rec", "a_intra", "a_inter", "r_intra", "r_dual"]
    assert [(r["network"], r["score"]) for r in table] == [
        (network, score) for network in ("ae", "ae-u") for score in scores
    ]
    for row in table:
        cells = [outcome.cells[outcome.plan.grid[row["network"], seed]] for seed in (1, 2)]
        stated = [cell.evaluation["scores"][row["score"]]["auc"] for cell in cells]
        assert [row["seeds"]["1"]["auc"], row["seeds"]["2"]["auc"]] == stated
        values = [found["value"] for found in stated]
        assert row["spread"]["auc"]["mean"] == pytest.approx(np.mean(values), abs=1e-6)
        assert row["spread"]["auc"]["sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-6)


def test_paired_tests_are_there_for_every_network_seed_and_score(written):
    tests = written["figures"]["tests"]
    assert [(t["network"], t["seed"], t["score"]) for t in tests] == [
        (n, s, score) for n in ("ae", "ae-u") for s in (1, 2) for score in ("a_inter", "r_dual")
    ]
    assert all(0 <= t["p_value"] <= 1 and t["against"] == "a_rec" for t in tests)


def test_report_says_what_it_rests_on(outcome, written):
    made = written["provenance"]
    assert made["manifest_sha256"] == outcome.inputs.manifest.sha256
    assert made["one_state_of_the_code"] and made["hardware"]["cores"] >= 1
    assert {"python", "torch", "numpy", "ddad-review"} <= set(made["versions"])
    assert made["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert len(written["cells"]) == 6
    for cell in written["cells"]:
        assert len(cell["weights_sha256"]) == (3 if cell["refined"] else 2)
        digests = [*cell["weights_sha256"].values(), *cell["images_sha256"].values()]
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)
    assert made["seconds"] == pytest.approx(sum(c["seconds"] for c in written["cells"]), abs=0.4)


def test_sweep_shows_the_scores_that_all_points_have(written):
    (sweep,) = written["figures"]["sweeps"]
    # The point of 12 images is the table's cell and has R_dual; that of 4 images has not.
    for point in sweep["points"]:
        names = [row["score"] for row in point["scores"]]
        assert names == ["a_rec_single", "a_rec", "a_intra", "a_inter"]
    table = {(r["network"], r["score"]): r for r in written["figures"]["table"]}
    assert sweep["points"][1]["scores"][3]["seeds"] == table["ae", "a_inter"]["seeds"]
    header, rows = markdown.sweep_rows(written, sweep)
    assert [len(row) for row in rows] == [len(header)] * 2 and [r[0] for r in rows] == ["4", "12"]


def test_markdown_tables_are_even_and_hold_the_figures(outcome, written):
    text = (outcome.config.out / "report.md").read_text(encoding="utf-8")
    first = written["figures"]["table"][3]["seeds"]["1"]["auc"]
    assert f"{first['value']:.3f} ({first['ci95'][0]:.3f} to {first['ci95'][1]:.3f})" in text
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1
    assert text.count("Not a medical device") == 1


def test_page_is_whole_and_needs_nothing_from_elsewhere(html):
    found = Page(html)
    assert found.open == []
    assert all(s.startswith(("data:image/png;base64,", "#s")) for s in found.sources)
    assert html.count("<script>/**") == 1 and html.count("plotly.js v") == 1
    plots = html.count("Plotly.newPlot(") - html.split("</script>")[0].count("Plotly.newPlot(")
    assert plots == 5  # intervals, ROC, histograms, one sweep, losses


def test_page_shows_every_part(html):
    text = Page(html).text
    for words in (
        "Networks and scores",
        "ROC curves and score histograms",
        "Size of D_u, AE",
        "Sample maps",
        "Training",
        "Published figures, other data",
        "none of these figures can be set against those above",
        "How it was made",
        "Population nobody",
    ):
        assert words in text, words
    assert text.count("Not a medical device") == 1


def test_page_shows_inputs_and_maps_of_the_samples(html, outcome):
    # Two networks, six images; the input and five maps each.
    assert html.count("<img ") == 2 * 6 * 6


def test_words_of_the_data_set_are_no_markup(html):
    assert "Made-up <images>" not in html.replace("Made-up &lt;images&gt;", "")
    assert "<title>DDAD on Made-up &lt;images&gt;</title>" in html


def test_samples_can_be_left_out(outcome, written):
    without = replace(outcome, config=replace(outcome.config, samples=0))
    text = page.render(written, without)
    assert "<img " not in text and "Sample maps" not in text
    few = replace(outcome, config=replace(outcome.config, samples=2))
    assert page.render(written, few).count("<img ") == 2 * 2 * 6


def test_one_seed_has_no_spread(outcome, tmp_path):
    config = replace(outcome.config, seeds=(1,))
    alone = replace(outcome, config=config)
    found = report.summarise(alone, outcome.config.out / "report.md")
    assert all(row["spread"]["auc"]["sd"] is None for row in found["figures"]["table"])
    header, rows = markdown.grid_rows(found)
    assert "mean ± SD" not in header and {len(row) for row in rows} == {len(header)}
    assert "One seed." in markdown.table_caption(found)


def test_published_figures_stand_beside_on_their_own_partition(outcome):
    config, inputs = outcome.config, outcome.inputs
    rsna = replace(inputs, manifest=replace(inputs.manifest, name="rsna"))
    found = report.summarise(replace(outcome, inputs=rsna), config.out / "report.md")
    header, rows = markdown.grid_rows(found)
    assert header[-1] == "Published AUC"
    beside = {(row[0], row[1]): row[-1] for row in rows if row[0]}
    assert beside["AE", "A_inter"] == "0.8145" and beside["AE-U", "A_inter"] == "0.910"
    assert beside["AE", "R_dual"] == "–"
    assert "other data" not in markdown.published_caption(found)


def test_published_figures_stand_apart_on_other_data(written):
    header, _ = markdown.grid_rows(written)
    assert "Published AUC" not in header
    assert "Other data and another protocol" in markdown.published_caption(written)


@pytest.mark.parametrize(
    ("manifest", "name"),
    [
        (Manifest("rsna", ()), "rsna"),
        (Manifest("mine", (), {"partition": "vinbigdata"}), "vinbigdata"),
        (Manifest("kermany", ()), None),
    ],
)
def test_partition_is_known_by_the_manifest(manifest, name):
    assert published.partition_of(manifest) == name


def test_results_page_gets_the_experiments(outcome, tmp_path, monkeypatch):
    results = tmp_path / "results.md"
    results.write_text(
        "# R\n<!-- experiments:start -->\nformer words\n<!-- experiments:end -->\nrest\n"
    )
    monkeypatch.setattr(results_page, "RESULTS", results)
    experiment_table.main([str(outcome.config.out / "report.json")])
    text = results.read_text()
    assert "former words" not in text and text.startswith("# R\n") and text.endswith("rest\n")
    assert "### DDAD on Made-up <images>" in text and "#### Size of D_u, AE" in text
    assert "none of these figures can be set against" in text


def test_command_runs_checks_and_tells_errors(tmp_path, capsys):
    data = ExperimentSet(tmp_path)
    config = data.write(sweeps=None, unlabeled_pool=None, images=None)
    arguments = ["experiment", str(config), "--images", str(data.images), "--seeds", "5"]
    assert main([*arguments, "--check"]) == 0
    assert capsys.readouterr().out.strip().endswith("ae, seed 5, D_u 12, 50% abnormal, 2 epochs")
    assert not (tmp_path / "out").exists()
    assert main([*arguments, "--out", str(tmp_path / "there"), "--device", "cpu"]) == 0
    assert "report.html: 1 cell." in capsys.readouterr().out
    assert (tmp_path / "there" / "report.md").is_file() and not (tmp_path / "out").exists()
    config.write_text(config.read_text() + "seed: 3\n")
    assert main(arguments) == 1
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("ddad: ")]
    assert "tiny.yaml, line" in line and "Did you mean 'seeds'?" in line
