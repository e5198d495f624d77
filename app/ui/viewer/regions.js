// The regions of a map at a threshold: connected parts (8 neighbours) of the cells with values at
// or above it. Twin of `map_regions` in ddad_core/overlay.py.

/**
 * Regions, the highest peak first: {peak, peakCell, cells, box}. `box` has the cells' outline in
 * image coordinates. Of equal peaks the first cell counts, in rows from the top.
 */
function findRegions({ coarse, size }, threshold, image) {
  const seen = new Uint8Array(size * size);
  const regions = [];
  for (let start = 0; start < coarse.length; start += 1) {
    if (seen[start] || !(coarse[start] >= threshold)) continue;
    regions.push(grow(start, coarse, size, threshold, seen));
  }
  regions.sort((a, b) => b.peak - a.peak || a.peakCell - b.peakCell);
  return regions.map(({ peak, peakCell, cells, left, top, right, bottom }) => ({
    peak,
    peakCell,
    cells,
    box: {
      x: (left * image.width) / size,
      y: (top * image.height) / size,
      width: ((right + 1 - left) * image.width) / size,
      height: ((bottom + 1 - top) * image.height) / size,
    },
  }));
}

function grow(start, coarse, size, threshold, seen) {
  const region = { peak: -Infinity, peakCell: 0, cells: 0, left: size, top: size, right: 0, bottom: 0 };
  const waiting = [start];
  seen[start] = 1;
  while (waiting.length) {
    const at = waiting.pop();
    const [row, column] = [Math.floor(at / size), at % size];
    region.cells += 1;
    region.left = Math.min(region.left, column);
    region.right = Math.max(region.right, column);
    region.top = Math.min(region.top, row);
    region.bottom = Math.max(region.bottom, row);
    if (coarse[at] > region.peak || (coarse[at] === region.peak && at < region.peakCell)) {
      Object.assign(region, { peak: coarse[at], peakCell: at });
    }
    for (let y = Math.max(row - 1, 0); y <= Math.min(row + 1, size - 1); y += 1) {
      for (let x = Math.max(column - 1, 0); x <= Math.min(column + 1, size - 1); x += 1) {
        const near = y * size + x;
        if (seen[near] || !(coarse[near] >= threshold)) continue;
        seen[near] = 1;
        waiting.push(near);
      }
    }
  }
  return region;
}

/** Size of a region in words: square millimetres where the spacing is known, and cells. */
function regionSize({ cells }, size, image, spacing) {
  const counted = `${cells} ${cells === 1 ? "cell" : "cells"}`;
  if (!spacing) return counted;
  const [row, column] = spacing;
  const area = cells * ((image.width * column) / size) * ((image.height * row) / size);
  return `${area.toFixed(0)} mm² · ${counted}`;
}
