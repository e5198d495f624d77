// The pixels of the next case, unpacked before they are asked for: one case a page, which the
// viewer takes out when it is opened (loader.js). Asked for only once the page has come to rest.

const REST_MS = 300;
const LEAVING_MS = 3000;

const waiting = new WeakMap();

// Asked for by a page that is being left, Streamlit would empty the one that comes.
function noteLeaving() {
  if (globalThis.ddadLeftAt !== undefined) return; // this page listens already
  const leave = () => {
    globalThis.ddadLeftAt = performance.now();
  };
  globalThis.ddadLeftAt = -Infinity;
  window.addEventListener("popstate", leave);
  document.addEventListener("click", ({ target }) => target.closest?.("a[href]") && leave(), {
    capture: true,
  });
}

/** Take the server's words: which case is next, and its pixels once they were asked for. */
export default function takeAhead({ parentElement, data, setStateValue }) {
  noteLeaving();
  clearTimeout(waiting.get(parentElement));
  const { header, readPart } = readHeader(data);
  const { next } = header;
  const { ddadAhead: before } = globalThis;
  if (before && before.image !== next) {
    globalThis.ddadAheadBefore = before; // its viewer may come later than these words
    delete globalThis.ddadAhead;
  }
  if (header.pixels) {
    const base = readBase(header, readPart);
    base.catch(() => {}); // the viewer sees to it
    globalThis.ddadAhead = { image: next, key: header.pixels_key, base };
  }
  const stop = () => clearTimeout(waiting.get(parentElement));
  if (!next || globalThis.ddadAhead) return stop;
  const ask = () => {
    const isLeaving = performance.now() - globalThis.ddadLeftAt < LEAVING_MS;
    if (isLeaving) waiting.set(parentElement, setTimeout(ask, REST_MS));
    else setStateValue("ready", { image: next, at: performance.now() });
  };
  waiting.set(parentElement, setTimeout(ask, REST_MS));
  return stop;
}
