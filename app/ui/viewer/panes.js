// The panes of the stage: one, or side by side what there is to compare. All show the same view.
// "beside" is another image of the patient, the others are the open case.

const PANE_GAP = 2;
const PANE_TITLES = {
  image: "Image",
  overlay: "Overlay",
  beside: "",
  a: "Module A reconstructs",
  b: "Module B reconstructs",
};

/** What stands side by side, by the state of the viewer. */
function paneKinds({ sideBySide, besideId }) {
  if (sideBySide) return ["image", "overlay", "a", "b"];
  return besideId ? ["overlay", "beside"] : ["overlay"];
}

/** Panes {kind, x, y, width, height} that fill a stage; four stand two by two. */
function layPanes(kinds, width, height) {
  const columns = kinds.length > 1 ? 2 : 1;
  const rows = Math.ceil(kinds.length / columns);
  const wide = (width - (columns - 1) * PANE_GAP) / columns;
  const high = (height - (rows - 1) * PANE_GAP) / rows;
  return kinds.map((kind, i) => ({
    kind,
    x: (i % columns) * (wide + PANE_GAP),
    y: Math.floor(i / columns) * (high + PANE_GAP),
    width: wide,
    height: high,
  }));
}

/** The pane at a point of the stage; the nearest one in a gap or outside. */
function paneAtPoint(panes, x, y) {
  const away = (pane) =>
    Math.hypot(
      Math.max(pane.x - x, 0, x - pane.x - pane.width),
      Math.max(pane.y - y, 0, y - pane.y - pane.height),
    );
  return panes.reduce((best, pane) => (away(pane) < away(best) ? pane : best));
}
