// What a reader does to boxes and to the regions the AI found, and how it is undone. Boxes are
// replaced, never changed in place, so that a step back is only the list that was there before.

const SAME_MOVE_MS = 1000;
const NEW_BOX_SHARE = 0.2;

class BoxEditor {
  constructor(viewer) {
    this.viewer = viewer;
    this.history = new History();
    this.nudged = { index: -1, at: 0 };
  }

  get state() {
    return this.viewer.state;
  }

  select(index) {
    this.state.selected = index;
    this.viewer.changed();
  }

  /** Select the next box or the one before; false beyond the last and the first. */
  selectNext(step) {
    const { boxes, selected } = this.state;
    const next = selected < 0 && step < 0 ? boxes.length - 1 : selected + step;
    const found = next >= 0 && next < boxes.length;
    this.select(found ? next : -1);
    return found;
  }

  draft(box, index) {
    this.state.draft = box && { box, index };
    this.viewer.changed();
  }

  commitDraft() {
    const { draft, boxes } = this.state;
    this.state.draft = null;
    if (draft && draft.index >= 0) this.#set(boxes.with(draft.index, draft.box), draft.index);
    else if (!draft || !this.add(draft.box)) this.viewer.changed();
  }

  /** Add a box and select it; false if there are as many as a read may hold. */
  add(box) {
    const { boxes } = this.state;
    if (boxes.length >= this.viewer.image.header.max_boxes) return false;
    this.#set([...boxes, box], boxes.length);
    return true;
  }

  /** A box in the middle of what is seen, to be moved by keys. */
  addInView() {
    const { view, image } = this.viewer;
    const { width, height } = view.stage;
    const half = (NEW_BOX_SHARE / 2) * Math.min(width, height);
    const corner = (sign) => view.toImage(width / 2 + sign * half, height / 2 + sign * half);
    const box = boxBetween(corner(-1), corner(1), image);
    return box ? this.add(box) : false;
  }

  remove(index) {
    const { boxes, selected } = this.state;
    if (index < 0) return false;
    this.viewer.gestures.cancel();
    const left = boxes.filter((_, i) => i !== index);
    this.#set(left, selected === index ? -1 : selected - (selected > index ? 1 : 0));
    return true;
  }

  setLabel(index, label) {
    const { boxes } = this.state;
    this.#set(boxes.with(index, { ...boxes[index], label }), index);
  }

  /** Move the selected box, or its lower right corner, by a step on the stage. */
  nudge(dx, dy, resize) {
    const { viewer } = this;
    const { boxes, selected } = this.state;
    const box = boxes[selected];
    const { x, y, width, height } = viewer.view.toStage(box);
    const corner = { x: x + width + dx, y: y + height + dy };
    const step = viewer.view.stepToImage(dx, dy);
    const moved = resize
      ? pullBox(box, "se", { x: Math.max(corner.x, x + 1), y: Math.max(corner.y, y + 1) }, viewer.view)
      : moveBox(box, step.x, step.y, viewer.image);
    if (!moved) return;
    // A run of keys is one move, and is undone as one.
    const now = performance.now();
    const goesOn = this.nudged.index === selected && now - this.nudged.at < SAME_MOVE_MS;
    this.#set(boxes.with(selected, moved), selected, { note: !goesOn, soon: true });
    this.nudged = { index: selected, at: now };
  }

  // ---- regions the AI found --------------------------------------------------------------------

  regionKey(region) {
    return `${this.#mapsKey}:${this.state.map}:${region.peakCell}`;
  }

  isRejected(region) {
    return this.state.rejected.some((one) => this.#names(one, region));
  }

  isAccepted(region) {
    return this.state.boxes.some((box) => this.#isOf(box, region));
  }

  /** A map's values are another model's under another key. */
  get #mapsKey() {
    return this.viewer.image.header.maps_key;
  }

  #names({ maps_key: maps, map, cell }, region) {
    return maps === this.#mapsKey && map === this.state.map && cell === region.peakCell;
  }

  /** Whether a box was made of a region, now or before it was saved. */
  #isOf(box, region) {
    if (box.region === this.regionKey(region)) return true;
    const made = this.#boxOf(region);
    return made !== null && ["x", "y", "width", "height"].every((side) => box[side] === made[side]);
  }

  #boxOf({ box: { x, y, width, height } }) {
    return boxBetween({ x, y }, { x: x + width, y: y + height }, this.viewer.image);
  }

  /** Make a region a box of the reader's own. */
  accept(region) {
    if (this.isAccepted(region)) return;
    const box = this.#boxOf(region);
    const { boxes, rejected } = this.state;
    if (!box || boxes.length >= this.viewer.image.header.max_boxes) return;
    const kept = rejected.filter((one) => !this.#names(one, region));
    this.#set([...boxes, { ...box, region: this.regionKey(region) }], boxes.length, { rejected: kept });
  }

  /** Set a region aside, with the box made of it; or take it up again. */
  reject(region) {
    const { boxes, rejected, map } = this.state;
    const without = rejected.filter((one) => !this.#names(one, region));
    const isNew = without.length === rejected.length;
    if (isNew && without.length >= this.viewer.image.header.max_rejected) return;
    const { threshold } = this.viewer;
    const entry = { maps_key: this.#mapsKey, map, threshold, cell: region.peakCell };
    const next = isNew ? [...rejected, entry] : without;
    this.#set(boxes.filter((box) => !this.#isOf(box, region)), -1, { rejected: next });
  }

  // ---- undo ------------------------------------------------------------------------------------

  undo() {
    return this.#restore(this.history.undo(this.#now()));
  }

  redo() {
    return this.#restore(this.history.redo(this.#now()));
  }

  #restore(earlier) {
    if (!earlier) return false;
    this.viewer.gestures.cancel();
    Object.assign(this.state, earlier, { selected: -1 });
    this.nudged.index = -1;
    this.viewer.changed();
    this.viewer.report();
    return true;
  }

  #now() {
    const { boxes, rejected } = this.state;
    return { boxes, rejected };
  }

  #set(boxes, selected, { note = true, soon = false, rejected = this.state.rejected } = {}) {
    if (note) this.history.note(this.#now());
    this.nudged.index = -1;
    Object.assign(this.state, { boxes, selected, rejected });
    this.viewer.changed();
    if (soon) this.viewer.reportSoon();
    else this.viewer.report();
  }
}
