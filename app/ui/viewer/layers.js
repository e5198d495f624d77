// The two cached pictures. Each repaints only when what it shows has changed; composing them is
// two drawImage calls, whatever the size of the image.

// Side of a map enlarged for drawing; larger maps are enlarged less, for eight may be looked at.
const FINE_SIDE = 512;

function makeCanvas(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (!context) throw new Error(`The browser refused a drawing surface of ${width} x ${height} pixels.`);
  return { canvas, context };
}

/** The radiograph at its own resolution, windowed through a lookup table. */
class BaseLayer {
  constructor(pixels, header) {
    Object.assign(this, makeCanvas(header.width, header.height));
    this.pixels = pixels;
    this.slope = header.slope;
    this.intercept = header.intercept;
    this.picture = this.context.createImageData(header.width, header.height);
    this.words = new Uint32Array(this.picture.data.buffer);
    this.table = new Uint32Array(65536);
    this.shown = null;
    this.lowest = 65535;
    this.highest = 0;
    for (const stored of pixels) {
      if (stored < this.lowest) this.lowest = stored;
      if (stored > this.highest) this.highest = stored;
    }
  }

  /** The modality value of the pixel at a column and a row. */
  valueAt(column, row) {
    return this.pixels[row * this.canvas.width + column] * this.slope + this.intercept;
  }

  paint(window, inverted) {
    if (this.shown?.window === window && this.shown.inverted === inverted) return;
    this.#fillTable(window, inverted);
    const { pixels, words, table } = this;
    for (let i = 0; i < words.length; i += 1) words[i] = table[pixels[i]];
    this.context.putImageData(this.picture, 0, 0);
    this.shown = { window, inverted };
  }

  #fillTable(window, inverted) {
    for (let stored = this.lowest; stored <= this.highest; stored += 1) {
      const value = stored * this.slope + this.intercept;
      const grey = greyOf(value, window);
      const level = Math.round(255 * (inverted ? 1 - grey : grey));
      this.table[stored] = (0xff000000 | (level << 16) | (level << 8) | level) >>> 0;
    }
  }
}

/** Grey from 0 to 1 of a modality value (DICOM PS3.3 C.11.2.1); twin of `apply_window`. */
function greyOf(value, window) {
  const { center, width, table } = window;
  if (window.function === "lut") {
    const entry = Math.floor(value - (center - width / 2) + 0.5);
    return table[Math.min(Math.max(entry, 0), table.length - 1)] / window.tableMax;
  }
  const steps = (value - center) / width;
  if (window.function === "sigmoid") return 1 / (1 + Math.exp(-4 * steps));
  return Math.min(Math.max(steps + 0.5, 0), 1);
}

/** One map in colour: opaque at or above the threshold, clear below it. */
class HeatLayer {
  constructor(colors) {
    this.colors = colors;
    this.canvas = null;
    this.shown = null;
  }

  paint(map, threshold) {
    if (this.shown?.map === map && this.shown.threshold === threshold) return;
    map.fine ??= enlargeMap(map, this.colors);
    const { values, colors, side } = map.fine;
    if (this.canvas?.width !== side) {
      Object.assign(this, makeCanvas(side, side));
      this.picture = this.context.createImageData(side, side);
      this.words = new Uint32Array(this.picture.data.buffer);
    }
    const words = this.words;
    for (let i = 0; i < words.length; i += 1) words[i] = values[i] >= threshold ? colors[i] : 0;
    this.context.putImageData(this.picture, 0, 0);
    this.shown = { map, threshold };
  }
}

/** Bilinear, half-pixel centres, edges clamped: the threshold cuts between map pixels, too. */
function enlargeMap({ coarse, size, maximum }, colors) {
  const enlargement = Math.max(Math.round(FINE_SIDE / size), 1);
  const side = enlargement * size;
  const values = new Float32Array(side * side);
  const shades = new Uint32Array(side * side);
  const taps = Array.from({ length: side }, (_, i) => {
    const at = Math.min(Math.max((i + 0.5) / enlargement - 0.5, 0), size - 1);
    const low = Math.floor(at);
    return { low, high: Math.min(low + 1, size - 1), part: at - low };
  });
  for (let row = 0; row < side; row += 1) {
    const { low, high, part } = taps[row];
    for (let column = 0; column < side; column += 1) {
      const across = taps[column];
      const upper = mix(coarse[low * size + across.low], coarse[low * size + across.high], across.part);
      const lower = mix(coarse[high * size + across.low], coarse[high * size + across.high], across.part);
      const value = mix(upper, lower, part);
      const i = row * side + column;
      values[i] = value;
      shades[i] = colors[Math.round(255 * Math.min(Math.max(value / maximum, 0), 1))];
    }
  }
  return { values, colors: shades, side };
}

function mix(a, b, part) {
  return a + (b - a) * part;
}

/** Value of a map at a place given as a fraction of the image's width and height. */
function mapValueAt(map, across, down) {
  const side = map.fine?.side;
  if (!side) return null;
  const column = Math.min(Math.floor(across * side), side - 1);
  const row = Math.min(Math.floor(down * side), side - 1);
  return map.fine.values[row * side + column];
}
