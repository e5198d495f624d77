// The scale beside the image: what a colour means, in the map's own unit, and where the
// threshold cuts. Colours below the cut are dimmed because the image shows none of them.

const BAR_WIDTH = 12;
const BAR_LEFT = 12;
const BAR_END = 10;

class ColorBar {
  constructor(root) {
    this.canvas = root.querySelector(".colorbar canvas");
    this.title = root.querySelector(".colorbar-title");
    this.unit = root.querySelector(".colorbar-unit");
  }

  draw(map, threshold, colors) {
    if (this.shown !== map) {
      this.shown = map;
      this.title.textContent = map.title;
      this.unit.textContent = map.unit;
    }
    const width = this.canvas.clientWidth;
    const height = this.canvas.clientHeight;
    if (width < 2 || height < 3 * BAR_END) return;
    const drawn = [map, threshold, colors, width, height, window.devicePixelRatio];
    if (this.drawn?.every((part, i) => part === drawn[i])) return;
    this.drawn = drawn;
    const context = fitCanvas(this.canvas);
    context.clearRect(0, 0, width, height);
    const yOf = (value) => BAR_END + (height - 2 * BAR_END) * (1 - Math.min(value / map.maximum, 1));
    this.#drawScale(context, colors, yOf(map.maximum), yOf(threshold), yOf(0));
    this.#drawTicks(context, map.maximum, yOf, yOf(threshold));
    this.#drawMark(context, formatValue(threshold, map.maximum), yOf(threshold));
  }

  #drawScale(context, colors, top, cut, bottom) {
    for (let y = Math.floor(top); y < bottom; y += 1) {
      const shade = colors[Math.round((255 * (bottom - y)) / (bottom - top))] ?? colors[255];
      context.globalAlpha = y < cut ? 1 : 0.28;
      context.fillStyle = `rgb(${shade & 255},${(shade >> 8) & 255},${(shade >> 16) & 255})`;
      context.fillRect(BAR_LEFT, y, BAR_WIDTH, 1);
    }
    context.globalAlpha = 1;
  }

  #drawTicks(context, maximum, yOf, markY) {
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.fillStyle = "#9aa4af";
    for (const value of tickValues(maximum)) {
      const y = yOf(value);
      if (Math.abs(y - markY) < 13) continue;
      context.fillRect(BAR_LEFT + BAR_WIDTH, Math.round(y), 4, 1);
      context.fillText(formatValue(value, maximum), BAR_LEFT + BAR_WIDTH + 8, y + 0.5);
    }
  }

  #drawMark(context, text, y) {
    const line = Math.round(y);
    context.fillStyle = "#4fb3bf";
    context.fillRect(BAR_LEFT - 3, line - 1, BAR_WIDTH + 8, 2);
    context.beginPath();
    context.moveTo(BAR_LEFT - 3, line);
    context.lineTo(BAR_LEFT - 10, line - 4);
    context.lineTo(BAR_LEFT - 10, line + 4);
    context.fill();
    context.font = "600 11px system-ui, sans-serif";
    context.fillStyle = "#7fd0da";
    context.fillText(text, BAR_LEFT + BAR_WIDTH + 8, y + 0.5);
  }
}

/** Round numbers from 0 to the maximum, four to eight of them. */
function tickValues(maximum) {
  const rough = maximum / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  return Array.from({ length: Math.floor(maximum / step + 1e-9) + 1 }, (_, i) => i * step);
}

/** A number with the decimals that its scale deserves. */
function formatValue(value, scale) {
  const decimals = Math.min(Math.max(2 - Math.floor(Math.log10(Math.abs(scale) || 1)), 0), 6);
  return value.toFixed(scale >= 100 ? 0 : Math.max(decimals - 1, 1));
}

/** Match a canvas to its place on the screen, device pixel for device pixel. */
function fitCanvas(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.max(Math.round(canvas.clientWidth * ratio), 1);
  const height = Math.max(Math.round(canvas.clientHeight * ratio), 1);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  if (!context) throw new Error("The browser refused a drawing surface.");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}
