// The keyboard, while the viewer or something in it has the focus. A key without a use here
// passes on untouched, and so does every key that the focused control needs for itself.

const TAP_MS = 300;

class Keys {
  constructor(viewer, gestures, signal) {
    this.viewer = viewer;
    this.gestures = gestures;
    this.hideSince = 0;
    const { root } = viewer;
    root.addEventListener("keydown", (event) => this.#down(event), { signal });
    root.addEventListener("keyup", (event) => this.#up(event), { signal });
    root.addEventListener("focusout", () => this.#letGo(), { signal });
  }

  #down(event) {
    if (!this.viewer.image || this.#belongsToControl(event)) return;
    if (event.altKey && !typesBracket(event)) return;
    if (!this.#act(event)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  #act(event) {
    const name = keyName(event);
    if (this.viewer.sheet.open && !["?", "escape"].includes(name)) return false;
    if (name === "h") return this.#hide(event.repeat);
    const action = KEY_ACTIONS.get(name);
    return action !== undefined && action(this.viewer, event.target) !== false;
  }

  #up({ key }) {
    if (key === " ") this.gestures.holdPan(false);
    if (key.toLowerCase() !== "h" || !this.hideSince) return;
    const tapped = performance.now() - this.hideSince < TAP_MS;
    this.#letGo();
    if (tapped) this.viewer.setAiVisible(!this.viewer.state.aiVisible);
  }

  #hide(repeated) {
    if (this.viewer.maps.size === 0) return false;
    if (!repeated) this.hideSince = performance.now();
    this.viewer.holdAiHidden(true);
    return true;
  }

  #letGo() {
    this.hideSince = 0;
    this.gestures.holdPan(false);
    this.viewer.holdAiHidden(false);
  }

  #belongsToControl({ target, key, ctrlKey, metaKey }) {
    if (target.matches("select")) return key !== "Escape";
    if (ctrlKey || metaKey) return false;
    if (target.matches("input")) return key.startsWith("Arrow") || key === " " || key === "Enter";
    return target.matches("button") && (key === " " || key === "Enter");
  }
}

/** A key event in words: "w", "shift+m", "shift+1", "ctrl+shift+z", "arrowleft", "?", "[". */
function keyName(event) {
  const typed = event.key.toLowerCase();
  if (typesBracket(event)) return typed;
  // Shift gives a digit's key another sign, or takes it away, by keyboard: the key itself counts.
  const plain = /^Digit([0-9])$/.exec(event.code)?.[1] ?? typed;
  const isSign = plain.length === 1 && !/[a-z0-9]/.test(plain);
  const shift = event.shiftKey && !isSign ? "shift+" : "";
  return (event.ctrlKey || event.metaKey ? "ctrl+" : "") + shift + plain;
}

/** AltGr types brackets on many keyboards, and reads as Ctrl and Alt. */
function typesBracket(event) {
  return event.getModifierState("AltGraph") && ["[", "]"].includes(event.key);
}
