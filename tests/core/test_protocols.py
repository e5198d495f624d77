from __future__ import annotations

import json
import lzma
import os
import shutil
from pathlib import Path

import pytest

from ddad_core.errors import ManifestError, RequestError
from ddad_core.training import protocols
from ddad_core.training.assignment import split_unlabeled
from ddad_core.training.protocols import (
    Partition,
    ProtocolSizes,
    load_partition,
    name_roles,
    read_partition,
)
from tests.core.synthetic import REPOSITORY

MANIFESTS = REPOSITORY / "data" / "manifests"
KEYS = ("normal", "unlabeled_normal", "unlabeled_abnormal", "test_normal", "test_abnormal")
COUNTS = {"rsna": (3851, 4000, 5012, 1000, 1000), "vinbigdata": (4000, 5606, 3394, 1000, 1000)}
ENDS = {
    "rsna": (
        "766d3d32-c4a5-4318-a1a9-4db74ef0de80",
        "9f2e86d5-cf74-4c4f-84f9-c9e842c8ef0d",
    ),
    "vinbigdata": ("50a418190bc3fb1ef1633bf9678929b3", "1224f07d895107573588225f692e94f9"),
}


@pytest.fixture(scope="module", params=["rsna", "vinbigdata"])
def shipped(request):
    return load_partition(request.param, MANIFESTS)


@pytest.fixture(scope="module")
def rsna():
    return load_partition("rsna", MANIFESTS)


@pytest.fixture(scope="module")
def vin():
    return load_partition("vinbigdata", MANIFESTS)


def _parts(partition):
    return [getattr(partition, key) for key in KEYS]


def _names(partition, role, label=..., **sizes):
    found = name_roles(partition, ProtocolSizes(**sizes))
    return [n.name for n in found if n.role == role and label in (n.label, ...)]


def _refused(partition, *words, **sizes):
    with pytest.raises(RequestError) as caught:
        name_roles(partition, ProtocolSizes(**sizes))
    for word in words:
        assert word in str(caught.value), (word, str(caught.value))


def test_shipped_partition_has_the_published_counts_and_names(shipped):
    parts = _parts(shipped)
    assert tuple(map(len, parts)) == COUNTS[shipped.name]
    names = [name for part in parts for name in part]
    assert len(set(names)) == len(names)
    assert (shipped.normal[0], shipped.test_abnormal[-1]) == ENDS[shipped.name]
    assert not any(name.endswith(".png") for name in names)


def test_shipped_partition_is_the_published_list_in_its_order(shipped):
    shared = os.environ.get("DDAD_SHARED_DATA")
    path = Path(shared or "") / "splits" / f"{shipped.name}.json"
    if not shared or not path.exists():
        pytest.skip("needs DDAD_SHARED_DATA")
    lists = json.loads(path.read_bytes())
    unlabeled = lists["train"]["unlabeled"]
    published = [lists["train"]["0"], unlabeled["0"], unlabeled["1"], *lists["test"].values()]
    assert [[f"{name}.png" for name in part] for part in _parts(shipped)] == published


def test_shipped_partitions_are_compact():
    sizes = [path.stat().st_size for path in (MANIFESTS / "published").glob("*.xz")]
    assert len(sizes) == 2 and sum(sizes) < 600_000


def test_table_1_takes_the_first_names_normals_before_abnormals(shipped):
    assert _names(shipped, "unlabeled") == [
        *shipped.unlabeled_normal[:1600],
        *shipped.unlabeled_abnormal[:2400],
    ]
    assert _names(shipped, "normal") == list(shipped.normal)
    assert _names(shipped, "test", 0) == list(shipped.test_normal)
    assert _names(shipped, "test", 1) == list(shipped.test_abnormal)


def test_labels_of_d_u_are_blank_and_no_name_has_two_roles(shipped):
    named = name_roles(shipped, ProtocolSizes())
    assert {n.label for n in named if n.role == "unlabeled"} == {None}
    assert len({n.name for n in named}) == len(named)


def test_calibration_and_validation_are_unused_names_of_the_right_label(shipped):
    assert _names(shipped, "calibration", 0) == list(shipped.unlabeled_normal[-500:])
    assert _names(shipped, "validation", 0) == list(shipped.unlabeled_normal[-650:-500])
    assert _names(shipped, "validation", 1) == list(shipped.unlabeled_abnormal[-150:])
    assert len(_names(shipped, "calibration")) == 500


@pytest.mark.parametrize("rate", [0.2, 0.4, 0.6, 0.8])
@pytest.mark.parametrize("size", [0, 1000, 4000])
def test_points_of_a_sweep_share_every_part_but_d_u(shipped, size, rate):
    here = name_roles(shipped, ProtocolSizes(unlabeled=size, anomaly_rate=rate))
    table_1 = name_roles(shipped, ProtocolSizes())

    def others(named):
        return [n for n in named if n.role != "unlabeled"]

    assert others(here) == others(table_1)
    assert len(here) - len(others(here)) == size


def test_d_u_may_be_none(rsna):
    assert _names(rsna, "unlabeled", unlabeled=0) == []


@pytest.mark.parametrize("rate", [0, 0.1, 0.2, 0.29, 0.3, 0.57, 0.58, 0.6, 0.7, 0.8, 0.848, 1])
@pytest.mark.parametrize("size", [1, 3, 100, 1000, 4000, 4001])
def test_d_u_is_split_as_on_paper_whatever_floats_do(size, rate):
    normal, abnormal = split_unlabeled(size, rate)
    thousandths = round(rate * 1000) * size  # exact: all rates here have three decimals
    assert abnormal == (thousandths + 500) // 1000 and normal == size - abnormal


def test_a_half_is_rounded_up_to_abnormal():
    assert split_unlabeled(5, 0.5) == (2, 3)
    assert split_unlabeled(50, 0.25) == (37, 13)


@pytest.mark.parametrize("rate", [-0.1, 1.01, float("nan"), float("inf")])
def test_rate_that_is_no_share_is_refused(rsna, rate):
    _refused(rsna, "--anomaly-rate is", anomaly_rate=rate)


@pytest.mark.parametrize(
    "field", ["unlabeled", "calibration", "validation", "calibration_from_normal"]
)
def test_negative_size_is_refused(rsna, field):
    _refused(rsna, f"--{field.replace('_', '-')} is -1", **{field: -1})


def test_rate_beyond_the_list_says_which_the_list_can_give(vin, rsna):
    _refused(vin, "3400 abnormal", "3394", "0 to 0.848.", anomaly_rate=0.85)
    assert len(_names(vin, "unlabeled", anomaly_rate=0.848, validation=0)) == 4000
    _refused(rsna, "4001 normal", "4000", "0.001 to 1.", unlabeled=4001, anomaly_rate=0)
    inside = _names(rsna, "unlabeled", unlabeled=4001, anomaly_rate=0.001, **NO_TAIL)
    assert len(inside) == 4001


NO_TAIL = {"calibration": 0, "validation": 0}


def test_size_beyond_the_list_says_how_large_it_is(rsna, vin):
    _refused(rsna, "--unlabeled 9012 at most", unlabeled=9013)
    _refused(vin, "--unlabeled 9000 at most", unlabeled=20_000)


def test_too_few_names_left_over_is_an_error_with_a_way_out(rsna):
    _refused(
        rsna,
        "0 are left",
        "--calibration 0 --calibration-from-normal 500 --validation 0 --validation-from-normal 150",
        anomaly_rate=0,
    )
    _refused(rsna, "650 normal", "649 are left", unlabeled=3351, anomaly_rate=0)


def test_too_few_abnormal_names_for_validation_are_an_error(vin):
    _refused(vin, "150 abnormal names", "2 are left", "--validation 2 at most", anomaly_rate=0.848)


def test_known_normals_can_be_held_back_instead(rsna):
    sizes = {
        "anomaly_rate": 0,
        **NO_TAIL,
        "calibration_from_normal": 500,
        "validation_from_normal": 150,
    }
    assert _names(rsna, "normal", **sizes) == list(rsna.normal[:3201])
    assert _names(rsna, "calibration", **sizes) == list(rsna.normal[-500:])
    assert _names(rsna, "validation", 0, **sizes) == list(rsna.normal[-650:-500])
    assert _names(rsna, "validation", 1, **sizes) == list(rsna.unlabeled_abnormal[-150:])


def test_holding_back_every_known_normal_is_refused(rsna):
    _refused(rsna, "3851 of 3851", calibration_from_normal=3851)


def test_changed_or_missing_list_is_refused(tmp_path):
    shutil.copytree(MANIFESTS / "published", tmp_path / "published")
    path = tmp_path / "published" / "rsna.json.xz"
    text = lzma.decompress(path.read_bytes()).replace(b"766d3d32", b"766d3d33")
    for data in (lzma.compress(text), path.read_bytes()[:-100], b""):
        path.write_bytes(data)
        with pytest.raises(ManifestError, match="rsna"):
            load_partition("rsna", tmp_path)
    path.unlink()
    with pytest.raises(ManifestError, match="cannot be read"):
        load_partition("rsna", tmp_path)


@pytest.mark.parametrize(
    ("lists", "word"),
    [
        ({"train": {"0": [], "unlabeled": {"0": []}}, "test": {"0": [], "1": []}}, "form"),
        ([], "form"),
        (
            {
                "train": {"0": ["a.png"], "unlabeled": {"0": [], "1": []}},
                "test": {"0": ["a.png"], "1": []},
            },
            "a twice",
        ),
    ],
)
def test_list_of_another_form_is_refused(lists, word):
    with pytest.raises(ManifestError, match=word):
        read_partition("mine", json.dumps(lists).encode())


def test_every_shipped_list_has_its_digest(shipped):
    assert shipped.sha256 == protocols.PUBLISHED_SHA256[shipped.name]
    assert isinstance(shipped, Partition)
    readme = (MANIFESTS / "published" / "README.md").read_text(encoding="utf-8")
    assert shipped.sha256 in readme and "Copyright (c) 2022 Yu Cai" in readme
