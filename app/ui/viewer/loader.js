// Takes what the server sends, part by part, and asks it for what is sent only on demand: the
// radiograph in full, once it is looked at closely, and what modules A and B reconstruct.

class Loader {
  constructor(viewer) {
    this.viewer = viewer;
    this.problem = viewer.root.querySelector(".problem");
    this.wanted = null;
    this.asked = "";
  }

  close() {
    this.wanted = null;
  }

  async receive(bytes) {
    let wanted = null;
    try {
      const payload = readHeader(bytes);
      const { header } = payload;
      const { root } = this.viewer;
      const { pixels_key: pixels, maps_key: maps, reconstructions } = header;
      const picture = `${header.image_id}/${header.width}x${header.height}`;
      wanted = {
        picture, pixels, maps, explained: Boolean(reconstructions),
        beside: header.beside?.id ?? 0, others: JSON.stringify([header.others, header.comparable]),
      };
      root.setAttribute("aria-label", header.description);
      root.toggleAttribute("data-fill", header.fill);
      const before = this.wanted;
      if (JSON.stringify(before) === JSON.stringify(wanted)) return;
      this.wanted = wanted;
      const goesOn = before?.picture === picture && this.viewer.image?.key === picture;
      if (goesOn) await this.#loadMore(payload, before, wanted);
      else if (header.pixels) await this.#loadImage(payload, wanted, readBase(header, payload.readPart));
      else await this.#loadPrepared(payload, wanted);
    } catch (error) {
      if (this.wanted === wanted || wanted === null) this.fail(error);
    }
  }

  /** The pixels were left out, because this page was given them before: see ahead.js. */
  async #loadPrepared(payload, wanted) {
    const { ddadAhead, ddadAheadBefore } = globalThis;
    const ahead = [ddadAhead, ddadAheadBefore].find((one) => one?.key === wanted.pixels);
    delete globalThis.ddadAheadBefore;
    if (ahead === ddadAhead) delete globalThis.ddadAhead;
    const base = ahead && (await ahead.base.catch(() => null));
    if (this.wanted !== wanted) return;
    if (base) await this.#loadImage(payload, wanted, base);
    else this.#askAgain(payload.header);
  }

  async #loadImage({ header, readPart }, wanted, reading) {
    const { viewer } = this;
    this.#clear();
    const [base, maps, windows, reconstructions, beside] = await Promise.all([
      reading,
      readMaps(header, readPart),
      readWindows([header.window, ...header.presets], readPart),
      readReconstructions(header, readPart),
      readBeside(header, readPart),
    ]);
    if (this.wanted !== wanted) return;
    const { width, height } = header;
    viewer.image = {
      key: wanted.picture, id: header.image_id, width, height, header, windows: allWindows(windows, base),
    };
    viewer.comparison.image = beside;
    Object.assign(viewer, { base, reconstructions, view: new ViewTransform(width, height) });
    viewer.editor = new BoxEditor(viewer);
    viewer.state = freshState(header, viewer.image.windows[0]);
    viewer.root.dataset.imageId = header.image_id;
    this.asked = "";
    this.#takeMaps(header, readPart, maps);
    // Whoever reads by keyboard is in the next image without a step; a focus elsewhere stays. The
    // viewer of the image before may be on the page a moment longer.
    const { activeElement: focused } = document;
    const goesOn = focused === document.body || focused?.shadowRoot?.querySelector(".ddad-viewer");
    if (goesOn) viewer.root.focus({ preventScroll: true });
    globalThis.ddadShown = viewer;
  }

  /** The same picture again: what was chosen, zoomed and drawn is the reader's and stays. */
  async #loadMore({ header, readPart }, before, wanted) {
    const { viewer } = this;
    const newPixels = header.pixels && before.pixels !== wanted.pixels;
    const newMaps = before.maps !== wanted.maps;
    const [base, maps, reconstructions, beside] = await Promise.all([
      newPixels ? readBase(header, readPart) : null,
      newMaps ? readMaps(header, readPart) : null,
      readReconstructions(header, readPart),
      before.beside === wanted.beside ? viewer.comparison.image : readBeside(header, readPart),
    ]);
    if (this.wanted !== wanted) return;
    viewer.image.header = header;
    viewer.comparison.image = beside;
    viewer.toolbar.rebuildBeside(header);
    if (base) viewer.base = base;
    if (newMaps || reconstructions) viewer.reconstructions = reconstructions;
    if (newMaps) {
      // Another model looked at the picture.
      if (viewer.maps.size === 0) viewer.state.aiVisible = header.ai_visible;
      this.#takeMaps(header, readPart, maps);
      this.wantReconstructions();
    }
    viewer.changed({ fine: true });
  }

  #takeMaps(header, readPart, maps) {
    const { viewer } = this;
    const { state } = viewer;
    viewer.maps = maps;
    viewer.palettes = readPalettes(header, readPart);
    if (!viewer.palettes.has(state.palette)) state.palette = header.palettes[0].name;
    state.map = maps.has(header.initial_map) ? header.initial_map : "";
    state.thresholds = new Map([...maps.values()].map((map) => [map.name, map.threshold]));
    state.aiVisible &&= maps.size > 0;
    state.sideBySide &&= maps.size > 0;
    this.problem.hidden = true;
    this.#takeRejected(header);
    viewer.toolbar.rebuild(header, maps, viewer.image.windows);
    viewer.resized();
    viewer.changed({ fine: true });
  }

  /** What was rejected of these maps before, once: from then on it is as the reader leaves it. */
  #takeRejected({ maps_key: key, rejected }) {
    const { state } = this.viewer;
    if (state.knownMaps.has(key)) return;
    const goesOn = state.knownMaps.size > 0;
    state.knownMaps.add(key);
    if (rejected.length === 0) return;
    state.rejected = [...state.rejected, ...rejected.map((one) => ({ ...one, maps_key: key }))];
    if (goesOn) this.viewer.report(); // an earlier report said nothing of them
  }

  // ---- asking the server -------------------------------------------------------------------------

  /** Ask for the radiograph in full when the smaller picture has no more to show. */
  wantFullIfZoomed() {
    const { image, view, base, isFull } = this.viewer;
    if (!image || isFull) return;
    const across = view.scale * image.width * (window.devicePixelRatio || 1);
    if (across > 1.001 * base.width) this.#ask({ full: true });
  }

  wantReconstructions() {
    const { image, state, reconstructions } = this.viewer;
    if (!image || !state.sideBySide || reconstructions) return;
    this.#ask({ reconstructions: image.header.maps_key });
  }

  /** Ask for another image of the patient, or tell that it is needed no more. */
  wantBeside() {
    const { image, state, comparison } = this.viewer;
    if (!image || (state.besideId && comparison.shown)) return;
    if (state.besideId || this.wants?.beside) this.#ask({ beside: state.besideId });
  }

  /** The pixels were left out because this page had them, and it has them no more. */
  #askAgain(header) {
    this.wanted = null; // what comes is the same but for the pixels
    this.viewer.sendWants({ image_id: header.image_id, full: false, reconstructions: "", beside: 0, has: "" });
  }

  #ask(more) {
    const { image } = this.viewer;
    this.wants = { full: false, reconstructions: "", beside: 0, ...(this.asked && this.wants), ...more };
    const key = JSON.stringify(this.wants);
    if (this.asked === key) return;
    this.asked = key;
    this.viewer.sendWants({ image_id: image.id, ...this.wants, has: this.wanted.pixels });
  }

  // ---- nothing to show ---------------------------------------------------------------------------

  /** Another image's pixels must not stay on the screen while this one is on its way. */
  #clear() {
    const { viewer } = this;
    viewer.gestures.reset();
    clearTimeout(viewer.reportTimer);
    viewer.reportTimer = 0;
    viewer.image = null;
    viewer.pointer = null;
    viewer.root.dataset.ready = "false";
    this.problem.hidden = true;
    viewer.readout.clear();
    viewer.canvas.getContext("2d")?.reset();
  }

  fail(error) {
    this.#clear();
    this.wanted = null;
    this.problem.textContent = error.message || String(error);
    this.problem.hidden = false;
  }
}

/** The windows to choose from: the default, the file's, and one from black to white. */
function allWindows([standard, ...presets], base) {
  const [low, high] = base.range();
  const center = (low + high) / 2;
  const width = Math.max(high - low, Math.abs(base.slope));
  const whole = { name: "Full range", function: "linear", center, width, table: null, tableMax: 1 };
  return [{ ...standard, name: "Default" }, ...presets, whole];
}

function freshState(header, window) {
  return {
    imageId: header.image_id,
    window,
    preset: 0,
    inverted: false,
    tool: "window",
    magnifier: false,
    contours: false,
    sideBySide: false,
    besideId: 0,
    othersShown: false,
    palette: header.palettes[0].name,
    map: "",
    thresholds: new Map(),
    opacity: header.opacity,
    aiVisible: header.ai_visible && header.maps.length > 0,
    aiHeld: false,
    boxes: header.boxes,
    rejected: [],
    knownMaps: new Set(),
    selected: -1,
    draft: null,
    ruler: null,
  };
}
