// Pointer, wheel and keyboard -> what the viewer does.

const GRAB = 7; // px around an edge or corner of a box
const MIN_BOX = 4; // px on the screen; smaller is a click

function imagePoint(viewer, event) {
  const rect = viewer.canvas.getBoundingClientRect();
  const { scale, x, y } = viewer.view;
  const [px, py] = [event.clientX - rect.left, event.clientY - rect.top];
  return { px, py, x: (px - x) / scale, y: (py - y) / scale };
}

// Which box lies under the pointer, and by what it is held: a corner resizes, an edge moves.
function boxUnder(viewer, { px, py }) {
  const { view, boxes } = viewer;
  for (let i = boxes.length - 1; i >= 0; i--) {
    const left = boxes[i].x * view.scale + view.x;
    const top = boxes[i].y * view.scale + view.y;
    const right = left + boxes[i].width * view.scale;
    const bottom = top + boxes[i].height * view.scale;
    const near = (a, b) => Math.abs(a - b) <= GRAB;
    const spanX = px >= left - GRAB && px <= right + GRAB;
    const spanY = py >= top - GRAB && py <= bottom + GRAB;
    if (!spanX || !spanY) continue;
    const [onLeft, onRight] = [near(px, left), near(px, right)];
    const [onTop, onBottom] = [near(py, top), near(py, bottom)];
    if ((onLeft || onRight) && (onTop || onBottom)) {
      return { index: i, fixed: { x: onLeft ? right : left, y: onTop ? bottom : top } };
    }
    if (onLeft || onRight || onTop || onBottom) return { index: i, fixed: null };
  }
  return null;
}

function startDrag(viewer, event) {
  const start = imagePoint(viewer, event);
  const pan = event.button === 1 || event.button === 2 || viewer.spaceHeld;
  if (pan) {
    const { x, y } = viewer.view;
    return { move: (p) => viewer.panTo(x + p.px - start.px, y + p.py - start.py) };
  }
  const held = boxUnder(viewer, start);
  if (held) return dragBox(viewer, held, start);
  viewer.select(-1);
  if (viewer.tool === "box") return drawBox(viewer, start);
  const { center, width } = viewer.window;
  const step = viewer.range / 600; // a drag of 600 px spans the image's whole range
  return {
    move: (p) =>
      viewer.setWindow(center + (p.py - start.py) * step, width + (p.px - start.px) * step),
  };
}

function drawBox(viewer, start) {
  let index = -1;
  return {
    move: (p) => {
      if (index < 0 && Math.hypot(p.px - start.px, p.py - start.py) < MIN_BOX) return;
      if (index < 0) index = viewer.addBox();
      viewer.spanBox(index, start, p);
    },
    end: () => index >= 0 && viewer.finishBox(index),
  };
}

function dragBox(viewer, held, start) {
  viewer.select(held.index);
  const { view } = viewer;
  const before = { ...viewer.boxes[held.index] };
  let moved = false;
  return {
    move: (p) => {
      moved = moved || Math.hypot(p.px - start.px, p.py - start.py) > 1;
      if (!moved) return;
      if (held.fixed) {
        const corner = {
          x: (held.fixed.x - view.x) / view.scale,
          y: (held.fixed.y - view.y) / view.scale,
        };
        viewer.spanBox(held.index, corner, p);
      } else {
        viewer.moveBox(held.index, before.x + p.x - start.x, before.y + p.y - start.y);
      }
    },
    end: () => moved && viewer.finishBox(held.index),
  };
}

function listenToPointer(viewer) {
  const { canvas } = viewer;
  let drag = null;
  const on = (name, handler, options) =>
    canvas.addEventListener(name, handler, options);
  on("pointerdown", (event) => {
    viewer.root.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    drag = startDrag(viewer, event);
    event.preventDefault();
  });
  on("pointermove", (event) => {
    const point = imagePoint(viewer, event);
    if (drag) drag.move(point);
    viewer.showPointer(point);
  });
  const end = (event) => {
    if (drag) drag.move(imagePoint(viewer, event));
    if (drag && drag.end) drag.end();
    drag = null;
  };
  on("pointerup", end);
  on("pointercancel", () => {
    drag = null;
  });
  on("pointerleave", () => viewer.showPointer(null));
  on("contextmenu", (event) => event.preventDefault());
  on("dblclick", () => viewer.fit());
  on(
    "wheel",
    (event) => {
      event.preventDefault();
      viewer.zoomAt(imagePoint(viewer, event), Math.exp(-event.deltaY * 0.0015));
    },
    { passive: false },
  );
}

function listenToKeys(viewer) {
  const middle = () => ({ px: viewer.cssWidth / 2, py: viewer.cssHeight / 2 });
  const pan = (dx, dy) => viewer.panTo(viewer.view.x + dx, viewer.view.y + dy);
  const nudge = (steps) => viewer.setThreshold(viewer.threshold + steps * viewer.map.maximum * 0.01, true);
  const actions = {
    i: () => viewer.toggleInvert(),
    h: () => viewer.toggleAi(),
    w: () => viewer.setTool("window"),
    b: () => viewer.setTool("box"),
    f: () => viewer.fit(),
    0: () => viewer.reset(),
    "+": () => viewer.zoomAt(middle(), 1.25),
    "=": () => viewer.zoomAt(middle(), 1.25),
    "-": () => viewer.zoomAt(middle(), 0.8),
    "[": () => nudge(-1),
    "]": () => nudge(1),
    ArrowLeft: () => pan(40, 0),
    ArrowRight: () => pan(-40, 0),
    ArrowUp: () => pan(0, 40),
    ArrowDown: () => pan(0, -40),
    Delete: () => viewer.deleteSelected(),
    Backspace: () => viewer.deleteSelected(),
    Escape: () => {
      viewer.select(-1);
      viewer.setTool("window");
    },
  };
  viewer.root.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const typing = ["INPUT", "SELECT"].includes(event.target.tagName);
      if (event.key === " " && !typing) {
        viewer.spaceHeld = true;
        if (event.target.tagName !== "BUTTON") event.preventDefault();
        return;
      }
      const number = Number(event.key) - 1;
      const action = viewer.maps[number]
        ? () => viewer.setMap(viewer.maps[number].name)
        : actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!action || (typing && event.key.startsWith("Arrow"))) return;
      event.preventDefault();
      event.stopPropagation(); // the page has shortcuts of its own
      action();
    },
  );
  viewer.root.addEventListener("keyup", (event) => {
    if (event.key === " ") viewer.spaceHeld = false;
  });
}
