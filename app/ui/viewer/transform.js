// Where the image lies on the stage, and which way round. Stage coordinates are CSS pixels from
// the pane's corner; image coordinates are pixel edges, 0..W and 0..H, and know nothing of the
// rotation: turning and flipping change what is seen, never where a box is.

const FIT_MARGIN = 8;
const MAX_SCALE = 40;
const KEEP_VISIBLE = 48;

class ViewTransform {
  constructor(width, height) {
    this.image = { width, height };
    this.stage = { width: 0, height: 0 };
    this.scale = 1;
    this.x = 0; // stage position of the upper left corner of what is seen
    this.y = 0;
    this.turns = 0; // quarter turns clockwise, after the flip
    this.flipped = false; // left and right exchanged
    this.fitted = true;
  }

  /** Take the stage's new size; a fitted image stays fitted, else the centre stays in place. */
  resize(width, height) {
    const dx = (width - this.stage.width) / 2;
    const dy = (height - this.stage.height) / 2;
    this.stage = { width, height };
    if (this.fitted) this.fit();
    else this.pan(dx, dy);
  }

  /** Width and height of the image as it is seen, in image pixels. */
  get seen() {
    const { width, height } = this.image;
    return this.turns % 2 ? { width: height, height: width } : { width, height };
  }

  fitScale() {
    const { width, height } = this.seen;
    const wide = Math.max(this.stage.width - 2 * FIT_MARGIN, 1) / width;
    const high = Math.max(this.stage.height - 2 * FIT_MARGIN, 1) / height;
    return Math.min(wide, high);
  }

  fit() {
    const { width, height } = this.seen;
    this.scale = this.fitScale();
    this.x = (this.stage.width - width * this.scale) / 2;
    this.y = (this.stage.height - height * this.scale) / 2;
    this.fitted = true;
  }

  /** Change the scale and keep the image point under (stageX, stageY) where it is. */
  zoomAt(factor, stageX, stageY) {
    this.scaleTo(this.scale * factor, stageX, stageY);
  }

  scaleTo(wanted, stageX, stageY) {
    const smallest = Math.min(this.fitScale(), 1) / 4;
    const scale = Math.min(Math.max(wanted, smallest), Math.max(MAX_SCALE, this.fitScale()));
    const ratio = scale / this.scale;
    this.x = stageX - (stageX - this.x) * ratio;
    this.y = stageY - (stageY - this.y) * ratio;
    this.scale = scale;
    this.fitted = false;
    this.#keepVisible();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
    this.#keepVisible();
  }

  /** Bring an image point to the middle of the stage. */
  centre(point) {
    const { x, y } = this.pointToStage(point);
    this.pan(this.stage.width / 2 - x, this.stage.height / 2 - y);
  }

  /** Quarter turns clockwise as seen on the stage. */
  rotate(turns) {
    this.#reorient(() => (this.turns = (this.turns + turns + 4) % 4));
  }

  /** Exchange left and right as seen on the stage, or top and bottom. */
  flip(vertical = false) {
    this.#reorient(() => {
      this.turns = (4 - this.turns + (vertical ? 2 : 0)) % 4;
      this.flipped = !this.flipped;
    });
  }

  upright() {
    this.#reorient(() => Object.assign(this, { turns: 0, flipped: false }));
  }

  toImage(stageX, stageY) {
    const u = (stageX - this.x) / this.scale;
    const v = (stageY - this.y) / this.scale;
    const { width, height } = this.image;
    const [x, y] = [[u, v], [v, height - u], [width - u, height - v], [width - v, u]][this.turns];
    return { x: this.flipped ? width - x : x, y };
  }

  pointToStage(point) {
    const { width, height } = this.image;
    const x = this.flipped ? width - point.x : point.x;
    const { y } = point;
    const [u, v] = [[x, y], [height - y, x], [width - x, height - y], [y, width - x]][this.turns];
    return { x: this.x + u * this.scale, y: this.y + v * this.scale };
  }

  /** Rectangle of image coordinates -> rectangle of stage coordinates. */
  toStage(box) {
    const a = this.pointToStage(box);
    const b = this.pointToStage({ x: box.x + box.width, y: box.y + box.height });
    return {
      x: Math.min(a.x, b.x),
      y: Math.min(a.y, b.y),
      width: Math.abs(a.x - b.x),
      height: Math.abs(a.y - b.y),
    };
  }

  /** The rectangle the whole image covers; all layers are drawn into exactly this. */
  imageRect() {
    return this.toStage({ x: 0, y: 0, ...this.image });
  }

  /** Show the same place at the same zoom as another view, both as parts of the image's size. */
  follow(other) {
    const { width, height } = other.stage;
    const { turns, flipped } = other;
    Object.assign(this, { stage: { width, height }, turns, flipped });
    this.fit();
    if (other.fitted) return this;
    this.scale *= other.scale / other.fitScale();
    const middle = other.toImage(width / 2, height / 2);
    const at = this.pointToStage({
      x: (middle.x / other.image.width) * this.image.width,
      y: (middle.y / other.image.height) * this.image.height,
    });
    this.x += width / 2 - at.x;
    this.y += height / 2 - at.y;
    this.fitted = false;
    return this;
  }

  /** [a, b, c, d, e, f] of a canvas: image coordinates to stage coordinates. */
  matrix() {
    const origin = this.pointToStage({ x: 0, y: 0 });
    const right = this.pointToStage({ x: 1, y: 0 });
    const down = this.pointToStage({ x: 0, y: 1 });
    return [
      right.x - origin.x, right.y - origin.y, down.x - origin.x, down.y - origin.y, origin.x, origin.y,
    ];
  }

  /** A step on the stage as a step in the image. */
  stepToImage(dx, dy) {
    const from = this.toImage(0, 0);
    const to = this.toImage(dx, dy);
    return { x: to.x - from.x, y: to.y - from.y };
  }

  /** Change the orientation; a fitted image is fitted anew, else the middle stays the middle. */
  #reorient(change) {
    const middle = this.toImage(this.stage.width / 2, this.stage.height / 2);
    const { fitted } = this;
    change();
    if (fitted) this.fit();
    else this.centre(middle);
  }

  // An image pushed wholly off the stage looks like a blank viewer.
  #keepVisible() {
    const { width, height } = this.imageRect();
    const keepX = Math.min(KEEP_VISIBLE, width);
    const keepY = Math.min(KEEP_VISIBLE, height);
    this.x = Math.min(Math.max(this.x, keepX - width), this.stage.width - keepX);
    this.y = Math.min(Math.max(this.y, keepY - height), this.stage.height - keepY);
  }
}
