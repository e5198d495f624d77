// The choice of the map: a button with the map's name that opens a list of all maps with what
// each one shows. The focus stays on the button (ARIA's select-only combobox); moving in the list
// shows the map at once, so that maps can be compared without leaving it.

const LIST_STEPS = { ArrowDown: 1, ArrowUp: -1 };
const LIST_KEYS = new Set(["ArrowDown", "ArrowUp", "Home", "End", "Enter", " ", "Escape"]);

class MapChoice {
  constructor(viewer, group, signal) {
    this.viewer = viewer;
    this.group = group;
    this.button = group.querySelector(".map-button");
    this.name = group.querySelector(".map-button b");
    this.list = group.querySelector(".map-list");
    const listen = (element, type, handler) => element.addEventListener(type, handler, { signal });
    listen(this.button, "click", () => {
      this.button.focus(); // not every browser focuses a button that is clicked
      this.#toggle(this.list.hidden);
    });
    listen(this.button, "keydown", (event) => this.#key(event));
    listen(this.button, "keyup", (event) => event.key === " " && event.preventDefault());
    listen(this.button, "blur", () => this.#toggle(false));
    listen(this.list, "mousedown", (event) => event.preventDefault()); // the focus stays
    listen(this.list, "click", (event) => this.#pick(event));
  }

  rebuild(maps) {
    this.#toggle(false);
    this.shown = null;
    this.list.replaceChildren(...[...maps.values()].map((map, i) => this.#option(map, i + 1)));
  }

  /** Show the map in view, and whether maps are shown at all. */
  sync(map, aiVisible) {
    this.button.disabled = !aiVisible;
    if (!aiVisible) this.#toggle(false);
    if (!map || this.shown === map) return;
    this.shown = map;
    this.name.textContent = map.title;
    this.button.title = `${map.hint || map.title} (M: next map; Shift and a number: that map)`;
    for (const option of this.list.children) {
      option.setAttribute("aria-selected", String(option.dataset.map === map.name));
    }
    this.#follow();
  }

  #option(map, key) {
    const option = document.createElement("div");
    Object.assign(option, { className: "map-option", id: `ddad-map-${map.name}` });
    option.dataset.map = map.name;
    option.setAttribute("role", "option");
    option.setAttribute("aria-label", map.title);
    const parts = [["kbd", key < 10 ? `⇧${key}` : ""], ["b", map.title], ["small", map.hint]];
    for (const [tag, text] of parts) {
      option.append(Object.assign(document.createElement(tag), { textContent: text }));
    }
    return option;
  }

  #toggle(open) {
    this.list.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    this.#follow();
  }

  #follow() {
    const chosen = this.list.querySelector('[aria-selected="true"]');
    if (this.list.hidden || !chosen) this.button.removeAttribute("aria-activedescendant");
    else this.button.setAttribute("aria-activedescendant", chosen.id);
  }

  #pick(event) {
    const option = event.target.closest(".map-option");
    if (!option) return;
    this.viewer.setMap(option.dataset.map);
    this.#toggle(false);
  }

  #key(event) {
    const { key } = event;
    const last = this.list.children.length - 1;
    if (!LIST_KEYS.has(key) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.list.hidden && key === "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    if (this.list.hidden) this.#toggle(true);
    else if (key in LIST_STEPS) this.viewer.stepMap(LIST_STEPS[key]);
    else if (key === "Home" || key === "End") this.viewer.chooseMap(key === "Home" ? 0 : last);
    else this.#toggle(false);
  }
}
