// Rows of cases. Every text is set as text, never as HTML.

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

function rowOf(row, open) {
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
  const read = element("span", row.verdict ? "read" : "read unread");
  read.append(element("span", "", row.verdict ? row.verdict : "Unread"));
  if (row.others) read.append(element("small", "", `+${row.others} other`));
  const added = element("span", "added", new Date(row.added).toLocaleDateString());
  button.append(image, name, element("span", "model", row.model), score, flag, warning, read, added);
  button.addEventListener("click", () => open(row.id));
  const item = element("div");
  item.setAttribute("role", "listitem");
  item.append(button);
  return item;
}

const HEADS = ["", "Case", "Model", "Percentile among normals", "Operating point", "", "My read", "Added"];

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const list = parentElement.querySelector(".list");
  const head = element("div", "row head");
  head.setAttribute("aria-hidden", "true");
  head.append(...HEADS.map((text) => element("span", "", text)));
  const open = (id) => setTriggerValue("open", id);
  list.replaceChildren(head, ...data.rows.map((row) => rowOf(row, open)));
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
