// Beside the image: the regions of the map above the threshold, and the reader's boxes. A list is
// laid out anew only when what it says has changed, so that the focus stays where it is.

const MOST_ROWS = 12;
const REGION_DELAY_MS = 90;

class SidePanel {
  constructor(viewer, signal) {
    this.viewer = viewer;
    this.signal = signal;
    const { root } = viewer;
    this.regions = root.querySelector(".regions");
    this.boxes = root.querySelector(".boxes");
    this.others = root.querySelector(".others");
    this.othersButton = this.others.querySelector("button");
    this.othersButton.addEventListener("click", () => viewer.image && viewer.toggle("othersShown"), { signal });
    this.found = [];
    this.pointed = -1; // row under the pointer
    this.chosen = -1; // row clicked last
    for (const [name, act] of [["undo", "undo"], ["redo", "redo"]]) {
      const button = root.querySelector(`[data-action="${name}"]`);
      button.addEventListener("click", () => viewer.image && viewer.editor[act](), { signal });
    }
    const point = (row) => {
      if (this.pointed === row) return;
      this.pointed = row;
      viewer.changed();
    };
    const rowOf = (event) => Number(event.target.closest(".row")?.dataset.row ?? -1);
    const listen = (type, handler) => this.regions.addEventListener(type, handler, { signal });
    listen("pointerover", (event) => point(rowOf(event)));
    listen("pointerleave", () => point(-1));
    listen("focusin", (event) => point(rowOf(event)));
    listen("focusout", () => point(-1));
  }

  close() {
    clearTimeout(this.timer);
  }

  /** The region to outline on the image. */
  pointedAt() {
    return this.found[this.pointed >= 0 ? this.pointed : this.chosen];
  }

  sync() {
    this.#syncBoxes();
    this.#syncOthers();
    const { viewer } = this;
    const wanted = viewer.map && { map: viewer.map, threshold: viewer.threshold };
    if (wanted?.map !== this.asked?.map || wanted?.threshold !== this.asked?.threshold) {
      const first = this.asked?.map !== wanted?.map;
      this.asked = wanted;
      clearTimeout(this.timer);
      // Not in the frame: a threshold under the hand need not wait for the list.
      this.timer = setTimeout(() => this.#find(), first ? 0 : REGION_DELAY_MS);
    }
    this.#syncRegions();
  }

  #find() {
    const { viewer } = this;
    if (!viewer.image) return;
    const { map, threshold } = viewer;
    this.found = map ? findRegions(map, threshold, viewer.image) : [];
    this.chosen = -1;
    this.pointed = Math.min(this.pointed, this.found.length - 1);
    viewer.changed();
  }

  // ---- regions ---------------------------------------------------------------------------------

  #syncRegions() {
    const { viewer } = this;
    const { map, editor, image } = viewer;
    const rows = this.found.slice(0, MOST_ROWS).map((region) => ({
      peak: map ? `${formatValue(region.peak, map.maximum)} ${map.unit}`.trim() : "",
      size: map ? regionSize(region, map.size, image, image.header.spacing_mm) : "",
      accepted: editor.isAccepted(region),
      rejected: editor.isRejected(region),
    }));
    const more = this.found.length - rows.length;
    const key = JSON.stringify([rows, more, this.chosen]);
    if (this.regionsKey === key) return;
    this.regionsKey = key;
    const note = more > 0 ? `and ${more} smaller in peak` : "";
    const items = rows.map((row, i) => this.#regionRow(row, i));
    this.#fill(this.regions, items, note || (rows.length ? "" : "None above the threshold"));
    this.regions.querySelector(".count").textContent = this.found.length;
  }

  #regionRow({ peak, size, accepted, rejected }, i) {
    const { viewer } = this;
    const row = makeRow(i, { accepted, rejected, chosen: i === this.chosen });
    const name = `Region ${i + 1}, peak ${peak}, ${size}`;
    const go = makeButton("go", "", `${name}: centre`, () => {
      this.chosen = i;
      this.#centre(this.found[i]);
    });
    go.title = "Centre the image on this region";
    go.append(
      Object.assign(document.createElement("b"), { textContent: i + 1 }),
      Object.assign(document.createElement("span"), { textContent: peak }),
      Object.assign(document.createElement("small"), { textContent: size }),
    );
    const accept = makeButton("accept", "✓", `Accept region ${i + 1} as a box`, () =>
      viewer.editor.accept(this.found[i]));
    accept.title = accepted ? "Accepted: it is one of your boxes" : "Accept: make it a box of yours";
    accept.setAttribute("aria-pressed", String(accepted));
    const reject = makeButton("reject", "✕", `Reject region ${i + 1}`, () =>
      viewer.editor.reject(this.found[i]));
    reject.title = rejected ? "Rejected; press to take it up again" : "Reject: not a finding";
    reject.setAttribute("aria-pressed", String(rejected));
    row.append(go, accept, reject);
    return row;
  }

  #centre({ box }) {
    const { view } = this.viewer;
    view.centre({ x: box.x + box.width / 2, y: box.y + box.height / 2 });
    this.viewer.changed();
  }

  // ---- boxes -----------------------------------------------------------------------------------

  #syncBoxes() {
    const { boxes, selected } = this.viewer.state;
    const { header } = this.viewer.image;
    const { past, future } = this.viewer.editor.history;
    this.viewer.root.querySelector('[data-action="undo"]').disabled = past.length === 0;
    this.viewer.root.querySelector('[data-action="redo"]').disabled = future.length === 0;
    const rows = boxes.map((box) => [box.label, boxSize(box, header.spacing_mm)]);
    const key = JSON.stringify(rows.map(([label]) => label));
    if (this.boxesKey !== key) {
      this.boxesKey = key;
      const items = rows.map(([label], i) => this.#boxRow(label, i, header.findings));
      this.#fill(this.boxes, items, rows.length ? "" : "Draw one with B, or accept a region");
      this.boxes.querySelector(".count").textContent = rows.length;
    }
    this.boxes.querySelectorAll(".row").forEach((row, i) => {
      row.classList.toggle("chosen", i === selected);
      const size = row.querySelector("small");
      if (size.textContent !== rows[i][1]) size.textContent = rows[i][1];
    });
  }

  #boxRow(label, i, findings) {
    const { editor } = this.viewer;
    const row = makeRow(i, {});
    const select = document.createElement("select");
    select.setAttribute("aria-label", `Finding of box ${i + 1}`);
    select.title = "What the box marks";
    const labels = ["", ...findings, ...(label && !findings.includes(label) ? [label] : [])];
    select.replaceChildren(...labels.map((one) => new Option(one || "No finding named", one)));
    select.value = label;
    select.addEventListener("change", () => {
      editor.setLabel(i, select.value);
      this.viewer.root.focus({ preventScroll: true });
    });
    const remove = makeButton("remove", "✕", `Delete box ${i + 1}`, () => editor.remove(i));
    remove.title = "Delete this box (Delete)";
    row.append(
      Object.assign(document.createElement("b"), { textContent: i + 1 }),
      select,
      remove,
      document.createElement("small"),
    );
    const choose = () => this.viewer.state.selected !== i && editor.select(i);
    row.addEventListener("focusin", choose);
    row.addEventListener("pointerdown", choose);
    return row;
  }

  // ---- other readers' boxes ----------------------------------------------------------------------

  #syncOthers() {
    const { state, image } = this.viewer;
    const { others } = image.header;
    const key = JSON.stringify([others.map(({ who, boxes }) => [who, boxes.length]), state.othersShown]);
    if (this.othersKey === key) return;
    this.othersKey = key;
    this.others.hidden = others.length === 0;
    this.others.querySelector(".count").textContent = others.reduce((n, { boxes }) => n + boxes.length, 0);
    this.others.querySelector(".note").textContent = others.map(({ who }) => who).join(", ");
    this.othersButton.setAttribute("aria-pressed", String(state.othersShown));
    this.othersButton.textContent = state.othersShown ? "Hide" : "Show";
  }

  /** Put the focus on the finding of a box. */
  focusLabel(i) {
    this.boxes.querySelectorAll("select")[i]?.focus();
  }

  #fill(section, rows, note) {
    const list = section.querySelector(".rows");
    const active = section.getRootNode().activeElement;
    const focused = list.contains(active) ? [active.closest(".row")?.dataset.row, active.className] : null;
    list.replaceChildren(...rows);
    section.querySelector(".note").textContent = note;
    if (!focused) return;
    const again = rows[Number(focused[0])]?.getElementsByClassName(focused[1])[0];
    (again ?? this.viewer.root).focus({ preventScroll: true });
  }
}

function makeRow(i, marks) {
  const row = document.createElement("div");
  row.className = ["row", ...Object.keys(marks).filter((mark) => marks[mark])].join(" ");
  row.dataset.row = i;
  return row;
}

function makeButton(kind, text, label, act) {
  const button = Object.assign(document.createElement("button"), {
    type: "button", className: kind, textContent: text,
  });
  button.setAttribute("aria-label", label);
  button.addEventListener("click", act);
  return button;
}
