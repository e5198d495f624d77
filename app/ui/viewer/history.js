// What can be undone: the boxes, and the regions that were rejected. Each entry is the whole of
// them, for they are few and are replaced, never changed.

const KEPT_STEPS = 200;

class History {
  constructor() {
    this.past = [];
    this.future = [];
  }

  /** Note how things stood before a change. */
  note(before) {
    this.past.push(before);
    if (this.past.length > KEPT_STEPS) this.past.shift();
    this.future = [];
  }

  /** How things stood one change earlier; undefined at the beginning. */
  undo(now) {
    return History.#step(this.past, this.future, now);
  }

  redo(now) {
    return History.#step(this.future, this.past, now);
  }

  static #step(from, to, now) {
    if (from.length === 0) return undefined;
    to.push(now);
    return from.pop();
  }
}
