// The reader's boxes: finding them under the pointer, moving and resizing them, drawing them.
// A box lives in image coordinates and never leaves the image; its handles are named by where
// they are on the stage, whichever way the image is turned.

const BOX_COLOR = "#7ee787";
const OTHERS_COLOR = "#d2a8ff";
const GRAB = 6;
const TOUCH_GRAB = 16;
const MIN_BOX_ON_STAGE = 4;
const SIDE_HANDLES_FROM = 36; // CSS pixels; on a shorter side they would cover the edge

/** The rectangle between two corners, cut to the image, to a tenth of a pixel; null if empty. */
function boxBetween(a, b, image, kept = { label: "" }) {
  const tenth = (value, limit) => Math.round(Math.min(Math.max(value, 0), limit) * 10) / 10;
  const left = tenth(Math.min(a.x, b.x), image.width);
  const right = tenth(Math.max(a.x, b.x), image.width);
  const top = tenth(Math.min(a.y, b.y), image.height);
  const bottom = tenth(Math.max(a.y, b.y), image.height);
  if (right <= left || bottom <= top) return null;
  const extent = (low, high) => Math.round((high - low) * 10) / 10;
  return { ...kept, x: left, y: top, width: extent(left, right), height: extent(top, bottom) };
}

function moveBox(box, dx, dy, image) {
  const x = Math.min(Math.max(box.x + dx, 0), image.width - box.width);
  const y = Math.min(Math.max(box.y + dy, 0), image.height - box.height);
  return { ...box, x: Math.round(x * 10) / 10, y: Math.round(y * 10) / 10 };
}

/** The box with the sides that a handle names ("n", "se", ...) pulled to a stage point. */
function pullBox(box, handle, point, view) {
  const { x, y, width, height } = view.toStage(box);
  const left = handle.includes("w") ? point.x : x;
  const right = handle.includes("e") ? point.x : x + width;
  const top = handle.includes("n") ? point.y : y;
  const bottom = handle.includes("s") ? point.y : y + height;
  return boxBetween(view.toImage(left, top), view.toImage(right, bottom), view.image, box);
}

/** Handles as [name, stage x, stage y]. */
function boxHandles(box, view) {
  const { x, y, width, height } = view.toStage(box);
  const [right, bottom, middleX, middleY] = [x + width, y + height, x + width / 2, y + height / 2];
  const handles = [["nw", x, y], ["ne", right, y], ["sw", x, bottom], ["se", right, bottom]];
  if (width >= SIDE_HANDLES_FROM) handles.push(["n", middleX, y], ["s", middleX, bottom]);
  if (height >= SIDE_HANDLES_FROM) handles.push(["w", x, middleY], ["e", right, middleY]);
  return handles;
}

/** What of a box lies under a stage point: a handle's name, "edge", "inside", or null. */
function hitBox(box, view, point, grab = GRAB) {
  for (const [name, x, y] of boxHandles(box, view)) {
    if (Math.abs(point.x - x) <= grab && Math.abs(point.y - y) <= grab) return name;
  }
  const { x, y, width, height } = view.toStage(box);
  const reaches = (margin) =>
    point.x >= x - margin && point.x <= x + width + margin
    && point.y >= y - margin && point.y <= y + height + margin;
  if (!reaches(grab)) return null;
  return reaches(-GRAB) ? "inside" : "edge";
}

function isHandle(part) {
  return typeof part === "string" && part.length <= 2;
}

/** Index of the smallest box under a stage point, so that a box within a box can be reached. */
function boxUnder(boxes, view, point, grab) {
  const area = (i) => boxes[i].width * boxes[i].height;
  return boxes.reduce((best, box, i) => {
    if (!hitBox(box, view, point, grab)) return best;
    return best < 0 || area(i) < area(best) ? i : best;
  }, -1);
}

function drawBox(context, box, view, { selected, caption }) {
  const { x, y, width, height } = view.toStage(box);
  context.strokeStyle = BOX_COLOR;
  context.lineWidth = selected ? 2 : 1.5;
  context.strokeRect(x, y, width, height);
  if (selected) {
    for (const [, handleX, handleY] of boxHandles(box, view)) {
      context.fillStyle = "#000";
      context.fillRect(handleX - 3.5, handleY - 3.5, 7, 7);
      context.lineWidth = 1.5;
      context.strokeRect(handleX - 3.5, handleY - 3.5, 7, 7);
    }
  }
  if (caption) drawCaption(context, caption, x, y >= 26 ? y - 13 : y + 15);
}

/** A box of another reader: to be seen, never to be changed. */
function drawOthersBox(context, box, view, who) {
  const { x, y, width, height } = view.toStage(box);
  context.setLineDash([3, 3]);
  context.lineWidth = 1.5;
  context.strokeStyle = OTHERS_COLOR;
  context.strokeRect(x, y, width, height);
  context.setLineDash([]);
  const caption = [who, box.label].filter(Boolean).join(" · ");
  drawCaption(context, caption, x, y + height + 13, OTHERS_COLOR);
}

/** Words on a dark ground, their middle at y. */
function drawCaption(context, caption, x, y, color = BOX_COLOR) {
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.fillStyle = "rgba(0, 0, 0, 0.72)";
  context.fillRect(x, y - 9, context.measureText(caption).width + 10, 18);
  context.fillStyle = color;
  context.fillText(caption, x + 5, y + 0.5);
}

/** The outline of a region the AI points at. */
function drawOutline(context, box, view) {
  const { x, y, width, height } = view.toStage(box);
  context.lineWidth = 1.5;
  context.strokeStyle = "#000";
  context.strokeRect(x, y, width, height);
  context.setLineDash([6, 4]);
  context.strokeStyle = "#fff";
  context.strokeRect(x, y, width, height);
  context.setLineDash([]);
}

/** Size of a box in millimetres where the spacing is known, else in pixels. */
function boxSize(box, spacing) {
  if (!spacing) return `${Math.round(box.width)} × ${Math.round(box.height)} px`;
  const [row, column] = spacing;
  return `${(box.width * column).toFixed(1)} × ${(box.height * row).toFixed(1)} mm`;
}
