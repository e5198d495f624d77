// Mouse, pen and fingers on the image. A press picks one drag; the drag alone hears of the moves
// until the release. A drag is {move, end, cancel}, each optional. A second finger ends the drag
// of the first: two fingers zoom and pan.

const CLICK_SLACK = 3;
const LEFT = 0;
const MIDDLE = 1;
const RIGHT = 2;
const WINDOW_DRAG = 350;
const ZOOM_DRAG = 0.008;
const WHEEL_ZOOM = 0.0016;
const PINCH_WHEEL_ZOOM = 0.01; // a pinch on a touchpad arrives as a wheel with small steps
const DOUBLE_TAP_MS = 350;
const DOUBLE_TAP_SLACK = 24;

class Gestures {
  constructor(viewer, canvas, signal) {
    this.viewer = viewer;
    this.canvas = canvas;
    this.drag = null;
    this.panHeld = false;
    this.fingers = new Map();
    this.pinch = null;
    this.tapped = null;
    const listen = (type, handler, options = {}) =>
      canvas.addEventListener(type, (event) => viewer.image && handler(event), { signal, ...options });
    listen("pointerdown", (event) => this.#press(event));
    listen("pointermove", (event) => this.#move(event));
    listen("pointerup", (event) => this.#release(event));
    listen("pointercancel", (event) => {
      this.#liftFinger(event);
      this.cancel();
    });
    listen("pointerleave", () => viewer.hover(null));
    listen("dblclick", () => viewer.fit());
    listen("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });
  }

  /** Space is down: the left button pans. */
  holdPan(held) {
    this.panHeld = held;
    this.canvas.classList.toggle("panning", held);
  }

  /** Undo the drag under way; false if there is none. */
  cancel() {
    if (!this.drag) return false;
    const { cancel } = this.drag;
    this.drag = null;
    cancel?.();
    return true;
  }

  /** Another image: what the hand was doing belonged to the one before. */
  reset() {
    this.cancel();
    this.fingers.clear();
    this.pinch = null;
  }

  #press(event) {
    this.viewer.root.focus({ preventScroll: true });
    event.preventDefault();
    const point = this.#pointOf(event);
    if (event.pointerType === "touch" && this.#putFinger(event.pointerId, point)) return;
    if (this.drag || ![LEFT, MIDDLE, RIGHT].includes(event.button)) return;
    const pans = event.button !== LEFT || this.panHeld;
    this.#capture(event.pointerId);
    this.grab = event.pointerType === "touch" ? TOUCH_GRAB : GRAB;
    this.drag = pans ? this.#panDrag() : this.#leftDrag(point);
    Object.assign(this.drag, { start: point, last: point, button: event.button, moved: false });
  }

  #move(event) {
    const point = this.#pointOf(event);
    const { drag } = this;
    if (this.fingers.has(event.pointerId)) {
      this.fingers.set(event.pointerId, point);
      if (this.pinch) {
        this.#movePinch();
        return;
      }
    }
    if (drag) {
      const dx = point.x - drag.start.x;
      const dy = point.y - drag.start.y;
      drag.moved ||= Math.hypot(dx, dy) > CLICK_SLACK;
      if (drag.moved) drag.move({ point, dx, dy, stepX: point.x - drag.last.x, stepY: point.y - drag.last.y });
      drag.last = point;
    } else {
      this.canvas.style.cursor = this.#cursorAt(point);
    }
    this.viewer.hover(point);
  }

  #release(event) {
    this.#liftFinger(event);
    const { drag } = this;
    if (!drag || event.button !== drag.button) return;
    this.drag = null;
    if (drag.moved) drag.end?.();
    else if (event.button === LEFT) this.#click(drag.start, event);
    if (event.pointerType === "touch") this.viewer.hover(null);
  }

  #click(point, event) {
    const { editor, state, view } = this.viewer;
    if (point.pane.kind !== "beside") editor.select(boxUnder(state.boxes, view, point, this.grab));
    if (event.pointerType !== "touch") return; // a mouse's second click arrives as dblclick
    const before = this.tapped;
    const second = before && event.timeStamp - before.at < DOUBLE_TAP_MS
      && Math.hypot(point.x - before.x, point.y - before.y) < DOUBLE_TAP_SLACK;
    this.tapped = second ? null : { ...point, at: event.timeStamp };
    if (second) this.viewer.fit();
  }

  #wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1;
    const point = this.#pointOf(event);
    if (event.shiftKey) {
      this.viewer.pan(-event.deltaX * lines, -event.deltaY * lines);
    } else {
      const turn = Math.min(Math.max(event.deltaY * lines, -300), 300);
      const speed = event.ctrlKey ? PINCH_WHEEL_ZOOM : WHEEL_ZOOM;
      this.viewer.zoom(Math.exp(-turn * speed), point.x, point.y);
    }
    this.viewer.hover(point);
  }

  // ---- two fingers -----------------------------------------------------------------------------

  /** Note a finger; true if it makes two. */
  #putFinger(id, point) {
    this.fingers.set(id, point);
    if (this.fingers.size !== 2) return this.fingers.size > 2;
    this.cancel();
    this.#capture(id);
    this.pinch = this.#fingersNow();
    return true;
  }

  #liftFinger(event) {
    this.fingers.delete(event.pointerId);
    if (this.fingers.size < 2) this.pinch = null;
  }

  #movePinch() {
    const before = this.pinch;
    const now = this.#fingersNow();
    this.viewer.zoom(now.apart / before.apart, before.x, before.y);
    this.viewer.pan(now.x - before.x, now.y - before.y);
    this.pinch = now;
  }

  #fingersNow() {
    const [a, b] = [...this.fingers.values()];
    const apart = Math.max(Math.hypot(a.x - b.x, a.y - b.y), 1);
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart };
  }

  // ---- drags -----------------------------------------------------------------------------------

  #leftDrag(point) {
    const { boxes, selected, tool } = this.viewer.state;
    if (point.pane.kind === "beside") return this.#besideDrag(point, tool);
    const hit = selected >= 0 && hitBox(boxes[selected], this.viewer.view, point, this.grab);
    if (isHandle(hit)) return this.#resizeDrag(selected, hit);
    // With another tool the inside of a selected box still does what the tool does: a box is a
    // finding on record and must not slide away under a drag meant for the grey levels.
    if (hit && (hit === "edge" || tool === "box")) return this.#moveDrag(selected);
    const drags = {
      window: () => this.#windowDrag(),
      pan: () => this.#panDrag(),
      zoom: () => this.#zoomDrag(point),
      box: () => this.#newBoxDrag(point),
      ruler: () => this.#rulerDrag(point),
    };
    return drags[tool]();
  }

  /** On another image nothing is marked or measured: it is looked at, and windowed on its own. */
  #besideDrag(point, tool) {
    const other = this.viewer.comparison.shown;
    if (tool === "zoom") return this.#zoomDrag(point);
    if (tool !== "window" || !other) return this.#panDrag();
    return windowDrag(other.window, (window) => {
      other.setWindow(window);
      this.viewer.changed();
    });
  }

  #panDrag() {
    return { move: ({ stepX, stepY }) => this.viewer.pan(stepX, stepY) };
  }

  #zoomDrag(start) {
    return { move: ({ stepY }) => this.viewer.zoom(Math.exp(-stepY * ZOOM_DRAG), start.x, start.y) };
  }

  #windowDrag() {
    const { window: before, preset } = this.viewer.state;
    return {
      ...windowDrag(before, (window) => this.viewer.setWindow(window)),
      cancel: () => this.viewer.setWindow(before, preset),
    };
  }

  #rulerDrag(start) {
    const { viewer } = this;
    const before = viewer.state.ruler;
    const at = ({ x, y }) => withinImage(viewer.view.toImage(x, y), viewer.image);
    const from = at(start);
    return {
      move: ({ point }) => viewer.setRuler({ from, to: at(point) }),
      cancel: () => viewer.setRuler(before),
    };
  }

  #newBoxDrag(start) {
    const { viewer } = this;
    const fixed = viewer.view.toImage(start.x, start.y);
    return this.#boxDrag(-1, ({ point }) =>
      boxBetween(fixed, viewer.view.toImage(point.x, point.y), viewer.image));
  }

  #resizeDrag(index, handle) {
    const { viewer } = this;
    const before = viewer.state.boxes[index];
    return this.#boxDrag(index, ({ point }) => pullBox(before, handle, point, viewer.view));
  }

  #moveDrag(index) {
    const { viewer } = this;
    const before = viewer.state.boxes[index];
    return this.#boxDrag(index, ({ dx, dy }) => {
      const step = viewer.view.stepToImage(dx, dy);
      return moveBox(before, step.x, step.y, viewer.image);
    });
  }

  /** Show what becomes of a box (index -1: a new one) until the release. */
  #boxDrag(index, boxAt) {
    const { viewer } = this;
    return {
      move: (motion) => {
        const box = boxAt(motion);
        const large = box && Math.min(box.width, box.height) * viewer.view.scale >= MIN_BOX_ON_STAGE;
        viewer.editor.draft(large || (box && index >= 0) ? box : null, index);
      },
      end: () => viewer.editor.commitDraft(),
      cancel: () => viewer.editor.draft(null, -1),
    };
  }

  #cursorAt(point) {
    if (this.panHeld) return "";
    const { boxes, selected, tool } = this.viewer.state;
    if (point.pane.kind === "beside") return TOOL_CURSORS[["box", "ruler"].includes(tool) ? "pan" : tool];
    const hit = selected >= 0 && hitBox(boxes[selected], this.viewer.view, point);
    if (isHandle(hit)) return CURSORS[hit];
    if (hit && (hit === "edge" || tool === "box")) return "move";
    return TOOL_CURSORS[tool];
  }

  /** Where an event is, in the coordinates of the pane it is in or its drag began in. */
  #pointOf(event) {
    const rect = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - rect.left, event.clientY - rect.top];
    const [finger] = this.fingers.values();
    const pane = this.drag?.start?.pane ?? finger?.pane ?? this.viewer.paneAt(x, y);
    return { x: x - pane.x, y: y - pane.y, pane };
  }

  #capture(id) {
    // A pointer that a test or an assistive program made up cannot be captured.
    try {
      this.canvas.setPointerCapture(id);
    } catch (error) {
      if (error.name !== "NotFoundError") throw error;
    }
  }
}

/** A drag that widens the window sideways and moves its centre up and down. */
function windowDrag(before, set) {
  // A table cannot be made wider: a drag starts from the straight line over its range.
  const shape = before.function === "lut" ? "linear" : before.function;
  return {
    move: ({ dx, dy }) => {
      const center = before.center + (dy * before.width) / WINDOW_DRAG;
      const width = before.width * Math.exp(dx / WINDOW_DRAG);
      set({ name: "", function: shape, center, width, table: null });
    },
    cancel: () => set(before),
  };
}

const CURSORS = {
  nw: "nwse-resize", se: "nwse-resize", ne: "nesw-resize", sw: "nesw-resize",
  n: "ns-resize", s: "ns-resize", e: "ew-resize", w: "ew-resize",
};
const TOOL_CURSORS = {
  window: "default", pan: "grab", zoom: "zoom-in", box: "crosshair", ruler: "crosshair",
};
