"""Help: what the numbers and maps mean, where the models fail, and every key."""

from __future__ import annotations

import html

import streamlit as st

from app.services.people import Action
from app.ui.chrome import disclaimer, section
from app.ui.context import Context
from app.ui.keylist import keylist
from app.ui.readpanel import VERDICT_KEYS

MEANINGS = """
* **What is compared.** Several networks learnt to redraw chest radiographs: *module A* from normal
  and unlabelled ones, *module B* from normal ones only. Whatever B cannot redraw as A does is
  unusual among normals.
* **A_inter** is the difference between what A and B redraw on average. It is high where A has
  learnt something that B never saw: a finding, or a device, or what is seldom among normals.
* **A_intra** is how much the networks of module B differ among themselves. It is high where normal
  radiographs gave them nothing to agree on.
* **A_rec** is the difference between the radiograph and what is redrawn of it. It is high at sharp
  edges and fine detail, too. Which score tells most is measured for each model.
* **R_dual** is one map that a further network made of A_inter and A_intra; it is sharper, and only
  some models have it.
* **A_ratio** asks the question directly: how much likelier is this radiograph, and each place in
  it, among the unlabelled than among the normal ones? Above 0 speaks for the unlabelled, below 0
  for the normal ones. It is no part of the published method, and whatever sets the two collections
  apart counts, findings or not. Not every model has it; where it judges, it is shown first.
* **by place**: how many standard deviations (σ) a pixel lies above normal radiographs at the same
  place; 0 is usual there.
"""
NUMBERS = """
* **The percentile** tells how many of the model's calibration normals score lower. 92 % means: of
  100 normal radiographs like those, about 8 score as high or higher. It is *not* the probability
  that something is wrong.
* **p** is the share of calibration normals that score at least as high; with 50 of them it cannot
  be less than 0.02.
* **The operating point** is the score from which a case is *flagged*. A lead sets it on Thresholds;
  every version stays on record with its reason, and moving it runs no network.
* **The threshold on a map** only decides what is coloured. It changes neither score nor flag.
"""
FAILINGS = """
* A model knows only its own normals. Devices, lines, turned or cropped images and another
  hospital's processing may stand out like disease; small or faint findings and even change on both
  sides may not stand out at all.
* A case that is not flagged may be abnormal. Judge the radiograph first; hold **H** to see it
  alone.
* The maps show where the redrawing differs, not how far a finding reaches.
"""


def show(context: Context) -> None:
    """Draw the screen."""
    left, right = st.columns(2, gap="large")
    with left:
        section("What the maps mean")
        st.markdown(MEANINGS)
        section("What the numbers mean")
        st.markdown(NUMBERS)
    with right:
        section("Where the models fail")
        st.markdown(FAILINGS)
        if Action.VIEW_CASES in context.allowed:
            _models(context)
        if Action.READ in context.allowed:
            section("The guided first case")
            st.markdown("Two minutes with one case: window, zoom, map, box, verdict.")
            if st.button("Show the guided case again"):
                context.services.preferences.note_guide(context.reader, "new")
                context.open_screen("worklist")
        disclaimer()
    if Action.VIEW_CASES in context.allowed:
        section("Keys and gestures")
        keylist(
            {key: f"Verdict: {verdict}" for verdict, key in VERDICT_KEYS.items()}
            | {"Ctrl Enter": "Save, and on to the next case"}
        )


def _models(context: Context) -> None:
    for one in context.services.models.summaries():
        st.html(
            f'<div class="ddad-facts"><b class="ddad-strong">{html.escape(one.title)}</b><br>'
            f"Made for {html.escape(one.population)}; on anybody else it was not measured. "
            f"{html.escape(one.figures)}. {html.escape(one.statement)}</div>"
        )
