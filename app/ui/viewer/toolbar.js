// The controls above the image: they call the viewer's methods and show its state, and keep
// none of their own.

const CUSTOM_WINDOW = "custom";
const TOOLS = ["window", "pan", "zoom", "box", "ruler"];

class Toolbar {
  constructor(viewer, signal) {
    this.viewer = viewer;
    this.signal = signal;
    this.root = viewer.root;
    this.buttons = {};
    this.presets = this.#find(".presets");
    this.palettes = this.#find(".palettes");
    this.beside = this.#find(".beside");
    this.maps = new MapChoice(viewer, this.#find(".maps"), signal);
    this.threshold = this.#find(".threshold");
    this.opacity = this.#find(".opacity");
    this.#wireButtons();
    this.#wireInputs();
  }

  /** Lay out what depends on the image and its maps. */
  rebuild(header, maps, windows) {
    const { palettes } = header;
    const named = (name, i) => new Option(i < 9 ? `${i + 1}  ${name}` : name, String(i));
    const custom = new Option("Manual", CUSTOM_WINDOW);
    custom.hidden = true;
    this.presets.replaceChildren(...windows.map(({ name }, i) => named(name, i)), custom);
    this.palettes.replaceChildren(...palettes.map(({ name }) => new Option(name, name)));
    this.maps.rebuild(maps);
    this.rebuildBeside(header);
    this.root.toggleAttribute("data-no-maps", maps.size === 0);
  }

  /** The patient's other images to choose from. */
  rebuildBeside({ comparable }) {
    const none = new Option("Compare with …", "0");
    const options = comparable.map(({ id, title }) => new Option(title, String(id)));
    this.beside.replaceChildren(none, ...options);
    this.beside.parentElement.hidden = comparable.length === 0;
  }

  /** Show the state as it is now. */
  sync(state, map) {
    for (const name of TOOLS) this.#press(`tool-${name}`, state.tool === name);
    this.#press("invert", state.inverted);
    this.#press("magnifier", state.magnifier);
    this.#press("contours", state.contours);
    this.#press("side-by-side", state.sideBySide);
    this.#press("full-screen", this.viewer.isFullScreen);
    this.#press("ai", !state.aiVisible);
    this.presets.value = String(state.preset);
    this.palettes.value = state.palette;
    this.beside.value = String(state.besideId);
    this.maps.sync(map, state.aiVisible);
    const hidden = !state.aiVisible;
    const dependent = [this.threshold, this.opacity, this.palettes, this.#button("contours")];
    for (const control of dependent) control.disabled = hidden;
    this.root.toggleAttribute("data-ai-hidden", !this.viewer.aiShown);
    this.#show(this.opacity, state.opacity, `${Math.round(100 * state.opacity)} %`);
    if (!map) return;
    if (Number(this.threshold.max) !== map.maximum) this.threshold.max = map.maximum;
    const value = state.thresholds.get(map.name);
    this.#show(this.threshold, value, `${formatValue(value, map.maximum)} ${map.unit}`.trim());
  }

  #wireButtons() {
    const { viewer } = this;
    const actions = {
      ...Object.fromEntries(TOOLS.map((tool) => [`tool-${tool}`, () => viewer.setTool(tool)])),
      invert: () => viewer.toggleInvert(),
      rotate: () => viewer.rotate(1),
      flip: () => viewer.flip(false),
      fit: () => viewer.fit(),
      "one-to-one": () => viewer.oneToOne(),
      magnifier: () => viewer.toggle("magnifier"),
      "full-screen": () => viewer.toggleFullScreen(),
      reset: () => viewer.reset(),
      contours: () => viewer.toggle("contours"),
      "side-by-side": () => viewer.toggleSideBySide(),
      ai: () => viewer.setAiVisible(!viewer.state.aiVisible),
      keys: () => viewer.sheet.toggle(),
    };
    for (const [name, action] of Object.entries(actions)) {
      this.#listen(this.#button(name), "click", action);
    }
  }

  #wireInputs() {
    const { viewer } = this;
    this.#listen(this.presets, "change", () => viewer.choosePresetAt(Number(this.presets.value)));
    this.#listen(this.beside, "change", () => {
      viewer.comparison.with(Number(this.beside.value));
      viewer.root.focus({ preventScroll: true });
    });
    this.#listen(this.palettes, "change", () => viewer.setPalette(this.palettes.value));
    this.#listen(this.threshold, "input", () => viewer.setThreshold(this.threshold.valueAsNumber));
    this.#listen(this.opacity, "input", () => viewer.setOpacity(this.opacity.valueAsNumber));
    for (const slider of [this.threshold, this.opacity]) {
      this.#listen(slider, "change", () => viewer.report());
    }
  }

  #show(slider, value, text) {
    // Writing an unchanged value back would fight the hand that is on the slider.
    if (slider.valueAsNumber !== value) slider.value = String(value);
    if (slider.getAttribute("aria-valuetext") === text) return;
    slider.setAttribute("aria-valuetext", text);
    slider.parentElement.querySelector("output").textContent = text;
  }

  #press(action, pressed) {
    const button = this.#button(action);
    if (button.getAttribute("aria-pressed") === String(pressed)) return;
    button.setAttribute("aria-pressed", String(pressed));
  }

  #button(action) {
    this.buttons[action] ??= this.#find(`[data-action="${action}"]`);
    return this.buttons[action];
  }

  #find(selector) {
    return this.root.querySelector(selector);
  }

  #listen(element, type, handler) {
    const guarded = (event) => this.viewer.image && handler(event);
    element.addEventListener(type, guarded, { signal: this.signal });
  }
}
