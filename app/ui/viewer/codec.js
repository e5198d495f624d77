// The payload from Python -> typed arrays.

// One Uint8Array: a little-endian uint32 with the header's length, a JSON header, then the blobs
// whose lengths the header lists in `blobs`.
function unpack(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const headerLength = view.getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(data.subarray(4, 4 + headerLength)));
  let at = 4 + headerLength;
  header.blobs = header.blobs.map((length) => {
    const blob = data.subarray(at, at + length);
    at += length;
    return blob;
  });
  return header;
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

// Bilinear, cell centres half a cell in, edges extended: as ddad_core.imaging.geometry does.
function upsample(values, size, factor) {
  const side = size * factor;
  const out = new Float32Array(side * side);
  const low = new Int32Array(side);
  const high = new Int32Array(side);
  const share = new Float32Array(side);
  for (let i = 0; i < side; i++) {
    const at = Math.min(Math.max((i + 0.5) / factor - 0.5, 0), size - 1);
    low[i] = Math.floor(at);
    high[i] = Math.min(low[i] + 1, size - 1);
    share[i] = at - low[i];
  }
  for (let r = 0; r < side; r++) {
    const top = low[r] * size;
    const bottom = high[r] * size;
    for (let c = 0; c < side; c++) {
      const a = values[top + low[c]] * (1 - share[c]) + values[top + high[c]] * share[c];
      const b = values[bottom + low[c]] * (1 - share[c]) + values[bottom + high[c]] * share[c];
      out[r * side + c] = a * (1 - share[r]) + b * share[r];
    }
  }
  return out;
}
