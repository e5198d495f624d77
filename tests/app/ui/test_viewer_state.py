"""What the browser reports is untrusted: nothing in it may raise or reach a read unchecked."""

from __future__ import annotations

import json
import math
import struct
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.services.read_draft import MAX_BOXES
from app.services.reading import MapLayer
from app.services.viewing import Explanation
from app.store.records import Box, RejectedRegion
from app.ui.viewer import (
    Palette,
    ViewerData,
    ViewerState,
    ViewerWants,
    pack,
    parse_state,
    parse_wants,
)
from app.ui.viewer.reports import MAX_LABEL
from ddad_core.overlay import OPACITY
from ddad_core.types import Window

SAVED = (Box(10, 20, 30, 40, "saved"),)
MAPS = (
    MapLayer("inter", "A_inter", "", b"i", 64, 0.5, 2.0),
    MapLayer("intra", "A_intra", "", b"a", 64, 0.1, 0.4),
)
BOX = {"x": 1, "y": 2, "width": 3, "height": 4, "label": "nodule"}


def viewer_data(**changes: Any) -> ViewerData:
    values: dict[str, Any] = {
        "image_id": 7,
        "width": 200,
        "height": 100,
        "pixels": b"p",
        "slope": 1.0,
        "intercept": 0.0,
        "window": Window(127.5, 255.0),
        "presets": (),
        "spacing_mm": None,
        "maps": MAPS,
        "initial_map": "inter",
        "ai_visible": True,
        "boxes": SAVED,
        "palettes": (Palette("Plasma", bytes(768)), Palette("Grey", bytes([1]) * 768)),
        "description": "x",
    }
    return ViewerData(**{**values, **changes})


DATA = viewer_data()
DEFAULTS = ViewerState(7, SAVED, "inter", 0.5, OPACITY, True)


def parse(**report: Any) -> ViewerState:
    return parse_state({"image_id": 7, "maps_key": DATA.maps_key, **report}, DATA)


def boxes(*reported: Any) -> tuple[Box, ...]:
    return parse(boxes=list(reported)).boxes


def test_well_formed_report_is_taken() -> None:
    state = parse(map="intra", threshold=0.3, opacity=0.8, ai_visible=False, boxes=[BOX])
    assert state == ViewerState(7, (Box(1, 2, 3, 4, "nodule"),), "intra", 0.3, 0.8, False)


def test_all_boxes_may_be_deleted() -> None:
    assert parse(boxes=[]).boxes == ()


@pytest.mark.parametrize(
    "report",
    [
        None, "", "x", 5, math.nan, True, [], [1, 2], {},
        {"image_id": 8, "boxes": [BOX], "opacity": 0.9, "ai_visible": False},
        {"image_id": None, "boxes": [BOX]},
        {"image_id": "7", "boxes": [BOX]},
        {"image_id": [7], "boxes": [BOX]},
        {"image_id": {"a": 7}, "boxes": [BOX]},
        {"image_id": math.nan, "boxes": [BOX]},
        {"image_id": 7},
        {"image_id": 7, "boxes": "all", "map": 3, "threshold": "x", "opacity": [], "ai_visible": 1},
        {"image_id": 7, "boxes": {"x": 1}, "map": None, "threshold": None, "opacity": None},
        {"image_id": 7, "map": ["inter"], "threshold": {}, "opacity": True, "ai_visible": "no"},
        {"image_id": 7, "maps_key": ["x"], "map": {"a": 1}, "threshold": math.nan},
    ],
    ids=repr,
)  # fmt: skip
def test_foreign_or_malformed_report_leaves_the_defaults(report: object) -> None:
    assert parse_state(report, DATA) == DEFAULTS


def test_truth_value_is_no_image_id() -> None:
    data = viewer_data(image_id=1)
    assert parse_state({"image_id": True, "boxes": [BOX]}, data).boxes == SAVED


@pytest.mark.parametrize("name", ["rec", "", "INTER", "__proto__", 0, None, ["intra"]])
def test_unknown_map_is_the_first_with_its_own_threshold(name: object) -> None:
    state = parse(map=name, threshold=1.9)
    assert (state.map_name, state.pixel_threshold) == ("inter", 0.5)


def test_threshold_chosen_under_another_model_is_dropped() -> None:
    state = parse(maps_key="other", map="intra", threshold=0.3)
    assert (state.map_name, state.pixel_threshold) == ("inter", 0.5)


@pytest.mark.parametrize(
    ("given", "threshold"),
    [
        (-1, 0.0), (5, 2.0), (0, 0.0), (2.0, 2.0), (1, 1.0),
        (math.nan, 0.5), (math.inf, 0.5), (-math.inf, 0.5), (10**400, 0.5), ("1", 0.5),
        (True, 0.5), (None, 0.5), ([1], 0.5),
    ],
    ids=repr,
)  # fmt: skip
def test_threshold_is_held_within_the_scale(given: object, threshold: float) -> None:
    assert parse(map="inter", threshold=given).pixel_threshold == threshold


@pytest.mark.parametrize(
    ("given", "opacity"),
    [(-0.1, 0), (1.1, 1), (0.25, 0.25), (math.nan, OPACITY), ("0.9", OPACITY)],
)
def test_opacity_is_held_between_0_and_1(given: object, opacity: float) -> None:
    assert parse(opacity=given).opacity == opacity


@pytest.mark.parametrize(
    "box",
    [
        None, 5, "box", [], [1, 2, 3, 4], {},
        {**BOX, "x": "1"}, {**BOX, "x": None}, {**BOX, "y": [2]}, {**BOX, "width": True},
        {**BOX, "x": math.nan}, {**BOX, "y": math.inf}, {**BOX, "width": math.inf},
        {**BOX, "height": math.nan}, {**BOX, "width": 10**400}, {**BOX, "width": 0},
        {**BOX, "height": -5}, {**BOX, "x": 200}, {**BOX, "x": -3}, {**BOX, "y": 100.0},
        {**BOX, "y": -50}, {"x": 1, "y": 2, "width": 3},
    ],
    ids=repr,
)  # fmt: skip
def test_malformed_box_is_dropped_and_the_others_stay(box: object) -> None:
    assert boxes(box, BOX, box) == (Box(1, 2, 3, 4, "nodule"),)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ((-10, -20, 50, 60), (0, 0, 40, 40)),
        ((180, 90, 50, 60), (180, 90, 20, 10)),
        ((-1e9, -1e9, 2e9, 2e9), (0, 0, 200, 100)),
        ((0, 0, 200, 100), (0, 0, 200, 100)),
        ((0.1, 0.2, 0.3, 0.4), (0.1, 0.2, 0.3, 0.4)),
        ((1e308, 1, 1e308, 1), None),
        ((-1e308, 1, 1.7e308, 1), (0, 1, 200, 1)),
    ],
)
def test_box_is_cut_at_the_image(given: tuple[float, ...], kept: tuple[float, ...] | None) -> None:
    found = boxes(dict(zip(("x", "y", "width", "height"), given, strict=True)))
    assert [(b.x, b.y, b.width, b.height) for b in found] == ([kept] if kept else [])


def test_box_thinner_than_the_rounding_is_dropped() -> None:
    assert boxes({"x": 1, "y": 2, "width": 0.0004, "height": 4}) == ()


def test_no_more_boxes_than_a_read_may_hold() -> None:
    assert len(boxes(*[BOX] * 200)) == MAX_BOXES == 100


@pytest.mark.parametrize(
    ("given", "label"),
    [
        ("x" * 500, "x" * MAX_LABEL),
        ("  lobe ", "lobe"),
        ("Rundherd über", "Rundherd über"),
        (None, ""),
        (5, ""),
        (["a"], ""),
        ({"a": "b"}, ""),
        ("a\x00b", ""),
        ("a\nb", ""),
        ("\ud800", ""),
        ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
    ],
)
def test_label_is_short_printable_text(given: object, label: str) -> None:
    assert boxes({**BOX, "label": given})[0].label == label


def test_without_maps_there_is_nothing_of_the_ai_to_see() -> None:
    data = viewer_data(maps=(), initial_map="")
    state = parse_state({"image_id": 7, "map": "inter", "threshold": 1, "ai_visible": True}, data)
    assert (state.map_name, state.pixel_threshold, state.ai_visible) == ("", 0.0, False)


def test_packed_parts_are_where_the_header_says() -> None:
    data = viewer_data(pixels=b"PIXELS", boxes=SAVED)
    packed = pack(data)
    (length,) = struct.unpack("<I", packed[:4])
    header, body = json.loads(packed[4 : 4 + length]), packed[4 + length :]

    def part(place: list[int]) -> bytes:
        return body[place[0] : place[0] + place[1]]

    assert part(header["pixels"]) == b"PIXELS" and header["pixels_size"] == [200, 100]
    assert [(p["name"], part(p["colors"])[:1]) for p in header["palettes"]] == [
        ("Plasma", b"\0"),
        ("Grey", b"\1"),
    ]
    assert [part(layer["values"]) for layer in header["maps"]] == [b"i", b"a"]
    assert header["boxes"] == [{"x": 10, "y": 20, "width": 30, "height": 40, "label": "saved"}]
    assert header["image_id"] == 7 and header["max_boxes"] == MAX_BOXES


def test_windows_are_packed_in_order_with_their_tables() -> None:
    lut = Window(1.5, 1.0, "CURVE", "lut", b"\x00\x00\xff\x0f", 4095)
    sigmoid = Window(40.0, 400.0, "S", "sigmoid")
    packed = pack(viewer_data(window=lut, presets=(sigmoid, Window(9.0, 8.0, "N"))))
    (length,) = struct.unpack("<I", packed[:4])
    header, body = json.loads(packed[4 : 4 + length]), packed[4 + length :]
    offset, size = header["window"].pop("table")
    assert zlib.decompress(body[offset : offset + size]) == b"\x00\x00\xff\x0f"
    assert header["window"] == {
        "name": "CURVE", "function": "lut", "center": 1.5, "width": 1.0, "table_max": 4095,
    }  # fmt: skip
    assert header["presets"] == [
        {"name": "S", "function": "sigmoid", "center": 40.0, "width": 400.0},
        {"name": "N", "function": "linear", "center": 9.0, "width": 8.0},
    ]


def test_keys_change_with_what_they_stand_for() -> None:
    assert DATA.pixels_key == viewer_data(boxes=()).pixels_key
    assert DATA.pixels_key != viewer_data(pixels=b"q").pixels_key
    assert DATA.pixels_key != viewer_data(slope=2.0).pixels_key
    assert DATA.maps_key == viewer_data(pixels=b"q").maps_key
    assert DATA.maps_key == viewer_data(initial_map="intra").maps_key
    cut = (replace(MAPS[0], threshold=0.6), MAPS[1])
    assert DATA.maps_key != viewer_data(maps=cut).maps_key


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 0},
        {"window": Window(1.0, 0.0)},
        {"presets": (Window(1.0, -1.0, "p"),)},
        {"palettes": (Palette("short", bytes(767)),)},
        {"palettes": ()},
        {"initial_map": "rec"},
    ],
)
def test_data_that_cannot_be_shown_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"pass|must"):
        viewer_data(**changes)


def header_of(packed: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack("<I", packed[:4])
    return json.loads(packed[4 : 4 + length]), packed[4 + length :]


def test_pixels_the_browser_has_are_left_out_and_no_others() -> None:
    data = viewer_data(pixels=b"PIXELS")
    header, body = header_of(pack(data, has=data.pixels_key))
    assert header["pixels"] is None and b"PIXELS" not in body
    assert header["pixels_key"] == data.pixels_key
    header, body = header_of(pack(data, has=viewer_data(pixels=b"other").pixels_key))
    assert header["pixels"] and b"PIXELS" in body


def test_a_smaller_picture_says_its_size() -> None:
    small = viewer_data(pixels_size=(100, 50))
    assert header_of(pack(small))[0]["pixels_size"] == [100, 50] and not small.is_full
    assert viewer_data().is_full and viewer_data(pixels_size=(200, 100)).is_full


def test_reconstructions_are_packed_once_they_are_there() -> None:
    assert header_of(pack(DATA))[0]["reconstructions"] is None
    header, body = header_of(pack(viewer_data(explanation=Explanation(8, 2.0, -5.0, b"AA", b"B"))))
    sent = header["reconstructions"]
    assert [body[at : at + size] for at, size in (sent["a"], sent["b"])] == [b"AA", b"B"]
    assert (sent["size"], sent["slope"], sent["intercept"]) == (8, 2.0, -5.0)


def test_well_formed_wants_are_taken() -> None:
    raw = {"image_id": 7, "full": True, "reconstructions": DATA.maps_key, "has": "abc"}
    assert parse_wants(raw, DATA) == ViewerWants(full=True, explanation=True, has="abc")


@pytest.mark.parametrize(
    "raw",
    [
        None, 3, "x", [], {}, {"image_id": 8, "full": True}, {"image_id": [7], "full": True},
        {"image_id": 7, "full": 1, "reconstructions": True, "has": 5},
        {"image_id": 7, "full": "yes", "reconstructions": "of another model", "has": None},
        {"image_id": 7, "reconstructions": ["x"], "has": ["x"]},
    ],
    ids=repr,
)  # fmt: skip
def test_foreign_or_malformed_wants_ask_for_nothing(raw: object) -> None:
    assert parse_wants(raw, DATA) == ViewerWants()


def test_without_maps_there_is_nothing_to_explain() -> None:
    data = viewer_data(maps=(), initial_map="")
    raw = {"image_id": 7, "reconstructions": data.maps_key}
    assert not parse_wants(raw, data).explanation


VALUES = np.zeros((4, 4), "<f4")
VALUES[1:3, 2] = (2.0, 1.5)  # rows 1 and 2 of column 2
VALUES[3, 0] = 1.0
MAPPED = viewer_data(
    maps=(MapLayer("inter", "A_inter", "", zlib.compress(VALUES.tobytes()), 4, 0.5, 2.0),)
)
ENTRY = {"maps_key": MAPPED.maps_key, "map": "inter", "threshold": 0.5, "cell": 6}
REGION = RejectedRegion("inter", 0.5, 100.0, 25.0, 50.0, 50.0, 2.0, 125.0, 37.5)


def rejected(*entries: Any, data: ViewerData = MAPPED) -> tuple[RejectedRegion, ...]:
    return parse_state({"image_id": 7, "rejected": list(entries)}, data).rejected


def test_what_is_kept_of_a_rejected_region_is_worked_out_from_the_map() -> None:
    assert rejected(ENTRY, ENTRY) == (REGION,)
    (higher,) = rejected(ENTRY | {"threshold": 1.6})
    assert (higher.height, higher.peak) == (25.0, 2.0)


@pytest.mark.parametrize(
    "change",
    [
        {"maps_key": "another model's"},
        {"map": "intra"},
        {"map": ["inter"]},
        {"threshold": math.nan},
        {"threshold": "0.5"},
        {"threshold": 3.0},
        {"cell": 10},  # in the region, but not its peak
        {"cell": -1},
        {"cell": 99},
        {"cell": True},
        {"cell": 6.0},
    ],
)
def test_regions_that_the_map_does_not_have_are_left_out(change: dict[str, Any]) -> None:
    assert rejected(ENTRY | change) == ()


def test_what_was_rejected_before_counts_until_the_browser_says_otherwise() -> None:
    data = replace(MAPPED, rejected=(REGION,))
    assert parse_state(None, data).rejected == (REGION,)
    assert parse_state({"image_id": 7, "rejected": "all"}, data).rejected == (REGION,)
    assert rejected(data=data) == () and rejected("x", 3, data=data) == ()


def test_only_regions_that_these_maps_have_are_known() -> None:
    strangers = [replace(REGION, peak=1.9), replace(REGION, map_name="intra")]
    strangers.append(replace(REGION, peak_x=12.5, peak_y=12.5))
    assert MAPPED.known([*strangers, REGION]) == (REGION,)
    assert viewer_data(maps=(), initial_map="").known([REGION]) == ()
    assert MAPPED.cell_of(REGION) == 6


@pytest.mark.parametrize("raw", [9, True, "8", 8.5, None, [8]])
def test_only_another_image_of_the_patient_can_be_asked_for(raw: Any) -> None:
    data = viewer_data(comparable=((8, "Earlier"),))
    assert parse_wants({"image_id": 7, "beside": 8}, data).beside == 8
    assert parse_wants({"image_id": 7, "beside": raw}, data).beside == 0
