// Every key of the viewer, in the groups of the cheat sheet that `?` opens. A row is
// [shown, what it does, {event name: action}]; an action that answers false has no use for the
// key now and lets it pass on. Event names are those of `keyName`.

const PAN_STEP = 40;
const ZOOM_STEP = 1.25;
const NUDGE = 2; // CSS pixels
const ARROWS = {
  arrowleft: [-1, 0],
  arrowright: [1, 0],
  arrowup: [0, -1],
  arrowdown: [0, 1],
};
const DIGITS = [1, 2, 3, 4, 5, 6, 7, 8, 9];

const mapped = (names, action) => Object.fromEntries(names.map((name) => [name, action(name)]));
const middleOf = (viewer) => [viewer.view.stage.width / 2, viewer.view.stage.height / 2];
const tool = (name) => (viewer) => viewer.setTool(name);

/** Arrows move what is selected or being measured, else the image. */
const arrow = (name) => (viewer) => {
  const [dx, dy] = ARROWS[name.replace("shift+", "")];
  const { selected, tool: chosen, ruler } = viewer.state;
  const resize = name.startsWith("shift+");
  if (selected >= 0) return viewer.editor.nudge(dx * NUDGE, dy * NUDGE, resize);
  if (chosen === "ruler" && ruler) return viewer.nudgeRuler(resize ? "from" : "to", dx * NUDGE, dy * NUDGE);
  return viewer.pan(-dx * PAN_STEP, -dy * PAN_STEP);
};

const KEY_TABLE = [
  ["Grey levels", [
    ["1 – 9", "Window presets, in the order of their list", mapped(DIGITS.map(String),
      (digit) => (viewer) => viewer.choosePresetAt(Number(digit) - 1))],
    ["W", "Window tool: drag sideways for width, up and down for centre", { w: tool("window") }],
    ["I", "Invert", { i: (viewer) => viewer.toggleInvert() }],
  ]],
  ["View", [
    ["+  −", "Zoom in and out", {
      "+": (viewer) => viewer.zoom(ZOOM_STEP, ...middleOf(viewer)),
      "=": (viewer) => viewer.zoom(ZOOM_STEP, ...middleOf(viewer)),
      "-": (viewer) => viewer.zoom(1 / ZOOM_STEP, ...middleOf(viewer)),
    }],
    ["Arrows", "Pan; Space + left drag, right drag and Shift + wheel pan, too",
      mapped(Object.keys(ARROWS), arrow)],
    ["Space", "Hold to pan with the left button", { " ": (viewer) => viewer.gestures.holdPan(true) }],
    ["F", "Fit to the panel (double click)", { f: (viewer) => viewer.fit() }],
    ["O", "One image pixel on one screen pixel (1:1)", { o: (viewer) => viewer.oneToOne() }],
    ["Z  P", "Zoom tool, pan tool", { z: tool("zoom"), p: tool("pan") }],
    ["G", "Magnifier under the pointer", { g: (viewer) => viewer.toggle("magnifier") }],
    ["R  ⇧R", "Rotate clockwise, the other way; for display only", {
      r: (viewer) => viewer.rotate(1), "shift+r": (viewer) => viewer.rotate(-1),
    }],
    ["L  ⇧L", "Flip left and right, top and bottom; for display only", {
      l: (viewer) => viewer.flip(false), "shift+l": (viewer) => viewer.flip(true),
    }],
    ["S", "Side by side: image, overlay, and what modules A and B reconstruct",
      { s: (viewer) => viewer.toggleSideBySide() }],
    ["Y", "Compare with the patient's next image, after the last with none",
      { y: (viewer) => viewer.comparison.withNext() }],
    ["E", "Full screen", { e: (viewer) => viewer.toggleFullScreen() }],
    ["0", "Reset window, inversion, orientation and zoom", { 0: (viewer) => viewer.reset() }],
  ]],
  ["What the AI drew", [
    ["H", "Hide or show; hold to hide for as long as it is down", {}],
    ["M  ⇧M", "Next map, the map before", {
      m: (viewer) => viewer.stepMap(1), "shift+m": (viewer) => viewer.stepMap(-1),
    }],
    ["⇧1 – ⇧9", "Maps, in the order of their list", mapped(DIGITS.map((digit) => `shift+${digit}`),
      (name) => (viewer) => viewer.chooseMap(Number(name.at(-1)) - 1))],
    ["[  ]", "Threshold down and up", {
      "[": (viewer) => viewer.nudgeThreshold(-1), "]": (viewer) => viewer.nudgeThreshold(1),
    }],
    [",  .", "Opacity down and up", {
      ",": (viewer) => viewer.nudgeOpacity(-1), ".": (viewer) => viewer.nudgeOpacity(1),
    }],
    ["C  ⇧C", "Filled or contours; next colours", {
      c: (viewer) => viewer.toggle("contours"), "shift+c": (viewer) => viewer.nextPalette(),
    }],
  ]],
  ["Boxes and measuring", [
    ["B", "Box tool: drag to mark a finding", { b: tool("box") }],
    ["D", "Distance tool: drag to measure", { d: tool("ruler") }],
    ["Enter", "Put a box or a ruler in the middle; with a box selected, choose its finding",
      { enter: (viewer) => viewer.enter() }],
    ["Tab  ⇧Tab", "From box to box, while the image has the focus", {
      tab: (viewer, target) => target === viewer.root && viewer.editor.selectNext(1),
      "shift+tab": (viewer, target) => target === viewer.root && viewer.editor.selectNext(-1),
    }],
    ["Arrows  ⇧Arrows", "Move the selected box, resize it",
      mapped(Object.keys(ARROWS).map((name) => `shift+${name}`), arrow)],
    ["Delete", "Delete the selected box, or the ruler", {
      delete: (viewer) => viewer.deleteSelected(), backspace: (viewer) => viewer.deleteSelected(),
    }],
    ["Ctrl Z  Ctrl Y", "Undo, redo boxes and judged regions", {
      "ctrl+z": (viewer) => viewer.editor.undo(),
      "ctrl+y": (viewer) => viewer.editor.redo(),
      "ctrl+shift+z": (viewer) => viewer.editor.redo(),
    }],
    ["Esc", "Abandon the drag, deselect, back to the window tool", {
      escape: (viewer) => viewer.leave(),
    }],
    ["Q", "Show or hide other readers' boxes, once your own read is saved",
      { q: (viewer) => viewer.toggle("othersShown") }],
    ["?", "This list", { "?": (viewer) => viewer.sheet.toggle() }],
  ]],
  // These work beside the image, too: panelkeys.js, and the buttons' own shortcuts.
  ["The read beside the image", [
    ["N  A  U  X", "Verdict: normal, abnormal, uncertain, unreadable", {}],
    ["Alt 1 – 5", "Confidence, a guess to certain; once more to take it back", {}],
    ["V", "Findings: type to search, Enter to choose, Esc back to the image", {}],
    ["T", "Comment; Esc back to the image", {}],
    ["Alt 7  8  9", "The map in view is helpful, misleading, missed the finding", {}],
    ["Ctrl Enter", "Save and go on", {}],
    ["Ctrl S", "Save and stay", {}],
    ["J  K", "Next case, the case before, without saving", {}],
  ]],
];

const KEY_ACTIONS = new Map(
  KEY_TABLE.flatMap(([, rows]) => rows).flatMap(([, , actions]) => Object.entries(actions)),
);
