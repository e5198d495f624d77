// The list of all keys and gestures, laid over the image.

const POINTER_ROWS = [
  ["Left drag", "The chosen tool"],
  ["Right or middle drag", "Pan"],
  ["Wheel, pinch", "Zoom at the pointer"],
  ["Two fingers", "Zoom and pan on a touch screen"],
  ["Double click or tap", "Fit"],
];

class CheatSheet {
  constructor(viewer, signal) {
    this.viewer = viewer;
    this.dialog = viewer.root.querySelector(".sheet");
    this.button = viewer.root.querySelector('[data-action="keys"]');
    const groups = [
      ["Mouse, touchpad and fingers", POINTER_ROWS],
      ...KEY_TABLE.map(([title, rows]) => [title, rows]),
    ];
    this.dialog.querySelector(".sheet-groups").replaceChildren(...groups.map(sheetGroup));
    this.close = this.dialog.querySelector("button");
    this.close.addEventListener("click", () => this.toggle(), { signal });
  }

  get open() {
    return !this.dialog.hidden;
  }

  toggle() {
    const opening = this.dialog.hidden;
    this.dialog.hidden = !opening;
    this.button.setAttribute("aria-expanded", String(opening));
    (opening ? this.close : this.viewer.root).focus({ preventScroll: true });
  }
}

function sheetGroup([title, rows]) {
  const section = document.createElement("section");
  const list = document.createElement("dl");
  for (const [shown, does] of rows) {
    list.append(
      Object.assign(document.createElement("dt"), { textContent: shown }),
      Object.assign(document.createElement("dd"), { textContent: does }),
    );
  }
  section.append(Object.assign(document.createElement("h3"), { textContent: title }), list);
  return section;
}
