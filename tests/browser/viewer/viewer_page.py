"""The viewer on a page of its own, for tests: pictures to show, and a reader's hands and eyes."""

import functools
import json
import time
import zlib
from dataclasses import replace

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect

from app.services.reading import MapLayer
from app.services.viewing import Explanation
from app.store.records import Box, RejectedRegion
from app.ui.viewer import BesideImage, OthersBoxes, Palette, ViewerData
from ddad_core.overlay import COLOR_MAPS, color_table
from ddad_core.types import Window
from ddad_core.vocabulary import MAP_TITLES

SIZE = 64
HOT = (slice(16, 32), slice(32, 48))  # rows, columns of the map that stand out
HOT_VALUE, THRESHOLD, MAXIMUM = 5.0, 2.0, 8.0
COLUMN = SIZE // len(MAP_TITLES)
DARK, BRIGHT = 1000, 3000
COLORS = cv2.applyColorMap(
    np.arange(256, dtype=np.uint8).reshape(256, 1), cv2.COLORMAP_PLASMA
).reshape(256, 3)[:, ::-1]
PALETTES = tuple(Palette(name, color_table(name).tobytes()) for name in COLOR_MAPS)
RECONSTRUCTED = {"a": 64, "b": 192}  # of 255, between the image's lowest and highest value
EXPLANATION = Explanation(
    SIZE,
    (BRIGHT - DARK) / 255,
    DARK,
    *(zlib.compress(bytes([grey]) * SIZE**2) for grey in RECONSTRUCTED.values()),
)

SCRIPT = """
import json
import time
from dataclasses import asdict, replace
import streamlit as st
from app.ui.viewer import reported_wants, viewer, viewer_key
from tests.browser.viewer import viewer_page as pictures

st.set_page_config(layout="wide")
st.html("<style>.block-container { padding: 0 1rem } header { visibility: hidden }</style>")
other_image = st.checkbox("Other image")
other_model = st.checkbox("Other model")
every_map = st.checkbox("Every map")
curved = st.checkbox("Curved windows")
left, middle, right = st.columns(3)  # one row more would push the image out of the window
large = left.checkbox("Large image")
long_run = middle.checkbox("Long run")
more = right.checkbox("More on record")
data = pictures.twelve_bit_image() if other_image else pictures.plain_image()
if curved:
    data = pictures.curved_image()
if large:
    data = pictures.large_image()
if other_model:
    data = replace(data, maps=tuple(replace(m, threshold=3.5) for m in data.maps))
if every_map:
    data = replace(data, maps=pictures.all_maps(), initial_map="c_inter")
if more:
    data = replace(data, comparable=((9, "Earlier PA"),), others=pictures.OTHERS)
    data = replace(data, rejected=data.known(pictures.REJECTED))
wants = reported_wants(st.session_state.get(viewer_key(data.image_id)), data)
if wants.full:
    data = replace(data, pixels=pictures.large_image(full=True).pixels, pixels_size=None)
if wants.explanation:
    data = replace(data, explanation=pictures.EXPLANATION)
if wants.beside:
    data = replace(data, beside=pictures.earlier_image())
st.text(json.dumps({**asdict(viewer(data, has=wants.has)), "beside": wants.beside}))
if long_run:
    time.sleep(2)
"""


def make_map(name, title):
    values = np.zeros((SIZE, SIZE), "<f4")
    values[HOT] = HOT_VALUE
    return MapLayer(name, title, "σ", zlib.compress(values.tobytes()), SIZE, THRESHOLD, MAXIMUM)


def all_maps():
    """Every map there is; the n-th has its hot square in the n-th column of `COLUMN` cells."""
    layers = []
    for i, (name, title) in enumerate(MAP_TITLES.items()):
        values = np.zeros((SIZE, SIZE), "<f4")
        values[HOT[0], COLUMN * i : COLUMN * (i + 1)] = HOT_VALUE
        packed = zlib.compress(values.tobytes())
        layers.append(
            MapLayer(name, title, "", packed, SIZE, THRESHOLD, MAXIMUM, f"What {name} is")
        )
    return tuple(layers)


def make_data(image_id, pixels, **changes):
    height, width = pixels.shape
    facts = {
        "image_id": image_id,
        "width": width,
        "height": height,
        "pixels": zlib.compress(pixels.astype("<u2").tobytes()),
        "slope": 1.0,
        "intercept": 0.0,
        "window": Window(2000.0, 4000.0),
        "presets": (Window(2000.0, 1000.0, "Narrow"),),
        "spacing_mm": (0.5, 0.5),
        "maps": (make_map("inter", "A_inter"), make_map("intra", "A_intra")),
        "initial_map": "inter",
        "ai_visible": True,
        "boxes": (),
        "palettes": PALETTES,
        "description": f"Chest radiograph, case {image_id}",
    }
    return ViewerData(**{**facts, **changes})


def plain_image():
    """300 x 200: the left half dark, the right half bright."""
    pixels = np.full((200, 300), DARK)
    pixels[:, 150:] = BRIGHT
    return make_data(1, pixels)


def twelve_bit_image():
    """512 x 640, a ramp over all of 12 bits, with a box from the database."""
    pixels = np.broadcast_to(np.linspace(0, 4095, 512), (640, 512))
    return make_data(2, pixels, boxes=(Box(10.0, 20.0, 30.0, 40.0, "seed"),))


BARS = np.linspace(0, 4095, 16).round()
LUT = Window(
    center=2000.0,
    width=2000.0,
    name="CURVE",
    function="lut",
    table=(4095 * np.linspace(0.1, 1, 2001) ** 3).astype("<u2").tobytes(),
    table_max=4095,
)
SIGMOID = Window(1800.5, 900.0, "SOFT", "sigmoid")


def curved_image():
    """320 x 200: sixteen bars over 12 bits; a lookup table, a sigmoid, and a linear window."""
    pixels = np.repeat(BARS[None], 200, axis=0).repeat(20, axis=1)
    linear = Window(2000.0, 1000.0, "Narrow")
    return make_data(3, pixels, window=LUT, presets=(SIGMOID, linear), maps=(), initial_map="")


@functools.cache
def large_image(full=False):
    """3000 x 2400: columns by turns dark and bright; at first each two of them are one grey."""
    pixels = np.full((2400, 3000), DARK)
    pixels[:, 1::2] = BRIGHT
    sent = pixels if full else np.full((1200, 1500), (DARK + BRIGHT) // 2)
    shown = make_data(4, sent, pixels_size=(sent.shape[1], sent.shape[0]))
    return replace(shown, width=3000, height=2400)


OTHERS = (OthersBoxes("Ben", (Box(30.0, 120.0, 60.0, 40.0, "Nodule or mass"),)),)
# The hot square of A_inter of the plain image; and one of a map with another peak.
REJECTED = (
    RejectedRegion("inter", 2.0, 150.0, 50.0, 75.0, 50.0, HOT_VALUE, 152.3, 51.6),
    RejectedRegion("intra", 2.0, 150.0, 50.0, 75.0, 50.0, 4.0, 152.3, 51.6),
)
EARLIER = {"low": 100, "high": 700}


def earlier_image():
    """400 x 500: the upper half dark, the lower half bright; its window has both in mid grey."""
    pixels = np.full((500, 400), EARLIER["low"])
    pixels[250:] = EARLIER["high"]
    packed = zlib.compress(pixels.astype("<u2").tobytes())
    window = Window(400.0, 1000.0)
    return BesideImage(9, "Earlier PA", 400, 500, packed, (400, 500), 1.0, 0.0, window)


class Page:
    """What a reader and the test can do with the viewer on a page."""

    def __init__(self, page):
        self.page = page
        self.frames = []
        page.on("websocket", lambda ws: ws.on("framesent", self.note_frame))
        self.root = page.locator(".ddad-viewer")
        self.canvas = page.locator(".ddad-viewer .stage > canvas")
        self.map_button = page.get_by_role("combobox", name="Map", exact=True)

    def note_frame(self, frame):
        self.frames.append(frame)

    def open(self, url):
        self.page.goto(url)
        self.wait_for_image(1)

    def wait_for_image(self, image_id):
        self.page.wait_for_selector(
            f'.ddad-viewer[data-ready="true"][data-image-id="{image_id}"]', timeout=20_000
        )
        # Until the page's run ends, the viewer of the image before is still in the document.
        expect(self.root).to_have_count(1, timeout=20_000)

    def settle(self):
        """Two frames: one to ask for, one to be sure that the drawing is on the canvas."""
        self.page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def view(self):
        return self.root.evaluate(
            "root => { const { scale, x, y } = root.__ddad.state.view; return { scale, x, y } }"
        )

    def on_stage(self, x, y, pane=0):
        """Image coordinates -> CSS pixels from the canvas's corner."""
        return self.root.evaluate(
            """(root, [x, y, pane]) => {
              const { view, panes } = root.__ddad.state;
              const at = view.pointToStage({ x, y });
              return [panes[pane].x + at.x, panes[pane].y + at.y];
            }""",
            [x, y, pane],
        )

    def on_page(self, x, y, pane=0):
        """Image coordinates -> page coordinates."""
        corner = self.canvas.bounding_box()
        on_stage = self.on_stage(x, y, pane)
        return corner["x"] + on_stage[0], corner["y"] + on_stage[1]

    def pixel(self, x, y, pane=0):
        """RGB of the device pixel under an image position."""
        self.settle()
        return self.canvas.evaluate(
            """(canvas, at) => {
              const [x, y] = at.map((place) => Math.floor(place * window.devicePixelRatio));
              return [...canvas.getContext('2d').getImageData(x, y, 1, 1).data].slice(0, 3);
            }""",
            self.on_stage(x, y, pane),
        )

    def is_hot(self, x, y, pane=0):
        """Whether the overlay is painted there; everything else is grey."""
        return bool(np.ptp(self.pixel(x, y, pane)) > 12)

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)
        self.settle()

    def state(self, name):
        return self.root.evaluate("(root, name) => root.__ddad.state[name]", name)

    def boxes(self):
        """Boxes in the browser as [x, y, width, height]."""
        return [[b["x"], b["y"], b["width"], b["height"]] for b in self.state("boxes")]

    def readout(self):
        return self.page.locator(".readout").inner_text()

    def row_of_colors(self, y, x0, x1):
        """RGB of the canvas along an image row, and the image column of each."""
        self.settle()
        view = self.view()
        row = round(view["y"] + y * view["scale"])
        left = round(view["x"] + x0 * view["scale"])
        right = round(view["x"] + x1 * view["scale"])
        flat = self.canvas.evaluate(
            "(canvas, [left, row, width]) =>"
            " [...canvas.getContext('2d').getImageData(left, row, width, 1).data]",
            [left, row, right - left],
        )
        colors = np.array(flat).reshape(-1, 4)[:, :3]
        columns = (np.arange(left, right) + 0.5 - view["x"]) / view["scale"]
        return colors, columns

    def color(self, x, y):
        return self.row_of_colors(y, x, x + 3)[0][0]

    def hot_span(self, y, x0=0, x1=300):
        """First and last image column that carries the overlay in a row; None without any."""
        colors, columns = self.row_of_colors(y, x0, x1)
        hot = np.ptp(colors, axis=1) > 12
        return (columns[hot][0], columns[hot][-1]) if hot.any() else None

    def drag(self, start, end, button="left"):
        self.page.mouse.move(*start)
        self.page.mouse.down(button=button)
        self.page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        self.page.mouse.move(*end)
        self.page.mouse.up(button=button)
        self.settle()

    def focus(self):
        self.root.focus()

    def draw_box(self, left, top, right, bottom):
        self.focus()
        self.page.keyboard.press("b")
        self.drag(self.on_page(left, top), self.on_page(right, bottom))

    def reported(self, accept):
        """The state that the script printed, once it is acceptable."""
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline:
            state = json.loads(self.page.get_by_test_id("stText").inner_text())
            if accept(state):
                return state
            self.page.wait_for_timeout(50)
        pytest.fail(f"The server never heard of it; it last had {state}")
