// Streamlit hears of a text only when its field is left. Here a pause in typing counts as leaving,
// so that a draft has what was typed when the page is reloaded or the connection breaks.

const PAUSE_MS = 1000;

/** What a field does when it is left; the focus and the caret stay where they are. */
function tell(field) {
  if (field?.isConnected) field.dispatchEvent(new FocusEvent("focusout", { bubbles: true }));
}

function startListening() {
  let timer = 0;
  let field = null;
  const now = () => {
    clearTimeout(timer);
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
