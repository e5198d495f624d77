// The mouse on the image. A press picks one drag; the drag alone hears of the moves until the
// release. A drag is {move, end, cancel}, each optional.

const CLICK_SLACK = 3;
const LEFT = 0;
const MIDDLE = 1;
const RIGHT = 2;
const WINDOW_DRAG = 350;

class Gestures {
  constructor(viewer, canvas, signal) {
    this.viewer = viewer;
    this.canvas = canvas;
    this.drag = null;
    this.panHeld = false;
    const listen = (type, handler, options = {}) =>
      canvas.addEventListener(type, (event) => viewer.image && handler(event), { signal, ...options });
    listen("pointerdown", (event) => this.#press(event));
    listen("pointermove", (event) => this.#move(event));
    listen("pointerup", (event) => this.#release(event));
    listen("pointercancel", () => this.cancel());
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

  #press(event) {
    this.viewer.root.focus({ preventScroll: true });
    event.preventDefault();
    if (this.drag || ![LEFT, MIDDLE, RIGHT].includes(event.button)) return;
    const point = this.#pointOf(event);
    const pans = event.button !== LEFT || this.panHeld;
    this.canvas.setPointerCapture(event.pointerId);
    this.drag = pans ? this.#panDrag() : this.#leftDrag(point);
    Object.assign(this.drag, { start: point, last: point, button: event.button, moved: false });
  }

  #move(event) {
    const point = this.#pointOf(event);
    const { drag } = this;
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
    const { drag } = this;
    if (!drag || event.button !== drag.button) return;
    this.drag = null;
    if (drag.moved) drag.end?.();
    else if (event.button === LEFT) this.viewer.select(this.#boxAt(drag.start));
  }

  #wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1;
    const turn = Math.min(Math.max(event.deltaY * lines, -300), 300);
    const { x, y } = this.#pointOf(event);
    this.viewer.zoom(Math.exp(-turn * 0.0016), x, y);
    this.viewer.hover({ x, y });
  }

  #leftDrag(point) {
    const { boxes, selected } = this.viewer.state;
    const hit = selected >= 0 && hitBox(boxes[selected], this.viewer.view, point.x, point.y);
    if (hit?.anchor) return this.#boxDrag(selected, hit.anchor);
    // With the window tool the inside of a selected box still windows: a box is a finding on
    // record and must not slide away under a drag that was meant for the grey levels.
    if (hit && (hit.part === "edge" || this.viewer.state.tool === "box")) return this.#moveDrag(selected);
    return this.viewer.state.tool === "box" ? this.#boxDrag(-1, null, point) : this.#windowDrag();
  }

  #panDrag() {
    return { move: ({ stepX, stepY }) => this.viewer.pan(stepX, stepY) };
  }

  #windowDrag() {
    const { window: before, preset } = this.viewer.state;
    // A table cannot be made wider: a drag starts from the straight line over its range.
    const shape = before.function === "lut" ? "linear" : before.function;
    return {
      move: ({ dx, dy }) => {
        const center = before.center + (dy * before.width) / WINDOW_DRAG;
        const width = before.width * Math.exp(dx / WINDOW_DRAG);
        this.viewer.setWindow({ name: "", function: shape, center, width, table: null });
      },
      cancel: () => this.viewer.setWindow(before, preset),
    };
  }

  /** Draw a new box, or with an index pull a corner of that one away from the opposite corner. */
  #boxDrag(index, anchor, start) {
    const { viewer } = this;
    const before = viewer.state.boxes[index];
    const fixed = anchor ?? viewer.view.toImage(start.x, start.y);
    return {
      move: ({ point }) => {
        const corner = viewer.view.toImage(point.x, point.y);
        const box = boxBetween(fixed, corner, viewer.image, before?.label);
        const large = box && Math.min(box.width, box.height) * viewer.view.scale >= MIN_BOX_ON_STAGE;
        viewer.draftBox(large ? box : null, index);
      },
      end: () => viewer.commitDraft(),
      cancel: () => viewer.draftBox(null, -1),
    };
  }

  #moveDrag(index) {
    const { viewer } = this;
    const before = viewer.state.boxes[index];
    return {
      move: ({ dx, dy }) => {
        const { scale } = viewer.view;
        viewer.draftBox(moveBox(before, dx / scale, dy / scale, viewer.image), index);
      },
      end: () => viewer.commitDraft(),
      cancel: () => viewer.draftBox(null, -1),
    };
  }

  #boxAt(point) {
    return boxUnder(this.viewer.state.boxes, this.viewer.view, point.x, point.y);
  }

  #cursorAt(point) {
    if (this.panHeld) return "";
    const { boxes, selected, tool } = this.viewer.state;
    const hit = selected >= 0 && hitBox(boxes[selected], this.viewer.view, point.x, point.y);
    if (hit?.anchor) return hit.part === "nw" || hit.part === "se" ? "nwse-resize" : "nesw-resize";
    if (hit && (hit.part === "edge" || tool === "box")) return "move";
    return tool === "box" ? "crosshair" : "default";
  }

  #pointOf(event) {
    const rect = this.canvas.getBoundingClientRect();
    return { x: event.clientX - rect.left, y: event.clientY - rect.top };
  }
}
