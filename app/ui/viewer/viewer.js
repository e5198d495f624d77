// One viewer per mounted component: it owns the state, draws it and reports what the server
// must know. Streamlit calls the default export again after every rerun, with new functions and
// mostly the same data; the viewer outlives those calls and takes only what has changed.

const KEPT_SAMPLES = 500;
// Bilinear drawing of an image shrunk further than this drops pixels; see `#draw`.
const COARSE_SCALE = 0.67;
const FINE_DELAY_MS = 160;
const KEY_REPORT_DELAY_MS = 300;

class Viewer {
  constructor(root) {
    this.root = root;
    this.canvas = root.querySelector(".picture");
    this.problem = root.querySelector(".problem");
    this.lines = {
      view: root.querySelector(".readout-view"),
      pointer: root.querySelector(".readout-pointer"),
    };
    this.image = null;
    this.wanted = null;
    this.samples = [];
    this.pointer = null;
    this.frame = 0;
    this.closing = new AbortController();
    const { signal } = this.closing;
    this.toolbar = new Toolbar(this, signal);
    this.gestures = new Gestures(this, this.canvas, signal);
    this.keys = new Keys(this, this.gestures, signal);
    this.observer = new ResizeObserver(() => this.#resized());
    this.observer.observe(this.canvas);
    window.addEventListener("resize", () => this.#resized(), { signal });
    const viewer = this;
    root.__ddad = {
      samples: this.samples,
      get state() {
        return { ...viewer.state, view: viewer.view };
      },
    };
  }

  close() {
    this.closing.abort();
    this.observer.disconnect();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.fineTimer);
    clearTimeout(this.reportTimer);
    this.wanted = null;
  }

  // ---- data from the server ------------------------------------------------------------------

  async receive(bytes) {
    let wanted = null;
    try {
      const payload = readHeader(bytes);
      const { header } = payload;
      const picture = `${header.image_id}/${header.pixels_key}`;
      wanted = { picture, all: `${picture}/${header.maps_key}` };
      this.root.setAttribute("aria-label", header.description);
      this.root.toggleAttribute("data-fill", header.fill);
      if (this.wanted?.all === wanted.all) return;
      const newMapsOnly = this.image?.key === picture && this.wanted?.picture === picture;
      this.wanted = wanted;
      if (newMapsOnly) await this.#loadMaps(payload, wanted);
      else await this.#loadImage(payload, wanted);
    } catch (error) {
      if (this.wanted === wanted || wanted === null) this.#fail(error);
    }
  }

  async #loadImage({ header, readPart }, wanted) {
    const kept = this.image?.id === header.image_id ? this.state.boxes : null;
    this.#clear();
    const [pixels, maps, windows] = await Promise.all([
      readPixels(header, readPart),
      readMaps(header, readPart),
      readWindows([header.window, ...header.presets], readPart),
    ]);
    if (this.wanted !== wanted) return;
    const { width, height } = header;
    const fitting = kept?.filter((box) => box.x + box.width <= width && box.y + box.height <= height);
    this.image = { key: wanted.picture, id: header.image_id, width, height, header, windows };
    this.base = new BaseLayer(pixels, header);
    this.view = new ViewTransform(width, height);
    this.state = {
      imageId: header.image_id,
      window: windows[0],
      preset: "default",
      inverted: false,
      tool: "window",
      map: "",
      thresholds: new Map(),
      opacity: header.opacity,
      aiVisible: header.ai_visible && header.maps.length > 0,
      boxes: fitting ?? header.boxes,
      selected: -1,
      draft: null,
    };
    this.root.dataset.imageId = header.image_id;
    this.#takeMaps(header, readPart, maps);
  }

  /** Another model looked at the same picture: window, zoom and boxes are the reader's and stay. */
  async #loadMaps({ header, readPart }, wanted) {
    const maps = await readMaps(header, readPart);
    if (this.wanted !== wanted) return;
    if (this.maps.size === 0) this.state.aiVisible = header.ai_visible;
    this.image.header = header;
    this.#takeMaps(header, readPart, maps);
  }

  #takeMaps(header, readPart, maps) {
    const colors = readColors(readPart(header.lut));
    this.maps = maps;
    this.heat = new HeatLayer(colors);
    this.bar = new ColorBar(this.root, colors);
    this.state.map = maps.has(header.initial_map) ? header.initial_map : "";
    this.state.thresholds = new Map([...maps.values()].map((map) => [map.name, map.threshold]));
    this.state.aiVisible &&= maps.size > 0;
    this.problem.hidden = true;
    this.toolbar.rebuild(header, maps);
    this.#resized();
    this.#changed({ fine: true });
  }

  /** Another image's pixels must not stay on the screen while this one is on its way. */
  #clear() {
    this.gestures.cancel();
    clearTimeout(this.reportTimer);
    this.image = null;
    this.pointer = null;
    this.root.dataset.ready = "false";
    this.problem.hidden = true;
    this.lines.view.replaceChildren();
    this.lines.pointer.replaceChildren();
    this.canvas.getContext("2d")?.reset();
  }

  #fail(error) {
    this.#clear();
    this.wanted = null;
    this.problem.textContent = error.message || String(error);
    this.problem.hidden = false;
  }

  // ---- what the reader does --------------------------------------------------------------------

  setWindow(window, preset = CUSTOM_WINDOW) {
    const narrowest = Math.abs(this.image.header.slope) || 1e-6;
    const tooNarrow = preset === CUSTOM_WINDOW && window.width < narrowest;
    this.state.window = tooNarrow ? { ...window, width: narrowest } : window;
    this.state.preset = preset;
    this.#changed();
  }

  choosePreset(choice) {
    const [standard, ...presets] = this.image.windows;
    const preset = choice === "default" ? undefined : presets[Number(choice)];
    if (preset) this.setWindow(preset, choice);
    else this.setWindow(standard, "default");
  }

  toggleInvert() {
    this.state.inverted = !this.state.inverted;
    this.#changed();
  }

  setTool(tool) {
    this.state.tool = tool;
    this.canvas.style.cursor = tool === "box" ? "crosshair" : "default";
    this.#changed();
  }

  fit() {
    this.view.fit();
    this.#changed();
  }

  zoom(factor, x, y) {
    this.view.zoomAt(factor, x, y);
    this.#changed();
  }

  pan(dx, dy) {
    this.view.pan(dx, dy);
    this.#changed();
  }

  reset() {
    this.state.inverted = false;
    this.view.fit();
    this.choosePreset("default");
  }

  chooseMap(index) {
    const name = [...this.maps.keys()][index];
    if (name === undefined || !this.state.aiVisible) return false;
    this.setMap(name);
    return true;
  }

  /** The next map of the list, or the one before; after the last comes the first. */
  stepMap(step) {
    const names = [...this.maps.keys()];
    if (names.length === 0) return false;
    const at = names.indexOf(this.state.map) + step;
    return this.chooseMap((at + names.length) % names.length);
  }

  setMap(name) {
    this.state.map = name;
    this.#changed();
    this.report();
  }

  setThreshold(value) {
    this.state.thresholds.set(this.state.map, value);
    this.#changed();
  }

  nudgeThreshold(direction) {
    const map = this.maps.get(this.state.map);
    if (!map || !this.state.aiVisible) return false;
    const value = this.state.thresholds.get(map.name) + (direction * map.maximum) / 100;
    this.setThreshold(Math.min(Math.max(value, 0), map.maximum));
    clearTimeout(this.reportTimer);
    this.reportTimer = setTimeout(() => this.report(), KEY_REPORT_DELAY_MS);
    return true;
  }

  setOpacity(value) {
    this.state.opacity = value;
    this.#changed();
  }

  setAiVisible(visible) {
    if (this.maps.size === 0) return false;
    this.state.aiVisible = visible;
    this.#changed();
    this.report();
    return true;
  }

  select(index) {
    this.state.selected = index;
    this.#changed();
  }

  draftBox(box, index) {
    this.state.draft = box && { box, index };
    this.#changed();
  }

  commitDraft() {
    const { draft, boxes } = this.state;
    this.state.draft = null;
    if (draft && draft.index >= 0) {
      this.#setBoxes(boxes.with(draft.index, draft.box), draft.index);
    } else if (draft && boxes.length < this.image.header.max_boxes) {
      this.#setBoxes([...boxes, draft.box], boxes.length);
    } else {
      this.#changed();
    }
  }

  deleteSelected() {
    const { boxes, selected } = this.state;
    if (selected < 0) return false;
    this.gestures.cancel();
    this.#setBoxes(boxes.filter((_, i) => i !== selected), -1);
    return true;
  }

  #setBoxes(boxes, selected) {
    this.state.boxes = boxes;
    this.state.selected = selected;
    this.#changed();
    this.report();
  }

  hover(point) {
    this.pointer = point;
    if (this.image) this.#showPointer();
  }

  /** Tell the server. It hears of what goes on record, never of how the image was looked at. */
  report() {
    clearTimeout(this.reportTimer);
    if (!this.image) return;
    const { state } = this;
    this.send({
      image_id: state.imageId,
      maps_key: this.image.header.maps_key,
      boxes: state.boxes,
      map: state.map,
      threshold: state.thresholds.get(state.map) ?? 0,
      opacity: state.opacity,
      ai_visible: state.aiVisible,
    });
  }

  // ---- drawing ---------------------------------------------------------------------------------

  #changed({ fine = false } = {}) {
    if (!this.image) return;
    this.fine ||= fine;
    if (!this.frame) this.frame = requestAnimationFrame(() => this.#onFrame());
  }

  #resized() {
    if (!this.image) return;
    const { clientWidth, clientHeight } = this.canvas;
    if (clientWidth < 2 || clientHeight < 2) return;
    this.view.resize(clientWidth, clientHeight);
    this.#changed({ fine: true });
  }

  #onFrame() {
    this.frame = 0;
    if (!this.image || this.view.stage.width < 2) return;
    const fine = this.fine;
    this.fine = false;
    try {
      const started = performance.now();
      this.#draw(fine);
      // The finer repaint after a gesture is no answer to a move of the hand: it is not counted.
      if (!fine) this.#sample(performance.now() - started);
      this.root.dataset.ready = "true";
    } catch (error) {
      this.#fail(error);
    }
  }

  #draw(fine) {
    const { state, view } = this;
    const map = this.maps.get(state.map);
    const threshold = state.thresholds.get(state.map);
    this.toolbar.sync(state, map);
    const context = fitCanvas(this.canvas);
    context.fillStyle = "#000";
    context.fillRect(0, 0, view.stage.width, view.stage.height);
    const shrunk = view.scale * (window.devicePixelRatio || 1) < COARSE_SCALE;
    context.imageSmoothingQuality = shrunk && fine ? "high" : "low";
    if (shrunk && !fine) this.#drawFineLater();
    const { x, y, width, height } = view.imageRect();
    this.base.paint(state.window, state.inverted);
    context.drawImage(this.base.canvas, x, y, width, height);
    if (map && state.aiVisible) {
      this.heat.paint(map, threshold);
      context.imageSmoothingQuality = "low";
      context.globalAlpha = state.opacity;
      context.drawImage(this.heat.canvas, x, y, width, height);
      context.globalAlpha = 1;
      this.bar.draw(map, threshold);
    }
    this.#drawBoxes(context);
    this.#showView(threshold);
    this.#showPointer();
  }

  #drawFineLater() {
    clearTimeout(this.fineTimer);
    this.fineTimer = setTimeout(() => this.#changed({ fine: true }), FINE_DELAY_MS);
  }

  #drawBoxes(context) {
    const { boxes, selected, draft } = this.state;
    const spacing = this.image.header.spacing_mm;
    const shown = draft && draft.index >= 0 ? boxes.with(draft.index, draft.box) : [...boxes];
    if (draft && draft.index < 0) shown.push(draft.box);
    shown.forEach((box, i) => {
      const active = i === selected || i === boxes.length;
      const caption = [box.label, active && boxSize(box, spacing)].filter(Boolean).join("  ");
      drawBox(context, box, this.view, { selected: i === selected, caption });
    });
  }

  #sample(milliseconds) {
    this.samples.push(milliseconds);
    if (this.samples.length > KEPT_SAMPLES) this.samples.shift();
    this.root.dataset.redrawMs = milliseconds.toFixed(2);
  }

  #showView(threshold) {
    const { window: shown, inverted, map, boxes } = this.state;
    const { center, width } = shown;
    const zoom = Math.round(100 * this.view.scale * (window.devicePixelRatio || 1));
    const number = (value) => formatLevel(value, width);
    showLine(this.lines.view, [
      `W ${number(width)}`,
      `C ${number(center)}`,
      { sigmoid: "Sigmoid", lut: "Lookup table" }[shown.function],
      `Zoom ${zoom} %`,
      inverted && "Inverted",
      boxes.length >= this.image.header.max_boxes && `${boxes.length} boxes, no more can be added`,
    ]);
    Object.assign(this.root.dataset, {
      window: `${center},${width}`,
      windowFunction: shown.function,
      threshold: threshold ?? "",
      map,
      boxes: boxes.length,
    });
  }

  #showPointer() {
    const at = this.pointer && this.view.toImage(this.pointer.x, this.pointer.y);
    const { width, height, header } = this.image;
    if (!at || at.x < 0 || at.y < 0 || at.x >= width || at.y >= height) {
      showLine(this.lines.pointer, []);
      return;
    }
    const [column, row] = [Math.floor(at.x), Math.floor(at.y)];
    const [rowMm, columnMm] = header.spacing_mm ?? [];
    const map = this.state.aiVisible && this.maps.get(this.state.map);
    const heat = map && mapValueAt(map, at.x / width, at.y / height);
    showLine(this.lines.pointer, [
      `x ${column}  y ${row}`,
      columnMm && `${(at.x * columnMm).toFixed(1)}, ${(at.y * rowMm).toFixed(1)} mm`,
      `value ${formatLevel(this.base.valueAt(column, row), this.state.window.width)}`,
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

const mounted = new WeakMap();

export default function mount({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector(".ddad-viewer");
  let viewer = mounted.get(parentElement);
  if (viewer?.root !== root) {
    viewer?.close();
    viewer = new Viewer(root);
    mounted.set(parentElement, viewer);
  }
  viewer.send = (view) => setStateValue("view", view);
  viewer.receive(data);
  // Streamlit also runs the clean-up of a call that a later call overtook; only the latest
  // call's clean-up means that the component is gone.
  const call = {};
  viewer.latestCall = call;
  return () => {
    if (viewer.latestCall !== call) return;
    viewer.close();
    mounted.delete(parentElement);
  };
}
