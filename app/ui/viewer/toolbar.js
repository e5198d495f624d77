// The controls above the image: they call the viewer's methods and show its state, and keep
// none of their own.

const CUSTOM_WINDOW = "custom";

class Toolbar {
  constructor(viewer, signal) {
    this.viewer = viewer;
    this.signal = signal;
    this.root = viewer.root;
    this.presets = this.#find(".presets");
    this.maps = new MapChoice(viewer, this.#find(".maps"), signal);
    this.threshold = this.#find(".threshold");
    this.opacity = this.#find(".opacity");
    this.#wireButtons();
    this.#wireInputs();
  }

  /** Lay out what depends on the image and its maps. */
  rebuild({ presets }, maps) {
    const options = presets.map(({ name }, i) => new Option(name, String(i)));
    const custom = new Option("Manual", CUSTOM_WINDOW);
    custom.hidden = true;
    this.presets.replaceChildren(new Option("Default", "default"), ...options, custom);
    this.#find(".presets-group").hidden = presets.length === 0;
    this.maps.rebuild(maps);
    this.root.toggleAttribute("data-no-maps", maps.size === 0);
  }

  /** Show the state as it is now. */
  sync(state, map) {
    for (const name of ["window", "box"]) this.#press(`tool-${name}`, state.tool === name);
    this.#press("invert", state.inverted);
    this.#press("ai", !state.aiVisible);
    this.presets.value = state.preset;
    this.maps.sync(map, state.aiVisible);
    this.threshold.disabled = !state.aiVisible;
    this.opacity.disabled = !state.aiVisible;
    this.root.toggleAttribute("data-ai-hidden", !state.aiVisible);
    this.#show(this.opacity, state.opacity, `${Math.round(100 * state.opacity)} %`);
    if (!map) return;
    this.threshold.max = map.maximum;
    const value = state.thresholds.get(map.name);
    this.#show(this.threshold, value, `${formatValue(value, map.maximum)} ${map.unit}`.trim());
  }

  #wireButtons() {
    const { viewer } = this;
    const actions = {
      "tool-window": () => viewer.setTool("window"),
      "tool-box": () => viewer.setTool("box"),
      invert: () => viewer.toggleInvert(),
      fit: () => viewer.fit(),
      reset: () => viewer.reset(),
      ai: () => viewer.setAiVisible(!viewer.state.aiVisible),
    };
    for (const [name, action] of Object.entries(actions)) {
      this.#listen(this.#find(`[data-action="${name}"]`), "click", action);
    }
  }

  #wireInputs() {
    const { viewer } = this;
    this.#listen(this.presets, "change", () => viewer.choosePreset(this.presets.value));
    this.#listen(this.threshold, "input", () => viewer.setThreshold(this.threshold.valueAsNumber));
    this.#listen(this.opacity, "input", () => viewer.setOpacity(this.opacity.valueAsNumber));
    for (const slider of [this.threshold, this.opacity]) {
      this.#listen(slider, "change", () => viewer.report());
    }
  }

  #show(slider, value, text) {
    // Writing an unchanged value back would fight the hand that is on the slider.
    if (slider.valueAsNumber !== value) slider.value = String(value);
    slider.setAttribute("aria-valuetext", text);
    slider.parentElement.querySelector("output").textContent = text;
  }

  #press(action, pressed) {
    this.#find(`[data-action="${action}"]`).setAttribute("aria-pressed", String(pressed));
  }

  #find(selector) {
    return this.root.querySelector(selector);
  }

  #listen(element, type, handler) {
    const guarded = (event) => this.viewer.image && handler(event);
    element.addEventListener(type, guarded, { signal: this.signal });
  }
}
