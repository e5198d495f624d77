// Lines of equal value of a map, by marching squares between cell centres. They lie where the
// filled overlay ends, and stay one line wide at every zoom.

const LEVELS = 3;

/** Levels that contours are drawn at: the threshold, and two on the way to the scale's top. */
function contourLevels(threshold, maximum) {
  if (threshold >= maximum) return [threshold];
  return Array.from({ length: LEVELS }, (_, i) => threshold + ((maximum - threshold) * i) / LEVELS);
}

/**
 * Segments of one level: [x0, y0, x1, y1, ...] as fractions of the image.
 * Beyond the outermost cell centres a map goes on with their values to the image's edge.
 */
function contourSegments({ coarse, size }, level) {
  const found = [];
  const nodes = size + 2;
  const at = (i) => (i === 0 ? 0 : i > size ? 1 : (i - 0.5) / size);
  const cell = (i) => Math.min(Math.max(i - 1, 0), size - 1);
  const value = (row, column) => coarse[cell(row) * size + cell(column)];
  for (let row = 0; row + 1 < nodes; row += 1) {
    for (let column = 0; column + 1 < nodes; column += 1) {
      const corners = [
        [column, row], [column + 1, row], [column + 1, row + 1], [column, row + 1],
      ];
      const values = corners.map(([x, y]) => value(y, x));
      const above = values.map((v) => v >= level);
      if (above.every(Boolean) || !above.some(Boolean)) continue;
      const crossings = [];
      for (let side = 0; side < 4; side += 1) {
        const next = (side + 1) % 4;
        if (above[side] === above[next]) continue;
        const part = (level - values[side]) / (values[next] - values[side]);
        const [x0, y0] = corners[side].map(at);
        const [x1, y1] = corners[next].map(at);
        crossings.push([x0 + (x1 - x0) * part, y0 + (y1 - y0) * part]);
      }
      // Four crossings are a saddle: the middle decides which ends belong together.
      if (crossings.length === 4 && values.reduce((a, b) => a + b) / 4 >= level !== above[0]) {
        crossings.push(crossings.shift());
      }
      for (const [x, y] of crossings) found.push(x, y);
    }
  }
  return new Float32Array(found);
}

class Contours {
  constructor() {
    this.shown = null;
  }

  /** Draw the contours of a map under a transform from image to stage coordinates. */
  draw(context, view, map, threshold, { colors, opacity }) {
    if (this.shown?.map !== map || this.shown.threshold !== threshold) {
      const lines = contourLevels(threshold, map.maximum).map((level) => (
        { level, path: pathOf(contourSegments(map, level)) }
      ));
      this.shown = { map, threshold, lines };
    }
    const [a, b, c, d, e, f] = view.matrix();
    const { width, height } = view.image;
    const matrix = new DOMMatrix([a * width, b * width, c * height, d * height, e, f]);
    // A thin line needs more of its colour than an area does to be seen.
    const strength = 0.4 + 0.6 * opacity;
    context.lineJoin = context.lineCap = "round";
    for (const [i, { level, path }] of this.shown.lines.entries()) {
      const placed = new Path2D();
      placed.addPath(path, matrix);
      const shade = colors[Math.round(255 * Math.min(level / map.maximum, 1))];
      context.globalAlpha = 0.5 * strength;
      context.lineWidth = i === 0 ? 3.6 : 2.4;
      context.strokeStyle = "#000";
      context.stroke(placed);
      context.globalAlpha = strength;
      context.lineWidth = i === 0 ? 2 : 1.2;
      context.strokeStyle = `rgb(${shade & 255},${(shade >> 8) & 255},${(shade >> 16) & 255})`;
      context.stroke(placed);
    }
    context.globalAlpha = 1;
  }
}

function pathOf(segments) {
  const path = new Path2D();
  for (let i = 0; i < segments.length; i += 4) {
    path.moveTo(segments[i], segments[i + 1]);
    path.lineTo(segments[i + 2], segments[i + 3]);
  }
  return path;
}
