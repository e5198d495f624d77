from __future__ import annotations

import json
import lzma

import pytest

from ddad_core.errors import ManifestError
from ddad_core.experiments.pool import load_pool, split, write_pool
from ddad_core.training.manifest import Manifest, ManifestRow, load_manifest
from tests.core.synthetic import REPOSITORY

MANIFESTS = REPOSITORY / "data" / "manifests"


def _manifest():
    unlabeled = [ManifestRow(f"u{i}.png", "unlabeled", None, f"pu{i}") for i in range(6)]
    others = [
        ManifestRow("n.png", "normal", 0, "pn"),
        ManifestRow("c.png", "calibration", 0, "pc"),
        ManifestRow("t.png", "test", 1, "pt"),
    ]
    return Manifest("m", (*others, *unlabeled))


def _pool(tmp_path, *lines, header="path,label,patient_id,sha256"):
    path = tmp_path / "pool.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def _names(rows):
    return [row.path for row in rows]


def test_the_first_of_each_class_are_taken_in_the_manifests_order(tmp_path):
    lines = ["u5.png,1,,", "u3.png,0,,", "u0.png,1,,", "u1.png,0,,", "u2.png,0,,", "new.png,1,px,"]
    pool = load_pool(_pool(tmp_path, *lines), _manifest())
    assert pool.counts == (3, 3)
    assert _names(pool.compose(4, 0.5, key="k")) == ["u0.png", "u1.png", "u3.png", "u5.png"]
    assert _names(pool.compose(2, 1, key="k")) == ["u0.png", "u5.png"]
    assert _names(pool.compose(3, 1, key="k")) == ["u0.png", "u5.png", "new.png"]
    assert pool.compose(0, 0.5, key="k") == ()
    everything = pool.compose(6, 0.5, key="k")
    assert all(row.role == "unlabeled" and row.label is None for row in everything)


def test_a_larger_part_holds_a_smaller_one(tmp_path):
    manifest = load_manifest(MANIFESTS / "kermany.csv")
    pool = load_pool(MANIFESTS / "kermany.unlabeled.csv", manifest)
    before = set()
    for size in (50, 100, 200, 400, 600, 800, 1000):
        now = set(_names(pool.compose(size, 0.6, key="k")))
        assert before < now and len(now) == size
        assert sum(name.startswith("PNEUMONIA/") for name in now) == size * 6 // 10
        before = now


@pytest.mark.parametrize(("name", "size", "most"), [("kermany", 1000, 400), ("nih", 130, 50)])
def test_shipped_pool_is_the_manifests_unlabeled_part(name, size, most):
    manifest = load_manifest(MANIFESTS / f"{name}.csv")
    pool = load_pool(MANIFESTS / f"{name}.unlabeled.csv", manifest)
    # The same rows in the same order, so the cell of the grid serves the sweep, too.
    assert pool.compose(size, 0.6, key="k") == manifest.role("unlabeled")
    assert pool.largest([0, 0.2, 0.4, 0.6, 0.8, 1]) == most


def test_shipped_pool_of_kermany_can_be_made_again(tmp_path):
    manifest = load_manifest(MANIFESTS / "kermany.csv")
    labels = {row.path: int(row.path.startswith("PNEUMONIA/")) for row in manifest.rows}
    write_pool(tmp_path / "again.csv", manifest, labels, seed=2022)
    shipped = MANIFESTS / "kermany.unlabeled.csv"
    assert (tmp_path / "again.csv").read_bytes() == shipped.read_bytes()
    del labels[manifest.role("unlabeled")[0].path]
    with pytest.raises(ManifestError, match="1 unlabelled images have no label"):
        write_pool(tmp_path / "again.csv", manifest, labels, seed=2022)


def test_largest_size_is_whole_at_every_rate(tmp_path):
    lines = [f"n{i}.png,0,pn{i}x," for i in range(13)] + [f"a{i}.png,1,pa{i}," for i in range(9)]
    pool = load_pool(_pool(tmp_path, *lines), _manifest())
    rates = [0.2, 0.6]
    fits = [
        n
        for n in range(1, 23)
        if all(
            (n * r * 10) % 10 == 0 and n * r <= 9 and n * (1 - r) <= 13
            for r in (0.2, 0.6)
        )
    ]  # fmt: skip
    assert pool.largest(rates) == max(fits) == 15
    assert pool.largest([0.5, 1 / 3]) == 18 and pool.largest([1 / 7, 1]) == 7
    assert pool.largest([1 / 23]) == 0


@pytest.mark.parametrize(
    ("size", "rate", "parts"),
    [(4000, 0.6, (1600, 2400)), (4000, 0.2, (3200, 800)), (10, 0.3, (7, 3)), (10, 0.25, None)],
)
def test_a_rate_makes_whole_numbers_or_none(size, rate, parts):
    assert split(size, rate) == parts


def test_more_than_there_is_is_an_error_that_says_what_there_is(tmp_path):
    pool = load_pool(_pool(tmp_path, "u0.png,0,,", "u1.png,1,,", "u2.png,1,,"), _manifest())
    with pytest.raises(ManifestError, match=r"sweeps\.x: D_u of 4 .* needs 2 normal images") as e:
        pool.compose(4, 0.5, key="sweeps.x")
    assert "2 images at most" in e.value.next_step
    with pytest.raises(ManifestError, match="0.3 of 2 images is no whole number"):
        pool.compose(2, 0.3, key="k")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("t.png,1,,", "t.png is test in the manifest"),
        ("n.png,0,,", "n.png is normal in the manifest"),
        ("new.png,1,pt,", "patient pt of new.png is test"),
        ("new.png,1,pc,", "patient pc of new.png is calibration"),
        ("new.png,1,,", "no patient_id"),
        ("../new.png,1,px,", "stay inside"),
        ("u1.png,,,", "label '' must be 0"),
        ("u1.png,2,,", "label '2' must be 0"),
        ("u0.png,0,,", "here twice"),
    ],
)
def test_wrong_line_is_named(tmp_path, line, words):
    path = _pool(tmp_path, "u0.png,0,,", line)
    with pytest.raises(ManifestError, match=r"pool\.csv, line 3: ") as caught:
        load_pool(path, _manifest())
    assert words in str(caught.value)


def test_missing_file_or_column_is_an_error(tmp_path):
    with pytest.raises(ManifestError, match="no pool"):
        load_pool(tmp_path / "none.csv", _manifest())
    with pytest.raises(ManifestError, match="line 1: missing column label"):
        load_pool(_pool(tmp_path, "u0.png", header="path"), _manifest())


def _published(tmp_path, normal, abnormal):
    path = tmp_path / "set.json.xz"
    lists = {"train": {"unlabeled": {"0": normal, "1": abnormal}}}
    path.write_bytes(lzma.compress(json.dumps(lists).encode()))
    return path


def test_published_lists_are_a_pool_without_what_is_held_apart(tmp_path):
    rows = (
        ManifestRow("raw/b.dcm", "unlabeled", None, "b"),
        ManifestRow("raw/x.dcm", "unlabeled", None, "x"),
        ManifestRow("raw/c.dcm", "calibration", 0, "c"),
    )
    path = _published(tmp_path, ["a.png", "b.png", "c.png"], ["x.png", "y.png"])
    pool = load_pool(path, Manifest("set", rows))
    assert _names(pool.by_class[0]) == ["raw/a.dcm", "raw/b.dcm"]
    assert _names(pool.by_class[1]) == ["raw/x.dcm", "raw/y.dcm"]
    assert pool.compose(2, 0.5, key="k")[0] is rows[1]  # the first of each class: a and x
    with pytest.raises(ManifestError, match="are not of set.json.xz"):
        load_pool(path, _manifest())
    path.write_bytes(b"no")
    with pytest.raises(ManifestError, match="no published partition"):
        load_pool(path, _manifest())
