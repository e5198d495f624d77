// The cached pictures. Each repaints only when what it shows has changed; composing them is two
// drawImage calls, whatever the size of the image.

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

// An image larger than this is halved for drawing it small: fewer pixels to window in each frame.
const HALVED_ABOVE = 1280;
const PAINT_MARGIN = 64;

/** One picture at one resolution, windowed through a lookup table where it is in view. */
class Level {
  constructor(pixels, width, height) {
    Object.assign(this, makeCanvas(width, height));
    Object.assign(this, { pixels, width, height, painted: null });
    this.picture = this.context.createImageData(width, height);
    this.words = new Uint32Array(this.picture.data.buffer);
  }

  /** Paint the rectangle {left, top, right, bottom} unless it is there already. */
  paint(table, rect) {
    const kept = this.painted;
    if (kept?.table === table && contains(kept.rect, rect)) return;
    const { pixels, words, width } = this;
    for (let row = rect.top; row < rect.bottom; row += 1) {
      const end = row * width + rect.right;
      for (let i = row * width + rect.left; i < end; i += 1) words[i] = table.grey[pixels[i]];
    }
    const [columns, rows] = [rect.right - rect.left, rect.bottom - rect.top];
    this.context.putImageData(this.picture, 0, 0, rect.left, rect.top, columns, rows);
    this.painted = { table, rect };
  }

  /** The same at half the size, each pixel the mean of four. */
  halved() {
    const [width, height] = [this.width >> 1, this.height >> 1];
    const half = new Uint16Array(width * height);
    for (let row = 0, i = 0; row < height; row += 1) {
      let at = 2 * row * this.width;
      for (let column = 0; column < width; column += 1, i += 1, at += 2) {
        const { pixels } = this;
        const below = at + this.width;
        half[i] = (pixels[at] + pixels[at + 1] + pixels[below] + pixels[below + 1] + 2) >> 2;
      }
    }
    return new Level(half, width, height);
  }
}

function contains(outer, inner) {
  return outer.left <= inner.left && outer.top <= inner.top
    && outer.right >= inner.right && outer.bottom >= inner.bottom;
}

/** A grey picture of the whole image: the radiograph itself, or what a module reconstructed. */
class BaseLayer {
  constructor(pixels, { width, height, slope, intercept }) {
    Object.assign(this, { slope, intercept, width, height });
    this.levels = [new Level(pixels, width, height)];
    this.table = null;
    this.lowest = 65535;
    this.highest = 0;
    for (const stored of pixels) {
      if (stored < this.lowest) this.lowest = stored;
      if (stored > this.highest) this.highest = stored;
    }
  }

  /** The modality value at a place given as a fraction of the image's width and height. */
  valueAt(across, down) {
    const { pixels, width, height } = this.levels[0];
    const column = Math.min(Math.floor(across * width), width - 1);
    const row = Math.min(Math.floor(down * height), height - 1);
    return pixels[row * width + column] * this.slope + this.intercept;
  }

  /** The lowest and the highest modality value. */
  range() {
    return [this.lowest, this.highest].map((stored) => stored * this.slope + this.intercept);
  }

  /**
   * The windowed picture, painted at least where it is seen.
   * @param across Device pixels that the image's width is drawn on.
   * @param seen What is in view, as fractions of the image; null: paint all of it.
   */
  paint(window, inverted, across, seen) {
    if (this.table?.window !== window || this.table.inverted !== inverted) {
      this.table = { window, inverted, grey: this.#greys(window, inverted) };
    }
    const level = this.#levelFor(across);
    level.paint(this.table, visiblePart(level, seen));
    return level.canvas;
  }

  #levelFor(across) {
    let at = 0;
    for (;;) {
      const level = this.levels[at];
      const enough = Math.max(level.width, level.height) > HALVED_ABOVE && level.width >> 1 >= across;
      if (!enough) return level;
      at += 1;
      this.levels[at] ??= level.halved();
    }
  }

  #greys(window, inverted) {
    const table = new Uint32Array(this.highest + 1);
    for (let stored = this.lowest; stored <= this.highest; stored += 1) {
      const value = stored * this.slope + this.intercept;
      const grey = greyOf(value, window);
      const level = Math.round(255 * (inverted ? 1 - grey : grey));
      table[stored] = (0xff000000 | (level << 16) | (level << 8) | level) >>> 0;
    }
    return table;
  }
}

function visiblePart({ width, height }, seen) {
  if (!seen) return { left: 0, top: 0, right: width, bottom: height };
  const within = (value, limit) => Math.min(Math.max(Math.round(value), 0), limit);
  return {
    left: within(seen.left * width - PAINT_MARGIN, width),
    top: within(seen.top * height - PAINT_MARGIN, height),
    right: within(seen.right * width + PAINT_MARGIN, width),
    bottom: within(seen.bottom * height + PAINT_MARGIN, height),
  };
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
  constructor() {
    this.canvas = null;
    this.shown = null;
  }

  paint(map, threshold, colors) {
    const { shown } = this;
    if (shown?.map === map && shown.threshold === threshold && shown.colors === colors) return;
    const { values, shades, side } = fineMap(map);
    if (this.canvas?.width !== side) {
      Object.assign(this, makeCanvas(side, side));
      this.picture = this.context.createImageData(side, side);
      this.words = new Uint32Array(this.picture.data.buffer);
    }
    const words = this.words;
    for (let i = 0; i < words.length; i += 1) {
      words[i] = values[i] >= threshold ? colors[shades[i]] : 0;
    }
    this.context.putImageData(this.picture, 0, 0);
    this.shown = { map, threshold, colors };
  }
}

/** A map enlarged for drawing; made once. */
function fineMap(map) {
  map.fine ??= enlargeMap(map);
  return map.fine;
}

/** Bilinear, half-pixel centres, edges clamped: the threshold cuts between map pixels, too. */
function enlargeMap({ coarse, size, maximum }) {
  const enlargement = Math.max(Math.round(FINE_SIDE / size), 1);
  const side = enlargement * size;
  const values = new Float32Array(side * side);
  const shades = new Uint8Array(side * side);
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
      shades[i] = Math.round(255 * Math.min(Math.max(value / maximum, 0), 1));
    }
  }
  return { values, shades, side };
}

function mix(a, b, part) {
  return a + (b - a) * part;
}

/** Value of a map at a place given as a fraction of the image's width and height. */
function mapValueAt(map, across, down) {
  const { values, side } = fineMap(map);
  const column = Math.min(Math.floor(across * side), side - 1);
  const row = Math.min(Math.floor(down * side), side - 1);
  return values[row * side + column];
}
