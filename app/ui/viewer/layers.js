// The layers of the picture: the windowed radiograph, the heat map, and boxes on top.

const HEAT_FACTOR = 8; // the heat canvas has 8 pixels a map cell: smooth edges, still small
const BOX_COLOR = "#7ee787";
const HANDLE = 4;

function newCanvas(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

// The radiograph at its own resolution, repainted through a table when the window changes.
class BaseLayer {
  constructor(pixels, width, height, slope, intercept) {
    this.pixels = pixels;
    this.slope = slope;
    this.intercept = intercept;
    this.canvas = newCanvas(width, height);
    this.context = this.canvas.getContext("2d");
    this.image = this.context.createImageData(width, height);
    this.rgba = new Uint32Array(this.image.data.buffer);
    this.table = new Uint32Array(65536);
    this.top = 0;
    for (let i = 0; i < pixels.length; i++) if (pixels[i] > this.top) this.top = pixels[i];
  }

  paint(center, width, invert) {
    const { pixels, rgba, table } = this;
    for (let stored = 0; stored <= this.top; stored++) {
      const value = stored * this.slope + this.intercept;
      let grey = Math.min(Math.max((value - center) / width + 0.5, 0), 1);
      if (invert) grey = 1 - grey;
      const level = Math.round(grey * 255);
      table[stored] = 0xff000000 | (level << 16) | (level << 8) | level;
    }
    for (let i = 0; i < pixels.length; i++) rgba[i] = table[pixels[i]];
    this.context.putImageData(this.image, 0, 0);
  }
}

// A map: opaque colour at and above the threshold, nothing below. Opacity is applied when drawn.
class HeatLayer {
  constructor(values, size, maximum, colors) {
    this.side = size * HEAT_FACTOR;
    this.values = upsample(values, size, HEAT_FACTOR);
    this.maximum = maximum;
    this.colors = colors;
    this.canvas = newCanvas(this.side, this.side);
    this.context = this.canvas.getContext("2d");
    this.image = this.context.createImageData(this.side, this.side);
    this.rgba = new Uint32Array(this.image.data.buffer);
    this.painted = null;
  }

  paint(threshold) {
    if (this.painted === threshold) return;
    const scale = 255 / this.maximum;
    for (let i = 0; i < this.values.length; i++) {
      const value = this.values[i];
      this.rgba[i] = value >= threshold ? this.colors[Math.min(255, (value * scale) | 0)] : 0;
    }
    this.context.putImageData(this.image, 0, 0);
    this.painted = threshold;
  }
}

function drawBoxes(context, boxes, selected, view) {
  context.lineWidth = 1.5;
  context.strokeStyle = BOX_COLOR;
  context.fillStyle = BOX_COLOR;
  boxes.forEach((box, i) => {
    const [x, y] = [box.x * view.scale + view.x, box.y * view.scale + view.y];
    const [w, h] = [box.width * view.scale, box.height * view.scale];
    context.strokeRect(x, y, w, h);
    if (i !== selected) return;
    for (const [cx, cy] of [[x, y], [x + w, y], [x, y + h], [x + w, y + h]]) {
      context.fillRect(cx - HANDLE, cy - HANDLE, 2 * HANDLE, 2 * HANDLE);
    }
  });
}
