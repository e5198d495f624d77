// One viewer per mounted component: it owns the state, and what a reader does changes it here.
// Streamlit calls the default export (mount.js) again after every rerun, with new functions and
// mostly the same data; the viewer outlives those calls and takes only what has changed.

const KEPT_SAMPLES = 500;
const FINE_DELAY_MS = 160;
const KEY_REPORT_DELAY_MS = 300;
const OPACITY_STEP = 0.05;

class Viewer {
  constructor(root) {
    this.root = root;
    this.canvas = root.querySelector(".picture");
    this.image = null;
    this.maps = new Map();
    this.panes = [];
    this.samples = [];
    this.pointer = null;
    this.frame = 0;
    this.closing = new AbortController();
    const { signal } = this.closing;
    this.loader = new Loader(this);
    this.editor = new BoxEditor(this);
    this.comparison = new Comparison(this);
    this.painter = new Painter(this);
    this.readout = new Readout(this);
    this.bar = new ColorBar(root);
    this.side = new SidePanel(this, signal);
    this.toolbar = new Toolbar(this, signal);
    this.gestures = new Gestures(this, this.canvas, signal);
    this.sheet = new CheatSheet(this, signal);
    this.keys = new Keys(this, this.gestures, signal);
    this.panelKeys = new PanelKeys(this, signal);
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.canvas);
    window.addEventListener("resize", () => this.resized(), { signal });
    root.addEventListener("fullscreenchange", () => this.changed(), { signal });
    // What a key changed a moment ago must be told before a button beside the viewer is pressed.
    root.addEventListener("focusout", () => this.reportTimer && this.report(), { signal });
    const viewer = this;
    root.__ddad = {
      samples: this.samples,
      findRegions,
      get state() {
        const { state, view, panes, side, comparison: { shown: beside } } = viewer;
        return { ...state, view, panes, regions: side.found, beside };
      },
    };
  }

  close() {
    this.closing.abort();
    this.observer.disconnect();
    this.side.close();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.fineTimer);
    clearTimeout(this.reportTimer);
    this.loader.close();
  }

  // ---- what is shown -----------------------------------------------------------------------------

  get map() {
    return this.maps.get(this.state.map);
  }

  get threshold() {
    return this.state.thresholds.get(this.state.map);
  }

  get colors() {
    return this.palettes.get(this.state.palette);
  }

  /** Whether anything the AI drew is on the screen. */
  get aiShown() {
    return this.state.aiVisible && !this.state.aiHeld;
  }

  /** Whether the radiograph is here in full, not only in a smaller picture. */
  get isFull() {
    return this.base.width === this.image.width;
  }

  /** The grey picture of a pane; undefined if the AI's must not be seen, or is not here yet. */
  layerOf(kind) {
    if (kind === "beside") return this.comparison.shown?.base;
    if (kind === "image" || kind === "overlay") return this.base;
    return this.aiShown ? this.reconstructions?.[kind] : undefined;
  }

  paneAt(x, y) {
    return paneAtPoint(this.panes, x, y);
  }

  // ---- what the reader does: the picture ---------------------------------------------------------

  setWindow(window, preset = CUSTOM_WINDOW) {
    const narrowest = Math.abs(this.image.header.slope) || 1e-6;
    const tooNarrow = preset === CUSTOM_WINDOW && window.width < narrowest;
    this.state.window = tooNarrow ? { ...window, width: narrowest } : window;
    this.state.preset = preset;
    this.changed();
  }

  choosePresetAt(index) {
    const preset = this.image.windows[index];
    if (!preset) return false;
    this.setWindow(preset, index);
    return true;
  }

  toggleInvert() {
    this.state.inverted = !this.state.inverted;
    this.changed();
  }

  setTool(tool) {
    this.state.tool = tool;
    this.canvas.style.cursor = TOOL_CURSORS[tool];
    this.changed();
  }

  /** Turn a yes or no of the state over: "magnifier", "contours" or "othersShown". */
  toggle(name) {
    if (name === "othersShown" && this.image.header.others.length === 0) return false;
    if (name === "contours" && (!this.map || !this.state.aiVisible)) return false;
    this.state[name] = !this.state[name];
    this.changed();
    return true;
  }

  fit() {
    this.#look(() => this.view.fit());
  }

  zoom(factor, x, y) {
    this.#look(() => this.view.zoomAt(factor, x, y));
  }

  /** One image pixel on one device pixel, about the pointer or the middle. */
  oneToOne() {
    const { width, height } = this.view.stage;
    const { x, y } = this.pointer ?? { x: width / 2, y: height / 2 };
    this.#look(() => this.view.scaleTo(1 / (window.devicePixelRatio || 1), x, y));
  }

  pan(dx, dy) {
    this.#look(() => this.view.pan(dx, dy));
  }

  rotate(turns) {
    this.#look(() => this.view.rotate(turns));
  }

  flip(vertical) {
    this.#look(() => this.view.flip(vertical));
  }

  reset() {
    this.state.inverted = false;
    this.comparison.reset();
    this.#look(() => {
      this.view.upright();
      this.view.fit();
    });
    this.choosePresetAt(0);
  }

  #look(change) {
    change();
    this.loader.wantFullIfZoomed();
    this.changed();
  }

  get isFullScreen() {
    return this.root.matches(":fullscreen") || this.root.hasAttribute("data-maximised");
  }

  async toggleFullScreen() {
    await turnFullScreen(this.root);
    this.changed();
  }

  setRuler(ruler) {
    this.state.ruler = ruler;
    this.changed();
  }

  nudgeRuler(end, dx, dy) {
    const { ruler } = this.state;
    const step = this.view.stepToImage(dx, dy);
    const moved = { x: ruler[end].x + step.x, y: ruler[end].y + step.y };
    this.setRuler({ ...ruler, [end]: withinImage(moved, this.image) });
  }

  // ---- what the AI drew --------------------------------------------------------------------------

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
    this.changed();
    this.report();
  }

  setThreshold(value) {
    this.state.thresholds.set(this.state.map, value);
    this.changed();
  }

  nudgeThreshold(direction) {
    const { map } = this;
    if (!map || !this.state.aiVisible) return false;
    const value = this.threshold + (direction * map.maximum) / 100;
    this.setThreshold(Math.min(Math.max(value, 0), map.maximum));
    this.reportSoon();
    return true;
  }

  setOpacity(value) {
    this.state.opacity = value;
    this.changed();
  }

  nudgeOpacity(direction) {
    if (!this.map || !this.state.aiVisible) return false;
    const value = this.state.opacity + direction * OPACITY_STEP;
    this.setOpacity(Math.round(100 * Math.min(Math.max(value, 0), 1)) / 100);
    this.reportSoon();
    return true;
  }

  setPalette(name) {
    this.state.palette = name;
    this.changed();
  }

  nextPalette() {
    const names = [...this.palettes.keys()];
    if (!this.map || !this.state.aiVisible) return false;
    this.setPalette(names[(names.indexOf(this.state.palette) + 1) % names.length]);
    return true;
  }

  setAiVisible(visible) {
    if (this.maps.size === 0) return false;
    this.state.aiVisible = visible;
    this.changed();
    this.report();
    return true;
  }

  /** Hide it for as long as a key is down: a look beneath, which goes on no record. */
  holdAiHidden(held) {
    if (!this.image || this.state.aiHeld === held) return;
    this.state.aiHeld = held;
    this.changed();
  }

  toggleSideBySide() {
    if (this.maps.size === 0) return false;
    Object.assign(this.state, { sideBySide: !this.state.sideBySide, besideId: 0 });
    this.loader.wantReconstructions();
    this.loader.wantBeside();
    this.resized();
    return true;
  }


  // ---- boxes and keys ----------------------------------------------------------------------------

  deleteSelected() {
    if (this.editor.remove(this.state.selected)) return true;
    if (!this.state.ruler) return false;
    this.setRuler(null);
    return true;
  }

  /** Enter: name the selected box, or put a box or a ruler in the middle of what is seen. */
  enter() {
    const { selected, tool } = this.state;
    if (selected >= 0) return this.side.focusLabel(selected);
    if (tool === "box") return this.editor.addInView();
    return tool === "ruler" && this.setRuler(rulerInView(this.view));
  }

  leave() {
    if (this.sheet.open) this.sheet.toggle();
    else if (this.gestures.cancel()) return true;
    else if (this.state.selected >= 0) this.editor.select(-1);
    else if (this.state.ruler) this.setRuler(null);
    else if (this.state.tool !== "window") this.setTool("window");
    else return false;
    return true;
  }

  hover(point) {
    this.pointer = point;
    if (!this.image) return;
    this.readout.showPointer();
    if (this.state.magnifier) this.changed();
  }

  // ---- reports -----------------------------------------------------------------------------------

  /** Tell the server. It hears of what goes on record, never of how the image was looked at. */
  report() {
    clearTimeout(this.reportTimer);
    this.reportTimer = 0;
    if (!this.image) return;
    const { state } = this;
    this.send({
      image_id: state.imageId,
      maps_key: this.image.header.maps_key,
      boxes: state.boxes.map(({ region, ...box }) => box),
      rejected: state.rejected,
      map: state.map,
      threshold: this.threshold ?? 0,
      opacity: state.opacity,
      ai_visible: state.aiVisible,
    });
  }

  /** Tell the server when a run of keys has ended. */
  reportSoon() {
    clearTimeout(this.reportTimer);
    this.reportTimer = setTimeout(() => this.report(), KEY_REPORT_DELAY_MS);
  }

  // ---- drawing -----------------------------------------------------------------------------------

  changed({ fine = false } = {}) {
    if (!this.image) return;
    this.fine ||= fine;
    if (!this.frame) this.frame = requestAnimationFrame(() => this.#onFrame());
  }

  resized() {
    if (!this.image) return;
    const { clientWidth, clientHeight } = this.canvas;
    if (clientWidth < 2 || clientHeight < 2) return;
    this.panes = layPanes(paneKinds(this.state), clientWidth, clientHeight);
    this.view.resize(this.panes[0].width, this.panes[0].height);
    this.loader.wantFullIfZoomed();
    this.changed({ fine: true });
  }

  #onFrame() {
    this.frame = 0;
    if (!this.image || this.view.stage.width < 2) return;
    const { fine } = this;
    this.fine = false;
    try {
      const started = performance.now();
      this.#draw(fine);
      // The finer repaint after a gesture is no answer to a move of the hand: it is not counted.
      if (!fine) this.#sample(performance.now() - started);
      this.root.dataset.ready = "true";
    } catch (error) {
      this.loader.fail(error);
    }
  }

  #draw(fine) {
    // Canvases first: what is written into the page before they ask for their size costs a layout.
    if (this.painter.draw(fine)) {
      clearTimeout(this.fineTimer);
      this.fineTimer = setTimeout(() => this.changed({ fine: true }), FINE_DELAY_MS);
    }
    if (this.map && this.aiShown) this.bar.draw(this.map, this.threshold, this.colors);
    this.toolbar.sync(this.state, this.map);
    this.side.sync();
    this.readout.showView();
    this.readout.showPointer();
  }

  #sample(milliseconds) {
    this.samples.push(milliseconds);
    if (this.samples.length > KEPT_SAMPLES) this.samples.shift();
    this.root.dataset.redrawMs = milliseconds.toFixed(2);
  }
}
