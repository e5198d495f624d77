// Where the image lies on the stage. Stage coordinates are CSS pixels from the canvas's corner;
// image coordinates are pixel edges, 0..W and 0..H.

const FIT_MARGIN = 8;
const MAX_SCALE = 40;
const KEEP_VISIBLE = 48;

class ViewTransform {
  constructor(width, height) {
    this.image = { width, height };
    this.stage = { width: 0, height: 0 };
    this.scale = 1;
    this.x = 0;
    this.y = 0;
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

  fitScale() {
    const wide = Math.max(this.stage.width - 2 * FIT_MARGIN, 1) / this.image.width;
    const high = Math.max(this.stage.height - 2 * FIT_MARGIN, 1) / this.image.height;
    return Math.min(wide, high);
  }

  fit() {
    this.scale = this.fitScale();
    this.x = (this.stage.width - this.image.width * this.scale) / 2;
    this.y = (this.stage.height - this.image.height * this.scale) / 2;
    this.fitted = true;
  }

  /** Change the scale and keep the image point under (stageX, stageY) where it is. */
  zoomAt(factor, stageX, stageY) {
    const smallest = Math.min(this.fitScale(), 1) / 4;
    const scale = Math.min(Math.max(this.scale * factor, smallest), Math.max(MAX_SCALE, this.fitScale()));
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

  toImage(stageX, stageY) {
    return { x: (stageX - this.x) / this.scale, y: (stageY - this.y) / this.scale };
  }

  /** Rectangle of image coordinates -> rectangle of stage coordinates. */
  toStage(box) {
    return {
      x: this.x + box.x * this.scale,
      y: this.y + box.y * this.scale,
      width: box.width * this.scale,
      height: box.height * this.scale,
    };
  }

  /** The rectangle the whole image covers; base and overlay are both drawn into exactly this. */
  imageRect() {
    return this.toStage({ x: 0, y: 0, width: this.image.width, height: this.image.height });
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
