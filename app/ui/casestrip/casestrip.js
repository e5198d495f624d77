// Thumbnails in a row. Every text is set as text, never as HTML.

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const strip = parentElement.querySelector(".strip");
  strip.replaceChildren(
    ...data.cases.map((one) => {
      const button = element("button", "case");
      button.type = "button";
      button.dataset.case = one.id;
      button.title = `${one.label}, ${one.kind}, score ${one.score}: open in Review`;
      const image = element("img");
      image.alt = "";
      if (one.thumb) image.src = `data:image/jpeg;base64,${one.thumb}`;
      button.append(image, element("b", one.kind.replace(" ", "-"), one.kind), element("span", "", one.score));
      button.addEventListener("click", () => setTriggerValue("open", one.id));
      const item = element("div");
      item.setAttribute("role", "listitem");
      item.append(button);
      return item;
    }),
  );
}
