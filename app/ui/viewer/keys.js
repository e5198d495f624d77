// The keyboard, while the viewer or something in it has the focus. A key without a use here
// passes on untouched, and so does every key that the focused control needs for itself.

const PAN_STEP = 40;
const ZOOM_STEP = 1.25;
const ARROWS = {
  ArrowLeft: [PAN_STEP, 0],
  ArrowRight: [-PAN_STEP, 0],
  ArrowUp: [0, PAN_STEP],
  ArrowDown: [0, -PAN_STEP],
};

class Keys {
  constructor(viewer, gestures, signal) {
    this.viewer = viewer;
    this.gestures = gestures;
    const { root } = viewer;
    root.addEventListener("keydown", (event) => this.#down(event), { signal });
    root.addEventListener("keyup", (event) => event.key === " " && gestures.holdPan(false), { signal });
    root.addEventListener("focusout", () => gestures.holdPan(false), { signal });
  }

  #down(event) {
    if (!this.viewer.image || event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.#belongsToControl(event) || !this.#act(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  #belongsToControl({ target, key }) {
    if (target.matches("select")) return key !== "Escape";
    if (target.matches("input")) return key in ARROWS || key === " ";
    return target.matches("button") && key === " ";
  }

  /** Do what the key stands for; false if it stands for nothing now. */
  #act(key) {
    const { viewer } = this;
    const { width, height } = viewer.view.stage;
    if (key in ARROWS) viewer.pan(...ARROWS[key]);
    else if (key === "Escape") return this.#leave();
    else if (key === "Delete" || key === "Backspace") return viewer.deleteSelected();
    else if (key === " ") this.gestures.holdPan(true);
    else if (key === "+" || key === "=") viewer.zoom(ZOOM_STEP, width / 2, height / 2);
    else if (key === "-") viewer.zoom(1 / ZOOM_STEP, width / 2, height / 2);
    else if (key === "[" || key === "]") return viewer.nudgeThreshold(key === "[" ? -1 : 1);
    else if (/^[1-9]$/.test(key)) return viewer.chooseMap(Number(key) - 1);
    else if (key === "m" || key === "M") return viewer.stepMap(key === "m" ? 1 : -1);
    else return this.#letter(key.toLowerCase());
    return true;
  }

  #letter(key) {
    const { viewer } = this;
    if (key === "i") viewer.toggleInvert();
    else if (key === "w") viewer.setTool("window");
    else if (key === "b") viewer.setTool("box");
    else if (key === "f") viewer.fit();
    else if (key === "0") viewer.reset();
    else if (key === "h") return viewer.setAiVisible(!viewer.state.aiVisible);
    else return false;
    return true;
  }

  #leave() {
    const { viewer, gestures } = this;
    if (gestures.cancel()) return true;
    if (viewer.state.selected >= 0) viewer.select(-1);
    else if (viewer.state.tool !== "window") viewer.setTool("window");
    else return false;
    return true;
  }
}
