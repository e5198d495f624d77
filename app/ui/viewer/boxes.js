// The reader's boxes: drawing them, finding them under the pointer, moving and resizing them.
// A box lives in image coordinates and never leaves the image.

const BOX_COLOR = "#7ee787";
const GRAB = 6;
const MIN_BOX_ON_STAGE = 4;

/** The rectangle between two corners, cut to the image, to a tenth of a pixel; null if empty. */
function boxBetween(a, b, image, label = "") {
  const tenth = (value, limit) => Math.round(Math.min(Math.max(value, 0), limit) * 10) / 10;
  const left = tenth(Math.min(a.x, b.x), image.width);
  const right = tenth(Math.max(a.x, b.x), image.width);
  const top = tenth(Math.min(a.y, b.y), image.height);
  const bottom = tenth(Math.max(a.y, b.y), image.height);
  if (right <= left || bottom <= top) return null;
  const extent = (low, high) => Math.round((high - low) * 10) / 10;
  return { x: left, y: top, width: extent(left, right), height: extent(top, bottom), label };
}

function moveBox(box, dx, dy, image) {
  const x = Math.min(Math.max(box.x + dx, 0), image.width - box.width);
  const y = Math.min(Math.max(box.y + dy, 0), image.height - box.height);
  return { ...box, x: Math.round(x * 10) / 10, y: Math.round(y * 10) / 10 };
}

/** Corners as [name, stage x, stage y, the opposite corner in image coordinates]. */
function boxCorners(box, view) {
  const { x, y, width, height } = view.toStage(box);
  const right = box.x + box.width;
  const bottom = box.y + box.height;
  return [
    ["nw", x, y, { x: right, y: bottom }],
    ["ne", x + width, y, { x: box.x, y: bottom }],
    ["sw", x, y + height, { x: right, y: box.y }],
    ["se", x + width, y + height, { x: box.x, y: box.y }],
  ];
}

/** What of a box lies under a stage point: a corner, its "edge", its "inside", or null. */
function hitBox(box, view, px, py) {
  for (const [corner, x, y, anchor] of boxCorners(box, view)) {
    if (Math.abs(px - x) <= GRAB && Math.abs(py - y) <= GRAB) return { part: corner, anchor };
  }
  const { x, y, width, height } = view.toStage(box);
  const reaches = (margin) =>
    px >= x - margin && px <= x + width + margin && py >= y - margin && py <= y + height + margin;
  if (!reaches(GRAB)) return null;
  return { part: reaches(-GRAB) ? "inside" : "edge" };
}

/** Index of the smallest box under a stage point, so that a box within a box can be reached. */
function boxUnder(boxes, view, px, py) {
  const area = (i) => boxes[i].width * boxes[i].height;
  return boxes.reduce((best, box, i) => {
    if (!hitBox(box, view, px, py)) return best;
    return best < 0 || area(i) < area(best) ? i : best;
  }, -1);
}

function drawBox(context, box, view, { selected, caption }) {
  const { x, y, width, height } = view.toStage(box);
  context.strokeStyle = BOX_COLOR;
  context.lineWidth = selected ? 2 : 1.5;
  context.strokeRect(x, y, width, height);
  if (selected) {
    for (const [, cornerX, cornerY] of boxCorners(box, view)) {
      context.fillStyle = "#000";
      context.fillRect(cornerX - 3.5, cornerY - 3.5, 7, 7);
      context.lineWidth = 1.5;
      context.strokeRect(cornerX - 3.5, cornerY - 3.5, 7, 7);
    }
  }
  if (caption) drawCaption(context, caption, x, y);
}

function drawCaption(context, caption, x, y) {
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  const top = y >= 26 ? y - 22 : y + 6;
  context.fillStyle = "rgba(0, 0, 0, 0.72)";
  context.fillRect(x, top, context.measureText(caption).width + 10, 18);
  context.fillStyle = BOX_COLOR;
  context.fillText(caption, x + 5, top + 9.5);
}

/** Size of a box in millimetres where the spacing is known, else in pixels. */
function boxSize(box, spacing) {
  if (!spacing) return `${Math.round(box.width)} × ${Math.round(box.height)} px`;
  const [row, column] = spacing;
  return `${(box.width * column).toFixed(1)} × ${(box.height * row).toFixed(1)} mm`;
}
