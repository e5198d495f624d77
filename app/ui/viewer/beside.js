// Another image of the patient in a pane of its own: windowed on its own, and shown at the same
// place and zoom as the open case, as parts of each image's size.

class BesideImage {
  constructor({ id, title, width, height, slope }, base, window) {
    Object.assign(this, { id, title, base, slope, standard: window, window });
    this.view = new ViewTransform(width, height);
  }

  setWindow(window) {
    const narrowest = Math.abs(this.slope) || 1e-6;
    this.window = window.width < narrowest ? { ...window, width: narrowest } : window;
  }
}

/** What was sent of it, or null. */
async function readBeside({ beside }, readPart) {
  if (!beside) return null;
  const [base, [window]] = await Promise.all([
    readBase(beside, readPart),
    readWindows([beside.window], readPart),
  ]);
  return new BesideImage(beside, base, window);
}

/** Which image of the patient stands beside the open case, and how each pane is looked at. */
class Comparison {
  constructor(viewer) {
    this.viewer = viewer;
    this.image = null; // what was sent last
  }

  /** The other image, once the one that was asked for is here. */
  get shown() {
    return this.image?.id === this.viewer.state.besideId ? this.image : undefined;
  }

  viewOf(kind) {
    return kind === "beside" ? this.shown.view.follow(this.viewer.view) : this.viewer.view;
  }

  windowOf(kind) {
    return kind === "beside" ? this.shown.window : this.viewer.state.window;
  }

  titleOf(kind) {
    if (kind === "beside") return this.shown?.title ?? "";
    return this.viewer.state.besideId ? "This image" : PANE_TITLES[kind];
  }

  /** Show another image of the patient beside the open case; 0: none. */
  with(id) {
    const { state, loader } = this.viewer;
    Object.assign(state, { besideId: id, sideBySide: false });
    loader.wantBeside();
    this.viewer.resized();
  }

  /** The next of the patient's other images, and after the last one none. */
  withNext() {
    const { image, state } = this.viewer;
    const ids = image.header.comparable.map((one) => one.id);
    if (ids.length === 0) return false;
    this.with(ids[ids.indexOf(state.besideId) + 1] ?? 0);
    return true;
  }

  reset() {
    this.image?.setWindow(this.image.standard);
  }
}
