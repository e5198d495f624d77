// Draws the state: panes, layers, boxes, ruler and magnifier, on one canvas.

// Bilinear drawing of an image shrunk further than this drops pixels; a frame at rest is drawn
// finer than one in a gesture.
const COARSE_SCALE = 0.67;
const MAGNIFIER_RADIUS = 110;
const MAGNIFICATION = 2.5;

class Painter {
  constructor(viewer) {
    this.viewer = viewer;
    this.heat = new HeatLayer();
    this.contours = new Contours();
  }

  /** Draw everything; true if a finer drawing is wanted when the hand rests. */
  draw(fine) {
    const { viewer } = this;
    const context = fitCanvas(viewer.canvas);
    if (viewer.panes.length > 1) {
      context.fillStyle = "#39424d";
      context.fillRect(0, 0, viewer.canvas.clientWidth, viewer.canvas.clientHeight);
    }
    let coarse = false;
    for (const pane of viewer.panes) {
      context.save();
      context.translate(pane.x, pane.y);
      clipTo(context, 0, 0, pane.width, pane.height);
      coarse = this.#drawPane(context, pane, fine) || coarse;
      if (viewer.state.magnifier && viewer.pointer?.pane === pane) this.#drawMagnifier(context, pane);
      if (viewer.panes.length > 1) drawTitle(context, viewer.comparison.titleOf(pane.kind));
      context.restore();
    }
    return coarse && !fine;
  }

  #drawPane(context, pane, fine) {
    const { viewer } = this;
    context.fillStyle = "#000";
    context.fillRect(0, 0, pane.width, pane.height);
    const layer = viewer.layerOf(pane.kind);
    if (!layer) {
      const waits = pane.kind === "beside" ? "On its way" : "Being computed";
      drawNote(context, pane, pane.kind === "beside" || viewer.aiShown ? waits : "AI hidden");
      return false;
    }
    const coarse = this.#drawLayers(context, pane.kind, layer, { fine });
    if (pane.kind !== "beside") this.#drawMarks(context);
    return coarse;
  }

  /** The grey picture and the map over it; true if it was drawn coarsely. */
  #drawLayers(context, kind, layer, { fine = false, magnified = 1 } = {}) {
    const { viewer } = this;
    const { state } = viewer;
    const view = viewer.comparison.viewOf(kind);
    const { width, height } = view.image;
    const across = width * view.scale * (window.devicePixelRatio || 1) * magnified;
    const seen = fine ? null : seenPart(view);
    const picture = layer.paint(viewer.comparison.windowOf(kind), state.inverted, across, seen);
    const shrunk = across / picture.width < COARSE_SCALE;
    context.save();
    context.transform(...view.matrix());
    context.imageSmoothingQuality = shrunk && fine ? "high" : "low";
    context.drawImage(picture, 0, 0, width, height);
    const map = viewer.map;
    const drawsMap = map && viewer.aiShown && kind === "overlay";
    if (drawsMap && !state.contours) {
      this.heat.paint(map, viewer.threshold, viewer.colors);
      context.imageSmoothingQuality = "low";
      context.globalAlpha = state.opacity;
      context.drawImage(this.heat.canvas, 0, 0, width, height);
    }
    context.restore();
    if (drawsMap && state.contours) {
      this.contours.draw(context, view, map, viewer.threshold, {
        colors: viewer.colors, opacity: state.opacity,
      });
    }
    return shrunk || !fine;
  }

  #drawMarks(context) {
    const { viewer } = this;
    const { boxes, selected, draft, ruler, othersShown } = viewer.state;
    const spacing = viewer.image.header.spacing_mm;
    const region = viewer.aiShown && viewer.side.pointedAt();
    if (region) drawOutline(context, region.box, viewer.view);
    if (othersShown) {
      for (const { who, boxes: theirs } of viewer.image.header.others) {
        theirs.forEach((box) => drawOthersBox(context, box, viewer.view, who));
      }
    }
    const shown = draft && draft.index >= 0 ? boxes.with(draft.index, draft.box) : [...boxes];
    if (draft && draft.index < 0) shown.push(draft.box);
    shown.forEach((box, i) => {
      const active = i === selected || i === boxes.length;
      const caption = [box.label, active && boxSize(box, spacing)].filter(Boolean).join("  ");
      drawBox(context, box, viewer.view, { selected: i === selected, caption });
    });
    if (ruler) drawRuler(context, ruler, viewer.view, spacing);
  }

  #drawMagnifier(context, pane) {
    const { viewer } = this;
    const { x, y } = viewer.pointer;
    const layer = viewer.layerOf(pane.kind);
    if (!layer) return;
    context.save();
    context.beginPath();
    context.arc(x, y, MAGNIFIER_RADIUS, 0, 2 * Math.PI);
    context.clip();
    context.fillStyle = "#000";
    context.fillRect(0, 0, pane.width, pane.height);
    context.translate(x, y);
    context.scale(MAGNIFICATION, MAGNIFICATION);
    context.translate(-x, -y);
    this.#drawLayers(context, pane.kind, layer, { magnified: MAGNIFICATION });
    context.restore();
    context.beginPath();
    context.arc(x, y, MAGNIFIER_RADIUS, 0, 2 * Math.PI);
    context.lineWidth = 1.5;
    context.strokeStyle = "#9aa4af";
    context.stroke();
  }
}

/** What of the image the stage shows, as fractions of its width and height. */
function seenPart(view) {
  const { width, height } = view.stage;
  const corners = [view.toImage(0, 0), view.toImage(width, height)];
  const xs = corners.map(({ x }) => x / view.image.width).sort((a, b) => a - b);
  const ys = corners.map(({ y }) => y / view.image.height).sort((a, b) => a - b);
  return { left: xs[0], top: ys[0], right: xs[1], bottom: ys[1] };
}

function clipTo(context, x, y, width, height) {
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
}

function drawTitle(context, title) {
  drawCaption(context, title, 8, 17, "#c9d1d9");
}

function drawNote(context, { width, height }, text) {
  context.font = "13px system-ui, sans-serif";
  context.fillStyle = "#9aa4af";
  context.textBaseline = "middle";
  context.fillText(text, (width - context.measureText(text).width) / 2, height / 2);
}
