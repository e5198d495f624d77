// Rows of cases. Every text is set as text, never as HTML.

/** The day by this machine's clock, written as everywhere else. */
function localDay(text) {
  const at = new Date(text);
  const two = (number) => String(number).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function scoreOf(row) {
  const score = element("span", "score");
  if (row.score === null) {
    score.append(element("span", "unscored", row.hidden ? "After your verdict" : "Not scored"));
    return score;
  }
  const track = element("span", "track");
  const fill = element("span", row.flagged ? "fill flagged" : "fill");
  fill.style.width = `${row.percentile}%`;
  track.append(fill);
  const percentile = row.percentile.toFixed(0);
  score.append(element("span", "number", percentile), track);
  score.title = `${row.score_title} ${row.score.toPrecision(3)}: above ${percentile} % of calibration normals (${row.model})`;
  return score;
}

// Whose read it waits for, and who has it open now.
function readOf(row) {
  const waiting = row.offered ? "Unread" : "For others";
  const read = element("span", row.verdict || !row.offered ? "read" : "read unread");
  read.append(element("span", "", row.verdict ? row.verdict : waiting));
  if (row.others) read.append(element("small", "", `+${row.others} other${row.others > 1 ? "s" : ""}`));
  if (row.open_by.length) {
    const open = element("small", "open", `Open: ${row.open_by.join(", ")}`);
    open.title = `${row.open_by.join(", ")} has this case open now`;
    read.append(open);
  }
  return read;
}

function markOf(row, marked, tell) {
  const box = element("input", "mark");
  box.type = "checkbox";
  box.checked = marked.has(row.id);
  box.setAttribute("aria-label", `Mark ${row.label}`);
  box.addEventListener("change", () => {
    if (box.checked) marked.add(row.id);
    else marked.delete(row.id);
    tell();
  });
  return box;
}

function rowOf(row, team, open) {
  const button = element("button", "row");
  button.type = "button";
  button.dataset.case = row.id;
  const image = element("img");
  image.alt = "";
  image.width = image.height = 56;
  if (row.thumb) image.src = `data:image/jpeg;base64,${row.thumb}`;
  const name = element("span", "name");
  name.append(element("b", "", row.label), element("small", "", row.facts));
  const score = scoreOf(row);
  const flag = element("span", row.flagged ? "flag on" : "flag", row.flagged ? "Flagged" : row.hidden ? "" : "–");
  const warning = element("span", "warn", row.warnings.length ? "Warning" : "");
  warning.title = row.warnings.join("\n");
  const added = element("span", "added", localDay(row.added));
  button.append(image, name, element("span", "model", row.model), score, flag, warning, readOf(row));
  if (team) {
    const readers = element("span", "team", row.assigned.join(", "));
    readers.title = row.assigned.join("\n");
    button.append(readers);
  }
  button.append(added);
  button.addEventListener("click", () => open(row.id));
  const item = element("div", "line");
  item.setAttribute("role", "listitem");
  item.append(button);
  return item;
}

const HEADS = ["", "Case", "Model", "Percentile among normals", "Operating point", "", "My read", "Added"];

export default function (component) {
  const { data, parentElement, setTriggerValue, setStateValue } = component;
  const list = parentElement.querySelector(".list");
  const head = element("div", "row head");
  head.setAttribute("aria-hidden", "true");
  const heads = data.team ? [...HEADS.slice(0, -1), "Assigned to", "Added"] : HEADS;
  head.append(...heads.map((text) => element("span", "", text)));
  const open = (id) => setTriggerValue("open", id);
  // Kept here, not sent back and forth: marking a case must not bring all thumbnails again.
  const there = new Set(data.rows.map((row) => row.id));
  const kept = list.ddadMarking === data.marking ? [...(list.ddadMarked || [])] : [];
  const marked = new Set(kept.filter((id) => there.has(id)));
  const tell = () => setStateValue("marked", [...marked]);
  if (list.ddadMarked && list.ddadMarked.size > marked.size) tell();
  list.ddadMarked = marked;
  list.ddadMarking = data.marking;
  list.classList.toggle("markable", data.may_mark);
  list.classList.toggle("for-team", data.team);
  const rows = data.rows.map((row) => {
    const item = rowOf(row, data.team, open);
    if (data.may_mark) item.prepend(markOf(row, marked, tell));
    return item;
  });
  const top = element("div", "line");
  if (data.may_mark) {
    const all = element("input", "mark");
    all.type = "checkbox";
    all.setAttribute("aria-label", "Mark all cases of this page");
    all.checked = data.rows.length > 0 && marked.size === data.rows.length;
    all.addEventListener("change", () => {
      marked.clear();
      if (all.checked) for (const id of there) marked.add(id);
      for (const box of list.querySelectorAll('.line[role="listitem"] input.mark')) {
        box.checked = all.checked;
      }
      tell();
    });
    top.append(all);
  }
  top.append(head);
  // Apart from what stands above it: a list may have nothing but its items in it.
  const items = element("div");
  items.setAttribute("role", "list");
  items.setAttribute("aria-label", "Cases");
  items.append(...rows);
  list.replaceChildren(top, items);
  const last = list.querySelector(`[data-case="${data.last}"]`);
  if (last) last.classList.add("last");
  list.onkeydown = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const buttons = [...list.querySelectorAll("button.row")];
    const active = list.getRootNode().activeElement;
    const next = buttons[buttons.indexOf(active) + step];
    if (next) {
      event.preventDefault();
      next.focus();
    }
  };
}
