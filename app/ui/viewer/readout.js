// The figures at the image's corner: how it is shown, and what is under the pointer.

class Readout {
  constructor(viewer) {
    this.viewer = viewer;
    this.view = viewer.root.querySelector(".readout-view");
    this.pointer = viewer.root.querySelector(".readout-pointer");
  }

  clear() {
    this.view.replaceChildren();
    this.pointer.replaceChildren();
  }

  showView() {
    const { state, view, image, threshold, root } = this.viewer;
    const { window: shown, inverted, map, boxes, ruler } = state;
    const { center, width } = shown;
    const zoom = Math.round(100 * view.scale * (window.devicePixelRatio || 1));
    const number = (value) => formatLevel(value, width);
    showLine(this.view, [
      `W ${number(width)}`,
      `C ${number(center)}`,
      { sigmoid: "Sigmoid", lut: "Lookup table" }[shown.function],
      `Zoom ${zoom} %`,
      inverted && "Inverted",
      view.turns > 0 && `Rotated ${90 * view.turns}°`,
      view.flipped && "Flipped",
      ruler && rulerText(ruler, image.header.spacing_mm),
      boxes.length >= image.header.max_boxes && `${boxes.length} boxes, no more can be added`,
    ]);
    Object.assign(root.dataset, {
      window: `${center},${width}`,
      windowFunction: shown.function,
      threshold: threshold ?? "",
      map,
      boxes: boxes.length,
      full: String(this.viewer.isFull),
      explained: String(Boolean(this.viewer.reconstructions)),
    });
  }

  showPointer() {
    const { pointer, image, state } = this.viewer;
    const isOther = pointer?.pane?.kind === "beside";
    const other = isOther ? this.viewer.comparison.shown : undefined;
    const { base, view } = other ?? this.viewer;
    const at = pointer && Boolean(other) === isOther && view.toImage(pointer.x, pointer.y);
    const { width, height } = view.image;
    const { header } = image;
    if (!at || at.x < 0 || at.y < 0 || at.x >= width || at.y >= height) {
      showLine(this.pointer, []);
      return;
    }
    const [across, down] = [at.x / width, at.y / height];
    const [rowMm, columnMm] = (!other && header.spacing_mm) || [];
    const map = !other && this.viewer.aiShown && this.viewer.map;
    const heat = map && mapValueAt(map, across, down);
    // A smaller picture's pixel is the mean of several of the image's.
    const sign = base.width === width ? "" : "≈ ";
    showLine(this.pointer, [
      `x ${Math.floor(at.x)}  y ${Math.floor(at.y)}`,
      columnMm && `${(at.x * columnMm).toFixed(1)}, ${(at.y * rowMm).toFixed(1)} mm`,
      `value ${sign}${formatLevel(base.valueAt(across, down), (other ?? state).window.width)}`,
      typeof heat === "number" && `${map.title} ${formatValue(heat, map.maximum)} ${map.unit}`,
    ]);
  }
}

/** A grey value: whole numbers unless the window is so narrow that the fraction matters. */
function formatLevel(value, width) {
  return value.toFixed(width >= 50 ? 0 : width >= 5 ? 1 : 3);
}

function showLine(line, parts) {
  const texts = parts.filter(Boolean);
  while (line.children.length < texts.length) line.append(document.createElement("span"));
  while (line.children.length > texts.length) line.lastChild.remove();
  texts.forEach((text, i) => {
    if (line.children[i].textContent !== text) line.children[i].textContent = text;
  });
}
