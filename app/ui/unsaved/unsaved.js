// Streamlit hears of a text only when its field is left. Here a pause in typing counts as leaving,
// so that a draft has what was typed when the page is reloaded or the connection breaks.

const PAUSE_MS = 1000;

/** What a field does when it is left; the focus and the caret stay where they are. */
function tell(field) {
  if (field?.isConnected) field.dispatchEvent(new FocusEvent("focusout", { bubbles: true }));
}

/** Whether the connection to the server is broken at the moment. */
function isAway() {
  const app = document.querySelector("[data-test-connection-state]");
  return Boolean(app) && app.getAttribute("data-test-connection-state") !== "CONNECTED";
}

function startListening() {
  let timer = 0;
  let field = null;
  const now = () => {
    clearTimeout(timer);
    if (field && isAway()) {
      timer = setTimeout(now, PAUSE_MS); // told now, it would be lost on the way
      return;
    }
    tell(field);
    field = null;
  };
  document.addEventListener("input", ({ target, isComposing }) => {
    if (!(target instanceof HTMLTextAreaElement) || isComposing) return;
    clearTimeout(timer);
    field = target;
    timer = setTimeout(now, PAUSE_MS);
  });
  window.addEventListener("pagehide", now);
}

export default function listen() {
  if (window.ddadUnsaved) return;
  window.ddadUnsaved = true;
  startListening();
}
