// The keys of the read beside the image, wherever the focus is but in a field that takes text. The
// controls are Streamlit's own: a key presses them or puts the focus into them. Their other keys
// (verdict, save) are Streamlit's shortcuts; the list of all is in keytable.js.

const TEXT_FIELDS = [
  "textarea", "select", "[contenteditable='true']",
  "input:not([type=range], [type=checkbox], [type=radio], [type=button])",
].join(",");
const FIELD_KEYS = { t: ["comment", "textarea"], v: ["findings", "input"] };
const STEP_KEYS = { j: "next", k: "previous" };
const FIRST_AGREEMENT = 7;
const SAVE = ".st-key-save-stay button";

class PanelKeys {
  constructor(viewer, signal) {
    this.viewer = viewer;
    document.addEventListener("keydown", (event) => this.#down(event), { signal });
  }

  #down(event) {
    if (!this.viewer.image || event.defaultPrevented || event.repeat) return;
    if (globalThis.ddadShown !== this.viewer) return; // of an image before, about to go
    const target = event.composedPath()[0];
    const typing = target instanceof Element && target.matches(TEXT_FIELDS);
    const done = typing ? this.#leave(event, target) : this.#act(event);
    if (done) event.preventDefault();
  }

  /** In a field of the read: Esc back to the image, and so does Ctrl+S, which Streamlit acts on. */
  #leave(event, target) {
    const saves = isSave(event);
    const fields = Object.values(FIELD_KEYS).map(([name]) => this.#selector(name)).join(",");
    if (!(saves || event.key === "Escape") || !target.closest(fields)) return false;
    target.blur(); // which tells the server what was typed
    this.viewer.root.focus({ preventScroll: true });
    return true;
  }

  #act(event) {
    // Where there is nothing to save, the browser must not offer to save the page.
    if (isSave(event)) return !document.querySelector(SAVE);
    if (event.ctrlKey || event.metaKey || this.viewer.sheet.open) return false;
    const digit = Number(/^Digit([1-9])$/.exec(event.code)?.[1] ?? 0);
    if (event.altKey) return digit > 0 && !event.shiftKey && this.#choose(digit);
    const key = event.key.toLowerCase();
    if (event.shiftKey && key !== "?") return false;
    if (key in FIELD_KEYS) {
      const [name, kind] = FIELD_KEYS[key];
      const field = this.#find(name)?.querySelector(kind);
      field?.focus();
      return Boolean(field);
    }
    if (key === "?") this.viewer.sheet.toggle();
    if (!(key in STEP_KEYS)) return key === "?";
    return press(document.querySelector(`.st-key-step-${STEP_KEYS[key]} button`));
  }

  #choose(digit) {
    const agrees = digit >= FIRST_AGREEMENT;
    // Each map has an agreement of its own, of which the one in view is on the page.
    const group = agrees
      ? document.querySelector(`[class*="st-key-agreement-${this.viewer.image.id}-"]`)
      : this.#find("confidence");
    const buttons = group?.querySelectorAll("button") ?? [];
    return press(buttons[digit - (agrees ? FIRST_AGREEMENT : 1)]);
  }

  #find(name) {
    return document.querySelector(this.#selector(name));
  }

  #selector(name) {
    return `.st-key-${name}-${this.viewer.image.id}`;
  }
}

function isSave({ ctrlKey, metaKey, shiftKey, altKey, key }) {
  return (ctrlKey || metaKey) && !shiftKey && !altKey && key.toLowerCase() === "s";
}

function press(button) {
  if (!button || button.disabled) return false;
  button.click();
  return true;
}
