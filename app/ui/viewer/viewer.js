// The viewer: holds what is shown, draws it once a frame, reports on release.

const MAX_SAMPLES = 500;
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const tidy = (value) => Number(value.toPrecision(3)).toString();

class Viewer {
  constructor(root) {
    this.root = root;
    this.canvas = root.querySelector(".stage canvas");
    this.context = this.canvas.getContext("2d");
    this.part = (name) => root.querySelector(`[data-part="${name}"]`);
    this.imageId = null;
    this.maps = [];
    this.boxes = [];
    this.selected = -1;
    this.tool = "window";
    this.aiVisible = true;
    this.invert = false;
    this.opacity = 0.45;
    this.view = { scale: 1, x: 0, y: 0 };
    this.samples = [];
    listenToPointer(this);
    listenToKeys(this);
    this.listenToControls();
    new ResizeObserver(() => this.resize()).observe(this.canvas.parentElement);
    root.__ddad = this;
  }

  async load(data) {
    const header = unpack(data);
    if (header.digest === this.digest) return; // a rerun of the page, nothing new to show
    this.digest = header.digest;
    const sameImage = header.image_id === this.imageId;
    const [pixels, ...maps] = await Promise.all(header.blobs.slice(1).map(inflate));
    this.colors = new Uint32Array(256);
    const rgb = header.blobs[0];
    for (let i = 0; i < 256; i++) {
      this.colors[i] =
        (0xff000000 | (rgb[3 * i + 2] << 16) | (rgb[3 * i + 1] << 8) | rgb[3 * i]) >>> 0;
    }
    const chosen = sameImage ? this.map.name : header.initial_map;
    this.maps = header.maps.map((map, i) => {
      const values = new Float32Array(maps[i]);
      return { ...map, layer: new HeatLayer(values, map.size, map.maximum, this.colors) };
    });
    this.header = header;
    if (!sameImage) this.openImage(header, new Uint16Array(pixels));
    this.map = this.maps.find((map) => map.name === chosen) || this.maps[0];
    this.threshold = this.map.threshold;
    this.showControls();
    this.resize();
    this.request();
  }

  openImage(header, pixels) {
    this.imageId = header.image_id;
    this.base = new BaseLayer(pixels, header.width, header.height, header.slope, header.intercept);
    this.range = Math.max(this.base.top * header.slope, 1e-6);
    this.boxes = header.boxes.map((box) => ({ ...box }));
    this.selected = -1;
    this.fitted = true;
    this.invert = false;
    this.aiVisible = header.ai_visible;
    this.window = { center: header.window[0], width: header.window[1] };
    this.stale = true;
    this.root.setAttribute("aria-label", header.description);
  }

  // ---- what is shown -------------------------------------------------------------------------

  setWindow(center, width) {
    this.window = { center, width: Math.max(width, this.range / 1000) };
    this.stale = true;
    this.request();
  }

  toggleInvert() {
    this.invert = !this.invert;
    this.stale = true;
    this.request();
  }

  setThreshold(value, final) {
    this.threshold = clamp(value, 0, this.map.maximum);
    this.request();
    if (final) this.tell();
  }

  setOpacity(value, final) {
    this.opacity = clamp(value, 0, 1);
    this.request();
    if (final) this.tell();
  }

  setMap(name) {
    this.map = this.maps.find((map) => map.name === name) || this.map;
    this.threshold = this.map.threshold;
    this.request();
    this.tell();
  }

  toggleAi() {
    this.aiVisible = !this.aiVisible;
    this.request();
    this.tell();
  }

  setTool(tool) {
    this.tool = tool;
    this.request();
  }

  panTo(x, y) {
    this.fitted = false;
    this.view = { ...this.view, x, y };
    this.request();
  }

  zoomAt({ px, py }, factor) {
    const scale = clamp(this.view.scale * factor, 0.05, 40);
    const ratio = scale / this.view.scale;
    this.fitted = false;
    this.view = {
      scale,
      x: px - (px - this.view.x) * ratio,
      y: py - (py - this.view.y) * ratio,
    };
    this.request();
  }

  fit() {
    if (!this.base) return;
    const { width, height } = this.header;
    const scale = Math.min(this.cssWidth / width, this.cssHeight / height);
    this.view = {
      scale,
      x: (this.cssWidth - width * scale) / 2,
      y: (this.cssHeight - height * scale) / 2,
    };
    this.fitted = true;
    this.request();
  }

  reset() {
    this.invert = false;
    this.setWindow(...this.header.window);
    this.fit();
  }

  // ---- boxes, in image pixels ----------------------------------------------------------------

  addBox() {
    this.boxes.push({ x: 0, y: 0, width: 0, height: 0, label: "" });
    this.selected = this.boxes.length - 1;
    return this.selected;
  }

  spanBox(index, a, b) {
    const { width, height } = this.header;
    const [x1, x2] = [clamp(a.x, 0, width), clamp(b.x, 0, width)];
    const [y1, y2] = [clamp(a.y, 0, height), clamp(b.y, 0, height)];
    Object.assign(this.boxes[index], {
      x: Math.min(x1, x2),
      y: Math.min(y1, y2),
      width: Math.abs(x2 - x1),
      height: Math.abs(y2 - y1),
    });
    this.request();
  }

  moveBox(index, x, y) {
    const box = this.boxes[index];
    box.x = clamp(x, 0, this.header.width - box.width);
    box.y = clamp(y, 0, this.header.height - box.height);
    this.request();
  }

  finishBox(index) {
    const box = this.boxes[index];
    if (box.width < 1 || box.height < 1) this.boxes.splice(index, 1);
    this.tell();
    this.request();
  }

  select(index) {
    if (this.selected === index) return;
    this.selected = index;
    this.request();
  }

  deleteSelected() {
    if (this.selected < 0) return;
    this.boxes.splice(this.selected, 1);
    this.selected = -1;
    this.tell();
    this.request();
  }

  tell() {
    const round = (value) => Math.round(value * 10) / 10;
    this.report({
      image_id: this.imageId,
      map: this.map.name,
      threshold: this.threshold,
      opacity: this.opacity,
      ai_visible: this.aiVisible,
      boxes: this.boxes.map((box) => ({
        x: round(box.x),
        y: round(box.y),
        width: round(box.width),
        height: round(box.height),
        label: box.label || "",
      })),
    });
  }

  // ---- drawing -------------------------------------------------------------------------------

  resize() {
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    if (!clientWidth || !clientHeight) return;
    const ratio = window.devicePixelRatio || 1;
    this.cssWidth = clientWidth;
    this.cssHeight = clientHeight;
    const [width, height] = [Math.round(clientWidth * ratio), Math.round(clientHeight * ratio)];
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    if (this.fitted) this.fit();
    this.request();
  }

  request() {
    if (this.asked || !this.base || !this.cssWidth) return;
    this.asked = performance.now();
    requestAnimationFrame(() => this.draw());
  }

  draw() {
    const started = performance.now();
    const { context, view } = this;
    if (this.stale) this.base.paint(this.window.center, this.window.width, this.invert);
    this.stale = false;
    const ratio = this.canvas.width / this.cssWidth;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = view.scale * ratio < 1 ? "medium" : "low";
    const width = this.header.width * view.scale;
    const height = this.header.height * view.scale;
    context.drawImage(this.base.canvas, view.x, view.y, width, height);
    if (this.aiVisible && this.map) {
      this.map.layer.paint(this.threshold);
      context.globalAlpha = this.opacity;
      context.drawImage(this.map.layer.canvas, view.x, view.y, width, height);
      context.globalAlpha = 1;
    }
    drawBoxes(context, this.boxes, this.selected, view);
    this.showState();
    const now = performance.now();
    this.samples.push({ work: now - started, latency: now - this.asked });
    if (this.samples.length > MAX_SAMPLES) this.samples.shift();
    this.asked = 0;
    this.root.dataset.ready = "true";
  }

  fail(error) {
    const message = this.part("message");
    message.hidden = false;
    message.textContent = `The image could not be drawn (${error.message}). Reload the page.`;
  }
}

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const root = parentElement.querySelector(".ddad-viewer");
  const viewer = root.__ddad || new Viewer(root);
  viewer.report = (state) => setStateValue("view", state);
  viewer.load(data).catch((error) => viewer.fail(error));
}
