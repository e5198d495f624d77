// Streamlit hears of a text only when its field is left. Here a pause in typing counts as leaving,
// so that a draft has what was typed when the page is reloaded or the connection breaks; and so
// does a press of any button, by hand or by key, so that what is saved is what the field shows.

const PAUSE_MS = 1000;
const LOOK_AGAIN_MS = 100;

/** What a field does when it is left; the focus and the caret stay where they are. */
function tell(field) {
  if (field?.isConnected) field.dispatchEvent(new FocusEvent("focusout", { bubbles: true }));
}

/** Whether the connection to the server is broken at the moment. */
function isAway() {
  const app = document.querySelector("[data-test-connection-state]");
  return Boolean(app) && app.getAttribute("data-test-connection-state") !== "CONNECTED";
}

/** Back into a field that was typed in when it was locked, once it is open again. */
function returnTo(field) {
  if (!field.isConnected) return;
  if (field.disabled) setTimeout(() => returnTo(field), LOOK_AGAIN_MS);
  else if (document.activeElement === document.body) field.focus({ preventScroll: true });
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
  // Before anything else hears of the press: the server takes one after the other.
  document.addEventListener("click", now, { capture: true });
  document.addEventListener("keydown", ({ key, ctrlKey, metaKey, altKey }) => {
    if ((ctrlKey || metaKey) && !altKey && !["Control", "Meta"].includes(key)) now();
  }, { capture: true });
  // Without a connection Streamlit locks its fields, which takes the focus out of them: typed on
  // once it is back, a word would be read as keys of the read.
  document.addEventListener("focusout", ({ target }) => {
    if (target instanceof HTMLTextAreaElement && target.disabled) returnTo(target);
  });
  window.addEventListener("pagehide", now);
}

export default function listen() {
  if (window.ddadUnsaved) return;
  window.ddadUnsaved = true;
  startListening();
}
