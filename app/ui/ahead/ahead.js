// The pixels of the next case, unpacked before they are asked for: one case a page, which the
// viewer takes out when it is opened (loader.js). Asked for only once the page has come to rest.

const REST_MS = 300;

const waiting = new WeakMap();

/** Take the server's words: which case is next, and its pixels once they were asked for. */
export default function takeAhead({ parentElement, data, setStateValue }) {
  clearTimeout(waiting.get(parentElement));
  const { header, readPart } = readHeader(data);
  const { next } = header;
  if (globalThis.ddadAhead?.image !== next) delete globalThis.ddadAhead;
  if (header.pixels) {
    const base = readBase(header, readPart);
    base.catch(() => {}); // the viewer sees to it
    globalThis.ddadAhead = { image: next, key: header.pixels_key, base };
  }
  const stop = () => clearTimeout(waiting.get(parentElement));
  if (!next || globalThis.ddadAhead) return stop;
  const ask = () => setStateValue("ready", { image: next, at: performance.now() });
  waiting.set(parentElement, setTimeout(ask, REST_MS));
  return stop;
}
