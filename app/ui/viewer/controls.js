// The toolbar, the colour bar and the readout: they show the viewer's state and set it.

const controls = {
  listenToControls() {
    const on = (name, event, handler) => this.part(name).addEventListener(event, handler);
    on("tool-window", "click", () => this.setTool("window"));
    on("tool-box", "click", () => this.setTool("box"));
    on("delete", "click", () => this.deleteSelected());
    on("invert", "click", () => this.toggleInvert());
    on("reset", "click", () => this.reset());
    on("ai", "click", () => this.toggleAi());
    on("threshold", "input", (event) => this.setThreshold(Number(event.target.value), false));
    on("threshold", "change", () => this.tell());
    on("opacity", "input", (event) => this.setOpacity(Number(event.target.value) / 100, false));
    on("opacity", "change", () => this.tell());
    on("presets", "change", (event) => {
      const preset = this.presets[Number(event.target.value)];
      if (preset) this.setWindow(preset[1], preset[2]);
    });
  },

  // What changes with the image or the model.
  showControls() {
    const { header } = this;
    this.presets = [["Default", ...header.window], ...header.presets];
    const select = this.part("presets");
    select.replaceChildren(
      ...this.presets.map(([name], i) => new Option(name || `Window ${i}`, String(i))),
    );
    this.part("presets-group").hidden = this.presets.length < 2;
    const group = this.part("maps");
    group.replaceChildren(
      ...this.maps.map((map, i) => {
        const button = document.createElement("button");
        button.type = "button";
        button.setAttribute("role", "radio");
        button.dataset.map = map.name;
        button.title = `${map.title} (${i + 1})`;
        button.textContent = map.title;
        button.addEventListener("click", () => this.setMap(map.name));
        return button;
      }),
    );
    const bar = this.part("bar").getContext("2d");
    const image = bar.createImageData(1, 256);
    const rgba = new Uint32Array(image.data.buffer);
    for (let i = 0; i < 256; i++) rgba[i] = this.colors[255 - i];
    bar.putImageData(image, 0, 0);
  },

  // What changes with every frame; only text and attributes that differ are touched.
  showState() {
    const { map } = this;
    const set = (element, text) => {
      if (element.textContent !== text) element.textContent = text;
    };
    const pressed = (name, on) => this.part(name).setAttribute("aria-pressed", String(on));
    pressed("tool-window", this.tool === "window");
    pressed("tool-box", this.tool === "box");
    pressed("invert", this.invert);
    pressed("ai", !this.aiVisible);
    this.part("delete").setAttribute("aria-hidden", String(this.selected < 0)); // keeps its place
    this.canvas.style.cursor = this.tool === "box" ? "crosshair" : "default";
    for (const button of this.part("maps").children) {
      button.setAttribute("aria-checked", String(button.dataset.map === map.name));
    }
    const threshold = this.part("threshold");
    threshold.max = map.maximum;
    threshold.step = map.maximum / 500;
    threshold.value = this.threshold;
    set(this.part("threshold-value"), `${tidy(this.threshold)} ${map.unit}`);
    this.part("opacity").value = Math.round(this.opacity * 100);
    set(this.part("opacity-value"), `${Math.round(this.opacity * 100)} %`);
    this.part("colorbar").hidden = !this.aiVisible;
    set(this.part("bar-title"), map.title);
    set(this.part("bar-top"), `${tidy(map.maximum)} ${map.unit}`);
    set(this.part("bar-middle"), tidy(map.maximum / 2));
    const share = this.threshold / map.maximum;
    this.part("bar-mark").style.bottom = `${share * 100}%`;
    this.part("bar-hidden").style.height = `${share * 100}%`;
    const { center, width } = this.window;
    set(this.part("readout-window"), `C ${tidy(center)}  W ${tidy(width)}`);
    set(this.part("readout-zoom"), `${Math.round(this.view.scale * 100)} %`);
    const { dataset } = this.root;
    dataset.imageId = this.imageId;
    dataset.window = `${center},${width}`;
    dataset.threshold = this.threshold;
    dataset.map = map.name;
    dataset.boxes = this.boxes.length;
  },

  showPointer(point) {
    const { header, base } = this;
    if (!header || !base) return;
    const inside =
      point && point.x >= 0 && point.y >= 0 && point.x < header.width && point.y < header.height;
    let text = "";
    if (inside) {
      const [x, y] = [Math.floor(point.x), Math.floor(point.y)];
      const value = base.pixels[y * header.width + x] * header.slope + header.intercept;
      text = `${x}, ${y}  value ${tidy(value)}`;
      const box = this.boxes[this.selected];
      const spacing = header.spacing_mm;
      if (box && spacing) {
        const [w, h] = [box.width * spacing[1], box.height * spacing[0]];
        text += `  box ${w.toFixed(0)} × ${h.toFixed(0)} mm`;
      }
    }
    this.part("readout-pointer").textContent = text;
  },
};
Object.assign(Viewer.prototype, controls);
