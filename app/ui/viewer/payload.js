// What the server sent, taken apart. The layout is described in `lay_out` of data.py.

/** Read the header; the parts stay where they are until `readPart` asks for one. */
function readHeader(bytes) {
  if (!(bytes instanceof Uint8Array) || bytes.byteLength < 4) {
    throw new Error("The image data did not arrive. Reload the page.");
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const body = bytes.subarray(4 + length);
  return { header, readPart: ([offset, size]) => body.subarray(offset, offset + size) };
}

/** Inflate zlib bytes; `expected` is the length they must come to. */
async function inflate(bytes, expected, what) {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("This browser cannot unpack the image. Use a current Chrome, Edge, Firefox or Safari.");
  }
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  let buffer;
  try {
    buffer = await new Response(stream).arrayBuffer();
  } catch {
    throw new Error(`The ${what} arrived damaged. Reload the page.`);
  }
  if (buffer.byteLength !== expected) {
    throw new Error(`The ${what} has ${buffer.byteLength} bytes; ${expected} were expected.`);
  }
  return buffer;
}

/** The radiograph in the size that was sent: the whole, or at first a smaller picture of it. */
async function readBase(header, readPart) {
  const [width, height] = header.pixels_size;
  const bytes = await inflate(readPart(header.pixels), 2 * width * height, "image");
  const { slope, intercept } = header;
  return new BaseLayer(new Uint16Array(bytes), { width, height, slope, intercept });
}

/** What modules A and B reconstruct, in the image's own values, or null if it was not sent. */
async function readReconstructions(header, readPart) {
  const sent = header.reconstructions;
  if (!sent) return null;
  const { size, slope, intercept } = sent;
  const read = async (part, what) => {
    const bytes = new Uint8Array(await inflate(readPart(part), size * size, what));
    return new BaseLayer(Uint16Array.from(bytes), { width: size, height: size, slope, intercept });
  };
  const [a, b] = await Promise.all([read(sent.a, "picture of A"), read(sent.b, "picture of B")]);
  return { a, b };
}

/** Windows as drawn: {name, function, center, width, table, tableMax}; see Window in types.py. */
function readWindows(windows, readPart) {
  const read = async ({ table, table_max: tableMax = 1, ...window }) => {
    if (window.function !== "lut") return { ...window, table: null, tableMax };
    const bytes = 2 * (window.width + 1);
    const entries = await inflate(readPart(table), bytes, `lookup table ${window.name}`);
    return { ...window, table: new Uint16Array(entries), tableMax };
  };
  return Promise.all(windows.map(read));
}

/** Maps by name, each with its values enlarged for drawing. */
async function readMaps(header, readPart) {
  const read = async (layer) => {
    const bytes = 4 * layer.size * layer.size;
    const coarse = new Float32Array(await inflate(readPart(layer.values), bytes, `map ${layer.title}`));
    const maximum = layer.maximum > 0 ? layer.maximum : 1;
    return [layer.name, { ...layer, coarse, maximum, fine: null }];
  };
  return new Map(await Promise.all(header.maps.map(read)));
}

/** Colour maps by name, in the order of their choice. */
function readPalettes(header, readPart) {
  return new Map(header.palettes.map(({ name, colors }) => [name, readColors(readPart(colors))]));
}

/** 256 RGB triples -> 256 opaque colours in the byte order of ImageData. */
function readColors(bytes) {
  const colors = new Uint32Array(256);
  for (let i = 0; i < 256; i += 1) {
    colors[i] = (0xff000000 | (bytes[3 * i + 2] << 16) | (bytes[3 * i + 1] << 8) | bytes[3 * i]) >>> 0;
  }
  return colors;
}
