// One watch a page, whatever Streamlit mounts and unmounts: it asks how long the session lasts,
// tells the server of gestures, warns, and reloads once the session is over.

const SESSION = "/gate/session";
const ACTIVE = "/gate/active";
const GESTURES = ["pointerdown", "keydown", "wheel", "touchstart"];
const TELL_EVERY_MS = 60000;
const ASK_WHILE_LOST_MS = 1000;

function makeNotice(stay) {
  const box = document.createElement("div");
  box.setAttribute("role", "alert");
  box.className = "ddad-session-notice";
  box.style.cssText =
    "position:fixed;right:1rem;bottom:1rem;z-index:1000000;display:none;max-width:22rem;" +
    "padding:.8rem 1rem;border-radius:4px;background:var(--ddad-warn-page);color:var(--ddad-warn-text);" +
    "border:1px solid var(--ddad-warn-line);font:14px/1.5 system-ui,sans-serif";
  const words = document.createElement("p");
  words.style.margin = "0 0 .6rem";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Stay signed in";
  button.style.cssText =
    "padding:.45rem .8rem;border:0;border-radius:4px;background:var(--ddad-accent);color:var(--ddad-on-accent);" +
    "font:inherit;font-weight:600;cursor:pointer";
  button.addEventListener("click", stay);
  box.append(words, button);
  document.body.append(box);
  return { box, words, button };
}

function startWatch(options) {
  let endsAt = Infinity;
  let mayStay = true;
  let toldAt = performance.now(); // loading the page was activity
  let asking = false;
  let leaving = false;
  const notice = makeNotice(() => ask(ACTIVE, "POST"));

  function show() {
    const left = Math.max(0, Math.ceil((endsAt - performance.now()) / 1000));
    const soon = left <= options.warn;
    notice.box.style.display = soon ? "block" : "none";
    if (!soon) return;
    notice.words.textContent = mayStay
      ? `Nothing was done for a while: you are signed out in ${left} s. Unsaved reads are kept.`
      : `This session has lasted its longest: it ends in ${left} s. Unsaved reads are kept.`;
    notice.button.style.display = mayStay ? "" : "none";
  }

  async function ask(path, method) {
    if (asking || leaving) return;
    asking = true;
    try {
      const answer = await fetch(path, { method, cache: "no-store", redirect: "error" });
      if (answer.status === 401) {
        leaving = true;
        window.location.reload(); // the page to sign in
      } else if (answer.ok) {
        const told = await answer.json();
        endsAt = performance.now() + told.seconds_left * 1000;
        mayStay = told.may_stay;
        if (method === "POST") toldAt = performance.now();
        show();
      }
    } catch {
      // The server is away; Streamlit says so.
    } finally {
      asking = false;
    }
  }

  function gesture() {
    if (asking || performance.now() - toldAt < TELL_EVERY_MS) return;
    toldAt = performance.now();
    ask(ACTIVE, "POST");
  }

  // In the capture phase: what the viewer keeps to itself counts, too.
  for (const name of GESTURES) {
    document.addEventListener(name, gesture, { capture: true, passive: true });
  }
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") ask(SESSION, "GET");
  });
  // The server closes the socket when the session ends, for instance in another tab.
  let lost = null;
  const look = () => {
    const app = document.querySelector("[data-test-connection-state]");
    const away = app && app.getAttribute("data-test-connection-state") !== "CONNECTED";
    if (away && lost === null) {
      ask(SESSION, "GET");
      lost = setInterval(() => ask(SESSION, "GET"), ASK_WHILE_LOST_MS);
    } else if (!away && lost !== null) {
      clearInterval(lost);
      lost = null;
    }
  };
  new MutationObserver(look).observe(document.documentElement, {
    subtree: true,
    attributes: true,
    attributeFilter: ["data-test-connection-state"],
  });
  let second = 0;
  setInterval(() => {
    second += 1;
    const late = endsAt - performance.now() < 0;
    if (second % options.poll === 0 || late) ask(SESSION, "GET");
    show();
  }, 1000);
  ask(SESSION, "GET");
}

export default function (component) {
  if (window.ddadSessionWatch) return;
  window.ddadSessionWatch = true;
  startWatch(component.data);
}
