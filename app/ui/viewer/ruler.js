// A distance on the image, in millimetres where the file says how far apart its pixels are.

const RULER_COLOR = "#ffd866";
const NEW_RULER_SHARE = 0.15;

/** Length of a line in image coordinates, in words. */
function rulerText({ from, to }, spacing) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  if (!spacing) return `${Math.hypot(dx, dy).toFixed(1)} px (spacing unknown)`;
  const [row, column] = spacing;
  return `${Math.hypot(dx * column, dy * row).toFixed(1)} mm`;
}

/** The image point nearest to a point. */
function withinImage(point, image) {
  return {
    x: Math.min(Math.max(point.x, 0), image.width),
    y: Math.min(Math.max(point.y, 0), image.height),
  };
}

/** A ruler across the middle of what is seen, to be pulled by keys. */
function rulerInView(view) {
  const { width, height } = view.stage;
  const at = (share) => withinImage(view.toImage(width * (0.5 + share), height / 2), view.image);
  return { from: at(-NEW_RULER_SHARE), to: at(NEW_RULER_SHARE) };
}

function drawRuler(context, ruler, view, spacing) {
  const a = view.pointToStage(ruler.from);
  const b = view.pointToStage(ruler.to);
  const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
  const [nx, ny] = [(-(b.y - a.y) / length) * 6, ((b.x - a.x) / length) * 6];
  const path = new Path2D();
  path.moveTo(a.x, a.y);
  path.lineTo(b.x, b.y);
  for (const end of [a, b]) {
    path.moveTo(end.x - nx, end.y - ny);
    path.lineTo(end.x + nx, end.y + ny);
  }
  context.lineCap = "butt";
  context.lineWidth = 3.5;
  context.strokeStyle = "rgba(0, 0, 0, 0.8)";
  context.stroke(path);
  context.lineWidth = 1.5;
  context.strokeStyle = RULER_COLOR;
  context.stroke(path);
  drawCaption(context, rulerText(ruler, spacing), b.x + 10, b.y, RULER_COLOR);
}
