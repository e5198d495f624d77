from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ddad_core.experiments.config import ExperimentConfig, load_config
from ddad_core.experiments.yaml_tree import ConfigError, key_table
from ddad_core.training.loop import TrainingConfig
from tests.core.synthetic import REPOSITORY

SHIPPED = sorted((REPOSITORY / "data" / "experiments").glob("*.yaml"))
BRIEF = [path for path in SHIPPED if path.stem.endswith("-cpu")]
FULL = [path for path in SHIPPED if path not in BRIEF]


def _write(tmp_path, text):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    return path


def _least(more=""):
    return f"manifest: a.csv\nout: out\nimages: images\n{more}"


@pytest.mark.parametrize("path", FULL, ids=lambda path: path.stem)
def test_shipped_configuration_is_table_1_in_the_papers_settings(path):
    config = load_config(path, images=Path("somewhere"))
    assert config.networks == ("ae", "memae", "ae-u") and len(config.seeds) == 3
    published = TrainingConfig()
    for field in dataclasses.fields(config.training):
        assert getattr(config.training, field.name) == getattr(published, field.name), field.name
    assert config.refinement is not None and config.refinement.epochs == 100
    assert config.sweeps.anomaly_rate.rates == (0, 0.2, 0.4, 0.6, 0.8, 1)
    assert 0 in config.sweeps.unlabeled.sizes and config.sweeps.unlabeled.anomaly_rate == 0.6
    assert config.manifest.parent.resolve() == REPOSITORY / "data" / "manifests"
    assert config.out.resolve() == REPOSITORY / "runs" / "experiments" / path.stem


def test_there_is_a_configuration_for_every_data_set():
    assert [path.stem for path in FULL] == ["kermany", "nih", "rsna", "vinbigdata"]


@pytest.mark.parametrize("path", BRIEF, ids=lambda path: path.stem)
def test_configuration_for_a_cpu_differs_in_its_extent_only(path):
    brief = load_config(path, images=Path("somewhere"))
    full = load_config(path.with_stem(path.stem.removesuffix("-cpu")), images=Path("somewhere"))
    assert (brief.manifest, brief.unlabeled_pool) == (full.manifest, full.unlabeled_pool)
    assert set(brief.networks) == set(full.networks) and brief.seeds == full.seeds[:1]
    assert brief.refinement is None
    assert dataclasses.replace(brief.training, epochs=full.training.epochs) == full.training
    assert set(brief.sweeps.anomaly_rate.rates) <= set(full.sweeps.anomaly_rate.rates)
    assert set(brief.sweeps.unlabeled.sizes) <= set(full.sweeps.unlabeled.sizes)
    assert brief.out.resolve() == REPOSITORY / "runs" / "experiments" / path.stem


def test_paths_start_from_the_files_folder(tmp_path):
    config = load_config(_write(tmp_path, _least("unlabeled_pool: ../pool.csv\n")))
    assert config.manifest == tmp_path / "a.csv" and config.images == tmp_path / "images"
    assert config.unlabeled_pool == tmp_path / ".." / "pool.csv"


def test_the_command_line_goes_before_the_file(tmp_path):
    path = _write(tmp_path, _least("device: cuda\nseeds: [1]\n"))
    config = load_config(path, images=Path("i"), out=Path("o"), device="cpu", seeds=(7, 8))
    assert (config.images, config.out) == (Path("i"), Path("o"))
    assert (config.device, config.seeds) == ("cpu", (7, 8))
    assert load_config(path).device == "cuda" and load_config(path).seeds == (1,)


@pytest.mark.parametrize("number", ["5e-4", "0.0005", "5.0e-4"])
def test_a_number_is_read_as_people_write_it(tmp_path, number):
    path = _write(tmp_path, _least(f"training: {{learning_rate: {number}}}\n"))
    assert load_config(path).training.learning_rate == 5e-4


@pytest.mark.parametrize("text", ["refinement: false\n", "refinement:\n", ""])
def test_refinement_is_left_out(tmp_path, text):
    assert load_config(_write(tmp_path, _least(text))).refinement is None


def test_a_section_without_keys_has_the_defaults(tmp_path):
    config = load_config(_write(tmp_path, _least("refinement: {}\n")))
    assert (config.refinement.epochs, config.refinement.batch_size) == (100, 8)


WRONG = {
    "unknown key": ("networs: [ae]\n", "line 4", "'networs'", "Did you mean 'networks'?"),
    "key of a section below": ("epochs: 3\n", "line 4", "Did you mean 'training.epochs'?"),
    "unknown key in a section": (
        "training:\n  epochs: 3\n  bach_size: 2\n", "line 6", "'training.bach_size'",
        "Did you mean 'batch_size'?",
    ),
    "key twice": ("seeds: [1]\nseeds: [2]\n", "line 5", "seeds", "already in line 4"),
    "text for a number": ("training: {epochs: many}\n", "training.epochs is 'many'"),
    "flag for a number": ("training: {epochs: yes}\n", "training.epochs is 'yes'"),
    "fraction": ("training: {epochs: 2.5}\n", "training.epochs is '2.5'", "whole number of 1"),
    "size": ("training: {size: 60}\n", "training.size is '60'", "a multiple of 16"),
    "one network": ("training: {members: 1}\n", "training.members is '1'"),
    "learning rate": ("training: {learning_rate: 0}\n", "training.learning_rate is '0'", "above 0"),
    "not a number": ("training: {learning_rate: .nan}\n", "training.learning_rate"),
    "network": ("networks: [ae, aeu]\n", "networks[1] is 'aeu'", "Did you mean 'ae-u'?"),
    "no list": ("networks: ae\n", "networks is 'ae'", "a list of networks"),
    "empty list": ("seeds: []\n", "seeds is a list", "whole numbers"),
    "a seed twice": ("seeds: [1, 2, 1]\n", "seeds[2] is 1 a second time"),
    "specificity": ("specificity: 90\n", "specificity is '90'", "between 0 and 1"),
    "section that is text": ("training: fast\n", "training is 'fast'", "a section"),
    "refinement that is true": ("refinement: true\n", "refinement is 'true'", "false or a section"),
    "rate": (
        "unlabeled_pool: p.csv\nsweeps:\n  anomaly_rate:\n    rates: [0, 1.2]\n", "line 7",
        "sweeps.anomaly_rate.rates[1] is '1.2'",
    ),
    "sizes missing": (
        "unlabeled_pool: p.csv\nsweeps:\n  unlabeled: {network: ae}\n",
        "sweeps.unlabeled.sizes is missing",
    ),
    "sweep without a pool": ("sweeps: {unlabeled: {sizes: [4]}}\n", "unlabeled_pool"),
    "no YAML": ("training: [1, 2\n", "line", "no YAML"),
    "key that is no name": ("1: 2\n", "line 4", "'1' is not a name"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_key_or_value_is_named_with_its_line(tmp_path, case):
    text, *words = WRONG[case]
    path = _write(tmp_path, _least(text))
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    for word in (str(path), *words):
        assert word in str(caught.value)
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("manifest: a.csv\nimages: i\n", "the key out is missing"),
        ("manifest: a.csv\nout: o\n", "does not say where the images are"),
        ("manifest:\nout: o\n", "manifest is nothing"),
        ("", "is empty"),
        ("- a\n", "the file is a list"),
    ],
)
def test_incomplete_file_is_an_error(tmp_path, text, words):
    with pytest.raises(ConfigError, match=words):
        load_config(_write(tmp_path, text))


def test_missing_or_binary_file_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml cannot be read"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path / "b.yaml")


def test_every_key_is_explained():
    rows = key_table(ExperimentConfig)
    names = [name for name, _, _ in rows]
    assert {"manifest", "training.learning_rate", "sweeps.anomaly_rate.rates"} <= set(names)
    assert len(names) == len(set(names)) and all(meaning for _, _, meaning in rows)
    assert dict((n, d) for n, d, _ in rows)["seeds"] == "[2022, 2023, 2024]"
    required = [name for name, default, _ in rows if default == "required"]
    assert required == ["manifest", "out", "sweeps.unlabeled.sizes"]
