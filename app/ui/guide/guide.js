// The guided first case. A step is over when the reader did what it asks; nothing is blocked.

const LOOK_MS = 250;
const PAUSE_MS = 700; // so that what was done is seen before the next step is read

// [what to do, whether it was done: (now, as the step began) => boolean]
const STEPS = [
  ["Window the image: drag on it, sideways for width, up and down for centre.",
    (now, then) => now.window !== then.window],
  ["Zoom with the wheel or + and −; a double click or F fits the image again.",
    (now, then) => now.scale !== then.scale],
  ["The colours are the AI's map. Press H, or Hide AI, to see the radiograph alone.",
    (now) => !now.aiVisible],
  ["Press H again: judge the radiograph first, then what the map adds.",
    (now) => now.aiVisible],
  ["Choose the box tool (B) and drag over a finding, or accept a region with ✓ at its right.",
    (now, then) => now.boxes > then.boxes || now.accepted],
  ["Choose a verdict: N, A, U or X on the keyboard, or its button.",
    (now) => now.verdict],
  ["Save with Ctrl + Enter: an ordinary read. Skip it to store none.",
    (now, then) => now.saved || now.image !== then.image],
];

function viewerOf(node) {
  const found = node.querySelector?.(".ddad-viewer");
  if (found) return found;
  for (const one of node.querySelectorAll("*")) {
    const inside = one.shadowRoot && viewerOf(one.shadowRoot);
    if (inside) return inside;
  }
  return null;
}

/** What the reader sees now; null while no case is there. */
function look() {
  const root = viewerOf(document);
  const state = root?.__ddad?.state;
  if (!state || root.dataset.ready !== "true") return null;
  const main = document.querySelector('[data-testid="stMain"]');
  return {
    image: root.dataset.imageId,
    window: JSON.stringify([state.window?.center, state.window?.width]),
    scale: state.view?.scale,
    aiVisible: !("aiHidden" in root.dataset),
    boxes: state.boxes.length,
    accepted: false,
    verdict: Boolean(main.querySelector('[class*="st-key-verdict-"] [data-testid="stBaseButton-primary"]')),
    saved: main.innerText.includes("Saved as "),
  };
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const part = (name) => parentElement.querySelector(name);
  const tell = (name, step = 0) => setTriggerValue("act", { name, step });
  const box = part(".guide");
  // Kept over the page runs that each step causes, which may make the box anew: what is done
  // meanwhile counts.
  const kept = (document.documentElement.ddadGuide ??= { step: -1, then: null });
  if (data.state === "new") Object.assign(kept, { step: -1, then: null });
  let step = Math.max(kept.step, Math.min(data.step, STEPS.length - 1));
  let waiting = false;

  const show = () => {
    const offered = data.state === "new";
    box.hidden = false;
    document.documentElement.style.setProperty("--ddad-guide", "2.9rem");
    part(".count").textContent = offered ? "First time here?" : `${step + 1} of ${STEPS.length}`;
    part(".what").textContent = offered
      ? "Two minutes with one case show window, zoom, map, box and verdict."
      : data.screen === "review" ? STEPS[step][0] : "Open a case to go on with the guide.";
    part(".main").hidden = !offered && data.screen !== "review";
    part(".main").textContent = offered ? "Show me" : "Skip step";
    part(".leave").textContent = offered ? "Not now" : "End the guide";
  };
  const go = () => {
    step += 1;
    Object.assign(kept, { step, then: look() });
    if (step >= STEPS.length) return tell("end");
    show();
    tell("step", step);
  };
  part(".main").onclick = () => (data.state === "new" ? tell("start") : go());
  part(".leave").onclick = () => tell("end");
  show();
  const away = () => document.documentElement.style.removeProperty("--ddad-guide");
  if (data.state === "new") return away;

  const timer = setInterval(() => {
    const now = look();
    if (!now || waiting) return;
    kept.then ??= now;
    if (!STEPS[step][1](now, kept.then)) return;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      go();
    }, PAUSE_MS);
  }, LOOK_MS);
  return () => {
    clearInterval(timer);
    away();
  };
}
